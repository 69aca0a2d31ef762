"""What the lint rules say of a measured run: of its server's log, of the figures of each cell. Owns turning a run into
what the rules speak of; the rules are the linter's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipegen.bench.host import hardware_matches
from recipegen.errors import RecipegenError
from recipegen.files import read_bounded
from recipegen.lint.finding import Finding, merged
from recipegen.lint.run import lint_log, lint_result
from recipegen.lint.subject import Recipe
from recipegen.plausible.judge import metrics_of
from recipegen.results.report import ReportCell, load_benchmark, metric_values
from recipegen.results.store import SERVER_LOG, CellRecord, load_run
from recipegen.stats import warm_median
from recipegen.workspace import LOG_LIMIT

_ACCEPTANCE = re.compile(r"acceptance rate: ([0-9]{1,9}(?:\.[0-9]{1,9})?)%")
_LENGTH = re.compile(r"Mean acceptance length: ([0-9]{1,9}(?:\.[0-9]{1,9})?)")
"""vLLM's line `SpecDecoding metrics: Mean acceptance length: 2.72, … Avg Draft acceptance rate: 86.1%`."""


def judge(recipe: Recipe, run: Path) -> list[Finding]:
    """Lint findings on one run, worst first.

    Args:
        recipe: the recipe that was measured.
        run: the run's folder.
    """
    record = load_run(run)
    log = _log(run)
    found = lint_log(recipe, record["variant"], log, served=True) if log else []
    own_hardware = hardware_matches(record["host"] or {}, recipe.spec.hardware.gpu)
    for cell in record["cells"]:
        metrics = cell_metrics(run, cell, log)
        if own_hardware:
            metrics |= share_of_ceiling(recipe, record["variant"], metrics)
        found += lint_result(recipe, record["variant"], metrics)
    return merged(found)


def share_of_ceiling(recipe: Recipe, variant: str, metrics: dict[str, Any]) -> dict[str, float]:
    """Decode speed over the most that the memory's bandwidth allows at that length: share_of_ceiling, above 1 is wrong.

    Nothing where the ceiling is not known, or does not bound tok/s of one stream.
    """
    from recipegen.plausible.limits import decode_share

    if "tg" not in metrics:
        return {}
    context = metrics["pp_tokens"] + metrics["depth"] + metrics["tg_tokens"]
    variant_share = decode_share(
        recipe.spec, variant, context=context, tg=metrics["tg"], concurrency=metrics["concurrency"]
    )
    return {} if variant_share is None else {"share_of_ceiling": variant_share}


def _log(run: Path) -> str:
    try:
        return read_bounded(run / SERVER_LOG, LOG_LIMIT).decode("utf-8", errors="replace")
    except RecipegenError:
        return ""  # a measured endpoint has none


def cell_metrics(run: Path, cell: CellRecord, log: str) -> dict[str, Any]:
    """What is known of a measured cell, by the names that rules use.

    Returns:
        pp_tokens, tg_tokens, depth, concurrency, runs, failed_requests; of a cell that is done also tg and pp (tok/s,
        warm medians), ttfr (ms), n (samples after the first) and spread (largest over smallest warm tg); of a
        speculative server acceptance (share of drafted tokens, 0 to 1) and acceptance_length (tokens): of this cell,
        as the server's counters say, else the mean of the log's lines, which are of the whole run.
    """
    found: dict[str, Any] = {
        "pp_tokens": cell["pp"],
        "tg_tokens": cell["tg"],
        **{key: cell[key] for key in ("depth", "concurrency", "runs", "failed_requests")},
        **(_counted_acceptance(run, cell) or dict(_acceptance(log))),
    }
    if cell["status"] != "done" or cell["file"] is None:
        return found
    shape = ReportCell(cell["pp"], cell["tg"], cell["depth"], cell["concurrency"], False)
    names = {"tg": "tg_throughput", "pp": "pp_throughput", "ttfr": "ttfr"}
    try:
        benchmark = load_benchmark(run / cell["file"], shape, cell["sha256"], list(names.values()))
    except RecipegenError:
        return found  # the table's own checks report it
    for key, name in names.items():
        samples = metric_values(benchmark, name)
        if samples:
            found[key], count = warm_median(samples)
            found.setdefault("n", count)
        if key == "tg" and len(samples) > 1:
            found["spread"] = max(samples[1:]) / max(min(samples[1:]), 1e-9)
    return found


def _counted_acceptance(run: Path, cell: CellRecord) -> dict[str, float]:
    """What was sampled of the server while the cell ran; empty where nothing was, or the server drafts nothing."""
    derived = (metrics_of(run, cell) or {}).get("derived")
    found = derived if isinstance(derived, dict) else {}
    kinds = {key: found.get(key) for key in ("acceptance", "acceptance_length")}
    return {key: float(value) for key, value in kinds.items() if isinstance(value, int | float)}


def _acceptance(log: str) -> Iterator[tuple[str, float]]:
    for key, pattern, scale in (("acceptance", _ACCEPTANCE, 100.0), ("acceptance_length", _LENGTH, 1.0)):
        values = [float(text) / scale for text in pattern.findall(log)]
        if values:
            yield key, sum(values) / len(values)
