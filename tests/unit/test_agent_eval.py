"""Agentic results: what is taken in and what is refused, the label beside the score, keeping them unchanged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.cli.measure import collect_command
from recipegen.cli.results import results_command
from recipegen.errors import EXIT_FINDINGS, EXIT_USAGE, RecipegenError, SpecError
from recipegen.lint.subject import Recipe
from recipegen.publish.tables import write_index
from recipegen.results.agent_eval import (
    RAW,
    RECORD,
    Judged,
    agent_runs,
    judge_evaluation,
    take_in_agent_results,
)
from recipegen.results.agent_format import AgentRefused, Evaluation, read_evaluation
from recipegen.results.store import iter_runs
from recipegen.scaffold import init_repository, new_recipe
from recipegen.workspace import Workspace
from tests.unit.results_factory import write_json

NAME = "qwen36-35b-dflash"
MACHINE = "gb10-128g"


def result(**other: Any) -> dict[str, Any]:
    """20 tasks: 12 passed, 6 wrong answers, 2 timeouts."""
    base = {
        "format": "recipegen-agent/1",
        "suite": "TBLite",
        "agent": "hermes-agent",
        "model": "owner/Model",
        "context": 65536,
        "budget_s": 2400,
        "counts": {"tasks": 20, "pass": 12, "grader_fail": 6, "timeout": 2},
    }
    return {key: value for key, value in {**base, **other}.items() if value != "LEFT OUT"}


def counts(passed: int, grader_fail: int, timeout: int, error: int = 0) -> dict[str, int]:
    total = passed + grader_fail + timeout + error
    return {"tasks": total, "pass": passed, "grader_fail": grader_fail, "timeout": timeout, "error": error}


def read(data: Any) -> Evaluation:
    return read_evaluation(json.dumps(data).encode(), Path("agent.json"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("agent") / "repo"
    init_repository(root)
    new_recipe(Workspace.open(root), NAME)
    return Workspace.open(root)


@pytest.fixture(scope="module")
def recipe(workspace: Workspace) -> Recipe:
    return workspace.under_lint(NAME)[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipe").mkdir()
    return tmp_path / "recipe"


def judged(recipe: Recipe, **other: Any) -> Judged:
    return judge_evaluation(recipe, recipe.spec.headline, read(result(**other)))


@pytest.mark.parametrize(
    ("label", "other"),
    [
        # Figures of the published rounds: hermes-4.3-36b 3 of 20, kimi-linear 0 of 20, Nemotron-3-Super 2 of 20.
        ("legitimate", {"counts": counts(3, 15, 2)}),
        ("legitimate", {"counts": counts(0, 20, 0)}),
        ("legitimate", {"counts": counts(20, 0, 0)}),
        ("legitimate", {"counts": counts(19, 1, 0)}),
        ("borderline", {"counts": counts(10, 5, 5)}),
        ("borderline", {"counts": counts(10, 4, 5)}),
        ("borderline", {"counts": counts(10, 5, 4)}),
        ("capped", {"counts": counts(2, 6, 12)}),
        ("capped", {"counts": counts(2, 6, 12), "budget_s": None}),
        ("capacity-bound", {"counts": counts(2, 8, 10), "budget_s": 5400}),
        ("capacity-bound", {"counts": counts(2, 9, 9), "budget_s": 5400}),
        ("legitimate", {"counts": counts(2, 17, 1), "budget_s": 5400}),
        ("invalid", {"counts": counts(0, 1, 19), "context": 32768}),
        ("invalid", {"counts": counts(20, 0, 0), "context": 63999}),
        ("invalid", {"counts": counts(20, 0, 0), "context": 63999, "agent": "Hermes Agent"}),
        ("legitimate", {"counts": counts(20, 0, 0), "context": 64000}),
        ("invalid", {"counts": counts(20, 0, 0), "context": 63999, "agent": "Hermes Agent v2"}),
        ("invalid", {"counts": counts(20, 0, 0), "context": 8192, "agent": "openhands"}),
        ("invalid", {"counts": counts(10, 5, 5), "context": 63999, "agent": "openhands"}),
        ("legitimate", {"counts": counts(20, 0, 0), "context": 64000, "agent": "openhands"}),
        ("legitimate", {"counts": counts(20, 0, 0), "context": None, "agent": "openhands"}),
        ("invalid", {"counts": counts(0, 0, 20), "smoke_probe": "failed"}),
        ("invalid", {"counts": counts(0, 0, 0, 20)}),
        ("capped", {"counts": counts(0, 0, 2, 18)}),
    ],
)
def test_the_label_follows_the_rules(recipe: Recipe, label: str, other: dict[str, Any]) -> None:
    found = judged(recipe, **other)
    assert found.label == label, found.reason
    assert found.reason


def test_a_label_names_its_rule_and_what_was_not_looked_at(recipe: Recipe) -> None:
    found = judged(recipe, counts=counts(2, 6, 11, 1), context=None, budget_s=None)
    assert "RANK_CAPPED" in {finding.rule.id for finding in found.findings}
    assert "lower bound" in found.reason
    assert "11 timeouts, 6 wrong answers" in found.reason
    assert len(found.notes) == 3
    assert found.notes[2] == "1 of 20 tasks ended in an error: neither timeout nor wrong answer"


def test_the_context_of_the_run_decides_not_the_recipe_of_today(recipe: Recipe) -> None:
    below = judge_evaluation(recipe, "no-longer-there", read(result(context=32768)))
    assert below.label == "invalid"
    assert "64,000" in below.reason


def test_tasks_are_counted() -> None:
    tasks = [
        {"id": "a", "outcome": "pass", "seconds": 10.5},
        {"id": "b", "outcome": "grader_fail"},
        {"id": "c", "outcome": "timeout", "seconds": None},
        {"id": "d", "outcome": "error", "seconds": 0},
        {"id": "e", "outcome": "pass"},
    ]
    found = read(result(tasks=tasks, counts="LEFT OUT", started="2026-11-21T07:20:00+01:00", notes="first round"))
    assert (found.tasks, found.passed, found.grader_fails, found.timeouts, found.errors) == (5, 2, 1, 1, 1)
    assert found.score == "2 of 5"
    assert (found.suite, found.context, found.notes) == ("TBLite", 65536, "first round")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "not an object"),
        ({}, "names no format"),
        (result(format="recipegen-agent/2"), "'recipegen-agent/2'"),
        (result(extra=1), "extra: no such field"),
        (result(suite="LEFT OUT"), "suite: is missing"),
        (result(context="LEFT OUT"), "context: is missing"),
        (result(agent=""), "agent: is not a line of text"),
        (result(model="a\nb"), "model: is not a line of text"),
        (result(model=None), "model: is not a line of text"),
        (result(context=0), "context: 0 is not a number of tokens"),
        (result(context=64e3), "is not a number of tokens"),
        (result(context=True), "is not a number of tokens"),
        (result(budget_s=-1), "budget_s: -1 is not a number above zero"),
        (result(budget_s="2400"), "is not a number above zero"),
        (result(smoke_probe="maybe"), "neither passed nor failed"),
        (result(started="yesterday"), "is not a time with a zone"),
        (result(ended="2026-11-21T07:20:00"), "is not a time with a zone"),
        (result(counts="LEFT OUT"), "needs either tasks or counts"),
        (result(tasks=[]), "needs either tasks or counts"),
        (result(counts="LEFT OUT", tasks=[]), "tasks: is not a list of tasks"),
        (result(counts="LEFT OUT", tasks=["a"]), "tasks[0]: is not an object"),
        (result(counts="LEFT OUT", tasks=[{"outcome": "pass"}]), "tasks[0].id: is not a line"),
        (result(counts="LEFT OUT", tasks=[{"id": "a", "outcome": "passed"}]), "is not one of pass, grader_fail"),
        (result(counts="LEFT OUT", tasks=[{"id": "a", "outcome": ["pass"]}]), "is not one of pass"),
        (result(counts="LEFT OUT", tasks=[{"id": "a", "outcome": "pass", "seconds": -1}]), "number of seconds"),
        (result(counts="LEFT OUT", tasks=[{"id": "a", "outcome": "pass", "turns": 1}]), "turns: no such field"),
        (result(counts="LEFT OUT", tasks=[{"id": "a", "outcome": "pass"}] * 2), "stands there twice"),
        (result(counts=[]), "counts: is not an object"),
        (result(counts={"tasks": 2, "pass": 1, "fail": 1}), "counts.fail: no such field"),
        (result(counts={"tasks": 2, "pass": 1, "grader_fail": 1}), "counts.timeout: is missing"),
        (result(counts={**counts(1, 1, 0), "pass": 1.0}), "counts.pass: 1.0 is not a count"),
        (result(counts=counts(0, 0, 0)), "no task was run"),
        (result(counts={**counts(1, 1, 1), "tasks": 4}), "come to 3, not to 4 tasks"),
        (result(notes="token hf_" + "a" * 30), "access token"),
    ],
)
def test_what_is_no_result_is_refused_with_its_reason(data: Any, reason: str) -> None:
    with pytest.raises(AgentRefused) as caught:
        read(data)
    assert any(reason in problem.message for problem in caught.value.problems), caught.value.problems
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"format": "recipegen-agent/1", "budget_s": NaN}']
)
def test_what_is_not_whole_is_refused(raw: bytes) -> None:
    with pytest.raises(AgentRefused):
        read_evaluation(raw, Path("agent.json"))


def test_all_reasons_come_at_once() -> None:
    with pytest.raises(AgentRefused) as caught:
        read(result(suite=1, context=-1, extra=2))
    assert len(caught.value.problems) == 3


def test_results_are_kept_unchanged_with_their_provenance(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "hermes.json", result(ended="2026-11-20T10:00:00Z", variant="ar"))
    taken = take_in_agent_results(recipe, folder, file, MACHINE)
    assert taken.folder == folder / "results" / MACHINE / "20261120T100000Z-ar-agent"
    assert (taken.folder / RAW).read_bytes() == file.read_bytes()
    record = json.loads((taken.folder / RECORD).read_text())
    assert record["recipe"] == {"name": NAME, "title": recipe.spec.title, "spec_sha256": recipe.spec.sha256}
    assert record["report"]["source"] == "hermes.json"
    assert (record["variant"], record["machine"], record["context_from"]) == ("ar", MACHINE, "file")
    assert agent_runs(folder) == [taken]
    assert list(iter_runs(folder)) == []  # no row of speeds comes of it
    again = take_in_agent_results(recipe, folder, file, "another")
    assert (again.already, again.folder) == (True, taken.folder)
    assert agent_runs(folder) == [taken]


def test_an_unknown_context_is_the_recipes(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", result(context=None))
    taken = take_in_agent_results(recipe, folder, file, MACHINE)
    flags = recipe.spec.variants[recipe.spec.headline].flags
    assert (taken.evaluation.context, taken.context_from) == (flags["max-model-len"], "recipe")
    assert taken.variant == recipe.spec.headline


def test_the_context_of_another_engine_has_another_flag(folder: Path, tmp_path: Path) -> None:
    recipe, _ = Workspace.open(Path(__file__).parents[2]).under_lint("smoke-llamacpp")
    file = write_json(tmp_path / "a.json", result(context=None))
    taken = take_in_agent_results(recipe, folder, file, MACHINE)
    assert (taken.evaluation.context, taken.context_from) == (4096, "recipe")
    assert judge_evaluation(recipe, taken.variant, taken.evaluation).label == "invalid"


def test_a_dry_run_writes_nothing(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", result())
    taken = take_in_agent_results(recipe, folder, file, MACHINE, dry_run=True)
    assert taken.evaluation.passed == 12
    assert list(folder.iterdir()) == []


def test_a_wrong_variant_or_machine_is_refused(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", result(variant="ar"))
    with pytest.raises(RecipegenError, match="was measured on the variant 'ar', not on 'dflash'"):
        take_in_agent_results(recipe, folder, file, MACHINE, variant="dflash")
    with pytest.raises(RecipegenError, match="is not a name for a machine"):
        take_in_agent_results(recipe, folder, file, "../up")
    with pytest.raises(RecipegenError, match="has no variant 'nope'"):
        take_in_agent_results(recipe, folder, write_json(tmp_path / "b.json", result(variant="nope")), MACHINE)
    with pytest.raises(RecipegenError, match="cannot be read"):
        take_in_agent_results(recipe, folder, tmp_path / "nowhere.json", MACHINE)
    assert list(folder.iterdir()) == []


def test_a_report_changed_afterwards_is_told(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    taken = take_in_agent_results(recipe, folder, write_json(tmp_path / "a.json", result()), MACHINE)
    write_json(taken.folder / RAW, result(counts=counts(20, 0, 0)))
    with pytest.raises(RecipegenError, match="SHA-256 differs"):
        agent_runs(folder)
    (taken.folder / RECORD).write_text('{"format": "other"}')
    with pytest.raises(RecipegenError, match="is not a record of an agentic run"):
        agent_runs(folder)


def test_results_show_the_label_beside_the_score(workspace: Workspace, recipe: Recipe, tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", result(counts=counts(2, 6, 12), ended="2026-11-20T10:00:00Z"))
    take_in_agent_results(recipe, workspace.folder(recipe.spec), file, MACHINE)
    root = str(workspace.repository.root)
    done = CliRunner().invoke(results_command, [NAME, "--root", root])
    assert done.exit_code == 0, done.output
    assert "TBLite with hermes-agent on dflash: 2 of 20, capped" in done.output
    assert "12 timeouts, 6 wrong answers, 0 errors" in done.output
    (one,) = json.loads(CliRunner().invoke(results_command, [NAME, "--root", root, "--json"]).output)["agents"]
    assert (one["score"], one["label"], one["timeouts"], one["grader_fails"]) == ("2 of 20", "capped", 12, 6)
    assert "RANK_CAPPED" in {finding["rule"] for finding in one["findings"]}
    (next((workspace.folder(recipe.spec) / "results").glob(f"*/*/{RECORD}"))).write_text("[]")
    done = CliRunner().invoke(results_command, [NAME, "--root", root])
    assert "nothing has been measured" in done.output
    assert isinstance(done.exception, RecipegenError)
    assert done.exception.exit_code == EXIT_FINDINGS


def test_the_tables_show_the_label_beside_the_score(workspace: Workspace, recipe: Recipe, tmp_path: Path) -> None:
    root, folder = workspace.repository.root, workspace.folder(recipe.spec)
    shutil.rmtree(folder / "results", ignore_errors=True)
    runs = [
        result(counts=counts(2, 6, 12), ended="2026-11-20T10:00:00Z"),
        result(counts=counts(12, 5, 3), ended="2026-11-21T10:00:00Z", notes="the newest of its suite"),
        result(counts=counts(9, 1, 0), ended="2026-11-19T10:00:00Z", suite="Other | suite", agent="openhands"),
        result(counts=counts(1, 19, 0), ended="2026-11-22T10:00:00Z", variant="ar", context=32768),
    ]
    files = [str(write_json(tmp_path / f"{number}.json", one)) for number, one in enumerate(runs)]
    done = CliRunner().invoke(
        collect_command, [NAME, *files, "--agent", "--machine", MACHINE, "--root", str(root)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    row = next(line for line in (root / "INDEX.md").read_text().splitlines() if line.startswith(f"| [{NAME}]"))
    assert "| Other \\| suite 9 of 10, legitimate; TBLite 12 of 20, legitimate |" in row
    page = (folder / "RESULTS.md").read_text()
    assert "Nothing has been measured yet" not in page
    section = page.partition("## Agentic runs")[2].partition("\n## ")[0]
    # Newest first; every run, of every variant.
    lines = [line for line in section.splitlines() if line.startswith("| 2026")]
    assert [line.split(" | ")[6:8] for line in lines] == [
        ["1 of 20", "invalid"],
        ["12 of 20", "legitimate"],
        ["2 of 20", "capped"],
        ["9 of 10", "legitimate"],
    ]
    assert "- 20261120T100000Z-dflash-agent: capped, " in section and "the score is a lower bound" in section
    report = f"results/{MACHINE}/20261121T100000Z-dflash-agent/agent-report.json"
    assert f"[agent-report.json]({report})" in section and (folder / report).is_file()
    assert write_index(workspace, write=False) == []


def test_a_score_from_another_machine_says_so(workspace: Workspace, recipe: Recipe, tmp_path: Path) -> None:
    folder = workspace.folder(recipe.spec)
    shutil.rmtree(folder / "results", ignore_errors=True)
    take_in_agent_results(recipe, folder, write_json(tmp_path / "a.json", result()), "h100-80g")
    write_index(workspace)
    assert "TBLite 12 of 20, legitimate (on h100-80g)" in workspace.repository.index.read_text()


def test_a_broken_agentic_record_is_told_with_all_others(workspace: Workspace, recipe: Recipe, tmp_path: Path) -> None:
    folder = workspace.folder(recipe.spec)
    shutil.rmtree(folder / "results", ignore_errors=True)
    taken = take_in_agent_results(recipe, folder, write_json(tmp_path / "a.json", result()), MACHINE)
    (taken.folder / RECORD).write_text("{")
    broken = folder / "results" / MACHINE / "20261121T070000Z-dflash"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    with pytest.raises(SpecError) as caught:
        write_index(workspace)
    assert {problem.where.file for problem in caught.value.problems} == {taken.folder / RECORD, broken / "run.json"}
    shutil.rmtree(folder / "results")
