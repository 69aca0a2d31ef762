"""Recipes over two machines by `bench --hosts`: Ray's queue, real llama.cpp in containers, real llama-benchy. The
machines are containers with sshd that share one Docker daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from recipegen.docker import find
from tests.support.llamacpp_image import build_images
from tests.support.machines import Machines
from tests.support.scenario import ROOT, only_run, recipegen, rows, succeed

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.engine]

RECIPES = ("fleet-a", "fleet-b", "fleet-c")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def template(
    new_repository: Callable[..., Path],
    models_dir: Path,
    base_image: str,
    docker_client: DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """A repository with three recipes for one machine each, their images and their model."""
    root = new_repository()
    for name in RECIPES:
        data = yaml.safe_load((ROOT / "recipes/smoke-llamacpp/recipe.yaml").read_text())
        data |= {"name": name, "status": "planned"}
        data["bench"] |= {"corpora": {"prose": data["bench"]["corpora"]["prose"]}, "cells": [{"pp": 64, "tg": 16}]}
        data["engine"]["flags"]["threads"] = 1  # two servers share the cores of the one machine that runs them here
        folder = root / "recipes" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    succeed("render", "--root", root)
    succeed("download", RECIPES[0], "--models-dir", models_dir, "--root", root)
    images = build_images([root / "recipes" / name for name in RECIPES], tmp_path_factory.mktemp("image"))
    yield root
    for image in images:
        docker_client.images.remove(image, force=True)


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """The recipes without results; its path is its own, and so is what recipegen remembers of it."""
    root = tmp_path / "recipes-of-mine"
    subprocess.run(["cp", "-r", template, root], check=True)
    return root


@pytest.fixture
def pair(
    docker_client: DockerClient, base_image: str, needs: Callable[[str], str], models_dir: Path, tmp_path: Path
) -> Iterator[Machines]:
    needs("ssh")
    with Machines(docker_client, tmp_path / "machines", 2, daemons=False, mounts=(models_dir,)) as machines:
        machines.write_cluster_file(models_dir=str(models_dir))
        yield machines


class Fleet:
    """`recipegen bench --hosts … --json` in one repository, on two machines."""

    def __init__(self, pair: Machines, repository: Path, home: Path) -> None:
        self.pair, self.repository = pair, repository
        # What recipegen remembers lies in the home folder: the test has one of its own.
        self.env = {**os.environ, **pair.env, "HOME": str(home)}

    def words(self, runs: int, *more: str) -> list[str]:
        hosts = self.pair.folder / "cluster.yaml"
        words = ["--hosts", str(hosts), "--root", str(self.repository), "--json", "--runs", str(runs)]
        return [*RECIPES, *words, *more]

    def run(self, runs: int, *more: str) -> tuple[int, list[dict[str, Any]]]:
        """Its exit code and its events."""
        done = recipegen("bench", *self.words(runs, *more), env=self.env)
        print(done.stdout[-6000:], done.stderr[-3000:])
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def begin(self, runs: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "recipegen", "bench", *self.words(runs)],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def record(self, recipe: str) -> dict[str, Any]:
        return only_run(self.repository / "recipes" / recipe)[1]


@pytest.fixture
def fleet(pair: Machines, repository: Path, tmp_path: Path) -> Fleet:
    home = tmp_path / "home"
    home.mkdir()
    return Fleet(pair, repository, home)


def events_of(events: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {event["recipe"]: event for event in events if event["event"] == kind}


def next_event(child: subprocess.Popen[str], seen: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The next event of a kind; what comes before is seen too."""
    assert child.stdout is not None
    for line in child.stdout:
        seen.append(json.loads(line))
        if seen[-1]["event"] == kind:
            return seen[-1]
    raise AssertionError(f"no {kind}: {seen[-3:]}")


def processes() -> list[psutil.Process]:
    """Measurements that Ray's tasks have started."""
    return [one for one in psutil.process_iter(["cmdline"]) if "--no-index" in (one.info["cmdline"] or [])]


def test_three_recipes_on_two_machines_and_nothing_twice(fleet: Fleet, docker_client: DockerClient) -> None:
    code, events = fleet.run(2)
    assert code == 0
    ended = events_of(events, "ended")
    assert sorted(ended) == sorted(RECIPES)
    assert all(event["whole"] and len(event["runs"]) == 1 for event in ended.values())
    begun = [(event["recipe"], event["machines"]) for event in events if event["event"] == "begun"]
    assert [recipe for recipe, _ in begun] == list(RECIPES)
    assert sorted(machines for _, machines in begun[:2]) == [["machine-a"], ["machine-b"]]
    # The third one came when one of the first two was done.
    kinds = [event["event"] for event in events if event["event"] in ("begun", "ended")]
    assert kinds[:3] == ["begun", "begun", "ended"]
    for recipe in RECIPES:
        record = fleet.record(recipe)
        assert record["status"] == "complete" and record["nodes"]["count"] == 1
        assert "-nodes" not in record["machine"]
        assert not [word for word in ("machine-a", "machine-b", "root@") if word in json.dumps(record)]
    assert len([row for row in rows(fleet.repository / "INDEX.md") if "fleet-" in row]) == 3
    assert [find(docker_client, recipe) for recipe in RECIPES] == [[], [], []]

    code, events = fleet.run(2, "--resume")
    assert code == 0
    assert sorted(events_of(events, "measured_already")) == sorted(RECIPES)
    assert events_of(events, "begun") == {}
    assert [fleet.record(recipe)["status"] for recipe in RECIPES] == ["complete"] * 3


def test_ctrl_c_takes_everything_down_and_resume_goes_on_where_it_was(
    fleet: Fleet, docker_client: DockerClient
) -> None:
    child, seen = fleet.begin(12), list[dict[str, Any]]()
    try:
        while len(events_of(seen, "cell_started")) < 2:  # both serve
            next_event(child, seen, "cell_started")
        next_event(child, seen, "run_done")
        (measuring,) = [one for one in processes() if f"bench {seen[-1]['recipe']} " in " ".join(one.info["cmdline"])]
        # Ray's own tasks run with less, which would be measured.
        assert measuring.nice() == os.getpriority(os.PRIO_PROCESS, 0)
        assert Path(f"/proc/{measuring.pid}/oom_score_adj").read_text() == Path("/proc/self/oom_score_adj").read_text()
        hosts = fleet.pair.folder / "cluster.yaml"
        status = json.loads(succeed("status", "--cluster", hosts, "--json", env=fleet.env))
        assert {row["recipe"] for row in status} == {event["recipe"] for event in seen if event["event"] == "begun"}
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does
        out, err = child.communicate(timeout=120)
    finally:
        child.kill()
        child.wait()
    print(out[-3000:], err)
    assert child.returncode == 130
    assert [find(docker_client, recipe) for recipe in RECIPES] == [[], [], []]
    first = {event["recipe"]: event["machines"] for event in seen if event["event"] == "begun"}
    statuses = {recipe: fleet.record(recipe)["status"] for recipe in first}
    assert set(statuses.values()) == {"interrupted"}

    code, events = fleet.run(12, "--resume")
    assert code == 0
    again = {event["recipe"]: event for event in events if event["event"] == "begun"}
    assert {recipe: again[recipe]["machines"] for recipe in first} == first
    assert {recipe for recipe, event in again.items() if event["resume"]} == set(first)
    assert [fleet.record(recipe)["status"] for recipe in RECIPES] == ["complete"] * 3


def test_a_call_that_is_killed_leaves_no_server(fleet: Fleet, docker_client: DockerClient) -> None:
    child, seen = fleet.begin(12), list[dict[str, Any]]()
    try:
        begun = next_event(child, seen, "run_done")["recipe"]
    finally:
        child.kill()
        child.wait()
    deadline = time.monotonic() + 90
    while processes() or any(find(docker_client, recipe) for recipe in RECIPES):
        assert time.monotonic() < deadline, processes()
        time.sleep(0.5)
    assert fleet.record(begun)["status"] == "interrupted"


def test_a_machine_that_dies_hands_its_recipe_to_another(fleet: Fleet, docker_client: DockerClient) -> None:
    child, seen = fleet.begin(10), list[dict[str, Any]]()
    try:
        while (event := next_event(child, seen, "run_done"))["machines"] != ["machine-b"]:
            pass
        lost = event["recipe"]
        fleet.pair.machines[1].container.kill()
        for container in find(docker_client, lost):  # it ran on the machine that is gone
            container.remove(force=True, v=True)
        killed = time.monotonic()
        out, err = child.communicate(timeout=400)
        print(f"ended {time.monotonic() - killed:.0f} s later", out[-6000:], err)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0
    events = [*seen, *(json.loads(line) for line in out.splitlines())]
    gone = [event for event in events if event["event"] == "ended" and event["gone"]]
    assert [(event["recipe"], event["machines"], event["whole"]) for event in gone] == [(lost, ["machine-b"], False)]
    begun = [(event["recipe"], event["machines"]) for event in events if event["event"] == "begun"]
    assert (lost, ["machine-a"]) in begun
    assert len(begun) == len(RECIPES) + 1
    assert all(event["whole"] for event in events_of(events, "ended").values())
