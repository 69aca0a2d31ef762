"""What every runner is: the plan of one server, the server's interface, and waiting for it. Owns no way of
starting one (`docker_runner`, `local`, `endpoint`) and nothing about what is measured."""

from __future__ import annotations

import http.client
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from recipegen import proc
from recipegen.docker import Volume
from recipegen.errors import EnvironmentLacks, MeasurementFailed
from recipegen.runners.http import get, server_root

POLL_S = 0.5
LOG_END_LINES = 30
GRACE_S = 15.0
"""What a server gets between the request to end and SIGKILL; vLLM takes about 5 s to release a GPU."""


@dataclass(frozen=True)
class ContainerOptions:
    """How the container of a server runs; see `recipegen.docker.run_container` for the meaning of the fields.

    Attributes:
        port: what the server listens on inside; the host's side is the plan's `host` and `port`.
        run: identity of the run, for the label; empty for `up`.
        rank: of a server over several nodes, for the label.
    """

    image: str
    name: str
    port: int
    run: str = ""
    volumes: tuple[Volume, ...] = ()
    ipc: str | None = None
    shm_size: str | None = None
    gpus: str | None = None
    runtime: str | None = None
    network: str | None = None
    ulimits: dict[str, int] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    rank: int | None = None


@dataclass(frozen=True)
class ServerPlan:
    """One server to start, or to find, and how to tell that it is ready.

    Attributes:
        words: the argument list, knobs put in.
        env: what the server gets beyond its runner's own environment (a container has none).
        host: address of this host that the server is bound to.
        base_url: where this host reaches it, as in http://127.0.0.1:8000, with or without a trailing /v1.
        ready_path: answers 200 when models are served.
        health_path: answers 200 when they are loaded (llama.cpp lists models that it still loads); a server
            that does not know the path (404) is taken at its ready_path's word.
        timeout_s: how long the server may take to get ready.
        log_path: where the server's log goes in the end.
        container: needed by the docker runner only.
    """

    recipe: str
    variant: str
    words: list[str]
    env: dict[str, str]
    host: str
    port: int
    base_url: str
    timeout_s: float
    ready_path: str = "/v1/models"
    health_path: str | None = "/health"
    log_path: Path | None = None
    container: ContainerOptions | None = None

    @property
    def title(self) -> str:
        """For messages: recipe and variant."""
        return f"{self.recipe}/{self.variant}"


class Server(Protocol):
    """A server that a runner looks after. As a context manager it is started on entry and stopped on exit."""

    note: str
    """What the user should know about how it was started; empty when there is nothing."""
    cause: str
    """Why it ended, where its runner knows more than an exit code says; empty otherwise."""
    lost: bool
    """Whether it ended because a machine is gone: another start would end the same way."""

    def start(self) -> None:
        """Starts it, without waiting until it is ready; raises EnvironmentLacks when something is missing."""

    def alive(self) -> bool:
        """Whether it still runs."""

    @property
    def exit_code(self) -> int | None:
        """Exit code once it has ended (128 + n or -n for signal n); None while it runs, or when unknown."""

    def log_tail(self, lines: int) -> str:
        """The last lines of its log; empty when there is none to read."""

    def save_log(self, path: Path) -> None:
        """Writes its log so far to a file; writes nothing when there is none to read."""

    def facts(self) -> dict[str, Any]:
        """For the record: "runner", "started_by_us", "image" (see `image_facts`) and "program" (a name)."""

    def stop(self, grace_s: float | None = None) -> None:
        """Takes down what `start` started, log saved to the plan's log_path; harmless when called again.

        Args:
            grace_s: seconds from the request to end to SIGKILL, GRACE_S by default; 0 kills at once.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class StartedServer:
    """What is the same for every runner: start on entry, stop on exit, also when the entry is interrupted."""

    note = ""
    cause = ""
    lost = False

    def start(self) -> None:
        """See `Server.start`."""
        raise NotImplementedError

    def stop(self, grace_s: float | None = None) -> None:
        """See `Server.stop`."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextmanager
def signals_held() -> Iterator[Callable[[], bool]]:
    """Keeps Ctrl-C (and SIGTERM) from cutting a clean-up short.

    Gives a function that tells whether one has come meanwhile: then the clean-up should hurry, not stop. Held
    signals are delivered at the end. Outside the main thread, where none are delivered, it does nothing.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(held)
    finally:
        for number, handler in before.items():
            # None: installed by something other than Python, which cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in dict.fromkeys(held):
            signal.raise_signal(late)


def wait_ready(
    server: Server,
    plan: ServerPlan,
    on_tick: Callable[[float, str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Waits until the server serves its models; asks about twice a second.

    Args:
        server: started already.
        plan: the same plan that the server was made from.
        on_tick: gets the seconds so far and the last line of the server's log, once a poll.
        sleep: replaced by tests.

    Returns:
        Seconds from the call to the first good answer.

    Raises:
        MeasurementFailed: the server ended, or was not ready in plan.timeout_s. The first line of the message
            is the cause, without paths; the end of the server's log follows.
    """
    start = time.monotonic()
    while True:
        # In this order: an answer counts only when the server is still there after it. Without that, a
        # stranger that holds the port could be taken for ours.
        answered = is_ready(plan)
        alive = server.alive()
        waited = time.monotonic() - start
        if not alive:
            raise MeasurementFailed(
                _with_log_end(
                    f"{server.cause} after {waited:.0f} s"
                    if server.cause
                    else f"the server of {plan.title} {_ended(server.exit_code)} after {waited:.0f} s",
                    server,
                    plan,
                ),
                hint=_log_hint(plan),
            )
        if answered:
            return waited
        if waited >= plan.timeout_s:
            raise MeasurementFailed(
                _with_log_end(f"the server of {plan.title} was not ready after {plan.timeout_s:g} s", server, plan),
                hint="if it was still loading, raise run.ready_timeout_s of the recipe" + _log_hint(plan, "; "),
            )
        on_tick(waited, server.log_tail(1).strip())
        sleep(POLL_S)


def every_ten_seconds(say: Callable[[str], None]) -> Callable[[float, str], None]:
    """An `on_tick` for `wait_ready`: a line with the time and the log's last line, at most every ten seconds."""
    shown = -math.inf

    def tick(seconds: float, line: str) -> None:
        nonlocal shown
        if seconds - shown >= 10:
            shown = seconds
            say(f"  {seconds:.0f} s  {line[:120]}")

    return tick


def is_ready(plan: ServerPlan) -> bool:
    """Whether the server answers now, with its models loaded."""
    root = server_root(plan.base_url)
    try:
        if get(root + plan.ready_path)[0] != 200:
            return False
        return plan.health_path is None or get(root + plan.health_path)[0] in (200, 404)
    except (OSError, http.client.HTTPException):
        return False


def _ended(code: int | None) -> str:
    if code is None:
        return "is gone"
    # A container's exit code is 128 + n when signal n ended its process, as in a shell.
    words = proc.describe_code(128 - code if 128 < code < 128 + signal.NSIG else code)
    memory = ", as the kernel does when memory runs out" if "SIGKILL" in words else ""
    return f"{words}{memory},"


def _with_log_end(cause: str, server: Server, plan: ServerPlan) -> str:
    end = proc.redact(server.log_tail(LOG_END_LINES), plan.env)
    return f"{cause}; the end of its log:\n{end}" if end else f"{cause}; it has written no log"


def _log_hint(plan: ServerPlan, before: str = "") -> str:
    return f"{before}the whole log: {plan.log_path}" if plan.log_path else ""


def port_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_port(host: str, port: int) -> None:
    """Raises EnvironmentLacks when the port is taken: what holds it would be measured instead."""
    if not port_free(host, port):
        raise EnvironmentLacks(f"the port {host}:{port} is taken", hint="choose another: --port PORT")


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now; whoever binds it next has it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
