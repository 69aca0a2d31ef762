"""What the Docker rooms do without a daemon: addresses, clients, command lines, error texts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from recipegen import docker, docker_build, docker_daemon
from recipegen.docker_build import BuildClient, build_argv, find_build_client
from recipegen.errors import EnvironmentLacks, MeasurementFailed
from recipegen.runners.base import ContainerOptions, ServerPlan
from recipegen.runners.docker_runner import DockerServer


def client_on_path(folder: Path, version: str, *, buildx: bool = False) -> Path:
    """A stand-in for a docker client program that says what real ones of that version say."""
    folder.mkdir()
    program = folder / "docker"
    answer = 'echo "github.com/docker/buildx v0.24.0"' if buildx else "echo 'unknown command' >&2; exit 1"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in --version) echo "{version}" ;; buildx) {answer} ;; *) exit 9 ;; esac\n'
    )
    program.chmod(0o755)
    return program


def only_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Nothing else is on PATH (the stand-ins' shell is named by its path)."""
    monkeypatch.setenv("PATH", ":".join(map(str, folders)))


OLD = "Docker version 20.10.24+dfsg1, build 297e128"
NEW = "Docker version 28.2.2, build e6534b4"


def test_a_new_client_without_buildx_is_passed_over_for_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = client_on_path(tmp_path / "a", NEW), client_on_path(tmp_path / "b", OLD)
    only_path(monkeypatch, new.parent, old.parent)
    assert find_build_client() == BuildClient(str(old), buildx=False)


def test_a_new_client_with_buildx_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = client_on_path(tmp_path / "a", NEW, buildx=True)
    only_path(monkeypatch, new.parent)
    assert find_build_client() == BuildClient(str(new), buildx=True)


def test_without_a_client_that_can_build_each_is_named_with_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = client_on_path(tmp_path / "a", NEW)
    ancient = client_on_path(tmp_path / "b", "Docker version 17.06.2-ce, build cec0b72")
    other = client_on_path(tmp_path / "c", "podman version 4.3.1")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "docker").symlink_to(new)
    only_path(monkeypatch, new.parent, ancient.parent, other.parent, tmp_path / "d")
    with pytest.raises(EnvironmentLacks) as caught:
        find_build_client()
    assert caught.value.message == (
        f"no docker client here can build with BuildKit: {new} (28.2) has no buildx plugin; "
        f"{ancient} (17.6) is older than BuildKit; {other} does not say that it is Docker"
    )
    assert "buildx" in caught.value.hint


def test_without_any_client_the_remedies_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_path(monkeypatch, tmp_path)
    with pytest.raises(EnvironmentLacks, match="client program is missing") as caught:
        find_build_client()
    assert "--runner local" in caught.value.hint


def test_the_build_command_line(tmp_path: Path) -> None:
    hostile = "a b;$(touch x)\n`y` --rm"
    argv = build_argv(
        BuildClient("/usr/bin/docker", buildx=True),
        tmp_path,
        "recipegen/smoke:1",
        build_args={"BASE_IMAGE": hostile},
        labels={"org.opencontainers.image.title": "--network=host"},
        no_cache=True,
        network="host",
    )
    assert argv == [
        "/usr/bin/docker",
        "build",
        "--progress=plain",
        "--tag=recipegen/smoke:1",
        "--load",
        f"--build-arg=BASE_IMAGE={hostile}",
        "--label=org.opencontainers.image.title=--network=host",
        "--no-cache",
        "--network=host",
        "--",
        str(tmp_path),
    ]
    bare = build_argv(
        BuildClient("docker", buildx=False),
        tmp_path,
        "t",
        build_args={},
        labels={},
        no_cache=False,
        network=None,
    )
    assert bare == ["docker", "build", "--progress=plain", "--tag=t", "--", str(tmp_path)]


def failure_of(text: str) -> Any:
    """The error for a build that printed this."""
    output = docker_build._Output()
    for line in text.splitlines():
        output.add(line)
    return output.failure("recipegen/smoke:1", 1)


RUN_FAILED = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#4 [1/3] FROM docker.io/library/base
#5 [2/3] RUN pip install nothing
#5 0.412 ERROR: No matching distribution found for nothing
#5 ERROR: executor failed running [/bin/sh -c pip install nothing]: exit code: 1
------
 > [2/3] RUN pip install nothing:
------
executor failed running [/bin/sh -c pip install nothing]: exit code: 1"""


def test_a_failed_build_names_its_step_and_shows_the_end() -> None:
    error = failure_of(RUN_FAILED)
    cause, _, end = error.message.partition("\n")
    assert error.exit_code == 4
    assert cause.startswith("the build of recipegen/smoke:1 failed at [2/3] RUN pip install nothing (exit code 1)")
    assert "No matching distribution found" in end


def test_no_space_left_is_the_environments_fault() -> None:
    error = failure_of(RUN_FAILED.replace("No matching distribution found", "[Errno 28] No space left on device"))
    assert isinstance(error, EnvironmentLacks)
    assert error.message.startswith("no space left while building recipegen/smoke:1 at [2/3] RUN")
    assert "docker builder prune" in error.hint


def test_a_base_image_that_cannot_be_fetched_is_the_environments_fault() -> None:
    error = failure_of(
        "#2 [internal] load metadata for ghcr.io/owner/image:tag\n"
        "#2 ERROR: failed to do request: dial tcp: lookup ghcr.io: no such host\n"
    )
    assert isinstance(error, EnvironmentLacks)
    assert "ghcr.io/owner/image:tag" in error.message
    assert "no such host" in error.message
    assert "--base-image" in error.hint


def test_the_remembered_output_is_bounded() -> None:
    output = docker_build._Output()
    for number in range(10_000):
        output.add(f"#9 {number} a line of a compiler")
    assert len(output.end) == docker_build.END_LINES
    assert not output.steps


def explained(text: str) -> Any:
    """The error for a refusal of the daemon, whose APIError carries this explanation."""
    error = cast(Any, SimpleNamespace(explanation=text))
    return docker._explained(error, "recipegen-smoke", {8000: ("127.0.0.1", 8123)}, "smoke")


@pytest.mark.parametrize(
    "text",
    [
        "driver failed programming external connectivity on endpoint x (0a): Bind for 127.0.0.1:8123 failed: "
        "port is already allocated",
        "driver failed programming external connectivity on endpoint x (0a): Error starting userland proxy: "
        "listen tcp4 127.0.0.1:8123: bind: address already in use",
        "failed to bind host port for 127.0.0.1:8123:172.17.0.2:8000/tcp: address already in use",
    ],
)
def test_a_taken_port_is_named_with_the_remedy(text: str) -> None:
    error = explained(text)
    assert isinstance(error, EnvironmentLacks)
    assert error.message == "the port 127.0.0.1:8123 is taken"
    assert error.hint == "choose another: --port PORT"


@pytest.mark.parametrize(
    "text",
    [
        'could not select device driver "" with capabilities: [[gpu]]',
        "unknown or invalid runtime name: nvidia",
        "Unknown runtime specified nvidia",
        "failed to create task: nvidia-container-cli: initialization error: nvml error: driver not loaded",
    ],
)
def test_a_missing_gpu_runtime_is_named_with_the_remedy(text: str) -> None:
    error = explained(text)
    assert isinstance(error, EnvironmentLacks)
    assert "nvidia-container-toolkit" in error.hint


def test_other_refusals() -> None:
    missing = explained('invalid mount config for type "bind": bind source path does not exist: /data/models')
    assert isinstance(missing, EnvironmentLacks)
    assert missing.message == "a folder to mount is missing: /data/models"
    assert "recipegen download smoke" in missing.hint
    assert isinstance(explained("write /x: no space left on device"), EnvironmentLacks)
    odd = explained("OCI runtime create failed: exec: vllm: executable file not found in $PATH")
    assert isinstance(odd, MeasurementFailed)
    assert "executable file not found" in odd.message


def test_no_daemon_names_the_socket_and_the_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = f"unix://{tmp_path}/none.sock"
    monkeypatch.setenv("DOCKER_HOST", socket)
    with pytest.raises(EnvironmentLacks) as caught:
        docker.connect()
    assert caught.value.exit_code == 3
    assert caught.value.message == f"no Docker daemon answers at {socket}: there is no such socket"
    assert "systemctl start docker" in caught.value.hint
    assert "--runner local" in caught.value.hint


def test_no_permission_names_the_group() -> None:
    reason = "Error while fetching server API version: ('Connection aborted.', PermissionError(13, 'denied'))"
    error = docker_daemon._no_daemon("unix:///var/run/docker.sock", reason)
    assert error.message == "no permission to use the Docker daemon at unix:///var/run/docker.sock"
    assert "usermod -aG docker" in error.hint


@pytest.mark.parametrize("host", ["nonsense://x", "tcp://127.0.0.1:1", "unix://"])
def test_a_daemon_address_that_leads_nowhere_is_an_error_of_the_environment(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EnvironmentLacks) as caught:
        docker.connect()
    assert host in caught.value.message


def test_the_current_docker_context_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert docker_daemon.daemon_address() == "unix:///var/run/docker.sock"
    assert docker.is_local_daemon()
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    with pytest.raises(EnvironmentLacks, match="no docker context named no-such-context"):
        docker.connect()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert not docker.is_local_daemon()


def test_a_container_without_our_label_is_never_touched() -> None:
    foreign = cast(Any, SimpleNamespace(labels={}, name="postgres"))
    for touch in (docker.stop, docker.remove):
        with pytest.raises(ValueError, match="not one of recipegen's"):
            touch(foreign)
    with pytest.raises(ValueError, match=r"needs the label org\.recipegen\.server\.recipe"):
        docker.run_container(cast(Any, None), image="i", command=[], name="n", labels={}, env={}, ports={})


class DeafContainer:
    """A container whose process ignores every signal but SIGKILL."""

    def __init__(self) -> None:
        self.name, self.labels, self.status = "recipegen-x", {docker.LABEL_RECIPE: "x"}, "running"
        self.attrs: dict[str, Any] = {}
        self.done: list[str] = []

    def kill(self, signal: str = "SIGKILL") -> None:
        self.done.append(signal)
        if signal == "SIGKILL":
            self.status = "exited"
            self.attrs = {"State": {"ExitCode": 137}}

    def reload(self) -> None:
        """Nothing changes by itself."""

    def logs(self, **_options: object) -> list[bytes]:
        self.done.append("log")
        return [b"loading\n"]

    def remove(self, **_options: object) -> None:
        self.done.append("removed")


@pytest.mark.parametrize(("grace_s", "signals"), [(0, ["SIGKILL"]), (0.01, ["SIGTERM", "SIGKILL"])])
def test_a_container_without_grace_is_killed_first_and_its_log_kept(
    tmp_path: Path, grace_s: float, signals: list[str]
) -> None:
    plan = ServerPlan("r", "v", ["x"], {}, "127.0.0.1", 1, "http://127.0.0.1:1", 1, log_path=tmp_path / "server.log")
    server = DockerServer(replace(plan, container=ContainerOptions(image="i", name="n", port=1)))
    container = DeafContainer()
    server._container = cast(Any, container)
    server.stop(grace_s=grace_s)
    server.stop(grace_s=0)
    assert container.done == [*signals, "log", "removed"]
    assert (tmp_path / "server.log").read_text() == "loading\n"
    assert server.exit_code == 137


def test_a_plan_without_container_options_is_no_plan_for_docker() -> None:
    plan = ServerPlan(
        recipe="r",
        variant="v",
        words=["x"],
        env={},
        host="127.0.0.1",
        port=1,
        base_url="http://127.0.0.1:1",
        timeout_s=1,
    )
    with pytest.raises(ValueError, match="no container options"):
        DockerServer(plan)
    assert ContainerOptions(image="i", name="n", port=1).network is None


def test_the_docker_package_is_imported_only_when_it_is_used() -> None:
    code = (
        "import sys, recipegen.docker, recipegen.docker_build, recipegen.runners.docker_runner\n"
        "assert recipegen.docker.__file__.endswith('recipegen/docker.py')\n"
        "assert 'docker' not in sys.modules and 'requests' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
