"""Whether a model's heads can be split over the ranks of a variant."""

from __future__ import annotations

from collections.abc import Iterator

from recipegen.engines.ranks import SIZES, variant_ranks
from recipegen.lint.context import Context
from recipegen.lint.finding import Hit
from recipegen.lint.subject import Subject


def heads_split(subject: Subject, context: Context) -> Iterator[Hit]:
    """TP_DIVIDES_HEADS. Silent where the catalog does not know the heads."""
    if subject.spec.engine.name != "vllm" or subject.facts is None:
        return
    ranks = variant_ranks(subject.spec, subject.variant.name).tensor
    heads = subject.facts.attention_heads
    kv_heads = subject.facts.kv.kv_heads if subject.facts.kv else None
    path = subject.flag_path(SIZES["tensor"]) or ("variants", subject.variant.name)
    if heads is not None and heads % ranks:
        yield Hit(
            "TP_DIVIDES_HEADS",
            path,
            f"{subject.facts.id} has {heads} attention heads, which {ranks} ranks cannot share",
        )
    elif kv_heads is not None and kv_heads % ranks and ranks % kv_heads:
        yield Hit(
            "TP_DIVIDES_HEADS", path, f"{subject.facts.id} has {kv_heads} KV heads, which {ranks} ranks cannot share"
        )
