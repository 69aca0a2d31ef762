"""The machines that serve one model together, as the driver sees them, and what is wrong with one of them.

Owns no way of reaching them (`access`) and no cluster file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recipegen.errors import EnvironmentLacks

NONE = "none"
"""Instead of an interface or an adapter: none is named, so that none is looked for."""


@dataclass(frozen=True)
class Node:
    """One machine.

    Attributes:
        rank: its place among the machines; 0 is the head, which answers requests.
        name: what the user calls it; stands in messages, never in a record.
        ssh: where ssh reaches it, as in `user@spark-b`; None: it is the machine that this program runs on.
        docker: address of its Docker daemon where that is not the node's own default, as the node sees it
            (unix://…), or as everybody does (tcp://…).
        address: its address on the fabric.
        user: account on it for ssh over the fabric; None: the one that ssh itself would take.
        interface: its fabric interface, or NONE.
        hca: its RDMA adapters, comma-separated, or NONE.
        models_dir: where models lie on it as plain folders.
        hf_home: where its Hugging Face cache lies.
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
