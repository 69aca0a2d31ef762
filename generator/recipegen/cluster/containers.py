"""Our containers on every node, whoever started them and however long ago. Owns finding them there, as far as nodes can
be reached."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recipegen import docker
from recipegen.cluster.access import attempt, on_all, run_script
from recipegen.cluster.nodes import Fault, Node
from recipegen.cluster.tunnel import Tunnel

if TYPE_CHECKING:
    from docker.models.containers import Container

_T = TypeVar("_T")
_ADDRESS = "docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true\n"


def on_containers(
    nodes: Sequence[Node], recipe: str | None, variant: str | None, work: Callable[[Container], _T]
) -> tuple[list[tuple[Node, _T]], list[Fault]]:
    """Does something with each of our containers on every node, all nodes at the same time.

    Args:
        recipe, variant: only those of it; None: all.

    Returns:
        What came of it, by node, and what is wrong with nodes that could not be reached.
    """
    taken = _Taken()
    answers = on_all(nodes, partial(attempt, lambda node: (node, _on_node(node, recipe, variant, work, taken))))
    done = [(node, one) for found, _ in answers if found is not None for node, ones in [found] for one in ones]
    return done, [fault for _, faults in answers for fault in faults]


class _Taken:
    """Containers that one of the nodes has: two may share a daemon, as containers that stand for machines do."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._lock = threading.Lock()

    def first(self, container: Container) -> bool:
        """Whether nobody has taken it yet."""
        with self._lock:
            new = container.id not in self._ids
            self._ids.add(str(container.id))
            return new


def _on_node(
    node: Node, recipe: str | None, variant: str | None, work: Callable[[Container], _T], taken: _Taken
) -> list[_T]:
    address = node.docker_host or (run_script(node, _ADDRESS, timeout_s=30).strip() if node.docker_ssh else "")
    with Tunnel(node, address) as tunnel:
        found = docker.find(tunnel.client(), recipe, variant)
        # Whatever rank it has: a group of machines counts its own ranks (`bench --hosts`).
        return [work(one) for one in found if taken.first(one)]


def row(container: Container) -> dict[str, Any]:
    """A container in `recipegen status`."""
    rank = container.labels.get(docker.LABEL_RANK)
    return {
        "container": container.name,
        "recipe": container.labels.get(docker.LABEL_RECIPE, ""),
        "variant": container.labels.get(docker.LABEL_VARIANT, ""),
        "rank": int(rank) if rank else None,
        "status": container.status,
        "exit_code": docker.exit_code(container),
    }
