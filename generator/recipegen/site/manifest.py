"""What a site folder was made from: fingerprints of recipes, hashes of files. Owns .recipegen-site.json."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = ".recipegen-site.json"
FORMAT = "recipegen-site/1"
_LIMIT = 256 << 20
_COMPILED = "__pycache__"
"""What Python writes beside its modules while it reads them: no input of anything."""


@dataclass
class Manifest:
    """The manifest of a site.

    Attributes:
        key: of everything that all pages hang on: recipegen's version, templates, options.
        recipes: by name the fingerprint of a recipe's files, and its row as data.
        files: SHA-256 of every file of the site, by its path in it.
    """

    key: str = ""
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The file's text."""
        data = {"format": FORMAT, "key": self.key, "recipes": self.recipes, "files": self.files}
        return json.dumps(data, ensure_ascii=False, sort_keys=True) + "\n"


def read_manifest(out: Path) -> Manifest | None:
    """The manifest of a folder; None where there is none, an empty one where it cannot be used."""
    from recipegen.errors import RecipegenError
    from recipegen.files import read_bounded

    path = out / FILE
    if not path.is_file():
        return None
    try:
        data = json.loads(read_bounded(path, _LIMIT))
    except (RecipegenError, ValueError, RecursionError):
        return Manifest()
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return Manifest()
    recipes, files = data.get("recipes"), data.get("files")
    if not isinstance(recipes, dict) or not isinstance(files, dict):
        return Manifest()
    known = {name: one for name, one in recipes.items() if isinstance(one, dict)}
    return Manifest(str(data.get("key")), known, {path: str(digest) for path, digest in files.items()})


def fingerprint(folder: Path) -> str:
    """Of a folder: paths, sizes and times of all files in it, as `make` would look at them.

    A file that is changed within a clock tick and keeps its size is not noticed; `recipegen site --force` reads all.
    What is not there is as good as empty.
    """
    digest = hashlib.sha256()
    for line in _lines(str(folder), ""):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _lines(folder: str, inside: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if entry.name == _COMPILED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _lines(entry.path, f"{inside}{entry.name}/")
        else:
            facts = entry.stat(follow_symlinks=False)
            yield f"{inside}{entry.name}\0{facts.st_size}\0{facts.st_mtime_ns}\n"


def site_key(sources: Sequence[Path], options: str) -> str:
    """Of what all pages hang on, beside the recipes.

    Args:
        sources: folders of templates and patches, in an order that stays.
        options: of the command.
    """
    from importlib.metadata import version

    from recipegen import __version__

    # The package's own code too: pages change with it, also between two versions of a checkout.
    folders = [*sources, Path(__file__).parents[1]]
    parts = [FORMAT, __version__, version("vl-convert-python"), options, *map(fingerprint, folders)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
