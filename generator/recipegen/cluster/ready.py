"""Everything before a server over several nodes is started: preflight, then the image onto all of them. Owns the order
of these steps and where the image comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.cluster.image import distribute, load_file
from recipegen.cluster.nodes import Fault, Node, NodesLack
from recipegen.cluster.plan import memory_needed, needs_of, places_of
from recipegen.cluster.preflight import Needs, Preflight, preflight
from recipegen.cluster.probe import NodeFacts, Places
from recipegen.cluster.tunnel import Tunnel
from recipegen.engines.container import container
from recipegen.errors import EnvironmentLacks

if TYPE_CHECKING:
    from recipegen.runners.plan import HostOptions
    from recipegen.spec.completed import Spec

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Docker's name of an architecture to the kernel's."""


@dataclass(frozen=True)
class Build:
    """How an image is made that no node has.

    Attributes:
        folder: the recipe's.
    """

    folder: Path
    base_image: str | None = None
    network: str | None = None


@dataclass(frozen=True)
class Cluster:
    """Nodes that can serve a recipe together, and what they said of themselves, the head first."""

    nodes: tuple[Node, ...]
    facts: tuple[NodeFacts, ...] = ()

    def anonymous(self, text: str) -> str:
        """A text without names, addresses and accounts of the user's machines: they become node0, node1 …"""
        from recipegen.cluster.names import anonymous

        return anonymous(self.nodes, self.facts, text)

    def anonymous_error(self, text: str) -> str:
        """Likewise, for what a program on the way said, which may name addresses that the nodes' own are not."""
        from recipegen.cluster.names import without_addresses

        return without_addresses(self.anonymous(text))


def look(spec: Spec, variants: Sequence[str], nodes: Sequence[Node], options: HostOptions, *, image: bool) -> Preflight:
    """Preflight of all nodes for several variants of a recipe.

    Args:
        image: whether the image must be there and the same already.
    """

    def places(node: Node) -> Mapping[str, Places]:
        return {key: place for variant in variants for key, place in places_of(spec, variant, node).items()}

    return preflight(nodes, _needs(spec, variants, nodes, options), places, image=image)


def _needs(spec: Spec, variants: Sequence[str], nodes: Sequence[Node], options: HostOptions) -> Needs:
    models_dir = Path(nodes[0].models_dir).expanduser() if nodes[0].ssh is None else None
    each = [needs_of(spec, variant, options, memory_needed(spec, variant, models_dir)) for variant in variants]
    most = [needs.memory_bytes for needs in each if needs.memory_bytes is not None]
    first = each[0]
    return Needs(
        recipe=first.recipe,
        image=first.image,
        models={key: model for needs in each for key, model in needs.models.items()},
        head_ports=tuple(dict.fromkeys(port for needs in each for port in needs.head_ports)),
        rank_ports=tuple(dict.fromkeys(port for needs in each for port in needs.rank_ports)),
        speed_mbit=first.speed_mbit,
        memory_bytes=max(most) if most else None,
        gpus=first.gpus,
    )


def make_ready(
    spec: Spec,
    variants: Sequence[str],
    nodes: Sequence[Node],
    options: HostOptions,
    kit_sha256: str,
    say: Callable[[str], None],
    *,
    build: Build | None = None,
    image_file: Path | None = None,
) -> Cluster:
    """Preflight of all nodes, then the recipe's image onto every one that lacks it.

    Args:
        kit_sha256: of the kit on disk, whose image it must be.
        build: how to make the image where nobody has it; None: it must be there.
        image_file: a saved image to load onto all nodes instead.

    Raises:
        NodesLack: with all that is wrong; nothing was sent or started then.
        EnvironmentLacks: nobody has the image.
    """
    found = look(spec, variants, nodes, options, image=False)
    if found.faults:
        raise NodesLack(found.faults)
    send_image(spec, found.facts, kit_sha256, say, build=build, image_file=image_file)
    # Once more, ids and ports among it: a minute may have passed, and what is recorded is what is there now.
    again = look(spec, variants, nodes, options, image=True)
    if again.faults:
        raise NodesLack(again.faults)
    return Cluster(tuple(nodes), again.facts)


def send_image(
    spec: Spec,
    facts: Sequence[NodeFacts],
    kit_sha256: str,
    say: Callable[[str], None],
    *,
    build: Build | None = None,
    image_file: Path | None = None,
) -> None:
    """Brings the recipe's image onto every node that lacks it; see `make_ready`."""
    nodes, tag = [one.node for one in facts], container(spec).image
    if image_file is not None:
        load_file(nodes, image_file, tag, say)
        return
    source, image_id = _holder(spec, facts, kit_sha256, build, say)
    zstd = all("zstd" in one.tools for one in facts)
    speeds = [one.link.speed_mbit for one in facts if one.link.speed_mbit]
    for sent in distribute(
        nodes, tag, image_id, say, source=source, speed_mbit=min(speeds) if speeds else None, zstd=zstd
    ):
        say(f"{sent.node.name}: has the image after {sent.seconds:.0f} s")


def _holder(
    spec: Spec, facts: Sequence[NodeFacts], kit_sha256: str, build: Build | None, say: Callable[[str], None]
) -> tuple[Node | None, str]:
    """Who has the image of this kit, and its id; None: this machine, which is no node. It is built where nobody has."""
    current = next((one for one in facts if one.image and one.image_kit == kit_sha256), None)
    if current is not None and (build is None or build.base_image is None):
        assert current.image is not None
        return current.node, current.image
    here = None if any(one.node.ssh is None for one in facts) else _here(spec, facts[0], kit_sha256, build)
    if here is not None:
        return None, here
    head = facts[0]
    if build is not None:
        return head.node, _build(spec, head, kit_sha256, build, say)
    any_one = next((one for one in facts if one.image), None)
    if any_one is None:
        raise EnvironmentLacks(
            f"no node has the image {container(spec).image}",
            hint=f"recipegen build {spec.name}, or --image-file FILE where there is no network",
        )
    say(
        f"the image {container(spec).image} on {any_one.node.name} is not of this very kit: recipegen build {spec.name}"
    )
    assert any_one.image is not None
    return any_one.node, any_one.image


def _here(spec: Spec, head: NodeFacts, kit_sha256: str, build: Build | None) -> str | None:
    """Id of the image on this machine, where it is this kit's and for the nodes' processor; None otherwise."""
    from recipegen import docker
    from recipegen.images import is_current

    try:
        client = docker.connect()
    except EnvironmentLacks:
        return None
    if not is_current(client, spec, kit_sha256, base_image=build.base_image if build else None):
        return None
    image = client.images.get(container(spec).image)
    made_for = _MACHINES.get(str(image.attrs.get("Architecture")), image.attrs.get("Architecture"))
    return image.id if made_for == head.host["arch"] else None


def _build(spec: Spec, head: NodeFacts, kit_sha256: str, build: Build, say: Callable[[str], None]) -> str:
    from recipegen import docker
    from recipegen.images import build_image, is_current

    with Tunnel(head.node, head.docker_address) as tunnel:
        client = tunnel.client()
        if not is_current(client, spec, kit_sha256, base_image=build.base_image):
            say(f"building the image {spec.name} on {head.node.name}")
            build_image(
                spec, build.folder, say, base_image=build.base_image, network=build.network, daemon=tunnel.address
            )
        image_id = docker.image_facts(client, container(spec).image)["id"]
    if image_id is None:
        raise NodesLack([Fault(head.node.name, "image", "the image is gone right after its build", "")])
    return image_id
