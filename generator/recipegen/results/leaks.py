"""Finds in a file what must not be published: tokens, secrets of this process, home folders, hosts. Owns reading files
of any size piece by piece; what a secret looks like is `scrub`'s."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from recipegen.results.scrub import SECRET_MARKS, Identity, find_secret

_PIECE = 1 << 20
_LONGEST = 1 << 16
"""Bytes of a line that are looked at together; a longer one is looked at in overlapping parts."""
_OVERLAP = 512
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


@dataclass(frozen=True)
class Leak:
    """A line that must not be published; what stands in it is never repeated.

    Attributes:
        line: counted from 1.
        what: `a token`, `a secret of this environment`, `the name of this account, its home or this host`.
    """

    line: int
    what: str


def find_leak(source: Path | bytes, identity: Identity, *, names: bool) -> Leak | None:
    """The first line of a file that gives something away; None for a clean one.

    Args:
        source: the file, or its bytes.
        identity: whose secrets and names are looked for.
        names: look for the account, its home folder and the host too, not only for secrets.
    """
    secrets = Identity(secrets=identity.secrets)
    # Root is nobody's name, and /root is a folder of every container.
    person = Identity(hosts=identity.hosts) if identity.user == "root" else identity
    named = Identity(person.home, person.user, person.hosts) if names else Identity()
    words = [word.encode() for word in (*identity.secrets, named.home, named.user, *named.hosts) if word]
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        for line, text in _suspects(file, words):
            if find_secret(text):
                return Leak(line, "a token")
            if secrets.found_in(text):
                return Leak(line, "a secret of this environment")
            if named.found_in(text):
                return Leak(line, "the name of this account, its home folder or this host")
    return None


def _suspects(file: BinaryIO, words: list[bytes]) -> Iterator[tuple[int, str]]:
    """Lines in which a token may stand, or one of the words, with their numbers. Nearly no piece of a log holds one."""
    number, rest = 1, b""
    while piece := file.read(_PIECE):
        block = rest + piece
        end = block.rfind(b"\n") + 1
        if not end and len(block) > _LONGEST:
            end = len(block) - _OVERLAP
        yield from _in_block(block[:end], words, number)
        number += block.count(b"\n", 0, end)
        rest = block[end:]
    yield from _in_block(rest, words, number)


def _in_block(block: bytes, words: list[bytes], number: int) -> Iterator[tuple[int, str]]:
    places = [match.start() for mark in SECRET_MARKS for match in mark.finditer(block)]
    places += [at for word in words for at in _places(block, word)]
    seen = 0
    for at in sorted(places):
        if at >= seen:
            begin, seen = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at) + 1 or len(block)
            yield number + block.count(b"\n", 0, begin), block[begin:seen].decode("utf-8", "replace")


def _places(block: bytes, word: bytes) -> Iterator[int]:
    """Where a word begins that begins so; not within another one."""
    at = block.find(word)
    while at >= 0:
        if at == 0 or block[at - 1] not in _WORD:
            yield at
        at = block.find(word, at + 1)
