"""What a recipe asks for and no estimate can be made of. Owns no sizes.

Values that the engine refuses or that its machine cannot carry, flags whose memory is not counted, and a context that
the engine is left to choose.
"""

from __future__ import annotations

from math import inf
from typing import Any

from recipegen.fit.setup import Setup

_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "vllm": {
        "max-model-len": (1, inf),
        "tensor-parallel-size": (1, inf),
        "pipeline-parallel-size": (1, inf),
        "data-parallel-size": (1, inf),
        "nnodes": (1, inf),
        "max-num-batched-tokens": (1, inf),
        "max-num-seqs": (1, inf),
        "kv-cache-memory-bytes": (1, inf),
    },
    "llama.cpp": {"ctx-size": (0, inf), "parallel": (-1, inf), "ubatch-size": (1, inf), "cache-ram": (-1, inf)},
    "atlas": {"max-seq-len": (1, inf), "max-batch-size": (1, inf), "max-num-seqs": (1, inf)},
}
"""Least and most of the flags that the estimate calculates with; engines without an entry are not estimated."""
_SHARED = "gpu-memory-utilization"
_NOT_COUNTED = {
    "vllm": (
        "block-size",
        "cpu-offload-gb",
        "decode-context-parallel-size",
        "enable-lora",
        "hf-overrides",
        "kv-offloading-size",
        "num-gpu-blocks-override",
        "offload-group-size",
    ),
    "llama.cpp": ("lora", "lora-scaled", "mmproj", "control-vector", "override-kv"),
    "atlas": (),
}
"""Flags that change what is taken, by an amount that the estimate does not know."""
_SHOWN = 20
"""Characters of a wrong value."""
_UNQUANTIZED = ("BF16", "FP16", "NONE")


def refused(setup: Setup) -> str | None:
    """Why no server of these flags would start, as far as the estimate depends on it; None when nothing is wrong."""
    for key, (least, most) in _RANGES.get(setup.spec.engine.name, {}).items():
        if key in setup.flags and not _is_number(setup.flags[key], least, most) and not _left_open(setup, key):
            return f"--{key} {str(setup.flags[key])[:_SHOWN]} is not a number that the engine takes"
    share = setup.flags.get(_SHARED)
    if share is not None and setup.spec.engine.name != "llama.cpp" and not (_is_number(share, 0, 1) and share > 0):
        return f"--{_SHARED} {str(share)[:_SHOWN]} is no share of the memory: it lies above 0 and is 1 at most"
    return _ranks(setup) if setup.spec.engine.name == "vllm" else None


def _ranks(setup: Setup) -> str | None:
    """Why the layers cannot be split as asked. Every machine of the catalog has one GPU."""
    split, stages, copies, nodes = (
        int(setup.number(key) or 1)
        for key in ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "nnodes")
    )
    if copies > 1:
        return "several copies of the model (data-parallel-size) are not estimated"
    machines = max(setup.spec.hardware.nodes, nodes)
    if stages > 1 and split * stages > machines:
        want = f"--tensor-parallel-size {split} and --pipeline-parallel-size {stages} want {split * stages} GPUs"
        return f"{want}, and {setup.spec.hardware.id} has {machines}"
    if split > machines:
        return f"--tensor-parallel-size {split} wants {split} GPUs, and {setup.spec.hardware.id} has {machines}"
    heads = setup.kv.kv_heads if setup.kv else None
    if heads and heads % split and split % heads:
        return f"vLLM cannot split {heads} KV heads over {split} ranks"
    return None


def not_counted(setup: Setup) -> list[str]:
    """Notes on what takes memory, or frees some, and is in no part of the estimate."""
    engine, notes = setup.spec.engine.name, []
    given = [key for key in _NOT_COUNTED.get(engine, ()) if key in setup.flags]
    if engine == "vllm" and "quantization" in setup.flags and setup.model.quantization.upper() in _UNQUANTIZED:
        given.append("quantization")
    if given:
        notes.append(f"not counted: {', '.join(f'--{key}' for key in given)}")
    if setup.external and engine != "vllm":
        notes.append("not counted: the drafter's own cache")
    return notes


def chooses_context(setup: Setup) -> bool:
    """Whether the engine takes the longest context that fits, instead of not starting.

    vLLM does with `--max-model-len auto`, llama-server where --ctx-size is not given and it knows --fit, whose default
    is on (help text of b8156).
    """
    if setup.spec.engine.name == "vllm":
        return _left_open(setup, "max-model-len")
    if setup.spec.engine.name == "llama.cpp":
        return "fit" in setup.defaults and setup.flags.get("fit") != "off" and not setup.flags.get("ctx-size")
    return False


def _left_open(setup: Setup, key: str) -> bool:
    return key == "max-model-len" and setup.flags.get(key) == -1


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
