"""How results look on a terminal: tables with plots of one line. Owns no reading and no choosing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.cli import plain
from recipegen.cli.page import GAP, INDENT, Page
from recipegen.cli.plots import bar, sparkline

if TYPE_CHECKING:
    from rich.text import Text

    from recipegen.publish.agents import Labelled
    from recipegen.publish.history import Apart, Point, Series
    from recipegen.publish.listing import CellLine, RunLine
    from recipegen.stats.summary import Described

_COLD = "|"
"""Between the cold sample and those that count."""
_IN_ORDER = "in order"
_LEAST_NAME, _MOST_SAMPLES, _LEAST_BAR, _MOST_BAR = 12, 33, 6, 40
_STYLES = {"gain": "green", "regression": "red", "none": "dim", "undecided": "yellow"}
_LONGEST = 400
"""Characters of an error or a reason; the record holds all of it."""


@dataclass(frozen=True)
class Shown:
    """What is shown.

    Attributes:
        runs: newest first.
        older: how many runs are not among them.
        headline: variant and cell; None where the recipe cannot be read.
    """

    runs: Sequence[RunLine]
    older: int
    series: Sequence[Series]
    headline: tuple[str, str] | None
    agents: Sequence[Labelled]


@dataclass(frozen=True)
class _Row:
    """A line of a table of figures.

    Attributes:
        name: cell or run.
        found: None where there is nothing.
        samples: as measured, the cold one that `found.dropped` counts included; none where they are not shown.
        remark: what stands in place of the figures, or behind them.
    """

    name: str
    found: Described | None
    samples: Sequence[float] = ()
    remark: str = ""
    style: str = ""


def show(shown: Shown, *, history: bool) -> None:
    """Print runs, or with `history` every series, to the standard output."""
    page = Page()
    if history:
        series = [one for one in shown.series if one.is_repeated]
        for one in series:
            _whole_series(page, one)
        if not series:
            page.line("no figure was measured more than once")
        return
    scales = {metric: _scale(shown.runs, metric) for metric in _metrics(shown.runs)}
    for run in shown.runs:
        _run(page, run, scales)
    if shown.older:
        page.line(f"{shown.older} older run{'s' * (shown.older > 1)}: --all", "dim")
        page.line()
    _headline(page, shown)
    for labelled in shown.agents:
        _agent(page, labelled)


def _metrics(runs: Sequence[RunLine]) -> list[str]:
    from recipegen.publish.figures import METRICS, MORE_METRICS

    there = {metric for run in runs for cell in run.cells for metric in cell.figures}
    return [metric for metric in (*METRICS, *MORE_METRICS) if metric in there]


def _scale(runs: Sequence[RunLine], metric: str) -> tuple[float, float]:
    """Ends of all intervals of a metric that are not in doubt; of all of them where every one is."""
    from recipegen.publish.marks import is_doubtful

    cells = [cell for run in runs for cell in run.cells if metric in cell.figures]
    found = [cell.figures[metric] for cell in cells if not is_doubtful(cell.verdict)]
    return _ends(found or [cell.figures[metric] for cell in cells])


def _ends(figures: Sequence[Described]) -> tuple[float, float]:
    return min(one.low for one in figures), max(one.high for one in figures)


def _run(page: Page, run: RunLine, scales: dict[str, tuple[float, float]]) -> None:
    facts = [
        f"{run.variant} ({run.method})",
        run.status,
        run.date or "no date",
        f"{run.done} of {len(run.cells)} cells done",
        *([f"profile {run.profile}"] if run.profile else []),
        *([f"quality {run.quality}"] if run.quality else []),
        *([run.engine] if run.engine else []),
    ]
    page.line(f"{run.machine}/{run.run}: {', '.join(facts)}", "bold")
    for text in (*([run.error] if run.error else []), *(f"quality: {reason}" for reason in run.quality_reasons)):
        page.line(text[:_LONGEST], indent=INDENT)
    for metric, scale in scales.items():
        rows = [_Row(c.id, c.figures[metric], c.samples[metric]) for c in run.cells if metric in c.figures]
        if rows:
            _figures(page, metric, rows, scale)
    if run.cells:
        _facts(page, run.cells)
    for cell in run.cells:
        for text in _remarks(cell):
            page.line(f"{cell.id}: {text[:_LONGEST]}", indent=INDENT)
    page.line()


def _figures(page: Page, metric: str, rows: Sequence[_Row], scale: tuple[float, float]) -> None:
    """A table of one metric: figure, interval, samples where there are any, and the interval on the scale."""
    from recipegen.publish.figures import NOTHING, UNITS

    ends = f"{_rough(scale[0])} {'–' if page.blocks else 'to'} {_rough(scale[1])}"
    head = (f"{metric} {UNITS[metric]}", "median", "95 % interval", "n")
    texts = [(row.name, *figure_columns(row.found), str(row.found.n) if row.found else NOTHING) for row in rows]
    widths = [max(len(plain(one[at])) for one in (head, *texts)) for at in range(len(head))]
    remarks = max(len(row.remark) for row in rows)
    room = page.width - INDENT - sum(widths) - GAP * (len(widths) + 1) - (remarks + GAP if remarks else 0)
    most = max(len(row.samples) for row in rows)
    samples = min(_MOST_SAMPLES, most + len(_COLD), room // 2, room - GAP - len(ends))
    samples = max(len(_IN_ORDER), samples) if most else 0
    wide = max(len(ends), min(_MOST_BAR, room - samples - GAP))
    # A long name is folded before the plots fall off the edge.
    name = max(_LEAST_NAME, widths[0] - max(0, samples + GAP + wide - room))
    wide = max(_LEAST_BAR, min(wide, room + widths[0] - name - samples - GAP))
    titles = [*head, *([_IN_ORDER] if most else []), ends, *([""] if remarks else [])]
    lines = [[page.text(title, "bold" if title in head else "dim") for title in titles]]
    for row, text in zip(rows, texts, strict=True):
        line = list(map(page.text, text))
        if most:
            line.append(_samples(page, row, samples))
        drawn = "" if row.found is None else _bar(page, row.found, scale, wide)
        line += [page.text(drawn), *([page.text(row.remark, row.style)] if remarks else [])]
        lines.append(line)
    page.table([(at in (1, 3), name if at == 0 else None) for at in range(len(titles))], lines)


def figure_columns(found: Described | None) -> tuple[str, str]:
    """Median and interval, each with the digits that it supports."""
    from recipegen.publish.figures import NOTHING, digits

    if found is None:
        return NOTHING, NOTHING
    to = digits(found.median, found.low, found.high)
    return to.figure(found.median), NOTHING if found.n == 1 else f"{to.finer(found.low)} to {to.finer(found.high)}"


def _bar(page: Page, found: Described, scale: tuple[float, float], width: int) -> str:
    return bar(found.low, found.median, found.high, scale, width, blocks=page.blocks)


def _rough(value: float) -> str:
    """An end of a scale."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _samples(page: Page, row: _Row, width: int) -> Text:
    """The samples as they were measured; the cold one stands apart, dim where there is colour."""
    dropped = row.found.dropped if row.found else 0
    warm = row.samples[dropped:]
    cold = sparkline(row.samples[:dropped], 1, scale=warm, blocks=page.blocks) + _COLD if dropped else ""
    rest = sparkline(warm, width - len(cold), blocks=page.blocks)
    return page.text("").append(cold, "dim").append(rest)


def _facts(page: Page, cells: Sequence[CellLine]) -> None:
    """What is known of each cell beside its figures."""
    head = ("cell", "failed", "accepted", "peak GiB", "verdict", "warnings")
    rows = [[page.text(text, "bold") for text in head]]
    rows += [list(map(page.text, _cell_columns(cell))) for cell in cells]
    longest = max(len(plain(cell.id)) for cell in cells)
    name = min(longest, max(_LEAST_NAME, page.width // 3))
    page.table([(title in head[1:4], name if title == head[0] else None) for title in head], rows)


def _cell_columns(cell: CellLine) -> tuple[str, ...]:
    from recipegen.publish.figures import NOTHING

    verdict = "failed" if cell.status != "done" else cell.verdict or NOTHING
    codes: dict[str, list[str]] = {}
    for metric, found in _told(cell):
        for warning in found.warnings:
            codes.setdefault(warning.code, []).append(metric)
    return (
        cell.id,
        NOTHING if cell.failed_requests is None else str(cell.failed_requests),
        NOTHING if cell.acceptance_length is None else f"{cell.acceptance_length:.2f}",
        NOTHING if cell.peak_used_bytes is None else f"{cell.peak_used_bytes / (1 << 30):.1f}",
        verdict,
        "; ".join(f"{code} ({', '.join(of)})" for code, of in codes.items()) or NOTHING,
    )


def _told(cell: CellLine) -> Iterator[tuple[str, Described]]:
    """The figures of which warnings are shown; --json has those of all."""
    for metric in ("tg", "pp"):
        if metric in cell.figures:
            yield metric, cell.figures[metric]


def _remarks(cell: CellLine) -> Iterator[str]:
    if cell.error:
        yield cell.error
    doubtful = cell.verdict not in (None, "plausible", "unknown")
    if doubtful:
        yield from cell.reasons
    if cell.server_note and not (doubtful and cell.server_note in cell.reasons):
        yield cell.server_note
    for metric, found in _told(cell):
        # The others say in words what n and the interval show; --json has all of them.
        yield from (f"{metric}: {one.text}" for one in found.warnings if one.code in ("drift", "two-groups"))


def _headline(page: Page, shown: Shown) -> None:
    """The history of the headline's decode speed, or of the metrics that were asked for, on each machine."""
    from recipegen.publish.figures import UNITS
    from recipegen.publish.history import of_headline

    if shown.headline is None:
        return
    found = of_headline(shown.series, *shown.headline)
    found = [one for one in found if one.metric == "tg"] or found
    if found:
        page.line(f"history of the headline, {' '.join(shown.headline)} (--history has all of it)", "bold")
    for one in found:
        line = sparkline([point.figure.median for point in one.points], _MOST_SAMPLES, blocks=page.blocks)
        page.line(f"{one.metric} {UNITS[one.metric]} on {one.machine}: {line} {_count(one)}", indent=INDENT)
        _steps(page, one)
    if found:
        page.line()


def _count(series: Series) -> str:
    runs = len(series.points)
    scatter = "" if series.scatter is None else f", which scatter by {series.scatter * 100:.1f} %"
    apart = f", {len(series.apart)} apart" if series.apart else ""
    return f"{runs} run{'s' * (runs != 1)}{scatter}{apart}"


def _steps(page: Page, series: Series) -> None:
    for step in series.steps:
        page.line(f"{step.after}: {step.words}", _STYLES[step.mark], indent=2 * INDENT)
    for note in series.notes:
        page.line(f"note: {note}", indent=2 * INDENT)


def _whole_series(page: Page, series: Series) -> None:
    """One figure over time: a row a run, newest first."""
    from recipegen.publish.history_page import SIGNS
    from recipegen.results.store import run_order

    page.line(f"{series.cell} of {series.variant} on {series.machine}: {_count(series)}", "bold")
    steps = {step.after: step for step in series.steps}
    rows = []
    everything: list[Point | Apart] = [*series.points, *series.apart]
    for one in sorted(everything, key=lambda one: run_order(Path(one.run)), reverse=True):
        mark = steps[one.run].mark if one.run in steps else None
        if one in series.apart:
            rows.append(_Row(one.run, one.figure, remark="apart", style="dim"))
        elif mark:
            rows.append(_Row(one.run, one.figure, remark=f"{SIGNS[mark]} {mark}", style=_STYLES[mark]))
        else:
            rows.append(_Row(one.run, one.figure))
    judged = [point.figure for point in series.points] or [one.figure for one in series.apart if one.figure]
    _figures(page, series.metric, rows, _ends(judged))
    for apart in series.apart:
        page.line(f"{apart.run} stands apart, not judged: {apart.why[:_LONGEST]}", indent=INDENT)
    _steps(page, series)
    page.line()


def _agent(page: Page, labelled: Labelled) -> None:
    one, judged = labelled
    evaluation = one.evaluation
    where = f"{one.machine}/{one.folder.name}: {evaluation.suite} with {evaluation.agent} on {one.variant}"
    page.line(f"{where}: {evaluation.score}, {judged.label}")
    told = [
        f"{evaluation.timeouts} timeouts, {evaluation.grader_fails} wrong answers, {evaluation.errors} errors",
        f"{judged.label}: {judged.reason}",
        *(f"note: {note}" for note in judged.notes),
    ]
    for text in told:
        page.line(text, indent=INDENT)
    page.line()
