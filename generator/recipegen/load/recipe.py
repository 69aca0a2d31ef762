"""Loading one recipe.yaml. Owns the way from a file to a valid user model; all problems come at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recipegen.errors import Problem, RecipegenError, SpecError
from recipegen.load.messages import problems_of
from recipegen.load.yamldoc import Document, parse, read_text
from recipegen.spec.model import Recipe

MAX_WORDS = 500
"""Characters of a problem's text: a value of a megabyte is not repeated to the user."""

Check = Callable[[Document], list[Problem]]
"""A check that types cannot express; it must bear data of any shape."""


@dataclass(frozen=True)
class Loaded:
    """A valid recipe as its author wrote it, and where each part stands."""

    recipe: Recipe
    document: Document


def load_recipe(
    file: Path,
    *,
    preset: Callable[[str], Path] | None = None,
    amend: Callable[[Any], Any] | None = None,
    checks: tuple[Check, ...] = (),
) -> Loaded:
    """Read and check one recipe.

    Args:
        file: the recipe.yaml.
        preset: gives the file of the preset that `extends` names.
        amend: changes what the file says, before it is checked.
        checks: checks beyond types.

    Raises:
        SpecError: with every problem found, in the order of the lines.
        RecipegenError: the file cannot be read.
    """
    document = _extended(parse(read_text(file), file), preset)
    if amend is not None:
        document = replace(document, data=amend(document.data))
    problems: list[Problem] = []
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(document.data)
    except ValidationError as error:
        problems += problems_of(error.errors(include_url=False), document, Recipe)
    if isinstance(document.data, dict):
        for check in checks:
            problems += check(document)
    if problems or recipe is None:
        raise SpecError(sorted(dict.fromkeys(map(_short, problems)), key=lambda problem: problem.where))
    return Loaded(recipe, document)


def _short(problem: Problem) -> Problem:
    def cut(text: str) -> str:
        return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}…"

    return Problem(problem.where, cut(problem.message), cut(problem.hint))


def _extended(document: Document, preset: Callable[[str], Path] | None) -> Document:
    """The document on top of the preset that it `extends`; mappings merge, all else is replaced."""
    if not isinstance(document.data, dict) or preset is None:
        return document
    name = document.data.pop("extends", None)
    if name is None:
        return document
    if not isinstance(name, str):
        raise SpecError([Problem(document.where(("extends",)), "extends must be the name of a preset")])
    try:
        file = preset(name)
    except RecipegenError as error:
        raise SpecError([Problem(document.where(("extends",)), error.message, error.hint)]) from None
    base = parse(read_text(file), file)
    places = {
        **base.places,
        **{path: where for path, where in document.places.items() if path},
        (): document.places[()],
    }
    return Document(_merged(base.data, document.data), places, document.file)


def _merged(base: Any, top: Any) -> Any:
    if isinstance(base, dict) and isinstance(top, dict):
        return {**base, **{key: _merged(base.get(key), value) for key, value in top.items()}}
    return top
