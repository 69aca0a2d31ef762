"""Reading a bundle that a stranger made: the archive into a folder of our own, or a folder as it lies. Owns every rule
on what may be unpacked; nothing is written outside of the target, and no more than the limits of `layout` allow."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from recipegen.bundle.archive import BLOCK, CHUNK, GZIP_HEADER, folder_of, tar_end, tar_header
from recipegen.bundle.layout import (
    FILE_LIMIT,
    FILES_LIMIT,
    MANIFEST,
    MANIFEST_LIMIT,
    RATIO_FROM,
    RATIO_LIMIT,
    SIGNATURE,
    TOTAL_LIMIT,
    Names,
    NoBundle,
    refused,
)
from recipegen.bundle.manifest import Manifest, read_manifest
from recipegen.files import read_bounded

_KINDS = {
    tarfile.LNKTYPE: "is a link",
    tarfile.SYMTYPE: "is a link",
    tarfile.CHRTYPE: "is a device",
    tarfile.BLKTYPE: "is a device",
    tarfile.FIFOTYPE: "is a pipe",
    tarfile.DIRTYPE: "is an entry for a folder",
    tarfile.GNUTYPE_LONGNAME: "has a name longer than a bundle's can be",
    tarfile.GNUTYPE_LONGLINK: "is a link",
    tarfile.XHDTYPE: "has an extended header (pax)",
    tarfile.XGLTYPE: "has an extended header (pax)",
    tarfile.SOLARIS_XHDTYPE: "has an extended header (pax)",
    tarfile.GNUTYPE_SPARSE: "is a sparse file",
}
_REPACKED = "bundles are packed by `recipegen bundle` only; of one that was packed anew, verify the unpacked folder"
_TAKE_CARE = "do not unpack it by other means: this is no archive of recipegen's"


@dataclass(frozen=True)
class FoundFile:
    """A file as it came: its size in bytes, its SHA-256, whether it can be executed."""

    size: int
    sha256: str
    executable: bool


@dataclass(frozen=True)
class Opened:
    """A bundle that lies unpacked and is not checked yet.

    Attributes:
        root: the folder.
        manifest: as it was found; what it says of the files may be wrong.
        files: every file of the folder but the manifest and its signature.
        order: paths in the archive's order, the manifest and the signature included; empty for a folder.
        archive: where it was unpacked from; None for a folder.
    """

    root: Path
    manifest: Manifest
    files: Mapping[str, FoundFile]
    order: tuple[str, ...] = ()
    archive: Path | None = None

    @property
    def signature(self) -> bytes | None:
        """The signature of the manifest; None where it is not signed."""
        path = self.root / SIGNATURE
        return read_bounded(path, MANIFEST_LIMIT) if path.is_file() else None


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """A bundle, an archive or a folder; an archive is unpacked into a temporary folder that goes away again.

    Raises:
        NoBundle: it is none, or must not be unpacked.
    """
    if path.is_dir():
        yield open_folder(path)
        return
    with TemporaryDirectory(prefix="recipegen-bundle-") as folder:
        yield unpack(path, Path(folder))


def open_folder(root: Path) -> Opened:
    """A bundle that lies unpacked.

    Raises:
        NoBundle: it has no manifest, holds links or devices, or more than a bundle can.
    """
    if not (root / MANIFEST).is_file():
        raise refused(root, f"holds no {MANIFEST}: it is no bundle", "`recipegen bundle NAME` makes one")
    files: dict[str, FoundFile] = {}
    total = 0
    for path in _walk(root):
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode):
            kind = "a link" if stat.S_ISLNK(info.st_mode) else "no plain file"
            raise refused(path, f"is {kind}; a bundle holds plain files only")
        total += info.st_size
        if len(files) > FILES_LIMIT or total > TOTAL_LIMIT:
            raise refused(root, f"holds more than {FILES_LIMIT:,} files or {TOTAL_LIMIT:,} bytes")
        files[path.relative_to(root).as_posix()] = _hashed(path)
    del files[MANIFEST]
    files.pop(SIGNATURE, None)
    return Opened(root, read_manifest(read_bounded(root / MANIFEST, MANIFEST_LIMIT), root), files)


def _walk(root: Path) -> Iterator[Path]:
    """Everything under a folder that is no folder itself; links are not followed."""
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    yield Path(entry.path)


def _hashed(path: Path) -> FoundFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        info = os.fstat(file.fileno())
    return FoundFile(info.st_size, digest, bool(info.st_mode & 0o111))


def unpack(archive: Path, target: Path) -> Opened:
    """Unpacks a bundle into an empty folder.

    Args:
        archive: the `.tar.gz`.
        target: a folder of our own, empty; the bundle's one folder is made in it.

    Raises:
        NoBundle: it is none, is damaged, or holds what no bundle may hold; names the member.
    """
    try:
        info = archive.stat()
    except OSError as error:
        raise refused(archive, f"cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(info.st_mode):
        raise refused(archive, "is neither a plain file nor a folder")
    with archive.open("rb") as file:
        source = _Inflater(file, archive)
        folder, found, order = _members(source, archive, target)
        source.finish()
    if MANIFEST not in found:
        raise refused(archive, f"holds no {MANIFEST}: it is no bundle", "`recipegen bundle NAME` makes one")
    if found[MANIFEST].size > MANIFEST_LIMIT:
        raise refused(archive, f"its {MANIFEST} is larger than {MANIFEST_LIMIT:,} bytes")
    root = target / folder
    manifest = read_manifest(read_bounded(root / MANIFEST, MANIFEST_LIMIT), archive)
    if folder != folder_of(manifest):
        raise refused(archive, f"its folder is called {folder!r}, not {folder_of(manifest)!r}", _REPACKED)
    files = {path: one for path, one in found.items() if path not in (MANIFEST, SIGNATURE)}
    return Opened(root, manifest, files, tuple(order), archive)


def _members(source: _Inflater, archive: Path, target: Path) -> tuple[str, dict[str, FoundFile], list[str]]:
    """Unpacks every member; gives the one folder, what was found in it by path, and the order."""
    names, folder, length = Names(), "", 0
    found: dict[str, FoundFile] = {}
    while True:
        block = source.read(BLOCK)
        if not any(block):
            break
        name, size, mode = _header(block, archive, names)
        top, slash, path = name.partition("/")
        if not slash or (folder and top != folder):
            message = f"{name!r} does not lie in the one folder of the archive"
            raise refused(archive, message, _TAKE_CARE)
        folder = top
        found[path] = _written(source, target / name, size, mode)
        length += BLOCK + size + -size % BLOCK
        if any(source.read(-size % BLOCK)):
            raise refused(archive, f"there are bytes between {name} and the next member", _TAKE_CARE)
    if any(source.read(tar_end(length) - BLOCK)):
        raise refused(archive, "there are bytes after its end", _TAKE_CARE)
    return folder, found, list(found)


def _header(block: bytes, archive: Path, names: Names) -> tuple[str, int, int]:
    """Name, size and mode of a member, which is a plain file with a name that can do no harm."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise refused(archive, f"is damaged, or no tar archive: {error}") from error
    shown = ascii(info.name[:200])
    kind = None if info.type == tarfile.REGTYPE else _KINDS.get(info.type, "is no plain file")
    if kind is not None:
        raise refused(archive, f"{shown} {kind}; a bundle holds plain files only", _REPACKED)
    wrong = names.fault(info.name)
    if wrong is not None:
        raise refused(archive, f"{shown} {wrong}", _TAKE_CARE)
    if not 0 <= info.size <= FILE_LIMIT:
        raise refused(archive, f"{shown} is larger than {FILE_LIMIT:,} bytes", _TAKE_CARE)
    if info.mode not in (0o644, 0o755) or tar_header(info.name, info.size, info.mode) != block:
        raise refused(archive, f"the header of {shown} is not as recipegen writes it (time, owner, mode)", _REPACKED)
    return info.name, info.size, info.mode


def _written(source: _Inflater, path: Path, size: int, mode: int) -> FoundFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), size
    with path.open("xb") as file:
        while left:
            piece = source.read(min(left, CHUNK))
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
    path.chmod(mode)
    return FoundFile(size, digest.hexdigest(), mode == 0o755)


class _Inflater:
    """The bytes that a gzip file of one member holds, counted while they are read."""

    def __init__(self, file: BinaryIO, place: Path) -> None:
        self._file, self._place = file, place
        self._engine = zlib.decompressobj(-zlib.MAX_WBITS)
        self._pending = b""
        self._packed = len(GZIP_HEADER)
        self._length = self._crc = 0
        start = file.read(len(GZIP_HEADER))
        if start[:2] != GZIP_HEADER[:2]:
            raise refused(place, "is no bundle: not a gzip archive", "`recipegen bundle NAME` makes one")
        if start != GZIP_HEADER:
            raise refused(place, "its gzip header is not as recipegen writes it (time, name, system)", _REPACKED)

    def read(self, size: int) -> bytes:
        """So many bytes, not fewer."""
        parts = []
        while size:
            piece = self._piece(size)
            if not piece:
                raise self._cut()
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)

    def finish(self) -> None:
        """Makes sure that nothing follows, and that what was read is what was packed."""
        if self._piece(1):
            raise refused(self._place, "goes on after its end", _TAKE_CARE)
        end = self._engine.unused_data + self._file.read(CHUNK)
        expected = self._crc.to_bytes(4, "little") + (self._length & 0xFFFFFFFF).to_bytes(4, "little")
        if len(end) < len(expected):
            raise self._cut()
        if end[:8] != expected:
            raise refused(self._place, "is damaged: its checksum is another one")
        if len(end) > len(expected):
            raise refused(self._place, "there are bytes behind the archive", "something was appended: do not trust it")

    def _piece(self, most: int) -> bytes:
        """Some bytes, at most so many; none at the end."""
        while not self._engine.eof:
            if not self._pending:
                self._pending = self._file.read(CHUNK)
                self._packed += len(self._pending)
                if not self._pending:
                    raise self._cut()
            try:
                piece = self._engine.decompress(self._pending, most)
            except zlib.error as error:
                raise refused(self._place, f"is damaged: {error}") from error
            self._pending = self._engine.unconsumed_tail
            if piece:
                self._count(piece)
                return piece
        return b""

    def _count(self, piece: bytes) -> None:
        self._crc = zlib.crc32(piece, self._crc)
        self._length += len(piece)
        if self._length > TOTAL_LIMIT + FILES_LIMIT * 2 * BLOCK:
            raise refused(self._place, f"unpacks to more than {TOTAL_LIMIT:,} bytes", _TAKE_CARE)
        if self._length > RATIO_FROM and self._length > RATIO_LIMIT * self._packed:
            message = f"unpacks to more than {RATIO_LIMIT} times its size: a decompression bomb"
            raise refused(self._place, message, _TAKE_CARE)

    def _cut(self) -> NoBundle:
        return refused(self._place, "is cut short", "fetch it again")
