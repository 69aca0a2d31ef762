"""What the front page shows of each recipe: the cells of its table, the choices of its filters. Owns no markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recipegen.publish.figures import figure_parts, number, ratio_parts
from recipegen.publish.index import odd, published_headline, remarks_of
from recipegen.publish.marks import marked, quality_marked
from recipegen.publish.row import Measured, Row, SpeedUp
from recipegen.spec.model import Published

LONGEST = 200
"""Characters of a text that a cell shows; the recipe's own page shows all."""

LABELS = {"tg": "decode", "pp": "prefill"}
_GROUPS = {"recipe": "", "setup": "set up with", "measured": "measured here", "published": "published by others"}
_STATES = ("measured", "published", "not measured")


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: its name in the address and in the style sheet.
        group: key of _GROUPS; columns of one group stand together.
        sort: by text, or by number, largest first.
        filter: whether one of its values can be chosen.
    """

    key: str
    label: str
    group: str
    sort: Literal["text", "number"] = "text"
    filter: bool = False
    unit: str = ""

    @property
    def title(self) -> str:
        """The label where nothing stands above it: `decode, measured here`."""
        group = _GROUPS[self.group] if self.group in ("measured", "published") else ""
        return ", ".join(part for part in (self.label, group) if part)


COLUMNS = (
    Column("recipe", "recipe", "recipe"),
    Column("status", "status", "recipe", filter=True),
    Column("tg", "decode", "measured", "number", unit="tok/s"),
    Column("speedup", "× baseline", "measured", "number"),
    Column("pp", "prefill", "measured", "number", unit="tok/s"),
    Column("memory", "memory", "measured", "number", unit="GiB"),
    Column("quality", "quality", "measured"),
    Column("date", "last run", "measured"),
    Column("reproduced", "reproduced", "measured", "number"),
    Column("published", "decode, prefill", "published", "number", unit="tok/s"),
    Column("model", "model", "setup", filter=True),
    Column("quantization", "quantization", "setup", filter=True),
    Column("method", "method", "setup", filter=True),
    Column("engine", "engine", "setup", filter=True),
    Column("hardware", "hardware", "setup", filter=True),
    Column("context", "context", "setup", "number", unit="tokens"),
)
"""From left to right; a narrow window shows the first ones."""


def front_context(rows: Sequence[Row]) -> dict[str, Any]:
    """What templates/site/front.html.j2 needs.

    Args:
        rows: the recipes, in any order.
    """
    ordered = sorted(rows, key=lambda row: (_STATES.index(row.state), -(row.tg.median if row.tg else 0), row.name))
    filters = [column for column in COLUMNS if column.filter]
    return {
        "columns": COLUMNS,
        "groups": _groups(),
        "recipes": [_recipe(row) for row in ordered],
        "filters": [(column, _choices(column.key, rows)) for column in filters],
        "contexts": sorted({row.context for row in rows if row.context is not None}),
        "counts": {state: sum(row.state == state for row in rows) for state in _STATES},
    }


def _groups() -> list[tuple[str, str, int]]:
    """Key, label and width in columns of each group, from left to right."""
    keys = [column.group for column in COLUMNS]
    return [(key, _GROUPS[key], keys.count(key)) for key in dict.fromkeys(keys)]


def engine_name(row: Row) -> str:
    """The engine without its version, which is what a reader looks for."""
    return row.engine.partition(" ")[0]


def _choices(key: str, rows: Iterable[Row]) -> list[str]:
    values = {engine_name(row) if key == "engine" else str(getattr(row, key)) for row in rows}
    return sorted(map(short, values - {""}), key=str.casefold)


def short(text: str) -> str:
    """The text, cut where it is longer than a table can bear."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _recipe(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "page": f"{row.link}.html",
        "title": short(row.title),
        "status": row.status,
        "marked": marked(row.status),
        "state": row.state,
        "model": short(row.model),
        "quantization": short(row.quantization),
        "method": short(row.method),
        "engine": short(row.engine),
        "engine_name": short(engine_name(row)),
        "hardware": short(row.hardware),
        "context": row.context,
        "tg": _figure(row.tg, _remarks(row, "tg")),
        "pp": _figure(row.pp, _remarks(row, "pp")),
        "speed_up": _speed_up(row.speed_up),
        "memory": None if row.memory_bytes is None else f"{row.memory_bytes / (1 << 30):.1f}",
        "quality": row.quality or ("not asked" if row.run else ""),
        "quality_marked": quality_marked(row.quality),
        "last_run": row.last_run or "",
        "runs": row.runs,
        "reproduced": row.reproduced,
        "published": [_published(one) for metric in ("tg", "pp") if (one := published_headline(row, metric))],
    }


def _figure(found: Measured | None, remarks: Sequence[str]) -> dict[str, Any] | None:
    if found is None:
        return None
    text, interval = figure_parts(found)
    return {
        "value": f"{found.median:.6g}",
        "text": text,
        "interval": interval or "one sample",
        "n": found.n,
        "remarks": [*(odd(found) if interval else []), *remarks],
    }


def _remarks(row: Row, metric: Literal["tg", "pp"]) -> list[str]:
    """What must stand beside a figure; here, no heading says that it is of another machine."""
    return [*remarks_of(row, metric), *[f"on {short(str(row.machine))}"] * (not row.own_hardware)]


def _speed_up(found: SpeedUp | None) -> dict[str, Any] | None:
    if found is None:
        return None
    text, interval = ratio_parts(found.ratio, found.low, found.high)
    return {
        "value": f"{found.ratio:.6g}",
        "text": text,
        "interval": interval,
        "undecided": found.effect == "undecided",
    }


def _published(figure: Published) -> dict[str, str]:
    tokens = (figure.tg if figure.metric == "tg" else figure.pp) or ""
    return {
        "metric": figure.metric,
        "label": f"{LABELS[figure.metric]} {figure.metric}{tokens}" if tokens else LABELS[figure.metric],
        "text": number(figure.value),
        "source": figure.source,
    }
