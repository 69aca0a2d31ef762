"""What each machine of a vLLM server over several machines runs, as data. Owns no reading of flags; runs nothing.

vLLM's own mode (mp): every node runs the same `vllm serve`, with --nnodes, its rank, and where rank 0 is; nodes above 0
add --headless and serve nothing. Ray: the first node starts Ray's head, the others join it, and one `vllm serve` on the
first uses them all. In both, one process of the container is the server's own, so that it ends when the server does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from recipegen.engines.command import Command, NodeVariable
from recipegen.engines.ranks import variant_ranks
from recipegen.quoting import Arg, Var, literal
from recipegen.spec.completed import Spec
from recipegen.spec.topology import Executor

RAY_OBJECT_STORE = 2**30
"""Bytes of Ray's shared object store. Ray takes 30 % of the memory by default, which is the model's here; vLLM puts
next to nothing into it. launch-cluster.sh of github.com/eugr/spark-vllm-docker has the same number."""
FABRIC_VARIABLES = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME")
"""What NCCL, Gloo and TensorPipe are told about the interface between the machines."""


@dataclass(frozen=True)
class NodeCommands:
    """What the machines of one variant run.

    Attributes:
        serve: the first machine's server.
        worker: what all others run.
        head: `ray start --head`, before `serve`; None without Ray.
        status: `ray status`, asked until all machines are there; None without Ray.
    """

    executor: Executor
    serve: Command
    worker: Command
    head: Command | None = None
    status: Command | None = None


def node_commands(spec: Spec, variant: str, serve: Command) -> NodeCommands:
    """The commands of one variant's machines.

    Args:
        serve: the first machine's server, as the engine's adapter gives it.

    Raises:
        KeyError: no such variant.
    """
    if variant_ranks(spec, variant).executor == "mp":
        return NodeCommands("mp", serve, replace(serve, argv=(*serve.argv, *literal("--headless"))))
    gpus = "0" if spec.hardware.gpu is None else "1"
    common = literal("--num-gpus", gpus, "--object-store-memory", str(RAY_OBJECT_STORE), "--disable-usage-stats")
    address: Arg = (Var("MASTER_ADDR"), ":", Var("RAY_PORT"))
    own: list[Arg] = [*literal("--node-ip-address"), (Var("HOST_IP"),)]
    head = [*literal("ray", "start", "--head", "--port"), (Var("RAY_PORT"),), *own, *common]
    worker = [*literal("ray", "start", "--address"), address, *own, *common, *literal("--block")]
    return NodeCommands(
        "ray",
        serve,
        replace(serve, argv=tuple(worker)),
        head=replace(serve, argv=(*head, *literal("--include-dashboard=false"))),
        status=replace(serve, argv=tuple(literal("ray", "status"))),
    )


def head_of_nodes(spec: Spec, variant: str, command: Command) -> Command:
    """A server's command as the first of several machines runs it: ranks, meeting point, environment."""
    if spec.cluster is None:
        return command
    executor = variant_ranks(spec, variant).executor
    port = "MASTER_PORT" if executor == "mp" else "RAY_PORT"
    knobs = {
        **command.knobs,
        "NODE_RANK": "",
        "MASTER_ADDR": "",
        "HOST_IP": "",
        port: str(spec.cluster.master_port if executor == "mp" else spec.cluster.ray_port),
        "FABRIC_IFACE": spec.cluster.interface,
    }
    if spec.hardware.gpu is not None:
        knobs["FABRIC_HCA"] = spec.cluster.hca
    argv = list(command.argv)
    if executor == "mp":
        argv += [*literal("--nnodes", str(spec.cluster.nodes), "--node-rank"), (Var("NODE_RANK"),)]
        argv += [*literal("--master-addr"), (Var("MASTER_ADDR"),), *literal("--master-port"), (Var("MASTER_PORT"),)]
    variables = tuple(v for v in _variables(executor, "FABRIC_HCA" in knobs) if v.name not in command.env)
    return replace(command, argv=tuple(argv), knobs=knobs, node_env=variables)


def _variables(executor: Executor, nccl: bool) -> Iterator[NodeVariable]:
    yield NodeVariable("VLLM_HOST_IP", (Var("HOST_IP"),))
    for name in FABRIC_VARIABLES:
        if nccl or not name.startswith("NCCL"):
            yield NodeVariable(name, (Var("FABRIC_IFACE"),), "FABRIC_IFACE")
    if nccl:
        yield NodeVariable("NCCL_IB_HCA", (Var("FABRIC_HCA"),), "FABRIC_HCA")
        yield NodeVariable("NCCL_IB_DISABLE", ("1",), "FABRIC_HCA", without=True)
    if executor == "ray":
        yield NodeVariable("RAY_ADDRESS", (Var("MASTER_ADDR"), ":", Var("RAY_PORT")))
        # Ray ends workers when 95 % of a node's memory is in use, which is what a model of this size leaves.
        yield NodeVariable("RAY_memory_monitor_refresh_ms", ("0",))
