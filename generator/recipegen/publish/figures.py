"""Figures as Markdown: measured ones with their n, published ones with their source. Owns no page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.quoting import markdown_cell, markdown_text
from recipegen.results.report import ReportCell, load_benchmark, metric_values
from recipegen.results.store import CellRecord

if TYPE_CHECKING:
    from recipegen.publish.row import Measured
    from recipegen.spec.model import Published
    from recipegen.stats.summary import Described

NOTHING = "–"
METRICS = {"tg": "tg_throughput", "pp": "pp_throughput", "ttfr": "ttfr"}
"""Short names to llama-benchy's, of what every cell has; at several requests at a time tg and pp are their sum."""
MORE_METRICS = {"ttft": "e2e_ttft", "tg_req": "tg_req_throughput"}
"""Time to the first token; decode of one of several requests. A report may lack them."""
UNITS = {"tg": "tok/s", "pp": "tok/s", "ttfr": "ms", "ttft": "ms", "tg_req": "tok/s"}


def cell_samples(folder: Path, cell: CellRecord, *metrics: str) -> list[list[float]]:
    """Raw samples of a measured cell.

    Args:
        folder: the run's folder.
        cell: a cell that is done.
        metrics: short names.

    Returns:
        The samples of each metric, in the order asked for; none for a metric that is null.

    Raises:
        ReportRefused: its raw report is not there, was changed, or does not hold the cell.
    """
    shape = ReportCell(cell["pp"], cell["tg"], cell["depth"], cell["concurrency"], False)
    names = [(METRICS | MORE_METRICS)[metric] for metric in metrics]
    benchmark = load_benchmark(folder / str(cell["file"]), shape, cell["sha256"], names)
    return [metric_values(benchmark, name) for name in names]


def number(value: float) -> str:
    """Two decimals, as the field writes medians: 102.05."""
    return f"{value:.2f}"


_FINEST = -2
"""Power of ten of the last digit that is ever shown: hundredths, as leaderboards show tok/s."""


@dataclass(frozen=True)
class Digits:
    """How many digits of a figure are shown.

    Attributes:
        place: power of ten of the last one, _FINEST at the least.
    """

    place: int

    def figure(self, value: float) -> str:
        """A median or a mean."""
        return _to_place(value, self.place)

    def finer(self, value: float) -> str:
        """An end of its interval, a deviation: one digit more, so that a width can be read."""
        return _to_place(value, self.place - 1)

    def with_interval(self, found: Described) -> str:
        """Median and its 95 % interval: `102 (98.1–107.3)`; of a single sample the figure alone."""
        if found.n == 1:
            return number(found.median)
        return f"{self.figure(found.median)} ({self.finer(found.low)}–{self.finer(found.high)})"


def digits(median: float, low: float, high: float) -> Digits:
    """The digits that an interval supports: the one rule, wherever a measured figure is shown.

    The last digit shown stands where half of the interval has its first one, or its second where the first is a 1:
    36.12 in 35.47 to 36.77, give or take 0.65, is 36.1. That digit is in doubt; those after it would be chance. (GUM
    7.2.6 gives an uncertainty two digits at the most and rounds the figure to match; this is the stricter custom.) No
    figure is rounded out of its own interval. Two decimals are the most, and what a single sample has, of which no
    interval is known.
    """
    half = (high - low) / 2
    if half < 2 * 10.0**_FINEST:
        return _digits_to(_FINEST)
    place = math.floor(math.log10(half / 2))  # a 1 in front is one place further
    while place > _FINEST and not low <= round(median, -place) <= high:
        place -= 1
    return _digits_to(place)


_digits_to = cache(Digits)
"""A table shows a hundred thousand figures to a handful of places."""


def _to_place(value: float, place: int) -> str:
    """Rounded to a power of ten: 7022.39 at 10**2 is 7000."""
    if place >= 0:
        return f"{round(value, -place):.0f}"
    return f"{value:.1f}" if place == -1 else f"{value:.2f}"


def with_interval(found: Described) -> str:
    """Median and its 95 % interval, each with the digits that it supports."""
    return digits(found.median, found.low, found.high).with_interval(found)


def figure_parts(found: Described | Measured) -> tuple[str, str]:
    """The same in two texts: `102` and `98.1–107.3`, which is empty of a single sample."""
    to = digits(found.median, found.low, found.high)
    return to.figure(found.median), f"{to.finer(found.low)}–{to.finer(found.high)}" if found.n > 1 else ""


def ratio_parts(ratio: float, low: float | None, high: float | None) -> tuple[str, str]:
    """A ratio and its interval: `2.37` and `2.30–2.44`, which is empty where there is none."""
    return f"{ratio:.2f}", "" if low is None or high is None else f"{low:.2f}–{high:.2f}"


def ratio_text(ratio: float, low: float | None, high: float | None) -> str:
    """`2.37 (2.30–2.44)`."""
    figure, interval = ratio_parts(ratio, low, high)
    return f"{figure} ({interval})" if interval else figure


def table_row(*cells: str) -> str:
    """A row of a table; every cell is finished Markdown."""
    return f"| {' | '.join(markdown_cell(cell) for cell in cells)} |"


def table_head(*columns: tuple[str, bool]) -> list[str]:
    """Head of a table: titles, and whether a column holds figures."""
    rule = "|".join("--:" if right else "---" for _, right in columns)
    return [table_row(*(title for title, _ in columns)), f"|{rule}|"]


def conditions(figure: Published, *, note: bool = True) -> str:
    """How a published figure came about, as far as it is known: `median, n=29, pp128 tg128 d0, sherlock`."""
    notes = [figure.note] if figure.note and note else []
    return ", ".join(map(markdown_text, [*condition_words(figure), *notes]))


def condition_words(figure: Published) -> list[str]:
    """The same in its parts, not escaped and without the note."""
    parts = [figure.stat, f"n={figure.n}" if figure.n else "n not given"]
    shape = f"pp{figure.pp} tg{figure.tg} d{figure.depth}" if figure.workload is None else figure.workload
    parts += [shape, *[f"c{figure.concurrency}"] * (figure.concurrency != 1), figure.corpus or "corpus not given"]
    return parts + [f"thinking {figure.thinking}"] * (figure.thinking != "default")
