"""What of a repository, a recipe or a bundle is published, and under which name it lies in the dataset. Owns the
choice; sends nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recipegen.errors import RecipegenError, Where
from recipegen.load.repo import INDEX_FILE, RECIPE_FILE, find_repository

PACKED = (".tar.gz", ".tgz")
MOST_FILES = 10_000
"""Files of one commit; more than the hub takes well at a time."""
_BESIDE = (RECIPE_FILE, "recipe.lock.yaml", "RESULTS.md")
_NEVER = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".whl", ".tmp")
"""Weights, wheels and what a crash left behind do not belong into results."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@=-]*")


@dataclass(frozen=True)
class Item:
    """A file to publish.

    Attributes:
        path: on this machine.
        name: in the dataset.
        size: bytes.
    """

    path: Path
    name: str
    size: int


@dataclass(frozen=True)
class Selection:
    """What is published, and what was left out with the reason."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...] = field(default=())


def select(target: str, root: Path | None = None) -> Selection:
    """The files behind a bundle, a recipe's folder or name, or a repository.

    Args:
        target: path of a .tar.gz, of a recipe's folder, of a repository; or a recipe's name.
        root: the repository in which a name is looked for.

    Raises:
        RecipegenError: there is none of these, or nothing has been measured yet.
    """
    path = Path(target)
    if path.is_file():
        return _bundle(path)
    if path.is_dir() and (path / "recipes").is_dir():
        return _repository(path)
    if path.is_dir() and (path / RECIPE_FILE).is_file():
        folder = path.resolve()
    elif "/" in target:
        raise RecipegenError(
            f"{target} is no bundle (.tar.gz), no folder with a {RECIPE_FILE} and no repository", where=Where(path)
        )
    else:
        folder = find_repository(Path.cwd(), root).folder(target)
    return _checked(*_recipe(folder), what=folder.name)


def _bundle(path: Path) -> Selection:
    if not path.name.endswith(PACKED):
        raise RecipegenError(
            f"{path} is no bundle: its name does not end in {PACKED[0]}", hint="`recipegen bundle NAME` makes one"
        )
    if path.is_symlink() or not _NAME.fullmatch(path.name):
        raise RecipegenError(
            f"{path} cannot be published under that name", hint="a plain file of letters, digits, . _ -"
        )
    return Selection((Item(path, f"bundles/{path.name}", path.stat().st_size),))


def _repository(root: Path) -> Selection:
    items: list[Item] = []
    left_out: list[str] = []
    for recipe in sorted((root / "recipes").glob(f"*/{RECIPE_FILE}")):
        if not (recipe.parent / "results").is_dir():
            continue
        found, skipped = _recipe(recipe.parent)
        items += found
        left_out += skipped
    index = root / INDEX_FILE
    if items and index.is_file() and not index.is_symlink():
        items.append(Item(index, INDEX_FILE, index.stat().st_size))
    return _checked(items, left_out, what=str(root))


def _recipe(folder: Path) -> tuple[list[Item], list[str]]:
    items: list[Item] = []
    left_out: list[str] = []
    for path in [*(folder / name for name in _BESIDE), *_walk(folder / "charts"), *_walk(folder / "results")]:
        inner = path.relative_to(folder)
        name = f"recipes/{folder.name}/{inner.as_posix()}"
        if path.is_symlink():
            left_out.append(f"{name}: a link")
        elif not path.is_file():
            continue
        elif path.name.endswith(_NEVER):
            left_out.append(f"{name}: weights, a wheel or a remnant")
        elif not all(map(_NAME.fullmatch, inner.parts)):
            left_out.append(f"{name}: a name that a dataset cannot hold safely")
        else:
            items.append(Item(path, name, path.stat().st_size))
    return items, left_out


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder, sorted; linked folders are not entered."""
    if folder.is_symlink():
        yield folder
        return
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _checked(items: list[Item], left_out: list[str], *, what: str) -> Selection:
    if not any("/results/" in item.name for item in items):
        raise RecipegenError(f"{what} has no results to publish", hint="`recipegen bench NAME` makes some")
    if len(items) > MOST_FILES:
        raise RecipegenError(
            f"{len(items):,} files are more than one commit takes ({MOST_FILES:,})", hint="publish recipe by recipe"
        )
    return Selection(tuple(items), tuple(left_out))
