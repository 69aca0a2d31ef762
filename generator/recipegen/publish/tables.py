"""The tables of a repository on disk: INDEX.md, index.json, index.csv, every RESULTS.md. Owns when they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recipegen.errors import Problem
from recipegen.files import write_atomic
from recipegen.publish.charts.recipe import FOLDER as CHARTS
from recipegen.publish.charts.svg import is_current, is_ours, svg
from recipegen.publish.data import CSV_FILE, JSON_FILE, index_csv, index_json
from recipegen.publish.index import RESULTS_PAGE, RecordsBroken, around_table, build_index
from recipegen.publish.results_page import build_results_page
from recipegen.publish.row import Row
from recipegen.publish.shown import Shown, read_shown
from recipegen.workspace import Workspace


def write_index(workspace: Workspace, *, write: bool = True) -> list[Path]:
    """Bring INDEX.md, index.json, index.csv and the RESULTS.md files up to date.

    Returns:
        The files that were stale.

    Raises:
        RecordsBroken: records or reports cannot be used; all that were looked at.
        RecipegenError: the markers of INDEX.md are broken.
    """
    root, index = workspace.repository.root, workspace.repository.index
    # The markers first: a broken file should not cost a pass over ten thousand reports.
    around_table(_text(index) or "")
    rows: list[Row] = []
    texts: dict[Path, str] = {}
    problems: list[Problem] = []
    drawn: list[Path] = []
    for shown in iter_shown(workspace, problems):
        # One recipe at a time: the samples of all of them would fill the memory.
        rows.append(shown.row)
        drawn += write_charts(shown, write=write and not problems)
        if shown.runs or shown.entry.agents:
            texts[shown.entry.folder / RESULTS_PAGE] = build_results_page(shown)
    if problems:
        raise RecordsBroken(problems)
    texts |= {
        index: build_index(rows, _text(index) or ""),
        root / JSON_FILE: index_json(rows),
        root / CSV_FILE: index_csv(rows),
    }
    stale = [path for path, text in texts.items() if _text(path) != text]
    for path in stale if write else []:
        write_atomic(path, texts[path], within=root)
    return sorted([*stale, *drawn])


def write_charts(shown: Shown, *, write: bool = True) -> list[Path]:
    """Brings the SVG files of a recipe up to date; its own that no longer apply are removed, nobody else's.

    Returns:
        The files that were stale, or stood there without need.
    """
    folder = shown.entry.folder / CHARTS
    due = {f"{chart.id}.svg": chart for chart in shown.charts}
    stale = []
    for name, chart in due.items():
        path = folder / name
        if not path.is_file() or not is_current(chart, path.read_bytes()):
            stale.append(path)
            if write:
                folder.mkdir(exist_ok=True)
                write_atomic(path, svg(chart), within=shown.entry.folder)
    for path in sorted(folder.glob("*.svg")) if folder.is_dir() else ():
        if path.name not in due and is_ours(path.read_bytes()):
            stale.append(path)
            if write:
                path.unlink()
    return stale


def iter_shown(workspace: Workspace, problems: list[Problem]) -> Iterator[Shown]:
    """Every recipe with what is shown of it; what cannot be used is added to `problems`.

    Raises:
        SpecError: recipes that cannot be read; all of them.
    """
    for spec in workspace.specs():
        shown, wrong = read_shown(workspace, spec)
        problems += wrong
        yield shown


def _text(path: Path) -> str | None:
    """A file's text, line ends as they are; None when there is no such file."""
    return path.read_bytes().decode("utf-8") if path.is_file() else None
