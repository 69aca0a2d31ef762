"""The command doctor: what this host has, lacks, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, root_option
from recipegen.errors import EXIT_ENVIRONMENT

if TYPE_CHECKING:
    from recipegen.doctor.finding import Finding

_COLOURS = {"ok": "green", "info": "cyan", "warning": "yellow", "error": "red"}


@click.command("doctor")
@click.argument("name", required=False)
@click.option("--variant", metavar="V", help="Variant of NAME; the headline by default.")
@click.option(
    "--runner",
    type=click.Choice(["docker", "local"]),
    default="docker",
    show_default=True,
    help="How servers are to run; `local` needs no Docker.",
)
@click.option("--offline", is_flag=True, help="Ask no web address.")
@root_option
@json_option
def doctor_command(
    name: str | None, variant: str | None, runner: str, offline: bool, root: Path | None, as_json: bool
) -> None:
    """Look at this host before anything is built; with NAME, also at what that recipe needs.

    Changes nothing: remedies are printed, never carried out. Of tokens only the presence is looked at. Ends
    with 3 when something needed is missing; warnings alone end with 0.

    \b
    Examples:
      recipegen doctor
      recipegen doctor qwen36-35b-dflash --json
      recipegen doctor smoke-llamacpp --runner local --offline
    """
    findings = _examine(name, variant, runner, offline, root)
    healthy = all(finding.severity != "error" for finding in findings)
    if as_json:
        click.echo(json.dumps({"checks": [asdict(finding) for finding in findings], "ok": healthy}, indent=2))
    else:
        for finding in findings:
            _print(finding)
        _print_sum(findings)
    if not healthy:
        raise SystemExit(EXIT_ENVIRONMENT)


def _examine(name: str | None, variant: str | None, runner: str, offline: bool, root: Path | None) -> list[Finding]:
    from recipegen.doctor import diagnose, diagnose_recipe
    from recipegen.doctor.case import base_images, model_keys, model_places, registry_address
    from recipegen.doctor.host import gather
    from recipegen.engines.container import container
    from recipegen.runners.plan import HostOptions

    options = HostOptions(runner=runner)  # type: ignore[arg-type]
    if name is None:
        if variant is not None:
            raise click.UsageError("--variant needs the name of a recipe")
        return diagnose(gather(models_dir=options.models_dir, hf_home=options.hf_home, offline=offline), runner=runner)
    from recipegen.workspace import Workspace, variant_of

    spec = Workspace.open(root).runnable(name)  # of a record nothing can be said but what is missing
    chosen = variant_of(spec, variant)
    boxed = runner == "docker"
    facts = gather(
        models_dir=options.models_dir,
        hf_home=options.hf_home,
        images=[container(spec).image, *base_images(spec)] if boxed else (),
        addresses=[registry_address(image) for image in base_images(spec)] if boxed else (),
        models=model_places(spec, model_keys(spec, chosen), options),
        port=(options.host, spec.run.port),
        offline=offline,
    )
    return [*diagnose(facts, runner=runner), *diagnose_recipe(facts, spec, chosen, options)]


def _print(finding: Finding) -> None:
    mark = click.style(finding.severity.ljust(7), fg=_COLOURS[finding.severity], bold=finding.severity == "error")
    click.echo(f"{mark}  {finding.id.ljust(18)}  {finding.found}")
    if finding.severity == "ok":
        return
    details: list[tuple[str, Any]] = [("why", finding.why), ("do", finding.remedy), ("source", finding.source)]
    for label, text in details:
        if text:
            click.echo(f"         {label.ljust(6)}  {text}")


def _print_sum(findings: list[Finding]) -> None:
    counted = {mark: sum(finding.severity == mark for finding in findings) for mark in ("error", "warning", "info")}
    words = {"error": "error", "warning": "warning", "info": "note"}
    told = ", ".join(f"{count} {words[mark]}{'s' * (count != 1)}" for mark, count in counted.items() if count)
    click.echo(f"{len(findings)} checks: {told or 'nothing wrong'}")
