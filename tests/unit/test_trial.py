"""A variant that one measurement alone knows: its name, what it comes to, that the recipe's own checks hold for it."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from recipegen.engines import engine
from recipegen.errors import EXIT_USAGE, RecipegenError, SpecError
from recipegen.trial import Trial, parse_trial, trial_of
from recipegen.workspace import Workspace
from tests.support.scenario import ROOT, recipegen

NAME = "qwen36-35b-dflash"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("trial") / "repo"
    shutil.copytree(ROOT / "recipes" / NAME, root / "recipes" / NAME)
    return Workspace.open(root)


def words(workspace: Workspace, trial: Trial) -> list[str]:
    spec = workspace.trying(NAME, trial).spec(NAME)
    return engine(spec.engine.name).command(spec, trial.name).words()


def test_a_flag_is_replaced_one_added_one_left_out_and_a_variable_set(workspace: Workspace) -> None:
    trial = parse_trial("ar", ["max_num_seqs=8", "enforce-eager"], ["max-model-len"], ["VLLM_X=1 2"])
    assert trial is not None
    before, now = words(workspace, Trial("ar", {"enforce-eager": True})), words(workspace, trial)
    assert "--max-model-len" in before and "--max-model-len" not in now
    assert now[now.index("--max-num-seqs") + 1] == "8" and now.count("--max-num-seqs") == 1
    assert now.count("--enforce-eager") == 1
    spec = workspace.trying(NAME, trial).spec(NAME)
    assert spec.variants[trial.name].env["VLLM_X"] == "1 2"
    assert spec.variants[trial.name].method == "AR"
    # The recipe itself, and what others see of it, stays as it is.
    assert trial.name not in workspace.spec(NAME).variants


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        ("max-num-seqs=4", 4),
        ("kv-cache-dtype=fp8", "fp8"),
        ("enable-chunked-prefill=false", False),
        ("enforce-eager", True),
        ("x=", ""),
        ('speculative-config={"method": "mtp"}', {"method": "mtp"}),
        ("x=a=b", "a=b"),
    ],
)
def test_values_read_as_in_recipe_yaml(flags: str, value: Any) -> None:
    trial = parse_trial("ar", [flags], [], [])
    assert trial is not None and list(trial.flags.values()) == [value]


def test_names_are_stable_plain_and_different() -> None:
    assert Trial("ar", {"max-num-seqs": 4}).name == "ar.max-num-seqs-4"
    assert Trial("ar", {"max_num_seqs": 4}).name == "ar.max-num-seqs-4"
    assert Trial("ar", drop=("enforce-eager",)).name == "ar.no-enforce-eager"
    values = ({"a": 1}, {"a": 2}, "$(id)", "A", "a", "ä" * 100, "ä" * 101, "../..")
    names = {Trial("ar", {"x": value}).name for value in values}
    assert len(names) == 8
    assert all(name.isascii() and len(name) <= 63 and "/" not in name and "$" not in name for name in names)


def test_a_record_gives_the_trial_back() -> None:
    trial = Trial("ar", {"x": {"a": [1]}}, ("y",), {"Z": "1"})
    assert trial_of({"trial": trial.as_data()}) == trial
    assert trial_of({"trial": None}) is None and trial_of({}) is None
    with pytest.raises(RecipegenError, match="says wrongly"):
        trial_of({"trial": {"of": "ar"}})


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        (Trial("nope", {"x": 1}), "no variant 'nope'"),
        (Trial("ar", drop=("never-there",)), "no flag 'never-there' that could be left out"),
    ],
)
def test_what_cannot_be_changed_is_refused(workspace: Workspace, trial: Trial, message: str) -> None:
    with pytest.raises(RecipegenError, match=message):
        workspace.trying(NAME, trial).spec(NAME)


@pytest.mark.parametrize(
    "trial",
    [
        Trial("ar", {"served-model-name": "other"}),  # the recipe says that elsewhere
        Trial("ar", {"x": {"$model": "nowhere"}}),
        Trial("ar", {"bad flag": 1}),
        Trial("ar", {"x": "a\0b"}),
        Trial("ar", env={"1X": "1"}),
    ],
)
def test_a_trial_is_checked_like_any_variant(workspace: Workspace, trial: Trial) -> None:
    with pytest.raises(SpecError):
        workspace.trying(NAME, trial).spec(NAME)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--set", "max-num-seqs=2"], "--set, --unset and --set-env change one variant"),
        (["--set", "=2", "--variant", "ar"], "'=2' is not FLAG=VALUE"),
        (["--set-env", "X", "--variant", "ar"], "a variable needs a value"),
        (["--ab", "3", "--variant", "ar"], "--ab takes two variants in turn"),
        (["--set", "x=1", "--variant", "ar", "--base-url", "http://127.0.0.1:1"], "cannot be changed"),
        (["--set", "x=[", "--variant", "ar"], "not valid YAML"),
    ],
)
def test_bench_says_what_is_wrong_with_a_change(workspace: Workspace, args: list[str], said: str) -> None:
    done = recipegen("bench", NAME, "--root", workspace.repository.root, *args)
    assert (done.returncode, said in done.stderr) == (EXIT_USAGE, True), done.stderr
