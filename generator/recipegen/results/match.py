"""Finds the planned cells that a report measured. Owns no files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.results.report import Report, ReportCell, ReportRefused, cell_of

if TYPE_CHECKING:
    from recipegen.spec.completed import PlannedCell

Matched = tuple["PlannedCell", dict[str, Any]]
"""A planned cell and the entry of the report that measured it."""


def match_cells(
    path: Path,
    report: Report,
    planned: Sequence[PlannedCell],
    noted: str | None,
    corpus: str | None,
    thinking: str | None,
) -> tuple[tuple[Matched, ...], tuple[str, ...]]:
    """The planned cells that a report measured, and in words what else it measured.

    A report tells its token counts but neither its corpus nor its thinking mode. A cell's id does, noted in
    the sidecar or as the file's name; otherwise the options, or the fact that only one planned cell fits.

    Args:
        path: the report's file.
        report: the report, checked.
        planned: the cells of the recipe.
        noted: the cell's id in the sidecar.
        corpus: corpus that the user named.
        thinking: thinking mode that the user named.

    Raises:
        ReportRefused: nothing fits, more than one cell fits, or two statements contradict each other.
    """
    told = next((cell for name in (noted, path.stem) for cell in planned if cell.id == name), None)
    if noted is not None and (told is None or told.id != noted):
        raise ReportRefused.because(path, f"the recipe plans no cell {noted[:120]!r}", _choices(planned))
    if told and not (corpus in (None, told.corpus) and thinking in (None, told.thinking)):
        raise ReportRefused.because(path, f"is the cell {told.id}, which the options contradict")
    if told:
        corpus, thinking = told.corpus, told.thinking
    matched: list[Matched] = []
    left_out: list[str] = []
    for benchmark in report.benchmarks:
        shape = cell_of(benchmark)
        cell = None if shape.is_context_prefill else _the_cell(path, shape, planned, corpus, thinking)
        if cell is None:
            left_out.append(str(shape))
        elif cell in (other for other, _ in matched):
            raise ReportRefused.because(path, f"holds {shape} twice", "give each measurement as a file of its own")
        else:
            matched.append((cell, benchmark))
    if not matched:
        message = f"measured {', '.join(left_out)}, which the recipe does not plan"
        raise ReportRefused.because(path, message, _choices(planned))
    if told and told not in (cell for cell, _ in matched):
        message = f"is named after the cell {told.id}, but measured {matched[0][0].id}"
        raise ReportRefused.because(path, message, "rename it")
    return tuple(matched), tuple(left_out)


def _the_cell(
    path: Path, shape: ReportCell, planned: Sequence[PlannedCell], corpus: str | None, thinking: str | None
) -> PlannedCell | None:
    """The one planned cell of that shape; None when the recipe plans no such shape."""
    same = [c for c in planned if ReportCell(c.pp, c.tg, c.depth, c.concurrency, False) == shape]
    fitting = [c for c in same if corpus in (None, c.corpus) and thinking in (None, c.thinking)]
    if len(fitting) > 1:
        message = f"{shape} may be any of {len(fitting)} planned cells"
        raise ReportRefused.because(path, message, _options(fitting))
    if same and not fitting:
        asked = [f"corpus {corpus}"] * bool(corpus) + [f"thinking {thinking}"] * bool(thinking)
        message = f"the recipe plans no {shape} with {' and '.join(asked)}"
        raise ReportRefused.because(path, message, _choices(same))
    return fitting[0] if fitting else None


def _choices(cells: Iterable[PlannedCell]) -> str:
    return "planned: " + ", ".join(cell.id for cell in cells)


def _options(cells: Sequence[PlannedCell]) -> str:
    """What would tell cells of one shape apart."""
    ways = []
    for option in ("corpus", "thinking"):
        values = dict.fromkeys(getattr(cell, option) for cell in cells)
        if len(values) > 1:
            ways.append(f"--{option} {'|'.join(values)}")
    named = f"name it with {' and '.join(ways)}, or " if ways else ""
    return f"{named}name the file after its cell, as in {cells[0].id}.json"
