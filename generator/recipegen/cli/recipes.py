"""Commands about recipes themselves: init, new, list, show, schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.errors import CheckFailed, RecipegenError
from recipegen.workspace import Workspace, resolved_data

if TYPE_CHECKING:
    from recipegen.hub.first import FirstRecipe


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
def init_command(folder: Path) -> None:
    """Make a new recipe repository in FOLDER: recipes/, patches/, INDEX.md, a schema, a CI workflow.

    \b
    Example:
      recipegen init my-recipes && cd my-recipes && recipegen new smoke-llamacpp
    """
    from recipegen.scaffold import init_repository

    for path in init_repository(folder):
        click.echo(f"  wrote {path}")
    click.echo(f"next: cd {folder} && recipegen new smoke-llamacpp")


@click.command("new")
@click.argument("name")
@click.option("--preset", metavar="P", help="Preset to start from; NAME itself by default.")
@click.option("--from", "source", metavar="RECIPE", help="Recipe of this repository to copy.")
@click.option("--model", metavar="HF_ID", help="Model on the Hugging Face hub to start from.")
@root_option
def new_command(name: str, preset: str | None, source: str | None, model: str | None, root: Path | None) -> None:
    """Write recipes/NAME/recipe.yaml and render its kit.

    With --model, the hub is asked for the model's description and its config files (HF_ENDPOINT, HF_TOKEN); what they
    and the catalog say becomes a commented recipe with a variant for each drafter known, for the smallest machine
    that holds the model. What nobody says, what the linter finds and whether it fits is printed.

    \b
    Examples:
      recipegen new qwen36-35b-dflash
      recipegen new my-prefill --preset qwen35-27b-prefill
      recipegen new qwen36-35b-low --from qwen36-35b-dflash
      recipegen new qwen3-8b --model Qwen/Qwen3-8B
      recipegen new qwen36-27b-gguf --model unsloth/Qwen3.6-27B-GGUF
    """
    if sum(option is not None for option in (preset, source, model)) > 1:
        raise click.UsageError("--preset, --from and --model exclude each other")
    from recipegen.publish.tables import write_index
    from recipegen.scaffold import new_from_hub, new_recipe

    workspace = Workspace.open(root)
    first = None
    if model is not None:
        folder, kit, first = new_from_hub(workspace, name, model)
    else:
        folder, kit = new_recipe(workspace, name, preset=preset, source=source)
    click.echo(f"wrote {folder / 'recipe.yaml'} and rendered {len(kit)} files beside it")
    if first is not None:
        _tell(workspace, name, first)
    missing = workspace.spec(name).missing
    if missing:
        click.echo(f"it is a record: a run would need what stands under `missing` in {folder / 'recipe.yaml'}")
    else:
        if first is not None:
            click.echo(
                f"next: recipegen lock {name}   (pins what the linter says can move), then recipegen render {name}"
            )
        click.echo(f"next: recipegen bench {name}   (or the three commands in {folder / 'README.md'})")
    try:
        write_index(workspace)
    except RecipegenError as error:
        # The recipe is there all the same; another one, or a record, keeps the table from being written.
        click.echo(f"INDEX.md has no row for it yet ({error.message}); `recipegen index` says why")


def _tell(workspace: Workspace, name: str, first: FirstRecipe) -> None:
    """What is known of a hub model, what is open, whether it fits, what the linter says."""
    from recipegen.cli.lint import print_findings

    for fact in first.facts:
        click.echo(f"  {plain(fact)}")
    for text in first.open:
        click.echo(f"  {click.style('note:', fg='yellow')} {plain(text)}")
    for variant, found in first.estimates.items():
        click.echo(f"fit {variant}: {found.verdict} ({plain(found.reason)})")
    findings = workspace.findings(name)
    print_findings(findings, least="warning")
    hints = sum(finding.severity == "info" and finding.silenced is None for finding in findings)
    if hints:
        click.echo(f"{hints} hint{'s' * (hints != 1)} more: recipegen lint {name}")
    if first.known.presets:
        click.echo(f"a preset serves this repository, the better start: recipegen new {first.known.presets[0]}")
    elif first.known.siblings:
        click.echo(f"presets with other weights of this model: {', '.join(first.known.siblings)}")


@click.command("show")
@click.argument("name")
@click.option("--resolved", is_flag=True, help="The completed recipe, with nothing left to default.")
@root_option
@json_option
def show_command(name: str, resolved: bool, root: Path | None, as_json: bool) -> None:
    """Show the recipe NAME: as its author wrote it, or completed.

    \b
    Example:
      recipegen show qwen36-35b-dflash --resolved
    """
    workspace = Workspace.open(root)
    if resolved:
        data = resolved_data(workspace.spec(name))
    else:
        loaded = workspace.load(name)
        if not as_json:
            click.echo((workspace.repository.folder(name) / "recipe.yaml").read_text(encoding="utf-8"), nl=False)
            return
        data = loaded.document.data
    print_data(data, as_json)


@click.command("schema")
@click.option("--index", "of_index", is_flag=True, help="The schema of index.json instead.")
@click.option("--check", type=click.Path(path_type=Path, dir_okay=False), help="Fail when this file is not the schema.")
def schema_command(of_index: bool, check: Path | None) -> None:
    """Print the JSON Schema of recipe.yaml, for editors and other tools; or that of index.json.

    \b
    Examples:
      recipegen schema > recipe.schema.json
      recipegen schema --index > index.schema.json
    """
    if of_index:
        from recipegen.publish.data_model import index_schema_text as schema_text
    else:
        from recipegen.spec.schema import schema_text

    if check is None:
        click.echo(schema_text(), nl=False)
    elif not check.is_file() or check.read_text(encoding="utf-8") != schema_text():
        option = " --index" if of_index else ""
        raise CheckFailed(f"{check} is not the schema of this version", hint=f"recipegen schema{option} > {check}")


def print_table(header: tuple[str, ...], rows: list[list[str]]) -> None:
    widths = [
        max(len(header[i]), *(len(row[i]) for row in rows)) if rows else len(header[i]) for i in range(len(header))
    ]
    for row in [list(header), *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_data(data: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(data, indent=2))
        return
    import yaml

    click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100), nl=False)
