"""INDEX.md: the table of a repository, from rows. Owns its words and its grouping; no figure and no file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from recipegen.errors import EXIT_FINDINGS, RecipegenError, SpecError
from recipegen.publish.figures import NOTHING, conditions, figure_parts, number, ratio_text, table_head, table_row
from recipegen.publish.marks import DOUBT, is_doubtful, marked, quality_marked
from recipegen.publish.row import Measured, Row, State
from recipegen.quoting import markdown_link, markdown_text
from recipegen.stats import WARM_RULE

if TYPE_CHECKING:
    from recipegen.spec.model import Published

BEGIN = "<!-- recipegen:index:begin -->"
END = "<!-- recipegen:index:end -->"
RESULTS_PAGE = "RESULTS.md"
_DATA = f"{markdown_link('index.json', 'index.json')}, {markdown_link('index.csv', 'index.csv')}"
_USUAL = {"tg": 128, "pp": 2048}
"""Tokens that the columns are named after; a recipe whose headline cell has others says so in its cells."""

_LEGEND = (
    f"Figures are medians with their 95 % bootstrap interval: {WARM_RULE} (n). No figure has more digits",
    "than its interval supports; the raw report has all. few-samples, wide-interval, drift and two-groups say why a",
    "figure must be read with care. × baseline is decode speed over the baseline variant's, same cell and machine.",
    "Memory is the most that the host had in use. Quality is the verdict of questions that the server was asked; a run",
    "that fails makes no row. Reproduced counts other machines on which a measurement made again came out alike.",
)


class RecordsBroken(SpecError):
    """Records or raw reports that figures were to come from cannot be used; carries every problem."""

    exit_code = EXIT_FINDINGS


def build_index(rows: Iterable[Row], text: str = "") -> str:
    """The whole of INDEX.md with a fresh table.

    Args:
        rows: of the recipes, in any order.
        text: INDEX.md as it is; what stands outside the markers is kept byte for byte.

    Raises:
        RecipegenError: the markers in `text` are broken.
    """
    before, after, newline = around_table(text)
    return before + newline.join([BEGIN, *build_table(rows), END]) + after


def build_table(rows: Iterable[Row]) -> list[str]:
    """The lines between the markers."""
    rows = list(rows)
    if not rows:
        return ["", "There is no recipe yet: `recipegen new NAME` makes one.", ""]
    lines = ["", f"{summary(rows)} The same as data: {_DATA}.", ""]
    for heading, members in grouped(rows):
        lines += [f"### {markdown_text(heading)}", "", *_TABLES[members[0].state](members), ""]
    if any(row.state == "measured" for row in rows):
        lines += [*_LEGEND, ""]
    return lines


def summary(rows: Sequence[Row]) -> str:
    """How many there are, and how many of them have figures: one line."""
    measured = [row for row in rows if row.state == "measured"]
    own = sum(row.own_hardware for row in measured)
    published = sum(row.state == "published" for row in rows)
    parts = [
        f"{len(rows)} recipe{'s' * (len(rows) != 1)}",
        f"{len(measured)} measured here, {own} of them on the hardware that they are written for",
        f"{published} with figures of others only",
    ]
    return f"{': '.join((parts[0], '; '.join(parts[1:])))}."


def grouped(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """The sections of the table, each with its heading, and its recipes by hardware, the fastest first."""
    sections = groupby(sorted(rows, key=_order), key=_group)
    return [(heading, list(members)) for (_, heading), members in sections]


def _group(row: Row) -> tuple[int, str]:
    """Its place and its heading: measured on its own hardware, measured elsewhere, published by others, the rest."""
    if row.state == "measured":
        return (0, f"Measured here: {row.hardware}") if row.own_hardware else (1, "Measured here, on other hardware")
    if row.state == "published":
        return 2, "Published by others, not measured here"
    return 3, "Without figures yet"


def _order(row: Row) -> tuple[object, ...]:
    """Group, hardware, the fastest first, the name."""
    others = published_headline(row, "tg")
    figure = row.tg.median if row.tg else others.value if others else 0.0
    return (*_group(row), row.hardware, -figure, row.name)


def _measured_table(rows: Sequence[Row]) -> list[str]:
    agents = any(row.agents for row in rows)
    head = [
        ("recipe", False),
        ("model", False),
        ("method", False),
        ("decode tg128 (tok/s)", True),
        ("× baseline", True),
        ("prefill pp2048 (tok/s)", True),
        ("memory (GiB)", True),
        ("context", True),
        ("quality", False),
        *([("agent score", False)] if agents else []),
        ("last run", False),
        ("reproduced", True),
        ("status", False),
        ("more", False),
    ]
    return [*table_head(*head), *(_measured_row(row, agents=agents) for row in rows)]


def _measured_row(row: Row, *, agents: bool) -> str:
    return table_row(
        _name(row),
        _model(row),
        markdown_text(row.method),
        figure_text(row.tg, remarks_of(row, "tg")),
        speed_up_text(row) or NOTHING,
        figure_text(row.pp, remarks_of(row, "pp")),
        NOTHING if row.memory_bytes is None else f"{row.memory_bytes / (1 << 30):.1f}",
        NOTHING if row.context is None else f"{row.context:,}",
        quality_marked(row.quality),
        *([_agents(row)] if agents else []),
        markdown_text(ran_text(row)),
        str(row.reproduced) if row.reproduced else NOTHING,
        markdown_text(marked(row.status)),
        _links(row),
    )


def ran_text(row: Row) -> str:
    """`2026-11-28 on gb10-128g`; where the newest run is not the one of the figures, both."""
    figures = f"{row.date or 'no date'} on {row.machine}"
    return figures if row.last_run in (None, row.date) else f"{row.last_run}, figures of {figures}"


def remarks_of(row: Row, metric: Literal["tg", "pp"]) -> list[str]:
    """What is not as the column's title says, and what makes the figure doubtful."""
    tokens = row.tg_tokens if metric == "tg" else row.pp_tokens
    found = [f"{metric}{tokens}"] * (tokens != _USUAL[metric])
    found += [f"c{row.concurrency}"] * (row.concurrency != 1) + [f"d{row.depth}"] * (row.depth != 0)
    found += ["collected"] * (row.origin == "collected")
    return found + [f"{DOUBT} {row.verdict}"] * is_doubtful(row.verdict)


def figure_text(found: Measured | None, remarks: Sequence[str] = ()) -> str:
    """`61.9 (59.25–62.40, n=11, wide-interval)`, as finished Markdown."""
    if found is None:
        return NOTHING
    figure, interval = figure_parts(found)
    told = [interval, f"n={found.n}", *odd(found), *remarks]
    return f"{figure} ({', '.join(filter(None, told))})"


def odd(found: Measured) -> list[str]:
    """Its warnings without those that say the same: of few samples the interval is wide as a rule, and not of 95 %."""
    return [code for code in found.warnings if code != "wide-interval" or "few-samples" not in found.warnings]


def speed_up_text(row: Row) -> str | None:
    """`2.37 (2.30–2.44)`; None where there is none."""
    found = row.speed_up
    if found is None:
        return None
    return ratio_text(found.ratio, found.low, found.high) + (" undecided" if found.effect == "undecided" else "")


def _published_table(rows: Sequence[Row]) -> list[str]:
    agents = any(row.agents for row in rows)
    head = (
        ("recipe", False),
        ("model", False),
        ("method", False),
        ("decode (tok/s)", True),
        ("prefill (tok/s)", True),
        ("conditions", False),
        *([("agent score", False)] if agents else []),
        ("hardware", False),
        ("status", False),
    )
    return [*table_head(*head), *(_published_row(row, agents=agents) for row in rows)]


def _published_row(row: Row, *, agents: bool) -> str:
    shown = {metric: chosen for metric in ("tg", "pp") if (chosen := published_headline(row, metric))}
    told = dict.fromkeys(conditions(one, note=False) for one in shown.values())
    return table_row(
        _name(row),
        _model(row),
        markdown_text(row.method),
        *(_source(shown[metric]) if metric in shown else NOTHING for metric in ("tg", "pp")),
        "; ".join(told) or f"other figures: {markdown_link('README', f'{row.link}/README.md')}",
        *([_agents(row)] if agents else []),
        markdown_text(row.hardware),
        markdown_text(marked(row.status)),
    )


def _source(figure: Published) -> str:
    tokens = (figure.tg if figure.metric == "tg" else figure.pp) or ""
    return f"{markdown_link(number(figure.value), figure.source)} {figure.metric}{tokens}"


def published_headline(row: Row, metric: str) -> Published | None:
    """Of the headline variant's published figures the one to show: of the headline cell's shape, else the first."""
    figures = [one for one in row.published if one.variant == row.headline and one.metric == metric]
    wanted = (row.pp_tokens, row.tg_tokens, row.depth, row.concurrency)
    figures.sort(key=lambda one: (one.pp, one.tg, one.depth, one.concurrency) != wanted)
    return figures[0] if figures else None


def _other_table(rows: Sequence[Row]) -> list[str]:
    agents = any(row.agents for row in rows)
    head = [("recipe", False), ("model", False), ("method", False), ("engine", False)]
    head += [("agent score", False)] * agents + [("hardware", False), ("status", False)]
    lines = [
        table_row(
            _name(row),
            _model(row),
            markdown_text(row.method),
            markdown_text(row.engine),
            *([_agents(row)] if agents else []),
            markdown_text(row.hardware),
            markdown_text(_other(row)),
        )
        for row in rows
    ]
    return [*table_head(*head), *lines]


def _other(row: Row) -> str:
    return marked(row.status) + ("; quality fail" if row.quality == "fail" else "")


_TABLES: dict[State, Callable[[Sequence[Row]], list[str]]] = {
    "measured": _measured_table,
    "published": _published_table,
    "not measured": _other_table,
}


def _name(row: Row) -> str:
    return markdown_link(markdown_text(row.name), row.link)


def _model(row: Row) -> str:
    """The model without its owner, and its quantization where the name does not say it: `Qwen3.6-27B-NVFP4`."""
    name = row.model.rpartition("/")[2] or row.model
    said = row.quantization.lower() in name.lower()
    return markdown_text(name if said else f"{name}, {row.quantization}")


def _agents(row: Row) -> str:
    """Scores of the headline variant, the newest of each suite, each with its label."""
    return (
        "; ".join(
            f"{markdown_text(one.suite)} {one.score}, {one.label}"
            + ("" if one.own_hardware else f" (on {markdown_text(one.machine)})")
            for one in row.agents
        )
        or NOTHING
    )


def _links(row: Row) -> str:
    links = [("results", f"{row.link}/{RESULTS_PAGE}")]
    links += [("raw", row.report)] if row.report else []
    links += [("chart", row.charts[0])] if row.charts else []
    return " ".join(markdown_link(text, place) for text, place in links)


def around_table(text: str) -> tuple[str, str, str]:
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
