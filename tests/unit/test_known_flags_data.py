"""The stored flags of engine versions: every file has the shape that the checks rely on, and no release is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import recipegen.engines
from tests.support.vllm_help import differences

KNOWN = Path(recipegen.engines.__file__).parent / "known"
FILES = sorted(KNOWN.glob("*.json"))
KINDS = {"switch", "int", "float", "str", "json", "size"}
KEY_FACTS = {"kind", "choices", "default", "min", "max", "json"}
FLAG_FACTS = KEY_FACTS | {"aliases", "nargs", "off", "deprecated"}
LONG, SHORT = re.compile(r"[a-z0-9][A-Za-z0-9.-]*"), re.compile(r"-[A-Za-z][A-Za-z0-9-]*")
LARGEST = 2_500_000
"""Bytes of all files together: they travel in the wheel."""


def load(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(file.read_bytes())
    return data


def check_facts(facts: dict[str, Any], classes: dict[str, Any]) -> None:
    """What holds for a flag and for a key of a JSON value."""
    assert facts["kind"] in KINDS
    choices = facts["choices"]
    assert choices is None or (isinstance(choices, list) and choices and len(set(choices)) == len(choices))
    if facts["kind"] == "int":
        assert all(isinstance(one, int) for one in choices or ())
    for limit in (facts["min"], facts["max"]):
        assert limit is None or (isinstance(limit, int | float) and facts["kind"] in ("int", "float", "size"))
    if None not in (facts["min"], facts["max"]):
        assert facts["min"] <= facts["max"]
    assert facts["json"] is None or (facts["kind"] == "json" and facts["json"] in classes)
    if isinstance(facts["default"], int | float) and facts["min"] is not None and facts["default"] != -1:
        assert facts["default"] >= facts["min"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_shape(file: Path) -> None:
    data = load(file)
    assert list(data) == sorted({"engine", "version", "released", "source", "flags", "json", "open", "env"})
    assert f"{data['engine']}-{data['version']}.json" == file.name
    assert data["released"] is None or re.fullmatch(r"20\d\d-\d\d-\d\d", data["released"])
    assert set(data["source"]) == {"file", "sha256", "how"}
    assert data["source"]["how"] in ("parser", "ast", "source")
    assert re.fullmatch(r"[0-9a-f]{64}", data["source"]["sha256"])
    assert data["env"] == sorted(set(data["env"]))
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in data["env"])
    assert list(data["flags"]) == sorted(data["flags"])
    assert list(data["json"]) == sorted(data["json"])

    spellings: list[str] = []
    for name, facts in data["flags"].items():
        assert set(facts) == FLAG_FACTS, name
        assert list(facts) == sorted(facts), name
        check_facts(facts, data["json"])
        assert facts["nargs"] in (None, "?", "*", "+") or isinstance(facts["nargs"], int)
        assert facts["off"] is None or (facts["kind"] == "switch" and LONG.fullmatch(facts["off"]))
        assert facts["deprecated"] is None or 0 < len(facts["deprecated"]) <= 300
        spellings += [name, *facts["aliases"], *filter(None, [facts["off"]])]
    assert all(LONG.fullmatch(one) or SHORT.fullmatch(one) for one in spellings)
    assert len(set(spellings)) == len(spellings), "a spelling belongs to one flag"
    assert set(data["open"]) <= {name for name, facts in data["flags"].items() if facts["choices"]}
    for keys in data["json"].values():
        assert list(keys) == sorted(keys)
        for facts in keys.values():
            assert set(facts) == KEY_FACTS
            check_facts(facts, data["json"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_one_flag_a_line(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for name in load(file)["flags"]:
        assert text.count(f'\n  "{name}": {{"aliases":') == 1
    assert text.endswith("}\n")


def test_every_minor_series_of_vllm_from_0_19() -> None:
    minors = [int(file.stem.split(".")[1]) for file in KNOWN.glob("vllm-0.*.json")]
    assert sorted(set(minors)) == list(range(19, max(minors) + 1))
    assert max(minors) >= 33
    assert (KNOWN / "vllm-0.32.0.json").exists(), "the version that the end-to-end tests run"


def test_llama_cpp_before_and_after_the_draft_options_were_renamed() -> None:
    builds = {int(file.stem.removeprefix("llama.cpp-b")) for file in KNOWN.glob("llama.cpp-b*.json")}
    assert min(builds) < 8214 and {build for build in builds if 8214 < build <= 8833} and max(builds) > 11000
    old, new = (load(KNOWN / f"llama.cpp-b{build}.json")["flags"] for build in (8672, max(builds)))
    assert old["draft-max"]["deprecated"] is None
    assert "spec-draft-n-max" in new["draft-max"]["deprecated"]
    assert "spec-draft-n-max" in new


def test_small_enough_to_travel() -> None:
    assert sum(file.stat().st_size for file in FILES) < LARGEST


# What recipes hang on, looked up in the engine's own sources by hand.
@pytest.mark.parametrize(
    ("version", "flag", "facts"),
    [
        ("0.19.0", "gpu-memory-utilization", {"kind": "float", "min": 0, "max": 1}),
        ("0.19.0", "max-model-len", {"kind": "size"}),
        ("0.32.0", "tensor-parallel-size", {"kind": "int", "min": 1, "aliases": ["-tp"]}),
        ("0.32.0", "enable-prefix-caching", {"kind": "switch", "off": "no-enable-prefix-caching"}),
        ("0.32.0", "speculative-config", {"kind": "json", "json": "SpeculativeConfig"}),
        ("0.32.0", "served-model-name", {"nargs": "+"}),
        ("0.32.0", "optimization-level", {"aliases": ["-O"], "default": 2}),
        ("0.33.0", "compilation-config", {"kind": "json", "json": "CompilationConfig", "aliases": ["-cc"]}),
    ],
)
def test_facts_of_vllm(version: str, flag: str, facts: dict[str, Any]) -> None:
    stored = load(KNOWN / f"vllm-{version}.json")["flags"][flag]
    assert {key: stored[key] for key in facts} == facts


def test_dflash_comes_with_0_20() -> None:
    methods = [
        load(KNOWN / f"vllm-{version}.json")["json"]["SpeculativeConfig"]["method"] for version in ("0.19.1", "0.20.0")
    ]
    assert ["dflash" in method["choices"] for method in methods] == [False, True]


HELP = """\
usage: vllm serve [model_tag] [options]

options:
  -h, --help            show this help message and exit
  --eager, --no-eager   Always eager. (default: False)
  --kind {a,b,None}, -k {a,b,None}
                        Which. --not-an-option
  --free FREE           Any text.
  --parser {x,y} or name registered in --plugin
"""
EMPTY: dict[str, Any] = {"aliases": [], "off": None, "choices": None}
DATA: dict[str, Any] = {
    "flags": {
        "eager": {**EMPTY, "off": "no-eager"},
        "kind": {**EMPTY, "aliases": ["-k"], "choices": ["a", "b"]},
        "free": EMPTY,
        "parser": {**EMPTY, "choices": ["x", "y"]},
    },
    "open": ["parser"],
}


def test_a_help_text_is_held_against_the_data() -> None:
    assert differences(HELP, DATA) == []
    flags = {**DATA["flags"], "kind": {**EMPTY, "choices": ["a", "c"]}, "gone": EMPTY}
    del flags["free"]
    assert differences(HELP, {**DATA, "flags": flags}) == [
        "--free: in the help alone",
        "-k: in the help alone",
        "--gone: in the data alone",
        "--kind: the help has ['a', 'b'], the data ['a', 'c']",
    ]
