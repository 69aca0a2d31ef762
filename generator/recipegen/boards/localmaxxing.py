"""LocalMaxxing: one JSON body a row. Owns what the board takes and the order of sending: looked at, dry run, compared,
one POST. Bodies are `payload`'s, the wire is `transport`'s."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from recipegen.boards.agreement import check_body, check_source
from recipegen.boards.answers import Meaning, meaning, rate_words
from recipegen.boards.base import Board, Preflight, Sending, Submitted
from recipegen.boards.credentials import Secret, config_file, find_secret
from recipegen.boards.notes import doubts
from recipegen.boards.payload import Entry, entry_of
from recipegen.boards.receipts import Receipts
from recipegen.boards.shape import hygiene_findings, read_body, rule_findings, shape_problems
from recipegen.boards.transport import Ambiguous, NotSent, Reply, board_address, post
from recipegen.boards.verified_entry import judge_capture, read_capture, verified_entry
from recipegen.claims import Check
from recipegen.errors import CheckFailed, RecipegenError
from recipegen.evidence import Evidence, find_evidence
from recipegen.proc import BOARD_KEYS

if TYPE_CHECKING:
    from recipegen.workspace import Workspace

URL = "https://www.localmaxxing.com"
URL_VARIABLE = "RECIPEGEN_LOCALMAXXING_URL"
"""Another address of the board, for tests against a server of one's own."""
PATH = "/api/speed-tests"
DRY_RUN_PATH = "/api/speed-tests/dry-run"
MOST_WAITS = 5
_ECHOED = ("id", "status", "hfId", "tokSOut", "tokSPrefill", "tokSTotal", "ttftMs", "peakVramGb", "verifiedRun")
PAYLOAD, SOURCE = "payload.json", "source.json"
PAYLOAD_VERIFIED, SOURCE_VERIFIED = "payload-verified.json", "source-verified.json"


class LocalMaxxing(Board):
    """https://www.localmaxxing.com, speed tests."""

    name: ClassVar[str] = "localmaxxing"
    title: ClassVar[str] = "LocalMaxxing"

    def find(
        self, workspace: Workspace, recipe: str, *, variant: str | None, run: str | None, cell: str | None
    ) -> Evidence:
        """The cell of the table, or the one named."""
        return find_evidence(workspace, recipe, variant=variant, run=run, cell=cell)

    def files(self, evidence: Evidence) -> dict[str, bytes]:
        """payload.json and source.json; of a captured canonical prompt a second pair."""
        found: dict[str, bytes] = {}
        for entry, payload, source in _entries(evidence):
            if entry.body is not None and not shape_problems(entry.body):
                found |= {payload: _written(entry.body), source: _written(entry.source)}
        return found

    def preflight(self, evidence: Evidence, *, verified: bool = False) -> Preflight:
        """Shape, rules, hygiene with this host's names, and what speaks against the figures."""
        entry = verified_entry(evidence) if verified else entry_of(evidence)
        problems, warnings = _looked_at(entry, verified=verified)
        doubted = _doubts(evidence, verified=verified) if entry.body is not None else []
        return Preflight(self.name, (*problems, *doubted), tuple(warnings), tuple(_losses(evidence, verified=verified)))

    def check(self, files: Mapping[str, bytes], evidence: Evidence) -> list[Check]:
        """Each body of the folder against the raw files and the recipe."""
        found = []
        for payload, source, verified in ((PAYLOAD, SOURCE, False), (PAYLOAD_VERIFIED, SOURCE_VERIFIED, True)):
            if payload not in files:
                continue
            try:
                own = verified_entry(evidence) if verified else entry_of(evidence)
            except RecipegenError as error:
                found.append(Check("localmaxxing-verified-capture", "failed", error.message, payload))
                continue
            found += check_body(files[payload], payload, own, evidence, verified=verified)
            if source in files:
                try:
                    found.append(check_source(read_body(files[source]), source, own))
                except ValueError as error:
                    found.append(Check("localmaxxing-source", "failed", f"the file {error}", source))
        return found

    def submit(self, evidence: Evidence, receipts: Receipts, how: Sending) -> Submitted:
        """A dry run, a comparison of what the board understood, and one POST."""
        entry = verified_entry(evidence) if how.verified else entry_of(evidence)
        problems, warnings = _looked_at(entry, verified=how.verified)
        doubted = _doubts(evidence, verified=how.verified) if entry.body is not None and not how.doubtful else []
        for warning in warnings:
            how.tell(f"look at: {warning}")
        if problems or doubted or entry.body is None:
            raise CheckFailed(
                f"{self.title} would not get this entry: {'; '.join([*problems, *doubted])}",
                hint="--doubtful sends a figure in spite of doubts, which its notes then say" if not problems else "",
            )
        root = board_address(os.environ.get(URL_VARIABLE) or URL, URL_VARIABLE)
        if not (how.again or how.dry_run):
            receipts.require_unsent(entry.identity, root)
        key = self._key(how)
        patience = _Patience(how)
        looked = self._dry_run(root, key, entry.body, how, patience)
        if how.dry_run:
            return looked
        with receipts.locked():
            if not how.again:
                receipts.require_unsent(entry.identity, root)  # another process may have been quicker
            return self._send(root, key, entry, receipts, how, patience)

    def _key(self, how: Sending) -> Secret:
        files = [config_file("recipegen", "localmaxxing.key")]
        return find_secret("LocalMaxxing key", BOARD_KEYS, files, given=how.token_file)

    def _dry_run(self, root: str, key: Secret, body: Mapping[str, Any], how: Sending, patience: _Patience) -> Submitted:
        host = urlsplit(root).netloc
        while True:
            try:
                reply = post(f"{root}{DRY_RUN_PATH}", _wire(body), secret=key)
            except Ambiguous as error:
                raise Ambiguous(f"dry run: {error.message}", hint="nothing was stored: try again") from None
            found = meaning(reply, host, real=False)
            if not patience.waited(found):
                break
        if found.state != "accepted":
            raise RecipegenError(f"dry run: {found.message}", hint=found.hint, exit_code=found.exit_code)
        answer = reply.data
        if answer["valid"] is not True:
            raise CheckFailed(f"dry run: {host} says that the entry is not valid: {reply.words}")
        parsed = answer.get("parsed")
        other = list(differences(body, parsed)) if isinstance(parsed, Mapping) else [("parsed", "is not told")]
        said = answer.get("verification")
        issues = said.get("issues") if isinstance(said, Mapping) else None
        if how.verified and issues:
            other.append(("verification", f"names what keeps the mark away: {json.dumps(issues)[:500]}"))
        other = [(place, text) for place, text in other if place not in how.accept]
        if other:
            raise CheckFailed(
                f"dry run: {host} understood something else: {'; '.join(f'{place} {text}' for place, text in other)}",
                hint="nothing was sent. `--accept FIELD` takes a difference that you have looked at; repeatable",
            )
        how.tell(f"dry run: {host} understands every field as it was sent")
        return Submitted(self.name, "dry-run", facts={"endpoint": f"{root}{DRY_RUN_PATH}", "verification": said})

    def _send(
        self, root: str, key: Secret, entry: Entry, receipts: Receipts, how: Sending, patience: _Patience
    ) -> Submitted:
        assert entry.body is not None, "looked at before"
        endpoint, host = f"{root}{PATH}", urlsplit(root).netloc
        while True:
            receipts.add("sending", entry.identity, endpoint)
            try:
                reply = post(endpoint, _wire(entry.body), secret=key)
            except NotSent as error:
                receipts.add("refused", entry.identity, endpoint, why=error.message)
                raise
            except Ambiguous as error:
                receipts.add("ambiguous", entry.identity, endpoint, why=error.message)
                raise Ambiguous(f"{error.message}: it may be stored or not", hint=_kept(receipts)) from None
            found = meaning(reply, host, real=True)
            echoed = _echoed(reply)
            told = {"status": reply.status, "id": found.id, "echoed": echoed}
            if found.state != "accepted":
                told["why"] = found.message
            else:
                status = echoed.get("status", "not told")
                how.tell(f"{found.message} as {found.id}, status {status}")  # first: a full disk must not cost the id
            receipts.add(found.state, entry.identity, endpoint, **told)
            if not patience.waited(found):
                break
        if found.state == "ambiguous":
            raise Ambiguous(found.message, hint=_kept(receipts))
        if found.state == "refused":
            raise RecipegenError(found.message, hint=found.hint, exit_code=found.exit_code)
        if words := rate_words(reply):
            how.tell(f"{host}: {words}")
        return Submitted(self.name, "accepted", found.id, facts={"endpoint": endpoint, **told})


def differences(sent: Any, parsed: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Fields that the board did not understand as they were sent; what it adds on its own is no difference."""
    if isinstance(sent, Mapping):
        if not isinstance(parsed, Mapping):
            yield place or "parsed", "is missing"
            return
        for key, value in sent.items():
            inner = f"{place}.{key}".lstrip(".")
            if key not in parsed:
                yield inner, "is missing"
            else:
                yield from differences(value, parsed[key], inner)
    elif isinstance(sent, bool) or isinstance(parsed, bool):
        if sent is not parsed:
            yield place, f"is {json.dumps(parsed)[:80]}"
    elif sent != parsed:
        yield place, f"is {json.dumps(parsed)[:80]}"


def _entries(evidence: Evidence) -> Iterator[tuple[Entry, str, str]]:
    yield entry_of(evidence), PAYLOAD, SOURCE
    if evidence.record.get("verified"):
        yield verified_entry(evidence), PAYLOAD_VERIFIED, SOURCE_VERIFIED


def _looked_at(entry: Entry, *, verified: bool) -> tuple[list[str], list[str]]:
    """Problems and warnings of an entry as it would be sent from this host."""
    problems, warnings = list(entry.problems), list(entry.warnings)
    if entry.body is None:
        return problems, warnings
    shape = shape_problems(entry.body, verified=verified)
    problems += shape
    if not shape:
        rules = [(severity, text) for _, severity, text in rule_findings(entry.body)]
        for severity, text in [*rules, *hygiene_findings(entry.body)]:
            (problems if severity == "error" else warnings).append(text)
    return problems, warnings


def _doubts(evidence: Evidence, *, verified: bool) -> list[str]:
    judged = judge_capture(evidence, read_capture(evidence)[0]) if verified else evidence.judgement
    return doubts(evidence, judged)


def _losses(evidence: Evidence, *, verified: bool) -> Iterator[str]:
    """What the board has no field for."""
    tg = evidence.figures.get("tg")
    if not verified and tg is not None:
        yield f"the {tg.n} single samples: one figure is kept, their mean, std and range stand in notes as text"
        yield f"n = {tg.n} and the {tg.dropped} dropped: in notes and extraFlags as text"
        tool = evidence.report.get("version")
        yield f"the tool's version and arguments (llama-benchy {tool}): in extraFlags as text"
        yield "the text that prompts were cut from: its name stands in notes, its SHA-256 is lost"
    if not verified:
        yield "the verified mark: no llama-benchy run can earn it; `bench --profile localmaxxing-verified` can"
    image = evidence.record["image"] or {}
    if image.get("digest") or image.get("base"):
        yield "the image's digest and what was built onto its base: at most in engineVersion as text"
    if evidence.metrics is not None:
        yield "the server's and the host's time series: one peak of memory and rates of acceptance are kept"
    yield "the quality gate and the verdict on plausibility: in notes as text"


class _Patience:
    """How often and how long it may still be waited: one budget for the dry run and the POST."""

    def __init__(self, how: Sending) -> None:
        self._how, self._left_s, self._waits = how, how.wait_s, MOST_WAITS

    def waited(self, found: Meaning) -> bool:
        """Waits as the board asks, where the user allows that long; an attempt follows every wait."""
        if found.wait_s is None or found.wait_s > self._left_s or not self._waits:
            return False
        self._left_s -= found.wait_s
        self._waits -= 1
        self._how.tell(f"{found.message}; waiting")
        time.sleep(found.wait_s)
        return True


def _echoed(reply: Reply) -> dict[str, Any]:
    """What the board says that it has stored: known fields with plain values, none of its words."""
    data = reply.data
    return {
        name: value[:200] if isinstance(value, str) else value
        for name in _ECHOED
        if isinstance(value := data.get(name), str | int | float | bool)
    }


def _kept(receipts: Receipts) -> str:
    return (
        f"look for the row at the board; if it is not there, --again sends it once more (recorded in {receipts.path})"
    )


def _wire(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _written(data: Mapping[str, Any]) -> bytes:
    # Half of a surrogate pair, from a record of anybody's, can be no UTF-8.
    return (json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode("utf-8", "replace")
