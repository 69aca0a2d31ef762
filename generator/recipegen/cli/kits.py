"""Commands about kits: render, download, build."""

from __future__ import annotations

import json
from pathlib import Path

import click

from recipegen.cli import json_option, root_option
from recipegen.errors import EXIT_ENVIRONMENT, EXIT_MEASUREMENT, CheckFailed, RecipegenError
from recipegen.workspace import Workspace, variant_of


@click.command("render")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--check", is_flag=True, help="Write nothing; fail and name what differs.")
@click.option("--diff", "show_diff", is_flag=True, help="Show what differs, line by line.")
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand.")
@root_option
@json_option
def render_command(
    names: tuple[str, ...], check: bool, show_diff: bool, force: bool, root: Path | None, as_json: bool
) -> None:
    """Render the kits of recipes (all by default).

    \b
    Examples:
      recipegen render
      recipegen render qwen36-35b-dflash --check --diff
    """
    from recipegen.render.write import compare, differences, write_kit

    workspace = Workspace.open(root)
    specs = workspace.specs(names)
    results = []
    different = []
    for spec in specs:
        kit, folder = workspace.kit(spec), workspace.folder(spec)
        changes = compare(kit, folder)
        if show_diff and not as_json:
            click.echo(differences(kit, folder, changes), nl=False)
        if not check:
            changes = write_kit(kit, folder, force=force)
        different += [
            f"recipes/{spec.name}/{line.partition(': ')[2]} ({line.partition(': ')[0]})" for line in changes.lines()
        ]
        results.append(
            {
                "name": spec.name,
                "files": len(kit),
                "missing": changes.missing,
                "changed": changes.changed,
                "edited": changes.edited,
                "stale": changes.stale,
            }
        )
    if as_json:
        click.echo(json.dumps(results, indent=2))
    elif not check:
        for line in different:
            click.echo(f"  wrote {line}")
    if check and different:
        if as_json:
            raise SystemExit(CheckFailed.exit_code)
        for line in different:
            click.echo(f"  {line}")
        raise CheckFailed(f"{len(different)} files are not as their recipes say", hint="recipegen render")
    if not as_json:
        what = "up to date" if not different else "rendered"
        click.echo(f"{len(specs)} kit{'s' * (len(specs) != 1)} {what}")


@click.command("download")
@click.argument("name")
@click.option("--variant", metavar="V", help="Only what this variant opens; headline and baseline by default.")
@click.option(
    "--models-dir",
    type=click.Path(path_type=Path, resolve_path=True),
    help="Folder of all models [MODELS_DIR, ~/models].",
)
@root_option
def download_command(name: str, variant: str | None, models_dir: Path | None, root: Path | None) -> None:
    """Fetch the models of a recipe, by the kit's own scripts/download_models.sh.

    \b
    Example:
      recipegen download qwen36-35b-dflash --variant dflash
    """
    import sys

    from recipegen import proc

    workspace = Workspace.open(root)
    spec = workspace.runnable(name)
    extra = {"PYTHON": sys.executable} | ({"MODELS_DIR": str(models_dir)} if models_dir else {})
    script = workspace.folder(spec) / "scripts" / "download_models.sh"
    if not script.is_file():
        raise RecipegenError(f"{script} is missing", hint=f"recipegen render {name}")
    argv = ["bash", str(script), *([variant_of(spec, variant)] if variant else [])]
    code = proc.stream(argv, env=proc.child_env(extra), on_line=lambda line: click.echo(f"  {line}"))
    if code:
        raise RecipegenError(
            f"the models of {name} were not fetched (exit code {code})",
            hint="the lines above say why",
            exit_code=code if code in (EXIT_ENVIRONMENT, 2) else EXIT_MEASUREMENT,
        )


@click.command("build")
@click.argument("name")
@click.option("--base-image", metavar="IMAGE", help="Build on this image instead of the recipe's.")
@click.option("--no-cache", is_flag=True, help="Build every layer anew.")
@click.option("--network", type=click.Choice(["host"]), help="Network of the build's own steps.")
@root_option
def build_command(name: str, base_image: str | None, no_cache: bool, network: str | None, root: Path | None) -> None:
    """Build the image of a recipe with BuildKit.

    \b
    Examples:
      recipegen build qwen36-35b-dflash
      recipegen build smoke-vllm-cpu --base-image my-registry/python:3.11
    """
    from recipegen.cli.lint import warn_of_errors
    from recipegen.images import build_image

    workspace = Workspace.open(root)
    spec = workspace.runnable(name)
    require_rendered(workspace, name)
    warn_of_errors(workspace, name)
    tag = build_image(
        spec,
        workspace.folder(spec),
        lambda line: click.echo(f"  {line}"),
        base_image=base_image,
        no_cache=no_cache,
        network=network,
    )
    click.echo(f"built {tag}")


def require_rendered(workspace: Workspace, name: str) -> str:
    """Make sure that the kit on disk is the recipe's; gives its hash.

    Raises:
        CheckFailed: something in it differs.
    """
    from recipegen.render.kit import kit_sha256
    from recipegen.render.write import compare

    spec = workspace.spec(name)
    kit = workspace.kit(spec)
    changes = compare(kit, workspace.folder(spec))
    if changes:
        raise CheckFailed(
            f"the kit of {name} is not as its recipe says: {'; '.join(changes.lines())}",
            hint=f"recipegen render {name}",
        )
    return kit_sha256(kit)
