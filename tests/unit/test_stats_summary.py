"""describe(): the interval against scipy and by coverage, the quartiles against numpy, each warning on and off,
and the reports that others measured."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats as scipy_stats

from recipegen.results.report import load_report, metric_values
from recipegen.stats import WARM_RULE, summarize
from recipegen.stats.bootstrap import median_interval, median_pairs
from recipegen.stats.summary import FEW, describe, kendall, quantile
from tests.unit.results_factory import real_report

STEADY = [50.0, 50.1, 49.9, 50.05, 49.95, 50.02, 49.98, 50.07, 49.93, 50.01, 49.99, 50.03]


def codes(values: list[float], drop_first: bool = False) -> set[str]:
    return {warning.code for warning in describe(values, drop_first=drop_first).warnings}


def text_of(values: list[float], code: str) -> str:
    (text,) = [one.text for one in describe(values, drop_first=False).warnings if one.code == code]
    return text


# The interval


@pytest.mark.parametrize("n", [1, 2, 3, 8, 29, 30, 101, 400])
def test_the_places_of_a_draws_median_have_the_probabilities_of_real_draws(n: int) -> None:
    pairs = median_pairs(n)
    assert sum(pair.weight for pair in pairs) == pytest.approx(1, abs=1e-4)
    assert sum(pair.weight * (pair.low + pair.high) / 2 for pair in pairs) == pytest.approx((n - 1) / 2, abs=0.1)
    drawn = np.sort(np.random.default_rng(1).integers(0, n, (20_000, n)), axis=1)
    lower, upper = drawn[:, (n - 1) // 2], drawn[:, n // 2]
    for pair in pairs:
        if pair.weight > 0.02:
            share = np.mean((lower == pair.low) & (upper == pair.high))
            deviation = math.sqrt(pair.weight * (1 - pair.weight) / len(drawn))
            assert abs(share - pair.weight) <= 4.5 * deviation


@pytest.mark.parametrize("n", [10, 21, 29, 30, 34, 200])
def test_the_interval_is_scipys(n: int) -> None:
    """scipy draws, so that its ends may lie one step beside ours: less than a tenth of the interval."""
    chance = np.random.default_rng(n)
    values = chance.lognormal(4, 0.4, n)
    found = scipy_stats.bootstrap(
        (values,), np.median, confidence_level=0.95, method="percentile", n_resamples=20_000, rng=chance
    ).confidence_interval
    low, high = median_interval(sorted(values.tolist()))
    assert abs(low - found.low) < 0.1 * (high - low)
    assert abs(high - found.high) < 0.1 * (high - low)


@pytest.mark.parametrize("n", [10, 12, 29, 30])
@pytest.mark.parametrize("shape", ["normal", "lognormal", "exponential"])
def test_the_interval_holds_the_true_median_about_as_often_as_it_says(n: int, shape: str) -> None:
    chance = np.random.default_rng(7)
    draws, median = {
        "normal": (lambda: chance.normal(50, 5, n), 50.0),
        "lognormal": (lambda: chance.lognormal(4, 0.5, n), math.exp(4)),
        "exponential": (lambda: 30 + chance.exponential(10, n), 30 + 10 * math.log(2)),
    }[shape]
    held = 0
    for _ in range(1500):
        low, high = median_interval(sorted(draws().tolist()))
        held += low <= median <= high
    assert 0.87 < held / 1500 < 0.98


def test_the_interval_is_the_same_each_time_and_follows_unit_and_sign() -> None:
    values = sorted(np.random.default_rng(3).normal(50, 5, 30).tolist())
    low, high = median_interval(values)
    assert median_interval(values) == (low, high)
    assert median_interval([value * 4 for value in values]) == (low * 4, high * 4)
    assert median_interval(sorted(-value for value in values)) == (-high, -low)


# The figures


@pytest.mark.parametrize("n", [1, 2, 3, 4, 29, 30])
def test_quartiles_are_numpys_linear_ones(n: int) -> None:
    values = np.random.default_rng(n).normal(50, 5, n).tolist()
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert quantile(sorted(values), share) == pytest.approx(np.quantile(values, share, method="linear"), rel=1e-13)


def test_the_first_sample_is_dropped_by_a_rule_that_is_named() -> None:
    values = [5.0, *STEADY]
    got, all_of_them = describe(values), describe(values, drop_first=False)
    assert (got.n, got.dropped, got.dropped_rule, got.minimum, got.maximum) == (12, 1, WARM_RULE, 49.9, 50.1)
    assert (all_of_them.n, all_of_them.dropped, all_of_them.dropped_rule, all_of_them.minimum) == (13, 0, "", 5.0)
    plain = summarize(values, drop_first=True)
    assert (got.median, got.mean, got.std) == (plain.median, plain.mean, plain.std)
    assert got.minimum <= got.q1 <= got.median <= got.q3 <= got.maximum
    assert got.low <= got.median <= got.high
    assert got.warnings == ()


def test_a_single_sample_and_equal_ones() -> None:
    alone = describe([7.0])
    assert (alone.n, alone.dropped, alone.median, alone.low, alone.high, alone.q1) == (1, 0, 7.0, 7.0, 7.0, 7.0)
    assert [warning.code for warning in alone.warnings] == ["few-samples"]
    assert "single sample" in alone.warnings[0].text
    equal = describe([7.0] * 30, drop_first=False)
    assert (equal.low, equal.high, equal.std, equal.warnings) == (7.0, 7.0, 0.0, ())
    assert describe([0.0] * 12).warnings == ()


@pytest.mark.parametrize(
    "values",
    [[], [math.nan], [1.0, math.nan, 2.0], [1.0, 2.0, math.inf], [math.nan, 1.0, 2.0], [1.0, None], [1.0, 2.0, 1e300]],
)
def test_refuses_what_is_no_sample(values: list[float]) -> None:
    """Also in the first sample, which is dropped: a report that holds such a thing is not sound."""
    with pytest.raises(ValueError, match="sample"):
        describe(values)


def test_a_hundred_thousand_samples() -> None:
    values = np.random.default_rng(5).normal(50, 1, 100_000).tolist()
    got = describe(values)
    assert got.n == 99_999
    # The median's standard error is 1.2533 sigma / sqrt(n) for a normal distribution; its interval is 3.92 of them.
    assert got.high - got.low == pytest.approx(3.92 * 1.2533 / math.sqrt(100_000), rel=0.15)
    assert got.warnings == ()


# The warnings


def test_few_samples_says_what_the_interval_is_worth() -> None:
    three = text_of([50.0, 50.2, 50.1], "few-samples")
    assert "only 3 samples" in three
    assert "50.00 to 50.20 is their smallest and largest one" in three
    assert "75 of 100" in three  # 1 - 2^(1-3)
    assert "93 of 100" in text_of(STEADY[:5], "few-samples")
    assert "few-samples" in codes(STEADY[: FEW - 1])
    assert "few-samples" not in codes(STEADY[:FEW])
    assert "few-samples" in codes(STEADY[:FEW], drop_first=True)


def test_a_wide_interval_does_not_carry_the_digits() -> None:
    wide = [30.0, 36.0, 31.0, 35.0, 32.34, 29.0, 37.0, 33.0, 31.5, 34.0, 32.0]
    text = text_of(wide, "wide-interval")
    got = describe(wide, drop_first=False)
    assert f"the interval {got.low:.2f} to {got.high:.2f} does not carry 32.34" in text
    assert "give or take" in text and "%" in text
    assert "wide-interval" not in codes(STEADY)
    # The limit is 2 % to either side of the median.
    assert "wide-interval" in codes([97.9, 100.0, 102.1])
    assert "wide-interval" not in codes([98.1, 100.0, 101.9])


def test_drift_needs_an_order_and_a_change() -> None:
    falling = [50 - 0.3 * step for step in range(12)]
    assert "the samples fall by" in text_of(falling, "drift")
    assert "the samples rise by" in text_of(falling[::-1], "drift")
    assert "drift" not in codes([50 - 0.05 * step for step in range(12)]), "an order, but 1 %"
    assert "drift" not in codes([50.0, 53.0] * 8), "a change, but no order"
    assert "drift" not in codes(falling[:7]), "too few to say"


@pytest.mark.parametrize("decimals", [0, 1, 6])
@pytest.mark.parametrize("n", [8, 29, 200])
def test_kendall_is_scipys(n: int, decimals: int) -> None:
    values = [round(value, decimals) for value in np.random.default_rng(n).normal(50, 2, n).tolist()]
    values = [value + 0.01 * place for place, value in enumerate(values)] if decimals == 6 else values
    found = scipy_stats.kendalltau(range(n), values, method="asymptotic")
    assert kendall(values) == pytest.approx((found.statistic, found.pvalue), rel=1e-9)
    assert kendall([3.0] * n) == (0.0, 1.0)


def test_two_groups_are_told_with_both_centres() -> None:
    two = [40.0, 60.0, 41.0, 61.0, 40.5, 60.5, 39.5, 59.5, 40.2, 40.1, 60.1, 40.3]
    assert "7 around 40.20 and 5 around 60.10" in text_of(two, "two-groups")
    assert "two-groups" not in codes(STEADY)
    assert "two-groups" not in codes([*STEADY, *STEADY, 60.0, 61.0]), "two outliers are no group"
    assert "two-groups" not in codes([50.0, 50.1, 50.0, 50.1, 50.0, 51.0, 51.1, 51.0, 51.1, 51.0]), "2 % apart"
    assert "two-groups" not in codes([40.0, 40.1, 40.2, 60.0, 60.1, 60.2]), "too few to say"
    assert "5 around 40.00 and 5 around 60.00" in text_of([40.0, 60.0] * 5, "two-groups"), "groups without a spread"


@pytest.mark.parametrize("n", [10, 29])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_steady_cells_of_one_group_are_seldom_suspected(n: int, shape: str) -> None:
    chance = np.random.default_rng(11)
    found = {"drift": 0, "two-groups": 0}
    for _ in range(600):
        values = chance.normal(50, 5, n) if shape == "normal" else chance.lognormal(4, 0.4, n)
        for code in codes(values.tolist()) & found.keys():
            found[code] += 1
    assert found["drift"] <= 0.03 * 600
    assert found["two-groups"] <= 0.05 * 600


def test_no_heavy_library_is_needed() -> None:
    """Tables are made of thousands of cells in a process that must start at once."""
    program = (
        "import sys; from recipegen.stats.summary import describe; import recipegen.stats.compare; "
        "describe([1.0, 2.0, 3.0]); sys.exit(any(name in sys.modules for name in ('numpy', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# What others measured

_27B = "qwen36-27b-dflash-spark/results"
_35B = "qwen36-35b-a3b-dflash-spark/results"
_PREFILL = "vllm-prefill-optimized-spark/results"
_LUCEBOX = f"{_27B}/lucebox-ddtree-fixed-serving-n30-20260514"


def real(file: str, metric: str = "tg_throughput") -> list[float]:
    (only,) = load_report(real_report(file))["benchmarks"]
    return metric_values(only, metric)


@pytest.mark.parametrize(
    ("file", "n", "published"),
    [
        (f"{_27B}/verify-sherlock-thinkON-n30.json", 34, 32.34),
        (f"{_27B}/dflash-sherlock-pp128-tg128-thinkON.json", 29, 35.75),
        (f"{_27B}/dflash-codegen-pp128-tg128-thinkON.json", 29, 36.38),
        (f"{_LUCEBOX}/dflash-sherlock-thinkON.json", 29, 55.17),
        (f"{_35B}/ar-pp128-tg128-thinkON.json", 29, 42.98),
        (f"{_35B}/result-sherlock-thinkOFF.json", 29, 40.70),
        (f"{_35B}/result-codegen-thinkON.json", 29, 88.24),
        (f"{_35B}/result-codegen-thinkOFF.json", 29, 54.66),
        (f"{_PREFILL}/llama_benchy_localmaxxing_pp128_tg128_c1_runs30_postwarm_20260503_184705.json", 29, 11.49),
    ],
)
def test_published_medians_are_reproduced_to_the_digit(file: str, n: int, published: float) -> None:
    got = describe(real(file))
    assert (got.n, got.dropped, round(got.median, 2)) == (n, 1, published)
    assert got.low <= published <= got.high or round(got.high - got.low, 2) == 0


def test_the_headline_of_102_05_does_not_follow_from_its_file() -> None:
    """Neither rule gives it, nor the mean 125.15 and deviation 48.74 beside it; and the samples carry neither."""
    values = real(f"{_35B}/result-sherlock-thinkON.json")
    for drop, median in [(True, 103.60), (False, 103.37)]:
        got = describe(values, drop_first=drop)
        assert round(got.median, 2) == median
        assert got.mean > 137 and got.std > 61
    warm = describe(values)
    assert {warning.code for warning in warm.warnings} == {"wide-interval"}
    assert (warm.high - warm.low) / 2 / warm.median > 0.4


def test_the_baseline_without_speculation_is_steady() -> None:
    assert describe(real(f"{_35B}/ar-pp128-tg128-thinkON.json")).warnings == ()


def test_warnings_on_cold_and_drifting_files() -> None:
    cold = real(
        f"{_PREFILL}/original_builtin_warmup_cold_contaminated_pp2048_tg32_c1_20260503_180757.json", "pp_throughput"
    )
    assert codes(cold, drop_first=True) == {"few-samples", "wide-interval"}
    kept = describe(cold, drop_first=False)
    assert round(kept.mean) == 1795
    assert (kept.high - kept.low) / 2 / kept.median > 0.3
    # This file's prefill fell from 815 to 85 tok/s while it ran, beside a decode rate that looks sound.
    failing = real(f"{_35B}/dflash-pp128-tg128-thinkON.json", "pp_throughput")
    assert "drift" in codes(failing, drop_first=True)
