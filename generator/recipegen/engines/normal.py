"""One normal form of a server's flags, and the fingerprint of a configuration that follows from it. Owns both; knows no
recipe file.

Two people who run the same setup get the same fingerprint, however they spell it: aliases are resolved, `no-x` is `x:
false`, dotted names are put into their JSON, numbers in quotes are numbers, what equals the engine's default is left
out, and order does not count.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from recipegen.engines.command import is_model_reference
from recipegen.engines.known import Known, is_version, known, newest
from recipegen.spec.completed import Spec
from recipegen.spec.model import MODEL_REFERENCE
from recipegen.spec.versions import parse_version

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKmMgGtT])")
_SIZES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
"""vLLM's own reading of sizes: 64k is 64,000, 64K is 65,536 (argument type human_readable_int)."""
_OFF = "no-"
_LEVEL = re.compile(r"-O=?([0-9]+|O[0-9])")
"""vLLM reads -O3 as --optimization-level 3."""
_AUTO = "auto"


def canonical(key: str, value: Any, facts: Known | None) -> tuple[str, Any]:
    """One flag's long name and value in normal form.

    Args:
        key: as `flag_key` gives it.
        value: as the recipe has it.
        facts: the flags of the engine's version, where they are known.
    """
    level = _LEVEL.fullmatch(key)
    if level and value is True and (facts is None or facts.engine == "vllm"):
        key, value = "-O", level[1]
    name = facts.aliases.get(key, key) if facts else key
    if facts and value is True and name.startswith(_OFF) and name not in facts.flags:
        return name.removeprefix(_OFF), False
    if not facts and value is True and name.startswith(_OFF):
        return name.removeprefix(_OFF), False
    about = facts.flags.get(name) if facts else None
    return name, _canonical_value(value, about)


def _canonical_value(value: Any, about: Mapping[str, Any] | None) -> Any:
    kind = about["kind"] if about else None
    if isinstance(value, str) and kind in ("int", "float", "size"):
        value = -1 if about and value.lower() == _AUTO and about["min"] == -1 else number_of(value, kind)
    elif isinstance(value, str) and kind == "json":
        value = _json(value)
    elif isinstance(value, str) and about and about["choices"]:
        value = next((choice for choice in about["choices"] if str(choice).lower() == value.lower()), value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def number_of(text: str, kind: str) -> Any:
    """The number that a text stands for, or the text; of kind `size` with vLLM's k, M, G … behind it."""
    size = _SIZE.fullmatch(text) if kind == "size" else None
    if size:
        return float(size[1]) * _SIZES[size[2]]
    for reading in (int, float):  # int first: a float has no room for every seed
        try:
            return reading(text)
        except ValueError:
            continue
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def merged_flags(flags: Mapping[str, Any], facts: Known | None) -> dict[str, Any]:
    """All flags of a server by long name, values in normal form, dotted names put into their JSON.

    vLLM collects dotted names and appends them to the command line as a JSON value of their own, so that they take the
    place of a whole value given beside them (FlexibleArgumentParser, 0.19.0 to 0.33.0).

    Args:
        flags: long name to value, as in a completed variant.
        facts: the flags of the engine's version; without them names stay.
    """
    found = dict(canonical(key, value, facts) for key, value in flags.items() if "." not in key)
    dotted: dict[str, Any] = {}
    for key, value in flags.items():
        head, dot, rest = key.partition(".")
        if dot:
            dotted[head] = _with(dotted.get(head), rest.split("."), value)
    return found | {canonical(head, {}, facts)[0]: value for head, value in dotted.items()}


def normal_flags(flags: Mapping[str, Any], facts: Known | None) -> dict[str, Any]:
    """All flags of a server in normal form, sorted by name, what equals a default left out.

    Args:
        flags: long name to value, as in a completed variant.
        facts: the flags of the engine's version; without them names stay and no default is left out.
    """
    found = {name: _whole(value) for name, value in merged_flags(flags, facts).items()}
    return {name: found[name] for name in sorted(found) if not _is_default(name, found[name], facts)}


def _whole(value: Any) -> Any:
    """4.0 and 4 are one number to an engine, in a JSON value too."""
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with(base: Any, path: list[str], value: Any) -> Any:
    inner = base if isinstance(base, dict) else {}
    head, *rest = path
    return {**inner, head: _with(inner.get(head), rest, value) if rest else value}


def _is_default(name: str, value: Any, facts: Known | None) -> bool:
    about = facts.flags.get(name) if facts else None
    # A default of null means "the engine decides": saying so aloud is not the same as leaving it out.
    return about is not None and about["default"] is not None and _plain(about["default"]) == _plain(value)


def _plain(value: Any) -> str:
    return json.dumps(_whole(value), sort_keys=True)


_NO_PART = re.compile(
    r"(?:HF_HUB|HF_XET|TRANSFORMERS_OFFLINE|PIP|UV)(?:_\w+)?|VLLM_(?:LOGGING_\w+|CONFIGURE_LOGGING|NO_USAGE_STATS)"
    r"|DO_NOT_TRACK|PYTHONUNBUFFERED|TZ|LANG|LC_\w+|NO_COLOR|TERM"
)
"""Variables about downloads, logs and languages: no setup is another for them."""


def _version(engine: str, version: str | None) -> str | None:
    """One spelling of a version: `v0.22.0` is 0.22.0, `b8833 (45cac7ca7)` is b8833."""
    parsed = parse_version(version)
    if parsed is None and version is not None and is_version(engine, version):
        return version.split()[0]
    return str(parsed) if parsed else version


def fingerprint(spec: Spec, variant: str) -> str:
    """Identity of a server's configuration: SHA-256 over engine and version, models, normal flags and variables.

    Where models lie, how they are served (name, port, address), the image and the machine are no part of it; variables
    that the image sets are, as those of the variant.

    Raises:
        KeyError: no such variant.
    """
    chosen = spec.variants[variant]
    engine = spec.engine.name
    facts = known(engine, spec.engine.version)
    flags = {key: _named(value, spec) for key, value in chosen.flags.items()}
    # Without a version the names still have aliases, but no default is known.
    normal = normal_flags(flags, facts) if facts else _whole(merged_flags(flags, newest(engine)))
    env = {key: value for key, value in {**spec.image.env, **chosen.env}.items() if not _NO_PART.fullmatch(key)}
    content = {
        "engine": engine,
        "version": _version(engine, spec.engine.version),
        "model": _identity(spec, chosen.model),
        "flags": normal,
        "env": env,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _identity(spec: Spec, key: str) -> str:
    model = spec.models[key]
    name = model.hf_id or (f"pypi:{model.pypi.package}=={model.pypi.version}" if model.pypi else None)
    name = name or model.generate or str(model.folder)
    return "@".join(part for part in (f"{name}/{model.file}" if model.file else name, model.revision) if part)


def _named(value: Any, spec: Spec) -> Any:
    """A value with the identity of the models that it refers to in their place."""
    if is_model_reference(value):
        return "/".join(filter(None, (_identity(spec, value[MODEL_REFERENCE]), value.get("path"))))
    if isinstance(value, dict):
        return {key: _named(item, spec) for key, item in value.items()}
    return [_named(item, spec) for item in value] if isinstance(value, list) else value
