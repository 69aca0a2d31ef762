"""The statistics of 10,000 reports' samples against numpy's medians of the same samples. Owns no printing.

Not called statistics.py: a script's own folder comes first where Python looks for modules, and that name is the
standard library's.
"""

from __future__ import annotations

import random

import numpy as np
from sampling import Row, clocked, interleaved

from recipegen.stats.compare import compare
from recipegen.stats.summary import describe

REPORTS, METRICS = 10_000, 3
PAIRS, COMPARISONS = 3, 200
TARGET = 10.0
"""Seconds: what "statistics over 10,000 reports in seconds" is taken for."""


def rows() -> list[Row]:
    """describe() of each metric's samples, and compare() of some of them, two by two."""
    samples = _samples()
    describe(samples[0])
    described, medians = interleaved(
        PAIRS,
        lambda: clocked(lambda: [describe(values) for values in samples]),
        lambda: clocked(lambda: [float(np.median(values)) for values in samples]),
    )
    pairs = list(zip(samples[:COMPARISONS], samples[COMPARISONS : 2 * COMPARISONS], strict=True))
    compare(*pairs[0])  # imports scipy
    compared = [clocked(lambda a=a, b=b: compare(a, b)) for a, b in pairs]
    return [
        Row(
            f"statistics of {REPORTS:,} reports",
            described,
            "s",
            "numpy.median of each alone",
            medians,
            TARGET,
            "value",
            f"{METRICS} metrics of 30 or 31 samples: interval, quartiles, warnings",
        ),
        Row("comparison of two cells", compared, "ms", remark="interval of the ratio, Mann-Whitney test"),
    ]


def _samples() -> list[list[float]]:
    """Decode, prefill, TTFR: as noisy as speculation, as steady as a baseline; an odd and an even number of them."""
    chance = random.Random(1)
    shapes = [(60.0, 0.3), (900.0, 0.03), (250.0, 0.1)]
    return [
        [middle * chance.lognormvariate(0, spread) for _ in range(30 + report % 2)]
        for report in range(REPORTS)
        for middle, spread in shapes[:METRICS]
    ]
