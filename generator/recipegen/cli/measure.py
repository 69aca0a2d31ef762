"""Commands that measure and show: bench, collect, index, demo."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, root_option
from recipegen.cli.kits import require_rendered
from recipegen.errors import EXIT_MEASUREMENT, CheckFailed, RecipegenError
from recipegen.workspace import Workspace, require_one_machine, variant_of

if TYPE_CHECKING:
    from recipegen.bench.verified import Prompt
    from recipegen.spec.completed import PlannedCell, Spec


@click.command("bench")
@click.argument("name")
@click.option(
    "--variant",
    "variants",
    metavar="V",
    multiple=True,
    help="Variant to measure; repeatable. All that are meant to be measured by default.",
)
@click.option(
    "--runner",
    type=click.Choice(["docker", "local", "endpoint"]),
    help="Container, process of this host, or a server that is there already [docker].",
)
@click.option("--base-url", metavar="URL", help="Address of a running server; means --runner endpoint.")
@click.option("--cell", "cells", metavar="TEXT", multiple=True, help="Only cells whose id holds this text; repeatable.")
@click.option("--profile", metavar="P", help="Measure this set of cells: quick, headline, concurrency, longctx, …")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Ask a canonical prompt of LocalMaxxing too, out of its saved agent-context.",
)
@click.option("--prompt", "prompt_id", metavar="ID", help="Which of them.  [reasoning-v1]")
@click.option("--resume", is_flag=True, help="Go on with the same run where it stopped; finished cells stay.")
@click.option("--retries", type=click.IntRange(0, 10), default=1, help="Further tries of a cell that fails.  [1]")
@click.option(
    "--ab", "rounds", type=click.IntRange(2, 100), metavar="N", help="Measure the variants in turn, N rounds."
)
@click.option("--runs", type=click.IntRange(1, 10_000), help="Runs of each cell; the recipe's by default.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the server on this host.")
@click.option(
    "--models-dir",
    type=click.Path(path_type=Path, resolve_path=True),
    help="Folder of all models [MODELS_DIR, ~/models].",
)
@click.option("--machine", metavar="NAME", help="Name of this machine under results/; from its hardware by default.")
@click.option("--base-image", metavar="IMAGE", help="When the image must be built: build on this one.")
@click.option("--network", type=click.Choice(["host"]), help="When the image must be built: network of its steps.")
@click.option("--no-index", is_flag=True, help="Leave INDEX.md and RESULTS.md as they are.")
@root_option
@json_option
def bench_command(
    name: str,
    variants: tuple[str, ...],
    runner: str | None,
    base_url: str | None,
    cells: tuple[str, ...],
    profile: str | None,
    prompts: Path | None,
    prompt_id: str | None,
    resume: bool,
    retries: int,
    rounds: int | None,
    runs: int | None,
    port: int | None,
    models_dir: Path | None,
    machine: str | None,
    base_image: str | None,
    network: str | None,
    no_index: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    """Measure the recipe NAME: build if needed, start, wait, one llama-benchy call a cell, take down.

    Raw reports and the record of each run are kept under recipes/NAME/results/, also when a cell fails.

    \b
    Examples:
      recipegen bench qwen36-35b-dflash --variant dflash --variant ar
      recipegen bench smoke-llamacpp --runner local --runs 3
      recipegen bench qwen36-35b-dflash --profile longctx --resume
      recipegen bench qwen36-35b-dflash --ab 3 --variant ar --variant dflash --profile quick
      recipegen bench qwen36-35b-dflash --base-url http://127.0.0.1:8000 --cell pp128-tg128
      recipegen bench qwen36-35b-dflash --profile localmaxxing-verified --prompts agent-context.json
    """
    from recipegen.bench.display import display_for
    from recipegen.bench.profiles import VERIFIED
    from recipegen.bench.session import Request, choose_cells, measure, measure_in_turn
    from recipegen.cli.lint import warn_of_errors
    from recipegen.runners.plan import HostOptions

    if base_url is not None and runner not in (None, "endpoint"):
        raise click.UsageError("--base-url names a server that is there already: it goes with --runner endpoint only")
    if (profile == VERIFIED or prompt_id) and prompts is None:
        raise click.UsageError("a canonical prompt is in no recipe: --prompts FILE, a saved agent-context of the board")
    prompt = _canonical_prompt(prompts, prompt_id) if prompts else None
    workspace = Workspace.open(root)
    spec = workspace.runnable(name)
    kit_sha256 = require_rendered(workspace, name)
    warn_of_errors(workspace, name)
    meant = tuple(key for key, variant in spec.variants.items() if variant.measure)
    if (runner == "endpoint" or base_url) and len(variants) != 1 and len(meant) != 1:
        raise click.UsageError(f"a running server is of one variant: --variant {'|'.join(spec.variants)}")
    given: dict[str, Any] = {"models_dir": models_dir} if models_dir else {}
    chosen = "endpoint" if base_url else runner or "docker"
    if chosen != "endpoint":
        require_one_machine(spec)
    chosen_variants = tuple(variant_of(spec, variant) for variant in variants) or meant
    if rounds is not None and (resume or len(chosen_variants) != 2):
        raise click.UsageError("--ab takes two variants in turn: name both with --variant; it cannot be resumed")
    planned = {
        variant: choose_cells(spec, cells, runs, _of_profile(spec, variant, profile)) for variant in chosen_variants
    }
    request = Request(
        spec=spec,
        folder=workspace.folder(spec),
        variants=chosen_variants,
        cells=planned,
        profile=profile,
        resume=resume,
        retries=retries,
        options=HostOptions(runner=chosen, port=port, base_url=base_url, **given),  # type: ignore[arg-type]
        kit_sha256=kit_sha256,
        machine=machine,
        base_image=base_image,
        build_network=network,
        prompt=prompt,
    )
    display = display_for(sys.stderr if not as_json else sys.stdout, as_json=as_json)
    try:
        outcomes = measure_in_turn(request, rounds, display) if rounds else measure(request, display)
    finally:
        display.close()
    if not no_index:
        from recipegen.publish.tables import write_index

        write_index(workspace)
    for outcome in outcomes:
        if as_json:
            click.echo(json.dumps({"event": "run", **asdict(outcome), "folder": str(outcome.folder)}))
        else:
            click.echo(f"{name}/{outcome.variant}: {outcome.status}, {outcome.folder}")
    if not as_json:
        _judge(workspace, name, [outcome.folder for outcome in outcomes])
    failed = [outcome for outcome in outcomes if outcome.status != "complete" and outcome.error]
    if failed:
        raise RecipegenError(
            f"{len(failed)} of {len(outcomes)} runs are not whole: {failed[0].error}",
            hint=f"what was measured is kept in {failed[0].folder}",
            exit_code=EXIT_MEASUREMENT,
        )


def _canonical_prompt(file: Path, wanted: str | None) -> Prompt:
    """The prompt of that file, held against its known hash before anything is started."""
    from recipegen.boards.canonical import DEFAULT, read_prompt

    return read_prompt(file, wanted or DEFAULT)


def _of_profile(spec: Spec, variant: str, profile: str | None) -> tuple[PlannedCell, ...] | None:
    """The cells of a profile that fit into the variant's context; None without a profile."""
    from recipegen.bench.profiles import profile_cells
    from recipegen.fit import estimate

    if profile is None:
        return None
    cells, too_long = profile_cells(spec, profile, estimate(spec, variant).context)
    if too_long:
        click.echo(f"{variant}: longer than its context, left out: {', '.join(too_long)}", err=True)
    if not cells:
        raise RecipegenError(f"no cell of the profile {profile!r} fits into the context of {variant}")
    return cells


def _judge(workspace: Workspace, name: str, runs: list[Path]) -> None:
    """What the rules about logs and figures say of the runs just made."""
    from recipegen.bench.judge import judge
    from recipegen.cli.lint import print_findings

    recipe, _ = workspace.under_lint(name)
    for run in runs:
        print_findings(judge(recipe, run), least="warning")


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
    from recipegen.results.collect import collect

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
    taken = collect(
        folder,
        spec,
        found,
        variant=variant,
        machine=machine or machine_name(host_facts()),
        corpus=corpus,
        thinking=thinking,
        dry_run=dry_run,
    )
    if as_json:
        rows = [{**asdict(one), "source": str(one.source), "folder": str(one.folder)} for one in taken]
        click.echo(json.dumps(rows, indent=2))
    for one in taken if not as_json else []:
        state = "is here already" if one.already else "would go" if dry_run else "went"
        left = f"; not planned by the recipe: {', '.join(one.left_out)}" if one.left_out else ""
        click.echo(f"{one.source}: {', '.join(one.cells)} {state} in {one.folder}{left}")
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
    if as_json:
        click.echo(json.dumps(rows, indent=2))


@click.command("index")
@click.option("--check", is_flag=True, help="Write nothing; fail when a table is stale.")
@root_option
@json_option
def index_command(check: bool, root: Path | None, as_json: bool) -> None:
    """Write the table of INDEX.md, and RESULTS.md of every recipe that has results.

    \b
    Example:
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
