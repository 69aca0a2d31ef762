"""The bytes of an archive: tar and gzip in the one form that a bundle has. Owns writing them, a piece at a time, and
telling whether an archive is what would be written; reads none (`unpack` does).

Nothing of the host is in them: no times, owners or names, the files in a fixed order. Which bytes deflate makes
depends on the zlib that is at hand, so that an archive from elsewhere may hold the same tar in another compression.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recipegen.bundle.layout import FOLDER_END, MANIFEST, SIGNATURE
from recipegen.bundle.manifest import Listed, Manifest
from recipegen.errors import RecipegenError, Where
from recipegen.files import sha256_bytes

CHUNK = 1 << 20
BLOCK = tarfile.BLOCKSIZE
RECORD = tarfile.RECORDSIZE
GZIP_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
"""RFC 1952: deflate, no flags (so no name and no comment), no time, no extra flags, operating system unknown."""
LEVEL = 6
FEW_BYTES = 0.01
"""Two compressions of the same bytes that are equally long and differ in less than this share come from one zlib, and
one of them was altered; two zlibs part after the first block and do not meet again."""


@dataclass(frozen=True)
class Member:
    """One file on its way into an archive; what `source` holds must be what `listed` says."""

    listed: Listed
    source: bytes | Path

    def pieces(self) -> Iterator[bytes]:
        """What it holds, a piece at a time.

        Raises:
            RecipegenError: it is not, or no longer, what `listed` says.
        """
        if isinstance(self.source, bytes):
            yield self.source
            return
        digest, size = hashlib.sha256(), 0
        try:
            file = self.source.open("rb")
        except OSError as error:
            raise RecipegenError(f"cannot be read: {error.strerror}", where=Where(self.source)) from error
        with file:
            while piece := file.read(CHUNK):
                digest.update(piece)
                size += len(piece)
                if size > self.listed.size:
                    break
                yield piece
        if size != self.listed.size or digest.hexdigest() != self.listed.sha256:
            raise RecipegenError(
                "was changed while it was packed",
                where=Where(self.source),
                hint="wait for what writes it, then do it again",
            )


def folder_of(manifest: Manifest) -> str:
    """The one folder of the archive."""
    return f"{manifest.recipe}{FOLDER_END}"


def members(
    manifest: Manifest, sources: dict[str, bytes | Path] | Path, signature: bytes | None = None
) -> Iterator[Member]:
    """The files of an archive in their order: the manifest, its signature, then all that the manifest lists.

    Args:
        sources: by path; or the folder in which they lie.
    """
    yield Member(_own(MANIFEST, manifest.raw()), manifest.raw())
    if signature is not None:
        yield Member(_own(SIGNATURE, signature), signature)
    for one in manifest.files:
        yield Member(one, sources / one.path if isinstance(sources, Path) else sources[one.path])


def _own(path: str, raw: bytes) -> Listed:
    return Listed(path, len(raw), sha256_bytes(raw), "0644")


def tar_header(name: str, size: int, mode: int) -> bytes:
    """The one header that a file of a bundle can have (ustar)."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, 0
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def tar_end(length: int) -> int:
    """Zero bytes after so many bytes of members: two blocks, filled up to a whole record."""
    return 2 * BLOCK + -(length + 2 * BLOCK) % RECORD


def packed(folder: str, files: Iterable[Member]) -> Iterator[bytes]:
    """The archive, piece by piece.

    Raises:
        RecipegenError: a file is not, or no longer, what its line of the manifest says.
    """
    engine = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = length = 0
    yield GZIP_HEADER
    for piece in _tar(folder, files):
        crc = zlib.crc32(piece, crc)
        length += len(piece)
        yield engine.compress(piece)
    yield engine.flush()
    yield crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little")


def _tar(folder: str, files: Iterable[Member]) -> Iterator[bytes]:
    length = 0
    for member in files:
        one = member.listed
        yield tar_header(f"{folder}/{one.path}", one.size, int(one.mode, 8))
        yield from member.pieces()
        padding = -one.size % BLOCK
        yield bytes(padding)
        length += BLOCK + one.size + padding
    yield bytes(tar_end(length))


Framing = Literal["same", "altered", "other-zlib"]


def framing(archive: Path, folder: str, files: Iterable[Member]) -> Framing:
    """Whether an archive, byte by byte, is what packing these files gives; its members were read and are the same.

    Returns:
        `altered`: a few bytes are not. `other-zlib`: the compression is another one throughout, so that this zlib
        cannot tell whether every byte is as it was written.
    """
    different = total = 0
    with archive.open("rb") as file:
        for piece in packed(folder, files):
            found = file.read(len(piece))
            total += len(piece)
            if found != piece:
                different += sum(a != b for a, b in zip(piece, found, strict=False)) + len(piece) - len(found)
            if different > CHUNK:  # no need to read on
                return "other-zlib"
        rest = len(file.read(CHUNK))
    if not different and not rest:
        return "same"
    return "altered" if not rest and different <= max(FEW_BYTES * total, 8) else "other-zlib"
