"""Commands that trade with other projects' formats: import, export. Owns how their reports are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, plain, report, root_option
from recipegen.errors import EXIT_FINDINGS, Problem, RecipegenError, SpecError, Where
from recipegen.workspace import Workspace, variant_of

if TYPE_CHECKING:
    from recipegen.exchange.read import Imported
    from recipegen.exchange.report import Lost, Report

_FORMATS = ("sparkrun", "spark-vllm-docker", "vllm", "docker", "compose")
_STDIN = Path("-")


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), help="Format of the files; their content tells by default."
)
@click.option("--name", metavar="NAME", help="Name of the recipe; the source's own by default. With one FILE only.")
@click.option("--variant", metavar="V", help="Checkpoint of a vLLM recipe; the one tuned for a GB10 by default.")
@click.option("--dry-run", is_flag=True, help="Print recipe.yaml and write nothing; the report goes to standard error.")
@click.option("--strict", is_flag=True, help="Exit code 1 for a record, or when something that runs is lost.")
@root_option
@json_option
def import_command(
    files: tuple[Path, ...],
    form: str | None,
    name: str | None,
    variant: str | None,
    dry_run: bool,
    strict: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    """Make recipes from those of other projects: recipes/NAME/recipe.yaml and its kit, one for each FILE.

    Reads sparkrun recipes (versions 1 and 2), recipes of spark-vllm-docker and of the vLLM project, a `docker run …
    vllm serve …` line or a script around one (`-` is standard input), and compose files. Nothing of a source is run.
    What does not translate is listed by name, and stands as a comment in the recipe. docs/exchange.md has the details.

    \b
    Examples:
      recipegen import ~/registry/recipes/*.yaml
      recipegen import run.sh --name my-recipe --strict
      recipegen import compose.yaml --dry-run
    """
    if name is not None and len(files) > 1:
        raise click.UsageError("--name names one recipe; there are several files")
    workspace = None if dry_run else Workspace.open(root)
    done: list[dict[str, Any]] = []
    failed: list[tuple[Path, RecipegenError]] = []
    for file in files:
        try:
            imported = _read(file, form, name, variant)
            row = _row(file, imported)
            if workspace is None:
                row["recipe"] = imported.text
                _show_text(imported, as_json, first=not done)
            else:
                from recipegen.scaffold import new_from_text

                folder, kit = new_from_text(workspace, imported.name, imported.text)
                row |= {"folder": str(folder), "files": len(kit)}
        except RecipegenError as error:
            failed.append((file, error))
            continue
        done.append(row)
        if not as_json:
            _show_report(row, imported.report, to_error=dry_run)
    if as_json:
        click.echo(json.dumps({"imported": done, "failed": [_failure(*each) for each in failed]}, indent=2))
    else:
        _show_failures(failed, len(files))
    if workspace is not None and done:
        _write_index(workspace, quiet=as_json)
    if failed:
        raise SystemExit(max(error.exit_code for _, error in failed))
    lost = any(entry["affects_run"] for row in done for entry in row["not_translated"])
    if strict and (lost or any(row["record"] for row in done)):
        raise SystemExit(EXIT_FINDINGS)


def _read(file: Path, form: str | None, name: str | None, variant: str | None) -> Imported:
    from recipegen.exchange.read import import_text
    from recipegen.load.yamldoc import MAX_BYTES, decoded, read_text

    text = decoded(sys.stdin.buffer.read(MAX_BYTES + 1), file) if file == _STDIN else read_text(file)
    return import_text(text, file, form=form, name=name, variant=variant)


def _row(file: Path, imported: Imported) -> dict[str, Any]:
    return {
        "file": str(file),
        "format": imported.kind,
        "name": imported.name,
        "record": imported.record,
        "not_translated": [entry.as_data() for entry in imported.report.lost],
        "notes": imported.report.notes,
    }


def _failure(file: Path, error: RecipegenError) -> dict[str, Any]:
    where = error.where or Where(file)
    problems = error.problems if isinstance(error, SpecError) else [Problem(where, error.message, error.hint)]
    told = [{"line": p.where.line, "column": p.where.column, "message": p.message, "hint": p.hint} for p in problems]
    return {"file": str(file), "exit_code": error.exit_code, "problems": told}


def _show_text(imported: Imported, as_json: bool, *, first: bool) -> None:
    if not as_json:
        click.echo(("" if first else "---\n") + imported.text, nl=False)


def _show_report(row: dict[str, Any], found: Report, *, to_error: bool) -> None:
    what = f"{row['format']} {row['file']}"
    head = f"{what}: recipe {row['name']}" if to_error else f"wrote {row['folder']}/recipe.yaml from the {what}"
    click.echo(plain(head), err=to_error)
    _show_lost("did not translate, and changes what runs", [entry for entry in found.lost if entry.runs], to_error)
    _show_lost("left out, and changes nothing that runs", [entry for entry in found.lost if not entry.runs], to_error)
    for note in found.notes:
        click.echo(plain(f"  note: {note}"), err=to_error)
    if row["record"]:
        click.echo("  it is a record: a run would need what stands under `missing`", err=to_error)
    elif not to_error:
        click.echo(f"  next: recipegen lint {row['name']}")


def _show_lost(title: str, entries: Iterable[Lost], to_error: bool) -> None:
    for number, entry in enumerate(entries):
        if not number:
            click.echo(f"  {title}:", err=to_error)
        line = f" (line {entry.line})" if entry.line else ""
        value = f"\n        {entry.value}" if entry.value else ""
        click.echo(plain(f"    {entry.name}{line}: {entry.why}{value}"), err=to_error)


def _show_failures(failed: list[tuple[Path, RecipegenError]], files: int) -> None:
    for file, error in failed:
        if not isinstance(error, SpecError) and error.where is None:
            error = RecipegenError(error.message, hint=error.hint, where=Where(file), exit_code=error.exit_code)
        report(error)
    if failed and files > 1:
        click.echo(f"{files - len(failed)} of {files} files imported", err=True)


def _write_index(workspace: Workspace, *, quiet: bool) -> None:
    from recipegen.publish.tables import write_index

    try:
        write_index(workspace)
    except RecipegenError as error:
        # The recipes are there all the same; another one keeps the table from being written.
        click.echo(f"INDEX.md has no row for them yet ({error.message}); `recipegen index` says why", err=quiet)


@click.command("export")
@click.argument("name")
@click.option("--format", "form", type=click.Choice(("sparkrun", "compose")), required=True, help="What to write.")
@click.option("--variant", metavar="V", help="Variant to write; the headline by default.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write; standard output by default."
)
@root_option
@json_option
def export_command(
    name: str, form: str, variant: str | None, output: Path | None, root: Path | None, as_json: bool
) -> None:
    """Write the recipe NAME in the form of another project: a sparkrun recipe (version 2), or a compose file.

    What that form cannot hold is listed on standard error, by name and with the reason.

    \b
    Examples:
      recipegen export qwen36-35b-dflash --format sparkrun -o qwen36-35b-dflash.yaml
      recipegen export qwen36-35b-dflash --format sparkrun --variant ar
      recipegen export smoke-vllm-cpu --format compose
    """
    from recipegen.exchange.export import to_compose, to_sparkrun
    from recipegen.files import write_atomic

    workspace = Workspace.open(root)
    spec = workspace.runnable(name) if form == "compose" else workspace.spec(name)
    chosen = variant_of(spec, variant)
    if form == "compose":
        done = to_compose(spec, workspace.kit(spec)["compose.yaml"].data.decode(), chosen)
    else:
        done = to_sparkrun(spec, chosen)
    if output is not None:
        write_atomic(output, done.text)
    if as_json:
        row = {"recipe": name, "variant": chosen, "format": form, "file": str(output) if output else None}
        lost = [entry.as_data() for entry in done.report.lost]
        text = {} if output else {"text": done.text}
        click.echo(json.dumps({**row, "not_held": lost, "notes": done.report.notes, **text}, indent=2))
        return
    if output is None:
        click.echo(done.text, nl=False)
    else:
        click.echo(f"wrote {output}")
    for runs, what in ((True, "has no place for"), (False, "has no place for, and it changes nothing that runs")):
        _show_lost(f"{form} {what}", [entry for entry in done.report.lost if entry.runs is runs], True)
    for note in done.report.notes:
        click.echo(plain(f"  note: {note}"), err=True)
