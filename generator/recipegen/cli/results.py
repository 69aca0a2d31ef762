"""The command results: what was measured of a recipe, on a terminal and as JSON. Owns which runs are shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipegen.cli import json_option, root_option
from recipegen.errors import RecipegenError
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from recipegen.publish.history import Series
    from recipegen.publish.listing import RunLine

_METRICS = ("tg", "pp", "ttfr", "tg_req")


@click.command("results")
@click.argument("name")
@click.option("--variant", "variants", metavar="V", multiple=True, help="Only this variant; repeatable.")
@click.option("--cell", "cells", metavar="TEXT", multiple=True, help="Only cells whose id holds this text; repeatable.")
@click.option("--metric", "metrics", type=click.Choice(_METRICS), multiple=True, help="Only this metric; repeatable.")
@click.option("--history", is_flag=True, help="Every figure over time, and what moved it, instead of the runs.")
@click.option("--all", "all_runs", is_flag=True, help="Every run, not only the newest of each variant and machine.")
@root_option
@json_option
def results_command(
    name: str,
    variants: tuple[str, ...],
    cells: tuple[str, ...],
    metrics: tuple[str, ...],
    history: bool,
    all_runs: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    """Show what was measured of the recipe NAME: runs, newest first, with every cell; agentic runs; the history.

    Figures are warm medians with their 95 % intervals. `in order` shows the samples as they were measured, the cold
    one before the bar; beside it the interval on one scale for all cells of a metric. `failed` counts requests,
    `accepted` is the mean of tokens that one pass yields, `peak` the most memory of the host in use.

    Where the headline was measured more than once, changes of engine, image, flags or system are named and marked
    gain or regression where they are significant against the scatter between runs. --json has all runs, samples,
    figures and series, whatever is shown. Exit code 1 when a record or a raw report cannot be used.

    \b
    Examples:
      recipegen results qwen36-35b-dflash
      recipegen results qwen36-35b-dflash --variant dflash --metric tg --all
      recipegen results qwen36-35b-dflash --history --cell pp2048
      recipegen results qwen36-35b-dflash --json
    """
    from recipegen.cli.results_text import Shown, show
    from recipegen.publish.agents import labelled_agents
    from recipegen.publish.history import histories
    from recipegen.publish.index import RecordsBroken
    from recipegen.publish.listing import agent_data, list_runs

    workspace = Workspace.open(root)
    runs, problems = list_runs(workspace.repository.folder(name))
    agents, broken = labelled_agents(workspace, name)
    problems += broken
    series = [one for one in histories(runs) if _wanted(one, variants, cells, metrics)]
    measured = sorted({run.variant for run in runs} | {run.variant for run, _ in agents})
    runs = [_only(run, cells, metrics) for run in runs if not variants or run.variant in variants]
    agents = [one for one in agents if not variants or one[0].variant in variants]
    headline = _headline(workspace, name)
    if as_json:
        data = {
            "recipe": name,
            "headline": None if headline is None else {"variant": headline[0], "cell": headline[1]},
            "runs": [run.as_data() for run in runs],
            "series": [asdict(one) for one in series],
            "agents": [agent_data(run, judged) for run, judged in agents],
            "problems": [str(problem) for problem in problems],
        }
        click.echo(json.dumps(data, indent=2))
    elif not runs and not agents:
        if measured:
            hint = f"measured: {', '.join(measured)}"
            raise RecipegenError(f"nothing has been measured of {name}'s {', '.join(variants)}", hint=hint)
        click.echo(f"nothing has been measured of {name} yet: recipegen bench {name}")
    else:
        chosen = list(reversed(_in_time(runs))) if all_runs else _newest(runs)
        show(Shown(chosen, len(runs) - len(chosen), series, headline, agents), history=history)
    if problems:
        raise RecordsBroken(problems)


def _wanted(series: Series, variants: Sequence[str], cells: Sequence[str], metrics: Sequence[str]) -> bool:
    return (
        (not variants or series.variant in variants)
        and (not cells or any(text in series.cell for text in cells))
        and (not metrics or series.metric in metrics)
    )


def _only(run: RunLine, cells: Sequence[str], metrics: Sequence[str]) -> RunLine:
    """The run with the cells and metrics that were asked for."""
    kept = [cell for cell in run.cells if not cells or any(text in cell.id for text in cells)]
    if metrics:
        kept = [
            replace(cell, samples=_some(cell.samples, metrics), figures=_some(cell.figures, metrics)) for cell in kept
        ]
    return replace(run, cells=tuple(kept))


def _some(found: Any, metrics: Sequence[str]) -> dict[str, Any]:
    return {metric: value for metric, value in found.items() if metric in metrics}


def _in_time(runs: Sequence[RunLine]) -> list[RunLine]:
    from recipegen.results.store import run_order

    return sorted(runs, key=lambda run: (run_order(run.folder), run.machine))


def _newest(runs: Sequence[RunLine]) -> list[RunLine]:
    """Of each variant and machine the newest run; and, where that has no figures, the newest one that has."""
    chosen: list[RunLine] = []
    seen: dict[tuple[str, str], bool] = {}
    for run in reversed(_in_time(runs)):
        has = any(cell.figures for cell in run.cells)
        key = run.variant, run.machine
        if key not in seen or (has and not seen[key]):
            chosen.append(run)
            seen[key] = has
    return chosen


def _headline(workspace: Workspace, name: str) -> tuple[str, str] | None:
    """The headline variant and cell; None where the recipe itself cannot be read, which its results outlive."""
    try:
        spec = workspace.spec(name)
    except RecipegenError:
        return None
    return spec.headline, spec.cell(spec.bench.headline).id
