"""Small plots of one line for tables on a terminal: samples in order, a figure with its interval on a scale."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

_BLOCKS, _PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
_BAR, _PLAIN_BAR = ("·", "─", "●"), (" ", "-", "o")
_LEAST_SPAN = 0.04
"""Share of the median that the whole height of a sparkline stands for at the least: 2 % either way, below which
figures are called steady. Noise of a tenth of a per cent would fill the line otherwise."""
_INSTEAD = str.maketrans({"–": "-", "−": "-", "→": "->", "…": "...", "×": "x", "·": ".", "▲": "^", "▼": "v"})


def shows_blocks(encoding: str | None) -> bool:
    """Whether text of that encoding can hold the plots' characters."""
    try:
        (_BLOCKS + "".join(_BAR)).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def encodable(text: str, encoding: str | None) -> str:
    """The text with what an encoding lacks written in other words: `->` for an arrow, else `\\u2713`."""
    name = encoding or "ascii"
    try:
        text.encode(name)
    except UnicodeEncodeError:
        return text.translate(_INSTEAD).encode(name, "backslashreplace").decode(name)
    except LookupError:
        return encodable(text, "ascii")
    return text


def sparkline(values: Sequence[float], width: int, *, scale: Sequence[float] = (), blocks: bool = True) -> str:
    """Values in their order, low to high: `▃▄▆▅█`.

    Args:
        values: at most `width` of them have a character each; of more, neighbours share one, by their median.
        width: characters at the most.
        scale: values that set lowest and highest; `values` themselves by default. Others end at the edge.
        blocks: False for ASCII.
    """
    if not values or width < 1:
        return ""
    shown = list(values)
    if len(shown) > width:
        ends = [round(at * len(shown) / width) for at in range(width + 1)]
        shown = [statistics.median(shown[a:b]) for a, b in pairwise(ends)]
    of = list(scale) or list(values)
    low, high = min(of), max(of)
    short = abs(statistics.median(of)) * _LEAST_SPAN - (high - low)
    if short > 0:
        low, high = low - short / 2, high + short / 2
    levels = _BLOCKS if blocks else _PLAIN_BLOCKS
    return "".join(levels[_step(value, low, high, len(levels))] for value in shown)


def bar(low: float, median: float, high: float, scale: tuple[float, float], width: int, *, blocks: bool = True) -> str:
    """An interval and its figure between the ends of a scale: `····──●─···`.

    Args:
        low, high: ends of the interval.
        scale: what the first and the last character stand for; what lies beyond ends at the edge.
        width: characters.
        blocks: False for ASCII.
    """
    if width < 1:
        return ""
    outside, inside, at = _BAR if blocks else _PLAIN_BAR
    first, middle, last = (_step(value, *scale, width) for value in (low, median, high))
    drawn = [inside if first <= place <= last else outside for place in range(width)]
    drawn[middle] = at
    return "".join(drawn)


def _step(value: float, low: float, high: float, steps: int) -> int:
    """Which of so many equal steps between low and high a value lies in; the middle one where they are equal."""
    if not high > low or not math.isfinite(high - low):
        return steps // 2
    return max(0, min(steps - 1, int((value - low) / (high - low) * steps)))
