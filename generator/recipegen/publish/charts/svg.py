"""A chart as an SVG file for Markdown: light and dark by the reader's choice, the same bytes for the same data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from recipegen.publish.charts.chart import Chart
from recipegen.publish.charts.theme import GROUND, LINES, TEXT, config
from recipegen.quoting import visible, xml_text

WIDTH = 720
"""Pixels from edge to edge."""
_PADDING = {"left": 30, "right": 20, "top": 8, "bottom": 8}
"""Room for readers whose fonts are wider than the one that places were computed with."""
_LONGEST = 400
"""Characters of a text in a drawing: far beyond what has room, and Vega measures ten thousand for seconds."""
_MARK = re.compile(rb"<!-- recipegen chart, inputs ([0-9a-f]{64}), drawing ([0-9a-f]{64}) -->\n")


def svg(chart: Chart) -> bytes:
    """The file. Its first line holds the hashes of what it was made of, and of the drawing itself."""
    import vl_convert

    drawn = str(vl_convert.vegalite_to_svg(_whole(chart), allowed_base_urls=[]))
    drawing = _accessible(drawn, chart).encode()
    return _mark(_inputs(chart), _sha(drawing)) + drawing


def is_current(chart: Chart, found: bytes) -> bool:
    """Whether a file is what `svg` would write: told by the hashes, because drawing takes forty milliseconds."""
    mark = _MARK.match(found)
    return mark is not None and mark.groups() == (_inputs(chart).encode(), _sha(found[mark.end() :]).encode())


def is_marked(found: bytes) -> bool:
    """Whether a file says that recipegen drew it, whatever became of it."""
    return _MARK.match(found) is not None


def is_ours(found: bytes) -> bool:
    """Whether recipegen drew a file, and nobody has changed it since."""
    mark = _MARK.match(found)
    return mark is not None and mark[2] == _sha(found[mark.end() :]).encode()


def _mark(inputs: str, drawing: str) -> bytes:
    return f"<!-- recipegen chart, inputs {inputs}, drawing {drawing} -->\n".encode()


def _whole(chart: Chart) -> dict[str, Any]:
    # A page of Markdown shows no other title.
    return {**visible(chart.spec, _LONGEST), "title": visible(chart.title, _LONGEST), **_around()}


def _around() -> dict[str, Any]:
    """What every drawing has."""
    return {
        "width": WIDTH,
        "autosize": {"type": "fit-x", "contains": "padding"},
        # A ground of its own: what a page's is, the reader's choice of light or dark does not tell.
        "config": {**config("light"), "background": GROUND["light"], "aria": False},
        "padding": _PADDING,
    }


def _inputs(chart: Chart) -> str:
    """Of everything that the drawing hangs on."""
    # The chart as it is given: making ten thousand samples visible takes longer than reading them did.
    parts = [chart.spec, chart.title, chart.description, _around(), _library(), STYLE]
    return _sha(json.dumps(parts).encode())


@cache
def _library() -> str:
    """Version of the library that draws: looked up once, because that reads a file."""
    return version("vl-convert-python")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _dark(colors: Mapping[str, str], properties: tuple[str, ...]) -> str:
    return "".join(f'[{name}="{colors["light"]}"]{{{name}:{colors["dark"]}}}' for name in properties)


STYLE = (
    "<style>@media (prefers-color-scheme:dark){"
    + _dark(TEXT, ("fill", "stroke"))
    + _dark(LINES, ("stroke",))
    + _dark(GROUND, ("fill",))
    + "}</style>"
)
"""CSS stands above the attributes that the drawing has: one file serves both grounds."""


def _accessible(drawing: str, chart: Chart) -> str:
    """The drawing with its name and description where screen readers look for them."""
    head, end, rest = drawing.partition(">")
    words = f"<title>{xml_text(chart.title)}</title><desc>{xml_text(chart.description)}</desc>"
    return f'{head} role="img"{end}{words}{STYLE}{rest}\n'
