"""A recipe in the making against the schema: what the schema refuses leaves the recipe and goes into the report. Owns
the loop; the rules are `spec.model` and `checks`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recipegen.checks import SHELLS_OWN, cross_check
from recipegen.errors import Problem, SpecError, Where
from recipegen.exchange.report import NO_SECRETS, Report
from recipegen.load.messages import problems_of
from recipegen.load.yamldoc import Document, Path_
from recipegen.results.scrub import HIDDEN, find_secret, hide_secrets
from recipegen.spec.model import Recipe

_ROUNDS = 20
_REMOVABLE: tuple[Path_, ...] = (
    ("engine", "flags", "*"),
    ("engine", "env", "*"),
    ("image", "env", "*"),
    ("variants", "*", "flags", "*"),
    ("variants", "*", "env", "*"),
    ("run", "volumes", "*"),
    ("run", "ulimits", "*"),
    ("run", "*"),
    ("model", "revision"),
    ("model", "served_name"),
    ("models", "*", "revision"),
    ("engine", "version"),
    ("description",),
    ("authors",),
    ("references",),
    ("bench", "profiles", "*"),
)
"""Parts without which a recipe is one all the same; `*` is any key."""


def settle(data: dict[str, Any], file: Path, report: Report) -> Recipe:
    """Make data a valid recipe by taking out what cannot stand in one.

    Args:
        data: the recipe as plain data; changed in place.
        file: the source, for the problem that nothing can be done about.

    Raises:
        SpecError: what is wrong belongs to no part that could be left out.
    """
    _shells_variables(data)
    for path, text in list(_texts(data)):
        if find_secret(text) and not _take_out(data, path, report, NO_SECRETS, HIDDEN):
            _replace(data, path, hide_secrets(text))
    for _ in range(_ROUNDS):
        paths = list(_paths(data))
        places = {path: Where(file, number + 1) for number, path in enumerate(paths)}
        document = Document(data, places, file)
        problems, recipe = list(cross_check(document)), None
        try:
            recipe = Recipe.model_validate(data)
        except ValidationError as error:
            problems += problems_of(error.errors(include_url=False), document, Recipe)
        if recipe is not None and not problems:
            return recipe
        for problem in problems:
            path = paths[problem.where.line - 1]
            message = problem.message.removeprefix(f"{'.'.join(map(str, path))}: ")
            if not _take_out(data, path, report, f"{message}; {problem.hint}".rstrip("; ")):
                raise SpecError([Problem(Where(file), f"makes no recipe: {problem.message}", problem.hint)])
    raise SpecError([Problem(Where(file), "makes no recipe: too much of it is wrong", "")])


def _shells_variables(data: dict[str, Any]) -> None:
    """Variables that the launch script's shell would overwrite are set by the image."""
    env, image = data["engine"].get("env", {}), data["image"]
    for name in [name for name in env if SHELLS_OWN.fullmatch(name)]:
        if image["mode"] != "none":
            image.setdefault("env", {})[name] = env.pop(name)


def _paths(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


def _texts(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    if isinstance(value, str):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _texts(item, (*path, key))


def _replace(data: Any, path: Path_, text: str) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = text


def _take_out(data: dict[str, Any], path: Path_, report: Report, why: str, shown: str | None = None) -> bool:
    """Remove the smallest removable part around a path; False where there is none."""
    for pattern in _REMOVABLE:
        if len(path) >= len(pattern) and all(want in ("*", have) for want, have in zip(pattern, path, strict=False)):
            target = path[: len(pattern)]
            break
    else:
        return False
    at: Any = data
    for part in target[:-1]:
        at = at[part]
    try:
        value = at.pop(target[-1])
    except (KeyError, IndexError):
        return True  # gone already, with another problem of the same part
    report.lose(".".join(map(str, target)), why, value if shown is None else shown)
    return True
