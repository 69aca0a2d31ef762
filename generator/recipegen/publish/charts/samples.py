"""Charts of one measurement: samples, depth, concurrency, acceptance, memory. Owns what they show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recipegen.publish.charts.chart import Chart, axis, series
from recipegen.publish.figures import UNITS, number, with_interval
from recipegen.publish.listing import CellLine
from recipegen.results.store import DOUBTFUL
from recipegen.stats.summary import Described

NAMES = {"tg": "Decode", "pp": "Prefill", "ttfr": "Time to first response"}
_THOUSANDS = "datum.value % 1024 || !datum.value ? format(datum.value, ',') : datum.value / 1024 + 'K'"
"""4096 is 4K, as the field writes depths."""
_POINTS = 300
"""Looks at the memory that a chart shows at most; a measurement of an hour has 3,600."""


def samples_chart(cells: Mapping[str, CellLine], metric: str) -> Chart | None:
    """Every sample of one cell in the order in which it was measured, a series a variant."""
    shown = {variant: cell for variant, cell in cells.items() if metric in cell.figures}
    if not shown:
        return None
    unit = UNITS[metric]
    values: list[dict[str, Any]] = []
    medians: list[dict[str, Any]] = []
    for variant, cell in shown.items():
        found = cell.figures[metric]
        values += [
            {"variant": variant, "sample": at, "value": value, "kind": "counts" if at > found.dropped else "cold"}
            for at, value in enumerate(cell.samples[metric], 1)
        ]
        medians.append({"variant": variant, "median": found.median, "low": found.low, "high": found.high})
    up = axis(f"{NAMES[metric]} ({unit})")
    across = axis(
        "Sample, as measured",
        axis={"tickMinStep": 1, "format": "d"},
        scale={"zero": False, "nice": False, "padding": 14},
    )
    color = series("variant", values)
    places = {
        "x": {"field": "sample", **across},
        "y": {"field": "value", **up},
        **series("variant", values, "color", "shape"),
    }
    spec = {
        "height": 240,
        "layer": [
            {
                "data": {"values": medians},
                "mark": {"type": "rect", "opacity": 0.18},
                "encoding": {"y": {"field": "low", **up}, "y2": {"field": "high"}, **color},
            },
            {
                "data": {"values": medians},
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"y": {"field": "median", **up}, **color},
            },
            {
                "data": {"values": [one for one in values if one["kind"] == "counts"]},
                "mark": {"type": "point", "filled": True, "opacity": 0.9, "tooltip": True},
                "encoding": places,
            },
            {
                "data": {"values": [one for one in values if one["kind"] == "cold"]},
                "mark": {"type": "point", "filled": False, "opacity": 1, "tooltip": True},
                "encoding": places,
            },
        ],
    }
    told = "; ".join(
        f"{variant} {with_interval(cell.figures[metric])} {unit}"
        + (f", which is {cell.verdict}" if cell.verdict in DOUBTFUL else "")
        for variant, cell in shown.items()
    )
    cell = next(iter(shown.values()))
    return Chart(
        f"samples-{metric}",
        f"{NAMES[metric]}: every sample of {cell.id}",
        f"Every sample in the order in which it was measured; the line is the median, the band its 95 % interval, a "
        f"hollow point is cold and does not count. Medians: {told}.",
        spec,
        ("variant", "sample", f"{NAMES[metric].lower()} ({unit})", "counts"),
        tuple(
            (one["variant"], str(one["sample"]), number(one["value"]), "yes" if one["kind"] == "counts" else "cold")
            for one in values
        ),
    )


def empty_chart(metric: str) -> Chart:
    """What stands in the samples' place where nothing was measured: one sentence."""
    words = "No run here has samples of the headline cell."
    spec = {
        "height": 60,
        "data": {"values": [{"words": words}]},
        "mark": {"type": "text"},
        "encoding": {"text": {"field": "words", "type": "nominal"}},
    }
    return Chart(f"samples-{metric}", f"{NAMES[metric]}: nothing measured", words, spec, (), ())


def line_chart(cells: Mapping[str, Sequence[CellLine]], x: str, metric: str, like: CellLine) -> Chart | None:
    """A metric against depth or concurrency, a line a variant; cells that are like the headline's in all else.

    Args:
        cells: of each variant.
        x: depth or concurrency.
        like: the headline cell.
    """
    unit = UNITS[metric]
    values: list[dict[str, Any]] = []
    for variant, measured in cells.items():
        for cell in measured:
            if metric in cell.figures and _same_but(cell, like, x):
                values += _points(variant, getattr(cell, x), cell, metric)
    counts = Counter(one["series"] for one in values)
    values = [one for one in values if counts[one["series"]] > 1]
    if not values:
        return None
    order = list(dict.fromkeys(one["series"] for one in values))
    values.sort(key=lambda one: (order.index(one["series"]), one["x"]))
    name = "Context before the prompt (tokens)" if x == "depth" else "Requests at a time (each step twice as many)"
    places = sorted({one["x"] for one in values})
    across = {"field": "x", **axis(name, axis={"values": places, "labelExpr": _THOUSANDS})}
    if x == "concurrency":
        across["scale"] = {"type": "log", "base": 2, "nice": False}
    up = axis(f"{NAMES[metric]} ({unit})")
    spec = {
        "height": 240,
        "data": {"values": values},
        "encoding": {"x": across, **series("series", values, points=True)},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 1.5},
                "encoding": {"y": {"field": "low", **up}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line"},
                "encoding": {"y": {"field": "median", **up}, **series("series", values, "strokeDash", points=True)},
            },
            {
                "mark": {"type": "point", "filled": True, "tooltip": True, "opacity": 1},
                "encoding": {"y": {"field": "median", **up}, **series("series", values, "shape", points=True)},
            },
        ],
    }
    told = _by_series("series", values, lambda one: f"{one['shown']} at {one['x']:,}")
    word = "depth" if x == "depth" else "concurrency"
    return Chart(
        f"{word}-{metric}",
        f"{NAMES[metric]} against {'depth of context' if x == 'depth' else 'requests at a time'}",
        f"{NAMES[metric]} in {unit}, medians with their 95 % intervals. {told}.",
        spec,
        ("series", name.lower(), f"{NAMES[metric].lower()} ({unit})"),
        tuple((one["series"], f"{one['x']:,}", one["shown"]) for one in values),
    )


def _points(variant: str, at: int, cell: CellLine, metric: str) -> list[dict[str, Any]]:
    """A cell's point; of several requests at a time also the share of each."""
    found = [_point(variant, at, cell.figures[metric])]
    if metric == "tg" and "tg_req" in cell.figures:
        found.append(_point(f"{variant}, each request", at, cell.figures["tg_req"]))
    return found


def _point(key: str, at: int, found: Described) -> dict[str, Any]:
    return {
        "series": key,
        "x": at,
        "median": found.median,
        "low": found.low,
        "high": found.high,
        "shown": with_interval(found),
    }


def _same_but(cell: CellLine, like: CellLine, x: str) -> bool:
    return all(
        getattr(cell, name) == getattr(like, name)
        for name in ("corpus", "thinking", "pp", "tg", "depth", "concurrency")
        if name != x
    )


def acceptance_chart(metrics: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Share of drafts accepted at each position, a series a variant.

    Args:
        metrics: what was sampled during the headline cell, by variant.
    """
    values: list[dict[str, Any]] = []
    for variant, one in metrics.items():
        rates = part(one, "derived").get("acceptance_per_position")
        values += [
            {"variant": variant, "position": at, "accepted": float(rate)}
            for at, rate in enumerate(rates if isinstance(rates, list) else (), 1)
            if is_number(rate) and 0 <= rate <= 1
        ]
    if not values:
        return None
    spec = {
        "height": 220,
        "data": {"values": values},
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": {"field": "position", "type": "ordinal", "title": "Position in the draft", "axis": {"labelAngle": 0}},
            "xOffset": {"field": "variant", "type": "nominal"},
            "y": {"field": "accepted", **axis("Accepted", axis={"format": "%"}), "scale": {"domain": [0, 1]}},
            **series("variant", values, order=list(metrics)),
        },
    }
    told = _by_series("variant", values, lambda one: f"{one['accepted']:.0%}")
    return Chart(
        "acceptance",
        "Accepted drafts by position",
        f"Share of drafted tokens that were accepted, by position in the draft, as the server counted them. {told}.",
        spec,
        ("variant", "position", "accepted"),
        tuple((one["variant"], str(one["position"]), f"{one['accepted']:.1%}") for one in values),
    )


def memory_chart(metrics: Mapping[str, Mapping[str, Any]], cell_id: str) -> Chart | None:
    """Memory of the host in use while the cell ran, a series a variant."""
    values: list[dict[str, Any]] = []
    for variant, one in metrics.items():
        host = part(one, "host")
        course = (column if isinstance(column := host.get(name), list) else [] for name in ("t", "used_bytes"))
        looks = [
            (float(t), float(used) / (1 << 30))
            for t, used in zip(*course, strict=False)
            if is_number(t) and is_number(used)
        ]
        values += [{"variant": variant, "seconds": round(t, 1), "gib": round(used, 3)} for t, used in _thinned(looks)]
    if not values:
        return None
    spec = {
        "height": 220,
        "data": {"values": values},
        "mark": {"type": "line", "tooltip": True},
        "encoding": {
            "x": {"field": "seconds", **axis("Seconds since the cell began")},
            "y": {"field": "gib", **axis("Memory in use (GiB)")},
            **series("variant", values, "color", "strokeDash", order=list(metrics)),
        },
    }
    peaks = {
        variant: max(one["gib"] for one in values if one["variant"] == variant)
        for variant in dict.fromkeys(one["variant"] for one in values)
    }
    told = "; ".join(f"{variant} {peak:.1f} GiB" for variant, peak in peaks.items())
    return Chart(
        "memory",
        f"Memory of the host during {cell_id}",
        f"Memory of the host in use while the cell was measured, everything on it counted. At most: {told}.",
        spec,
        ("variant", "seconds", "memory in use (GiB)"),
        tuple((one["variant"], f"{one['seconds']:g}", f"{one['gib']:.2f}") for one in values),
    )


def _thinned(looks: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The largest of each stretch, so that no peak is lost."""
    size = -(-len(looks) // _POINTS) or 1
    return [max(looks[at : at + size], key=lambda look: look[1]) for at in range(0, len(looks), size)]


def part(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of a file that came with a run of anybody's; empty when it is not there or no object."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def is_number(value: Any) -> bool:
    """Whether it is a number that has a place on an axis."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _by_series(key: str, values: Sequence[Mapping[str, Any]], words: Callable[[Mapping[str, Any]], str]) -> str:
    """`dflash: 81 %, 64 %; mtp: 77 %`."""
    names = dict.fromkeys(one[key] for one in values)
    return "; ".join(f"{name}: {', '.join(words(one) for one in values if one[key] == name)}" for name in names)
