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
from io import BufferedReader
from pathlib import Path
from typing import IO

from recipegen.errors import RecipegenError, Where
from recipegen.results.scrub import Identity, find_secret

PIECE = 1 << 20
"""Bytes that are looked at together, cut at a line's end; a report without line ends is one line of many megabytes."""
_OVERLAP = 1 << 10
"""A token that two pieces of one line share would be seen in neither."""
MOST_UNPACKED = 32 << 30
"""Bytes that an archive may hold when unpacked; logs of a long measurement are some gigabytes at most."""
_TAR = (".tar.gz", ".tgz")
_TAR_MAGIC = slice(257, 262)


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


@dataclass(frozen=True)
class _Look:
    """What is looked for, and how many places are named: one is enough to refuse."""

    identity: Identity
    most: int = 20

    def secret(self, text: str) -> bool:
        return find_secret(text) or any(secret in text for secret in self.identity.secrets)

    def places(self, pieces: Iterator[tuple[int, str]]) -> tuple[list[int], list[int]]:
        """Lines with secrets, and lines with names; ends early once enough secrets are found."""
        secrets: list[int] = []
        names: list[int] = []
        for first, text in pieces:
            named = self.identity.found_in(text)
            if not named and not self.secret(text):
                continue
            for line, words in enumerate(text.split("\n"), first):
                if self.secret(words):
                    secrets.append(line)
                elif named and self.identity.found_in(words):
                    names.append(line)
            if len(secrets) >= self.most:
                break
        return list(dict.fromkeys(secrets))[: self.most], list(dict.fromkeys(names))[: self.most]


def scan(path: Path, identity: Identity) -> Scanned:
    """Look through a file, packed ones (.tar.gz, .gz) through what is packed in them.

    Raises:
        RecipegenError: it is no plain file, cannot be read, or is no whole archive.
    """
    look = _Look(identity)
    with _opened(path) as file:
        if path.name.endswith((*_TAR, ".gz")):
            secrets, names = _packed(file, path, look)
        else:
            found = look.places(_pieces(file))
            secrets, names = ([f"{path}:{line}" for line in lines] for lines in found)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Scanned(digest, tuple(secrets), tuple(names))


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        # Not through a link, and not waiting for the writer of a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RecipegenError(f"{path} cannot be read: {error.strerror or error}", where=Where(path)) from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise RecipegenError(f"{path} is not a plain file", where=Where(path))
        yield file


def _packed(file: BufferedReader, path: Path, look: _Look) -> tuple[list[str], list[str]]:
    """Places in what is packed. Of a .tar.gz all that it unpacks to is looked at: headers and what lies behind its end,
    too; its members are only told apart where something was found."""
    is_tar = path.name.endswith(_TAR)
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            if is_tar and unpacked.read(512)[_TAR_MAGIC] != b"ustar":
                raise tarfile.ReadError("no tar archive")
            unpacked.seek(0)
            secrets, names = look.places(_pieces(unpacked, MOST_UNPACKED, path))
            while unpacked.read(PIECE):
                pass  # to the end, where the checksum says whether it is whole
        if not is_tar or not (secrets or names):
            return [f"{path}, unpacked:{line}" for line in secrets], [f"{path}, unpacked:{line}" for line in names]
        file.seek(0)
        told, others = _by_member(file, path, look)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecipegenError(
            f"{path} is not a whole archive ({type(error).__name__})", where=Where(path), hint="make it again"
        ) from error
    # A secret in a header, or behind the archive's end, stands in no line of a member.
    return told or [f"{path}, outside of its members' lines" for _ in secrets[:1]], others


def _by_member(file: BufferedReader, path: Path, look: _Look) -> tuple[list[str], list[str]]:
    secrets: list[str] = []
    names: list[str] = []
    with tarfile.open(fileobj=file, mode="r|gz") as archive:
        for member in archive:
            if look.secret(member.name):
                secrets.append(f"{path}, name of a member")
                continue
            content = archive.extractfile(member) if member.isfile() else None
            found = look.places(_pieces(content)) if content is not None else ([], [])
            secrets += [f"{path}, {member.name}:{line}" for line in found[0]]
            names += [f"{path}, {member.name}:{line}" for line in found[1]]
            if len(secrets) >= look.most:
                break
    return secrets[: look.most], names[: look.most]


def _pieces(
    file: IO[bytes] | gzip.GzipFile, most: int | None = None, path: Path | None = None
) -> Iterator[tuple[int, str]]:
    """Text by whole lines where they are shorter than a piece, with the number of the first line of each."""
    line, kept, total = 1, b"", 0
    while data := file.read(PIECE):
        total += len(data)
        if most is not None and total > most:
            raise RecipegenError(f"{path} unpacks to more than {most >> 20:,} MiB", where=Where(path or Path()))
        data = kept + data
        end = data.rfind(b"\n") + 1
        if end:
            yield line, data[: end - 1].decode("utf-8", "replace")
            line, kept = line + data.count(b"\n", 0, end), data[end:]
        elif len(data) > PIECE:
            yield line, data.decode("utf-8", "replace")
            kept = data[-_OVERLAP:]
        else:
            kept = data
    if kept:
        yield line, kept.decode("utf-8", "replace")
