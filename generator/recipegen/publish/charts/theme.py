"""The look of charts: Vega's config for light and dark grounds. Owns colours and fonts."""

from __future__ import annotations

from typing import Any, Literal

Ground = Literal["light", "dark"]
TEXT = {"light": "#1b2127", "dark": "#e7ebef"}
LINES = {"light": "#d4dae1", "dark": "#38424d"}
GROUND = {"light": "#ffffff", "dark": "#12161b"}
PALETTE = ("#0072b2", "#d55e00", "#00875f", "#b5539c", "#8c6d00", "#6b7785", "#008391", "#7b61c9")
"""After Okabe and Ito (2008), told apart with every common colour blindness; each has a contrast of 3:1 or more on both
grounds (WCAG 2.2, 1.4.11), so that a chart may change its ground without changing its colours."""
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first one travels inside vl-convert, so that the places of texts do not hang on the fonts of a machine."""


def config(ground: Ground) -> dict[str, Any]:
    """Vega-Lite's config of a ground."""
    text, lines = TEXT[ground], LINES[ground]
    words = {"labelColor": text, "titleColor": text, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 600}
    return {
        "background": None,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **words,
            "gridColor": lines,
            "domainColor": text,
            "tickColor": text,
            "labelLimit": 220,
            "titlePadding": 8,
            "labelOverlap": "greedy",
            "labelSeparation": 6,
        },
        "legend": {
            **words,
            "orient": "top",
            "direction": "horizontal",
            "labelLimit": 140,  # two beside each other fit a page that is 360 pixels wide
            "symbolSize": 90,
            "symbolOpacity": 1,
            "columns": 2,
        },
        "header": words,
        "title": {"color": text, "fontSize": 15, "anchor": "start", "frame": "bounds", "limit": 670, "offset": 12},
        "text": {"color": text, "fontSize": 12},
        "rule": {"color": text},
        "range": {"category": list(PALETTE)},
        "point": {"size": 55},
    }
