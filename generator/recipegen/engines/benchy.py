"""llama-benchy's command line for one cell. Owns its flags; runs nothing."""

from __future__ import annotations

from recipegen.engines.base import model_place
from recipegen.engines.command import Command
from recipegen.quoting import Var, compact_json, literal
from recipegen.spec.completed import PlannedCell, Spec

PROGRAM = "llama-benchy"
SERIES_TOKENS = 100_000
"""Most tokens of a cell whose single times go into the report: at 77 bytes each it stays below 8 MB; a usual cell of 30
runs of 128 tokens has about 300 kB."""


def think_kwargs(spec: Spec, thinking: str) -> str:
    """JSON of the chat-template arguments of a request in this mode; empty for the model's default."""
    return "" if thinking == "default" else compact_json({spec.bench.thinking_kwarg: thinking == "on"})


def bench_command(spec: Spec, cell: PlannedCell) -> Command:
    """llama-benchy for one cell; --save-result and --emit-progress are the caller's.

    Knobs: BASE_URL, MODELS_DIR, PP, TG, DEPTH, CONCURRENCY, RUNS, BOOK_URL, THINK_KWARGS, SERIES. BOOK_URL has no
    value of its own: staging the corpus gives it. SERIES, when not empty, has the times of all tokens stored: a figure
    of one stream is held against them (plausible.samples.series). Of several streams they say nothing.
    """
    bench = spec.bench
    main = spec.models["model"]
    tokenizer = model_place(spec.models[main.tokenizer or "model"].model_copy(update={"file": None}), spec.run.models)
    argv = [
        *literal(PROGRAM, "--base-url"),
        (Var("BASE_URL"),),
        *literal("--model", spec.served_name, "--served-model-name", spec.served_name, "--tokenizer"),
        tokenizer,
        *literal("--pp"),
        (Var("PP"),),
        *literal("--tg"),
        (Var("TG"),),
        *literal("--depth"),
        (Var("DEPTH"),),
        *literal("--concurrency"),
        (Var("CONCURRENCY"),),
        *literal("--runs"),
        (Var("RUNS"),),
        *literal("--book-url"),
        (Var("BOOK_URL"),),
        *literal("--latency-mode", bench.latency_mode),
    ]
    switches = {
        "--no-cache": bench.no_cache and not cell.prefix_caching,
        "--enable-prefix-caching": cell.prefix_caching,
        "--exact-tg": bench.exact_tg,
        "--skip-coherence": not bench.coherence,
        "--no-adapt-prompt": not bench.adapt_prompt,
    }
    argv += literal(*(flag for flag, wanted in switches.items() if wanted), "--format", "json")
    knobs = {
        "BASE_URL": f"http://127.0.0.1:{spec.run.port}/v1",
        "MODELS_DIR": spec.run.models_path,
        "PP": str(cell.pp),
        "TG": str(cell.tg),
        "DEPTH": str(cell.depth),
        "CONCURRENCY": str(cell.concurrency),
        "RUNS": str(cell.runs),
        "BOOK_URL": "",
        "THINK_KWARGS": think_kwargs(spec, cell.thinking),
        "SERIES": "1" if cell.concurrency == 1 and cell.runs * cell.tg <= SERIES_TOKENS else "",
    }
    series = literal("--save-total-throughput-timeseries")
    thinking = (*literal("--extra-body"), ("chat_template_kwargs=", Var("THINK_KWARGS")))
    return Command(tuple(argv), {}, knobs, (("SERIES", tuple(series)), ("THINK_KWARGS", thinking)))
