"""One server over several nodes: a container on each. Owns their common start and end; a single container is the docker
runner's, reaching a daemon is `tunnel`'s.

All ranks are started at the same time: with vLLM's own mode each waits for the others, over Ray the kit's script does.
A rank that ends, or a node that falls silent, ends all of them at once, so that whoever waits for an answer gets an
error instead of none; the first cause is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recipegen.cluster.access import on_all, run_script
from recipegen.cluster.nodes import Fault, Node, NodesLack
from recipegen.cluster.plan import RankPlan, is_loopback
from recipegen.cluster.sampler import NodesSampler
from recipegen.cluster.tunnel import Tunnel
from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.proc import describe_code
from recipegen.quoting import shell_command
from recipegen.runners.base import GRACE_S, StartedServer, signals_held
from recipegen.runners.docker_runner import DockerServer, make_caches

WATCH_S = 2.0
"""Between two looks at the ranks: what a dead one costs is the time until somebody notices."""


class _Rank:
    """One rank's container, and the way to its daemon."""

    def __init__(self, plan: RankPlan, docker_address: str, port: int | None) -> None:
        self.node, self.plan = plan.node, plan.server
        self.tunnel = Tunnel(plan.node, docker_address, port)
        self.server: DockerServer | None = None

    def start(self) -> None:
        """Opens the way and starts the container."""
        options = self.plan.container
        assert options is not None
        with _named(self.node):
            self.tunnel.open()
            self._make_caches()
            self.server = DockerServer(self.plan, self.tunnel.client(), here=False)
            self.server.start()

    def _make_caches(self) -> None:
        assert self.plan.container is not None
        volumes = self.plan.container.volumes
        if self.node.ssh is None:
            make_caches(volumes)
            return
        folders = [source for source, _, read_only in volumes if not read_only and source.startswith("/")]
        if folders:
            run_script(self.node, f"{shell_command(['mkdir', '-p', '--', *folders])}\n")

    def look(self) -> tuple[str, bool]:
        """Why this rank does not run, and whether its node is gone; ("", False) while all is well."""
        assert self.server is not None
        who = f"rank {self.node.rank} on {self.node.name}"
        try:
            if self.server.alive():
                return "", False
        except RecipegenError as error:
            return f"the node {self.node.name} (rank {self.node.rank}) is gone: {_first_line(error)}", True
        code = self.server.exit_code
        return f"{who} {describe_code(code) if code is not None else 'is gone'}", False

    @property
    def exit_code(self) -> int | None:
        """Of its container, as of the last look."""
        return self.server.exit_code if self.server is not None else None

    @property
    def ended_at(self) -> str:
        """When its container ended, as of the last look."""
        return self.server.ended_at if self.server is not None else ""

    def stop(self, grace_s: float) -> None:
        """Takes the container down and closes the way; raises when the node cannot be reached."""
        try:
            if self.server is not None:
                self.server.stop(grace_s)
        finally:
            self.tunnel.close()


@contextmanager
def _named(node: Node) -> Iterator[None]:
    """Puts a node's name before an error of what is done on it."""
    try:
        yield
    except NodesLack:
        raise
    except RecipegenError as error:
        raise NodesLack([Fault(node.name, "start", error.message, error.hint)]) from error


def _first_line(error: RecipegenError) -> str:
    return "its Docker daemon does not answer any more" if isinstance(error, EnvironmentLacks) else error.message


class ClusterServer(StartedServer):
    """The server of several plans; see `recipegen.runners.base.Server`.

    Args:
        plans: of all ranks, the head's first.
        addresses: of each node's Docker daemon as the node sees it, by rank.
        say: gets what the user should know while it runs.
    """

    def __init__(self, plans: Sequence[RankPlan], addresses: Sequence[str], say: Callable[[str], None]) -> None:
        head = plans[0]
        carried = head.server.port if head.node.ssh is not None and is_loopback(head.server.host) else None
        self.plans = tuple(plans)
        self.sampler = NodesSampler([plan.node for plan in plans])
        self._ranks = [
            _Rank(plan, address, carried if plan.node.rank == 0 else None)
            for plan, address in zip(plans, addresses, strict=True)
        ]
        self._say = say
        self._exit_code: int | None = None
        self._culprit = self._ranks[0]
        self._looking, self._stopping = threading.Lock(), threading.Lock()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._run, name="recipegen-cluster", daemon=True)

    def start(self) -> None:
        """Starts every rank, all at the same time.

        Raises:
            NodesLack: with what every node said that could not start its own.
        """
        # Ctrl-C waits until all containers are known here: one that is not known could not be taken down.
        with signals_held():
            by_node = {rank.node: rank for rank in self._ranks}
            on_all([rank.node for rank in self._ranks], lambda node: by_node[node].start())
        self.sampler.__enter__()
        self._watch.start()

    def _run(self) -> None:
        while not self._over.wait(WATCH_S):
            if not self.alive():
                return

    def alive(self) -> bool:
        """Whether every rank runs. The first time that one does not, all others are killed; their logs stay."""
        with self._looking:
            if self.cause or self._over.is_set():
                return False
            if any(rank.server is None for rank in self._ranks):
                return False
            ends = [(rank, *rank.look()) for rank in self._ranks]
            gone = [end for end in ends if end[1]]
            if gone:
                # A node that is lost explains ranks that ended; of ranks, the first one that ended explains the others.
                rank, self.cause, self.lost = min(gone, key=lambda end: (not end[2], end[0].ended_at))
                self._culprit, self._exit_code = rank, rank.exit_code
                self._kill_others({end[0].node.rank for end in gone})
                return False
            return True

    def _kill_others(self, gone: set[int]) -> None:
        """Whoever waits for the rank that is gone would wait for minutes, and a client with it."""
        for rank in self._ranks:
            if rank.node.rank not in gone and rank.server is not None:
                try:
                    rank.server.kill()
                except RecipegenError as error:
                    self._say(f"{rank.node.name}: {error.message}")

    @property
    def exit_code(self) -> int | None:
        """Of the rank that ended first; None while all run, or when its node is gone."""
        return self._exit_code

    def log_tail(self, lines: int) -> str:
        """The last lines of the rank that ended first, of the head's while all run."""
        if self._culprit.server is None:
            return ""
        try:
            return self._culprit.server.log_tail(lines)
        except RecipegenError:
            return ""

    def save_log(self, path: Path) -> None:
        """Copies the head's log; those of the others are saved when they are taken down."""
        if self._ranks[0].server is not None:
            self._ranks[0].server.save_log(path)

    def facts(self) -> dict[str, Any]:
        """What runs: the image as the head's daemon knows it; preflight has seen that all have the same."""
        head = self._ranks[0].server
        return head.facts() if head is not None else {"runner": "docker", "started_by_us": True, "image": None}

    def leave(self) -> None:
        """Lets go of the ranks without ending them: they run on, nobody here watches them any more."""
        self._over.set()
        self.sampler.__exit__(None, None, None)
        for rank in self._ranks:
            rank.tunnel.close()

    def stop(self, grace_s: float | None = None) -> None:
        """Takes down every rank that can be reached, all at the same time, and says which could not."""
        self._over.set()
        with (
            signals_held(),
            self._stopping,
            ThreadPoolExecutor(len(self._ranks), thread_name_prefix="recipegen-down") as pool,
        ):
            ends = [(rank, pool.submit(rank.stop, GRACE_S if grace_s is None else grace_s)) for rank in self._ranks]
            for rank, end in ends:
                try:
                    end.result()
                except RecipegenError as error:
                    self._say(
                        f"{rank.node.name}: its rank could not be taken down ({_first_line(error)}); when the node is "
                        f"back: recipegen down {rank.plan.recipe}"
                    )
        if self._watch.ident is not None and self._watch is not threading.current_thread():
            self._watch.join(WATCH_S)
        self.sampler.__exit__(None, None, None)
