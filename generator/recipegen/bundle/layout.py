"""What a bundle is made of: names of its files, limits, the errors of an archive that is none. Owns no bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from recipegen.errors import EXIT_USAGE, RecipegenError, Where

FORMAT = "recipegen-bundle/1"
MANIFEST = "MANIFEST.json"
SIGNATURE = f"{MANIFEST}.minisig"
README = "README.md"
CITATION = "CITATION.txt"
CHART = "chart.svg"
CLAIM = "claim.json"
BOARDS = "boards"
FOLDER_END = "-bundle"
"""The one folder of an archive is called `<recipe>-bundle`."""

FILES_LIMIT = 5_000
"""Files of a bundle. A kit has about 25, a run of the largest profile (28 cells) about 90."""
FILE_LIMIT = 1 << 30
"""Bytes of one file; only server logs come near."""
SMALL_LIMIT = 16 << 20
"""Bytes of a file that was not measured: a recipe, a script, a page, a payload."""
TOTAL_LIMIT = 2 << 30
MANIFEST_LIMIT = 2 << 20
RATIO_LIMIT = 200
"""Unpacked to packed. Logs come to 5 to 30; deflate cannot do more than 1032, and only on runs of one byte."""
RATIO_FROM = 64 << 20
"""Unpacked bytes from which the ratio is looked at: a small bundle does no harm, whatever it holds."""
PATH_LIMIT = 240
"""Bytes of a path, the archive's folder included: what a tar header of 1988 (ustar) holds without extensions."""

_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._+@,=~-]+"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


class NoBundle(RecipegenError):
    """What was given is no bundle, or one that must not be unpacked."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True)
class Entry:
    """One file that goes into a bundle.

    Attributes:
        path: relative to the bundle's folder, with forward slashes.
        source: the bytes, or the file that holds them.
        executable: whether it is a script of the kit.
    """

    path: str
    source: bytes | Path
    executable: bool = False

    @property
    def mode(self) -> int:
        """Permission bits in the archive."""
        return 0o755 if self.executable else 0o644


def path_fault(path: str) -> str | None:
    """Why a path cannot be one of a bundle; None for a good one."""
    if path.startswith("/"):
        return "is an absolute path"
    if ".." in path.split("/"):
        return "leads out of its folder (..)"
    if any(0xD800 <= ord(char) < 0xE000 for char in path):
        return "is not UTF-8"
    if len(path.encode()) > PATH_LIMIT:
        return f"is longer than {PATH_LIMIT} bytes"
    if not _PATH.fullmatch(path):
        return "holds other characters than letters, digits and . _ + @ , = ~ -"
    return None


def size_limit(path: str) -> int:
    """Bytes that a file of that path may have."""
    return FILE_LIMIT if "/results/" in path else SMALL_LIMIT


class Names:
    """Paths seen so far, each of which must be able to lie beside the others on every file system."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._folders: set[str] = set()

    def fault(self, path: str) -> str | None:
        """Why one more path cannot be taken; None when it can, and then it is."""
        wrong = path_fault(path)
        if wrong is not None:
            return wrong
        folded = path.casefold()
        parents = {folded[:at] for at, char in enumerate(folded) if char == "/"}
        other = self._seen.get(folded)
        if other == path:
            return "stands twice in it"
        if other is not None:
            return f"differs from {other} by upper and lower case only"
        if folded in self._folders or any(parent in self._seen for parent in parents):
            return "is a file and a folder at once"
        if len(self._seen) >= FILES_LIMIT:
            return f"is one of more than {FILES_LIMIT:,} files"
        self._seen[folded] = path
        self._folders |= parents
        return None


def refused(place: Path, message: str, hint: str = "") -> NoBundle:
    """The refusal of an archive or a folder."""
    return NoBundle(message, hint=hint, where=Where(place))
