"""The models that a source names, as recipe.yaml declares them. Owns what follows from a name: hub id, folder,
revision, quantization; asks no hub."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from recipegen.exchange.report import Report, one_line, shown
from recipegen.exchange.source import Source
from recipegen.spec.completed import MAIN_MODEL
from recipegen.spec.model import MODEL_REFERENCE
from recipegen.spec.types import HF_ID

_QUANT = re.compile(
    r"NVFP4|MXFP4|MXFP8|W4A4|W4A16|W8A8|FP8|INT4|INT8|AWQ|GPTQ|AutoRound|EXL3|BF16|FP16"
    r"|(?:UD-)?I?Q[0-9]_(?:[0-9A-Z]+(?:_[A-Z]+)*)|Q[0-9]_[0-9]",
    re.IGNORECASE,
)
LONGEST = 500
"""Characters of a path or an image's name that are looked at; what is longer is none."""
_LABELS = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32", "awq4": "AWQ", "none": "none"}
_SNAPSHOT = re.compile(r".*/models--([A-Za-z0-9._-]+?)--([A-Za-z0-9._-]+)/snapshots/([0-9a-f]{40})/?.*")
_GGUF = re.compile(rf"({HF_ID}):([A-Za-z0-9_.-]+)")
_SPECULATIVE = "speculative-config"
_OPENED = {"tokenizer": "tokenizer", "draft-model": "drafter"}
"""Flags whose value is a model, with its role."""


def quantization_label(given: str | None, name: str) -> str:
    """Quantization as the table writes it: what the source calls it, else what the model's name says, else unknown."""
    for text in (given, name):
        found = _QUANT.search(text[:LONGEST]) if text else None
        if found:
            return found[0][:40].upper().replace("AUTOROUND", "AutoRound")
        if text is given and given:
            return _LABELS.get(given.lower(), one_line(given, 40))
    return "unknown"


@dataclass
class Models:
    """The declared models of a recipe in the making.

    Attributes:
        main: the served one.
        further: drafters and tokenizers by key.
        hub: whether the engine takes them from the hub's cache.
        missing: what a run would need of them and the source does not give.
        served_by_default: the name that requests use when the source says none.
    """

    main: dict[str, Any]
    hub: bool
    further: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    served_by_default: str | None = None

    def refer(self, flags: dict[str, Any]) -> None:
        """Drafter and tokenizer among flags become declared models, so that the kit downloads them."""
        if "file" in self.main:
            return  # llama.cpp opens files, and a hub id names none
        config = flags.get(_SPECULATIVE)
        if isinstance(config, dict) and self._known(config.get("model")):
            revision = config.get("revision")
            declared = isinstance(revision, str)
            key = self.declare(config["model"], "drafter", revision if declared else None)
            rest = {name: value for name, value in config.items() if name != "revision" or not declared}
            flags[_SPECULATIVE] = {**rest, "model": {MODEL_REFERENCE: key}}
        for flag, role in _OPENED.items():
            pin = flags.get(f"{flag}-revision")
            if self._known(flags.get(flag)) and (pin is None or role == "drafter"):
                flags[flag] = {MODEL_REFERENCE: self.declare(flags[flag], role, pin if isinstance(pin, str) else None)}
                flags.pop(f"{flag}-revision", None)

    def _known(self, name: Any) -> bool:
        return isinstance(name, str) and re.fullmatch(HF_ID, name) is not None

    def declare(self, hf_id: str, role: str, revision: str | None) -> str:
        """Key of a declared model; declared now where it is not yet."""
        if hf_id == self.main.get("hf_id") and revision in (None, self.main.get("revision")):
            return MAIN_MODEL
        for key, known in self.further.items():
            if known["hf_id"] == hf_id and known.get("revision") == revision:
                return key
        key = role if role not in self.further else f"{role}-{len(self.further) + 1}"
        body: dict[str, Any] = {"hf_id": hf_id, "role": role}
        if revision:
            body["revision"] = revision
        folder = hf_id.rpartition("/")[2]
        others = [self.main, *self.further.values()]
        if folder in [other.get("folder") or str(other.get("hf_id", "")).rpartition("/")[2] for other in others]:
            body["folder"] = f"{folder}-{key}"  # two repositories of one name would share a folder
        if role == "drafter":
            body["quantization"] = quantization_label(None, hf_id)
        self.further[key] = body
        return key


def declared_models(source: Source, engine: str, named: str, file: str | None, line: int) -> Models:
    """The served model of a source.

    Args:
        named: what the command line serves: a hub id, a path, or nothing.
        file: of a GGUF repository, where the command line says it.
    """
    report = source.report
    hub_id, quant = _split(named)
    beside, beside_quant = _split(source.model or "")
    if not hub_id and beside:
        if named:
            why = f"a folder of the source's container; taken for {beside}, which the source names as its model"
            report.lose("model", why, named, line)
        hub_id, quant = beside, beside_quant
    elif hub_id and beside and hub_id != beside:
        report.lose("model", f"the command serves {hub_id} instead", source.model, runs=False)
    revision = source.revision
    if snapshot := _SNAPSHOT.fullmatch(named[:LONGEST]):
        hub_id, revision = f"{snapshot[1]}/{snapshot[2]}", snapshot[3]
    if hub_id and re.fullmatch(HF_ID, hub_id):
        return _from_hub(source, engine, hub_id, quant, file, revision, report)
    return _from_folder(source, engine, named or source.model or "", file)


def _split(name: str) -> tuple[str, str | None]:
    """Hub id and GGUF quantization of a name; an empty id for a path."""
    if found := _GGUF.fullmatch(name):
        return found[1], found[2]
    return (name, None) if re.fullmatch(HF_ID, name) and not name.endswith(".gguf") else ("", None)


def _from_hub(
    source: Source, engine: str, hf_id: str, quant: str | None, file: str | None, revision: str | None, report: Report
) -> Models:
    hub = engine in ("vllm", "other")
    main: dict[str, Any] = {"hf_id": hf_id}
    if revision:
        main["revision"] = revision
    models = Models(main, hub, served_by_default=hf_id if engine == "vllm" else None)
    if engine == "llama.cpp":
        if file is None:
            base = re.sub(r"-GGUF$", "", hf_id.rpartition("/")[2], flags=re.IGNORECASE)
            file = f"{base}-{quant or 'Q4_K_M'}.gguf"
            named = f"{hf_id}:{quant}" if quant else hf_id
            models.missing.append(
                f"The name of the GGUF file. The source names {named} and leaves the file to llama.cpp; "
                "model.file is what such repositories call it. Put it right, then take this entry away."
            )
        main["file"] = file
        main["files"] = [file]
        main["format"] = "gguf"
    main["quantization"] = quantization_label(quant or source.quantization, file or hf_id)
    return models


def _from_folder(source: Source, engine: str, path: str, file: str | None) -> Models:
    """A model that lies in a folder of the source's machine: where it comes from, nobody says."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..", "~")]
    opened = file or (parts.pop() if parts and parts[-1].endswith(".gguf") else None)
    last = parts[-1] if parts else (opened or "").removesuffix(".gguf")
    folder = re.sub(r"[^A-Za-z0-9._+-]+", "-", last).strip("-._+")
    main: dict[str, Any] = {"folder": folder or "model"}
    if engine == "llama.cpp":
        main["file"] = opened or "model.gguf"
    main["quantization"] = quantization_label(source.quantization, path)
    for volume in list(source.box.volumes):
        if path.startswith(f"{volume[1].rstrip('/')}/"):
            source.box.volumes.remove(volume)
            source.report.note(f"the volume {shown(volume[0])} holds the model; the kit mounts MODELS_DIR in its place")
    where = f"the folder {one_line(path, 100)} of its container" if path else "none"
    missing = f"Where the model comes from: the source names {where}. Give model.hf_id and take this entry away."
    return Models(main, hub=False, missing=[missing])
