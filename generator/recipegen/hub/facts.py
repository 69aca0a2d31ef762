"""What the hub's files say of a model: size, licence, architecture, context, experts, prediction heads. Owns the
reading of their shapes; what no file says is None, and `unknown` says so in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from recipegen.errors import EnvironmentLacks
from recipegen.hub.client import Described, describe, small_file
from recipegen.hub.gguf import GgufSet, gguf_sets
from recipegen.hub.quantization import Quantization, quantization, text_part
from recipegen.quoting import comment_text
from recipegen.spec.types import HF_ID

CONFIG_LIMIT = 4 << 20
"""Bytes; a config.json of more than 4 MiB is no config. ModelOpt's list of excluded layers takes some hundred kB."""
INDEX_LIMIT = 32 << 20
"""Bytes; the index of a checkpoint with tens of thousands of experts' tensors has some megabytes."""
RECIPE_LIMIT = 256 << 10
MOST = 1 << 40
"""No count in a config.json is larger."""
_QUANT_FILES = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tiktoken.model", "tekken.json", "vocab.json")
_MTP_KEYS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", "num_mtp_layers", "mtp_num_layers")
"""Numbers of prediction heads: DeepSeek, GLM and Nemotron; Qwen3.5; MiniMax; others."""
_MTP_TENSOR = re.compile(r"(?:^|\.)(?:mtp(?:_layers|_block)?|nextn|mtp_predictor)\.")
_WINDOWS = (
    "max_position_embeddings",
    "max_sequence_length",
    "max_seq_len",
    "model_max_length",
    "seq_length",
    "n_positions",
)
_PACKED = ("U8", "I8", "U4", "I4", "I32", "F4", "F8_E8M0")
"""Types that hold several numbers, or scales: a count of them is no count of parameters."""
_DUPLICATE = re.compile(r"(?:consolidated|original)[^/]*\.safetensors")


@dataclass(frozen=True)
class Heads:
    """Prediction heads (MTP).

    Attributes:
        count: as config.json says.
        present: their tensors are in the checkpoint, as its index lists them; None where there is no index.
    """

    count: int
    present: bool | None


@dataclass(frozen=True)
class HubModel:
    """A model as its files on the hub describe it.

    Attributes:
        hf_id: its name on the hub; `asked` the one that was asked for.
        base_models: repositories that its card says it was made from.
        relation: how, in the card's word (quantized, finetune, adapter, merge).
        weights_gb: GB of 10^9 bytes of the files that an engine reads.
        weights: their names, as patterns; empty where the repository holds nothing else of size.
        params_b: parameters, 10^9; None where tensors are packed or nobody counted them.
        experts, experts_per_token: of one layer.
        ggufs: quantizations of a GGUF repository, smallest first.
        pipeline: what the hub files it under (text-generation …).
        own_code: config.json names classes that lie in the repository.
        drafter: its config is that of a drafter.
        adapter: it is a LoRA adapter, no model.
    """

    hf_id: str
    asked: str
    commit: str
    files: Mapping[str, int | None]
    config: Mapping[str, Any]
    quantization: Quantization
    gated: bool = False
    private: bool = False
    licence: str | None = None
    base_models: tuple[str, ...] = ()
    relation: str | None = None
    weights_gb: float | None = None
    weights: tuple[str, ...] = ()
    params_b: float | None = None
    architecture: str | None = None
    model_type: str | None = None
    context: int | None = None
    experts: int | None = None
    experts_per_token: int | None = None
    heads: Heads | None = None
    tokenizer: bool = False
    ggufs: tuple[GgufSet, ...] = ()
    pipeline: str | None = None
    own_code: bool = False
    drafter: bool = False
    adapter: bool = False


def read_model(hf_id: str) -> HubModel:
    """Everything that a first recipe needs to know of a model on the hub.

    Raises:
        EnvironmentLacks: the hub cannot be reached or makes no sense, or the model is gated.
        RecipegenError: there is no such model, or one of its files is no configuration.
    """
    found = describe(hf_id)
    config = _json(found, "config.json", CONFIG_LIMIT)
    beside = {name: _json(found, name, CONFIG_LIMIT) for name in _QUANT_FILES if name in found.files}
    ggufs = () if _safetensors(found.files) else tuple(gguf_sets(found.files))
    counted, stored = _stored(found.data)
    weights, weights_gb = _weights(found.files)
    text = text_part(config)
    card = found.data.get("cardData")
    gguf = found.data.get("gguf")
    model = HubModel(
        hf_id=found.hf_id,
        asked=hf_id,
        commit=found.commit,
        files=found.files,
        config=config,
        quantization=quantization(config, beside, scheme=_scheme(found, config, beside), stored=stored),
        gated=bool(found.data.get("gated")),
        private=found.data.get("private") is True,
        licence=_licence(card if isinstance(card, dict) else {}),
        base_models=_base_models(card, found.data.get("tags")),
        relation=_relation(found.data.get("tags")),
        weights_gb=weights_gb,
        weights=weights,
        params_b=counted,
        architecture=_architecture(config),
        model_type=_word(config.get("model_type")) or _word(text.get("model_type")),
        context=context_of(config),
        experts=_first(text, ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")),
        experts_per_token=_first(text, ("num_experts_per_tok", "num_experts_per_token", "moe_top_k", "top_k_experts")),
        heads=_heads(found, text),
        tokenizer=any(name in found.files for name in _TOKENIZERS),
        ggufs=ggufs,
        pipeline=_word(found.data.get("pipeline_tag")),
        own_code=isinstance(config.get("auto_map"), dict) and bool(config.get("auto_map")),
        drafter=_is_drafter(config),
        adapter="adapter_config.json" in found.files and not config,
    )
    return _of_gguf(model, gguf) if ggufs and isinstance(gguf, dict) else model


def unknown(model: HubModel) -> list[str]:
    """What no file of the model says, in words, in the order in which a reader misses it."""
    said = {
        "quantization": model.quantization.label != "unknown" or bool(model.ggufs),
        "architecture": model.architecture or model.model_type,
        "number of parameters": model.params_b,
        "size of the weights": model.weights_gb or any(one.size_gb for one in model.ggufs),
        "native context": model.context,
        "licence": model.licence,
        "base model": model.base_models,
    }
    return [name for name, known in said.items() if not known]


def context_of(config: Mapping[str, Any]) -> int | None:
    """Native context length in tokens, of the text part for multimodal models."""
    return _first(text_part(config), _WINDOWS) or _first(config, _WINDOWS)


def _of_gguf(model: HubModel, gguf: Mapping[str, Any]) -> HubModel:
    """What the hub read in the header of a GGUF file stands in for the config.json that there is not."""
    total = _number(gguf.get("total"))
    return replace(
        model,
        params_b=total / 1e9 if total else model.params_b,
        context=model.context or _number(gguf.get("context_length")),
        model_type=model.model_type or _word(gguf.get("architecture")),
    )


def _json(model: Described, path: str, limit: int) -> dict[str, Any]:
    """A JSON file of the model; empty when it has none, or when it holds no mapping."""
    raw = small_file(model, path, limit)
    if raw is None:
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise EnvironmentLacks(
            f"the hub's answer for {model.hf_id} makes no sense ({path} is not JSON)", hint="is HF_ENDPOINT a hub?"
        ) from error
    return found if isinstance(found, dict) else {}


def _scheme(model: Described, config: Mapping[str, Any], beside: Mapping[str, Any]) -> str | None:
    """The scheme of LLM Compressor's recipe.yaml, asked for only where no other file can say."""
    if beside or "quantization_config" in config or "recipe.yaml" not in model.files:
        return None
    raw = small_file(model, "recipe.yaml", RECIPE_LIMIT) or b""
    found = re.search(r"(?m)^\s*scheme:\s*['\"]?([A-Za-z0-9_]{2,20})['\"]?\s*$", raw.decode("utf-8", "replace"))
    return found[1] if found else None


def _safetensors(files: Mapping[str, int | None]) -> list[str]:
    """The weight files at the top that an engine reads; copies in another layout are left out."""
    names = [name for name in files if name.endswith(".safetensors") and "/" not in name]
    own = [name for name in names if not _DUPLICATE.fullmatch(name)]
    return own or names


def _weights(files: Mapping[str, int | None]) -> tuple[tuple[str, ...], float | None]:
    """Patterns for the weights where the repository holds them more than once, and their GB."""
    names = _safetensors(files) or [name for name in files if re.fullmatch(r"pytorch_model[^/]*\.bin", name)]
    sizes = [files[name] for name in names]
    known = [size for size in sizes if size is not None]
    if not known or len(known) < len(sizes):
        return (), None
    total = sum(known)
    rest = sum(size or 0 for name, size in files.items() if name not in names)
    patterns = sorted({re.sub(r"[0-9]{5}-of-[0-9]{5}", "*", name) for name in names})
    usable = all(re.fullmatch(r"[A-Za-z0-9._*-]{1,100}", pattern) for pattern in patterns)
    twice = rest > 0.5 * total and usable and len(patterns) <= 8
    return tuple(patterns) if twice else (), float(f"{total / 1e9:.3g}") if total else None


def _stored(data: Mapping[str, Any]) -> tuple[float | None, tuple[str, ...]]:
    """Parameters (10^9) and number formats of the tensors, as the hub counted them in the safetensors headers."""
    part = data.get("safetensors")
    counts = part.get("parameters") if isinstance(part, dict) else None
    if not isinstance(counts, dict):
        return None, ()
    known = {name: value for name, raw in counts.items() if isinstance(name, str) and (value := _number(raw))}
    order = tuple(sorted(known, key=lambda name: -known[name]))
    packed = sum(value for name, value in known.items() if name in _PACKED)
    total = sum(known.values())
    return (total / 1e9 if total and packed < 0.001 * total else None), order


def _licence(card: Mapping[str, Any]) -> str | None:
    for key in ("license_name", "license"):
        value = card.get(key)
        if isinstance(value, str) and value != "other" and (text := comment_text(value)[:200].strip()):
            return text
    return None


def _base_models(card: Any, tags: Any) -> tuple[str, ...]:
    given = card.get("base_model") if isinstance(card, dict) else None
    named = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    tagged = [tag.rpartition(":")[2] for tag in _tags(tags) if tag.startswith("base_model:")]
    ids = [one for one in [*named, *tagged] if isinstance(one, str) and len(one) <= 96 and re.fullmatch(HF_ID, one)]
    return tuple(dict.fromkeys(ids))[:8]


def _relation(tags: Any) -> str | None:
    kinds = [tag.split(":")[1] for tag in _tags(tags) if tag.count(":") == 2 and tag.startswith("base_model:")]
    return next((kind for kind in kinds if kind in ("quantized", "finetune", "adapter", "merge")), None)


def _tags(tags: Any) -> list[str]:
    return [tag for tag in tags[:1000] if isinstance(tag, str)] if isinstance(tags, list) else []


def _architecture(config: Mapping[str, Any]) -> str | None:
    named = config.get("architectures")
    return _word(named[0]) if isinstance(named, list) and named else None


def _heads(model: Described, text: Mapping[str, Any]) -> Heads | None:
    count = _first(text, _MTP_KEYS)
    if count is None or count > 64:
        return None
    index = "model.safetensors.index.json"
    if index not in model.files or (model.files[index] or 0) > INDEX_LIMIT:
        return Heads(count, None)
    names = _json(model, index, INDEX_LIMIT).get("weight_map")
    if not isinstance(names, dict):
        return Heads(count, None)
    layers = _first(text, ("num_hidden_layers",))
    # DeepSeek's and GLM's heads are layers behind the last one.
    behind = re.compile(rf"(?:^|\.)layers\.{layers}\.") if layers else None
    return Heads(count, any(_MTP_TENSOR.search(name) or (behind and behind.search(name)) for name in names))


def _is_drafter(config: Mapping[str, Any]) -> bool:
    name = _architecture(config) or ""
    signs = ("dflash_config", "speculators_config", "eagle_config")
    return bool(re.search(r"DFlash|Eagle3?|Speculator|MTPModel|Medusa", name)) or any(sign in config for sign in signs)


def _first(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((value for key in keys if (value := _number(config.get(key)))), None)


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < MOST else None


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", value) else None
