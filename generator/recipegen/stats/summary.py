"""What the samples of one metric come to, how sure that is, and what is odd about them. Owns no files."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import sub
from typing import Literal

from recipegen.stats import WARM_RULE, summarize, warm
from recipegen.stats.bootstrap import CONFIDENCE, median_interval

FEW = 10
"""Below this many samples the interval is no 95 % interval. It can only use the samples' own values, and those
of n samples enclose the median with a probability of 1 - 2^(1-n) at best: 75 % for three, 94 % for five. From
ten on it holds the median in 90 to 96 of 100 measurements (binomial), whatever the distribution."""

WIDE = 0.02
"""Half of the interval over the median. A chosen limit: differences of a few per cent are what variants, engine
versions and rows of a table are told apart by, and a wider interval tells none of them apart."""

DRIFT_P = 0.01
"""Kendall's tau of the samples against their order. One in a hundred steady cells is taken for a drifting one
by this alone; DRIFT_CHANGE is asked for as well."""

DRIFT_CHANGE = 0.03
"""Change of the median from the first third to the last one, over the first. The GPU's clocks fall by
about a per cent as a box warms up, which is true of every cell and no fault."""

LEAST = 8
"""Samples below which nothing is said on drift: tau's distribution is not near a normal one yet, and thirds hold
less than two samples."""

GROUPS_D = 5.0
"""Ashman's D, the distance of two groups' means in units of their common spread (Ashman, Bird and Zepf, AJ 108,
1994, call them apart above 2). Splitting one group in two where it fits best gives 2.7 for a normal
distribution and 3.5 for an even one, so that the limit must lie above these."""

GROUPS_SHARE = 0.15
"""Least share of either group: fewer are outliers, which the median does not mind."""

GROUPS_LEAST = 4
"""Least samples of either group, so that eight is the least for both. Two or three that lie close to each other
by chance look like a group: of ten samples of one normal distribution, 5 in 100 cells would be taken for two
groups at two, 1 in 100 at four (simulated)."""

GROUPS_GAP = 0.05
"""Least gap between the groups over the median: below it the two centres are the same figure for a reader."""

Code = Literal["few-samples", "wide-interval", "drift", "two-groups"]


@dataclass(frozen=True)
class Warning_:
    """Why a figure must be read with care.

    Attributes:
        text: one sentence with the numbers, in the metric's own unit.
    """

    code: Code
    text: str


@dataclass(frozen=True)
class Described:
    """What the samples of one metric come to, in the metric's own unit (tok/s or ms).

    Attributes:
        n: samples that count.
        dropped: samples left out; they stay in the raw report.
        dropped_rule: why they were left out; empty where none was.
        std: population standard deviation, as llama-benchy's own (numpy.std).
        q1: lower quartile, between the two nearest samples in proportion (numpy's "linear").
        q3: upper quartile.
        low: lower end of the median's bootstrap interval (95 %).
        high: upper end.
    """

    n: int
    dropped: int
    dropped_rule: str
    median: float
    mean: float
    std: float
    q1: float
    q3: float
    minimum: float
    maximum: float
    low: float
    high: float
    warnings: tuple[Warning_, ...]


def describe(values: Sequence[float], *, drop_first: bool = True) -> Described:
    """Statistics of one metric's samples, with its warnings.

    Args:
        values: samples in the order in which they were measured.
        drop_first: apply WARM_RULE; False keeps every sample.

    Raises:
        ValueError: for no samples, or one that is no finite number.
    """
    samples = finite(values)
    kept, dropped = warm(samples) if drop_first else (samples, [])
    summary = summarize(kept, drop_first=False)
    ordered = sorted(kept)
    low, high = median_interval(ordered)
    found = (
        _few(ordered, low, high),
        _wide(summary.median, low, high),
        _drift(kept),
        _groups(ordered, summary.median),
    )
    return Described(
        n=summary.n,
        dropped=len(dropped),
        dropped_rule=WARM_RULE if dropped else "",
        median=summary.median,
        mean=summary.mean,
        std=summary.std,
        q1=quantile(ordered, 0.25),
        q3=quantile(ordered, 0.75),
        minimum=ordered[0],
        maximum=ordered[-1],
        low=low,
        high=high,
        warnings=tuple(warning for warning in found if warning is not None),
    )


def finite(values: Sequence[float]) -> list[float]:
    """The samples as floats.

    Raises:
        ValueError: for none, or one that is no finite number.
    """
    try:
        samples = [float(value) for value in values]
    except (TypeError, OverflowError) as error:
        raise ValueError("a sample is not a number") from error
    if not samples:
        raise ValueError("no samples")
    if not all(map(math.isfinite, samples)):
        raise ValueError("a sample is not a finite number")
    return samples


def quantile(ordered: Sequence[float], share: float) -> float:
    """Value below which a share of the ordered samples lies: numpy.quantile's "linear", Hyndman and Fan's 7."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def figure(value: float) -> str:
    """A figure of a text: two decimals, as tables show tok/s; none from a thousand on."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.2f}"


def _few(ordered: list[float], low: float, high: float) -> Warning_ | None:
    n = len(ordered)
    if n >= FEW:
        return None
    if n == 1:
        return Warning_(
            "few-samples", "a single sample: it has no interval, and nothing says how far the next one lies"
        )
    # The true median lies within two order statistics when neither too many nor too few samples lie below it,
    # and each of them lies below it with probability one half.
    first, last = bisect_left(ordered, low), bisect_right(ordered, high) - 1
    holds = sum(math.comb(n, below) for below in range(first + 1, last + 1)) / 2**n
    whole = "is their smallest and largest one and " if (low, high) == (ordered[0], ordered[-1]) else ""
    return Warning_(
        "few-samples",
        f"only {n} samples: the interval {figure(low)} to {figure(high)} {whole}holds the true median in "
        f"{math.floor(holds * 100)} of 100 such measurements at least, where {CONFIDENCE * 100:.0f} are meant; "
        f"{FEW} samples or more are needed",
    )


def _wide(median: float, low: float, high: float) -> Warning_ | None:
    half = (high - low) / 2
    if half <= WIDE * abs(median):
        return None
    share = f" ({half / abs(median) * 100:.0f} %)" if median else ""
    return Warning_(
        "wide-interval",
        f"the interval {figure(low)} to {figure(high)} does not carry {figure(median)}: "
        f"give or take {figure(half)}{share}",
    )


def _drift(kept: list[float]) -> Warning_ | None:
    n = len(kept)
    if n < LEAST:
        return None
    third = n // 3
    first, last = quantile(sorted(kept[:third]), 0.5), quantile(sorted(kept[-third:]), 0.5)
    # The cheap condition first: most cells end here.
    if abs(last - first) <= DRIFT_CHANGE * abs(first) or kendall(kept)[1] >= DRIFT_P:
        return None
    change = f" by {abs(last - first) / abs(first) * 100:.1f} %" if first else ""
    return Warning_(
        "drift",
        f"the samples {'rise' if last > first else 'fall'}{change} while the cell runs: the median of the first "
        f"third is {figure(first)}, of the last third {figure(last)}",
    )


def kendall(kept: Sequence[float]) -> tuple[float, float]:
    """Kendall's tau-b of the samples against their order, and its two-sided p.

    The p is that of the normal approximation with the variance for ties (Kendall, Rank Correlation Methods,
    section 4); samples that are all equal have no order: tau 0, p 1.
    """
    n, score = len(kept), 0
    seen: list[float] = []
    for value in kept:
        score += bisect_left(seen, value) - (len(seen) - bisect_right(seen, value))
        insort(seen, value)
    ties = [count for count in Counter(seen).values() if count > 1]
    pairs = n * (n - 1) / 2
    untied = pairs - sum(count * (count - 1) / 2 for count in ties)
    variance = (n * (n - 1) * (2 * n + 5) - sum(count * (count - 1) * (2 * count + 5) for count in ties)) / 18
    if untied == 0 or variance <= 0:
        return 0.0, 1.0
    return score / math.sqrt(pairs * untied), math.erfc(abs(score) / math.sqrt(2 * variance))


def _groups(ordered: list[float], median: float) -> Warning_ | None:
    """Splits where the groups' own spread is least (Otsu, IEEE Trans. SMC 9, 1979) and asks how far apart they lie."""
    n = len(ordered)
    least = max(GROUPS_LEAST, math.ceil(GROUPS_SHARE * n))
    if n < 2 * least:
        return None
    # The cheap condition first: most cells have no gap anywhere that could lie between two groups.
    gap = GROUPS_GAP * abs(median)
    if max(map(sub, ordered[least : n - least + 1], ordered[least - 1 : n - least])) <= gap:
        return None
    # Otsu: the spread within is least where the spread between is largest. Sums are of distances from the
    # median, so that large figures with small differences keep their digits.
    total = sum(value - median for value in ordered)
    at, best, below = 0, -1.0, 0.0
    for size in range(1, n - least + 1):
        below += ordered[size - 1] - median
        if size >= least:
            between = (below / size - (total - below) / (n - size)) ** 2 * size * (n - size)
            if between > best:
                at, best = size, between
    if ordered[at] - ordered[at - 1] <= gap:
        return None
    lower, upper = ordered[:at], ordered[at:]
    one, two = summarize(lower, drop_first=False), summarize(upper, drop_first=False)
    # Of few samples the population's formula gives too small a spread.
    spread = math.hypot(one.std * math.sqrt(one.n / (one.n - 1)), two.std * math.sqrt(two.n / (two.n - 1)))
    if math.sqrt(2) * (two.mean - one.mean) <= GROUPS_D * spread:
        return None
    return Warning_(
        "two-groups",
        f"the samples come in two groups: {len(lower)} around {figure(one.median)} and {len(upper)} around "
        f"{figure(two.median)}; the median {figure(median)} says which group is larger, not how fast it is",
    )
