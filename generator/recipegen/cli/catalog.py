"""Commands of the catalog: list, show. Owns how its entries are printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from recipegen.cli import json_option
from recipegen.cli.recipes import print_data, print_table
from recipegen.errors import RecipegenError

KINDS = ("preset", "hardware", "model", "image")


@click.group("catalog")
def catalog_command() -> None:
    """List or show what is known: presets, kinds of machines, models, images.

    \b
    Examples:
      recipegen catalog list
      recipegen catalog list --kind image
      recipegen catalog show qwen36-35b-dflash
      recipegen catalog show nvcr.io/nvidia/vllm:26.04-py3
    """


@catalog_command.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only entries of this kind.")
@json_option
def catalog_list(kind: str | None, as_json: bool) -> None:
    """List the entries of the catalog.

    \b
    Example:
      recipegen catalog list --kind preset --json
    """
    rows = [row for row in _rows() if kind in (None, row["kind"])]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    print_table(("id", "kind", "title"), [[row["id"], row["kind"], row["title"]] for row in rows])


def _rows() -> Iterator[dict[str, str]]:
    from recipegen import catalog
    from recipegen.load.yamldoc import parse, read_text

    for name in catalog.preset_names():
        file = catalog.preset_file(name)
        title = str(parse(read_text(file), file).data.get("title", ""))
        yield {"id": name, "kind": "preset", "title": title}
    for key, profile in catalog.hardware_profiles().items():
        yield {"id": key, "kind": "hardware", "title": profile.label}
    for key, model in catalog.model_facts().items():
        size = f", {model.params_b:g} B" if model.params_b else ""
        yield {"id": key, "kind": "model", "title": f"{model.family}{size}, {' '.join(model.arch)}"}
    for image in catalog.all_image_facts():
        holds = " ".join(filter(None, (image.engine, image.engine_version, image.reference or image.matches)))
        yield {"id": image.id, "kind": "image", "title": holds}


@catalog_command.command("show")
@click.argument("entry", metavar="ID")
@json_option
def catalog_show(entry: str, as_json: bool) -> None:
    """Show one entry: a preset, a kind of machine, a model (by id or hub repository), an image.

    \b
    Examples:
      recipegen catalog show dgx-spark
      recipegen catalog show nvidia/Qwen3.6-35B-A3B-NVFP4
    """
    from recipegen import catalog
    from recipegen.load.yamldoc import parse, read_text

    if entry in catalog.preset_names():
        file = catalog.preset_file(entry)
        if as_json:
            click.echo(json.dumps(parse(read_text(file), file).data, indent=2))
        else:
            click.echo(read_text(file), nl=False)
        return
    print_data(_facts(entry), as_json)


def _facts(entry: str) -> Any:
    from difflib import get_close_matches

    from recipegen import catalog

    found = (
        catalog.hardware_profiles().get(entry)
        or catalog.model_facts().get(entry)
        or catalog.facts_of(entry)
        or next((image for image in catalog.all_image_facts() if image.id == entry), None)
        or catalog.image_facts(entry)
    )
    if found is None:
        near = get_close_matches(entry, [row["id"] for row in _rows()], n=5, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else "`recipegen catalog list` shows all"
        raise RecipegenError(f"the catalog has no {entry!r}", hint=hint)
    return found.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
