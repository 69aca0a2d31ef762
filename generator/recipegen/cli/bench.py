"""The command bench, and the options that every command with a server of its own has."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.cli.cluster import cluster_option, image_file_option, nodes_for_recipe
from recipegen.cli.kits import require_rendered
from recipegen.errors import EXIT_MEASUREMENT, CheckFailed, RecipegenError
from recipegen.results.store import RECORD
from recipegen.workspace import Workspace, require_allowed, variant_of

if TYPE_CHECKING:
    from recipegen.bench.variant import RunOutcome
    from recipegen.bench.verified import Prompt
    from recipegen.cluster.nodes import Node
    from recipegen.runners.plan import HostOptions
    from recipegen.spec.completed import PlannedCell, Spec
    from recipegen.trial import Trial

_HOST_OPTIONS = (
    click.option(
        "--runner",
        type=click.Choice(["docker", "local", "endpoint"]),
        help="Container, process of this host, or a server that is there already [docker].",
    ),
    click.option("--base-url", metavar="URL", help="Address of a running server; means --runner endpoint."),
    click.option("--port", type=click.IntRange(1, 65535), help="Port of the server on this host."),
    click.option(
        "--models-dir",
        type=click.Path(path_type=Path, resolve_path=True),
        help="Folder of all models [MODELS_DIR, ~/models].",
    ),
    click.option(
        "--machine", metavar="NAME", help="Name of this machine under results/; from its hardware by default."
    ),
    click.option("--base-image", metavar="IMAGE", help="When the image must be built: build on this one."),
    click.option("--network", type=click.Choice(["host"]), help="When the image must be built: network of its steps."),
    cluster_option,
    image_file_option,
)


def host_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How and where the server runs."""
    for option in reversed(_HOST_OPTIONS):
        function = option(function)
    return function


def chosen_host(runner: str | None, base_url: str | None, port: int | None, models_dir: Path | None) -> HostOptions:
    """What the host options come to."""
    from recipegen.runners.plan import HostOptions

    if base_url is not None and runner not in (None, "endpoint"):
        raise click.UsageError("--base-url names a server that is there already: it goes with --runner endpoint only")
    given: dict[str, Any] = {"models_dir": models_dir} if models_dir else {}
    chosen: Any = "endpoint" if base_url else runner or "docker"
    return HostOptions(runner=chosen, port=port, base_url=base_url, **given)


def nodes_of_request(spec: Spec, options: HostOptions, cluster_file: Path | None) -> tuple[Node, ...]:
    """The machines to measure on; none for a recipe of one, and for a server that is there already."""
    if options.runner == "endpoint":
        return ()
    nodes = nodes_for_recipe(spec, cluster_file, options.models_dir)
    if nodes and options.runner != "docker":
        raise click.UsageError("machines of a cluster file serve from containers: no --runner local")
    return nodes


@click.command("bench")
@click.argument("names", metavar="NAME", nargs=-1, required=True)
@click.option(
    "--hosts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Spread recipes over the machines of this cluster file, each on the next that is free.",
)
@click.option(
    "--variant",
    "variants",
    metavar="V",
    multiple=True,
    help="Variant to measure; repeatable. All that are meant to be measured by default.",
)
@click.option("--cell", "cells", metavar="TEXT", multiple=True, help="Only cells whose id holds this text; repeatable.")
@click.option(
    "--profile",
    metavar="P",
    help="Measure this set of cells: quick, headline, concurrency, longctx, needle, spark-arena-v2, or your own.",
)
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
    "--ab", "rounds", type=click.IntRange(2, 100), metavar="N", help="Measure two variants in turn, N rounds."
)
@click.option(
    "--set",
    "flags",
    metavar="FLAG=VALUE",
    multiple=True,
    help="Measure the variant with this flag changed; with --ab, beside the variant as it is. Repeatable.",
)
@click.option("--unset", metavar="FLAG", multiple=True, help="Likewise, without this flag; repeatable.")
@click.option("--set-env", metavar="VAR=VALUE", multiple=True, help="Likewise, with this variable of the server.")
@click.option("--runs", type=click.IntRange(1, 10_000), help="Runs of each cell; the recipe's by default.")
@host_options
@click.option("--no-index", is_flag=True, help="Leave INDEX.md and RESULTS.md as they are.")
@root_option
@json_option
def bench_command(
    names: tuple[str, ...],
    hosts: Path | None,
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
    flags: tuple[str, ...],
    unset: tuple[str, ...],
    set_env: tuple[str, ...],
    runs: int | None,
    port: int | None,
    models_dir: Path | None,
    machine: str | None,
    base_image: str | None,
    network: str | None,
    cluster_file: Path | None,
    image_file: Path | None,
    no_index: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    """Measure the recipe NAME: build if needed, start, wait, one llama-benchy call a cell, take down.

    Raw reports and the record of each run are kept under recipes/NAME/results/, also when a cell fails.

    With --hosts there may be many NAMEs: a queue gives each to the next free machine of a cluster file, or group of
    machines, and --resume goes on with those that are not whole (needs Ray: pip install 'recipegen[fleet]').

    \b
    Examples:
      recipegen bench qwen36-35b-dflash --variant dflash --variant ar
      recipegen bench smoke-llamacpp --runner local --runs 3
      recipegen bench qwen36-35b-dflash --profile longctx --resume
      recipegen bench qwen36-35b-dflash --ab 6 --variant ar --variant dflash --profile quick
      recipegen bench qwen36-35b-dflash --ab 6 --variant dflash --set max-num-seqs=8
      recipegen bench qwen36-35b-dflash --base-url http://127.0.0.1:8000 --cell pp128-tg128
      recipegen bench minimax-m27-nvfp4-x2 --cluster lab.yaml
      recipegen bench qwen36-35b-dflash qwen36-27b-dflash --hosts lab.yaml --profile quick
      recipegen bench qwen36-35b-dflash --profile localmaxxing-verified --prompts agent-context.json
    """
    from recipegen.bench.display import display_for
    from recipegen.bench.session import Request, choose_cells, measure, measure_in_turn
    from recipegen.cli.lint import warn_of_errors

    prompt = _canonical_prompt(profile, prompts, prompt_id)
    if hosts is not None:
        from recipegen.cli.fleet import bench_on_hosts

        bench_on_hosts(click.get_current_context(), Workspace.open(root))
        return
    if len(names) > 1:
        raise click.UsageError("several recipes are measured over machines of yours: --hosts FILE")
    (name,) = names
    options = chosen_host(runner, base_url, port, models_dir)
    workspace = Workspace.open(root)
    spec = workspace.runnable(name)
    spec_sha256, kit_sha256 = spec.sha256, require_rendered(workspace, name)
    chosen_variants = _variants(spec, variants, one=options.runner == "endpoint")
    require_allowed(spec, chosen_variants)
    trial = _trial(chosen_variants, flags, unset, set_env)
    if trial is not None:
        workspace = workspace.trying(name, trial)
        spec = workspace.runnable(name)
        chosen_variants = (trial.of, trial.name) if rounds else (trial.name,)
    if rounds is not None and len(chosen_variants) != 2:
        raise click.UsageError("--ab takes two variants in turn: name both with --variant, or one and --set")
    warn_of_errors(workspace, name)
    nodes = nodes_of_request(spec, options, cluster_file)
    if options.runner == "endpoint" and trial is not None:
        raise click.UsageError("the flags of a server that is running cannot be changed: no --set with --base-url")
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
        options=options,
        kit_sha256=kit_sha256,
        spec_sha256=spec_sha256,
        trial=trial,
        machine=machine,
        base_image=base_image,
        build_network=network,
        prompt=prompt,
        nodes=nodes,
        image_file=image_file,
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
            quality = f", quality {outcome.quality}" if outcome.quality else ""
            click.echo(f"{name}/{outcome.variant}: {outcome.status}{quality}, {outcome.folder}")
    if rounds and all(outcome.status == "complete" for outcome in outcomes):
        _compare(name, chosen_variants, outcomes[0].folder.parent.name, root, as_json)
    if not as_json:
        _judge(workspace, name, [outcome.folder for outcome in outcomes])
    require_whole(outcomes)


def require_whole(outcomes: list[RunOutcome]) -> None:
    """Fail when a run did not measure all that it was to, or measured a server that does not answer rightly.

    Raises:
        RecipegenError: names the first one, and where what was measured lies.
        CheckFailed: of a server that answers nonsense.
    """
    failed = [outcome for outcome in outcomes if outcome.status != "complete" and outcome.error]
    if failed:
        raise RecipegenError(
            f"{len(failed)} of {len(outcomes)} runs are not whole: {failed[0].error}",
            hint=f"what was measured is kept in {failed[0].folder}",
            exit_code=EXIT_MEASUREMENT,
        )
    nonsense = [outcome for outcome in outcomes if outcome.quality == "fail"]
    if nonsense:
        raise CheckFailed(
            f"{nonsense[0].variant}: the server does not answer rightly, so that its figures make no row",
            hint=f"`quality` in {nonsense[0].folder / RECORD} has what it was asked and what it said",
        )


def _variants(spec: Spec, named: tuple[str, ...], *, one: bool) -> tuple[str, ...]:
    """The variants to measure: those named, else all that are meant to be; of a running server it must be one."""
    chosen = tuple(variant_of(spec, variant) for variant in named)
    chosen = chosen or tuple(key for key, variant in spec.startable.items() if variant.measure)
    if one and len(chosen) != 1:
        raise click.UsageError(f"a running server is of one variant: --variant {'|'.join(spec.variants)}")
    return chosen


def _trial(
    variants: tuple[str, ...], flags: tuple[str, ...], unset: tuple[str, ...], env: tuple[str, ...]
) -> Trial | None:
    """What --set, --unset and --set-env change; they change one variant."""
    from recipegen.trial import parse_trial

    trial = parse_trial(variants[0], flags, unset, env) if variants else None
    if trial is not None and len(variants) != 1:
        raise click.UsageError(
            f"--set, --unset and --set-env change one variant: name it, as in --variant {variants[0]}"
        )
    return trial


def _compare(name: str, variants: tuple[str, ...], machine: str, root: Path | None, as_json: bool) -> None:
    """What the rounds just measured say of the two."""
    from recipegen.cli.compare import comparison
    from recipegen.publish.compare import compare_sides
    from recipegen.publish.sides import find_side

    a, b = (find_side(f"{name}/{variant}@{machine}", root) for variant in variants)
    found = compare_sides(a, b)
    if as_json:
        click.echo(json.dumps({"event": "comparison", **found.as_data()}))
    else:
        click.echo(plain("\n".join(comparison(found))))


def _canonical_prompt(profile: str | None, file: Path | None, wanted: str | None) -> Prompt | None:
    """The canonical prompt to ask, held against its known hash before anything is started; None without one."""
    from recipegen.bench.profiles import VERIFIED
    from recipegen.boards.canonical import DEFAULT, read_prompt

    if file is not None:
        return read_prompt(file, wanted or DEFAULT)
    if profile == VERIFIED or wanted:
        raise click.UsageError("a canonical prompt is in no recipe: --prompts FILE, a saved agent-context of the board")
    return None


def _of_profile(spec: Spec, variant: str, profile: str | None) -> tuple[PlannedCell, ...] | None:
    """The cells of a profile that fit into the variant's context; None without a profile."""
    from recipegen.bench.profiles import profile_cells
    from recipegen.fit.context import context_of

    if profile is None:
        return None
    cells, too_long = profile_cells(spec, profile, context_of(spec, variant))
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
