"""Samples the server's /metrics and this host while a cell is measured. Owns the thread and the stored file; neither
the page's format (prometheus), nor what follows from the series (series), nor the host's files (host_sampler)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recipegen.bench.host_sampler import GpuWatch, Memory, memory_series, read_memory
from recipegen.bench.prometheus import HISTOGRAMS, POSITIONS, TIMEOUT_S, NoMetrics, fetch, parse
from recipegen.bench.series import COUNTERS, GAUGES, OF_ENDED, Series, derive, histogram, plain, share
from recipegen.files import write_atomic
from recipegen.results.store import METRICS_FORMAT
from recipegen.runners.base import signals_held
from recipegen.runners.http import server_root

INTERVAL_S = 1.0
MOST_POINTS = 600
"""Longer series are thinned out when they are stored; what follows from them is computed before."""
_GAP = 3.0
"""Neighbours further apart than this many intervals are no neighbours: what ran between them is not known."""


class Sampler:
    """Looks at the server and the host every second from `with` to its end, and never raises into the run.

    The first look is over when `with` is entered (at most some seconds later, for a server that does not answer), the
    last one when it is left.

    Args:
        base_url: of the server, with or without /v1.
        names: series name to the engine's Prometheus name; empty when the engine has no metrics.
        root: of the file system whose proc/meminfo is read.
        interval_s: from one look to the next.
        host: whether the host is the one that serves; False for a server elsewhere.
    """

    def __init__(
        self,
        base_url: str,
        names: Mapping[str, str],
        root: Path = Path("/"),
        *,
        interval_s: float = INTERVAL_S,
        host: bool = True,
    ) -> None:
        self._url, self._names = f"{server_root(base_url)}/metrics", dict(names)
        self._root, self._interval, self._host = root, interval_s, host
        self._series, self._memory = Series(), list[tuple[float, Memory]]()
        self._tried = self._missed = 0
        self._reason: str | None = None if names else "this engine has no metrics that recipegen knows"
        self._asking = bool(names)
        self._gpu = GpuWatch()
        self._stopping = False
        self._wake, self._open = threading.Event(), ExitStack()
        self._measuring_since: float | None = None
        self._begins_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="recipegen-sampler", daemon=True)
        self._began, self._started = 0.0, ""

    def __enter__(self) -> Self:
        self._began, self._started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        try:
            if self._host:
                # Ctrl-C waits until the process is known here: one that is not known could not be ended.
                with signals_held():
                    self._open.enter_context(self._gpu)
            # Here, not in the thread: all counts are from before the first request, and the parser is loaded by then.
            self._look_safely()
            self._thread.start()
        except BaseException:
            self._stopping = True
            self._open.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._wake.set()
        # The last look may take its time-out; a thread that hangs longer is left behind.
        self._thread.join(2 * TIMEOUT_S)
        self._open.close()

    def _run(self) -> None:
        due, stopping = time.monotonic() + self._interval, False
        while not stopping:
            woken = self._wake.wait(due - time.monotonic())
            self._wake.clear()
            stopping = self._stopping
            self._look_safely()
            if not woken:
                due = max(due + self._interval, time.monotonic())

    def measuring(self) -> None:
        """Says that llama-benchy has warmed up: what is gained counts from the next look, which is taken at once.

        Calling it again does nothing.
        """
        if self._measuring_since is None:
            self._measuring_since = self._now()
            self._wake.set()

    def _look_safely(self) -> None:
        try:
            self._look()
        except Exception as error:
            # Whatever goes wrong with the sampling must not spoil the measurement.
            self._reason, self._asking = f"sampling broke off ({type(error).__name__})", False

    def _look(self) -> None:
        if self._host and (memory := read_memory(self._root)) is not None:
            self._memory.append((self._now(), memory))
        if not self._asking:
            return
        self._tried += 1
        asked = self._now()
        try:
            look = parse(fetch(self._url), self._names)
        except NoMetrics as problem:
            self._missed += 1
            self._reason = str(problem)
            self._asking = not problem.absent
            return
        # A look that was under way may have seen the server before the warm-up's end.
        begins = self._begins_at is None and self._measuring_since is not None and asked >= self._measuring_since
        at = self._now()
        self._begins_at = at if begins else self._begins_at
        self._series.add(at, look, begins=begins)

    def _now(self) -> float:
        return time.monotonic() - self._began

    def latest(self) -> dict[str, float | None]:
        """For a live view: tg_tok_s (since the look before), acceptance (share so far), kv_usage (share), running,
        available_bytes and used_bytes; None where nothing is known."""
        looks, t = self._series.looks[-2:], self._series.t[-2:]
        values = looks[-1].values if looks else {}
        speed = None
        if len(looks) == len(t) == 2 and t[1] > t[0]:
            before, now = (look.values.get("generation_tokens") for look in looks)
            speed = (now - before) / (t[1] - t[0]) if before is not None and now is not None and now >= before else None
        memory = self._memory[-1][1] if self._memory else None
        return {
            "tg_tok_s": speed,
            "acceptance": share(self._series.gain("accepted_tokens"), self._series.gain("draft_tokens")),
            "kv_usage": values.get("kv_usage"),
            "running": values.get("running"),
            "available_bytes": memory.available if memory else None,
            "used_bytes": memory.used if memory else None,
        }

    def data(self) -> dict[str, Any]:
        """Everything, after the end: the content of `<cell>.metrics.json`, series still at full length."""
        series = self._series
        names = [*GAUGES, *COUNTERS, *(name for name in OF_ENDED if name in self._names)]
        return {
            "format": METRICS_FORMAT,
            "interval_s": self._interval,
            "started": self._started,
            "server": {
                "endpoint": bool(series.looks),
                "reason": self._why(),
                "series": {"t": [round(at, 2) for at in series.t], **{name: plain(series.of(name)) for name in names}},
                "accepted_per_position": plain([gain for _, gain in series.parts(POSITIONS)]),
                "histograms": {name: found for name in HISTOGRAMS if (found := histogram(series, name))},
                "resets": series.resets,
                # s; the warm-up, which lies before, is in the series, but in no sum and no speed. None: nobody told.
                "measuring_from": None if self._begins_at is None else round(self._begins_at, 2),
            },
            "host": self._host_data(),
            "derived": derive(series, _GAP * self._interval),
        }

    def _why(self) -> str | None:
        """Why there are no figures of the server, or that some looks failed."""
        if not self._series.looks or not self._missed:
            return self._reason
        return f"{self._missed} of {self._tried} looks failed, the last one because {self._reason}"

    def _host_data(self) -> dict[str, Any]:
        return {**memory_series(self._memory), "gpu": self._gpu.data() if self._host else None}


def write_metrics(folder: Path, cell_id: str, data: Mapping[str, Any]) -> str:
    """Stores what `Sampler.data` gave beside a cell's report, long series thinned out.

    Returns:
        The file's name, `<cell>.metrics.json`.

    Raises:
        EnvironmentLacks: the file cannot be written.
    """
    if Path(cell_id).name != cell_id:
        raise ValueError(f"not a plain file name: {cell_id!r}")
    small = {
        **data,
        "server": {**data["server"], "series": _thin(data["server"]["series"])},
        "host": _thin_host(data["host"]),
    }
    if "nodes" in data:
        small["nodes"] = [_thin_host(node) for node in data["nodes"]]
    name = f"{cell_id}.metrics.json"
    write_atomic(folder / name, json.dumps(small, separators=(",", ":"), allow_nan=False) + "\n")
    return name


def _thin_host(host: Mapping[str, Any]) -> dict[str, Any]:
    gpu = host.get("gpu")
    return {**_thin(host), "gpu": _thin(gpu) if gpu else None}


def _thin(series: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of the same length as `t`, cut down to at most MOST_POINTS evenly spread ones, the ends included."""
    count = len(series["t"])
    if count <= MOST_POINTS:
        return dict(series)
    keep = [round(at * (count - 1) / (MOST_POINTS - 1)) for at in range(MOST_POINTS)]
    return {
        name: [values[at] for at in keep] if isinstance(values, list) and len(values) == count else values
        for name, values in series.items()
    }
