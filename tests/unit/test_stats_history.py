"""judge_changes(): runs over time. How often it is wrong, and what it finds, on made series."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as scipy_stats

from recipegen.stats.compare import compare
from recipegen.stats.history import LEAST_FREE, MATTERS, drifts, holm, judge_changes, outliers, percent

TRIALS = 1000
Scatter = Callable[[np.random.Generator], float]


def normal(share: float) -> Scatter:
    """A start is faster or slower than the usual one by that share."""
    return lambda chance: float(np.exp(chance.normal(0, share)))


def good_or_bad(chance: np.random.Generator) -> float:
    """Every other start is 3 % slower."""
    return 1.0 if chance.random() < 0.5 else 0.97


def tailed(chance: np.random.Generator) -> float:
    """Most starts are alike; some are far off."""
    return float(np.exp(0.005 * np.clip(chance.standard_t(2), -20, 20)))


def series(chance: np.random.Generator, counts: list[int], start: Scatter, times: float = 1.0) -> list[list[float]]:
    """Medians of runs, 50 tok/s in the first group, each later one that many times as fast as the one before."""
    return [[50 * times**at * start(chance) for _ in range(count)] for at, count in enumerate(counts)]


def marked(counts: list[int], start: Scatter, times: float = 1.0) -> float:
    """In how many of a hundred series a change is marked anywhere."""
    chance = np.random.default_rng(len(counts))
    found = [judge_changes(series(chance, counts, start, times)).changes for _ in range(TRIALS)]
    return sum(any(one.mark in ("gain", "regression") for one in changes) for changes in found) / TRIALS * 100


@pytest.mark.parametrize(
    "start",
    [normal(0.005), normal(0.015), normal(0.03), good_or_bad, tailed],
    ids=["0.5 %", "1.5 %", "3 %", "good or bad", "tailed"],
)
@pytest.mark.parametrize("counts", [[3, 3], [1, 5], [2, 1, 3, 2], [5, 5, 5, 5]], ids=str)
def test_a_change_that_is_none_is_seldom_marked(counts: list[int], start: Scatter) -> None:
    """5 of 100 series are meant; 6 is 1.5 standard errors of 1000 trials above that."""
    assert marked(counts, start) <= 6


@pytest.mark.parametrize(("counts", "most"), [([2, 3], 8), ([2, 2], 0), ([1, 3], 0)])
def test_starts_that_are_good_or_bad_come_together_by_chance(counts: list[int], most: float) -> None:
    """Of three degrees of freedom in one series of 16; of fewer nothing is said, where it would be one of eight."""
    assert marked(counts, good_or_bad) <= most


def test_samples_taken_for_independent_mark_every_third_change_that_is_none() -> None:
    """What it is for: the samples of two starts of one server, that scatter by 1.5 % from start to start."""
    chance, wrong = np.random.default_rng(1), 0
    for _ in range(100):
        a, b = (50 * normal(0.015)(chance) * chance.normal(1, 0.005, 11) for _ in range(2))
        wrong += compare(a.tolist(), b.tolist(), drop_first=False).effect in ("faster", "slower")
    assert wrong > 30


@pytest.mark.parametrize(
    ("counts", "scatter", "times", "least"),
    [([3, 3], 0.01, 1.1, 99), ([3, 3], 0.01, 0.9, 99), ([4, 1], 0.01, 1.1, 97), ([5, 5], 0.02, 1.1, 99)],
)
def test_a_change_is_found_with_enough_runs(counts: list[int], scatter: float, times: float, least: float) -> None:
    assert marked(counts, normal(scatter), times) >= least


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    chance, held = np.random.default_rng(2), 0
    for _ in range(TRIALS):
        first, _ = judge_changes(series(chance, [3, 2, 3], normal(0.02), 1.1)).changes
        assert first.low is not None and first.high is not None
        held += first.low <= 1.1 <= first.high
    assert 93 <= held / TRIALS * 100 <= 97


def test_of_two_groups_it_is_students_t_test() -> None:
    groups = series(np.random.default_rng(3), [4, 3], normal(0.02), 1.03)
    judged = judge_changes(groups)
    (got,) = judged.changes
    test = scipy_stats.ttest_ind(np.log(groups[1]), np.log(groups[0]))
    assert got.p == pytest.approx(test.pvalue)
    assert (got.low, got.high) == pytest.approx(tuple(np.exp(list(test.confidence_interval(0.95)))))
    assert got.ratio == pytest.approx(math.exp(np.mean(np.log(groups[1])) - np.mean(np.log(groups[0]))))
    assert judged.free == 5
    assert judged.scatter == pytest.approx(
        math.sqrt(sum(np.sum((np.log(g) - np.mean(np.log(g))) ** 2) for g in groups) / 5)
    )


def test_scatter_is_pooled_over_the_whole_series() -> None:
    """The newest group is one run: what it is held against was learned from the others."""
    judged = judge_changes([[50.0, 50.5, 49.8], [50.2, 50.1], [56.0]])
    assert judged.free == 3
    assert [one.mark for one in judged.changes] == ["none", "gain"]
    assert judged.changes[1].size == "+11.7 % (+9.1 to +14.3 %)"


def test_holm_is_the_usual_one() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_one_start_on_either_side_is_undecided_and_says_what_to_measure() -> None:
    judged = judge_changes([[50.0], [100.0]])
    (one,) = judged.changes
    assert (one.mark, one.low, one.high, one.p, judged.scatter, judged.free) == ("undecided", *[None] * 4, 0)
    assert one.ratio == pytest.approx(2)
    assert one.size == "+100.0 %"
    assert one.verdict.startswith("undecided: one start on either side cannot tell")
    assert "; 3 more runs with nothing changed" in one.verdict


def test_few_degrees_of_freedom_are_undecided_whatever_the_interval() -> None:
    (one,) = judge_changes([[50.0, 50.0001, 50.0], [100.0]]).changes
    assert one.low is not None and one.low > 1.9
    assert one.mark == "undecided"
    assert "3 and 1 starts" in one.verdict and "1 more run with" in one.verdict
    assert LEAST_FREE == 3


@pytest.mark.parametrize(("better", "mark"), [("higher", "gain"), ("lower", "regression")])
def test_whether_more_is_better_is_the_metrics(better: str, mark: str) -> None:
    groups = [[50.0, 50.2, 49.9], [60.0, 60.1, 60.3]]
    assert judge_changes(groups, better=better).changes[0].mark == mark  # type: ignore[arg-type]


def test_a_small_change_is_none_however_significant_and_an_unclear_one_says_how_many_runs_decide() -> None:
    (small,) = judge_changes([[50.0, 50.01, 49.99], [50.4, 50.41, 50.39]]).changes
    assert small.p is not None and small.p < 0.001
    assert (small.mark, small.verdict) == ("none", "no change of 2 % or more")
    assert MATTERS == 0.02
    (hopeless,) = judge_changes([[50.0, 60.0, 40.0], [51.0, 41.0]]).changes
    assert hopeless.verdict.startswith("undecided: over 10 more runs of either would be needed")


def test_the_proposed_runs_decide_where_figures_stay_what_they_are() -> None:
    groups = [[50.0, 51.5, 48.6], [53.0, 51.6]]
    (one,) = judge_changes(groups).changes
    assert one.verdict == "undecided: about 2 more runs of either would decide it"
    more = [[*groups[0], 51.5, 48.6], [*groups[1], 53.0, 51.6]]
    assert judge_changes(more).changes[0].mark == "gain"
    assert judge_changes([[50.0, 51.5, 48.6, 50.1, 50.2, 49.9], [52.4]]).changes[0].verdict == (
        "undecided: about 1 more run of the newer would decide it"
    )


def test_equal_medians_are_no_change_and_a_clean_step_is_one() -> None:
    assert judge_changes([[7.0, 7.0, 7.0], [7.0, 7.0]]).changes[0].mark == "none"
    assert judge_changes([[7.0, 7.0, 7.0], [14.0, 14.0]]).changes[0].p == 0.0
    assert judge_changes([[7.0, 7.0, 7.0]]).changes == ()


@pytest.mark.parametrize("bad", [[], [0.0], [-1.0], [math.nan], [math.inf]])
def test_refuses_what_has_no_ratio(bad: list[float]) -> None:
    with pytest.raises(ValueError):
        judge_changes([[1.0], bad])
    with pytest.raises(ValueError, match="no groups"):
        judge_changes([])


def test_figures_of_any_size_have_an_interval() -> None:
    (one,) = judge_changes([[1e-300, 1e300], [1e300, 1e-300]]).changes
    assert one.mark == "undecided"
    assert one.low == pytest.approx(0, abs=1e-200) and one.high is not None and math.isfinite(one.high)


def test_a_run_that_does_not_belong_to_its_group_is_named_and_an_ordinary_one_is_not() -> None:
    groups = [[50.0, 50.2, 49.9, 45.0, 50.1], [60.0, 60.2]]
    (one,) = outliers(groups)
    assert (one.group, one.run) == (0, 3)
    assert one.times == pytest.approx(45.0 / 50.05, rel=1e-3)
    assert outliers([[50.0, 45.0], [60.0, 60.2]]) == []
    chance = np.random.default_rng(4)
    steady = [series(chance, [4, 3, 5], normal(0.02)) for _ in range(300)]
    assert sum(bool(outliers(one)) for one in steady) <= 6


def test_a_group_that_drifts_is_told_and_a_steady_one_is_not() -> None:
    falling = [50 - step / 2 for step in range(9)]
    assert list(drifts([falling[:7], falling])) == [(1, pytest.approx(46.5 / 49.5))]
    assert list(drifts([[50.0, 52.0] * 5])) == []


def test_percentages_have_a_sign_and_no_needless_digits() -> None:
    assert [percent(ratio) for ratio in (1.084, 0.9, 1.0, 25.0)] == ["+8.4 %", "−10.0 %", "+0.0 %", "+2400 %"]
