"""The command submit. Owns finding what is meant and how it is printed; what a board takes is `boards`'."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.errors import EXIT_FINDINGS, CheckFailed, RecipegenError
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from recipegen.boards import Board, Preflight, Submitted

BOARDS = ("localmaxxing", "spark-arena")
LONGEST_WAIT_S = 2 * 3600
"""The board counts by the hour."""


@click.command("submit")
@click.argument("target", metavar="PATH|NAME")
@click.option("--board", "board_name", type=click.Choice(BOARDS), help="Which leaderboard.")
@click.option("--preflight", is_flag=True, help="Say whether the boards would take it and what is lost; no network.")
@click.option("--dry-run", is_flag=True, help="Ask the board what it would make of it, or write its folder; then stop.")
@click.option("--again", is_flag=True, help="Send an entry that the board has, or may have.")
@click.option("--verified", is_flag=True, help="The captured canonical prompt instead of the headline cell.")
@click.option("--doubtful", is_flag=True, help="Send a figure in spite of doubts, which its notes then say.")
@click.option(
    "--accept", metavar="FIELD", multiple=True, help="A field that the board may understand in another way; repeatable."
)
@click.option("--upload", is_flag=True, help="spark-arena: send the files, not only write their folder.")
@click.option(
    "--wait",
    type=click.IntRange(0, LONGEST_WAIT_S),
    default=0,
    metavar="SECONDS",
    help="Wait that long at most when the board takes no more entries for now.  [0]",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Holds the board's token, mode 0600; looked for in the environment by default.",
)
@click.option("--variant", metavar="V", help="Another variant than the headline.")
@click.option("--run", metavar="RUN", help="Another run than the table's: its folder's name.")
@click.option("--cell", metavar="ID", help="Another cell than the headline cell.")
@root_option
@json_option
def submit_command(
    target: str,
    board_name: str | None,
    preflight: bool,
    dry_run: bool,
    again: bool,
    verified: bool,
    doubtful: bool,
    accept: tuple[str, ...],
    upload: bool,
    wait: int,
    token_file: Path | None,
    variant: str | None,
    run: str | None,
    cell: str | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Send a measured row to a leaderboard: looked at, a dry run, compared, then sent once.

    PATH|NAME is a recipe of this repository, or a bundle, packed or not, which must verify. A token comes from the
    environment (LMX_API_KEY or LOCALMAXXING_API_KEY) or from a file that only you can read, never from the command
    line. What was sent is kept in recipes/NAME/submission/ (of a bundle beside it, in BUNDLE.submission/) and for this
    account; nothing is sent twice without --again. See docs/leaderboards.md.

    Exit codes: 1 it would not be or was not taken, 3 the key, the network or the hour, 4 the board failed, or nobody
    knows whether it has the entry.

    \b
    Examples:
      recipegen submit qwen36-35b-dflash --preflight
      recipegen submit qwen36-35b-dflash --board localmaxxing --dry-run
      recipegen submit qwen36-35b-dflash --board localmaxxing --wait 3600
      recipegen submit qwen36-35b-dflash-bundle.tar.gz --board localmaxxing
      recipegen submit qwen36-35b-dflash --board spark-arena --dry-run
    """
    from recipegen.boards import Sending, all_boards, receipts_of

    if not preflight and board_name is None:
        raise click.UsageError(f"--board {'|'.join(BOARDS)}, or --preflight for all of them")
    _require_sense(board_name, preflight=preflight, dry_run=dry_run, verified=verified, upload=upload)
    choice = {"variant": variant, "run": run, "cell": cell}
    how = Sending(
        dry_run=dry_run,
        again=again,
        doubtful=doubtful,
        verified=verified,
        upload=upload,
        accept=frozenset(accept),
        wait_s=float(wait),
        token_file=token_file,
        tell=lambda line: click.echo(plain(line), err=True),
    )
    with _meant(target, root) as meant:
        if preflight:
            boards = [all_boards()[board_name]] if board_name else list(all_boards().values())
            _preflight(meant, boards, choice, verified, as_json)
            return
        board = all_boards()[str(board_name)]
        evidence = board.find(meant.workspace, meant.name, **choice)
        receipts = receipts_of(meant.workspace.repository.root, evidence.folder, board.name, meant.archive)
        done = board.submit(evidence, receipts, how)
    click.echo(json.dumps(done.as_data(), indent=2) if as_json else plain(_done(board, done)))


def _require_sense(board: str | None, *, preflight: bool, dry_run: bool, verified: bool, upload: bool) -> None:
    """Refuses options of which one would be ignored."""
    if preflight and (dry_run or upload):
        raise click.UsageError(f"--preflight asks no board: it goes without --{'dry-run' if dry_run else 'upload'}")
    if dry_run and upload:
        raise click.UsageError("--dry-run sends nothing: it goes without --upload")
    if verified and board != "localmaxxing":
        raise click.UsageError("--verified goes with --board localmaxxing: no other board knows the mark")
    if upload and board != "spark-arena":
        raise click.UsageError("--upload goes with --board spark-arena: LocalMaxxing is sent to without it")


@dataclass(frozen=True)
class _Meant:
    """The recipe that is meant; `archive` where it lies unpacked for as long as the command runs."""

    workspace: Workspace
    name: str
    archive: Path | None = None


@contextmanager
def _meant(target: str, root: Path | None) -> Iterator[_Meant]:
    """A recipe's name, its folder, a repository that holds one, or a bundle, packed or not, which must verify."""
    from recipegen.boards import BUNDLE_MARK
    from recipegen.bundle.unpack import opened

    path = Path(target)
    if path.is_file():
        with opened(path) as found:
            _require_verified(found.root, target)
            yield _Meant(Workspace.open(found.root), found.manifest.recipe, path)
        return
    if path.is_dir():
        meant = _of_folder(path.resolve(), target)
    elif "/" in target or target.endswith((".tar.gz", ".tgz")):
        raise RecipegenError(f"{target}: no such file", hint="a recipe's name, its folder, or a bundle")
    else:
        meant = _Meant(Workspace.open(root), target)
    if (meant.workspace.repository.root / BUNDLE_MARK).exists():
        _require_verified(meant.workspace.repository.root, target)
    yield meant


def _of_folder(folder: Path, target: str) -> _Meant:
    if folder.parent.name == "recipes":
        return _Meant(Workspace.open(folder.parent.parent), folder.name)
    workspace = Workspace.open(folder)
    names = list(workspace.repository.names())
    if len(names) != 1:
        raise RecipegenError(f"{target} holds {len(names)} recipes", hint=f"name one: {', '.join(names[:5])}")
    return _Meant(workspace, names[0])


def _require_verified(bundle: Path, target: str) -> None:
    """Refuses a bundle whose figures a stranger could not check: what is sent must follow from its raw files."""
    from recipegen.claims import failed
    from recipegen.verify.whole import verify_bundle

    wrong = failed(verify_bundle(bundle).checks)
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise CheckFailed(
            f"{target} does not verify: {wrong[0].id}: {wrong[0].text}{more}; nothing was sent",
            hint=f"`recipegen verify {target}` shows all",
        )


def _preflight(
    meant: _Meant, boards: list[Board], choice: dict[str, str | None], verified: bool, as_json: bool
) -> None:
    """Print what each board would say; ends with 1 when none would take it."""
    from recipegen.boards import Preflight, stale_kit
    from recipegen.boards.localmaxxing import LocalMaxxing

    found: list[Preflight] = []
    for board in boards:
        try:
            evidence = board.find(meant.workspace, meant.name, **choice)
        except RecipegenError as error:
            if len(boards) == 1:
                raise
            found.append(Preflight(board.name, (error.message,)))
            continue
        if isinstance(board, LocalMaxxing):
            one = board.preflight(evidence, verified=verified)
        else:
            one = board.preflight(evidence)
        found.append(replace(one, warnings=(*one.warnings, *stale_kit(meant.workspace, evidence.spec))))
    if as_json:
        click.echo(json.dumps([one.as_data() for one in found], indent=2))
    else:
        click.echo(plain("\n".join(line for one in found for line in _lines(one))))
    if not any(one.taken for one in found):
        raise SystemExit(EXIT_FINDINGS)


def _lines(found: Preflight) -> Iterator[str]:
    yield f"{found.board}: {'would take it' if found.taken else 'would not take it'}"
    for title, texts in (("problem", found.problems), ("look at", found.warnings), ("lost", found.losses)):
        yield from (f"  {title}: {text}" for text in texts)


def _done(board: Board, done: Submitted) -> str:
    words: dict[str, Any] = {
        "accepted": f"{board.title} has it as {done.id}",
        "dry-run": f"{board.title} would take it; nothing was sent to stay",
        "written": f"{done.folder} holds the files of {board.title}; nothing was sent",
    }
    return str(words[done.state])
