"""The warm rule and the summary, against figures that others published."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recipegen.results.report import load_report, metric_values
from recipegen.stats import WARM_RULE, summarize, warm, warm_median
from tests.unit.results_factory import real_report


def test_the_rule_is_what_it_says() -> None:
    assert "first sample" in WARM_RULE and "only one" in WARM_RULE
    assert warm([1.0, 2.0, 3.0]) == ([2.0, 3.0], [1.0])
    assert warm([1.0, 2.0]) == ([2.0], [1.0])
    assert warm([1.0]) == ([1.0], [])
    assert warm([]) == ([], [])


def test_summary_of_what_remains() -> None:
    got = summarize([100.0, 1.0, 2.0, 3.0, 6.0], drop_first=True)
    assert (got.n, got.dropped, got.median, got.mean, got.minimum, got.maximum) == (4, 1, 2.5, 3.0, 1.0, 6.0)
    assert got.std == pytest.approx(math.sqrt(3.5))
    kept = summarize([100.0, 1.0, 2.0], drop_first=False)
    assert (kept.n, kept.dropped, kept.median) == (3, 0, 2.0)
    alone = summarize([7.0], drop_first=True)
    assert (alone.n, alone.dropped, alone.median, alone.std) == (1, 0, 7.0, 0.0)


def test_the_median_alone_is_the_summarys() -> None:
    assert warm_median([100.0, 1.0, 2.0, 3.0, 6.0]) == (2.5, 4)
    assert warm_median([7.0]) == (7.0, 1)
    with pytest.raises(ValueError, match="no samples"):
        warm_median([])


def test_mean_and_std_are_llama_benchys_own() -> None:
    values = [1e9 + 0.1, 1e9 + 0.2, 1e9 + 0.7]
    got = summarize(values, drop_first=False)
    assert got.mean == pytest.approx(np.mean(values), rel=1e-15)
    assert got.std == pytest.approx(np.std(values), rel=1e-6)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf], [1.0, 2.0, 1e300]])
def test_refuses_what_cannot_be_summed_up(values: list[float]) -> None:
    with pytest.raises(ValueError, match="sample"):
        summarize(values, drop_first=True)


_27B = "qwen36-27b-dflash-spark/results"
_35B = "qwen36-35b-a3b-dflash-spark/results"


@pytest.mark.parametrize(
    ("file", "n", "published"),
    [
        (f"{_27B}/verify-sherlock-thinkON-n30.json", 34, 32.34),
        (f"{_27B}/dflash-sherlock-pp128-tg128-thinkON.json", 29, 35.75),
        (f"{_27B}/dflash-codegen-pp128-tg128-thinkON.json", 29, 36.38),
        (f"{_27B}/lucebox-ddtree-fixed-serving-n30-20260514/dflash-sherlock-thinkON.json", 29, 55.17),
        (f"{_35B}/ar-pp128-tg128-thinkON.json", 29, 42.98),
        (f"{_35B}/result-sherlock-thinkOFF.json", 29, 40.70),
        (f"{_35B}/result-codegen-thinkON.json", 29, 88.24),
        (f"{_35B}/result-codegen-thinkOFF.json", 29, 54.66),
    ],
)
def test_published_warm_medians_follow_from_their_files(file: str, n: int, published: float) -> None:
    (only,) = load_report(real_report(file))["benchmarks"]
    got = summarize(metric_values(only, "tg_throughput"), drop_first=True)
    assert got.n == n
    assert round(got.median, 2) == published


def test_the_published_headline_does_not_follow_from_its_file() -> None:
    """102.05 (mean 125.15, std 48.74) was published; neither rule gives that from the file."""
    (only,) = load_report(real_report(f"{_35B}/result-sherlock-thinkON.json"))["benchmarks"]
    values = metric_values(only, "tg_throughput")
    for drop, median, mean, std in [(True, 103.60, 138.64, 62.17), (False, 103.37, 137.15, 61.65)]:
        got = summarize(values, drop_first=drop)
        assert (round(got.median, 2), round(got.mean, 2), round(got.std, 2)) == (median, mean, std)


def test_one_sample_more_moves_the_median() -> None:
    """The same file with its cold first sample kept gives the other figure that its authors name."""
    (only,) = load_report(real_report(f"{_27B}/verify-sherlock-thinkON-n30.json"))["benchmarks"]
    assert round(summarize(metric_values(only, "tg_throughput"), drop_first=False).median, 2) == 32.83


def test_the_first_sample_of_0_3_is_cold() -> None:
    """Why the rule is there: without a warm-up of the cell's shape the first prefill was 33 times slower."""
    (only,) = load_report(real_report(f"{_35B}/result-sherlock-thinkON.json"))["benchmarks"]
    values = metric_values(only, "pp_throughput")
    assert values[0] == pytest.approx(25.43, abs=0.01)
    assert summarize(values, drop_first=True).median == pytest.approx(847.15, abs=0.01)
