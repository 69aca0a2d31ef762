"""Parts of a recipe that move under it: tags, branches, models and texts without a hash."""

from __future__ import annotations

from collections.abc import Iterator

from recipegen.lint.context import Context
from recipegen.lint.finding import Hit
from recipegen.lint.subject import Recipe

_RULES = {
    ("image", "base"): "PIN_IMAGE_DIGEST",
    ("image", "runtime_base"): "PIN_IMAGE_DIGEST",
    ("image", "ref"): "PIN_SOURCE_REF",
    ("bench", "corpora"): "PIN_CORPUS",
    ("image", "transformers"): "PIN_PACKAGE",
    ("image", "pip"): "PIN_PACKAGE",
    ("image", "wheels"): "PIN_PACKAGE",
}


def moving_parts(recipe: Recipe, context: Context) -> Iterator[Hit]:
    """PIN_IMAGE_DIGEST, PIN_SOURCE_REF, PIN_MODEL_REVISION, PIN_CORPUS, PIN_PACKAGE."""
    if recipe.spec.missing:
        return  # a record is not built
    for path, what in context.unpinned:
        rule = _RULES.get((str(path[0]), str(path[1])), "PIN_MODEL_REVISION")
        yield Hit(rule, path, what)
