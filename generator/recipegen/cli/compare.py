"""Commands about what was measured: compare, results. Owns how it is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from recipegen.publish.compare import Compared, Figure, Row
    from recipegen.publish.listing import CellLine, RunLine
    from recipegen.results.agent_eval import AgentRun, Judged
    from recipegen.stats.summary import Described


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option("--cell", "cells", metavar="TEXT", multiple=True, help="Only cells whose id holds this text; repeatable.")
@root_option
@json_option
def compare_command(a: str, b: str, cells: tuple[str, ...], root: Path | None, as_json: bool) -> None:
    """Compare A and B cell by cell: medians, ratio of B to A with its 95 % interval, and what differs around them.

    Each of them is NAME/VARIANT (its newest complete run), NAME/VARIANT@MACHINE, NAME/RUN (a folder under results/),
    published:NAME/VARIANT (what others published), or the path of a run's folder or of a llama-benchy report. Runs
    that were measured in turn are compared as pairs. Exit code 2 when they have no cell in common.

    \b
    Examples:
      recipegen compare qwen36-35b-dflash/ar qwen36-35b-dflash/dflash
      recipegen compare published:qwen36-35b-dflash/dflash qwen36-35b-dflash/dflash@gb10-128g
      recipegen compare before.json after.json --json
    """
    from recipegen.publish.compare import compare_sides
    from recipegen.publish.sides import find_side

    found = compare_sides(find_side(a, root), find_side(b, root), cells)
    click.echo(json.dumps(found.as_data(), indent=2) if as_json else plain("\n".join(comparison(found))))


def comparison(found: Compared) -> Iterator[str]:
    """The lines of a comparison."""
    yield f"A: {found.a.given}: {found.a.title}"
    yield f"B: {found.b.given}: {found.b.title}"
    yield ""
    head = ("cell", "metric", "A (n)", "B (n)", "B to A", "95 % interval")
    yield from _table([head, *map(_columns, found.rows)], right={2, 3, 4, 5})
    yield ""
    for row in found.rows:
        yield f"{_cell_name(row)} {row.metric}: {row.words}"
        if row.rounds:
            yield f"  B to A, round by round: {', '.join(f'{ratio:.3f}' for ratio in row.rounds)}"
    for name, alone in (("A", found.only_a), ("B", found.only_b)):
        if alone:
            yield ""
            yield f"only {name} has: {', '.join(alone)}"
    yield ""
    if found.differences:
        yield "what else differs:"
        rows = [("", "A", "B"), *((one.what, one.a or "not there", one.b or "not there") for one in found.differences)]
        yield from (f"  {line}" for line in _table([tuple(map(_short, row)) for row in rows]))
    elif not (found.a.is_published or found.b.is_published):
        yield "nothing else that is recorded differs"
    if found.unknown:
        yield f"not known, so not compared: {'; '.join(found.unknown)}"
    for note in found.notes:
        yield f"note: {note}"
    if any(row.metric == "ttfr" for row in found.rows):
        yield "ttfr is a time: the table's ratio above 1 is slower"


def _columns(row: Row) -> tuple[str, ...]:
    from recipegen.publish.figures import NOTHING

    ratio = NOTHING if row.ratio is None else f"{row.ratio:.3f}"
    interval = NOTHING if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
    return (_cell_name(row), f"{row.metric} {row.unit}", _side(row.a), _side(row.b), ratio, interval)


def _cell_name(row: Row) -> str:
    return row.cell if row.cell == row.cell_b else f"{row.cell} / {row.cell_b}"


def _side(figure: Figure | None) -> str:
    from recipegen.publish.figures import NOTHING, digits, number

    if figure is None:
        return NOTHING
    if figure.low is None or figure.high is None:  # published, at its publisher's digits
        median = number(figure.median)
    else:
        median = digits(figure.median, figure.low, figure.high).figure(figure.median)
    what = [*(["mean"] if figure.stat == "mean" else []), f"n={'?' if figure.n is None else figure.n}"]
    return f"{median} ({', '.join(what)})"


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _table(rows: Sequence[tuple[str, ...]], right: set[int] | frozenset[int] = frozenset()) -> Iterator[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        parts = [
            text.rjust(width) if index in right else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(parts).rstrip()


@click.command("results")
@click.argument("name")
@root_option
@json_option
def results_command(name: str, root: Path | None, as_json: bool) -> None:
    """List what was measured of the recipe NAME: every run, every cell, agentic runs, each with its figures.

    Figures are warm medians with their 95 % intervals; --json has the warnings about them in words. `failed` counts
    requests, `accepted` is the mean of tokens that one pass yields, `peak` the most memory of the host in use.
    Exit code 1 when a record or a raw report cannot be used.

    \b
    Examples:
      recipegen results qwen36-35b-dflash
      recipegen results qwen36-35b-dflash --json
    """
    from recipegen.publish.agents import labelled_agents
    from recipegen.publish.index import RecordsBroken
    from recipegen.publish.listing import agent_data, list_runs

    workspace = Workspace.open(root)
    folder = workspace.repository.folder(name)
    runs, problems = list_runs(folder)
    agents, broken = labelled_agents(workspace, name)
    problems += broken
    if as_json:
        data = {
            "recipe": name,
            "runs": [run.as_data() for run in runs],
            "agents": [agent_data(run, judged) for run, judged in agents],
            "problems": [str(problem) for problem in problems],
        }
        click.echo(json.dumps(data, indent=2))
    else:
        click.echo(plain("\n".join(_listing(name, runs, agents))))
    if problems:
        raise RecordsBroken(problems)


def _listing(name: str, runs: Sequence[RunLine], agents: Sequence[tuple[AgentRun, Judged]]) -> Iterator[str]:
    if not runs and not agents:
        yield f"nothing has been measured of {name} yet: recipegen bench {name}"
        return
    for run in runs:
        facts = [
            f"{run.variant} ({run.method})",
            run.status,
            run.date or "no date",
            f"{run.done} of {len(run.cells)} cells done",
            *([f"profile {run.profile}"] if run.profile else []),
            *([f"quality {run.quality}"] if run.quality else []),
        ]
        yield f"{run.machine}/{run.run}: {', '.join(facts)}"
        if run.error:
            yield f"  {run.error}"
        for reason in run.quality_reasons:
            yield f"  quality: {reason}"
        if run.cells:
            rows = [_HEAD, *map(_cell_columns, run.cells)]
            yield from (f"  {line}" for line in _table(rows, right=set(range(1, len(_HEAD) - 2))))
        for cell in run.cells:
            yield from (f"  {cell.id}: {text}" for text in _remarks(cell))
        yield ""
    for one, judged in agents:
        evaluation = one.evaluation
        yield (
            f"{one.machine}/{one.folder.name}: {evaluation.suite} with {evaluation.agent} on {one.variant}: "
            f"{evaluation.score}, {judged.label}"
        )
        yield f"  {evaluation.timeouts} timeouts, {evaluation.grader_fails} wrong answers, {evaluation.errors} errors"
        yield f"  {judged.label}: {judged.reason}"
        yield from (f"  note: {note}" for note in judged.notes)
        yield ""


_HEAD = (
    "cell",
    "n",
    "tg tok/s",
    "95 % interval",
    "pp tok/s",
    "95 % interval",
    "failed",
    "accepted",
    "peak GiB",
    "verdict",
    "warnings",
)


def _cell_columns(cell: CellLine) -> tuple[str, ...]:
    """One line of the table: failed requests, tokens accepted in one pass, memory in use at most, among others."""
    from recipegen.publish.figures import NOTHING

    tg, pp = cell.figures.get("tg"), cell.figures.get("pp")
    some = tg or pp
    n = str(some.n) if some else NOTHING
    verdict = "failed" if cell.status != "done" else cell.verdict or NOTHING
    codes = [f"{metric} {', '.join(w.code for w in one.warnings)}" for metric, one in _shown(cell) if one.warnings]
    failed = NOTHING if cell.failed_requests is None else str(cell.failed_requests)
    accepted = NOTHING if cell.acceptance_length is None else f"{cell.acceptance_length:.2f}"
    peak = NOTHING if cell.peak_used_bytes is None else f"{cell.peak_used_bytes / (1 << 30):.1f}"
    figures = (*_figure(tg), *_figure(pp), failed, accepted, peak)
    return (cell.id, n, *figures, verdict, "; ".join(codes) or NOTHING)


def _shown(cell: CellLine) -> Iterator[tuple[str, Described]]:
    for metric in ("tg", "pp"):
        if metric in cell.figures:
            yield metric, cell.figures[metric]


def _figure(found: Described | None) -> tuple[str, str]:
    from recipegen.publish.figures import NOTHING, digits

    if found is None:
        return NOTHING, NOTHING
    to = digits(found.median, found.low, found.high)
    return to.figure(found.median), NOTHING if found.n == 1 else f"{to.finer(found.low)} to {to.finer(found.high)}"


def _remarks(cell: CellLine) -> Iterator[str]:
    if cell.error:
        yield cell.error
    doubtful = cell.verdict not in (None, "plausible", "unknown")
    if doubtful:
        yield from cell.reasons
    if cell.server_note and not (doubtful and cell.server_note in cell.reasons):
        yield cell.server_note
    for metric, found in _shown(cell):
        # The others say in words what n and the interval show; --json has all of them.
        yield from (f"{metric}: {one.text}" for one in found.warnings if one.code in ("drift", "two-groups"))
