"""Variants of a recipe beside its baseline, cell by cell: what the charts and the site show. Owns no statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recipegen.publish.listing import RunLine
from recipegen.stats import warm
from recipegen.stats.compare import compare

_METRICS = ("tg", "pp")


@dataclass(frozen=True)
class Ratio:
    """One metric of one cell: the variant over the baseline, above 1 is faster.

    Attributes:
        low, high: its 95 % interval.
    """

    variant: str
    cell: str
    metric: str
    ratio: float
    low: float | None
    high: float | None
    words: str

    @property
    def shown(self) -> str:
        """`2.37 (2.30–2.44)`."""
        interval = "" if self.low is None or self.high is None else f" ({self.low:.2f}–{self.high:.2f})"
        return f"{self.ratio:.2f}{interval}"


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
    """Every other variant's newest run beside the baseline's newest run on the same machine."""
    newest = newest_of_each(runs, machine)
    if baseline is None or baseline not in newest or machine is None:
        return []
    reference = {cell.id: cell for cell in newest[baseline].cells}
    found = []
    for variant, run in newest.items():
        for cell in run.cells if variant != baseline else ():
            for metric in _METRICS:
                a = reference[cell.id].samples.get(metric) if cell.id in reference else None
                b = cell.samples.get(metric)
                if not a or not b:
                    continue
                try:
                    told = compare(warm(a)[0], warm(b)[0], drop_first=False, names=(baseline, variant))
                except ValueError:
                    continue  # a median of nothing has no ratio
                found.append(Ratio(variant, cell.id, metric, told.ratio, told.low, told.high, told.words))
    return found
