"""Which samples count, and what they come to. Owns no files and no presentation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_RULE = (
    "the first sample of a cell is dropped (it stays in the raw report), unless it is the only one; "
    "the figures are of the samples that remain"
)
"""The rule of the field, applied to every version of the tool alike.

llama-benchy 0.4 runs one request of the cell's own shape first and discards it (runner.py: `num_runs + 1`,
the first is `is_warmup`), so that its first stored sample is warm already, unless --no-warmup was given. 0.3
only sends a short request before the suite, so that its first stored sample holds compilation and cold
caches. One rule for both keeps figures comparable with the published ones, and costs one sample of thirty.
"""


@dataclass(frozen=True)
class Summary:
    """What the samples of one metric come to, in the metric's own unit (tok/s or ms).

    Attributes:
        n: samples that count.
        dropped: samples left out.
        std: population standard deviation, as llama-benchy's own (numpy.std).
    """

    n: int
    dropped: int
    median: float
    mean: float
    std: float
    minimum: float
    maximum: float


def warm(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Splits samples by WARM_RULE into those that count and those that are dropped."""
    if len(values) < 2:
        return list(values), []
    return list(values[1:]), [values[0]]


def warm_median(values: Sequence[float]) -> tuple[float, int]:
    """Median of the samples that count, and how many they are.

    Raises:
        ValueError: for no samples.
    """
    kept, _ = warm(values)
    if not kept:
        raise ValueError("no samples")
    return statistics.median(kept), len(kept)


def summarize(values: Sequence[float], drop_first: bool) -> Summary:
    """Summary of the samples of one metric.

    Args:
        values: samples in the order they were measured.
        drop_first: apply WARM_RULE; False keeps every sample.

    Raises:
        ValueError: for no samples, or one that is not finite or too large to be squared.
    """
    kept, dropped = warm(values) if drop_first else (list(values), [])
    if not kept:
        raise ValueError("no samples")
    try:
        mean = math.fsum(kept) / len(kept)
        std = math.sqrt(math.fsum([(value - mean) ** 2 for value in kept]) / len(kept))
    except OverflowError as error:
        raise ValueError("a sample is too large to be one") from error
    if not math.isfinite(std):
        raise ValueError("a sample is not a finite number")
    return Summary(len(kept), len(dropped), statistics.median(kept), mean, std, min(kept), max(kept))
