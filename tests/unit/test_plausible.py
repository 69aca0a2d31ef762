"""Plausibility: each check fires on what it is for and stays quiet beside it; the reports of others get the verdicts
that their figures deserve."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest

from recipegen.bench.verdicts import judge_run
from recipegen.complete import complete
from recipegen.errors import SpecError
from recipegen.files import sha256_file
from recipegen.fit import estimate
from recipegen.fit.published import all_specs
from recipegen.plausible import (
    Finding,
    Judgement,
    Kind,
    Limits,
    decode_share,
    judge_cell,
    judge_figure,
    limits_of,
    verdicts,
)
from recipegen.plausible.record import put_verdicts
from recipegen.plausible.verdict import MEANINGS, Verdict, judgement
from recipegen.results.store import RunWriter, load_run, new_run
from recipegen.spec.completed import Spec
from recipegen.spec.model import Recipe
from tests.unit.results_factory import NOBODY, benchmark, metric, real_report, report, write_json

GB10 = {"gpus": [{"name": "NVIDIA GB10"}]}
AR = Limits(decode=20.0, tokens_per_pass=1, prefill=10_000.0, first_ms=50.0, speculative=False, billions=27.0)
"""A dense model of 27 billion parameters at four bits on one GB10, rounded."""
DRAFTS = Limits(decode=20.0, tokens_per_pass=16, prefill=10_000.0, first_ms=50.0, speculative=True, billions=27.0)
UNKNOWN = Limits()


def cell(
    tg: float | list[float] = 12.0, pp: float | list[float] = 1000.0, n: int = 30, size: int | None = None, **other: Any
) -> dict[str, Any]:
    """A cell whose samples are `n` times the same, or as listed."""
    tgs = tg if isinstance(tg, list) else [tg] * n
    pps = pp if isinstance(pp, list) else [pp] * n
    made = benchmark(tgs=tgs, pps=pps, **other) | ({"prompt_size": size} if size else {})
    if made["concurrency"] > 1 and "ttfr" not in other:
        made["ttfr"] = metric(made["ttfr"]["values"] * made["concurrency"])  # one of each request
    return made


def codes(found: Judgement) -> list[str]:
    return [finding.code for finding in found.findings]


def server(rate: float, *, step: float = 0.5, answer: int = 128, requests: int = 4, **derived: Any) -> dict[str, Any]:
    """Counters of a server that decodes at `rate` tok/s and reads each prompt in one second."""
    rows: list[tuple[float, int, float, int]] = []
    tokens, prompts, now = 0.0, 0, 0.0
    for _ in range(requests):
        rows += [(now, 1, tokens, prompts), (now + step, 1, tokens, prompts)]
        now, prompts = now + 1.0, prompts + 2048
        for _ in range(int(answer / rate / step)):
            rows.append((now, 1, tokens, prompts))
            now, tokens = now + step, tokens + rate * step
    names = ("t", "running", "generation_tokens", "prompt_tokens")
    series = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    return {"format": "recipegen-metrics/1", "server": {"endpoint": True, "series": series}, "derived": derived}


ODD: list[tuple[str, dict[str, Any], Limits, dict[str, Any], str, list[str]]] = [
    ("a usual one", cell(), AR, {}, "plausible", []),
    ("a usual one of an unknown machine", cell(), UNKNOWN, {}, "unknown", []),
    ("at the ceiling", cell(20.0), AR, {}, "plausible", []),
    ("above the ceiling", cell(20.1), AR, {}, "too-fast", ["above-ceiling"]),
    ("drafts explain it", cell(20.1), DRAFTS, {}, "plausible", []),
    ("no draft explains it", cell(321.0), DRAFTS, {}, "too-fast", ["above-ceiling"]),
    ("some samples above", cell([12.0] * 28 + [25.0] * 2), AR, {}, "mixed", ["samples-above-ceiling"]),
    ("a tenth of the ceiling", cell(2.0), AR, {}, "plausible", []),
    ("below a tenth", cell(1.9), AR, {}, "too-slow", ["below-bandwidth"]),
    (
        "a stream of several has no lower bound, and each is bounded alone",
        cell(60.0, concurrency=4, tg_req_throughput=metric([15.0] * 30)),
        AR,
        {},
        "plausible",
        [],
    ),
    (
        "fewer streams than asked for, seen by the driver",
        cell(30.0, concurrency=4, tg_req_throughput=metric([10.0] * 30)),
        AR,
        {"failed_requests": 3},
        "mixed",
        ["failed-requests"],
    ),
    (
        "fewer streams than asked for, seen in the samples",
        cell(30.0, concurrency=4, tg_req_throughput=metric([10.0] * 30), ttfr=metric([1500.0] * 119)),
        AR,
        {},
        "mixed",
        ["failed-requests"],
    ),
    ("lost samples of one stream", cell(), AR, {"failed_requests": 2}, "plausible", []),
    (
        "one of several above",
        cell(100.0, concurrency=4, tg_req_throughput=metric([25.0] * 30)),
        AR,
        {},
        "too-fast",
        ["above-ceiling"],
    ),
    ("a buffered stream, machine unknown", cell(46_788.0), UNKNOWN, {}, "too-fast", ["buffered", "above-prefill"]),
    ("a buffered stream", cell(5_200.0, 105.0), UNKNOWN, {}, "too-fast", ["above-prefill"]),
    ("a prompt that drafts outrun", cell(500.0, 105.0, size=16), UNKNOWN, {}, "unknown", []),
    ("a prompt as slow as drafts", cell(240.0, 90.0), UNKNOWN, {}, "unknown", []),
    ("prefill above compute", cell(pp=10_001.0), AR, {}, "too-fast", ["above-compute"]),
    ("some prefill above compute", cell(pp=[900.0] * 28 + [11_000.0] * 2), AR, {}, "mixed", ["samples-above-compute"]),
    (
        "a control chunk",
        cell(pp=128 / 0.060, e2e_ttft=metric([694.0] * 30), ttfr=metric([60.0] * 30)),
        AR,
        {},
        "too-fast",
        ["control-chunk"],
    ),
    ("a few ms", cell(ttfr=metric([3.4] * 30)), Limits(), {}, "too-fast", ["control-chunk", "few-ms"]),
    (
        "a tiny model answers within a few ms",
        cell(ttfr=metric([3.4] * 30), e2e_ttft=metric([3.4] * 30)),
        Limits(billions=0.27),
        {},
        "unknown",
        [],
    ),
    (
        "sooner than the network",
        cell(ttfr=metric([40.0] * 30), e2e_ttft=metric([40.0] * 30)),
        UNKNOWN,
        {"latency_ms": 45.0},
        "too-fast",
        ["below-latency"],
    ),
    (
        "some sooner than the network",
        cell(ttfr=metric([60.0] * 28 + [40.0] * 2), e2e_ttft=metric([60.0] * 30)),
        UNKNOWN,
        {"latency_ms": 45.0},
        "mixed",
        ["below-latency"],
    ),
    (
        "sooner than one pass",
        cell(ttfr=metric([40.0] * 30), e2e_ttft=metric([40.0] * 30)),
        AR,
        {"latency_ms": 2.0},
        "too-fast",
        ["before-one-pass"],
    ),
    ("a cold first sample of three", cell(12.0, [742.0, 2252.0, 2391.0], n=3), AR, {}, "cold", ["cold-mean"]),
    ("a cold first sample of thirty", cell(12.0, [24.0] + [500.0] * 29), AR, {}, "plausible", []),
    ("cold after the first", cell(12.0, [24.0, 90.0, 100.0] + [500.0] * 27), AR, {}, "cold", ["cold-kept"]),
    (
        "drafts scatter as widely as a cold start",
        cell([30.0, 90.0, 95.0, 70.0], [500.0] * 4),
        DRAFTS,
        {},
        "plausible",
        [],
    ),
    ("a break", cell(12.0, [800.0] * 20 + [80.0] * 10), AR, {}, "mixed", ["shift"]),
    ("two groups", cell([8.0, 14.0] * 15), AR, {}, "mixed", ["two-groups"]),
    ("two groups of drafts", cell([70.0, 200.0] * 15), DRAFTS, {}, "plausible", []),
    ("a few outliers", cell(12.0, [1600.0] * 27 + [365.0, 380.0, 1184.0]), AR, {}, "plausible", []),
    (
        "above its own peak",
        cell(12.0, peak_throughput=metric([6.0] * 30)),
        AR,
        {},
        "too-fast",
        ["above-own-peak"],
    ),
    (
        "prompts from the cache",
        cell(),
        AR,
        {"metrics": server(12.0, prefix_hit_rate=0.5)},
        "too-fast",
        ["prompt-cache"],
    ),
    ("a few hits", cell(), AR, {"metrics": server(12.0, prefix_hit_rate=0.05)}, "plausible", []),
    (
        "hits that are wanted",
        cell(depth=4096),
        AR,
        {"metrics": server(12.0, prefix_hit_rate=0.6), "cached_context": True},
        "plausible",
        [],
    ),
    ("counters agree", cell(12.0), AR, {"metrics": server(12.2)}, "plausible", []),
    ("tokens counted twice", cell(12.0), AR, {"metrics": server(6.0)}, "too-fast", ["token-count"]),
    ("chunks for tokens", cell(6.0), AR, {"metrics": server(12.0)}, "too-slow", ["token-count"]),
    (
        "more than its drafts accepted",
        cell(90.0),
        DRAFTS,
        {"metrics": server(90.0, step=0.1, acceptance_length=4.0)},
        "too-fast",
        ["above-acceptance"],
    ),
    (
        "what its drafts accepted",
        cell(70.0),
        DRAFTS,
        {"metrics": server(70.0, step=0.1, acceptance_length=4.0)},
        "plausible",
        [],
    ),
]


@pytest.mark.parametrize(("what", "shown", "limits", "more", "verdict", "expected"), ODD, ids=[case[0] for case in ODD])
def test_each_check_fires_on_what_it_is_for(
    what: str, shown: dict[str, Any], limits: Limits, more: dict[str, Any], verdict: str, expected: list[str]
) -> None:
    found = judge_cell(shown, limits, **more)
    assert (found.verdict, codes(found)) == (verdict, expected)


def test_reasons_have_the_figures() -> None:
    found = judge_cell(cell(25.0), AR)
    assert "25 tok/s is above the 20 tok/s" in found.reasons[0]
    assert found.as_data() == {"verdict": "too-fast", "reasons": list(found.reasons)}


def test_a_prefill_of_a_control_chunk_is_told_to_the_first_token() -> None:
    shown = cell(pp=[40_000.0] * 30, e2e_ttft=metric([570.0] * 30), ttfr=metric([3.4] * 30))
    text = judge_cell({**shown, "prompt_size": 128}, UNKNOWN).reasons[0]
    assert "after 3.4 ms, the first token after 570 ms" in text
    assert "to the first token it is 225 tok/s" in text


def test_a_cold_first_sample_that_spoils_nothing_is_a_note() -> None:
    found = judge_cell(cell(12.0, [24.0] + [500.0] * 29), AR)
    assert found.findings == ()
    assert found.notes[-1] == "prefill: the first sample is cold, 24 against 500 tok/s; it is left out of the medians"


def test_the_worst_finding_is_the_verdict() -> None:
    kinds: tuple[Kind, ...] = ("mixed", "cold", "too-fast", "too-slow")
    found = judgement([Finding(kind, kind, kind) for kind in kinds], ["a note"], bounded=True)
    assert found.verdict == "too-fast"
    assert found.reasons == ("too-fast", "too-slow", "cold", "mixed", "a note")


def test_what_a_report_may_lack_is_no_error() -> None:
    lost = ("pp_throughput", "ttfr", "e2e_ttft", "peak_throughput", "est_ppt")
    bare = {**cell(n=1), **dict.fromkeys(lost)}
    assert judge_cell(bare, AR).verdict == "plausible"
    nothing = {**bare, "tg_throughput": None, "tg_req_throughput": None}
    assert judge_cell(nothing, UNKNOWN).verdict == "unknown"
    assert judge_cell(cell(0.0, n=3), AR).verdict == "too-slow"
    assert judge_cell({**cell(), "pp_throughput": metric([0.0] * 30)}, AR).findings == ()
    assert judge_cell(cell(), AR, metrics={"format": "recipegen-metrics/1"}).verdict == "plausible"


@pytest.mark.parametrize(
    "broken",
    [
        {"derived": [], "server": "x"},
        {"derived": {"prefix_hit_rate": "all", "acceptance_length": None, "inflight_basis": "engine seconds"}},
        {
            "server": {
                "series": {"t": [0, None, "1"], "running": [1, 1, 1], "generation_tokens": 5, "prompt_tokens": []}
            }
        },
    ],
)
def test_metrics_that_are_none_say_nothing(broken: dict[str, Any]) -> None:
    assert judge_cell(cell(), AR, metrics=broken).verdict == "plausible"


def test_counters_that_come_in_lumps_say_nothing() -> None:
    lumps = server(12.0)
    course = lumps["server"]["series"]
    course["generation_tokens"] = [128 * (tokens // 128) for tokens in course["generation_tokens"]]
    assert codes(judge_cell(cell(6.0), AR, metrics=lumps)) == []


@pytest.mark.parametrize(("rate", "expected"), [(12.1, []), (6.0, ["token-count"])])
def test_a_server_with_a_clock_of_its_own(rate: float, expected: list[str]) -> None:
    derived = {"inflight_basis": "engine seconds", "inflight_tg_tok_s": rate}
    assert codes(judge_cell(cell(12.0), AR, metrics={"derived": derived})) == expected


def course(rate: float, tokens: int = 128, pause: float = 0.0) -> list[list[float]]:
    return [[i / rate + (pause if i > tokens / 2 else 0.0), rate] for i in range(tokens)]


@pytest.mark.parametrize(
    ("tg", "one", "concurrency", "expected"),
    [
        (12.0, course(12.0), 1, []),
        (24.0, course(12.0), 1, ["above-ceiling", "against-series"]),
        (6.0, course(12.0), 1, ["against-series"]),
        (127 / (127 / 12 + 5), course(12.0, pause=5.0), 1, ["stalled"]),
        (24.0, course(12.0), 2, []),
    ],
)
def test_throughput_against_its_own_time_series(
    tg: float, one: list[list[float]], concurrency: int, expected: list[str]
) -> None:
    shown = cell(tg, n=4, concurrency=concurrency, throughput_over_time=[one] * 4)
    shown["tg_req_throughput"] = metric([tg / concurrency] * 4)
    assert sorted(codes(judge_cell(shown, AR))) == expected


# Bounds


@pytest.fixture(scope="module")
def dense() -> Spec:
    return all_specs()["qwen36-27b-dflash"]


def test_bounds_of_a_dense_model(dense: Spec) -> None:
    found = limits_of(dense, "ar", 256, GB10)
    ceiling = estimate(dense, "ar", context=256).ceiling
    assert ceiling is not None
    assert found.decode == ceiling.tokens_per_s.high
    assert found.tokens_per_pass == 1
    assert found.first_ms == pytest.approx(1000 / ceiling.tokens_per_s.high)
    # 500 TFLOPS over two operations for each of the 27 billion parameters, less the tables at both ends.
    assert 500e12 / 54e9 < found.prefill < 500e12 / 48e9  # type: ignore[operator]
    assert found.notes == ()


def test_drafts_multiply_the_bound(dense: Spec) -> None:
    found = limits_of(dense, "dflash", 256, GB10)
    assert found.tokens_per_pass == 16
    assert found.decode_most == pytest.approx(16 * found.decode)  # type: ignore[operator]
    assert found.speculative


def test_nobody_noted_the_machine(dense: Spec) -> None:
    found = limits_of(dense, "ar", 256, None)
    assert found.decode is not None
    assert "is assumed" in found.notes[0]


def test_another_machine_has_no_ceiling_of_this_recipe(dense: Spec) -> None:
    found = limits_of(dense, "ar", 256, {"gpus": [{"name": "NVIDIA H100 80GB HBM3"}]})
    assert (found.decode, found.prefill, found.first_ms) == (None, None, None)
    assert "not measured on a GB10" in found.notes[0]


def test_without_recipe_only_the_samples_speak() -> None:
    found = limits_of(None, None, 256, GB10)
    assert (found.decode, found.tokens_per_pass) == (None, None)
    assert judge_cell(cell(900.0), found).verdict == "unknown"


def test_a_drafter_of_unknown_length_bounds_nothing_from_above() -> None:
    spec = all_specs()["qwen35-122b-atlas"]
    found = limits_of(spec, "mtp2", 256, GB10)
    assert found.tokens_per_pass is None
    assert found.decode_most is None
    judged = judge_cell(cell(10 * found.decode, pp=900.0), found)  # type: ignore[operator]
    assert judged.verdict == "plausible"
    assert "nothing bounds it from above" in judged.notes[0]


def test_llama_cpp_says_its_drafts() -> None:
    assert limits_of(all_specs()["minimax-m27-ngram"], "ngram", 256, GB10).tokens_per_pass == 17
    assert limits_of(all_specs()["minimax-m27-ngram"], "ar", 256, GB10).tokens_per_pass == 1


def test_two_nodes_compute_twice_as_much() -> None:
    body = {
        "schema": "recipegen/v1",
        "name": "case",
        "title": "A case",
        "image": {"mode": "prebuilt", "base": "example.org/vllm:1.0"},
        "headline": "main",
        "variants": {"main": {}},
        "model": {"hf_id": "Qwen/Qwen3.6-27B", "served_name": "m", "quantization": "BF16", "size_gb": 54},
        "engine": {"name": "vllm", "version": "0.22.0", "flags": {}},
    }
    one, two = (
        limits_of(complete(Recipe.model_validate({**body, "hardware": name})), "main", 256).prefill
        for name in ("dgx-spark", "dgx-spark-x2")
    )
    assert one is not None
    assert two == pytest.approx(2 * one)


def test_share_of_the_ceiling(dense: Spec) -> None:
    ceiling = estimate(dense, "ar", context=256).ceiling
    assert ceiling is not None
    share = decode_share(dense, "ar", context=256, tg=ceiling.tokens_per_s.high / 2)
    assert share == pytest.approx(0.5)
    assert decode_share(dense, "ar", context=256, tg=10, concurrency=2) is None
    assert decode_share(dense, "dflash", context=256, tg=10) is None


def test_a_published_figure_without_samples(dense: Spec) -> None:
    assert judge_figure(dense, "ar", tg=12.0, context=256).verdict == "plausible"
    assert judge_figure(dense, "ar", tg=1.0, context=256).verdict == "too-slow"
    assert judge_figure(dense, "ar", tg=36.0, context=256).verdict == "too-fast"


# Runs


def run_of(folder: Path, *cells: tuple[str, str, dict[str, Any]], host: Any = GB10, **metrics: Any) -> Path:
    """A run of the variant `ar` with cells of corpus, thinking mode and benchmark, as bench would leave it."""
    record = new_run(
        recipe={"name": "case", "title": "A case", "spec_sha256": None, "kit_sha256": None},
        variant="ar",
        method="AR",
        machine="gb10-128g",
        started=datetime(2026, 11, 21, 7, tzinfo=UTC),
        llama_benchy="0.4.0",
    )
    record["host"] = host
    writer = RunWriter(folder, record, NOBODY)
    for corpus, thinking, shown in cells:
        name = f"{corpus}-think-{thinking}"
        path = write_json(writer.folder / f"{name}.json", report(shown))
        entry: Any = {
            "id": name,
            "corpus": corpus,
            "corpus_sha256": None,
            "pp": shown["prompt_size"],
            "tg": shown["response_size"],
            "depth": shown["context_size"],
            "concurrency": shown["concurrency"],
            "thinking": thinking,
            "runs": 30,
            "status": "done",
            "file": path.name,
            "sha256": sha256_file(path),
            "argv": None,
            "started": None,
            "ended": None,
            "error": None,
            "failed_requests": 0,
        }
        if metrics:
            entry["metrics"] = f"{name}.metrics.json"
            write_json(writer.folder / entry["metrics"], metrics)
        writer.add_cell(entry)
    failed: Any = {**writer.record["cells"][0], "id": "failed", "status": "failed", "file": None, "sha256": None}
    writer.add_cell(failed)
    return writer.folder


def test_a_run_has_a_verdict_for_each_cell_that_is_done(dense: Spec, tmp_path: Path) -> None:
    run = run_of(tmp_path, ("prose", "off", cell()), ("code", "off", cell(36.0)))
    found = verdicts(dense, run)
    assert [(one.cell, one.judgement.verdict) for one in found] == [
        ("prose-think-off", "plausible"),
        ("code-think-off", "too-fast"),
    ]


def test_prompts_that_an_earlier_cell_left_in_the_cache(dense: Spec, tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        ("prose", "on", cell(pp=700.0)),
        ("code", "on", cell(pp=2500.0)),  # another text: nothing to compare with
        ("prose", "off", cell(pp=2500.0)),
    )
    found = {one.cell: one.judgement for one in verdicts(dense, run)}
    assert codes(found["prose-think-off"]) == ["faster-than-pair"]
    assert "3.6 times that of prose-think-on (700)" in found["prose-think-off"].reasons[0]
    assert found["prose-think-on"].findings == found["code-think-on"].findings == ()


def test_a_cell_that_was_held_up_makes_no_other_too_fast(dense: Spec, tmp_path: Path) -> None:
    held_up = cell(12.0, [800.0] * 10 + [80.0] * 20)
    run = run_of(tmp_path, ("prose", "on", held_up), ("prose", "off", cell(pp=900.0)))
    assert [one.judgement.verdict for one in verdicts(dense, run)] == ["mixed", "plausible"]


def test_metrics_beside_the_report_are_read(dense: Spec, tmp_path: Path) -> None:
    run = run_of(tmp_path, ("prose", "on", cell()), **server(12.0, prefix_hit_rate=0.9))
    assert codes(verdicts(dense, run)[0].judgement) == ["prompt-cache"]
    (run / "prose-think-on.metrics.json").write_text("[")
    assert verdicts(dense, run)[0].judgement.verdict == "plausible"
    (run / "prose-think-on.metrics.json").unlink()
    assert verdicts(dense, run)[0].judgement.verdict == "plausible"


def test_a_report_that_was_changed_is_refused(dense: Spec, tmp_path: Path) -> None:
    run = run_of(tmp_path, ("prose", "on", cell()))
    path = run / "prose-think-on.json"
    path.write_text(path.read_text().replace("12.0", "13.0"))
    with pytest.raises(SpecError) as error:
        verdicts(dense, run)
    assert "its SHA-256 differs" in error.value.problems[0].message


def test_a_run_of_an_unknown_recipe(tmp_path: Path) -> None:
    run = run_of(tmp_path, ("prose", "on", cell()), ("code", "on", cell(46_788.0)), host=None)
    found = verdicts(None, run)
    assert [one.judgement.verdict for one in found] == ["unknown", "too-fast"]


# What others measured

DENSE, MOE, PREFILL = "qwen36-27b-dflash-spark", "qwen36-35b-a3b-dflash-spark", "vllm-prefill-optimized-spark"
LUCEBOX = f"{DENSE}/results/lucebox-ddtree-fixed-serving-n30-20260514"
CHUNK = ["control-chunk", "few-ms", "above-compute"]
OTHERS: list[tuple[str, str, str, str, list[str]]] = [
    (f"{DENSE}/results/dflash-codegen-pp128-tg128-thinkON", "qwen36-27b-dflash", "dflash", "plausible", []),
    (f"{DENSE}/results/dflash-sherlock-pp128-tg128-thinkON", "qwen36-27b-dflash", "dflash", "plausible", []),
    (f"{DENSE}/results/verify-sherlock-thinkON-n30", "qwen36-27b-dflash", "dflash", "plausible", []),
    (f"{LUCEBOX}/dflash-codegen-thinkOFF", "qwen36-27b-lucebox-ddtree", "ddt", "too-fast", CHUNK),
    (f"{LUCEBOX}/dflash-codegen-thinkON", "qwen36-27b-lucebox-ddtree", "ddt", "too-fast", CHUNK),
    (f"{LUCEBOX}/dflash-sherlock-thinkOFF", "qwen36-27b-lucebox-ddtree", "ddt", "too-fast", CHUNK),
    (f"{LUCEBOX}/dflash-sherlock-thinkON", "qwen36-27b-lucebox-ddtree", "ddt", "too-fast", CHUNK),
    (f"{MOE}/results/ar-opt-config-b-triton-fp8", "qwen36-35b-dflash", "ar-fp8kv-triton", "plausible", []),
    (f"{MOE}/results/ar-opt-config-c-flash-autotuneoff", "qwen36-35b-dflash", "ar-no-autotune", "plausible", []),
    (f"{MOE}/results/ar-pp128-tg128-thinkON", "qwen36-35b-dflash", "ar", "plausible", []),
    (f"{MOE}/results/dflash-pp128-tg128-thinkON", "qwen36-35b-dflash", "dflash", "mixed", ["shift"]),
    (f"{MOE}/results/lowmem-verify-gmu050-n5", "qwen36-35b-dflash", "dflash-gmu050", "plausible", []),
    (f"{MOE}/results/result-codegen-thinkOFF", "qwen36-35b-dflash", "dflash", "plausible", []),
    (f"{MOE}/results/result-codegen-thinkON", "qwen36-35b-dflash", "dflash", "plausible", []),
    (f"{MOE}/results/result-sherlock-thinkOFF", "qwen36-35b-dflash", "dflash", "plausible", []),
    (f"{MOE}/results/result-sherlock-thinkON", "qwen36-35b-dflash", "dflash", "plausible", []),
    (
        f"{PREFILL}/results/llama_benchy_cutlass_noeager_mbt8192_chunked_pp2048_tg32_c1_post_explicit_shape_warmup_runs5"
        "_20260503_183310",
        "qwen35-27b-prefill",
        "prefill",
        "plausible",
        [],
    ),
    (
        f"{PREFILL}/results/llama_benchy_localmaxxing_pp128_tg128_c1_explicit_warmup_20260503_184705",
        "qwen35-27b-prefill",
        "prefill",
        "plausible",
        [],
    ),
    (
        f"{PREFILL}/results/llama_benchy_localmaxxing_pp128_tg128_c1_runs30_postwarm_20260503_184705",
        "qwen35-27b-prefill",
        "prefill",
        "plausible",
        [],
    ),
    (
        f"{PREFILL}/results/original_builtin_warmup_cold_contaminated_pp2048_tg32_c1_20260503_180757",
        "qwen35-27b-prefill",
        "prefill",
        "cold",
        ["cold-mean"],
    ),
    (
        f"{PREFILL}/results/result-clean-github-baseline-paired-n30-20260506-194809",
        "qwen35-27b-prefill",
        "prefill",
        "plausible",
        [],
    ),
]


@pytest.mark.parametrize(
    ("name", "recipe", "variant", "verdict", "expected"), OTHERS, ids=[case[0].rsplit("/", 1)[1] for case in OTHERS]
)
def test_reports_of_others(name: str, recipe: str, variant: str, verdict: str, expected: list[str]) -> None:
    data = json.loads(real_report(f"{name}.json").read_bytes())
    (shown,) = data["benchmarks"]
    context = shown["context_size"] + shown["prompt_size"] + shown["response_size"]
    found = judge_cell(shown, limits_of(all_specs()[recipe], variant, context), latency_ms=data["latency_ms"])
    assert (found.verdict, codes(found)) == (verdict, expected)


def test_every_report_of_others_is_judged() -> None:
    root = real_report(f"{OTHERS[0][0]}.json").parents[2]
    files = {path for path in root.glob("*/results/**/*.json") if "benchmarks" in json.loads(path.read_bytes())}
    assert files == {root / f"{case[0]}.json" for case in OTHERS}


def test_a_report_of_an_unknown_recipe_is_judged_by_its_samples() -> None:
    data = json.loads(real_report(f"{LUCEBOX}/dflash-sherlock-thinkON.json").read_bytes())
    found = judge_cell(data["benchmarks"][0], limits_of(None, None, 256), latency_ms=data["latency_ms"])
    assert (found.verdict, codes(found)) == ("too-fast", ["control-chunk", "few-ms"])
    assert "40,619 tok/s of prefill is no speed of prefill" in found.reasons[0]


def test_a_baseline_of_others_that_is_none(dense: Spec) -> None:
    """Both files of it are called baseline, and have the speed of the speculative variant."""
    data = json.loads(real_report(f"{DENSE}/results/baseline-comparison.json").read_bytes())
    for figures in data["results"].values():
        found = judge_figure(dense, "ar", tg=figures["tg_median_warm"], context=256)
        assert found.verdict == "too-fast"
        assert "the server speculates and the recipe does not say so" in found.reasons[0]


@pytest.mark.parametrize(
    ("server_part", "note"),
    [
        (
            {"endpoint": False, "reason": "/metrics answers with status 404"},
            "the server's counters were not seen (/metrics answers with status 404): acceptance, cache hits and the "
            "server's own speed are not known",
        ),
        ({"endpoint": False, "reason": None}, "the server's counters were not seen: acceptance"),
        ({"endpoint": True, "resets": 1}, "the server's counters began anew once in this cell: it was restarted"),
        ({"endpoint": True, "resets": 2}, "began anew 2 times"),
        ({"endpoint": True, "resets": 0}, None),
        ({"resets": "many", "endpoint": "no"}, None),
        ([], None),
    ],
)
def test_a_server_without_counters_or_restarted_is_told(server_part: Any, note: str | None) -> None:
    judged = judge_cell(cell(), AR, metrics={"format": "recipegen-metrics/1", "server": server_part})
    assert judged.verdict == "plausible"
    told = [one for one in judged.notes if "counters" in one]
    assert len(told) == (note is not None)
    assert note is None or note in told[0]


def test_lost_samples_are_told_in_words() -> None:
    assert "1 request failed: its sample is missing" in judge_cell(cell(), AR, failed_requests=1).notes
    streams = cell(30.0, concurrency=4, tg_req_throughput=metric([10.0] * 30))
    (finding,) = judge_cell(streams, AR, failed_requests=3).findings
    assert finding.text.startswith("3 requests failed of 4 at a time")


def test_the_verdicts_of_a_whole_run_go_into_its_record(dense: Spec, tmp_path: Path) -> None:
    run = run_of(tmp_path, ("prose", "on", cell(pp=700.0)), ("prose", "off", cell(pp=2500.0)))
    record = load_run(run)
    for one in record["cells"][:2]:
        # As each cell was judged by itself, before there was another.
        one["verdict"] = {"verdict": "plausible", "reasons": []}
    record["cells"][0]["failed_requests"] = 1
    changed = put_verdicts(dense, run, record)
    assert [one.cell for one in changed] == ["prose-think-on", "prose-think-off"]
    first, second, failed = record["cells"]
    assert first["verdict"]["verdict"] == "plausible" and "1 request failed" in str(first["verdict"]["reasons"])  # type: ignore[index]
    assert second["verdict"]["verdict"] == "too-fast" and "3.6 times" in second["verdict"]["reasons"][0]  # type: ignore[index]
    assert failed.get("verdict") is None
    assert put_verdicts(dense, run, record) == []


def test_after_the_last_cell_the_whole_run_is_judged_and_new_doubt_told(dense: Spec, tmp_path: Path) -> None:
    run = run_of(tmp_path, ("prose", "on", cell(pp=700.0)), ("prose", "off", cell(pp=2500.0)))
    record = load_run(run)
    for one in record["cells"][:2]:
        one["verdict"] = {"verdict": "plausible", "reasons": []}
    writer = RunWriter.resumed(tmp_path, run, record, NOBODY)
    told: list[str] = []
    judge_run(dense, writer, cast(Any, SimpleNamespace(note=told.append)))
    assert len(told) == 1 and told[0].startswith("prose-think-off: too-fast: 2,500 tok/s of prefill is 3.6 times")
    stored = load_run(run)["cells"]
    assert [(one.get("verdict") or {}).get("verdict") for one in stored] == ["plausible", "too-fast", None]
    (run / "prose-think-on.json").write_text("{}")
    judge_run(dense, writer, cast(Any, SimpleNamespace(note=told.append)))
    assert "not judged beside each other" in told[-1] and "prose-think-on.json" in told[-1]
    assert load_run(run)["cells"] == stored


def test_every_verdict_has_its_words() -> None:
    assert set(MEANINGS) == set(get_args(Verdict))
