"""How long the cells of a plan still take, reckoned from those measured so far. Owns no clock and no display."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from recipegen.bench.events import CellProgress


class PlannedCell(Protocol):
    """What is known of a cell beforehand: tokens, requests at the same time, repetitions."""

    @property
    def id(self) -> str: ...

    @property
    def pp(self) -> int: ...

    @property
    def tg(self) -> int: ...

    @property
    def depth(self) -> int: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def runs(self) -> int: ...


class TimeLeft:
    """Seconds until the last cell is done.

    Cells differ a hundredfold in length, so that their number says little: a run is reckoned as its prompts' tokens (of
    all its requests, which share the engine's compute) times seconds for one, and an answer's tokens (which requests at
    the same time decode together) times seconds for one; both as all cells so far had them.
    """

    def __init__(self, plan: Sequence[PlannedCell] = ()) -> None:
        self._waiting = {cell.id: cell for cell in plan}
        self._current: PlannedCell | None = None
        self._of_cell: dict[str, tuple[float, float, PlannedCell]] = {}

    def started(self, cell: PlannedCell) -> None:
        """A cell begins."""
        self._waiting.pop(cell.id, None)
        self._current = cell

    @property
    def cells_waiting(self) -> int:
        """Cells that have not begun."""
        return len(self._waiting)

    def seconds(self, progress: CellProgress, now: float | None = None) -> float | None:
        """Of the running cell and all that wait; None before the first run has ended.

        Args:
            progress: of the running cell.
            now: Unix seconds; the time of the latest event when None.
        """
        cell, each = self._current, progress.seconds_each
        if cell is not None and each is not None:
            first = min(progress.ttfr_s or 0.0, each)
            self._of_cell[cell.id] = (first, each - first, cell)
        if not self._of_cell:
            return None
        left = progress.seconds_left(now)
        if left is None:
            left = self._whole(cell) * (1 - progress.fraction) if cell is not None else 0.0
        return left + sum(map(self._whole, self._waiting.values()))

    def _whole(self, cell: PlannedCell) -> float:
        """Seconds of a whole cell, llama-benchy's warm-up run included."""
        known = self._of_cell.values()
        prompt_s = sum(first for first, _, _ in known) / sum(_prompt(one) for _, _, one in known)
        answer_s = sum(rest for _, rest, _ in known) / sum(one.tg for _, _, one in known)
        return (cell.runs + 1) * (prompt_s * _prompt(cell) + answer_s * cell.tg)


def _prompt(cell: PlannedCell) -> int:
    return (cell.pp + cell.depth) * cell.concurrency
