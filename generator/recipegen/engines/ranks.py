"""How many ranks a vLLM server has, and how they are laid over machines. Owns the reading of its parallel flags.

The flags of a variant are the one place where sizes and executor stand. What a recipe's `cluster:` says of them goes
into the flags when the recipe is completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipegen.engines.known import known, newest
from recipegen.engines.normal import merged_flags
from recipegen.spec.completed import Spec
from recipegen.spec.topology import Cluster, Executor

BACKEND = "distributed-executor-backend"
SIZES = {
    "tensor": "tensor-parallel-size",
    "pipeline": "pipeline-parallel-size",
    "data": "data-parallel-size",
}
"""Key of `cluster:` to vLLM's flag."""
PREFILL_CONTEXT = "prefill-context-parallel-size"
"""Context parallelism of the prefill, whose ranks vLLM counts like the others (ParallelConfig.world_size)."""
EXPERT = "enable-expert-parallel"
BY_NODE = ("node-rank", "master-addr", "headless")
"""Flags that differ from node to node."""
PUT_IN = {"nnodes": "cluster.nodes", "master-port": "cluster.master_port"}
"""Flags that the engine room puts in for several machines, with the place in the recipe that they come from."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of one server, one GPU each.

    Attributes:
        expert: experts are split over all ranks of tensor and data parallelism instead of each being cut up.
    """

    executor: Executor
    tensor: int
    pipeline: int
    data: int
    prefill_context: int
    expert: bool

    @property
    def world(self) -> int:
        """All ranks together (vllm/config/parallel.py, world_size_across_dp)."""
        return self.tensor * self.pipeline * self.data * self.prefill_context

    def place(self, rank: int) -> tuple[int, int, int]:
        """Number of the copy, the stage and the part of a layer that a rank holds.

        vLLM numbers ranks with the tensor-parallel index fastest, then the stage, then the copy
        (vllm/distributed/parallel_state.py, initialize_model_parallel).
        """
        inner = self.tensor * self.prefill_context
        return rank // (inner * self.pipeline), rank // inner % self.pipeline, rank % inner


def ranks_of(flags: Mapping[str, Any], version: str | None) -> Ranks:
    """The ranks that a variant's flags ask for; a size that is no whole number above 0 counts as 1."""
    found = parallel_flags(flags, version)
    size = {key: _size(found.get(flag)) for key, flag in SIZES.items()}
    return Ranks(
        executor="ray" if found.get(BACKEND) == "ray" else "mp",
        tensor=size["tensor"],
        pipeline=size["pipeline"],
        data=size["data"],
        prefill_context=_size(found.get(PREFILL_CONTEXT)),
        expert=found.get(EXPERT) is True,
    )


def variant_ranks(spec: Spec, variant: str) -> Ranks:
    """The ranks of one variant.

    Raises:
        KeyError: no such variant.
    """
    return ranks_of(spec.variants[variant].flags, spec.engine.version)


def parallel_flags(flags: Mapping[str, Any], version: str | None) -> dict[str, Any]:
    """All flags by vLLM's long names (-tp is tensor-parallel-size)."""
    return merged_flags(flags, known("vllm", version) or newest("vllm"))


def _size(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 1


def wanted(cluster: Cluster) -> dict[str, Any]:
    """The flags that a recipe's `cluster:` stands for, by long name."""
    given: dict[str, Any] = {
        flag: getattr(cluster, key) for key, flag in SIZES.items() if getattr(cluster, key) is not None
    }
    if cluster.expert is not None:
        given[EXPERT] = cluster.expert
    if cluster.executor is not None:
        given[BACKEND] = cluster.executor
    return given


def with_cluster(flags: dict[str, Any], cluster: Cluster | None, version: str | None) -> dict[str, Any]:
    """A variant's flags with what `cluster:` says, where they do not say it themselves."""
    if cluster is None:
        return flags
    own = parallel_flags(flags, version)
    return flags | {flag: value for flag, value in wanted(cluster).items() if flag not in own}
