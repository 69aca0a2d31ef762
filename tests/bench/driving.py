"""`recipegen bench` against calling llama-benchy directly, on one llama.cpp server. Owns no printing."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TextIO

from sampling import Failed, Row, Sample, Skipped, child, interleaved

from recipegen.bench.cell import run_cell
from recipegen.bench.display import Display, TerminalDisplay
from recipegen.bench.measured import SILENCE_S
from recipegen.bench.session import benchy_program, choose_cells, stage_corpora
from recipegen.catalog import preset_file
from recipegen.demo import PACKAGES, RECIPE
from recipegen.engines.benchy import bench_command
from recipegen.errors import EnvironmentLacks
from recipegen.load.repo import RECIPE_FILE
from recipegen.render.write import write_kit
from recipegen.runners.base import ServerPlan, free_port, wait_ready
from recipegen.runners.local import LocalServer
from recipegen.runners.plan import HostOptions, plan_server
from recipegen.scaffold import init_repository, recipe_text
from recipegen.spec.completed import PlannedCell, Spec
from recipegen.workspace import Workspace

CELLS, CELL, RUNS, PAIRS = "[{pp: 128, tg: 32}]", "prose-pp128-tg32", 3, 7
"""A short cell: what the driver adds is the same for a long one, and would hardly show there."""
TARGET = 1.03
THREADS = ["--threads", "1"]
"""Of the server: two that wait for each other on a busy machine would make every time a matter of luck."""
ENV = {"NO_PROXY": "127.0.0.1,localhost"}
RECIPEGEN = [sys.executable, "-m", "recipegen"]
STOPWATCH = 't=$EPOCHREALTIME; "$@"; code=$?; echo "$t $EPOCHREALTIME" >"$0"; exit $code'
"""For bash: runs a command, and writes when it began and ended (s) into a file; adds about 3 ms itself."""


class _Driven(NamedTuple):
    """A cell by the driver: the whole, the llama-benchy process in it, the driver's own processor time."""

    whole: Sample
    inside: Sample
    own_cpu: Sample


@dataclass(frozen=True)
class _Cell:
    """One cell, ready to be measured either way; `argv` lacks only where the report goes."""

    planned: PlannedCell
    argv: list[str]
    out: Path

    def by_hand(self) -> Sample:
        """As somebody without recipegen calls it."""
        with (self.out / "direct.log").open("w+b") as log:
            whole: list[str | Path] = [*self.argv, "--save-result", self.out / "direct.json"]
            return child(whole, out=log, env=os.environ | ENV)

    def by_the_driver(self, display: Display) -> _Driven:
        """As `recipegen bench` does it."""
        cpu, wall = time.process_time(), time.perf_counter()
        display.cell_started(self.planned)
        outcome = run_cell(
            self.argv,
            env=ENV,
            folder=self.out,
            cell_id=self.planned.id,
            display_cb=display.update,
            silence_timeout_s=SILENCE_S,
            runs=self.planned.runs,
        )
        took, own = time.perf_counter() - wall, time.process_time() - cpu
        if outcome.status != "done":
            raise Failed(f"the cell failed: {outcome.error}")
        began, ended = map(float, (self.out / "times").read_text().split())
        return _Driven(Sample(took), Sample(ended - began), Sample(own))


def rows() -> list[Row]:
    """The same cell by the driver and by hand, in turn, with one server for both."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)} (pip install 'recipegen[demo]')")
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        root, models = Path(folder, "repository"), Path(folder, "models")
        spec = _repository(root)
        child([*RECIPEGEN, "download", RECIPE, "--models-dir", models, "--root", root])
        plan = plan_server(spec, spec.headline, HostOptions(runner="local", port=free_port(), models_dir=models))
        plan = replace(plan, words=[*plan.words, *THREADS])
        cell = _cell(spec, plan, models, Path(folder))
        ask = ["--base-url", plan.base_url, "--cell", CELL, "--runs", str(RUNS), "--no-index"]
        command: list[str | Path] = [*RECIPEGEN, "bench", RECIPE, *ask, "--models-dir", models, "--root", root]
        driven: list[_Driven] = []
        with LocalServer(plan) as server, _terminal() as screen, TerminalDisplay(screen) as display:
            wait_ready(server, plan, lambda _seconds, _line: None)
            display.start([cell.planned])

            def by_the_driver() -> Sample:
                driven.append(cell.by_the_driver(display))
                return driven[-1].whole

            cell.by_hand()  # the first one fills llama-benchy's caches and the server's
            whole, direct = interleaved(PAIRS, by_the_driver, cell.by_hand)
            once = child(command)
    what, inside = f"bench, cell {cell.planned.id}, {RUNS} runs", [one.inside for one in driven]
    own = [one.own_cpu for one in driven]
    machine = "one real llama.cpp server for both"
    return [
        Row(what, whole, "s", "llama-benchy, the same arguments", direct, TARGET, remark=machine),
        Row(what, whole, "s", "the llama-benchy process in it", inside, TARGET, remark="same moment"),
        Row("processor time of the driver in that cell", own, "s", "wall time of the cell", whole),
        Row("recipegen bench --base-url", [once], "s", "llama-benchy", direct, remark="whole command, once"),
    ]


def _repository(root: Path) -> Spec:
    """A repository with the smoke recipe, cut down to short cells, and its kit."""
    init_repository(root)
    workspace = Workspace.open(root)
    file = root / "recipes" / RECIPE / RECIPE_FILE
    file.parent.mkdir()
    text = recipe_text(RECIPE, preset_file(RECIPE).read_text(encoding="utf-8"))
    file.write_text(text.replace("\nbench:\n", f"\nbench:\n  cells: {CELLS}\n"), encoding="utf-8")
    spec = workspace.spec(RECIPE)
    write_kit(workspace.kit(spec), file.parent)
    return spec


def _cell(spec: Spec, plan: ServerPlan, models: Path, work: Path) -> _Cell:
    """The cell with the command line that `recipegen bench` would use."""
    [planned] = choose_cells(spec, (CELL,), RUNS)
    try:
        program = benchy_program(spec.bench.tool)
    except EnvironmentLacks as error:
        raise Skipped(error.message) from error
    [corpus] = stage_corpora(spec, (planned,)).values()
    words = bench_command(spec, planned).words(
        BASE_URL=f"{plan.base_url}/v1", BOOK_URL=corpus.book_url, MODELS_DIR=str(models)
    )
    out = work / "out"
    out.mkdir()
    return _Cell(planned, ["bash", "-c", STOPWATCH, str(out / "times"), *program, *words[1:]], out)


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
