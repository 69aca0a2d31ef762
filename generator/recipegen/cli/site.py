"""The command that writes the site. Owns arguments and what is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipegen.cli import json_option, root_option
from recipegen.errors import RecipegenError
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from recipegen.site.build import Built


@click.command("site")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the site; `site` in the repository by default.",
)
@click.option("--title", metavar="TEXT", help="Title of the site; the repository's folder by default.")
@click.option(
    "--repository-url",
    metavar="URL",
    help="Where the repository's files can be looked at, such as https://github.com/OWNER/NAME/blob/main: kit files "
    "and raw reports are then linked.",
)
@click.option("--force", is_flag=True, help="Read and render everything, whatever seems unchanged.")
@click.option("--serve", is_flag=True, help="Serve it on 127.0.0.1 afterwards, until Ctrl-C.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="For --serve; 0: a free one."
)
@root_option
@json_option
def site_command(
    out: Path | None,
    title: str | None,
    repository_url: str | None,
    force: bool,
    serve: bool,
    port: int,
    root: Path | None,
    as_json: bool,
) -> None:
    """Write a static site of all recipes: a table to sort and filter, a page a recipe with charts, a comparison.

    It works from file:// and from any static host, asks no other host for anything, and runs no inline script. Only
    recipes whose files changed are read again, only files that changed are written. Figures of others stand apart.

    \b
    Examples:
      recipegen site --serve
      recipegen site -o public --title "Recipes for DGX Spark"
      recipegen site --repository-url https://github.com/me/my-recipes/blob/main
    """
    from recipegen.site.build import build_site

    base_url = None if repository_url is None else _web_address(repository_url)
    workspace = Workspace.open(root)
    folder = out or workspace.repository.root / "site"
    with _progress(shown=not as_json) as told:
        built = build_site(workspace, folder, force=force, title=title, base_url=base_url, progress=told)
    click.echo(json.dumps(built.as_data(), indent=2) if as_json else _words(built))
    if serve:
        _serve(folder, port)


def _web_address(text: str) -> str:
    """An address that files' paths can be put behind.

    Raises:
        RecipegenError: it is none.
    """
    if not re.fullmatch(r"https?://[^\s<>\"'?#]+", text):
        hint = "for example --repository-url https://github.com/OWNER/NAME/blob/main"
        raise RecipegenError(f"{text!r} is not the web address of a repository's files", hint=hint)
    return text.rstrip("/")


def _words(built: Built) -> str:
    if not built.written and not built.removed:
        return f"up to date: {built.out} ({built.recipes} recipes, {built.files} files)"
    gone = f", {len(built.removed)} removed" if built.removed else ""
    read = f"{built.read} of {built.recipes} recipes read"
    return (
        f"wrote {len(built.written)} of {built.files} files{gone} in {built.out} ({read}): open {built.out}/index.html"
    )


class _progress:
    """A bar on standard error while recipes are read, on a terminal only."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown

    def __enter__(self) -> _progress | None:
        from rich.console import Console

        console = Console(stderr=True)
        if not self._shown or not console.is_terminal:
            return None
        from rich.progress import Progress

        self._bar = Progress(console=console, transient=True)
        self._task = self._bar.add_task("recipes", total=None)
        self._bar.start()
        return self

    def __call__(self, done: int, total: int, name: str) -> None:
        self._bar.update(self._task, completed=done, total=total, description=name)

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_bar"):
            self._bar.stop()


def _serve(folder: Path, port: int) -> None:
    from recipegen.site.serve import HOST, site_server

    with site_server(folder, port) as server:
        click.echo(f"serving http://{HOST}:{server.server_address[1]}/ until Ctrl-C")
        server.serve_forever()
