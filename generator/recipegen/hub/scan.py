"""Secrets in files that are about to be published: where they stand, by file and line. Owns opening files and
archives; looking at text is `results.leaks`'."""

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

from recipegen.errors import RecipegenError, Where
from recipegen.results.leaks import PIECE, Look, Readable
from recipegen.results.scrub import Identity

MOST_UNPACKED = 32 << 30
"""Bytes that an archive may hold when unpacked; logs of a long measurement are some gigabytes at most."""
_MOST = 20
"""Places that are named: one secret is enough to refuse."""
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


class _Bounded:
    """What a packed file unpacks to, read no further than MOST_UNPACKED."""

    def __init__(self, file: gzip.GzipFile, path: Path) -> None:
        self._file, self._path, self._total = file, path, 0

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        data = self._file.read(size)
        self._total += len(data)
        if self._total > MOST_UNPACKED:
            raise RecipegenError(
                f"{self._path} unpacks to more than {MOST_UNPACKED >> 20:,} MiB", where=Where(self._path)
            )
        return data


def _lines(look: Look, file: Readable) -> tuple[list[int], list[int]]:
    """Lines with secrets, and lines with names; ends early once enough secrets are found."""
    secrets: list[int] = []
    names: list[int] = []
    for leak in look.leaks(file):
        (names if leak.is_name else secrets).append(leak.line)
        if len(secrets) >= _MOST:
            break
    return secrets, names[:_MOST]


def scan(path: Path, identity: Identity) -> Scanned:
    """Look through a file, packed ones (.tar.gz, .gz) through what is packed in them.

    Raises:
        RecipegenError: it is no plain file, cannot be read, or is no whole archive.
    """
    look = Look(identity)
    with _opened(path) as file:
        if path.name.endswith((*_TAR, ".gz")):
            secrets, names = _packed(file, path, look)
        else:
            found = _lines(look, file)
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


def _packed(file: BufferedReader, path: Path, look: Look) -> tuple[list[str], list[str]]:
    """Places in what is packed. Of a .tar.gz all that it unpacks to is looked at: headers and what lies behind its end,
    too; its members are only told apart where something was found."""
    is_tar = path.name.endswith(_TAR)
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            if is_tar and unpacked.read(512)[_TAR_MAGIC] != b"ustar":
                raise tarfile.ReadError("no tar archive")
            unpacked.seek(0)
            secrets, names = _lines(look, _Bounded(unpacked, path))
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


def _by_member(file: BufferedReader, path: Path, look: Look) -> tuple[list[str], list[str]]:
    secrets: list[str] = []
    names: list[str] = []
    with tarfile.open(fileobj=file, mode="r|gz") as archive:
        for member in archive:
            if Look(look.identity, names=False).at(member.name):
                secrets.append(f"{path}, name of a member")
                continue
            content = archive.extractfile(member) if member.isfile() else None
            found = _lines(look, content) if content is not None else ([], [])
            secrets += [f"{path}, {member.name}:{line}" for line in found[0]]
            names += [f"{path}, {member.name}:{line}" for line in found[1]]
            if len(secrets) >= _MOST:
                break
    return secrets[:_MOST], names[:_MOST]
