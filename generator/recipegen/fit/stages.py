"""What the fullest of several pipeline stages holds. Owns the split of layers over stages."""

from __future__ import annotations

from math import ceil

from recipegen.catalog.facts import KvFacts
from recipegen.fit.parts import Part, Range

_ENDS = 0.1
"""Share of all weights that embeddings or head may add to a stage where their size is not known; the table of
Qwen3.5-27B, 248,320 words of 5,120 numbers in BF16, is 9 % of its FP8 weights, and those of larger models less."""


def of_fullest_stage(weights: Part, kv: KvFacts, stages: int, table_gb: float | None) -> Part:
    """The weights of the stage with the most layers; vLLM gives each of them layers / stages, rounded up for some
    (vllm/distributed/utils.py, get_pp_indices).

    Args:
        weights: of all stages, on one tensor-parallel rank.
        table_gb: GB of the embeddings (or the head, which is as large) on that rank; None where it is not known.
    """
    if stages == 1:
        return weights
    most = ceil(kv.layers / stages) / kv.layers
    ends = weights.gb.high * _ENDS if table_gb is None else table_gb
    gb = Range(weights.gb.low / stages, weights.gb.expected * most, weights.gb.high * most + ends)
    return Part(weights.name, gb, f"{weights.source}; {ceil(kv.layers / stages)} of {kv.layers} layers")


def kv_of_stage(kv: KvFacts, stages: int) -> KvFacts:
    """The layers of the stage with the most of each kind; models repeat their kinds evenly."""
    if stages == 1:
        return kv

    def share(count: int) -> int:
        return ceil(count / stages)

    changed: dict[str, object] = {"layers": share(kv.layers), "attention_layers": share(kv.attention_layers)}
    for name in ("sliding", "linear", "mamba", "indexer"):
        part = getattr(kv, name)
        if part is not None:
            changed[name] = part.model_copy(update={"layers": share(part.layers)})
    return kv.model_copy(update=changed)
