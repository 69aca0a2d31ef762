"""Command `plan`: what a recipe asks of its machines. Owns how the plan is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.errors import EXIT_FINDINGS
from recipegen.workspace import Workspace, variant_of

if TYPE_CHECKING:
    from recipegen.fit.parts import Range
    from recipegen.plan import Plan


@click.command("plan")
@click.argument("name")
@click.option("--variant", metavar="V", help="Variant to plan; the headline by default.")
@click.option(
    "--image-gb",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Size of the image in GB, once it is built.",
)
@click.option(
    "--models-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder that holds the models' folders.",
)
@click.option(
    "--cluster",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="RECIPEGEN_CLUSTER",
    help="Your machines (docs/clusters.md), to see which one gets which rank; RECIPEGEN_CLUSTER by default.",
)
@root_option
@json_option
def plan_command(
    name: str,
    variant: str | None,
    image_gb: float | None,
    models_dir: Path | None,
    cluster: Path | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Say what the recipe NAME asks of its machines, before any is bought or switched on.

    For each node: its rank, which part of the model it holds, weights, cache and overhead, with low, expected and high
    values. Between the nodes: what is copied once, what every token sends, and how long that takes at the link's rate.
    Exit code 1 when it does not fit (over); 0 for fits, tight and unknown.

    \b
    Examples:
      recipegen plan qwen35-397b-fp8-mtp-x4
      recipegen plan minimax-m27-nvfp4-x2 --variant ray --image-gb 21
      recipegen plan glm52-nvfp4-x4 --cluster ~/.config/recipegen/cluster.yaml --json
    """
    from recipegen.plan import plan

    spec = Workspace.open(root).spec(name)
    found = plan(spec, variant_of(spec, variant), image_gb=image_gb, models_dir=models_dir)
    hosts = _hosts(cluster, len(found.nodes))
    if as_json:
        click.echo(json.dumps({**found.as_data(), "hosts": hosts or None}, indent=2))
    else:
        click.echo(plain("\n".join(_lines(found, spec.hardware.label, hosts))))
    raise SystemExit(EXIT_FINDINGS if found.estimate.verdict == "over" else 0)


def _hosts(cluster: Path | None, wanted: int) -> list[str]:
    """Names of the user's machines by rank; none where no file is named."""
    if cluster is None:
        return []
    from recipegen.load.cluster_file import find_cluster_file, load_cluster_file, nodes_for

    file = find_cluster_file(cluster)
    return [node.name for node in nodes_for(load_cluster_file(file), wanted, file)]


def _lines(found: Plan, machines: str, hosts: list[str]) -> Iterator[str]:
    yield f"{found.recipe} {found.variant} on {machines}: {found.estimate.verdict} ({found.estimate.reason})"
    ranks = found.ranks
    if len(found.nodes) > 1:
        split = f"tensor {ranks.tensor}, pipeline {ranks.pipeline}, data {ranks.data}"
        yield f"ranks: {split}{', expert parallel' if ranks.expert else ''}; executor {ranks.executor}"
    yield ""
    yield f"{'node':<12}{'holds':<26}{'weights GB':>22}{'overhead GB':>22}{'cache GB':>22}"
    for node in found.nodes:
        holds = f"part {node.part + 1} of {ranks.tensor}" if ranks.tensor > 1 else "whole layers"
        if ranks.pipeline > 1:
            holds += f", stage {node.stage + 1} of {ranks.pipeline}"
        holds += f" ({node.layers} layers)" if node.layers else ""
        sizes = "".join(f"{_three(value):>22}" for value in (node.weights, node.overhead, node.pool))
        yield f"{f'{node.rank} {node.role}':<12}{holds:<26}{sizes}{f'  on {hosts[node.rank]}' if hosts else ''}"
    for part in found.estimate.parts:
        yield f"  {part.name}: {_three(part.gb)} GB; {part.source}"
    if found.estimate.request is not None:
        request = f"one request of {found.estimate.context:,} tokens"
        yield f"  {request}: {_three(found.estimate.request)} GB of each node's cache"
    if len(found.nodes) > 1:
        yield ""
        yield from _fabric(found)
    for note in (*found.estimate.notes, *found.notes):
        yield f"note: {note}"


def _fabric(found: Plan) -> Iterator[str]:
    rate = f"{found.link_gb_s:g} GB/s" if found.link_gb_s else "not known"
    yield f"between the nodes (one link: {rate})"
    others = len(found.nodes) - 1
    for name, gb in (("models", found.models_gb), ("image", found.image_gb)):
        if gb is None:
            yield f"  {name}: size not known{'; --image-gb says it' if name == 'image' else ''}"
        else:
            yield f"  {name}: {gb:g} GB to each of the others ({others}){_took(found.seconds(found.sent_gb(gb)))}"
    traffic = found.traffic
    if traffic is None:
        yield "  per token: not known, because hidden size or layers of the model are not"
        return
    if traffic.collectives:
        sends = f"each rank sends {traffic.token_bytes / 1e6:.3f} MB a token"
        yield f"  per step: {traffic.collectives} all-reduces; {sends}"
    if traffic.stage_bytes:
        yield f"  per token: {traffic.stage_bytes / 1e6:.3f} MB from stage to stage"
    for what, tokens in (("a decode step of one stream", traffic.step_tokens), ("a full step", traffic.prefill_tokens)):
        if tokens is not None:
            yield f"  {what} ({tokens:,} token{'s' if tokens > 1 else ''}){_took(found.step_seconds(tokens))}"
    from recipegen.plan import SOURCE

    yield f"  source: {SOURCE}"


def _took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 1:
        return f": {seconds * 1000:.2f} ms at line rate"
    return f": {seconds:.0f} s at line rate" if seconds < 120 else f": {seconds / 60:.1f} min at line rate"


def _three(value: Range | None) -> str:
    if value is None:
        return "not known"
    return " ".join(f"{max(0.0, end):.1f}" for end in (value.low, value.expected, value.high))
