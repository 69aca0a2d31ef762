"""Real vLLM over two machines, from one recipe: tensor parallelism of 2 on the CPU, over gloo. The machines are
containers with sshd that share one Docker daemon; each rank's container has the network of its machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
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
    # Both ranks share the cores of the one machine that runs them here.
    data["engine"]["env"]["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
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
    (data,) = [one for one in json.loads((repository / "index.json").read_text())["rows"] if one["recipe"] == RECIPE]
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
