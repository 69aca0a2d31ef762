"""A cell against the server's own counters. Owns reading them for this; the sampling is another room's."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from recipegen.plausible.samples import SERIES_TOLERANCE, Benchmark, kept, median
from recipegen.plausible.verdict import Finding
from recipegen.results.report import metric_values

HIT_RATE = 0.10
"""Share of prompt tokens from the prefix cache, above which the prefill figure is not one of prefill: it is then more
than a tenth too high. The fixed beginning of a chat template stays below, unless it is long and the prompt short, when
it inflates the figure just as well."""
WINDOWS = 5
"""Least windows for a rate from counters."""
ENGINE_SECONDS = "engine seconds"
"""How the sampler says that a speed is of the server's own clock, not of windows between looks."""
LUMPS = 0.8
"""Share of windows in which a counter must move for its rate to mean something: llama.cpp counts an answer's tokens
when the answer is done."""


def cache_hits(benchmark: Benchmark, metrics: Mapping[str, Any], *, expected: bool) -> Iterator[Finding]:
    """Prefill that was partly no prefill.

    Args:
        expected: whether the cell measures on a cached context, where hits are what is wanted.
    """
    rate = _derived(metrics, "prefix_hit_rate")
    pp = median(benchmark, "pp_throughput")
    if rate is None or expected or pp is None or rate <= HIT_RATE:
        return
    yield Finding(
        "too-fast",
        "prompt-cache",
        f"{rate:.0%} of the prompts' tokens came from the server's prefix cache, so that {pp:,.0f} tok/s is not a "
        "speed of prefill: measure with prompts that differ, or without the cache",
    )


def token_count(benchmark: Benchmark, metrics: Mapping[str, Any]) -> Iterator[Finding]:
    """Decode speed of one stream against the server's counter of generated tokens.

    llama.cpp's server adds up the seconds of its requests too: its mean is compared with the report's, which is the
    harmonic one, as all answers are as long. Else two estimates must agree that they differ, the medians and the means
    over time: a window that holds the end of one request and the start of the next lowers only one.
    """
    tgs = kept(benchmark, "tg_throughput")
    if benchmark["concurrency"] != 1 or not tgs or min(tgs) <= 0:
        return
    if _object(metrics, "derived").get("inflight_basis") == ENGINE_SECONDS:
        own = _derived(metrics, "inflight_tg_tok_s")
        whole = statistics.harmonic_mean(metric_values(dict(benchmark), "tg_throughput"))
        if own and abs(whole - own) > SERIES_TOLERANCE * own:
            yield from _miscounted(whole, own)
        return
    rates = _decode_windows(metrics, benchmark["response_size"] / statistics.median(tgs))
    if not rates:
        return
    tokens, seconds = sum(t for t, _ in rates), sum(s for _, s in rates)
    mean = (tokens / seconds, statistics.harmonic_mean(tgs))
    middle = (statistics.median(t / s for t, s in rates), statistics.median(tgs))
    off = [(report - server) / server for server, report in (mean, middle)]
    if min(map(abs, off)) <= SERIES_TOLERANCE or off[0] * off[1] < 0:
        return
    yield from _miscounted(middle[1], middle[0])


_UNDERCOUNT = 1.5
"""A client on a busy machine hears of tokens late and is slower than its server; so much slower it is only when it
takes several tokens for one."""


def _miscounted(report: float, server: float) -> Iterator[Finding]:
    told = f"the report says {report:,.4g} tok/s, the server's counter {server:,.4g} while it decoded"
    if report > server:
        why = "the client counts more tokens than the server makes (another tokenizer, chunks taken for tokens)"
        yield Finding("too-fast", "token-count", f"{told}: {why}")
    elif report * _UNDERCOUNT < server:
        why = "the client counts fewer tokens than the server makes (several tokens in a chunk counted as one)"
        yield Finding("too-slow", "token-count", f"{told}: {why}")


def server_note(metrics: Mapping[str, Any]) -> str | None:
    """What a reader must know of the server's counters: that nobody saw them, or that they began anew."""
    server = _object(metrics, "server")
    if server.get("endpoint") is False:
        why = f" ({server['reason']})" if isinstance(server.get("reason"), str) else ""
        return (
            f"the server's counters were not seen{why}: acceptance, cache hits and the server's own speed are not known"
        )
    resets = server.get("resets")
    if isinstance(resets, int) and resets > 0:
        times = "once" if resets == 1 else f"{resets} times"
        return (
            f"the server's counters began anew {times} in this cell: it was restarted, and what they gained around "
            "that is missing"
        )
    return None


def acceptance_length(metrics: Mapping[str, Any]) -> float | None:
    """Mean tokens of one pass as the server counted them, the target's own included."""
    value = _derived(metrics, "acceptance_length")
    return value if value is not None and value >= 1 else None


def peak_used_bytes(metrics: Mapping[str, Any]) -> int | None:
    """Most memory of the host in use while the cell was measured."""
    value = _object(metrics, "host").get("peak_used_bytes")
    return value if isinstance(value, int) and value > 0 else None


def _object(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of a file that came with a run of anybody's; empty when it is not there or no object."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _derived(metrics: Mapping[str, Any], key: str) -> float | None:
    value = _object(metrics, "derived").get(key)
    return float(value) if isinstance(value, int | float) else None


def _decode_windows(metrics: Mapping[str, Any], answer_s: float) -> list[tuple[float, float]]:
    """Tokens and seconds of windows in which one answer was decoded and no prompt was read.

    Args:
        answer_s: time of one answer; windows of more than half of it say nothing.
    """
    course = _object(_object(metrics, "server"), "series")
    names = ("t", "running", "generation_tokens", "prompt_tokens")
    columns = [column if isinstance(column := course.get(name), list) else [] for name in names]
    rows = [row for row in zip(*columns, strict=False) if all(isinstance(value, int | float) for value in row)]
    windows = []
    for (t0, run0, gen0, prompt0), (t1, run1, gen1, prompt1) in itertools.pairwise(rows):
        if run0 > 0 and run1 > 0 and prompt0 == prompt1 and gen1 >= gen0 and 0 < t1 - t0 <= answer_s / 2:
            windows.append((gen1 - gen0, t1 - t0))
    moving = [window for window in windows if window[0] > 0]
    return moving if len(moving) >= max(WINDOWS, LUMPS * len(windows)) else []
