"""Patches as they lie in patches/<id>/. Owns reading them; the image build applies them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from recipegen.errors import RecipegenError, Where

META = "meta.yaml"
APPLY = "apply.py"


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
    title: str
    why: str
    licence: str
    engine: str
    versions: str
    upstream: dict[str, Any] | None = None
    sentinel: dict[str, str]
    files: dict[str, bytes]


@cache
def find_patches(folder: Path) -> dict[str, Patch]:
    """All patches under a folder, by id; none when there is no such folder.

    Raises:
        RecipegenError: a patch without apply.py, or with a meta.yaml that is not right.
    """
    import yaml

    found: dict[str, Patch] = {}
    for meta in sorted(folder.glob(f"*/{META}")):
        files = {
            path.relative_to(meta.parent).as_posix(): path.read_bytes()
            for path in sorted(meta.parent.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
        try:
            patch = Patch(**yaml.safe_load(files[META]), files=files)
        except (ValidationError, TypeError, yaml.YAMLError) as error:
            raise RecipegenError(f"not a patch description: {error}", where=Where(meta)) from None
        if patch.id != meta.parent.name or APPLY not in files:
            raise RecipegenError(f"a patch needs {APPLY} and an id that is its folder's name", where=Where(meta))
        found[patch.id] = patch
    return found
