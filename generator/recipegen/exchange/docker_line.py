"""`docker run` as a person types it. Owns the options of docker (podman, nerdctl) and what becomes of each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recipegen.exchange import box
from recipegen.exchange.source import Source
from recipegen.exchange.words import Word

_BEFORE = ("sudo", "exec", "nohup", "time", "command")
_PROGRAMS = ("docker", "podman", "nerdctl")
_SHORT = {"e": "env", "v": "volume", "p": "publish", "u": "user", "w": "workdir", "m": "memory", "h": "hostname"}
_SHORT |= {"l": "label", "a": "attach", "c": "cpu-shares", "d": "detach", "i": "interactive", "t": "tty", "q": "quiet"}
_SHORT |= {"P": "publish-all"}
_SWITCHES = frozenset(
    ["detach", "interactive", "tty", "rm", "init", "privileged", "read-only", "no-healthcheck", "oom-kill-disable"]
) | frozenset(["quiet", "publish-all", "sig-proxy", "disable-content-trust", "replace", "tls-verify"])
_NO_EFFECT = frozenset(
    ["detach", "interactive", "tty", "rm", "init", "quiet", "sig-proxy", "replace", "pull", "restart", "label"]
) | frozenset(
    ["hostname", "log-driver", "log-opt", "attach", "cidfile", "no-healthcheck", "stop-timeout", "stop-signal"]
)


@dataclass(frozen=True)
class _Option:
    name: str
    value: Word
    written: str
    line: int


def is_docker_run(words: list[Word]) -> int | None:
    """Where the options of `docker run` begin; None when the words are none."""
    texts = [word.text for word in words]
    at = 0
    while at < len(texts) and (texts[at] in _BEFORE or (at and texts[at].startswith("-"))):
        at += 1
    if at >= len(texts) or texts[at].rpartition("/")[2] not in _PROGRAMS:
        return None
    at += 1
    while at < len(texts) and texts[at].startswith("-"):
        at += 2 if texts[at] in ("--context", "--host", "-H", "--log-level") else 1
    at += at < len(texts) and texts[at] == "container"
    return at + 1 if at < len(texts) and texts[at] == "run" else None


def read_docker_run(source: Source, words: list[Word]) -> None:
    """Put a `docker run` command's options, image and server command into the source.

    Args:
        words: what stands after `run`.
    """
    at, entry, source.box.gpus = 0, None, False
    while at < len(words) and words[at].text.startswith("-") and words[at].text != "-":
        options, at = _options(words, at)
        for option in options:
            if option.name == "entrypoint":
                entry = option.value
            else:
                _put(source, option)
    if at < len(words):
        source.image = words[at].text
        if words[at].why:
            source.report.lose("image", f"needs {words[at].why}", words[at].text, words[at].line)
            source.image = None
    head = [entry] if entry is not None and entry.text else []
    source.words = [*head, *words[at + 1 :]]
    box.finish(source.box)


def _options(words: list[Word], at: int) -> tuple[list[_Option], int]:
    """The option (or the bundle of short ones) that stands there, and where the next begins."""
    word = words[at]
    if word.text.startswith("--"):
        name, equals, value = word.text[2:].partition("=")
        if equals:
            return [_Option(name, Word(value, word.line, word.why), f"--{name}", word.line)], at + 1
        if name in _SWITCHES or at + 1 >= len(words):
            return [_Option(name, Word("true", word.line), f"--{name}", word.line)], at + 1
        return [_Option(name, words[at + 1], f"--{name}", word.line)], at + 2
    found = []
    letters = word.text[1:]
    for number, letter in enumerate(letters):
        name = _SHORT.get(letter, letter)
        if name in _SWITCHES:
            found.append(_Option(name, Word("true", word.line), f"-{letter}", word.line))
            continue
        rest = letters[number + 1 :].removeprefix("=")
        if rest:
            found.append(_Option(name, Word(rest, word.line, word.why), f"-{letter}", word.line))
            return found, at + 1
        if at + 1 < len(words):
            found.append(_Option(name, words[at + 1], f"-{letter}", word.line))
        return found, at + 2
    return found, at + 1


def _put(source: Source, option: _Option) -> None:
    name, value, label, line = option.name, option.value, option.written, option.line
    if name == "env":
        key, equals, text = value.text.partition("=")
        box.put_env(source, key, Word(text, line, value.why) if equals else None, f"{label} {key}")
    elif value.why:
        source.report.lose(label, f"needs {value.why}", value.text, line)
    elif name == "volume":
        box.put_volume(source, value.text, label, line)
    elif name == "mount":
        _mount(source, value.text, label, line)
    elif name == "publish":
        box.put_port(source, value.text, label, line)
    elif name == "ulimit":
        box.put_ulimit(source, value.text, label, line)
    elif name in ("network", "net", "ipc", "shm-size", "gpus"):
        box.put_choice(source, {"net": "network", "shm-size": "shm_size"}.get(name, name), value.text, label, line)
    elif (name == "runtime" and value.text == "nvidia") or (name == "device" and "nvidia.com/gpu" in value.text):
        source.box.gpus = True
    elif name == "name":
        source.names.append(value.text)
    elif name in _NO_EFFECT:
        if name in ("pull", "restart", "label", "hostname", "log-driver", "log-opt"):
            source.report.lose(label, box.NO_EFFECT, value.text, line, runs=False)
    else:
        source.report.lose(label, box.MACHINE, "" if name in _SWITCHES else value.text, line)


def _mount(source: Source, text: str, label: str, line: int) -> None:
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    outer = fields.get("source", fields.get("src", ""))
    inner = fields.get("target", fields.get("destination", fields.get("dst", "")))
    if fields.get("type", "volume") != "bind" or re.search(r"[:]", outer + inner):
        source.report.lose(label, "recipegen mounts folders of the host (type=bind)", text, line)
        return
    read_only = any(key in fields and fields[key] != "false" for key in ("readonly", "ro"))
    box.put_volume(source, f"{outer}:{inner}", label, line, read_only)
