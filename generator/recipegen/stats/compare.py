"""Two measurements, or one and a published figure: how many times as fast, and how sure. Owns no files."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recipegen.stats import warm
from recipegen.stats.bootstrap import CONFIDENCE, median_interval, ratio_interval
from recipegen.stats.summary import figure, finite

SIGNIFICANT = 0.05
"""Largest p that counts as a difference, the counterpart of a 95 % interval."""

SAME = 0.01
"""Two are called the same when the whole interval of the ratio lies within 1 % of one: what the sampling of
metrics may move a figure by, and less than two starts of one server differ by."""

Effect = Literal["faster", "slower", "same", "undecided"]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Comparison:
    """B beside A, in one metric.

    Attributes:
        paired: whether the n-th sample of B belongs to the n-th of A.
        n_a, n_b: samples that count.
        median_a, median_b: in the metric's own unit.
        ratio: B to A. Unpaired, the ratio of the two medians. Paired, the median of the pairs' ratios, which
            leaves out what hit both of a pair alike; it need not be the ratio of the two medians.
        low, high: ends of its bootstrap interval (95 %).
        p: of the test; None where either has one sample only.
        test: the test's name.
        effect: what B is beside A. "undecided" unless the interval lies on one side of one and p < 0.05, or the
            whole interval within 1 % of one: "same". Also where so few samples cannot show a difference.
        words: the same as a sentence.
    """

    paired: bool
    n_a: int
    n_b: int
    median_a: float
    median_b: float
    ratio: float
    low: float
    high: float
    p: float | None
    test: str
    effect: Effect
    words: str


@dataclass(frozen=True)
class Against:
    """A measurement beside one published figure, of which nothing else is known.

    Attributes:
        ratio: measured to published.
        low, high: the measured median's interval over the published figure.
        holds: whether the interval contains the published figure, both read at its decimals.
        words: the same as a sentence. The figure's own spread is not known, so that nothing is said on significance.
    """

    n: int
    median: float
    published: float
    ratio: float
    low: float
    high: float
    holds: bool
    words: str


def compare(
    a: Sequence[float],
    b: Sequence[float],
    *,
    paired: bool | None = None,
    drop_first: bool = True,
    better: Better = "higher",
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """Compares the samples of one metric.

    Args:
        a, b: samples in the order in which they were measured; all above zero.
        paired: whether the n-th of each were measured side by side, and each such pair independently of the others.
            Samples of one start of a server are not (stats.rounds compares those). None: not known, taken as not
            paired; that both have the same length does not make them pairs.
        drop_first: apply WARM_RULE to both.
        better: "higher" for throughputs, "lower" for times.
        names: of A and B, for the sentence.

    Raises:
        ValueError: for no samples, one that is not finite or not above zero, or pairs of which one half is missing.
    """
    first, second = _samples(a, drop_first), _samples(b, drop_first)
    if paired:
        if len(first) != len(second):
            raise ValueError(f"no pairs: {len(first)} samples of {names[0]}, {len(second)} of {names[1]}")
        ratios = sorted(y / x for x, y in zip(first, second, strict=True))
        ratio, (low, high) = statistics.median(ratios), median_interval(ratios)
        test, p = "Wilcoxon's signed-rank test of the pairs' log ratios", _signed_rank(ratios)
    else:
        ratio = statistics.median(second) / statistics.median(first)
        low, high = ratio_interval(sorted(first), sorted(second))
        test, p = "Mann-Whitney U test", _rank_sum(first, second)
    telling = _telling(len(first), len(second), bool(paired))
    effect = effect_of(low, high, p, telling, better)
    why = "" if telling else "; so few cannot show one, however large"
    runs = _runs(len(first), len(second), bool(paired))
    return Comparison(
        paired=bool(paired),
        n_a=len(first),
        n_b=len(second),
        median_a=statistics.median(first),
        median_b=statistics.median(second),
        ratio=ratio,
        low=low,
        high=high,
        p=p,
        test=test,
        effect=effect,
        words=in_words(effect, (ratio, low, high), runs, why, better, names),
    )


def against_figure(
    values: Sequence[float],
    published: float,
    *,
    drop_first: bool = True,
    better: Better = "higher",
) -> Against:
    """Holds the samples of one metric against one published figure of it.

    Args:
        values: samples in the order in which they were measured; all above zero.
        published: in the same unit; its decimals, as Python prints it, are how exactly it is known.
        drop_first: apply WARM_RULE.
        better: "higher" for throughputs, "lower" for times.

    Raises:
        ValueError: for samples as in `compare`, or a figure that is not above zero.
    """
    samples = _samples(values, drop_first)
    (figure_,) = _positive([published])
    median, (low, high) = statistics.median(samples), median_interval(sorted(samples))
    decimals = len(repr(figure_).partition(".")[2]) if "e" not in repr(figure_) else 0
    holds = round(low, decimals) <= figure_ <= round(high, decimals)
    measured = f"the measured {figure(median)} (95 % interval {figure(low)} to {figure(high)}, n = {len(samples)})"
    if holds:
        words = f"{measured} agrees with the published {published:g}: it lies inside the interval"
    else:
        off = abs(median / figure_ - 1)
        what = _word((median > figure_) == (better == "higher"))
        words = (
            f"{measured} is {off * 100:.1f} % {what} than the published {published:g}, which lies outside the interval"
        )
    return Against(
        n=len(samples),
        median=median,
        published=figure_,
        ratio=median / figure_,
        low=low / figure_,
        high=high / figure_,
        holds=holds,
        words=words,
    )


def _samples(values: Sequence[float], drop_first: bool) -> list[float]:
    samples = _positive(values)
    return warm(samples)[0] if drop_first else samples


def _positive(values: Sequence[float]) -> list[float]:
    """Samples of which ratios can be made."""
    samples = finite(values)
    if min(samples) <= 0:
        raise ValueError("a sample is not above zero, so that it has no ratio")
    return samples


def _rank_sum(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Two-sided p; exact for few samples without ties, else by the normal approximation (scipy's choice)."""
    if min(len(a), len(b)) < 2:
        return None
    if len({*a, *b}) == 1:
        return 1.0
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(b, a, alternative="two-sided").pvalue)


def _signed_rank(ratios: Sequence[float]) -> float | None:
    """Two-sided p of the logarithms lying evenly about zero; pairs without a difference are left out."""
    if len(ratios) < 2:
        return None
    logs = [math.log(ratio) for ratio in ratios if ratio != 1]
    if not logs:
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(logs, alternative="two-sided").pvalue)


def effect_of(low: float, high: float, p: float | None, telling: bool, better: Better) -> Effect:
    """What a ratio's interval and its test say, where there are enough samples for them to say anything."""
    if p is None or not telling:
        return "undecided"
    if low >= 1 - SAME and high <= 1 + SAME:
        return "same"
    if p >= SIGNIFICANT or low <= 1 <= high:
        return "undecided"
    return _word((low > 1) == (better == "higher"))


def _word(is_faster: bool) -> Literal["faster", "slower"]:
    return "faster" if is_faster else "slower"


def _telling(n_a: int, n_b: int, paired: bool) -> bool:
    """Whether so many samples can show a difference at all.

    The least p of a two-sided test by ranks is 2 over the number of arrangements: of 3 and 3 samples 2/20, of 5
    pairs 2/32. Four of each, or six pairs, are the first to get below SIGNIFICANT.
    """
    arrangements = 2**n_a if paired else math.comb(n_a + n_b, n_a)
    return 2 / arrangements < SIGNIFICANT


def _runs(n_a: int, n_b: int, paired: bool) -> str:
    if paired:
        return "1 pair of runs" if n_a == 1 else f"{n_a} pairs of runs"
    if n_a == n_b:
        return "1 run each" if n_a == 1 else f"{n_a} runs each"
    return f"{n_a} and {n_b} runs"


def in_words(
    effect: Effect, found: tuple[float, float, float], runs: str, why: str, better: Better, names: tuple[str, str]
) -> str:
    """A comparison as a sentence.

    Args:
        found: ratio of B to A, low and high end of its interval.
        runs: what it was made of: `30 runs each`.
        why: what keeps anything from being told, put after the sentence; empty where nothing does.
    """
    a, b = names
    # A time is shown as its inverse: twice as fast is half the time, and the interval's ends change places.
    ratio, low, high = found if better == "higher" else (1 / found[0], 1 / found[2], 1 / found[1])
    # A ratio that is called the same, or that is small, needs more than two decimals to say anything.
    digits = 4 if effect == "same" else 2 if low >= 0.1 else 3
    interval = f"({CONFIDENCE * 100:.0f} % interval {low:.{digits}f} to {high:.{digits}f})"
    is_so = f"{b} is {ratio:.{digits}f} times as fast as {a}"
    if effect == "undecided":
        return f"no difference can be told from {runs}: {is_so} {interval}{why}"
    if effect == "same":
        return f"{is_so} {interval}: the same within {SAME * 100:.0f} %"
    return f"{is_so}{', slower' if effect == 'slower' else ''} {interval}"
