"""Machines of a cluster, each a container with sshd: with a Docker daemon of its own, or with a share of the one that
runs it. Owns them from start to end; the tests' own ssh configuration lies in a folder of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
import uuid
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import yaml

if TYPE_CHECKING:
    from docker import DockerClient

FOLDER = Path(__file__).parent / "cluster_node"
IMAGE = "recipegen-test-node:bookworm"
PAIR_RECIPE = """
schema: recipegen/v1
name: pair
title: Two machines
hardware: cpu
model: {hf_id: owner/model, revision: 0123456789abcdef0123456789abcdef01234567, served_name: m, quantization: BF16}
image: {mode: prebuilt, base: "ghcr.io/owner/vllm:1", transformers: none}
engine: {name: vllm, version: 0.32.0, flags: {max-model-len: 4096}}
cluster: {nodes: 2, tensor: 2}
headline: ar
baseline: ar
variants: {ar: {}, other: {measure: false}}
run: {ready_timeout_s: 60}
"""
"""A recipe for two machines, whose engine may be the smallest one."""
_CAPABILITIES = ["SYS_ADMIN", "NET_ADMIN"]


def build_image() -> str:
    """The image of a machine; needs the base image (base_image.sh), whose apt it uses."""
    subprocess.run(
        ["docker", "build", "--quiet", "--network", "host", "--tag", IMAGE, FOLDER],
        check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "1"}, timeout=600,
    )  # fmt: skip
    return IMAGE


def engine_program(folder: Path) -> Path:
    """The smallest engine that several machines serve together (tiny_rank.c), compiled; it is called vllm."""
    program = folder / "vllm"
    subprocess.run(["gcc", "-static", "-O1", "-o", program, Path(__file__).parent / "tiny_rank.c"], check=True)
    return program


def engine_image(client: DockerClient, program: Path, name: str, kit_sha256: str, *, filler: int = 1) -> str:
    """An image with that engine in it, as if `recipegen build` had made it from a kit; its id.

    Args:
        filler: bytes that make it larger, and that no compression makes smaller again.
    """
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(program, "usr/bin/vllm")
        extra = tarfile.TarInfo("filler")
        extra.size = filler
        tar.addfile(extra, BytesIO(os.urandom(filler)))
    labels = [f"LABEL org.recipegen.kit-sha256={kit_sha256}", "ENV PATH=/usr/bin"]
    client.api.import_image_from_data(archive.getvalue(), repository=name, tag="latest", changes=labels)
    return str(client.images.get(name).id)


@dataclass
class Machine:
    """One of them: its container, its name in the cluster file, its address on the network between them."""

    name: str
    container: Any
    address: str

    def run(self, *argv: str) -> str:
        """What a command on it prints; it must end with 0."""
        code, output = self.container.exec_run(list(argv))
        assert code == 0, f"{argv}: {output.decode()}"
        return str(output.decode())


class Machines:
    """Several machines on a network of their own; as a context manager they are gone in the end.

    Args:
        folder: for keys, the ssh configuration, the cluster file.
        daemons: whether each has a daemon of its own; else it has a share of the one that runs it, and containers
            of its ranks use its network.
        mounts: folders of this machine that each one has at the same place.
    """

    def __init__(
        self, client: DockerClient, folder: Path, count: int, *, daemons: bool, mounts: tuple[Path, ...] = ()
    ) -> None:
        self._client, self.folder, self._count = client, folder, count
        self._daemons, self._mounts = daemons, mounts
        self._mark = uuid.uuid4().hex[:6]
        self._network: Any = None
        self.machines: list[Machine] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        build_image()
        key = self.folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
        try:
            self._network = self._client.networks.create(f"recipegen-test-{self._mark}")
            for number in range(self._count):
                self._start(number, key)
            self._shim(key)
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self, number: int, key: Path) -> None:
        volumes = [f"{mount}:{mount}" for mount in self._mounts]
        how: list[str] = []
        if self._daemons:
            # What a daemon inside a container needs; --privileged would ask for more than every host can give.
            volumes.append("/sys/fs/cgroup:/sys/fs/cgroup")
            how = [f"--cap-add={name}" for name in _CAPABILITIES] + ["--cgroupns=host", "--env=DAEMON=1"]
            how += [f"--security-opt={what}=unconfined" for what in ("seccomp", "apparmor", "systempaths")]
        else:
            volumes.append(f"{os.environ['DOCKER_HOST'].removeprefix('unix://')}:/var/run/docker.sock")
        name = f"machine-{'abcd'[number]}"
        container_name = f"{name}-{self._mark}"
        subprocess.run(
            [
                "docker", "run", "--detach", "--name", container_name, "--hostname", f"{name}-host",
                "--network", self._network.name, *(f"--volume={volume}" for volume in volumes), *how,
                "--env", f"KEY={key.with_suffix('.pub').read_text().strip()}",
                "--env", f"OWN_KEY={key.read_text().strip()}",
                IMAGE,
            ],
            check=True, capture_output=True,
        )  # fmt: skip
        container = self._client.containers.get(container_name)
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"][self._network.name]["IPAddress"]
        self.machines.append(Machine(name, container, address))

    def _shim(self, key: Path) -> None:
        """ssh with a configuration of its own: ssh takes the account's, whatever HOME says."""
        config = self.folder / "ssh_config"
        config.write_text(
            f"IdentityFile {key}\nIdentitiesOnly yes\nUserKnownHostsFile /dev/null\nStrictHostKeyChecking no\n"
            "LogLevel ERROR\n"
        )
        shim = self.folder / "bin" / "ssh"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{config}" "$@"\n')
        shim.chmod(0o755)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        for machine in self.machines:
            while True:
                done = subprocess.run(
                    [self.folder / "bin" / "ssh", f"root@{machine.address}", "docker version"],
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode == 0:
                    break
                logs = machine.container.logs().decode()[-2000:]
                assert time.monotonic() < deadline, f"{machine.name}: {done.stderr}{done.stdout}\n{logs}"
                time.sleep(0.3)

    @property
    def env(self) -> dict[str, str]:
        """For recipegen: ssh with the tests' configuration, and the cluster file."""
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "RECIPEGEN_CLUSTER": str(self.folder / "cluster.yaml"),
        }

    def write_cluster_file(self, **of_all: Any) -> Path:
        """The cluster file, `of_all` put into every node; per machine: `{"machine-b": {...}}` under `only`."""
        only: dict[str, dict[str, Any]] = of_all.pop("only", {})
        nodes = [
            {
                "name": machine.name,
                "ssh": f"root@{machine.address}",
                "address": machine.address,
                "interface": "eth0",
                **({} if self._daemons else {"network": f"container:{machine.container.name}"}),
                **of_all,
                **only.get(machine.name, {}),
            }
            for machine in self.machines
        ]
        file = self.folder / "cluster.yaml"
        file.write_text(yaml.safe_dump({"nodes": nodes}, sort_keys=False))
        return file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for machine in self.machines:
            machine.container.remove(force=True, v=True)
        self.machines.clear()
        if self._network is not None:
            self._network.remove()
            self._network = None
