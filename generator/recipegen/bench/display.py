"""What the user sees while cells are measured. Owns no measuring; takes text from anywhere as plain text."""

from __future__ import annotations

import json
import os
import time
import unicodedata
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from recipegen.bench.events import CellProgress
from recipegen.bench.time_left import PlannedCell, TimeLeft

if TYPE_CHECKING:
    from rich.console import RenderableType

_REFRESH_S = 0.5
"""A table is drawn at most this often: drawing takes processor time that a CPU engine needs."""


class Display:
    """The display's interface, and the face that shows nothing.

    The order of calls: `start` once, then for every cell `cell_started`, `update` at will, and `cell_done` or
    `cell_failed`; `note` at any time; `close` at the end, after an error too (or use a `with` block).
    """

    def start(self, plan: Sequence[PlannedCell]) -> None:
        """All cells that will be measured, in order."""

    def cell_started(self, cell: PlannedCell) -> None:
        """A cell begins."""

    def update(self, progress: CellProgress) -> None:
        """The running cell has gone on."""

    def cell_done(self, cell: PlannedCell, summary_line: str) -> None:
        """A cell has ended well; its figures in one line."""

    def cell_failed(self, cell: PlannedCell, reason: str) -> None:
        """A cell has failed; the first line of the reason is shown."""

    def note(self, text: str) -> None:
        """Something worth a line: a server is being started, a corpus is being fetched."""

    def close(self) -> None:
        """Ends the display; calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def display_for(stream: TextIO, *, as_json: bool = False) -> Display:
    """The face that suits a stream: JSON lines when asked for, a table on a terminal, else plain lines."""
    if as_json:
        return JsonDisplay(stream)
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return TerminalDisplay(stream)
    return PlainDisplay(stream)


class PlainDisplay(Display):
    """Plain lines without times: for logs, pipes and CI. A cell writes at most one line a run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._plan: list[str] = []
        self._finished_runs = 0
        self._time = TimeLeft()

    def start(self, plan: Sequence[PlannedCell]) -> None:
        self._plan, self._time = [cell.id for cell in plan], TimeLeft(plan)
        self._say(_count(len(plan), "cell"))

    def cell_started(self, cell: PlannedCell) -> None:
        self._finished_runs = 0
        self._time.started(cell)
        self._say(f"{self._place(cell)}{cell.id}: {_count(cell.runs, 'run')}")

    def update(self, progress: CellProgress) -> None:
        if progress.finished_runs > self._finished_runs:
            self._finished_runs = progress.finished_runs
            left = self._time.seconds(progress)
            all_cells = f", {duration(left)} for all cells" if left and self._time.cells_waiting else ""
            self._say(f"  {progress_line(progress)}{all_cells}")

    def cell_done(self, cell: PlannedCell, summary_line: str) -> None:
        self._say(f"  {cell.id}: done, {summary_line}")

    def cell_failed(self, cell: PlannedCell, reason: str) -> None:
        self._say(f"  {cell.id}: FAILED, {reason}")

    def note(self, text: str) -> None:
        self._say(text)

    def _place(self, cell: PlannedCell) -> str:
        return f"[{self._plan.index(cell.id) + 1}/{len(self._plan)}] " if cell.id in self._plan else ""

    def _say(self, text: str) -> None:
        indent = "  " if text.startswith("  ") else ""
        print(indent + one_line(text), file=self._stream, flush=True)


class JsonDisplay(Display):
    """One JSON object a line for every call; `update` speaks once a run: `tg_tok_s` is that run's speed, `seconds_left`
    the rest of its cell, `seconds_left_all_cells` of all."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._cell = ""
        self._finished_runs = 0
        self._time = TimeLeft()

    def start(self, plan: Sequence[PlannedCell]) -> None:
        self._time = TimeLeft(plan)
        self._say("start", cells=[{"id": cell.id, "runs": cell.runs} for cell in plan])

    def cell_started(self, cell: PlannedCell) -> None:
        self._cell, self._finished_runs = cell.id, 0
        self._time.started(cell)
        self._say("cell_started", cell=cell.id, runs=cell.runs)

    def update(self, progress: CellProgress) -> None:
        if progress.finished_runs == self._finished_runs:
            return
        self._finished_runs = progress.finished_runs
        self._say(
            "run_done",
            cell=self._cell,
            run=progress.finished_runs,
            runs=progress.runs,
            tg_tok_s=progress.latest_rate,
            tg_median_tok_s=progress.median_rate,
            ttfr_ms=None if progress.ttfr_s is None else progress.ttfr_s * 1000,
            failed_requests=progress.failed_requests,
            seconds_left=progress.seconds_left(),
            seconds_left_all_cells=self._time.seconds(progress),
            cells_waiting=self._time.cells_waiting,
            acceptance=progress.server.get("acceptance"),
            used_bytes=progress.server.get("used_bytes"),
        )

    def cell_done(self, cell: PlannedCell, summary_line: str) -> None:
        self._say("cell_done", cell=cell.id, summary=summary_line)

    def cell_failed(self, cell: PlannedCell, reason: str) -> None:
        self._say("cell_failed", cell=cell.id, reason=reason)

    def note(self, text: str) -> None:
        self._say("note", text=text)

    def _say(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), file=self._stream, flush=True)


class TerminalDisplay(Display):
    """A table that is drawn again as the cells go on; stays on the screen when it is closed.

    A plan that is longer than the screen shows the cells around the running one.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, markup=False, emoji=False, highlight=False)
        # Drawn by `update` alone: a thread of its own would draw when nothing has changed.
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._rows: dict[str, tuple[str, str]] = {}
        self._current = ""
        self._time, self._left = TimeLeft(), ""
        self._drawn = 0.0

    def start(self, plan: Sequence[PlannedCell]) -> None:
        self._time = TimeLeft(plan)
        self._rows = {cell.id: ("waiting", _count(cell.runs, "run")) for cell in plan}
        self._live.start()
        self._draw()

    def cell_started(self, cell: PlannedCell) -> None:
        self._current = cell.id
        self._time.started(cell)
        self._rows[cell.id] = ("running", "warming up")
        self._draw()

    def update(self, progress: CellProgress) -> None:
        if time.monotonic() - self._drawn >= _REFRESH_S:
            now = time.time()
            self._rows[self._current] = ("running", progress_line(progress, now))
            left = self._time.seconds(progress, now)
            self._left = f", {duration(left)} left" if left else ""
            self._draw()

    def cell_done(self, cell: PlannedCell, summary_line: str) -> None:
        self._rows[cell.id] = ("done", summary_line)
        self._draw()

    def cell_failed(self, cell: PlannedCell, reason: str) -> None:
        self._rows[cell.id] = ("failed", reason)
        self._draw()

    def note(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(one_line(text)))
        if self._live.is_started:
            self._live.refresh()

    def close(self) -> None:
        if self._live.is_started:
            self._draw()
            self._live.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._live.update(self._table(), refresh=True)

    def _table(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        styles = {"waiting": "dim", "running": "bold", "done": "green", "failed": "red"}
        finished = sum(state in ("done", "failed") for state, _ in self._rows.values())
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        left = self._left if finished < len(self._rows) else ""
        for title in (f"cell ({finished} of {len(self._rows)}{left})", "state", ""):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        for name in self._shown():
            state, text = self._rows[name]
            table.add_row(Text(one_line(name)), Text(state, styles[state]), Text(one_line(text)))
        return table

    def _shown(self) -> list[str]:
        """The cells that fit on the screen, the running one among them."""
        names = list(self._rows)
        room = max(1, self._console.height - 3)
        at = names.index(self._current) if self._current in self._rows else 0
        first = max(0, min(at - room // 2, len(names) - room))
        return names[first : first + room]


def progress_line(progress: CellProgress, now: float | None = None) -> str:
    """The progress of a cell in words, e.g. `run 3/30, 41.2 tok/s (now 40.9), TTFR 512 ms, 2 min left`."""
    parts = [f"run {progress.run}/{progress.runs}"]
    rate, current = progress.median_rate, progress.current_rate
    if rate is not None:
        parts.append(f"{rate:.1f} tok/s" + (f" (now {current:.1f})" if current is not None else ""))
    elif current is not None:
        parts.append(f"now {current:.1f} tok/s")
    if progress.ttfr_s is not None:
        parts.append(f"TTFR {progress.ttfr_s * 1000:.0f} ms")
    if progress.failed_requests:
        parts.append(_count(progress.failed_requests, "failed request"))
    acceptance, used = (progress.server.get(key) for key in ("acceptance", "used_bytes"))
    if acceptance is not None:
        parts.append(f"{acceptance:.0%} of drafts accepted")
    if used is not None:
        parts.append(f"{used / (1 << 30):.1f} GiB used")
    left = progress.seconds_left(now)
    if left:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time span for people: `40 s`, `3 min`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def one_line(text: str) -> str:
    """The first line of a text, without characters that a terminal would obey."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return "".join(c for c in " ".join(first.split()) if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
