"""What a published figure rests on: one cell of one run, its raw report, the recipe, the baseline. Owns finding and
reading these; what is made of them (a payload, a bundle, a verdict) belongs to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.errors import RecipegenError, Where
from recipegen.publish.entry import entry_of, headline_run, recorded_runs
from recipegen.publish.figures import METRICS, MORE_METRICS
from recipegen.results.report import ReportCell, load_benchmark, load_report, metric_values
from recipegen.results.store import CellRecord, RunRecord, done_cells, iter_runs, load_run, quality_of, run_order
from recipegen.workspace import Workspace, variant_of

if TYPE_CHECKING:
    from recipegen.plausible import Judgement
    from recipegen.spec.completed import Spec
    from recipegen.stats.summary import Described

EVERY_METRIC = METRICS | MORE_METRICS


@dataclass(frozen=True)
class Evidence:
    """One measured cell with everything around it.

    Attributes:
        spec: the recipe, completed, the pins of its lock put in.
        folder: recipes/<name>.
        run: the run's folder under it.
        record: the run's record.
        cell: the cell that is meant, done.
        report: its raw report, parsed.
        benchmark: the report's entry of the cell.
        baseline: the same cell of the newest complete run of the recipe's baseline on the same machine; None where
            there is none, or where the cell is the baseline's own.
    """

    spec: Spec
    folder: Path
    run: Path
    record: RunRecord
    cell: CellRecord
    report: Mapping[str, Any]
    benchmark: Mapping[str, Any]
    baseline: Evidence | None = None

    @property
    def variant(self) -> str:
        """The variant that was measured."""
        return self.record["variant"]

    @property
    def place(self) -> str:
        """The run as the repository names it: `results/<machine>/<run>`."""
        return self.run.relative_to(self.folder).as_posix()

    def samples(self, metric: str) -> list[float]:
        """Raw samples of a metric (a key of EVERY_METRIC) in the order of measuring, the cold one included."""
        return list(metric_values(dict(self.benchmark), EVERY_METRIC[metric]))

    @cached_property
    def figures(self) -> dict[str, Described]:
        """Statistics of the warm samples (stats.WARM_RULE), by metric; metrics without samples are left out."""
        from recipegen.stats.summary import describe

        found = {metric: self.samples(metric) for metric in EVERY_METRIC}
        return {metric: describe(values) for metric, values in found.items() if values}

    @cached_property
    def metrics(self) -> dict[str, Any] | None:
        """What was sampled of server and host meanwhile (recipegen-metrics/1); None where nothing was."""
        from recipegen.plausible.judge import metrics_of

        return metrics_of(self.run, self.cell)

    @cached_property
    def judgement(self) -> Judgement:
        """Whether the figures can be, judged anew from the raw files of the whole run."""
        from recipegen.plausible import verdicts

        of_run = {one.cell: one.judgement for one in verdicts(self.spec, self.run, self.record)}
        return of_run[self.cell["id"]]

    @property
    def quality(self) -> str | None:
        """Verdict of the run's quality gate: pass, warn, fail; None where nobody asked."""
        return quality_of(self.record)


def find_evidence(
    workspace: Workspace, name: str, *, variant: str | None = None, run: str | None = None, cell: str | None = None
) -> Evidence:
    """The cell that a claim about a recipe rests on.

    Without more, that is the one that stands in INDEX.md: the newest headline run on the recipe's own hardware.

    Args:
        variant: another one than the headline.
        run: name of a run's folder, as in `20261121T072000Z-dflash`.
        cell: id of another cell than the headline cell; by default the headline cell, where the run has it.

    Raises:
        RecipegenError: there is no such run or cell; says what there is.
        ReportRefused: the raw report was changed, or is none.
    """
    spec = workspace.spec(name)
    folder = workspace.folder(spec)
    if variant is None and run is None and cell is None:
        chosen = headline_run(entry_of(spec, folder, f"recipes/{name}"), recorded_runs(folder))
        if chosen is None:
            raise RecipegenError(
                f"{name} has no run of its headline that could stand in the table",
                hint=f"`recipegen results {name}` lists what there is; `recipegen bench {name}` measures",
            )
        at, record, found = chosen
    else:
        at, record = _run(spec, folder, variant_of(spec, variant) if variant or run is None else None, run)
        found = _cell(record, cell, spec.cell(spec.bench.headline).id, at)
    return _read(spec, folder, at, record, found, _baseline(spec, folder, record, found))


def _run(spec: Spec, folder: Path, variant: str | None, run: str | None) -> tuple[Path, RunRecord]:
    """The run named, or the newest whole one of the variant."""
    runs = sorted(iter_runs(folder), key=run_order, reverse=True)
    for path in runs:
        record = load_run(path)
        if run is not None and path.name != run:
            continue
        if variant is not None and record["variant"] != variant:
            continue
        if run is not None or record["status"] == "complete":
            return path, record
    wanted = f"run {run!r}" if run else f"complete run of {variant!r}"
    there = ", ".join(path.name for path in runs[:5]) or "none"
    raise RecipegenError(f"{spec.name} has no {wanted}", hint=f"newest runs: {there}")


def _cell(record: RunRecord, wanted: str | None, headline: str, run: Path) -> CellRecord:
    """The cell wanted; else the headline cell, or the first one of a run that did not measure that."""
    done = {one["id"]: one for one in done_cells(record)}
    if wanted is None:
        wanted = headline if headline in done else next(iter(done), headline)
    if wanted not in done:
        hint = f"done: {', '.join(done) or 'none'}"
        raise RecipegenError(f"{run.name} has not measured the cell {wanted!r}", where=Where(run), hint=hint)
    return done[wanted]


def _baseline(spec: Spec, folder: Path, record: RunRecord, cell: CellRecord) -> Evidence | None:
    if spec.baseline is None or record["variant"] == spec.baseline:
        return None
    for path in sorted(iter_runs(folder), key=run_order, reverse=True):
        other = load_run(path)
        same = other["variant"] == spec.baseline and other["machine"] == record["machine"]
        if same and other["status"] == "complete":
            found = next((one for one in other["cells"] if one["id"] == cell["id"] and one["status"] == "done"), None)
            if found is not None:
                return _read(spec, folder, path, other, found, None)
    return None


def _read(
    spec: Spec, folder: Path, run: Path, record: RunRecord, cell: CellRecord, baseline: Evidence | None
) -> Evidence:
    shape = ReportCell(cell["pp"], cell["tg"], cell["depth"], cell["concurrency"], False)
    path = run / str(cell["file"])
    benchmark = load_benchmark(path, shape, cell["sha256"], EVERY_METRIC.values())
    return Evidence(spec, folder, run, record, cell, load_report(path), benchmark, baseline)
