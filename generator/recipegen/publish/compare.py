"""A beside B, cell by cell: ratio, interval, words, and what else differs. Owns no finding of sides and no printing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from recipegen.errors import RecipegenError
from recipegen.publish.figures import METRICS, UNITS
from recipegen.publish.sides import Side, SideCell
from recipegen.stats.compare import Better, against_figure, compare
from recipegen.stats.rounds import compare_rounds
from recipegen.stats.summary import describe

BETTER: Mapping[str, Better] = {"tg": "higher", "pp": "higher", "ttfr": "lower", "ttft": "lower", "tg_req": "higher"}
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
        low, high: ends of its 95 % interval; None where the spread of neither side is known, or of one round only.
        paired: whether the rounds of a measurement in turn were compared, each as one.
        p: of the test; None where there was no test.
        effect: faster, slower, same or undecided; None where nothing can be said.
        rounds: B to A in each round of a paired measurement: of the medians.
        within: what the samples of each round say of it, for description: ends of the 95 % interval of the ratio, pair
            by pair where both have as many. It holds nothing of what differs from one start to the next.
        doubts: why a figure of either side may not be one: `B: quality fail`, `A: too-fast`.
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
    within: tuple[tuple[float, float], ...] = ()
    doubts: tuple[str, ...] = ()


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
                key: {
                    "given": side.given,
                    "is": side.title,
                    "folders": [str(path) for path in side.folders],
                    "quality": side.quality,
                    "quality_faults": list(side.quality_faults),
                }
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
            yield _doubted(_compared(a, b, x, y, metric, one, two), _doubts(a, b, x, y))
        except ValueError as error:
            yield _row(x, y, metric, one, two, words=f"cannot be compared: {error}")


def _doubts(a: Side, b: Side, x: SideCell, y: SideCell) -> list[str]:
    """Why the figures of a cell may be none, in a word each."""
    sides = (("A", a, x), ("B", b, y))
    wrong = [f"{name}: quality fail" for name, side, _ in sides if side.quality == "fail"]
    return wrong + [f"{name}: {doubt.partition(':')[0]}" for name, _, cell in sides for doubt in cell.doubts]


def _doubted(row: Row, doubts: list[str]) -> Row:
    return replace(row, doubts=tuple(doubts), words=f"{row.words}; in doubt, {', '.join(doubts)}") if doubts else row


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
    better = BETTER[metric]
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
    if turns:
        rounds = compare_rounds(turns, better=better)
        found: dict[str, Any] = {key: value for key, value in vars(rounds).items() if key != "ratios"}
        within = tuple(_within(*turn) for turn in turns)
        return _row(x, y, metric, one, two, paired=True, rounds=rounds.ratios, within=within, **found)
    samples = compare(x.samples(metric), y.samples(metric), drop_first=False, better=better)
    told = ("ratio", "low", "high", "p", "effect", "words")
    return _row(x, y, metric, one, two, **{key: getattr(samples, key) for key in told})


def _within(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    found = compare(a, b, paired=len(a) == len(b), drop_first=False)
    return found.low, found.high


def _turns(a: Side, b: Side, x: SideCell, y: SideCell, metric: str) -> list[tuple[Sequence[float], Sequence[float]]]:
    """Samples of the rounds that both sides of a paired measurement have; none where they are no pairs."""
    if a.pair is None or a.pair != b.pair:
        return []
    left = {part.round: part.samples.get(metric, ()) for part in x.parts if part.round is not None}
    right = {part.round: part.samples.get(metric, ()) for part in y.parts if part.round is not None}
    turns = [(left[turn], right[turn]) for turn in sorted(left.keys() & right.keys())]
    return [(turn_a, turn_b) for turn_a, turn_b in turns if turn_a and turn_b]


def _notes(a: Side, b: Side, pairs: _Pairs, rows: Sequence[Row]) -> Iterator[str]:
    yield from _in_doubt(a, b, pairs)
    if a.folders and a.folders == b.folders:
        yield "A and B are the very same measurement"
    paired = [row for row in rows if row.paired]
    if paired:
        counts = sorted({len(row.rounds) for row in paired})
        count = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        said = "1 round" if counts == [1] else f"{count} rounds"
        yield f"paired: A and B were measured in turn, {said}; each round counts once, however many samples it has"
        split = [row for row in paired if min(row.rounds) < 1 < max(row.rounds) and row.effect in ("faster", "slower")]
        for row in split:
            ratios = ", ".join(f"{ratio:.3f}" for ratio in row.rounds)
            yield f"{row.cell} {row.metric}: the rounds do not agree on which is faster (B to A: {ratios})"
    elif a.argv is not None and b.argv is not None:
        starts = min(len(a.folders), len(b.folders))
        often = "once" if starts == 1 else f"{starts} times"
        yield (
            f"each server was started {often}, and the interval is of the samples alone: what differs from one start "
            "to the next it does not hold; `recipegen bench --ab` measures that"
        )
    if a.pair is not None and a.pair == b.pair:
        yield from _left_out(a, b, rows)
    if any(x.corpus is None or y.corpus is None for x, y in pairs if not (x.published or y.published)):
        yield "a raw report does not say which text it was measured on, nor in which thinking mode"
    if any(x.published or y.published for x, y in pairs):
        yield "published figures were made elsewhere; `cell` says under which conditions, as far as they are known"


def _in_doubt(a: Side, b: Side, pairs: _Pairs) -> Iterator[str]:
    """What speaks against the figures themselves; a fast server that answers nonsense is not fast."""
    for name, side in (("A", a), ("B", b)):
        if side.quality in ("warn", "fail"):
            said = "did not answer rightly" if side.quality == "fail" else "did not pass everything that it was asked"
            yield f"{name}'s server {said} (quality {side.quality}): {'; '.join(side.quality_faults)}"
    for name, cells in (("A", [x for x, _ in pairs]), ("B", [y for _, y in pairs])):
        for cell in {cell.id: cell for cell in cells}.values():
            yield from (f"{cell.id} of {name} is {doubt}" for doubt in cell.doubts)


def _left_out(a: Side, b: Side, rows: Sequence[Row]) -> Iterator[str]:
    most = max(len(a.folders), len(b.folders))
    short = [row for row in rows if row.ratio is not None and len(row.rounds) < most]
    if short:
        names = ", ".join(dict.fromkeys(row.cell for row in short))
        yield f"rounds that one of the two lacks are left out, in {names}: {most} were begun"


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
        differences += differing("flag", arguments(a.argv), arguments(b.argv))
        differences += differing("variable", a.env or {}, b.env or {})
    for x, y in pairs:
        if x.corpus_sha256 and y.corpus_sha256 and x.corpus_sha256 != y.corpus_sha256:
            differences.append(Difference(f"text {x.corpus}", x.corpus_sha256[:16], y.corpus_sha256[:16]))
        if x.tool and y.tool:
            differences += differing("llama-benchy", tool_flags(x.tool), tool_flags(y.tool))
    return list(dict.fromkeys(differences)), [
        f"of {name}: {', '.join(facts)}" for name, facts in untold.items() if facts
    ]


def differing(kind: str, a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[Difference]:
    """What is not the same in two mappings: flags, variables."""
    for name in dict.fromkeys((*a, *b)):
        if a.get(name) != b.get(name):
            yield Difference(f"{kind} {name}", a.get(name), b.get(name))


def tool_flags(argv: Sequence[str]) -> dict[str, str]:
    """llama-benchy's arguments that no fact and no cell tells."""
    return {name: value for name, value in arguments(argv).items() if name not in _SAID_ELSEWHERE}


_FLAG = re.compile("--?[A-Za-z]")


def arguments(argv: Sequence[str]) -> dict[str, str]:
    """A command line as flags and their values; words before the first flag stand under `command`.

    A switch has the value "set"; a flag that is given twice has both values.
    """
    found: dict[str, list[str]] = {"command": []}
    name = "command"
    for word in argv:
        if _FLAG.match(word):
            name, equals, value = word.partition("=")
            found.setdefault(name, [])
            if equals:
                found[name].append(value)
        else:
            found[name].append(word)
    return {name: " ".join(values) or "set" for name, values in found.items() if values or name != "command"}
