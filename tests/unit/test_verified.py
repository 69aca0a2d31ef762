"""A canonical prompt: read and held against its hash, asked by the board's rules, kept raw, made into a body."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.bench.capture import take_capture
from recipegen.bench.profiles import VERIFIED, profile_cells
from recipegen.bench.session import Request, measure
from recipegen.bench.verified import (
    NONCE_LINE,
    Prompt,
    capture,
    capture_problems,
    drafts_of,
    engine_object,
    figures_of,
    reported,
)
from recipegen.boards import canonical, shape, verified_entry
from recipegen.boards.canonical import known_prompts, read_prompt
from recipegen.boards.localmaxxing import LocalMaxxing
from recipegen.boards.shape import rule_findings, schema, shape_problems
from recipegen.claims import failed
from recipegen.cli.bench import bench_command
from recipegen.engines import engine
from recipegen.errors import CheckFailed, RecipegenError
from recipegen.evidence import Evidence, find_evidence
from recipegen.files import sha256_bytes
from recipegen.results.store import RunWriter, load_run
from recipegen.runners.plan import HostOptions, plan_server
from recipegen.workspace import Workspace
from tests.support.scenario import ROOT
from tests.support.verified_server import StreamServer, streaming
from tests.unit.boards_factory import add_run, change_record, measured
from tests.unit.results_factory import NOBODY
from tests.unit.test_compare import NAME, made, root

__all__ = ["made", "root"]  # the fixtures

TEXT = "Explain, step by step, why the sky is blue. A stand-in: the board's own texts are not kept in this repository."
PROMPT = Prompt("reasoning-v1", TEXT, sha256_bytes(TEXT.encode()), 256)
VLLM = engine("vllm").metric_names


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes TEXT for the canonical prompt."""
    changed = copy.deepcopy(schema())
    known = changed["x-canonical-prompts"][0]
    badge = changed["$defs"]["verifiedSubmission"]["allOf"][1]["properties"]["promptSha256"]
    badge["enum"][badge["enum"].index(known["sha256"])] = PROMPT.sha256
    known["sha256"] = PROMPT.sha256
    for module in (shape, canonical):
        monkeypatch.setattr(module, "schema", lambda: changed)


def context_file(folder: Path, text: Any = TEXT, name: str = "reasoning-v1") -> Path:
    """A saved agent-context."""
    path = folder / "agent-context.json"
    prompts = [{"id": name, "text": text, "sha256": PROMPT.sha256, "approxTokens": 330, "minOutputTokens": 256}]
    path.write_text(json.dumps({"_meta": {}, "canonicalPrompts": prompts}))
    return path


def taken(server: StreamServer, **how: Any) -> dict[str, Any]:
    return capture(server.url, "tiny", PROMPT, VLLM if server.style == "vllm" else {}, **how)


def test_the_known_hashes_are_those_of_two_prompts() -> None:
    assert {name: prompt["sha256"][:8] for name, prompt in known_prompts().items()} == {
        "reasoning-v1": "9000edaa",
        "code-v1": "a737db73",
    }
    line = schema()["x-nonce-line"]
    assert line["template"] == NONCE_LINE
    assert re.sub(line["strip"], "", NONCE_LINE.format(hex="0" * 32) + TEXT) == TEXT


def test_a_prompt_is_taken_out_of_a_saved_context(tmp_path: Path, stand_in: None) -> None:
    assert read_prompt(context_file(tmp_path)) == PROMPT


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda folder: context_file(folder, TEXT + "\n"), CheckFailed, "the canonical one"),
        (lambda folder: context_file(folder, TEXT.lower()), CheckFailed, "the canonical one"),
        (lambda folder: context_file(folder, 5), RecipegenError, "holds no prompt"),
        (lambda folder: context_file(folder, TEXT, "other"), RecipegenError, "holds no prompt"),
    ],
)
def test_another_text_is_refused(tmp_path: Path, stand_in: None, make: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        read_prompt(make(tmp_path))


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"canonicalPrompts": 5}', '{"canonicalPrompts": [5]}'])
def test_a_file_that_is_no_context_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(RecipegenError, match="is not a saved agent-context"):
        read_prompt(path)
    with pytest.raises(RecipegenError, match="no canonical prompt 'other'"):
        read_prompt(path, "other")


def test_the_prompts_of_the_board_are_refused_without_their_texts(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="canonical one 9000edaadb16"):
        read_prompt(context_file(tmp_path))


def test_requests_follow_the_boards_rules() -> None:
    with streaming("vllm") as server:
        found = taken(server)
    assert [one["timed"] for one in found["requests"]] == [False, False, True, True, True]
    assert len(server.asked) == 5
    contents = []
    for body, one in zip(server.asked, found["requests"], strict=True):
        (message,) = body["messages"]
        assert message == {"role": "user", "content": NONCE_LINE.format(hex=one["nonce"]) + TEXT}
        assert re.fullmatch("[0-9a-f]{32}", one["nonce"])
        assert (body["temperature"], body["max_tokens"], body["stream"]) == (0, 1024, True)
        contents.append(message["content"])
    assert len(set(contents)) == 5
    assert capture_problems(found, speculative=True) == []


def test_the_request_with_the_median_rate_is_reported() -> None:
    with streaming("llama.cpp") as server:
        server.seconds = [0.01, 0.01, 0.03, 0.3, 0.1]
        found = taken(server)
    rates = [figures["decode"] for one in found["requests"] if (figures := figures_of(one))]
    assert rates[2:] == [300 / 0.03, 300 / 0.3, 300 / 0.1]
    assert reported(found) is found["requests"][4]
    with pytest.raises(ValueError, match="no median"):
        taken(server, timed=4)


def test_llama_cpp_gives_its_own_timings_and_drafts() -> None:
    with streaming("llama.cpp") as server:
        one = reported(taken(server))
    figures = figures_of(one)
    assert figures is not None
    assert (figures["prompt_tokens"], figures["cached_tokens"], figures["output_tokens"]) == (318, 12, 300)
    assert (figures["prefill"], figures["basis"]) == (2000.0, "engine timings")
    assert engine_object(one) == one["timings"]
    assert drafts_of(one) == (400, 200)


def test_vllm_is_timed_by_the_client_and_counts_drafts_on_its_page() -> None:
    with streaming("vllm") as server:
        server.thinking = True
        one = reported(taken(server))
    figures = figures_of(one)
    assert figures is not None
    assert (figures["prompt_tokens"], figures["output_tokens"], figures["basis"]) == (330, 300, "client clock")
    assert figures["decode"] == pytest.approx(299 / one["decode_s"])
    assert figures["prefill"] == pytest.approx(330 / (one["ttft_ms"] / 1000))
    assert engine_object(one) == {"prompt_tokens": 330, "completion_tokens": 300}
    assert drafts_of(one) == (400, 200)  # accepted tokens and drafting steps: 200 + 400 / 4 = 300
    assert one["text"].startswith("word word")  # thinking is generated, too


def test_counts_of_somebody_elses_requests_are_none() -> None:
    with streaming("vllm") as server:
        server.others = 7
        found = taken(server)
    assert drafts_of(reported(found)) is None
    assert "does not count them" in capture_problems(found, speculative=True)[0]
    assert capture_problems(found, speculative=False) == []


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("cut", "the stream breaks off"),
        ("error", "the server breaks off"),
        ("empty", "the answer is empty"),
        ("status", "HTTP 503"),
    ],
)
def test_a_request_that_fails_ends_the_capture_and_is_kept(broken: str, words: str) -> None:
    with streaming("vllm") as server:
        server.broken = broken
        found = taken(server)
    assert len(found["requests"]) == 1
    (problem,) = capture_problems(found, speculative=False)
    assert words in problem
    with pytest.raises(ValueError, match="no timed request"):
        reported(found)


def test_a_server_that_is_too_slow_or_not_there() -> None:
    with streaming("vllm") as server:
        server.seconds = [30.0] * 9
        found = taken(server, timeout_s=0.3)
    assert "no whole answer within 0.3 s" in capture_problems(found, speculative=False)[0]
    found = capture("http://127.0.0.1:9", "tiny", PROMPT, VLLM)
    assert "a request failed" in capture_problems(found, speculative=False)[0]


def test_an_answer_that_is_too_short_does_not_count() -> None:
    with streaming("vllm", tokens=252) as server:
        found = taken(server)
    assert capture_problems(found, speculative=False) == ["an answer has 252 tokens, 256 are needed"]


# Beside a run, and as a body.


class Told:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def start(self, cells: Any) -> None:
        """No cells, in these tests."""

    def close(self) -> None:
        """Nothing to take down."""


def captured(root: Path, style: str = "vllm", **how: Any) -> tuple[Evidence, Told]:
    """Evidence of a run in which the canonical prompt was asked as well."""
    run = add_run(root)
    spec = Workspace.open(root).spec(NAME)
    told = Told()
    with streaming(style, **how) as server:
        server.seconds = [2.0 / 3] * 9
        options = HostOptions(runner="endpoint", base_url=server.url)
        request = Request(spec, root / "recipes" / NAME, ("dflash",), {}, options, "k", "s", prompt=PROMPT)
        writer = RunWriter.__new__(RunWriter)
        writer._identity, writer._recipe_dir = NOBODY, request.folder
        writer.folder, writer.record = run, load_run(run)
        take_capture(request, PROMPT, plan_server(spec, "dflash", options), writer, told)  # type: ignore[arg-type]
    return find_evidence(Workspace.open(root), NAME), told


def test_a_capture_lies_beside_the_run_and_becomes_a_body_of_its_own(root: Path, stand_in: None) -> None:
    evidence, told = captured(root)
    assert len(told.notes) == 5
    named = evidence.record["verified"]
    assert named is not None
    assert named["problems"] == []
    assert (evidence.run / "verified.metrics.json").is_file()
    entry = verified_entry.verified_entry(evidence)
    assert entry.problems == ()
    body = entry.body
    assert body is not None
    assert shape_problems(body, verified=True) == []
    assert body["promptSha256"] == PROMPT.sha256
    assert body["promptSample"] == TEXT
    assert NONCE_LINE[:20] not in json.dumps(body)
    assert (body["batchSize"], body["outputTokens"], body["promptTokens"]) == (1, 300, 330)
    assert body["engineTimingsRaw"] == {"prompt_tokens": 330, "completion_tokens": 300}
    flags = body["engineFlags"]
    assert (flags["specDraftTokens"], flags["specAcceptedTokens"], flags["temperature"]) == (400, 200, 0)
    assert flags["specAcceptanceRate"] == 0.5
    assert "n=3 timed requests after two warm-ups" in body["notes"]
    # The figures are of the capture; the cell's stand in the other body.
    files = LocalMaxxing().files(evidence)
    assert set(files) == {"payload.json", "source.json", "payload-verified.json", "source-verified.json"}
    assert failed(LocalMaxxing().check(files, evidence)) == []
    assert json.loads(files["payload.json"])["tokSOut"] == 50.55


def test_a_bench_asks_the_prompt_on_the_server_of_its_cells(tmp_path: Path) -> None:
    workspace = Workspace.open(ROOT)
    spec = workspace.spec("smoke-llamacpp")
    told = Told()
    with streaming("llama.cpp", drafts=False) as server:
        options = HostOptions(runner="endpoint", base_url=server.url)
        request = Request(spec, tmp_path, ("ar",), {"ar": ()}, options, "k", "s", machine="here", prompt=PROMPT)
        (outcome,) = measure(request, told)  # type: ignore[arg-type]
        assert len(server.asked) == 5
        record = load_run(outcome.folder)
        assert record["verified"] is not None
        assert record["verified"]["problems"] == []
        server.tokens = 12
        (short,) = measure(request, told)  # type: ignore[arg-type]
    assert short.error == "the canonical prompt gave nothing to verify: an answer has 12 tokens, 256 are needed"


def test_accepted_tokens_and_drafting_steps_come_to_the_answer(root: Path, stand_in: None) -> None:
    body = verified_entry.verified_entry(captured(root)[0]).body
    assert body is not None
    body["engineFlags"]["specNumTokens"] = 4  # as the stand-in drafts
    assert "spec-identity" not in [rule for rule, _, _ in rule_findings(body)]


def test_long_texts_are_cut_in_the_middle_and_hashed_whole(root: Path, stand_in: None) -> None:
    evidence, _ = captured(root, tokens=3000)
    body = verified_entry.verified_entry(evidence).body
    assert body is not None
    whole = reported(verified_entry.read_capture(evidence)[0])["text"]
    assert len(whole) > 4000
    assert len(body["outputSample"]) <= 4000
    assert body["outputSample"].startswith(whole[:1000])
    assert body["outputSample"].endswith(whole[-1000:])
    assert body["outputSha256"] == sha256_bytes(whole.encode())


def altered(evidence: Evidence, change: Any) -> Evidence:
    """The same with another capture, which the record names rightly."""
    path = evidence.run / "verified.json"
    data = json.loads(path.read_text())
    change(data)
    raw = json.dumps(data).encode()
    path.write_bytes(raw)
    change_record(evidence.run, verified={**(evidence.record["verified"] or {}), "sha256": sha256_bytes(raw)})
    return find_evidence(Workspace.open(evidence.folder.parent.parent), NAME)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data["prompt"].update(text="Say hello."), "is not the board's canonical one"),
        (lambda data: data["prompt"].update(sha256="0" * 64), "is not the board's canonical one"),
        (lambda data: data.update(temperature=1), "by the board's rules"),
        (lambda data: data.update(nonce_line=""), "by the board's rules"),
        (lambda data: data["requests"][1].update(nonce=data["requests"][2]["nonce"]), "the same nonce"),
        (lambda data: data["requests"].pop(), "odd number of timed requests"),
        (lambda data: data["requests"].pop(0), "2 warm-ups"),
        (lambda data: data["requests"][3]["usage"].update(completion_tokens=200), "256 are needed"),
        (lambda data: data["requests"][3].update(usage=None), "has no rate"),
        (lambda data: data["requests"][3]["usage"].update(completion_tokens=float("inf")), "has no rate"),
        (lambda data: data["requests"][3].update(counters=None), "does not count them"),
    ],
)
def test_a_capture_against_the_rules_is_no_entry(root: Path, stand_in: None, change: Any, problem: str) -> None:
    evidence = altered(captured(root)[0], change)
    entry = verified_entry.verified_entry(evidence)
    assert entry.body is None
    assert problem in " ".join(entry.problems)
    assert not LocalMaxxing().preflight(evidence, verified=True).taken


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(format="recipegen-verified/9"),
        lambda data: data.update(requests={}),
        lambda data: data["requests"][0].pop("text"),
        lambda data: data["requests"][0].update(text="\ud800"),
        lambda data: data.pop("prompt"),
    ],
)
def test_a_capture_of_another_shape_is_refused(root: Path, stand_in: None, change: Any) -> None:
    with pytest.raises(RecipegenError, match="is not a capture of the format"):
        verified_entry.verified_entry(altered(captured(root)[0], change))


def test_a_capture_that_was_changed_is_found(root: Path, stand_in: None) -> None:
    evidence, _ = captured(root)
    files = LocalMaxxing().files(evidence)
    path = evidence.run / "verified.json"
    path.write_text(path.read_text().replace("word", "Word", 1))
    with pytest.raises(RecipegenError, match="SHA-256 differs"):
        verified_entry.verified_entry(evidence)
    assert "localmaxxing-verified-capture" in [check.id for check in failed(LocalMaxxing().check(files, evidence))]


def test_a_run_without_a_capture_says_how_to_make_one(root: Path) -> None:
    with pytest.raises(RecipegenError, match="no canonical prompt was asked") as caught:
        verified_entry.verified_entry(measured(root, baseline=False))
    assert "--profile localmaxxing-verified" in caught.value.hint


@pytest.mark.parametrize("verified", [{"file": "../x", "sha256": "0"}, {"file": "x"}, 5])
def test_a_record_cannot_name_a_file_of_another_place(root: Path, verified: Any) -> None:
    run = add_run(root)
    change_record(run, verified=verified)
    with pytest.raises(RecipegenError, match="verified is wrong"):
        load_run(run)


def test_the_profile_is_the_headline_cell_and_needs_the_prompts(tmp_path: Path) -> None:
    spec = Workspace.open(ROOT).spec("smoke-llamacpp")
    assert profile_cells(spec, VERIFIED, 4096) == ((spec.cell(spec.bench.headline),), ())
    for args in (["--profile", VERIFIED], ["--prompt", "code-v1"]):
        done = CliRunner().invoke(bench_command, ["smoke-llamacpp", *args, "--root", str(ROOT)])
        assert done.exit_code == 2
        assert "--prompts FILE" in done.output
    done = CliRunner().invoke(bench_command, ["smoke-llamacpp", "--prompts", str(context_file(tmp_path))])
    assert isinstance(done.exception, CheckFailed)  # before anything is started
