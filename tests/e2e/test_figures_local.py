"""Figures one can trust, on real llama.cpp: servers and disks that fail in mid-run, flags tried in turn, a sweep of
concurrency, a measurement made again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import lacking
from tests.e2e.test_llamacpp_local import RECIPE, bench, edit, gemma, servers
from tests.support.scenario import free_port, only_run, recipegen

__all__ = ["gemma"]  # the fixture
pytestmark = pytest.mark.engine

TINY = ("--runs", "2", "--cell", "pp128")
"""Two cells: prose and code."""


def in_background(root: Path, models: Path, *more: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "recipegen", "bench", RECIPE, "--runner", "local", "--models-dir", str(models)]
    argv += ["--port", str(free_port()), "--root", str(root), *more]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def until_first_cell(child: subprocess.Popen[str], recipe: Path) -> dict[str, Any]:
    """The record once its first cell is done and judged, while the second one is measured."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        records = [json.loads(path.read_text()) for path in recipe.glob("results/*/*/run.json")]
        if records and records[0]["cells"] and "verdict" in records[0]["cells"][0]:
            return records[0]
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.1)
    raise AssertionError("no cell was measured")


def test_a_server_killed_in_mid_cell_is_started_again(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    recipe, before = root / "recipes" / RECIPE, {process.pid for process in servers()}
    child = in_background(root, gemma, *TINY)
    first = until_first_cell(child, recipe)
    time.sleep(1)  # the second cell has begun
    (victim,) = (process for process in servers() if process.pid not in before)
    victim.kill()
    output, _ = child.communicate(timeout=240)
    assert child.returncode == 0, output
    folder, record = only_run(recipe)
    assert record["status"] == "complete"
    assert record["cells"][0] == first["cells"][0]
    again = record["cells"][1]
    assert (again["status"], again["attempts"]) == ("done", 2)
    assert "ended (exit code -9)" in again["earlier_errors"][0]
    assert (folder / "server.1.log").is_file() and (folder / f"{again['id']}.1.log").is_file()
    assert {process.pid for process in servers()} <= before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    if os.geteuid() != 0:
        lacking("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        lacking(f"a small file system could not be mounted: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_in_mid_run_loses_no_finished_cell(gemma: Path, small_disk: Path) -> None:
    root = small_disk / "repository"
    for words in (("init", root), ("new", RECIPE, "--root", root)):
        assert recipegen(*words).returncode == 0
    recipe = root / "recipes" / RECIPE
    child = in_background(root, gemma, *TINY, "--retries", "0")
    first = until_first_cell(child, recipe)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(b"x" * 4096):
            pass
    output, _ = child.communicate(timeout=240)
    assert child.returncode in (3, 4), output
    assert "No space left on device" in output
    folder, stopped = only_run(recipe)
    assert stopped["cells"][0] == first["cells"][0]
    assert all(cell["status"] == "failed" for cell in stopped["cells"][1:])
    filler.unlink()
    done = bench(root, gemma, *TINY, "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    again, record = only_run(recipe)
    assert (again, record["status"]) == (folder, "complete")
    assert record["cells"][0] == first["cells"][0]


def test_two_flag_sets_in_turn_with_their_interval(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    done = bench(root, gemma, "--runs", "2", "--cell", "prose-pp128", "--ab", "2", "--set", "threads=1")
    assert done.returncode == 0, done.stderr
    runs = [json.loads(path.read_text()) for path in (root / "recipes" / RECIPE).glob("results/*/*/run.json")]
    assert sorted((one["variant"], one["pair"]["round"]) for one in runs) == [
        ("ar", 1), ("ar", 2), ("ar.threads-1", 1), ("ar.threads-1", 2),
    ]  # fmt: skip
    changed = next(one for one in runs if one["trial"])
    assert changed["trial"] == {"of": "ar", "flags": {"threads": 1}, "drop": [], "env": {}}
    assert changed["server"]["argv"][changed["server"]["argv"].index("--threads") + 1] == "1"
    assert "paired: A and B were measured in turn, 2 rounds" in done.stdout
    found = json.loads(recipegen("compare", f"{RECIPE}/ar", f"{RECIPE}/ar.threads-1", "--root", root, "--json").stdout)
    (tg,) = (row for row in found["cells"] if row["metric"] == "tg")
    assert tg["paired"] and len(tg["rounds"]) == 2 and tg["low"] <= tg["ratio"] <= tg["high"]
    assert {"what": "flag --threads", "a": None, "b": "1"} in found["environment"]
    # What only this measurement knows never stands in the table.
    assert "threads" not in (root / "INDEX.md").read_text()


def test_a_sweep_of_concurrency_by_a_profile_of_ones_own(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    own = "  profiles:\n    sweep: {title: a small sweep, pp: [64], tg: 16, concurrency: [1, 2, 4], runs: 2}\n"
    edit(root, "  runs: 5\n", f"  runs: 5\n{own}")
    done = bench(root, gemma, "--profile", "sweep", "--set", "parallel=4")
    assert done.returncode == 0, done.stderr
    folder, record = only_run(root / "recipes" / RECIPE)
    assert record["profile"] == "sweep"
    assert [cell["concurrency"] for cell in record["cells"]] == [1, 2, 4]
    most = json.loads((folder / record["cells"][-1]["metrics"]).read_text())
    print(json.dumps(most["derived"], indent=1))
    page = (root / "recipes" / RECIPE / "RESULTS.md").read_text()
    assert "each of the 2 requests decodes at" in page and "each of the 4 requests decodes at" in page


def test_measured_again_beside_its_reference(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    assert bench(root, gemma, "--runs", "3", "--cell", "prose-pp128").returncode == 0
    _, reference = only_run(root / "recipes" / RECIPE)
    done = recipegen(
        "reproduce", RECIPE, "--run", reference["run"], "--runner", "local", "--models-dir", gemma,
        "--port", str(free_port()), "--root", root,
    )  # fmt: skip
    # The figures of a busy machine may differ, then it ends with 1; it never ends otherwise.
    assert done.returncode in (0, 1), done.stderr
    page = (root / "recipes" / RECIPE / "REPRODUCED.md").read_text()
    assert f"- reference: {RECIPE} ar (AR)" in page and reference["run"] in page
    assert page.count("| prose-pp128-tg128-d0-c1 |") == 3
    (made,) = (root / "recipes" / RECIPE).glob("results/*/*/reproduction.json")
    assert json.loads(made.read_text())["reference_run"].endswith(reference["run"])
