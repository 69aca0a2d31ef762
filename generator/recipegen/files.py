"""Reading and writing whole files safely: atomic writes, bounded reads, hashes. Owns no format."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from recipegen.errors import EXIT_USAGE, EnvironmentLacks, RecipegenError, Where


def write_atomic(
    path: Path, data: bytes | str, mode: int = 0o644, *, within: Path | None = None, durable: bool = True
) -> None:
    """Writes a whole file at once: a reader sees the old bytes or the new ones, never a part.

    A symbolic link at `path` is replaced, not followed.

    Args:
        path: the file; its folder must exist.
        data: the bytes, or text that is written as UTF-8 with its line ends as they are.
        mode: permissions of the file, whatever the umask.
        within: a folder that the file must really lie in, links of folders followed.
        durable: whether to wait until the disk has it, so that it survives a power cut. For what one command makes
            again, such as a rendered kit, it need not: two waits a file are most of what writing a hundred kits takes.

    Raises:
        RecipegenError: when a linked folder leads out of `within`.
        EnvironmentLacks: when the file cannot be written (no space, no permission, no such folder).
    """
    with writing_atomic(path, mode, within=within, durable=durable) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def writing_atomic(
    path: Path, mode: int = 0o644, *, within: Path | None = None, durable: bool = True
) -> Iterator[BinaryIO]:
    """Gives a file to write bit by bit; at the end of the block it takes the place of `path`, see `write_atomic`.

    When the block raises, `path` stays as it was.
    """
    folder = path.parent
    if within is not None and not folder.resolve().is_relative_to(within.resolve()):
        raise RecipegenError(f"{path} lies outside of {within}", hint="a link among its folders leads out: remove it")
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".recipegen-", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            yield file
            file.flush()
            if durable:
                os.fsync(handle)
        Path(temporary).replace(path)
        temporary = None
        if durable:
            _sync_folder(folder)
    except OSError as error:
        raise EnvironmentLacks(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()


def _sync_folder(folder: Path) -> None:
    """The new name itself must survive a power cut; file systems that cannot sync a folder are left alone."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of a plain file of at most `limit` bytes.

    Raises:
        RecipegenError: not there, not a plain file (a folder, a pipe, a device), not readable, or too large.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer that never comes.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            kind = "is a folder" if stat.S_ISDIR(info.st_mode) else "is not a plain file"
            raise _unreadable(path, kind)
        data = b"" if info.st_size > limit else _read(handle, info.st_size, limit + 1)
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror or error}") from error
    finally:
        os.close(handle)
    if info.st_size > limit or len(data) > limit:
        raise _unreadable(path, f"is larger than {limit:,} bytes")
    return data


def _read(handle: int, size: int, most: int) -> bytes:
    """At most `most` bytes of a file that says it has `size`; files under /proc say 0 whatever they hold."""
    data = os.read(handle, min(size + 1, most))
    if len(data) == size > 0:
        return data
    parts = [data]
    while parts[-1] and (left := most - sum(map(len, parts))) > 0:
        parts.append(os.read(handle, min(left, 1 << 20)))
    return b"".join(parts)


def _unreadable(path: Path, what: str) -> RecipegenError:
    return RecipegenError(f"{path} {what}", where=Where(path), exit_code=EXIT_USAGE)


def sha256_bytes(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file of any size, in lower-case hex.

    Raises:
        RecipegenError: when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror or error}") from error


_WHOLE = 1 << 20
_END = 64 << 10


def fingerprint(folder: Path) -> tuple[int, str]:
    """Bytes of all files below a folder, and a hash that tells one state of them from another without reading it all.

    Of each file the path, the size, and its content count: all of a small one (1 MiB), of a larger one the first and
    the last 64 KiB. A safetensors or GGUF file begins with the list of its tensors; other weights of the same layout
    can be told apart by their last bytes only.

    Raises:
        RecipegenError: a file cannot be read.
    """
    total, mark = 0, hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(_WHOLE if size <= _WHOLE else _END)
                if size > _WHOLE:
                    file.seek(-_END, os.SEEK_END)
                    content += file.read(_END)
        except OSError as error:
            raise _unreadable(path, f"cannot be read: {error.strerror or error}") from error
        total += size
        name = path.relative_to(folder).as_posix()
        mark.update(f"{name}\0{size}\0{sha256_bytes(content)}\0".encode(errors="surrogateescape"))
    return total, mark.hexdigest()
