"""The command lock: what the moving names of recipes stand for, written down or compared. Owns no look-up."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, root_option
from recipegen.errors import EXIT_ENVIRONMENT, EXIT_FINDINGS, CheckFailed, EnvironmentLacks
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from recipegen.pins.resolve import Outcome


@click.command("lock")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--check", is_flag=True, help="Write nothing; fail and name what moved, is missing or does not count.")
@click.option("--offline", is_flag=True, help="Ask nobody: keep what is pinned, drop what does not count any more.")
@root_option
@json_option
def lock_command(names: tuple[str, ...], check: bool, offline: bool, root: Path | None, as_json: bool) -> None:
    """Pin what the moving names of recipes (all by default) stand for today, in recipe.lock.yaml.

    The digest of each image, the commit of each model and git ref, the version of each package, the hash of each
    text. What the recipe pins itself is left alone; kits are rendered with the pins.

    \b
    Examples:
      recipegen lock qwen36-35b-dflash && recipegen render qwen36-35b-dflash
      recipegen lock --check

    Exit codes: 0 all is pinned (with --check: and current), 1 something moved, is missing or does not count (--check
    only), 3 something cannot be looked up.
    """
    from recipegen.lock import write_lock
    from recipegen.pins.resolve import Resolver, next_lock

    workspace = Workspace.open(root)
    workspace.specs(names)  # every problem of every recipe and lock, before anybody is asked
    resolver = Resolver(offline=offline)
    report: list[dict[str, Any]] = []
    seen: list[Outcome] = []
    for name in dict.fromkeys(names or workspace.repository.names()):
        spec, old = workspace.unpinned(name), workspace.lock(name)
        if not as_json:
            click.echo(name)
        lock, outcomes = next_lock(spec, old, resolver, lambda one: None if as_json else _show(one, check))
        written = lock is not None and lock is not old and not check
        if lock is not None and written:
            write_lock(lock, workspace.folder(spec))
        if not as_json and not check:
            click.echo(f"  {_ending(name, written, outcomes)}")
        report.append({"name": name, "written": written, "parts": [asdict(one) for one in outcomes]})
        seen += outcomes
    if as_json:
        click.echo(json.dumps(report, indent=2))
        raise SystemExit(_exit_code(seen, check, offline))
    _conclude(seen, check, offline)


def _ending(name: str, written: bool, outcomes: list[Outcome]) -> str:
    if any(one.state == "bad" for one in outcomes):
        return "nothing is written: an answer cannot be right"
    return f"wrote recipe.lock.yaml; next: recipegen render {name}" if written else "nothing to write"


def _show(outcome: Outcome, check: bool) -> None:
    """One line for a part; the reason below it where there is one."""
    words = {
        "new": f"is not pinned; stands for {outcome.new}" if check else f"pinned: {outcome.new}",
        "same": f"unchanged: {outcome.new}",
        "moved": f"moved: {outcome.old} -> {outcome.new}",
        "kept": f"kept: {outcome.old}",
        "unresolved": "not pinned",
        "bad": "not pinned" if outcome.old is None else f"kept: {outcome.old}",
        "dropped": "does not count any more" if check else f"dropped: {outcome.old}",
    }
    text = f"  {outcome.place}  {outcome.asked}  {words[outcome.state]}"
    for extra in (outcome.why, outcome.hint):
        text += f"\n      {extra}" if extra else ""
    click.echo("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text))


def _findings(seen: list[Outcome]) -> list[Outcome]:
    """What makes --check fail: moved, missing, or stale."""
    return [one for one in seen if one.state in ("new", "unresolved", "moved", "dropped")]


def _unknown(seen: list[Outcome], check: bool, offline: bool) -> list[Outcome]:
    """What could not be looked up and stands in the way: an earlier pin is enough to lock, but not to check."""
    states = {"bad", "unresolved"} | ({"kept"} if check and not offline else set())
    return [one for one in seen if one.state in states]


def _exit_code(seen: list[Outcome], check: bool, offline: bool) -> int:
    if check and _findings(seen):
        return EXIT_FINDINGS
    return EXIT_ENVIRONMENT if _unknown(seen, check, offline) else 0


def _conclude(seen: list[Outcome], check: bool, offline: bool) -> None:
    """Turn the outcomes into the exit code, with a closing line.

    Raises:
        CheckFailed: with --check, something moved, is missing, or does not count any more.
        EnvironmentLacks: something cannot be looked up.
    """
    code = _exit_code(seen, check, offline)
    if code == EXIT_FINDINGS:
        count = len(_findings(seen))
        raise CheckFailed(f"{count} part{'s' * (count != 1)} not as the locks say", hint="recipegen lock")
    if code == EXIT_ENVIRONMENT:
        count = len(_unknown(seen, check, offline))
        what = "could not be compared" if check else "could not be pinned"
        raise EnvironmentLacks(f"{count} part{'s' * (count != 1)} {what}", hint="the lines above say why")
    kept = sum(one.state == "kept" for one in seen)
    note = f", {kept} of them as they were" if kept else ""
    click.echo(f"{len(seen)} part{'s' * (len(seen) != 1)} {'checked' if check else 'pinned'}{note}")
