"""Puts the checks together: one cell, one figure, one run. Owns the bounds and the comparison of a run's cells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipegen.errors import RecipegenError
from recipegen.files import read_bounded
from recipegen.plausible import counters, samples
from recipegen.plausible.limits import Limits, limits_of
from recipegen.plausible.samples import Benchmark, kept, median, stream_metric
from recipegen.plausible.verdict import Finding, Judgement, judgement
from recipegen.results.report import NEEDED, ReportCell, load_benchmark, load_report
from recipegen.results.store import METRICS_FORMAT, CellRecord, RunRecord, load_run
from recipegen.spec.completed import Spec

SLOW_SHARE = 0.1
"""Below this share of the ceiling a decode figure is rather a broken metric than slow kernels: the wrong figures of
"War stories" had 2 and 4 % of it, the right ones 21 and 37 % (rule METRIC_BELOW_BANDWIDTH_ESTIMATE)."""
SAMPLE_TOLERANCE = 1.05
"""A single sample may exceed the bound by this: llama-benchy 0.3 counts the first chunk's tokens, but not its time."""
LENGTH_TOLERANCE = 1.1
"""A median may exceed ceiling times mean acceptance length by this: the two are of not quite the same requests."""
PAIRED_FACTOR = 3.0
"""Prefill of one text and shape in one run that is this much faster the second time came from a cache; the mode of
thinking, in which the two differ, changes a prompt by a few tokens."""
METRICS_LIMIT = 64 << 20
_METRICS = ("tg_req_throughput", "peak_throughput", "e2e_ttft")


@dataclass(frozen=True)
class CellVerdict:
    """The judgement of one cell of a run; `cell` is its id."""

    cell: str
    judgement: Judgement


def judge_cell(
    benchmark: Benchmark,
    limits: Limits,
    *,
    latency_ms: float | None = None,
    cached_context: bool = False,
    metrics: Mapping[str, Any] | None = None,
    failed_requests: int | None = None,
) -> Judgement:
    """Holds one cell against the machine and against itself.

    Args:
        benchmark: the entry of a llama-benchy report (0.3 or 0.4).
        limits: of `limits_of`; `Limits()` where nothing is known.
        latency_ms: the report's own, of the network.
        cached_context: the report's prefix_caching_enabled: at a depth the context is meant to be cached.
        metrics: what was sampled while it ran (recipegen-metrics/1); None without.
        failed_requests: of the cell's record; None where nobody counted.
    """
    found: list[Finding] = []
    large = limits.billions >= 1 if limits.billions is not None else limits == Limits(notes=limits.notes)
    found += samples.first_answer(benchmark, latency_ms, large=large)
    found += samples.burst(benchmark)
    found += samples.decode_above_prefill(benchmark)
    found += samples.counts(benchmark)
    found += samples.series(benchmark)
    chilled, notes = samples.cold(benchmark, speculative=limits.speculative)
    found += chilled
    lost, lost_notes = samples.failed_requests(benchmark, failed_requests)
    found += lost
    notes += lost_notes
    found += samples.breaks(benchmark, speculative=limits.speculative)
    length = counters.acceptance_length(metrics) if metrics else None
    found += _decode(benchmark, limits, length)
    found += _prefill(benchmark, limits)
    if metrics:
        found += counters.cache_hits(benchmark, metrics, expected=cached_context and benchmark["context_size"] > 0)
        found += counters.token_count(benchmark, metrics)
        notes += filter(None, [counters.server_note(metrics)])
    return judgement(found, [*_compared(benchmark, limits), *notes], bounded=limits.decode is not None)


def _decode(benchmark: Benchmark, limits: Limits, length: float | None) -> Iterator[Finding]:
    tg = median(benchmark, stream_metric(benchmark))
    if tg is None or limits.decode is None:
        return
    if tg < SLOW_SHARE * limits.decode and benchmark["concurrency"] == 1:
        yield Finding(
            "too-slow",
            "below-bandwidth",
            f"{tg:,.4g} tok/s is {tg / limits.decode:.0%} of the {limits.decode:,.4g} that bandwidth allows: "
            "rather a broken metric (idle time, wrong count) than slow kernels",
        )
    most = limits.decode_most
    if most is None:
        return
    how = f"{limits.decode:,.4g} tok/s that the memory's bandwidth allows one stream"
    if limits.tokens_per_pass != 1:
        how += f", times the {limits.tokens_per_pass} tokens of a pass with every draft accepted"
    if tg > most:
        why = "a prompt cache cannot do that; tokens are counted wrongly, the stream is buffered"
        why += ", or the server speculates and the recipe does not say so" if limits.tokens_per_pass == 1 else ""
        yield Finding("too-fast", "above-ceiling", f"{tg:,.4g} tok/s is above the {how}: {why}")
    elif length is not None and tg > limits.decode * length * LENGTH_TOLERANCE:
        yield Finding(
            "too-fast",
            "above-acceptance",
            f"{tg:,.4g} tok/s is above {limits.decode * length:,.4g}: the {limits.decode:,.4g} that bandwidth allows "
            f"times the {length:.2f} tokens that the server says it accepts at a time",
        )
    else:
        values = kept(benchmark, stream_metric(benchmark))
        above = [value for value in values if value > most * SAMPLE_TOLERANCE]
        if above:
            yield Finding(
                "mixed",
                "samples-above-ceiling",
                f"{len(above)} of {len(values)} samples, up to {max(above):,.4g} tok/s, are above the {how}; the "
                f"median of {tg:,.4g} is not. Those were buffered or counted wrongly",
            )


def _prefill(benchmark: Benchmark, limits: Limits) -> Iterator[Finding]:
    pp = median(benchmark, "pp_throughput")
    if pp is not None and limits.prefill is not None:
        values = kept(benchmark, "pp_throughput")
        above = [value for value in values if value > limits.prefill]
        if pp > limits.prefill:
            yield Finding(
                "too-fast",
                "above-compute",
                f"{pp:,.0f} tok/s of prefill is above the {limits.prefill:,.0f} that the GPU's peak of compute allows "
                "this model: the prompt was cached, or the first response is not the first token",
            )
        elif above:
            yield Finding(
                "mixed",
                "samples-above-compute",
                f"{len(above)} of {len(values)} prefill samples, up to {max(above):,.0f} tok/s, are above the "
                f"{limits.prefill:,.0f} that the GPU's peak of compute allows; the median of {pp:,.0f} is not",
            )
    ttfr = median(benchmark, "ttfr")
    if ttfr is not None and limits.first_ms is not None and ttfr < limits.first_ms:
        yield Finding(
            "too-fast",
            "before-one-pass",
            f"the first response comes after {ttfr:.1f} ms; reading the weights once takes {limits.first_ms:.1f} ms: "
            "it is not the model's",
        )


def _compared(benchmark: Benchmark, limits: Limits) -> Iterator[str]:
    tg = median(benchmark, stream_metric(benchmark))
    if tg is not None and limits.decode is not None:
        text = f"decode: {tg:,.4g} tok/s, {tg / limits.decode:.2g} times the {limits.decode:,.4g} of one token a pass"
        if limits.tokens_per_pass is None:
            text += "; how many tokens a pass can yield is not known, so that nothing bounds it from above"
        elif limits.tokens_per_pass > 1:
            text += f"; {limits.tokens_per_pass} is the most that its drafts allow"
        yield text
    yield from limits.notes


def judge_figure(
    spec: Spec, variant: str, *, tg: float, context: int, host: Mapping[str, Any] | None = None
) -> Judgement:
    """Holds one published decode speed against the machine: no samples, so only the ceiling speaks.

    Args:
        tg: tok/s of one stream.
        context: tokens in the cache at the end of the answer.
        host: facts of the machine, None for the recipe's own hardware.
    """
    values = {"mean": tg, "std": 0.0, "values": [tg]}
    benchmark = {
        "concurrency": 1,
        "prompt_size": context,
        "response_size": 0,
        "context_size": 0,
        "tg_throughput": values,
    }
    limits = limits_of(spec, variant, context, host)
    notes = _compared(benchmark, limits)
    return judgement(_decode(benchmark, limits, None), notes, bounded=limits.decode is not None)


def verdicts(spec: Spec | None, run: Path, record: RunRecord | None = None) -> list[CellVerdict]:
    """The judgement of every measured cell of a run, in the record's order; failed cells have none.

    Args:
        spec: the recipe that was measured; None when it is not known.
        run: the run's folder.
        record: its record, where the caller has it already.

    Raises:
        RecipegenError: the record or a report of it cannot be read or was changed.
    """
    record = load_run(run) if record is None else record
    done = [cell for cell in record["cells"] if cell["status"] == "done" and cell["file"] is not None]
    benchmarks = {cell["id"]: _benchmark(run, cell) for cell in done}
    alone: dict[str, Judgement] = {}
    for cell in done:
        report = load_report(run / str(cell["file"]))
        limits = limits_of(spec, record["variant"], cell["pp"] + cell["depth"] + cell["tg"], record["host"])
        alone[cell["id"]] = judge_cell(
            benchmarks[cell["id"]],
            limits,
            latency_ms=report.get("latency_ms"),
            cached_context=report.get("prefix_caching_enabled") is True,
            metrics=metrics_of(run, cell),
            failed_requests=cell["failed_requests"],
        )
    for name, finding in list(_paired(done, benchmarks, alone)):
        one = alone[name]
        alone[name] = judgement([*one.findings, finding], one.notes, bounded=True)
    return [CellVerdict(name, one) for name, one in alone.items()]


def _benchmark(run: Path, cell: CellRecord) -> dict[str, Any]:
    shape = ReportCell(cell["pp"], cell["tg"], cell["depth"], cell["concurrency"], False)
    return load_benchmark(run / str(cell["file"]), shape, cell["sha256"], (*NEEDED, *_METRICS))


def metrics_of(run: Path, cell: CellRecord) -> dict[str, Any] | None:
    """What was sampled while a cell ran; None without, and for a file that is none: a figure does not hang on it."""
    name = cell.get("metrics")
    if not isinstance(name, str) or "/" in name:
        return None
    try:
        data = json.loads(read_bounded(run / name, METRICS_LIMIT))
    except (RecipegenError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and data.get("format") == METRICS_FORMAT else None


def _paired(
    cells: list[CellRecord], benchmarks: Mapping[str, Benchmark], alone: Mapping[str, Judgement]
) -> Iterator[tuple[str, Finding]]:
    """Cells whose prompts an earlier one had left in a cache: the same text and shape in another thinking mode."""
    earlier: dict[tuple[str | int, ...], tuple[str, float]] = {}
    for cell in cells:
        pp = median(benchmarks[cell["id"]], "pp_throughput")
        if pp is None:
            continue
        same = (cell["corpus"], cell["pp"], cell["depth"], cell["concurrency"])
        first, least = earlier.setdefault(same, (cell["id"], pp))
        # A cell that something held up is no measure of the others.
        if pp > PAIRED_FACTOR * least and alone[first].verdict in ("plausible", "unknown"):
            text = (
                f"{pp:,.0f} tok/s of prefill is {pp / least:.1f} times that of {first} ({least:,.0f}), which read the "
                "same text before: these prompts came from a cache"
            )
            yield cell["id"], Finding("too-fast", "faster-than-pair", text)
