"""What was seen of a server while a cell was measured, look by look, and what follows from it. Owns neither clock nor
thread (sampler) nor any opinion (plausible)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from recipegen.bench.prometheus import POSITIONS, Snapshot
from recipegen.plausible.counters import ENGINE_SECONDS, WINDOWS

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
OF_ENDED = (
    "generation_seconds",
    "prompt_seconds",
    "ended",
    "ended_generation_tokens",
    "ended_prompt_tokens",
)
"""Counters that go up when a request ends: the time that it spent in a phase by the engine's own clock, that it ended,
and its tokens, for engines that count tokens as they come too (vLLM). Absent where the engine has no such counter."""
PROCESS_START = "process_start"
"""When the server's process began (Unix seconds): another value is another process, whatever its counters say."""
BY_WINDOWS = "windows with requests running"


@dataclass
class Series:
    """What was seen of the server so far.

    Attributes:
        t: seconds since the start, of each look that succeeded.
        looks: what each of them said.
        gained: (series, part) or (series, "") to what a counter gained; a reset adds nothing.
        resets: looks at which the server had been restarted: it is another process, or a counter is lower than before.
        begin: the look from which gains and windows count: the first one after llama-benchy's warm-up.
    """

    t: list[float] = field(default_factory=list)
    looks: list[Snapshot] = field(default_factory=list)
    gained: dict[tuple[str, str], float] = field(default_factory=dict)
    resets: int = 0
    begin: int = 0
    _last: dict[tuple[str, str], float] = field(default_factory=dict)
    _process_start: float | None = None

    def add(self, at: float, look: Snapshot, *, begins: bool = False) -> None:
        """Takes in a look at the page, `at` seconds after the start.

        Args:
            begins: what counts begins with this look; what was gained before is forgotten.
        """
        now = _counters(look)
        if begins:
            self.begin, self.gained = len(self.looks), {}
        # A counter that comes up later (a label that was not used before) began at 0.
        counts = bool(self.looks) and not begins
        gains = {key: value - self._last.get(key, 0.0) for key, value in now.items()} if counts else {}
        if self._is_another_process(look) or any(gain < 0 for gain in gains.values()):
            self.resets += 1
            self._last.clear()
        else:
            for key, gain in gains.items():
                self.gained[key] = self.gained.get(key, 0.0) + gain
        self._last.update(now)
        self.t.append(at)
        self.looks.append(look)

    def _is_another_process(self, look: Snapshot) -> bool:
        before, now = self._process_start, look.values.get(PROCESS_START)
        self._process_start = before if now is None else now
        return before is not None and now is not None and before != now

    def of(self, name: str) -> list[float | None]:
        """One series, None where the server did not say; empty when it never did."""
        found = [look.values.get(name) for look in self.looks]
        return found if any(value is not None for value in found) else []

    def counted(self, name: str) -> list[float | None]:
        """The part of a series that counts."""
        return self.of(name)[self.begin :]

    def gain(self, name: str) -> float | None:
        """What a counter gained in all; None when it was not seen twice."""
        return self.gained.get((name, ""))

    def parts(self, name: str) -> list[tuple[str, float]]:
        """What the parts of a counter gained, in their order."""
        found = [(part, gain) for (key, part), gain in self.gained.items() if key == name and part]
        return sorted(found, key=lambda one: part_order(one[0]))


def _counters(look: Snapshot) -> dict[tuple[str, str], float]:
    no_counters = (*GAUGES, PROCESS_START)
    plain = {(name, ""): value for name, value in look.values.items() if name not in no_counters}
    return {**plain, **look.parts}


def part_order(part: str) -> float:
    """Sorts positions of a draft and bounds of a histogram by their value, other parts last."""
    try:
        return float(part)  # `+Inf` is one, too
    except ValueError:
        return float("inf")


def in_flight(
    t: Sequence[float],
    running: Sequence[float | None],
    counter: Sequence[float | None],
    ended: Sequence[float | None],
    longest_s: float,
    least: int = WINDOWS,
) -> float | None:
    """What a counter gained per second of the windows through which a request ran.

    A window lies between two neighbouring looks. It counts when fewer requests ended in it than ran at its beginning:
    then at least one ran all the time. That there are requests at both ends does not say so: one may have ended, and
    the next begun after a pause. Resets and gaps longer than `longest_s` (s) are not counted.

    Args:
        t: s.
        running: requests at these times.
        counter: at these times, tokens.
        ended: requests that had ended by these times.
        least: fewer windows give no figure.

    Returns:
        tokens/s; None when there are too few such windows.
    """
    gained = seconds = 0.0
    windows = 0
    for at in range(1, min(map(len, (t, running, counter, ended)))):
        told = (running[at - 1], running[at], counter[at - 1], counter[at], ended[at - 1], ended[at])
        took = t[at] - t[at - 1]
        if any(value is None for value in told) or not 0 < took <= longest_s:
            continue
        began, left, before, now, ended_before, ended_now = map(float, told)  # type: ignore[arg-type]
        if left > 0 and 0 <= ended_now - ended_before < began and now >= before:
            gained += now - before
            seconds += took
            windows += 1
    return gained / seconds if windows >= least else None


def derive(series: Series, longest_s: float) -> dict[str, Any]:
    """What follows from the series of a cell.

    While one request runs at a time, tokens and seconds of the requests that ended give the speed, however short they
    are. Those of several overlap and say nothing of the speed of all: then it is that of the windows through which a
    request ran, for engines that count tokens as they come. llama.cpp counts them when a request ends
    (metrics_on_prediction in its server-context.cpp), so that no window holds the right ones: no figure.

    Args:
        longest_s: neighbours further apart are no window (s).
    """
    most = max((value or 0 for value in series.counted("running")), default=0)
    clocked = most <= 1 and bool(series.of("generation_seconds"))
    speeds: dict[str, float | None] = {}
    for key, counter, clock in (
        ("inflight_tg_tok_s", "generation_tokens", "generation_seconds"),
        ("inflight_pp_tok_s", "prompt_tokens", "prompt_seconds"),
    ):
        if clocked:
            speeds[key] = share(_tokens_of_ended(series, counter), series.gain(clock))
        else:
            running, tokens, ended = (series.counted(name) for name in ("running", counter, "ended"))
            speeds[key] = in_flight(series.t[series.begin :], running, tokens, ended, longest_s)
    drafts, accepted = series.gain("drafts"), series.gain("accepted_tokens")
    per_draft = share(accepted, drafts)
    hits, asked = series.gain("prefix_hits"), series.gain("prefix_queries")
    if asked is None and hits is not None:
        # llama.cpp: its prompt tokens are those that were not in the cache.
        asked = hits + (series.gain("prompt_tokens") or 0.0)
    return {
        "inflight_basis": ENGINE_SECONDS if clocked else BY_WINDOWS,
        **speeds,
        "acceptance": share(accepted, series.gain("draft_tokens")),
        # The token that the model itself adds to each draft counts, as in vLLM's log and in papers.
        "acceptance_length": None if per_draft is None else 1 + per_draft,
        "acceptance_per_position": [share(gain, drafts) for _, gain in series.parts(POSITIONS)],
        "kv_peak": max((value for value in series.counted("kv_usage") if value is not None), default=None),
        "prefix_hit_rate": share(hits, asked),
    }


def _tokens_of_ended(series: Series, counter: str) -> float | None:
    """Tokens of the requests that ended, as the seconds of the phase are theirs."""
    tokens = series.gain(f"ended_{counter}")
    if tokens is None:
        return series.gain(counter)  # of llama.cpp, which counts no others
    # vLLM's decode time begins with the first token, which the prefill made.
    return tokens - (series.gain("ended") or 0.0) if counter == "generation_tokens" else tokens


def share(part: float | None, whole: float | None) -> float | None:
    """One over the other; None where one is not known, or the whole is nothing."""
    return None if part is None or not whole or whole < 0 else part / whole


def histogram(series: Series, name: str) -> dict[str, Any] | None:
    """What a histogram gained: cumulative counts by upper bound (s), as Prometheus has them; the bound as text for
    `+Inf`, which JSON cannot say."""
    gains = dict(series.parts(name))
    count, total = gains.pop("count", None), gains.pop("sum", None)
    if count is None or not gains:
        return None
    buckets = [[bound if bound == "+Inf" else part_order(bound), whole(gain)] for bound, gain in gains.items()]
    return {"buckets": buckets, "sum": total, "count": whole(count)}


def plain(values: Sequence[float | None]) -> list[float | int | None]:
    """A series as it is stored."""
    return [None if value is None else whole(value) for value in values]


def whole(value: float) -> float | int:
    """Counts without their `.0`; other figures to six digits, which is more than a second's look is worth."""
    return int(value) if value.is_integer() else round(value, 6)
