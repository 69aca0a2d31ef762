"""The display's faces."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from recipegen.bench import display
from recipegen.bench.display import JsonDisplay, PlainDisplay, TerminalDisplay, display_for, one_line, progress_line
from recipegen.bench.events import CellProgress, Event
from recipegen.bench.time_left import TimeLeft

HOSTILE = "[bold red]boom[/] [link=http://x]\x1b[2J\x1b]0;title\x07 \u202etxt :smile: [/nonsense]"
VISIBLE = "[bold red]boom[/] [link=http://x][2J]0;title txt :smile: [/nonsense]"


@dataclass(frozen=True)
class Cell:
    id: str
    runs: int = 3
    pp: int = 100
    tg: int = 5
    depth: int = 0
    concurrency: int = 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def events_of_run(run: int, ts: float) -> list[Event]:
    def event(kind: str, at: float, **data: object) -> Event:
        return Event(kind, ts + at, {"request_id": run, **data})

    return [
        event("request_start", 0, run_index=run, concurrency=1, response_size=5),
        event("request_first_response", 1, ttfr_s=1.0),
        event("tokens", 1, count=1),
        event("tokens", 3, count=4),
        event("request_end", 3, total_tokens=5, error=""),
    ]


def measure(shown: display.Display, cell: Cell) -> None:
    """Three runs of 4 s, 2 tok/s each, told event by event."""
    shown.cell_started(cell)
    progress = CellProgress(cell.runs)
    for run in range(1, cell.runs + 1):
        for event in events_of_run(run, run * 4.0):
            progress.feed([event])
            shown.update(progress)
    progress.feed([Event("bench_complete", (cell.runs + 1) * 4.0, {"status": "ok"})])
    shown.update(progress)


def show_all(shown: display.Display) -> None:
    first, second = Cell("prose-pp2048-tg128-d0-c1"), Cell("code-pp128-tg128-d0-c1", runs=1)
    with shown:
        shown.note("starting the server")
        shown.start([first, second])
        measure(shown, first)
        shown.cell_done(first, "tg 2.0 tok/s")
        shown.cell_started(second)
        shown.cell_failed(second, f"{HOSTILE}\nmore of the log")
        shown.note(HOSTILE)
    shown.close()


def test_plain_lines() -> None:
    out = io.StringIO()
    show_all(PlainDisplay(out))
    assert out.getvalue().splitlines() == [
        "starting the server",
        "2 cells",
        "[1/2] prose-pp2048-tg128-d0-c1: 3 runs",
        "  run 2/3, 2.0 tok/s, TTFR 1000 ms, 8 s left, 16 s for all cells",
        "  run 3/3, 2.0 tok/s, TTFR 1000 ms, 4 s left, 12 s for all cells",
        "  run 3/3, 2.0 tok/s, TTFR 1000 ms, 8 s for all cells",
        "  prose-pp2048-tg128-d0-c1: done, tg 2.0 tok/s",
        "[2/2] code-pp128-tg128-d0-c1: 1 run",
        f"  code-pp128-tg128-d0-c1: FAILED, {VISIBLE}",
        VISIBLE,
    ]


def test_time_left_of_cells_of_other_shapes() -> None:
    """1 s for 100 prompt tokens, 3 s for 5 answer tokens and the pause after them; two runs are done of three."""
    cells = [
        Cell("now"),
        Cell("deep", runs=1, depth=900),  # 10 s of prefill, 3 s of decode, twice
        Cell("wide", runs=1, concurrency=4),  # prefill of four prompts, 3 s of decode for all of them, twice
        Cell("long", runs=1, tg=50),  # 1 s and 30 s, twice
    ]
    time_left = TimeLeft(cells)
    progress = CellProgress(3)
    assert time_left.seconds(progress) is None
    time_left.started(cells[0])
    assert time_left.seconds(progress) is None
    for run in (1, 2, 3):
        progress.feed(events_of_run(run, run * 4.0))
    now = 3 * 4.0  # of the third run nothing is done yet
    assert time_left.cells_waiting == 3
    assert time_left.seconds(progress, now) == pytest.approx(4 + 2 * 13 + 2 * 7 + 2 * 31)
    time_left.started(cells[1])
    assert time_left.seconds(CellProgress(1)) == pytest.approx(2 * 13 + 2 * 7 + 2 * 31)


def test_the_latest_rate_is_that_of_the_run_just_finished() -> None:
    progress = CellProgress(3)
    assert progress.latest_rate is None
    progress.feed(events_of_run(1, 4.0))
    assert progress.latest_rate == progress.current_rate == 2.0
    progress.feed([Event("request_start", 8.0, {"request_id": 2, "run_index": 2, "concurrency": 1})])
    assert (progress.current_rate, progress.latest_rate) == (None, 2.0)


def test_plain_lines_are_flushed_at_once(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        PlainDisplay(stream).note("now")
        assert (tmp_path / "out").read_text() == "now\n"


def test_json_lines() -> None:
    out = io.StringIO()
    show_all(JsonDisplay(out))
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["event"] for one in said] == [
        "note",
        "start",
        "cell_started",
        "run_done",
        "run_done",
        "run_done",
        "cell_done",
        "cell_started",
        "cell_failed",
        "note",
    ]
    assert said[1]["cells"][1] == {"id": "code-pp128-tg128-d0-c1", "runs": 1}
    assert said[4] == {
        "event": "run_done",
        "cell": "prose-pp2048-tg128-d0-c1",
        "run": 2,
        "runs": 3,
        "tg_tok_s": 2.0,
        "tg_median_tok_s": 2.0,
        "ttfr_ms": 1000.0,
        "failed_requests": 0,
        "seconds_left": 4.0,
        "seconds_left_all_cells": 12.0,  # and one run after its warm-up of the cell that waits, 4 s each
        "cells_waiting": 1,
        "acceptance": None,
        "used_bytes": None,
    }
    assert said[-2]["reason"] == f"{HOSTILE}\nmore of the log"
    assert "\x1b" not in out.getvalue()


def test_terminal_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_REFRESH_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    out = Terminal()
    show_all(TerminalDisplay(out))
    raw = out.getvalue()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)
    assert "cell (0 of 2)" in text
    assert "warming up" in text
    assert "run 2/3, 2.0 tok/s (now 2.0), TTFR 1000 ms" in text
    last = text[text.rindex("cell (2 of 2)") :]
    assert re.search(r"prose-pp2048-tg128-d0-c1 +done +tg 2.0 tok/s", last)
    assert re.search(r"code-pp128-tg128-d0-c1 +failed +\[bold red\]boom\[/\] \[link=http://x\]\[2J", last)
    assert ":smile:" in text
    assert "\x1b]0;" not in raw, "a title set by a log line"
    assert "\x1b[2J" not in raw, "a screen cleared by a log line"
    assert "\u202e" not in raw
    assert raw.count("\x1b[?25l") == raw.count("\x1b[?25h") == 1, "the cursor is hidden once and comes back"


def test_terminal_draws_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    shown = TerminalDisplay(out)
    with shown:
        shown.start([Cell("one")])
        shown.cell_started(Cell("one"))
        before = len(out.getvalue())
        progress = CellProgress(3)
        for _ in range(1000):
            shown.update(progress)
        assert len(out.getvalue()) == before
        shown._drawn = time.monotonic() - 1
        shown.update(progress)
        assert len(out.getvalue()) > before


def test_terminal_shows_the_running_cell_of_a_long_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LINES", "13")
    monkeypatch.setenv("COLUMNS", "80")
    shown = TerminalDisplay(Terminal())
    plan = [Cell(f"cell-{i}") for i in range(100)]
    with shown:
        shown.start(plan)
        assert shown._shown()[0] == "cell-0"
        for at in (0, 50, 99):
            shown.cell_started(plan[at])
            assert f"cell-{at}" in shown._shown()
            assert len(shown._shown()) == 10


def test_interrupted_terminal_gets_its_cursor_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with pytest.raises(KeyboardInterrupt), TerminalDisplay(out) as shown:
        shown.start([Cell("one")])
        raise KeyboardInterrupt
    assert out.getvalue().rstrip().endswith("\x1b[?25h")


def test_the_face_suits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert type(display_for(io.StringIO())) is PlainDisplay
    assert type(display_for(Terminal())) is TerminalDisplay
    assert type(display_for(Terminal(), as_json=True)) is JsonDisplay
    monkeypatch.setenv("TERM", "dumb")
    assert type(display_for(Terminal())) is PlainDisplay


def test_rich_is_loaded_for_a_terminal_only() -> None:
    code = """
import io, sys
from recipegen.bench.display import display_for
with display_for(io.StringIO()) as shown:
    shown.note("x")
    shown.start([])
print("rich" in sys.modules)
"""
    generator = str(Path(display.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": generator},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n", done.stderr


def test_on_a_real_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a pseudo-terminal, as a user's shell would."""
    monkeypatch.setenv("TERM", "xterm-256color")
    leader, follower = pty.openpty()
    said: list[bytes] = []

    def read() -> None:
        with os.fdopen(leader, "rb", buffering=0) as terminal:
            try:
                while chunk := terminal.read(4096):
                    said.append(chunk)
            except OSError:
                return

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(follower, "w") as stream:
        shown = display_for(stream)
        assert type(shown) is TerminalDisplay
        show_all(shown)
    reader.join(10)
    assert b"cell (2 of 2)" in b"".join(said)


def test_what_the_sampler_saw_stands_beside_the_progress() -> None:
    progress = CellProgress(3)
    progress.server = {"acceptance": 0.714, "used_bytes": 118 << 30, "kv_usage": None}
    assert progress_line(progress) == "run 0/3, 71% of drafts accepted, 118.0 GiB used"


def test_progress_without_figures() -> None:
    assert display.progress_line(CellProgress(30)) == "run 0/30"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (7500, "2 h 5 min"), (86400, "24 h 0 min")],
)
def test_duration(seconds: float, words: str) -> None:
    assert display.duration(seconds) == words


def test_one_line() -> None:
    assert one_line("\n\n  a\tb \u2028 c\nd") == "a b"
    assert one_line("") == ""
    assert one_line("grün ✓ 日本") == "grün ✓ 日本"
