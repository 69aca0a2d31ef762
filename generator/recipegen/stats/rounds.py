"""Two servers measured in turn, round by round: how many times as fast, and how sure. Owns no files.

The samples of one start of a server share what that start brought with it: where its memory lies, which kernels were
tuned, how warm the box was. They are not independent of each other, however many there are, so that a start counts
once: a round gives one ratio of two medians, and the interval is of what these ratios do from one round to the next.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from recipegen.stats.compare import Better, Effect, effect_of, in_words
from recipegen.stats.summary import finite

LEAST_ROUNDS = 3
"""Rounds from which on a difference can be told. The interval is exact for log ratios that are normally distributed,
from two rounds on. Where a start is either good or bad, two rounds differ by the same step in one case of eight, and
look certain; three do so in one of 32 (each start good or bad with probability one half, two servers a round)."""


@dataclass(frozen=True)
class RoundsCompared:
    """B beside A, in one metric, round by round.

    Attributes:
        ratios: median of B over median of A, a round each.
        ratio: their geometric mean.
        low, high: ends of its 95 % interval, Student's t on the logarithms; None of a single round.
        p: two-sided, of the logarithms lying about zero; None of a single round.
        effect: what B is beside A; "undecided" also where the rounds are fewer than LEAST_ROUNDS.
        words: the same as a sentence.
    """

    ratios: tuple[float, ...]
    ratio: float
    low: float | None
    high: float | None
    p: float | None
    effect: Effect
    words: str


def compare_rounds(
    rounds: Sequence[tuple[Sequence[float], Sequence[float]]],
    *,
    better: Better = "higher",
    names: tuple[str, str] = ("A", "B"),
) -> RoundsCompared:
    """Compares one metric of two servers that were measured in turn.

    Args:
        rounds: warm samples of A and of B, a round each; their numbers need not be equal.
        better: "higher" for throughputs, "lower" for times.
        names: of A and B, for the sentence.

    Raises:
        ValueError: for no rounds, a round without samples, or a median that is not finite or not above zero.
    """
    if not rounds:
        raise ValueError("no rounds")
    ratios = tuple(_median(b) / _median(a) for a, b in rounds)
    logs = [math.log(ratio) for ratio in ratios]
    middle = math.fsum(logs) / len(logs)
    count = len(ratios)
    said = "1 round" if count == 1 else f"{count} rounds"
    if count == 1:
        times = ratios[0] if better == "higher" else 1 / ratios[0]
        words = f"nothing can be told from {said}: {names[1]} is {times:.2f} times as fast as {names[0]}"
        return RoundsCompared(ratios, ratios[0], None, None, None, "undecided", words)
    half, p = _student(logs, middle)
    ratio, low, high = (math.exp(log) for log in (middle, middle - half, middle + half))
    telling = count >= LEAST_ROUNDS
    why = "" if telling else f"; that a start is slow or fast by chance shows in {LEAST_ROUNDS} rounds at the least"
    effect = effect_of(low, high, p, telling, better)
    words = in_words(effect, (ratio, low, high), said, why, better, names)
    return RoundsCompared(ratios, ratio, low, high, p, effect, words)


def _median(samples: Sequence[float]) -> float:
    median = statistics.median(finite(samples))
    if median <= 0:
        raise ValueError("a round's median is not above zero, so that it has no ratio")
    return median


def _student(logs: Sequence[float], middle: float) -> tuple[float, float]:
    """Half of the 95 % interval of the mean, and the two-sided p of its being zero."""
    from scipy.special import stdtr, stdtrit

    free = len(logs) - 1
    error = math.sqrt(math.fsum((log - middle) ** 2 for log in logs) / free / len(logs))
    half = float(stdtrit(free, 0.975)) * error
    if error == 0:
        return half, 1.0 if middle == 0 else 0.0
    return half, 2 * float(stdtr(free, -abs(middle) / error))
