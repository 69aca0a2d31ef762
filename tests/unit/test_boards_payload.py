"""The body of a LocalMaxxing row: figures, flags, machine, names, launch line, notes; its shape and what it must not
hold; whether a body of somebody else agrees."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from recipegen.boards import all_boards, row, server_flags
from recipegen.boards.launch_line import launch_line
from recipegen.boards.localmaxxing import LocalMaxxing
from recipegen.boards.machine import machine_of
from recipegen.boards.model_name import naming
from recipegen.boards.notes import LONGEST, fitted
from recipegen.boards.payload import entry_of
from recipegen.boards.row import agrees, figures, row_of
from recipegen.boards.shape import hygiene_findings, read_body, rule_findings, schema, shape_problems
from recipegen.claims import Check, failed
from recipegen.evidence import Evidence, find_evidence
from recipegen.results.scrub import Identity
from recipegen.workspace import Workspace
from tests.support.scenario import ROOT
from tests.unit.boards_factory import CARD, CPU, GB10, HEADLINE, change_cell, change_record, edit_recipe, measured
from tests.unit.results_factory import NOBODY, benchmark, metric, real_report
from tests.unit.test_compare import NAME, made, root

__all__ = ["made", "root"]  # the fixtures

GOLDEN = ROOT / "tests" / "golden" / "boards" / "localmaxxing.json"


def body_of(evidence: Evidence) -> dict[str, Any]:
    entry = entry_of(evidence)
    assert entry.body is not None, entry.problems
    assert shape_problems(entry.body) == []
    assert [found for found in rule_findings(entry.body) if found[1] == "error"] == []
    assert hygiene_findings(entry.body, NOBODY) == []
    return entry.body


def test_the_body_of_a_spark_is_the_one_that_is_committed(root: Path) -> None:
    evidence = measured(root)
    entry = entry_of(evidence)
    assert (entry.problems, entry.warnings) == ((), ())
    assert body_of(evidence) == json.loads(GOLDEN.read_text())


def test_the_files_are_the_same_bytes_each_time_and_agree_with_their_evidence(root: Path) -> None:
    evidence, board = measured(root), LocalMaxxing()
    files = board.files(evidence)
    again = board.files(find_evidence(Workspace.open(root), NAME))
    assert files == again
    assert set(files) == {"payload.json", "source.json"}
    checks = board.check(files, evidence)
    assert failed(checks) == []
    assert [check for check in checks if check.status == "undecidable"] == []
    source = json.loads(files["source.json"])
    assert source["report"] == {
        "path": f"{evidence.place}/{HEADLINE}.json",
        "sha256": evidence.cell["sha256"],
    }
    assert source["samples"]["tg"] == {"metric": "tg_throughput", "n": 12, "dropped": 1}
    assert source["metrics"]["path"].endswith(f"{HEADLINE}.metrics.json")


def test_figures_are_medians_of_warm_samples_and_the_total_is_of_unrounded_ones() -> None:
    found = row_of(benchmark(tgs=[1.0, 40.004, 40.006], pps=[1.0, 1000.4, 1000.5]), cached_context=False)
    assert (found.decode, found.prefill) == (pytest.approx(40.005), pytest.approx(1000.45))
    assert found.total == pytest.approx((2048 + 128) / (2048 / 1000.45 + 128 / 40.005))
    assert figures(found)["tokSOut"] in (40.0, 40.01)
    assert row_of(benchmark(tgs=[1.0, 40.0]), cached_context=False, drop_first=False).decode == 20.5


def test_a_first_response_that_is_no_token_gives_no_prefill_speed() -> None:
    # As behind a gateway that answers at once: 3.4 ms to the first response, 694 ms to the first token.
    entry = benchmark(pp=2048, ttfr=metric([9.0, 3.4, 3.4]), e2e_ttft=metric([900.0, 694.0, 694.0]))
    found = row_of(entry, cached_context=False)
    assert found.prefill == pytest.approx(2048 / 0.694)
    assert found.prefill_how == row.PREFILL_FROM_TTFT
    near = row_of(benchmark(pp=2048, ttfr=metric([9.0, 600.0]), e2e_ttft=metric([9.0, 694.0])), cached_context=False)
    assert near.prefill_how == row.PREFILL_MEASURED


@pytest.mark.parametrize(
    ("cached", "expected"), [(True, (2048, 4096)), (False, (2048 + 4096, 0))], ids=["cached", "read anew"]
)
def test_tokens_at_a_depth(cached: bool, expected: tuple[int, int]) -> None:
    found = figures(row_of(benchmark(depth=4096), cached_context=cached))
    assert (found["promptTokens"], found["prefillTokens"]) == expected


def test_several_streams_have_no_total_and_a_batch_of_their_number() -> None:
    found = figures(row_of(benchmark(concurrency=4), cached_context=False))
    assert "tokSTotal" not in found
    assert found["batchSize"] == 4


def test_a_report_without_a_rate_or_a_time_is_no_row_or_has_no_ttft() -> None:
    with pytest.raises(ValueError, match="no decode speed"):
        row_of(benchmark(tg_throughput=None), cached_context=False)
    found = figures(row_of(benchmark(e2e_ttft=None), cached_context=False))
    assert "ttftMs" not in found
    assert "tokSPrefill" in found


@pytest.mark.parametrize(
    ("claimed", "found", "expected"),
    [
        (153, 153.8, False),  # cut off, not rounded
        (154, 153.8, True),
        (102.05, 102.0549, True),
        (102.05, 102.06, False),
        (50.5, 50.55, True),
        (50.6, 50.55, True),
        (50.55, 50.55, True),
        (0.1, 0.149, True),
        (1e300, 50.55, False),
        (-50.55, 50.55, False),
    ],
)
def test_a_claim_is_what_was_found_rounded_to_its_own_decimals(claimed: float, found: float, expected: bool) -> None:
    assert agrees(claimed, found) is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            GB10,
            {
                "hwClass": "UNIFIED",
                "chipVendor": "NVIDIA",
                "chipFamily": "GB10 Blackwell",
                "chipVariant": "DGX Spark",
                "unifiedMemoryGb": 128,
                "cpu": "10x Cortex-X925 + 10x Cortex-A725",
                "os": "Ubuntu 24.04.3 LTS",
            },
        ),
        (CPU, {"hwClass": "CPU_ONLY", "cpu": "AMD EPYC", "ramGb": 24, "os": "Debian GNU/Linux 12 (bookworm)"}),
        (
            {**CPU, "gpus": [CARD]},
            {
                "hwClass": "DISCRETE_GPU",
                "gpuName": "NVIDIA H100 80GB HBM3",
                "vramGb": 80,
                "ramGb": 24,
                "cpu": "AMD EPYC",
                "os": "Debian GNU/Linux 12 (bookworm)",
            },
        ),
        (
            {"gpus": [CARD, CARD]},
            {"hwClass": "DISCRETE_GPU", "gpuName": "NVIDIA H100 80GB HBM3", "vramGb": 80, "gpuCount": 2},
        ),
        (
            {"gpus": [CARD, {**CARD, "name": "NVIDIA RTX 4090"}]},
            {
                "hwClass": "DISCRETE_GPU",
                "gpus": [
                    {"gpuName": "NVIDIA H100 80GB HBM3", "vramGb": 80},
                    {"gpuName": "NVIDIA RTX 4090", "vramGb": 80},
                ],
            },
        ),
    ],
    ids=["gb10", "cpu", "card", "two cards", "mixed cards"],
)
def test_the_union_of_hardware(root: Path, facts: dict[str, Any], expected: dict[str, Any]) -> None:
    evidence = measured(root, host=facts, baseline=False)
    found = machine_of(evidence.spec, evidence.record)
    assert (found.hardware, found.problems) == (expected, ())
    body = body_of(evidence)
    assert body.get("backend") == (None if expected["hwClass"] == "CPU_ONLY" else "cuda")
    # Only where the host's memory is the GPU's is the sampled peak that of the GPU.
    assert ("peakVramGb" in body) == (expected["hwClass"] == "UNIFIED")


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"host": None, "machine": "other"}, "says nothing of the machine"),
        ({"host": {"gpus": None}}, "nvidia-smi failed"),
        ({"host": {"gpus": []}}, "does not name the processor"),
        ({"host": {"gpus": [{**CARD, "name": "NVIDIA N1X", "unified_memory": True}]}}, "no spelling of the board"),
        ({"host": {"gpus": [CARD] * 17}}, "16 GPUs at most"),
    ],
)
def test_an_unknown_machine_is_a_problem_and_no_guess(root: Path, how: dict[str, Any], problem: str) -> None:
    evidence = measured(root, baseline=False, **how)
    assert problem in " ".join(entry_of(evidence).problems)


def test_several_boxes_are_said_in_words(root: Path) -> None:
    edit_recipe(root, "hardware: dgx-spark\n", "hardware: dgx-spark-x2\n")
    edit_recipe(root, "tensor-parallel-size: 1", "tensor-parallel-size: 2")
    evidence = measured(root, baseline=False)
    body = body_of(evidence)
    assert body["hardware"]["unifiedMemoryGb"] == 256
    assert "2 boxes (ConnectX-7" in body["notes"]
    assert "no field for 2 boxes" in " ".join(entry_of(evidence).warnings)


def test_a_cpu_recipe_of_this_repository_has_an_honest_body() -> None:
    evidence = find_evidence(Workspace.open(ROOT), "smoke-llamacpp")
    body = body_of(evidence)
    assert body["hfId"] == "google/gemma-3-270m"
    assert body["notes"].startswith("Submitted under google/gemma-3-270m; the served weights are package gemma3-270m")
    assert body["hardware"]["hwClass"] == "CPU_ONLY"
    assert (body["contextLength"], body["engineFlags"]["numParallel"]) == (4096, 1)
    assert body["engineFlags"]["commandSnippet"].startswith("llama-server --model '<weights>' --alias gemma-3-270m ")
    assert failed(LocalMaxxing().check(LocalMaxxing().files(evidence), evidence)) == []


def test_random_weights_have_no_name_on_the_board() -> None:
    evidence = find_evidence(Workspace.open(ROOT), "smoke-vllm-cpu")
    board = LocalMaxxing()
    assert board.files(evidence) == {}
    found = board.preflight(evidence)
    assert not found.taken
    assert "no id on the Hugging Face hub" in found.problems[0]


def test_weights_without_a_commit_are_told(root: Path) -> None:
    edit_recipe(root, "  revision: e850c696e6d75f965367e816c16bc7dacd955ffa  # of the authors' submission\n", "")
    found = naming(measured(root, baseline=False))
    assert (found.hf_id, found.revision) == ("RedHatAI/Qwen3.6-35B-A3B-NVFP4", "main")
    assert "no commit" in found.warnings[0]


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("kv-cache-dtype: fp8", {"kvCacheDtype": "fp8"}),
        ("no-enable-chunked-prefill: true", {"chunkedPrefill": False}),
        ("enable-chunked-prefill: true", {"chunkedPrefill": True}),
        ("-tp: 2", {"tensorParallel": 2}),
        ('pipeline-parallel-size: "2"', {"pipelineParallel": 2}),
        ("quantization: modelopt", {"engineQuant": "modelopt"}),
    ],
)
def test_flags_are_read_in_any_spelling(root: Path, flag: str, expected: dict[str, Any]) -> None:
    if flag.startswith("-tp"):
        edit_recipe(root, "    tensor-parallel-size: 1\n", "")
    edit_recipe(root, "    seed: 0\n", f"    seed: 0\n    {flag}\n")
    spec = Workspace.open(root).spec(NAME)
    found = server_flags.engine_flags(spec, "dflash")
    assert {name: found.get(name) for name in expected} == expected


def test_a_server_without_speculation_says_so_and_has_no_rates(root: Path) -> None:
    spec = Workspace.open(root).spec(NAME)
    found = server_flags.engine_flags(spec, "ar")
    assert (found["specDecoding"], found["mtpEnabled"]) == (False, False)
    assert not {"specMethod", "specModel", "specNumTokens"} & set(found)


def test_the_window_of_a_llama_server_is_parted_among_its_slots() -> None:
    spec = Workspace.open(ROOT).spec("smoke-llamacpp")
    for slots, expected in ((1, 4096), (4, 1024)):
        flags = {**spec.variants["ar"].flags, "parallel": slots}
        other = spec.model_copy(update={"variants": {"ar": spec.variants["ar"].model_copy(update={"flags": flags})}})
        assert server_flags.context_length(other, "ar") == expected


def test_the_launch_line_holds_no_secret_no_address_and_no_path(root: Path) -> None:
    evidence = measured(root, baseline=False)
    argv = [
        *("vllm", "serve", "${MODELS_DIR}/Qwen3.6-35B-A3B-NVFP4", "--host", "${HOST}", "--port=8000"),
        *("--api-key", "s3cret0123", "--auth-token=s3cret0123", "--chat-template", "/home/me/x.jinja"),
        "--speculative-config",
        '{"model":"${MODELS_DIR}/Qwen3.6-35B-A3B-DFlash","cache":"/srv/cache"}',
        "--enable-prefix-caching",
    ]
    env = {"HF_TOKEN": "hf_" + "a" * 30, "VLLM_CACHE_ROOT": "/root/.cache/vllm", "VLLM_X": "a b"}
    line = launch_line(evidence.spec, {**evidence.record, "server": {"argv": argv, "env": env}})
    assert line == (
        "VLLM_CACHE_ROOT='<path>' VLLM_X='a b' vllm serve RedHatAI/Qwen3.6-35B-A3B-NVFP4 --chat-template '<path>' "
        """--speculative-config '{"model":"z-lab/Qwen3.6-35B-A3B-DFlash","cache":"<path>"}' --enable-prefix-caching"""
    )
    assert hygiene_findings({"commandSnippet": line}, NOBODY) == []


def test_the_launch_line_is_cut_where_the_board_would(root: Path) -> None:
    evidence = measured(root, baseline=False)
    argv = ["vllm", "serve", *(f"--flag-{number}" for number in range(1000))]
    line = launch_line(evidence.spec, {**evidence.record, "server": {"argv": argv, "env": {}}})
    assert len(line) == 3900
    assert line.endswith(" …")


def test_notes_are_whole_sentences_within_the_limit() -> None:
    sentences = ["Served weights first.", "x" * 1990 + ".", "Short."]
    assert fitted(sentences) == "Served weights first. Short."
    assert len(fitted(["y" * 400 + "."] * 9)) <= LONGEST


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"failed_requests": 2}, "2 of 13 requests failed"),
        ({"runs": 15}, "2 of 15 requests failed"),
    ],
)
def test_lost_samples_forbid_to_drop_the_first_one(root: Path, change: dict[str, Any], problem: str) -> None:
    run = measured(root, baseline=False).run
    change_cell(run, **change)
    evidence = find_evidence(Workspace.open(root), NAME)
    assert problem in entry_of(evidence).problems[0]
    assert not LocalMaxxing().preflight(evidence).taken


def test_a_recipe_that_changed_since_is_a_problem(root: Path) -> None:
    measured(root, baseline=False)
    edit_recipe(root, "    max-num-seqs: 1\n", "    max-num-seqs: 4\n")
    evidence = find_evidence(Workspace.open(root), NAME)
    assert "the recipe has changed since this run" in entry_of(evidence).problems[0]
    checks = {check.id: check for check in LocalMaxxing().check(LocalMaxxing().files(evidence), evidence)}
    assert checks["localmaxxing-launch-line"].status == "failed"


def test_a_run_of_a_trial_is_no_row(root: Path) -> None:
    run = measured(root, baseline=False).run
    change_record(run, variant="dflash-trial")
    evidence = find_evidence(Workspace.open(root), NAME, run=run.name, cell=HEADLINE)
    for board in all_boards().values():
        assert board.files(evidence) == {}
        assert "which is no variant of" in board.preflight(evidence).problems[0]
        assert failed(board.check({"payload.json": GOLDEN.read_bytes()}, evidence))


def test_doubts_keep_a_row_back_and_stand_in_its_notes(root: Path) -> None:
    fast = [10.0, *(90_000.0 + step for step in range(12))]
    evidence = measured(root, baseline=False, tgs=fast)
    found = LocalMaxxing().preflight(evidence)
    assert any(problem.startswith("Doubted (too-fast)") for problem in found.problems)
    assert "Doubted (too-fast)" in body_of(evidence)["notes"]


BROKEN: dict[str, Any] = {
    "an unknown name": {"prefillTokS": 1},
    "a null": {"ttftMs": None},
    "a negative figure": {"tokSOut": -1.0},
    "a zero": {"tokSOut": 0},
    "NaN": {"tokSOut": float("nan")},
    "infinity": {"ttftMs": float("inf")},
    "half a token": {"promptTokens": 2048.5},
    "a huge count": {"promptTokens": 1 << 31},
    "a text for a number": {"peakVramGb": "TBD"},
    "a draft marker": {"_DRAFT_NOTES": "x"},
    "a path for an id": {"hfId": "/models/x"},
    "a long note": {"notes": "x" * 2001},
    "a key in the notes": {"notes": "my key is bhk_" + "0" * 40},
    "an unknown class": {"hardware": {"hwClass": "TPU"}},
    "a detector's hardware": {"hardware": {"hwClass": "DISCRETE_GPU", "gpus": [{"name": "x"}]}},
    "too much power": {"gpuPowerWatts": [10_001]},
    "a flag at the top": {"temperature": 0},
    "an unknown flag": {"engineFlags": {"tempreature": 0}},
    "speculation without a method": {"engineFlags": {"specDecoding": True}},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_body_is_refused_in_words(change: dict[str, Any]) -> None:
    good = json.loads(GOLDEN.read_text())
    assert shape_problems(good) == []
    problems = shape_problems({**good, **change})
    assert problems
    assert all(": " in problem and len(problem) < 500 for problem in problems)


@pytest.mark.parametrize("name", ["hfId", "hardware", "engineName", "quantization", "tokSOut"])
def test_what_the_board_requires_is_required(name: str) -> None:
    good = json.loads(GOLDEN.read_text())
    del good[name]
    assert shape_problems(good) == [f"the body: {name!r} is a required property"]


def test_one_secondary_figure_is_needed() -> None:
    good = json.loads(GOLDEN.read_text())
    for name in ("tokSPrefill", "tokSTotal", "ttftMs", "peakVramGb"):
        del good[name]
    assert shape_problems(good) == ["the body: needs one of tokSPrefill, tokSTotal, ttftMs, peakVramGb"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "Expecting value"),
        (b"[]", "not a JSON object"),
        (b'{"tokSOut": NaN}', "no number of JSON"),
        (b'{"tokSOut": 1, "tokSOut": 2}', "a key twice"),
        (b'{"promptTokens": ' + b"9" * 30 + b"}", "more than 20 digits"),
        (b"{" + b" " * (300 * 1024) + b"}", "larger than"),
        (b'{"a":' * 100_000, "."),
    ],
)
def test_a_body_of_a_stranger_is_read_with_care(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_body(raw)
    checks = LocalMaxxing().check({"payload.json": raw}, find_evidence(Workspace.open(ROOT), "smoke-llamacpp"))
    assert [(check.id, check.status) for check in checks] == [("localmaxxing-body", "failed")]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"tokSPrefill": 40_000.0}, "prefill-sanity"),
        ({"tokSTotal": 300.0}, "total-identity"),
        ({"engineTimingsRaw": {"x": "y" * 9000}}, "timings-size"),
        ({"engineFlags": {"concurrency": 4}}, "aggregate"),
        (
            {"engineFlags": {"specNumTokens": 4, "specDraftTokens": 400, "specAcceptedTokens": 400}},
            "spec-identity",
        ),
        ({"engineFlags": {"specAcceptanceRate": 0.9, "specDraftTokens": 100, "specAcceptedTokens": 50}}, "spec-rate"),
    ],
)
def test_rules_that_a_schema_cannot_hold(change: dict[str, Any], rule: str) -> None:
    good = json.loads(GOLDEN.read_text())
    assert rule_findings(good) == []
    changed = {**good, **change}
    changed["engineFlags"] = {**good["engineFlags"], **change.get("engineFlags", {})}
    assert rule in [found[0] for found in rule_findings(changed)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("see /home/me/x", "home folder"),
        ("C:\\Users\\me\\x", "home folder"),
        ("vllm serve /models/x/y", "absolute path"),
        ("--host 192.168.1.7", "private network address"),
        ("at 100.64.3.2", "private network address"),
        ("key bhk_" + "0" * 20, "looks like a key"),
        ("hf_" + "A" * 24, "looks like a key"),
        ("--api-key abc", "takes a key"),
        ("on spark-7f3a", "name or the home folder"),
        ("the word hunter2hunter2", "looks like a key"),
    ],
)
def test_what_must_not_be_public_is_found_and_not_repeated(text: str, words: str) -> None:
    who = Identity("/home/me", "me", ("spark-7f3a",), ("hunter2hunter2",))
    found = hygiene_findings({"notes": text}, who)
    assert any(words in message for _, message in found)
    assert not any(secret in str(found) for secret in ("hunter2", "spark-7f3a", "0" * 20, "A" * 24))


def test_a_name_of_this_host_in_a_title_keeps_a_row_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "spark-7f3a")
    edit_recipe(root, "title: Qwen3.6-35B-A3B NVFP4 with a DFlash drafter", "title: measured on spark-7f3a")
    problems = LocalMaxxing().preflight(measured(root, baseline=False)).problems
    assert problems == ("notes: holds the name or the home folder of this host or account",)


def changed_checks(evidence: Evidence, **fields: Any) -> dict[str, Check]:
    body = copy.deepcopy(body_of(evidence))
    flags = fields.pop("engineFlags", {})
    body |= fields
    body["engineFlags"] |= flags
    checks = LocalMaxxing().check({"payload.json": json.dumps(body).encode()}, evidence)
    return {check.id: check for check in checks}


@pytest.mark.parametrize(
    ("fields", "check", "status"),
    [
        ({"tokSOut": 50.56}, "localmaxxing-tok-s-out", "failed"),
        ({"tokSOut": 51}, "localmaxxing-tok-s-out", "failed"),
        ({"ttftMs": 2025}, "localmaxxing-ttft-ms", "failed"),
        ({"contextLength": 131072}, "localmaxxing-context-length", "failed"),
        ({"quantization": "FP8"}, "localmaxxing-quantization", "failed"),
        ({"hfId": "other/model"}, "localmaxxing-hf-id", "failed"),
        ({"peakVramGb": 87.0}, "localmaxxing-peak-vram-gb", "failed"),
        ({"engineFlags": {"specModel": "other/drafter"}}, "localmaxxing-engine-flags-spec-model", "failed"),
        ({"engineFlags": {"gpuMemUtil": 0.5}}, "localmaxxing-engine-flags-gpu-mem-util", "failed"),
        ({"engineFlags": {"prefixCaching": False}}, "localmaxxing-engine-flags-prefix-caching", "failed"),
        ({"engineFlags": {"specMethod": "Dflash"}}, "localmaxxing-engine-flags-spec-method", "passed"),
        ({"engineFlags": {"temperature": 0.0}}, "localmaxxing-engine-flags-temperature", "undecidable"),
        ({"notes": "Fast."}, "localmaxxing-notes", "undecidable"),
        ({"engineVersion": "0.19.2rc1.dev213+g9558f4390.d20260426"}, "localmaxxing-engine-version", "passed"),
        ({"engineVersion": "0.19.2rc1.dev213+g9558f4390.d20260426 (x)"}, "localmaxxing-engine-version", "failed"),
        ({"prefillTokS": 1}, "localmaxxing-shape", "failed"),
    ],
)
def test_each_field_of_a_strangers_body_is_judged(root: Path, fields: dict[str, Any], check: str, status: str) -> None:
    found = changed_checks(measured(root), **copy.deepcopy(fields))
    assert found[check].status == status, found[check]
    assert found[check].path == "payload.json"


def test_a_source_of_another_report_is_found(root: Path) -> None:
    evidence, board = measured(root), LocalMaxxing()
    files = board.files(evidence)
    source = json.loads(files["source.json"])
    source["report"]["sha256"] = "0" * 64
    checks = board.check({**files, "source.json": json.dumps(source).encode()}, evidence)
    assert [check.text for check in failed(checks)] == ["report is not that of the raw files"]


def test_every_board_has_a_name_and_the_schema_is_whole() -> None:
    assert {name: board.name for name, board in all_boards().items()} == {
        "localmaxxing": "localmaxxing",
        "spark-arena": "spark-arena",
    }
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    assert schema()["description"].count("2026") >= 2  # says where it is from


# What others published, where it lies beside this checkout.


@pytest.mark.parametrize("folder", ["qwen36-35b-a3b-dflash-spark", "vllm-prefill-optimized-spark"])
def test_published_bodies_have_the_shape_and_the_known_blemish(folder: str) -> None:
    body = read_body(real_report(f"{folder}/submission/headline.json").read_bytes())
    assert shape_problems(body) == []
    assert hygiene_findings(body, NOBODY) == [("warn", "engineFlags.commandSnippet: holds an absolute path")]
    assert shape_problems(body, verified=True)  # no llama-benchy run earns the mark


def published_row(name: str, *, drop_first: bool) -> row.Row:
    report = json.loads(real_report(name).read_text())
    (entry,) = [one for one in report["benchmarks"] if one["prompt_size"] == 128]
    return row_of(entry, cached_context=report["prefix_caching_enabled"], drop_first=drop_first)


def test_the_published_row_of_the_prefill_recipe_follows_from_its_report() -> None:
    folder = "vllm-prefill-optimized-spark"
    body = read_body(real_report(f"{folder}/submission/headline.json").read_bytes())
    name = f"{folder}/results/llama_benchy_localmaxxing_pp128_tg128_c1_runs30_postwarm_20260503_184705.json"
    found = published_row(name, drop_first=False)  # a warm-up of the same shape was run before: 30 samples count
    assert found.statistics["tg"].n == 30
    assert found.ttft is not None
    assert agrees(body["tokSOut"], found.decode)
    assert agrees(body["ttftMs"], found.ttft)


def test_the_published_row_of_the_35b_does_not_follow_from_its_report() -> None:
    folder = "qwen36-35b-a3b-dflash-spark"
    body = read_body(real_report(f"{folder}/submission/headline.json").read_bytes())
    found = published_row(f"{folder}/results/result-sherlock-thinkON.json", drop_first=True)
    assert found.ttft is not None
    assert not agrees(body["tokSOut"], found.decode)
    assert body["tokSOut"] == 102.05
    other = published_row(f"{folder}/results/dflash-pp128-tg128-thinkON.json", drop_first=True)
    assert not agrees(body["tokSOut"], other.decode)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models in ~/models/x", "home folder"),
        ("--model $HOME/x", "home folder"),
        ("at fd12:3456:789a::1", "private network"),
        ("[fe80::1ff:fe23:4567:890a]:8000", "private network"),
        ("FD00::5", "private network"),
        ("mac 3c:6d:66:0a:1b:2c", "serial number"),
        ("3C-6D-66-0A-1B-2C", "serial number"),
        ("Serial Number: 1654022011234", "serial number"),
        ("S/N: A1B2C3", "serial number"),
        ("GPU-5fd4f087-86f3-1111-2222-333344445555", "serial number"),
        ("TBD", "draft"),
        ("power is TBD, later", "draft"),
    ],
)
def test_what_tells_of_a_device_a_network_or_a_draft_is_an_error(text: str, words: str) -> None:
    found = hygiene_findings({"notes": text}, Identity())
    assert any(severity == "error" and words in told and text not in told for severity, told in found), found


@pytest.mark.parametrize(
    "text",
    [
        "median ~102 t/s at 12:30:45",
        "2026-11-21T07:01:00Z",
        "fp8: fa2::kernel",
        "vllm/vllm-openai:v0.28.0",
        "sha256:fd12aa00fd12aa00",
        "serial: one request at a time",
        "32-16-64",
        "feed:dead",
        "TBDP",
    ],
)
def test_what_looks_a_little_like_it_is_none(text: str) -> None:
    assert hygiene_findings({"notes": text}, Identity()) == []
