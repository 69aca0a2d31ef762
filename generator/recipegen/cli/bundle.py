"""The command bundle. Owns how it is printed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.workspace import Workspace


@click.command("bundle")
@click.argument("name")
@click.option("--run", "run", metavar="RUN", help="Folder of a run; the one that stands in INDEX.md by default.")
@click.option("--variant", metavar="V", help="Newest complete run of this variant.")
@click.option("--cell", metavar="ID", help="Another cell than the headline's.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write (folder with --dir).  [NAME-bundle.tar.gz]"
)
@click.option("--dir", "as_folder", is_flag=True, help="Write a folder, not an archive.")
@click.option("--allow-doubtful", is_flag=True, help="Also of a result that makes no headline; the bundle says so.")
@click.option(
    "--sign",
    "key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="KEYFILE",
    help="Sign the manifest with this secret key of minisign.",
)
@root_option
@json_option
def bundle_command(
    name: str,
    run: str | None,
    variant: str | None,
    cell: str | None,
    output: Path | None,
    as_folder: bool,
    allow_doubtful: bool,
    key: Path | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Make one archive that proves the headline of the recipe NAME.

    It holds the recipe, its lock and kit, the raw reports, records and logs of the run and of the baseline's run, the
    payloads for the leaderboards, a page with the figures and a chart, and a manifest with the SHA-256 of every file.
    The same inputs give the same bytes. `recipegen verify` checks it, without a network.

    Refused (exit code 1): a result that failed its quality gate, that no such machine can reach, or that is older than
    the recipe; a file that holds a token or names this host.

    \b
    Examples:
      recipegen bundle qwen36-35b-dflash
      recipegen bundle qwen36-35b-dflash --run 20261121T072000Z-dflash -o headline.tar.gz
      recipegen bundle qwen36-35b-dflash --sign ~/.minisign/minisign.key
    """
    from recipegen.bundle.make import assemble, write_bundle, write_folder
    from recipegen.bundle.pages import citation
    from recipegen.bundle.signing import sign
    from recipegen.evidence import find_evidence

    workspace = Workspace.open(root)
    evidence = find_evidence(workspace, name, variant=variant, run=run, cell=cell)
    bundle = assemble(workspace, evidence, allow_doubtful=allow_doubtful)
    if key is not None:
        bundle = replace(bundle, signature=sign(bundle.manifest.raw(), bundle.manifest.id, key))
    path = output or Path(bundle.folder if as_folder else f"{bundle.folder}.tar.gz")
    if as_folder:
        write_folder(bundle, path)
    else:
        write_bundle(bundle, path)
    if as_json:
        data = {
            "bundle": bundle.manifest.id,
            "path": str(path),
            "files": len(bundle.manifest.files),
            "bytes": sum(one.size for one in bundle.manifest.files),
            "signed": bundle.signature is not None,
            "claim": bundle.claim,
        }
        click.echo(json.dumps(data, indent=2))
        return
    click.echo(plain(f"wrote {path}: {len(bundle.manifest.files)} files"))
    click.echo(f"bundle {bundle.manifest.id}")
    for doubt in bundle.claim["doubts"]:
        click.echo(plain(f"in doubt: {doubt['code']}: {doubt['text']}"))
    click.echo("")
    click.echo(plain(citation(bundle.claim)), nl=False)
    click.echo("")
    click.echo(f"check it: recipegen verify {path}")
