"""Command `publish`: results to a dataset on the Hugging Face hub. Owns the printing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, plain, root_option

if TYPE_CHECKING:
    from recipegen.hub.selection import Selection
    from recipegen.hub.upload import Published


@click.command("publish")
@click.argument("target", metavar="PATH|NAME")
@click.option("--to", "dataset", required=True, metavar="OWNER/DATASET", help="Dataset on the hub.")
@click.option("--create", is_flag=True, help="Make the dataset, and the branch, where they are not there.")
@click.option("--private", is_flag=True, help="Make it private; refuse one that is public.")
@click.option("--revision", metavar="BRANCH", default="main", show_default=True, help="Branch to commit to.")
@click.option("--dry-run", is_flag=True, help="Look through the files and list them; send nothing.")
@root_option
@json_option
def publish_command(
    target: str,
    dataset: str,
    create: bool,
    private: bool,
    revision: str,
    dry_run: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    """Upload results to a dataset on the Hugging Face hub, in one commit that deletes nothing.

    PATH is a bundle (.tar.gz), a recipe's folder or a whole repository; NAME a recipe of this repository. Of a recipe
    go up: recipe.yaml, its lock, RESULTS.md, charts/ and results/. Every file is looked through for secrets first; one
    is enough to send nothing. The token is the hub's own: HF_TOKEN, or what `hf auth login` left.

    \b
    Examples:
      recipegen publish qwen36-35b-dflash --to me/spark-results --dry-run
      recipegen publish qwen36-35b-dflash --to me/spark-results --create --private
      recipegen publish qwen36-35b-dflash-bundle.tar.gz --to me/spark-results --revision july --json
    """
    from recipegen.hub.selection import select
    from recipegen.hub.upload import look_through, publish

    selection = select(target, root)
    scanned, named = look_through(selection.items)
    for text in selection.left_out:
        click.echo(plain(f"left out: {text}"), err=True)
    for place in named[:20]:
        click.echo(plain(f"warning: {place} names this host or account"), err=True)
    done = None
    if not dry_run:
        done = publish(selection.items, scanned, dataset, revision=revision, private=private, create=create)
    if as_json:
        click.echo(json.dumps(_data(selection, dataset, revision, done), indent=2))
        return
    if done is None:
        for item in selection.items:
            click.echo(plain(f"{item.size:>14,}  {item.name}"))
    total = sum(item.size for item in selection.items)
    size = f"{len(selection.items)} file{'s' * (len(selection.items) != 1)}, {total:,} bytes"
    if done is None:
        click.echo(f"{size} would go to {dataset} ({revision}); nothing was sent")
    else:
        click.echo(f"{size} are in {dataset} ({revision}): {plain(done.url)}")


def _data(selection: Selection, dataset: str, revision: str, done: Published | None) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "revision": revision,
        "dry_run": done is None,
        "files": [{"path": item.name, "size": item.size} for item in selection.items],
        "left_out": list(selection.left_out),
        "commit": done.commit if done else None,
        "url": done.url if done else None,
    }
