"""Finding a recipe of a repository by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipegen.errors import RecipegenError
from recipegen.load.repo import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    for name in ("one", "two"):
        folder = tmp_path / "recipes" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").touch()
    # Recipes to those who follow a name that is a path.
    (tmp_path / "recipe.yaml").touch()
    (tmp_path / "recipes" / "recipe.yaml").touch()
    return Repository(tmp_path)


def test_a_recipe_is_found_by_its_name(repository: Repository) -> None:
    assert repository.names() == ["one", "two"]
    assert repository.folder("two") == repository.recipes / "two"


@pytest.mark.parametrize("name", ["", ".", "..", "../recipes/one", "one/", "/", "three", "o\0ne", "x" * 300])
def test_what_is_no_name_of_a_recipe_finds_none(repository: Repository, name: str) -> None:
    with pytest.raises(RecipegenError, match="there is no recipe") as caught:
        repository.folder(name)
    assert caught.value.exit_code == 2


def test_the_nearest_name_is_told(repository: Repository) -> None:
    with pytest.raises(RecipegenError) as caught:
        repository.folder("tow")
    assert caught.value.hint.startswith("nearest: two")
