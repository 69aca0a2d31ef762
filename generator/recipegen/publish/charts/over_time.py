"""Charts of several measurements: the headline over time, every variant beside the baseline. Owns what they show."""

from __future__ import annotations

from collections.abc import Sequence

from recipegen.publish.charts.chart import CELL_LABELS, Chart, axis, series
from recipegen.publish.charts.samples import NAMES
from recipegen.publish.figures import UNITS, with_interval
from recipegen.publish.history import Series
from recipegen.publish.ratios import Ratio

_DAYS = {"format": "%Y-%m-%d", "labelOverlap": True, "tickCount": 6}


def history_chart(found: Series) -> Chart | None:
    """A headline figure over time: a point a run, its interval, its samples, and where it moved significantly."""
    points = [point for point in found.points if point.started]
    if len(points) < 2:
        return None
    unit = UNITS[found.metric]
    medians = [
        {
            "started": point.started,
            "engine": point.engine or "engine not known",
            "run": point.run,
            "median": point.figure.median,
            "low": point.figure.low,
            "high": point.figure.high,
        }
        for point in points
    ]
    samples = [{"started": point.started, "value": value} for point in points for value in point.samples]
    by_run = {point.run: point for point in points}
    middle = str(points[len(points) // 2].started)  # words stand on the side where there is room
    moved = [
        {
            "started": by_run[step.after].started,
            "label": f"{step.mark} {step.ratio - 1:+.1%}",
            "why": "; ".join(step.changed),
            "late": str(by_run[step.after].started) > middle,
        }
        for step in found.steps
        if step.mark in ("gain", "regression") and step.after in by_run
    ]
    across = {
        "field": "started",
        "type": "temporal",
        "title": "Start of the run (UTC)",
        "scale": {"type": "utc"},
        "axis": _DAYS,
    }
    up = axis(f"{NAMES[found.metric]} ({unit}), axis not from zero", zero=False)
    color = series("engine", medians)
    layers = [
        {
            "data": {"values": samples},
            "mark": {"type": "point", "size": 10, "opacity": 0.35, "color": "#6b7785"},
            "encoding": {"x": across, "y": {"field": "value", **up}},
        },
        {
            "data": {"values": medians},
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {
                "x": across,
                "y": {"field": "low", **up},
                "y2": {"field": "high"},
                **color,
            },
        },
        {
            "data": {"values": medians},
            "mark": {"type": "point", "filled": True, "opacity": 1, "size": 80, "tooltip": True},
            "encoding": {"x": across, "y": {"field": "median", **up}, **series("engine", medians, "color", "shape")},
        },
    ]
    if moved:
        layers += [
            {
                "data": {"values": moved},
                "mark": {"type": "rule", "strokeDash": [4, 3]},
                "encoding": {"x": across},
            },
            *(
                {
                    "data": {"values": [one for one in moved if one["late"] is late]},
                    "mark": {"type": "text", "align": align, "dx": dx, "dy": 6, "baseline": "top"},
                    "encoding": {"x": across, "y": {"value": 0}, "text": {"field": "label", "type": "nominal"}},
                }
                for late, align, dx in ((False, "left", 5), (True, "right", -5))
            ),
        ]
    steps = "; ".join(step.words for step in found.steps) or "nothing that is recorded changed between the runs"
    return Chart(
        f"history-{found.metric}",
        f"{NAMES[found.metric]} over time: {found.cell} on {found.machine}",
        f"Median of each run with its 95 % interval, samples faint; a dashed line is a significant change. {steps}.",
        {"height": 240, "layer": layers},
        ("run", "started", "engine", f"{NAMES[found.metric].lower()} ({unit})"),
        tuple((point.run, str(point.started), point.engine, with_interval(point.figure)) for point in points),
    )


def baseline_chart(ratios: Sequence[Ratio], baseline: str) -> Chart | None:
    """How many times as fast as the baseline each variant is, cell by cell, with intervals."""
    if not ratios:
        return None
    values = [
        {
            "cell": one.cell,
            "series": f"{one.variant}, {NAMES[one.metric].lower()}",
            "ratio": one.ratio,
            "low": one.ratio if one.low is None else one.low,
            "high": one.ratio if one.high is None else one.high,
        }
        for one in ratios
    ]
    across = axis(f"Times as fast as {baseline}", scale={"zero": False, "padding": 12}, axis={"tickCount": 8})
    cells, many = len({one["cell"] for one in values}), len({one["series"] for one in values})
    up = {"field": "cell", "type": "nominal", "title": None, "sort": None, "axis": CELL_LABELS}
    beside = {"field": "series", "type": "nominal"}
    both = series("series", values, "color", "shape")
    spec = {
        "height": cells * max(60, 22 * many),
        "layer": [
            {
                "data": {"values": [{"one": 1}]},
                "mark": {"type": "rule", "strokeDash": [4, 3]},
                "encoding": {"x": {"field": "one", **across}},
            },
            {
                "data": {"values": values},
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "y": up,
                    "yOffset": beside,
                    "x": {"field": "low", **across},
                    "x2": {"field": "high"},
                    **series("series", values),
                },
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "opacity": 1, "tooltip": True},
                "encoding": {"y": up, "yOffset": beside, "x": {"field": "ratio", **across}, **both},
            },
        ],
    }
    told = "; ".join(f"{one.variant} {one.cell} {one.metric} {one.shown}" for one in ratios[:12])
    return Chart(
        "baseline",
        f"Every variant beside {baseline}",
        f"Ratio of medians with its 95 % interval, 1 is as fast as {baseline}. {told}.",
        spec,
        ("variant", "cell", "metric", f"times as fast as {baseline}", "in words"),
        tuple((one.variant, one.cell, one.metric, one.shown, one.words) for one in ratios),
    )
