"""Leaderboards: what each of them takes, whether it would take an entry, sending it once. Owns the list of boards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from recipegen.boards.base import Board, Preflight, Sending, Submitted
from recipegen.boards.localmaxxing import LocalMaxxing
from recipegen.boards.receipts import Receipts, user_ledger
from recipegen.boards.spark_arena import SparkArena

BUNDLE_MARK = "MANIFEST.json"
"""At the top of an unpacked bundle, whose files are listed there: nothing may be added to it."""


@cache
def all_boards() -> Mapping[str, Board]:
    """Every board, by name."""
    return MappingProxyType({board.name: board for board in (LocalMaxxing(), SparkArena())})


def receipts_of(root: Path, recipe_folder: Path, board: str, archive: Path | None = None) -> Receipts:
    """Where the receipts of a recipe at a board are: in its folder, or beside a bundle, packed or not.

    Args:
        root: of the repository; an unpacked bundle is one.
        recipe_folder: recipes/<name>.
        archive: that the bundle was unpacked from for a while.
    """
    if archive is not None:
        name = archive.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")
        folder = archive.resolve().parent / f"{name}.submission"
    elif (root / BUNDLE_MARK).exists():
        folder = root.resolve().parent / f"{root.resolve().name}.submission"
    else:
        folder = recipe_folder / "submission"
    return Receipts(folder / f"{board}-receipts.jsonl", user_ledger(board))


__all__ = ["Board", "Preflight", "Receipts", "Sending", "Submitted", "all_boards", "receipts_of"]
