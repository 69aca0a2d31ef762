"""One cell: one llama-benchy process from start to stored report. Owns neither its arguments nor the server.

What is stored is the report as llama-benchy wrote it, whole or not at all, and the process's log. The report
comes only at llama-benchy's end, and its exit code is 0 even when every request failed: a report without
samples is a failed cell.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from recipegen import proc
from recipegen.bench.events import CellProgress, Follower
from recipegen.errors import RecipegenError
from recipegen.files import read_bounded, sha256_bytes, write_atomic, writing_atomic
from recipegen.results.report import REPORT_LIMIT, ReportRefused, parse_report, refuse_unusable
from recipegen.results.store import keep_numbered

_POLL_S = 0.25
_ERROR_LINES = 20
_ERROR_CHARS = 4000
_REASON_CHARS = 300

# How llama-benchy 0.4.0 words what goes wrong (client.py, corpus.py, config.py), and Python's own last line.
_TELLING = re.compile(
    r"HTTP \d{3}: |Error\b|\[Error\]|Warmup failed|Coherence test FAILED"
    r"|[\w.]+(?:Error|Exception): |.* error: "
)

Status = Literal["done", "failed"]


@dataclass(frozen=True)
class CellOutcome:
    """What became of a cell.

    Attributes:
        id: the cell's.
        status: `done` when a usable report is stored.
        file: the report's name in the run's folder; None when failed.
        sha256: of that file.
        started: UTC, ISO 8601.
        ended: likewise.
        error: why it failed, in the first line; then the end of the log. None when done.
        failed_requests: of the measured requests; a cell that is done may have lost some of its samples.
    """

    id: str
    status: Status
    file: str | None
    sha256: str | None
    started: str
    ended: str
    error: str | None
    failed_requests: int


def run_cell(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    folder: Path,
    cell_id: str,
    display_cb: Callable[[CellProgress], None],
    silence_timeout_s: float,
    runs: int,
) -> CellOutcome:
    """Measures one cell.

    Args:
        argv: llama-benchy's command line with `--format json`, without --save-result and --emit-progress.
        env: variables for it, on top of this process's own.
        folder: gets `<cell>.json` (only when it is usable) and `<cell>.log` (always).
        cell_id: the cell's id, a plain file name.
        display_cb: called after new progress events.
        silence_timeout_s: seconds without an event or a log line after which the cell counts as hung.
        runs: repetitions that the command line asks for.

    Raises:
        EnvironmentLacks: when the program is not there, or the folder cannot be written.
        KeyboardInterrupt: after the process was ended; its log is kept.
    """
    if Path(cell_id).name != cell_id:
        raise ValueError(f"not a plain file name: {cell_id!r}")
    log, started, progress = folder / f"{cell_id}.log", _now(), CellProgress(runs)
    folder.mkdir(parents=True, exist_ok=True)
    keep_numbered(log)  # of an earlier attempt
    with tempfile.TemporaryDirectory(prefix="recipegen-") as scratch:
        report, events = Path(scratch, "report.json"), Path(scratch, "progress.jsonl")
        words = [*argv, "--save-result", str(report), "--emit-progress", str(events)]
        try:
            problem = _measure(words, env, log, Follower(events), progress, display_cb, silence_timeout_s)
        finally:
            clean_log(log, env, {str(report): f"{cell_id}.json", str(events): events.name})
        raw = None
        if problem is None:
            try:
                raw = _usable(report)
            except ReportRefused as error:
                problem = f"the report {error.problems[0].message}"
            except RecipegenError as error:
                problem = error.message
    file = f"{cell_id}.json" if raw is not None else None
    if raw is not None:
        write_atomic(folder / f"{cell_id}.json", raw)
    return CellOutcome(
        id=cell_id,
        status="failed" if raw is None else "done",
        file=file,
        sha256=None if raw is None else sha256_bytes(raw),
        started=started,
        ended=_now(),
        error=None if problem is None else _error_text(problem, log, progress),
        failed_requests=progress.failed_requests,
    )


def _measure(
    words: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    follower: Follower,
    progress: CellProgress,
    display_cb: Callable[[CellProgress], None],
    silence_timeout_s: float,
) -> str | None:
    """Runs the process to its end, or ends it when it hangs.

    Returns:
        What went wrong; None when it exited with 0.
    """
    heard, log_size = time.monotonic(), 0
    with proc.Process(words, log=log, env=proc.child_env(env)) as child:
        while True:
            code = child.wait(_POLL_S)
            found = follower.poll()
            size = log.stat().st_size
            if found or size != log_size:
                heard, log_size = time.monotonic(), size
            if found:
                progress.feed(found)
                display_cb(progress)
            if code is not None:
                return None if code == 0 else f"llama-benchy {proc.describe_code(code)}"
            if time.monotonic() - heard > silence_timeout_s:
                return f"llama-benchy was silent for {silence_timeout_s:g} s and was ended"


def _usable(report: Path) -> bytes:
    """The bytes of a report that holds samples.

    Raises:
        RecipegenError: there is no report, or nothing can be computed from it.
    """
    if not report.exists():
        raise RecipegenError("llama-benchy wrote no report")
    raw = read_bounded(report, REPORT_LIMIT)
    refuse_unusable(parse_report(raw, Path("the report")), Path("the report"))
    return raw


def clean_log(
    log: Path | None, env: Mapping[str, str], names: Mapping[str, str], more: Callable[[str], str] | None = None
) -> None:
    """Takes secrets, the home folder and our temporary names out of a log that goes into the repository.

    Args:
        more: what else is to be done to each piece of it.
    """
    if log is None or not log.exists():
        return
    redacted = proc.redactor(env)

    def cleaned(text: str) -> str:
        for path, name in names.items():
            text = text.replace(path, name)
        return redacted(more(text) if more else text)

    # Piece by piece, and only when there is something to take out: a server's log may be larger than the memory.
    if any(cleaned(piece) != piece for piece in proc.redactable(log)):
        with writing_atomic(log) as file:
            for piece in proc.redactable(log):
                file.write(cleaned(piece).encode())


def _error_text(problem: str, log: Path, progress: CellProgress) -> str:
    """Why a cell failed: one line that names the cause, then the end of the log."""
    end = proc.tail(log, _ERROR_LINES)
    telling = [line.strip() for line in end.splitlines() if _TELLING.match(line.strip())]
    reason = telling[-1] if telling else proc.redact(progress.last_error)
    head = f"{problem}: {reason[:_REASON_CHARS]}" if reason else problem
    return f"{head}\n{end[-_ERROR_CHARS:]}".rstrip()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
