"""Commands of the linter: lint, explain. Owns how findings are printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.errors import EXIT_FINDINGS, EXIT_USAGE, Problem, RecipegenError, SpecError, Where
from recipegen.workspace import Workspace, attempt

if TYPE_CHECKING:
    from recipegen.lint.finding import Finding
    from recipegen.lint.rule import Rule

_LEVELS = ("error", "warning", "info")
_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


@click.command("lint")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option("--severity", type=click.Choice(_LEVELS), default="info", help="Least severity to show.  [info]")
@click.option("--log", "log", type=click.Path(path_type=Path), help="Judge this server log by the rules about logs.")
@click.option("--variant", metavar="V", help="Variant that wrote the log; the headline by default.")
@root_option
@json_option
def lint_command(
    names: tuple[str, ...],
    strict: bool,
    severity: str,
    log: Path | None,
    variant: str | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Check recipes, all by default: every finding with file, line, cause, source and remedy.

    Errors make it fail (exit code 1), with --strict warnings too. A recipe that cannot be read at all is exit code 2.
    A finding that does not apply is silenced in the recipe, with a reason: `silenced: {RULE_ID: reason}`.

    \b
    Examples:
      recipegen lint qwen36-35b-dflash
      recipegen lint --strict --severity warning
      recipegen lint qwen36-35b-dflash --log server.log --variant dflash
    """
    workspace = Workspace.open(root)
    checked = list(dict.fromkeys(names)) or workspace.repository.names()
    if log is not None and len(names) != 1:
        raise click.UsageError("--log needs the one recipe whose server wrote it")
    if variant is not None and log is None:
        raise click.UsageError("--variant says who wrote the --log; without one every variant is checked")
    problems: list[Problem] = []
    found: list[Finding] = []
    read = 0
    work = partial(workspace.log_findings, variant=variant, log=log) if log else workspace.findings
    for name in checked:
        of_one, wrong = attempt(work, name)
        found += of_one or []
        problems += wrong
        read += of_one is not None
    shown = _at_least(found, severity)
    if as_json:
        rows = [*map(_problem_data, problems), *(finding.as_data() for finding in shown)]
        click.echo(json.dumps({"checked": checked, "findings": rows}, indent=2))
    else:
        print_findings(found, least=severity)
        if read or not checked:
            click.echo(_summary(read, found, shown))
        if problems:
            raise SpecError(problems)
    open_ = {finding.severity for finding in found if finding.silenced is None}
    failing = "error" in open_ or (strict and "warning" in open_)
    raise SystemExit(EXIT_USAGE if problems else EXIT_FINDINGS if failing else 0)


def _at_least(found: list[Finding], severity: str) -> list[Finding]:
    return [finding for finding in found if _LEVELS.index(finding.severity) <= _LEVELS.index(severity)]


def print_findings(found: list[Finding], *, least: str, err: bool = False) -> None:
    """Findings of a severity and worse, each with its place; cause, remedy and source stand at the first of a rule."""
    told: set[tuple[str, str]] = set()
    for finding in _at_least(found, least):
        head, *rest = _lines(finding)
        known = (finding.rule.id, finding.fix) in told
        click.echo("\n".join([head, *([] if known and finding.silenced is None else rest)]), err=err)
        if finding.silenced is None:
            told.add((finding.rule.id, finding.fix))


def warn_of_errors(workspace: Workspace, name: str) -> None:
    """Before long work: what the linter is sure will go wrong, on standard error. The work goes on all the same."""
    errors = [finding for finding in workspace.findings(name) if finding.silenced is None]
    print_findings(errors, least="error", err=True)


def _problem_data(problem: Problem) -> dict[str, Any]:
    where = problem.where
    return {
        "rule": None,
        "severity": "error",
        "file": str(where.file),
        "line": where.line,
        "column": where.column,
        "variants": [],
        "message": problem.message,
        "why": "",
        "fix": problem.hint,
        "disagree": None,
        "sources": [],
        "silenced": None,
    }


def _lines(finding: Finding) -> Iterator[str]:
    from recipegen.lint.rule import source_texts

    severity = click.style(finding.severity, fg=_COLOURS[finding.severity], bold=True)
    of = f" ({', '.join(finding.variants)})" if finding.variants else ""
    yield f"{plain(_from_here(finding.where))}: {severity} {finding.rule.id}{plain(of)}: {plain(finding.message)}"
    if finding.silenced is not None:
        yield f"    silenced: {plain(finding.silenced)}"
        return
    yield f"    why: {finding.rule.why}"
    yield f"    fix: {plain(finding.fix)}"
    if finding.rule.disagree:
        yield f"    sources disagree: {finding.rule.disagree}"
    yield f"    source: {'; '.join(source_texts(finding.rule))}"


def _from_here(where: Where) -> str:
    """A place as a terminal makes a link of it: relative where it lies below the current folder."""
    here = Path.cwd()
    file = where.file.relative_to(here) if where.file.is_relative_to(here) else where.file
    return str(replace(where, file=file))


def _summary(checked: int, found: list[Finding], shown: list[Finding]) -> str:
    counts = [sum(f.severity == level and f.silenced is None for f in found) for level in _LEVELS]
    silenced = sum(f.silenced is not None for f in found)
    words = [f"{n} {word}{'s' * (n != 1 and word != 'info')}" for n, word in zip(counts, _LEVELS, strict=True) if n]
    words += [f"{silenced} silenced"] if silenced else []
    words += [f"{len(found) - len(shown)} not shown"] if len(shown) < len(found) else []
    return f"{checked} recipe{'s' * (checked != 1)} checked: {', '.join(words) or 'nothing found'}"


@click.command("explain")
@click.argument("rule_id", metavar="[ID]", required=False)
@json_option
def explain_command(rule_id: str | None, as_json: bool) -> None:
    """Print one lint rule: what it says, when it holds, where it was seen; without ID, all rules in one line each.

    \b
    Examples:
      recipegen explain DFLASH_KV_FP8
      recipegen explain | grep GEMMA4
    """
    from recipegen.lint.rule import rules

    if rule_id is None:
        if as_json:
            click.echo(json.dumps([_rule_data(rule) for rule in rules().values()], indent=2))
            return
        for rule in rules().values():
            click.echo(f"{rule.id}  {rule.severity}  {rule.stage}  {rule.title}")
        return
    rule = _rule(rule_id)
    if as_json:
        click.echo(json.dumps(_rule_data(rule), indent=2))
    else:
        click.echo("\n".join(_explained(rule)))


def _rule(rule_id: str) -> Rule:
    from difflib import get_close_matches

    from recipegen.lint.rule import rules

    wanted = rule_id.upper().replace("-", "_")
    if wanted not in rules():
        near = get_close_matches(wanted, rules(), n=4, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else "recipegen explain lists all"
        raise RecipegenError(f"there is no lint rule {rule_id!r}", hint=hint)
    return rules()[wanted]


def _rule_data(rule: Rule) -> dict[str, Any]:
    from recipegen.lint.rule import source_texts

    data = rule.model_dump(mode="json", exclude={"sources"}, exclude_defaults=True)
    return {**data, "sources": source_texts(rule)}


def _explained(rule: Rule) -> Iterator[str]:
    from recipegen.lint.page import STAGES, condition
    from recipegen.lint.rule import source_texts

    yield f"{rule.id} ({rule.severity})"
    yield f"  {rule.title}"
    yield f"  why:      {rule.why}"
    if rule.error_text:
        yield f"  error:    {rule.error_text}"
    yield f"  fix:      {rule.fix}"
    if rule.seen:
        yield f"  seen:     {'; '.join(f'{key} {text}' for key, text in rule.seen.items())}"
    if rule.disagree:
        yield f"  sources disagree: {rule.disagree}"
    yield f"  stage:    {STAGES[rule.stage]}"
    if rule.held_by:
        yield f"  held by:  {rule.held_by}"
    if rule.when or rule.any:
        yield f"  fires if: {condition(rule)}"
    for source in source_texts(rule):
        yield f"  source:   {source}"
