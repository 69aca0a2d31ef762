"""Samples the server's /metrics and this host while a cell is measured. Owns the thread, the series and what follows
from them; neither the page's format (prometheus) nor the host's files (host_sampler), nor any opinion."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recipegen.bench.host_sampler import GpuWatch, Memory, read_memory
from recipegen.bench.prometheus import HISTOGRAMS, POSITIONS, TIMEOUT_S, NoMetrics, Snapshot, fetch, parse
from recipegen.files import write_atomic
from recipegen.results.store import METRICS_FORMAT
from recipegen.runners.http import server_root

INTERVAL_S = 1.0
MOST_POINTS = 600
"""Longer series are thinned out when they are stored; what follows from them is computed before."""
GAUGES = ("running", "waiting", "kv_usage")
COUNTERS = (
    "generation_tokens",
    "prompt_tokens",
    "prefix_hits",
    "prefix_queries",
    "drafts",
    "draft_tokens",
    "accepted_tokens",
)
SECONDS = ("generation_seconds", "prompt_seconds")
"""Time that requests spent in a phase, by the engine's own clock, for engines that count tokens late (llama.cpp)."""
_GAP = 3.0
"""Neighbours further apart than this many intervals are no neighbours: what ran between them is not known."""


@dataclass
class Series:
    """What was seen of the server so far.

    Attributes:
        t: seconds since the start, of each look that succeeded.
        looks: what each of them said.
        gained: (series, part) or (series, "") to what a counter gained; a reset adds nothing.
        resets: looks at which a counter was lower than before (the server was restarted).
    """

    t: list[float] = field(default_factory=list)
    looks: list[Snapshot] = field(default_factory=list)
    gained: dict[tuple[str, str], float] = field(default_factory=dict)
    resets: int = 0
    _last: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, at: float, look: Snapshot) -> None:
        """Takes in a look at the page, `at` seconds after the start."""
        now = _counters(look)
        # A counter that comes up later (a label that was not used before) began at 0.
        gains = {key: value - self._last.get(key, 0.0) for key, value in now.items()} if self.looks else {}
        if any(gain < 0 for gain in gains.values()):
            self.resets += 1
            self._last.clear()
        else:
            for key, gain in gains.items():
                self.gained[key] = self.gained.get(key, 0.0) + gain
        self._last.update(now)
        self.t.append(at)
        self.looks.append(look)

    def of(self, name: str) -> list[float | None]:
        """One series, None where the server did not say; empty when it never did."""
        found = [look.values.get(name) for look in self.looks]
        return found if any(value is not None for value in found) else []

    def gain(self, name: str) -> float | None:
        """What a counter gained in all; None when it was not seen twice."""
        return self.gained.get((name, ""))


def _counters(look: Snapshot) -> dict[tuple[str, str], float]:
    plain = {(name, ""): value for name, value in look.values.items() if name not in GAUGES}
    return {**plain, **look.parts}


def in_flight(
    t: Sequence[float], running: Sequence[float | None], counter: Sequence[float | None], longest_s: float
) -> float | None:
    """What a counter gained per second of the windows in which requests ran.

    A window lies between two neighbouring looks with requests running at both; idle time, resets and gaps longer
    than `longest_s` (s) are not counted.

    Args:
        t: s.
        running: requests at these times.
        counter: at these times, tokens.

    Returns:
        tokens/s; None when there is no such window.
    """
    gained = seconds = 0.0
    for at in range(1, min(len(t), len(running), len(counter))):
        before, now = counter[at - 1], counter[at]
        took = t[at] - t[at - 1]
        if not running[at - 1] or not running[at] or before is None or now is None or now < before:
            continue
        if 0 < took <= longest_s:
            gained += now - before
            seconds += took
    return gained / seconds if seconds else None


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
        self._stop, self._open = threading.Event(), ExitStack()
        self._thread = threading.Thread(target=self._run, name="recipegen-sampler", daemon=True)
        self._began, self._started = 0.0, ""

    def __enter__(self) -> Self:
        self._began, self._started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        if self._host:
            self._open.enter_context(self._gpu)
        # Here, not in the thread: all counts are from before the first request, and the parser is loaded by then.
        self._look_safely()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        # The last look may take its time-out; a thread that hangs longer is left behind.
        self._thread.join(2 * TIMEOUT_S)
        self._open.close()

    def _run(self) -> None:
        due, stopping = time.monotonic(), False
        while not stopping:
            due = max(due + self._interval, time.monotonic())
            stopping = self._stop.wait(due - time.monotonic())
            self._look_safely()

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
        try:
            look = parse(fetch(self._url), self._names)
        except NoMetrics as problem:
            self._missed += 1
            self._reason = str(problem)
            self._asking = not problem.absent
            return
        self._series.add(self._now(), look)

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
            "acceptance": _share(self._series.gain("accepted_tokens"), self._series.gain("draft_tokens")),
            "kv_usage": values.get("kv_usage"),
            "running": values.get("running"),
            "available_bytes": memory.available if memory else None,
            "used_bytes": memory.used if memory else None,
        }

    def data(self) -> dict[str, Any]:
        """Everything, after the end: the content of `<cell>.metrics.json`, series still at full length."""
        series = self._series
        names = [*GAUGES, *COUNTERS, *(name for name in SECONDS if name in self._names)]
        positions = [gain for _, gain in sorted(_parts(series, POSITIONS), key=lambda part: _order(part[0]))]
        return {
            "format": METRICS_FORMAT,
            "interval_s": self._interval,
            "started": self._started,
            "server": {
                "endpoint": bool(series.looks),
                "reason": self._why(),
                "series": {"t": [round(at, 2) for at in series.t], **{name: _plain(series.of(name)) for name in names}},
                "accepted_per_position": _plain(positions),
                "histograms": {name: found for name in HISTOGRAMS if (found := _histogram(series, name))},
                "resets": series.resets,
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
        memory = [one for _, one in self._memory]
        return {
            "t": [round(at, 2) for at, _ in self._memory],
            "available_bytes": [one.available for one in memory],
            "used_bytes": [one.used for one in memory],
            "page_cache_bytes": [one.page_cache for one in memory],
            "swap_used_bytes": [one.swap_used for one in memory],
            "peak_used_bytes": max((one.used for one in memory), default=None),
            "gpu": self._gpu.data() if self._host else None,
        }


def derive(series: Series, longest_s: float) -> dict[str, Any]:
    """What follows from the series of a cell.

    vLLM counts tokens as they come, so its speed is that of the windows in which requests run. llama.cpp counts the
    tokens of a request when it ends (metrics_on_prediction in its server-context.cpp): no window holds the right
    ones, but it also adds up the seconds that its requests took. Those overlap when several run, and then say
    nothing of the speed of all: no figure.

    Args:
        longest_s: neighbours further apart are no window (s).
    """
    speeds: dict[str, float | None] = {}
    most = max((value or 0 for value in series.of("running")), default=0)
    for key, counter, clock in (
        ("inflight_tg_tok_s", "generation_tokens", "generation_seconds"),
        ("inflight_pp_tok_s", "prompt_tokens", "prompt_seconds"),
    ):
        if series.of(clock):
            speeds[key] = _share(series.gain(counter), series.gain(clock)) if most <= 1 else None
        else:
            speeds[key] = in_flight(series.t, series.of("running"), series.of(counter), longest_s)
    drafts, accepted = series.gain("drafts"), series.gain("accepted_tokens")
    per_draft = _share(accepted, drafts)
    hits, asked = series.gain("prefix_hits"), series.gain("prefix_queries")
    if asked is None and hits is not None:
        # llama.cpp: its prompt tokens are those that were not in the cache.
        asked = hits + (series.gain("prompt_tokens") or 0.0)
    return {
        "inflight_basis": "engine seconds" if series.of("generation_seconds") else "windows with requests running",
        **speeds,
        "acceptance": _share(accepted, series.gain("draft_tokens")),
        # The token that the model itself adds to each draft counts, as in vLLM's log and in papers.
        "acceptance_length": None if per_draft is None else 1 + per_draft,
        "acceptance_per_position": [
            _share(gain, drafts) for _, gain in sorted(_parts(series, POSITIONS), key=lambda part: _order(part[0]))
        ],
        "kv_peak": max((value for value in series.of("kv_usage") if value is not None), default=None),
        "prefix_hit_rate": _share(hits, asked),
    }


def write_metrics(folder: Path, cell_id: str, data: Mapping[str, Any]) -> str:
    """Stores what `Sampler.data` gave beside a cell's report, long series thinned out.

    Returns:
        The file's name, `<cell>.metrics.json`.

    Raises:
        EnvironmentLacks: the file cannot be written.
    """
    if Path(cell_id).name != cell_id:
        raise ValueError(f"not a plain file name: {cell_id!r}")
    host = dict(data["host"])
    gpu = host.get("gpu")
    small = {
        **data,
        "server": {**data["server"], "series": _thin(data["server"]["series"])},
        "host": {**_thin(host), "gpu": _thin(gpu) if gpu else None},
    }
    name = f"{cell_id}.metrics.json"
    write_atomic(folder / name, json.dumps(small, separators=(",", ":"), allow_nan=False) + "\n")
    return name


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


def _parts(series: Series, name: str) -> list[tuple[str, float]]:
    return [(part, gain) for (key, part), gain in series.gained.items() if key == name and part]


def _order(part: str) -> float:
    try:
        return float(part)  # `+Inf` is one, too
    except ValueError:
        return float("inf")


def _histogram(series: Series, name: str) -> dict[str, Any] | None:
    """What a histogram gained: cumulative counts by upper bound (s), as Prometheus has them; the bound as text for
    `+Inf`, which JSON cannot say."""
    gains = dict(_parts(series, name))
    count, total = gains.pop("count", None), gains.pop("sum", None)
    if count is None or not gains:
        return None
    bounds = sorted(gains, key=_order)
    buckets = [[bound if bound == "+Inf" else _order(bound), _whole(gains[bound])] for bound in bounds]
    return {"buckets": buckets, "sum": total, "count": _whole(count)}


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole or whole < 0 else part / whole


def _plain(values: Sequence[float | None]) -> list[float | int | None]:
    return [None if value is None else _whole(value) for value in values]


def _whole(value: float) -> float | int:
    """Counts without their `.0`; other figures to six digits, which is more than a second's look is worth."""
    return int(value) if value.is_integer() else round(value, 6)
