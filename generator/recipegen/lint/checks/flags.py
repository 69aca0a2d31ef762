"""Flags that the engine's version does not know, and values that cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from recipegen.engines.base import flag_word
from recipegen.engines.command import is_model_reference
from recipegen.engines.known import Known, known, known_versions, load_known, same_version
from recipegen.engines.normal import canonical, number_of
from recipegen.lint.context import Context
from recipegen.lint.finding import Hit
from recipegen.lint.rule import Severity
from recipegen.lint.subject import Subject
from recipegen.load.yamldoc import Path_

PLACEHOLDER = re.compile(
    r"<[A-Za-z][\w .-]*>|(?:.*[/:])?\$\{?[A-Za-z_]\w*\}?(?:[/:].*)?|\{\{.*\}\}|(?i:todo|fixme|xxx+|changeme)"
)
"""Text that stands for a value instead of being one, or a path with such a part; a launch script passes it on as it
is."""
_OF_A_MODEL = ("str", "token", "tokens", "stop", "marker", "message")
"""Last words of keys whose text is a model's own: `<think>` is a token there, and no placeholder."""
_PREFIXES = {"vllm": ("VLLM_",), "llama.cpp": ("LLAMA_", "GGML_")}
"""Variables with the engine's own prefix are meant for it; what others read is not known here."""
_KINDS = {"int": "a whole number", "float": "a number", "size": "a number, or one with k, M, G …", "json": "JSON"}
_READS = {
    "int": re.compile(r"\s*[-+]?[0-9]+(?:_[0-9]+)*\s*"),
    "size": re.compile(r"\s*(?:[-+]?[0-9]+(?:_[0-9]+)*|[0-9]+(?:\.[0-9]+)?[kmgt]|[0-9]+[KMGT])\s*"),
}
"""What int() and vLLM's human_readable_int take; neither takes 2.0 or 1e5."""
_NOTHING = ("", "None")
"""What vLLM reads as "not given" for flags whose default is nothing."""
_TEXT_OR_JSON = frozenset(
    ["additional-config", "hf-overrides", "model-loader-extra-config", "pt-load-map-location", "quantization-config"]
)
"""JSON flags of vLLM that take any other text, too (its union_dict_and_str)."""
_SAID_OTHERWISE = {"on": ("enabled", "true", "1"), "off": ("disabled", "false", "0"), "auto": ("-1",)}
"""Other words that llama.cpp takes for these three (is_truthy, is_falsey, is_autoy)."""
_JSON_SWITCH = ("0", "1", "true", "false")
_LONGEST = 60
"""Characters of a value that a finding repeats."""
_OWN_RULES = {("SpeculativeConfig", "method"): "dflash"}
"""Choices that rules of their own speak of, with what is known beyond the set of values."""


def known_flags(subject: Subject, context: Context) -> Iterator[Hit]:
    """FLAG_UNKNOWN, FLAG_DEPRECATED, FLAG_CHOICE, FLAG_KIND, FLAG_RANGE, FLAG_JSON, FLAG_JSON_KEY, ENV_UNKNOWN.

    Silent where the engine's version is not known.
    """
    facts = known(subject.spec.engine.name, subject.engine_version)
    if facts is None:
        return
    checker = _Checker(subject, facts)
    for key, value in subject.variant.flags.items():
        path = subject.flag_path(key) or ("variants", subject.variant.name)
        yield from checker.flag(key, value, path)
    prefixes = _PREFIXES.get(facts.engine, ())
    for name in {**subject.spec.image.env, **subject.variant.env}:
        if prefixes and name.startswith(prefixes) and name not in facts.env:
            detail = f"{name} is not read by {checker.label}{_since(facts, name)}"
            yield Hit("ENV_UNKNOWN", subject.env_path(name), detail, _near(name, facts.env))


class _Checker:
    """The flags of one engine version, held against values."""

    def __init__(self, subject: Subject, facts: Known) -> None:
        self.facts = facts
        self.exact = same_version(subject.engine_version, facts.version)
        standing_in = "" if self.exact else f" (whose data stands for {subject.engine_version})"
        self.label = f"{facts.engine} {facts.version}{standing_in}"

    @property
    def grave(self) -> Severity | None:
        """A development build may know more than the release beside it: no error then."""
        return None if self.exact else "warning"

    def flag(self, key: str, value: Any, path: Path_) -> Iterator[Hit]:
        head, dot, rest = key.partition(".")
        name, normal = canonical(head, value, self.facts)
        about = self.facts.flags.get(name)
        word = flag_word(key)
        if about is None:
            fix = _near(name, self.facts.flags)
            detail = f"{self.label} has no flag {word}{_removed(self.facts, name)}"
            yield Hit("FLAG_UNKNOWN", path, detail, fix, self.grave)
            return
        if about["deprecated"]:
            gone: Severity | None = "error" if "has been removed" in about["deprecated"] else None
            detail = f"{self.label} says of {word}: {_sentence(about['deprecated'])}"
            yield Hit("FLAG_DEPRECATED", path, detail, severity=gone)
        if dot:
            yield from self._dotted(about, rest, value, path, word)
        elif about["kind"] == "json":
            yield from self._json(about, normal, path, word, text=name in _TEXT_OR_JSON)
        elif normal != value and isinstance(normal, bool | int) and isinstance(value, bool):
            yield from self._value(about, normal, path, word)  # no-x, -O3
        else:
            open_ = name in self.facts.open
            yield from self._value(about, value, path, word, open_=open_)

    def _value(
        self, about: Mapping[str, Any], value: Any, path: Path_, word: str, *, open_: bool = False
    ) -> Iterator[Hit]:
        items = value if isinstance(value, list) else [value]
        if isinstance(value, list) and about["nargs"] not in ("+", "*") and not isinstance(about["nargs"], int):
            yield Hit("FLAG_KIND", path, f"{word} takes one value, not a list")
            return
        for item in items:
            yield from self._item(about, item, path, word, open_)

    def _item(self, about: Mapping[str, Any], value: Any, path: Path_, word: str, open_: bool) -> Iterator[Hit]:
        kind, choices = about["kind"], about["choices"]
        if isinstance(value, str) and (_placeholder(value) or (value in _NOTHING and _may_be_nothing(about))):
            return  # the former has its own rule
        if kind == "switch":
            if not isinstance(value, bool) and (_typed(about) or str(value).lower() not in _JSON_SWITCH):
                yield Hit("FLAG_KIND", path, f"{word} is a switch and takes no value", "true or false")
            elif value is False and about.get("off", "") is None:
                detail = f"{word} is a switch that {self.label} cannot turn off"
                yield Hit("FLAG_KIND", path, detail, "leave it out, or put it under the variant's drop")
        elif isinstance(value, bool):
            if about.get("nargs") != "?":
                yield Hit("FLAG_KIND", path, f"{word} needs a value", f"{word.lstrip('-')}: {_wanted(about)}")
        elif kind in ("int", "float", "size"):
            yield from self._number(about, value, path, word)
        elif choices and not is_model_reference(value) and not self._chosen(str(value), choices, open_):
            severity: Severity | None = "warning" if open_ else self.grave
            more = "; plugins can add to them" if open_ else ""
            detail = f"{word} of {self.label} does not take {_short(str(value))}{more}"
            yield Hit("FLAG_CHOICE", path, detail, _near(str(value), map(str, choices)), severity)

    def _chosen(self, value: str, choices: Any, open_: bool) -> bool:
        words = set(map(str, choices))
        if self.facts.engine == "llama.cpp":
            words |= {other for word in words for other in _SAID_OTHERWISE.get(word, ())}
        # Closed sets are argparse's own, which compares letter by letter; enumerations are looked up in any case.
        return value in words or (open_ and value.lower() in _lower(words))

    def _number(self, about: Mapping[str, Any], value: Any, path: Path_, word: str) -> Iterator[Hit]:
        kind = about["kind"]
        _, number = canonical("", value, None) if not isinstance(value, str) else ("", number_of(value, kind))
        if isinstance(value, str) and kind == "size" and value.lower() == "auto" and about["min"] == -1:
            return
        fits = isinstance(number, int | float) and not isinstance(value, bool) and number == number
        unread = kind in _READS and not _READS[kind].fullmatch(str(value if _typed(about) else number))
        if not fits or unread:
            yield Hit("FLAG_KIND", path, f"{word} takes {_KINDS[kind]}, not {_short(value)}")
            return
        low, high = about["min"], about["max"]
        if (low is not None and number < low) or (high is not None and number > high):
            yield Hit("FLAG_RANGE", path, f"{word} is {_short(value)}, but takes {_span_of(low, high)}")

    def _json(
        self, about: Mapping[str, Any], value: Any, path: Path_, word: str, *, text: bool = False
    ) -> Iterator[Hit]:
        if isinstance(value, str):
            if _placeholder(value) or (value in _NOTHING and _may_be_nothing(about)):
                return
            if value.lstrip().startswith(("{", "[")) or not (text or about["json"] or about["choices"]):
                yield Hit("FLAG_JSON", path, f"{word} takes JSON, and this is none: {_short(value)}")
            elif about["json"] is not None and not about["choices"]:
                yield Hit("FLAG_JSON", path, f"{word} takes a mapping of keys, not {_short(value)}")
        elif isinstance(value, bool) and "nargs" in about:
            yield Hit("FLAG_KIND", path, f"{word} needs a value", "a mapping")
        elif isinstance(value, Mapping):
            if about["json"] in self.facts.json:
                yield from self._keys(about["json"], value, path, word)
        elif about["json"] in self.facts.json and value is not None and not about["choices"]:
            yield Hit("FLAG_JSON", path, f"{word} takes a mapping of keys, not {_short(value)}")

    def _keys(self, name: str, value: Mapping[str, Any], path: Path_, word: str) -> Iterator[Hit]:
        known_keys = self.facts.json[name]
        for key, item in value.items():
            place = (*path, key)
            inner = known_keys.get(key)
            if inner is None:
                detail = f"{word}: {self.label} knows no key {key!r} in {name}"
                yield Hit("FLAG_JSON_KEY", place, detail, _near(key, known_keys), self.grave)
            elif item is None:
                continue
            elif inner["kind"] == "json":
                yield from self._json(inner, item, place, f"{word} {key}")
            elif _OWN_RULES.get((name, key)) == item:
                continue
            elif not isinstance(item, Mapping):
                # Classes of plugins and of other packages may stand for some names here.
                yield from self._value({"nargs": "*", **inner}, item, place, f"{word} {key}", open_=True)

    def _dotted(self, about: Mapping[str, Any], rest: str, value: Any, path: Path_, word: str) -> Iterator[Hit]:
        if about["kind"] != "json":
            detail = f"{word}: only flags that take JSON have keys behind a dot"
            yield Hit("FLAG_KIND", path, detail)
            return
        head, _, _ = rest.partition(".")
        keys = self.facts.json.get(about["json"] or "", {})
        if keys and head not in keys:
            detail = f"{word}: {self.label} knows no key {head!r} in {about['json']}"
            yield Hit("FLAG_JSON_KEY", path, detail, _near(head, keys), self.grave)
        elif keys and head == rest and keys[head]["kind"] != "json":
            yield from self._value({"nargs": "*", **keys[head]}, value, path, word, open_=True)


def _typed(about: Mapping[str, Any]) -> bool:
    """Whether a flag of the command line, read as text; a key of a JSON value is converted freely (5.0 is 5)."""
    return "aliases" in about


def _may_be_nothing(about: Mapping[str, Any]) -> bool:
    return "nargs" in about and about["kind"] != "switch" and about["default"] is None


def _placeholder(text: str) -> bool:
    # A longer text is a template or a script; and the pattern would take its time over a megabyte.
    return len(text) <= 500 and PLACEHOLDER.fullmatch(text) is not None


def _short(value: Any) -> str:
    """A value as a finding repeats it: on one line, and not by the page."""
    text = value if isinstance(value, str) else str(value)
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return repr(shown) if isinstance(value, str) else shown


def _span_of(low: float | None, high: float | None) -> str:
    if low is None:
        return f"up to {high}"
    return f"{low} or more" if high is None else f"{low} to {high}"


def _lower(choices: Any) -> set[str]:
    return {str(choice).lower() for choice in choices}


def _wanted(about: Mapping[str, Any]) -> str:
    if about["choices"]:
        return " | ".join(map(str, about["choices"][:4])) + (" …" if len(about["choices"]) > 4 else "")
    return _KINDS.get(about["kind"], "text")


def _near(word: str, names: Iterable[str]) -> str:
    return _nearest(word, frozenset(names)) if len(word) <= _LONGEST else ""


@lru_cache(maxsize=4096)
def _nearest(word: str, names: frozenset[str]) -> str:
    """Kept, because looking for near names costs more than all else, and recipes repeat each other's flags."""
    from difflib import get_close_matches

    same = [name for name in sorted(names) if name.lower() == word.lower()]
    near = same or get_close_matches(word, sorted(names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _sentence(text: str) -> str:
    return " ".join(text.split())[:200]


def _removed(facts: Known, name: str) -> str:
    """In which other versions the flag is known."""
    others = [v for v in known_versions(facts.engine) if name in load_known(facts.engine, v).flags]
    return _span(facts, others)


def _since(facts: Known, variable: str) -> str:
    others = [v for v in known_versions(facts.engine) if variable in load_known(facts.engine, v).env]
    return _span(facts, others)


def _span(facts: Known, others: list[str]) -> str:
    if not others:
        return ""
    order = known_versions(facts.engine)
    later = order.index(others[0]) > order.index(facts.version)
    return f"; it comes with {others[0]}" if later else f"; the last version known to have it is {others[-1]}"


def flag_pairs(subject: Subject, context: Context) -> Iterator[Hit]:
    """FLAG_TWICE, FLAG_NEGATED, FLAGS_EXCLUDE, FLAG_PLACEHOLDER, ENV_PLACEHOLDER."""
    yield from _twice(subject)
    yield from _excluding(subject)
    for key, value in subject.variant.flags.items():
        for path, text in _texts(value, subject.flag_path(key) or ("variants", subject.variant.name)):
            if _placeholder(text) and not (text.startswith("<") and str(path[-1]).lower().endswith(_OF_A_MODEL)):
                yield Hit("FLAG_PLACEHOLDER", path, f"{flag_word(key)} has the placeholder {_short(text)} for a value")
    for name, text in subject.variant.env.items():
        if _placeholder(text):
            yield Hit(
                "ENV_PLACEHOLDER", subject.env_path(name), f"{name} has the placeholder {_short(text)} for a value"
            )


def _texts(value: Any, path: Path_) -> Iterator[tuple[Path_, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping) and not is_model_reference(value):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, path)


def _twice(subject: Subject) -> Iterator[Hit]:
    facts = known(subject.spec.engine.name, subject.engine_version)
    seen: dict[str, tuple[str, Any]] = {}
    for key, value in subject.variant.flags.items():
        if "." in key:
            yield from _beside_dotted(subject, key)
            continue
        name, normal = canonical(key, value, facts)
        if name in seen:
            first, before = seen[name]
            path = subject.flag_path(key)
            if {normal, before} == {True, False} if isinstance(normal, bool) and isinstance(before, bool) else False:
                yield Hit("FLAG_NEGATED", path, f"{flag_word(first)} and {flag_word(key)} contradict each other")
            else:
                yield Hit("FLAG_TWICE", path, f"{flag_word(first)} and {flag_word(key)} are the same flag")
        seen[name] = (key, normal)


def _beside_dotted(subject: Subject, key: str) -> Iterator[Hit]:
    """vLLM collects dotted names by their spelling, and of two collections, or of one and a whole value, keeps one."""
    head = key.partition(".")[0]
    for other in subject.variant.flags:
        first, dot, _ = other.partition(".")
        same_flag = subject.aliases.get(first, first) == subject.aliases.get(head, head)
        # Of two collections the one that sorts first is reported against, so that each pair is reported once.
        if same_flag and (not dot or first < head):
            detail = f"{flag_word(key)} does not join {flag_word(other)}: the engine takes one and drops the other"
            yield Hit("FLAG_TWICE", subject.flag_path(key), detail, "write one mapping with all keys")
            return


def _cudagraphs(flags: Mapping[str, Any]) -> str | None:
    config = flags.get("compilation-config")
    mode = config.get("cudagraph_mode") if isinstance(config, Mapping) else None
    return str(mode).upper() if mode is not None else None


def _excluding(subject: Subject) -> Iterator[Hit]:
    """Flags of vLLM that work against each other."""
    flags = subject.flags
    if subject.spec.engine.name != "vllm":
        return
    mode = _cudagraphs(flags)
    if flags.get("enforce-eager") is True and mode not in (None, "NONE"):
        detail = f"--enforce-eager captures no CUDA graphs, and cudagraph_mode {mode} asks for them"
        yield Hit("FLAGS_EXCLUDE", subject.flag_path("enforce-eager"), detail, "keep one of the two")
    batched, length = flags.get("max-num-batched-tokens"), flags.get("max-model-len")
    unchunked = flags.get("enable-chunked-prefill") is False
    if unchunked and isinstance(batched, int) and isinstance(length, int) and batched < length:
        detail = f"without chunked prefill a prompt of {length} tokens does not fit into a batch of {batched}"
        fix = "raise --max-num-batched-tokens to --max-model-len, or leave chunked prefill on"
        yield Hit("FLAGS_EXCLUDE", subject.flag_path("max-num-batched-tokens"), detail, fix)
    sequences = flags.get("max-num-seqs")
    if isinstance(batched, int) and isinstance(sequences, int) and batched < sequences:
        detail = f"{sequences} sequences do not fit into a batch of {batched} tokens"
        yield Hit("FLAGS_EXCLUDE", subject.flag_path("max-num-batched-tokens"), detail, "raise it to at least that")
    if "kv-cache-memory-bytes" in flags and "gpu-memory-utilization" in flags:
        detail = "--kv-cache-memory-bytes sets the KV cache; --gpu-memory-utilization has no say in it then"
        fix = "leave --gpu-memory-utilization to the start-up check of free memory, or drop one of the two"
        yield Hit("FLAGS_EXCLUDE", subject.flag_path("kv-cache-memory-bytes"), detail, fix, "info")
