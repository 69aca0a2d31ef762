"""The command list: the rows of a repository as data and on a terminal. Owns their filters, order and columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click

from recipegen.cli import json_option, root_option
from recipegen.publish.marks import STATUS
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from recipegen.cli.page import Page
    from recipegen.errors import Problem
    from recipegen.publish.row import Row, State

_BAR, _REMARKS, _CONDITIONS = "bar", "remarks", "conditions"
_LEAST = {"method": 14, "hardware": 16, _REMARKS: 13, _CONDITIONS: 60, _BAR: 8}
"""Columns that can be narrower than what they hold: the bar is drawn to fit, the others are folded."""
_LEAST_NAME, _MOST_BAR = 16, 24
_BAR_TITLE = "0–{:.0f}"
_METRICS: tuple[Literal["tg", "pp"], ...] = ("tg", "pp")
_PIPED = 10_000
"""Columns for a file or another program, which fold nothing."""
_STYLES = {"pass": "green", "warn": "yellow", "fail": "red", "faster": "green", "slower": "red"}


@click.command("list")
@click.option("--status", "statuses", type=click.Choice(list(STATUS)), multiple=True, help="Only these; repeatable.")
@click.option("--engine", "engines", metavar="E", multiple=True, help="Only recipes of this engine; repeatable.")
@click.option("--measured", is_flag=True, help="Only recipes measured from this repository.")
@click.option(
    "--sort",
    type=click.Choice(["decode", "prefill", "date", "name"]),
    default="decode",
    show_default=True,
    help="Order inside a section: the fastest, the newest or the first name on top.",
)
@root_option
@json_option
def list_command(
    statuses: tuple[str, ...],
    engines: tuple[str, ...],
    measured: bool,
    sort: str,
    root: Path | None,
    as_json: bool,
) -> None:
    """List the recipes of this repository: what was measured here, what others published, the rest.

    Figures are medians of the headline cell in tok/s, with their 95 % intervals; the bar puts them on one scale from
    zero. `× base` is decode speed over the baseline's. A terminal that is too narrow leaves columns out, and says so.
    --json prints the rows of index.json (docs/index-format.md). Exit code 1 when a record cannot be used.

    \b
    Examples:
      recipegen list
      recipegen list --measured --engine vllm --sort prefill
      recipegen list --json
    """
    from recipegen.publish.data import row_data
    from recipegen.publish.index import RecordsBroken, grouped
    from recipegen.publish.tables import iter_shown
    from recipegen.spec.model import EngineName

    unknown = sorted(set(engines) - set(get_args(EngineName)))
    if unknown:
        known = ", ".join(get_args(EngineName))
        raise click.BadParameter(f"there is no engine {unknown[0]!r}: {known}", param_hint="--engine")
    problems: list[Problem] = []
    every = [shown.row for shown in iter_shown(Workspace.open(root), problems)]
    rows = [
        row
        for row in every
        if (not statuses or row.status in statuses)
        and (not engines or row.engine.partition(" ")[0] in engines)
        and (not measured or row.state == "measured")
    ]
    sections = [(heading, _sorted(members, sort)) for heading, members in grouped(rows)]
    if as_json:
        click.echo(json.dumps([row_data(row) for _, members in sections for row in members], indent=2))
    elif rows:
        _show(sections)
    else:
        click.echo(f"none of {len(every)} recipes is that" if every else "there is no recipe yet: recipegen new NAME")
    if problems:
        raise RecordsBroken(problems)


def _sorted(rows: Sequence[Row], sort: str) -> list[Row]:
    if sort == "name":
        return sorted(rows, key=lambda row: row.name)
    if sort == "date":
        return sorted(rows, key=lambda row: row.last_run or "", reverse=True)
    return sorted(rows, key=lambda row: _speed(row, "tg" if sort == "decode" else "pp"), reverse=True)


def _speed(row: Row, metric: Literal["tg", "pp"]) -> float:
    from recipegen.publish.index import published_headline

    found, others = row.tg if metric == "tg" else row.pp, published_headline(row, metric)
    return found.median if found else others.value if others else 0.0


@dataclass(frozen=True)
class _Column:
    """A column.

    Attributes:
        text: what a row has there; a column in which no row has anything is not shown.
        leaves: which columns go where there is no room for all: the highest first, never those of zero.
        style: of a row's cell.
    """

    title: str
    text: Callable[[Row], str]
    right: bool = False
    leaves: int = 0
    style: Callable[[Row], str] = lambda _: ""


_NAME = _Column("recipe", lambda row: row.name)
_METHOD = _Column("method", lambda row: row.method, leaves=2)
_HARDWARE = _Column("hardware", lambda row: row.hardware, leaves=3)
_STATUS = _Column("status", lambda row: row.status)


def _show(sections: Sequence[tuple[str, Sequence[Row]]]) -> None:
    from recipegen.cli.page import Page
    from recipegen.publish.index import summary

    page = Page(piped=_PIPED)
    rows = [row for _, members in sections for row in members]
    page.line(summary(rows))
    scale = _scale(rows)
    left: dict[str, None] = {}
    for heading, members in sections:
        page.line()
        page.line(_plain(heading), "bold")
        left |= dict.fromkeys(_table(page, _columns(page, members[0].state, scale), members, scale))
    if left:
        page.line()
        page.line(f"{page.width} columns are too few for: {', '.join(left)} (--json has all)", "dim")


def _scale(rows: Sequence[Row]) -> float:
    """The end of the scale: the largest decode speed that is not in doubt, or else the largest."""
    from recipegen.publish.marks import is_doubtful

    found = [row for row in rows if row.tg]
    sure = [row for row in found if not is_doubtful(row.verdict)]
    return max((row.tg.high for row in sure or found if row.tg), default=0.0)


def _columns(page: Page, state: State, scale: float) -> list[_Column]:
    """The columns of a section, by what its recipes have."""
    from recipegen.publish.figures import condition_words, number
    from recipegen.publish.index import published_headline

    if state == "measured":
        return [
            _NAME,
            _METHOD,
            _Column("decode", lambda row: _figure(row, "tg")[0], right=True),
            _Column("interval", lambda row: _figure(row, "tg")[1]),
            _Column(_BAR, lambda row: _bar(page, row, scale, _LEAST[_BAR]), leaves=3, style=lambda _: "cyan"),
            _Column("× base", _ratio, right=True, leaves=1, style=_effect),
            _Column("prefill", lambda row: _figure(row, "pp")[0], right=True, leaves=4),
            _Column("quality", lambda row: row.quality or "", leaves=6, style=lambda row: _styled(row.quality)),
            _Column("last run", lambda row: row.last_run or "", leaves=5),
            _STATUS,
            _Column(_REMARKS, _remarks, style=lambda _: "yellow"),
        ]
    if state == "published":

        def shown(row: Row, metric: str) -> str:
            found = published_headline(row, metric)
            return number(found.value) if found else ""

        def told(row: Row) -> str:
            found = published_headline(row, "tg") or published_headline(row, "pp")
            return ", ".join(condition_words(found)) if found else ""

        return [
            _NAME,
            _METHOD,
            _Column("decode", lambda row: shown(row, "tg"), right=True),
            _Column("prefill", lambda row: shown(row, "pp"), right=True),
            _HARDWARE,
            _STATUS,
            _Column(_CONDITIONS, told, leaves=4),
        ]
    engine = _Column("engine", lambda row: row.engine.partition(" ")[0], leaves=1)
    quality = _Column("quality", lambda row: row.quality or "", style=lambda row: _styled(row.quality))
    return [_NAME, _METHOD, engine, _HARDWARE, quality, _STATUS]


def _table(page: Page, columns: Sequence[_Column], rows: Sequence[Row], scale: float) -> list[str]:
    """Print a section.

    Returns:
        Titles of columns for which there was no room.
    """
    from rich.cells import cell_len

    from recipegen.cli.page import GAP, INDENT

    filled = [one for one in columns if any(map(one.text, rows))]
    widths = {one.title: max(cell_len(_plain(text)) for text in (one.title, *map(one.text, rows))) for one in filled}
    taken = {title: min(width, _LEAST.get(title, width)) for title, width in widths.items()}

    def room(shown: Sequence[_Column]) -> int:
        return page.width - INDENT + GAP - sum(taken[one.title] + GAP for one in shown)

    kept = sorted(filled, key=lambda one: one.leaves)
    while kept[-1].leaves and room(kept) < 0:
        kept.pop()
    shown = [one for one in filled if one in kept]
    # Names are folded last of all: people look for them, and programs too.
    taken[_NAME.title] = max(min(_LEAST_NAME, taken[_NAME.title]), taken[_NAME.title] + min(0, room(shown)))
    for title in [title for title in _LEAST if title in taken and any(one.title == title for one in shown)]:
        wanted = _MOST_BAR if title == _BAR else widths[title]
        taken[title] = min(wanted, taken[title] + max(0, room(shown)))
    lines = [[page.text(_BAR_TITLE.format(scale) if one.title == _BAR else one.title, "bold") for one in shown]]
    for row in rows:
        texts = [_bar(page, row, scale, taken[_BAR]) if one.title == _BAR else one.text(row) for one in shown]
        lines.append([page.text(_plain(text), one.style(row)) for text, one in zip(texts, shown, strict=True)])
    page.table([(one.right, taken[one.title] if one.title in (_NAME.title, *_LEAST) else None) for one in shown], lines)
    return [one.title for one in filled if one not in shown]


def _plain(text: str) -> str:
    """One line without characters that nobody sees; the page shows the rest as it is."""
    from recipegen.quoting import visible

    return str(visible(text))


def _figure(row: Row, metric: Literal["tg", "pp"]) -> tuple[str, str]:
    """Median and interval, with the digits that it supports."""
    from recipegen.publish.figures import NOTHING, figure_parts

    found = row.tg if metric == "tg" else row.pp
    return (NOTHING, "") if found is None else figure_parts(found)


def _bar(page: Page, row: Row, scale: float, width: int) -> str:
    from recipegen.cli.plots import bar

    if row.tg is None or not scale:
        return ""
    return bar(row.tg.low, row.tg.median, row.tg.high, (0.0, scale), width, blocks=page.blocks)


def _ratio(row: Row) -> str:
    return f"{row.speed_up.ratio:.2f}" if row.speed_up else ""


def _effect(row: Row) -> str:
    return _styled(row.speed_up.effect if row.speed_up else None)


def _remarks(row: Row) -> str:
    """Why a figure must be read with care, and of which cell and machine it is where that is not the usual one."""
    from recipegen.publish.index import odd, remarks_of

    found = [one for metric in _METRICS for one in remarks_of(row, metric)]
    if row.tg:
        found += [f"n={row.tg.n}", *odd(row.tg)] if row.tg.warnings else []
    if row.speed_up and row.speed_up.effect == "undecided":
        found.append("× base undecided")
    if not row.own_hardware:
        found.append(f"on {row.machine}")
    return ", ".join(dict.fromkeys(found))


def _styled(word: str | None) -> str:
    return _STYLES.get(word or "", "")
