"""The figures of one row from one entry of a raw report. Owns which statistic and which samples; knows no recipe, so
that a bare report can be held against a bare payload."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from recipegen.evidence import EVERY_METRIC
from recipegen.plausible.samples import CONTROL_SHARE
from recipegen.results.report import metric_values
from recipegen.stats.summary import Described, describe

PREFILL_MEASURED = "median of the warm samples of pp_throughput"
PREFILL_FROM_TTFT = "promptTokens / (ttftMs / 1000): the first response is no token, so that pp_throughput is no rate"
TOTAL = "(promptTokens + outputTokens) / (promptTokens / tokSPrefill + outputTokens / tokSOut), of unrounded medians"
DIGITS = 2
"""Decimals of figures that are sent: those that published rows have."""


@dataclass(frozen=True)
class Row:
    """One row, unrounded.

    Attributes:
        prompt: tokens of prompt that a request reads anew.
        output: tokens that it makes.
        cached: tokens that the KV cache holds before it.
        concurrency: requests at the same time; `decode` is then the sum over them.
        decode: tok/s.
        ttft: ms to the first token, end to end; None where the report has none.
        prefill: tok/s of prompt; None where nothing gives it.
        prefill_how: the formula.
        statistics: of every metric that the report has, by its short name.
    """

    prompt: int
    output: int
    cached: int
    concurrency: int
    decode: float
    ttft: float | None
    prefill: float | None
    prefill_how: str
    statistics: Mapping[str, Described]

    @property
    def total(self) -> float | None:
        """Tokens of a whole request over its time, tok/s; of one stream only: those of several overlap."""
        if self.prefill is None or self.concurrency != 1:
            return None
        return total_rate(self.prompt, self.output, self.prefill, self.decode)


def row_of(benchmark: Mapping[str, Any], *, cached_context: bool, drop_first: bool = True) -> Row:
    """The row that a report's entry comes to: medians of the warm samples.

    Args:
        benchmark: with `is_context_prefill_phase` false.
        cached_context: the report's `prefix_caching_enabled`: what lies at a depth was in the cache.
        drop_first: leave the first sample out; False where a warm-up of the same shape was run just before.

    Raises:
        ValueError: there is no decode speed.
    """
    samples = {name: metric_values(dict(benchmark), metric) for name, metric in EVERY_METRIC.items()}
    found = {name: describe(values, drop_first=drop_first) for name, values in samples.items() if values}
    if "tg" not in found or found["tg"].median <= 0:
        raise ValueError("the report holds no decode speed of this cell")
    depth = int(benchmark["context_size"])
    prompt = int(benchmark["prompt_size"]) + (0 if cached_context else depth)
    ttft = found["ttft"].median if "ttft" in found else None
    prefill, how = (found["pp"].median if "pp" in found else None), PREFILL_MEASURED
    if ttft and "ttfr" in found and found["ttfr"].median < CONTROL_SHARE * ttft:
        prefill, how = prompt / (ttft / 1000), PREFILL_FROM_TTFT
    return Row(
        prompt=prompt,
        output=int(benchmark["response_size"]),
        cached=depth if cached_context else 0,
        concurrency=int(benchmark["concurrency"]),
        decode=found["tg"].median,
        ttft=ttft or None,
        prefill=prefill or None,
        prefill_how=how,
        statistics=found,
    )


def total_rate(prompt: float, output: float, prefill: float, decode: float) -> float:
    """Tokens of a request over its time, tok/s."""
    return (prompt + output) / (prompt / prefill + output / decode)


def rounded(value: float) -> float:
    """A figure as it is sent."""
    return round(value, DIGITS)


def figures(row: Row) -> dict[str, float | int]:
    """The fields of a payload that a row gives; those that it does not are left out."""
    found: dict[str, float | int | None] = {
        "promptTokens": row.prompt,
        "outputTokens": row.output,
        "prefillTokens": row.cached,
        "batchSize": row.concurrency,
        "ttftMs": None if row.ttft is None else rounded(row.ttft),
        "tokSOut": rounded(row.decode),
        "tokSPrefill": None if row.prefill is None else rounded(row.prefill),
        "tokSTotal": None if row.total is None else rounded(row.total),
    }
    return {name: value for name, value in found.items() if value is not None}


def agrees(claimed: float | Decimal, found: float) -> bool:
    """Whether a claimed figure is what was found, rounded to the decimals of the claim: 153.8 is 154 and not 153.

    A Decimal has the decimals that were written: 154.0 has one, as a float it has none.
    """
    if not math.isfinite(claimed):
        return False
    written = claimed if isinstance(claimed, Decimal) else Decimal(repr(float(claimed))).normalize()
    decimals = max(0, -int(written.as_tuple().exponent))
    # Half of the last decimal, and a little more for a value that lies in the middle of two.
    return abs(float(written) - found) <= 0.5 * 10.0**-decimals * (1 + 1e-9) + 1e-12 * abs(found)
