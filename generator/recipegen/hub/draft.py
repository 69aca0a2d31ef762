"""The data of a first recipe: sections, flags with their reasons, variants for the drafters known. Owns what a first
recipe begins with; every fact in it is the hub's or the catalog's, and a choice says that it is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from recipegen.catalog.facts import Drafter, ImageFacts
from recipegen.engines.command import model_references
from recipegen.fit.constants import VISIBLE
from recipegen.hub.emit import Place
from recipegen.hub.facts import HubModel
from recipegen.hub.gguf import GgufSet, chosen_set
from recipegen.hub.known import DEFAULT_IMAGE, LLAMA_CPP_IMAGE, LLAMA_CPP_REF, Known, image_for
from recipegen.spec.model import Recipe

SHARE = 0.85
CONTEXT = 65536
"""Tokens; what most agents need, where model and machine bear it."""
_GGUF_SHARE = 0.8
DFLASH_PATCH = "dflash-layer-offset"
_TOKENS = {"dflash": 15, "mtp": 1, "eagle3": 3}
"""Drafted tokens where no preset names a number: all of DFlash's block of 16 but the given one, few for others."""
_TOKENIZER_FILES = (
    "tokenizer*",
    "*.tiktoken",
    "tekken.json",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "config.json",
)
_NOTES = {
    "gpu-memory-utilization": "CPU and GPU share the memory: the rest is for the system and for what else runs.",
    "max-num-seqs": "Four requests at a time; every further place costs KV cache.",
    "tensor-parallel-size": "One GPU a box: every layer is spread over all of them.",
    "distributed-executor-backend": "A Ray cluster over the boxes, which has to be there first.",
}


@dataclass(frozen=True)
class Draft:
    """A recipe's data, and what is to be said beside it.

    Attributes:
        comments: path of a key to the comment at it.
        said: choices and gaps in words, for the comment on top and for the user.
    """

    data: Mapping[str, Any]
    comments: Mapping[Place, str]
    said: tuple[str, ...]


def draft(name: str, model: HubModel, known: Known, *, hardware: str = "dgx-spark", nodes: int = 1) -> Draft:
    """A first recipe for a hub model, for a kind of machine.

    Args:
        nodes: boxes that share the model, where it is served by vLLM.
    """
    said: list[str] = []
    comments: dict[Place, str] = {("model", "revision"): "what `main` was when this file was made"}
    gguf = chosen_set(list(model.ggufs), round(_GGUF_SHARE * VISIBLE.value.low)) if model.ggufs else None
    body = _llama_cpp(model, known, gguf[0], comments, said) if gguf else _vllm(model, known, nodes, comments, said)
    if gguf:
        comments["model", "quantization"] = gguf[1]
        others = [f"{one.quant} ({one.size_gb:.1f} GB)" if one.size_gb else one.quant for one in model.ggufs]
        said.append(f"The repository holds: {', '.join(others[:40])}.")
    engine = "vLLM" if body["engine"]["name"] == "vllm" else body["engine"]["name"]
    data = {
        "schema": "recipegen/v1",
        "name": name,
        "title": f"{model.hf_id.partition('/')[2]} on {engine}",
        "status": "planned",
        "hardware": known.base[1].hardware if known.base else hardware,
        "references": [
            {"title": f"The model on the hub: {model.hf_id}", "url": f"https://huggingface.co/{model.hf_id}"},
        ],
        "model": _model(model, known, gguf[0] if gguf else None),
        **body,
    }
    comments["status",] = "nobody has run it yet"
    return Draft({key: value for key, value in data.items() if value not in ({}, [], ())}, comments, tuple(said))


def _base(model: HubModel, known: Known) -> str | None:
    """The model that it was made from: the card's, one that the catalog knows first; else the catalog's."""
    theirs = known.facts.repositories() if known.facts else ()
    named = sorted(model.base_models, key=lambda base: base not in theirs)
    if named or known.how != "repository" or known.facts is None:
        return next(iter(named), None)
    base = known.facts.base_model
    return base if base and base.casefold() != model.hf_id.casefold() else None


def _model(model: HubModel, known: Known, gguf: GgufSet | None) -> dict[str, Any]:
    label = gguf.quant if gguf else model.quantization.label
    size = gguf.size_gb if gguf else model.weights_gb
    found: dict[str, Any] = {"hf_id": model.hf_id, "revision": model.commit}
    if base := _base(model, known):
        found["base_model"] = base
    found["quantization"] = label
    if form := "gguf" if gguf else model.quantization.format:
        found["format"] = form
    if size:
        found["size_gb"] = float(f"{size:.4g}")
    if gguf:
        found |= {"file": gguf.first, "files": list(gguf.files) if len(gguf.files) <= 4 else [_glob(gguf)]}
        if base:
            found["tokenizer"] = "tokenizer"
    elif model.weights:
        found["files"] = [*_small_files(model), *model.weights]
    if model.gated:
        found["gated"] = True
    if model.licence:
        found["license"] = model.licence
    return found


def _glob(gguf: GgufSet) -> str:
    return gguf.first.replace("-00001-of-", "-*-of-")


def _small_files(model: HubModel) -> list[str]:
    """Patterns for what lies beside the weights at the top: configuration, tokenizer, templates, code."""
    ends = {path.rpartition(".")[2] for path in model.files if "/" not in path and "." in path}
    return [f"*.{end}" for end in ("json", "jinja", "model", "py", "tiktoken", "txt") if end in ends]


def _llama_cpp(
    model: HubModel, known: Known, gguf: GgufSet, comments: dict[Place, str], said: list[str]
) -> dict[str, Any]:
    models: dict[str, Any] = {}
    if base := _base(model, known):
        models["tokenizer"] = {"hf_id": base, "role": "tokenizer", "files": list(_TOKENIZER_FILES)}
        comments["models", "tokenizer"] = (
            "llama-benchy counts tokens with it; a GGUF repository carries none of its own"
        )
    else:
        said.append("No base model is named, so no tokenizer is known: declare one under models before you measure.")
    comments["image", "base"] = "CUDA 13.0: matrix products of llama.cpp built on 13.2 and 13.3 were wrong on a GB10"
    comments["image", "ref"] = "the build that the catalog's sources ran on this base"
    context = min(model.context or CONTEXT, CONTEXT)
    return {
        "models": models,
        "image": {
            "mode": "source",
            "base": LLAMA_CPP_IMAGE,
            "runtime_base": LLAMA_CPP_IMAGE,
            "repo": "https://github.com/ggml-org/llama.cpp.git",
            "ref": LLAMA_CPP_REF,
            "transformers": "none",
        },
        "engine": {
            "name": "llama.cpp",
            "version": LLAMA_CPP_REF,
            "flags": {"ctx-size": context, "parallel": 1, "n-gpu-layers": 99, "cache-ram": 0, "metrics": True},
            "notes": {
                "ctx-size": _context_note(model, known),
                "parallel": "One request at a time; every further slot would share the context.",
                "n-gpu-layers": "More than any model has: all layers on the GPU.",
                "cache-ram": "No prompt is sent twice; the default keeps up to 8 GiB of old ones.",
                "metrics": "The server's own counters, at /metrics.",
            },
        },
        "headline": "ar",
        "baseline": "ar",
        "variants": {"ar": {"title": f"{gguf.quant}, plain decoding"}},
    }


def _vllm(model: HubModel, known: Known, nodes: int, comments: dict[Place, str], said: list[str]) -> dict[str, Any]:
    if known.base:
        preset, recipe = known.base
        body = _of_preset(recipe)
        comments["image",] = comments["engine",] = f"as in the preset {preset}, which serves this repository"
    else:
        image, why = image_for(known)
        flags, notes = _flags(model, known, nodes)
        body = {
            "models": {},
            "image": _image(image, known),
            "engine": {"name": "vllm", **_version(image), "flags": flags, "notes": notes},
            "headline": "ar",
            "baseline": "ar",
            "variants": {"ar": {"title": f"{model.quantization.label}, plain decoding"}},
            "run": {"network": "host", "ipc": "host"} if nodes > 1 else {},
        }
        comments["image", "base"] = f"{why}; pin a digest with `recipegen lock`"
    for title, variant, models in _speculation(model, known, body, said):
        body["variants"][title] = variant
        body["models"] |= models
        if title == "dflash" and body["image"]["mode"] == "prebuilt" and not known.base:
            body["image"]["patches"] = [DFLASH_PATCH]
            comments["image", "patches"] = "does nothing where the engine counts the drafter's layers right already"
    if not model.config and "params.json" in model.files:
        said.append(
            "It holds params.json and no config.json (Mistral's own layout): vLLM has to be told, with config-format, "
            "load-format and tokenizer-mode."
        )
    if model.own_code and "trust-remote-code" not in body["engine"]["flags"]:
        said.append(
            "config.json names code of the repository's own (auto_map). This recipe does not let the server run it: "
            "where vLLM asks for it, read that code, then set trust-remote-code: true."
        )
    return body


def _of_preset(recipe: Recipe) -> dict[str, Any]:
    """What a preset says of the way its model is served; its texts and figures stay its own."""
    data = recipe.model_dump(mode="json", exclude_unset=True, by_alias=True)
    plain = {name: body for name, body in data["variants"].items() if not body.get("model")}
    headline = data["headline"] if data["headline"] in plain else next(iter(plain))
    used = set(model_references([data["engine"], plain]))
    models = {key: body for key, body in data.get("models", {}).items() if key in used}
    return {
        "models": models,
        "image": data["image"],
        "engine": data["engine"],
        "headline": headline,
        "baseline": data["baseline"] if data.get("baseline") in plain else headline,
        "variants": plain,
        "run": data.get("run", {}),
    }


def _image(image: ImageFacts | None, known: Known) -> dict[str, Any]:
    found: dict[str, Any] = {"mode": "prebuilt", "base": image.reference if image else DEFAULT_IMAGE}
    if image and str(image.reference).startswith("nvcr.io/"):
        found["transformers"] = "none"  # what NVIDIA tested together stays together
    elif known.facts and known.facts.transformers:
        found["transformers"] = f"transformers{known.facts.transformers}"
    return found


def _version(image: ImageFacts | None) -> dict[str, str]:
    return {"version": image.engine_version} if image and image.engine_version else {}


def _flags(model: HubModel, known: Known, nodes: int) -> tuple[dict[str, Any], dict[str, str]]:
    notes = dict(_NOTES)
    flags: dict[str, Any] = {
        "gpu-memory-utilization": SHARE,
        "max-model-len": min(_native(model, known) or CONTEXT, CONTEXT),
        "max-num-seqs": 4,
    }
    notes["max-model-len"] = _context_note(model, known)
    if nodes > 1:
        flags |= {"tensor-parallel-size": nodes, "distributed-executor-backend": "ray"}
    if model.quantization.format == "modelopt":
        flags["quantization"] = "modelopt"
        notes["quantization"] = f"A checkpoint of NVIDIA's Model Optimizer ({model.quantization.source})."
    own = known.facts.checkpoint(model.hf_id) if known.facts else None
    parsers = (own.parsers if own else None) or (known.facts.parsers if known.facts else None)
    if parsers and parsers.reasoning:
        flags["reasoning-parser"] = parsers.reasoning
        notes["reasoning-parser"] = f"{known.family}'s: keeps the thinking apart from the answer."
    if parsers and parsers.tool:
        flags |= {"enable-auto-tool-choice": True, "tool-call-parser": parsers.tool}
        notes["tool-call-parser"] = f"{known.family}'s: for agents; it does not change the speed."
    return flags, {key: text for key, text in notes.items() if key in flags}


def _native(model: HubModel, known: Known) -> int | None:
    return model.context or (known.facts.native_context if known.facts else None)


def _context_note(model: HubModel, known: Known) -> str:
    native = _native(model, known)
    if native is None:
        return (
            f"Neither the hub nor the catalog says how long a context the model bears; {CONTEXT} is a guess to correct."
        )
    if native <= CONTEXT:
        return "All that the model was trained for."
    return f"The model was trained for {native}; this much suits most agents and leaves memory free."


def _speculation(
    model: HubModel, known: Known, body: Mapping[str, Any], said: list[str]
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """A variant for each way of drafting that is known for the model and that the recipe has not yet: its name, its
    body, the drafter's declaration."""
    here = {*body["variants"], *(str(one.get("method")) for one in speculative_configs(body))}
    drafters = known.facts.drafters if known.facts and known.how != "shape" else ()
    for drafter in drafters:
        if drafter.hf_id is None or drafter.method in here:
            continue
        here.add(drafter.method)
        key = f"{drafter.method}-drafter"
        config: dict[str, Any] = {"method": drafter.method, "model": {"$model": key}}
        variant = _variant(drafter.method, config, known, body)
        variant["notes"] = _drafter_note(drafter, model, known)
        declared: dict[str, Any] = {"hf_id": drafter.hf_id, "role": "drafter"}
        yield drafter.method, variant, {key: declared | ({"size_gb": drafter.size_gb} if drafter.size_gb else {})}
    if "mtp" in here:
        return
    if model.heads and model.heads.present is not False:
        variant = _variant("mtp", {"method": "mtp"}, known, body, heads=model.heads.count)
        seen = (
            "the checkpoint's index lists tensors of them"
            if model.heads.present
            else "whether the checkpoint holds their tensors, the server's log tells"
        )
        count = model.heads.count
        variant["notes"] = (
            f"config.json names {count} prediction head{'s' * (count != 1)}; {seen}. Measure it against ar."
        )
        yield "mtp", variant, {}
    elif model.heads:
        said.append(
            "config.json names prediction heads (MTP), but the checkpoint's index lists no tensors of them: "
            "no mtp variant."
        )
    elif known.facts and known.facts.mtp and model.config:
        said.append(
            "The model was trained with prediction heads (MTP), but this checkpoint's config.json names none: "
            "no mtp variant."
        )


def _variant(
    method: str, config: dict[str, Any], known: Known, body: Mapping[str, Any], heads: int | None = None
) -> dict[str, Any]:
    given = _tokens_of(known, method)
    tokens = given or (min(heads, 3) if heads else _TOKENS[method])
    flags: dict[str, Any] = {"speculative-config": {**config, "num_speculative_tokens": tokens}}
    name = {"dflash": "DFlash drafter", "mtp": "MTP", "eagle3": "EAGLE-3 drafter"}[method]
    found: dict[str, Any] = {"title": f"{name}, {tokens} token{'s' * (tokens != 1)} a step"}
    if method == "dflash":
        flags["attention-backend"] = "flash_attn"  # attends to a whole block at once, which few backends do
        if "kv-cache-dtype" in body["engine"]["flags"]:
            found["drop"] = ["kv-cache-dtype"]
    return {**found, "flags": flags}


def _drafter_note(drafter: Drafter, model: HubModel, known: Known) -> str:
    target = known.facts.base_model if known.facts else None
    text = f"The catalog's drafter for {target} ({drafter.source.partition(';')[0]})."
    if model.hf_id != target:
        text += " It was trained on that model's own states: see in the log how much of it is accepted here."
    if drafter.method == "dflash":
        text += " It attends to a whole block at once, which vLLM's flash_attn does and an FP8 KV cache prevents."
    return f"{text} Measure it against ar."


def _tokens_of(known: Known, method: str) -> int | None:
    """Drafted tokens a step as a preset of the model has them."""
    from recipegen import catalog

    for name in (*known.presets, *known.siblings):
        for config in speculative_configs(catalog.read_yaml(catalog.preset_file(name))):
            tokens = config.get("num_speculative_tokens")
            if str(config.get("method")).removeprefix("qwen3_next_") == method and isinstance(tokens, int):
                return tokens
    return None


def speculative_configs(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every speculative-config of a recipe, the common one first."""
    for part in (body["engine"], *(one or {} for one in body["variants"].values())):
        config = part.get("flags", {}).get("speculative-config")
        if isinstance(config, Mapping):
            yield config
