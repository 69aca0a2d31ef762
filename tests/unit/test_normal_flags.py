"""One normal form of flags, and the fingerprint that follows from it; which version's data stands for which version."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from recipegen.complete import complete
from recipegen.engines.known import aliases, known, known_versions, load_known, nearest, same_version
from recipegen.engines.normal import fingerprint, normal_flags
from recipegen.spec.completed import Spec
from recipegen.spec.model import Recipe
from tests.support.kits import SMALL


def spec(**engine: Any) -> Spec:
    data = yaml.safe_load((SMALL / "vllm-prebuilt" / "recipe.yaml").read_text())
    data["engine"] = {**data["engine"], "version": "0.22.0", **engine}
    data["engine"].pop("notes", None)
    return complete(Recipe.model_validate(data))


SAME = [
    ({"-tp": 2}, {"tensor-parallel-size": 2}),
    ({"tensor-parallel-size": "2"}, {"tensor-parallel-size": 2.0}),
    ({"max-model-len": "64k"}, {"max-model-len": 64_000}),
    ({"max-model-len": "64K"}, {"max-model-len": 65_536}),
    ({"no-enable-prefix-caching": True}, {"enable-prefix-caching": False}),
    ({"attention-backend": "flash_attn"}, {"attention-backend": "FLASH_ATTN"}),
    ({"limit-mm-per-prompt": '{"image": 4, "video": 2}'}, {"limit-mm-per-prompt": {"video": 2, "image": 4}}),
    ({"compilation-config.cudagraph_mode": "NONE"}, {"compilation-config": {"cudagraph_mode": "NONE"}}),
    ({"seed": 0, "max-num-seqs": 4}, {"max-num-seqs": 4, "seed": 0}),
    ({"tensor-parallel-size": 1}, {}),
    ({"-O3": True}, {"optimization-level": 3}),
    ({"max-model-len": "auto"}, {"max-model-len": -1}),
    ({"hf-overrides": {"factor": 4.0}}, {"hf-overrides": '{"factor": 4}'}),
    # vLLM appends the dotted names as a JSON value of their own, and the last value wins.
    ({"compilation-config": {"mode": 3}, "compilation-config.cudagraph_mode": "NONE"},
     {"compilation-config": {"cudagraph_mode": "NONE"}}),
]  # fmt: skip
DIFFERENT = [
    ({"tensor-parallel-size": 2}, {"tensor-parallel-size": 4}),
    ({"enable-prefix-caching": True}, {"enable-prefix-caching": False}),
    # The default is "the engine decides": saying so aloud is another thing.
    ({"enable-prefix-caching": True}, {}),
    ({"max-model-len": "64k"}, {"max-model-len": "64K"}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_setup_has_one_normal_form(one: dict[str, Any], other: dict[str, Any]) -> None:
    facts = known("vllm", "0.22.0")
    assert facts is not None
    assert normal_flags(one, facts) == normal_flags(other, facts)
    assert fingerprint(spec(flags=one), "dflash") == fingerprint(spec(flags=other), "dflash")


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_another_setup_has_another(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert fingerprint(spec(flags=one), "dflash") != fingerprint(spec(flags=other), "dflash")


def test_a_fingerprint_covers_version_models_and_environment() -> None:
    base = spec(flags={})
    prints = {
        fingerprint(base, "dflash"),
        fingerprint(base, "ar"),
        fingerprint(spec(flags={}, version="0.23.0"), "dflash"),
        fingerprint(spec(flags={}, env={"VLLM_USE_DEEP_GEMM": "0"}), "dflash"),
    }
    assert len(prints) == 4
    renamed = base.model_copy(update={"name": "other", "title": "Other", "status": "measured"})
    assert fingerprint(renamed, "dflash") == fingerprint(base, "dflash")


def test_one_setup_has_one_fingerprint_however_version_and_variables_are_said() -> None:
    base = fingerprint(spec(flags={}), "dflash")
    assert fingerprint(spec(flags={}, version="v0.22.0"), "dflash") == base
    assert fingerprint(spec(flags={}, env={"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "DEBUG"}), "dflash") == base
    unversioned = [fingerprint(spec(flags=flags, version=None), "dflash") for flags in SAME[0]]
    assert unversioned[0] == unversioned[1]


def test_a_variable_of_the_image_counts_as_one_of_the_variant() -> None:
    of_variant = spec(flags={}, env={"VLLM_USE_DEEP_GEMM": "0"})
    plain = spec(flags={})
    of_image = plain.model_copy(
        update={"image": plain.image.model_copy(update={"env": {**plain.image.env, "VLLM_USE_DEEP_GEMM": "0"}})}
    )
    assert fingerprint(of_image, "dflash") == fingerprint(of_variant, "dflash") != fingerprint(plain, "dflash")


def test_odd_values_have_a_normal_form() -> None:
    facts = known("vllm", "0.22.0")
    deep, digits = "[" * 100_000, "9007199254740993"
    assert normal_flags({"hf-overrides": deep}, facts) == {"hf-overrides": deep}
    assert normal_flags({"seed": digits}, facts) == {"seed": int(digits)}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.22.0", "0.22.0", True), ("v0.22.0+cu130", "0.22.0", True), ("0.22", "0.22.0", True),
        ("0.22.0rc1", "0.22.0", False), ("b9294 (45cac7ca7)", "b9294", True), ("b92945", "b9294", False),
        (None, "0.22.0", False), ("nightly", "0.22.0", False),
    ],
)  # fmt: skip
def test_the_same_version_in_other_words(one: str | None, other: str, same: bool) -> None:
    assert same_version(one, other) is same


def test_without_data_of_the_version_names_stay() -> None:
    assert known("vllm", None) is None
    assert known("atlas", "1.0") is None
    assert normal_flags({"no-x": True, "b": 1}, None) == {"b": 1, "x": False}


@pytest.mark.parametrize(
    ("version", "stands"),
    [
        ("0.22.0", "0.22.0"),
        ("0.22", "0.22.0"),
        ("0.20.3", "0.20.2"),
        ("0.18.0", "0.19.0"),
        ("0.19.2rc1.dev213+g9558f4390.d20260426", "0.20.0"),
        ("0.22.1rc1.dev124+gace95c9cf", "0.22.1"),
        ("99.1.2", known_versions("vllm")[-1]),
        ("99.1.2rc1", known_versions("vllm")[-1]),
        ("the newest", None),
        (None, None),
    ],
)
def test_the_version_whose_data_stands_for_another(version: str | None, stands: str | None) -> None:
    assert nearest("vllm", version) == stands


def test_builds_of_llama_cpp_are_counted() -> None:
    stored = [int(version[1:]) for version in known_versions("llama.cpp")]
    assert stored == sorted(stored)
    wanted = max(build for build in stored if build <= 8833)
    assert nearest("llama.cpp", "b8833 (45cac7ca7)") == f"b{wanted}"
    flags = load_known("llama.cpp", f"b{wanted}").flags
    assert {"ctx-size", "draft-max", "cache-type-k"} <= set(flags)


def test_short_options_are_aliases() -> None:
    assert aliases("vllm", "0.22.0")["-tp"] == "tensor-parallel-size"
    assert aliases("vllm", None)["-tp"] == "tensor-parallel-size"
    assert aliases("other", None) == {}
