"""The section "History" of RESULTS.md: the headline's runs in order, and what moved its figures. Owns no statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.publish.figures import NOTHING, UNITS, table_head, table_row
from recipegen.publish.history import Series, figure_words
from recipegen.quoting import markdown_text
from recipegen.results.store import run_order
from recipegen.stats.history import MATTERS, Mark

if TYPE_CHECKING:
    from recipegen.publish.shown import Shown

SIGNS: dict[Mark, str] = {"gain": "▲", "regression": "▼", "none": "=", "undecided": "?"}
"""Beside the word, never instead of it."""
_SHOWN = ("tg", "pp")


def history_section(shown: Shown) -> list[str]:
    """Lines of the section; none where the headline was measured once at the most on every machine."""
    series = [one for one in shown.history if one.metric in _SHOWN]
    if not series:
        return []
    lines = [
        "## History",
        "",
        f"Runs of the headline cell ({markdown_text(shown.entry.headline)}, {markdown_text(shown.entry.cell_id)}).",
        f"A change is a gain or a regression when it is {MATTERS * 100:.0f} % or more and significant against the "
        "scatter between runs of",
        "one setup, undecided when too little is known. Runs in doubt stand apart and move nothing.",
        "",
    ]
    for machine, group in groupby(series, key=lambda one: one.machine):
        lines += _machine(machine, list(group))
    return lines


def _machine(machine: str, series: Sequence[Series]) -> Iterator[str]:
    """Table of one machine: a row a run, newest first, and below it what the steps say."""
    yield f"On {markdown_text(machine)}:"
    yield ""
    metrics = [(f"{one.metric} ({UNITS[one.metric]})", True) for one in series]
    yield from table_head(("run", False), ("engine", False), *metrics, ("changed before it", False))
    for run, engine in _runs(series):
        changed = next((step.changed for one in series for step in one.steps if step.after == run), ())
        yield table_row(
            markdown_text(run),
            markdown_text(engine) or NOTHING,
            *(_figure(one, run) for one in series),
            markdown_text(", ".join(changed)),
        )
    yield ""
    remarks = [*_steps(series), *_notes(series)]
    yield from (f"- {text}" for text in remarks)
    yield from [""] * bool(remarks)


def _runs(series: Sequence[Series]) -> list[tuple[str, str]]:
    """Every run with its engine, newest first."""
    engines = {one.run: "" for each in series for one in each.apart}
    engines |= {one.run: one.engine for each in series for one in each.points}
    return sorted(engines.items(), key=lambda one: run_order(Path(one[0])), reverse=True)


def _figure(series: Series, run: str) -> str:
    step = next((one for one in series.steps if one.after == run), None)
    sign = f" {SIGNS[step.mark]} {step.mark}" if step else ""
    point = next((one for one in series.points if one.run == run), None)
    if point is not None:
        return figure_words(point) + sign
    apart = next((one for one in series.apart if one.run == run), None)
    return NOTHING if apart is None else f"{figure_words(apart)} (apart)"


def _steps(series: Sequence[Series]) -> Iterator[str]:
    for one in series:
        for step in one.steps:
            yield f"{one.metric}, {markdown_text(step.after)}: {step.size}, {step.verdict}"


def _notes(series: Sequence[Series]) -> Iterator[str]:
    reasons = dict.fromkeys((apart.run, apart.why) for one in series for apart in one.apart)
    for run, why in reasons:
        yield f"{markdown_text(run)} stands apart, not judged: {markdown_text(why[:300])}"
    for one in series:
        yield from (f"{one.metric}: {markdown_text(note)}" for note in one.notes)
