"""The tables of a repository on disk: INDEX.md, index.json, index.csv, every RESULTS.md. Owns when they are written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from recipegen.errors import Problem, RecipegenError, Where
from recipegen.files import read_bounded, write_atomic
from recipegen.publish.charts.chart import Chart
from recipegen.publish.charts.recipe import FOLDER as CHARTS
from recipegen.publish.charts.samples import empty_chart
from recipegen.publish.charts.svg import is_current, is_marked, is_ours, svg
from recipegen.publish.data import CSV_FILE, JSON_FILE, index_csv, index_json
from recipegen.publish.index import RESULTS_PAGE, RecordsBroken, around_table, build_index
from recipegen.publish.results_page import build_results_page
from recipegen.publish.row import Row
from recipegen.publish.shown import Shown, read_shown
from recipegen.spec.model import MEASURED_STATUSES
from recipegen.workspace import Workspace

_CHART_LIMIT = 16 << 20
"""Bytes of a chart that is looked at; one of a thousand samples has some hundred kB."""


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

    Raises:
        RecipegenError: a file that recipegen did not draw stands where a chart belongs.
    """
    folder = shown.entry.folder / CHARTS
    due = {f"{chart.id}.svg": chart for chart in (*shown.charts, *_unmeasured(shown))}
    stale = []
    for name, chart in due.items():
        path = folder / name
        there = os.path.lexists(path)
        found = read_bounded(path, _CHART_LIMIT) if there else b""
        if there and (path.is_symlink() or not is_marked(found)):
            message = f"{CHARTS}/{name} stands where a chart belongs, and recipegen did not draw it"
            raise RecipegenError(message, where=Where(path), hint="move it elsewhere, then run recipegen index")
        if not is_current(chart, found):
            stale.append(path)
            if write:
                folder.mkdir(exist_ok=True)
                write_atomic(path, svg(chart), within=shown.entry.folder)
    for path in sorted(folder.glob("*.svg")) if folder.is_dir() else ():
        plain = path.name not in due and path.is_file() and not path.is_symlink()
        if plain and path.stat().st_size <= _CHART_LIMIT and is_ours(path.read_bytes()):
            stale.append(path)
            if write:
                path.unlink()
    return stale


def _unmeasured(shown: Shown) -> list[Chart]:
    """What stands in for the charts that a recipe's README shows and that there are no samples for: the README follows
    from recipe.yaml alone, which says that something was measured."""
    if shown.entry.status not in MEASURED_STATUSES:
        return []
    there = {chart.id for chart in shown.charts}
    return [chart for chart in map(empty_chart, ("tg", "pp")) if chart.id not in there]


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
