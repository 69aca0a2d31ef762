"""A static site from a repository: which pages there are, and that only what changed is read and written.

Owns no figure and no markup.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.errors import RecipegenError, Where
from recipegen.files import sha256_bytes, write_atomic
from recipegen.site.manifest import FILE, Manifest, fingerprint, read_manifest, site_key

if TYPE_CHECKING:
    from recipegen.errors import Problem
    from recipegen.publish.row import Row
    from recipegen.site.pages import Pages
    from recipegen.workspace import Workspace

Progress = Callable[[int, int, str], None]
"""Recipes done, recipes in all, the one at hand."""
_VEGA = "assets/vega.js"


@dataclass(frozen=True)
class Built:
    """What came of building.

    Attributes:
        written, removed: paths in the site's folder.
        recipes: how many there are; `read` of them had changed.
        files: of the whole site.
    """

    out: Path
    written: tuple[str, ...]
    removed: tuple[str, ...]
    recipes: int
    read: int
    files: int

    def as_data(self) -> dict[str, Any]:
        """For --json."""
        return {
            "folder": str(self.out),
            "written": list(self.written),
            "removed": list(self.removed),
            "recipes": self.recipes,
            "recipes_read": self.read,
            "files": self.files,
        }


@dataclass
class _Site:
    """A site that is being made: the files that it will have, and those that changed."""

    out: Path
    old: Manifest
    files: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Marks a new folder as a site before anything else is in it: one that is interrupted can be gone on with."""
        self.out.mkdir(parents=True, exist_ok=True)
        if not (self.out / FILE).is_file():
            write_atomic(self.out / FILE, Manifest().text(), within=self.out, durable=False)

    def add(self, path: str, data: bytes | str) -> None:
        """Writes a file where its bytes are not the ones that are there."""
        raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
        digest = sha256_bytes(raw)
        self.files[path] = digest
        target = self.out / path
        if self.old.files.get(path) == digest and target.is_file() and target.stat().st_size == len(raw):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, raw, within=self.out, durable=False)
        self.written.append(path)

    def keep(self, path: str) -> bool:
        """Takes a file of the earlier site over as it is; False where it is not there any more."""
        if path not in self.old.files or not (self.out / path).is_file():
            return False
        self.files[path] = self.old.files[path]
        return True


def build_site(
    workspace: Workspace,
    out: Path,
    *,
    force: bool = False,
    title: str | None = None,
    base_url: str | None = None,
    progress: Progress | None = None,
) -> Built:
    """Writes the site, or what of it has changed.

    Args:
        workspace: the repository.
        out: the site's folder; made when it is not there.
        force: read and render everything.
        title: of the site; the repository's folder by default.
        base_url: where the repository's files can be looked at, such as https://github.com/OWNER/NAME/blob/main.
        progress: told of every recipe that is read.

    Raises:
        RecordsBroken: recipes, records or reports cannot be used; all of them. The site stays as it was.
        RecipegenError: the folder holds something that is no site.
    """
    found = _opened(out)
    root = workspace.repository.root
    name = title or root.resolve().name
    key = site_key(_sources(workspace), json.dumps([name, base_url]))
    old = found if found is not None and found.key == key and not force else None
    names = workspace.repository.names()
    prints = {one: fingerprint(workspace.repository.recipes / one) for one in names}
    same = {one for one in names if old is not None and _is_kept(old, out, one, prints[one])}
    if old is not None and same == set(names) == set(old.recipes) and _is_whole(old, out):
        return Built(out, (), (), len(names), 0, len(old.files))
    from recipegen.site.pages import Pages

    pages = Pages(workspace, name, key[:10], base_url)
    return _built(pages, _Site(out, found or Manifest()), key, prints, same, progress)


def _opened(out: Path) -> Manifest | None:
    """The folder's manifest, None for a folder that is not there or empty.

    Raises:
        RecipegenError: it holds something else.
    """
    if out.exists() and not out.is_dir():
        raise RecipegenError("is not a folder", where=Where(out), hint="name another one: recipegen site -o DIR")
    found = read_manifest(out)
    if found is None and out.is_dir() and any(out.iterdir()):
        hint = "name an empty folder, or one that recipegen made: recipegen site -o DIR"
        raise RecipegenError(f"{out} holds files that are no site of recipegen's", hint=hint)
    return found


def _sources(workspace: Workspace) -> list[Path]:
    from recipegen.shipped import patches_dir, templates_dir

    root = workspace.repository.root
    return [templates_dir(), root / "templates", patches_dir(), root / "patches"]


def _is_kept(old: Manifest, out: Path, name: str, fresh: str) -> bool:
    known = old.recipes.get(name)
    if known is None or known.get("fingerprint") != fresh:
        return False
    return all(one in old.files and (out / one).is_file() for one in _paths(name))


def _is_whole(old: Manifest, out: Path) -> bool:
    return all((out / path).is_file() for path in old.files)


def _paths(name: str) -> tuple[str, str]:
    """The page and the data of a recipe."""
    return f"recipes/{name}.html", f"data/{name}.js"


def _built(
    pages: Pages,
    site: _Site,
    key: str,
    prints: dict[str, str],
    same: set[str],
    progress: Progress | None,
) -> Built:
    from recipegen.publish.index import RecordsBroken
    from recipegen.site.rows import row_to_data

    kept = _kept_rows(site.old, same)
    new = Manifest(key)
    rows: list[Row] = []
    problems: list[Problem] = []
    todo = [one for one in prints if one not in kept]
    made: list[tuple[str, str]] = []
    read = 0
    for one in prints:
        if one in kept:
            rows.append(kept[one])
            new.recipes[one] = site.old.recipes[one]
            for path in _paths(one):
                site.keep(path)
            continue
        if progress is not None:
            progress(read, len(todo), one)
        read += 1
        recipe, wrong = pages.recipe(one)
        problems += wrong
        if recipe is None:
            continue
        rows.append(recipe.row)
        new.recipes[one] = {"fingerprint": prints[one], "row": row_to_data(recipe.row)}
        if not problems:
            made += zip(_paths(one), (recipe.page, recipe.data), strict=True)
            # A broken recipe later on must leave the site as it is, so nothing is written yet.
    if problems:
        raise RecordsBroken(problems)
    site.begin()
    for path, text in [*made, *pages.shared(rows)]:
        site.add(path, text)
    _add_assets(site, pages)
    removed = tuple(_removed(site))
    new.files = dict(sorted(site.files.items()))
    write_atomic(site.out / FILE, new.text(), within=site.out, durable=False)
    return Built(site.out, tuple(site.written), removed, len(prints), len(todo), len(new.files))


def _kept_rows(old: Manifest, names: set[str]) -> dict[str, Row]:
    """The rows of unchanged recipes; without those that somebody has edited, whose recipes are read anew."""
    from recipegen.site.rows import row_from_data

    found = {}
    for name in names:
        with suppress(TypeError, KeyError, ValueError, AttributeError):
            found[name] = row_from_data(old.recipes[name]["row"])
    return found


def _add_assets(site: _Site, pages: Pages) -> None:
    for path, data in pages.assets():
        site.add(f"assets/{path}", data)
    # Putting the chart library together takes two seconds; it is the same as long as its first line is.
    head = f"/* {pages.vega_stamp()} */\n"
    target = site.out / _VEGA
    if target.is_file() and target.read_bytes().startswith(head.encode()) and site.keep(_VEGA):
        return
    site.add(_VEGA, head + pages.vega())


def _removed(site: _Site) -> Iterator[str]:
    """Files of the earlier site that are no longer due; only those that nobody has changed since."""
    for path, digest in site.old.files.items():
        target = site.out / path
        if path in site.files or not target.is_file() or not _inside(site.out, target):
            continue
        if sha256_bytes(target.read_bytes()) == digest:
            target.unlink()
            yield path


def _inside(out: Path, target: Path) -> bool:
    """Whether a path of the manifest, which anybody may have edited, lies in the site."""
    return target.resolve().is_relative_to(out.resolve())
