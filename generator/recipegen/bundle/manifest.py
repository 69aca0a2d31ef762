"""MANIFEST.json: every file of a bundle with its size and SHA-256. Owns its one spelling and its reading."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recipegen import __version__
from recipegen.bundle.layout import (
    FORMAT,
    MANIFEST,
    SIGNATURE,
    TOTAL_LIMIT,
    Names,
    refused,
    size_limit,
)
from recipegen.files import sha256_bytes

_HASH = re.compile(r"[0-9a-f]{64}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MODES = ("0644", "0755")


@dataclass(frozen=True)
class Listed:
    """One line of a manifest.

    Attributes:
        mode: "0644", or "0755" for a script.
    """

    path: str
    size: int
    sha256: str
    mode: str


@dataclass(frozen=True)
class Manifest:
    """The files of a bundle, sorted by path; the manifest itself and its signature are not among them."""

    recipe: str
    recipegen: str
    files: tuple[Listed, ...]

    def raw(self) -> bytes:
        """The one spelling of this manifest; any other is a changed one."""
        data = {
            "format": FORMAT,
            "recipe": self.recipe,
            "recipegen": self.recipegen,
            "files": [asdict(one) for one in self.files],
        }
        return (json.dumps(data, ensure_ascii=True, indent=1) + "\n").encode()

    @property
    def id(self) -> str:
        """The bundle's own: the SHA-256 of its manifest."""
        return sha256_bytes(self.raw())

    def by_path(self) -> dict[str, Listed]:
        """The lines by their paths."""
        return {one.path: one for one in self.files}


def manifest_of(recipe: str, files: Iterable[Listed]) -> Manifest:
    """The manifest of files that lie in a new bundle."""
    return Manifest(recipe, __version__, tuple(sorted(files, key=lambda one: one.path)))


def read_manifest(raw: bytes, place: Path) -> Manifest:
    """The manifest that some bytes spell.

    Raises:
        NoBundle: they are no manifest of a format that is known, or would list what no bundle may hold.
    """
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise refused(place, f"{MANIFEST} is not JSON: {error}", "it was changed, or this is no bundle") from error
    if not isinstance(data, dict) or not isinstance(data.get("format"), str):
        raise refused(place, f"{MANIFEST} names no format", "a bundle is made by `recipegen bundle NAME`")
    if data["format"] != FORMAT:
        raise refused(
            place,
            f"the bundle's format is {data['format'][:60]!r}; this recipegen knows {FORMAT}",
            "update recipegen, or look for a changed byte in MANIFEST.json",
        )
    try:
        found = Manifest(data["recipe"], data["recipegen"], tuple(Listed(**one) for one in data["files"]))
        wrong = _fault(found)
    except (KeyError, TypeError) as error:
        raise refused(place, f"{MANIFEST} is not a manifest: {error}") from error
    if wrong is None and found.raw() != raw:
        wrong = "it is not spelt as recipegen spells it: something in it was changed"
    if wrong is not None:
        raise refused(place, f"{MANIFEST}: {wrong}")
    return found


def _fault(manifest: Manifest) -> str | None:
    """What in a manifest is not as it must be."""
    texts: list[Any] = [manifest.recipe, manifest.recipegen]
    if not all(isinstance(text, str) for text in texts) or not _SLUG.fullmatch(manifest.recipe):
        return "recipe or recipegen is wrong"
    names = Names()
    total = 0
    for one in manifest.files:
        if not isinstance(one.path, str) or (wrong := names.fault(one.path)) or one.path in (MANIFEST, SIGNATURE):
            return f"the path {str(one.path)[:200]!r} {wrong if isinstance(one.path, str) else 'is no text'}"
        if type(one.size) is not int or not 0 <= one.size <= size_limit(one.path):
            return f"{one.path}: its size is none, or above {size_limit(one.path):,} bytes"
        if not isinstance(one.sha256, str) or not _HASH.fullmatch(one.sha256) or one.mode not in _MODES:
            return f"{one.path}: sha256 or mode is wrong"
        total += one.size
    if total > TOTAL_LIMIT:
        return f"its files come to more than {TOTAL_LIMIT:,} bytes"
    paths = [one.path for one in manifest.files]
    return None if paths == sorted(paths) else "its files are not sorted"
