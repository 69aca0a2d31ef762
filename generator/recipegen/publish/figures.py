"""Figures as Markdown: measured ones with their n, published ones with their source. Owns no page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.quoting import markdown_cell, markdown_text
from recipegen.results.report import ReportCell, load_benchmark, metric_values
from recipegen.results.store import CellRecord

if TYPE_CHECKING:
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


def with_interval(found: Described) -> str:
    """Median and its 95 % interval: `102.05 (98.10–107.33)`; of a single sample the figure alone."""
    if found.n == 1:
        return number(found.median)
    return f"{number(found.median)} ({number(found.low)}–{number(found.high)})"


def table_row(*cells: str) -> str:
    """A row of a table; every cell is finished Markdown."""
    return f"| {' | '.join(markdown_cell(cell) for cell in cells)} |"


def table_head(*columns: tuple[str, bool]) -> list[str]:
    """Head of a table: titles, and whether a column holds figures."""
    rule = "|".join("--:" if right else "---" for _, right in columns)
    return [table_row(*(title for title, _ in columns)), f"|{rule}|"]


def conditions(figure: Published) -> str:
    """How a published figure came about, as far as it is known: `median, n=29, pp128 tg128 d0, sherlock`."""
    parts = [figure.stat, f"n={figure.n}" if figure.n else "n not given"]
    shape = f"pp{figure.pp} tg{figure.tg} d{figure.depth}" if figure.workload is None else figure.workload
    parts += [shape, *[f"c{figure.concurrency}"] * (figure.concurrency != 1), figure.corpus or "corpus not given"]
    if figure.thinking != "default":
        parts.append(f"thinking {figure.thinking}")
    return ", ".join(markdown_text(part) for part in [*parts, *([figure.note] if figure.note else [])])
