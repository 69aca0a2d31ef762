"""A compose file with a server in it. Owns the fields of a service and what becomes of each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from recipegen.errors import Problem, SpecError
from recipegen.exchange import box
from recipegen.exchange.script import unwrap
from recipegen.exchange.server import find_server
from recipegen.exchange.shell import ShellSyntax
from recipegen.exchange.source import Source
from recipegen.exchange.template import plain
from recipegen.exchange.words import Word
from recipegen.load.yamldoc import Document

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])([^{}]*))?\})")
_NO_EFFECT = frozenset(
    ["restart", "healthcheck", "labels", "logging", "hostname", "pull_policy", "profiles", "stdin_open", "tty", "init"]
) | frozenset(["stop_grace_period", "annotations", "develop"])
_READ = frozenset(
    ["image", "command", "entrypoint", "environment", "ports", "volumes", "ipc", "shm_size", "ulimits", "network_mode"]
) | frozenset(["deploy", "gpus", "runtime", "container_name"])
_FIELD = "recipegen has no place for this field of a service"
_WHY = {
    "env_file": "a file not at hand: its variables go to engine.env, secrets into the environment at the start",
    "depends_on": "recipegen starts one container: start first what it waits for",
}
_NO_SERVER = "has no service with a server"
_HOME = {"HOME": "~", "PWD": "."}


def read_compose(source: Source, document: Document) -> None:
    """Put the one server of a compose file into the source.

    Raises:
        SpecError: none of its services is a server, or several are.
    """
    services = document.data.get("services")
    source.kind = "compose file"
    found = {}
    for name, body in services.items() if isinstance(services, dict) else ():
        if isinstance(body, dict):
            trial = Source("", source.file)
            _command(trial, merged(body), document, name)
            if find_server(trial.words) is not None:
                found[name] = merged(body)
    if len(found) != 1:
        what = f"has {len(found)} services with a server: {', '.join(found)}" if found else _NO_SERVER
        hint = "leave one of them in the file" if found else "looked for: vllm serve, llama-server, an image of vLLM"
        raise SpecError([Problem(document.where(("services",)), what, hint)])
    (name, body), others = next(iter(found.items())), [other for other in services if other not in found]
    source.names.append(str(body.get("container_name") or name))
    source.box.gpus = False
    _service(source, name, body, document)
    box.finish(source.box)
    for other in others:
        why = "not the server; recipegen starts one container"
        source.report.lose(f"services.{other}", why, "", document.where(("services", other)).line, runs=False)
    for key, value in document.data.items():
        if key not in ("services", "version", "name", "volumes", "networks") and not key.startswith("x-"):
            source.report.lose(key, "no part of a service", value, document.where((key,)).line)


def merged(value: Any) -> Any:
    """YAML's merge keys (`<<`) put in: what a mapping says itself wins."""
    if isinstance(value, list):
        return [merged(item) for item in value]
    if not isinstance(value, dict):
        return value
    base: dict[str, Any] = {}
    given = value.get("<<")
    for part in reversed(given if isinstance(given, list) else [given]):
        base |= merged(part) if isinstance(part, dict) else {}
    return base | {key: merged(item) for key, item in value.items() if key != "<<"}


def _word(text: Any, line: int) -> Word:
    """A value with compose's own variables put in, as far as they have a default."""
    why = ""

    def put_in(match: re.Match[str]) -> str:
        nonlocal why
        name = match[2] or match[3]
        if match[1]:
            return "$"
        if match[4] in ("-", ":-"):
            return str(match[5])
        if name in _HOME:
            return _HOME[name]
        why = why or f"the variable {name}, which the file does not set"
        return match[0]

    put = _VARIABLE.sub(put_in, plain(text))
    return Word(put, line, why)


def _command(source: Source, body: Mapping[str, Any], document: Document, name: str) -> None:
    words: list[Word] = []
    for key in ("entrypoint", "command"):
        value = body.get(key)
        line = document.where(("services", name, key)).line
        if isinstance(value, list):
            words += [_word(item, line) for item in value]
        elif isinstance(value, str):
            words += _split(value, line, document, name, key)
    image = _word(body.get("image", ""), document.where(("services", name, "image")).line)
    source.image = image.text or None
    if image.why:
        source.report.lose("image", f"needs {image.why}", image.text, image.line)
        source.image = None
    source.words = words
    try:
        unwrap(source)
    except ShellSyntax as error:
        place = document.where(("services", name, "command"))
        raise SpecError([Problem(place, f"not shell: {error.message}")]) from None


def _split(text: str, line: int, document: Document, name: str, key: str) -> list[Word]:
    """A command in one text: compose reads quotes, and starts no shell."""
    try:
        return [_word(word, line) for word in shlex.split(text)]
    except ValueError as error:
        raise SpecError([Problem(document.where(("services", name, key)), f"{key}: {error}")]) from None


def _service(source: Source, name: str, body: Mapping[str, Any], document: Document) -> None:
    report = source.report

    def line(*path: str | int) -> int:
        return document.where(("services", name, *path)).line

    for key, value in _pairs(body.get("environment")):
        word = None if value is None else _word(value, line("environment", key))
        box.put_env(source, key, word, f"environment.{key}")
    _command(source, body, document, name)
    for number, port in enumerate(_list(body.get("ports"))):
        text = f"{port.get('published', port.get('target'))}:{port.get('target')}" if isinstance(port, dict) else port
        box.put_port(source, _word(text, 0).text, f"ports[{number}]", line("ports", number))
    for number, volume in enumerate(_list(body.get("volumes"))):
        _volume(source, volume, f"volumes[{number}]", line("volumes", number))
    for limit, value in _pairs(body.get("ulimits")):
        text = f"{value.get('soft')}:{value.get('hard')}" if isinstance(value, dict) else value
        box.put_ulimit(source, f"{limit}={text}", f"ulimits.{limit}", line("ulimits"))
    for key in ("ipc", "shm_size", "network_mode"):
        if key in body:
            box.put_choice(source, key.removesuffix("_mode"), _word(body[key], 0).text, key, line(key))
    if body.get("runtime") == "nvidia" or body.get("gpus"):
        source.box.gpus = True
    _deploy(source, body.get("deploy"), line("deploy"))
    for key, value in body.items():
        if key == "build":
            source.missing += [] if source.image else ["The image: the service builds its own, by `build`."]
            report.lose("build", "recipegen's kit builds on image.base; build that image first", value, line("build"))
        elif key in _NO_EFFECT:
            report.lose(key, box.NO_EFFECT, value, line(key), runs=False)
        elif key not in _READ:
            report.lose(key, _WHY.get(key, _FIELD), value, line(key))


def _deploy(source: Source, deploy: Any, line: int) -> None:
    if not isinstance(deploy, dict):
        return
    resources = deploy.get("resources")
    reserved = resources.get("reservations") if isinstance(resources, dict) else None
    devices = reserved.get("devices") if isinstance(reserved, dict) else None
    for device in _list(devices):
        if not isinstance(device, dict):
            continue
        if "gpu" in _list(device.get("capabilities")) or device.get("driver") == "nvidia":
            every = device.get("count", "all") in ("all", -1, 1) and "device_ids" not in device
            box.put_choice(source, "gpus", "all" if every else str(device), "deploy", line)
    rest = {key: value for key, value in deploy.items() if key != "resources"}
    limits = resources.get("limits") if isinstance(resources, dict) else None
    if rest or limits:
        source.report.lose("deploy", _FIELD, {**rest, **({"limits": limits} if limits else {})}, line)


def _volume(source: Source, volume: Any, label: str, line: int) -> None:
    if isinstance(volume, dict):
        if volume.get("type") != "bind":
            source.report.lose(label, "recipegen mounts folders of the host (type: bind)", volume, line)
            return
        text = f"{volume.get('source')}:{volume.get('target')}" + (":ro" if volume.get("read_only") is True else "")
    else:
        text = str(volume)
    word = _word(text, line)
    if word.why:
        source.report.lose(label, f"needs {word.why}", word.text, line)
    else:
        box.put_volume(source, word.text, label, line)


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Both spellings of a mapping: a mapping, or a list of KEY=VALUE."""
    if isinstance(value, dict):
        yield from value.items()
    for item in _list(value):
        name, equals, text = str(item).partition("=")
        yield name, text if equals else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
