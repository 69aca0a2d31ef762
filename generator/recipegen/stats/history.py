"""Runs of one server over time: whether a change moved a figure, and how sure that is. Owns no files.

A run is one start of a server, and the samples of one start share what that start brought with it (stats.rounds). So a
run counts once, by the logarithm of its median. How far two starts of one server lie apart is learned from the runs
between which nothing changed, of the whole series together; each change is held against that scatter.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from recipegen.stats.compare import SIGNIFICANT, Better
from recipegen.stats.summary import DRIFT_CHANGE, DRIFT_P, LEAST, WIDE, finite, kendall, quantile

Mark = Literal["gain", "regression", "none", "undecided"]

MATTERS = WIDE
"""Smallest change that matters, as a share: the width from which on a single figure is called wide. A change is marked
when it is as large at the least, and "none" is said when all of its interval is smaller."""

LEAST_FREE = 3
"""Residual degrees of freedom from which on anything is said. Student's t is exact from one on where starts scatter
normally. Where a start is either good or bad, runs of the same kind come together by chance and look certain: with
two degrees in one series of eight, with three in one of 16, with four, which three runs on either side give, in one
of 32 (each start good or bad with probability one half)."""

MOST_MORE = 10
"""Most further runs that are proposed."""

OUTLIER_P = 0.01
"""Of the outlier test, after Bonferroni: one steady series of a hundred is said to hold one."""

_LARGEST_LOG = 700.0
"""exp() of more is no float any more."""


@dataclass(frozen=True)
class Change:
    """From one group of runs to the next.

    Attributes:
        before, after: runs on either side.
        ratio: geometric mean of the medians after, over that before.
        low, high: its 95 % interval, Student's t on the pooled scatter; None where no group has two runs.
        p: two-sided, corrected by Holm for the changes of the series; None likewise.
        size: the ratio in words: `+8.4 % (+6.1 to +10.8 %)`.
        verdict: the mark in words, and for "undecided" what to measure.
    """

    before: int
    after: int
    ratio: float
    low: float | None
    high: float | None
    p: float | None
    mark: Mark
    size: str
    verdict: str


@dataclass(frozen=True)
class Judged:
    """A series of groups.

    Attributes:
        changes: one fewer than there are groups.
        scatter: standard deviation of the medians' logarithms within groups, pooled: 0.012 is 1.2 % from one start to
            the next; None where no group has two runs.
        free: its degrees of freedom: runs less groups.
    """

    changes: tuple[Change, ...]
    scatter: float | None
    free: int


@dataclass(frozen=True)
class Outlier:
    """A run that lies apart from the others of its group.

    Attributes:
        group, run: places in what was given.
        times: its median over the geometric mean of the others.
    """

    group: int
    run: int
    times: float


def judge_changes(groups: Sequence[Sequence[float]], *, better: Better = "higher") -> Judged:
    """Tests every change of a series.

    Args:
        groups: medians of runs, oldest first; the runs of one group were measured with nothing changed.
        better: "higher" for throughputs, "lower" for times.

    Raises:
        ValueError: for no groups, an empty one, or a median that is not finite or not above zero.
    """
    logs = _logs(groups)
    means = [statistics.fmean(group) for group in logs]
    scatter, free = _scatter(logs, means)
    counts = [len(group) for group in logs]
    differences = [after - before for before, after in pairwise(means)]
    sides = list(pairwise(counts))
    if scatter is None:
        return Judged(tuple(map(_untold, differences, sides)), None, free)
    errors = [scatter * math.sqrt(1 / before + 1 / after) for before, after in sides]
    adjusted = holm([_p(*pair, free) for pair in zip(differences, errors, strict=True)])
    found = zip(differences, sides, errors, adjusted, strict=True)
    changes = [_change(*one, scatter, free, better) for one in found]
    return Judged(tuple(changes), scatter, free)


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for how many there are (Holm, Scand. J. Statist. 6, 1979), in the order given."""
    adjusted = [0.0] * len(values)
    least = 0.0
    for rank, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        least = max(least, min(1.0, (len(values) - rank) * values[at]))
        adjusted[at] = least
    return adjusted


def outliers(groups: Sequence[Sequence[float]]) -> list[Outlier]:
    """Runs that do not belong to their group, by the largest externally studentized residual.

    The test of Cook and Weisberg (Residuals and Influence in Regression, 1982, 2.2.2), corrected by Bonferroni for the
    runs that were looked at. A group of two cannot tell which of them is meant, and is not looked at.

    Raises:
        ValueError: as in `judge_changes`.
    """
    from scipy.special import stdtr

    logs = _logs(groups)
    means = [statistics.fmean(group) for group in logs]
    scatter, free = _scatter(logs, means)
    looked = [(at, run) for at, group in enumerate(logs) if len(group) > 2 for run in range(len(group))]
    if not looked or not scatter or free - 1 < LEAST_FREE:
        return []
    found = []
    for at, run in looked:
        count = len(logs[at])
        away = logs[at][run] - means[at]
        inside = away / (scatter * math.sqrt(1 - 1 / count))
        rest = free - inside**2  # of the residual sum of squares, what is left without this run
        t = abs(inside) * math.sqrt((free - 1) / rest) if rest > 0 else math.inf
        if 2 * float(stdtr(free - 1, -t)) * len(looked) < OUTLIER_P:
            found.append(Outlier(at, run, _exp(away * count / (count - 1))))
    return found


def drifts(groups: Sequence[Sequence[float]]) -> Iterator[tuple[int, float]]:
    """Groups that drift, with how many times as large the last third of their medians is as the first.

    The rule and the limits of a cell's samples (stats.summary), and like there nothing is said of fewer than eight.
    """
    for at, group in enumerate(groups):
        third = len(group) // 3
        if len(group) < LEAST:
            continue
        first, last = (quantile(sorted(part), 0.5) for part in (group[:third], group[-third:]))
        if abs(last / first - 1) > DRIFT_CHANGE and kendall(group)[1] < DRIFT_P:
            yield at, last / first


def percent(ratio: float) -> str:
    """A ratio as a change: `+8.4 %`."""
    change = (ratio - 1) * 100
    shown = f"{change:+.1f}" if abs(change) < 1000 else f"{change:+.0f}"
    return f"{shown.replace('-', '−')} %"


def _logs(groups: Sequence[Sequence[float]]) -> list[list[float]]:
    if not groups:
        raise ValueError("no groups")
    found = [finite(group) for group in groups]
    if any(value <= 0 for group in found for value in group):
        raise ValueError("a median is not above zero, so that it has no ratio")
    return [[math.log(value) for value in group] for group in found]


def _scatter(logs: Sequence[Sequence[float]], means: Sequence[float]) -> tuple[float | None, int]:
    """Pooled standard deviation within groups, and its degrees of freedom."""
    free = sum(map(len, logs)) - len(logs)
    if free == 0:
        return None, 0
    squares = [(value - mean) ** 2 for group, mean in zip(logs, means, strict=True) for value in group]
    return math.sqrt(math.fsum(squares) / free), free


def _p(difference: float, error: float, free: int) -> float:
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return 2 * float(stdtr(free, -abs(difference) / error))


def _half(error: float, free: int) -> float:
    """Half of the 95 % interval."""
    from scipy.special import stdtrit

    return float(stdtrit(free, 0.975)) * error


def _exp(log: float) -> float:
    return math.exp(max(-_LARGEST_LOG, min(log, _LARGEST_LOG)))


def _untold(difference: float, sides: tuple[int, int]) -> Change:
    """A change of a series in which no group has two runs."""
    ratio = _exp(difference)
    return Change(*sides, ratio, None, None, None, "undecided", percent(ratio), _too_few(sides, 0))


def _change(
    difference: float,
    sides: tuple[int, int],
    error: float,
    p: float,
    scatter: float,
    free: int,
    better: Better,
) -> Change:
    half = _half(error, free)
    ratio, low, high = (_exp(log) for log in (difference, difference - half, difference + half))
    size = f"{percent(ratio)} ({percent(low).removesuffix(' %')} to {percent(high)})"
    mark: Mark = "undecided"
    if free < LEAST_FREE:
        verdict = _too_few(sides, free)
    elif p < SIGNIFICANT and _matters(difference):
        mark = "gain" if (difference > 0) == (better == "higher") else "regression"
        verdict = mark
    elif abs(difference) + half <= math.log1p(MATTERS):
        mark, verdict = "none", f"no change of {MATTERS * 100:.0f} % or more"
    else:
        verdict = f"undecided: {_advice(abs(difference), scatter, sides, free)}"
    return Change(*sides, ratio, low, high, p, mark, size, verdict)


def _matters(difference: float) -> bool:
    """Whether a change is as large as MATTERS, up or down: +2 % and its inverse, −1.96 %."""
    return abs(difference) >= math.log1p(MATTERS)


def _too_few(sides: tuple[int, int], free: int) -> str:
    starts = "one start" if max(sides) == 1 else f"{sides[0]} and {sides[1]} starts"
    more = LEAST_FREE - free
    return (
        f"undecided: {starts} on either side cannot tell how far two starts of one server lie apart; {more} more "
        f"run{'s' * (more > 1)} with nothing changed at the least, better 3 on either side"
    )


def _advice(away: float, scatter: float, sides: tuple[int, int], free: int) -> str:
    """How many further runs would decide it, were change and scatter to stay what they look like now."""
    before, after = sides
    for more in range(1, MOST_MORE + 1):
        said = "run" if more == 1 else "runs"
        if _decides(away, scatter, (before, after + more), free + more):
            return f"about {more} more {said} of the newer would decide it"
        if _decides(away, scatter, (before + more, after + more), free + 2 * more):
            return f"about {more} more {said} of either would decide it"
    return f"over {MOST_MORE} more runs of either would be needed, as far as starts scatter ({scatter * 100:.1f} %)"


def _decides(away: float, scatter: float, sides: tuple[int, int], free: int) -> bool:
    half = _half(scatter * math.sqrt(1 / sides[0] + 1 / sides[1]), free)
    return (_matters(away) and away > half) or away + half <= math.log1p(MATTERS)
