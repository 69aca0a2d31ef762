"""A server's command line as an engine, a model and flags. Owns finding the server among the words of a command, and
each engine's grammar of flags as far as its known flags tell it; decides nothing about the recipe."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from recipegen.engines.base import flag_key
from recipegen.engines.known import Known, known, known_versions, load_known, newest
from recipegen.engines.normal import canonical, number_of
from recipegen.exchange.report import Report, shown
from recipegen.exchange.words import Word

NO_SERVER = "starts no server that is known"
KNOWN_SERVERS = "looked for: vllm serve, vllm.entrypoints.openai.api_server, llama-server, spark serve, docker run"
MAX_JSON_DEPTH = 20
_NUMBER = re.compile(r"-[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PYTHON = re.compile(r"python(?:3(?:\.[0-9]+)?)?")
_SHELLS = ("bash", "sh", "zsh", "dash")
_BEFORE = ("exec", "nohup", "env", "time", "sudo", "command", "uv", "run", "stdbuf", "tini", "--")
"""Words before a server that change nothing about it."""
_MODULES = {
    "vllm.entrypoints.openai.api_server": "vllm",
    "vllm.entrypoints.cli.main": "vllm",
    "sglang.launch_server": "sglang",
}
_SERVES = {"vllm": "vllm", "spark": "atlas", "atlas": "atlas", "sglang": "sglang", "max": "modular-max"}
_ALONE = {"llama-server": "llama.cpp", "trtllm-serve": "trtllm"}
_OLD_CONFIG = "optimization-level"
_LEVEL = re.compile(r"-O=?(?:[0-9]+|O[0-9])")
_FLAG = re.compile(r"-{1,2}[A-Za-z][A-Za-z0-9_.-]*")
_SECRETS = ("api-key", "hf-token", "ssl-key-file-password")


@dataclass
class Server:
    """What a server's command line says.

    Attributes:
        engine: as the formats call it: vllm, llama.cpp, atlas, or another's name.
        positional: words that belong to no flag.
        flags: long name to value, in the order of the command line.
        lines: line of the source that each flag stands in.
    """

    engine: str
    positional: list[Word] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    layered: bool = False

    def take(self, *names: str) -> Any:
        """Remove flags, and give the last value among them; None where there is none."""
        found = [self.flags.pop(name) for name in names if name in self.flags]
        return found[-1] if found else None


def find_server(words: list[Word]) -> tuple[str, int, int] | None:
    """Which engine a command starts: its name, where its program stands, where its arguments begin; or None."""
    for at, word in enumerate(words):
        base = word.text.rpartition("/")[2]
        following = words[at + 1].text if at + 1 < len(words) else ""
        if base in _ALONE:
            return _ALONE[base], at, at + 1
        if base in _SERVES and following == "serve":
            return _SERVES[base], at, at + 2
        if _PYTHON.fullmatch(base) and following == "-m" and at + 2 < len(words) and words[at + 2].text in _MODULES:
            begins = at + 3
            if words[at + 2].text.endswith("cli.main"):
                begins += begins < len(words) and words[begins].text == "serve"
            return _MODULES[words[at + 2].text], at, begins
    return None


def inner_script(words: list[Word]) -> Word | None:
    """The text that a shell among the first words is to run: of `bash -c TEXT`; None where there is none."""
    for at, word in enumerate(words[:-2]):
        if word.text.rpartition("/")[2] in _SHELLS:
            rest = words[at + 1 :]
            for number, option in enumerate(rest[:-1]):
                if re.fullmatch(r"-[a-z]*c[a-z]*", option.text):
                    return rest[number + 1]
                if not option.text.startswith("-"):
                    return None
        elif word.text not in _BEFORE:
            return None
    return None


def before_server(words: list[Word]) -> tuple[dict[str, Word], list[Word]]:
    """Of the words before a server: variables (of `env A=B`), and what changes how it runs (numactl …)."""
    env: dict[str, Word] = {}
    other = []
    for word in words:
        name, equals, value = word.text.partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            env[name] = Word(value, word.line, word.why)
        elif word.text not in _BEFORE:
            other.append(word)
    return env, other


class _Facts:
    """Flags of an engine: of the version given first, then of the newest, then of older ones."""

    def __init__(self, engine: str, version: str | None) -> None:
        self.engine = engine
        self.best = known(engine, version) or newest(engine)
        self.found: dict[str, tuple[str, Any, Mapping[str, Any] | None]] = {}

    def of(self, key: str) -> tuple[str, Any, Mapping[str, Any] | None]:
        """Long name, value (False for `no-…`) and facts of a flag that stands alone."""
        if key not in self.found:
            self.found[key] = self._of(key)
        return self.found[key]

    def _of(self, key: str) -> tuple[str, Any, Mapping[str, Any] | None]:
        for facts in _candidates(self.engine, self.best):
            name, value = canonical(key, True, facts)
            if name in facts.flags:
                return name, value, facts.flags[name]
        name, value = canonical(key, True, None if self.best is None else self.best)
        return name, value, None


@lru_cache(maxsize=64)
def _older(engine: str) -> tuple[str, ...]:
    return tuple(reversed(known_versions(engine)))


def _candidates(engine: str, best: Known | None) -> Iterator[Known]:
    if best is not None:
        yield best
    for version in _older(engine):
        if best is None or version != best.version:
            yield load_known(engine, version)


def read_flags(engine: str, words: list[Word], version: str | None, report: Report, *, layered: bool = False) -> Server:
    """The flags and the other words of a server's arguments.

    Args:
        engine: as `find_server` gives it.
        words: the arguments.
        version: the engine's version, where the source tells it; flags of other versions are known all the same.
        report: gets the flags that cannot be taken over.
        layered: a flag that is given again replaces the first one by the source's own rules.
    """
    server, facts, at = Server(engine, layered=layered), _Facts(engine, version), 0
    while at < len(words):
        word = words[at]
        at += 1
        if word.text == "--":
            continue
        if not _is_flag(word):
            server.positional.append(word)
            continue
        written, equals, given = word.text.partition("=")
        key = flag_key(written) if not _LEVEL.fullmatch(word.text) else word.text
        head, dot, rest = key.partition(".")
        name, value, about = facts.of(head)
        if dot and name == _OLD_CONFIG and engine == "vllm":
            # -O was the compilation config once; a level has no fields, and vLLM refuses a mapping for one.
            report.note(f"{written} (line {word.line}): -O is a level now; kept as what it meant, -cc.{rest}")
            name, value, about = facts.of("compilation-config")
        values: list[Word] = []
        if _LEVEL.fullmatch(word.text):
            name, values = "optimization-level", [Word(word.text.removeprefix("-O").lstrip("="), word.line)]
        elif equals:
            values = [Word(given, word.line, word.why)]
        elif value is not False and (dot or about is None or about["kind"] != "switch"):
            values = _values(words, at, 1 if dot else _most(about))
            at += len(values)
        _put(server, report, word, f"{name}{dot}{rest}" if dot else name, value, values, about)
    _join_dotted(server)
    return server


def _most(about: Mapping[str, Any] | None) -> int:
    """How many words at most are a flag's values."""
    if about is None or about["nargs"] in ("+", "*"):
        return 1 << 20
    return about["nargs"] if isinstance(about["nargs"], int) else 1


def _values(words: list[Word], at: int, most: int) -> list[Word]:
    found: list[Word] = []
    while at < len(words) and len(found) < most and not _is_flag(words[at]) and words[at].text != "--":
        found.append(words[at])
        at += 1
    return found


def _is_flag(word: Word) -> bool:
    return bool(_FLAG.match(word.text)) and not _NUMBER.fullmatch(word.text)


def _put(
    server: Server,
    report: Report,
    word: Word,
    name: str,
    value: Any,
    values: list[Word],
    about: Mapping[str, Any] | None,
) -> None:
    written = word.text.partition("=")[0]
    text = " ".join(item.text for item in values)
    if name in _SECRETS:
        report.secret(written, word.line)
        return
    if name.count(".") > MAX_JSON_DEPTH:
        report.lose(written, "is nested too deeply", text, word.line)
        return
    why = word.why or next((item.why for item in values if item.why), "")
    if why:
        report.lose(written, f"its value holds {why}", text, word.line)
        return
    if name in server.flags:
        before = server.flags.pop(name)
        if not server.layered:
            again = (
                "is given more than once; recipegen holds one value and keeps the last; some flags would add them up"
            )
            report.lose(written, again, before, server.lines[name])
    if len(values) > 1:
        value = [_typed(item.text, about) for item in values]
    elif values:
        value = _typed(values[0].text, None if "." in name else about)
    elif about is not None and about["kind"] != "switch" and about["nargs"] not in ("?", "*"):
        report.note(f"{written} stands without a value (line {word.line}); it is kept so")
    if about is None and server.engine in ("vllm", "llama.cpp"):
        report.note(f"{written} is not a flag that recipegen knows of any version of {server.engine}; kept as written")
    server.flags[name], server.lines[name] = value, word.line


def _typed(text: str, about: Mapping[str, Any] | None) -> Any:
    """A word as the value that a recipe would have: a number, a JSON mapping, or the text."""
    kind = about["kind"] if about else "str"
    if text.startswith("{"):
        found = json_object(text)
        return text if found is None else found
    number = number_of(text, "float") if len(text) < 100 else text
    if isinstance(number, int | float) and math.isfinite(number):
        # A text that is written as its number is: the command line is the same for both.
        return number if kind in ("int", "float", "size") or str(number) == text else text
    return text


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, or None where a recipe could not hold it as a mapping and say the same."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError
        return dict(pairs)

    def never(_: str) -> Any:
        raise ValueError

    try:
        found = json.loads(text, object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _depth(found) <= MAX_JSON_DEPTH else None


def _depth(value: Any, at: int = 0) -> int:
    if at > MAX_JSON_DEPTH or not isinstance(value, dict | list):
        return at
    return max((_depth(item, at + 1) for item in (value.values() if isinstance(value, dict) else value)), default=at)


def _join_dotted(server: Server) -> None:
    """Dotted names as one JSON value, as vLLM makes of them; it takes the place of a whole value given beside them."""
    joined: dict[str, Any] = {}
    for key in [key for key in server.flags if "." in key]:
        head, *path = key.split(".")
        at = joined.setdefault(head, {})
        for part in path[:-1]:
            inner = at.setdefault(part, {})
            at = inner if isinstance(inner, dict) else at
        at[path[-1]] = _loose(server.flags.pop(key))
    for head, value in joined.items():
        server.flags[head] = value
        server.lines.setdefault(head, 0)


def _loose(value: Any) -> Any:
    """What vLLM reads a dotted value as: JSON where it is JSON."""
    words = {"true": True, "false": False, "True": True, "False": False}
    return words.get(value, value) if isinstance(value, str) else value


def describe(words: list[Word]) -> str:
    """A command for a report."""
    return shown(" ".join(word.text for word in words))
