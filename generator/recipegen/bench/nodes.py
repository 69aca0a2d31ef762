"""A measurement on several nodes: what its record says of them, their memory and GPU beside each cell, a guard for
each. Owns these; starting and reaching nodes is the cluster room's.

No name, address or account of the user's machines gets into a record: nodes are node0 (the head), node1 and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from recipegen.bench.guard import MemoryGuard, asked_of
from recipegen.bench.host import Facts, facts_of_texts
from recipegen.bench.host_sampler import Memory, memory_series, parse_gpu_said, parse_memory
from recipegen.cluster.plan import is_loopback, model_fingerprint, rank_plans
from recipegen.cluster.server import ClusterServer
from recipegen.spec.topology import NONE

if TYPE_CHECKING:
    from recipegen.bench.session import Request
    from recipegen.cluster.plan import RankPlan
    from recipegen.cluster.probe import NodeFacts
    from recipegen.cluster.ready import Cluster
    from recipegen.cluster.sampler import NodesSampler
    from recipegen.engines.ranks import Ranks
    from recipegen.spec.completed import Spec


def node_plans(request: Request, variant: str, log_path: Path, run: str) -> tuple[RankPlan, ...]:
    """The containers of one variant of a request that has nodes."""
    assert request.cluster is not None
    return rank_plans(
        request.spec,
        variant,
        request.cluster.facts,
        request.options,
        log_path=log_path,
        run=run,
        trial=request.trial,
    )


def server_of_nodes(plans: Sequence[RankPlan], cluster: Cluster, say: Callable[[str], None]) -> ClusterServer:
    """The server that these plans make together."""
    return ClusterServer(plans, [one.docker_address for one in cluster.facts], say)


def head_facts(cluster: Cluster) -> Facts:
    """The head, as a record has the host."""
    return _host(cluster.facts[0])


def _host(one: NodeFacts) -> Facts:
    return facts_of_texts(one.host, one.docker)


def nodes_record(cluster: Cluster, ranks: Ranks | None, host: str) -> dict[str, Any]:
    """What a record says of the nodes: each by its number, with what the preflight found.

    Args:
        ranks: None on one node alone.
        host: the address that the head listens on.
    """
    head = cluster.nodes[0]
    sizes = ("tensor", "pipeline", "data", "expert")
    return {
        "count": len(cluster.nodes),
        "executor": ranks.executor if ranks else None,
        "parallel": {key: getattr(ranks, key) for key in sizes} if ranks else None,
        # Through ssh a request takes about a millisecond longer; rates are the same.
        "requests": "through ssh" if head.ssh is not None and is_loopback(host) else "direct",
        "nodes": [
            {
                "node": one.node.alias,
                "host": _host(one),
                "image": one.image,
                "fabric": {
                    "interface": None if one.node.interface == NONE else one.node.interface,
                    "hca": None if one.node.hca == NONE else one.node.hca,
                    "speed_mbit": one.link.speed_mbit,
                    "mtu": one.link.mtu,
                },
            }
            for one in cluster.facts
        ],
    }


def models_record(spec: Spec, cluster: Cluster, keys: Sequence[str]) -> list[dict[str, object]]:
    """What the variant opens, as it lies on the head; the preflight has seen that it is the same everywhere."""
    head = cluster.facts[0]
    found: list[dict[str, object]] = []
    for key in keys:
        model = spec.models[key]
        source = model.hf_id or (f"pypi:{model.pypi.package}=={model.pypi.version}" if model.pypi else model.generate)
        asked = {"key": key, "source": source, "revision": model.revision, "folder": model.folder}
        found.append({**asked, "bytes": head.models[key].size or None, "fingerprint": model_fingerprint(head, key)})
    return found


def nodes_series(sampler: NodesSampler, began: float, ended: float) -> list[dict[str, Any]]:
    """Memory and GPU of every node through a span of monotonic time, as `<cell>.metrics.json` stores them."""
    gpus = sampler.gpu(began, ended)
    found = []
    for rank, samples in sorted(sampler.memory(began, ended).items()):
        looks = [(at, look) for at, text in samples if (look := parse_memory(text)) is not None]
        found.append({"node": f"node{rank}", **memory_series(looks), "gpu": parse_gpu_said(gpus[rank])})
    return found


class NodesGuard:
    """A memory guard for every node; the first that runs low takes the whole server down. As `MemoryGuard`."""

    def __init__(self, spec: Spec, variant: str, server: ClusterServer, say: Callable[[str], None]) -> None:
        asked = asked_of(spec.variants[variant].flags, None)
        self._open = ExitStack()
        self._guards: list[MemoryGuard] = []
        self._names: list[str] = []

        def watch(name: str, rank: int) -> MemoryGuard:
            def kill(text: str) -> None:
                try:
                    server.stop(grace_s=0)
                finally:
                    say(f"{name}: {text}")

            def read() -> Memory | None:
                return parse_memory(server.sampler.latest().get(rank, ""))

            return MemoryGuard(None, kill, asked=asked, read=read)

        for plan in server.plans:
            self._guards.append(watch(plan.node.name, plan.node.rank))
            self._names.append(plan.node.name)

    @property
    def text(self) -> str | None:
        """What the first guard that had to act said, with its node's name; None while all is well."""
        told = (f"{name}: {guard.text}" for name, guard in zip(self._names, self._guards, strict=True) if guard.text)
        return next(told, None)

    @property
    def error(self) -> Exception | None:
        """Why the server could not be stopped."""
        return next((guard.error for guard in self._guards if guard.error), None)

    def __enter__(self) -> Self:
        for guard in self._guards:
            self._open.enter_context(guard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
