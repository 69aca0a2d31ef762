"""What follows from raw reports: statistics of their samples, and which of them a written number is. Owns no claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from recipegen.boards.row import Row, agrees, row_of
from recipegen.evidence import EVERY_METRIC
from recipegen.publish.figures import number
from recipegen.results.report import ReportCell, cell_of, check_report, metric_values
from recipegen.stats import summarize, warm


@dataclass(frozen=True)
class Raw:
    """One cell of one raw report.

    Attributes:
        source: name of the file.
        latency_ms: the report's own.
        cached_context: its `prefix_caching_enabled`.
    """

    source: str
    shape: ReportCell
    benchmark: Mapping[str, Any]
    latency_ms: float | None = None
    cached_context: bool = False

    @cached_property
    def row(self) -> Row | None:
        """The row of a leaderboard that it comes to; None without a decode speed."""
        try:
            return row_of(self.benchmark, cached_context=self.cached_context)
        except ValueError:
            return None

    def samples(self, metric: str) -> list[float]:
        """Samples of a metric (a key of evidence.EVERY_METRIC) in the order of measuring."""
        return list(metric_values(dict(self.benchmark), EVERY_METRIC[metric]))


@dataclass(frozen=True)
class Statistic:
    """One number that follows from a report.

    Attributes:
        stat: n, median, mean, std, min or max.
        of: `warm` samples, or `all`.
    """

    metric: str
    stat: str
    of: str
    value: float
    n: int
    source: str

    def __str__(self) -> str:
        kept = "warm samples" if self.of == "warm" else "samples, the first included"
        shown = f"{self.value:.0f}" if self.stat == "n" else number(self.value)
        return f"{shown} ({self.stat} of the {self.n} {kept})"


def read_raw(paths: Iterable[Path]) -> list[Raw]:
    """The cells of some reports.

    Raises:
        ReportRefused: one of them is no report of llama-benchy's.
    """
    found = []
    for path in paths:
        report = check_report(path)
        for benchmark in report.benchmarks:
            if not benchmark["is_context_prefill_phase"]:
                cached = report.data.get("prefix_caching_enabled") is True
                found.append(Raw(path.name, cell_of(benchmark), benchmark, report.data.get("latency_ms"), cached))
    return found


def statistics_of(raw: Raw, metric: str) -> Iterator[Statistic]:
    """Every statistic of a metric that people publish, those of the warm samples first."""
    values = raw.samples(metric)
    sets = {"warm": warm(values)[0], "all": values}
    for of, kept in sets.items():
        if kept:
            found = summarize(kept, drop_first=False)
            numbers = {"median": found.median, "mean": found.mean, "std": found.std, "n": float(found.n)}
            for stat, value in {**numbers, "min": found.minimum, "max": found.maximum}.items():
                yield Statistic(metric, stat, of, value, found.n, raw.source)


def matching(written: Decimal, found: Iterable[Statistic], stats: Sequence[str]) -> list[Statistic]:
    """The statistics of these kinds that a written number can be."""
    return [one for one in found if one.stat in stats and agrees(written, one.value)]


def nearby(found: Iterable[Statistic], stats: Sequence[str]) -> str:
    """What does follow, in words."""
    shown = [str(one) for one in found if one.stat in stats]
    return ", ".join(dict.fromkeys(shown)) or "nothing of that kind"
