"""A beside B, cell by cell: ratio, interval, words, and what else differs. Owns no finding of sides and no printing."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from recipegen.errors import RecipegenError
from recipegen.publish.figures import METRICS, UNITS
from recipegen.publish.sides import Side, SideCell
from recipegen.stats.compare import Better, against_figure, compare
from recipegen.stats.summary import describe

STARTS = 6
"""Starts of each server from which their differences are in the interval: as few pairs as can show one at p < 0.05."""
_BETTER: Mapping[str, Better] = {"tg": "higher", "pp": "higher", "ttfr": "lower"}
_CELL = ("--pp", "--tg", "--depth", "--concurrency", "--runs", "--book-url", "--save-result", "--base-url", "command")
_SAID_ELSEWHERE = frozenset([*_CELL, "--model", "--served-model-name", "--tokenizer", "--latency-mode"])
"""Arguments of llama-benchy that are the cell itself, a place, or among the facts."""


@dataclass(frozen=True)
class Figure:
    """One side's figure of a metric.

    Attributes:
        median: in the metric's unit; the published figure itself where one was published.
        n: samples that count; None where the publisher did not say.
        low, high: 95 % interval of the median; None for a published figure.
        stat: median, or mean where that is what was published.
    """

    median: float
    n: int | None
    low: float | None = None
    high: float | None = None
    stat: str = "median"


@dataclass(frozen=True)
class Row:
    """One metric of one cell.

    Attributes:
        ratio: B to A; None where there is none, `words` says why.
        low, high: ends of its 95 % interval; None where the spread of neither side is known.
        p: of the test; None where there was no test.
        effect: faster, slower, same or undecided; None where nothing can be said.
        rounds: B to A in each round of a paired measurement.
    """

    cell: str
    cell_b: str
    metric: str
    unit: str
    a: Figure | None
    b: Figure | None
    ratio: float | None
    low: float | None
    high: float | None
    paired: bool
    p: float | None
    effect: str | None
    words: str
    rounds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Difference:
    """Something of the environment that is not the same; None is `not there`."""

    what: str
    a: str | None
    b: str | None


@dataclass(frozen=True)
class Compared:
    """Everything that a comparison found.

    Attributes:
        only_a, only_b: cells that the other side does not have, with the reason where one failed.
        unknown: facts of the environment that one side does not tell, so that they were not compared.
        notes: what else a reader must know.
    """

    a: Side
    b: Side
    rows: tuple[Row, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    differences: tuple[Difference, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    def as_data(self) -> dict[str, Any]:
        """The comparison for --json."""
        return {
            **{
                key: {"given": side.given, "is": side.title, "folders": [str(path) for path in side.folders]}
                for key, side in (("a", self.a), ("b", self.b))
            },
            "cells": [asdict(row) for row in self.rows],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "environment": [asdict(difference) for difference in self.differences],
            "not_known": list(self.unknown),
            "notes": list(self.notes),
        }


def compare_sides(a: Side, b: Side, cells: Sequence[str] = ()) -> Compared:
    """Compares every cell that both sides have.

    Args:
        cells: only cells whose id holds one of these texts.

    Raises:
        RecipegenError: there is nothing that both have; says what each has.
    """
    pairs, only_a, only_b = _matched(a, b)
    if cells:
        pairs = [(x, y) for x, y in pairs if any(text in x.id or text in y.id for text in cells)]
        only_a = [cell for cell in only_a if any(text in cell.id for text in cells)]
        only_b = [cell for cell in only_b if any(text in cell.id for text in cells)]
    rows = [row for x, y in pairs for row in _rows(a, b, x, y)]
    if not rows:
        raise RecipegenError(
            f"{a.given} and {b.given} have no cell in common{' that --cell names' if cells else ''}",
            hint=f"A has {_names(a)}; B has {_names(b)}",
        )
    differences, unknown = _environment(a, b, pairs)
    return Compared(
        a,
        b,
        tuple(rows),
        tuple(map(_alone, only_a)),
        tuple(map(_alone, only_b)),
        tuple(differences),
        tuple(unknown),
        tuple(_notes(a, b, pairs, rows)),
    )


def _names(side: Side) -> str:
    return ", ".join(map(_alone, side.cells)) or "none"


def _alone(cell: SideCell) -> str:
    return cell.id if cell.failed is None else f"{cell.id} (failed: {cell.failed[:120]})"


_Pairs = list[tuple[SideCell, SideCell]]


def _matched(a: Side, b: Side) -> tuple[_Pairs, list[SideCell], list[SideCell]]:
    """Cells that measure the same, and those of either side that the other does not have."""
    left = [cell for cell in a.cells if cell.failed is None]
    right = [cell for cell in b.cells if cell.failed is None]
    pairs = [(x, y) for x in left for y in _partners(x, right) if x in _partners(y, left)]
    only_a = [cell for cell in a.cells if not any(cell is x for x, _ in pairs)]
    only_b = [cell for cell in b.cells if not any(cell is y for _, y in pairs)]
    return pairs, only_a, only_b


def _partners(cell: SideCell, others: Sequence[SideCell]) -> list[SideCell]:
    """Cells of the same shape and mode; of those, the ones on the same text where the texts can be told apart."""
    found = [other for other in others if other.shape == cell.shape and _same_mode(cell, other)]
    same = [other for other in found if other.corpus == cell.corpus]
    return same or [other for other in found if _loose(cell) or _loose(other)]


def _loose(cell: SideCell) -> bool:
    """A raw report does not name its text, and a published figure's text has a name of its own."""
    return cell.corpus is None or bool(cell.published)


def _same_mode(a: SideCell, b: SideCell) -> bool:
    if a.thinking is None or b.thinking is None or a.thinking == b.thinking:
        return True
    # What the model does by default, the recipe's cell does not say, and a publisher may.
    return bool(a.published or b.published) and "default" in (a.thinking, b.thinking)


def _rows(a: Side, b: Side, x: SideCell, y: SideCell) -> Iterator[Row]:
    for metric in METRICS:
        one, two = _figure(x, metric), _figure(y, metric)
        if one is None and two is None:
            continue
        if one is None or two is None:
            if not (x.published or y.published):
                yield _row(x, y, metric, one, two, words=f"{'A' if one is None else 'B'} has no sample of it")
            continue
        try:
            yield _compared(a, b, x, y, metric, one, two)
        except ValueError as error:
            yield _row(x, y, metric, one, two, words=f"cannot be compared: {error}")


def _figure(cell: SideCell, metric: str) -> Figure | None:
    if metric in cell.published:
        figure = cell.published[metric]
        return Figure(figure.value, figure.n, stat=figure.stat)
    samples = cell.samples(metric)
    if not samples:
        return None
    found = describe(samples, drop_first=False)
    return Figure(found.median, found.n, found.low, found.high)


def _row(x: SideCell, y: SideCell, metric: str, a: Figure | None, b: Figure | None, **found: Any) -> Row:
    empty: dict[str, Any] = {
        "ratio": None,
        "low": None,
        "high": None,
        "paired": False,
        "p": None,
        "effect": None,
    }
    return Row(x.id, y.id, metric, UNITS[metric], a, b, **{**empty, **found})


def _compared(a: Side, b: Side, x: SideCell, y: SideCell, metric: str, one: Figure, two: Figure) -> Row:
    better = _BETTER[metric]
    if x.published and y.published:
        words = "two published figures: the spread of neither is known"
        return _row(x, y, metric, one, two, ratio=two.median / one.median, words=words)
    if x.published or y.published:
        measured, figure = (y, one) if x.published else (x, two)
        known = against_figure(measured.samples(metric), figure.median, drop_first=False, better=better)
        ratio, low, high = known.ratio, known.low, known.high
        if y.published:  # B to A is the published figure over the measured one
            ratio, low, high = 1 / ratio, 1 / high, 1 / low
        other = "; the published figure is a mean, the measured one a median" if figure.stat == "mean" else ""
        return _row(x, y, metric, one, two, ratio=ratio, low=low, high=high, words=known.words + other)
    turns = _turns(a, b, x, y, metric)
    first = [value for turn, _ in turns for value in turn] or x.samples(metric)
    second = [value for _, turn in turns for value in turn] or y.samples(metric)
    found = compare(first, second, paired=bool(turns), drop_first=False, better=better)
    return _row(
        x,
        y,
        metric,
        one,
        two,
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        paired=found.paired,
        p=found.p,
        effect=found.effect,
        words=found.words,
        rounds=tuple(statistics.median(turn_b) / statistics.median(turn_a) for turn_a, turn_b in turns),
    )


def _turns(a: Side, b: Side, x: SideCell, y: SideCell, metric: str) -> list[tuple[Sequence[float], Sequence[float]]]:
    """Samples of the rounds that both sides of a paired measurement have; none where they are no pairs.

    The n-th sample of a round belongs to the n-th of the other side's. A round that lost samples has lost that order,
    and then nothing is paired.
    """
    if a.pair is None or a.pair != b.pair:
        return []
    left = {part.round: part.samples.get(metric, ()) for part in x.parts if part.round is not None}
    right = {part.round: part.samples.get(metric, ()) for part in y.parts if part.round is not None}
    turns = [(left[turn], right[turn]) for turn in sorted(left.keys() & right.keys())]
    return turns if all(turn_a and len(turn_a) == len(turn_b) for turn_a, turn_b in turns) else []


def _notes(a: Side, b: Side, pairs: _Pairs, rows: Sequence[Row]) -> Iterator[str]:
    paired = [row for row in rows if row.paired]
    if a.folders and a.folders == b.folders:
        yield "A and B are the very same measurement"
    if paired:
        count = max(len(row.rounds) for row in paired)
        yield f"paired: A and B were measured in turn, {count} {'round' if count == 1 else 'rounds'}"
        split = [row for row in paired if min(row.rounds) < 1 < max(row.rounds) and row.effect in ("faster", "slower")]
        for row in split:
            ratios = ", ".join(f"{ratio:.3f}" for ratio in row.rounds)
            yield f"{row.cell} {row.metric}: the rounds do not agree on which is faster (B to A: {ratios})"
    starts = min(len(a.folders), len(b.folders))
    if a.argv is not None and b.argv is not None and starts < STARTS:
        often = "once" if starts == 1 else f"{starts} times"
        yield f"each server was started {often}: what differs from one start to the next, the interval hardly holds"
    if a.pair is not None and a.pair == b.pair and len(paired) < len(rows):
        yield "measured in turn, but not all rows are pairs: rounds or samples are missing, so those are not paired"
    if any(x.corpus is None or y.corpus is None for x, y in pairs if not (x.published or y.published)):
        yield "a raw report does not say which text it was measured on, nor in which thinking mode"
    if any(x.published or y.published for x, y in pairs):
        yield "published figures were made elsewhere; `cell` says under which conditions, as far as they are known"


def _environment(a: Side, b: Side, pairs: _Pairs) -> tuple[list[Difference], list[str]]:
    if a.is_published or b.is_published:
        return [], ["the environment of published figures"]
    differences: list[Difference] = []
    untold: dict[str, list[str]] = {"A": [], "B": []}
    for what in dict.fromkeys((*a.facts, *b.facts)):
        one, two = a.facts.get(what), b.facts.get(what)
        if one is not None and two is not None and one != two:
            differences.append(Difference(what, one, two))
        if (one is None) != (two is None):
            untold["A" if one is None else "B"].append(what)
    for name, side in (("A", a), ("B", b)):
        if side.argv is None:
            untold[name].append("the server's flags")
    if a.argv is not None and b.argv is not None:
        differences += _differing("flag", arguments(a.argv), arguments(b.argv))
        differences += _differing("variable", a.env or {}, b.env or {})
    for x, y in pairs:
        if x.corpus_sha256 and y.corpus_sha256 and x.corpus_sha256 != y.corpus_sha256:
            differences.append(Difference(f"text {x.corpus}", x.corpus_sha256[:16], y.corpus_sha256[:16]))
        if x.tool and y.tool:
            differences += _differing("llama-benchy", _tool(x.tool), _tool(y.tool))
    return list(dict.fromkeys(differences)), [
        f"of {name}: {', '.join(facts)}" for name, facts in untold.items() if facts
    ]


def _differing(kind: str, a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys((*a, *b)):
        if a.get(name) != b.get(name):
            yield Difference(f"{kind} {name}", a.get(name), b.get(name))


def _tool(argv: Sequence[str]) -> dict[str, str]:
    return {name: value for name, value in arguments(argv).items() if name not in _SAID_ELSEWHERE}


def arguments(argv: Sequence[str]) -> dict[str, str]:
    """A command line as flags and their values; words before the first flag stand under `command`.

    A switch has the value "set"; a flag that is given twice has both values.
    """
    found: dict[str, list[str]] = {"command": []}
    name = "command"
    for word in argv:
        if re.fullmatch(r"--?[A-Za-z].*", word, re.DOTALL):
            name, equals, value = word.partition("=")
            found.setdefault(name, [])
            if equals:
                found[name].append(value)
        else:
            found[name].append(word)
    return {name: " ".join(values) or "set" for name, values in found.items() if values or name != "command"}
