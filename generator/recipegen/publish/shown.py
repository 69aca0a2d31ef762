"""A recipe with everything that is shown of it: read once, for the table, its pages, its charts and the site.

Owns no text and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.errors import Problem, RecipegenError, SpecError, Where
from recipegen.publish.agents import labelled_agents, newest_scores
from recipegen.publish.charts.recipe import FOLDER as CHARTS
from recipegen.publish.charts.recipe import recipe_charts
from recipegen.publish.entry import IndexEntry, entry_of, headline_cell, headline_run
from recipegen.publish.history import headline_histories
from recipegen.publish.listing import CellLine, RunLine, list_runs
from recipegen.publish.ratios import ratio_of
from recipegen.publish.row import AgentScore, Measured, Row, SpeedUp, State
from recipegen.results.reproduced import load_reproductions
from recipegen.results.store import quality_of, run_order

if TYPE_CHECKING:
    from recipegen.publish.charts.chart import Chart
    from recipegen.publish.history import Series
    from recipegen.results.reproduced import Reproduction
    from recipegen.spec.completed import Spec
    from recipegen.stats.summary import Described
    from recipegen.workspace import Workspace


@dataclass(frozen=True)
class Shown:
    """A recipe, its runs and its row.

    Attributes:
        runs: newest first.
        history: of the headline, where it was measured more than once.
    """

    entry: IndexEntry
    runs: tuple[RunLine, ...]
    reproductions: tuple[Reproduction, ...]
    row: Row
    charts: tuple[Chart, ...] = ()
    history: tuple[Series, ...] = ()


def read_shown(workspace: Workspace, spec: Spec) -> tuple[Shown, list[Problem]]:
    """Reads all records and raw reports of a recipe, and says what of them cannot be used."""
    folder = workspace.folder(spec)
    agents, problems = labelled_agents(workspace, spec.name)
    entry = entry_of(spec, folder, f"recipes/{spec.name}", agents)
    runs, wrong = list_runs(folder)
    made: list[Reproduction] = []
    try:
        made = load_reproductions(folder)
    except SpecError as error:
        wrong += error.problems
    except RecipegenError as error:
        wrong.append(Problem(error.where or Where(folder), error.message, error.hint))
    return shown_of(entry, runs, made), problems + wrong


def shown_of(entry: IndexEntry, runs: Iterable[RunLine], reproductions: Sequence[Reproduction] = ()) -> Shown:
    """What is shown of a recipe.

    Args:
        entry: the recipe.
        runs: its runs, in any order.
        reproductions: measurements made again beside a reference.
    """
    newest = tuple(sorted(runs, key=lambda run: (run_order(run.folder), run.machine), reverse=True))
    row = _row(entry, newest, reproductions)
    history = tuple(headline_histories(newest, entry.headline, entry.cell_id))
    charts = tuple(recipe_charts(newest, row, entry.baseline, history))
    row = replace(row, charts=tuple(f"{entry.link}/{CHARTS}/{chart.id}.svg" for chart in charts))
    return Shown(entry, newest, tuple(reproductions), row, charts, history)


def _row(entry: IndexEntry, runs: Sequence[RunLine], reproductions: Sequence[Reproduction]) -> Row:
    run, cell = _headline(entry, runs)
    quality = run.quality if run else "fail" if _failed_quality(entry, runs) else None
    figures = cell.figures if cell else {}
    state: State = "measured" if run else "published" if entry.published else "not measured"
    machine = run.machine if run else None
    return Row(
        name=entry.name,
        title=entry.title,
        link=entry.link,
        status=entry.status,
        state=state,
        model=entry.model,
        quantization=entry.quantization,
        method=entry.method,
        engine=(run and run.engine) or entry.engine,
        hardware=entry.hardware,
        nodes=entry.nodes,
        context=entry.context,
        headline=entry.headline,
        cell=entry.cell_id,
        pp_tokens=entry.cell.pp,
        tg_tokens=entry.cell.tg,
        depth=entry.cell.depth,
        concurrency=entry.cell.concurrency,
        tg=_measured(figures.get("tg")),
        pp=_measured(figures.get("pp")),
        ttfr=_measured(figures.get("ttfr")),
        speed_up=_speed_up(entry, runs, run),
        memory_bytes=cell.peak_used_bytes if cell else None,
        quality=quality,
        verdict=cell.verdict if cell else None,
        origin=run.record["origin"] if run else None,
        run=run.folder.name if run else None,
        machine=machine,
        date=((cell and cell.ended) or (run and run.date) or "")[:10] or None,
        own_hardware=run is None or entry.is_own_hardware(run.machine, run.record["host"]),
        report=_place(entry, run.folder / cell.file) if run and cell and cell.file else None,
        last_run=max((one.date for one in runs if one.date), default=None),
        runs=len(runs),
        reproduced=len({one.machine for one in reproductions if one.verdict == "reproduced"} - {machine}),
        agents=tuple(
            AgentScore(
                one.evaluation.suite,
                one.evaluation.score,
                judged.label,
                one.machine,
                entry.is_named_like_own(one.machine),
            )
            for one, judged in newest_scores(entry.agents, entry.headline)
        ),
        published=entry.published,
    )


def _place(entry: IndexEntry, path: Path) -> str:
    return f"{entry.link}/{path.relative_to(entry.folder).as_posix()}"


def _headline(entry: IndexEntry, runs: Sequence[RunLine]) -> tuple[RunLine | None, CellLine | None]:
    chosen = headline_run(entry, ((run.folder, run.record) for run in runs))
    if chosen is None:
        return None, None
    run = next(run for run in runs if run.folder == chosen[0])
    return run, run.measured(entry.cell_id)


def _failed_quality(entry: IndexEntry, runs: Sequence[RunLine]) -> bool:
    """Whether the headline was measured on a server that did not answer rightly."""
    return any(quality_of(run.record) == "fail" and headline_cell(entry, run.record) for run in runs)


def _measured(found: Described | None) -> Measured | None:
    if found is None:
        return None
    return Measured(found.median, found.low, found.high, found.n, tuple(one.code for one in found.warnings))


def _speed_up(entry: IndexEntry, runs: Sequence[RunLine], run: RunLine | None) -> SpeedUp | None:
    """Decode speed of the run in the table over the baseline's."""
    if run is None or entry.baseline is None or entry.baseline == entry.headline:
        return None
    found = ratio_of(run, runs, entry.baseline, entry.cell_id, "tg")
    return None if found is None else SpeedUp(entry.baseline, found.ratio, found.low, found.high, found.effect)
