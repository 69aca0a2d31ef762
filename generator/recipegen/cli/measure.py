"""Commands about what was measured elsewhere and what is shown of it all: collect, index, demo."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipegen.cli import json_option, root_option
from recipegen.errors import CheckFailed, RecipegenError
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from recipegen.plausible import CellVerdict


@click.command("collect")
@click.argument("name")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option(
    "--variant",
    metavar="V",
    help="Variant that was measured, where the record beside the report does not say.",
)
@click.option(
    "--machine",
    metavar="NAME",
    help="Name under results/ of the machine that measured; this one by default, for reports of bench.sh.",
)
@click.option("--corpus", metavar="TEXT", help="Text that the prompts came from, where the file's name does not tell.")
@click.option("--thinking", type=click.Choice(["default", "on", "off"]), help="Thinking mode, likewise.")
@click.option("--agent", is_flag=True, help="FILEs are results of agentic benchmark runs (docs/agent-evaluations.md).")
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@root_option
@json_option
def collect_command(
    name: str,
    files: tuple[Path, ...],
    variant: str | None,
    machine: str | None,
    corpus: str | None,
    thinking: str | None,
    agent: bool,
    dry_run: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    """Take in llama-benchy reports made with the kit alone (its out/ folder by default) or elsewhere.

    \b
    Examples:
      recipegen collect smoke-vllm-cpu
      recipegen collect qwen36-35b-dflash result.json --variant ar --corpus prose --machine gb10-128g
      recipegen collect qwen36-27b-fp8 tblite.json --agent --machine gb10-128g
    """
    from recipegen.bench.host import host_facts, machine_name
    from recipegen.plausible.record import put_verdicts
    from recipegen.results.collect import collect
    from recipegen.results.store import DOUBTFUL

    workspace = Workspace.open(root)
    spec = workspace.spec(name)
    if agent:
        _collect_agent(workspace, name, files, variant, machine or machine_name(host_facts()), dry_run, as_json)
        return
    folder = workspace.folder(spec)
    found = list(files) or sorted(p for p in (folder / "out").glob("**/*.json") if not p.name.endswith(".meta.json"))
    if not found:
        raise RecipegenError(
            f"there is nothing to collect in {folder / 'out'}",
            hint="bash scripts/bench.sh makes a report there; or name FILEs",
        )
    strangers = [path for path in found if not path.with_name(f"{path.name}.meta.json").is_file()]
    if machine is None and strangers:
        raise RecipegenError(
            f"{strangers[0]} does not say which machine measured it: it was not made by this kit's bench.sh",
            hint="--machine NAME, as in gb10-128g; the name stands under results/ and in the table",
        )
    judged: list[CellVerdict] = []
    taken = collect(
        folder,
        spec,
        found,
        variant=variant,
        machine=machine or machine_name(host_facts()),
        corpus=corpus,
        thinking=thinking,
        dry_run=dry_run,
        judge=lambda run, record: judged.extend(put_verdicts(spec, run, record)),
    )
    if as_json:
        rows = [{**asdict(one), "source": str(one.source), "folder": str(one.folder)} for one in taken]
        click.echo(json.dumps(rows, indent=2))
    for one in taken if not as_json else []:
        state = "is here already" if one.already else "would go" if dry_run else "went"
        left = f"; not planned by the recipe: {', '.join(one.left_out)}" if one.left_out else ""
        click.echo(f"{one.source}: {', '.join(one.cells)} {state} in {one.folder}{left}")
    for verdict in judged if not as_json else []:
        if verdict.judgement.verdict in DOUBTFUL:
            click.echo(f"{verdict.cell}: {verdict.judgement.verdict}: {verdict.judgement.reasons[0]}")
    if not dry_run:
        from recipegen.publish.tables import write_index

        write_index(workspace)


def _collect_agent(
    workspace: Workspace,
    name: str,
    files: tuple[Path, ...],
    variant: str | None,
    machine: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take in agentic results: the score, both ways of failing apart, and the label beside it."""
    from recipegen.results.agent_eval import judge_evaluation, take_in_agent_results

    if not files:
        raise click.UsageError("--agent needs the FILEs of the results")
    recipe, _ = workspace.under_lint(name)
    rows = []
    for file in files:
        run = take_in_agent_results(
            recipe, workspace.repository.folder(name), file, machine, variant=variant, dry_run=dry_run
        )
        judged = judge_evaluation(recipe, run.variant, run.evaluation)
        rows.append({"file": str(file), "folder": str(run.folder), "already": run.already, "label": judged.label})
        if not as_json:
            state = "is here already" if run.already else "would go" if dry_run else "went"
            click.echo(f"{file}: {run.evaluation.score}, {judged.label} ({judged.reason}); {state} in {run.folder}")
    if not dry_run:
        from recipegen.publish.tables import write_index

        write_index(workspace)
    if as_json:
        click.echo(json.dumps(rows, indent=2))


@click.command("index")
@click.option("--check", is_flag=True, help="Write nothing; fail when a table is stale.")
@root_option
@json_option
def index_command(check: bool, root: Path | None, as_json: bool) -> None:
    """Write the table of INDEX.md, the same as index.json and index.csv, and of every recipe RESULTS.md and charts.

    Text outside the markers of INDEX.md stays. docs/index-format.md explains the two files for machines.

    \b
    Examples:
      recipegen index
      recipegen index --check
    """
    from recipegen.publish.tables import write_index

    workspace = Workspace.open(root)
    stale = write_index(workspace, write=not check)
    names = [path.relative_to(workspace.repository.root).as_posix() for path in stale]
    if as_json:
        click.echo(json.dumps({"written" if not check else "stale": names}, indent=2))
        raise SystemExit(CheckFailed.exit_code if check and stale else 0)
    if check and stale:
        raise CheckFailed(f"stale: {', '.join(names)}", hint="recipegen index")
    click.echo("\n".join(f"wrote {name}" for name in names) or "up to date")


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path), default="recipegen-demo")
@click.option("--runs", type=click.IntRange(1, 100), default=3, show_default=True, help="Runs of each cell.")
def demo_command(folder: Path, runs: int) -> None:
    """The main job in a FOLDER of its own: a real llama.cpp server with Gemma-3-270M on this CPU, no Docker, no hub.

    \b
    Example:
      recipegen demo /tmp/demo
    """
    from recipegen.demo import run_demo

    run_demo(folder, runs)
