"""Whether a LocalMaxxing body, made by anybody, agrees with the recipe and the raw files. Owns the comparison; what the
right body is says `payload`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from recipegen.boards.payload import Entry, cell_row, launch_problems, sample_problems
from recipegen.boards.row import DIGITS, Row, agrees
from recipegen.boards.shape import hygiene_findings, read_body, rule_findings, shape_problems
from recipegen.claims import Check, Status
from recipegen.evidence import Evidence
from recipegen.results.scrub import Identity

_WORDING = ("notes", "engineFlags.commandSnippet", "engineFlags.extraFlags", "outputSample")
_OTHER_WORDS = ("hardware.cpu", "hardware.os")
"""Texts that the board itself replaces, or that can be put in other words."""
_SHOWN = 120


def check_body(raw: bytes, path: str, own: Entry, evidence: Evidence, *, verified: bool = False) -> list[Check]:
    """Every point of one body.

    Args:
        path: of the file, for the checks.
        own: what recipegen makes of the same evidence.
        verified: it is the row of a canonical prompt.
    """
    kind = "localmaxxing-verified" if verified else "localmaxxing"
    try:
        body = read_body(raw)
    except ValueError as error:
        return [Check(f"{kind}-body", "failed", f"the body {error}", path)]
    found = [*_form(body, kind, verified=verified)]
    if not verified:
        found += _rests(evidence, kind)
    row = None if verified else _row(evidence)
    if not any(check.status == "failed" and check.id == f"{kind}-shape" for check in found):
        found += _fields(body, own, row, kind)
    return [Check(one.id, one.status, one.text, path) for one in found]


def check_source(source: Mapping[str, Any], path: str, own: Entry) -> Check:
    """Whether source.json names the report and the samples that the evidence has."""
    for part in ("report", "capture", "row", "samples", "metrics"):
        if source.get(part) != own.source.get(part):
            return Check("localmaxxing-source", "failed", f"{part} is not that of the raw files", path)
    return Check("localmaxxing-source", "passed", "report, row and samples are those of the raw files", path)


def _form(body: Mapping[str, Any], kind: str, *, verified: bool) -> Iterator[Check]:
    wrong = shape_problems(body, verified=verified)
    yield _of(f"{kind}-shape", wrong, "has the board's shape")
    if wrong:
        return
    rules, hygiene = rule_findings(body), hygiene_findings(body, Identity())
    yield _of(
        f"{kind}-rules",
        [text for _, severity, text in rules if severity == "error"],
        "; ".join(["keeps the board's other rules", *(text for _, severity, text in rules if severity != "error")]),
    )
    yield _of(
        f"{kind}-hygiene",
        [text for severity, text in hygiene if severity == "error"],
        "; ".join(["holds nothing secret", *(text for severity, text in hygiene if severity != "error")]),
    )


def _rests(evidence: Evidence, kind: str) -> Iterator[Check]:
    yield _of(f"{kind}-samples", sample_problems(evidence), "no request failed: the first sample is the cold one")
    yield _of(f"{kind}-launch-line", launch_problems(evidence), "the recipe's command line is the one that ran")


def _of(name: str, problems: list[str], good: str) -> Check:
    return Check(name, "failed", "; ".join(problems)) if problems else Check(name, "passed", good)


def _row(evidence: Evidence) -> Row | None:
    try:
        return cell_row(evidence)
    except ValueError:
        return None


def _exact(row: Row | None) -> dict[str, float | None]:
    """Figures of a row before they are rounded."""
    if row is None:
        return {}
    return {"ttftMs": row.ttft, "tokSOut": row.decode, "tokSPrefill": row.prefill, "tokSTotal": row.total}


def _fields(body: Mapping[str, Any], own: Entry, row: Row | None, kind: str) -> Iterator[Check]:
    """Each field against what follows from the raw files and the recipe."""
    right, exact = dict(_leaves(own.body or {})), _exact(row)
    for place, claimed in _leaves(body):
        name = f"{kind}-{_kebab(place)}"
        found = exact[place] if exact.get(place) is not None else right.get(place)
        if found is None:
            yield Check(name, "undecidable", f"{place} is {_shown(claimed)}; neither recipe nor raw files say it")
            continue
        same = _is_figure(claimed, found) if place in exact else _same(claimed, found)
        status: Status = "passed" if same else "failed"
        if status == "failed" and place in (*_OTHER_WORDS, *_WORDING):
            status = "undecidable"
        elif status == "failed" and place == "engineVersion" and _is_version(found, claimed):
            status = "passed"
        follows = "as it follows" if status == "passed" else f"{_shown(found)} follows"
        yield Check(name, status, f"{place} is {_shown(claimed)}, {follows} from the raw files and the recipe")


def _same(claimed: Any, found: Any) -> bool:
    if isinstance(claimed, bool) or isinstance(found, bool):
        return claimed is found
    if isinstance(claimed, str) and isinstance(found, str):
        return claimed.casefold() == found.casefold()  # DFlash, Dflash: whether the board folds case is not known
    return bool(claimed == found)


def _is_figure(claimed: Any, found: Any) -> bool:
    """Whether a figure is what was found, in the decimals that rows are sent with: fewer would hide a difference."""
    numbers = isinstance(claimed, int | float) and isinstance(found, int | float)
    return numbers and agrees(claimed, found) and abs(claimed - found) < 10.0**-DIGITS


def _is_version(found: Any, claimed: Any) -> bool:
    """Whether a version is the recorded one, with all that is known of the image after it or without any."""
    return isinstance(claimed, str) and claimed in (str(found), str(found).partition(" ")[0])


def _leaves(value: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        inner = f"{place}.{key}".lstrip(".")
        if isinstance(item, Mapping) and key in ("hardware", "engineFlags"):
            yield from _leaves(item, inner)
        else:
            yield inner, item


def _kebab(place: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", place.replace(".", "-")).lower()
    return re.sub(r"[^a-z0-9-]+", "-", words)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]} …"
