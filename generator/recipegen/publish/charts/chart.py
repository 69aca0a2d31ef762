"""A chart as data: a Vega-Lite spec without a look, its alternative text, the same figures as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CELL_LABELS = {
    "labelExpr": "split(replace(replace(datum.label, '-pp', ' pp'), regexp('-d(?=[0-9]+-c)'), ' d'), ' ')",
    "labelLimit": 140,
    "labelOverlap": False,
    "labelOffset": -14,  # three lines hang from the first; so they stand in the middle of their row
}
"""An axis of cells that leaves a phone room for what is drawn: text, prompt and answer, the rest, a line each."""


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        id: stem of its file.
        description: what it shows, with its main figures, for those who cannot see it.
        spec: Vega-Lite without width, ground or colours (theme.py has them); its data stand inside.
        columns: titles of the table of the same figures.
        rows: of that table.
    """

    id: str
    title: str
    description: str
    spec: Mapping[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def axis(title: str, *, zero: bool = True, **other: Any) -> dict[str, Any]:
    """A quantitative axis; rates begin at zero, because a cut axis makes a small difference look like a large one."""
    return {"type": "quantitative", "title": title, "scale": {"zero": zero, "nice": True}, **other}


def series(
    field: str, values: Sequence[Mapping[str, Any]], *channels: str, order: Sequence[str] = (), points: bool = False
) -> dict[str, Any]:
    """Channels by a nominal field: colour, and one that tells without colour (shape, strokeDash).

    Args:
        field: whose values are the series.
        values: the data. The domain is written out, because Vega joins the channels of several layers into one legend
            only where their domains are the same.
        channels: color alone by default.
        order: all series of the recipe, so that one has the same colour in every chart, there or not.
        points: whether the legend shows the points of lines; an outline would have the dashes of the line.
    """
    shown = list(dict.fromkeys(one[field] for one in values))
    told = {
        "field": field,
        "type": "nominal",
        "legend": {"title": None, "values": shown, **({"symbolStrokeWidth": 0} if points else {})},
        "scale": {"domain": list(dict.fromkeys([*order, *shown]))},
    }
    return dict.fromkeys(channels or ("color",), told)
