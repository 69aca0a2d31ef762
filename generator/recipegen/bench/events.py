"""llama-benchy's progress file, read while it grows, and what it says of the cell. Owns no display, no clock.

The file holds one JSON object a line (schema `llama-benchy-progress.v1`, llama_benchy/progress.py of 0.4.0).
It tells how the measurement goes; the figures that count come from the report. llama-benchy sends no events
for its warm-up run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

SCHEMA = "llama-benchy-progress.v1"
_MAX_LINE = 1 << 20
"""A line longer than this many bytes is no event."""


@dataclass(frozen=True)
class Event:
    """One line of the file: its type, its time (Unix seconds) and all its fields."""

    kind: str
    ts: float
    data: dict[str, Any]

    def number(self, name: str) -> float | None:
        """A field that is a finite number, else None."""
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return value

    def whole(self, name: str) -> int | None:
        """A field that is a whole number, 0 or more, else None."""
        value = self.number(name)
        return int(value) if value is not None and value >= 0 else None


class Follower:
    """Reads what was added to the file since the last time.

    Lines that are no events of this schema (garbage, another version) are skipped and counted in `skipped`. A
    line that is still being written waits for its end. A file that became shorter is read from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = 0
        self._offset = 0
        self._rest = b""

    def poll(self) -> list[Event]:
        """The new events; none when there is no file."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            lines.append(self._rest)
            self._rest = b""
        events = [parse_event(line) for line in lines if line.strip()]
        self.skipped += events.count(None)
        return [event for event in events if event is not None]


def parse_event(line: bytes) -> Event | None:
    """One line as an event; None when it is not one of this schema."""
    if len(line) > _MAX_LINE:
        return None
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("type"), str):
        return None
    event = Event(data["type"], 0.0, data)
    ts = event.number("ts")
    return None if ts is None else Event(event.kind, float(ts), data)


@dataclass
class _Request:
    """One request of the current run."""

    first_ts: float | None = None
    last_ts: float = 0.0
    first_count: int = 0
    tokens: int = 0
    ended: bool = False
    failed: bool = False


@dataclass
class _Run:
    """One repetition: `concurrency` requests at once, or twice as many in two phases with prefix caching."""

    index: int
    started: float
    concurrency: int
    goal: int
    requests: dict[int, _Request] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return sum(request.tokens for request in self.requests.values())

    def rate(self) -> float | None:
        """Decode speed in tok/s of the last phase, as llama-benchy reckons it.

        The tokens after each request's first, over the time from the phase's first token to its last
        (BenchmarkResults._process_batch in llama_benchy/results.py).
        """
        phase = list(self.requests.values())[-self.concurrency :]
        told = [(r, r.first_ts) for r in phase if r.first_ts is not None and not r.failed]
        if not told:
            return None
        seconds = max(request.last_ts for request, _ in told) - min(first for _, first in told)
        tokens = sum(request.tokens - request.first_count for request, _ in told)
        return tokens / seconds if seconds > 0 and tokens > 0 else None

    def fraction(self) -> float:
        """How much of its tokens is there, below 1."""
        phases = max(1, math.ceil(len(self.requests) / self.concurrency))
        return min(0.99, self.tokens / (self.goal * self.concurrency * phases)) if self.goal else 0.0


class CellProgress:
    """What the events tell of the cell so far.

    Args:
        runs: the number of repetitions that were asked for.

    Attributes:
        run: the repetition that is running, from 1; 0 before the first (llama-benchy warms up).
        running: requests under way.
        tokens: tokens generated so far, over all runs.
        ttfr_s: time to the first response of the latest request, in seconds.
        failed_requests: how many requests ended with an error.
        last_error: the error of the latest of them.
        status: what llama-benchy said at its end: ok, error, interrupted; None before.
        server: what the sampler saw last: acceptance (share), used_bytes and others, None where it is not known.
    """

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.run = 0
        self.ttfr_s: float | None = None
        self.failed_requests = 0
        self.last_error = ""
        self.status: str | None = None
        self.server: Mapping[str, float | None] = {}
        self._current: _Run | None = None
        self._rates: list[float] = []
        self._seconds: list[float] = []
        self._tokens_before = 0
        self._last_ts = 0.0

    def feed(self, events: Iterable[Event]) -> None:
        """Takes in new events, in their order; unknown ones change nothing."""
        for event in events:
            self._last_ts = event.ts
            if event.kind == "request_start":
                self._start(event)
            elif event.kind == "bench_complete":
                self._finish_run(event.ts)
                self.status = str(event.data.get("status"))
            elif request := self._request(event):
                self._take(event, request)

    @property
    def running(self) -> int:
        requests = self._current.requests.values() if self._current else ()
        return sum(not request.ended for request in requests)

    @property
    def tokens(self) -> int:
        return self._tokens_before + (self._current.tokens if self._current else 0)

    @property
    def finished_runs(self) -> int:
        return len(self._seconds)

    @property
    def median_rate(self) -> float | None:
        """Decode speed of the finished runs in tok/s, their median."""
        return median(self._rates) if self._rates else None

    @property
    def current_rate(self) -> float | None:
        """Decode speed of the running run in tok/s."""
        return self._current.rate() if self._current else None

    @property
    def latest_rate(self) -> float | None:
        """Decode speed of the running run in tok/s, of the last finished one until there is one."""
        current = self.current_rate
        return current if current is not None or not self._rates else self._rates[-1]

    @property
    def seconds_each(self) -> float | None:
        """Mean time of the finished runs; None before the first has ended."""
        return mean(self._seconds) if self._seconds else None

    @property
    def fraction(self) -> float:
        """How much of the cell is done, from 0 to 1."""
        current = self._current.fraction() if self._current else 0.0
        return min(1.0, (self.finished_runs + current) / max(1, self.runs))

    def seconds_left(self, now: float | None = None) -> float | None:
        """Seconds until the last run ends, reckoned from the finished runs; None before the first has ended.

        Args:
            now: Unix seconds; the time of the latest event when None.
        """
        each = self.seconds_each
        if each is None:
            return None
        elapsed = (self._last_ts if now is None else now) - self._current.started if self._current else 0.0
        left = self.runs - self.finished_runs
        return max(0.0, each * left - min(max(elapsed, 0.0), each)) if left > 0 else 0.0

    def _start(self, event: Event) -> None:
        request_id, index = event.whole("request_id"), event.whole("run_index")
        if request_id is None or index is None:
            return
        if self._current is None or self._current.index != index:
            self._finish_run(event.ts)
            # Counted, not read: llama-benchy's index starts at 1 after a warm-up run, else at 0.
            self.run += 1
            concurrency = max(1, event.whole("concurrency") or 1)
            self._current = _Run(index, event.ts, concurrency, event.whole("response_size") or 0)
        self._current.requests[request_id] = _Request()

    def _finish_run(self, ts: float) -> None:
        if self._current is None:
            return
        rate = self._current.rate()
        if rate is not None:
            self._rates.append(rate)
        self._seconds.append(max(0.0, ts - self._current.started))
        self._tokens_before += self._current.tokens
        self._current = None

    def _request(self, event: Event) -> _Request | None:
        request_id = event.whole("request_id")
        return self._current.requests.get(request_id) if self._current and request_id is not None else None

    def _take(self, event: Event, request: _Request) -> None:
        if event.kind == "request_first_response":
            self.ttfr_s = event.number("ttfr_s")
        elif event.kind == "tokens":
            count = event.whole("count") or 0
            if request.first_ts is None:
                request.first_ts, request.first_count = event.ts, count
            request.tokens += count
            request.last_ts = event.ts
        elif event.kind == "request_end":
            request.ended = True
            # The server's own count; what came by chunk may be an estimate.
            request.tokens = event.whole("total_tokens") or request.tokens
            if error := event.data.get("error"):
                request.failed = True
                self.failed_requests += 1
                self.last_error = str(error)
