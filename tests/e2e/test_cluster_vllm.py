"""Real vLLM over two machines, from one recipe: tensor parallelism of 2 on the CPU, over gloo. The machines are
containers with sshd that share one Docker daemon; each rank's container has the network of its machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from recipegen.docker import LABEL_RECIPE
from tests.support.machines import Machines
from tests.support.scenario import ROOT, recipegen, rows, succeed

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.engine]

RECIPE = "smoke-vllm-cpu-x2"


def two_nodes(recipe: Path) -> str:
    """The smoke recipe of one machine, for two."""
    data = yaml.safe_load(recipe.read_text())
    ranks = {"title": "over Ray", "flags": {"distributed-executor-backend": "ray"}, "measure": False}
    data |= {"name": RECIPE, "status": "planned", "cluster": {"nodes": 2, "tensor": 2}}
    data["variants"] = {"ar": {"title": "plain decoding on two machines"}, "ray": ranks}
    del data["engine"]["notes"]["speculative-config"]
    data["run"]["ready_timeout_s"] = 600
    # Both ranks share the cores of the one machine that runs them here.
    data["engine"]["env"] |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    return yaml.safe_dump(data, sort_keys=False)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def repository(new_repository: Callable[..., Path], vllm_wheels: Path, models_dir: Path) -> Path:
    """A repository with the recipe for two machines, its wheels beside the kit, its model made."""
    root = new_repository()
    folder = root / "recipes" / RECIPE
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(two_nodes(ROOT / "recipes/smoke-vllm-cpu/recipe.yaml"))
    succeed("render", RECIPE, "--root", root)
    (folder / "wheels").mkdir()
    for wheel in vllm_wheels.glob("*.whl"):
        try:
            os.link(wheel, folder / "wheels" / wheel.name)
        except OSError:
            shutil.copy(wheel, folder / "wheels")
    succeed("download", RECIPE, "--models-dir", models_dir, "--root", root)
    return root


@pytest.fixture(scope="module")
def pair(
    docker_client: DockerClient,
    base_image: str,
    needs: Callable[[str], str],
    models_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machines]:
    needs("ssh")
    folder = tmp_path_factory.mktemp("machines")
    with Machines(docker_client, folder, 2, daemons=False, mounts=(models_dir,)) as machines:
        machines.write_cluster_file(models_dir=str(models_dir))
        yield machines


@pytest.fixture(scope="module")
def measured(pair: Machines, repository: Path, base_image: str) -> subprocess.CompletedProcess[str]:
    """`recipegen bench`: the image built on the head, up, wait, every cell, down."""
    return recipegen(
        "bench", RECIPE, "--base-image", base_image, "--network", "host", "--runs", "2", "--cell", "prose",
        "--root", repository, env=pair.env, timeout=1500,
    )  # fmt: skip


def ours(client: DockerClient) -> list[Any]:
    return client.containers.list(all=True, filters={"label": f"{LABEL_RECIPE}={RECIPE}"})


def runs_of(repository: Path) -> list[Path]:
    return sorted((repository / "recipes" / RECIPE).glob("results/*/*/run.json"))


def test_from_one_recipe_to_a_row_of_two_nodes(
    measured: subprocess.CompletedProcess[str], repository: Path, docker_client: DockerClient
) -> None:
    print(measured.stdout, measured.stderr[-6000:])
    assert measured.returncode == 0
    assert ours(docker_client) == []
    (run,) = runs_of(repository)
    record = json.loads(run.read_text())
    assert record["status"] == "complete"
    assert record["nodes"]["count"] == 2
    assert record["nodes"]["parallel"]["tensor"] == 2
    assert [node["node"] for node in record["nodes"]["nodes"]] == ["node0", "node1"]
    assert {node["image"] for node in record["nodes"]["nodes"]} == {record["image"]["id"]}
    assert record["machine"].endswith("-nodes2")
    assert (run.parent / "server.log").read_text().count("Application startup complete") == 1
    assert "rank" in (run.parent / "server.rank1.log").read_text()
    for cell in record["cells"]:
        metrics = json.loads((run.parent / cell["metrics"]).read_text())
        assert metrics["server"]["endpoint"] is True
        assert [len(node["available_bytes"]) > 0 for node in metrics["nodes"]] == [True, True]
        assert metrics["host"]["available_bytes"] == metrics["nodes"][0]["available_bytes"]
    (row,) = [row for row in rows(repository / "INDEX.md") if RECIPE in row]
    print(row)
    assert "-nodes2" in row
    (data,) = [one for one in json.loads((repository / "index.json").read_text())["recipes"] if one["name"] == RECIPE]
    assert data["nodes"] == 2


def test_nothing_of_the_users_machines_stands_in_what_is_kept(
    measured: subprocess.CompletedProcess[str], pair: Machines, repository: Path
) -> None:
    assert measured.returncode == 0
    (run,) = runs_of(repository)
    words = [word for machine in pair.machines for word in (machine.name, machine.address, f"{machine.name}-host")]
    for file in run.parent.iterdir():
        text = file.read_text(errors="replace")
        assert [word for word in words if word in text] == [], file.name
        assert "root@" not in text


# The same with the rendered scripts, by hand


def start_rank(pair: Machines, image: str, script: str, rank: int, models_dir: Path, *more: str) -> str:
    """`docker run` of the kit's launch script on one machine, as its README says; the container's name.

    Less --ipc host: two such machines have one host, and vLLM tells machines apart by their shared memory.
    """
    name = f"{RECIPE}-hand-{rank}"
    knobs = {
        "NODE_RANK": str(rank),
        "MASTER_ADDR": pair.machines[0].address,
        "HOST_IP": pair.machines[rank].address,
        "FABRIC_IFACE": "eth0",
    }
    words = [
        "docker", "run", "--detach", "--name", name, "--network", f"container:{pair.machines[rank].container.name}",
        "--ipc", "private", "--shm-size", "1g", "--volume", f"{models_dir}:/models:ro",
        *(f"--env={key}={value}" for key, value in knobs.items()), *more, image, "bash", f"/recipe/scripts/{script}",
    ]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)
    return name


def logs(name: str) -> str:
    done = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def remove(*names: str) -> None:
    subprocess.run(["docker", "rm", "--force", "--volumes", *names], check=False, capture_output=True)


def test_the_kit_alone_serves_from_two_machines(
    measured: subprocess.CompletedProcess[str], pair: Machines, models_dir: Path
) -> None:
    assert measured.returncode == 0
    names = [start_rank(pair, RECIPE, "launch_server.sh", rank, models_dir) for rank in (1, 0)]
    try:
        # Inside the head's container: it listens on the loopback of its machine alone.
        waited = subprocess.run(
            ["docker", "exec", "--env", "TIMEOUT=600", names[1], "bash", "/recipe/scripts/wait_for_server.sh"],
            capture_output=True, text=True, check=False, timeout=700,
        )  # fmt: skip
        assert waited.returncode == 0, waited.stderr + logs(names[1])[-3000:] + logs(names[0])[-3000:]
        question = json.dumps({"model": "tiny-qwen3", "prompt": "one two", "max_tokens": 4})
        answer = subprocess.run(
            ["docker", "exec", names[1], "curl", "--silent", "--fail", "--header", "Content-Type: application/json",
             "--data", question, "http://127.0.0.1:8000/v1/completions"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(answer.stdout)["usage"]["completion_tokens"] >= 1
    finally:
        remove(*names)


RAY_IMAGE = "recipegen-test-ray:1"
RAY_DOCKERFILE = f"""
FROM {RECIPE}
COPY *.whl /ray/
RUN /opt/venv/bin/pip install --quiet --no-index --no-deps /ray/*.whl
COPY vllm /recorder/vllm
"""
RECORDER = """#!/bin/sh
printf '%s\\n' vllm "$@" >/tmp/argv.part && mv /tmp/argv.part /tmp/argv
exec sleep 900
"""


def test_the_rendered_ray_scripts_form_a_cluster_of_two(
    measured: subprocess.CompletedProcess[str],
    repository: Path,
    pair: Machines,
    models_dir: Path,
    ray_wheels: Path,
    tmp_path: Path,
) -> None:
    """vLLM refuses Ray on the CPU: what it is told is written down instead, and held against the recipe's command."""
    assert measured.returncode == 0
    for wheel in ray_wheels.glob("*.whl"):
        shutil.copy(wheel, tmp_path)
    (tmp_path / "Dockerfile").write_text(RAY_DOCKERFILE)
    (tmp_path / "vllm").write_text(RECORDER)
    (tmp_path / "vllm").chmod(0o755)
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", RAY_IMAGE, tmp_path],
        check=True, env={**os.environ, "DOCKER_BUILDKIT": "1"}, capture_output=True,
    )  # fmt: skip
    path = "--env=PATH=/recorder:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"
    names = [start_rank(pair, RAY_IMAGE, "launch_server_ray.sh", rank, models_dir, path) for rank in (1, 0)]
    try:
        deadline = time.monotonic() + 240
        argv = ["docker", "exec", names[1], "cat", "/tmp/argv"]
        while (told := subprocess.run(argv, capture_output=True, text=True, check=False)).returncode != 0:
            assert time.monotonic() < deadline, logs(names[1])[-3000:] + logs(names[0])[-3000:]
            time.sleep(1)
        status = subprocess.run(
            ["docker", "exec", names[1], "/opt/venv/bin/ray", "status"], capture_output=True, text=True, check=True
        ).stdout
        print(status)
        assert len([line for line in status.splitlines() if " node_" in line]) == 2
        resolved = json.loads(succeed("show", RECIPE, "--resolved", "--json", "--root", repository))
        knobs = {"MODELS_DIR": "/models", "HOST": "127.0.0.1", "PORT": "8000"}
        expected = [put_in(word, knobs) for word in resolved["commands"]["ray"]]
        assert told.stdout.splitlines() == expected
        assert "--distributed-executor-backend" in expected
    finally:
        remove(*names)
        subprocess.run(["docker", "rmi", RAY_IMAGE], check=False, capture_output=True)


def put_in(word: str, knobs: dict[str, str]) -> str:
    for name, value in knobs.items():
        word = word.replace(f"${{{name}}}", value)
    return word


# Last, because it takes one of the machines


def test_a_machine_that_dies_in_mid_run_ends_it_with_its_name(
    measured: subprocess.CompletedProcess[str],
    pair: Machines,
    repository: Path,
    base_image: str,
    docker_client: DockerClient,
) -> None:
    assert measured.returncode == 0
    before = set(runs_of(repository))
    bench = subprocess.Popen(
        [sys.executable, "-m", "recipegen", "bench", RECIPE, "--base-image", base_image, "--network", "host",
         "--runs", "10", "--cell", "prose", "--root", repository],
        env={**os.environ, **pair.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 900
        while not (done := cells_done(set(runs_of(repository)) - before)):
            assert bench.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        pair.machines[1].container.kill()
        killed = time.monotonic()
        _, told = bench.communicate(timeout=180)
        print(f"ended {time.monotonic() - killed:.1f} s later\n{told[-4000:]}")
    finally:
        bench.kill()
        bench.wait()
        # The rank of the machine that is gone runs on where nobody can reach it: here, on the daemon that both share.
        left = {one.labels["org.recipegen.server.rank"] for one in ours(docker_client)}
        for one in ours(docker_client):
            one.remove(force=True, v=True)
    assert bench.returncode == 4
    assert "the node machine-b (rank 1) is gone" in told
    assert "machine-b: its rank could not be taken down" in told
    assert left <= {"1"}
    (run,) = set(runs_of(repository)) - before
    record = json.loads(run.read_text())
    assert record["status"] == "partial"
    assert [cell["id"] for cell in record["cells"] if cell["status"] == "done"] == done
    assert "the node node1 (rank 1) is gone" in record["error"]
    assert "machine-b" not in run.read_text()


def cells_done(runs: set[Path]) -> list[str]:
    return [cell["id"] for run in runs for cell in json.loads(run.read_text())["cells"] if cell["status"] == "done"]
