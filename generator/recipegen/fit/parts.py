"""Shapes of an estimate: ranges, parts, verdict, ceiling. Owns no numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["fits", "tight", "over", "unknown"]
"""fits: even at the high end of every part; tight: only if the parts stay low; over: not even then; unknown: a number
is missing."""

GB = 1e9
"""Bytes in a GB, as the catalog counts."""


@dataclass(frozen=True)
class Range:
    """Least, expected and most of one number; the unit is the holder's."""

    low: float
    expected: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Range:
        """A number without doubt."""
        return cls(value, value, value)

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def __sub__(self, other: Range) -> Range:
        """The least is what is left when the other is at its most."""
        return Range(self.low - other.high, self.expected - other.expected, self.high - other.low)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.expected * factor, self.high * factor)

    def map(self, function: Callable[[float], float]) -> Range:
        """The same function on all three; for falling functions use `turned` on the result."""
        return Range(function(self.low), function(self.expected), function(self.high))

    def turned(self) -> Range:
        """Ends exchanged."""
        return Range(self.high, self.expected, self.low)

    def as_data(self) -> dict[str, float]:
        """For --json, three digits behind the point."""
        return {"low": round(self.low, 3), "expected": round(self.expected, 3), "high": round(self.high, 3)}


@dataclass(frozen=True)
class Part:
    """One consumer of memory on one node.

    Attributes:
        gb: GB of 10^9 bytes.
        source: where the number comes from.
    """

    name: str
    gb: Range
    source: str

    def as_data(self) -> dict[str, Any]:
        """The part for --json."""
        return {"name": self.name, "gb": self.gb.as_data(), "source": self.source}


@dataclass(frozen=True)
class Ceiling:
    """What the memory's bandwidth allows one stream without speculation.

    Attributes:
        tokens_per_s: tok/s at `context` tokens in the cache; a measured figure lies below `high`.
        bytes_per_token: GB that all ranks together read for one token.
        context: tokens in the cache.
        bounds: False with speculation, which yields several tokens for one reading of the weights.
        note: what was counted.
    """

    tokens_per_s: Range
    bytes_per_token: Range
    context: int
    bounds: bool
    note: str

    def as_data(self) -> dict[str, Any]:
        """The ceiling for --json."""
        return {
            "tokens_per_s": self.tokens_per_s.as_data(),
            "gb_per_token": self.bytes_per_token.as_data(),
            "context": self.context,
            "bounds": self.bounds,
            "note": self.note,
        }


@dataclass(frozen=True)
class Estimate:
    """Whether one variant of a recipe fits, per node.

    Attributes:
        reason: why, in one sentence.
        context: tokens of one request that the server admits (max-model-len, ctx-size …).
        sequences: requests at a time that the server admits.
        parts: consumers beside the cache of requests.
        budget: GB that the engine may use on one node.
        pool: GB left for the cache.
        request: GB of cache (and state) of one request of `context` tokens.
        total: GB in use on a node when the server runs, other software included. Its high end counts the weight files
            that stay in the page cache too, up to all memory: tools that count the cache as used show that.
        tokens: tokens of cache that fit, at requests of `context` tokens.
        logged: what this version of the engine prints as its cache's size, where it counts otherwise.
        largest: longest context of one request that fits; `largest_full` of `sequences` requests at once.
        native: the model's own context, where it is known.
        ceiling: None where bandwidth or sizes are not known.
        notes: what was assumed.
    """

    verdict: Verdict
    reason: str
    context: int | None = None
    sequences: int | None = None
    parts: tuple[Part, ...] = ()
    budget: Range | None = None
    pool: Range | None = None
    request: Range | None = None
    total: Range | None = None
    tokens: Range | None = None
    logged: Range | None = None
    largest: Range | None = None
    largest_full: Range | None = None
    native: int | None = None
    ceiling: Ceiling | None = None
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """The estimate for --json."""

        def data(value: Range | None) -> dict[str, float] | None:
            return value.as_data() if value else None

        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "context": self.context,
            "sequences": self.sequences,
            "parts": [part.as_data() for part in self.parts],
            "budget_gb": data(self.budget),
            "pool_gb": data(self.pool),
            "request_gb": data(self.request),
            "total_gb": data(self.total),
            "cache_tokens": data(self.tokens),
            "logged_tokens": data(self.logged),
            "largest_context": data(self.largest),
            "largest_context_all_sequences": data(self.largest_full),
            "native_context": self.native,
            "decode_ceiling": self.ceiling.as_data() if self.ceiling else None,
            "notes": list(self.notes),
        }
