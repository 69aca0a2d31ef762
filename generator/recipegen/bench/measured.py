"""One cell on a server that is up: llama-benchy run, server and host sampled meanwhile, figures judged. Owns how these
come together; each of them lives in a module of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.engines import engine
from recipegen.engines.benchy import bench_command
from recipegen.results.store import DOUBTFUL, CellRecord, RunWriter

if TYPE_CHECKING:
    from recipegen.bench.corpora import StagedCorpus
    from recipegen.bench.display import Display
    from recipegen.bench.events import CellProgress
    from recipegen.bench.session import Request
    from recipegen.cluster.sampler import NodesSampler
    from recipegen.runners.base import ServerPlan
    from recipegen.spec.completed import PlannedCell, Spec

SILENCE_S = 900.0
"""A prompt of 128k tokens takes minutes on a GB10, without a word from llama-benchy."""


def measure_cell(
    request: Request,
    plan: ServerPlan,
    cell: PlannedCell,
    writer: RunWriter,
    program: list[str],
    corpus: StagedCorpus,
    display: Display,
    attempt: int = 1,
    nodes: NodesSampler | None = None,
) -> CellRecord:
    """One cell on a server that is up: measured, sampled meanwhile, recorded, then judged.

    Args:
        attempt: which try this is; what earlier ones failed with is kept.
        nodes: what looks at the nodes, where several serve.

    Returns:
        What the run's record holds of it now; its report, log and metrics lie in the run's folder.
    """
    from recipegen.bench.cell import run_cell
    from recipegen.bench.nodes import nodes_series
    from recipegen.bench.sampler import Sampler, write_metrics
    from recipegen.plausible.counters import server_note

    folder = writer.folder
    spec, options = request.spec, request.options
    command = bench_command(spec, cell)
    base_url = f"{plan.base_url.rstrip('/').removesuffix('/v1')}/v1"
    words = command.words(BASE_URL=base_url, BOOK_URL=corpus.book_url, MODELS_DIR=str(options.models_dir))
    display.cell_started(cell)
    # A proxy between llama-benchy and a server of this host would be measured with it.
    env = {"NO_PROXY": "127.0.0.1,localhost", "HF_HOME": str(options.hf_home)}
    names = engine(spec.engine.name).metric_names

    def told(progress: CellProgress) -> None:
        if progress.run:
            sampler.measuring()
        progress.server = sampler.latest()
        display.update(progress)

    began = time.monotonic()
    # What this machine itself has left says nothing of a head that is another one.
    here = options.runner != "endpoint" if request.cluster is None else request.cluster.nodes[0].ssh is None
    with Sampler(plan.base_url, names, host=here) as sampler:
        outcome = run_cell(
            [*program, *words[1:]],
            env=env,
            folder=folder,
            cell_id=cell.id,
            display_cb=told,
            silence_timeout_s=SILENCE_S,
            runs=cell.runs,
        )
    before = next((old for old in writer.record["cells"] if old["id"] == cell.id), None)
    failures = [*before.get("earlier_errors", []), before["error"] or ""] if before else []
    done: CellRecord = {
        "id": cell.id,
        "corpus": cell.corpus,
        "corpus_sha256": corpus.sha256,
        "pp": cell.pp,
        "tg": cell.tg,
        "depth": cell.depth,
        "concurrency": cell.concurrency,
        "thinking": cell.thinking,
        "runs": cell.runs,
        "status": outcome.status,
        "file": outcome.file,
        "sha256": outcome.sha256,
        "argv": command.recorded(BOOK_URL=corpus.book_url),
        "started": outcome.started,
        "ended": outcome.ended,
        "error": outcome.error,
        "failed_requests": outcome.failed_requests,
        "attempts": attempt,
        "earlier_errors": [text.partition("\n")[0] for text in failures],
    }
    writer.add_cell(done)  # at once: whatever happens to what follows, the cell is measured
    metrics = sampler.data()
    if nodes is not None:
        series = nodes_series(nodes, began, time.monotonic())
        if not here:
            metrics["host"] = {key: value for key, value in series[0].items() if key != "node"}
        if len(series) > 1:
            metrics["nodes"] = series
    done["metrics"], done["server_note"] = write_metrics(folder, cell.id, metrics), server_note(metrics)
    if outcome.status == "done":
        report = folder / str(outcome.file)
        verdict = _verdict(spec, plan.variant, report, outcome.failed_requests, writer.record["host"], metrics)
        done["verdict"] = verdict
        lost = f", {outcome.failed_requests} requests failed" if outcome.failed_requests else ""
        doubt = f"; {verdict['verdict']}: {verdict['reasons'][0]}" if verdict["verdict"] in DOUBTFUL else ""
        display.cell_done(cell, summary_line(report) + lost + doubt)
    else:
        done["verdict"] = None
        display.cell_failed(cell, outcome.error or "no reason known")
    writer.add_cell(done)
    return done


def _verdict(
    spec: Spec,
    variant: str,
    report: Path,
    failed_requests: int,
    host: Mapping[str, Any] | None,
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """Whether the figures of a stored report can be: `{"verdict", "reasons"}`."""
    from recipegen.plausible import judge_cell, limits_of
    from recipegen.results.report import load_report

    data = load_report(report)
    benchmark = data["benchmarks"][-1]  # before it, with a cached context, stands the load of that
    context = benchmark["prompt_size"] + benchmark["context_size"] + benchmark["response_size"]
    return judge_cell(
        benchmark,
        limits_of(spec, variant, context, host),
        latency_ms=data.get("latency_ms"),
        cached_context=bool(data.get("prefix_caching_enabled")),
        metrics=metrics,
        failed_requests=failed_requests,
    ).as_data()


def summary_line(report: Path) -> str:
    """Warm medians of a report's last benchmark, for the display: `tg 36.12 tok/s (n=4), pp 612.50 tok/s (n=4)`.

    Before it, with a cached context, stands the load of that.
    """
    from recipegen.results.report import load_report, metric_values
    from recipegen.stats import summarize

    benchmark = load_report(report)["benchmarks"][-1]
    parts = []
    for label, metric in (("tg", "tg_throughput"), ("pp", "pp_throughput")):
        values = metric_values(benchmark, metric)
        if values:
            summary = summarize(values, drop_first=True)
            parts.append(f"{label} {summary.median:.2f} tok/s (n={summary.n})")
    return ", ".join(parts)
