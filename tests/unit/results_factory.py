"""Makes reports and specs for the tests of results. The reports have llama-benchy's own shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipegen.results.scrub import Identity

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "llama-benchy"
NOBODY = Identity()


def real_report(name: str) -> Path:
    """A report that others measured; skips the test where they are not present."""
    path = REAL / name
    if not path.is_file():
        pytest.skip("the reports of others (shared/data/llama-benchy) are not beside this checkout")
    return path


def metric(values: Sequence[float]) -> dict[str, Any]:
    mean = sum(values) / len(values)
    std = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    return {"mean": mean, "std": std, "values": list(values)}


def benchmark(
    pp: int = 2048,
    tg: int = 128,
    depth: int = 0,
    concurrency: int = 1,
    tgs: Sequence[float] = (10.0, 40.0, 42.0, 41.0),
    pps: Sequence[float] = (100.0, 900.0, 1000.0, 950.0),
    **other: Any,
) -> dict[str, Any]:
    times = metric([1000 * pp / rate for rate in pps])
    return {
        "concurrency": concurrency,
        "context_size": depth,
        "prompt_size": pp,
        "response_size": tg,
        "is_context_prefill_phase": False,
        "pp_throughput": metric(pps),
        "pp_req_throughput": metric(pps),
        "tg_throughput": metric(tgs),
        "tg_req_throughput": metric(tgs),
        "peak_throughput": metric(tgs),
        "peak_req_throughput": metric(tgs),
        "ttfr": times,
        "est_ppt": times,
        "e2e_ttft": times,
        "throughput_over_time": None,
        "requests_throughput_over_time": None,
        **other,
    }


def report(*benchmarks: dict[str, Any], timestamp: str = "2026-11-20 10:00:00Z", **other: Any) -> dict[str, Any]:
    return {
        "version": "0.4.0",
        "timestamp": timestamp,
        "latency_mode": "api",
        "latency_ms": 1.5,
        "model": "tiny",
        "prefix_caching_enabled": False,
        "max_concurrency": 1,
        "benchmarks": list(benchmarks) or [benchmark()],
        **other,
    }


def write_json(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2))
    return path


def cell(corpus: str = "prose", pp: int = 2048, tg: int = 128, thinking: str = "default", depth: int = 0) -> Any:
    end = "" if thinking == "default" else f"-think-{thinking}"
    return SimpleNamespace(
        id=f"{corpus}-pp{pp}-tg{tg}-d{depth}-c1{end}",
        corpus=corpus,
        pp=pp,
        tg=tg,
        depth=depth,
        concurrency=1,
        thinking=thinking,
        runs=30,
    )


def spec(*cells: Any, variants: Sequence[str] = ("dflash", "ar"), **other: Any) -> Any:
    planned = cells or (cell(), cell("code"), cell(pp=128), cell("code", pp=128))
    fields: dict[str, Any] = {
        "name": "tiny",
        "title": "Tiny recipe",
        "headline": variants[0],
        "sha256": "5" * 64,
        "variants": {name: SimpleNamespace(name=name, method="AR" if name == "ar" else "DFlash") for name in variants},
        "cells": lambda: planned,
    }
    return SimpleNamespace(**{**fields, **other})


def published(**other: Any) -> Any:
    fields: dict[str, Any] = {
        "variant": "dflash",
        "metric": "tg",
        "pp": 128,
        "tg": 128,
        "workload": None,
        "depth": 0,
        "concurrency": 1,
        "value": 102.05,
        "stat": "median",
        "n": 29,
        "corpus": "sherlock",
        "thinking": "on",
        "source": "https://example.org/result",
        "note": None,
    }
    return SimpleNamespace(**{**fields, **other})
