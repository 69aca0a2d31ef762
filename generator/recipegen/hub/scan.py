"""Secrets in files that are about to be published: where they stand, by file and line. Owns the walk through files and
archives; what a secret looks like is `results.scrub`'s."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from recipegen.errors import RecipegenError, Where
from recipegen.results.scrub import Identity, find_secret

PIECE = 1 << 20
"""Bytes of a line that are looked at together; a report without line ends is one line of many megabytes."""
_OVERLAP = 1 << 10
"""A token that two pieces share would be seen by neither."""
MOST_UNPACKED = 32 << 30
"""Bytes that an archive may hold when unpacked; logs of a long measurement are some gigabytes at most."""
MOST_MEMBERS = 100_000


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...

    def readline(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Scanned:
    """A file that was looked through.

    Attributes:
        sha256: of the bytes that were looked at.
        secrets: places of secrets, never the secrets: `file:line`, for archives `archive, member:line`.
        names: places that name this host or account.
    """

    sha256: str
    secrets: tuple[str, ...]
    names: tuple[str, ...]


def scan(path: Path, identity: Identity, *, most: int = 20) -> Scanned:
    """Look through a file, packed ones (.tar.gz, .gz) through what is packed in them.

    Args:
        most: places to name; one is enough to refuse.

    Raises:
        RecipegenError: it is no plain file, cannot be read, or is no whole archive.
    """
    secrets: list[str] = []
    names: list[str] = []
    with _opened(path) as raw:
        file = _Hashing(raw)
        for place, text in _texts(file, path):
            if find_secret(text) or any(secret in text for secret in identity.secrets):
                secrets.append(place)
            elif identity.found_in(text):
                names.append(place)
            if len(secrets) >= most:
                break
        while file.read(PIECE):
            pass  # what lies behind an archive's end is uploaded, too: it counts for the hash
    return Scanned(file.hash.hexdigest(), tuple(dict.fromkeys(secrets)), tuple(dict.fromkeys(names))[:most])


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        # Not through a link, and not waiting for the writer of a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RecipegenError(f"{path} cannot be read: {error.strerror or error}", where=Where(path)) from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise RecipegenError(f"{path} is not a plain file", where=Where(path))
        yield file


class _Hashing:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self.file.read(size)
        self.hash.update(data)
        return data

    def readline(self, size: int = -1, /) -> bytes:
        data = self.file.readline(size)
        self.hash.update(data)
        return data


def _texts(file: _Hashing, path: Path) -> Iterator[tuple[str, str]]:
    """Pieces of text with their places."""
    try:
        if path.name.endswith((".tar.gz", ".tgz")):
            yield from _members(file, path)
        elif path.name.endswith(".gz"):
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:  # type: ignore[call-overload]
                yield from _lines(unpacked, f"{path}, unpacked", MOST_UNPACKED)
        else:
            yield from _lines(file, str(path), None)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise RecipegenError(
            f"{path} is not a whole archive ({type(error).__name__})", where=Where(path), hint="make it again"
        ) from error


def _members(file: _Hashing, path: Path) -> Iterator[tuple[str, str]]:
    left = MOST_UNPACKED
    with tarfile.open(fileobj=file, mode="r|gz") as archive:  # type: ignore[call-overload]
        for number, member in enumerate(archive):
            left -= member.size
            if number >= MOST_MEMBERS or left < 0:
                raise RecipegenError(f"{path} holds more than a bundle can", where=Where(path))
            yield f"{path}, name of a member", member.name
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield from _lines(content, f"{path}, {member.name}", None)


def _lines(file: _Readable, place: str, most: int | None) -> Iterator[tuple[str, str]]:
    line, before, total = 1, b"", 0
    while piece := file.readline(PIECE):
        total += len(piece)
        if most is not None and total > most:
            raise RecipegenError(f"{place} holds more than {most >> 30} GiB")
        yield f"{place}:{line}", (before + piece).decode("utf-8", "replace")
        ended = piece.endswith(b"\n")
        before = b"" if ended else piece[-_OVERLAP:]
        line += ended
