"""compare() and against_figure(): ratio, interval, test and sentence, on made samples and on those of others."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats as scipy_stats

from recipegen.results.report import load_report, metric_values
from recipegen.stats.bootstrap import ratio_interval
from recipegen.stats.compare import against_figure, compare
from tests.unit.results_factory import real_report


def normal(seed: int, middle: float, spread: float, n: int) -> list[float]:
    return np.random.default_rng(seed).normal(middle, spread, n).tolist()


# Unpaired


def test_faster_and_slower() -> None:
    a, b = normal(1, 50, 2, 30), normal(2, 76, 3, 30)
    got = compare(a, b, drop_first=False)
    assert (got.effect, got.paired, got.n_a, got.n_b) == ("faster", False, 30, 30)
    assert got.ratio == statistics.median(b) / statistics.median(a)
    assert got.low < got.ratio < got.high
    assert got.words == (f"B is {got.ratio:.2f} times as fast as A (95 % interval {got.low:.2f} to {got.high:.2f})")
    assert got.p == pytest.approx(scipy_stats.mannwhitneyu(b, a).pvalue)
    assert got.test == "Mann-Whitney U test"
    back = compare(b, a, drop_first=False, names=("new", "old"))
    assert back.effect == "slower"
    assert back.words.startswith("old is 0.") and " times as fast as new, slower (95 % interval" in back.words
    assert (back.low, back.high) == pytest.approx((1 / got.high, 1 / got.low))


def test_the_warm_rule_holds_here_too() -> None:
    a, b = [1.0, *normal(1, 50, 1, 12)], [900.0, *normal(2, 60, 1, 12)]
    got = compare(a, b)
    assert (got.n_a, got.n_b) == (12, 12)
    assert got == compare(a[1:], b[1:], drop_first=False)


def test_no_difference_can_be_told() -> None:
    got = compare(normal(1, 50, 5, 5), normal(2, 50, 5, 5), drop_first=False)
    assert got.effect == "undecided"
    assert got.words.startswith("no difference can be told from 5 runs each: B is ")
    assert "however large" not in got.words
    assert "5 and 7 runs" in compare(normal(1, 50, 5, 5), normal(2, 50, 5, 7), drop_first=False).words


@pytest.mark.parametrize(
    ("n_a", "n_b", "paired", "told"),
    [
        (3, 3, False, False),
        (4, 4, False, True),
        (2, 7, False, False),
        (2, 9, False, True),
        (5, 5, True, False),
        (6, 6, True, True),
        (1, 1, True, False),
    ],
)
def test_so_few_runs_cannot_show_a_difference(n_a: int, n_b: int, paired: bool, told: bool) -> None:
    """The bounds are those of the tests themselves: B is ten times as fast as A in every run."""
    a, b = [50 + 0.1 * step for step in range(n_a)], [500 + 0.3 * step for step in range(n_b)]
    got = compare(a, b, paired=paired, drop_first=False)
    assert (got.effect == "faster") is told
    assert ("so few cannot show one, however large" in got.words) is not told
    assert got.p is None or (got.p < 0.05) is told


def test_one_run_each_has_no_test() -> None:
    got = compare([50.0], [90.0])
    assert (got.p, got.effect, got.ratio, got.low, got.high) == (None, "undecided", 1.8, 1.8, 1.8)
    assert "from 1 run each" in got.words
    assert "from 1 pair of runs" in compare([50.0], [90.0], paired=True).words


def test_the_same_within_one_per_cent() -> None:
    got = compare(normal(1, 50, 0.1, 30), normal(2, 50.2, 0.1, 30), drop_first=False)
    assert got.effect == "same" and got.p is not None and got.p < 0.05
    assert got.words.endswith("the same within 1 %")
    equal = compare([7.0] * 9, [7.0] * 9)
    assert (equal.effect, equal.p, equal.low, equal.high) == ("same", 1.0, 1.0, 1.0)


def test_of_times_less_is_faster() -> None:
    a, b = normal(1, 200, 4, 20), normal(2, 100, 2, 20)
    got = compare(a, b, better="lower", drop_first=False)
    assert got.effect == "faster" and got.ratio == pytest.approx(0.5, rel=0.05)
    assert got.words == (
        f"B is {1 / got.ratio:.2f} times as fast as A (95 % interval {1 / got.high:.2f} to {1 / got.low:.2f})"
    )
    assert compare(b, a, better="lower", drop_first=False).effect == "slower"


@pytest.mark.parametrize(("n_a", "n_b"), [(29, 29), (30, 24), (300, 301)])
def test_the_ratios_interval_is_that_of_real_draws(n_a: int, n_b: int) -> None:
    chance = np.random.default_rng(n_a)
    a, b = chance.lognormal(4, 0.3, n_a), chance.lognormal(4.4, 0.3, n_b)
    drawn = np.median(chance.choice(b, (20_000, n_b)), axis=1) / np.median(chance.choice(a, (20_000, n_a)), axis=1)
    low, high = ratio_interval(sorted(a.tolist()), sorted(b.tolist()))
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.05 * (high - low))


@pytest.mark.parametrize("n", [10, 29])
def test_the_ratios_interval_holds_the_true_ratio(n: int) -> None:
    chance, held = np.random.default_rng(4), 0
    for _ in range(300):
        a, b = chance.lognormal(4, 0.3, n), chance.lognormal(4 + math.log(1.5), 0.3, n)
        low, high = ratio_interval(sorted(a.tolist()), sorted(b.tolist()))
        held += low <= 1.5 <= high
    assert 0.88 < held / 300 <= 1


def test_equal_machines_are_seldom_told_apart() -> None:
    wrong = 0
    for seed in range(200):
        got = compare(normal(2 * seed, 50, 5, 12), normal(2 * seed + 1, 50, 5, 12), drop_first=False)
        wrong += got.effect in ("faster", "slower")
    assert wrong <= 0.08 * 200


# Paired


def test_pairs_leave_out_what_hit_both() -> None:
    """A box that slows down by half while it is measured: 3 % between two variants, seen only pair by pair."""
    chance = np.random.default_rng(9)
    a = [100 - 4 * step + float(chance.normal(0, 0.2)) for step in range(12)]
    b = [1.03 * value * float(chance.normal(1, 0.003)) for value in a]
    paired = compare(a, b, paired=True, drop_first=False)
    assert (paired.effect, paired.paired) == ("faster", True)
    assert paired.ratio == statistics.median(y / x for x, y in zip(a, b, strict=True))
    assert 1.02 < paired.low <= paired.ratio <= paired.high < 1.04
    logs = [math.log(y / x) for x, y in zip(a, b, strict=True)]
    assert paired.p == pytest.approx(scipy_stats.wilcoxon(logs).pvalue)
    for unpaired in (compare(a, b, paired=False, drop_first=False), compare(a, b, drop_first=False)):
        assert (unpaired.effect, unpaired.paired) == ("undecided", False)
    assert "12 pairs of runs" in compare(a, a[:6] + b[6:], paired=True, drop_first=False).words


def test_pairs_without_any_difference() -> None:
    got = compare([50.0] * 8, [50.0] * 8, paired=True)
    assert (got.effect, got.p, got.ratio) == ("same", 1.0, 1.0)


def test_pairs_need_their_other_half() -> None:
    with pytest.raises(ValueError, match="no pairs: 2 samples of A, 3 of B"):
        compare([1.0, 2.0], [1.0, 2.0, 3.0], paired=True, drop_first=False)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [1.0, math.inf], [1.0, 0.0, 2.0], [-1.0, 2.0]])
def test_refuses_what_has_no_ratio(bad: list[float]) -> None:
    for a, b in [(bad, [1.0, 2.0]), ([1.0, 2.0], bad)]:
        with pytest.raises(ValueError, match="sample"):
            compare(a, b)
    with pytest.raises(ValueError, match="sample"):
        against_figure(bad, 10.0)


# A published figure


def test_a_published_figure_inside_and_outside_the_interval() -> None:
    values = [50.0, 50.1, 49.9, 50.05, 49.95, 50.02, 49.98, 50.07, 49.93, 50.01, 49.99]
    inside = against_figure(values, 50.0, drop_first=False)
    assert inside.holds and inside.low <= 1 <= inside.high
    assert inside.words == (
        "the measured 50.00 (95 % interval 49.95 to 50.05, n = 11) agrees with the published 50: "
        "it lies inside the interval"
    )
    outside = against_figure(values, 62.5, drop_first=False)
    assert not outside.holds and outside.ratio == pytest.approx(0.8)
    assert "is 20.0 % slower than the published 62.5, which lies outside the interval" in outside.words
    assert "25.0 % faster" in against_figure(values, 40.0, drop_first=False).words
    assert "25.0 % slower" in against_figure(values, 40.0, drop_first=False, better="lower").words


def test_a_published_figure_is_read_at_its_decimals() -> None:
    """42.976 measured without any spread is the published 42.98, and not 42.99."""
    assert against_figure([42.976] * 5, 42.98).holds
    assert against_figure([42.976] * 5, 43).holds is True
    assert not against_figure([42.976] * 5, 42.99).holds
    for wrong in (0.0, -3.0, math.nan):
        with pytest.raises(ValueError):
            against_figure([1.0, 2.0], wrong)


# What others measured

_35B = "qwen36-35b-a3b-dflash-spark/results"


def real(file: str) -> list[float]:
    (only,) = load_report(real_report(f"{_35B}/{file}"))["benchmarks"]
    return metric_values(only, "tg_throughput")


def test_the_published_speedup_and_its_spread() -> None:
    """2.37x was published for thinking on; it lies in an interval from below two to above four. Off, it is a loss."""
    baseline = real("ar-pp128-tg128-thinkON.json")
    on = compare(baseline, real("result-sherlock-thinkON.json"))
    assert on.effect == "faster" and on.low < 2 < 2.37 < 4 < on.high
    off = compare(baseline, real("result-sherlock-thinkOFF.json"))
    assert off.effect == "slower" and off.high < 1
    assert compare(baseline, real("ar-opt-config-b-triton-fp8.json")).effect == "same"


def test_published_figures_beside_their_files() -> None:
    assert against_figure(real("ar-pp128-tg128-thinkON.json"), 42.98).holds
    assert not against_figure(real("ar-pp128-tg128-thinkON.json"), 45.0).holds
    # 102.05 is not this file's median, but its samples are so far apart that they do not speak against it.
    headline = against_figure(real("result-sherlock-thinkON.json"), 102.05)
    assert headline.holds and round(headline.median, 2) == 103.60
