"""What makes a recipe wrong beyond types: names that point nowhere, names that collide. Owns no advice on
values; that is the linter's. Every check bears data of any shape, because it runs beside the type check."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from recipegen.catalog import builtin_corpora, default_corpora, hardware_profiles
from recipegen.cluster_checks import cluster_problems
from recipegen.engines import engine, engine_names
from recipegen.engines.base import EngineAdapter, flag_key
from recipegen.engines.command import KNOBS, is_model_reference, references
from recipegen.engines.container import COMPILE_CACHES
from recipegen.errors import Problem
from recipegen.load.guarded import Reader, items
from recipegen.load.messages import near_miss
from recipegen.load.yamldoc import Document, Path_
from recipegen.spec.completed import MAIN_MODEL
from recipegen.spec.model import MODEL_REFERENCE, Cell
from recipegen.spec.types import RelPath

SHELLS_OWN = re.compile(
    # Set by bash itself, some read-only (bash(1), "Shell Variables").
    r"_|BASH.*|DIRSTACK|ENV|EPOCH(?:REALTIME|SECONDS)|E?UID|FUNCNAME|GROUPS|HOME|HOST(?:NAME|TYPE)|IFS|LINENO"
    r"|MACHTYPE|OLDPWD|OPT(?:ARG|ERR|IND)|OSTYPE|PATH|PIPESTATUS|POSIXLY_CORRECT|PPID|PS4|PWD|S?RANDOM|SECONDS"
    r"|SHELL(?:OPTS)?|SHLVL|TERM"
    # The launch script's own.
    r"|args"
)
"""Variables that a launch script cannot pass on as an engine's environment."""


def script_name(variant: str, headline: str) -> str:
    """Launch script of a variant: launch_server.sh for the headline, else launch_server_<variant>.sh."""
    if variant == headline:
        return "launch_server.sh"
    return f"launch_server_{''.join(c if c.isalnum() else '_' for c in variant)}.sh"


def cross_check(document: Document, *, patches: Collection[str] | None = None) -> list[Problem]:
    """All problems of names within one recipe.

    Args:
        document: the recipe's data and places.
        patches: ids of the patches that the repository has; None leaves patches unchecked.
    """
    reader = Reader(document)
    return [
        *_models(reader),
        *_variants(reader),
        *_flags(reader),
        *_bench(reader),
        *_other(reader, patches),
        *cluster_problems(reader),
    ]


def _models(reader: Reader) -> Iterator[Problem]:
    places: list[tuple[Path_, dict[str, Any]]] = [(("model",), reader.mapping("model"))]
    further = reader.mapping("models")
    places += [(("models", key), reader.mapping("models", key)) for key in further]
    hf_cache = reader.text("run", "models") == "hf-cache"
    name = reader.text("engine", "name")
    folders: dict[str, Path_] = {}
    if MAIN_MODEL in further:
        yield reader.problem(("models", MAIN_MODEL), f"{MAIN_MODEL!r} is the main model's key", "choose another key")
    for path, body in places:
        if not body:
            continue
        sources = [key for key in ("hf_id", "pypi", "generate") if body.get(key) is not None]
        dotted = ".".join(map(str, path))
        if reader.root.get("missing") and not sources:
            if not body.get("folder"):
                yield reader.problem(path, f"{dotted} has no source, so it needs a folder", "the name the source uses")
        elif len(sources) != 1:
            given = " and ".join(sources) or "none of them"
            yield reader.problem(path, f"{dotted} needs exactly one of hf_id, pypi, generate; it has {given}")
        elif hf_cache and sources[0] != "hf_id":
            yield reader.problem(
                (*path, sources[0]),
                f"{dotted}: only a hub model can lie in a Hugging Face cache",
                "run.models: folders",
            )
        folder = default_folder(body)
        if folder and folder in folders:
            yield reader.problem(
                path,
                f"{dotted} and {'.'.join(map(str, folders[folder]))} share the folder {folder!r}",
                "give one of them a `folder` of its own",
            )
        elif folder:
            folders[folder] = path
        if name == "llama.cpp" and body.get("role") != "tokenizer" and not (body.get("file") or body.get("pypi")):
            yield reader.problem(
                path,
                f"llama.cpp opens a file: {dotted} lacks the key 'file'",
                "the GGUF file's path in the model's folder (the first one of several)",
            )
        tokenizer = body.get("tokenizer")
        if isinstance(tokenizer, str) and tokenizer not in further:
            yield reader.problem(
                (*path, "tokenizer"),
                f"tokenizer {tokenizer!r} is not a declared model",
                near_miss(tokenizer, further),
            )
    if name == "llama.cpp" and hf_cache:
        yield reader.problem(
            ("run", "models"),
            "llama.cpp opens a file, which a Hugging Face cache has no fixed place for",
            "run.models: folders",
        )


def default_folder(body: dict[str, Any]) -> str | None:
    """Folder of a model under MODELS_DIR when it names none: the repository's or package's name."""
    if isinstance(body.get("folder"), str):
        return str(body["folder"])
    if isinstance(body.get("hf_id"), str):
        return str(body["hf_id"]).rpartition("/")[2]
    if isinstance(body.get("pypi"), dict) and isinstance(body["pypi"].get("package"), str):
        return str(body["pypi"]["package"])
    return body["generate"] if isinstance(body.get("generate"), str) else None


def _variants(reader: Reader) -> Iterator[Problem]:
    variants = reader.mapping("variants")
    headline = reader.text("headline")
    for key in ("headline", "baseline"):
        name = reader.text(key)
        if name is not None and variants and name not in variants:
            yield reader.problem((key,), f"{key}: there is no variant {name!r}", near_miss(name, variants))
        elif name is not None and reader.mapping("variants", name).get("refused") is not None:
            yield reader.problem((key,), f"{key}: the variant {name!r} is refused, so that nobody can start it")
    scripts: dict[str, str] = {}
    known = {MAIN_MODEL, *reader.mapping("models")}
    flags = {flag_key(key) for key in reader.mapping("engine", "flags")}
    env = set(reader.mapping("engine", "env"))
    for name in variants:
        script = script_name(name, headline or "")
        if script in scripts:
            yield reader.problem(
                ("variants", name),
                f"variants {scripts[script]!r} and {name!r} both render {script}",
                "rename one of them",
            )
        scripts.setdefault(script, name)
        model = reader.text("variants", name, "model")
        if model is not None and model not in known:
            yield reader.problem(
                ("variants", name, "model"),
                f"variant {name!r}: the model {model!r} is not declared",
                near_miss(model, known),
            )
        yield from _drops(reader, name, "drop", flags, "flag")
        yield from _drops(reader, name, "drop_env", env, "environment variable")
    for at, figure in enumerate(items(reader.root.get("published"))):
        name = figure.get("variant") if isinstance(figure, dict) else None
        if isinstance(name, str) and variants and name not in variants:
            yield reader.problem(
                ("published", at, "variant"), f"there is no variant {name!r}", near_miss(name, variants)
            )


def _drops(reader: Reader, variant: str, key: str, known: set[str], what: str) -> Iterator[Problem]:
    for at, item in enumerate(items(reader.mapping("variants", variant).get(key))):
        name = flag_key(item) if key == "drop" and isinstance(item, str) else item
        if isinstance(name, str) and name not in known:
            yield reader.problem(
                ("variants", variant, key, at),
                f"variant {variant!r} drops the {what} {item!r}, which is not among the common ones",
                near_miss(name, known),
            )


def _flags(reader: Reader) -> Iterator[Problem]:
    name = reader.text("engine", "name")
    adapter = engine(name) if name in engine_names() else None
    knobs = KNOBS | set(adapter.knob_flags.values() if adapter else ())
    models = {MAIN_MODEL, *reader.mapping("models")}
    used: set[str] = set()
    groups: list[Path_] = [("engine",), *(("variants", variant) for variant in reader.mapping("variants"))]
    for group in groups:
        seen: dict[str, str] = {}
        for flag, value in reader.mapping(*map(str, group), "flags").items():
            path: Path_ = (*group, "flags", flag)
            key = flag_key(flag)
            used.add(key)
            if key in seen:
                yield reader.problem(path, f"{flag!r} and {seen[key]!r} are the same flag", "keep one of them")
            seen[key] = flag
            if adapter and key in adapter.own_flags:
                yield reader.problem(path, f"the flag {flag!r} is put in by recipegen", f"set {adapter.own_flags[key]}")
            yield from _flag_value(reader, path, flag, value, models, adapter)
        for variable in reader.mapping(*map(str, group), "env"):
            used.add(variable)
            if variable in knobs:
                yield reader.problem(
                    (*group, "env", variable), f"{variable} is a knob of the scripts", "leave it out here"
                )
            elif SHELLS_OWN.fullmatch(variable):
                yield reader.problem(
                    (*group, "env", variable),
                    f"{variable} belongs to the shell of the launch scripts",
                    "image.env sets it for all that runs in the image",
                )
    used |= set(reader.mapping("image", "env"))
    for noted in reader.mapping("engine", "notes"):
        if flag_key(noted) not in used and noted not in used:
            yield reader.problem(
                ("engine", "notes", noted),
                f"a note on {noted!r}, which no variant has",
                near_miss(noted, used),
            )


def _flag_value(
    reader: Reader, path: Path_, flag: str, value: Any, models: set[str], adapter: EngineAdapter | None
) -> Iterator[Problem]:
    if _crowded_reference(value):
        yield reader.problem(
            path,
            f"flag {flag!r}: {MODEL_REFERENCE} stands alone in its mapping, or with a path",
            "$model: a declared model's key, as text; path: a file or folder in its folder, of plain names",
        )
    if adapter and flag_key(flag) in adapter.knob_flags and isinstance(value, str) and value.startswith("-"):
        yield reader.problem(
            path,
            f"flag {flag!r}: a text that begins with a dash cannot be the value of a knob",
            "the engine would take it for a flag",
        )
    for reference in references(value):
        key = str(reference[MODEL_REFERENCE])
        body = reader.mapping("model") if key == MAIN_MODEL else reader.mapping("models", key)
        if key not in models:
            yield reader.problem(path, f"flag {flag!r}: the model {key!r} is not declared", near_miss(key, models))
        elif "path" in reference and reader.text("run", "models") == "hf-cache":
            yield reader.problem(
                path,
                f"flag {flag!r}: a Hugging Face cache has no fixed place for a part of the model {key!r}",
                "run.models: folders",
            )
        elif "path" in reference and (body.get("file") or body.get("pypi")):
            yield reader.problem(
                path,
                f"flag {flag!r}: the model {key!r} is one file, which holds no path",
                "declare what lies beside it as a model of its own, with the same hf_id and another folder",
            )
    for at, item in enumerate(items(value)):
        if isinstance(item, dict | list | bool) or item is None:
            yield reader.problem((*path, at), f"flag {flag!r}: a list holds words and numbers only")
        elif isinstance(item, str) and (item.startswith("-") or "\0" in item):
            yield reader.problem(
                (*path, at),
                f"flag {flag!r}: a word of a list cannot begin with a dash or hold a NUL",
                "the engine would take it for a flag",
            )


_RELATIVE = TypeAdapter(RelPath)


def _crowded_reference(value: Any) -> bool:
    if is_model_reference(value):
        if not isinstance(value[MODEL_REFERENCE], str):
            return True
        try:
            _RELATIVE.validate_python(value.get("path", "x"), strict=True)
        except ValidationError:
            return True
        return False
    if isinstance(value, dict):
        return MODEL_REFERENCE in value or any(map(_crowded_reference, value.values()))
    return isinstance(value, list) and any(map(_crowded_reference, value))


def _bench(reader: Reader) -> Iterator[Problem]:
    given = reader.mapping("bench", "corpora")
    for key in given:
        corpus = reader.mapping("bench", "corpora", key)
        sources = [source for source in ("url", "builtin") if corpus.get(source) is not None]
        path: Path_ = ("bench", "corpora", key)
        if key == "all":
            yield reader.problem(
                path,
                "a corpus cannot be called 'all': scripts/bench-all.sh measures every cell",
                "choose another key",
            )
        if len(sources) != 1:
            yield reader.problem(path, f"corpus {key!r} needs exactly one of url and builtin")
        builtin = corpus.get("builtin")
        if isinstance(builtin, str) and builtin not in builtin_corpora():
            yield reader.problem(
                (*path, "builtin"),
                f"there is no builtin text {builtin!r}",
                near_miss(builtin, builtin_corpora()),
            )
    headline = reader.mapping("bench", "headline")
    corpora = given or default_corpora()
    corpus_name = headline.get("corpus")
    if isinstance(corpus_name, str) and corpus_name not in corpora:
        yield reader.problem(
            ("bench", "headline", "corpus"),
            f"there is no corpus {corpus_name!r}",
            near_miss(corpus_name, corpora),
        )
    thinking = items(reader.mapping("bench").get("thinking")) or ["default"]
    if headline.get("thinking") not in (None, *thinking):
        yield reader.problem(
            ("bench", "headline", "thinking"),
            "the headline's thinking mode is not measured",
            f"bench.thinking has {', '.join(map(str, thinking))}",
        )
    yield from _twice(reader, ("bench", "thinking"), thinking)
    raw_cells = items(reader.mapping("bench").get("cells"))
    cells = [_cell(cell) for cell in raw_cells] or [_cell({}), _cell({"pp": 128})]
    yield from _twice(reader, ("bench", "cells"), cells)
    if headline and _cell(headline) not in cells:
        pp, tg, depth, concurrency = _cell(headline)
        yield reader.problem(
            ("bench", "headline"),
            "the headline cell is not among bench.cells",
            f"it reads pp: {pp}, tg: {tg}, depth: {depth}, concurrency: {concurrency}",
        )


def _twice(reader: Reader, path: Path_, items: list[Any]) -> Iterator[Problem]:
    seen: set[str] = set()
    for at, item in enumerate(map(repr, items)):
        if item in seen:
            yield reader.problem((*path, at), "this stands in the list already", "leave it out")
        seen.add(item)


def _cell(raw: Any) -> tuple[Any, ...]:
    default = Cell()
    body = raw if isinstance(raw, dict) else {}
    return tuple(body.get(key, getattr(default, key)) for key in ("pp", "tg", "depth", "concurrency"))


def _other(reader: Reader, patches: Collection[str] | None) -> Iterator[Problem]:
    hardware = reader.text("hardware")
    if hardware is not None and hardware not in hardware_profiles():
        yield reader.problem(
            ("hardware",),
            f"there is no hardware profile {hardware!r}",
            near_miss(hardware, hardware_profiles()),
        )
    yield from _record(reader)
    for variable in reader.mapping("image", "env"):
        if variable in KNOBS:
            yield reader.problem(
                ("image", "env", variable), f"{variable} is a knob of the scripts", "leave it out here"
            )
    if patches is None:
        return
    yield from _twice(reader, ("image", "patches"), items(reader.mapping("image").get("patches")))
    for at, patch in enumerate(items(reader.mapping("image").get("patches"))):
        if isinstance(patch, str) and patch not in patches:
            yield reader.problem(("image", "patches", at), f"there is no patch {patch!r}", near_miss(patch, patches))


def _record(reader: Reader) -> Iterator[Problem]:
    """What only a recipe may have that says what is missing, because nobody can run it."""
    name = reader.text("engine", "name")
    if reader.mapping("run").get("compile_cache") is True and name in engine_names() and name not in COMPILE_CACHES:
        yield reader.problem(("run", "compile_cache"), f"where {name} keeps compiled code is not known")
    if reader.root.get("missing"):
        return
    hint = "say under `missing` what a run would need; the recipe is a record then"
    if name == "other":
        yield reader.problem(("engine", "name"), "recipegen cannot start an engine of the kind `other`", hint)
    if reader.text("image", "mode") == "none":
        yield reader.problem(("image", "mode"), "a recipe without an image cannot be run", hint)
