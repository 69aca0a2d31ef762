"""Bootstrap intervals of medians and of their ratios, without drawing. Owns no warnings and no wording.

A bootstrap draws n of the n samples, with repetition, thousands of times, and takes each draw's median. That
median is always one of the samples, or the middle of two; with which probability it is which depends on n alone
(Hutson and Ernst, "The exact bootstrap mean and variance of an L-estimator", J. R. Statist. Soc. B 62, 2000).
So the probabilities are computed once for each n, and an interval is what infinitely many draws would give: no
seed, the same digits on every machine, microseconds instead of milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

CONFIDENCE = 0.95
"""What an interval claims: the usual 95 %."""

_TAIL = (1 - CONFIDENCE) / 2
_NEGLIGIBLE = 1e-7
"""Probabilities below it are left out: together they are less than a thousandth of a tail."""
_POINTS = 256
"""Points of equal probability that stand for a distribution of more: a ratio combines each with each, and the
error, below half of 1/256 of the probability at either end of the interval, is far below the interval's own."""


class Pair(NamedTuple):
    """The median of a draw is the middle of the samples at `low` and `high` (counted from 0, in order of size).

    Attributes:
        weight: with this probability.
    """

    low: int
    high: int
    weight: float


def median_interval(ordered: Sequence[float]) -> tuple[float, float]:
    """Percentile bootstrap interval of the median, at CONFIDENCE.

    Args:
        ordered: the samples, smallest first; at least one.

    Returns:
        Its two ends, in the samples' unit. One sample gives that sample twice.
    """
    if len(ordered) % 2:
        low = _position(len(ordered), _TAIL)
        return ordered[low], ordered[-1 - low]
    return _interval(medians(ordered))


def ratio_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Percentile bootstrap interval of median(b) / median(a), the two drawn independently of each other.

    Args:
        a, b: the samples, smallest first, all above zero; at least one each.
    """
    below, above = _thinned(medians(a)), _thinned(medians(b))
    return _interval([(y / x, p * q) for x, p in below for y, q in above])


def medians(ordered: Sequence[float]) -> list[tuple[float, float]]:
    """The medians that a draw can have, each with its probability; see Pair."""
    return [((ordered[low] + ordered[high]) / 2, weight) for low, high, weight in median_pairs(len(ordered))]


@lru_cache(maxsize=256)
def median_pairs(n: int) -> tuple[Pair, ...]:
    """Where the median of a draw of n out of n lies, with which probability.

    For an odd n both places are the same. The probabilities add up to one but for what is negligible.
    """
    k = (n + 1) // 2
    pairs, before = [], 0.0
    for low in range(_position(n, _NEGLIGIBLE), n):
        now = _at_most(n, k, low)
        here = now - before
        if n % 2 == 0:
            for high in range(low + 1, n):
                weight = _apart(n, low, high)
                if weight < _NEGLIGIBLE:
                    break
                pairs.append(Pair(low, high, weight))
                here -= weight
        if here > _NEGLIGIBLE:
            pairs.append(Pair(low, low, here))
        if now > 1 - _NEGLIGIBLE:
            break
        before = now
    return tuple(pairs)


@lru_cache(maxsize=1024)
def _position(n: int, share: float) -> int:
    """The first place at or below which the (lower) middle of a draw lies with at least this probability."""
    k, low, high = (n + 1) // 2, 0, n - 1
    while low < high:
        middle = (low + high) // 2
        if _at_most(n, k, middle) >= share:
            high = middle
        else:
            low = middle + 1
    return low


def _at_most(n: int, k: int, place: int) -> float:
    """Probability that at least k of n drawn places are `place` or below: a binomial tail."""
    p = (place + 1) / n
    if p >= 1:
        return 1.0
    log_term = _log_choose(n, k) + k * math.log(p) + (n - k) * math.log1p(-p)
    term, odds, total = math.exp(log_term), p / (1 - p), 0.0
    for m in range(k, n + 1):
        total += term
        factor = (n - m) / (m + 1) * odds
        term *= factor
        if factor < 1 and term < total * 1e-17:
            break
    return min(total, 1.0)


def _apart(n: int, low: int, high: int) -> float:
    """Probability, for an even n, that the two middle ones of a draw lie at two different places, these two.

    The lower half of the draw lies at or below `low` and reaches it, the upper one at or above `high`.
    """
    half = n // 2
    return math.exp(_log_choose(n, half) + _log_reach(low, half) + _log_reach(n - 1 - high, half) - n * math.log(n))


def _log_reach(place: int, draws: int) -> float:
    """Logarithm of the number of ways in which the largest of so many draws from 0 to place is place."""
    if place == 0:
        return 0.0
    return draws * math.log(place + 1) + math.log(-math.expm1(draws * math.log(place / (place + 1))))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _interval(weighted: list[tuple[float, float]]) -> tuple[float, float]:
    """The values that leave a tail of (1 - CONFIDENCE) / 2 outside, counted from either end."""
    weighted.sort()
    return _quantile(weighted), _quantile(weighted[::-1])


def _quantile(weighted: list[tuple[float, float]]) -> float:
    total = 0.0
    for value, weight in weighted:
        total += weight
        # Probabilities that add up to exactly the tail must not miss it by a rounding.
        if total >= _TAIL * (1 - 1e-9):
            return value
    return weighted[-1][0]


def _thinned(weighted: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most _POINTS values of equal probability that stand for more of them."""
    if len(weighted) <= _POINTS:
        return weighted
    weighted.sort()
    points: list[tuple[float, float]] = []
    total = 0.0
    for value, weight in weighted:
        total += weight
        while len(points) < _POINTS and total >= (len(points) + 0.5) / _POINTS:
            points.append((value, 1 / _POINTS))
    return points
