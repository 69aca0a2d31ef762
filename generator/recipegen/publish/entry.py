"""What the table and the results page need to know of a recipe. Owns no text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.bench.host import gpu_slug, hardware_matches
from recipegen.results.report import ReportCell
from recipegen.results.store import CellRecord, RunRecord, iter_runs, load_run, quality_of, run_order

if TYPE_CHECKING:
    from recipegen.publish.agents import Labelled
    from recipegen.spec.completed import Spec
    from recipegen.spec.model import Published


@dataclass(frozen=True)
class IndexEntry:
    """A recipe as its row shows it.

    Attributes:
        folder: recipes/<name>.
        link: the folder as seen from the table's own folder, with forward slashes.
        model: what the headline variant serves, in words.
        method: speculative method of the headline variant; AR without one.
        headline: the headline variant.
        baseline: the variant that it is held against; None where the recipe names none.
        cell_id: the headline cell's id.
        cell: what the headline cell measures.
        hardware: label of the hardware that the recipe is written for.
        gpu: that hardware's GPU; None when it needs none, so that any machine is its own.
        nodes: how many machines work together.
        engine: name, and the version that the recipe is written for.
        context: tokens that the headline variant's server takes; None where nobody says.
        published: figures of others, each with its source.
        agents: agentic runs, each with its label.
    """

    folder: Path
    link: str
    title: str
    status: str
    model: str
    quantization: str
    method: str
    headline: str
    cell_id: str
    cell: ReportCell
    hardware: str
    gpu: str | None
    nodes: int = 1
    engine: str = ""
    baseline: str | None = None
    context: int | None = None
    published: tuple[Published, ...] = ()
    agents: tuple[Labelled, ...] = ()

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def is_own_hardware(self, machine: str, host: Mapping[str, Any] | None) -> bool:
        """Whether a machine is the hardware that the recipe is written for.

        Args:
            machine: its name under results/.
            host: what was recorded of it; where nobody did, the name has to tell: `gb10-128g` holds the word gb10.
        """
        return self.is_named_like_own(machine) if host is None else hardware_matches(dict(host), self.gpu)

    def is_named_like_own(self, machine: str) -> bool:
        """Whether a machine's name is one of the hardware that the recipe is written for."""
        return self.gpu is None or gpu_slug(self.gpu) in machine.lower().split("-")


def entry_of(spec: Spec, folder: Path, link: str, agents: Sequence[Labelled] = ()) -> IndexEntry:
    """The row of a recipe.

    Args:
        spec: the recipe, completed.
        folder: its folder.
        link: the folder as seen from INDEX.md.
        agents: its agentic runs.
    """
    from recipegen.fit.context import context_of

    model = spec.main_model
    cell = spec.cell(spec.bench.headline)
    return IndexEntry(
        folder=folder,
        link=link,
        title=spec.title,
        status=spec.status,
        model=model.hf_id or model.served_name or folder.name,
        quantization=model.quantization,
        method=spec.variants[spec.headline].method,
        headline=spec.headline,
        cell_id=cell.id,
        cell=ReportCell(cell.pp, cell.tg, cell.depth, cell.concurrency, False),
        hardware=spec.hardware.label,
        gpu=spec.hardware.gpu,
        nodes=spec.hardware.nodes,
        engine=" ".join(filter(None, (spec.engine.name, spec.engine.version))),
        baseline=spec.baseline,
        context=context_of(spec, spec.headline),
        published=spec.published,
        agents=tuple(agents),
    )


Run = tuple[Path, RunRecord]
"""A run's folder and its record."""
Chosen = tuple[Path, RunRecord, CellRecord]
"""A run's folder, its record, and the cell of it that is meant."""


def recorded_runs(folder: Path) -> Iterator[Run]:
    """The runs of a recipe with their records, newest first, each read when it is asked for.

    Raises:
        RecipegenError: a record that was looked at cannot be read.
    """
    for run in sorted(iter_runs(folder), key=run_order, reverse=True):
        yield run, load_run(run)


def headline_run(entry: IndexEntry, runs: Iterable[Run]) -> Chosen | None:
    """The run whose figures stand in the table: its folder, its record, its headline cell.

    The newest run of the headline variant that has the headline cell done, on the recipe's own hardware where
    there is one, else on any. Runs that failed, were interrupted or never ended do not count, nor does one whose
    server did not answer rightly.

    Args:
        entry: the recipe.
        runs: its runs, newest first.
    """
    other: Chosen | None = None
    for folder, record in runs:
        cell = None if quality_of(record) == "fail" else headline_cell(entry, record)
        if cell is None:
            continue  # a fast server that answers nonsense makes no row
        if entry.is_own_hardware(record["machine"], record["host"]):
            return folder, record, cell
        other = other or (folder, record, cell)
    return other


def headline_cell(entry: IndexEntry, record: RunRecord) -> CellRecord | None:
    """The headline cell of a run of the headline variant, where it was measured."""
    if record["variant"] != entry.headline or record["status"] not in ("complete", "partial"):
        return None
    done = (c for c in record["cells"] if c["id"] == entry.cell_id and c["status"] == "done")
    return next(done, None)
