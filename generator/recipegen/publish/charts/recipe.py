"""All charts of a recipe, those for which there is data. Owns which there are, and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recipegen.publish.charts.chart import Chart
from recipegen.publish.charts.over_time import baseline_chart, history_chart
from recipegen.publish.charts.samples import acceptance_chart, line_chart, memory_chart, samples_chart
from recipegen.publish.ratios import against_baseline, newest_of_each
from recipegen.results.store import RunRecord

if TYPE_CHECKING:
    from recipegen.publish.history import Series
    from recipegen.publish.listing import CellLine, RunLine
    from recipegen.publish.row import Row

FOLDER = "charts"


def recipe_charts(runs: Sequence[RunLine], row: Row, baseline: str | None, history: Sequence[Series]) -> list[Chart]:
    """Charts of what was measured of a recipe; none where nothing was.

    Args:
        runs: newest first.
        row: the recipe's row, which says which run stands in the table.
        baseline: the variant that others are held against.
        history: of the headline.
    """
    if row.run is None:
        return []
    newest = newest_of_each(runs, row.machine)
    # The run that stands in the table, whatever was measured after it.
    newest[row.headline] = next(run for run in runs if (run.run, run.machine) == (row.run, row.machine))
    first = [row.headline, *([baseline] if baseline in newest and baseline != row.headline else [])]
    shown = {variant: newest[variant] for variant in [*first, *sorted(newest.keys() - set(first))]}
    cells = {variant: cell for variant, run in shown.items() if (cell := run.measured(row.cell)) is not None}
    headline = cells.get(row.headline)
    if headline is None:
        return []  # its report cannot be used, which is told elsewhere
    measured = {variant: _newest_cells([shown[variant], *runs]) for variant in shown}
    metrics = {variant: _metrics(shown[variant], cell) for variant, cell in cells.items()}
    # The headline first, so that it has the same colour as in the other charts.
    ratios = sorted(against_baseline(runs, baseline, row.machine), key=lambda one: one.variant != row.headline)
    found: list[Chart | None] = [
        *(samples_chart(cells, metric) for metric in ("tg", "pp")),
        *(line_chart(measured, x, metric, headline) for x in ("depth", "concurrency") for metric in ("tg", "pp")),
        acceptance_chart(metrics),
        memory_chart(metrics, row.cell),
        baseline_chart(ratios, baseline or ""),
        *(history_chart(one) for one in history if one.machine == row.machine and one.metric in ("tg", "pp")),
    ]
    return [chart for chart in found if chart is not None]


def _newest_cells(runs: Sequence[RunLine]) -> list[CellLine]:
    """The newest measurement of each cell of the first run's variant on its machine: depths and concurrency are often
    measured in a run of their own.

    Args:
        runs: the first one goes before all others, which are newest first.
    """
    found: dict[str, CellLine] = {}
    for run in runs:
        own = (run.variant, run.machine) == (runs[0].variant, runs[0].machine) and run.quality != "fail"
        for cell in run.cells if own else ():
            if cell.figures:
                found.setdefault(cell.id, cell)
    return list(found.values())


def _metrics(run: RunLine, cell: CellLine) -> Mapping[str, Any]:
    """What was sampled during a cell; nothing where nobody looked."""
    from recipegen.plausible.judge import metrics_of

    record: RunRecord = run.record
    return metrics_of(run.folder, next(one for one in record["cells"] if one["id"] == cell.id)) or {}
