"""The command reproduce: a reference measured again. Owns which cells are measured, and how it is told."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.cli.bench import chosen_host, host_options, nodes_of_request, require_whole
from recipegen.cli.kits import require_rendered
from recipegen.errors import CheckFailed, RecipegenError, Where
from recipegen.workspace import Workspace, require_allowed, variant_of

if TYPE_CHECKING:
    from recipegen.publish.sides import Side
    from recipegen.results.store import CellRecord
    from recipegen.spec.completed import PlannedCell, Spec
    from recipegen.trial import Trial


@click.command("reproduce")
@click.argument("target", metavar="NAME|BUNDLE")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where a bundle is unpacked and measured, a folder that is not there yet; ./<recipe>-reproduced by default.",
)
@click.option("--unverified", is_flag=True, help="Measure a bundle of which checks fail all the same.")
@click.option("--trust-kit", is_flag=True, help="Build a bundle's kit that does not follow from its recipe.")
@click.option("--run", "run", metavar="RUN", help="Run to repeat (a folder under results/); the table's by default.")
@click.option("--variant", metavar="V", help="Variant to repeat; the headline by default.")
@click.option("--published", is_flag=True, help="Hold it against the figures that others published, not against a run.")
@click.option("--cell", "cells", metavar="TEXT", multiple=True, help="Only cells whose id holds this text; repeatable.")
@click.option("--runs", type=click.IntRange(1, 10_000), help="Runs of each cell; the reference's by default.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 100),
    default=5.0,
    show_default=True,
    metavar="PERCENT",
    help="How far off the reference a figure outside its interval may be.",
)
@host_options
@root_option
@json_option
def reproduce_command(
    target: str,
    into: Path | None,
    unverified: bool,
    trust_kit: bool,
    run: str | None,
    variant: str | None,
    published: bool,
    cells: tuple[str, ...],
    runs: int | None,
    tolerance: float,
    runner: str | None,
    base_url: str | None,
    port: int | None,
    models_dir: Path | None,
    machine: str | None,
    base_image: str | None,
    network: str | None,
    cluster_file: Path | None,
    image_file: Path | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Measure a recipe, or what a BUNDLE claims, again, cell by cell as the reference did, and write REPRODUCED.md.

    A bundle is verified, unpacked to a folder of its own, and measured there; its kit is a stranger's: what it builds
    and starts runs on this machine. The cells are those of the bundle's headline run.

    A figure is reproduced when the new median lies inside the 95 % interval of the reference, or within the
    tolerance. Exit code 1 when a figure of decode or prefill certainly differs.

    \b
    Examples:
      recipegen reproduce qwen36-35b-dflash
      recipegen reproduce smoke-llamacpp --runner local --cell prose-pp128
      recipegen reproduce qwen36-35b-dflash --published --variant dflash
      recipegen reproduce qwen36-35b-dflash-bundle.tar.gz --cell pp2048
    """
    from recipegen.bench.display import display_for
    from recipegen.bench.session import Request, measure
    from recipegen.publish.compare import compare_sides
    from recipegen.publish.sides import find_side
    from recipegen.publish.tables import write_index
    from recipegen.reproduction import as_data, reproduced_page, reproduction_of, write_reproduction
    from recipegen.results.store import load_run

    options = chosen_host(runner, base_url, port, models_dir)
    bundle = None
    if _is_bundle(target):
        if published or run or variant or root:
            raise click.UsageError("a bundle is its own repository, with one reference: no --root, --published, --run")
        from recipegen.verify.repository import take_in

        bundle = take_in(Path(target), into, unverified=unverified, trust_kit=trust_kit)
        click.echo(f"unpacked to {bundle.workspace.repository.root}", err=True)
        workspace, name, run, kit_sha256 = bundle.workspace, bundle.recipe, bundle.run, bundle.kit_sha256
    else:
        workspace, name = Workspace.open(root), target
        kit_sha256 = require_rendered(workspace, name)
    try:
        own = workspace.runnable(name)
        nodes = nodes_of_request(own, options, cluster_file)
        found = _published(workspace, own, variant) if published else _measured(workspace, name, variant, run)
        require_allowed(own, [found.variant])
        planned = _planned(found, cells, runs)
    except RecipegenError:
        if bundle is not None:  # nothing was begun in it, and the next try wants the folder
            shutil.rmtree(workspace.repository.root)
        raise
    request = Request(
        spec=found.spec,
        folder=workspace.folder(own),
        variants=(found.variant,),
        cells={found.variant: planned},
        options=options,
        kit_sha256=kit_sha256,
        spec_sha256=own.sha256,
        trial=found.trial,
        machine=machine,
        base_image=base_image,
        build_network=network,
        nodes=nodes,
        image_file=image_file,
    )
    display = display_for(sys.stderr if not as_json else sys.stdout, as_json=as_json)
    try:
        (outcome,) = measure(request, display)
    finally:
        display.close()
    if outcome.status == "failed":
        require_whole([outcome])
    record = load_run(outcome.folder)
    made = reproduction_of(
        compare_sides(found.side, find_side(str(outcome.folder), None)),
        recipe=name,
        variant=found.variant,
        run=outcome.folder,
        ended=record["ended"],
        quality=outcome.quality,
        reference_run=found.run,
        bundle=bundle.bundle if bundle else None,
        tolerance=tolerance / 100,
    )
    page = write_reproduction(made, request.folder, outcome.folder)
    write_index(workspace)
    if as_json:
        click.echo(json.dumps({"event": "reproduction", **as_data(made), "page": str(page)}))
    else:
        click.echo(plain(reproduced_page([made])))
        click.echo(f"{made.verdict}; written to {page}")
    require_whole([outcome])
    if made.verdict == "not reproduced":
        raise CheckFailed(f"{name} was not reproduced", hint=f"{page} says what differs")


def _is_bundle(target: str) -> bool:
    """Whether the word names a bundle rather than a recipe: a file, or a folder with a manifest.

    Raises:
        RecipegenError: it is a path, and nothing is there.
    """
    from recipegen.bundle.layout import MANIFEST

    path = Path(target)
    if target.endswith((".tar.gz", ".tgz")) or "/" in target:
        if not path.exists():
            raise RecipegenError("there is no such file", where=Where(path))
        return True
    return path.is_file() or (path / MANIFEST).is_file()


@dataclass(frozen=True)
class _Target:
    """What is repeated: the recipe with the reference's variant in it, and the reference as compare takes it."""

    spec: Spec
    variant: str
    side: Side
    cells: tuple[PlannedCell, ...]
    trial: Trial | None = None
    run: str | None = None


def _measured(workspace: Workspace, name: str, variant: str | None, run: str | None) -> _Target:
    """A run of the recipe itself."""
    from recipegen.evidence import find_evidence
    from recipegen.publish.sides import find_side
    from recipegen.trial import trial_of

    found = find_evidence(workspace, name, variant=variant, run=run)
    trial = trial_of(found.record)
    cells = tuple(_again(cell) for cell in found.record["cells"] if cell["status"] == "done")
    spec = workspace.trying(name, trial).runnable(name)
    return _Target(spec, found.variant, find_side(str(found.run), None), cells, trial, found.place)


def _published(workspace: Workspace, spec: Spec, variant: str | None) -> _Target:
    """What others published: the cells of the recipe that have the shape of a published figure."""
    from recipegen.publish.sides import PUBLISHED, find_side

    chosen = variant_of(spec, variant)
    side = find_side(f"{PUBLISHED}{spec.name}/{chosen}", workspace.repository.root)
    shapes = {cell.shape for cell in side.cells}
    cells = tuple(cell for cell in spec.cells() if (cell.pp, cell.tg, cell.depth, cell.concurrency) in shapes)
    return _Target(spec, chosen, side, cells)


def _planned(target: _Target, wanted: tuple[str, ...], runs: int | None) -> tuple[PlannedCell, ...]:
    """The cells to measure.

    Raises:
        RecipegenError: there is none, or one whose text the recipe does not have any more.
    """
    chosen = [cell for cell in target.cells if not wanted or any(text in cell.id for text in wanted)]
    if not chosen:
        raise RecipegenError(
            f"{target.spec.name} plans no cell that the reference has{' and --cell names' if wanted else ''}",
            hint=f"the reference has: {', '.join(cell.id for cell in target.side.cells)}",
        )
    gone = sorted({cell.corpus for cell in chosen} - set(target.spec.bench.corpora))
    if gone:
        raise RecipegenError(
            f"the reference was measured on the text {gone[0]!r}, which {target.spec.name} does not have any more",
            hint=f"choose other cells with --cell; the recipe has: {', '.join(target.spec.bench.corpora)}",
        )
    return tuple(cell.model_copy(update={"runs": runs or cell.runs}) for cell in chosen)


def _again(cell: CellRecord) -> PlannedCell:
    """The cell of a record, to be measured in the same way."""
    from recipegen.spec.completed import PlannedCell

    return PlannedCell(
        id=cell["id"],
        corpus=cell["corpus"],
        pp=cell["pp"],
        tg=cell["tg"],
        depth=cell["depth"],
        concurrency=cell["concurrency"],
        thinking=cell["thinking"],
        runs=cell["runs"],
        prefix_caching="--enable-prefix-caching" in (cell["argv"] or ()),
    )
