"""A leaderboard payload held against raw reports: its fields, the numbers in its notes, its own launch line. Owns what
each field of a LocalMaxxing body means; whether a board would take it is that board's matter."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from recipegen.boards.row import PREFILL_FROM_TTFT, TOTAL, agrees
from recipegen.boards.server_flags import FLAGS, KINDS
from recipegen.boards.shape import hygiene_findings, read_body, rule_findings, shape_problems
from recipegen.bundle.layout import refused
from recipegen.claims import Check
from recipegen.errors import RecipegenError
from recipegen.evidence import Evidence
from recipegen.files import read_bounded
from recipegen.fit.context import CONTEXT_FLAGS
from recipegen.plausible import Limits, judge_cell
from recipegen.publish.compare import arguments
from recipegen.publish.figures import number
from recipegen.results.report import cell_of
from recipegen.results.scrub import Identity
from recipegen.results.store import DOUBTFUL
from recipegen.verify.notes import Claimed, read_notes
from recipegen.verify.outcome import Outcome, guarded
from recipegen.verify.provenance import self_fault
from recipegen.verify.raw import Raw, Statistic, matching, nearby, read_raw, statistics_of

PAYLOAD_LIMIT = 1 << 20
LARGEST = 10**12
"""No figure of a payload is larger: bytes of memory in bytes would be."""
FIELDS = {"tokSOut": "tg", "ttftMs": "ttft", "tokSPrefill": "pp"}
"""Fields of a LocalMaxxing body that a report decides: the median of these metrics."""
MEASURED_ELSEWHERE = ("peakVramGb", "gpuPowerWatts", "hardwareCost")
_CENTRES = ("median", "mean")
_SHORT = {"tensorParallel": ("-tp",), "contextLength": ("-c",)}
_SWITCHED = {"set": True, "on": True, "off": False}
Payload = Mapping[str, Any]


def verify_payload(path: Path, raws: Sequence[Path]) -> Outcome:
    """Checks a bare payload against raw reports.

    Args:
        raws: llama-benchy's reports; the first that measured the payload's cell is the headline's, others of the same
            shape may be its baseline's.

    Raises:
        NoBundle: the file is no payload.
        RecipegenError: a report cannot be read, or is none.
    """
    data = read_bounded(path, PAYLOAD_LIMIT)
    if not isinstance(_parsed(data, path), dict):
        raise refused(path, "is JSON, but no payload of a leaderboard: not an object")
    cells = read_raw(raws)
    checks = guarded("raw", lambda: _agree(cells))
    checks += guarded("form", lambda: _form(data, path.name), path.name)
    checks += guarded("payload", lambda: check_payload(data, cells, path.name), path.name)
    checks += guarded("plausibility", lambda: _plausible(data, cells), path.name)
    return Outcome(f"payload {path.name}", None, tuple(checks))


def _form(data: bytes, path: str) -> Iterator[Check]:
    """Whether the board would read the body as it is meant, and nothing in it is private."""
    try:
        body = read_body(data)
    except ValueError as error:
        yield Check("payload-body", "failed", f"the body {error}", path)
        return
    wrong = shape_problems(body)
    yield from (Check("payload-shape", "failed", text, path) for text in wrong)
    rules = [] if wrong else [(severity, text) for _, severity, text in rule_findings(body)]
    found = [("payload-rules", rules), ("payload-hygiene", hygiene_findings(body, Identity()))]
    for name, findings in found:
        for severity, text in findings:
            yield Check(name, "failed" if severity == "error" else "undecidable", text, path)
    if not wrong and not any(findings for _, findings in found):
        yield Check(
            "payload-shape", "passed", "has the board's shape, keeps its rules, and holds nothing private", path
        )


def _parsed(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise refused(path, f"is neither a bundle nor a payload: {error}") from error


def is_payload(data: bytes) -> bool:
    """Whether a file is a body in LocalMaxxing's form."""
    if b'"tokSOut"' not in data:
        return False
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "tokSOut" in found


def raw_of_evidence(evidence: Evidence) -> list[Raw]:
    """The headline's cell, then the baseline's."""
    sides = [evidence, *([evidence.baseline] if evidence.baseline else [])]
    return [
        Raw(
            f"{side.run.name}/{side.cell['file']}",
            cell_of(dict(side.benchmark)),
            side.benchmark,
            side.report.get("latency_ms"),
            side.report.get("prefix_caching_enabled") is True,
        )
        for side in sides
    ]


def _agree(cells: list[Raw]) -> Iterator[Check]:
    for raw in cells:
        fault = self_fault(raw.benchmark)
        if fault is not None:
            yield Check("raw", "failed", fault, raw.source)
            continue
        yield Check("raw", "passed", f"{raw.shape}: its means and deviations follow from its samples", raw.source)


def check_payload(data: bytes, cells: Sequence[Raw], path: str) -> Iterator[Check]:
    """Every figure of a payload, those in its notes included.

    Args:
        data: the payload, JSON.
        cells: the headline's cell first.
        path: how to call the payload.
    """
    payload = json.loads(data, parse_float=Decimal, parse_int=Decimal)
    bad = list(_bad_numbers(payload, ""))
    yield from (Check("payload-numbers", "failed", text, path) for text in bad)
    if bad:
        return
    wanted = _wanted(payload)
    head = _head(payload, cells)
    if head is None:
        there = "; ".join(str(raw.shape) for raw in cells) or "none"
        yield Check("payload-cell", "failed", f"no report measured its cell, {wanted}; there is {there}", path)
        return
    others = [raw for raw in cells if raw is not head]
    yield Check("payload-cell", "passed", f"its cell, {wanted}, is that of {head.source}", path)
    for field, metric in FIELDS.items():
        if field not in payload:
            continue
        if field == "tokSPrefill" and head.row is not None and head.row.prefill_how == PREFILL_FROM_TTFT:
            yield _computed(field, payload[field], head.row.prefill, PREFILL_FROM_TTFT, path)
        else:
            yield from _field(field, payload[field], list(statistics_of(head, metric)), path)
    if "tokSTotal" in payload:
        total = None if head.row is None else head.row.total
        yield _computed("tokSTotal", payload["tokSTotal"], total, TOTAL, path)
    for field in MEASURED_ELSEWHERE:
        if field in payload:
            text = f"{payload[field]} does not come from a report of llama-benchy's"
            yield Check(f"figure-{field}", "undecidable", text, path)
    yield from check_notes(str(payload.get("notes") or ""), head, others, path)
    yield from _launch_line(payload, path)


def _bad_numbers(value: Any, place: str) -> Iterator[str]:
    """Numbers that no figure can be."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _bad_numbers(item, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _bad_numbers(item, f"{place}[{at}]")
    elif isinstance(value, float):  # Decimal holds every other number
        yield f"{place}: {value} is not a number"
    elif isinstance(value, Decimal) and not 0 <= value <= LARGEST:
        yield f"{place}: {value:.6g} is {'negative' if value < 0 else 'larger than anything that can be measured'}"


def _cell(payload: Payload) -> tuple[int, int, int, int]:
    """Tokens that a request of it reads, makes, and finds in the cache; requests at the same time."""
    flags = payload.get("engineFlags")
    many = (flags if isinstance(flags, dict) else {}).get("concurrency") or payload.get("batchSize") or 1
    cached = payload.get("prefillTokens") or 0
    return int(payload["promptTokens"]), int(payload["outputTokens"]), int(cached), int(many)


def _wanted(payload: Payload) -> str:
    prompt, output, cached, many = _cell(payload)
    return f"{prompt} tokens read, {output} made, {cached} cached, {many} at a time"


def _field(field: str, value: Any, found: list[Statistic], path: str) -> Iterator[Check]:
    name = f"figure-{field}"
    if not isinstance(value, Decimal):
        yield Check(name, "failed", f"{value!r:.80} is not a number", path)
        return
    same = matching(value, found, ("median",))
    mean = matching(value, found, ("mean",))
    if not same and not mean:
        text = f"{field} {value} does not follow from {_source(found)}; what does: {nearby(found, _CENTRES)}"
        yield Check(name, "failed", text, path)
        return
    if not same:
        text = f"{field} {value} is the {mean[0]} in {mean[0].source}; boards ask for the median"
        yield Check(name, "undecidable", text, path)
        return
    yield Check(name, "passed", f"{field} {value} follows: {same[0]} in {same[0].source}", path)
    if all(one.of == "all" for one in same):
        text = f"{field} counts the first sample, which is right only where a warm-up of the same shape came before"
        yield Check("warm-rule", "undecidable", text, path)


def _source(found: list[Statistic]) -> str:
    return found[0].source if found else "the report, which has no such metric"


def _computed(field: str, value: Any, found: float | None, how: str, path: str) -> Check:
    """A figure that no metric of the report is, from the unrounded medians."""
    name = f"figure-{field}"
    if not isinstance(value, Decimal):
        return Check(name, "failed", f"{value!r:.80} is not a number", path)
    if found is None:
        return Check(name, "undecidable", f"the report has not all that {field} is made of: {how}", path)
    good = agrees(value, found)
    text = f"{field} {value} {'follows' if good else 'does not follow'}: {found:.2f} is {how}"
    return Check(name, "passed" if good else "failed", text, path)


def _head(payload: Payload, cells: Sequence[Raw]) -> Raw | None:
    """The first report that measured the payload's cell."""
    wanted = _cell(payload)
    rows = ((raw, raw.row) for raw in cells)
    return next(
        (raw for raw, row in rows if row and (row.prompt, row.output, row.cached, row.concurrency) == wanted), None
    )


def _plausible(data: bytes, cells: Sequence[Raw]) -> Iterator[Check]:
    """Whether the samples can be; of a bundle the whole evidence is judged instead."""
    payload = _parsed(data, Path("payload"))
    head = _head(payload, cells) if {"promptTokens", "outputTokens"} <= set(payload) else None
    if head is None:
        return
    judged = judge_cell(head.benchmark, Limits(), latency_ms=head.latency_ms)
    if judged.verdict in DOUBTFUL:
        text = f"{judged.verdict}: {'; '.join(one.text for one in judged.findings)}"
        yield Check("plausibility", "failed", text, head.source)
    else:
        text = "the samples agree with each other; which machine and model they are of no report says"
        yield Check("plausibility", "undecidable", text, head.source)


def check_notes(text: str, head: Raw, others: Sequence[Raw], path: str) -> Iterator[Check]:
    """Every number in free text that claims something measured."""
    claims, left = read_notes(text)
    for claim in claims:
        status, words = _claim(claim, head, others)
        yield Check(f"notes-{claim.kind}", status, f'"{claim.words}": {words}', path)  # type: ignore[arg-type]
    if left:
        text = f"no report can decide: {', '.join(dict.fromkeys(left))}"
        yield Check("notes-other", "undecidable", text if len(text) <= 300 else f"{text[:300]} …", path)


def _claim(claim: Claimed, head: Raw, others: Sequence[Raw]) -> tuple[str, str]:
    raw = _meant(claim, head, others)
    if raw is None:
        return "undecidable", "no report of that cell was given"
    metric = claim.metric or "tg"
    found = list(statistics_of(raw, metric))
    if claim.kind == "n":
        good = [one for one in matching(claim.value, found, ("n",)) if one.of == "warm" or not claim.warm]
        return ("passed", str(good[0])) if good else ("failed", f"{raw.source} has {nearby(found, ('n',))}")
    if claim.kind == "range":
        low, high = (matching(value, found, (stat,)) for value, stat in _ends(claim))
        both = {one.of for one in low} & {one.of for one in high}
        words = nearby(found, ("min", "max"))
        return ("passed", words) if both else ("failed", f"does not follow from {raw.source}; what does: {words}")
    if claim.kind == "ratio":
        return _ratio(claim, head, others)
    if claim.kind == "stat":
        return _stat(claim, raw, found, (str(claim.stat),))
    metrics = ("tg", "pp", "ttft")
    every = [one for cell in (head, *others) for other in metrics for one in statistics_of(cell, other)]
    same = matching(claim.value, every, _CENTRES)
    if same:
        return "passed", f"{same[0]} of {same[0].metric} in {same[0].source}"
    return "undecidable", "the text does not say which statistic of what this is, and no report gives it"


def _ends(claim: Claimed) -> list[tuple[Decimal, str]]:
    return [(claim.value, "min"), (claim.high or claim.value, "max")]


def _stat(claim: Claimed, raw: Raw, found: list[Statistic], stats: Sequence[str]) -> tuple[str, str]:
    good = matching(claim.value, found, stats)
    if good:
        return "passed", f"{good[0]} of {good[0].metric} in {raw.source}"
    return "failed", f"does not follow from {raw.source}; what does: {nearby(found, stats)}"


def _meant(claim: Claimed, head: Raw, others: Sequence[Raw]) -> Raw | None:
    """The report that a sentence speaks of: the headline's, unless it names another shape."""
    names = {"pp": "pp", "tg": "tg", "c": "concurrency", "d": "depth"}
    shape = dict(claim.shape)
    fits = [raw for raw in (head, *others) if all(getattr(raw.shape, names[key]) == shape[key] for key in shape)]
    return fits[0] if fits else None


def _ratio(claim: Claimed, head: Raw, others: Sequence[Raw]) -> tuple[str, str]:
    """A speed-up: the headline's warm median over the baseline's, of its report or as the text gives it."""
    ours = next((one for one in statistics_of(head, "tg") if one.stat == "median"), None)
    if ours is None:
        return "undecidable", "the report has no decode speed"
    same = [raw for raw in others if raw.shape == head.shape]
    bases = [(one, one.source) for raw in same for one in statistics_of(raw, "tg") if one.stat == "median"]
    if claim.base is not None:
        bases = [(one, source) for one, source in bases if agrees(claim.base, one.value)]
    if bases:
        value, source = bases[0][0].value, bases[0][1]
    elif claim.base:
        value, source = float(claim.base), "the text itself"
    else:
        return "undecidable", "the baseline's report was not given"
    if not value or not math.isfinite(ours.value / value):
        return "undecidable", "the baseline has no speed"
    text = f"{number(ours.value)} / {number(value)} ({source}) is {ours.value / value:.3f}"
    if not agrees(claim.value, ours.value / value):
        return "failed", f"does not follow: {text}"
    return ("passed", text) if bases else ("undecidable", f"{text}; the baseline's report was not given")


def _launch_line(payload: Payload, path: str) -> Iterator[Check]:
    """Fields that repeat what the launch line says."""
    flags = payload.get("engineFlags")
    fields = {**payload, **(flags if isinstance(flags, dict) else {})}
    line = fields.get("commandSnippet")
    if not isinstance(line, str):
        return
    try:
        given = arguments(shlex.split(line))
    except ValueError as error:
        yield Check("field-commandSnippet", "undecidable", f"is not a command line: {error}", path)
        return
    said = dict(_said(given))
    said |= _drafter(given.get("--speculative-config"))
    for field, value in said.items():
        if field in fields and value is not None:
            good = _agrees(fields[field], value)
            words = f"{fields[field]} and the launch line {'agree' if good else f'says {value}'}"
            yield Check(f"field-{field}", "passed" if good else "failed", f"{field} {words}", path)


def _said(given: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """What a launch line says of each field of a payload."""
    # Several slots part llama.cpp's window among them, each its own way.
    parted = any(given.get(name, "1") != "1" for name in ("--parallel", "-np"))
    windows = [] if parted else [(flag, "contextLength") for flag in CONTEXT_FLAGS.values()]
    for flag, field in [*windows, *(pair for table in FLAGS.values() for pair in table.items())]:
        values = [given[name] for name in (f"--{flag}", *_SHORT.get(field, ())) if name in given]
        if bool not in KINDS.get(field, ()):
            yield from ((field, value) for value in values)
        elif f"--no-{flag}" in given:
            yield field, False
        else:
            yield from ((field, _SWITCHED[value]) for value in values if value in _SWITCHED)


def _drafter(config: str | None) -> dict[str, Any]:
    try:
        found = json.loads(config or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not found:
        return {}
    model = found.get("model")
    return {
        "specDecoding": True,
        "specMethod": found.get("method"),
        "specNumTokens": found.get("num_speculative_tokens"),
        "specModel": str(model).rstrip("/").rpartition("/")[2] if model else None,
    }


def _agrees(field: Any, value: Any) -> bool:
    if isinstance(field, bool) or isinstance(value, bool):
        return field is value
    if isinstance(field, Decimal):
        try:
            return Decimal(str(value)) == field
        except InvalidOperation:
            return False
    one, two = str(field).lower(), str(value).lower()
    return one.rpartition("/")[2] == two.rpartition("/")[2]


def require_raw(raws: Sequence[Path]) -> None:
    """A payload alone proves nothing.

    Raises:
        RecipegenError: no report was given.
    """
    if not raws:
        raise RecipegenError(
            "a payload is checked against the raw reports that it was made from",
            hint="name them: recipegen verify payload.json --raw report.json [--raw baseline.json]",
        )
