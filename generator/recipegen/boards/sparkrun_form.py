"""A recipe in sparkrun's own form (recipe version 2), as much of it as Spark Arena's recipe.yaml needs. Owns this one
projection; it reads no sparkrun recipe, and what the form cannot say it lists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recipegen.boards.launch_line import WEIGHTS
from recipegen.boards.payload import launch_problems
from recipegen.engines import engine
from recipegen.quoting import shell_command

if TYPE_CHECKING:
    from recipegen.evidence import Evidence

_RUNTIMES = {"vllm": "vllm", "llama.cpp": "llama-cpp", "atlas": "atlas"}
_KEYS = {
    "tensor-parallel-size": "tensor_parallel",
    "pipeline-parallel-size": "pipeline_parallel",
    "gpu-memory-utilization": "gpu_memory_utilization",
    "max-model-len": "max_model_len",
    "ctx-size": "max_model_len",
    "max-num-seqs": "max_num_seqs",
    "max-num-batched-tokens": "max_num_batched_tokens",
    "kv-cache-dtype": "kv_cache_dtype",
    "attention-backend": "attention_backend",
}
"""Flags whose value sparkrun lets a user set, with its names."""


@dataclass(frozen=True)
class SparkrunForm:
    """A recipe as sparkrun has it.

    Attributes:
        data: the mapping of its recipe.yaml; None where it has no such form.
        problems: why it has none.
        losses: what of the recipe the form does not hold.
    """

    data: dict[str, Any] | None
    problems: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


def sparkrun_form(evidence: Evidence) -> SparkrunForm:
    """The measured variant as a sparkrun recipe: model, image, environment, defaults, command template."""
    if changed := launch_problems(evidence):
        return SparkrunForm(None, tuple(changed))
    spec, variant = evidence.spec, evidence.spec.variants[evidence.variant]
    model = spec.models[variant.model]
    runtime = _RUNTIMES.get(spec.engine.name)
    image = spec.image.base
    problems = []
    if model.hf_id is None:
        problems.append("sparkrun names a model by its id on the Hugging Face hub, and the recipe has none")
    if runtime is None:
        problems.append(f"sparkrun has no runtime for the engine {spec.engine.name}")
    if not image:
        problems.append("the recipe names no image")
    if problems:
        return SparkrunForm(None, tuple(problems))
    words, defaults = _command(evidence)
    data: dict[str, Any] = {
        "recipe_version": "2",
        "name": spec.name,
        "description": f"{spec.title}: {variant.title}",
        "model": model.hf_id,
        **({"model_revision": model.revision} if model.revision else {}),
        "runtime": runtime,
        "container": image,
        "min_nodes": spec.hardware.nodes,
        "metadata": {"quantization": model.quantization},
        "defaults": {"host": "0.0.0.0", "port": spec.run.port, **defaults},  # noqa: S104 - inside the container
        "env": {**spec.image.env, **variant.env},
        "command": words + "\n",
    }
    losses = [
        f"{name}: what is built onto the base image has no place in the form"
        for name in ("patches", "wheels", "pip", "apt", "files")
        if getattr(spec.image, name)
    ]
    if spec.image.mode == "source":
        losses.append(f"the engine is built from {spec.image.repo} at {spec.image.ref}")
    return SparkrunForm(data, losses=tuple(losses))


def sparkrun_yaml(data: dict[str, Any]) -> bytes:
    """The text of a recipe.yaml in this form; every value comes out as it went in."""
    import yaml

    text: str = yaml.safe_dump(data, sort_keys=False, width=10_000, allow_unicode=True)
    return text.encode()


def _command(evidence: Evidence) -> tuple[str, dict[str, Any]]:
    """The command template, and the defaults whose names stand in it."""
    spec, variant = evidence.spec, evidence.spec.variants[evidence.variant]
    adapter = engine(spec.engine.name)
    served = spec.models[variant.model]
    places = {f"${{MODELS_DIR}}/{model.folder}": model.hf_id or WEIGHTS for model in spec.models.values()}
    places[f"${{MODELS_DIR}}/{served.folder}"] = "{model}"
    if spec.run.models == "hf-cache" and served.hf_id:
        places[served.hf_id] = "{model}"
    defaults: dict[str, Any] = {"served_model_name": spec.served_name}
    words = []
    for word in adapter.command(spec, evidence.variant).recorded():
        for place in sorted(places, key=len, reverse=True):
            word = re.sub(rf"{re.escape(place)}(?![\w.+-])", lambda _, place=place: places[place], word)  # type: ignore[misc]
        words.append(word.replace("${HOST}", "{host}").replace("${PORT}", "{port}"))
    for at, word in enumerate(words[:-1]):
        flag = word.removeprefix("--")
        value = variant.flags.get(flag)
        if (
            flag in _KEYS
            and word.startswith("--")
            and isinstance(value, int | float | str)
            and words[at + 1] == str(value)
        ):
            defaults[_KEYS[flag]] = value
            words[at + 1] = f"{{{_KEYS[flag]}}}"
        elif word in ("--served-model-name", "--alias") and words[at + 1] == spec.served_name:
            words[at + 1] = "{served_model_name}"
    return " ".join(word if re.fullmatch(r"\{\w+\}", word) else shell_command([word]) for word in words), defaults
