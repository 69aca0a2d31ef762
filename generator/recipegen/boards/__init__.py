"""Leaderboards: what each of them takes, whether it would take an entry, sending it once. Owns the list of boards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from recipegen.boards.base import Board, Preflight, Sending, Submitted
from recipegen.boards.localmaxxing import LocalMaxxing
from recipegen.boards.receipts import Receipts, user_ledger
from recipegen.boards.spark_arena import SparkArena

if TYPE_CHECKING:
    from recipegen.spec.completed import Spec
    from recipegen.workspace import Workspace

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


def stale_kit(workspace: Workspace, spec: Spec) -> list[str]:
    """What to look at where the kit on disk is not the recipe's: it is what a reader of the row would start."""
    from recipegen.render.write import compare

    changes = compare(workspace.kit(spec), workspace.folder(spec))
    told = f"the kit of {spec.name} is not as its recipe says: {'; '.join(changes.lines())}"
    return [f"{told} (`recipegen render {spec.name}`)"] if changes else []


__all__ = ["Board", "Preflight", "Receipts", "Sending", "Submitted", "all_boards", "receipts_of", "stale_kit"]
