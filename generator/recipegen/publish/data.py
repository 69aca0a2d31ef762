"""index.json and index.csv: the rows of a repository for machines (docs/index-format.md). Owns their shape."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from recipegen.publish.row import Measured, Row
from recipegen.quoting import visible

FORMAT = "recipegen-index/1"
JSON_FILE = "index.json"
CSV_FILE = "index.csv"
_FORMULA = ("=", "+", "-", "@")
"""A cell that begins so is run by spreadsheets (OWASP, CSV injection); so is one behind a tab or a line break, and no
cell has those."""


def index_data(rows: Iterable[Row]) -> dict[str, Any]:
    """The whole of index.json, as data."""
    return {"format": FORMAT, "recipes": [row_data(row) for row in sorted(rows, key=lambda row: row.name)]}


def index_json(rows: Iterable[Row]) -> str:
    """The text of index.json; the same rows give the same bytes."""
    return json.dumps(index_data(rows), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def row_data(row: Row) -> dict[str, Any]:
    """One recipe of index.json. Measured figures and those of others stand under different keys."""
    speed_up = row.speed_up
    return {
        "name": row.name,
        "title": row.title,
        "folder": row.link,
        "status": row.status,
        "state": row.state,
        "model": row.model,
        "quantization": row.quantization,
        "method": row.method,
        "engine": row.engine,
        "hardware": row.hardware,
        "nodes": row.nodes,
        "context_tokens": row.context,
        "headline": row.headline,
        "cell": {
            "id": row.cell,
            "pp_tokens": row.pp_tokens,
            "tg_tokens": row.tg_tokens,
            "depth_tokens": row.depth,
            "concurrency": row.concurrency,
        },
        "measured": None if row.run is None else _measured_data(row),
        "speed_up": None
        if speed_up is None
        else {
            "baseline": speed_up.baseline,
            "ratio": _exact(speed_up.ratio),
            "low": _exact(speed_up.low),
            "high": _exact(speed_up.high),
            "effect": speed_up.effect,
        },
        "quality": row.quality,
        "runs": row.runs,
        "last_run": row.last_run,
        "reproduced": row.reproduced,
        "charts": list(row.charts),
        "agents": [asdict(one) for one in row.agents],
        "published": [
            {
                "variant": one.variant,
                "metric": one.metric,
                "value": one.value,
                "stat": one.stat,
                "n": one.n,
                "pp_tokens": one.pp,
                "tg_tokens": one.tg,
                "workload": one.workload,
                "depth_tokens": one.depth,
                "concurrency": one.concurrency,
                "corpus": one.corpus,
                "thinking": one.thinking,
                "source": one.source,
                "note": one.note,
            }
            for one in row.published
        ],
    }


def _measured_data(row: Row) -> dict[str, Any]:
    return {
        "run": row.run,
        "machine": row.machine,
        "date": row.date,
        "origin": row.origin,
        "own_hardware": row.own_hardware,
        "report": row.report,
        "verdict": row.verdict,
        "tg_tok_s": _figure(row.tg),
        "pp_tok_s": _figure(row.pp),
        "ttfr_ms": _figure(row.ttfr),
        "memory_bytes": row.memory_bytes,
    }


def _figure(found: Measured | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "median": _exact(found.median),
        "low": _exact(found.low),
        "high": _exact(found.high),
        "n": found.n,
        "warnings": list(found.warnings),
    }


def _exact(value: float | None) -> float | None:
    """Six significant digits: more than any interval carries, and the same on every machine."""
    return None if value is None else float(f"{value:.6g}")


COLUMNS = (
    "name",
    "title",
    "status",
    "state",
    "model",
    "quantization",
    "method",
    "engine",
    "hardware",
    "nodes",
    "context_tokens",
    "cell",
    "tg_tok_s",
    "tg_low",
    "tg_high",
    "pp_tok_s",
    "pp_low",
    "pp_high",
    "ttfr_ms",
    "n",
    "speed_up",
    "baseline",
    "memory_bytes",
    "quality",
    "verdict",
    "machine",
    "own_hardware",
    "date",
    "last_run",
    "runs",
    "reproduced",
    "report",
)
"""Of index.csv, in order. Figures of others are in index.json only: a spreadsheet would mix them with measured ones."""


def index_csv(rows: Iterable[Row]) -> str:
    """The text of index.csv: a line a recipe, empty where nothing is known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row.name):
        found = _flat(row_data(row))
        writer.writerow([_safe(found.get(column)) for column in COLUMNS])
    return out.getvalue()


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    measured = data["measured"] or {}
    figures = {key: measured.get(key) or {} for key in ("tg_tok_s", "pp_tok_s", "ttfr_ms")}
    return {
        **data,
        **measured,
        **{key: figure.get("median") for key, figure in figures.items()},
        **{f"{key[:2]}_{end}": figures[key].get(end) for key in ("tg_tok_s", "pp_tok_s") for end in ("low", "high")},
        "n": figures["tg_tok_s"].get("n"),
        "cell": data["cell"]["id"],
        "speed_up": (data["speed_up"] or {}).get("ratio"),
        "baseline": (data["speed_up"] or {}).get("baseline"),
    }


def _safe(value: Any) -> Any:
    """A value as a cell of one line that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    # The csv module leaves a lone carriage return bare, and what follows would begin a row of its own.
    value = visible(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
