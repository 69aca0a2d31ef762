"""The machines that serve one model, alone or together, as the driver sees them, and what is wrong with one of them.

Owns no way of reaching them (`access`); the cluster file that they come from is `load.cluster_file`'s.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipegen.errors import EnvironmentLacks
from recipegen.spec.topology import NONE

if TYPE_CHECKING:
    from pathlib import Path

    from recipegen.load.cluster_file import ClusterNode
    from recipegen.spec.completed import Spec

_SSH = "ssh://"


@dataclass(frozen=True)
class Node:
    """One machine.

    Attributes:
        rank: its place among the machines; 0 is the head, which answers requests.
        name: what the user calls it; stands in messages, never in a record.
        ssh: where ssh reaches it, as in `user@spark-b`; None: it is the machine that this program runs on.
        docker: address of its Docker daemon where that is not the node's own default: as the node sees it (unix://…),
            as everybody does (tcp://…), or another way of ssh to it (ssh://…).
        address: its address on the fabric.
        user: account on it for ssh over the fabric; None: the one that ssh itself would take.
        interface: its fabric interface, or NONE.
        hca: its RDMA adapters, comma-separated, or NONE.
        models_dir: where models lie on it as plain folders; ~/ leads to the home folder of the account there.
        hf_home: where its Hugging Face cache lies, likewise.
        network: network of its rank's container: `host`, or `container:NAME` where the node is a container itself.
    """

    rank: int
    name: str
    ssh: str | None
    address: str
    docker: str | None = None
    user: str | None = None
    interface: str = NONE
    hca: str = NONE
    models_dir: str = ""
    hf_home: str = ""
    network: str = "host"

    @property
    def alias(self) -> str:
        """How records call it: `node0` is the head."""
        return f"node{self.rank}"

    @property
    def docker_host(self) -> str | None:
        """Address of its daemon for programs on the node itself; None: the usual one."""
        return None if self.docker is None or self.docker.startswith(_SSH) else self.docker

    @property
    def docker_ssh(self) -> str | None:
        """Where ssh reaches its daemon; None: it is this machine's."""
        return self.docker if self.docker is not None and self.docker.startswith(_SSH) else self.ssh

    @property
    def over_fabric(self) -> str:
        """Where ssh reaches it from another node, over the fabric."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"ssh://{self.user}@{host}" if self.user else f"ssh://{host}"


@dataclass(frozen=True)
class Fault:
    """What is wrong with one machine.

    Attributes:
        node: the machine's name.
        check: which check found it, one word: reach, docker, driver, image, fabric, hca, port, memory, clock, model.
        cause: what is wrong, in words.
        remedy: what to do.
    """

    node: str
    check: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.node}: {self.cause}\n    {self.remedy}" if self.remedy else f"{self.node}: {self.cause}"


class NodesLack(EnvironmentLacks):
    """Machines lack something; carries every fault that was found, not only the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        machines = len({fault.node for fault in faults})
        head = f"{len(faults)} problem{'s' if len(faults) > 1 else ''} on {machines} node{'s' if machines > 1 else ''}"
        super().__init__("\n".join([f"{head}, nothing was started:", *map(str, faults)]))


def nodes_of(spec: Spec | None, found: Sequence[ClusterNode], models_dir: Path | None = None) -> tuple[Node, ...]:
    """The nodes of a recipe, the head first.

    What the user's file leaves open comes from the recipe (interface, adapters, a rank's own folder), for this machine
    from its environment, elsewhere it is the usual place under the account's home folder.

    Args:
        spec: None where only their containers are looked at.
        found: of the cluster file, as many as the recipe needs.
        models_dir: of this machine, where it is one of them.
    """
    from recipegen.load.cluster_file import LOCALHOST

    cluster = spec.cluster if spec else None
    alone = spec is not None and cluster is None  # no traffic with others: the fabric is left out
    cache = spec is not None and spec.run.models == "hf-cache"
    nodes = []
    for rank, one in enumerate(found):
        here = one.ssh == LOCALHOST
        own = cluster.per_node.get(rank) if cluster else None
        own_models = own.models_dir if own and not cache else None
        own_cache = own.models_dir if own and cache else None
        usual_models = str(models_dir) if models_dir else os.environ.get("MODELS_DIR")
        nodes.append(
            Node(
                rank=rank,
                name=one.name,
                ssh=None if here else one.ssh,
                address=one.address,
                docker=one.docker,
                user=one.ssh.rpartition("@")[0] or None,
                interface=NONE if alone else one.interface or (cluster.interface if cluster else NONE),
                hca=NONE if alone else one.hca or (cluster.hca if cluster else NONE),
                models_dir=one.models_dir or own_models or (here and usual_models) or "~/models",
                hf_home=one.hf_home or own_cache or (here and os.environ.get("HF_HOME")) or "~/.cache/huggingface",
                network=one.network or "host",
            )
        )
    return tuple(nodes)
