"""Leaderboards: what each of them takes, whether it would take an entry, sending it once. Owns the list of boards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from recipegen.boards.base import Board, Preflight, Sending, Submitted
from recipegen.boards.localmaxxing import LocalMaxxing
from recipegen.boards.receipts import Receipts
from recipegen.boards.spark_arena import SparkArena

BUNDLE_MARK = "MANIFEST.json"
"""At the top of an unpacked bundle, whose files are listed there: nothing may be added to it."""


@cache
def all_boards() -> Mapping[str, Board]:
    """Every board, by name."""
    return MappingProxyType({board.name: board for board in (LocalMaxxing(), SparkArena())})


def receipts_of(root: Path, recipe_folder: Path, board: str) -> Receipts:
    """Where the receipts of a recipe at a board are: in its folder, or beside an unpacked bundle.

    Args:
        root: of the repository; an unpacked bundle is one.
        recipe_folder: recipes/<name>.
    """
    if (root / BUNDLE_MARK).exists():
        return Receipts(root.resolve().parent / f"{root.resolve().name}.submission" / f"{board}-receipts.jsonl")
    return Receipts(recipe_folder / "submission" / f"{board}-receipts.jsonl")


__all__ = ["Board", "Preflight", "Receipts", "Sending", "Submitted", "all_boards", "receipts_of"]
