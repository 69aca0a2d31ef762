"""A repository of recipes on disk: where its root is and which recipes it holds. Reads no recipe."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from recipegen.errors import RecipegenError

RECIPE_FILE = "recipe.yaml"
INDEX_FILE = "INDEX.md"


@dataclass(frozen=True)
class Repository:
    """A folder with recipes/ and INDEX.md."""

    root: Path

    @property
    def recipes(self) -> Path:
        """The folder that holds the recipe folders."""
        return self.root / "recipes"

    @property
    def index(self) -> Path:
        """The generated table."""
        return self.root / INDEX_FILE

    def names(self) -> list[str]:
        """Names of all recipe folders, sorted."""
        if not self.recipes.is_dir():
            return []
        return sorted(path.parent.name for path in self.recipes.glob(f"*/{RECIPE_FILE}"))

    def folder(self, name: str) -> Path:
        """The folder of a recipe that is there.

        Raises:
            RecipegenError: there is none of that name; the hint names the nearest.
        """
        # One look at the folder itself: a command on all recipes must not list them all for each of them.
        plain = Path(name).name == name and name not in ("", "..") and len(name.encode(errors="replace")) <= 255
        if not plain or not (self.recipes / name / RECIPE_FILE).exists():
            names = self.names()
            near = get_close_matches(name, names, n=3, cutoff=0.4)
            hint = (
                f"nearest: {', '.join(near)}"
                if near
                else f"`recipegen new {name}` makes one, `recipegen list` shows all"
            )
            raise RecipegenError(f"there is no recipe {name!r} in {self.recipes}", hint=hint)
        return self.recipes / name


def find_repository(start: Path, named: Path | None = None) -> Repository:
    """The repository named with --root, or the one around the current folder.

    Raises:
        RecipegenError: there is none.
    """
    if named is not None:
        if not (named / "recipes").is_dir():
            raise RecipegenError(
                f"{named} is not a recipe repository: it has no recipes/ folder",
                hint=f"`recipegen init {named}` makes one",
            )
        return Repository(named.resolve())
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "recipes").is_dir() and (folder / INDEX_FILE).is_file():
            return Repository(folder)
    raise RecipegenError(
        "no recipe repository here or above: a folder with recipes/ and INDEX.md",
        hint="`recipegen init my-recipes` makes one; --root DIR names one",
    )
