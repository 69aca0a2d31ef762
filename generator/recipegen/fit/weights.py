"""Sizes of weights: from the files, from what was published, from parameters and bits. Owns no reading of files."""

from __future__ import annotations

from recipegen.catalog.facts import ModelFacts
from recipegen.fit.constants import NOMINAL_BITS, QUANTIZED_BITS, WEIGHTS_ROUNDED
from recipegen.fit.local import LocalModel
from recipegen.fit.parts import GB, Part, Range
from recipegen.spec.model import Model


def quantization_key(quantization: str, table: dict[str, Range] | dict[str, float]) -> str | None:
    """The table's name for a quantization as a recipe writes it (`NVFP4 (W4A16)` -> NVFP4); None when it has none."""
    text = quantization.upper()
    found = [key for key in table if text.startswith(key)]
    return max(found, key=len) if found and "+" not in text else None


def weights(model: Model, facts: ModelFacts | None, local: LocalModel | None, tp: int) -> Part | None:
    """Weights on one of `tp` ranks, or None when neither files, nor a size, nor parameters and bits are known."""
    if local is not None and local.weights_bytes:
        return Part("weights", Range.exactly(local.weights_bytes / GB / tp), f"files in {local.folder.name}")
    checkpoint = facts.checkpoint(model.hf_id) if facts and model.hf_id else None
    sizes = {}
    if checkpoint is not None and checkpoint.weights_gb is not None:
        sizes["the catalog"] = checkpoint.weights_gb
    if model.size_gb is not None:
        sizes["the recipe"] = model.size_gb
    if sizes:
        smallest, largest = min(sizes.values()), max(sizes.values())
        rounded = WEIGHTS_ROUNDED.value
        first = next(iter(sizes.values()))
        gb = Range(smallest * rounded.low, first * rounded.expected, largest * rounded.high)
        return Part("weights", gb * (1 / tp), f"size in {' and '.join(sizes)}")
    params = (checkpoint.params_b if checkpoint else None) or (facts.params_b if facts else None)
    key = quantization_key(model.quantization, NOMINAL_BITS)
    if params is None or key is None:
        return None
    source = f"{params:g} billion parameters at the bits usual for {key}"
    return Part("weights", NOMINAL_BITS[key] * (params / 8 / tp), source)


def read_bytes(
    part: Part, model: Model, facts: ModelFacts | None, tp: int, local: LocalModel | None
) -> tuple[Range, str] | None:
    """GB of weights that all ranks read for one token of one stream, and what was counted.

    Dense: all weights but the table of input embeddings. Mixture of experts: the active experts at the quantized bits;
    the rest of the active parameters (attention, linear layers, shared experts, head) is somewhere between the
    quantized bits and BF16, because checkpoints leave some of it unquantized.
    """
    if facts is None or facts.kind is None:
        return None
    embedding = (facts.vocab_size or 0) * (facts.hidden_size or 0) * 2 / GB
    if facts.kind == "dense":
        whole = part.gb * tp
        low = max(whole.low - 2 * embedding, whole.low / 2)
        expected = max(whole.expected - embedding, low)
        return Range(low, expected, whole.high), "all weights but the input embeddings"
    key = quantization_key(model.quantization, QUANTIZED_BITS)
    if key is None or facts.active_b is None or facts.params_b is None or facts.moe is None:
        return None
    bits = QUANTIZED_BITS[key]
    expert = (facts.params_b - facts.active_b) / (facts.moe.experts - facts.moe.active)
    experts = min(facts.moe.active * expert, facts.active_b)
    other = facts.active_b - experts
    high = (experts * bits + other * 16) / 8
    low = facts.active_b * bits / 8
    note = (
        f"{experts:.2g} billion parameters of active experts at {bits:g} bits; {other:.2g} billion of attention, "
        f"shared layers and head between {bits:g} bits and BF16"
    )
    return Range(low, (low + high) / 2, high), note
