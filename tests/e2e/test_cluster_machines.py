"""The driver on machines that are containers, each with sshd and a Docker daemon of its own, and the smallest engine
that several of them serve together: nothing is replaced but the engine. Real vLLM is test_cluster_vllm's."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.machines import PAIR_RECIPE, Machines, engine_image, engine_program
from tests.support.scenario import recipegen, succeed

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker]

RECIPE = "pair"


@pytest.fixture(scope="module")
def repository(new_repository: Callable[..., Path]) -> Path:
    root = new_repository()
    folder = root / "recipes" / RECIPE
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(PAIR_RECIPE)
    succeed("render", RECIPE, "--root", root)
    return root


@pytest.fixture(scope="module")
def image(
    docker_client: DockerClient, repository: Path, needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The recipe's image on this machine, which is none of the nodes; its id."""
    needs("gcc")
    engine = engine_program(tmp_path_factory.mktemp("engine"))
    manifest = (repository / "recipes" / RECIPE / "SHA256SUMS").read_bytes()
    yield engine_image(docker_client, engine, RECIPE, hashlib.sha256(manifest).hexdigest())
    docker_client.images.remove(RECIPE, force=True)


@pytest.fixture(scope="module")
def pair(
    docker_client: DockerClient, base_image: str, needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    """Two machines, each with the model; the cluster file is the usual one at the beginning of each test."""
    needs("ssh")
    with Machines(docker_client, tmp_path_factory.mktemp("machines"), 2, daemons=True) as machines:
        for machine in machines.machines:
            machine.run("mkdir", "-p", "/models/model/.cache/huggingface/download")
            machine.run(
                "sh",
                "-c",
                "echo '{}' >/models/model/config.json; head -c 2000000 /dev/zero >/models/model/w.safetensors",
            )
            note_revision(machine, "0123456789abcdef0123456789abcdef01234567")
        yield machines


def note_revision(machine: Any, revision: str) -> None:
    """As huggingface_hub notes what it downloaded into a folder."""
    place = "/models/model/.cache/huggingface/download/config.json.metadata"
    machine.run("sh", "-c", f"printf '%s\\netag\\n1.0\\n' {revision} >{place}")


@pytest.fixture(autouse=True)
def cluster_file(pair: Machines) -> Path:
    return pair.write_cluster_file(models_dir="/models")


def run(pair: Machines, repository: Path, *args: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
    done = recipegen(*args, env=pair.env, cwd=repository, **how)
    print(done.stdout, done.stderr[-3000:])
    return done


def problems(pair: Machines, repository: Path, *more: str) -> list[dict[str, str]]:
    """What `cluster check --json` finds, the image left out."""
    done = run(pair, repository, "cluster", "check", RECIPE, "--no-image", "--json", *more)
    found: list[dict[str, str]] = json.loads(done.stdout)["problems"]
    assert done.returncode == (3 if found else 0)
    return found


def test_all_is_well_but_the_image(pair: Machines, repository: Path, image: str) -> None:
    assert problems(pair, repository) == []
    done = run(pair, repository, "cluster", "check", RECIPE)
    assert done.returncode == 3
    assert done.stdout.count(f"it has no image {RECIPE}") == 2


@pytest.mark.parametrize(
    ("of_b", "check", "cause"),
    [
        ({"interface": "enp1s0"}, "fabric", "it has no interface enp1s0"),
        ({"address": "172.31.255.9"}, "fabric", "the interface eth0 has not the address 172.31.255.9"),
        ({"ssh": "root@172.31.255.9"}, "reach", "cannot be reached"),
        ({"ssh": "nobody@{}"}, "reach", "asks for a password"),
        ({"hca": "mlx5_0"}, "hca", "it has no RDMA adapter mlx5_0"),
        ({"models_dir": "/nowhere"}, "model", "the model model is not at /nowhere/model"),
    ],
)
def test_a_wrong_node_is_named_with_a_remedy(
    pair: Machines, repository: Path, of_b: dict[str, str], check: str, cause: str
) -> None:
    of_b = {key: value.format(pair.machines[1].address) for key, value in of_b.items()}
    pair.write_cluster_file(models_dir="/models", only={"machine-b": of_b})
    (problem,) = problems(pair, repository)
    assert (problem["node"], problem["check"]) == ("machine-b", check)
    assert cause in problem["cause"] and problem["remedy"]


def test_several_problems_are_told_at_once(pair: Machines, repository: Path) -> None:
    b = pair.machines[1]
    hold = "import socket,time; s=socket.create_server(('0.0.0.0', 29501)); time.sleep(300)"
    b.container.exec_run(["sh", "-c", f'echo $$ >/tmp/holder; exec python3 -c "{hold}"'], detach=True)
    note_revision(b, "ffff456789abcdef0123456789abcdef01234567")
    try:
        deadline = time.monotonic() + 10
        found = problems(pair, repository)
        while len(found) != 2:
            assert time.monotonic() < deadline, found
            found = problems(pair, repository)
    finally:
        b.run("sh", "-c", "kill $(cat /tmp/holder)")
        note_revision(b, "0123456789abcdef0123456789abcdef01234567")
    texts = {(one["node"], one["check"]): one["cause"] for one in found}
    assert "29501 is taken (rank 1 needs it)" in texts["machine-b", "port"]
    assert "ffff456789ab, the recipe asks for 0123456789ab" in texts["machine-b", "model"]


def test_the_image_comes_once_and_over_the_fabric(pair: Machines, repository: Path, image: str) -> None:
    done = run(pair, repository, "cluster", "distribute", RECIPE)
    assert done.returncode == 0
    assert "machine-a: gets the image pair from here" in done.stdout
    assert "machine-b: gets the image pair from machine-a" in done.stdout
    for machine in pair.machines:
        assert machine.run("docker", "image", "inspect", "--format", "{{.Id}}", RECIPE).strip() == image
    again = run(pair, repository, "cluster", "distribute", RECIPE)
    assert again.returncode == 0 and "gets the image" not in again.stdout
    assert run(pair, repository, "cluster", "check", RECIPE).returncode == 0


def test_another_image_on_one_node_is_found_and_put_right(pair: Machines, repository: Path, image: str) -> None:
    b = pair.machines[1]
    b.run("sh", "-c", f"docker tag {RECIPE} keep && echo x | tar -c -C /etc hostname | docker import - {RECIPE}")
    done = run(pair, repository, "cluster", "check", RECIPE)
    assert done.returncode == 3
    assert "machine-b: its image pair is" in done.stdout and f"elsewhere {image[7:19]}" in done.stdout
    assert run(pair, repository, "cluster", "distribute", RECIPE).returncode == 0
    assert b.run("docker", "image", "inspect", "--format", "{{.Id}}", RECIPE).strip() == image


def test_an_image_out_of_a_file(pair: Machines, repository: Path, image: str, tmp_path: Path) -> None:
    saved = tmp_path / "image.tar"
    subprocess.run(["docker", "save", "--output", saved, RECIPE], check=True)
    pair.machines[1].run("docker", "rmi", "--force", image)
    done = run(pair, repository, "cluster", "distribute", RECIPE, "--image-file", saved)
    assert done.returncode == 0
    assert pair.machines[1].run("docker", "image", "inspect", "--format", "{{.Id}}", RECIPE).strip() == image


def test_a_model_is_brought_in_line(pair: Machines, repository: Path, image: str) -> None:
    b = pair.machines[1]
    b.run("sh", "-c", "truncate -s 1000 /models/model/w.safetensors; touch /models/model/too-much")
    (problem,) = problems(pair, repository)
    assert "too-much is there and nowhere else" in problem["cause"]
    done = run(pair, repository, "cluster", "distribute", RECIPE, "--models")
    assert done.returncode == 0 and "machine-b: has the models" in done.stdout
    assert problems(pair, repository) == []


def test_up_status_logs_down(pair: Machines, repository: Path, image: str) -> None:
    began = time.monotonic()
    done = run(pair, repository, "up", RECIPE)
    print(f"up took {time.monotonic() - began:.1f} s")
    assert done.returncode == 0
    assert "pair/ar is ready after" in done.stdout
    rows = json.loads(run(pair, repository, "status", RECIPE, "--json").stdout)
    assert [(row["node"], row["rank"], row["status"]) for row in rows] == [
        ("machine-a", 0, "running"),
        ("machine-b", 1, "running"),
    ]
    assert "rank 0 of 2" in run(pair, repository, "logs", RECIPE).stdout
    assert "rank 1 has joined" in run(pair, repository, "logs", RECIPE, "--rank", "1").stdout
    assert "the port 8000 is taken (rank 0 needs it)" in run(pair, repository, "cluster", "check", RECIPE).stdout
    down = run(pair, repository, "down", RECIPE)
    assert down.returncode == 0 and down.stdout.count("taking down") == 2
    assert json.loads(run(pair, repository, "status", RECIPE, "--json").stdout) == []


def test_a_rank_that_ends_is_named_and_takes_the_others_down(pair: Machines, repository: Path, image: str) -> None:
    b = pair.machines[1]
    b.run("iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", "29501", "-j", "REJECT", "--reject-with", "tcp-reset")
    try:
        process = recipegen("up", RECIPE, env=pair.env, cwd=repository, timeout=120)
    finally:
        b.run("iptables", "-F", "OUTPUT")
    print(process.stdout, process.stderr)
    assert process.returncode == 4
    assert "rank 1 on machine-b ended with exit code 4" in process.stderr
    assert "no head at" in process.stderr
    for machine in pair.machines:
        assert machine.run("docker", "ps", "--all", "--quiet") == ""


def test_a_node_that_is_gone_is_named(pair: Machines, repository: Path, image: str) -> None:
    """Last, because it takes one of the machines."""
    assert run(pair, repository, "up", RECIPE).returncode == 0
    pair.machines[1].container.kill()
    status = run(pair, repository, "status", RECIPE)
    assert status.returncode == 3
    assert "machine-b: cannot be reached" in status.stderr
    down = run(pair, repository, "down", RECIPE)
    assert down.returncode == 3
    assert "machine-b: cannot be reached" in down.stderr
    assert pair.machines[0].run("docker", "ps", "--all", "--quiet") == ""
