"""The engine flags of a LocalMaxxing row, from the flags of a variant. Owns the mapping; a flag that the recipe does
not give is left out, never guessed from an engine's default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recipegen.engines.base import AUTOREGRESSIVE
from recipegen.engines.command import is_model_reference
from recipegen.engines.known import known, newest
from recipegen.engines.normal import merged_flags
from recipegen.spec.model import MODEL_REFERENCE

if TYPE_CHECKING:
    from recipegen.spec.completed import Spec

_VLLM = {
    "tensor-parallel-size": "tensorParallel",
    "pipeline-parallel-size": "pipelineParallel",
    "gpu-memory-utilization": "gpuMemUtil",
    "kv-cache-dtype": "kvCacheDtype",
    "max-num-seqs": "maxRunningSeqs",
    "max-num-batched-tokens": "prefillChunkSize",
    "enable-prefix-caching": "prefixCaching",
    "enable-chunked-prefill": "chunkedPrefill",
    "attention-backend": "attentionBackend",
    "quantization": "engineQuant",
    "cpu-offload-gb": "cpuOffloadGb",
}
_LLAMA = {
    "n-gpu-layers": "gpuLayers",
    "split-mode": "splitMode",
    "cache-type-k": "kvCacheDtype",
    "parallel": "numParallel",
    "cont-batching": "contBatching",
    "cache-prompt": "prefixCaching",
    "flash-attn": "flashAttn",
    "ubatch-size": "prefillChunkSize",
}
FLAGS: Mapping[str, Mapping[str, str]] = {"vllm": _VLLM, "llama.cpp": _LLAMA}
"""By engine: the long name of a flag, without dashes, and the field that it is."""
KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("tensorParallel", "pipelineParallel", "maxRunningSeqs", "prefillChunkSize"), (int,)),
    **dict.fromkeys(("gpuLayers", "numParallel"), (int,)),
    **dict.fromkeys(("gpuMemUtil", "cpuOffloadGb"), (int, float)),
    **dict.fromkeys(("kvCacheDtype", "attentionBackend", "splitMode", "engineQuant"), (str,)),
    **dict.fromkeys(("prefixCaching", "chunkedPrefill", "contBatching", "flashAttn"), (bool,)),
}
_SWITCH = {"on": True, "off": False}
_METHODS = {"n-gram": "ngram", "draft model": "draft"}
"""The board's spelling where it is not the table's own."""
_LLAMA_DRAFTS = ("spec-draft-n-max", "draft-max", "draft", "draft-n")
_DRAFT_MODELS = ("model-draft", "-md", "spec-draft-model")


def normal(spec: Spec, variant: str) -> dict[str, Any]:
    """The flags of a variant by their long names, values in normal form."""
    facts = known(spec.engine.name, spec.engine.version) or newest(spec.engine.name)
    return merged_flags(spec.variants[variant].flags, facts)


def engine_flags(spec: Spec, variant: str) -> dict[str, Any]:
    """What the recipe says of the server: scheduler, cache, parallelism, speculation."""
    flags = normal(spec, variant)
    table = FLAGS.get(spec.engine.name, {})
    found: dict[str, Any] = {}
    for flag, name in table.items():
        value: Any = flags.get(flag)
        if name == "flashAttn" and isinstance(value, str):
            value = _SWITCH.get(value)
        if type(value) in KINDS[name]:
            found[name] = value.lower() if name == "attentionBackend" else value
    if found.get("kvCacheDtype") != flags.get("cache-type-v", found.get("kvCacheDtype")):
        del found["kvCacheDtype"]  # two types, and one field
    return {**found, **_speculation(spec, variant, flags)}


def context_length(spec: Spec, variant: str) -> int | None:
    """Tokens of the server's window as the recipe sets it; None when it leaves that to the engine."""
    flags = normal(spec, variant)
    if spec.engine.name == "llama.cpp":
        window, slots = flags.get("ctx-size"), flags.get("parallel")
        shared = flags.get("kv-unified") is True
        if type(window) is int and type(slots) is int and slots > 1 and not shared:
            window //= slots  # the window is parted among the slots
    else:
        window = flags.get("max-model-len")
    return window if type(window) is int and window > 0 else None


def _speculation(spec: Spec, variant: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    method = spec.variants[variant].method
    if method == AUTOREGRESSIVE:
        return {"specDecoding": False, "mtpEnabled": False}
    config = flags.get("speculative-config")
    config = config if isinstance(config, Mapping) else {}
    steps = config.get("num_speculative_tokens") or next((flags[key] for key in _LLAMA_DRAFTS if key in flags), None)
    drafter: Any = next((value for value in (config.get("model"), *map(flags.get, _DRAFT_MODELS)) if value), None)
    named = spec.models[str(drafter[MODEL_REFERENCE])].hf_id if is_model_reference(drafter) else None
    found: dict[str, Any] = {
        "specDecoding": True,
        "specMethod": _METHODS.get(method, method),
        "specModel": named,  # an id of the hub, never a path
        "specNumTokens": steps if type(steps) is int and steps > 0 else None,
        "specNgramSize": config.get("prompt_lookup_max"),
        "mtpEnabled": method.upper().startswith("MTP") or method.lower() == "draft-mtp",
    }
    return {name: value for name, value in found.items() if value is not None}
