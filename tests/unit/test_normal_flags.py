"""One normal form of flags, and the fingerprint that follows from it; which version's data stands for which version."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from recipegen.complete import complete
from recipegen.engines.known import aliases, known, known_versions, load_known, nearest
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
]
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


def test_without_data_of_the_version_names_stay() -> None:
    assert known("vllm", None) is None
    assert known("atlas", "1.0") is None
    assert normal_flags({"no-x": True, "b": 1}, None) == {"b": 1, "x": False}


@pytest.mark.parametrize(
    ("version", "stands"),
    [
        ("0.22.0", "0.22.0"),
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
