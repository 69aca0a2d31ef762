"""What there is of a recipe: runs, cells, agentic runs, each with its figures. Owns no printing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.errors import Problem, RecipegenError, SpecError, Where
from recipegen.publish.figures import METRICS, cell_samples
from recipegen.results.agent_eval import AgentRun, agent_records, load_agent_run
from recipegen.results.store import CellRecord, RunRecord, iter_runs, load_run
from recipegen.stats.summary import Described, describe

if TYPE_CHECKING:
    from recipegen.results.agent_eval import Judged


@dataclass(frozen=True)
class CellLine:
    """One cell of a run.

    Attributes:
        pp, tg, depth: prompt, answer and context in tokens.
        file: name of the raw report in the run's folder; None for a cell that failed.
        ended: when it was done, in UTC; None where nobody noted it.
        samples: raw samples by metric, in the order in which they were measured; the first, cold one included.
        figures: statistics of the warm samples, by metric (tok/s, tok/s, ms).
        verdict: whether the figures can be right; None where nobody judged them.
        reasons: of the verdict.
        acceptance_length: mean tokens of one pass as the server counted them; None without speculation, or unknown.
        peak_used_bytes: most memory of the host in use meanwhile; None where nobody looked.
        failed_requests: None where nobody counted.
        server_note: why the server's counters say nothing, or not all; None when there is nothing to tell.
        recorded_note: what of that stands in the record itself, so that it outlives the counters' file.
    """

    id: str
    corpus: str
    thinking: str
    pp: int
    tg: int
    depth: int
    concurrency: int
    status: str
    error: str | None
    file: str | None
    ended: str | None
    samples: Mapping[str, tuple[float, ...]]
    figures: Mapping[str, Described]
    verdict: str | None
    reasons: tuple[str, ...]
    acceptance_length: float | None
    peak_used_bytes: int | None
    failed_requests: int | None
    server_note: str | None
    recorded_note: str | None


@dataclass(frozen=True)
class RunLine:
    """One run.

    Attributes:
        engine: name and version, as far as they are known: `vllm 0.32.0`.
        record: what run.json says, for those who need more of it.
        quality: pass, warn or fail; None where nobody looked.
        quality_reasons: of the checks that did not pass.
    """

    folder: Path
    machine: str
    run: str
    variant: str
    method: str
    status: str
    error: str | None
    started: str | None
    date: str | None
    engine: str
    profile: str | None
    quality: str | None
    quality_reasons: tuple[str, ...]
    cells: tuple[CellLine, ...]
    record: RunRecord = field(repr=False)

    def measured(self, cell_id: str) -> CellLine | None:
        """The cell of that id, where it has figures."""
        return next((cell for cell in self.cells if cell.id == cell_id and cell.figures), None)

    @property
    def done(self) -> int:
        """Cells that were measured."""
        return sum(cell.status == "done" for cell in self.cells)

    def as_data(self) -> dict[str, Any]:
        """The run for --json."""
        shown = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "record"}
        return {
            **shown,
            "folder": str(self.folder),
            "cells": [asdict(cell) for cell in self.cells],
            "cells_done": self.done,
        }


def list_runs(recipe_dir: Path) -> tuple[list[RunLine], list[Problem]]:
    """All runs of a recipe, by machine, then oldest first, and what of them cannot be read."""
    lines: list[RunLine] = []
    problems: list[Problem] = []
    for folder in iter_runs(recipe_dir):
        try:
            lines.append(_run_line(folder, problems))
        except SpecError as error:
            problems += error.problems
        except RecipegenError as error:
            problems.append(_problem(error, folder))
    return lines, problems


def list_agents(recipe_dir: Path) -> tuple[list[AgentRun], list[Problem]]:
    """All agentic runs of a recipe, and what of them cannot be read."""
    runs: list[AgentRun] = []
    problems: list[Problem] = []
    for path in agent_records(recipe_dir):
        try:
            runs.append(load_agent_run(path))
        except SpecError as error:
            problems += error.problems
        except RecipegenError as error:
            problems.append(_problem(error, path))
    return runs, problems


def _problem(error: RecipegenError, folder: Path) -> Problem:
    return Problem(error.where or Where(folder), error.message, error.hint)


def _run_line(folder: Path, problems: list[Problem]) -> RunLine:
    record = load_run(folder)
    quality = record.get("quality") or {}
    return RunLine(
        folder=folder,
        machine=folder.parent.name,
        run=folder.name,
        variant=record["variant"],
        method=record["method"],
        status=record["status"],
        error=record["error"],
        started=record["started"],
        date=(record["ended"] or record["started"] or "")[:10] or None,
        engine=" ".join(str(record["engine"][key]) for key in ("name", "version") if record["engine"].get(key)),
        profile=record.get("profile"),
        quality=quality.get("verdict"),
        quality_reasons=tuple(_failed_checks(quality.get("checks") or ())),
        cells=tuple(_cell_line(folder, cell, problems) for cell in record["cells"]),
        record=record,
    )


def _failed_checks(checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for check in checks:
        if check.get("verdict") != "pass":
            yield f"{check.get('id')}: {check.get('why')}"


def _cell_line(folder: Path, cell: CellRecord, problems: list[Problem]) -> CellLine:
    from recipegen.plausible.counters import acceptance_length, peak_used_bytes, server_note
    from recipegen.plausible.judge import metrics_of

    samples: dict[str, tuple[float, ...]] = {}
    figures: dict[str, Described] = {}
    if cell["status"] == "done":
        # Of one request at a time, the decode speed of each is that of all.
        metrics_asked = [*METRICS, *(["tg_req"] if cell["concurrency"] > 1 else [])]
        try:
            found = zip(metrics_asked, cell_samples(folder, cell, *metrics_asked), strict=True)
            samples = {metric: tuple(values) for metric, values in found if values}
            figures = {metric: describe(values) for metric, values in samples.items()}
        except SpecError as error:
            problems += error.problems
    verdict = cell.get("verdict") or {}
    metrics = metrics_of(folder, cell) or {}
    return CellLine(
        id=cell["id"],
        corpus=cell["corpus"],
        thinking=cell["thinking"],
        pp=cell["pp"],
        tg=cell["tg"],
        depth=cell["depth"],
        concurrency=cell["concurrency"],
        status=cell["status"],
        error=cell["error"],
        file=cell["file"],
        ended=cell["ended"],
        samples=samples,
        figures=figures,
        verdict=verdict.get("verdict"),
        reasons=tuple(map(str, verdict.get("reasons") or ())),
        acceptance_length=acceptance_length(metrics),
        peak_used_bytes=peak_used_bytes(metrics),
        failed_requests=cell.get("failed_requests"),
        server_note=server_note(metrics),
        recorded_note=cell.get("server_note"),
    )


def agent_data(run: AgentRun, judged: Judged) -> dict[str, Any]:
    """An agentic run with its label, for --json."""
    return {
        "folder": str(run.folder),
        "machine": run.machine,
        "variant": run.variant,
        "taken_in": run.taken_in,
        "source": run.source,
        "context_from": run.context_from,
        **asdict(run.evaluation),
        "score": run.evaluation.score,
        "label": judged.label,
        "reason": judged.reason,
        "notes": list(judged.notes),
        "findings": [finding.as_data() for finding in judged.findings],
    }
