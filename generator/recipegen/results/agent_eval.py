"""Agentic benchmark runs: the label of a score, keeping the results. Owns no agent, no format and no rule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recipegen import __version__
from recipegen.errors import RecipegenError, Where
from recipegen.files import read_bounded, sha256_bytes, write_atomic
from recipegen.results.agent_format import LIMIT, Evaluation, read_evaluation
from recipegen.results.fast_json import decode
from recipegen.results.scrub import assert_clean, identity_here, scrub
from recipegen.results.store import claim_folder, iter_runs, run_name, utc_text
from recipegen.workspace import variant_of

if TYPE_CHECKING:
    from recipegen.lint.finding import Finding
    from recipegen.lint.subject import Recipe

RECORD_FORMAT = "recipegen-agent-run/1"
RECORD = "agent.json"
RAW = "agent-report.json"

Label = Literal["legitimate", "borderline", "capped", "capacity-bound", "invalid", "unknown"]
_CONTEXT_FLAG = "max-model-len"
"""What the rules ask for, whichever engine served."""
_INVALID = ("CTX_FLOOR_64K_HERMES_AGENT", "AGENT_SCORE_CONTEXT_FLOOR", "SMOKE_PROBE_MUST_GATE_RUN")


@dataclass(frozen=True)
class Judged:
    """The label that stands beside a score.

    Attributes:
        reason: why this label, one sentence.
        findings: of the rules about agentic results.
        notes: what could not be looked at.
    """

    label: Label
    reason: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class AgentRun:
    """An agentic run that is stored.

    Attributes:
        folder: recipes/<name>/results/<machine>/<run>.
        context_from: `file`, `recipe` (its flag when the file was taken in), or None where it is not known.
        already: it was taken in before, so that nothing was written.
    """

    folder: Path
    variant: str
    machine: str
    taken_in: str
    source: str
    sha256: str
    context_from: str | None
    evaluation: Evaluation
    already: bool = False


def judge_evaluation(recipe: Recipe, variant: str, evaluation: Evaluation) -> Judged:
    """The label of a score, by the lint rules about agentic results.

    Invalid comes first: the agent could not work at all. A score without any timeout is legitimate, since no clock
    changed it. Timeouts at the largest budget make a borderline or capped score capacity-bound.

    Args:
        recipe: the recipe that was measured.
        variant: its variant; one that the recipe no longer has is taken for the headline.
        evaluation: what came out; its context decides, whatever the recipe says now.
    """
    found = _findings(recipe, variant, evaluation)
    ids = {finding.rule.id: finding for finding in found}
    notes = []
    if evaluation.context is None:
        notes.append("the context that the server allowed is not known, so that no floor was checked")
    if evaluation.budget_s is None:
        notes.append("the time that a task could take is not known")
    if evaluation.errors:
        errors = f"{evaluation.errors} of {evaluation.tasks} tasks ended in an error"
        notes.append(f"{errors}: neither timeout nor wrong answer")
    label, reason = _label(evaluation, ids)
    return Judged(label, reason, tuple(found), tuple(notes))


def _label(evaluation: Evaluation, ids: Mapping[str, Finding]) -> tuple[Label, str]:
    counts = f"{evaluation.timeouts} timeouts, {evaluation.grader_fails} wrong answers"
    for rule in _INVALID:
        if rule in ids:
            return "invalid", ids[rule].message
    if evaluation.errors == evaluation.tasks:
        return "invalid", "every task ended in an error: nothing was judged"
    if evaluation.timeouts == 0:
        return "legitimate", "no task ran out of time"
    if "RANK_LEGITIMATE" in ids:
        return "legitimate", f"{ids['RANK_LEGITIMATE'].message}: {counts}"
    if "LABEL_CAPACITY_BOUND" in ids:
        return "capacity-bound", f"{ids['LABEL_CAPACITY_BOUND'].message}: {counts}"
    if "RANK_CAPPED" in ids:
        return "capped", f"{ids['RANK_CAPPED'].message}: {counts}; the score is a lower bound"
    if "RANK_BORDERLINE" in ids:
        return "borderline", f"{ids['RANK_BORDERLINE'].message}: {counts}"
    return "unknown", f"no rule speaks of {counts}"


def _findings(recipe: Recipe, variant: str, evaluation: Evaluation) -> list[Finding]:
    from recipegen.lint.run import lint_result
    from recipegen.lint.subject import Recipe

    spec = recipe.spec
    name = variant if variant in spec.variants else spec.headline
    flags = {key: value for key, value in spec.variants[name].flags.items() if key != _CONTEXT_FLAG}
    if evaluation.context is not None:
        flags[_CONTEXT_FLAG] = evaluation.context
    ran = spec.variants[name].model_copy(update={"flags": flags})
    there = Recipe(spec.model_copy(update={"variants": {**spec.variants, name: ran}}), recipe.document)
    metrics = {
        "agent": "-".join(evaluation.agent.lower().replace("_", " ").split()),
        "tasks": evaluation.tasks,
        "timeouts": evaluation.timeouts,
        "grader_fails": evaluation.grader_fails,
        "task_timeout_s": evaluation.budget_s,
        "smoke_probe": evaluation.smoke_probe,
        "expected_turns": evaluation.expected_turns,
        # Without a timeout no clock changed the score, however few the wrong answers: nothing is borderline.
        "timeouts_over_grader_fails": evaluation.timeouts - evaluation.grader_fails if evaluation.timeouts else None,
    }
    return lint_result(there, name, metrics)


def take_in_agent_results(
    recipe: Recipe,
    recipe_dir: Path,
    file: Path,
    machine: str,
    *,
    variant: str | None = None,
    dry_run: bool = False,
) -> AgentRun:
    """Checks a file in the format recipegen-agent/1 and keeps it, byte by byte, with its provenance.

    Args:
        recipe: the recipe that was measured.
        recipe_dir: its folder.
        file: the results.
        machine: name of the folder under results/.
        variant: which variant served; the file's own word, or the headline, by default.
        dry_run: do everything but write.

    Raises:
        AgentRefused: the file is not usable; every reason.
        RecipegenError: the variant is not the recipe's, or not the one that the file names.
    """
    raw = read_bounded(file, LIMIT)
    evaluation = read_evaluation(raw, file)
    if variant and evaluation.variant and variant != evaluation.variant:
        raise RecipegenError(f"{file} was measured on the variant {evaluation.variant!r}, not on {variant!r}")
    named = variant_of(recipe.spec, variant or evaluation.variant)
    digest = sha256_bytes(raw)
    for known in agent_runs(recipe_dir):
        if known.sha256 == digest:
            return AgentRun(**{**vars(known), "already": True})
    now = datetime.now(UTC)
    context, context_from = _context(recipe, named, evaluation)
    run = run_name(_moment(evaluation) or now, f"{named}-agent")
    record = {
        "format": RECORD_FORMAT,
        "run": run,
        "recipe": {"name": recipe.spec.name, "title": recipe.spec.title, "spec_sha256": recipe.spec.sha256},
        "variant": named,
        "machine": machine,
        "taken_in": utc_text(now),
        "versions": {"recipegen": __version__},
        "context": context,
        "context_from": context_from,
        "report": {"source": file.name, "file": RAW, "sha256": digest, "bytes": len(raw)},
    }
    identity = identity_here()
    clean = scrub(record, identity)
    assert_clean(clean, identity)
    folder = recipe_dir / "results" / machine / run
    if not dry_run:
        folder = claim_folder(recipe_dir, machine, run)
        clean["run"] = folder.name
        # The report first: a record never names a report that is not there.
        write_atomic(folder / RAW, raw, within=recipe_dir)
        text = json.dumps(clean, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        write_atomic(folder / RECORD, text, within=recipe_dir)
    return _run(folder, clean, evaluation)


def _context(recipe: Recipe, variant: str, evaluation: Evaluation) -> tuple[int | None, str | None]:
    from recipegen.fit.context import given_context

    if evaluation.context is not None:
        return evaluation.context, "file"
    length = given_context(recipe.spec, variant)
    return (length, "recipe") if length is not None else (None, None)


def _moment(evaluation: Evaluation) -> datetime | None:
    text = evaluation.started or evaluation.ended
    return datetime.fromisoformat(text) if text else None


def agent_records(recipe_dir: Path) -> list[Path]:
    """Records of the agentic runs that were taken in, by machine, then oldest first. Links are not followed."""
    records = (run / RECORD for run in iter_runs(recipe_dir, RECORD))
    return [path for path in records if not path.is_symlink()]


def agent_runs(recipe_dir: Path) -> list[AgentRun]:
    """Agentic runs that were taken in, by machine, then oldest first.

    Raises:
        RecipegenError: one cannot be read, or its report is not the one that was taken in.
    """
    return [load_agent_run(path) for path in agent_records(recipe_dir)]


def load_agent_run(path: Path) -> AgentRun:
    """The agentic run of a record.

    Raises:
        RecipegenError: it cannot be read, or its report is not the one that was taken in.
    """
    hint = "restore it from version control, or remove the folder and take the results in again"
    try:
        record = decode(read_bounded(path, LIMIT))
        whole = record["format"] == RECORD_FORMAT
        digest = record["report"]["sha256"]
        facts = [record["variant"], record["machine"], record["taken_in"], record["report"]["source"], digest]
        whole = whole and all(isinstance(fact, str) for fact in facts) and type(record["context"]) in (int, type(None))
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        message = f"{path} is not a record of an agentic run: {error}"
        raise RecipegenError(message, hint=hint, where=Where(path)) from error
    if not whole:
        raise RecipegenError(f"{path} is not a record of an agentic run", hint=hint, where=Where(path))
    raw = read_bounded(path.with_name(RAW), LIMIT)
    if sha256_bytes(raw) != digest:
        message = f"{path.with_name(RAW)} is not the file that {RECORD} recorded: its SHA-256 differs"
        raise RecipegenError(message, hint=hint, where=Where(path.with_name(RAW)))
    return _run(path.parent, record, read_evaluation(raw, path.with_name(RAW)))


def _run(folder: Path, record: Mapping[str, Any], evaluation: Evaluation) -> AgentRun:
    return AgentRun(
        folder=folder,
        variant=record["variant"],
        machine=record["machine"],
        taken_in=record["taken_in"],
        source=record["report"]["source"],
        sha256=record["report"]["sha256"],
        context_from=record["context_from"],
        evaluation=Evaluation(**{**vars(evaluation), "context": record["context"]}),
    )
