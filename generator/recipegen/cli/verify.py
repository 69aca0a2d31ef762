"""The command verify. Owns how it is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipegen.cli import json_option, plain

if TYPE_CHECKING:
    from recipegen.verify.outcome import Outcome

_COLOURS = {"passed": "green", "failed": "red", "undecidable": "yellow"}


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--raw",
    "raws",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    help="Raw report that a bare payload was made from; repeatable: then the baseline's.",
)
@click.option("--public-key", metavar="KEY", help="The bundle must be signed by this key of minisign (or file of one).")
@click.option("--all", "show_all", is_flag=True, help="Print also the checks that passed.")
@click.option("--strict", is_flag=True, help="Exit code 1 also when something cannot be decided.")
@json_option
def verify_command(
    path: Path, raws: tuple[Path, ...], public_key: str | None, show_all: bool, strict: bool, as_json: bool
) -> None:
    """Check a bundle (an archive, or the folder that it unpacks to), or a leaderboard payload with its raw reports.

    Needs no network and trusts nothing: every byte of the archive is held against the manifest, every claimed figure is
    recomputed from the raw reports, the kit is rendered anew, command lines must follow from the recipe. Nothing that a
    bundle brings is run, and nothing is written outside of a temporary folder.

    Each check is passed, failed, or undecidable; those that passed are counted, and printed with --all. Exit codes:
    0 nothing failed, 1 something did, 2 this is no bundle.

    \b
    Examples:
      recipegen verify qwen36-35b-dflash-bundle.tar.gz
      recipegen verify headline.tar.gz --public-key RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
      recipegen verify headline.json --raw result-dflash.json --raw result-ar.json --json
    """
    from recipegen.verify.payload import require_raw, verify_payload
    from recipegen.verify.whole import verify_bundle

    if path.suffix == ".json" and path.is_file():
        require_raw(raws)
        if public_key is not None:
            raise click.UsageError("a payload is not signed: --public-key goes with a bundle")
        outcome = verify_payload(path, raws)
    else:
        if raws:
            raise click.UsageError("a bundle holds its raw reports: --raw goes with a payload (FILE.json)")
        outcome = verify_bundle(path, public_key)
    if as_json:
        click.echo(json.dumps(outcome.as_data(strict=strict), indent=2))
    else:
        for line in _lines(outcome, show_all=show_all):
            click.echo(line)
    if code := outcome.exit_code(strict=strict):
        raise SystemExit(code)


def _lines(outcome: Outcome, *, show_all: bool) -> Iterator[str]:
    yield plain(f"{outcome.subject}{f', {outcome.bundle}' if outcome.bundle else ''}")
    for check in outcome.checks:
        if check.status == "passed" and not show_all:
            continue
        status = click.style(check.status.ljust(11), fg=_COLOURS[check.status])
        place = f"{check.path}: " if check.path else ""
        yield f"  {status} {plain(f'{check.id}: {place}{check.text}')}"
    counts = ", ".join(f"{count} {status}" for status, count in outcome.counts().items())
    yield counts
