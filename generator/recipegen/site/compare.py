"""What the comparison shows of a recipe: data/<name>.js, which its page loads. Owns no markup and no finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipegen.publish.charts.beside import compare_spec
from recipegen.publish.compare import arguments
from recipegen.publish.figures import UNITS, conditions, number, with_interval
from recipegen.publish.listing import CellLine, RunLine
from recipegen.publish.marks import is_doubtful
from recipegen.publish.row import Row
from recipegen.publish.sides import facts_of
from recipegen.quoting import script_json, shell_word
from recipegen.results.store import run_order
from recipegen.stats.summary import Described

_CHARTS = ("tg", "pp")
_SHOWN_ELSEWHERE = ("recipe", "variant", "method", "machine", "engine", "engine version")
_BYTES = "memory (bytes)"


def compare_context(rows: Sequence[Row]) -> dict[str, Any]:
    """What templates/site/compare.html.j2 needs.

    Args:
        rows: the recipes, in any order.
    """
    return {
        "names": sorted(row.name for row in rows),
        "specs": {metric: compare_spec(metric) for metric in _CHARTS},
    }


def recipe_data(row: Row, runs: Sequence[RunLine]) -> str:
    """The text of data/<name>.js.

    Args:
        row: the recipe.
        runs: all its runs, in any order; the newest of each variant on each machine is shown, the headline first.
    """
    data = {
        "title": row.title,
        "page": f"{row.link}.html",
        "facts": {
            "model": row.model,
            "quantization": row.quantization,
            "method": row.method,
            "engine": row.engine,
            "hardware": row.hardware,
            "nodes": str(row.nodes),
            "context": None if row.context is None else f"{row.context:,} tokens",
            "status": row.status,
        },
        "runs": [_run(row.name, run) for run in newest_runs(runs, row.headline)],
        "published": [
            {
                "variant": one.variant,
                "metric": one.metric,
                "text": f"{number(one.value)} {UNITS[one.metric]}",
                "how": conditions(one),
                "source": one.source,
            }
            for one in row.published
        ],
    }
    return f"recipegenData({script_json(row.name)}, {script_json(data)});\n"


def newest_runs(runs: Sequence[RunLine], headline: str) -> list[RunLine]:
    """Of each variant on each machine the newest run with a figure, or the newest one where none has any; those of the
    headline variant first."""
    chosen: dict[tuple[str, str], RunLine] = {}
    for run in sorted(runs, key=lambda run: run_order(run.folder)):
        known = chosen.get((run.variant, run.machine))
        if known is None or run.done or not known.done:
            chosen[run.variant, run.machine] = run
    newest = sorted(chosen.values(), key=lambda run: run_order(run.folder), reverse=True)
    return sorted(newest, key=lambda run: run.variant != headline)


def _run(name: str, run: RunLine) -> dict[str, Any]:
    server = run.record["server"] or {}
    facts = {key: value for key, value in facts_of(run.record) if key not in _SHOWN_ELSEWHERE}
    memory = facts.get(_BYTES) or ""
    if memory.isdecimal():
        facts[_BYTES] = f"{int(memory):,}"
    return {
        "id": f"{run.variant}@{run.machine}",
        "variant": run.variant,
        "method": run.method,
        "engine": run.engine,
        "machine": run.machine,
        "date": run.date,
        "status": run.status,
        "error": run.error,
        "quality": run.quality,
        "faults": list(run.quality_reasons),
        "word": shell_word(f"{name}/{run.run}@{run.machine}"),
        "facts": facts,
        "flags": arguments([str(word) for word in server.get("argv") or ()]),
        "cells": [_cell(cell) for cell in run.cells],
    }


def _cell(cell: CellLine) -> dict[str, Any]:
    return {
        "id": cell.id,
        "error": None if cell.status == "done" else cell.error or "no reason noted",
        "doubt": cell.verdict if is_doubtful(cell.verdict) else None,
        "figures": dict(_figures(cell.figures)),
    }


def _figures(figures: Mapping[str, Described]) -> Iterator[tuple[str, dict[str, Any]]]:
    for metric, found in figures.items():
        yield (
            metric,
            {
                "text": with_interval(found),
                "n": found.n,
                "median": float(f"{found.median:.6g}"),
                "low": float(f"{found.low:.6g}"),
                "high": float(f"{found.high:.6g}"),
                "warnings": [warning.code for warning in found.warnings],
            },
        )
