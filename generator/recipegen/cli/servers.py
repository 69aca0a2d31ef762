"""Commands about running servers: up, status, logs, down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from recipegen.cli import json_option, root_option
from recipegen.errors import EnvironmentLacks, MeasurementFailed
from recipegen.workspace import Workspace, require_allowed, require_one_machine, variant_of

GRACE_S = 15.0


START_LINES = 20_000
"""Lines of a server's log that are judged when it is ready: all that it wrote while starting, and a bound."""


@click.command("up")
@click.argument("name")
@click.option("--variant", metavar="V", help="Variant to serve; the headline by default.")
@click.option(
    "--runner",
    type=click.Choice(["docker", "local"]),
    default="docker",
    show_default=True,
    help="In a container, or as a process of this host (stays in the foreground).",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; the recipe's by default.")
@click.option(
    "--models-dir",
    type=click.Path(path_type=Path, resolve_path=True),
    help="Folder of all models [MODELS_DIR, ~/models].",
)
@root_option
def up_command(
    name: str,
    variant: str | None,
    runner: str,
    host: str,
    port: int | None,
    models_dir: Path | None,
    root: Path | None,
) -> None:
    """Start the server of a recipe and wait until it answers.

    While this command runs it kills the server before that takes the last memory of this host, which may freeze it:
    in a container until the server answers, as a local process until its end.

    \b
    Examples:
      recipegen up smoke-vllm-cpu
      recipegen up smoke-llamacpp --runner local --port 8090
    """
    from recipegen.bench.guard import guard_of
    from recipegen.cli.lint import print_findings, warn_of_errors
    from recipegen.lint.run import lint_log
    from recipegen.runners.base import every_ten_seconds, wait_ready
    from recipegen.runners.plan import HostOptions, plan_server, require_models, server_of

    workspace = Workspace.open(root)
    spec = workspace.runnable(name)
    chosen = variant_of(spec, variant)
    require_allowed(spec, [chosen])
    require_one_machine(spec)
    given: dict[str, Any] = {"models_dir": models_dir} if models_dir else {}
    options = HostOptions(runner=runner, host=host, port=port, **given)  # type: ignore[arg-type]
    warn_of_errors(workspace, name)
    require_models(spec, chosen, options)
    plan = plan_server(spec, chosen, options)
    server = server_of(plan, options.runner)
    guard = guard_of(spec, chosen, server, click.echo)
    try:
        with guard:
            server.start()
            if server.note:
                click.echo(server.note)
            click.echo(f"waiting for {plan.base_url} …")
            seconds = wait_ready(server, plan, every_ten_seconds(click.echo))
            click.echo(f"{plan.title} is ready after {seconds:.0f} s: {plan.base_url}/v1")
            recipe, _ = workspace.under_lint(name)
            log = server.log_tail(START_LINES)
            print_findings(lint_log(recipe, chosen, log, served=False), least="warning")
            if runner == "local":
                click.echo("Ctrl-C takes it down")
                _wait_for_end(server)
    except BaseException:
        server.stop()
        raise
    finally:
        if guard.error:
            click.echo(f"memory ran low, and the server could not be stopped: {guard.error}", err=True)
    if guard.text:
        raise MeasurementFailed("the server was killed: memory ran low", hint="see above what to lower")
    if runner == "docker":
        click.echo(f"recipegen logs {name} shows its log, recipegen down {name} takes it down")


def _wait_for_end(server: Any) -> None:
    import time

    while server.alive():
        time.sleep(0.5)
    click.echo(f"the server has ended with exit code {server.exit_code}")
    server.stop()


def _containers(name: str | None, variant: str | None = None) -> list[Any]:
    from recipegen import docker

    return docker.find(docker.connect(), name, variant)


@click.command("status")
@click.argument("name", required=False)
@json_option
def status_command(name: str | None, as_json: bool) -> None:
    """Show the servers that recipegen started in containers.

    \b
    Example:
      recipegen status --json
    """
    from recipegen import docker

    rows = [
        {
            "container": found.name,
            "recipe": found.labels.get(docker.LABEL_RECIPE, ""),
            "variant": found.labels.get(docker.LABEL_VARIANT, ""),
            "status": found.status,
            "exit_code": docker.exit_code(found),
        }
        for found in _containers(name)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("no server of recipegen's is here")
    for row in rows if not as_json else []:
        ended = f", exit code {row['exit_code']}" if row["exit_code"] is not None else ""
        click.echo(f"{row['container']}: {row['status']}{ended}")


@click.command("logs")
@click.argument("name")
@click.option("--variant", metavar="V", help="Only this variant's server.")
@click.option(
    "--lines",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="How many lines from the end.",
)
def logs_command(name: str, variant: str | None, lines: int) -> None:
    """Show the end of a server's log.

    \b
    Example:
      recipegen logs smoke-vllm-cpu --lines 500
    """
    from recipegen import docker

    found = _containers(name, variant)
    if not found:
        raise EnvironmentLacks(f"no server of {name} is here", hint=f"recipegen up {name}")
    click.echo(docker.tail(found[0], lines), nl=False)


@click.command("down")
@click.argument("name", required=False)
@click.option("--variant", metavar="V", help="Only this variant's server.")
def down_command(name: str | None, variant: str | None) -> None:
    """Take down the servers of a recipe, or all that recipegen started in containers.

    \b
    Example:
      recipegen down smoke-vllm-cpu
    """
    from recipegen import docker

    found = _containers(name, variant)
    for one in found:
        click.echo(f"taking down {one.name}")
        docker.stop(one, GRACE_S)
    if not found:
        click.echo("nothing to take down")
