"""sparkrun recipes of version 2 and 1, and those of spark-vllm-docker, which are version 1. Owns their fields.

Read from sparkrun's RECIPES.md and sources (0.3), the registries of Spark Arena and the recipes of
eugr/spark-vllm-docker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from recipegen.engines.known import newest
from recipegen.errors import Problem, SpecError, Where
from recipegen.exchange.box import put_env, put_executor
from recipegen.exchange.report import one_line
from recipegen.exchange.script import read_script
from recipegen.exchange.server import find_server
from recipegen.exchange.source import Source
from recipegen.exchange.template import LEFT_OVER, TooLong, plain, render
from recipegen.exchange.words import Word
from recipegen.load.yamldoc import Document

ENGINES = {
    "": "vllm",
    "vllm": "vllm",
    "vllm-distributed": "vllm",
    "vllm-ray": "vllm",
    "eugr-vllm": "vllm",
    "llama-cpp": "llama.cpp",
    "atlas": "atlas",
}
"""sparkrun's runtimes to engines; others are kept as records."""
_PROGRAMS = {"vllm": ["vllm", "serve"], "llama.cpp": ["llama-server"], "atlas": ["spark", "serve"]}
DEFAULTS = {
    "vllm": {"tensor_parallel": "tensor-parallel-size", "pipeline_parallel": "pipeline-parallel-size"}
    | {"data_parallel": "data-parallel-size"},
    "llama.cpp": {"served_model_name": "alias", "max_model_len": "ctx-size", "temperature": "temp"},
    "atlas": {"tensor_parallel": "tp-size", "max_model_len": "max-seq-len", "served_model_name": "model-name"}
    | {"max_num_batched_tokens": "max-prefill-tokens"},
}
"""Keys of `defaults` that are called otherwise than the engine's flag."""
_PARALLEL = ("tensor_parallel", "pipeline_parallel", "data_parallel")
_MOD = "changes the container before the server starts; make it a patch (patches/ID) and name it in image.patches"
_HOOK = "shell that runs in the container; recipegen runs none: put what it does into the image"
_BUILD = "builds the image on the spot; recipegen builds on image.base: build that image first, or name another"
_WHY: dict[str, tuple[str, bool]] = {
    "mods": (_MOD, True),
    "pre_exec": (_HOOK, True),
    "build_args": (_BUILD, True),
    "builder": (_BUILD, True),
    "builder_config": (_BUILD, True),
    "containers": ("one image a machine; recipegen has one for all", True),
    "post_exec": ("runs once the server is ready; it is no part of the server", False),
    "post_commands": ("runs on the machine that steers; it is no part of the server", False),
    "stop_after_post": ("recipegen takes a server down when it was measured", False),
    "executor": ("recipegen starts servers with Docker, or as a process", False),
    "scheduler": ("placing work on machines is not recipegen's", False),
    "distribution_config": ("recipegen downloads models on each machine; revisions go to the models", False),
    "layout": ("placing work on machines is not recipegen's", False),
    "cluster_config": ("places of one cluster", True),
    "readiness": ("recipegen waits by run.ready_timeout_s", False),
    "capabilities": ("says what the model can do", False),
    "unsupported_capabilities": ("says what the model cannot do", False),
    "include": ("takes over another file, which is not at hand: import the whole recipe", True),
    "overrides": ("changes an included file, which is not at hand", True),
    "sparkrun_version": ("names the tool's version", False),
}
_READ = (
    frozenset(
        ["recipe_version", "name", "description", "model", "model_revision", "runtime", "runtime_version", "mode"]
    )
    | frozenset(["min_nodes", "max_nodes", "solo_only", "cluster_only", "container", "defaults", "env", "command"])
    | frozenset(["runtime_config", "benchmark", "metadata", "executor_config", "runtime_cache", "stop_after_post"])
)
_TEXTS = ("name", "description", "model", "model_revision", "runtime", "runtime_version", "container", "command")
_MAPPINGS = ("defaults", "env", "runtime_config", "metadata", "executor_config", "benchmark")
_METADATA = ("description", "maintainer", "source", "quantization", "model_dtype", "title")
_RUNNERS_ENV = {"NCCL_IGNORE_CPU_AFFINITY": "1", "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
"""Environment that spark-vllm-docker's launch-cluster.sh gives every container."""
_BAD_NAME = "is not the name of a default"


def read_sparkrun(source: Source, document: Document) -> None:
    """Put a recipe into the source.

    Raises:
        SpecError: it lacks its model, or its command is not shell.
    """
    data: dict[str, Any] = document.data
    _shapes(source, data, document)
    version = str(data.get("recipe_version", data.get("sparkrun_version", "")) or "")
    first = version == "1" or (not version and "runtime" not in data and "build_args" in data)
    by_runner = first and "runtime" not in data
    source.kind = "spark-vllm-docker recipe" if by_runner else f"sparkrun recipe, version {1 if first else 2}"
    runtime = _text(data, "runtime") or ""
    source.engine = _engine(runtime, _text(data, "command") or "")
    source.image = _text(data, "container")
    source.engine_version = _text(data, "runtime_version") or _built_version(data.get("build_args"))
    source.names += [name for name in (_text(data, "name"), source.file.stem) if name and name != "-"]
    source.revision = _text(data, "model_revision")
    source.model = _text(data, "model")
    _describe(source, data, document)
    defaults = _mapping(data, "defaults")
    _env(source, data, document)
    _nodes(source, data, defaults, document)
    put_executor(source, _mapping(data, "executor_config"), document.where)
    _container(source, by_runner)
    cache = data.get("runtime_cache")
    source.compile_cache = cache is not False and not (isinstance(cache, dict) and cache.get("enabled") is False)
    if isinstance(cache, dict):
        line = _line(document, "runtime_cache")
        source.report.lose("runtime_cache", "recipegen keeps one cache a recipe", cache, line, runs=False)
    if not by_runner:
        _runtime(source, data, document)
    _command(source, data, defaults, document)
    if source.image is None and "container" not in data:
        source.missing.append("The container image: the recipe leaves it to sparkrun.")
    if by_runner and source.image and "/" not in source.image:
        why = "an image that spark-vllm-docker builds on the host: build it there first, or name another in image.base"
        source.report.lose("container", why, source.image, _line(document, "container"))
    _others(source, data, document)


def _shapes(source: Source, data: dict[str, Any], document: Document) -> None:
    """Fields of another shape than the format's are reported, and read as if they were not there."""
    for key in [*_TEXTS, *_MAPPINGS]:
        value = data.get(key)
        if value is None or isinstance(value, dict if key in _MAPPINGS else str | int | float):
            continue
        what = "is not a mapping" if key in _MAPPINGS else "is not a text"
        source.report.lose(key, what, value, _line(document, key))


def _engine(runtime: str, command: str) -> str:
    if runtime in ENGINES and runtime:
        return ENGINES[runtime]
    if runtime:
        return runtime
    found = find_server([Word(word) for word in command.replace("\\\n", " ").split()[:12]])
    return found[0] if found else "vllm"


def _others(source: Source, data: Mapping[str, Any], document: Document) -> None:
    for key, value in data.items():
        line = _line(document, key)
        if key in _WHY and value not in (None, [], {}, ""):
            why, runs = _WHY[key]
            if isinstance(value, list) and key != "build_args":
                for number, item in enumerate(value):
                    source.report.lose(f"{key}[{number}]", why, item, _line(document, key, number), runs=runs)
            else:
                source.report.lose(key, why, value, line, runs=runs)
        elif key not in _READ and key not in _WHY:
            source.report.lose(key, "not a field that recipegen knows", value, line)
    line = _line(document, "runtime_config")
    for key, value in _mapping(data, "runtime_config").items():
        source.report.lose(f"runtime_config.{key}", "recipegen has no place for it", value, line)


def _describe(source: Source, data: Mapping[str, Any], document: Document) -> None:
    metadata = _mapping(data, "metadata")
    short, about = _text(data, "description"), _text(metadata, "description")
    source.description = about or short
    title = _text(metadata, "title") or short or about
    source.title = one_line(title, 100) if title else _text(data, "name")
    maintainer = _text(metadata, "maintainer")
    if maintainer:
        source.authors.append({"name": re.sub(r"\s*<[^>]*>", "", maintainer).strip() or "the source's maintainer"})
        if "@" in maintainer:
            source.report.note("metadata.maintainer: the address is left out")
    link = _text(metadata, "source")
    if link:
        source.references.append({"title": "Source named by the recipe", **({"url": link} if "://" in link else {})})
    source.quantization = _text(metadata, "quantization") or _text(metadata, "model_dtype")
    for key, value in metadata.items():
        if key not in _METADATA:
            why = "describes the model; recipegen has its own facts (recipegen catalog)"
            source.report.lose(f"metadata.{key}", why, value, document.where(("metadata", key)).line, runs=False)
    benchmark = _mapping(data, "benchmark")
    if benchmark and not _bench(source, {**benchmark, **_mapping(benchmark, "args")}):
        line = _line(document, "benchmark")
        source.report.lose("benchmark", "not lists of pp, tg, depth, concurrency", benchmark, line, runs=False)


def _bench(source: Source, args: Mapping[str, Any]) -> bool:
    """sparkrun's own benchmark as profiles, one for each length of answer."""
    lists: dict[str, list[int]] = {}
    for key in ("pp", "tg", "depth", "concurrency"):
        value = args.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        if not all(type(item) is int and 0 <= item <= 1_000_000 for item in items):
            return False
        if items:
            lists[key] = items
    answers = lists.pop("tg", [])
    for answer in answers[:8]:
        source.benches[f"source-tg{answer}"] = {"title": "The source's own benchmark", "tg": answer, **lists}
    return bool(answers)


def _env(source: Source, data: Mapping[str, Any], document: Document) -> None:
    for name, value in _mapping(data, "env").items():
        line = document.where(("env", name)).line
        if isinstance(value, dict | list) or value is None:
            source.report.lose(f"env.{name}", "is not one value", value, line)
            continue
        if isinstance(value, bool):
            source.report.note(f"env.{name}: {str(value).lower()} without quotes reaches the server as {value}")
        put_env(source, name, Word(str(value), line), f"env.{name}")
        if name in source.env and (outside := re.search(r"\$\{?(\w+)", str(value))):
            whose = f"sparkrun puts in the variable {outside[1]} of the machine that steers"
            source.report.note(f"env.{name}: kept as it is written; {whose}")


def _container(source: Source, by_runner: bool) -> None:
    """What sparkrun (executors/docker.py) and run-recipe.sh (launch-cluster.sh) give every container, unless the recipe
    says otherwise; what of it has no place in a recipe is told."""
    box = source.box
    box.ipc = box.ipc or "host"
    box.network = box.network or "host"
    box.gpus = True if box.gpus is None else box.gpus
    if by_runner:
        for name, value in _RUNNERS_ENV.items():
            source.env.setdefault(name, value)
        box.ulimits.setdefault("nofile", 1_048_576)
        source.report.note(
            "container: its environment has what spark-vllm-docker gives every container; that one is --privileged, "
            "the kit's is not"
        )
        return
    if box.ipc != "host" and not box.shm_size:  # with the host's, its own /dev/shm counts
        source.report.note("container: sparkrun gives it 10 to 32 GB of shared memory, by its version: run.shm_size")
    source.report.note(
        "container: sparkrun starts it as the user who calls, with /dev/infiniband, or, in older versions and where "
        "the cluster says so, as root and --privileged; the kit's is root without privileges"
    )


def _runtime(source: Source, data: Mapping[str, Any], document: Document) -> None:
    """What sparkrun's runtimes bring along, and a recipe here says otherwise."""
    if _text(data, "runtime") == "vllm-ray" and (source.nodes or 1) > 1:
        why = "sparkrun lets Ray join the machines; add the flag distributed-executor-backend: ray where that is wanted"
        source.report.lose("runtime", why, "vllm-ray", _line(document, "runtime"))


def _nodes(source: Source, data: Mapping[str, Any], defaults: Mapping[str, Any], document: Document) -> None:
    least, most = data.get("min_nodes"), data.get("max_nodes")
    several = data.get("cluster_only") is True or data.get("mode") == "cluster"
    nodes = least if type(least) is int else 2 if several else 1
    given = [("min_nodes",), ("cluster_only",), ("mode",), *(("defaults", key) for key in _PARALLEL)]
    source.nodes_line = next((document.places[place].line for place in given if place in document.places), 0)
    size = 1
    for key in _PARALLEL:
        value = defaults.get(key)
        size *= value if type(value) is int and 0 < value < 100 else 1
    if most == 1 or data.get("solo_only") is True or data.get("mode") == "solo":
        nodes = 1
    elif source.engine in ("vllm", "atlas"):
        nodes = max(nodes, size)  # one GPU a machine: so many ranks, so many machines
    source.nodes = nodes
    if type(most) is int and most != nodes and most > 1:
        line = _line(document, "max_nodes")
        source.report.lose("max_nodes", "a recipe is for one number of machines", most, line, runs=False)


def _command(source: Source, data: Mapping[str, Any], defaults: dict[str, Any], document: Document) -> None:
    command = data.get("command")
    values = {**defaults, "model": source.model, "model_revision": source.revision}
    values = {key: value for key, value in values.items() if value is not None}
    if not isinstance(command, str) or not command.strip():
        if not source.model:
            raise SpecError([Problem(Where(source.file, 1, 1), "names neither a model nor a command", "")])
        _from_defaults(source, defaults, document)
        return
    place = document.where(("command",))
    try:
        text = render(command, values)
    except TooLong as error:
        raise SpecError([Problem(place, f"command {error}", "look at the defaults that it names")]) from None
    read_script(source, text, place.line + 1)
    for key in dict.fromkeys(LEFT_OVER.findall(text)):
        if f"{{{key}}}" in command.replace("{{", ""):
            source.report.lose(f"{{{key}}}", "has no default; it stands in the command as written", "", place.line)
    if "{{" in command and "version 2" in source.kind:
        source.report.note("command: its doubled braces stand for single ones, as sparkrun reads them")
    used = set(re.findall(r"\{([^{}]*)\}", " ".join([command, *(v for v in defaults.values() if isinstance(v, str))])))
    for key, value in defaults.items():
        if key not in used:
            line = document.where(("defaults", key)).line
            source.report.lose(f"defaults.{key}", "the command does not use it", value, line, runs=False)


def _from_defaults(source: Source, defaults: dict[str, Any], document: Document) -> None:
    """The command that sparkrun makes where the recipe has none: each default is a flag."""
    engine = source.engine or "vllm"
    facts = newest(engine)
    head = [Word(word) for word in _PROGRAMS.get(engine, [engine])]
    model = Word(source.model or "", document.where(("model",)).line)
    source.words = [*head, *([Word("-hf")] if engine == "llama.cpp" else []), model]
    for key, value in defaults.items():
        line = document.where(("defaults", key)).line
        name = DEFAULTS.get(engine, {}).get(key, key.replace("_", "-"))
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            source.report.lose(f"defaults.{key}", _BAD_NAME, value, line)
            continue
        if engine == "llama.cpp" and key in ("tensor_parallel", "pipeline_parallel"):
            if value != 1:
                source.report.lose(f"defaults.{key}", "sparkrun's own way to split a model", value, line)
            continue
        known = facts is None or name in facts.flags or name in facts.aliases
        if not known and name not in ("webui", "mmap", "chat-template"):
            source.report.note(f"defaults.{key}: not a flag that recipegen knows; taken for --{name}")
        if facts is not None and name in facts.flags and facts.flags[name]["kind"] == "switch":
            # sparkrun gives a switch without a value, unless the default says no in one of these ways.
            value = str(value).strip().lower() not in ("", "0", "false", "no", "off", "none")
        if engine == "llama.cpp" and name == "flash-attn" and isinstance(value, bool):
            value = "on" if value else "off"
        if value is True:
            source.words.append(Word(f"--{name}", line))
        elif value is False:
            negatable = not known or facts is None or (name in facts.flags and facts.flags[name]["off"])
            if negatable or name in ("webui", "mmap"):
                source.words.append(Word(f"--no-{name}", line))
        elif value is not None:
            text = plain(value) if value != "" else ""
            source.words.append(Word(f"--{name}={text}", line))


def _built_version(arguments: Any) -> str | None:
    """The vLLM version that build-and-copy.sh is told to build: `--vllm-ref v0.25.1`."""
    words = [str(word) for word in arguments] if isinstance(arguments, list) else []
    for word, following in pairwise(words):
        if word == "--vllm-ref" and re.fullmatch(r"v?[0-9]+(?:\.[0-9]+)+\w*", following):
            return following.removeprefix("v")
    return None


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "" else None


def _mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _line(document: Document, *path: str | int) -> int:
    return document.where(path).line
