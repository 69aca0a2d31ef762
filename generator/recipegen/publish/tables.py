"""The tables of a repository on disk: INDEX.md, index.json, index.csv, every RESULTS.md. Owns when they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recipegen.errors import Problem
from recipegen.files import write_atomic
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
    for shown in iter_shown(workspace, problems):
        # One recipe at a time: the samples of all of them would fill the memory.
        rows.append(shown.row)
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
