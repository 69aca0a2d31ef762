"""RESULTS.md of one recipe: every run and cell, with links to the raw reports. Owns no measuring."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recipegen.errors import Problem, RecipegenError, SpecError, Where
from recipegen.publish.entry import IndexEntry
from recipegen.publish.figures import (
    METRICS,
    NOTHING,
    cell_samples,
    conditions,
    number,
    table_head,
    table_row,
)
from recipegen.publish.index import RecordsBroken
from recipegen.quoting import markdown_code, markdown_link, markdown_text
from recipegen.results.store import DOUBTFUL, RECORD, CellRecord, RunRecord, load_run, run_order
from recipegen.stats import WARM_RULE, Summary, summarize

_ORIGINS = {
    "bench": "measured by recipegen",
    "kit": "measured with the kit alone",
    "collected": "measured elsewhere, taken in as a raw report",
}
_UNITS = {"tg": "tok/s", "pp": "tok/s", "ttfr": "ms"}
_ERROR_LENGTH = 300
"""Characters of an error that a cell shows; the log holds all of it."""
_CELL_HEAD = table_head(
    ("cell", False),
    ("n", True),
    *((f"{short} {stat}", True) for short in METRICS for stat in ("median", "mean", "std")),
    ("raw report", False),
)


def build_results_page(entry: IndexEntry, runs: Iterable[Path]) -> str:
    """The whole of RESULTS.md.

    Args:
        entry: the recipe.
        runs: folders of its runs, in any order.

    Raises:
        RecordsBroken: records or raw reports cannot be used; all of them.
    """
    sections: list[str] = []
    problems: list[Problem] = []
    for folder in sorted(runs, key=lambda folder: (run_order(folder), folder), reverse=True):
        try:
            sections += _run_section(entry.folder, folder, load_run(folder), problems)
        except RecipegenError as error:
            problems.append(Problem(error.where or Where(folder), error.message, error.hint))
    if problems:
        raise RecordsBroken(problems)
    lines = [
        "<!-- Rendered by recipegen from results/. Do not edit. -->",
        f"# Results: {markdown_text(entry.title)}",
        "",
        f"Figures are of the warm samples: {WARM_RULE} (n).",
        "",
        "tg and pp are in tok/s, ttfr (time to first response) in ms; std is the population standard",
        "deviation. Every figure follows from the raw report of its row.",
        "",
        *(sections or ["Nothing has been measured yet.", ""]),
        *_published_section(entry),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _run_section(recipe_dir: Path, folder: Path, record: RunRecord, problems: list[Problem]) -> list[str]:
    place = folder.relative_to(recipe_dir).as_posix()
    lines = [f"## {markdown_text(folder.name)} on {markdown_text(folder.parent.name)}", ""]
    lines += [f"- {name}: {value}" for name, value in _facts(record) if value]
    lines += [f"- record: {markdown_link(RECORD, f'{place}/{RECORD}')}", ""]
    lines += _CELL_HEAD
    doubts: list[str] = []
    for cell in record["cells"]:
        try:
            lines.append(_cell_row(folder, place, cell))
        except SpecError as error:
            problems += error.problems
        verdict = cell.get("verdict") or {}
        if verdict.get("verdict") in DOUBTFUL:
            reasons = markdown_text("; ".join(verdict["reasons"]))
            doubts.append(f"- {markdown_text(cell['id'])}: **{verdict['verdict']}**. {reasons}")
    return [*lines, "", *([*doubts, ""] if doubts else [])]


def _facts(record: RunRecord) -> Iterable[tuple[str, str]]:
    yield "variant", f"{markdown_text(record['variant'])} ({markdown_text(record['method'])})"
    yield (
        "status",
        markdown_text(record["status"]) + (f": {_short(record['error'])}" if record["error"] else ""),
    )
    yield "origin", _ORIGINS[record["origin"]]
    quality = record.get("quality") or {}
    faults = [f"{check['id']}: {check['why']}" for check in quality.get("checks", ()) if check["verdict"] != "pass"]
    yield "quality", markdown_text("; ".join(filter(None, [str(quality.get("verdict") or ""), *faults])))
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


def _cell_row(folder: Path, place: str, cell: CellRecord) -> str:
    name = markdown_text(cell["id"])
    width = 3 * len(METRICS)
    if cell["status"] != "done":
        reason = _short(cell["error"] or "no reason noted")
        return table_row(name, NOTHING, *[NOTHING] * width, f"failed: {reason}")
    samples = cell_samples(folder, cell, *METRICS)
    figures = [summarize(values, drop_first=True) if values else None for values in samples]
    # Failed requests leave some metrics with fewer samples than others.
    counts = [str(summary.n if summary else 0) for summary in figures]
    file = str(cell["file"])
    return table_row(
        name,
        counts[0] if len(set(counts)) == 1 else "/".join(counts),
        *(text for summary in figures for text in _numbers(summary)),
        markdown_link(markdown_text(file), f"{place}/{file}"),
    )


def _numbers(summary: Summary | None) -> tuple[str, str, str]:
    if summary is None:
        return NOTHING, NOTHING, NOTHING
    return number(summary.median), number(summary.mean), number(summary.std)


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
        value = f"{markdown_link(number(figure.value), figure.source)} {_UNITS[figure.metric]}"
        lines.append(table_row(markdown_text(figure.variant), figure.metric, value, conditions(figure)))
    return [*lines, ""]
