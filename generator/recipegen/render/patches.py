"""Patches as they lie in patches/<id>/. Owns reading them; the image build applies them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recipegen.errors import RecipegenError, Where
from recipegen.spec.types import Line, Prose, Url

META = "meta.yaml"
APPLY = "apply.py"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")


class Upstream(BaseModel):
    """Where the fix lives upstream.

    Attributes:
        release: the first release that has it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fix: Url
    release: Line | None = Field(None, alias="in")


class Patch(BaseModel):
    """A source patch: a script that the image's Python runs once, at build time.

    Attributes:
        id: folder name, and name of the trace that it leaves in the image.
        versions: the engine versions that it is for, as a PEP 440 specifier set.
        upstream: where the fix lives upstream, and which release has it.
        sentinel: text that the patched code logs or holds.
        files: relative path to content.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: Line
    why: Prose
    licence: Line
    engine: str
    versions: str
    upstream: Upstream | None = None
    sentinel: dict[str, str]
    files: dict[str, bytes]


@cache
def find_patches(folder: Path) -> dict[str, Patch]:
    """All patches under a folder, by id; none when there is no such folder.

    Raises:
        RecipegenError: a patch without apply.py, with a link in it, or with a meta.yaml that is not right.
    """
    import yaml

    found: dict[str, Patch] = {}
    for meta in sorted(folder.glob(f"*/{META}")):
        files = dict(_files(meta.parent))
        try:
            patch = Patch(**yaml.safe_load(files[META]), files=files)
        except (ValidationError, TypeError, yaml.YAMLError) as error:
            raise RecipegenError(f"not a patch description: {error}", where=Where(meta)) from None
        if patch.id != meta.parent.name or APPLY not in files:
            raise RecipegenError(f"a patch needs {APPLY} and an id that is its folder's name", where=Where(meta))
        found[patch.id] = patch
    return found


def _files(folder: Path) -> list[tuple[str, bytes]]:
    """Every file of a patch; what editors and Python leave beside it is not part of it."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise RecipegenError("is a link; a patch is made of plain files", where=Where(path))
        if path.is_file() and _PLAIN.fullmatch(name) and "__pycache__" not in path.parts:
            found.append((name, path.read_bytes()))
    return found
