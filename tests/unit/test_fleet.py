"""Recipes over groups of machines: who takes what, one measurement and what it says, what is kept, what is refused. The
measurement is a stand-in here; the real one, under Ray, is e2e's."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.cli import cli
from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.fleet import job as fleet_job
from recipegen.fleet import queue as fleet_queue
from recipegen.fleet.job import Ended, measure
from recipegen.fleet.journal import Entry, Journal, request_hash
from recipegen.fleet.plan import Group, Job, command_of, environment, groups_of, lanes
from recipegen.load.cluster_file import load_cluster_file
from tests.support.scenario import ROOT

FILE = """\
user: me
models_dir: /data/models
groups: [[beta, gamma]]
nodes:
  - {name: alpha, ssh: localhost, address: 10.0.0.1}
  - {name: beta, ssh: spark2, address: 10.0.0.2}
  - {name: gamma, ssh: spark3, address: 10.0.0.3, models_dir: /mnt/models}
  - {name: delta, ssh: spark4, address: 10.0.0.4}
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    file = tmp_path / "cluster.yaml"
    file.write_text(FILE)
    return file


@pytest.fixture
def groups(hosts: Path) -> tuple[Group, ...]:
    return groups_of(load_cluster_file(hosts))


# -- who takes what ----


def test_machines_of_no_group_are_groups_of_one(groups: tuple[Group, ...]) -> None:
    assert [(group.number, group.name) for group in groups] == [(0, "beta+gamma"), (1, "alpha"), (2, "delta")]


def test_a_recipe_goes_to_the_smallest_groups_that_are_enough(groups: tuple[Group, ...]) -> None:
    one, two = lanes(groups, [Job("a", 1, 8000), Job("pair", 2, 8000), Job("b", 1, 8000)])
    assert ([group.name for group in one.groups], [job.recipe for job in one.waiting]) == (
        ["alpha", "delta"],
        ["a", "b"],
    )
    assert ([group.name for group in two.groups], [job.recipe for job in two.waiting]) == (["beta+gamma"], ["pair"])
    (only,) = lanes(groups[:1], [Job("a", 1, 8000)])
    assert [group.name for group in only.groups] == ["beta+gamma"]


def test_a_recipe_that_no_group_can_take_is_refused(groups: tuple[Group, ...]) -> None:
    with pytest.raises(RecipegenError, match="x4 needs 4 machines together, and no group has so many"):
        lanes(groups, [Job("a", 1, 8000), Job("x4", 4, 8000)])


def test_what_a_group_has_begun_it_goes_on_with(groups: tuple[Group, ...]) -> None:
    (lane,) = lanes(groups[1:], [Job("a", 1, 8000), Job("b", 1, 8000)], {"b": 2, "elsewhere": 1})
    assert [job.recipe for job in lane.waiting] == ["a"]
    assert [(job.recipe, job.resume) for job in lane.own[2]] == [("b", True)]
    assert lane.own[1] == () and not lane.waiting[0].resume


def test_each_group_has_a_port_and_a_file_of_its_own(groups: tuple[Group, ...], tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    groups[0].write(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = load_cluster_file(file).resolved()
    assert [(node.name, node.ssh, node.models_dir) for node in found] == [
        ("beta", "me@spark2", "/data/models"),
        ("gamma", "me@spark3", "/mnt/models"),
    ]
    words = command_of(Job("a", 1, 8000, ("--runs=3",), resume=True), groups[2], file, "python")
    assert words[:6] == ["python", "-m", "recipegen", "bench", "a", "--runs=3"]
    assert {"--resume", f"--cluster={file}", "--port=8002", "--no-index", "--json"} <= set(words)


def test_a_measurement_has_the_users_environment_and_not_rays() -> None:
    given = {"PATH": "/bin", "HF_HOME": "/hf", "RAY_JOB_ID": "1", "OMP_NUM_THREADS": "1"}
    assert environment(given) == {"PATH": "/bin", "HF_HOME": "/hf"}
    assert environment(given, threads="4") == {"PATH": "/bin", "HF_HOME": "/hf", "OMP_NUM_THREADS": "4"}


# -- one measurement ----


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a Python program in the place of `recipegen bench`."""

    def use(program: str) -> None:
        monkeypatch.setattr(fleet_job, "command_of", lambda *_: [sys.executable, "-c", program])
        monkeypatch.setattr(fleet_job, "LOOK_S", 0.02)

    return use


RUN = {"event": "run", "variant": "ar", "status": "complete", "folder": str(ROOT)}
CELL = {"event": "cell_started", "cell": "c", "runs": 3}


def test_what_a_measurement_says_is_handed_on(
    stand_in: Callable[[str], None], groups: tuple[Group, ...], tmp_path: Path
) -> None:
    stand_in(f"print('a warning'); print('{{not json'); print({json.dumps(CELL)!r}); print({json.dumps(RUN)!r})")
    heard: list[dict[str, Any]] = []
    ended = measure(Job("a", 1, 8000), groups[1], tmp_path / "a.log", heard.append)
    assert ended.whole and ended.begun and ended.runs == (RUN,) and ended.gone == {}
    assert heard == [{"event": "said", "text": "a warning"}, {"event": "said", "text": "{not json"}, CELL, RUN]
    assert "a warning" in (tmp_path / "a.log").read_text()


def test_a_failure_has_its_error_and_the_machines_that_are_gone(
    stand_in: Callable[[str], None], groups: tuple[Group, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("import sys; print('waiting'); print('error: 1 problem:\\n  alpha: no image\\n    build it'); sys.exit(3)")
    ended = measure(Job("a", 1, 8000), groups[1], tmp_path / "a.log", lambda event: None)
    assert (ended.code, ended.why) == (3, "1 problem: alpha: no image build it")
    assert ended.gone == {}  # alpha is this machine, and it answers
    assert ended.lacks and ended.again and not replace(ended, job=Job("a", 1, 8000, again=True)).again
    stand_in("import sys; print('Usage: …\\n\\nError: no such flag'); sys.exit(2)")
    ended = measure(Job("a", 1, 8000), groups[1], tmp_path / "a.log", lambda event: None)
    assert (ended.why, ended.lacks, ended.again) == ("no such flag", False, False)
    assert not Ended(Job("a", 1, 8000), 3, begun=True).lacks
    monkeypatch.setattr(fleet_job, "unreachable", lambda group: {"alpha": "cannot be reached"})
    ended = measure(Job("a", 1, 8000), groups[1], tmp_path / "a.log", lambda event: None)
    assert ended.again and ended.why == "alpha: cannot be reached"
    assert not Ended(Job("a", 1, 8000, again=True), 4, gone=ended.gone).again
    assert Ended(Job("a", 1, 8000), -9).why == "was ended by SIGKILL"


def test_an_interrupted_measurement_takes_its_server_down_first(
    stand_in: Callable[[str], None], groups: tuple[Group, ...], tmp_path: Path
) -> None:
    stand_in(
        "import signal, sys, time\n"
        "def down(*_):\n    time.sleep(0.3)\n    print('taken down')\n    sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, down)\nprint('up', flush=True)\ntime.sleep(60)"
    )

    def interrupt(event: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(Job("a", 1, 8000), groups[1], tmp_path / "a.log", interrupt)
    assert (tmp_path / "a.log").read_text().split() == ["up", "taken", "down"]


# -- what is kept ----


def test_the_journal_knows_only_the_very_same_request(groups: tuple[Group, ...], tmp_path: Path) -> None:
    file, request = tmp_path / "journal.json", request_hash("kit", ["--runs=3"])
    Journal(file).note("a", request, groups[0], "whole", [str(tmp_path / "run")])
    found = Journal(file)
    entry = found.entry("a", request)
    assert entry == Entry(request, ("beta", "gamma"), "whole", (str(tmp_path / "run"),))
    assert not entry.whole  # its run is not there any more
    (tmp_path / "run").mkdir()
    assert entry.whole
    assert found.entry("a", request_hash("kit", ["--runs=4"])) is None
    assert found.entry("b", request) is None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found.forget("a", "never-there")
    assert Journal(file).entry("a", request) is None


@pytest.mark.parametrize("text", ["", "[]", '{"recipes": {"a": {}}}', '{"recipes": []}', "{", '{"recipes": {"a": 1}}'])
def test_a_journal_that_cannot_be_read_counts_as_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "journal.json"
    file.write_text(text)
    assert Journal(file).entry("a", "r") is None


# -- the command ----


class Queue:
    """Stands in for Ray's: every recipe is measured at once, as it is told."""

    def __init__(self, *failing: str) -> None:
        self.failing, self.began = failing, list[tuple[str, str, bool, tuple[str, ...]]]()
        self.ports: list[int] = []
        self.measured = RUN

    def run(self, planned: Any, logs: Path, hear: fleet_queue.Hear) -> list[Job]:
        for lane in planned:
            mine = [(group, job) for group in lane.groups for job in lane.own.get(group.number, ())]
            for group, job in [*mine, *((lane.groups[0], job) for job in lane.waiting)]:
                self.ports.append(job.port)
                self.began.append((job.recipe, group.name, job.resume, job.options))
                hear(group, job, None)
                hear(group, job, {"event": "note", "text": "building"})
                failed = job.recipe in self.failing
                said = ("error: the server ended",) if failed else ()
                hear(group, job, Ended(job, 4 if failed else 0, () if failed else (self.measured,), said, begun=True))
        return []


@pytest.fixture
def bench(hosts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`bench` of this repository's recipes with --hosts, over a queue."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def call(queue: Queue, *args: str) -> Any:
        monkeypatch.setattr(fleet_queue, "run", queue.run)
        words = ["bench", *args, "--hosts", str(hosts), "--root", str(ROOT), "--no-index"]
        return CliRunner().invoke(cli, words)

    return call


def test_recipes_go_to_machines_with_the_options_of_the_call(bench: Callable[..., Any], tmp_path: Path) -> None:
    queue = Queue()
    done = bench(queue, "smoke-llamacpp", "minimax-m27-nvfp4-x2", "smoke-llamacpp", "--profile", "quick", "--runs", "3")
    assert done.exit_code == 0, done.output
    root = f"--root={ROOT}"
    assert queue.began == [
        ("smoke-llamacpp", "alpha", False, ("--profile=quick", "--runs=3", root)),
        ("minimax-m27-nvfp4-x2", "beta+gamma", False, ("--profile=quick", "--runs=3", root)),
    ]
    assert "alpha: smoke-llamacpp: begins (1 of 2 recipes)" in done.output
    assert "beta+gamma: minimax-m27-nvfp4-x2: done, 1 run" in done.output
    assert "alpha: smoke-llamacpp: building" in done.output
    assert len(set(queue.ports)) == 1  # of all recipes: each group's own is counted from it
    assert list(tmp_path.rglob("journal.json")) != []


def test_resume_leaves_out_what_is_whole_and_goes_on_with_the_rest_where_it_was(bench: Callable[..., Any]) -> None:
    names = ("smoke-llamacpp", "smoke-vllm-cpu")
    first = bench(Queue("smoke-vllm-cpu"), *names, "--runs", "3")
    assert isinstance(first.exception, RecipegenError)
    assert first.exception.exit_code == 4
    assert "1 of 2 recipes are not whole: smoke-vllm-cpu: the server ended" in first.exception.message
    queue = Queue()
    done = bench(queue, *names, "--runs", "3", "--resume", "--json")
    assert done.exit_code == 0, done.output
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert events[0] == {"event": "measured_already", "recipe": "smoke-llamacpp", "machines": ["alpha"]}
    assert [(recipe, group, resume) for recipe, group, resume, _ in queue.began] == [("smoke-vllm-cpu", "alpha", True)]
    assert (events[-1]["event"], events[-1]["whole"], events[-1]["runs"]) == ("ended", True, [RUN])
    other = Queue()
    bench(other, *names, "--runs", "4", "--resume")
    assert [(recipe, resume) for recipe, _, resume, _ in other.began] == [(name, False) for name in names]
    same = Queue()
    bench(same, *names, "--runs", "4", "--resume", "--retries", "2")
    assert same.began == []


def test_a_call_without_resume_begins_anew(bench: Callable[..., Any]) -> None:
    names = ("smoke-llamacpp", "smoke-vllm-cpu")
    assert bench(Queue(), *names).exit_code == 0

    class Interrupted(Queue):
        def run(self, planned: Any, logs: Path, hear: fleet_queue.Hear) -> list[Job]:
            hear(planned[0].groups[0], planned[0].waiting[0], None)
            raise KeyboardInterrupt

    bench(Interrupted(), *names)
    queue = Queue()
    bench(queue, *names, "--resume")
    assert [(recipe, resume) for recipe, _, resume, _ in queue.began] == [(names[0], True), (names[1], False)]


def test_two_calls_at_once_are_refused(bench: Callable[..., Any]) -> None:
    class Nested(Queue):
        def run(self, planned: Any, logs: Path, hear: fleet_queue.Hear) -> list[Job]:
            self.second = bench(Queue(), "smoke-llamacpp")
            return []

    queue = Nested()
    bench(queue, "smoke-llamacpp")
    assert "is under way" in str(queue.second.exception)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["smoke-llamacpp", "--base-url", "http://127.0.0.1:1"], "no --base-url"),
        (["smoke-llamacpp", "--runner", "local"], "no --runner local"),
        (["smoke-llamacpp", "--cluster", "x.yaml"], "no --cluster"),
        (["smoke-llamacpp", "no-such-recipe"], "no-such-recipe"),
        (["smoke-llamacpp", "qwen35-397b-fp8-mtp-x4"], "needs 4 machines together"),
        (["smoke-llamacpp", "--variant", "mtp"], "mtp"),
        (["smoke-llamacpp", "--port", "65534"], "a lower --port"),
        (["qwen35-397b-fp8-mtp-x4", "--variant", "mtp5"], "is not to be run"),
    ],
)
def test_what_is_wrong_is_told_before_anything_begins(args: list[str], says: str, bench: Callable[..., Any]) -> None:
    queue = Queue()
    done = bench(queue, *args)
    assert done.exit_code != 0
    assert says in f"{done.output}{done.exception}"
    assert queue.began == []


def test_several_recipes_are_for_several_machines() -> None:
    done = CliRunner().invoke(cli, ["bench", "smoke-llamacpp", "smoke-vllm-cpu", "--root", str(ROOT)])
    assert done.exit_code == 2
    assert "--hosts FILE" in done.output


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvironmentLacks) as lack:
        fleet_queue.run([], tmp_path, lambda *_: None)
    assert lack.value.hint == "pip install 'recipegen[fleet]'"
