"""chart.svg: every sample of the headline and its baseline, with medians and intervals. Owns the geometry; the drawing
is templates/bundle/chart.svg.j2. The same evidence gives the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipegen.bundle.claim import WORDS
from recipegen.evidence import Evidence
from recipegen.publish.figures import UNITS, number

if TYPE_CHECKING:
    from recipegen.render.templates import Templates

WIDTH, LEFT, RIGHT = 760.0, 170.0, 24.0
TOP, ROW, PANEL_HEAD, AXIS, FOOT = 58.0, 74.0, 26.0, 44.0, 24.0
_Scale = Callable[[float], float]
_TICKS = 6
"""About as many numbers under an axis."""


@dataclass(frozen=True)
class _Dot:
    x: str
    y: str
    counts: bool


@dataclass(frozen=True)
class _Row:
    """One variant in a panel; places are finished numbers for the drawing."""

    name: str
    label: str
    y: str
    middle: str
    text_y: str
    median: str
    low: str
    width: str
    height: str
    dots: tuple[_Dot, ...]


@dataclass(frozen=True)
class _Panel:
    title: str
    head_y: str
    axis_y: str
    label_y: str
    ticks: tuple[tuple[str, str], ...]
    rows: tuple[_Row, ...]


def chart_svg(evidence: Evidence, templates: Templates) -> str:
    """The chart of decode and prefill speed."""
    sides = [evidence, *([evidence.baseline] if evidence.baseline else [])]
    panels, y = [], TOP
    for metric in ("tg", "pp"):
        shown = [side for side in sides if metric in side.figures]
        if shown:
            panels.append(_panel(metric, shown, y))
            y += PANEL_HEAD + ROW * len(shown) + AXIS
    return templates.render(
        "bundle/chart.svg.j2",
        title=evidence.spec.title,
        cell=evidence.cell["id"],
        panels=panels,
        width=_place(WIDTH),
        height=_place(y + FOOT),
        foot_y=_place(y + FOOT - 14),
        left=_place(LEFT),
        right=_place(WIDTH - RIGHT),
    )


def _panel(metric: str, sides: list[Evidence], top: float) -> _Panel:
    most = max(max(side.samples(metric)) for side in sides)
    step = _step(most)
    end = step * max(1, math.ceil(most / step))

    def x(value: float) -> float:
        return LEFT + value / end * (WIDTH - LEFT - RIGHT)

    first = top + PANEL_HEAD
    bottom = first + ROW * len(sides)
    ticks = [(f"{step * at:g}", _place(x(step * at))) for at in range(round(end / step) + 1)]
    return _Panel(
        title=f"{WORDS[metric]} ({metric}), {UNITS[metric]}",
        head_y=_place(top + 14),
        axis_y=_place(bottom),
        label_y=_place(bottom + 18),
        ticks=tuple((label, place) for label, place in ticks),
        rows=tuple(_row(metric, side, first + ROW * at, x) for at, side in enumerate(sides)),
    )


def _row(metric: str, side: Evidence, y: float, x: _Scale) -> _Row:
    found, inner = side.figures[metric], ROW - 18
    samples = side.samples(metric)
    return _Row(
        name=f"{side.variant} ({side.record['method']})",
        label=f"{number(found.median)}, n={found.n}",
        y=_place(y + 6),
        middle=_place(y + 6 + inner / 2 - 2),
        text_y=_place(y + 6 + inner / 2 + 14),
        median=_place(x(found.median)),
        low=_place(x(found.low)),
        width=_place(max(x(found.high) - x(found.low), 1.0)),
        height=_place(inner),
        dots=tuple(_dots(samples, found.dropped, y + 10, inner - 8, x)),
    )


def _dots(samples: list[float], dropped: int, top: float, height: float, x: _Scale) -> Iterator[_Dot]:
    """The samples from top to bottom in the order in which they were measured."""
    for at, value in enumerate(samples):
        down = height * (at + 0.5) / len(samples)
        yield _Dot(_place(x(value)), _place(top + down), at >= dropped)


def _step(most: float) -> float:
    """A round distance of ticks: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0
    rough = most / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def _place(value: float) -> str:
    return f"{value:.1f}"
