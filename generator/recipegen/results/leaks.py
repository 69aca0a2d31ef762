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
    named = Identity(identity.home, identity.user, identity.hosts) if names else Identity()
    marks = [mark.encode() for mark in (*SECRET_MARKS, *identity.secrets)]
    if names:
        marks += [word.encode() for word in (identity.home, identity.user, *identity.hosts) if len(word) > 1]
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        for line, text in _suspects(file, marks):
            if find_secret(text):
                return Leak(line, "a token")
            if secrets.found_in(text):
                return Leak(line, "a secret of this environment")
            if named.found_in(text):
                return Leak(line, "the name of this account, its home folder or this host")
    return None


def _suspects(file: BinaryIO, marks: list[bytes]) -> Iterator[tuple[int, str]]:
    """Lines in which one of the marks stands, with their numbers. Nearly no piece of a log holds one."""
    number, rest = 1, b""
    while piece := file.read(_PIECE):
        block = rest + piece
        end = block.rfind(b"\n") + 1
        if not end and len(block) > _LONGEST:
            end = len(block) - _OVERLAP
        yield from _in_block(block[:end], marks, number)
        number += block.count(b"\n", 0, end)
        rest = block[end:]
    yield from _in_block(rest, marks, number)


def _in_block(block: bytes, marks: list[bytes], number: int) -> Iterator[tuple[int, str]]:
    if any(mark in block for mark in marks):
        for at, line in enumerate(block.split(b"\n")):
            if any(mark in line for mark in marks):
                yield number + at, line.decode("utf-8", "replace")
