"""Commands about machines that serve one model together: cluster check, distribute. Owns how all commands name them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.errors import EXIT_ENVIRONMENT, RecipegenError
from recipegen.workspace import Workspace, variant_of

if TYPE_CHECKING:
    from recipegen.cluster.nodes import Fault, Node
    from recipegen.cluster.probe import NodeFacts
    from recipegen.spec.completed import Spec


def cluster_option(function: click.decorators.FC) -> click.decorators.FC:
    """--cluster, for every command that may reach several machines."""
    return click.option(
        "--cluster",
        "cluster_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Your machines [RECIPEGEN_CLUSTER, ~/.config/recipegen/cluster.yaml]; a recipe of one runs on its first.",
    )(function)


def image_file_option(function: click.decorators.FC) -> click.decorators.FC:
    """--image-file, for machines without a network to the world."""
    return click.option(
        "--image-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Load the image from this file (docker save) onto every node.",
    )(function)


def nodes_for_recipe(spec: Spec, named: Path | None, models_dir: Path | None = None) -> tuple[Node, ...]:
    """The machines of a recipe, out of the user's cluster file; none for a recipe of one machine that is this one.

    Args:
        named: the file of --cluster. A recipe of one machine runs on that file's first one; the usual file changes
            nothing for it.

    Raises:
        RecipegenError: there is no cluster file, it is wrong, or it has fewer machines than the recipe needs.
    """
    from recipegen.cluster.nodes import nodes_of
    from recipegen.load.cluster_file import find_cluster_file, load_cluster_file, nodes_for

    if spec.hardware.nodes < 2 and named is None:
        return ()
    if spec.hardware.nodes > 1 and spec.cluster is None:
        raise RecipegenError(f"recipegen knows no way to spread {spec.engine.name} over machines")
    file = find_cluster_file(named)
    found = nodes_for(load_cluster_file(file), spec.hardware.nodes, file)
    return nodes_of(spec, found, models_dir)


def nodes_of_file(named: Path | None, recipe: str | None) -> tuple[Node, ...]:
    """The machines to look for containers on; none where only this one is meant.

    They are asked when a cluster file is named, or when the recipe is one of this repository for several machines.
    """
    import os

    from recipegen.cluster.nodes import nodes_of
    from recipegen.load.cluster_file import VARIABLE, find_cluster_file, load_cluster_file

    if named is None and not os.environ.get(VARIABLE) and not _is_for_several(recipe):
        return ()
    return nodes_of(None, load_cluster_file(find_cluster_file(named)).resolved())


def _is_for_several(recipe: str | None) -> bool:
    if recipe is None:
        return False
    try:
        return Workspace.open(None).spec(recipe).hardware.nodes > 1
    except RecipegenError:
        return False  # of no repository around here, or not readable: its containers on this machine are looked for


@click.group("cluster")
def cluster_command() -> None:
    """Machines that serve one model together: look whether they can, send them image and models.

    \b
    Examples:
      recipegen cluster check minimax-m27-nvfp4-x2
      recipegen cluster distribute minimax-m27-nvfp4-x2 --models
    """


@cluster_command.command("check")
@click.argument("name")
@click.option("--variant", metavar="V", help="Variant to look at; the headline by default.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the server; the recipe's by default.")
@click.option("--no-image", is_flag=True, help="Leave the image out: it is yet to be sent.")
@cluster_option
@root_option
@json_option
def check_command(
    name: str,
    variant: str | None,
    port: int | None,
    no_image: bool,
    cluster_file: Path | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Ask every node of the recipe NAME at once what would keep it from serving; start nothing.

    Looked at: ssh, Docker, GPU driver, image, fabric interface and its speed, RDMA adapters, ports, free memory,
    clocks, models by revision, size and small files. Every problem is told with its node and a remedy, and ends in exit
    code 3.

    \b
    Examples:
      recipegen cluster check minimax-m27-nvfp4-x2
      recipegen cluster check minimax-m27-nvfp4-x2 --cluster lab.yaml --json
    """
    from recipegen.cluster.ready import look
    from recipegen.runners.plan import HostOptions

    spec = Workspace.open(root).runnable(name)
    chosen = variant_of(spec, variant)
    nodes = _several(spec, cluster_file)
    found = look(spec, [chosen], nodes, HostOptions(port=port), image=not no_image)
    if as_json:
        data = {
            "recipe": name,
            "variant": chosen,
            "nodes": [_node_data(one) for one in found.facts],
            "problems": [
                {"node": fault.node, "check": fault.check, "cause": fault.cause, "remedy": fault.remedy}
                for fault in found.faults
            ],
        }
        click.echo(json.dumps(data, indent=2))
    else:
        _print(found.facts, found.faults)
    raise SystemExit(EXIT_ENVIRONMENT if found.faults else 0)


def _several(spec: Spec, cluster_file: Path | None) -> tuple[Node, ...]:
    nodes = nodes_for_recipe(spec, cluster_file)
    if not nodes:
        raise RecipegenError(
            f"{spec.name} is for one machine",
            hint="recipegen doctor looks at this one, --cluster FILE at the first one of a file",
        )
    return nodes


def _node_data(one: NodeFacts) -> dict[str, Any]:
    return {
        "node": one.node.name,
        "rank": one.node.rank,
        "docker": one.docker,
        "image": one.image,
        "drivers": list(one.drivers),
        "interface": one.node.interface,
        "state": one.link.state,
        "speed_mbit": one.link.speed_mbit,
        "mtu": one.link.mtu,
        "memory_available_bytes": one.memory_available,
        "clock_offset_s": round(one.clock_offset_s, 3),
        "models": {
            key: {"place": model.place, "bytes": model.size, "revisions": list(model.revisions)}
            for key, model in one.models.items()
        },
    }


def _print(facts: Sequence[NodeFacts], faults: Sequence[Fault]) -> None:
    for one in facts:
        told = [f"Docker {one.docker}" if one.docker else "no Docker"]
        told += [f"driver {one.drivers[0]}"] if one.drivers else []
        told += [f"{one.node.interface} at {one.link.speed_mbit / 1000:g} Gbit/s"] if one.link.speed_mbit else []
        told += [f"{one.memory_available / (1 << 30):.1f} GiB free"] if one.memory_available is not None else []
        told += [f"image {one.image.removeprefix('sha256:')[:12]}"] if one.image else []
        click.echo(plain(f"{one.node.name} (rank {one.node.rank}): {', '.join(told)}"))
    for fault in faults:
        click.echo(f"{click.style('problem:', fg='red', bold=True)} {plain(str(fault))}")
    if not faults:
        click.echo(f"all {len(facts)} nodes are ready")


@cluster_command.command("distribute")
@click.argument("name")
@click.option("--variant", metavar="V", help="Variant whose models are meant; the headline by default.")
@click.option("--models", is_flag=True, help="Copy the head's models too (rsync), onto nodes whose files are others.")
@image_file_option
@cluster_option
@root_option
def distribute_command(
    name: str,
    variant: str | None,
    models: bool,
    image_file: Path | None,
    cluster_file: Path | None,
    root: Path | None,
) -> None:
    """Send the image of the recipe NAME to every node that lacks it, over the fabric; nothing is sent twice.

    `up` and `bench` do the same for the image. Models of hundreds of gigabytes are copied only when asked for.

    \b
    Examples:
      recipegen cluster distribute minimax-m27-nvfp4-x2
      recipegen cluster distribute minimax-m27-nvfp4-x2 --models
      recipegen cluster distribute minimax-m27-nvfp4-x2 --image-file image.tar
    """
    from recipegen.cli.kits import require_rendered
    from recipegen.cluster.nodes import NodesLack
    from recipegen.cluster.ready import look, send_image
    from recipegen.runners.plan import HostOptions

    workspace = Workspace.open(root)
    spec = workspace.runnable(name)
    kit_sha256 = require_rendered(workspace, name)
    chosen = variant_of(spec, variant)
    nodes = _several(spec, cluster_file)
    found = look(spec, [chosen], nodes, HostOptions(), image=False)
    needed = ("reach", "docker")
    if faults := [fault for fault in found.faults if fault.check in needed]:
        raise NodesLack(faults)
    send_image(spec, found.facts, kit_sha256, click.echo, image_file=image_file)
    if models:
        from recipegen.cluster.models import copy_models

        keys = list(found.facts[0].models)
        for node in copy_models(found.facts, keys, click.echo):
            click.echo(f"{node.name}: has the models")
    click.echo(f"all {len(nodes)} nodes have the image {spec.name}")
