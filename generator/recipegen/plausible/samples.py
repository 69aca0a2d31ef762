"""What the samples of one report say of themselves, whatever machine they are from: first answers that are none,
bursts, cold starts, breaks, time series. Owns these checks; knows no ceiling."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipegen.plausible.verdict import Finding
from recipegen.results.report import metric_values
from recipegen.stats import warm

CONTROL_SHARE = 0.5
"""A first response before half of the time to the first token is no token. A gateway that answers at once with a
control chunk gave 3.4 and 694 ms; where the response is the token, both are equal."""
FEW_MS = 5.0
"""No server answers a prompt of a model of a billion parameters sooner, ms: parsing, scheduling and one launch of every
layer's kernels take longer. The control chunks above came after 2.2 to 5.0 ms."""
PROMPT_TOKENS = 64
"""Prompts for which FEW_MS and DECODE_FACTOR hold, tokens: more than any drafter proposes at once."""
DECODE_FACTOR = 3.0
"""Decode this much faster than prefill is none. llama-benchy 0.4.0 behind a buffer gave 5,200 to 89,000 tok/s after
prefills of 105; the worst right sample of others, a prefill that something held up, was at 2.7."""
BURST_TOK_S = 10_000.0
"""No engine decodes one stream faster: 0.1 ms a token. A stream that something buffers arrives at once, at
89,000 tok/s in a trial."""
COLD_FACTOR = 2.0
"""A first sample is cold when the others are this much faster. Cold ones are 3 to 40 times slower (compilation, page
cache), warm samples of prefill scatter by a few percent."""
COLD_MEAN = 0.10
"""A cold first sample spoils a report when it moves the report's own mean by more: 742, 2252 and 2391 tok/s have the
mean 1795, which their authors keep as the example of a spoilt run; one of 30 moves it by 3 to 5 %."""
SHIFT_FACTOR = 1.5
SHIFT_ORDER = 0.95
"""Samples break when the last third differs from the first by SHIFT_FACTOR in the median, and at least SHIFT_ORDER of
all pairs from the two thirds are in the same order: alternating fast and slow samples, which speculation gives, are not
a break."""
SHIFT_SAMPLES = 15
"""Least samples for that, so that a third holds five: five and five in order come by chance once in 126."""
GROUPS_SHARE = 0.2
"""Two groups are mixed when the smaller has at least this share; fewer are outliers, which the median ignores."""
SERIES_TOLERANCE = 0.05
"""Most that a figure may differ from its own time series, and a report from the server's counters."""
STALL_S = 1.0
"""A pause inside an answer, seconds, when it is also STALL_TIMES the mean pause."""
STALL_TIMES = 10.0
PEAK_TOLERANCE = 1.10
"""The mean over a whole answer cannot exceed the best second of it; more than this is another count of tokens."""

Benchmark = Mapping[str, Any]


def kept(benchmark: Benchmark, metric: str) -> list[float]:
    """The samples of a metric that count."""
    return warm(metric_values(dict(benchmark), metric))[0]


def median(benchmark: Benchmark, metric: str) -> float | None:
    """Their median, None without a sample."""
    values = kept(benchmark, metric)
    return statistics.median(values) if values else None


def stream_metric(benchmark: Benchmark) -> str:
    """Where the decode speed of one stream stands: at several requests the other field is their sum."""
    return "tg_throughput" if benchmark["concurrency"] == 1 else "tg_req_throughput"


def first_answer(benchmark: Benchmark, latency_ms: float | None, *, large: bool) -> Iterator[Finding]:
    """First responses that cannot be the first token.

    Args:
        latency_ms: of the network as llama-benchy measured it; 0 or None where it did not.
        large: whether the model is known (or must be assumed) to have a billion parameters.
    """
    ttfr, ttft = median(benchmark, "ttfr"), median(benchmark, "e2e_ttft")
    if ttfr is None:
        return
    pp = median(benchmark, "pp_throughput")
    so = f", so that {pp:,.0f} tok/s of prefill is no speed of prefill" if pp is not None else ""
    if ttft is not None and ttfr < CONTROL_SHARE * ttft:
        real = benchmark["prompt_size"] / ttft * 1000
        yield Finding(
            "too-fast",
            "control-chunk",
            f"the first response comes after {ttfr:.1f} ms, the first token after {ttft:.0f} ms: something answers "
            f"before the model does{so}; to the first token it is {real:,.0f} tok/s",
        )
    times = metric_values(dict(benchmark), "ttfr")
    early = [time for time in times if latency_ms and time <= latency_ms]
    if early:
        # llama-benchy gives such a sample no prefill speed, so that the others alone make the median.
        yield Finding(
            "too-fast" if len(early) * 2 >= len(times) else "mixed",
            "below-latency",
            f"{len(early)} of {len(times)} first responses come sooner than the {latency_ms:.1f} ms that an empty "
            f"request takes, after {min(early):.1f} ms at least{so}",
        )
    if large and ttfr < FEW_MS and benchmark["prompt_size"] >= PROMPT_TOKENS:
        yield Finding(
            "too-fast",
            "few-ms",
            f"the first response to {benchmark['prompt_size']:,} tokens comes after {ttfr:.1f} ms; no model of a "
            f"billion parameters answers within {FEW_MS:g} ms: a buffer or a control chunk",
        )


def burst(benchmark: Benchmark) -> Iterator[Finding]:
    """Answers that arrive at once, because something on the way keeps them until they are whole."""
    tg = median(benchmark, stream_metric(benchmark))
    if tg is not None and tg > BURST_TOK_S:
        ms = benchmark["response_size"] / tg * 1000
        yield Finding(
            "too-fast",
            "buffered",
            f"{tg:,.0f} tok/s: the whole answer of {benchmark['response_size']} tokens arrives within {ms:.1f} ms. "
            "Something between server and client buffers the stream (a proxy, or a server that does not stream)",
        )


def decode_above_prefill(benchmark: Benchmark) -> Iterator[Finding]:
    """Answers that come faster than prompts are read: a buffer let go of them at once."""
    tg, pp = median(benchmark, "tg_throughput"), median(benchmark, "pp_throughput")
    if not tg or not pp or benchmark["concurrency"] != 1 or benchmark["prompt_size"] < PROMPT_TOKENS:
        return
    if tg > DECODE_FACTOR * pp:
        yield Finding(
            "too-fast",
            "above-prefill",
            f"decode is {tg / pp:,.3g} times as fast as prefill ({tg:,.4g} and {pp:,.4g} tok/s); an engine reads many "
            "tokens of a prompt at once, but makes few: something keeps the stream back and then lets go of it",
        )


def cold(benchmark: Benchmark, *, speculative: bool) -> tuple[list[Finding], list[str]]:
    """Cold first samples: those that spoil a figure, and those that the rule of the field takes out."""
    found: list[Finding] = []
    notes = []
    for metric, name in (("pp_throughput", "prefill"), ("tg_throughput", "decode")):
        values = metric_values(dict(benchmark), metric)
        if len(values) < 3 or (speculative and metric == "tg_throughput"):
            continue  # one sample against one says nothing, and speculation scatters as widely
        rest = values[1:]
        late = _cold_start(rest)
        if late:
            found.append(
                Finding(
                    "cold",
                    "cold-kept",
                    f"{name}: the first samples that count are still cold, {_list(rest[:late])} against "
                    f"{statistics.median(rest[late:]):,.4g} tok/s: more warm-up is needed than one sample",
                )
            )
        usual = statistics.median(rest)
        if usual <= 0 or values[0] * COLD_FACTOR > usual:
            continue
        mean, warm_mean = statistics.fmean(values), statistics.fmean(rest)
        text = f"{name}: the first sample is cold, {values[0]:,.4g} against {usual:,.4g} tok/s"
        if warm_mean - mean > COLD_MEAN * warm_mean:
            found.append(
                Finding(
                    "cold",
                    "cold-mean",
                    f"{text}; with {len(values)} samples it spoils the report's own mean, {mean:,.4g} instead of "
                    f"{warm_mean:,.4g} tok/s. Warm up with the cell's own shape and measure again",
                )
            )
        else:
            notes.append(f"{text}; it is left out of the medians")
    return found, notes


def _cold_start(values: Sequence[float]) -> int:
    """How many samples at the beginning are cold, up to a third of them."""
    most = len(values) // 3
    usual = statistics.median(values[most:])
    count = 0
    while count < most and 0 < values[count] * COLD_FACTOR <= usual:
        count += 1
    return count


def breaks(benchmark: Benchmark, *, speculative: bool) -> Iterator[Finding]:
    """Samples that one figure cannot stand for: a break in the course of the cell, or two groups."""
    for metric, name in (("pp_throughput", "prefill"), ("tg_throughput", "decode")):
        values = kept(benchmark, metric)
        shift = _shift(values)
        if shift is not None:
            first, last = shift
            yield Finding(
                "mixed",
                "shift",
                f"{name} changes in the course of the cell: {first:,.4g} tok/s in the first third, {last:,.4g} in the "
                "last. Something else ran, or the machine throttled or swapped; one figure cannot stand for both",
            )
            continue
        groups = None if speculative and metric == "tg_throughput" else _groups(values)
        if groups is not None:
            low, high = groups
            yield Finding(
                "mixed",
                "two-groups",
                f"{name} comes in two groups: {len(low)} samples at {statistics.median(low):,.4g}, {len(high)} at "
                f"{statistics.median(high):,.4g} tok/s. They are not of one state (cache, clocks, other work)",
            )


def _shift(values: Sequence[float]) -> tuple[float, float] | None:
    if len(values) < SHIFT_SAMPLES:
        return None
    third = len(values) // 3
    first, last = values[:third], values[-third:]
    early, late = statistics.median(first), statistics.median(last)
    if max(early, late) < SHIFT_FACTOR * min(early, late):
        return None
    above = sum((a > b) + (a == b) / 2 for a in first for b in last) / third**2
    return (early, late) if max(above, 1 - above) >= SHIFT_ORDER else None


def _groups(values: Sequence[float]) -> tuple[list[float], list[float]] | None:
    """The samples on both sides of the widest gap, when it is wide and both sides have enough."""
    if len(values) < SHIFT_SAMPLES:
        return None
    ordered = sorted(values)
    least = max(1, int(len(ordered) * GROUPS_SHARE))
    cut = max(range(least, len(ordered) - least + 1), key=lambda index: ordered[index] / max(ordered[index - 1], 1e-9))
    low, high = ordered[:cut], ordered[cut:]
    return (low, high) if high[0] >= SHIFT_FACTOR * max(low[-1], 1e-9) else None


def counts(benchmark: Benchmark) -> Iterator[Finding]:
    """A decode speed above the best second of the same answer: tokens and times were counted in two ways."""
    tgs, peaks = metric_values(dict(benchmark), "tg_throughput"), metric_values(dict(benchmark), "peak_throughput")
    if not tgs or len(tgs) != len(peaks) or min(peaks) <= 0:
        return
    ratio = statistics.median(tg / peak for tg, peak in zip(tgs, peaks, strict=True))
    if ratio > PEAK_TOLERANCE:
        yield Finding(
            "too-fast",
            "above-own-peak",
            f"decode is {ratio:.2f} times the best second of the same answers: tokens and the times of their arrival "
            "were counted in two ways (several tokens in a chunk, or a count by another tokenizer)",
        )


def failed_requests(benchmark: Benchmark, failed: int | None) -> tuple[list[Finding], list[str]]:
    """Requests whose samples are missing.

    llama-benchy leaves them out (BenchmarkResults._process_batch), so that of several at a time the speed of all is
    that of the rest. Each request that was answered has its own first response in the report, each batch one speed.

    Args:
        failed: how many were seen to fail; None where nobody counted.
    """
    concurrency, batches = benchmark["concurrency"], len(metric_values(dict(benchmark), "tg_throughput"))
    answered = len(metric_values(dict(benchmark), "ttfr"))
    lost = max(failed or 0, concurrency * batches - answered if concurrency > 1 and answered else 0)
    if not lost:
        return [], []
    text = f"{lost} {'request' if lost == 1 else 'requests'} failed"
    if concurrency == 1:
        return [], [f"{text}: {'its sample is' if lost == 1 else 'their samples are'} missing"]
    text += f" of {concurrency} at a time: a sample sums up only those that did not, so that it may be of fewer streams"
    return [Finding("mixed", "failed-requests", text)], []


def series(benchmark: Benchmark) -> Iterator[Finding]:
    """The figure against its own throughput over time, where the report keeps it."""
    courses = benchmark.get("throughput_over_time") or []
    tgs = metric_values(dict(benchmark), "tg_throughput")
    if benchmark["concurrency"] != 1 or len(courses) != len(tgs):
        return  # several streams overlap, and lost samples cannot be told apart
    off, stalls = [], []
    for course, tg in zip(courses, tgs, strict=True):
        times = [float(point[0]) for point in course]
        if len(times) < 3 or times[-1] <= times[0]:
            continue
        own = sum(time > times[0] for time in times) / (times[-1] - times[0])
        if abs(tg - own) > SERIES_TOLERANCE * own:
            off.append((tg, own))
        longest = max(b - a for a, b in itertools.pairwise(times))
        if longest > max(STALL_S, STALL_TIMES * (times[-1] - times[0]) / len(times)):
            stalls.append(longest)
    if len(off) * 2 > len(tgs):
        tg, own = off[0]
        yield Finding(
            "too-fast" if tg > own else "too-slow",
            "against-series",
            f"{tg:,.4g} tok/s is not what its own time series gives, {own:,.4g}: tokens were counted in two ways",
        )
    if stalls:
        yield Finding(
            "mixed",
            "stalled",
            f"{len(stalls)} of {len(tgs)} answers stood still, for up to {max(stalls):.1f} s: the figure holds a pause",
        )


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:,.4g}" for value in values)
