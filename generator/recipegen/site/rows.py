"""Rows kept in a site's manifest, so that an unchanged recipe need not be read again. Owns their form there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recipegen.publish.row import AgentScore, Measured, Row, SpeedUp


def row_to_data(row: Row) -> dict[str, Any]:
    """A row as JSON data."""
    return {**asdict(row), "published": [one.model_dump(mode="json") for one in row.published]}


def row_from_data(data: dict[str, Any]) -> Row:
    """The row that `row_to_data` gave.

    Raises:
        TypeError, KeyError, ValueError: it is not one.
    """
    from recipegen.spec.model import Published

    figures = {key: None if data[key] is None else _measured(data[key]) for key in ("tg", "pp", "ttfr")}
    lists: dict[str, Any] = {
        "charts": tuple(data["charts"]),
        "agents": tuple(AgentScore(**one) for one in data["agents"]),
        "published": tuple(Published.model_validate(one) for one in data["published"]),
        "speed_up": None if data["speed_up"] is None else SpeedUp(**data["speed_up"]),
    }
    return Row(**{**data, **figures, **lists})


def _measured(data: dict[str, Any]) -> Measured:
    return Measured(**{**data, "warnings": tuple(data["warnings"])})
