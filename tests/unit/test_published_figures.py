"""Figures that others published, computed again from their files; those that do not follow are named in
docs/published-figures.md."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from recipegen.results.report import load_report, metric_values
from recipegen.stats.compare import compare
from recipegen.stats.summary import describe
from tests.unit.results_factory import REAL, real_report

PAGE = Path(__file__).parents[2] / "docs" / "published-figures.md"
_27B = "qwen36-27b-dflash-spark/results"
_35B = "qwen36-35b-a3b-dflash-spark/results"
_PREFILL = "vllm-prefill-optimized-spark/results"
HEADLINE = f"{_35B}/result-sherlock-thinkON.json"
SHORT = f"{_PREFILL}/llama_benchy_localmaxxing_pp128_tg128_c1_runs30_postwarm_20260503_184705.json"
LONG = (
    f"{_PREFILL}/llama_benchy_cutlass_noeager_mbt8192_chunked_pp2048_tg32_c1_post_explicit_shape_warmup_runs5"
    "_20260503_183310.json"
)


def values(file: str, metric: str) -> list[float]:
    (only,) = load_report(real_report(file))["benchmarks"]
    return metric_values(only, metric)


@pytest.mark.parametrize(
    ("file", "metric", "statistic", "warm", "all_samples"),
    [
        (f"{_27B}/dflash-sherlock-pp128-tg128-thinkON.json", "pp_throughput", "mean", "501.92", "486.01"),
        (f"{_27B}/dflash-codegen-pp128-tg128-thinkON.json", "pp_throughput", "mean", "510.21", "494.01"),
        (f"{_27B}/dflash-sherlock-pp128-tg128-thinkON.json", "pp_throughput", "median", "509.34", "508.54"),
        (f"{_27B}/dflash-codegen-pp128-tg128-thinkON.json", "pp_throughput", "median", "513.48", "513.18"),
        (f"{_27B}/dflash-sherlock-pp128-tg128-thinkON.json", "tg_throughput", "median", "35.75", "35.78"),
        (f"{_27B}/verify-sherlock-thinkON-n30.json", "tg_throughput", "median", "32.34", "32.83"),
        (HEADLINE, "tg_throughput", "median", "103.60", "103.37"),
        (HEADLINE, "tg_throughput", "mean", "138.64", "137.15"),
        (HEADLINE, "tg_throughput", "std", "62.17", "61.65"),
        (HEADLINE, "e2e_ttft", "median", "153.81", "154.20"),
        (LONG, "pp_throughput", "mean", "2588.01", "2575.12"),
        (LONG, "pp_throughput", "median", "2587.38", "2556.45"),
        (SHORT, "ttfr", "median", "142.42", "142.43"),
    ],
)
def test_what_a_file_gives(file: str, metric: str, statistic: str, warm: str, all_samples: str) -> None:
    samples = values(file, metric)
    assert f"{getattr(describe(samples), statistic):.2f}" == warm
    assert f"{getattr(describe(samples, drop_first=False), statistic):.2f}" == all_samples


def test_486_and_494_are_means_with_the_cold_sample() -> None:
    for name, published in (("sherlock", 486), ("codegen", 494)):
        samples = values(f"{_27B}/dflash-{name}-pp128-tg128-thinkON.json", "pp_throughput")
        assert round(describe(samples, drop_first=False).mean) == published
        assert samples[0] < 0.1 * min(samples[1:])
        assert round(describe(samples).median) != published


def test_no_file_of_the_35b_recipe_gives_its_headline() -> None:
    if not REAL.is_dir():
        pytest.skip("the reports of others (shared/data/llama-benchy) are not beside this checkout")
    for path in sorted((REAL / _35B).glob("*.json")):
        samples = values(str(path.relative_to(REAL)), "tg_throughput")
        for drop in (True, False):
            found = describe(samples, drop_first=drop)
            assert {"102.05", "125.15", "48.74"}.isdisjoint(
                f"{value:.2f}" for value in (found.median, found.mean, found.std)
            )


def test_the_speed_up_lies_in_its_interval_all_the_same() -> None:
    found = compare(values(f"{_35B}/ar-pp128-tg128-thinkON.json", "tg_throughput"), values(HEADLINE, "tg_throughput"))
    assert f"{found.ratio:.2f}" == "2.41" and found.low < 2.37 < found.high


def test_153_ms_is_cut_off_not_rounded() -> None:
    median = describe(values(HEADLINE, "ttfr")).median
    assert math.floor(median) == 153 and round(median) == 154


def test_the_page_names_them() -> None:
    page = PAGE.read_text(encoding="utf-8")
    without_a_file, other_rule = page.split("\n## ")[1:]
    for figure in ("102.05", "125.15", "48.74", "2.37", "153 ms", "35.78", "103.60", "138.64", "62.17", "2.41"):
        assert figure in without_a_file
    for figure in ("486.01", "509.34", "494.01", "513.48", "32.83", "2575.12", "2587.38", "142.43", "142.42"):
        assert figure in other_rule
