"""Recipes of the vLLM project (vllm-project/recipes, recipes.vllm.ai). Owns their fields and the choice of what of
them is for a DGX Spark: one checkpoint, the flags of its machine, one variant for each feature that is off by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recipegen.errors import Problem, RecipegenError, SpecError, Where
from recipegen.exchange.box import put_env
from recipegen.exchange.report import one_line, shown
from recipegen.exchange.source import Extra, Source
from recipegen.exchange.words import Word
from recipegen.load.messages import near_miss
from recipegen.load.yamldoc import Document, Path_

SPARK = "dgx_spark_gb10"
_MACHINES = ("nvidia", "blackwell", SPARK)
"""Keys of `hardware_overrides` that hold for a GB10, the general ones first."""
_IMAGE = "vllm/vllm-openai:latest"
"""What the site's command builder takes where a recipe names no image."""
_OTHER_MACHINE = "is for another machine than a DGX Spark"
_PROSE: dict[str, str] = {
    "guide": "prose of the site; read it there",
    "compatible_strategies": "how several GPUs work together; a DGX Spark has one",
    "strategy_overrides": "how several GPUs work together; a DGX Spark has one",
}
_READ = frozenset(["meta", "model", "features", "opt_in_features", "variants", "hardware_overrides", "dependencies"])


def read_vllm_recipe(source: Source, document: Document, variant: str | None = None) -> None:
    """Put a recipe into the source.

    Args:
        variant: the checkpoint to take; by default the one that is tuned for a GB10, else `default`.

    Raises:
        SpecError: it names no model.
        RecipegenError: it has no such variant.
    """
    data: dict[str, Any] = document.data
    source.kind, source.engine, source.nodes, source.box.gpus = "vLLM recipe", "vllm", 1, True
    source.layered = True
    source.box.ipc, source.box.network = "host", "bridge"  # as the site's own docker command has it
    meta, model, variants = (_mapping(data, key) for key in ("meta", "model", "variants"))
    name = _choose(source, variants, variant)
    chosen = _mapping(variants, name)
    hf_id = chosen.get("model_id") or model.get("model_id")
    if not isinstance(hf_id, str):
        raise SpecError([Problem(document.where(("model",)), "names no model: model.model_id", "")])
    _describe(source, meta, chosen, hf_id, name)
    machine = [_mapping(_mapping(part, "hardware_overrides"), key) for part in (data, chosen) for key in _MACHINES]
    image = next((found for found in map(_image, [*reversed(machine), chosen, model]) if found), None)
    source.image = image or _IMAGE
    if image is None:
        source.report.note(f"image: the recipe names none; {_IMAGE} is what the site takes, a tag that moves")
    least = chosen.get("min_vllm_version") or model.get("min_vllm_version")
    if least:
        source.report.note(f"min_vllm_version {shown(least)}: the image must hold at least that version of vLLM")
    path: Path_ = ("variants", name)
    words = [Word("vllm"), Word("serve"), Word(hf_id, document.where(("model", "model_id")).line)]
    words += _words(source, model.get("base_args"), ("model", "base_args"), document)
    _put_env(source, model.get("base_env"), "model.base_env", document.where(("model", "base_env")).line)
    for place, part in _parts(data, chosen, path):
        words += _words(source, part.get("extra_args") or part.get("args"), place, document)
        env = part.get("extra_env") or part.get("env")
        _put_env(source, env, ".".join(map(str, place)), document.where(place).line)
    source.words = words
    _features(source, data, name, document)
    _left_out(source, data, variants, name, document)


def _choose(source: Source, variants: Mapping[str, Any], wanted: str | None) -> str:
    if wanted is not None and wanted not in variants:
        hint = near_miss(wanted, map(str, variants))
        raise RecipegenError(f"{source.file} has no variant {wanted!r}", hint=hint, where=Where(source.file))
    tuned = [name for name in variants if SPARK in _mapping(_mapping(variants, name), "hardware_overrides")]
    return wanted or (
        tuned[0] if tuned else "default" if "default" in variants else str(next(iter(variants), "default"))
    )


def _describe(source: Source, meta: Mapping[str, Any], chosen: Mapping[str, Any], hf_id: str, name: str) -> None:
    title = str(meta.get("title") or hf_id.rpartition("/")[2])
    precision = chosen.get("precision")
    source.quantization = str(precision) if precision else None
    suffix = "" if name == "default" else f"-{name}"
    source.names += [f"{meta.get('slug') or title}{suffix}"]
    source.title = one_line(f"{title} on vLLM" + (f" ({precision})" if precision else ""), 100)
    parts = [meta.get("description"), chosen.get("description"), meta.get("performance_headline")]
    source.description = "\n\n".join(str(part) for part in parts if isinstance(part, str)) or None
    source.references.append({"title": f"vLLM recipe of {hf_id}", "url": "https://recipes.vllm.ai/"})


def _parts(
    data: Mapping[str, Any], chosen: Mapping[str, Any], path: Path_
) -> Iterator[tuple[Path_, Mapping[str, Any]]]:
    """Groups of flags that hold, in the order in which the last one wins."""
    for key in _MACHINES:
        yield ("hardware_overrides", key), _mapping(_mapping(data, "hardware_overrides"), key)
    yield path, chosen
    for key in _MACHINES:
        yield (*path, "hardware_overrides", key), _mapping(_mapping(chosen, "hardware_overrides"), key)


def _features(source: Source, data: Mapping[str, Any], variant: str, document: Document) -> None:
    """Features that are on go to the common flags; one that is off by default becomes a variant."""
    opt_in = data.get("opt_in_features")
    off = {str(name) for name in opt_in} if isinstance(opt_in, list) else set()
    for name, body in _mapping(data, "features").items():
        if not isinstance(body, dict):
            continue
        for label, place, feature in _modes(source, name, body, variant):
            words = _words(source, feature.get("args"), place, document)
            trial = Source("", source.file, source.report)
            _put_env(trial, _mapping(feature, "env"), f"features.{name}.env", document.where(place).line)
            if name in off or label != name:
                title = one_line(str(feature.get("description") or body.get("description") or label), 100)
                source.extras[label] = Extra(title, words, trial.env)
            else:
                source.words += words
                source.env |= trial.env


def _modes(
    source: Source, name: str, body: Mapping[str, Any], variant: str
) -> Iterator[tuple[str, Path_, Mapping[str, Any]]]:
    """Label, place and flags of each way to have a feature, those of a GB10 where it has its own."""
    modes = _mapping(body, "modes")
    for mode, inner in modes.items() if modes else [(name, body)]:
        if not isinstance(inner, dict):
            continue
        only = inner.get("variants")
        hardware = _mapping(inner, "hardware")
        barred = "unsupported" in [hardware.get(key) for key in _MACHINES]
        if barred or (isinstance(only, list) and variant not in only):
            source.report.note(f"features.{name}.{mode}: not for this checkpoint or machine, by the recipe's own word")
            continue
        place: Path_ = ("features", name, "modes", mode) if modes else ("features", name)
        own = [_mapping(_mapping(inner, "hardware_overrides"), key) for key in _MACHINES]
        merged = {**inner, **{key: value for part in own for key, value in part.items()}}
        yield str(mode), place, merged


def _left_out(
    source: Source, data: Mapping[str, Any], variants: Mapping[str, Any], name: str, document: Document
) -> None:
    report = source.report
    for other in variants:
        if other != name:
            why = f"another checkpoint: import it on its own with --variant {other}"
            report.lose(f"variants.{other}", why, "", document.where(("variants", other)).line, runs=False)
    for key, value in _mapping(data, "hardware_overrides").items():
        if key not in _MACHINES:
            report.lose(f"hardware_overrides.{key}", _OTHER_MACHINE, value, runs=False)
    for key in _mapping(_mapping(variants, name), "hardware_overrides"):
        if key not in _MACHINES:
            report.lose(f"variants.{name}.hardware_overrides.{key}", _OTHER_MACHINE, runs=False)
    for number, step in enumerate(data.get("dependencies") or [] if isinstance(data.get("dependencies"), list) else []):
        optional = isinstance(step, dict) and step.get("optional") is True
        why = "an installation step; recipegen runs none: put it into image.pip, or take an image that has it"
        line = document.where(("dependencies", number)).line
        report.lose(f"dependencies[{number}]", why, step, line, runs=not optional)
    for key, value in data.items():
        if key in _PROSE and value:
            report.lose(key, _PROSE[key], "" if key == "guide" else value, document.where((key,)).line, runs=False)
        elif key not in _READ and key not in _PROSE:
            report.lose(key, "not a field that recipegen knows", value, document.where((key,)).line)


def _image(part: Mapping[str, Any]) -> str | None:
    image = part.get("docker_image")
    found = image.get("nvidia") if isinstance(image, dict) else image
    return found if isinstance(found, str) else None


def _words(source: Source, arguments: Any, place: Path_, document: Document) -> list[Word]:
    line = document.where(place).line
    if arguments and not isinstance(arguments, list):
        source.report.lose(".".join(map(str, place)), "its arguments are no list", arguments, line)
    return [Word(str(word), line) for word in arguments] if isinstance(arguments, list) else []


def _put_env(source: Source, env: Any, label: str, line: int) -> None:
    for name, value in env.items() if isinstance(env, dict) else ():
        put_env(source, str(name), Word(str(value), line), f"{label}.{name}")


def _mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}
