"""What the catalog knows of the base image, against what the recipe says of it."""

from __future__ import annotations

from collections.abc import Iterator

from recipegen.lint.context import Context
from recipegen.lint.finding import Hit
from recipegen.lint.subject import Recipe
from recipegen.spec.versions import parse_version


def other_engine_version(recipe: Recipe, context: Context) -> Iterator[Hit]:
    """IMAGE_HOLDS_ANOTHER_VERSION."""
    image, said = recipe.image, recipe.spec.engine.version
    known = image.engine_version if image and not image.floating else None
    if known is None or recipe.spec.image.mode != "prebuilt":
        return  # a floating tag holds another version every few days, and the other modes build their own
    if parse_version(said) is not None and parse_version(said) != parse_version(known):
        detail = f"the recipe says {recipe.spec.engine.name} {said}, but {recipe.spec.image.base} holds {known}"
        yield Hit("IMAGE_HOLDS_ANOTHER_VERSION", ("engine", "version"), detail)
