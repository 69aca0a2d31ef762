"""Commands about running servers: up, status, logs, down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recipegen.cli import json_option, root_option
from recipegen.cli.cluster import cluster_option, image_file_option, nodes_for_recipe, nodes_of_file
from recipegen.errors import EnvironmentLacks, MeasurementFailed
from recipegen.workspace import Workspace, require_allowed, variant_of

if TYPE_CHECKING:
    from recipegen.bench.guard import MemoryGuard
    from recipegen.bench.nodes import NodesGuard
    from recipegen.cluster.nodes import Fault, Node
    from recipegen.runners.base import Server, ServerPlan
    from recipegen.runners.plan import HostOptions
    from recipegen.spec.completed import Spec

T = TypeVar("T")

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
@cluster_option
@image_file_option
@root_option
def up_command(
    name: str,
    variant: str | None,
    runner: str,
    host: str,
    port: int | None,
    models_dir: Path | None,
    cluster_file: Path | None,
    image_file: Path | None,
    root: Path | None,
) -> None:
    """Start the server of a recipe and wait until it answers.

    While this command runs it kills the server before that takes the last memory of this host, which may freeze it:
    in a container until the server answers, as a local process until its end.

    \b
    Examples:
      recipegen up smoke-vllm-cpu
      recipegen up smoke-llamacpp --runner local --port 8090
      recipegen up minimax-m27-nvfp4-x2 --cluster lab.yaml
    """
    from recipegen.bench.guard import guard_of
    from recipegen.cli.lint import warn_of_errors
    from recipegen.runners.plan import HostOptions, plan_server, require_models, server_of

    workspace = Workspace.open(root)
    spec = workspace.runnable(name)
    chosen = variant_of(spec, variant)
    require_allowed(spec, [chosen])
    given: dict[str, Any] = {"models_dir": models_dir} if models_dir else {}
    options = HostOptions(runner=runner, host=host, port=port, **given)  # type: ignore[arg-type]
    warn_of_errors(workspace, name)
    if nodes := nodes_for_recipe(spec, cluster_file, models_dir):
        if runner != "docker":
            raise click.UsageError("machines of a cluster file serve from containers: no --runner local")
        _up_on_nodes(workspace, spec, chosen, nodes, options, image_file)
        there = f" --cluster {cluster_file}" if cluster_file is not None else ""
        click.echo(f"recipegen logs {name}{there} shows its log, recipegen down {name}{there} takes it down")
        return
    require_models(spec, chosen, options)
    plan = plan_server(spec, chosen, options)
    server = server_of(plan, options.runner)
    with _started(spec, plan, server, guard_of(spec, chosen, server, click.echo)):
        _judge_start(workspace, spec.name, chosen, server)
        if runner == "local":
            click.echo("Ctrl-C takes it down")
            _wait_for_end(server)
    if runner == "docker":
        click.echo(f"recipegen logs {name} shows its log, recipegen down {name} takes it down")


@contextmanager
def _started(spec: Spec, plan: ServerPlan, server: Server, guard: MemoryGuard | NodesGuard) -> Iterator[None]:
    """A server that is up and answers; it is taken down when the block fails, and stays otherwise."""
    from recipegen.runners.base import every_ten_seconds, wait_ready

    try:
        with guard:
            server.start()
            if server.note:
                click.echo(server.note)
            click.echo(f"waiting for {plan.base_url} …")
            seconds = wait_ready(server, plan, every_ten_seconds(click.echo))
            click.echo(f"{plan.title} is ready after {seconds:.0f} s: {plan.base_url}/v1")
            yield
    except BaseException:
        server.stop()
        raise
    finally:
        if guard.error:
            click.echo(f"memory ran low, and the server could not be stopped: {guard.error}", err=True)
    if guard.text:
        raise MeasurementFailed("the server was killed: memory ran low", hint="see above what to lower")


def _judge_start(workspace: Workspace, name: str, variant: str, server: Server) -> None:
    """What the rules say of the log of a server that has just started."""
    from recipegen.cli.lint import print_findings
    from recipegen.lint.run import lint_log

    recipe, _ = workspace.under_lint(name)
    print_findings(lint_log(recipe, variant, server.log_tail(START_LINES), served=False), least="warning")


def _up_on_nodes(
    workspace: Workspace,
    spec: Spec,
    variant: str,
    nodes: tuple[Node, ...],
    options: HostOptions,
    image_file: Path | None,
) -> None:
    from recipegen.bench.nodes import NodesGuard, server_of_nodes
    from recipegen.cli.kits import require_rendered
    from recipegen.cluster.plan import rank_plans
    from recipegen.cluster.ready import make_ready

    kit_sha256 = require_rendered(workspace, spec.name)
    cluster = make_ready(spec, [variant], nodes, options, kit_sha256, click.echo, image_file=image_file)
    plans = rank_plans(spec, variant, cluster.facts, options)
    server = server_of_nodes(plans, cluster, click.echo)
    with _started(spec, plans[0].server, server, NodesGuard(spec, variant, server, click.echo)):
        _judge_start(workspace, spec.name, variant, server)
    server.leave()
    head, port = nodes[0], plans[0].server.port
    if plans[0].server.base_url.startswith("http://127.0.0.1:") and head.ssh is not None:
        click.echo(f"the head listens on its own loopback: ssh -N -L {port}:127.0.0.1:{port} {head.ssh}, or --host")


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
@cluster_option
@json_option
def status_command(name: str | None, cluster_file: Path | None, as_json: bool) -> None:
    """Show the servers that recipegen started in containers, of a recipe over several machines on all of them.

    \b
    Example:
      recipegen status --json
    """
    from recipegen.cluster.containers import row

    found, faults = _everywhere(name, None, cluster_file, row)
    rows = [{**one, "node": node} for node, one in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("no server of recipegen's is here")
    for one in rows if not as_json else []:
        where = f" on {one['node']}" if one["node"] else ""
        ended = f", exit code {one['exit_code']}" if one["exit_code"] is not None else ""
        click.echo(f"{one['container']}{where}: {one['status']}{ended}")
    _require_reached(faults)


def _everywhere(
    name: str | None, variant: str | None, cluster_file: Path | None, work: Callable[[Any], T]
) -> tuple[list[tuple[str | None, T]], list[Fault]]:
    """Does something with each of our containers: on the machines of a cluster, or on this one (None)."""
    nodes = nodes_of_file(cluster_file, name)
    if not nodes:
        return [(None, work(one)) for one in _containers(name, variant)], []
    from recipegen.cluster.containers import on_containers

    found, faults = on_containers(nodes, name, variant, work)
    return [(node.name, one) for node, one in found], faults


def _require_reached(faults: list[Fault]) -> None:
    if faults:
        raise EnvironmentLacks(
            "\n".join(["not every node could be reached:", *map(str, faults)]),
            hint="once they are back, the same command again",
        )


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
@click.option(
    "--rank", type=click.IntRange(0), help="Of several machines, the one of this rank; the head's by default."
)
@cluster_option
def logs_command(name: str, variant: str | None, lines: int, rank: int | None, cluster_file: Path | None) -> None:
    """Show the end of a server's log.

    \b
    Examples:
      recipegen logs smoke-vllm-cpu --lines 500
      recipegen logs minimax-m27-nvfp4-x2 --rank 1
    """
    from recipegen import docker

    def read(container: Any) -> tuple[int, str] | None:
        own = int(container.labels.get(docker.LABEL_RANK, "0"))
        return (own, docker.tail(container, lines)) if own == (rank or 0) else None

    found, faults = _everywhere(name, variant, cluster_file, read)
    wanted = [one for _, one in found if one is not None]
    if not wanted:
        _require_reached(faults)
        which = f" with rank {rank}" if rank else ""
        raise EnvironmentLacks(f"no server of {name}{which} is here", hint=f"recipegen up {name}")
    click.echo(wanted[0][1], nl=False)


@click.command("down")
@click.argument("name", required=False)
@click.option("--variant", metavar="V", help="Only this variant's server.")
@cluster_option
def down_command(name: str | None, variant: str | None, cluster_file: Path | None) -> None:
    """Take down the servers of a recipe, or all that recipegen started in containers.

    Of several machines, all that can be reached are cleared; those that cannot are named, with exit code 3.

    \b
    Examples:
      recipegen down smoke-vllm-cpu
      recipegen down minimax-m27-nvfp4-x2 --cluster lab.yaml
    """
    from recipegen import docker

    def end(container: Any) -> str:
        click.echo(f"taking down {container.name}")
        docker.stop(container, GRACE_S)
        return str(container.name)

    found, faults = _everywhere(name, variant, cluster_file, end)
    if not found and not faults:
        click.echo("nothing to take down")
    _require_reached(faults)
