"""The three files of a Spark Arena submission, from one run of its profile. Owns their columns, keys and whether every
cell is there; statistics are llama-benchy's own, since the file has no other columns."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from recipegen.bench.profiles import catalog_profiles
from recipegen.boards.sparkrun_form import RECIPE, SparkrunForm
from recipegen.evidence import Evidence
from recipegen.results.report import ReportRefused, cell_of, load_benchmark, load_report
from recipegen.results.store import CellRecord
from recipegen.stats import summarize

PROFILE = "spark-arena-v2"
OFFICIAL_PROFILE = "@official/spark-arena-v2"
CSV, METADATA = "benchmark.csv", "metadata.json"
FOLDERS: Mapping[str, str] = {RECIPE: "recipes", CSV: "logs", METADATA: "metadata"}
"""Where each file goes in the board's storage."""
_PROMPT = ("ttfr", "est_ppt", "e2e_ttft")
_RATES = ("t_s", "t_s_req", "peak_ts", "peak_ts_req")
_STATISTICS = ("mean", "std")
COLUMNS = ("model", "test_name", *(f"{name}_{what}" for name in (*_RATES, *_PROMPT) for what in _STATISTICS))
_PROMPT_LINE = {"t_s": "pp_throughput", "t_s_req": "pp_req_throughput", **{name: name for name in _PROMPT}}
_ANSWER_LINE = {
    "t_s": "tg_throughput",
    "t_s_req": "tg_req_throughput",
    "peak_ts": "peak_throughput",
    "peak_ts_req": "peak_req_throughput",
}
"""Columns of a line to the report's metrics; the others stay empty."""
_METRICS = (*_PROMPT_LINE.values(), *_ANSWER_LINE.values())
_TOLERANCE = 1e-6
Shape = tuple[int, int, int, int]
"""Prompt, answer, depth, concurrency."""


def scheduled() -> list[Shape]:
    """The cells of the profile, by depth, then concurrency; the board's own order is not public."""
    profile = catalog_profiles()[PROFILE]
    return [(pp, profile.tg, d, c) for pp in profile.pp for d in profile.depth for c in profile.concurrency]


def covered(evidence: Evidence) -> dict[Shape, CellRecord]:
    """The cells of the evidence's run that are done, by shape; one text and one mode of thinking, the evidence's."""
    wanted = evidence.cell["corpus"], evidence.cell["thinking"]
    return {
        (cell["pp"], cell["tg"], cell["depth"], cell["concurrency"]): cell
        for cell in evidence.record["cells"]
        if cell["status"] == "done" and (cell["corpus"], cell["thinking"]) == wanted
    }


def coverage_problems(evidence: Evidence) -> list[str]:
    """What keeps a run from being a whole submission."""
    if evidence.record.get("profile") != PROFILE:
        return [f"the run is not of the profile {PROFILE}: recipegen bench {evidence.spec.name} --profile {PROFILE}"]
    done = covered(evidence)
    missing = [shape for shape in scheduled() if shape not in done]
    problems = []
    if missing:
        names = ", ".join(f"pp{pp} tg{tg} d{depth} c{concurrency}" for pp, tg, depth, concurrency in missing[:4])
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        problems.append(f"{len(missing)} of {len(scheduled())} cells are not there: {names}{more}")
    if evidence.record["status"] != "complete":
        problems.append(f"the run is {evidence.record['status']}; the board wants one that succeeded as a whole")
    for shape in scheduled():
        if shape in done:
            problems += _cell_problems(evidence, done[shape])
    return problems


def _cell_problems(evidence: Evidence, cell: CellRecord) -> Iterator[str]:
    report = load_report(evidence.run / str(cell["file"]))
    if report.get("prefix_caching_enabled") is not True:
        yield f"{cell['id']} was measured without a cached context"
    runs = catalog_profiles()[PROFILE].runs
    if cell["runs"] != runs:
        yield f"{cell['id']} has {cell['runs']} runs, the profile {runs}"
    for benchmark in _benchmarks(evidence, cell):
        for name in _METRICS:
            metric = benchmark.get(name)
            if metric is not None and metric["values"]:
                found = summarize(metric["values"], drop_first=False)
                if abs(found.mean - metric["mean"]) > _TOLERANCE * max(found.mean, 1.0):
                    yield f"{cell['id']}: the mean of {name} does not follow from its samples"


def benchmark_csv(evidence: Evidence) -> bytes:
    """llama-benchy's own CSV over all cells, as its writer would have made it of one run of all."""
    done = covered(evidence)
    shapes = [shape for shape in scheduled() if shape in done]
    marked = any(concurrency > 1 for _, _, _, concurrency in shapes)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for shape in shapes:
        for benchmark in _benchmarks(evidence, done[shape]):
            for line in _lines(benchmark, marked=marked):
                writer.writerow({"model": evidence.spec.served_name, **line})
    return text.getvalue().encode()


def _benchmarks(evidence: Evidence, cell: CellRecord) -> list[dict[str, Any]]:
    """The entries of a cell's report: the load of the context first, where it was apart.

    Raises:
        ReportRefused: the report was changed, or a statistic in it is no number.
    """
    path = evidence.run / str(cell["file"])
    try:
        shapes = dict.fromkeys(cell_of(benchmark) for benchmark in load_report(path)["benchmarks"])
        found = [
            load_benchmark(path, shape, cell["sha256"], _METRICS)
            for shape in sorted(shapes, key=lambda shape: not shape.is_context_prefill)
        ]
        for benchmark in found:
            for metric in filter(None, map(benchmark.get, _METRICS)):
                if not all(type(metric[what]) in (int, float) and math.isfinite(metric[what]) for what in _STATISTICS):
                    raise TypeError("a mean or a std is no number")
    except (KeyError, TypeError, AttributeError) as error:
        raise ReportRefused.because(path, f"is not a llama-benchy report: {error}") from error
    return found


def _lines(benchmark: Mapping[str, Any], *, marked: bool) -> Iterator[dict[str, Any]]:
    depth, end = benchmark["context_size"], f" (c{benchmark['concurrency']})" if marked else ""
    if benchmark["is_context_prefill_phase"]:
        prompt, answer, at = "ctx_pp", "ctx_tg", f" @ d{depth}"
    else:
        prompt, answer = f"pp{benchmark['prompt_size']}", f"tg{benchmark['response_size']}"
        at = f" @ d{depth}" if depth > 0 else ""
    if benchmark.get("pp_throughput"):
        yield {"test_name": prompt + at + end, **_columns(benchmark, _PROMPT_LINE)}
    if benchmark.get("tg_throughput") or benchmark.get("peak_throughput"):
        yield {"test_name": answer + at + end, **_columns(benchmark, _ANSWER_LINE)}


def _columns(benchmark: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, metric in names.items():
        if entry := benchmark.get(metric):
            found |= {f"{column}_{what}": entry[what] for what in _STATISTICS}
    return found


def metadata(evidence: Evidence, form: SparkrunForm) -> bytes:
    """Where the figures come from, in the keys that sparkrun sends; names of hosts are not among them."""
    assert form.data is not None, "asked before"
    spec, record = evidence.spec, evidence.record
    image = record["image"] or {}
    started, ended = record["started"], record["ended"]
    ready = (record["server"] or {}).get("ready_s")
    pinned = f"{image['ref']}@{image['digest']}" if image.get("ref") and image.get("digest") else None
    defaults = form.data["defaults"]
    model = spec.models[spec.variants[evidence.variant].model]
    parallel = {"tp": defaults.get("tensor_parallel"), "pp": defaults.get("pipeline_parallel")}
    data = {
        "recipe": {
            "name": spec.name,
            "qualified_name": f"{spec.name}/{evidence.variant}",
            "type": "sparkrun",
            "model": model.hf_id,
            "hf_model": model.hf_id,
            "raw_container": form.data["container"],
            "container": pinned or form.data["container"],
            "container_pinned": pinned is not None or "@sha256:" in form.data["container"],
            "runtime": form.data["runtime"],
            "runtime_full": form.data["runtime"],
            "registry": None,
            "registry_git": None,
            "hash": record["recipe"].get("spec_sha256"),
        },
        "timing": {"start": started, "end": ended, "duration": _seconds(started, ended), "startup": ready},
        "cluster": {
            "cluster_id": record["run"],
            "node_count": spec.hardware.nodes,
            **{name: value for name, value in parallel.items() if isinstance(value, int) and value != 1},
        },
        "benchmark": {
            "framework": "llama-benchy",
            "profile": OFFICIAL_PROFILE,
            "category": "performance",
            "args": _arguments(),
            "measured_at": started,
            "completed_at": ended,
        },
        "model": {
            "quantization": model.quantization,
            **({"kv_dtype": defaults["kv_cache_dtype"]} if "kv_cache_dtype" in defaults else {}),
            **({"revision": model.revision} if model.revision else {}),
        },
        "runtime_info": {
            "engine": record["engine"].get("version"),
            "llama_benchy": evidence.report.get("version"),
            "driver": _driver(record["host"]),
        },
        "sparkrun": {"version": None},
        "recipegen": {"version": record["versions"].get("recipegen"), "run": evidence.place},
    }
    return (json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _arguments() -> dict[str, Any]:
    profile = catalog_profiles()[PROFILE]
    return {
        "pp": list(profile.pp),
        "tg": [profile.tg],
        "depth": list(profile.depth),
        "concurrency": list(profile.concurrency),
        "runs": profile.runs,
        "prefix_caching": profile.prefix_caching,
    }


def _seconds(start: str | None, end: str | None) -> float | None:
    try:
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds()
    except (ValueError, TypeError):
        return None


def _driver(host: Mapping[str, Any] | None) -> str | None:
    gpus = (host or {}).get("gpus") or []
    return gpus[0].get("driver") if gpus else None
