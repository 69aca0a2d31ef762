"""The format in which results of agentic benchmark runs are taken in, and its checks. Owns no label and no storage.

A file in the format recipegen-agent/1 is a JSON object:

    {"format": "recipegen-agent/1", "suite": "TBLite", "agent": "hermes-agent", "model": "owner/Model",
     "context": 65536, "budget_s": 2400,
     "tasks": [{"id": "chess", "outcome": "pass", "seconds": 120.5}, {"id": "maze", "outcome": "timeout"}]}

`outcome` is pass, grader_fail (a wrong answer), timeout (the clock ran out) or error (neither: the agent or its
harness broke). Where single tasks are not known, `counts` stands in place of `tasks`:

    "counts": {"tasks": 20, "pass": 12, "grader_fail": 5, "timeout": 3, "error": 0}

`context` (tokens that the server allowed) and `budget_s` (seconds a task) may be null where nobody noted them.
Optional: variant, started, ended (ISO 8601 with a zone), expected_turns, smoke_probe (passed or failed), notes. No
other field is taken.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from recipegen.errors import Problem, SpecError, Where
from recipegen.results.fast_json import decode
from recipegen.results.scrub import find_secret

FORMAT = "recipegen-agent/1"
LIMIT = 8 * 1024 * 1024
"""Largest file that is read, bytes; a thousand tasks have about 100 kB."""
MOST_TASKS = 100_000
OUTCOMES = ("pass", "grader_fail", "timeout", "error")
_NEEDED = ("format", "suite", "agent", "model", "context", "budget_s")
_OPTIONAL = ("variant", "started", "ended", "expected_turns", "smoke_probe", "notes")
_KNOWN = frozenset([*_NEEDED, *_OPTIONAL, "tasks", "counts"])


@dataclass(frozen=True)
class Evaluation:
    """One agentic run, as its file says.

    Attributes:
        context: tokens that the server allowed; None where it is not known.
        budget_s: seconds that a task could take; None where it is not known.
        tasks: how many there were; passed, grader_fails, timeouts and errors add up to it.
        variant: the recipe's variant, where the file says it.
    """

    suite: str
    agent: str
    model: str
    context: int | None
    budget_s: float | None
    tasks: int
    passed: int
    grader_fails: int
    timeouts: int
    errors: int
    variant: str | None = None
    started: str | None = None
    ended: str | None = None
    expected_turns: float | None = None
    smoke_probe: str | None = None
    notes: str | None = None

    @property
    def score(self) -> str:
        """`12 of 20`."""
        return f"{self.passed} of {self.tasks}"


class AgentRefused(SpecError):
    """A file is no usable result of an agentic run; carries every reason found in it."""


def read_evaluation(raw: bytes, path: Path) -> Evaluation:
    """Checks the bytes of a file in the format recipegen-agent/1.

    Raises:
        AgentRefused: it is not one; every reason at once.
    """
    try:
        data = decode(raw)
    except (ValueError, RecursionError) as error:
        raise AgentRefused([Problem(Where(path), f"is not JSON: {error}", "the file may be cut short")]) from error
    if not isinstance(data, dict):
        raise AgentRefused([Problem(Where(path), "is JSON, but not an object", f"format: {FORMAT}")])
    if data.get("format") != FORMAT:
        found = str(data.get("format"))[:60]
        message = f"has the format {found!r}, {FORMAT!r} is understood" if "format" in data else "names no format"
        hint = f'write "format": "{FORMAT}" with suite, agent, model, context, budget_s and tasks or counts'
        raise AgentRefused([Problem(Where(path), message, hint)])
    problems = list(_faults(data))
    if find_secret(raw.decode("utf-8", "replace")):
        problems.append(("holds what looks like an access token", "never publish it"))
    if problems:
        raise AgentRefused([Problem(Where(path), message, hint) for message, hint in problems])
    counts = data["counts"] if "counts" in data else Counter(task["outcome"] for task in data["tasks"])
    told: dict[str, Any] = {key: data.get(key) for key in (*_NEEDED[1:], *_OPTIONAL)}
    return Evaluation(
        **told,
        tasks=counts["tasks"] if "counts" in data else len(data["tasks"]),
        passed=counts["pass"],
        grader_fails=counts["grader_fail"],
        timeouts=counts["timeout"],
        errors=counts.get("error", 0),
    )


_Fault = tuple[str, str]


def _faults(data: Mapping[str, Any]) -> Iterator[_Fault]:
    for key in sorted(map(str, data.keys() - _KNOWN)):
        yield f"{key[:80]}: no such field", f"there are: {', '.join(sorted(_KNOWN))}"
    for key in _NEEDED:
        if key not in data:
            yield f"{key}: is missing", "null where it is not known" if key in ("context", "budget_s") else ""
    for key in ("suite", "agent", "model", "variant", "notes"):
        if key in data and not (_is_line(data[key]) or (data[key] is None and key in ("variant", "notes"))):
            yield f"{key}: is not a line of text", ""
    context = data.get("context")
    if context is not None and not (type(context) is int and context > 0):
        yield f"context: {context!r:.40} is not a number of tokens", "a whole number, as in 65536"
    for key in ("budget_s", "expected_turns"):
        if data.get(key) is not None and not (_is_number(data[key]) and data[key] > 0):
            yield f"{key}: {data[key]!r:.40} is not a number above zero", ""
    if data.get("smoke_probe") not in (None, "passed", "failed"):
        yield f"smoke_probe: {data['smoke_probe']!r:.40} is neither passed nor failed", ""
    for key in ("started", "ended"):
        if data.get(key) is not None and not _is_time(data[key]):
            yield f"{key}: {data[key]!r:.40} is not a time with a zone", "2026-11-21T07:20:00Z"
    if ("tasks" in data) == ("counts" in data):
        yield "needs either tasks or counts", "tasks, one entry each, say more"
    elif "tasks" in data:
        yield from _task_faults(data["tasks"])
    else:
        yield from _count_faults(data["counts"])


def _task_faults(tasks: Any) -> Iterator[_Fault]:
    if not isinstance(tasks, list) or not 0 < len(tasks) <= MOST_TASKS:
        yield "tasks: is not a list of tasks", f"1 to {MOST_TASKS:,} of them"
        return
    seen: set[str] = set()
    for index, task in enumerate(tasks):
        place = f"tasks[{index}]"
        if not isinstance(task, dict):
            yield f"{place}: is not an object", ""
            continue
        for key in sorted(map(str, task.keys() - {"id", "outcome", "seconds"})):
            yield f"{place}.{key[:80]}: no such field", "a task has id, outcome and seconds"
        if not _is_line(task.get("id")):
            yield f"{place}.id: is not a line of text", ""
        elif task["id"] in seen:
            yield f"{place}.id: {task['id'][:80]!r} stands there twice", "one entry a task"
        else:
            seen.add(task["id"])
        outcome = task.get("outcome")
        if not isinstance(outcome, str) or outcome not in OUTCOMES:
            yield f"{place}.outcome: {outcome!r:.40} is not one of {', '.join(OUTCOMES)}", ""
        seconds = task.get("seconds")
        if seconds is not None and not (_is_number(seconds) and seconds >= 0):
            yield f"{place}.seconds: {seconds!r:.40} is not a number of seconds", ""


def _count_faults(counts: Any) -> Iterator[_Fault]:
    if not isinstance(counts, dict):
        yield "counts: is not an object", ""
        return
    whole = ("tasks", *OUTCOMES)
    wrong = False
    for key in sorted(map(str, counts.keys() - set(whole))):
        yield f"counts.{key[:80]}: no such field", f"there are: {', '.join(whole)}"
    for key in whole:
        if key not in counts and key != "error":
            wrong = True
            apart = "timeouts and wrong answers must be told apart (recipegen explain TIMEOUT_IS_NOT_GRADER_FAIL)"
            yield f"counts.{key}: is missing", apart if key in ("grader_fail", "timeout") else ""
        elif key in counts and not (type(counts[key]) is int and 0 <= counts[key] <= MOST_TASKS):
            wrong = True
            yield f"counts.{key}: {counts[key]!r:.40} is not a count", ""
    if wrong:
        return
    if counts["tasks"] == 0:
        yield "counts.tasks: no task was run, so that there is no score", ""
    total = sum(counts.get(outcome, 0) for outcome in OUTCOMES)
    if total != counts["tasks"]:
        yield f"counts: pass, grader_fail, timeout and error come to {total}, not to {counts['tasks']} tasks", ""


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != "" and len(value) <= 300 and value.isprintable()


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
