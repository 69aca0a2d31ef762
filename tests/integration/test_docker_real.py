"""Containers and builds on a real daemon, with an image of one small static program made on the spot."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from recipegen import docker, docker_build
from recipegen.errors import EnvironmentLacks, MeasurementFailed, RecipegenError
from recipegen.runners import docker_runner
from recipegen.runners.base import ContainerOptions, ServerPlan, free_port, is_ready, port_free, wait_ready
from recipegen.runners.docker_runner import DockerServer
from recipegen.runners.engine_version import reported_version, served_models

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.docker

SOURCE = Path(__file__).parent.parent / "support" / "tiny_server.c"
INSIDE = 8000


@pytest.fixture(scope="module")
def image(
    docker_client: DockerClient, needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An image that holds /server and nothing else; removed afterwards."""
    program = tmp_path_factory.mktemp("image") / "server"
    subprocess.run([needs("gcc"), "-static", "-O1", "-o", program, SOURCE], check=True)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(program, "server")
    repository = f"recipegen-test-tiny-{uuid.uuid4().hex[:8]}"
    docker_client.api.import_image_from_data(
        archive.getvalue(),
        repository=repository,
        tag="1",
        changes=[f'LABEL {docker.BASE_LABEL}="scratch"', "ENV FROM_IMAGE=1"],
    )
    yield f"{repository}:1"
    docker_client.images.remove(f"{repository}:1", force=True)


@pytest.fixture
def recipe(docker_client: DockerClient) -> Iterator[str]:
    """A recipe name that no other test uses; whatever container carries it in the end is a failure."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    left = docker.find(docker_client, name)
    for container in left:
        docker.remove(container)
    assert left == [], "a container was left behind"


def plan_for(image: str, recipe: str, tmp_path: Path, *words: str, **options: Any) -> ServerPlan:
    """A plan for the tiny server on a free port."""
    port = free_port()
    return ServerPlan(
        recipe=recipe,
        variant="ar",
        words=["/server", *(words or ("serve", str(INSIDE)))],
        env={"RECIPE_VALUE": "it's $(data) `x`"},
        host="127.0.0.1",
        port=port,
        base_url=f"http://127.0.0.1:{port}",
        timeout_s=30,
        log_path=tmp_path / "server.log",
        container=ContainerOptions(
            image=image, name=f"recipegen-{recipe}-ar", port=INSIDE, run="20261121T072000Z-ar", **options
        ),
    )


def silent(_seconds: float, _line: str) -> None:
    """No progress wanted."""


def test_a_server_runs_is_found_measured_and_leaves_nothing_behind(
    docker_client: DockerClient, image: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    (tmp_path / "models").mkdir()
    plan = plan_for(
        image,
        recipe,
        tmp_path,
        ipc="private",
        shm_size="64m",
        ulimits={"nofile": 4096},
        volumes=((str(tmp_path / "models"), "/models", True),),
    )
    with DockerServer(plan) as server:
        assert wait_ready(server, plan, silent) < 30
        assert server.alive()
        assert server.exit_code is None
        assert served_models(plan.base_url) == ["tiny"]
        assert reported_version(plan.base_url, "vllm") == "0.0.1"

        [container] = docker.find(docker_client, recipe)
        assert docker.find(docker_client, recipe, "ar") == [container]
        assert docker.find(docker_client, recipe, "mtp") == []
        assert container in docker.find(docker_client)
        assert container.labels[docker.LABEL_RUN] == "20261121T072000Z-ar"
        host = container.attrs["HostConfig"]
        assert host["PortBindings"] == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(plan.port)}]}
        assert host["ShmSize"] == 64 * 2**20
        assert {limit["Name"]: limit["Soft"] for limit in host["Ulimits"]} == {"nofile": 4096}
        [mount] = container.attrs["Mounts"]
        assert (mount["Destination"], mount["RW"]) == ("/models", False)

        facts = server.facts()
        assert facts["runner"] == "docker"
        assert facts["started_by_us"] is True
        assert facts["image"] == {
            "ref": image,
            "id": docker_client.images.get(image).id,
            "digest": None,
            "base": "scratch",
        }
        assert server.log_tail(1) == "serving"
        began = time.monotonic()
    assert time.monotonic() - began < 8, "a server that ends on SIGTERM is not waited for"
    log = (tmp_path / "server.log").read_text()
    assert "arg /server\narg serve\narg 8000\n" in log
    assert "env RECIPE_VALUE=it's $(data) `x`\n" in log
    assert "env FROM_IMAGE=1" in log
    assert "HF_TOKEN" not in log
    assert not server.alive()
    server.stop()
    assert docker.find(docker_client, recipe) == []
    assert port_free(plan.host, plan.port)


def test_a_dying_container_is_reported_with_its_exit_code_and_log(image: str, recipe: str, tmp_path: Path) -> None:
    plan = plan_for(image, recipe, tmp_path, "die", "7")
    with DockerServer(plan) as server, pytest.raises(MeasurementFailed) as caught:
        wait_ready(server, plan, silent)
    cause, _, log = caught.value.message.partition("\n")
    assert cause.startswith(f"the server of {recipe}/ar ended with exit code 7, after ")
    assert "RuntimeError: no such quantization" in log
    assert server.exit_code == 7
    assert "RuntimeError: no such quantization" in (tmp_path / "server.log").read_text()


def test_a_stubborn_container_is_killed_and_its_exit_code_read(
    image: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_runner, "GRACE_S", 0.5)
    plan = plan_for(image, recipe, tmp_path, "stubborn", str(INSIDE))
    with DockerServer(plan) as server:
        wait_ready(server, plan, silent)
    assert server.exit_code == 128 + signal.SIGKILL


def test_a_server_that_is_never_ready_is_taken_down(image: str, recipe: str, tmp_path: Path) -> None:
    # It listens on another port than the one that is published.
    plan = replace(plan_for(image, recipe, tmp_path, "serve", "8001"), timeout_s=1.5)
    with DockerServer(plan) as server, pytest.raises(MeasurementFailed, match=r"not ready after 1\.5 s"):
        wait_ready(server, plan, silent)


def test_host_network(docker_client: DockerClient, image: str, recipe: str, tmp_path: Path) -> None:
    plan = plan_for(image, recipe, tmp_path, network="host")
    plan = replace(plan, words=["/server", "serve", str(plan.port)])
    with DockerServer(plan) as server:
        wait_ready(server, plan, silent)
        [container] = docker.find(docker_client, recipe)
        assert container.attrs["HostConfig"]["NetworkMode"] == "host"


def start(client: DockerClient, image: str, recipe: str, port: int, **options: Any) -> Any:
    """A container without a runner around it."""
    chosen: dict[str, Any] = {
        "command": ["/server", "serve", str(INSIDE)],
        "name": f"recipegen-{recipe}",
        "labels": {docker.LABEL_RECIPE: recipe},
        "env": {},
        "ports": {INSIDE: ("127.0.0.1", port)},
        **options,
    }
    return docker.run_container(client, image=image, **chosen)


def test_a_taken_port_is_named_by_runner_and_daemon(
    docker_client: DockerClient, image: str, recipe: str, tmp_path: Path
) -> None:
    plan = plan_for(image, recipe, tmp_path)
    with socket.create_server((plan.host, plan.port)):
        with (
            pytest.raises(EnvironmentLacks, match=f"the port 127.0.0.1:{plan.port} is taken"),
            DockerServer(plan),
        ):
            pytest.fail("it must not start")
        # What happens when the port is lost between the check and the start.
        with pytest.raises(EnvironmentLacks, match=f"the port 127.0.0.1:{plan.port} is taken") as caught:
            start(docker_client, image, recipe, plan.port)
    assert "--port" in caught.value.hint
    assert docker.find(docker_client, recipe) == []


def test_a_dead_container_of_ours_is_replaced_a_living_one_is_not(
    docker_client: DockerClient, image: str, recipe: str
) -> None:
    dead = start(docker_client, image, recipe, free_port(), command=["/server", "die", "1"])
    dead.wait()
    alive = start(docker_client, image, recipe, free_port())
    assert [c.id for c in docker.find(docker_client, recipe)] == [alive.id]
    with pytest.raises(EnvironmentLacks, match=f"recipegen-{recipe} is running already") as caught:
        start(docker_client, image, recipe, free_port())
    assert caught.value.hint == f"stop it: recipegen down {recipe}"
    docker.stop(alive)
    docker.stop(alive)
    assert docker.find(docker_client, recipe) == []


def test_a_strangers_container_is_neither_found_nor_touched(
    docker_client: DockerClient, image: str, recipe: str
) -> None:
    name = f"recipegen-{recipe}"
    stranger = docker_client.containers.run(image, ["/server", "serve", "1"], name=name, detach=True)
    try:
        assert stranger not in docker.find(docker_client)
        with pytest.raises(EnvironmentLacks, match="not one of recipegen's"):
            start(docker_client, image, recipe, free_port())
        with pytest.raises(ValueError, match="not one of recipegen's"):
            docker.stop(stranger)
        stranger.reload()
        assert stranger.status == "running"
    finally:
        stranger.remove(force=True)


def test_a_missing_image_folder_or_program_is_an_error_with_a_remedy(
    docker_client: DockerClient, image: str, recipe: str, tmp_path: Path
) -> None:
    missing = plan_for("recipegen-test-no-such-image:1", recipe, tmp_path)
    assert not docker.image_exists(docker_client, "recipegen-test-no-such-image:1")
    with pytest.raises(EnvironmentLacks) as caught, DockerServer(missing):
        pytest.fail("it must not start")
    assert f"recipegen build {recipe}" in caught.value.hint
    with pytest.raises(EnvironmentLacks, match="the image recipegen-test-no-such-image:1 does not exist"):
        start(docker_client, "recipegen-test-no-such-image:1", recipe, free_port())
    with pytest.raises(EnvironmentLacks, match="a folder to mount is missing"):
        start(docker_client, image, recipe, free_port(), volumes=[(str(tmp_path / "none"), "/models", True)])
    assert not (tmp_path / "none").exists()
    with pytest.raises(MeasurementFailed, match="could not start"):
        start(docker_client, image, recipe, free_port(), command=["/no-such-program"])


def test_without_a_gpu_runtime_the_toolkit_is_named(docker_client: DockerClient, image: str, recipe: str) -> None:
    if "nvidia" in docker_client.info().get("Runtimes", {}):
        pytest.skip("this daemon has a GPU runtime")
    for options in ({"gpus": "all"}, {"runtime": "nvidia"}):
        with pytest.raises(EnvironmentLacks) as caught:
            start(docker_client, image, recipe, free_port(), **options)
        assert "nvidia-container-toolkit" in caught.value.hint


def test_a_long_log_is_copied_whole_and_its_end_is_read(
    docker_client: DockerClient, image: str, recipe: str, tmp_path: Path
) -> None:
    container = start(docker_client, image, recipe, free_port(), command=["/server", "chatter", "20000"])
    container.wait()
    docker.logs_to(container, tmp_path / "log")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[-20_000:] == [f"{number:0100d}" for number in range(20_000)]
    assert docker.tail(container, 2) == f"{19_998:0100d}\n{19_999:0100d}"
    assert len(docker.tail(container, 10_000)) == docker.LOG_TAIL_CHARS
    docker.stop(container)
    assert docker.tail(container, 2) == ""


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_takes_the_container_down_however_often_it_comes(
    docker_client: DockerClient, image: str, recipe: str, tmp_path: Path, times: int
) -> None:
    plan = plan_for(image, recipe, tmp_path, "stubborn", str(INSIDE))
    program = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import PosixPath
from recipegen.runners import docker_runner
from recipegen.runners.base import ContainerOptions, ServerPlan
docker_runner.GRACE_S = {1 if times == 1 else 60}
with docker_runner.DockerServer({plan!r}):
    signal.pause()
"""
    driver = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not is_ready(plan):
        assert time.monotonic() < deadline and driver.poll() is None
        time.sleep(0.05)
    for _ in range(times):
        driver.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _out, err = driver.communicate(timeout=20)
    assert b"KeyboardInterrupt" in err
    assert docker.find(docker_client, recipe) == []
    assert "serving" in (tmp_path / "server.log").read_text()


@pytest.fixture
def tag(docker_client: DockerClient) -> Iterator[str]:
    """A name for an image to build; removed afterwards."""
    name = f"recipegen-test-built-{uuid.uuid4().hex[:8]}:1"
    yield name
    if docker.image_exists(docker_client, name):
        docker_client.images.remove(name, force=True)


def test_a_build_goes_through_buildkit(docker_client: DockerClient, image: str, tag: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f'ARG BASE_IMAGE=none\nFROM ${{BASE_IMAGE}}\nARG WORD\nLABEL {docker.BASE_LABEL}="${{WORD}}"\n'
        'RUN ["/server", "chatter", "2"]\n'
    )
    lines: list[str] = []
    labels = {"org.recipegen.test": "a $(label)"}
    docker_build.build(
        tmp_path, tag, build_args={"BASE_IMAGE": image, "WORD": "a 'b'"}, labels=labels, on_line=lines.append
    )
    assert "#1 [internal] load build definition from Dockerfile" in lines
    assert docker.image_facts(docker_client, tag)["base"] == "a 'b'"
    assert docker_client.images.get(tag).labels["org.recipegen.test"] == "a $(label)"


def test_a_failing_build_names_its_step(image: str, tag: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f'FROM {image}\nRUN ["/server", "pass"]\nRUN ["/server", "die", "3"]\n')
    with pytest.raises(RecipegenError) as caught:
        docker_build.build(tmp_path, tag, build_args={}, no_cache=True)
    cause, _, end = caught.value.message.partition("\n")
    assert caught.value.exit_code == 4
    assert 'RUN ["/server", "die", "3"]' in cause or "RUN [/server die 3]" in cause
    assert "RuntimeError: no such quantization" in end


def test_a_base_image_that_nobody_has_is_the_environments_fault(tag: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM 127.0.0.1:9/recipegen/no-such-base:1\n")
    with pytest.raises(EnvironmentLacks, match="the base image cannot be fetched") as caught:
        docker_build.build(tmp_path, tag, build_args={})
    assert "--base-image" in caught.value.hint


def test_a_build_without_a_daemon(tmp_path: Path, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EnvironmentLacks, match="no Docker daemon"):
        docker_build.build(tmp_path, tag, build_args={})
