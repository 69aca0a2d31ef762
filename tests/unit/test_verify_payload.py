"""Bare payloads against raw reports: what does not follow is named with what does; what is undecidable is so called."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.boards.row import agrees
from recipegen.bundle.layout import NoBundle
from recipegen.claims import Check
from recipegen.cli.verify import verify_command
from recipegen.results.report import ReportRefused
from recipegen.verify.notes import read_notes
from recipegen.verify.payload import verify_payload
from tests.unit.results_factory import benchmark, real_report, report, write_json

TGS = [60.0, 100.0, 101.0, 102.0, 110.0]
"""Warm: median 101.5, mean 103.25; all: median 101, mean 94.6."""


GOOD: dict[str, Any] = {
    "hardware": {
        "hwClass": "UNIFIED",
        "chipVendor": "NVIDIA",
        "chipFamily": "GB10 Blackwell",
        "chipVariant": "DGX Spark",
        "unifiedMemoryGb": 128,
    },
    "engineName": "vllm",
    "quantization": "NVFP4",
    "promptTokens": 128,
    "outputTokens": 128,
    "tokSOut": 101.5,
    "ttftMs": 139.9,
}
"""A body that a board takes, of the reports below."""


def by_id(checks: tuple[Check, ...]) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for check in checks:
        found.setdefault(check.id, []).append(check)
    return found


@pytest.fixture
def raws(tmp_path: Path) -> list[Path]:
    head = benchmark(128, 128, tgs=TGS, pps=[500.0, 900.0, 910.0, 920.0, 930.0])
    base = benchmark(128, 128, tgs=[30.0, 40.0, 41.0, 42.0, 40.0], pps=[500.0, 900.0, 910.0, 920.0, 930.0])
    return [
        write_json(tmp_path / "head.json", report(head)),
        write_json(tmp_path / "base.json", report(base)),
    ]


def verified(tmp_path: Path, raws: list[Path], **body: Any) -> dict[str, list[Check]]:
    payload = {"hfId": "a/b", "promptTokens": 128, "outputTokens": 128, **body}
    return by_id(verify_payload(write_json(tmp_path / "payload.json", payload), raws).checks)


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("tokSOut", 101.5, "passed"),
        ("tokSOut", 102, "passed"),  # 101.5 in whole numbers
        ("tokSOut", 103.25, "undecidable"),  # the mean, where boards ask for the median
        ("tokSOut", 103, "undecidable"),
        ("tokSOut", 101.49, "failed"),
        ("tokSOut", 110.0, "failed"),  # the best
        ("ttftMs", 139.9, "passed"),
        ("ttftMs", 139, "failed"),
        ("tokSPrefill", 915, "passed"),
        ("tokSTotal", 182.73, "passed"),
        ("tokSTotal", 190.1, "failed"),
    ],
)
def test_fields(tmp_path: Path, raws: list[Path], field: str, value: float, status: str) -> None:
    (check,) = verified(tmp_path, raws, **{field: value})[f"figure-{field}"]
    assert check.status == status, check.text


def test_a_first_response_that_is_no_token_gives_prefill_from_the_time_to_the_first_token(tmp_path: Path) -> None:
    """A wrapper that sends a control chunk at once: pp_throughput is then no rate (docs/leaderboards.md)."""
    first, token = {"mean": 3.4, "std": 0.1, "values": [3.4] * 5}, {"mean": 640.0, "std": 1.0, "values": [640.0] * 5}
    head = benchmark(128, 128, tgs=TGS, pps=[40_006.0] * 5, ttfr=first, e2e_ttft=token)
    raw = [write_json(tmp_path / "head.json", report(head))]
    assert verified(tmp_path, raw, tokSPrefill=200.0)["figure-tokSPrefill"][0].status == "passed"
    assert verified(tmp_path, raw, tokSPrefill=40_006)["figure-tokSPrefill"][0].status == "failed"
    assert verified(tmp_path, raw, tokSTotal=134.66)["figure-tokSTotal"][0].status == "passed"


def test_a_depth_that_was_not_cached_is_part_of_the_prompt(tmp_path: Path) -> None:
    raw = [write_json(tmp_path / "head.json", report(benchmark(128, 128, depth=4096, tgs=TGS)))]
    assert verified(tmp_path, raw, promptTokens=4224)["payload-cell"][0].status == "passed"
    cached = [
        write_json(tmp_path / "c.json", report(benchmark(128, 128, depth=4096, tgs=TGS), prefix_caching_enabled=True))
    ]
    assert verified(tmp_path, cached, prefillTokens=4096)["payload-cell"][0].status == "passed"
    assert verified(tmp_path, cached, promptTokens=4224)["payload-cell"][0].status == "failed"


@pytest.mark.parametrize(
    ("body", "check", "words"),
    [
        ({"prefillTokS": 99999}, "payload-shape", "prefillTokS"),
        ({"promptTokens": 128.7}, "payload-shape", "promptTokens"),
        ({"hardware": None}, "payload-shape", "hardware"),
        ({"notes": "key bhk_" + "0" * 40}, "payload-hygiene", "notes"),
        ({"notes": "measured on 192.168.1.4"}, "payload-hygiene", "notes"),
    ],
)
def test_what_a_board_would_drop_refuse_or_should_not_see(
    tmp_path: Path, raws: list[Path], body: dict[str, Any], check: str, words: str
) -> None:
    found = verified(tmp_path, raws, **{**GOOD, **body})
    assert any(words in one.text for one in found.get(check, [])), found


def test_a_body_in_good_form(tmp_path: Path, raws: list[Path]) -> None:
    assert [one.status for one in verified(tmp_path, raws, **GOOD)["payload-shape"]] == ["passed"]


def test_what_follows_is_said_beside_what_does_not(tmp_path: Path, raws: list[Path]) -> None:
    (check,) = verified(tmp_path, raws, tokSOut=120.0)["figure-tokSOut"]
    assert check.text == (
        "tokSOut 120.0 does not follow from head.json; what does: 101.50 (median of the 4 warm samples), "
        "103.25 (mean of the 4 warm samples), 101.00 (median of the 5 samples, the first included), "
        "94.60 (mean of the 5 samples, the first included)"
    )


def test_a_figure_of_all_samples_leaves_the_warm_up_open(tmp_path: Path, raws: list[Path]) -> None:
    found = verified(tmp_path, raws, tokSOut=101.0)
    assert found["figure-tokSOut"][0].status == "passed"
    assert found["warm-rule"][0].status == "undecidable"
    assert "warm-rule" not in verified(tmp_path, raws, tokSOut=101.5)


NOTES = {
    "n=4 warm": ("notes-n", "passed"),
    "n = 5": ("notes-n", "passed"),
    "n=5 warm": ("notes-n", "failed"),
    "n=30": ("notes-n", "failed"),
    "median 101.50 tok/s": ("notes-stat", "passed"),
    "101.5 t/s MEDIAN": ("notes-stat", "passed"),
    "decode mean = 103.25": ("notes-stat", "passed"),
    "decode median 103.25": ("notes-stat", "failed"),
    "std 3.96": ("notes-stat", "passed"),
    "std 0.10": ("notes-stat", "failed"),
    "range 100.0-110.0": ("notes-range", "passed"),
    "range 99-110": ("notes-range", "failed"),
    "2.51x over the AR baseline (40.50 t/s)": ("notes-ratio", "passed"),
    "2.5 times its baseline": ("notes-ratio", "passed"),
    "2.51 times variant ar (40.50 tok/s)": ("notes-ratio", "passed"),
    "3.1× over the AR baseline (40.50 t/s)": ("notes-ratio", "failed"),
    "3.38x faster than the other box (30.0 t/s)": ("notes-ratio", "undecidable"),
    "ttftMs = 139.89 median": ("notes-stat", "passed"),
    "prefill rate 915 tok/s median": ("notes-stat", "passed"),
    "pp2048/tg32 pp_throughput = 2575.12 tok/s mean": ("notes-stat", "undecidable"),
    "reached 101.50 tok/s": ("notes-speed", "passed"),
    "reached 250 tok/s once": ("notes-speed", "undecidable"),
    "1,101.50 tok/s median": ("notes-stat", "failed"),
    "101,50 t/s at best": ("notes-other", "undecidable"),
    "tokSOut=101.5 (median)": ("notes-stat", "passed"),
    "tokSOut = 999": ("notes-stat", "failed"),
    "Median decode: 999.4": ("notes-stat", "failed"),
    "Median decode: 101.5": ("notes-stat", "passed"),
    "mean TTFT 12 ms": ("notes-stat", "failed"),
    "it is twice as fast": ("notes-other", "undecidable"),
    "three times as fast": ("notes-other", "undecidable"),
    "a threefold gain": ("notes-other", "undecidable"),
    "a 2.5-fold decode": ("notes-other", "undecidable"),
    "KV pool 294K tokens, 1.12× headroom, ~80%": ("notes-other", "undecidable"),
}


@pytest.mark.parametrize("text", NOTES)
def test_numbers_in_notes(tmp_path: Path, raws: list[Path], text: str) -> None:
    name, status = NOTES[text]
    found = verified(tmp_path, raws, notes=f"DFlash on one Spark. {text}. See github.com/a/b (commit 12ab).")
    assert [check.status for check in found[name]] == [status], found
    assert len([check for key in found if key.startswith("notes-") for check in found[key]]) == 1


def test_a_ratio_without_the_baselines_report_is_open(tmp_path: Path, raws: list[Path]) -> None:
    (check,) = verified(tmp_path, raws[:1], notes="2.51x over AR (40.50 t/s)")["notes-ratio"]
    assert (check.status, "101.50 / 40.50 (the text itself) is 2.506" in check.text) == ("undecidable", True)
    (check,) = verified(tmp_path, raws[:1], notes="9x over AR (40.50 t/s)")["notes-ratio"]
    assert check.status == "failed"
    (check,) = verified(tmp_path, raws[:1], notes="9x over AR")["notes-ratio"]
    assert check.status == "undecidable"


def test_names_and_versions_are_no_claims() -> None:
    text = "Qwen3.6-35B-A3B-NVFP4, vLLM 0.19.2rc1.dev213, commit b8776d3, --max-model-len 262144, pp=128, tg=128, c=1"
    assert read_notes(text) == ([], [])
    assert read_notes("") == ([], [])
    assert read_notes("1" * 50_000)[0] == []
    assert read_notes("(" * 50_000 + "n=" * 10_000)[0] == []


BAD = {
    "nan": ('{"tokSOut": NaN, "promptTokens": 128, "outputTokens": 128}', "tokSOut: nan is not a number"),
    "infinity": ('{"engineFlags": {"x": -Infinity}}', "engineFlags.x: -inf is not a number"),
    "negative": ('{"tokSOut": -1.5}', "tokSOut: -1.5 is negative"),
    "huge": ('{"tokSOut": 1e400}', "larger than anything"),
    "huge whole": (f'{{"a": [{"9" * 5000}]}}', "a[0]: "),
    "no cell": ('{"tokSOut": 1.0}', "not of the shape"),
    "text for a number": ('{"tokSOut": "101.5", "promptTokens": 128, "outputTokens": 128}', "is not a number"),
    "another cell": ('{"tokSOut": 1.0, "promptTokens": 64, "outputTokens": 128}', "no report measured its cell"),
    "flags are a list": (
        '{"tokSOut": 9.0, "promptTokens": 128, "outputTokens": 128, "engineFlags": []}',
        "does not follow",
    ),
    "notes are a number": ('{"notes": 5, "tokSOut": 9, "promptTokens": 128, "outputTokens": 128}', "does not follow"),
}


@pytest.mark.parametrize("case", BAD)
def test_payloads_of_wrong_shape_are_failed_checks(tmp_path: Path, raws: list[Path], case: str) -> None:
    text, words = BAD[case]
    path = tmp_path / "payload.json"
    path.write_text(text)
    outcome = verify_payload(path, raws)
    assert [check for check in outcome.checks if check.status == "failed" and words in check.text], outcome.checks
    assert outcome.exit_code(strict=False) == 1


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\udcff", '"x"'])
def test_what_is_no_payload_ends_with_2(tmp_path: Path, raws: list[Path], text: str) -> None:
    path = tmp_path / "payload.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(NoBundle):
        verify_payload(path, raws)


def test_a_report_that_is_none_or_was_edited(tmp_path: Path, raws: list[Path]) -> None:
    payload = write_json(tmp_path / "payload.json", {"tokSOut": 101.5, "promptTokens": 128, "outputTokens": 128})
    edited = benchmark(128, 128, tgs=TGS, pps=[500.0, 900.0, 910.0, 920.0, 930.0])
    edited["tg_throughput"]["values"][1] = 500.0
    write_json(raws[0], report(edited))
    (check,) = [one for one in verify_payload(payload, raws).checks if one.id == "raw" and one.status == "failed"]
    assert "tg_throughput: the report says mean 94.6, its samples give 174.6" in check.text
    raws[0].write_text("{}")
    with pytest.raises(ReportRefused):
        verify_payload(payload, raws)


LINE = (
    "VLLM_X=1 vllm serve /models/M --max-model-len 262144 --gpu-memory-utilization 0.50 --enable-prefix-caching "
    "--no-enable-chunked-prefill --attention-backend flashinfer --max-num-seqs 8 "
    """--speculative-config '{"method":"dflash","num_speculative_tokens":15,"model":"/models/D"}'"""
)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"contextLength": 262144, "gpuMemUtil": 0.5, "specNumTokens": 15, "specModel": "z-lab/D"}, set()),
        ({"contextLength": 4096}, {"field-contextLength"}),
        ({"gpuMemUtil": 0.9}, {"field-gpuMemUtil"}),
        ({"specNumTokens": 7, "specDecoding": False}, {"field-specNumTokens", "field-specDecoding"}),
        ({"specModel": "z-lab/Other", "specMethod": "MTP"}, {"field-specModel", "field-specMethod"}),
        ({"prefixCaching": False}, {"field-prefixCaching"}),
        ({"kvCacheDtype": "fp8"}, set()),  # the line does not say
        ({"attentionBackend": "FLASHINFER", "maxRunningSeqs": 8, "chunkedPrefill": True}, {"field-chunkedPrefill"}),
    ],
)
def test_fields_agree_with_the_launch_line(
    tmp_path: Path, raws: list[Path], fields: dict[str, Any], wrong: set[str]
) -> None:
    found = verified(tmp_path, raws, engineFlags={"commandSnippet": LINE, **fields})
    assert {key for key in found if key.startswith("field-") and found[key][0].status == "failed"} == wrong
    broken = verified(tmp_path, raws, engineFlags={"commandSnippet": "vllm 'serve"}, contextLength=1)
    assert broken["field-commandSnippet"][0].status == "undecidable"


def test_a_window_that_slots_part_is_not_held_against_the_whole(tmp_path: Path, raws: list[Path]) -> None:
    line = "llama-server --ctx-size 8192 --flash-attn on"
    fields = {"contextLength": 4096, "engineFlags": {"commandSnippet": line, "flashAttn": True}}
    found = verified(tmp_path, raws, **fields)
    assert (found["field-contextLength"][0].status, found["field-flashAttn"][0].status) == ("failed", "passed")
    fields["engineFlags"]["commandSnippet"] += " --parallel 2"  # type: ignore[index]
    assert "field-contextLength" not in verified(tmp_path, raws, **fields)


def test_rounding() -> None:
    assert agrees(Decimal("154"), 153.81)
    assert not agrees(Decimal("153"), 153.81)
    assert agrees(Decimal("11.49"), 11.4949)
    assert agrees(Decimal("2.5e0"), 2.5)
    assert agrees(Decimal("1.04E+2"), 104.0)


def test_the_commands_usage(tmp_path: Path, raws: list[Path]) -> None:
    payload = write_json(tmp_path / "payload.json", {"hfId": "a/b", **GOOD})
    done = CliRunner().invoke(verify_command, [str(payload)])
    assert "raw reports that it was made from" in str(done.exception)
    done = CliRunner().invoke(verify_command, [str(payload), "--raw", str(raws[0]), "--json"])
    assert (done.exit_code, json.loads(done.output)["verified"]) == (0, True)
    done = CliRunner().invoke(verify_command, [str(payload), "--raw", str(raws[0]), "--strict"])
    assert done.exit_code == 1  # which machine it was, no report says


SPARK = "qwen36-35b-a3b-dflash-spark"
PREFILL = "vllm-prefill-optimized-spark"


def test_the_published_headline_of_35b_does_not_follow_from_its_file() -> None:
    payload = real_report(f"{SPARK}/submission/headline.json")
    raws = [
        real_report(f"{SPARK}/results/{name}.json") for name in ("result-sherlock-thinkON", "ar-pp128-tg128-thinkON")
    ]
    outcome = verify_payload(payload, raws)
    found = {check.id + ":" + check.text for check in outcome.checks if check.status == "failed"}
    assert len(found - {one for one in found if one.startswith("payload-")}) == 5
    for words in (
        "figure-tokSOut:tokSOut 102.05 does not follow",
        "figure-ttftMs:ttftMs 153 does not follow",
        'notes-stat:"tokSOut = 102.05 t/s MEDIAN": does not follow',
        'notes-stat:"std 48.74": does not follow',
        'notes-ratio:"2.37× over NVFP4 AR baseline (42.98 t/s": does not follow: 103.60 / 42.98 (ar-pp128',
    ):
        assert [one for one in found if one.startswith(words)], (words, found)
    told = next(one for one in found if one.startswith("figure-tokSOut"))
    assert "103.60 (median of the 29 warm samples)" in told
    assert "138.64 (mean of the 29 warm samples)" in told
    assert outcome.exit_code(strict=False) == 1


def test_the_published_prefill_submission_follows_from_its_files() -> None:
    payload = real_report(f"{PREFILL}/submission/headline.json")
    names = (
        "llama_benchy_localmaxxing_pp128_tg128_c1_runs30_postwarm_20260503_184705",
        "llama_benchy_cutlass_noeager_mbt8192_chunked_pp2048_tg32_c1_post_explicit_shape_warmup_runs5_20260503_183310",
    )
    outcome = verify_payload(payload, [real_report(f"{PREFILL}/results/{name}.json") for name in names])
    assert not [check for check in outcome.checks if check.status == "failed"]
    open_points = {check.id for check in outcome.checks if check.status == "undecidable"}
    assert open_points == {"warm-rule", "figure-peakVramGb", "plausibility", "payload-hygiene"}
    (warm,) = [check for check in outcome.checks if check.id == "warm-rule"]
    assert warm.text.startswith("ttftMs counts the first sample")
    alone = verify_payload(payload, [real_report(f"{PREFILL}/results/{names[0]}.json")])
    (other,) = [check for check in alone.checks if "2575.12" in check.text]
    assert other.status == "undecidable"
