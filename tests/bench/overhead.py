"""What sampling does to a figure, and how close a known figure is measured. Owns no printing."""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import driving
from sampling import Failed, Row, Sample, Skipped, child, interleaved

from recipegen import proc
from recipegen.bench.cell import run_cell
from recipegen.bench.events import CellProgress
from recipegen.bench.measured import SILENCE_S
from recipegen.bench.sampler import Sampler
from recipegen.bench.session import benchy_program, choose_cells, stage_corpora
from recipegen.demo import PACKAGES, RECIPE
from recipegen.engines import engine
from recipegen.engines.benchy import bench_command
from recipegen.errors import EnvironmentLacks
from recipegen.results.report import load_report, metric_values
from recipegen.runners.base import free_port, wait_ready
from recipegen.runners.local import LocalServer
from recipegen.runners.plan import HostOptions, plan_server
from recipegen.spec.completed import Spec

PP, TG, RUNS, PAIRS = 256, 64, 5, 5
"""A request takes several seconds, so that the sampler looks several times at each."""
MOST = 1.01
OWN_S = 10.0
MOST_CPU = 1.0
RATES = (40.0, 400.0)
"""tokens/s: about a large model's and a small one's on a GB10."""
MOST_DEVIATION = 0.5
RATE_SERVER = Path(__file__).parents[1] / "support" / "rate_server.py"
TOKENS = 1000


@dataclass(frozen=True)
class _Speeds:
    """A cell's medians without the cold sample, tokens/s; what the sampler found, if it ran."""

    tg: float
    pp: float
    in_flight: float | None


def rows() -> list[Row]:
    """Pairs on a real server with and without sampling; servers of a known rate."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)} (pip install 'recipegen[demo]')")
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        root, models, out = Path(folder, "repository"), Path(folder, "models"), Path(folder, "out")
        spec = driving._repository(root)
        child([*driving.RECIPEGEN, "download", RECIPE, "--models-dir", models, "--root", root])
        return [*_pairs(spec, models, out), *(row for rate in RATES for row in _known_rate(spec, models, out, rate))]


def _pairs(spec: Spec, models: Path, out: Path) -> list[Row]:
    plan = plan_server(spec, spec.headline, HostOptions(runner="local", port=free_port(), models_dir=models))
    plan = replace(plan, words=[*plan.words, *driving.THREADS])
    names = engine("llama.cpp").metric_names

    def with_sampling() -> _Speeds:
        return _measure(spec, plan.base_url, models, out, pp=PP, tg=TG, names=names)

    def without() -> _Speeds:
        return _measure(spec, plan.base_url, models, out, pp=PP, tg=TG, names=None)

    with LocalServer(plan) as server:
        wait_ready(server, plan, lambda _seconds, _line: None)
        without()  # the first one fills llama-benchy's caches and the server's
        sampled, plain = interleaved(PAIRS, with_sampling, without)
        own = _own_cpu(plan.base_url, names)
    if any(one.in_flight is None for one in sampled):
        raise Failed("the sampler saw nothing of the server")
    remark = f"one real llama.cpp server, pp{PP}/tg{TG}, {RUNS} runs a cell"
    against = "the same without sampling"
    return [
        Row(
            f"decoding {TOKENS:,} tokens, sampled",
            _took(sampled, "tg"),
            "s",
            against,
            _took(plain, "tg"),
            MOST,
            remark=remark,
        ),
        Row(f"prefilling {TOKENS:,} tokens, sampled", _took(sampled, "pp"), "s", against, _took(plain, "pp"), MOST),
        Row("  processor time of sampling, of one core", [own], "%", target=MOST_CPU, judged="value"),
    ]


def _known_rate(spec: Spec, models: Path, out: Path, rate: float) -> list[Row]:
    """A server in a process of its own that streams at `rate`, measured as a cell is."""
    port = free_port()
    argv = [sys.executable, str(RATE_SERVER), "--port", str(port), "--rate", str(rate)]
    log = out.with_name("rate_server.log")
    tokens = int(rate * 4)
    with proc.Process(argv, log=log) as server:
        _await(server, port)
        found = _measure(
            spec, f"http://127.0.0.1:{port}", models, out, pp=64, tg=tokens, names=engine("vllm").metric_names
        )
    if found.in_flight is None:
        raise Failed("the sampler saw nothing of the server")
    what = f"a server of exactly {rate:g} tok/s, measured"
    deviation = [Sample(100 * abs(found.tg / rate - 1))]
    return [
        Row(what, [Sample(found.tg)], "tok/s", "its rate", [Sample(rate)], remark="by llama-benchy in run_cell"),
        Row("  off by", deviation, "%", target=MOST_DEVIATION, judged="value"),
    ]


def _own_cpu(base_url: str, names: Mapping[str, str]) -> Sample:
    """Processor time of this process while it does nothing but sample, % of one core: hardly moved by the load."""
    with Sampler(base_url, names):
        before = time.process_time()
        time.sleep(OWN_S)
        return Sample(100 * (time.process_time() - before) / OWN_S)


def _took(speeds: list[_Speeds], name: str) -> list[Sample]:
    """Seconds for TOKENS tokens."""
    return [Sample(TOKENS / getattr(speed, name)) for speed in speeds]


def _measure(
    spec: Spec, base_url: str, models: Path, out: Path, *, pp: int, tg: int, names: Mapping[str, str] | None
) -> _Speeds:
    [planned] = choose_cells(spec, (driving.CELL,), RUNS)
    try:
        program = benchy_program(spec.bench.tool)
    except EnvironmentLacks as error:
        raise Skipped(error.message) from error
    [corpus] = stage_corpora(spec, (planned,)).values()
    words = bench_command(spec, planned).words(
        BASE_URL=f"{base_url}/v1", BOOK_URL=corpus.book_url, MODELS_DIR=str(models), PP=str(pp), TG=str(tg)
    )
    with Sampler(base_url, names) if names is not None else nullcontext() as sampler:

        def told(progress: CellProgress) -> None:
            if sampler and progress.run:
                sampler.measuring()

        outcome = run_cell(
            [*program, *words[1:]],
            env=driving.ENV,
            folder=out,
            cell_id=planned.id,
            display_cb=told,
            silence_timeout_s=SILENCE_S,
            runs=RUNS,
        )
    # A request that llama.cpp drops on a kept-alive connection costs a sample; half of them must be left.
    if outcome.status != "done" or outcome.failed_requests > RUNS // 2:
        raise Failed(f"the cell failed: {outcome.error or f'{outcome.failed_requests} requests'}")
    benchmark = load_report(out / f"{planned.id}.json")["benchmarks"][0]
    tg_speed, pp_speed = (
        statistics.median(metric_values(benchmark, metric)[1:]) for metric in ("tg_throughput", "pp_throughput")
    )
    return _Speeds(tg_speed, pp_speed, sampler.data()["derived"]["inflight_tg_tok_s"] if sampler else None)


def _await(server: proc.Process, port: int) -> None:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise Failed(f"the stand-in server did not start: {proc.tail(server.log)}")
