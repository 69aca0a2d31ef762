"""New repositories and new recipes. Owns what they begin with; overwrites nothing that is there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.errors import RecipegenError, Where
from recipegen.files import write_atomic
from recipegen.load.repo import INDEX_FILE, RECIPE_FILE
from recipegen.quoting import yaml_string
from recipegen.spec.schema import SCHEMA_FILE, schema_text
from recipegen.spec.types import SLUG

if TYPE_CHECKING:
    from recipegen.hub.first import FirstRecipe
    from recipegen.render.kit import Kit
    from recipegen.workspace import Workspace

INDEX_INTRO = """# Results

One row a recipe: the headline variant's headline cell. `recipegen index` writes the table; text outside its
markers is yours.

"""
SCHEMA_LINE = f"# yaml-language-server: $schema=../../{SCHEMA_FILE}"


def init_repository(folder: Path) -> list[Path]:
    """Make a repository for recipes; files that are there already are kept.

    Returns:
        The files written.

    Raises:
        RecipegenError: the folder is a repository already, or is not a folder.
    """
    from recipegen.publish.data import CSV_FILE, JSON_FILE, index_csv, index_json
    from recipegen.publish.index import build_index
    from recipegen.render.templates import Templates

    if folder.exists() and not folder.is_dir():
        raise RecipegenError("is not a folder", where=Where(folder))
    if (folder / "recipes").exists():
        raise RecipegenError(f"{folder} is a recipe repository already", hint=f"recipegen new NAME --root {folder}")
    templates = Templates()
    files = {
        "recipes/.gitkeep": "",
        "patches/.gitkeep": "",
        INDEX_FILE: build_index([], INDEX_INTRO),
        JSON_FILE: index_json([]),
        CSV_FILE: index_csv([]),
        SCHEMA_FILE: schema_text(),
        "README.md": templates.render("repo/README.md.j2", name=folder.resolve().name),
        ".gitignore": templates.render("repo/gitignore.j2"),
        ".github/workflows/recipes.yml": templates.render("repo/workflow.yml.j2"),
    }
    written = []
    for path, text in files.items():
        target = folder / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, text)
            written.append(target)
    return written


def recipe_text(name: str, text: str) -> str:
    """A preset's or a recipe's text under another name, led by the schema line for editors.

    Raises:
        RecipegenError: no line of the text begins with `name:`.
    """
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    body = "\n".join([SCHEMA_LINE, *(line for line in lines if not line.startswith("# yaml-language-server:"))])
    # A name such as 123, 1e5 or null would be a number or nothing without quotes.
    plain = re.match(r"[a-z]", name) and name not in ("null", "true", "false")
    line = f"name: {name if plain else yaml_string(name)}"
    renamed, count = re.subn(r"(?m)^name:.*$", lambda _: line, f"{body}\n", count=1)
    if not count:
        raise RecipegenError("has no line that begins with `name:`", hint="write the name on a line of its own")
    return renamed


def _unmeasured(text: str) -> str:
    """A recipe's text for a copy: nobody has measured that one yet."""
    return re.sub(r"(?m)^status: *(?:measuring|staged|measured|shipped)\b.*$", "status: planned", text, count=1)


def new_recipe(
    workspace: Workspace,
    name: str,
    *,
    preset: str | None = None,
    source: str | None = None,
) -> tuple[Path, Kit]:
    """Write a recipe and render its kit; on any error nothing is left behind.

    A copy gets the source's lock and its own files, too: it builds what the source builds until it is changed.

    Returns:
        The recipe's folder and its kit.

    Raises:
        RecipegenError: the name is not one, is taken, or no preset is called so.
    """
    from recipegen import catalog
    from recipegen.load.yamldoc import read_text

    _require_free(workspace, name)
    beside: dict[str, bytes | str] = {}
    if source is not None:
        beside = _beside(workspace, source)  # a fault in the source is reported where it stands
        text = read_text(workspace.repository.folder(source) / RECIPE_FILE)
    else:
        text = read_text(catalog.preset_file(preset or name))
    return _put(workspace, name, text, beside)


def new_from_hub(workspace: Workspace, name: str, hf_id: str) -> tuple[Path, Kit, FirstRecipe]:
    """Write a first recipe for a model on the hub and render its kit; on any error nothing is left behind.

    Returns:
        The recipe's folder, its kit, and what is to be said of it.

    Raises:
        RecipegenError: the name is not one or is taken; the hub does not answer, or knows no such model.
    """
    from recipegen.hub.first import first_recipe

    _require_free(workspace, name)
    first = first_recipe(name, hf_id, workspace.patches)
    return *_put(workspace, name, first.text, {}), first


def new_from_text(workspace: Workspace, name: str, text: str) -> tuple[Path, Kit]:
    """Write a recipe whose whole text is there, as an import makes it, and render its kit; an error leaves nothing.

    Returns:
        The recipe's folder and its kit.

    Raises:
        RecipegenError: the name is not one or is taken, or the text is no recipe.
    """
    _require_free(workspace, name)
    return _put(workspace, name, text, {})


def _require_free(workspace: Workspace, name: str) -> None:
    if not re.fullmatch(SLUG, name) or len(name) > 63:
        raise RecipegenError(
            f"{name!r} cannot name a recipe",
            hint="lower-case letters, digits and single . _ - between them: it names a folder and an image",
        )
    folder = workspace.repository.recipes / name
    if folder.exists():
        raise _taken(folder)


def _taken(folder: Path) -> RecipegenError:
    return RecipegenError(f"{folder} is there already", hint="choose another name, or edit its recipe.yaml")


def _put(workspace: Workspace, name: str, text: str, beside: dict[str, bytes | str]) -> tuple[Path, Kit]:
    from recipegen.render.write import write_kit

    folder = workspace.repository.recipes / name
    try:
        folder.mkdir()
    except FileExistsError:
        raise _taken(folder) from None
    try:
        write_atomic(folder / RECIPE_FILE, recipe_text(name, _unmeasured(text)))
        for path, data in beside.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / path, data)
        kit = workspace.kit(workspace.spec(name))
        write_kit(kit, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, kit


def _beside(workspace: Workspace, name: str) -> dict[str, bytes | str]:
    """What belongs to a recipe and is not rendered from it, by path: its lock, and the files for its image."""
    from recipegen.lock import LOCK_FILE, lock_text
    from recipegen.render.kit import OWN_FILES
    from recipegen.workspace import own_files

    spec, lock = workspace.spec(name), workspace.lock(name)
    found: dict[str, bytes | str] = {
        f"{OWN_FILES}/{path}": data for path, data in own_files(spec, workspace.folder(spec)).items()
    }
    return found if lock is None else {**found, LOCK_FILE: lock_text(lock)}
