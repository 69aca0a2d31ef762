"""llama-benchy reports: what is one, and why something else is not."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recipegen.errors import EXIT_USAGE, SpecError
from recipegen.files import sha256_file
from recipegen.results import report as module
from recipegen.results.report import (
    ReportCell,
    ReportRefused,
    cell_of,
    check_report,
    load_benchmark,
    load_report,
)
from tests.unit.results_factory import REAL, benchmark, report, write_json


def reasons(source: Any) -> str:
    with pytest.raises(ReportRefused) as caught:
        check_report(source)
    return "\n".join(map(str, caught.value.problems))


def test_a_good_report(tmp_path: Path) -> None:
    path = write_json(tmp_path / "r.json", report(benchmark(), benchmark(pp=128)))
    got = check_report(path)
    assert got.version == "0.4.0"
    assert got.written == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert [cell_of(b) for b in got.benchmarks] == [(2048, 128, 0, 1, False), (128, 128, 0, 1, False)]
    assert check_report(path.read_bytes(), path).data == check_report(got.data).data == load_report(path)


def test_every_report_of_others_is_taken_or_refused_with_a_reason() -> None:
    if not REAL.is_dir():
        pytest.skip("the reports of others (shared/data/llama-benchy) are not beside this checkout")
    refused = {}
    versions = set()
    for path in sorted(REAL.rglob("*.json")):
        try:
            versions.add(check_report(path).version)
        except ReportRefused as error:
            refused[path.name] = error.problems[0].message
    assert versions == {"0.3.6", "0.3.7"}
    assert set(refused) == {"headline.json", "baseline-comparison.json"}
    assert all("no 'benchmarks'" in message for message in refused.values())


NO_SAMPLE = "holds no sample"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("<!DOCTYPE html>\n<html><body>{}</body></html>", "is an HTML page"),
        ("| model | test | t/s |\n|:--|--:|--:|\n", "is a Markdown report"),
        ("# Results\n", "is a Markdown report"),
        ("model,test_name,t_s_mean,t_s_std,peak\ntiny,pp128,1,2,3\n", "is a CSV report"),
        ('{"schema": "llama-benchy-progress.v1"}\n{"schema": "llama-benchy-progress.v1"}\n', "progress log"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        ('{"version": "0.4.0", "benchm', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "not an object"),
        ("null", "not an object"),
        ("12", "not an object"),
        ("{}", "no 'benchmarks' (it holds nothing)"),
        ('{"hfId": "a/b", "tokSOut": 102.05}', "no 'benchmarks' (it holds 'hfId', 'tokSOut')"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON"),
    ],
)
def test_other_files_are_named(text: str, message: str) -> None:
    assert message in reasons(text.encode())


def test_bytes_that_are_no_text() -> None:
    assert "is not JSON" in reasons(b'{"a": "\xff\xfe"}')
    assert "is not JSON" in reasons(bytes(range(256)))


def test_a_cut_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    whole = json.dumps(report(), indent=2)
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(ReportRefused) as caught:
        check_report(path)
    (problem,) = caught.value.problems
    assert problem.where.file == path and problem.where.line > 10
    assert "cut short" in problem.hint


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"benchmarks": []}, ["holds no benchmark"]),
        ({"benchmarks": None}, ["benchmarks: input should be a valid list"]),
        (
            {"benchmarks": [{}]},
            ["benchmarks[0].concurrency: field required", "benchmarks[0].prompt_size: field"],
        ),
        ({"benchmarks": [benchmark(is_context_prefill_phase=True)]}, ["holds no benchmark"]),
        ({"version": "0.5.1"}, ["llama-benchy '0.5.1'; 0.3 and 0.4"]),
        ({"version": "0.40.0"}, ["'0.40.0'"]),
        ({"version": None}, ["version: input should be a valid string"]),
        ({"timestamp": "yesterday"}, ["'yesterday' is not a time"]),
        ({"timestamp": "0001-01-01 00:00:00+14:00"}, ["is not a time"]),
        ({"latency_ms": "1.5"}, ["latency_ms: input should be a valid number"]),
        ({"version": "9", "timestamp": "x"}, ["'9'", "'x' is not a time"]),
        ({"benchmarks": [benchmark(tg_throughput=None)]}, [f"benchmarks[0].tg_throughput: {NO_SAMPLE}"]),
        ({"benchmarks": [benchmark(ttfr=None)]}, [f"benchmarks[0].ttfr: {NO_SAMPLE}"]),
        (
            {"benchmarks": [benchmark(), benchmark(pp_throughput={"mean": 0.0, "std": 0.0, "values": []})]},
            [f"benchmarks[1].pp_throughput: {NO_SAMPLE}", "--latency-mode none"],
        ),
        (
            {"benchmarks": [benchmark(ttfr={"mean": None, "std": 0.0, "values": [1.0]})]},
            ["benchmarks[0].ttfr.mean: input should be a valid number"],
        ),
        (
            {"benchmarks": [benchmark(ttfr={"mean": 1.0, "std": 0.0, "values": [1.0, "2"]})]},
            ["benchmarks[0].ttfr.values[1]"],
        ),
        (
            {"benchmarks": [benchmark(est_ppt={"mean": 1.0, "std": 0.0, "values": [1.0, True]})]},
            ["benchmarks[0].est_ppt.values[1]"],
        ),
        ({"benchmarks": [benchmark(tgs=[1.0, float("nan")])]}, ["tg_throughput: nan is not a finite number"]),
        ({"benchmarks": [benchmark(pps=[1.0, float("inf")])]}, ["pp_throughput: inf is not a finite number"]),
        ({"benchmarks": [benchmark(tgs=[1.0, -2.0])]}, ["tg_throughput: -2.0 is not possible"]),
        ({"benchmarks": [benchmark(tgs=[1.0, 1e50])]}, ["tg_throughput: 1e+50 is not possible"]),
        (
            {"benchmarks": [benchmark(concurrency=0)]},
            ["benchmarks[0]: pp2048 tg128 d0 c0 is not a measurement"],
        ),
        ({"benchmarks": [benchmark(depth=-1)]}, ["is not a measurement"]),
    ],
)
def test_reports_without_a_usable_measurement(change: dict[str, Any], expected: list[str]) -> None:
    # Through JSON text, as a file would come.
    text = reasons(json.dumps({**report(), **change}).encode())
    for message in expected:
        assert message in text


def test_one_answer_token_has_no_rate() -> None:
    check_report(report(benchmark(tg=1, tg_throughput=None)))


def test_the_refusal_is_shown_like_a_wrong_spec() -> None:
    with pytest.raises(SpecError) as caught:
        check_report(b"")
    assert caught.value.exit_code == EXIT_USAGE


def test_too_large_missing_or_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_json(tmp_path / "r.json", report())
    monkeypatch.setattr(module, "REPORT_LIMIT", 1000)
    assert "is larger than 1,000 bytes" in reasons(path)
    assert "is a folder" in reasons(tmp_path)
    assert "No such file" in reasons(tmp_path / "none")


def test_a_stored_report_gives_the_cell_that_is_asked_for(tmp_path: Path) -> None:
    path = write_json(tmp_path / "r.json", report(benchmark(tgs=[1.0, 2.0]), benchmark(pp=128, tgs=[3.0, 4.0])))
    got = load_benchmark(path, ReportCell(128, 128, 0, 1, False), sha256_file(path))
    assert got["tg_throughput"]["values"] == [3.0, 4.0]
    with pytest.raises(ReportRefused) as caught:
        load_benchmark(path, ReportCell(128, 128, 4096, 1, False))
    assert "holds no benchmark of pp128 tg128 d4096 c1" in str(caught.value.problems[0])


def test_a_stored_report_that_was_edited_is_noticed(tmp_path: Path) -> None:
    path = write_json(tmp_path / "r.json", report())
    before = sha256_file(path)
    path.write_text(path.read_text().replace("42.0", "420.0"))
    with pytest.raises(ReportRefused) as caught:
        load_benchmark(path, ReportCell(2048, 128, 0, 1, False), before)
    assert "SHA-256 differs" in str(caught.value.problems[0])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"benchmarks": 1},
        {"benchmarks": [1]},
        {"benchmarks": [{}]},
        {"benchmarks": [benchmark(tg_throughput=[1.0])]},
        {"benchmarks": [benchmark(tg_throughput={"values": [1.0, "2"]})]},
        {"benchmarks": [benchmark(ttfr={"values": [1.0, float("nan")]})]},
        {"benchmarks": [benchmark(ttfr={"values": None})]},
    ],
)
def test_a_stored_report_of_another_shape_is_refused(tmp_path: Path, data: Any) -> None:
    path = write_json(tmp_path / "r.json", data)
    with pytest.raises(ReportRefused) as caught:
        load_benchmark(path, ReportCell(2048, 128, 0, 1, False))
    assert caught.value.problems[0].where.file == path


def test_reading_needs_neither_pydantic_nor_llama_benchy() -> None:
    code = (
        "import sys, recipegen.results.report, recipegen.results.store, recipegen.publish.index\n"
        "print([m for m in ('pydantic', 'llama_benchy', 'numpy', 'docker', 'yaml') if m in sys.modules])"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert got.stdout.strip() == "[]"
