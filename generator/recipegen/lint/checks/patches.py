"""Patches and the engine versions that they are for."""

from __future__ import annotations

from collections.abc import Iterator

from recipegen.lint.context import Context
from recipegen.lint.finding import Hit
from recipegen.lint.subject import Recipe, Subject
from recipegen.spec.versions import parse_version


def patch_ranges(recipe: Recipe, context: Context) -> Iterator[Hit]:
    """PATCH_OUT_OF_RANGE, PATCH_OTHER_ENGINE."""
    from packaging.specifiers import SpecifierSet

    subject = Subject(recipe, recipe.spec.variants[recipe.spec.headline])
    version = parse_version(subject.engine_version)
    for at, name in enumerate(recipe.spec.image.patches):
        patch = context.patches.get(name)
        if patch is None:
            continue  # cross_check reports it
        path = ("image", "patches", at)
        if patch.engine != recipe.spec.engine.name:
            detail = f"the patch {name} is for {patch.engine}, the recipe runs {recipe.spec.engine.name}"
            yield Hit("PATCH_OTHER_ENGINE", path, detail)
        elif version is not None and not SpecifierSet(patch.versions).contains(version, prereleases=True):
            fixed = patch.upstream.release if patch.upstream else None
            later = f"; upstream has the fix since {fixed}" if fixed else ""
            detail = f"the patch {name} is for {patch.engine} {patch.versions}, the recipe is for {version}{later}"
            yield Hit("PATCH_OUT_OF_RANGE", path, detail)
