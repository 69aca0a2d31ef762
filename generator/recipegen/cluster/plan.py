"""From a completed recipe to one server plan a node. Owns what differs from node to node; starts nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.cluster.nodes import Node
from recipegen.cluster.preflight import Model, Needs
from recipegen.cluster.probe import NodeFacts, Places, at_home
from recipegen.engines import engine
from recipegen.engines.base import used_models
from recipegen.engines.container import RDMA_DEVICES, Container, container, launch_words
from recipegen.engines.nodes import node_commands
from recipegen.engines.ranks import variant_ranks
from recipegen.errors import RecipegenError
from recipegen.files import sha256_bytes
from recipegen.quoting import put_in
from recipegen.results.store import rank_log
from recipegen.runners.base import ServerPlan
from recipegen.runners.plan import HostOptions, plan_server
from recipegen.spec.topology import NONE, Executor

if TYPE_CHECKING:
    from recipegen.spec.completed import Spec
    from recipegen.trial import Trial

_FAST_ENOUGH = 0.5
"""Of the profile's line rate: one cable of a ConnectX-7 may show as two links of half the rate."""


@dataclass(frozen=True)
class RankPlan:
    """One rank: its node, and the container on it."""

    node: Node
    server: ServerPlan


def rank_plans(
    spec: Spec,
    variant: str,
    facts: Sequence[NodeFacts],
    options: HostOptions,
    *,
    log_path: Path | None = None,
    run: str = "",
    trial: Trial | None = None,
) -> tuple[RankPlan, ...]:
    """The containers of one variant, the head's first.

    Args:
        facts: of every node, in the order of their ranks.
        options: the head's address and port.
        log_path: of the head's log; those of other ranks lie beside it.
        run: identity of the run that they are started for.
        trial: what is changed in a variant that the image's scripts do not know.

    Raises:
        RecipegenError: a trial over Ray.
    """
    executor = _executor_of(spec, variant)
    if executor == "ray" and trial is not None and trial.name == variant:
        raise RecipegenError(
            "ranks over Ray are started by the image's own script, which does not know changed flags",
            hint="--set and --unset go with distributed-executor-backend: mp",
        )
    base = plan_server(spec, variant, options, log_path=log_path, run=run)
    head = facts[0].node
    return tuple(
        RankPlan(
            one.node, replace(_rank(spec, variant, base, one, head, executor), base_url=_base_url(head, options, base))
        )
        for one in facts
    )


def _executor_of(spec: Spec, variant: str) -> Executor | None:
    """What joins the ranks of a variant; None on a machine alone."""
    return variant_ranks(spec, variant).executor if spec.cluster is not None else None


def _rank(
    spec: Spec, variant: str, base: ServerPlan, one: NodeFacts, head: Node, executor: Executor | None
) -> ServerPlan:
    node, how = one.node, container(spec)
    assert base.container is not None
    name, log = base.container.name, base.log_path
    if executor is None:
        words, env = _alone(spec, variant, base, node)
        network = base.container.network if node.network == "host" else node.network
        return _on_node(base, one, how, words=words, env=env, name=name, network=network, log_path=log)
    commands = node_commands(spec, variant, engine(spec.engine.name).command(spec, variant))
    command = commands.serve if node.rank == 0 else commands.worker
    knobs = {
        "HOST": base.host,
        "PORT": str(base.port),
        "MODELS_DIR": spec.run.models_path,
        "NODE_RANK": str(node.rank),
        "MASTER_ADDR": head.address,
        "HOST_IP": node.address,
        "FABRIC_IFACE": node.interface,
        "FABRIC_HCA": node.hca,
    }
    given = {name: value for name, value in knobs.items() if name in command.knobs}
    if executor == "ray":
        # Ray's head, the wait for all nodes, the server: three steps, which the kit's own script takes.
        words, env = launch_words(spec.variants[variant].script), given
    else:
        words, env = command.words(**given), command.environment(**given)
    return _on_node(
        base,
        one,
        how,
        words=words,
        env=env,
        name=f"{name}-rank{node.rank}",
        network=node.network,
        log_path=log and (log if node.rank == 0 else rank_log(log, node.rank)),
    )


def _alone(spec: Spec, variant: str, base: ServerPlan, node: Node) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a recipe of one machine, which runs as it does on this one."""
    if node.network == "host":
        return base.words, base.env
    # In the network of the container that is the node: no port is published, the server listens as on a host's.
    command = engine(spec.engine.name).command(spec, variant)
    knobs = {"HOST": base.host, "PORT": str(base.port), "MODELS_DIR": spec.run.models_path}
    return command.words(**{name: value for name, value in knobs.items() if name in command.knobs}), base.env


def _on_node(
    base: ServerPlan,
    one: NodeFacts,
    how: Container,
    *,
    words: list[str],
    env: dict[str, str],
    name: str,
    network: str | None,
    log_path: Path | None,
) -> ServerPlan:
    """A plan of this machine as one node runs it: with its folders, its devices, its network."""
    node = one.node
    assert base.container is not None
    paths = {"HOME": one.home, "PWD": str(Path.cwd())}
    paths |= {"MODELS_DIR": at_home(node.models_dir, one.home), "HF_HOME": at_home(node.hf_home, one.home)}
    return replace(
        base,
        words=words,
        env=env,
        log_path=log_path,
        container=replace(
            base.container,
            name=name,
            volumes=tuple((put_in(mount.source, paths), mount.target, mount.read_only) for mount in how.mounts),
            network=network,
            # A node that is a container shares this host's IPC with others: vLLM would take them for one machine.
            ipc=base.container.ipc if node.network == "host" else "private",
            rank=node.rank,
            devices=(RDMA_DEVICES,) if node.hca != NONE and how.gpus else (),
        ),
    )


def _base_url(head: Node, options: HostOptions, base: ServerPlan) -> str:
    """Where this machine reaches the head: through the tunnel, unless it listens for others too."""
    if head.ssh is None or is_loopback(options.host):
        return f"http://127.0.0.1:{base.port}"
    host = head.address if options.host in ("0.0.0.0", "::") else options.host  # noqa: S104
    return f"http://[{host}]:{base.port}" if ":" in host else f"http://{host}:{base.port}"


def is_loopback(host: str) -> bool:
    """Whether an address is heard on its own machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def needs_of(spec: Spec, variant: str, options: HostOptions, memory_bytes: int | None = None) -> Needs:
    """What one variant of a recipe needs of its nodes.

    Args:
        memory_bytes: of one rank, from an estimate; None where there is none.
    """
    cluster = spec.cluster
    ports = [options.port or spec.run.port]
    if cluster is not None:
        ports.append(cluster.ray_port if _executor_of(spec, variant) == "ray" else cluster.master_port)
    return Needs(
        recipe=spec.name,
        image=container(spec).image,
        models={
            key: Model(spec.models[key].revision, spec.models[key].file if spec.run.models == "folders" else None)
            for key in used_models(spec, variant)
        },
        head_ports=tuple(ports),
        # On the others nothing of this run listens there: what does is a rank or a server of an earlier one.
        rank_ports=tuple(ports),
        speed_mbit=round(cluster.gbit_s * 1000 * _FAST_ENOUGH) if cluster and cluster.gbit_s else None,
        memory_bytes=memory_bytes,
        gpus=spec.run.gpus == "all",
    )


def places_of(spec: Spec, variant: str, node: Node) -> dict[str, Places]:
    """Where a node has the models that a variant opens."""
    found: dict[str, Places] = {}
    for key in used_models(spec, variant):
        model = spec.models[key]
        if spec.run.models == "folders":
            found[key] = Places(f"{node.models_dir}/{model.folder}")
        else:
            # The layout of huggingface_hub's cache: a folder for each repository, in it one for each commit.
            repository = f"{node.hf_home}/hub/models--{(model.hf_id or '').replace('/', '--')}"
            revision = model.revision or ""
            found[key] = Places(f"{repository}/snapshots/{revision}" if revision else repository, revision=revision)
    return found


def memory_needed(spec: Spec, variant: str, models_dir: Path | None) -> int | None:
    """Bytes that one rank takes of its node at least, from the estimate; None where that does not say."""
    from recipegen.fit import estimate

    try:
        found = estimate(spec, variant, models_dir=models_dir)
    except RecipegenError:
        return None
    parts = sum(part.gb.low for part in found.parts)
    return round(parts * 1e9) if parts else None


def model_fingerprint(one: NodeFacts, key: str) -> str | None:
    """A hash that tells one state of a model on a node from another; None where it is not there."""
    found = one.models[key]
    if not found.files:
        return None
    state = [f"{path}\0{size}\0{found.hashes.get(path, '')}" for path, size in sorted(found.files.items())]
    return sha256_bytes("\n".join(state).encode(errors="surrogateescape"))
