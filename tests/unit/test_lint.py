"""The linter from outside: what `lint` and `explain` print, silences, logs; and what a measured run is judged by."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recipegen.bench.judge import cell_metrics, judge, share_of_ceiling
from recipegen.catalog import preset_file
from recipegen.cli import cli
from recipegen.errors import RecipegenError
from recipegen.lint.page import rules_page
from recipegen.lint.predicate import holds
from recipegen.lint.rule import rules
from recipegen.lint.run import lint_result
from recipegen.scaffold import init_repository
from recipegen.workspace import Workspace
from tests.support.scenario import ROOT

NGC = "nvcr.io/nvidia/vllm:26.04-py3"
FAULTS: dict[str, tuple[str, dict[str, str], str, str]] = {
    # The mistakes that the catalog was made for: preset, what is changed in its text, the rule, what the finding says.
    "DFlash with an fp8 KV cache": (
        "qwen36-35b-dflash", {"    seed: 0\n": "    seed: 0\n    kv-cache-dtype: fp8\n"},
        "DFLASH_KV_FP8", "kv-cache-dtype",
    ),
    "MTP with 5 tokens on Qwen3.5-397B": (
        "qwen35-397b-fp8-mtp-x4", {"num_speculative_tokens: 2": "num_speculative_tokens: 5"},
        "QWEN35_397B_MTP5_CRASH", "num_speculative_tokens",
    ),
    "the modelopt flag on an unsloth checkpoint": (
        "qwen36-27b-unsloth", {"    dtype: bfloat16\n": "    dtype: bfloat16\n    quantization: modelopt\n"},
        "COMPRESSED_TENSORS_NO_QUANT_FLAG", "quantization",
    ),
    "chunked prefill on Qwen3.5-35B-A3B": (
        "qwen35-35b-bf16", {"    dtype: bfloat16\n": "    dtype: bfloat16\n    enable-chunked-prefill: true\n"},
        "CHUNKED_PREFILL_SSM_MOE", "enable-chunked-prefill",
    ),
    "NGC 26.04 with DFlash": (
        "qwen36-35b-dflash", {"base: ghcr.io/spark-arena/dgx-vllm-eugr-nightly:latest": f"base: {NGC}"},
        "DFLASH_NGC_2604_TOO_OLD", "base",
    ),
    "max-model-len 32768 for an agent": (
        "qwen35-35b-bf16", {"    max-model-len: 262144": "    max-model-len: 32768"},
        "AGENT_CONTEXT_FLOOR", "max-model-len",
    ),
    "Gemma-4-26B with TP=2": (
        "gemma4-26b-a4b", {"    tensor-parallel-size: 1": "    tensor-parallel-size: 2"},
        "GEMMA4_26B_TP1_ONLY", "tensor-parallel-size",
    ),
    "the DFlash patch on vLLM 0.32": (
        "qwen36-35b-dflash", {"  version: 0.19.2rc1.dev213+g9558f4390.d20260426": "  version: 0.32.0"},
        "PATCH_OUT_OF_RANGE", "patches",
    ),
}  # fmt: skip


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, args)))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    init_repository(tmp_path / "repo")
    return tmp_path / "repo"


def add(repo: Path, preset: str, changes: dict[str, str] | None = None, more: str = "") -> Path:
    """A recipe of the preset's name with its text changed; its file."""
    text = preset_file(preset).read_text(encoding="utf-8")
    for old, new in (changes or {}).items():
        assert old in text, f"{preset} has no {old!r}"
        text = text.replace(old, new)
    folder = repo / "recipes" / preset
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(text + more, encoding="utf-8")
    return folder / "recipe.yaml"


@pytest.mark.parametrize("mistake", FAULTS)
def test_known_mistakes_are_found_where_they_stand(repo: Path, mistake: str) -> None:
    preset, changes, rule, word = FAULTS[mistake]
    before = {(f.rule.id, f.variants) for f in Workspace.open(repo).findings(add(repo, preset).parent.name)}
    file = add(repo, preset, changes)
    after = Workspace.open(repo).findings(preset)
    found = [f for f in after if f.rule.id == rule and (rule, f.variants) not in before]
    assert found, mistake
    assert word in file.read_text().splitlines()[found[0].where.line - 1]
    done = run("lint", preset, "--root", repo)
    assert rule in done.output
    assert found[0].rule.why in done.output


def test_errors_fail_warnings_only_when_strict(repo: Path) -> None:
    add(repo, "qwen36-35b-mtp")
    assert run("lint", "--root", repo).exit_code == 0
    assert run("lint", "--strict", "--root", repo).exit_code == 1
    add(repo, *FAULTS["DFlash with an fp8 KV cache"][:2])
    done = run("lint", "--root", repo, "--severity", "error")
    assert done.exit_code == 1
    assert " warning " not in done.output.replace("warnings", "")
    assert re.search(r"2 recipes checked: \d+ errors?, \d+ warnings?.*, \d+ not shown", done.output)
    rows = json.loads(run("lint", "--json", "--root", repo).output)["findings"]
    row = next(row for row in rows if row["rule"] == "DFLASH_KV_FP8")
    assert row["severity"] == "error"
    assert set(row["variants"]) >= {"dflash"}
    assert row["line"] > 0 and row["fix"] and row["sources"]


def test_a_silenced_finding_shows_its_reason_and_does_not_fail(repo: Path) -> None:
    reason = "the drafter of this fork was trained for it"
    preset, changes, rule, _ = FAULTS["DFlash with an fp8 KV cache"]
    add(repo, preset, changes, f"silenced:\n  {rule}: {reason}\n")
    done = run("lint", preset, "--root", repo, "--json")
    findings = [row for row in json.loads(done.output)["findings"] if row["rule"] == rule]
    assert [row["silenced"] for row in findings] == [reason] * len(findings)
    assert findings
    text = run("lint", preset, "--root", repo).output
    assert f"silenced: {reason}" in text
    others = {r["rule"] for r in json.loads(done.output)["findings"] if r["severity"] == "error" and not r["silenced"]}
    assert rule not in others
    readme = Workspace.open(repo).kit(Workspace.open(repo).spec(preset))["README.md"].data.decode()
    assert reason in readme and rule in readme


def test_the_log_of_a_server(repo: Path) -> None:
    add(repo, "qwen36-35b-mtp")
    log = repo / "server.log"
    log.write_text("RuntimeError: cudaErrorUnsupportedPtxVersion\n")
    done = run("lint", "qwen36-35b-mtp", "--log", log, "--root", repo)
    assert "PTX_WALL_VISION_FA2" in done.output
    assert "MTP_DETECTED_LOG_LINE" in done.output
    log.write_text("Detected MTP model. Sharing target model embedding weights\n")
    assert "MTP_DETECTED_LOG_LINE" not in run("lint", "qwen36-35b-mtp", "--log", log, "--root", repo).output
    assert run("lint", "--log", log, "--root", repo).exit_code == 2


def test_rows_of_json_have_one_shape_and_problems_no_summary(repo: Path) -> None:
    add(repo, "qwen36-35b-mtp")
    broken = repo / "recipes" / "broken"
    broken.mkdir()
    (broken / "recipe.yaml").write_text("name: broken\n")
    done = run("lint", "--json", "--root", repo)
    assert done.exit_code == 2
    rows = json.loads(done.output)["findings"]
    assert {row["rule"] is None for row in rows} == {True, False}
    assert len({tuple(sorted(row)) for row in rows}) == 1
    text = run("lint", "--root", repo).output
    assert "1 recipe checked" in text
    assert "checked" not in run("lint", "broken", "--root", repo).output
    assert run("lint", "qwen36-35b-mtp", "--variant", "mtp", "--root", repo).exit_code == 2


def test_a_preset_s_flag_that_is_replaced_is_blamed_in_the_recipe(repo: Path) -> None:
    folder = repo / "recipes" / "mine"
    folder.mkdir()
    text = "schema: recipegen/v1\nname: mine\nextends: qwen36-35b-dflash\nengine:\n  flags:\n    kv-cache-dtype: fp8\n"
    text += 'variants:\n  ar:\n    flags:\n      "-tp": 2\n'
    (folder / "recipe.yaml").write_text(text)
    done = {finding.rule.id: finding.where for finding in Workspace.open(repo).findings("mine")}
    assert (done["DFLASH_KV_FP8"].file, done["DFLASH_KV_FP8"].line) == (folder / "recipe.yaml", 6)
    assert (done["FLAG_TWICE"].file, done["FLAG_TWICE"].line) == (folder / "recipe.yaml", 10)


def test_explain() -> None:
    text = run("explain", "dflash-kv-fp8").output
    assert text.startswith("DFLASH_KV_FP8 (error)")
    assert "fires if: spec.method == dflash and" in text
    assert "Dgx Vllm" in text
    assert json.loads(run("explain", "DFLASH_KV_FP8", "--json").output)["severity"] == "error"
    with pytest.raises(RecipegenError, match="no lint rule") as error:
        CliRunner().invoke(cli, ["explain", "DFLASH_KV_FP9"], catch_exceptions=False, standalone_mode=False)
    assert "DFLASH_KV_FP8" in error.value.hint
    assert len(run("explain").output.splitlines()) == len(rules()) == len(json.loads(run("explain", "--json").output))


def test_the_page_names_every_rule() -> None:
    page = (ROOT / "docs" / "rules.md").read_text()
    assert page == rules_page(), "make generated writes it"
    assert all(f"`{rule}`" in page for rule in rules())


PREDICATES: list[tuple[Any, str, Any, bool]] = [
    (None, "==", "x", False), (None, "!=", "x", True), (None, "absent", True, True), (None, "present", True, False),
    (None, "matches", "", False), (None, "lacks", "x", False), (None, "<", 1, False), (None, "in", [None], False),
    (False, "absent", True, True), (False, "present", True, False), (0, "present", True, True),
    ("", "present", True, True),
    ("0.19.2rc1.dev3", "<", "0.21.0", True), ("0.9.0", "<", "0.21.0", True), ("x", "<", "0.21.0", False),
    ("5.6.2", ">=", "5.0", True), (0.92, ">", 0.9, True), (4, ">", 4, False), (True, ">", 0, False),
    ("1", "==", 1, True), (1, "!=", "1", False), (True, "==", "true", True), ("a", "in", ["a", "b"], True),
    ("fp8_e4m3", "matches", "^fp8", True), ("auto", "lacks", "^fp8", True),
]  # fmt: skip


@pytest.mark.parametrize(("value", "operator", "wanted", "result"), PREDICATES)
def test_predicates(value: Any, operator: str, wanted: Any, result: bool) -> None:
    assert holds(value, operator, wanted) is result


def test_what_a_run_is_judged_by(tmp_path: Path) -> None:
    runs = sorted((ROOT / "recipes" / "smoke-vllm-cpu" / "results").glob("*/*/run.json"))
    assert runs, "the smoke recipe has a committed result"
    record = json.loads(runs[-1].read_text())
    log = "SpecDecoding metrics: Mean acceptance length: 2.72, … Avg Draft acceptance rate: 86.1%\n"
    found = cell_metrics(runs[-1].parent, record["cells"][0], log)
    assert found["n"] == record["cells"][0]["runs"] - 1
    assert found["tg"] > 0 and found["pp"] > 0 and found["ttfr"] > 0 and found["spread"] >= 1
    assert found["acceptance"] == pytest.approx(0.861)
    assert found["acceptance_length"] == pytest.approx(2.72)
    assert "acceptance" not in cell_metrics(runs[-1].parent, record["cells"][0], "acceptance rate: 1.2.3%")
    lost = {**record["cells"][0], "status": "failed", "file": None}
    assert "tg" not in cell_metrics(runs[-1].parent, lost, "")


def test_the_servers_counters_of_the_cell_say_its_acceptance_before_the_log(tmp_path: Path) -> None:
    log = "SpecDecoding metrics: Mean acceptance length: 2.72, … Avg Draft acceptance rate: 86.1%\n"
    cell: Any = {
        "pp": 128, "tg": 128, "depth": 0, "concurrency": 1, "runs": 3, "failed_requests": 0,
        "status": "failed", "file": None, "metrics": "cell.metrics.json",
    }  # fmt: skip
    stored = tmp_path / "cell.metrics.json"
    derived: dict[str, float | None] = {"acceptance": 0.5, "acceptance_length": 3.0}
    stored.write_text(json.dumps({"format": "recipegen-metrics/1", "derived": derived}))
    found = cell_metrics(tmp_path, cell, log)
    assert (found["acceptance"], found["acceptance_length"]) == (0.5, 3.0)
    for nothing in ({"acceptance": None, "acceptance_length": None}, [], None):
        stored.write_text(json.dumps({"format": "recipegen-metrics/1", "derived": nothing}))
        assert cell_metrics(tmp_path, cell, log)["acceptance"] == pytest.approx(0.861)


def test_a_run_is_judged_by_its_log_and_its_figures(tmp_path: Path) -> None:
    run_file = sorted((ROOT / "recipes" / "smoke-vllm-cpu" / "results").glob("*/*/run.json"))[-1]
    folder = tmp_path / "run"
    shutil.copytree(run_file.parent, folder)
    recipe, _ = Workspace.open(ROOT).under_lint("smoke-vllm-cpu")
    (folder / "server.log").write_text("all is well\n")
    assert [f.rule.id for f in judge(recipe, folder) if f.severity == "error"] == []
    (folder / "server.log").write_text("RuntimeError: CUDA error: an illegal memory access was encountered\n")
    assert "ILLEGAL_ACCESS_NEEDS_RAY_RELAUNCH" in {f.rule.id for f in judge(recipe, folder)}
    (folder / "server.log").unlink()
    assert [f.rule.id for f in judge(recipe, folder) if f.severity == "error"] == []


def test_a_decode_speed_beyond_the_bandwidth_is_an_error(tmp_path: Path) -> None:
    recipe, _ = Workspace.open(ROOT).under_lint("qwen36-35b-dflash")
    cell = {"pp_tokens": 2048, "tg_tokens": 128, "depth": 0, "concurrency": 1}
    share = share_of_ceiling(recipe, "ar", {**cell, "tg": 43.0})["share_of_ceiling"]
    assert 0.1 < share < 1
    too_fast = {**cell, "tg": 46_788.0}
    metrics = too_fast | share_of_ceiling(recipe, "ar", too_fast)
    assert "TG_ABOVE_BANDWIDTH_CEILING" in {f.rule.id for f in lint_result(recipe, "ar", metrics)}
    # With speculation several tokens come of one pass over the weights: the ceiling says nothing.
    assert share_of_ceiling(recipe, "dflash", too_fast) == {}
    assert share_of_ceiling(recipe, "ar", {**too_fast, "concurrency": 8}) == {}
