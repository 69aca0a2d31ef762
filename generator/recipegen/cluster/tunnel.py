"""The Docker daemon of a node, and a port of it, as if they were this machine's: one ssh connection carries both. Owns
that connection."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from recipegen import proc
from recipegen.cluster.access import CONNECT_S, SSH_OPTIONS, ssh_fault
from recipegen.cluster.nodes import Fault, Node, NodesLack
from recipegen.docker_daemon import DEFAULT_SOCKET, connect_to, daemon_address

if TYPE_CHECKING:
    from docker import DockerClient

_UNIX = "unix://"
_POLL_S = 0.05


class Tunnel:
    """ssh that carries a node's Docker socket to a socket here, and on demand a port of the node to the same port here.

    For a node that is this machine, or whose daemon is reached over TCP, it carries nothing. As a context manager it
    ends with its block; the daemon's address is then good for nothing.

    Args:
        docker_address: of the daemon, as the node itself sees it; "" for the usual one.
        port: of the node's loopback, carried to 127.0.0.1 here.
    """

    def __init__(self, node: Node, docker_address: str = "", port: int | None = None) -> None:
        self.node = node
        self._target = node.docker_ssh
        usual = daemon_address() if self._target is None else docker_address or DEFAULT_SOCKET
        self._remote = node.docker_host or usual
        self._port = port
        self._folder: Path | None = None
        self._process: proc.Process | None = None

    @property
    def address(self) -> str:
        """Where the daemon is reached from here."""
        if self._target is None or not self._remote.startswith(_UNIX):
            return self._remote
        return f"{_UNIX}{self._socket}"

    @property
    def _socket(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the tunnel is not open")
        return self._folder / "docker.sock"

    def open(self) -> Self:
        """Connects.

        Raises:
            NodesLack: ssh does not get there, or may not carry the socket or the port.
        """
        if self._target is None:
            return self
        # Short, because a socket's path has 108 characters at most (unix(7)); readable by this account alone.
        self._folder = Path(tempfile.mkdtemp(prefix="recipegen-"))
        carried: list[str] = []
        if self._remote.startswith(_UNIX):
            carried += ["-L", f"{self._socket}:{self._remote.removeprefix(_UNIX)}"]
        if self._port is not None:
            carried += ["-L", f"127.0.0.1:{self._port}:127.0.0.1:{self._port}"]
        argv = ["ssh", "-N", *SSH_OPTIONS, "-o", "ExitOnForwardFailure=yes", *carried, "--", self._target]
        try:
            self._process = proc.Process(argv, log=self._folder / "ssh.log")
            self._wait()
        except BaseException:
            self.close()
            raise
        return self

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 2 * CONNECT_S
        while not self._ready():
            if not self.alive():
                raise NodesLack([self._fault()])
            if time.monotonic() >= deadline:
                raise NodesLack(
                    [Fault(self.node.name, "reach", "ssh carries nothing", f"by hand: ssh {self.node.ssh}")]
                )
            time.sleep(_POLL_S)

    def _ready(self) -> bool:
        if self._remote.startswith(_UNIX):
            return self._socket.exists()
        if self._port is None:
            return True
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False

    def _fault(self) -> Fault:
        said = proc.tail(self._process.log) if self._process else ""
        if "Address already in use" in said or "cannot listen to port" in said:
            return Fault(
                self.node.name, "port", f"the port {self._port} of this machine is taken", "choose another: --port PORT"
            )
        return ssh_fault(self.node, said)

    def alive(self) -> bool:
        """Whether the connection stands; one to this machine always does."""
        return self._target is None or (self._process is not None and self._process.poll() is None)

    def close(self) -> None:
        """Ends the connection; harmless when called again."""
        if self._process is not None:
            self._process.terminate(grace_s=2)
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def client(self) -> DockerClient:
        """A client of the node's daemon, once it has answered.

        Raises:
            EnvironmentLacks: no daemon answers.
        """
        return connect_to(self.address)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
