"""INDEX.md: one row a recipe, computed from records and raw reports. Owns no measuring and no statistics."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recipegen.errors import EXIT_FINDINGS, Problem, RecipegenError, SpecError, Where
from recipegen.publish.agents import newest_scores, score_text
from recipegen.publish.entry import IndexEntry, failed_quality, headline_run
from recipegen.publish.figures import NOTHING, cell_samples, conditions, digits, number, table_head, table_row
from recipegen.quoting import markdown_link, markdown_text
from recipegen.results.store import DOUBTFUL, quality_of
from recipegen.stats import WARM_RULE
from recipegen.stats.summary import describe

if TYPE_CHECKING:
    from recipegen.spec.model import Published

BEGIN = "<!-- recipegen:index:begin -->"
END = "<!-- recipegen:index:end -->"

_COLUMNS = (
    ("recipe", False),
    ("model", False),
    ("quantization", False),
    ("speculative method", False),
    ("tg128 (tok/s)", True),
    ("pp2048 (tok/s)", True),
    ("quality", False),
    ("agent score", False),
    ("published elsewhere", False),
    ("hardware", False),
    ("date", False),
    ("status", False),
)
_LEGEND = (
    f"Measured figures are warm medians: {WARM_RULE} (n). Before n stands the 95 % bootstrap interval of the median;",
    "a figure has no more digits than its interval supports, its raw report has all. few-samples, wide-interval, drift",
    "and two-groups say why a figure must be read with care (the recipe's RESULTS.md has the numbers). Quality is the",
    "verdict of questions that the server was asked; a run that fails makes no row. An agent score is of tasks that an",
    "agent did on the headline variant; the label after it says what it is worth, and RESULTS.md why.",
)
_TG, _PP = 128, 2048
"""Tokens that the columns are named after; a recipe whose headline cell has others says so in its cells."""
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class RecordsBroken(SpecError):
    """Records or raw reports that figures were to come from cannot be used; carries every problem."""

    exit_code = EXIT_FINDINGS


@dataclass
class _Notes:
    """The lines under the table; figures that came about alike share one."""

    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """The mark of a line: ¹, ², …"""
        if text not in self.texts:
            self.texts.append(text)
        return str(self.texts.index(text) + 1).translate(_SUPERSCRIPT)


def build_index(entries: Iterable[IndexEntry], text: str = "") -> str:
    """The whole of INDEX.md with a fresh table.

    Args:
        entries: the recipes, in any order.
        text: INDEX.md as it is; what stands outside the markers is kept byte for byte.

    Raises:
        RecordsBroken: records or reports that the rows need cannot be used; all of them.
        RecipegenError: the markers in `text` are broken.
    """
    # The markers first: a broken file should not cost a pass over ten thousand reports.
    before, after, newline = _around(text)
    return before + newline.join([BEGIN, *build_table(entries), END]) + after


def build_table(entries: Iterable[IndexEntry]) -> list[str]:
    """The lines between the markers: the table, the rule of its figures, the sources of published ones.

    Raises:
        RecordsBroken: records or reports that the rows need cannot be used; all of them.
    """
    notes = _Notes()
    rows: list[str] = []
    problems: list[Problem] = []
    for entry in sorted(entries, key=lambda entry: entry.name):
        try:
            rows.append(_row(entry, notes))
        except SpecError as error:
            problems += error.problems
        except RecipegenError as error:
            problems.append(Problem(error.where or Where(entry.folder), error.message, error.hint))
    if problems:
        raise RecordsBroken(problems)
    lines = ["", *table_head(*_COLUMNS), *rows, "", *_LEGEND]
    for position, note in enumerate(notes.texts, 1):
        lines += [
            "",
            f"{str(position).translate(_SUPERSCRIPT)} published elsewhere, not measured here: {note}",
        ]
    return [*lines, ""]


def _row(entry: IndexEntry, notes: _Notes) -> str:
    recipe = f"{markdown_link(markdown_text(entry.name), entry.link)}: {markdown_text(entry.title)}"
    measured = _measured(entry)
    return table_row(
        recipe,
        markdown_text(entry.model),
        markdown_text(entry.quantization),
        markdown_text(entry.method),
        measured.tg,
        measured.pp,
        measured.quality,
        _agents(entry),
        _published(entry, notes),
        measured.hardware,
        measured.date,
        markdown_text(entry.status),
    )


@dataclass(frozen=True)
class _Measured:
    tg: str
    pp: str
    quality: str
    hardware: str
    date: str


def _measured(entry: IndexEntry) -> _Measured:
    """The cells of a row that come from a run."""
    hardware = markdown_text(entry.hardware)
    chosen = headline_run(entry)
    if chosen is None:
        quality = "fail" if failed_quality(entry) else NOTHING
        return _Measured("not measured", "not measured", quality, hardware, NOTHING)
    folder, record, cell = chosen
    tg, pp = cell_samples(folder, cell, "tg", "pp")
    other = [f"c{cell['concurrency']}"] * (cell["concurrency"] != 1) + [f"d{cell['depth']}"] * (cell["depth"] != 0)
    made = ["collected"] * (record["origin"] == "collected")
    verdict = (cell.get("verdict") or {}).get("verdict")
    made += [f"{verdict}: see RESULTS.md"] * (verdict in DOUBTFUL)
    if entry.gpu is None or not entry.is_own_hardware(record):
        # Without a GPU to name, or on another one, only the machine tells what the figures are of.
        hardware = f"{hardware}, measured on {markdown_text(folder.parent.name)}"
    return _Measured(
        _figure(tg, [f"tg{cell['tg']}"] * (cell["tg"] != _TG) + other + made),
        _figure(pp, [f"pp{cell['pp']}"] * (cell["pp"] != _PP) + other + made),
        markdown_text(quality_of(record) or "not asked"),
        hardware,
        markdown_text((cell["ended"] or record["ended"] or record["started"] or NOTHING)[:10]),
    )


def _agents(entry: IndexEntry) -> str:
    """Scores of the headline variant, the newest of each suite, each with its label."""
    scores = [
        score_text(*one) + ("" if entry.is_named_like_own(one[0].machine) else f" (on {markdown_text(one[0].machine)})")
        for one in newest_scores(entry.agents, entry.headline)
    ]
    return "; ".join(scores) or NOTHING


def _figure(samples: list[float], remarks: list[str]) -> str:
    if not samples:
        return NOTHING
    found = describe(samples)
    to = digits(found.median, found.low, found.high)
    interval = [f"{to.finer(found.low)}–{to.finer(found.high)}"] * (found.n > 1)
    codes = [warning.code for warning in found.warnings]
    # Of few samples the interval is wide as a rule, and is not yet one of 95 %.
    odd = [code for code in codes if code != "wide-interval" or "few-samples" not in codes]
    return f"{to.figure(found.median)} ({', '.join([*interval, f'n={found.n}', *odd, *remarks])})"


def _published(entry: IndexEntry, notes: _Notes) -> str:
    """Of the headline variant's published figures the first for tg and for pp; all stand in RESULTS.md."""
    shown = []
    for metric in ("tg", "pp"):
        figures = [f for f in entry.published if f.variant == entry.headline and f.metric == metric]
        # A figure of the headline cell's own shape is the one to compare with; otherwise the author's first.
        figures.sort(key=lambda figure: not _same_shape(figure, entry))
        if figures:
            figure = figures[0]
            tokens = f"{metric}{(figure.tg if metric == 'tg' else figure.pp) or ''}"
            value = markdown_link(number(figure.value), figure.source)
            shown.append(f"{tokens} {value} {notes.mark(conditions(figure))}")
    return ", ".join(shown) or NOTHING


def _same_shape(figure: Published, entry: IndexEntry) -> bool:
    cell = entry.cell
    shape = (figure.pp, figure.tg, figure.depth, figure.concurrency)
    return shape == (cell.pp, cell.tg, cell.depth, cell.concurrency)


def _around(text: str) -> tuple[str, str, str]:
    """What stands before and after the table, and how lines end.

    Only lines that hold a marker and nothing else count, so that prose may speak of them.

    Raises:
        RecipegenError: one marker is missing or stands twice, or they are in the wrong order.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    begins, ends = (list(re.finditer(rf"(?m)^[ \t]*({marker})[ \t]*\r?$", text)) for marker in (BEGIN, END))
    if not begins and not ends:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        return text + gap, newline, newline
    if len(begins) != 1 or len(ends) != 1 or begins[0].start() > ends[0].start():
        raise RecipegenError(
            f"the table's markers are broken: {BEGIN} stands {_times(begins)}, {END} {_times(ends)}",
            hint=f"leave one line {BEGIN} and after it one line {END}, or remove both",
        )
    return text[: begins[0].start(1)], text[ends[0].end(1) :], newline


def _times(found: list[re.Match[str]]) -> str:
    return "once" if len(found) == 1 else f"{len(found)} times"
