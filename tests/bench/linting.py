"""Linting 1,000 recipes against loading them. Owns no printing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rendering import BLOCK, RECIPES, blocks_row, make_repository
from sampling import Row, clocked

from recipegen.catalog import preset_names
from recipegen.workspace import Workspace

TARGET = 3


def rows() -> list[Row]:
    """All rules on every variant, files read and checked included, against reading, checking, completing alone."""
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        names = make_repository(Path(folder))
        workspace = Workspace.open(Path(folder))
        _lint(workspace, names[: len(preset_names())])  # reads the catalog, the rules, the engines' flags
        blocks = [names[at : at + BLOCK] for at in range(0, RECIPES, BLOCK)]
        pairs = [
            (clocked(lambda block=block: _lint(workspace, block)), clocked(lambda block=block: workspace.specs(block)))
            for block in blocks
        ]
    linting, loading = (list(side) for side in zip(*pairs, strict=True))
    remark = f"{len(blocks)} blocks of {BLOCK}, all presets in turn"
    return [blocks_row(f"linting {RECIPES:,} recipes", linting, "loading and completing them", loading, TARGET, remark)]


def _lint(workspace: Workspace, names: list[str]) -> None:
    for name in names:
        workspace.findings(name)
