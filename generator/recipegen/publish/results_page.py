"""RESULTS.md of one recipe: every run and cell, with links to the raw reports. Owns no measuring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.publish.agents import agent_section
from recipegen.publish.charts.recipe import FOLDER as CHARTS
from recipegen.publish.entry import IndexEntry
from recipegen.publish.figures import (
    METRICS,
    NOTHING,
    UNITS,
    conditions,
    digits,
    number,
    table_head,
    table_row,
    with_interval,
)
from recipegen.publish.history_page import history_section
from recipegen.publish.marks import is_doubtful
from recipegen.quoting import markdown_code, markdown_image, markdown_link, markdown_text
from recipegen.results.store import RECORD, RunRecord, quality_faults, quality_of
from recipegen.stats import WARM_RULE

if TYPE_CHECKING:
    from recipegen.publish.listing import CellLine, RunLine
    from recipegen.publish.shown import Shown
    from recipegen.stats.summary import Described

_ORIGINS = {
    "bench": "measured by recipegen",
    "kit": "measured with the kit alone",
    "collected": "measured elsewhere, taken in as a raw report",
}
_ERROR_LENGTH = 300
"""Characters of an error that a cell shows; the log holds all of it."""
_CELL_HEAD = table_head(
    ("cell", False),
    ("n", True),
    *((f"{short} {stat}", True) for short in METRICS for stat in ("median (95 % interval)", "mean", "std")),
    ("raw report", False),
)


def build_results_page(shown: Shown) -> str:
    """The whole of RESULTS.md."""
    entry = shown.entry
    sections = [line for run in shown.runs for line in _run_section(entry.folder, run)]
    lines = [
        "<!-- Rendered by recipegen from results/. Do not edit. -->",
        f"# Results: {markdown_text(entry.title)}",
        "",
        f"Figures are of the warm samples: {WARM_RULE} (n).",
        "",
        "tg and pp are in tok/s, ttfr (time to first response) in ms, at several requests at a time of all of them",
        "together. The interval is the bootstrap interval of the median, std the population standard deviation. Every",
        "figure follows from the raw report of its row, and is shown with no more digits than its interval supports.",
        "",
        *history_section(shown),
        *(f"{markdown_image(chart.description, f'{CHARTS}/{chart.id}.svg')}\n" for chart in shown.charts),
        *(sections or ([] if entry.agents else ["Nothing has been measured yet.", ""])),
        *agent_section(entry.agents, entry.folder),
        *_published_section(entry),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _run_section(recipe_dir: Path, run: RunLine) -> list[str]:
    place = run.folder.relative_to(recipe_dir).as_posix()
    lines = [f"## {markdown_text(run.folder.name)} on {markdown_text(run.machine)}", ""]
    lines += [f"- {name}: {value}" for name, value in _facts(run.record) if value]
    lines += [f"- record: {markdown_link(RECORD, f'{place}/{RECORD}')}", ""]
    lines += [*_CELL_HEAD, *(_cell_row(place, cell) for cell in run.cells)]
    remarks = [f"- {markdown_text(cell.id)}: {text}" for cell in run.cells for text in _remarks(cell)]
    return [*lines, "", *([*remarks, ""] if remarks else [])]


def _remarks(cell: CellLine) -> Iterator[str]:
    """What a reader of a row must know, as finished Markdown."""
    if is_doubtful(cell.verdict):
        yield f"**{cell.verdict}**. {markdown_text('; '.join(cell.reasons))}"
    if cell.recorded_note:
        yield markdown_text(cell.recorded_note)
    if "tg_req" in cell.figures:
        each = with_interval(cell.figures["tg_req"])
        yield f"each of the {cell.concurrency} requests decodes at {each} {UNITS['tg_req']}"
    for metric in ("tg", "pp"):
        for warning in cell.figures[metric].warnings if metric in cell.figures else ():
            yield f"{metric}, {warning.code}: {markdown_text(warning.text)}"


def _facts(record: RunRecord) -> Iterable[tuple[str, str]]:
    yield "variant", f"{markdown_text(record['variant'])} ({markdown_text(record['method'])})"
    yield (
        "status",
        markdown_text(record["status"]) + (f": {_short(record['error'])}" if record["error"] else ""),
    )
    yield "origin", _ORIGINS[record["origin"]]
    yield "quality", markdown_text("; ".join(filter(None, [quality_of(record) or "", *quality_faults(record)])))
    times = [time for time in (record["started"], record["ended"]) if time]
    yield "time", markdown_text(" to ".join(dict.fromkeys(times)))
    engine = record["engine"]
    yield "engine", markdown_text(" ".join(_known(engine.get("name"), engine.get("version"))))
    image = record["image"] or {}
    yield "image", " ".join(markdown_code(text) for text in _known(image.get("ref"), image.get("id")))
    yield "llama-benchy", markdown_text(" ".join(_known(record["versions"].get("llama_benchy"))))


def _known(*values: Any) -> list[str]:
    return [str(value) for value in values if value is not None]


def _short(error: str) -> str:
    return markdown_text(error if len(error) <= _ERROR_LENGTH else error[:_ERROR_LENGTH] + " …")


def _cell_row(place: str, cell: CellLine) -> str:
    name = markdown_text(cell.id)
    width = 3 * len(METRICS)
    if cell.status != "done":
        reason = _short(cell.error or "no reason noted")
        return table_row(name, NOTHING, *[NOTHING] * width, f"failed: {reason}")
    figures = [cell.figures.get(metric) for metric in METRICS]
    # Failed requests leave some metrics with fewer samples than others.
    counts = [str(one.n if one else 0) for one in figures]
    file = str(cell.file)
    return table_row(
        name,
        counts[0] if len(set(counts)) == 1 else "/".join(counts),
        *(text for one in figures for text in _numbers(one)),
        markdown_link(markdown_text(file), f"{place}/{file}"),
    )


def _numbers(found: Described | None) -> tuple[str, str, str]:
    if found is None:
        return NOTHING, NOTHING, NOTHING
    to = digits(found.median, found.low, found.high)
    return to.with_interval(found), to.figure(found.mean), to.finer(found.std)


def _published_section(entry: IndexEntry) -> list[str]:
    if not entry.published:
        return []
    lines = [
        "## Published elsewhere",
        "",
        "Nobody measured these from this repository; each links to its source.",
        "",
    ]
    lines += table_head(("variant", False), ("metric", False), ("value", True), ("conditions", False))
    for figure in entry.published:
        value = f"{markdown_link(number(figure.value), figure.source)} {UNITS[figure.metric]}"
        lines.append(table_row(markdown_text(figure.variant), figure.metric, value, conditions(figure)))
    return [*lines, ""]
