"""The most tokens a second that the memory's bandwidth allows. Owns the formula."""

from __future__ import annotations

from recipegen.engines.base import AUTOREGRESSIVE
from recipegen.fit.cache import Cache, Shape
from recipegen.fit.parts import GB, Ceiling, Part, Range
from recipegen.fit.setup import Setup
from recipegen.fit.weights import read_bytes


def ceiling(setup: Setup, weights: Part, shape: Shape, tp: int, context: int) -> Ceiling | None:
    """Bandwidth over bytes read for one token of one stream; None where a number is missing.

    Args:
        shape: of the target alone, on one rank.
        context: tokens in the cache, all of which attention reads.
    """
    bandwidth = setup.spec.hardware.bandwidth_gb_s
    read = read_bytes(weights, setup.model, setup.facts, tp, setup.local)
    if bandwidth is None or read is None:
        return None
    cache = Cache(shape).request_bytes(context) / GB * tp
    total = read[0] + Range.exactly(cache)
    rate = total.map(lambda gb: bandwidth * tp / gb).turned()
    method = setup.spec.variants[setup.variant].method
    bounds = method == AUTOREGRESSIVE and not (setup.lookahead or setup.external)
    note = f"{read[1]}; {cache:.2g} GB of cache and state"
    if tp > 1:
        note += f"; {tp} ranks read at once, and what they tell each other is not counted"
    if not bounds:
        note += "; with speculation multiply by the mean acceptance length"
    return Ceiling(rate, total, context, bounds, note)
