"""The chart of two recipes side by side, without data: the site's comparison fills them in."""

from __future__ import annotations

from typing import Any

from recipegen.publish.charts.chart import CELL_LABELS, axis
from recipegen.publish.charts.samples import NAMES
from recipegen.publish.figures import UNITS

SIDES = ("A", "B")


def compare_spec(metric: str) -> dict[str, Any]:
    """Medians with their intervals, a line a cell and side.

    Args:
        metric: short name.

    Returns:
        Vega-Lite without a height, whose `data.values` are to be objects with cell, side ("A" or "B"), median, low
        and high.
    """
    across = axis(f"{NAMES[metric]} ({UNITS[metric]})")
    sides: dict[str, Any] = {"field": "side", "type": "nominal", "scale": {"domain": list(SIDES)}}
    line = {
        "y": {"field": "cell", "type": "nominal", "title": None, "sort": None, "axis": CELL_LABELS},
        "yOffset": {**sides},
    }
    told = {**sides, "legend": {"title": None}}
    return {
        "data": {"values": []},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {**line, "x": {"field": "low", **across}, "x2": {"field": "high"}, "color": told},
            },
            {
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 80, "tooltip": True},
                "encoding": {**line, "x": {"field": "median", **across}, "color": told, "shape": told},
            },
        ],
    }
