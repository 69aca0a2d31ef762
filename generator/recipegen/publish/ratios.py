"""A recipe's variants beside its baseline: what its row, its charts and its page show. Owns no statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recipegen.publish.figures import ratio_text
from recipegen.publish.listing import RunLine
from recipegen.publish.marks import is_doubtful
from recipegen.results.store import pair_id, pair_round
from recipegen.stats import warm
from recipegen.stats.compare import Effect, compare
from recipegen.stats.rounds import compare_rounds

_METRICS = ("tg", "pp")


@dataclass(frozen=True)
class Ratio:
    """One metric of one cell: the variant over the baseline, above 1 is faster.

    Attributes:
        low, high: its 95 % interval; None of a single round.
        effect: faster, slower, same or undecided.
    """

    variant: str
    cell: str
    metric: str
    ratio: float
    low: float | None
    high: float | None
    effect: Effect
    words: str

    @property
    def shown(self) -> str:
        """`2.37 (2.30–2.44)`."""
        return ratio_text(self.ratio, self.low, self.high)


def newest_of_each(runs: Sequence[RunLine], machine: str | None) -> dict[str, RunLine]:
    """The newest run of each variant on a machine that measured something and did not fail its questions.

    Args:
        runs: newest first.
        machine: on any where it is None.
    """
    found: dict[str, RunLine] = {}
    for run in runs:
        if machine in (None, run.machine) and run.quality != "fail" and run.done:
            found.setdefault(run.variant, run)
    return found


def against_baseline(runs: Sequence[RunLine], baseline: str | None, machine: str | None) -> list[Ratio]:
    """Every cell of every other variant's newest run over the baseline's on the same machine.

    Args:
        runs: newest first.
        baseline: none is compared where it is None.
        machine: likewise.
    """
    if baseline is None or machine is None:
        return []
    newest = newest_of_each(runs, machine)
    found = (
        ratio_of(run, runs, baseline, cell.id, metric)
        for variant, run in newest.items()
        for cell in (run.cells if variant != baseline else ())
        for metric in _METRICS
    )
    return [one for one in found if one is not None]


def ratio_of(run: RunLine, runs: Sequence[RunLine], baseline: str, cell_id: str, metric: str) -> Ratio | None:
    """A run's figure over the baseline's on the same machine; None where either has none.

    Round by round where both were measured in turn, else over the baseline's newest run, and then the interval is of
    the samples alone (docs/statistics.md). A baseline that failed its questions or is in doubt is none.

    Args:
        run: of another variant.
        runs: of the recipe, newest first.
    """
    own = _samples(run, cell_id, metric)
    others = [
        one
        for one in runs
        if (one.variant, one.machine) == (baseline, run.machine)
        and one.quality != "fail"
        and _samples(one, cell_id, metric)
    ]
    if not own or not others:
        return None
    names = (baseline, run.variant)
    rounds = _rounds(run, others, runs, cell_id, metric)
    try:
        if rounds:
            paired = compare_rounds(rounds, names=names)
            told = (paired.ratio, paired.low, paired.high, paired.effect, paired.words)
        else:
            single = compare(_samples(others[0], cell_id, metric), own, drop_first=False, names=names)
            told = (single.ratio, single.low, single.high, single.effect, single.words)
    except ValueError:
        return None  # a median of nothing has no ratio
    return Ratio(run.variant, cell_id, metric, *told)


def _rounds(
    run: RunLine, others: Sequence[RunLine], runs: Sequence[RunLine], cell_id: str, metric: str
) -> list[tuple[list[float], list[float]]]:
    """Samples of baseline and variant in each turn of the paired measurement that the run belongs to."""
    pair = pair_id(run.record)
    if pair is None:
        return []
    theirs = {pair_round(one.record): one for one in others if pair_id(one.record) == pair}
    own = {pair_round(one.record): one for one in runs if one.variant == run.variant and pair_id(one.record) == pair}
    turns = [
        (_samples(theirs[turn], cell_id, metric), _samples(own[turn], cell_id, metric))
        for turn in own
        if turn in theirs
    ]
    return [(baseline, variant) for baseline, variant in turns if variant]


def _samples(run: RunLine, cell_id: str, metric: str) -> list[float]:
    """Warm samples; none where the cell was not measured, or its figures are in doubt."""
    cell = run.measured(cell_id)
    if cell is None or metric not in cell.samples or is_doubtful(cell.verdict):
        return []
    return warm(cell.samples[metric])[0]
