"""Comparing a kit with what lies on disk, and writing it. Owns the rule that no hand-made text is lost."""

from __future__ import annotations

import difflib
import hashlib
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError, Where
from recipegen.files import read_bounded, write_atomic
from recipegen.render.kit import MANIFEST, Kit

_MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_LIMIT = 64 << 20
"""Bytes of the largest file that is compared; a rendered one has at most some hundred kB."""
_NEVER_RENDERED = frozenset(
    ("recipe.yaml", "recipe.lock.yaml", "RESULTS.md", "charts", "results", "submission", "out", "wheels", "files")
)
"""What lies beside a kit and is written by hand or measured: not taken away, whatever a manifest says."""


@dataclass
class Changes:
    """How a folder differs from its kit; paths relative to the folder.

    Attributes:
        missing: rendered, but not on disk.
        changed: on disk with other content or permission bits.
        edited: those of the changed and stale files that somebody edited after they were rendered.
        stale: rendered once, no longer part of the kit.
    """

    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.stale)

    def lines(self) -> list[str]:
        """One line for each file that differs."""
        return [
            *(f"missing: {path}" for path in self.missing),
            *(f"{'edited by hand' if path in self.edited else 'out of date'}: {path}" for path in self.changed),
            *(f"no longer rendered: {path}" for path in self.stale),
        ]


def compare(kit: Kit, folder: Path) -> Changes:
    """What writing the kit into a folder would change.

    Raises:
        RecipegenError: a file of the kit is a link, a folder or not readable on disk.
    """
    changes = Changes()
    before = _manifest(folder)
    for path, file in kit.items():
        target = _inside(folder, path)
        if not target.exists():
            changes.missing.append(path)
            continue
        data = read_bounded(target, _LIMIT)
        if data == file.data and stat.S_IMODE(target.stat().st_mode) & 0o111 == file.mode & 0o111:
            continue
        changes.changed.append(path)
        if data != file.data and path != MANIFEST and before.get(path) != _sha256(data):
            changes.edited.append(path)
    for path in sorted(set(before) - set(kit)):
        target = _inside(folder, path)
        if target.is_file():
            changes.stale.append(path)
            if before[path] != _sha256(read_bounded(target, _LIMIT)):
                changes.edited.append(path)
    return changes


def write_kit(kit: Kit, folder: Path, *, force: bool = False) -> Changes:
    """Write what differs; take away what is no longer rendered.

    Raises:
        CheckFailed: somebody edited a rendered file, or something stands where we never wrote; nothing is
            written then, unless force is given.
        EnvironmentLacks: the folder cannot be written.
    """
    changes = compare(kit, folder)
    if changes.edited and not force:
        raise CheckFailed(
            f"edited by hand since it was rendered: {', '.join(changes.edited)}",
            hint="move the change to recipe.yaml, or to a template in templates/; --force loses it",
            where=Where(folder),
        )
    try:
        # The manifest comes last: after an interruption it still tells which files are ours.
        for path in sorted([*changes.missing, *changes.changed], key=lambda path: path == MANIFEST):
            target = _inside(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, kit[path].data, kit[path].mode, durable=False)  # `render` makes it again
        for path in changes.stale:
            (folder / path).unlink()
            _remove_empty(folder, PurePosixPath(path).parent)
    except OSError as error:
        raise EnvironmentLacks(f"cannot write into {folder}: {error.strerror or error}") from error
    return changes


def differences(kit: Kit, folder: Path, changes: Changes) -> str:
    """A unified diff from what lies on disk to what would be rendered."""
    out: list[str] = []
    for path in sorted([*changes.missing, *changes.changed, *changes.stale]):
        target = folder / path
        old = read_bounded(target, _LIMIT) if target.exists() else b""
        new = kit[path].data if path in kit else b""
        names = (f"{folder.name}/{path} (on disk)", f"{folder.name}/{path} (rendered)")
        out += difflib.unified_diff(_lines(old), _lines(new), *names)
    return "".join(line if line.endswith("\n") else line + "\n" for line in out)


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines(keepends=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _manifest(folder: Path) -> dict[str, str]:
    """Path to hash of what was rendered last; paths that are not a kit's are passed over."""
    file = folder / MANIFEST
    if not file.is_file() or file.is_symlink():
        return {}
    lines = read_bounded(file, _LIMIT).decode("utf-8", "replace").splitlines()
    found = {match[2]: match[1] for match in map(_MANIFEST_LINE.fullmatch, lines) if match}
    return {path: digest for path, digest in found.items() if _can_be_rendered(path)}


def _can_be_rendered(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return ".." not in parts and not path.startswith("/") and parts[0] not in _NEVER_RENDERED


def _inside(folder: Path, path: str) -> Path:
    """The file of that path, which must be a plain file, or nothing yet, under plain folders."""
    target = folder / path
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise RecipegenError(f"a file of the kit would leave its folder: {path}", where=Where(folder))
    for part in [target, *target.parents]:
        if part == folder:
            break
        if part.is_symlink():
            raise RecipegenError("is a link; a kit is written into plain folders only", where=Where(part))
        if part != target and part.exists() and not part.is_dir():
            raise RecipegenError("is a file where a folder of the kit belongs", where=Where(part))
    if target.is_dir():
        raise RecipegenError("is a folder where a file of the kit belongs", where=Where(target))
    return target


def _remove_empty(folder: Path, path: PurePosixPath) -> None:
    """Folders that hold nothing any more, from the inside out."""
    with suppress(OSError):  # not empty
        while path.parts:
            (folder / path).rmdir()
            path = path.parent
