"""How a checkpoint says that it is quantized: from its configuration files to the table's label and the format.

Owns the reading of those files' shapes; fetches nothing. Every value is hostile: what is not recognised is `unknown`.

Sources: `quantization_config` of config.json as Transformers and vLLM read it, hf_quant_config.json as NVIDIA's Model
Optimizer writes it, quantize_config.json (AutoGPTQ), quant_config.json (AutoAWQ), recipe.yaml (LLM Compressor).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

UNKNOWN = "unknown"
NO_FILE = "no file of the repository says it"
"""The source of a quantization that is not known."""
_PLAIN = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}
_PLAIN_STORED = {"BF16": "BF16", "F16": "FP16", "F32": "FP32"}
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_MODELOPT = {
    "NVFP4": "NVFP4",
    "NVFP4_AWQ": "NVFP4",
    "W4A4_NVFP4": "NVFP4",
    "W4A16_NVFP4": "NVFP4 (W4A16)",
    "W4A8_NVFP4_FP8": "NVFP4 (W4A8)",
    "FP8": "FP8",
    "FP8_PB_WO": "FP8",
    "FP8_PB_REAL": "FP8",
    "FP8_PER_CHANNEL_PER_TOKEN": "FP8",
    "MXFP4": "MXFP4",
    "MXFP8": "MXFP8",
    "INT8_SQ": "INT8",
    "W8A8_SQ_PER_CHANNEL": "INT8",
    "INT4_AWQ": "INT4",
    "W4A16_AWQ": "INT4",
    "W4A8_AWQ": "INT4",
}
"""Names of `quant_algo` in Model Optimizer's files."""
_BITS_METHODS = ("awq", "gptq", "gptq_marlin", "auto-round", "autoround", "auto_round", "exl2", "exl3", "hqq", "aqlm")
_NAMES = {"auto-round": "autoround", "auto_round": "autoround", "gptq_marlin": "gptq", "fbgemm_fp8": "fp8"}
"""Other names of a method; the catalog's comes last."""
_MOST_NESTED = 3
"""Levels of a config.json: a speaking model holds a thinking one, which holds its text part."""
_UNSERVED = {"exl2": "ExLlama", "exl3": "ExLlama", "hqq": "HQQ", "mlx": "MLX", "aqlm": "AQLM"}
"""Methods that vLLM's releases have no loader for, or no longer, by the program that made them."""


@dataclass(frozen=True)
class Quantization:
    """What a checkpoint's numbers are.

    Attributes:
        label: as the table writes it; several kinds are joined by ` + `.
        format: what the engine loads it as (modelopt, compressed-tensors, fp8, gguf …); None where no file says.
        source: the file and the key that it was read from.
        kv_cache: the number format of the KV cache that the checkpoint was calibrated for.
        notes: what a reader should know beside it.
    """

    label: str
    format: str | None
    source: str
    kv_cache: str | None = None
    notes: tuple[str, ...] = ()


def quantization(
    config: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    scheme: str | None = None,
    stored: tuple[str, ...] = (),
) -> Quantization:
    """The quantization of a checkpoint that is no GGUF.

    Args:
        config: its config.json; empty without one.
        files: hf_quant_config.json, quantize_config.json, quant_config.json, where it has them.
        scheme: the scheme named in LLM Compressor's recipe.yaml.
        stored: number formats of its tensors, as the hub counted them (BF16, F8_E4M3 …), most numerous first.
    """
    beside = files or {}
    if (odd := config.get("quantization_config")) is not None and not isinstance(odd, Mapping):
        said = f"its quantization_config is no mapping but {type(odd).__name__}: what it says was not read"
        other = quantization({**config, "quantization_config": None}, files, scheme=scheme, stored=stored)
        return replace(other, notes=(*other.notes, said))
    for place, section in _sections(config):
        found = _of_section(section, f"{place} in config.json")
        if found is not None:
            modelopt = beside.get("hf_quant_config.json", {})
            return _with_cache(found, modelopt.get("quantization"))
    modelopt = beside.get("hf_quant_config.json", {})
    if isinstance(part := modelopt.get("quantization"), Mapping):
        return _with_cache(_modelopt(part, "hf_quant_config.json"), part)
    if part := beside.get("quantize_config.json"):
        return _by_bits(str(part.get("quant_method", "gptq")), part.get("bits"), "quantize_config.json")
    if part := beside.get("quant_config.json"):
        return _by_bits("awq", part.get("w_bit", part.get("bits")), "quant_config.json")
    if scheme and _WORD.fullmatch(scheme):
        return Quantization(_of_scheme(scheme), "compressed-tensors", "recipe.yaml")
    return _plain(config, stored)


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's part of a config.json; of a text model all of it."""
    for _ in range(_MOST_NESTED):
        parts = (config.get(name) for name in ("text_config", "llm_config", "language_config", "thinker_config"))
        inner = next((part for part in parts if isinstance(part, Mapping) and part), None)
        if inner is None:
            break
        config = inner
    return config


def _sections(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    inner = text_part(config)
    for part, before in ((config, ""), (inner, "text part, ")):
        for name in ("quantization_config", "compression_config"):
            section = part.get(name)
            if isinstance(section, Mapping) and section:
                yield f"{before}{name}", section


def _of_section(section: Mapping[str, Any], source: str) -> Quantization | None:
    method = str(section.get("quant_method") or section.get("quant_library") or "").lower()
    if not method and isinstance(section.get("producer"), Mapping):
        method = str(section["producer"].get("name", "")).lower()
    if not method and "config_groups" in section:
        method = "compressed-tensors"
    if not _WORD.fullmatch(method):
        return Quantization(UNKNOWN, None, source, notes=("its quantization_config names no method",))
    name = _NAMES.get(method, method)
    if method in ("modelopt", "modelopt_fp4", "modelopt_mixed", "modelopt_mxfp8"):
        inner = section.get("quantization")
        return _modelopt(inner if isinstance(inner, Mapping) else section, source)
    if method in ("compressed-tensors", "sparseml"):
        return _compressed(section, source)
    if name in ("fp8", "mxfp4", "mxfp8"):
        return Quantization(name.upper(), name, source)
    if method == "bitsandbytes":
        four, eight = section.get("load_in_4bit") is True, section.get("load_in_8bit") is True
        kind = str(section.get("bnb_4bit_quant_type", "")).upper()
        label = (kind if kind in ("NF4", "FP4") else "INT4") if four else "INT8" if eight else UNKNOWN
        return Quantization(label, method, source)
    if method == "quark":
        return Quantization(_joined(_words(section)), method, source)
    if method in _BITS_METHODS or method == "mlx":
        return _by_bits(method, section.get("bits"), source)
    return Quantization(_joined(_words(section)), name, source, notes=(f"the method {name} is not one known here",))


def _modelopt(part: Mapping[str, Any], source: str) -> Quantization:
    algo = str(part.get("quant_algo") or "").upper()
    if algo == "MIXED_PRECISION":
        layers = part.get("quantized_layers")
        algos = [
            str(one.get("quant_algo", "")).upper()
            for one in (layers.values() if isinstance(layers, Mapping) else ())
            if isinstance(one, Mapping)
        ]
        labels = [_MODELOPT[one] for one in algos if one in _MODELOPT]
        return Quantization(_joined(labels), "modelopt", source, notes=("its layers differ in precision",))
    if algo in _MODELOPT:
        return Quantization(_MODELOPT[algo], "modelopt", source)
    if isinstance(part.get("config_groups"), Mapping):
        return Quantization(_compressed(part, source).label, "modelopt", source)
    return Quantization(UNKNOWN, "modelopt", source)


def _with_cache(found: Quantization, part: Any) -> Quantization:
    algo = part.get("kv_cache_quant_algo") if isinstance(part, Mapping) else None
    if not isinstance(algo, str) or not _WORD.fullmatch(algo):
        return found
    return Quantization(found.label, found.format, found.source, algo, found.notes)


def _compressed(section: Mapping[str, Any], source: str) -> Quantization:
    """compressed-tensors: one label a group of layers; the pack format decides where the groups do not tell."""
    groups = section.get("config_groups")
    labels = [
        _of_group(group, str(group.get("format") or section.get("format") or ""))
        for group in (groups.values() if isinstance(groups, Mapping) else ())
        if isinstance(group, Mapping)
    ]
    labels = [label for label in labels if label != UNKNOWN] or [_of_format(str(section.get("format") or ""))]
    scheme = section.get("kv_cache_scheme")
    cache = None
    if isinstance(scheme, Mapping) and scheme.get("num_bits") == 8:
        cache = "FP8" if scheme.get("type") == "float" else "INT8"
    return Quantization(_joined(labels), "compressed-tensors", source, cache)


def _of_group(group: Mapping[str, Any], pack: str) -> str:
    weights, inputs = group.get("weights"), group.get("input_activations")
    if not isinstance(weights, Mapping):
        return UNKNOWN
    bits, kind, size = weights.get("num_bits"), weights.get("type"), weights.get("group_size")
    only_weights = not isinstance(inputs, Mapping)
    if type(bits) is not int or not 0 < bits <= 16:
        return UNKNOWN
    if kind == "float":
        if bits == 4:
            known = _of_format(pack)
            base = known if known != UNKNOWN else "NVFP4" if size == 16 else "MXFP4" if size == 32 else "FP4"
            return f"{base} (W4A16)" if only_weights else base
        return ("MXFP8" if size == 32 else "FP8") if bits == 8 else UNKNOWN
    if kind == "int":
        if only_weights:
            return f"W{bits}A16"
        act = inputs.get("num_bits") if isinstance(inputs, Mapping) else None
        return "INT8" if bits == act == 8 else f"W{bits}A{act}" if type(act) is int and 0 < act <= 16 else UNKNOWN
    return UNKNOWN


def _of_format(pack: str) -> str:
    for sign, label in (("nvfp4", "NVFP4"), ("mxfp4", "MXFP4"), ("mxfp8", "MXFP8"), ("float-quantized", "FP8")):
        if pack.startswith(sign):
            return label
    return {"int-quantized": "INT8"}.get(pack, UNKNOWN)


def _of_scheme(scheme: str) -> str:
    """A preset scheme of compressed-tensors, as LLM Compressor's recipes name it."""
    name = scheme.upper()
    if name.startswith("NVFP4"):
        return "NVFP4 (W4A16)" if name.endswith("A16") else "NVFP4"
    for label in ("MXFP4", "MXFP8", "FP8"):
        if name.startswith(label):
            return label
    return "INT8" if name in ("W8A8", "INT8") else name if re.fullmatch(r"W[1-8]A(?:8|16)", name) else UNKNOWN


def _by_bits(method: str, bits: Any, source: str) -> Quantization:
    name = _NAMES.get(method, method)
    if not _WORD.fullmatch(name):
        return Quantization(UNKNOWN, None, source)
    usable = isinstance(bits, int | float) and not isinstance(bits, bool) and 0 < bits <= 16
    notes = (f"made for {_UNSERVED[method]}; vLLM may not load it",) if method in _UNSERVED else ()
    return Quantization(f"INT{bits:g}" if usable else UNKNOWN, name, source, notes=notes)


def _words(section: Mapping[str, Any]) -> list[str]:
    """Labels whose sign stands in a section of a shape that is not known here, at most two levels down."""
    text = " ".join(_scalars(section, 4)).lower()
    signs = (
        ("nvfp4", "NVFP4"),
        ("mxfp4", "MXFP4"),
        ("fp8", "FP8"),
        ("float8", "FP8"),
        ("int8", "INT8"),
        ("int4", "INT4"),
    )
    return [label for sign, label in signs if sign in text]


def _scalars(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value[:100]
    elif isinstance(value, Mapping) and depth:
        for item in list(value.values())[:100]:
            yield from _scalars(item, depth - 1)
    elif isinstance(value, list) and depth:
        for item in value[:100]:
            yield from _scalars(item, depth - 1)


def _joined(labels: list[str]) -> str:
    kinds = sorted({label for label in labels if label != UNKNOWN})
    return " + ".join(kinds[:3]) or UNKNOWN


def _plain(config: Mapping[str, Any], stored: tuple[str, ...]) -> Quantization:
    """A checkpoint without a sign of quantization: the type of its numbers."""
    for part, name in ((config, "config.json"), (text_part(config), "config.json, text part")):
        for key in ("dtype", "torch_dtype"):
            if (label := _PLAIN.get(str(part.get(key)))) is not None:
                return Quantization(label, "safetensors", f"{key} in {name}")
    if stored and (label := _PLAIN_STORED.get(stored[0])) is not None:
        return Quantization(label, "safetensors", "the types of its tensors, as the hub counts them")
    return Quantization(UNKNOWN, "safetensors" if config else None, NO_FILE)
