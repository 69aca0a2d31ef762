"""Several machines that serve one model together: what a recipe says of them, and the same with nothing left open.

Owns both shapes. How many ranks there are, and which executor joins them, stands in each variant's engine flags once a
recipe is completed; `engines.ranks` reads it there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recipegen.spec.types import HostPath, Prose, Strict, matching

Executor = Literal["mp", "ray"]
"""`mp`: vLLM's own multi-node mode (--nnodes). `ray`: a Ray cluster over the machines, which vLLM is told to use."""

NONE = "none"
"""Instead of an interface: leave the choice to NCCL and Gloo. Instead of an adapter: no RDMA."""
VLLM_MASTER_PORT = 29501
"""--master-port of vLLM 0.19 to 0.33 when nothing is said."""
RAY_PORT = 6379
"""Port of Ray's head (its GCS) when `ray start --port` says nothing else."""
MAX_NODES = 1024

Count = Annotated[int, Field(ge=1, le=MAX_NODES)]
Port = Annotated[int, Field(ge=1, le=65535)]
Interface = Annotated[
    str, matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", "is not the name of a network interface, as in enp1s0f1np1")
]
Adapters = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9_]{0,62}(?::[0-9]+)?(?:,[A-Za-z0-9][A-Za-z0-9_]{0,62}(?::[0-9]+)?)*",
        "is not a list of RDMA adapters, as in rocep1s0f1,roceP2p1s0f1",
    ),
]


class NodeDefaults(Strict):
    """What one node has elsewhere than the others, for those who say nothing else."""

    models_dir: HostPath = Field(description="MODELS_DIR of this node (HF_HOME where models lie in a hub cache)")


class Cluster(Strict):
    """How several machines work together. Hosts and addresses are the user's: they stand in a cluster file or in the
    environment of the kit's scripts, never here."""

    nodes: Annotated[int, Field(ge=2, le=MAX_NODES)] | None = Field(
        None, description="how many machines; the hardware profile's number by default"
    )
    executor: Executor | None = Field(
        None, description="mp (vLLM's own, the default) or ray; goes into every variant's flags"
    )
    tensor: Count | None = Field(None, description="tensor-parallel-size of every variant")
    pipeline: Count | None = Field(None, description="pipeline-parallel-size of every variant")
    data: Count | None = Field(None, description="data-parallel-size of every variant")
    expert: bool | None = Field(None, description="enable-expert-parallel of every variant")
    interface: Interface | None = Field(
        None, description="network interface between the machines (the knob FABRIC_IFACE), or none"
    )
    hca: Adapters | None = Field(None, description="RDMA adapters between them (the knob FABRIC_HCA), or none")
    master_port: Port | None = Field(None, description="where ranks meet the first one (mp; the knob MASTER_PORT)")
    ray_port: Port | None = Field(None, description="where Ray's head listens (ray; the knob RAY_PORT)")
    measured_with: Executor | None = Field(
        None, description="the executor that the figures of this recipe were made with"
    )
    notes: Prose | None = None
    per_node: dict[Annotated[int, Field(ge=0, lt=MAX_NODES)], NodeDefaults] = Field(
        {}, description="by rank, where a node's models lie elsewhere than on the others"
    )


class Fabric(BaseModel):
    """What joins the machines of a hardware profile.

    Attributes:
        interface: the network interface that addresses lie on.
        hca: RDMA adapters of the same port.
        gbit_s: line rate of one link, Gbit/s.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    interface: str
    hca: str
    gbit_s: float = Field(gt=0)
    source: str


class ResolvedCluster(BaseModel):
    """A cluster with nothing left to default.

    Attributes:
        interface, hca: NONE where nothing is known or wanted.
        gbit_s: line rate of one link, Gbit/s; None where it is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: int
    interface: str
    hca: str
    gbit_s: float | None
    master_port: int
    ray_port: int
    measured_with: Executor | None
    notes: str | None
    per_node: dict[int, NodeDefaults]
