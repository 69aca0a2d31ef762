"""Whether all nodes can serve a recipe together, before anything is started. Owns the checks and their words; what
nodes say of themselves is `probe`'s.

Every check is a function of facts. All faults of all nodes are told at once, each with its node, its cause, a remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from recipegen.cluster.access import attempt, on_all
from recipegen.cluster.nodes import Fault, Node
from recipegen.cluster.probe import ModelOn, NodeFacts, Places, most_common, probe
from recipegen.spec.topology import NONE

CLOCK_BOUND_S = 5.0
"""Logs of several nodes are read beside each other; a clock that is further off also makes certificates invalid."""
_GIB = 1 << 30
_UP = ("up", "unknown")
"""Virtual interfaces do not say that they are up (Documentation/networking/operstates.rst of Linux)."""


@dataclass(frozen=True)
class Model:
    """A model that every node must have.

    Attributes:
        revision: the commit that the recipe asks for; None where it pins none.
        file: the one that the engine opens, where it is one.
    """

    revision: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Needs:
    """What a recipe needs of its nodes.

    Attributes:
        image: its tag.
        models: by key.
        head_ports, rank_ports: must be free on the head, and on every node.
        speed_mbit: the fabric's least line rate; None: nothing is asked.
        memory_bytes: what one rank takes; None where it cannot be told.
        gpus: whether ranks need a GPU.
    """

    recipe: str
    image: str
    models: Mapping[str, Model] = field(default_factory=dict)
    head_ports: tuple[int, ...] = ()
    rank_ports: tuple[int, ...] = ()
    speed_mbit: int | None = None
    memory_bytes: int | None = None
    gpus: bool = False


@dataclass(frozen=True)
class Preflight:
    """What was found: facts of the nodes that answered, in the order of their ranks, and all faults."""

    facts: tuple[NodeFacts, ...]
    faults: tuple[Fault, ...]


def preflight(
    nodes: Sequence[Node], needs: Needs, places: Callable[[Node], Mapping[str, Places]], *, image: bool = True
) -> Preflight:
    """Asks all nodes at the same time and judges what they say.

    Args:
        places: where a node has each of the models.
        image: whether the image must be there and the same already; not when it is about to be distributed.
    """
    answers = on_all(nodes, partial(attempt, lambda node: probe(node, needs.image, places(node))))
    facts = tuple(found for found, _ in answers if found is not None)
    unreachable = [fault for _, faults in answers for fault in faults]
    found = [*unreachable, *judge(facts, needs, image=image)]
    order = {node.name: node.rank for node in nodes}
    return Preflight(facts, tuple(sorted(found, key=lambda fault: order[fault.node])))


def judge(facts: Sequence[NodeFacts], needs: Needs, *, image: bool = True) -> list[Fault]:
    """All that is wrong with nodes that answered."""
    faults: list[Fault] = []
    for one in facts:
        faults += [*_docker(one), *_fabric(one, needs), *_ports(one, needs), *_memory(one, needs), *_clock(one)]
    faults += [*_drivers(facts, needs), *_models(facts, needs)]
    if image:
        faults += _images(facts, needs)
    return faults


def _docker(one: NodeFacts) -> Iterator[Fault]:
    if one.docker is not None:
        return
    said = one.docker_error
    if "permission denied" in said.lower():
        cause, remedy = "its account may not use Docker", "there: sudo usermod -aG docker $USER, then log in again"
    elif "not found" in said or not said:
        cause, remedy = "Docker is not installed", "install it there: https://docs.docker.com/engine/install/"
    else:
        cause, remedy = f"its Docker daemon does not answer: {said[-200:]}", "there: sudo systemctl start docker"
    yield Fault(one.node.name, "docker", cause, remedy)


def _fabric(one: NodeFacts, needs: Needs) -> Iterator[Fault]:
    node, link = one.node, one.link
    if node.interface != NONE:
        name = node.interface
        if link.state is None:
            others = ", ".join(other for other in one.interfaces if other != "lo") or "none"
            yield Fault(
                node.name,
                "fabric",
                f"it has no interface {name}",
                f"there are: {others}; correct it in the cluster file",
            )
        elif link.state not in _UP:
            yield Fault(
                node.name, "fabric", f"the interface {name} is {link.state}", f"the cable? there: ip link set {name} up"
            )
        else:
            if node.address not in link.addresses:
                has = ", ".join(link.addresses) or "none"
                yield Fault(
                    node.name,
                    "fabric",
                    f"the interface {name} has not the address {node.address}",
                    f"its addresses: {has}; correct the cluster file, or give it the address",
                )
            if needs.speed_mbit and link.speed_mbit and link.speed_mbit < needs.speed_mbit:
                yield Fault(
                    node.name,
                    "fabric",
                    f"the interface {name} runs at {_rate(link.speed_mbit)}, less than {_rate(needs.speed_mbit)}",
                    "another interface, cable or port? ranks wait for this link at every layer",
                )
    wanted = () if node.hca == NONE else tuple(part.partition(":")[0] for part in node.hca.split(","))
    for name in wanted:
        states = one.adapters.get(name)
        if states is None:
            others = ", ".join(one.adapters) or "none"
            yield Fault(
                node.name, "hca", f"it has no RDMA adapter {name}", f"there are: {others}; correct it, or say none"
            )
        elif not any("ACTIVE" in state for state in states):
            yield Fault(
                node.name, "hca", f"the RDMA adapter {name} is not active ({states[0]})", "the cable? there: ibstat"
            )


def _rate(mbit: int) -> str:
    return f"{mbit / 1000:g} Gbit/s"


def _ports(one: NodeFacts, needs: Needs) -> Iterator[Fault]:
    wanted = dict.fromkeys((*(needs.head_ports if one.node.rank == 0 else ()), *needs.rank_ports))
    for port in wanted:
        if port in one.listening:
            yield Fault(
                one.node.name,
                "port",
                f"the port {port} is taken (rank {one.node.rank} needs it)",
                f"an earlier server? recipegen down {needs.recipe}; what else it is, there: ss -ltnp 'sport = :{port}'",
            )


def _memory(one: NodeFacts, needs: Needs) -> Iterator[Fault]:
    free = one.memory_available
    if needs.memory_bytes is not None and free is not None and free < needs.memory_bytes:
        yield Fault(
            one.node.name,
            "memory",
            f"{free / _GIB:.1f} GiB are free, its rank takes about {needs.memory_bytes / _GIB:.1f} GiB",
            "end what takes the rest (there: ps aux --sort=-rss), or lower gpu-memory-utilization or max-model-len",
        )


def _clock(one: NodeFacts) -> Iterator[Fault]:
    offset = one.clock_offset_s
    if abs(offset) > CLOCK_BOUND_S:
        way = "ahead of" if offset > 0 else "behind"
        yield Fault(
            one.node.name,
            "clock",
            f"its clock is {abs(offset):.0f} s {way} this machine's",
            "there: sudo timedatectl set-ntp true (without a network: sudo date --set …)",
        )


def _drivers(facts: Sequence[NodeFacts], needs: Needs) -> Iterator[Fault]:
    if not needs.gpus:
        return
    told = {one.node.name: one.drivers for one in facts}
    for name, drivers in told.items():
        if not drivers:
            yield Fault(name, "driver", "nvidia-smi shows no GPU", "is the driver loaded? there: nvidia-smi")
    with_gpu = [drivers[0] for drivers in told.values() if drivers]
    if not with_gpu:
        return
    usual = most_common(with_gpu)
    for name, drivers in told.items():
        for driver in dict.fromkeys(drivers):
            if driver != usual:
                yield Fault(
                    name, "driver", f"the GPU driver is {driver}, elsewhere {usual}", "bring all nodes to the same one"
                )


def _images(facts: Sequence[NodeFacts], needs: Needs) -> Iterator[Fault]:
    ids = [one.image for one in facts if one.image]
    usual = most_common(ids) if ids else None
    send = f"recipegen cluster distribute {needs.recipe}"
    for one in facts:
        if one.docker is None:
            continue  # told already
        if one.image is None:
            yield Fault(
                one.node.name,
                "image",
                f"it has no image {needs.image}",
                f"{send} sends it" if usual else f"recipegen build {needs.recipe}, then {send}",
            )
        elif one.image != usual:
            yield Fault(
                one.node.name,
                "image",
                f"its image {needs.image} is {_short(one.image)}, elsewhere {_short(usual or '')}",
                f"{send} sends the right one",
            )


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:12]


def _models(facts: Sequence[NodeFacts], needs: Needs) -> Iterator[Fault]:
    for key, model in needs.models.items():
        there = [(one.node, one.models[key]) for one in facts if one.models[key].files]
        for one in facts:
            if not one.models[key].files:
                yield _absent(one.node, key, one.models[key], needs, somewhere=bool(there))
        if not there:
            continue
        usual = most_common([_state(found) for _, found in there])
        good = next(found for _, found in there if _state(found) == usual)
        for node, found in there:
            yield from _wrong_model(node, key, found, good, model, needs)


def _state(found: ModelOn) -> str:
    """Everything that tells one state of a model's files from another without reading weights."""
    return repr((sorted(found.files.items()), sorted(found.hashes.items()), found.revisions[:1]))


def _absent(node: Node, key: str, found: ModelOn, needs: Needs, *, somewhere: bool) -> Fault:
    fetch = f"recipegen cluster distribute {needs.recipe} --models copies it" if somewhere else "download it there"
    return Fault(
        node.name,
        "model",
        f"the model {key} is not at {found.place}",
        f"{fetch}; the cluster file says where models lie",
    )


def _wrong_model(node: Node, key: str, found: ModelOn, good: ModelOn, model: Model, needs: Needs) -> Iterator[Fault]:
    copy = f"recipegen cluster distribute {needs.recipe} --models brings it in line, or download it there again"
    name = found.revisions[0] if found.revisions else None
    if model.revision and name and name != model.revision:
        yield Fault(
            node.name,
            "model",
            f"the model {key} is revision {name[:12]}, the recipe asks for {model.revision[:12]}",
            copy,
        )
    elif name and good.revisions and name != good.revisions[0]:
        yield Fault(
            node.name, "model", f"the model {key} is revision {name[:12]}, elsewhere {good.revisions[0][:12]}", copy
        )
    elif model.file and model.file not in found.files:
        yield Fault(node.name, "model", f"{found.place} has no file {model.file}", copy)
    elif (difference := _difference(found, good)) is not None:
        yield Fault(node.name, "model", f"the model {key} is another one than elsewhere: {difference}", copy)


def _difference(found: ModelOn, good: ModelOn) -> str | None:
    """The first difference of two states of a model, in words; None when there is none."""
    for path in sorted({*found.files, *good.files}):
        here, there = found.files.get(path), good.files.get(path)
        if here is None:
            return f"{path} is missing"
        if there is None:
            return f"{path} is there and nowhere else"
        if here != there:
            return f"{path} has {here:,} bytes, elsewhere {there:,}"
        if found.hashes.get(path) != good.hashes.get(path):
            return f"{path} has other content"
    return None
