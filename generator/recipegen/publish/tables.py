"""The tables of a repository on disk: INDEX.md and every RESULTS.md. Owns when they are written, not what they say."""

from __future__ import annotations

from pathlib import Path

from recipegen.files import write_atomic
from recipegen.publish.entry import entry_of
from recipegen.publish.index import build_index
from recipegen.publish.results_page import build_results_page
from recipegen.results.store import iter_runs
from recipegen.workspace import Workspace


def write_index(workspace: Workspace, *, write: bool = True) -> list[Path]:
    """Bring INDEX.md and the RESULTS.md files up to date.

    Returns:
        The files that were stale.
    """
    root = workspace.repository.root
    entries = [entry_of(spec, workspace.folder(spec), f"recipes/{spec.name}") for spec in workspace.specs()]
    index = workspace.repository.index
    texts = {index: build_index(entries, _text(index) or "")}
    for entry in entries:
        runs = list(iter_runs(entry.folder))
        if runs:
            texts[entry.folder / "RESULTS.md"] = build_results_page(entry, runs)
    stale = [path for path, text in texts.items() if _text(path) != text]
    for path in stale if write else []:
        write_atomic(path, texts[path], within=root)
    return stale


def _text(path: Path) -> str | None:
    """A file's text, line ends as they are; None when there is no such file."""
    return path.read_bytes().decode("utf-8") if path.is_file() else None
