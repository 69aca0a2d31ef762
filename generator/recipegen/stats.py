"""Which samples count, and what they come to. Owns no files and no presentation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from recipegen.results.report import LARGEST

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


def summarize(values: Sequence[float], drop_first: bool) -> Summary:
    """Summary of the samples of one metric.

    Args:
        values: samples in the order they were measured.
        drop_first: apply WARM_RULE; False keeps every sample.

    Raises:
        ValueError: for no samples, or one that is not finite or above LARGEST.
    """
    kept, dropped = warm(values) if drop_first else (list(values), [])
    if not kept:
        raise ValueError("no samples")
    if not all(abs(value) <= LARGEST for value in kept):
        raise ValueError("a sample is not a number that can be measured")
    mean = math.fsum(kept) / len(kept)
    return Summary(
        n=len(kept),
        dropped=len(dropped),
        median=statistics.median(kept),
        mean=mean,
        std=math.sqrt(math.fsum((value - mean) ** 2 for value in kept) / len(kept)),
        minimum=min(kept),
        maximum=max(kept),
    )
