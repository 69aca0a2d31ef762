"""Keeps secrets and the names of people and hosts out of what is published. Owns no files."""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from recipegen.errors import RecipegenError

HIDDEN = "<hidden>"

_SECRET_NAME = re.compile(r"[A-Z0-9]*(?:TOKEN|KEY|CREDENTIAL)S?|[A-Z0-9]*(?:SECRET|PASSWORD|PASSWD)S?")
_PLAIN_VALUE = re.compile(r"|[0-9.]+|true|false|none|auto|\$\{\w+\}", re.IGNORECASE)
"""Values that are no secret whatever their name: `--max-num-batched-tokens 8192`, `${HF_TOKEN}`."""
_OPEN_VALUE = r"(?![\s'\"]*(?:\$|<|\{|\*|(?:none|null|false|true|empty)\b))"
"""What follows is no placeholder: `$OPENAI_API_KEY`, `<hidden>`, `***`."""
_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bbhk_[A-Za-z0-9_-]{8,}|\b[Bb]earer\s+(?=\S*\d)[A-Za-z0-9._~+/-]{8,}=*|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|(?P<pem>-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)"
    r"|(?P<header>\b(?:[Aa]uthorization|AUTHORIZATION)['\"]?\s*[:=]\s*['\"]?(?:(?:[Bb]earer|BEARER|[Bb]asic|[Tt]oken)\s+)?"
    rf"{_OPEN_VALUE})[A-Za-z0-9._~+/-]{{8,}}=*"
    r"|(?P<option>(?<![\w-])--(?:[a-z]+[-_])*(?:api[-_]?key|token|password|secret)(?:=|\s+)['\"]?"
    rf"{_OPEN_VALUE})(?!-)(?=\S*\d)[A-Za-z0-9._~+/-]{{8,}}=*"
    r"|(?P<variable>\b(?:[A-Z0-9]+_)*(?:API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|TOKEN|SECRET|PASSWORD|PASSWD)"
    rf"(?:=['\"]?|['\"]\s*:\s*['\"]|:\s*(?=\S*\d)){_OPEN_VALUE})[A-Za-z0-9][A-Za-z0-9._~+/-]{{7,}}=*"
)
"""Tokens that tell by their form (Hugging Face, BenchHub keys, HTTP, OpenAI-like, GitHub), private keys, and values
that tell by the header, option or variable before them, which is a group of its own."""
_BEGINNINGS = (
    r"_(?:(?<=\bhf_)|(?<=\bbhk_)|(?<=\bgh[pousr]_))",
    r"-(?:(?<=\bsk-)|-(?=[a-z_-]{0,40}(?:key|token|password|secret)))",
    r"earer(?<=\b[Bb]earer)",
    r"z(?<=[Aa]uthoriz)",
    r"Z(?<=AUTHORIZ)",
    r"PRIVATE KEY-----",
    r"K(?:EY(?=[=:'\"]))",
    r"T(?:OKEN(?=[=:'\"]))",
    r"S(?:ECRET(?=[=:'\"]))",
    r"P(?:ASSW(?:OR)?D(?=[=:'\"]))",
)
"""What each such token holds, for a quick look at much text before the slow one. They look backwards, because a
pattern that begins with one rare letter takes a tenth of the time."""
SECRET_MARKS = tuple(re.compile(beginning.encode()) for beginning in _BEGINNINGS)
_SIGNS = tuple(re.compile(beginning) for beginning in _BEGINNINGS)

_CHOSEN = ("recipe", "variant", "method", "machine", "run")
_FIXED = ("format", "origin", "runner", "status", "started", "ended", "versions")
_FROM_SPEC = frozenset(_CHOSEN + _FIXED)
"""Fields whose words the author, the user or we chose; a host's name is not looked for in them."""
_FREE_IN_ITEMS = {"cells": ("argv", "error"), "models": ("source",)}
"""Fields of the items of a list that hold free text; the others come from the recipe."""


@dataclass(frozen=True)
class Identity:
    """Who measures where: the words that must not stand in a record.

    Attributes:
        home: the home folder.
        user: the account's name; only replaced in paths, where it cannot be mistaken for another word.
        hosts: names of this host; shorter ones than four letters are left, they are too likely other words.
        secrets: values of environment variables whose names say that they are secret.
    """

    home: str = ""
    user: str = ""
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @cached_property
    def patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        """What to look for, and what to write instead, in the order of use."""
        found = [(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN) for secret in self.secrets]
        end = r"(?![\w-])(?!\.\w)"  # a name does not end before a dot that a letter follows
        if len(self.home) > 1:
            found.append((rf"(?<![\w.-]){re.escape(self.home)}{end}", "~"))
        hosts = [host for host in self.hosts if len(host) >= 4 and host != "localhost"]
        if self.user:
            folders = "/home|/var/home|/Users|/media|/run/media"
            user = re.escape(self.user)
            found.append((rf"(?<![\w.-])({folders})/{user}{end}", r"\1/<user>"))
            found += [(rf"(?<![\w.-]){user}@(?i:{re.escape(host)}){end}", "<user>@<host>") for host in hosts]
        # Names of hosts are the same in capitals and in small letters.
        found += [(rf"(?<![\w.-])(?i:{re.escape(host)}){end}", "<host>") for host in hosts]
        return tuple((re.compile(pattern), instead) for pattern, instead in found)

    def clean(self, text: str) -> str:
        """The text with placeholders for what must not stand in it."""
        for pattern, instead in self.patterns:
            text = pattern.sub(instead, text)
        return text

    def found_in(self, text: str) -> bool:
        """Whether anything that must not stand in it does."""
        words = (self.home, self.user, *self.hosts, *self.secrets)  # every pattern holds one of them
        small = text.lower()
        return any(word and word.lower() in small for word in words) and any(p.search(text) for p, _ in self.patterns)


def identity_here(env: Mapping[str, str] = os.environ) -> Identity:
    """The account, the host and the secrets of this process."""
    user = env.get("USER", "")
    with suppress(KeyError):
        user = pwd.getpwuid(os.getuid()).pw_name
    name = socket.gethostname()
    # The longest first: the full name of a host holds its short one.
    hosts = sorted({name, name.split(".")[0]} - {""}, key=len, reverse=True)
    secrets = sorted((v for k, v in env.items() if is_secret(k, v) and len(v) >= 8), key=len, reverse=True)
    return Identity(env.get("HOME", "").rstrip("/"), user, tuple(hosts), tuple(secrets))


def is_secret(name: str, value: str) -> bool:
    """Whether a variable or a flag holds a secret: TOKEN, KEY, SECRET or PASSWORD is a word of its name."""
    words = [word for word in re.split(r"[^A-Z0-9]+", name.upper()) if word]
    if not any(_SECRET_NAME.fullmatch(word) for word in words):
        return False
    always = re.search("SECRET|PASSW", name.upper()) and value.isdigit()
    return bool(always) or not _PLAIN_VALUE.fullmatch(value)


def scrub(record: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    """A copy of a record with placeholders: `<hidden>` for secrets, `~`, `<user>`, `<host>`."""
    clean: dict[str, Any] = {}
    for key, value in record.items():
        if key in _FROM_SPEC:
            clean[key] = value
        elif key in _FREE_IN_ITEMS and isinstance(value, list):
            free = _FREE_IN_ITEMS[key]
            clean[key] = [{k: _clean(v, k, identity) if k in free else v for k, v in item.items()} for item in value]
        else:
            clean[key] = _clean(value, key, identity)
    return clean


def _clean(value: Any, key: str, identity: Identity) -> Any:
    if isinstance(value, str):
        # A log's bytes that are not UTF-8 arrive as surrogates, which no JSON file can hold.
        text = identity.clean(value.encode("utf-8", "replace").decode())
        return hide_secrets(text) if key == "error" else text
    if isinstance(value, dict):
        if key == "env":
            value = {k: HIDDEN if isinstance(v, str) and is_secret(k, v) else v for k, v in value.items()}
        return {k: _clean(v, k, identity) for k, v in value.items()}
    if isinstance(value, list | tuple):
        words = list(_hide_in_argv(list(value))) if key == "argv" else value
        return [_clean(item, "", identity) for item in words]
    return value


def _hide_in_argv(words: list[Any]) -> Iterator[Any]:
    """`--api-key VALUE`, `--api-key=VALUE` and `-e HF_TOKEN=VALUE` without the values."""
    before = ""
    for word in words:
        name, equals, value = str(word).partition("=")
        if equals and re.fullmatch(r"[\w-]+", name) and is_secret(name, value):
            yield f"{name}={HIDDEN}"
        elif before.startswith("--") and not str(word).startswith("--") and is_secret(before, str(word)):
            yield HIDDEN
        else:
            yield word
        before = str(word)


def assert_clean(record: Mapping[str, Any], identity: Identity) -> None:
    """Refuses a record that would give away a secret or a name, after `scrub` did what can be done.

    Raises:
        RecipegenError: names the places, never the values.
    """
    secret, named = [], []
    for place, text in _texts(record, ""):
        if find_secret(text):
            secret.append(place)
        elif re.split(r"[.\[]", place)[0] not in {*_FROM_SPEC, *_FREE_IN_ITEMS} and identity.found_in(text):
            named.append(place)
    if secret:
        raise RecipegenError(
            f"the record of this run would hold a secret: {', '.join(secret)}",
            hint="give it through an environment variable of the server, never as a value in the recipe",
        )
    if named:
        raise RecipegenError(f"the record of this run would name this host or account: {', '.join(named)}")


def find_secret(text: str) -> bool:
    """Whether a token that tells by its form stands in a text."""
    return any(sign.search(text) for sign in _SIGNS) and bool(_SECRET.search(text))


def hide_secrets(text: str) -> str:
    """A text with a placeholder for each token in it that tells by its form."""
    return _SECRET.sub(_hidden, text)


def _hidden(found: re.Match[str]) -> str:
    told = found.lastgroup
    return (found[told] if told and told != "pem" else "") + HIDDEN


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            inner = f"{place}.{key}".lstrip(".")
            yield inner, str(key)
            yield from _texts(item, inner)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{place}[{index}]")
