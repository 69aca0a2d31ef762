"""The command compare. Owns how it is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipegen.cli import json_option, plain, root_option

if TYPE_CHECKING:
    from recipegen.publish.compare import Compared, Figure, Row


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option("--cell", "cells", metavar="TEXT", multiple=True, help="Only cells whose id holds this text; repeatable.")
@root_option
@json_option
def compare_command(a: str, b: str, cells: tuple[str, ...], root: Path | None, as_json: bool) -> None:
    """Compare A and B cell by cell: medians, ratio of B to A with its 95 % interval, and what differs around them.

    Each of them is NAME/VARIANT (its newest complete run), NAME/VARIANT@MACHINE, NAME/RUN (a folder under results/),
    published:NAME/VARIANT (what others published), or the path of a run's folder or of a llama-benchy report. Runs
    that were measured in turn are compared as pairs. Exit code 2 when they have no cell in common.

    \b
    Examples:
      recipegen compare qwen36-35b-dflash/ar qwen36-35b-dflash/dflash
      recipegen compare published:qwen36-35b-dflash/dflash qwen36-35b-dflash/dflash@gb10-128g
      recipegen compare before.json after.json --json
    """
    from recipegen.publish.compare import compare_sides
    from recipegen.publish.sides import find_side

    found = compare_sides(find_side(a, root), find_side(b, root), cells)
    click.echo(json.dumps(found.as_data(), indent=2) if as_json else plain("\n".join(comparison(found))))


def comparison(found: Compared) -> Iterator[str]:
    """The lines of a comparison."""
    yield f"A: {found.a.given}: {found.a.title}"
    yield f"B: {found.b.given}: {found.b.title}"
    yield ""
    head = ("cell", "metric", "A (n)", "B (n)", "B to A", "95 % interval")
    yield from _table([head, *map(_columns, found.rows)], right={2, 3, 4, 5})
    yield ""
    for row in found.rows:
        yield f"{_cell_name(row)} {row.metric}: {row.words}"
        if row.rounds:
            yield f"  B to A, round by round: {', '.join(f'{ratio:.3f}' for ratio in row.rounds)}"
    for name, alone in (("A", found.only_a), ("B", found.only_b)):
        if alone:
            yield ""
            yield f"only {name} has: {', '.join(alone)}"
    yield ""
    if found.differences:
        yield "what else differs:"
        rows = [("", "A", "B"), *((one.what, one.a or "not there", one.b or "not there") for one in found.differences)]
        yield from (f"  {line}" for line in _table([tuple(map(_short, row)) for row in rows]))
    elif not (found.a.is_published or found.b.is_published):
        yield "nothing else that is recorded differs"
    if found.unknown:
        yield f"not known, so not compared: {'; '.join(found.unknown)}"
    for note in found.notes:
        yield f"note: {note}"
    if any(row.metric == "ttfr" for row in found.rows):
        yield "ttfr is a time: the table's ratio above 1 is slower"


def _columns(row: Row) -> tuple[str, ...]:
    from recipegen.publish.figures import NOTHING

    ratio = NOTHING if row.ratio is None else f"{row.ratio:.3f}"
    interval = NOTHING if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
    return (_cell_name(row), f"{row.metric} {row.unit}", _side(row.a), _side(row.b), ratio, interval)


def _cell_name(row: Row) -> str:
    return row.cell if row.cell == row.cell_b else f"{row.cell} / {row.cell_b}"


def _side(figure: Figure | None) -> str:
    from recipegen.publish.figures import NOTHING, digits, number

    if figure is None:
        return NOTHING
    if figure.low is None or figure.high is None:  # published, at its publisher's digits
        median = number(figure.median)
    else:
        median = digits(figure.median, figure.low, figure.high).figure(figure.median)
    what = [*(["mean"] if figure.stat == "mean" else []), f"n={'?' if figure.n is None else figure.n}"]
    return f"{median} ({', '.join(what)})"


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _table(rows: Sequence[tuple[str, ...]], right: set[int] | frozenset[int] = frozenset()) -> Iterator[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        parts = [
            text.rjust(width) if index in right else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(parts).rstrip()
