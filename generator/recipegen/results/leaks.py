"""Finds in files what must not be published: tokens, secrets of this process, home folders, hosts. Owns reading text of
any size piece by piece and looking at it; what a secret looks like is `scrub`'s, opening files the caller's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Literal, Protocol

from recipegen.results.scrub import SECRET_MARKS, Identity, find_secret

PIECE = 1 << 20
"""Bytes that are looked at together, cut at a line's end; a report without line ends is one line of many megabytes."""
_OVERLAP = 1 << 10
"""A token that two pieces of one line share would be seen in neither."""
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")

What = Literal["a token", "a secret of this environment", "the name of this account, its home folder or this host"]


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


@dataclass(frozen=True)
class Leak:
    """A line that must not be published; what stands in it is never repeated.

    Attributes:
        line: counted from 1.
    """

    line: int
    what: What

    @property
    def is_name(self) -> bool:
        """Whether it names somebody, and is no secret."""
        return self.what == "the name of this account, its home folder or this host"


@dataclass(frozen=True)
class Look:
    """What is looked for.

    Attributes:
        identity: whose secrets and names.
        names: look for the account, its home folder and the host too, not only for secrets.
    """

    identity: Identity
    names: bool = True

    @cached_property
    def _named(self) -> Identity:
        if not self.names:
            return Identity()
        # Root is nobody's name, and /root is a folder of every container.
        root = self.identity.user == "root"
        return Identity("" if root else self.identity.home, "" if root else self.identity.user, self.identity.hosts)

    def at(self, text: str) -> What | None:
        """What a text gives away; a secret before a name."""
        if find_secret(text):
            return "a token"
        if any(secret in text for secret in self.identity.secrets):
            return "a secret of this environment"
        if self._named.found_in(text):
            return "the name of this account, its home folder or this host"
        return None

    def leaks(self, file: Readable) -> Iterator[Leak]:
        """Every line that gives something away, in order, each once."""
        secrets = [secret.encode().lower() for secret in self.identity.secrets if secret]
        named = (self._named.home, self._named.user, *self._named.hosts)
        names = [name.encode().lower() for name in named if name]
        before = None
        for first, block in pieces(file):
            for line, text in _suspects(block, secrets, names, first):
                what = self.at(text)
                if what is not None and (leak := Leak(line, what)) != before:
                    before = leak
                    yield leak


def find_leak(source: Path | bytes, identity: Identity, *, names: bool) -> Leak | None:
    """The first line of a file that gives something away; None for a clean one.

    Args:
        source: the file, or its bytes.
        identity: whose secrets and names are looked for.
        names: look for the account, its home folder and the host too, not only for secrets.
    """
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        return next(Look(identity, names).leaks(file), None)


def pieces(file: Readable) -> Iterator[tuple[int, bytes]]:
    """Bytes by whole lines where they are shorter than a piece, with the number of the first line of each."""
    line, kept = 1, b""
    while data := file.read(PIECE):
        data = kept + data
        end = data.rfind(b"\n") + 1
        if end:
            yield line, data[:end]
            line, kept = line + data.count(b"\n", 0, end), data[end:]
        elif len(data) > PIECE:
            yield line, data
            kept = data[-_OVERLAP:]
        else:
            kept = data
    if kept:
        yield line, kept


def _suspects(block: bytes, secrets: list[bytes], names: list[bytes], first: int) -> Iterator[tuple[int, str]]:
    """Lines in which a token may stand, or one of the words, with their numbers. Nearly no piece of a log holds one."""
    places = [match.start() for mark in SECRET_MARKS for match in mark.finditer(block)]
    small = block.lower() if secrets or names else b""  # a host's name is the same in capitals
    places += [at for word in secrets for at in _places(small, word)]
    places += [at for word in names for at in _places(small, word) if at == 0 or small[at - 1] not in _WORD]
    seen, line, counted = 0, first, 0
    for at in sorted(places):
        if at >= seen:
            begin, seen = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at) + 1 or len(block)
            line, counted = line + block.count(b"\n", counted, begin), begin
            yield line, block[begin:seen].decode("utf-8", "replace")


def _places(block: bytes, word: bytes) -> Iterator[int]:
    at = block.find(word)
    while at >= 0:
        yield at
        at = block.find(word, at + 1)
