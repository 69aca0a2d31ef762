"""One cell, with a stand-in for llama-benchy that does as told."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from recipegen import proc
from recipegen.bench import cell as module
from recipegen.bench.cell import CellOutcome, clean_log, run_cell
from recipegen.bench.events import CellProgress
from recipegen.errors import EnvironmentLacks

CELL = "prose-pp64-tg4-d0-c1"

# Writes progress and a report as llama-benchy does; the first argument says how it goes.
STAND_IN = """
import json, os, sys, time
how = sys.argv[1]
report = sys.argv[sys.argv.index("--save-result") + 1]
progress = sys.argv[sys.argv.index("--emit-progress") + 1]
out = open(progress, "w", buffering=1)

def event(kind, **fields):
    head = {"schema": "llama-benchy-progress.v1", "type": kind, "ts": time.time()}
    print(json.dumps({**head, **fields}), file=out)

def metric(value):
    return {"mean": value, "std": 0.0, "values": [value, value]}

print("llama-benchy (0.4.0)")
home = os.path.expanduser("~")
print("Loading text from cache:", home + "/.cache/llama-benchy/x.txt", os.environ.get("HF_TOKEN"))
print("pid", os.getpid())
event("header", llama_benchy_version="0.4.0")
if how == "crash":
    print("Traceback (most recent call last):", file=sys.stderr)
    print("Warmup failed: Cannot connect to host 127.0.0.1:1", file=sys.stderr)
    sys.exit(1)
if how == "killed":
    os.kill(os.getpid(), 9)
failing = how in ("failing", "half")
for run in (1, 2):
    event("request_start", request_id=run, run_index=run, concurrency=1, response_size=4)
    if failing and (how == "failing" or run == 1):
        print('HTTP 400: {"error": "exceeds the available context size"}')
        event("request_end", request_id=run, total_tokens=0, error="HTTP 400: exceeds")
        continue
    event("request_first_response", request_id=run, ttfr_s=0.1)
    for _ in range(4):
        event("tokens", request_id=run, count=1)
        time.sleep(0.05)
    event("request_end", request_id=run, total_tokens=4, error="")
    if how == "hang":
        print("Run 2/2 (batch size 1)...")
        time.sleep(60)
    if how == "slow":
        for _ in range(6):
            time.sleep(0.3)
            print("still here")
event("bench_complete", status="ok")
print("Saving results to", report, "in JSON format...")
benchmark = {"concurrency": 1, "context_size": 0, "prompt_size": 64, "response_size": 4}
benchmark["is_context_prefill_phase"] = False
for name in ("pp_throughput", "tg_throughput", "ttfr"):
    benchmark[name] = None if how == "failing" else metric(5.0)
benchmarks = [] if how == "empty" else [benchmark]
when = "2026-04-28 00:53:05Z"
text = json.dumps({"version": "0.4.0", "timestamp": when, "benchmarks": benchmarks}, indent=2)
if how == "cut":
    text = text[:100]
if how == "list":
    text = '{"benchmarks": [5]}'
if how != "nothing":
    with open(report, "w") as file:
        file.write(text)
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")


def measure(tmp_path: Path, how: str, seen: list[Any] | None = None, silence: float = 30) -> CellOutcome:
    def look(progress: CellProgress) -> None:
        if seen is not None:
            seen.append((progress.run, progress.tokens))

    return run_cell(
        [sys.executable, "-c", STAND_IN, how],
        env={"KNOB": "1"},
        folder=tmp_path / "run",
        cell_id=CELL,
        display_cb=look,
        silence_timeout_s=silence,
        runs=2,
    )


def files(tmp_path: Path) -> list[str]:
    assert list((tmp_path / "tmp").iterdir()) == [], "temporary files were left"
    return sorted(path.name for path in (tmp_path / "run").iterdir())


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_success(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    outcome = measure(tmp_path, "well", seen)
    assert (outcome.id, outcome.status, outcome.error, outcome.failed_requests) == (CELL, "done", None, 0)
    assert files(tmp_path) == [f"{CELL}.json", f"{CELL}.log"]
    raw = (tmp_path / "run" / f"{CELL}.json").read_bytes()
    assert outcome.file == f"{CELL}.json"
    assert outcome.sha256 == hashlib.sha256(raw).hexdigest()
    assert json.loads(raw)["benchmarks"][0]["tg_throughput"]["values"] == [5.0, 5.0]
    assert seen[-1] == (2, 8)
    assert len(seen) >= 2, "the display heard of it only at the end"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", outcome.started)
    assert outcome.started <= outcome.ended


def test_the_log_tells_no_secret_and_no_path_of_ours(tmp_path: Path) -> None:
    measure(tmp_path, "well")
    log = (tmp_path / "run" / f"{CELL}.log").read_text()
    assert "Loading text from cache: ~/.cache/llama-benchy/x.txt ***" in log
    assert f"Saving results to {CELL}.json in JSON format..." in log
    assert str(tmp_path) not in log


def test_a_log_larger_than_what_is_held_of_it_is_cleaned(tmp_path: Path) -> None:
    log, line = tmp_path / "server.log", "x" * 1023 + "\n"
    with log.open("w") as file:
        for _ in range(24 << 10):
            file.write(line)
        file.write("the token is hf_verysecret\n")
    tracemalloc.start()
    try:
        clean_log(log, {}, {"xxx": "y"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20, "a log of 24 MiB was held whole"
    assert proc.tail(log, 1) == "the token is ***"
    assert log.stat().st_size < 9 << 20


def test_a_log_without_anything_to_hide_is_not_written_again(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"fine\r\n\xff")
    before = log.stat().st_ino
    clean_log(log, {}, {"report": "r"})
    clean_log(tmp_path / "none", {}, {})
    assert (log.read_bytes(), log.stat().st_ino) == (b"fine\r\n\xff", before)


def test_crash(tmp_path: Path) -> None:
    outcome = measure(tmp_path, "crash")
    assert (outcome.status, outcome.file, outcome.sha256) == ("failed", None, None)
    assert files(tmp_path) == [f"{CELL}.log"]
    first, *rest = (outcome.error or "").splitlines()
    assert first == "llama-benchy ended with exit code 1: Warmup failed: Cannot connect to host 127.0.0.1:1"
    assert rest[0] == "llama-benchy (0.4.0)"
    assert "hf_verysecret" not in (outcome.error or "")


def test_killed(tmp_path: Path) -> None:
    outcome = measure(tmp_path, "killed")
    assert (outcome.error or "").startswith("llama-benchy was ended by SIGKILL")


def test_exit_code_0_without_samples_is_a_failure(tmp_path: Path) -> None:
    outcome = measure(tmp_path, "failing")
    assert (outcome.status, outcome.failed_requests) == ("failed", 2)
    first = (outcome.error or "").splitlines()[0]
    assert first.startswith("the report benchmarks[0].pp_throughput: holds no sample: HTTP 400: ")
    assert "exceeds the available context size" in first
    assert files(tmp_path) == [f"{CELL}.log"]


def test_lost_samples_are_told(tmp_path: Path) -> None:
    outcome = measure(tmp_path, "half")
    assert (outcome.status, outcome.failed_requests, outcome.error) == ("done", 1, None)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("empty", "the report holds no benchmark"),
        ("nothing", "llama-benchy wrote no report"),
        ("cut", "the report is not JSON"),
        ("list", "the report is not a llama-benchy report"),
    ],
)
def test_unusable_reports(tmp_path: Path, how: str, reason: str) -> None:
    outcome = measure(tmp_path, how)
    assert outcome.status == "failed"
    assert (outcome.error or "").startswith(reason)
    assert files(tmp_path) == [f"{CELL}.log"]


def test_hang(tmp_path: Path) -> None:
    started = time.monotonic()
    outcome = measure(tmp_path, "hang", silence=1)
    assert time.monotonic() - started < 20
    assert outcome.status == "failed"
    assert (outcome.error or "").startswith("llama-benchy was silent for 1 s and was ended")
    assert "Run 2/2 (batch size 1)..." in (outcome.error or "")
    assert not alive(int(re.search(r"pid (\d+)", outcome.error or "")[1]))  # type: ignore[index]


def test_log_lines_count_as_life(tmp_path: Path) -> None:
    assert measure(tmp_path, "slow", silence=1).status == "done"


def test_a_later_failure_keeps_an_earlier_report_and_replaces_its_log(tmp_path: Path) -> None:
    measure(tmp_path, "well")
    before = (tmp_path / "run" / f"{CELL}.json").read_bytes()
    measure(tmp_path, "crash")
    assert (tmp_path / "run" / f"{CELL}.json").read_bytes() == before
    assert (tmp_path / "run" / f"{CELL}.log").read_text().count("llama-benchy (0.4.0)") == 1


def test_program_not_found(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="no-such-benchy"):
        run_cell(
            ["no-such-benchy"],
            env={},
            folder=tmp_path / "run",
            cell_id=CELL,
            display_cb=lambda progress: None,
            silence_timeout_s=1,
            runs=1,
        )


def test_a_cell_cannot_leave_its_folder(tmp_path: Path) -> None:
    for name in ("../out", "a/b", "/etc/x"):
        with pytest.raises(ValueError):
            run_cell(
                ["true"],
                env={},
                folder=tmp_path,
                cell_id=name,
                display_cb=lambda progress: None,
                silence_timeout_s=1,
                runs=1,
            )


def test_an_error_of_the_display_ends_the_process(tmp_path: Path) -> None:
    def break_down(progress: CellProgress) -> None:
        raise RuntimeError("display")

    with pytest.raises(RuntimeError, match="display"):
        run_cell(
            [sys.executable, "-c", STAND_IN, "hang"],
            env={},
            folder=tmp_path / "run",
            cell_id=CELL,
            display_cb=break_down,
            silence_timeout_s=30,
            runs=2,
        )
    log = (tmp_path / "run" / f"{CELL}.log").read_text()
    assert not alive(int(re.search(r"pid (\d+)", log)[1]))  # type: ignore[index]


def test_ctrl_c_ends_the_process_keeps_the_log_and_goes_on_up(tmp_path: Path) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text(
        textwrap.dedent(
            f"""
            import sys
            from pathlib import Path
            from recipegen.bench.cell import run_cell
            try:
                run_cell({[sys.executable, "-c", STAND_IN, "hang"]!r}, env={{}}, cell_id={CELL!r}, runs=2,
                         folder=Path({str(tmp_path / "run")!r}), display_cb=print, silence_timeout_s=60)
            except KeyboardInterrupt:
                sys.exit(130)
            """
        )
    )
    generator = str(Path(module.__file__).parents[2])
    child = subprocess.Popen([sys.executable, str(driver)], env={**os.environ, "PYTHONPATH": generator})
    log = tmp_path / "run" / f"{CELL}.log"
    try:
        deadline = time.monotonic() + 20
        while not (log.exists() and "Run 2/2" in log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pid = int(re.search(r"pid (\d+)", log.read_text())[1])  # type: ignore[index]
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
    finally:
        child.kill()
    assert not alive(pid)
    assert files(tmp_path) == [f"{CELL}.log"]
    assert "Run 2/2" in log.read_text()
    assert "hf_verysecret" not in log.read_text()


def test_the_driver_adds_little(tmp_path: Path) -> None:
    """Processor time of our side for a cell of about a second, and how late its end is noticed."""
    argv = [
        sys.executable,
        "-c",
        STAND_IN,
        "well",
        "--save-result",
        os.devnull,
        "--emit-progress",
        os.devnull,
    ]
    bare, driven = [], []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        bare.append(time.monotonic() - started)
        started = time.monotonic()
        spent = time.process_time()
        measure(tmp_path, "well")
        spent = time.process_time() - spent
        driven.append(time.monotonic() - started)
    assert min(driven) - min(bare) < 0.5
    assert spent < 0.1
