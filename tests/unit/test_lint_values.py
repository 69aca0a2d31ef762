"""Values of flags in every spelling: what the engine takes is quiet, what it refuses is found in its line."""

from __future__ import annotations

import re
from typing import Any

import pytest

from recipegen.lint.finding import Finding
from recipegen.lint.rule import rules
from tests.unit.test_lint_rules import BASE, findings

LLAMA = {"model": {"file": "a.gguf"}, "image": {"transformers": "none"}}
RULES_OF_VALUES = re.compile(r"FLAG|ENV_")


def of_vllm(flags: dict[str, Any], **engine: Any) -> list[Finding]:
    return findings({"recipe": {"engine": {"flags": flags, **engine}}})


def of_llama(flags: dict[str, Any], version: str = "b9294") -> list[Finding]:
    return findings({"recipe": {**LLAMA, "engine": {"name": "llama.cpp", "version": version, "flags": flags}}})


def found(findings: list[Finding]) -> set[str]:
    return {finding.rule.id for finding in findings if RULES_OF_VALUES.match(finding.rule.id)}


TAKEN: list[dict[str, Any]] = [
    {"-O3": True}, {"-O": 3}, {"optimization-level": "O2"},
    {"max-model-len": "auto"}, {"max-model-len": -1}, {"max-model-len": "64k"}, {"max-num-batched-tokens": "8K"},
    {"speculative-config": '{"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}'},
    {"compilation-config.cudagraph_mode": "full", "compilation-config.custom_ops": ["none", "+rms_norm"]},
    {"quantization": "None", "max-num-seqs": "None"},
    {"hf-overrides": "module.function"}, {"api-key": ["a", "b"]}, {"hf-token": True}, {"allowed-origins": ["*"]},
    {"lora-modules": ["a=b", '{"name": "x", "path": "y"}'], "enable-lora": True},
    {"enforce-eager": False, "no-async-scheduling": True}, {"attention-backend": "flash_attn"},
    {"reasoning-config": {"reasoning_start_str": "<think>", "reasoning_end_str": "</think>"}},
    {"limit-mm-per-prompt.image": 4},
    {"speculative-config": {"method": "ngram", "num_speculative_tokens": 4.0, "prompt_lookup_max": "4"}},
    {"speculative-config": {"method": "ngram", "num_speculative_tokens": 4, "enforce_eager": 1}},
]  # fmt: skip
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max-num-seqs": 1e5}, "FLAG_KIND"), ({"max-num-seqs": "1e5"}, "FLAG_KIND"),
    ({"tensor-parallel-size": 2.0}, "FLAG_KIND"), ({"max-model-len": "1.5K"}, "FLAG_KIND"),
    ({"max-num-batched-tokens": "auto"}, "FLAG_KIND"), ({"gpu-memory-utilization": "nan"}, "FLAG_KIND"),
    ({"enforce-eager": "true"}, "FLAG_KIND"), ({"headless": False}, "FLAG_KIND"),
    ({"speculative-config": True}, "FLAG_KIND"), ({"-O.mode": 3}, "FLAG_KIND"),
    ({"gpu-memory-utilization": "1.5"}, "FLAG_RANGE"), ({"max-model-len": -(10**399)}, "FLAG_RANGE"),
    ({"kv-cache-dtype": "FP8"}, "FLAG_CHOICE"), ({"dtype": "BFLOAT16"}, "FLAG_CHOICE"),
    ({"speculative-config": {"method": "ngram", "num_speculative_tokens": 4.5}}, "FLAG_KIND"),
    ({"speculative-config": {"method": "ngram", "num_speculative_tokens": "few"}}, "FLAG_KIND"),
    ({"speculative-config": {"method": "ngram", "num_speculative_tokens": 0}}, "FLAG_RANGE"),
    ({"speculative-config": 5}, "FLAG_JSON"), ({"speculative-config": [1]}, "FLAG_JSON"),
    ({"limit-mm-per-prompt": "image=4"}, "FLAG_JSON"), ({"hf-overrides": "[" * 100_000}, "FLAG_JSON"),
    ({"speculative-config": '{"method": "ngram", "tokens": 4}'}, "FLAG_JSON_KEY"),
    ({"compilation-config": {"mode": 3}, "compilation-config.cudagraph_mode": "NONE"}, "FLAG_TWICE"),
    ({"-cc.mode": 3, "compilation-config.cudagraph_mode": "NONE"}, "FLAG_TWICE"),
    ({"enforce-eager": True, "compilation-config": '{"cudagraph_mode": "FULL"}'}, "FLAGS_EXCLUDE"),
    ({"enforce-eager": True, "-cc.cudagraph_mode": "FULL"}, "FLAGS_EXCLUDE"),
    ({"tokenizer": "/models/${TOKENIZER}/x"}, "FLAG_PLACEHOLDER"),
]  # fmt: skip


@pytest.mark.parametrize("flags", TAKEN, ids=str)
def test_what_vllm_takes_is_quiet(flags: dict[str, Any]) -> None:
    assert found(of_vllm(flags)) == set()


@pytest.mark.parametrize(("flags", "rule"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_vllm_refuses_is_found(flags: dict[str, Any], rule: str) -> None:
    done = [finding for finding in of_vllm(flags) if finding.rule.id == rule]
    assert done
    assert all(len(finding.message) < 300 for finding in done)


@pytest.mark.parametrize(
    "flags",
    [
        {"-fa": "on", "-ngl": "all", "no-mmap": True}, {"flash-attn": 1, "n-gpu-layers": 99}, {"-fa": "enabled"},
        {"mmap": False, "-ctk": "q8_0", "-c": 32768, "--jinja": True, "temp": 0.6}, {"spec-type": "ngram-simple"},
    ],
    ids=str,
)  # fmt: skip
def test_what_llama_cpp_takes_is_quiet(flags: dict[str, Any]) -> None:
    assert found(of_llama(flags)) == set()


@pytest.mark.parametrize("version", ["b9294", "b9294 (45cac7ca7)", "b9300"])
@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ({"ctx-sizee": 4096}, "FLAG_UNKNOWN"), ({"-fa": True}, "FLAG_KIND"), ({"mlock": False}, "FLAG_KIND"),
        ({"-ctk": "q9_9"}, "FLAG_CHOICE"), ({"-c": 4096, "ctx-size": 8192}, "FLAG_TWICE"),
        ({"draft-max": 4}, "FLAG_DEPRECATED"), ({"ctx-size": "32k"}, "FLAG_KIND"),
    ],
)  # fmt: skip
def test_builds_of_llama_cpp_are_checked_too(version: str, flags: dict[str, Any], rule: str) -> None:
    assert rule in found(of_llama(flags, version))


@pytest.mark.parametrize("config", [
    {"speculative-config": {"method": "dflash", "num_speculative_tokens": 30}},
    {"speculative-config": '{"method": "dflash", "num_speculative_tokens": 30}'},
    {"speculative-config.method": "dflash", "speculative-config.num_speculative_tokens": 30},
    {"-sc": {"method": "dflash", "num_speculative_tokens": 30}},
], ids=str)  # fmt: skip
def test_rules_see_a_flag_in_every_spelling(config: dict[str, Any]) -> None:
    done = {finding.rule.id: finding for finding in of_vllm({**config, "kv-cache-dtype": "fp8"})}
    assert {"DFLASH_KV_FP8", "DFLASH_K_RANGE", "DFLASH_DRAFTER_REQUIRED"} <= set(done)
    first = len(BASE.splitlines())
    assert done["DFLASH_K_RANGE"].where.line > first - 5, "in the flags, not at the top of the recipe"


@pytest.mark.parametrize(("share", "warned"), [("0.85", False), (0.85, False), ("0.95", True), (0.95, True)])
def test_a_number_in_quotes_is_a_number(share: Any, warned: bool) -> None:
    done = {finding.rule.id for finding in of_vllm({"gpu-memory-utilization": share})}
    assert ("GPU_UTIL_SHARED_POOL" in done) is warned


@pytest.mark.parametrize(
    ("length", "warned"), [(32768, True), ("32768", True), ("32k", True), (-1, False), ("auto", False)]
)
def test_a_length_that_the_engine_chooses_is_not_a_short_one(length: Any, warned: bool) -> None:
    flags = {"max-model-len": length, "enable-auto-tool-choice": True, "tool-call-parser": "qwen3_coder"}
    assert ("AGENT_CONTEXT_FLOOR" in {finding.rule.id for finding in of_vllm(flags)}) is warned


def test_a_short_option_is_blamed_in_its_own_line() -> None:
    done = [finding for finding in of_llama({"seed": 1, "-fa": "on", "-ctk": "q9"}) if finding.rule.id == "FLAG_CHOICE"]
    blamed = [finding for finding in of_llama({"-ctk": "q9"}) if finding.rule.id == "FLAG_CHOICE"]
    assert done[0].where.line == blamed[0].where.line + 2


def test_a_variant_s_silence_does_not_cover_another_s() -> None:
    recipe = {
        "engine": {"flags": {"gpu-memory-utilization": 0.95}},
        "variants": {"main": {"silenced": {"GPU_UTIL_SHARED_POOL": "tried"}}, "other": {}},
    }
    done = [finding for finding in findings({"recipe": recipe}) if finding.rule.id == "GPU_UTIL_SHARED_POOL"]
    assert {finding.variants: finding.silenced for finding in done} == {("main",): "tried", ("other",): None}


def test_a_variable_that_the_image_sets_is_checked() -> None:
    done = findings({"recipe": {"image": {"env": {"VLLM_NO_SUCH_THING": "1"}}}})
    assert "ENV_UNKNOWN" in found(done)


def test_no_pattern_about_logs_runs_on_without_a_bound() -> None:
    """`a .*b` looks through the rest of a line for each `a`: minutes for one long line of a log."""
    patterns = [
        (rule.id, value)
        for rule in rules().values()
        for name, _, value in (*rule.when, *rule.any)
        if name == "log" and re.search(r"(?<!\\)\.[*+]", value)
    ]
    assert patterns == []


def test_a_hostile_value_is_judged_at_once_and_told_in_short() -> None:
    long = "/$A" * 300_000 + "\n"
    done = of_vllm({"tokenizer": long, "kv-cache-dtype": "x" * 900_000, "hf-overrides": {"a_" * 5000 + "!": "<b>"}})
    assert {"FLAG_CHOICE", "FLAG_PLACEHOLDER"} <= found(done)
    assert max(len(finding.message) for finding in done) < 300
