"""Agentic runs as tables show them: the score, and the label beside it. Owns no judging and no page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.errors import Problem
from recipegen.publish.figures import NOTHING, table_head, table_row
from recipegen.publish.listing import list_agents
from recipegen.quoting import markdown_link, markdown_text
from recipegen.results.agent_eval import RAW, AgentRun, Judged, judge_evaluation
from recipegen.results.store import run_order

if TYPE_CHECKING:
    from recipegen.workspace import Workspace

Labelled = tuple[AgentRun, Judged]

_HEAD = table_head(
    ("run", False),
    ("variant", False),
    ("suite", False),
    ("agent", False),
    ("context", True),
    ("seconds a task", True),
    ("score", True),
    ("label", False),
    ("timeouts", True),
    ("wrong answers", True),
    ("errors", True),
    ("raw report", False),
)


def labelled_agents(workspace: Workspace, name: str) -> tuple[list[Labelled], list[Problem]]:
    """All agentic runs of a recipe with their labels, oldest first, and what of them cannot be read."""
    runs, problems = list_agents(workspace.repository.folder(name))
    if not runs:
        return [], problems  # only their labels need the recipe itself
    recipe, _ = workspace.under_lint(name)
    return [(run, judge_evaluation(recipe, run.variant, run.evaluation)) for run in runs], problems


def newest_scores(agents: Sequence[Labelled], variant: str) -> list[Labelled]:
    """Of one variant the newest run of each suite, by the suite's name."""
    newest: dict[str, Labelled] = {}
    for run, judged in sorted(agents, key=lambda one: run_order(one[0].folder)):
        if run.variant == variant:
            newest[run.evaluation.suite] = run, judged
    return [newest[suite] for suite in sorted(newest)]


def score_text(run: AgentRun, judged: Judged) -> str:
    """`TBLite 12 of 20, borderline`, as finished Markdown."""
    return f"{markdown_text(run.evaluation.suite)} {run.evaluation.score}, {judged.label}"


def agent_section(agents: Sequence[Labelled], recipe_dir: Path) -> list[str]:
    """A section of RESULTS.md: every agentic run, newest first, and why its label; nothing where there is none."""
    if not agents:
        return []
    rows, remarks = [], []
    for run, judged in sorted(agents, key=lambda one: run_order(one[0].folder), reverse=True):
        rows.append(_row(run, judged, recipe_dir))
        name = markdown_text(run.folder.name)
        remarks += [f"- {name}: {markdown_text(text)}" for text in (f"{judged.label}, {judged.reason}", *judged.notes)]
    return [
        "## Agentic runs",
        "",
        "What an agent made of the tasks of a suite; the label says what the score is worth.",
        "",
        *_HEAD,
        *rows,
        "",
        *remarks,
        "",
    ]


def _row(run: AgentRun, judged: Judged, recipe_dir: Path) -> str:
    evaluation = run.evaluation
    report = f"{run.folder.relative_to(recipe_dir).as_posix()}/{RAW}"
    context, budget = evaluation.context, evaluation.budget_s
    return table_row(
        f"{markdown_text(run.folder.name)} on {markdown_text(run.folder.parent.name)}",
        markdown_text(run.variant),
        markdown_text(evaluation.suite),
        markdown_text(evaluation.agent),
        NOTHING if context is None else f"{context:,}",
        NOTHING if budget is None else f"{budget:g}",
        evaluation.score,
        judged.label,
        *map(str, (evaluation.timeouts, evaluation.grader_fails, evaluation.errors)),
        markdown_link(RAW, report),
    )
