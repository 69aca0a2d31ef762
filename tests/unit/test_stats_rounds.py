"""compare_rounds(): servers measured in turn. How often it is wrong, and what it finds, on made rounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as scipy_stats

from recipegen.stats.compare import compare
from recipegen.stats.rounds import LEAST_ROUNDS, compare_rounds

Rounds = list[tuple[list[float], list[float]]]
Start = Callable[[np.random.Generator], float]
SAMPLES, TRIALS = 9, 400


def normal_start(chance: np.random.Generator) -> float:
    """A start is 1.5 % faster or slower than the usual one."""
    return float(chance.normal(1, 0.015))


def good_or_bad_start(chance: np.random.Generator) -> float:
    """Every other start is 3 % slower."""
    return 1.0 if chance.random() < 0.5 else 0.97


def tailed_start(chance: np.random.Generator) -> float:
    """Most starts are alike; some are far off."""
    return 1 + 0.005 * float(np.clip(chance.standard_t(2), -20, 20))


def measured(chance: np.random.Generator, rounds: int, start: Start, times: float = 1.0) -> Rounds:
    """Rounds of two servers: what a start brings holds for all its samples, which scatter by 0.5 % besides."""

    def samples(speed: float) -> list[float]:
        return (50 * speed * start(chance) * chance.normal(1, 0.005, SAMPLES)).tolist()  # type: ignore[no-any-return]

    return [(samples(1.0), samples(times)) for _ in range(rounds)]


def told(rounds: int, start: Start, times: float = 1.0) -> float:
    """In how many of a hundred measurements a difference is told."""
    chance = np.random.default_rng(rounds)
    found = [compare_rounds(measured(chance, rounds, start, times)).effect for _ in range(TRIALS)]
    return sum(effect in ("faster", "slower") for effect in found) / TRIALS * 100


@pytest.mark.parametrize("start", [normal_start, good_or_bad_start, tailed_start])
@pytest.mark.parametrize("rounds", [3, 4, 6])
def test_a_server_is_seldom_told_from_itself(rounds: int, start: Start) -> None:
    """5 of 100 are meant; 6 is one standard error of 400 trials above that."""
    assert told(rounds, start) <= 6


def test_samples_taken_for_independent_tell_a_server_from_itself() -> None:
    """What the rounds are for: the same measurements, sample by sample, are wrong in a third of the cases and more."""
    chance, wrong = np.random.default_rng(3), 0
    for _ in range(100):
        rounds = measured(chance, 3, normal_start)
        a, b = ([value for turn in rounds for value in turn[side]] for side in (0, 1))
        wrong += compare(a, b, paired=True, drop_first=False).effect in ("faster", "slower")
    assert wrong > 30


@pytest.mark.parametrize(
    ("rounds", "times", "least"),
    [(3, 1.1, 90), (4, 1.1, 99), (6, 1.1, 99), (3, 1.03, 25), (6, 1.03, 65), (10, 1.03, 90)],
)
def test_a_difference_is_found_with_enough_rounds(rounds: int, times: float, least: float) -> None:
    assert told(rounds, normal_start, times) >= least


@pytest.mark.parametrize("rounds", [2, 3, 6])
def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says(rounds: int) -> None:
    chance, held = np.random.default_rng(rounds), 0
    for _ in range(TRIALS):
        got = compare_rounds(measured(chance, rounds, normal_start, 1.1))
        assert got.low is not None and got.high is not None
        held += got.low <= 1.1 <= got.high
    assert 91 <= held / TRIALS * 100 <= 98


def test_interval_and_p_are_scipys() -> None:
    rounds = measured(np.random.default_rng(1), 5, normal_start, 1.1)
    got = compare_rounds(rounds)
    logs = [math.log(np.median(b) / np.median(a)) for a, b in rounds]
    test = scipy_stats.ttest_1samp(logs, 0)
    assert got.p == pytest.approx(test.pvalue)
    assert (got.low, got.high) == pytest.approx(tuple(np.exp(list(test.confidence_interval(0.95)))))
    assert got.ratio == pytest.approx(math.exp(sum(logs) / 5))
    assert got.ratios == pytest.approx(np.exp(logs))


def test_too_few_rounds_say_so() -> None:
    rounds: Rounds = [([50.0, 51.0], [100.0, 101.0])] * 2
    two = compare_rounds(rounds)
    assert two.effect == "undecided"
    assert two.words.startswith("no difference can be told from 2 rounds: B is 1.99 times as fast as A (95 %")
    assert two.words.endswith(f"shows in {LEAST_ROUNDS} rounds at the least")
    one = compare_rounds(rounds[:1])
    assert (one.low, one.high, one.p, one.effect) == (None, None, None, "undecided")
    assert one.words == "nothing can be told from 1 round: B is 1.99 times as fast as A"
    assert "B is 0.50 times as fast" in compare_rounds(rounds[:1], better="lower").words
    three = compare_rounds([*rounds, ([50.0, 51.0], [101.0, 102.0])])
    assert three.effect == "faster"


def test_rounds_that_scatter_are_undecided_however_many_samples() -> None:
    rounds: Rounds = [([50.0] * 100, [50.0 * ratio] * 100) for ratio in (1.02, 1.30, 0.95)]
    got = compare_rounds(rounds)
    assert got.effect == "undecided"
    assert got.words.startswith("no difference can be told from 3 rounds: B is 1.08 times as fast as A (95 % interval")


def test_equal_rounds_are_the_same_and_times_count_the_other_way() -> None:
    same = compare_rounds([([7.0], [7.0])] * 3)
    assert (same.effect, same.p, same.low, same.high) == ("same", 1.0, 1.0, 1.0)
    assert compare_rounds([([7.0], [14.0])] * 3, better="lower").effect == "slower"
    assert compare_rounds([([7.0], [14.0])] * 3).effect == "faster"


@pytest.mark.parametrize("bad", [[], [0.0], [-1.0], [math.nan], [math.inf]])
def test_refuses_what_has_no_ratio(bad: list[float]) -> None:
    with pytest.raises(ValueError):
        compare_rounds([([1.0], bad)])
    with pytest.raises(ValueError):
        compare_rounds([(bad, [1.0])])
    with pytest.raises(ValueError, match="no rounds"):
        compare_rounds([])
