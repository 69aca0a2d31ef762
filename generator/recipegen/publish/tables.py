"""The tables of a repository on disk: INDEX.md and every RESULTS.md. Owns when they are written, not what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recipegen.errors import Problem
from recipegen.files import write_atomic
from recipegen.publish.agents import labelled_agents
from recipegen.publish.entry import IndexEntry, entry_of
from recipegen.publish.index import RecordsBroken, build_index
from recipegen.publish.results_page import build_results_page
from recipegen.results.store import iter_runs
from recipegen.workspace import Workspace


def write_index(workspace: Workspace, *, write: bool = True) -> list[Path]:
    """Bring INDEX.md and the RESULTS.md files up to date.

    Returns:
        The files that were stale.

    Raises:
        RecordsBroken: records or reports cannot be used; all that were looked at.
    """
    root = workspace.repository.root
    entries: list[IndexEntry] = []
    problems: list[Problem] = []
    for spec in workspace.specs():
        agents, broken = labelled_agents(workspace, spec.name)
        problems += broken
        entries.append(entry_of(spec, workspace.folder(spec), f"recipes/{spec.name}", agents))
    try:
        texts = _texts(workspace.repository.index, entries)
    except RecordsBroken as error:
        problems += error.problems
    if problems:
        raise RecordsBroken(problems)
    stale = [path for path, text in texts.items() if _text(path) != text]
    for path in stale if write else []:
        write_atomic(path, texts[path], within=root)
    return stale


def _texts(index: Path, entries: Sequence[IndexEntry]) -> dict[Path, str]:
    """Every file that there must be, with its text."""
    texts = {index: build_index(entries, _text(index) or "")}
    for entry in entries:
        runs = list(iter_runs(entry.folder))
        if runs or entry.agents:
            texts[entry.folder / "RESULTS.md"] = build_results_page(entry, runs)
    return texts


def _text(path: Path) -> str | None:
    """A file's text, line ends as they are; None when there is no such file."""
    return path.read_bytes().decode("utf-8") if path.is_file() else None
