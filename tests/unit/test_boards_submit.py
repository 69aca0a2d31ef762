"""Sending to LocalMaxxing: every answer of the board, what is recorded, when nothing is sent again, and where a key may
come from and must never go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recipegen.boards import localmaxxing, receipts_of, transport
from recipegen.boards.answers import UNREADABLE_WAIT_S, rate_words, wait_of
from recipegen.boards.credentials import Secret, find_secret
from recipegen.boards.localmaxxing import differences
from recipegen.boards.receipts import Receipts
from recipegen.boards.transport import Reply, board_address
from recipegen.bundle.make import write_bundle, write_folder
from recipegen.cli.submit import submit_command
from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError
from recipegen.web import is_loopback
from tests.support.board_server import DRY_RUN, HTML, KEY, SUBMIT, BoardServer, Scripted, boards, places
from tests.unit import bundle_factory
from tests.unit.boards_factory import edit_recipe, measured
from tests.unit.test_compare import NAME, made, root

__all__ = ["made", "root"]  # the fixtures


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BoardServer]:
    """The board on the loopback, its address and a key in the environment."""
    with boards() as server:
        monkeypatch.setenv("RECIPEGEN_LOCALMAXXING_URL", server.url)
        monkeypatch.setenv("LMX_API_KEY", KEY)
        monkeypatch.delenv("LOCALMAXXING_API_KEY", raising=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        # A proxy would see the requests to this host.
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setattr(transport, "TIMEOUT_S", 0.5)
        yield server


@dataclass(frozen=True)
class Outcome:
    """What a command came to.

    Attributes:
        code: the exit code, by the error's own.
        text: all that a user reads.
    """

    code: int
    text: str
    stdout: str


def submit(root: Path, *args: str) -> Outcome:
    """`recipegen submit NAME --board localmaxxing ARGS`; the key is in nothing that it says or leaves behind."""
    done: Result = CliRunner().invoke(submit_command, [NAME, "--board", "localmaxxing", *args, "--root", str(root)])
    code, text = done.exit_code, done.output
    if isinstance(done.exception, RecipegenError):
        code = done.exception.exit_code
        text += f"error: {done.exception.message}\n{done.exception.hint}\n"
    elif done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert places(KEY, text, root=root) == []
    return Outcome(code, text, done.stdout)


def steps(root: Path) -> list[dict[str, Any]]:
    return receipts_of(root, root / "recipes" / NAME, "localmaxxing").entries()


def states(root: Path) -> list[str]:
    return [step["state"] for step in steps(root)]


def test_an_entry_is_looked_at_compared_and_sent_once(root: Path, board: BoardServer) -> None:
    evidence = measured(root)
    done = submit(root, "--json")
    assert done.code == 0, done.text
    data = json.loads(done.stdout)
    assert (data["state"], data["id"]) == ("accepted", board.rows[0]["id"])
    assert [one.path for one in board.seen] == [DRY_RUN, SUBMIT]
    for one in board.seen:
        assert one.headers["Authorization"] == f"Bearer {KEY}"
        assert one.headers["Content-Type"] == "application/json"
        assert one.headers["User-Agent"].startswith("recipegen/")
        assert one.json == json.loads(localmaxxing.LocalMaxxing().files(evidence)["payload.json"])
    sending, accepted = steps(root)
    assert (sending["state"], accepted["state"]) == ("sending", "accepted")
    assert accepted["entry"] == {
        "kind": "cell",
        "cell": evidence.cell["id"],
        "report_sha256": evidence.cell["sha256"],
    }
    assert (accepted["status"], accepted["id"]) == (201, board.rows[0]["id"])
    assert accepted["echoed"]["tokSOut"] == 50.55
    assert "Authorization" not in json.dumps(steps(root))
    assert "29 of 30 entries are left" in done.text


def test_an_accepted_entry_is_not_sent_again_unless_asked(root: Path, board: BoardServer) -> None:
    measured(root)
    assert submit(root).code == 0
    again = submit(root)
    assert again.code == 1
    assert f"was accepted on {steps(root)[-1]['time']} as {board.rows[0]['id']}" in again.text
    assert (len(board.rows), len(board.asked(DRY_RUN))) == (1, 1)  # not even a dry run
    assert submit(root, "--again").code == 0
    assert len(board.rows) == 2


def test_a_dry_run_sends_nothing_and_leaves_no_receipt(root: Path, board: BoardServer) -> None:
    measured(root)
    done = submit(root, "--dry-run")
    assert done.code == 0
    assert "would take it" in done.text
    assert [one.path for one in board.seen] == [DRY_RUN]
    assert not (root / "recipes" / NAME / "submission").exists()


HERE = "https://board.example.org"
ROW = {"id": "cm1", "status": "APPROVED"}
HTML_HEAD = {"Content-Type": "text/html; charset=utf-8"}
REDIRECT = {"Location": "https://example.org/api/speed-tests"}


@dataclass(frozen=True)
class Case:
    """An answer to the real POST, and what must come of it."""

    answer: Scripted
    code: int
    state: str
    words: str


CASES = {
    "400": Case(Scripted(400, {"error": "tokSOut: expected number"}), 1, "refused", "tokSOut: expected number"),
    "400 with an id": Case(
        Scripted(400, {"error": "GGUF", "suggestedHfId": "Qwen/Qwen3.6-35B-A3B"}), 1, "refused", "Qwen/Qwen3.6-35B-A3B"
    ),
    "400, half of it": Case(Scripted(400, {"error": "x" * 100}, cut=20), 1, "refused", "refuses the entry"),
    "401": Case(Scripted(401, {"error": "expired"}), 3, "refused", "does not take the key"),
    "403 of the edge": Case(Scripted(403, b"error code: 1010"), 3, "refused", "refuses the client, not the entry"),
    "404": Case(Scripted(404, {"error": "not found"}), 4, "refused", "knows no such path"),
    "409": Case(Scripted(409, {"error": "duplicate"}), 1, "refused", "such an entry already"),
    "413": Case(Scripted(413, b""), 1, "refused", "too large"),
    "429": Case(Scripted(429, b""), 3, "refused", "again in 60 s"),
    "429 Retry-After": Case(Scripted(429, b"", {"Retry-After": "121"}), 3, "refused", "again in 121 s"),
    "429 retryAfterMs": Case(Scripted(429, {"retryAfterMs": 300_500}), 3, "refused", "again in 301 s"),
    "429 unreadable": Case(Scripted(429, b"", {"Retry-After": "soon"}), 3, "refused", "again in 60 s"),
    "422": Case(Scripted(422, {"message": "hardware"}), 1, "refused", "hardware"),
    "302": Case(Scripted(302, b"", REDIRECT), 4, "refused", "a key is sent to no other address"),
    "308": Case(Scripted(308, b"", REDIRECT), 4, "refused", "redirects"),
    "500": Case(Scripted(500, {"error": "database"}), 4, "ambiguous", "failed (status 500): database"),
    "502, a page": Case(Scripted(502, HTML, HTML_HEAD), 4, "ambiguous", "a page of HTML"),
    "200, a page": Case(Scripted(200, HTML, HTML_HEAD), 4, "refused", "nothing was stored"),
    "200, a page as JSON": Case(Scripted(200, HTML), 4, "refused", "nothing was stored"),
    "200, JSON": Case(Scripted(200, {"ok": True}), 4, "refused", "says nothing (status 200)"),
    "200 with an id": Case(Scripted(200, ROW), 4, "ambiguous", "200 where a stored row gets 201"),
    "200, empty": Case(Scripted(200, b""), 4, "refused", "no body (status 200)"),
    "200, half": Case(Scripted(200, ROW, cut=9), 4, "ambiguous", "stored row gets 201"),
    "201, empty": Case(Scripted(201, b""), 4, "ambiguous", "201 (stored) and nothing else"),
    "201 without an id": Case(Scripted(201, {"status": "APPROVED"}), 4, "ambiguous", "without an id"),
    "201, an empty id": Case(Scripted(201, {"id": " "}), 4, "ambiguous", "without an id"),
    "201, a page": Case(Scripted(201, HTML, HTML_HEAD), 4, "ambiguous", "a page of HTML"),
    "201, half": Case(Scripted(201, ROW, cut=9), 4, "ambiguous", "breaks off"),
    "201, a list": Case(Scripted(201, b"[1]"), 4, "ambiguous", "without an id"),
    "202": Case(Scripted(202, ROW), 4, "ambiguous", "failed (status 202)"),
    "418": Case(Scripted(418, b"teapot"), 4, "refused", "failed (status 418): teapot"),
    "nothing": Case(Scripted(nothing=True), 4, "ambiguous", "did not answer"),
    "after the time-out": Case(Scripted(201, ROW, late_s=30), 4, "ambiguous", "no answer within 0.5 s"),
    "a byte now and then": Case(Scripted(drip=True), 4, "ambiguous", "breaks off"),
    "a megabyte": Case(Scripted(201, b"x" * (3 << 20)), 4, "ambiguous", "breaks off"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_answer_has_its_words_its_exit_code_and_its_receipt(root: Path, board: BoardServer, case: Case) -> None:
    measured(root, baseline=False)
    board.script(SUBMIT, case.answer)
    done = submit(root)
    assert done.code == case.code, done.text
    assert case.words in done.text
    assert states(root) == ["sending", case.state]
    assert len(board.asked(SUBMIT)) == 1  # never a second try by itself
    # Afterwards: what was refused can be sent, what may be stored only when asked.
    later = submit(root)
    if case.state == "refused":
        assert (later.code, len(board.rows)) == (0, 1)
    else:
        assert later.code == 1
        assert "nobody knows whether it was stored" in later.text
        assert board.rows == []
        assert (submit(root, "--again").code, len(board.rows)) == (0, 1)


DRY_CASES = {
    "400": (Scripted(400, {"error": "x"}), 1, "dry run: "),
    "401": (Scripted(401, {"error": "x"}), 3, "does not take the key"),
    "403": (Scripted(403, b"error code: 1010"), 3, "refuses the client"),
    "429": (Scripted(429, b"", {"Retry-After": "9"}), 3, "again in 9 s"),
    "500": (Scripted(500, b""), 4, "no word on why"),
    "a page": (Scripted(200, HTML, HTML_HEAD), 4, "a page of HTML"),
    "empty": (Scripted(200, b""), 4, "no body"),
    "half": (Scripted(200, {"valid": True, "parsed": {}}, cut=8), 4, "half an answer"),
    "nothing": (Scripted(nothing=True), 4, "nothing was stored: try again"),
    "late": (Scripted(late_s=30), 4, "no answer within 0.5 s"),
    "a row": (Scripted(201, ROW), 4, "failed (status 201)"),
    "not valid": (Scripted(200, {"valid": False, "issues": ["hfId"]}), 1, "not valid"),
    "not said": (Scripted(200, {"parsed": {}}), 4, "says nothing"),
    "valid in words": (Scripted(200, {"valid": "yes"}), 4, "says nothing"),
    "understood nothing": (Scripted(200, {"valid": True, "parsed": {}}), 1, "tokSOut is missing"),
    "does not tell": (Scripted(200, {"valid": True}), 1, "parsed is not told"),
}


@pytest.mark.parametrize(("answer", "code", "words"), DRY_CASES.values(), ids=DRY_CASES.keys())
def test_a_dry_run_that_does_not_agree_sends_nothing(
    root: Path, board: BoardServer, answer: Scripted, code: int, words: str
) -> None:
    measured(root, baseline=False)
    board.script(DRY_RUN, answer)
    done = submit(root)
    assert done.code == code, done.text
    assert words in done.text
    assert board.asked(SUBMIT) == []
    assert steps(root) == []


def test_what_the_board_understood_is_compared_field_by_field(root: Path, board: BoardServer) -> None:
    evidence = measured(root, baseline=False)
    body = json.loads(localmaxxing.LocalMaxxing().files(evidence)["payload.json"])
    body["engineFlags"]["specMethod"] = "DFLASH"
    del body["tokSPrefill"]
    board.script(DRY_RUN, *[Scripted(200, {"valid": True, "parsed": {**body, "more": 1}})] * 3)
    done = submit(root)
    assert done.code == 1
    assert 'engineFlags.specMethod is "DFLASH"' in done.text
    assert "tokSPrefill is missing" in done.text
    assert submit(root, "--accept", "tokSPrefill").code == 1
    assert submit(root, "--accept", "tokSPrefill", "--accept", "engineFlags.specMethod").code == 0


def test_differences_know_numbers_truths_and_lists() -> None:
    assert (
        list(differences({"a": 1, "b": [1.0], "c": {"d": False}}, {"a": 1.0, "b": [1], "c": {"d": False}, "e": 2}))
        == []
    )
    found = dict(differences({"a": True, "b": 1, "c": {"d": 1}}, {"a": 1, "b": True, "c": 3}))
    assert set(found) == {"a", "b", "c"}


def test_a_429_is_waited_for_where_the_user_allows_it(
    root: Path, board: BoardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(root, baseline=False)
    slept: list[float] = []
    monkeypatch.setattr(localmaxxing.time, "sleep", slept.append)
    board.script(SUBMIT, Scripted(429, b"", {"Retry-After": "13"}), Scripted(429, b"", {"Retry-After": "7"}))
    done = submit(root, "--wait", "30")
    assert done.code == 0, done.text
    assert slept == [13.0, 7.0]
    assert "again in 13 s; waiting" in done.text
    assert states(root) == ["sending", "refused", "sending", "refused", "sending", "accepted"]


def test_a_wait_that_is_too_long_is_not_begun_and_waits_have_an_end(
    root: Path, board: BoardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(root, baseline=False)
    slept: list[float] = []
    monkeypatch.setattr(localmaxxing.time, "sleep", slept.append)
    board.script(SUBMIT, Scripted(429, b"", {"Retry-After": "31"}))
    assert submit(root, "--wait", "30").code == 3
    assert slept == []
    board.script(SUBMIT, *[Scripted(429, b"", {"Retry-After": "1"})] * 50)
    board.seen.clear()
    assert submit(root, "--wait", "3600").code == 3
    assert len(slept) == localmaxxing.MOST_WAITS
    assert len(board.asked(SUBMIT)) == len(slept) + 1  # none is waited for without asking again


def test_the_dry_run_and_the_entry_share_what_may_be_waited(
    root: Path, board: BoardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(root, baseline=False)
    slept: list[float] = []
    monkeypatch.setattr(localmaxxing.time, "sleep", slept.append)
    for path in (DRY_RUN, SUBMIT):
        board.script(path, Scripted(429, b"", {"Retry-After": "20"}))
    assert submit(root, "--wait", "30").code == 3
    assert slept == [20.0]


@pytest.mark.parametrize("status", ["APPROVED", "PENDING", "REJECTED"])
def test_what_the_board_makes_of_a_stored_row_is_told(root: Path, board: BoardServer, status: str) -> None:
    measured(root, baseline=False)
    board.script(SUBMIT, Scripted(201, {"id": "cm1", "status": status}))
    done = submit(root)
    assert done.code == 0
    assert f"as cm1, status {status}" in done.text


def reply(status: int = 429, body: Any = b"", **headers: str) -> Reply:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return Reply(status, message, body if isinstance(body, bytes) else json.dumps(body).encode(), True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(), UNREADABLE_WAIT_S),
        (reply(Retry_After="0"), 1.0),
        (reply(Retry_After="12"), 12.0),
        (reply(Retry_After="-5"), UNREADABLE_WAIT_S),
        (reply(Retry_After="1e9"), UNREADABLE_WAIT_S),
        (reply(Retry_After="²"), UNREADABLE_WAIT_S),
        (reply(body={"retryAfterMs": 2500}), 2.5),
        (reply(body={"retryAfterMs": "x"}), UNREADABLE_WAIT_S),
        (reply(body={"retryAfterMs": float("nan")}), UNREADABLE_WAIT_S),
        (reply(body={"retryAfterMs": True}), UNREADABLE_WAIT_S),
        (reply(body={"retryAfterMs": 2500}, Retry_After="9"), 9.0),
        (reply(body={"retryAfterMs": 20_000}, Retry_After="9"), 20.0),
    ],
)
def test_the_longest_wait_that_the_board_names_counts(answer: Reply, expected: float) -> None:
    assert wait_of(answer) == expected


def test_times_of_day_are_waits_too() -> None:
    now = time.time()
    assert wait_of(reply(Retry_After=formatdate(now + 100, usegmt=True))) == pytest.approx(100, abs=2)
    assert wait_of(reply(X_RateLimit_Reset=str(int(now + 200)))) == pytest.approx(200, abs=2)
    assert wait_of(reply(X_RateLimit_Reset=str(int(now - 200)))) == 1.0
    assert wait_of(reply(Retry_After="9", X_RateLimit_Reset=str(int(now + 200)))) == pytest.approx(200, abs=2)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(201), ""),
        (reply(201, X_RateLimit_Remaining="3"), "3 entries are left for now"),
        (reply(201, X_RateLimit_Remaining="3", X_RateLimit_Limit="30"), "3 of 30 entries are left for now"),
        (reply(201, X_RateLimit_Remaining="\x1b[2J"), ""),
    ],
)
def test_what_is_left_is_told_when_it_is_a_number(answer: Reply, expected: str) -> None:
    assert rate_words(answer) == expected


def test_the_hour_is_full_at_the_faithful_board(root: Path, board: BoardServer) -> None:
    measured(root, baseline=False)
    board.quota = 0
    done = submit(root)
    assert done.code == 3
    assert "again in 3600 s" in done.text or "again in 3599 s" in done.text


def test_a_board_that_cannot_be_reached_was_sent_nothing(
    root: Path, board: BoardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(root, baseline=False)
    monkeypatch.setenv("RECIPEGEN_LOCALMAXXING_URL", "http://127.0.0.1:9")
    done = submit(root)
    assert done.code == 3
    assert "cannot be reached" in done.text
    assert steps(root) == []


def test_a_board_that_goes_away_between_the_two_requests_was_sent_nothing(
    root: Path, board: BoardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(root, baseline=False)
    real = localmaxxing.post

    def post(url: str, body: bytes, **how: Any) -> Reply:
        return real(url if url.endswith(DRY_RUN) else "http://127.0.0.1:9/x", body, **how)

    monkeypatch.setattr(localmaxxing, "post", post)
    assert submit(root).code == 3
    assert states(root) == ["sending", "refused"]


def test_a_process_that_ended_before_the_answer_left_a_doubt(
    root: Path, board: BoardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(root, baseline=False)

    def killed(url: str, body: bytes, **how: Any) -> Reply:
        if url.endswith(DRY_RUN):
            return real(url, body, **how)
        raise KeyboardInterrupt

    real = localmaxxing.post
    monkeypatch.setattr(localmaxxing, "post", killed)
    with pytest.raises((KeyboardInterrupt, AssertionError, SystemExit)):
        raise_for_interrupt(CliRunner().invoke(submit_command, [NAME, "--board", "localmaxxing", "--root", str(root)]))
    assert states(root) == ["sending"]
    monkeypatch.setattr(localmaxxing, "post", real)
    done = submit(root)
    assert done.code == 1
    assert "recipegen ended before the answer" in done.text


def raise_for_interrupt(done: Result) -> None:
    """click's runner turns Ctrl-C into an exit code."""
    assert done.exit_code == 0


def test_a_board_that_repeats_the_key_does_not_get_it_printed_or_kept(root: Path, board: BoardServer) -> None:
    measured(root, baseline=False)
    echo = {"error": f"bad header: Bearer {KEY}", "id": f"cm-{KEY}", "status": KEY}
    for answer in (Scripted(400, echo), Scripted(403, f"refused: {KEY}"), Scripted(201, echo)):
        board.script(SUBMIT, answer)
        done = submit(root)  # asserts that the key is nowhere
        assert "***" in done.text
    assert steps(root)[-1]["id"] == "cm-***"


def test_an_answer_that_breaks_off_within_the_key_does_not_give_its_beginning_away(
    root: Path, board: BoardServer
) -> None:
    measured(root, baseline=False)
    echo = f"bad header: Bearer {KEY}"
    board.script(SUBMIT, Scripted(400, echo, cut=len(echo) - 4))
    done = submit(root)
    assert KEY[:8] not in done.text
    assert places(KEY[:8], root=root) == []
    assert "Bearer ***" in done.text


def test_control_characters_of_a_board_are_shown_and_not_obeyed(root: Path, board: BoardServer) -> None:
    measured(root, baseline=False)
    board.script(SUBMIT, Scripted(201, {"id": "cm\x1b[2J1", "status": "x"}))
    done = submit(root)
    assert done.code == 0
    assert "\x1b" not in done.text
    assert "cm\\x1b[2J1" in done.text


def test_two_at_once_are_one_too_many(root: Path, board: BoardServer) -> None:
    measured(root, baseline=False)
    receipts = receipts_of(root, root / "recipes" / NAME, "localmaxxing")
    with receipts.locked():
        done = submit(root)
    assert done.code == 3
    assert "another `recipegen submit` is at work" in done.text
    assert board.asked(SUBMIT) == []


@pytest.mark.parametrize("line", ["{", "{}", '{"format": "recipegen-receipt/9"}', "[]"])
def test_receipts_that_were_touched_stop_everything(root: Path, board: BoardServer, line: str) -> None:
    measured(root, baseline=False)
    assert submit(root).code == 0
    path = receipts_of(root, root / "recipes" / NAME, "localmaxxing").path
    path.write_text(path.read_text() + line + "\n")
    done = submit(root)
    assert done.code == 2
    assert "this line is no receipt" in done.text
    assert len(board.rows) == 1


def test_receipts_only_grow_and_know_what_is_open(tmp_path: Path) -> None:
    receipts, one, two = Receipts(tmp_path / "x" / "r.jsonl", tmp_path / "all.jsonl"), {"kind": "a"}, {"kind": "b"}
    assert receipts.entries() == []
    receipts.require_unsent(one, HERE)
    with receipts.locked():
        receipts.add("sending", one, HERE)
        receipts.add("refused", one, HERE, why="x")
    first = receipts.path.read_bytes()
    receipts.require_unsent(one, HERE)
    receipts.add("sending", one, HERE)
    with pytest.raises(CheckFailed, match="nobody knows"):
        receipts.require_unsent(one, HERE)
    receipts.add("ambiguous", one, HERE, why="cut")
    receipts.require_unsent(two, HERE)
    receipts.add("sending", one, HERE)
    receipts.add("refused", one, HERE)
    with pytest.raises(CheckFailed, match="cut"):  # what came later does not take the doubt away
        receipts.require_unsent(one, HERE)
    assert receipts.path.read_bytes().startswith(first)
    assert receipts.path.read_bytes() == receipts.user.read_bytes()


def test_an_entry_is_known_by_its_host_wherever_it_was_sent_from(tmp_path: Path) -> None:
    one, other = (Receipts(tmp_path / place / "r.jsonl", tmp_path / "all.jsonl") for place in ("a", "b"))
    with one.locked():
        one.add("sending", {"kind": "a"}, "http://127.0.0.1:8080/x", id=None)
        one.add("accepted", {"kind": "a"}, "http://127.0.0.1:8080/x", id="cm1")
        with pytest.raises(EnvironmentLacks, match="another `recipegen submit` is at work"), other.locked():
            pass
    with pytest.raises(CheckFailed, match="as cm1"):
        other.require_unsent({"kind": "a"}, "http://127.0.0.1:8080")
    other.require_unsent({"kind": "a"}, HERE)  # what a test's server has is not at the board
    assert other.entries() == []
    assert [step["state"] for step in other.steps({"kind": "a"}, "http://127.0.0.1:8080")] == ["sending", "accepted"]
    # An account's ledger that is gone does not forget what lies beside the recipe, and the other way round.
    one.user.unlink()
    with pytest.raises(CheckFailed, match="as cm1"):
        one.require_unsent({"kind": "a"}, "http://127.0.0.1:8080")


def test_nothing_is_sent_that_this_account_could_not_remember(
    root: Path, board: BoardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(root, baseline=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    done = submit(root)
    assert (done.code, board.asked(SUBMIT)) == (3, [])
    assert "cannot write" in done.text


def test_receipts_of_an_unpacked_bundle_lie_beside_it(tmp_path: Path) -> None:
    bundle = tmp_path / "x-bundle"
    (bundle / "recipes" / "x").mkdir(parents=True)
    (bundle / "MANIFEST.json").write_text("{}")
    found = receipts_of(bundle, bundle / "recipes" / "x", "localmaxxing").path
    assert found == tmp_path / "x-bundle.submission" / "localmaxxing-receipts.jsonl"


def test_an_entry_with_problems_is_not_even_looked_at(root: Path, board: BoardServer) -> None:
    measured(root, baseline=False)
    edit_recipe(root, "    max-num-seqs: 1\n", "    max-num-seqs: 4\n")
    done = submit(root)
    assert done.code == 1
    assert "the recipe has changed" in done.text
    assert board.seen == []


def test_a_doubtful_figure_goes_only_when_asked(root: Path, board: BoardServer) -> None:
    measured(root, baseline=False, tgs=[10.0, *(90_000.0 + step for step in range(12))])
    done = submit(root)
    assert (done.code, board.seen) == (1, [])
    assert "Doubted (too-fast)" in done.text
    assert submit(root, "--doubtful").code == 0
    assert "Doubted (too-fast)" in board.rows[0]["notes"]


# The key.


def test_the_key_of_a_file_that_only_its_owner_can_read(
    root: Path, board: BoardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LMX_API_KEY")
    measured(root, baseline=False)
    done = submit(root, "--dry-run")
    assert done.code == 3
    assert "there is no LocalMaxxing key" in done.text
    path = tmp_path / "config" / "recipegen" / "localmaxxing.key"
    path.parent.mkdir(parents=True)
    path.write_text(KEY + "\n")
    path.chmod(0o644)
    done = submit(root, "--dry-run")
    assert done.code == 3
    assert "can be used by others (mode 0644)" in done.text
    assert board.seen == []
    path.chmod(0o600)
    assert submit(root, "--dry-run").code == 0
    monkeypatch.setenv("LOCALMAXXING_API_KEY", "bhk_" + "0" * 40)
    assert submit(root, "--dry-run").code == 3  # the variable comes first, and is wrong
    assert submit(root, "--dry-run", "--token-file", str(path)).code == 0  # what is named comes before both


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700, 0o644, 0o777])
def test_other_modes_are_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(mode)
    with pytest.raises(EnvironmentLacks, match="can be used by others") as caught:
        find_secret("key", (), [path], env={})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "not a plain file|Is a directory"),
        (lambda path: os.mkfifo(path, 0o600), "not a plain file"),
        (lambda path: path.symlink_to("/etc/passwd"), "is a link"),
        (lambda path: (path.write_text(""), path.chmod(0o600)), "holds no key"),
        (lambda path: (path.write_text("two words"), path.chmod(0o600)), "holds no key"),
        (lambda path: (path.write_text(f"{KEY}\r\nHost: x"), path.chmod(0o600)), "holds no key"),
        (lambda path: (path.write_bytes(b"\xff" * 50), path.chmod(0o600)), "holds no key"),
    ],
)
def test_what_is_no_file_with_a_key(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "key"
    make(path)
    with pytest.raises(EnvironmentLacks, match=message):
        find_secret("key", (), [], given=path, env={})


def test_a_secret_shows_in_no_repr() -> None:
    secret = Secret(KEY, "the variable X")
    assert KEY not in repr(secret) + str(secret) + f"{secret!r}"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://www.localmaxxing.com", "not https"),
        ("http://127.example.org", "not https"),
        ("http://localhost.example.org", "not https"),
        ("http://10.0.0.1", "not https"),
        ("ftp://127.0.0.1", "no web address"),
        ("https://", "no web address"),
        ("https://user:pass@example.org", "no web address"),
        ("https://example.org/?x=1", "no web address"),
        ("https://example.org:99999", "no web address"),
        ("https://exam ple.org", "no web address"),
        ("https://example.org\r\nX: y", "no web address"),
    ],
)
def test_a_key_travels_by_https_or_stays_on_this_host(url: str, words: str) -> None:
    with pytest.raises(RecipegenError, match=words):
        board_address(url, "X")


@pytest.mark.parametrize("url", ["https://example.org/", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"])
def test_addresses_that_do(url: str) -> None:
    assert board_address(url, "X") == url.rstrip("/")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("127.example.org", False),
        ("", False),
    ],
)
def test_loopback_is_an_address_and_no_beginning_of_a_name(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# As a person runs it.


def real(root: Path, *args: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recipegen", *args, "--root", str(root)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ((), 0, "LocalMaxxing has it as cm"),
        ((Scripted(401, {"error": f"no such key {KEY}"}),), 3, "does not take the key"),
        ((Scripted(200, HTML, HTML_HEAD),), 4, "a page of HTML"),
        ((Scripted(429, {"error": KEY}, {"Retry-After": "99"}),), 3, "again in 99 s"),
        ((Scripted(500, KEY),), 4, "may be stored or not"),
    ],
    ids=["201", "401", "HTML", "429", "500"],
)
def test_a_grep_for_the_key_finds_nothing(
    root: Path, board: BoardServer, tmp_path: Path, answers: Sequence[Scripted], code: int, said: str
) -> None:
    measured(root, baseline=False)
    board.script(SUBMIT, *answers)
    home = tmp_path / "home"
    home.mkdir()
    env = {"LMX_API_KEY": KEY, "RECIPEGEN_LOCALMAXXING_URL": board.url, "HOME": str(home), "TMPDIR": str(tmp_path)}
    done = real(root, "--debug", "submit", NAME, "--board", "localmaxxing", env=env)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert board.asked(SUBMIT)[0].headers["Authorization"] == f"Bearer {KEY}"
    assert places(KEY, done.stdout, done.stderr, root=tmp_path) == []


def test_preflight_needs_no_key_no_network_and_says_what_is_lost(root: Path) -> None:
    measured(root, baseline=False)
    done = real(root, "submit", NAME, "--preflight", "--json", env={"LMX_API_KEY": ""})
    assert done.returncode == 0, done.stderr
    found = {one["board"]: one for one in json.loads(done.stdout)}
    assert found["localmaxxing"]["taken"] is True
    lost = " ".join(found["localmaxxing"]["losses"])
    assert all(word in lost for word in ("single samples", "n = 12", "tool's version", "verified mark"))
    assert found["spark-arena"]["taken"] is False
    assert "not of the profile spark-arena-v2" in " ".join(found["spark-arena"]["problems"])
    words = real(root, "submit", NAME, "--preflight", env={})
    assert "localmaxxing: would take it" in words.stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([NAME], 2, "--board localmaxxing|spark-arena"),
        (["nothing", "--board", "localmaxxing"], 2, "nothing"),
        (["./nowhere", "--board", "localmaxxing"], 2, "no such file"),
        ([NAME, "--board", "elsewhere"], 2, "elsewhere"),
        ([NAME, "--preflight", "--dry-run"], 2, "without --dry-run"),
        ([NAME, "--preflight", "--board", "spark-arena", "--upload"], 2, "without --upload"),
        ([NAME, "--preflight", "--verified"], 2, "--verified goes with --board localmaxxing"),
        ([NAME, "--board", "spark-arena", "--verified"], 2, "--verified goes with --board localmaxxing"),
        ([NAME, "--board", "spark-arena", "--dry-run", "--upload"], 2, "without --upload"),
        ([NAME, "--board", "localmaxxing", "--upload"], 2, "--upload goes with --board spark-arena"),
        ([NAME, "--board", "localmaxxing", "--run", "other"], 2, "no run 'other'"),
        ([NAME, "--board", "localmaxxing", "--verified"], 2, "no canonical prompt was asked"),
    ],
)
def test_wrong_usage_is_told(root: Path, args: list[str], code: int, words: str) -> None:
    measured(root, baseline=False)
    done = real(root, "submit", *args, env={"LMX_API_KEY": KEY})
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stale_kit_is_something_to_look_at(bundles: tuple[Path, Path, Path]) -> None:
    repository = bundles[0] / "recipes" / bundle_factory.NAME
    assert "look at: the kit" not in command(repository, "--preflight").text
    (repository / "Dockerfile").write_text("FROM elsewhere\n")
    done = command(repository, "--preflight")
    assert "would take it" in done.text
    assert f"look at: the kit of {bundle_factory.NAME} is not as its recipe says: " in done.text


def command(target: Path, *args: str) -> Outcome:
    """`recipegen submit TARGET --board localmaxxing ARGS`."""
    done: Result = CliRunner().invoke(submit_command, [str(target), "--board", "localmaxxing", *args])
    if isinstance(done.exception, RecipegenError):
        return Outcome(done.exception.exit_code, f"{done.exception.message}\n{done.exception.hint}", done.stdout)
    return Outcome(done.exit_code, done.output, done.stdout)


@pytest.fixture
def bundles(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A repository, its bundle packed, and the same unpacked elsewhere."""
    repository, archive, folder = tmp_path / "mine", tmp_path / "x-bundle.tar.gz", tmp_path / "un" / "packed"
    bundle = bundle_factory.made(bundle_factory.measured(repository))
    folder.parent.mkdir()
    write_bundle(bundle, archive)
    write_folder(bundle, folder)
    return repository, archive, folder


def test_a_row_is_sent_once_from_its_repository_its_bundle_and_a_copy(
    bundles: tuple[Path, Path, Path], board: BoardServer
) -> None:
    repository, archive, folder = bundles
    done = command(archive)
    assert done.code == 0, done.text
    assert (archive.parent / "x-bundle.submission" / "localmaxxing-receipts.jsonl").is_file()
    for target in (folder, archive, repository / "recipes" / bundle_factory.NAME):
        again = command(target)
        assert (again.code, len(board.rows)) == (1, 1)
        assert "was accepted on" in again.text
    assert command(folder, "--again").code == 0
    assert (folder.parent / "packed.submission" / "localmaxxing-receipts.jsonl").is_file()


@pytest.mark.parametrize("inner", ["", f"recipes/{bundle_factory.NAME}"])
@pytest.mark.parametrize("args", [[], ["--preflight"]])
def test_a_bundle_that_does_not_verify_is_not_sent(
    bundles: tuple[Path, Path, Path], board: BoardServer, inner: str, args: list[str]
) -> None:
    folder = bundles[2]
    report = next(folder.glob("recipes/*/results/*/*-dflash/*on.json"))
    report.write_text(report.read_text().replace("100.", "999."))
    done = command(folder / inner, *args)
    assert done.code == 1
    assert "does not verify: " in done.text
    assert board.seen == []


@pytest.mark.parametrize("target", ["nowhere.tar.gz", "no/where", "nowhere.tgz"])
def test_a_file_that_is_not_there_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = command(Path(target))
    assert done.code == 2
    assert f"{target}: no such file" in done.text
