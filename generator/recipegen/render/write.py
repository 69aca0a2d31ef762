"""Comparing a kit with what lies on disk, and writing it. Owns the rule that nobody's own text is overwritten."""

from __future__ import annotations

import difflib
import hashlib
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from recipegen.errors import CheckFailed, RecipegenError, Where
from recipegen.files import write_atomic
from recipegen.render.kit import MANIFEST, Kit

_MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass
class Changes:
    """How a folder differs from its kit; paths relative to the folder.

    Attributes:
        missing: rendered, but not on disk.
        changed: on disk with other content or permission bits.
        edited: those of the changed files that somebody edited after they were rendered.
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
        RecipegenError: a file of the kit is a link or a folder on disk.
    """
    changes = Changes()
    before = _manifest(folder)
    for path, file in kit.items():
        target = _inside(folder, path)
        if not target.exists():
            changes.missing.append(path)
            continue
        data = target.read_bytes()
        if data == file.data and stat.S_IMODE(target.stat().st_mode) & 0o111 == file.mode & 0o111:
            continue
        changes.changed.append(path)
        if data != file.data and path != MANIFEST and before.get(path) != hashlib.sha256(data).hexdigest():
            changes.edited.append(path)
    changes.stale = sorted(path for path in before if path not in kit and _inside(folder, path).is_file())
    return changes


def write_kit(kit: Kit, folder: Path, *, force: bool = False) -> Changes:
    """Write what differs; take away what is no longer rendered.

    Raises:
        CheckFailed: somebody edited a rendered file, or a file of ours stands where we never wrote one; nothing is
            written then, unless force is given.
    """
    changes = compare(kit, folder)
    before = _manifest(folder)
    edited_stale = [p for p in changes.stale if before[p] != hashlib.sha256((folder / p).read_bytes()).hexdigest()]
    if (changes.edited or edited_stale) and not force:
        raise CheckFailed(
            f"edited by hand since it was rendered: {', '.join([*changes.edited, *edited_stale])}",
            hint="move the change to recipe.yaml (or to a template in templates/), or give --force to lose it",
            where=Where(folder),
        )
    for path in [*changes.missing, *changes.changed]:
        target = _inside(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, kit[path].data, kit[path].mode)
    for path in changes.stale:
        (folder / path).unlink()
    return changes


def differences(kit: Kit, folder: Path, changes: Changes) -> str:
    """A unified diff from what lies on disk to what would be rendered."""
    out: list[str] = []
    for path in sorted([*changes.missing, *changes.changed, *changes.stale]):
        target = folder / path
        old = target.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) if target.exists() else []
        new = kit[path].data.decode("utf-8", "replace").splitlines(keepends=True) if path in kit else []
        out += difflib.unified_diff(old, new, f"{folder.name}/{path} (on disk)", f"{folder.name}/{path} (rendered)")
    return "".join(line if line.endswith("\n") else line + "\n" for line in out)


def _manifest(folder: Path) -> dict[str, str]:
    """Path to hash of what was rendered last; paths that would leave the folder are passed over."""
    file = folder / MANIFEST
    if not file.is_file():
        return {}
    lines = (_MANIFEST_LINE.fullmatch(line) for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    found = {match[2]: match[1] for match in lines if match}
    return {path: digest for path, digest in found.items() if ".." not in Path(path).parts and not path.startswith("/")}


def _inside(folder: Path, path: str) -> Path:
    target = folder / path
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise RecipegenError(f"a file of the kit would leave its folder: {path}", where=Where(folder))
    for part in [target, *target.parents]:
        if part == folder:
            break
        if part.is_symlink():
            raise RecipegenError("is a link; a kit is written into plain folders only", where=Where(part))
    if target.is_dir():
        raise RecipegenError("is a folder where a file of the kit belongs", where=Where(target))
    return target
