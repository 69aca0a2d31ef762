"""Every lint rule that a recipe, a log or a result can decide: one case that triggers it, one that does not.

The cases are data: lint_cases/<topic>.yaml, rule id to {fires: CASE, quiet: CASE}. A CASE holds `recipe` (laid over the
base recipe below), and `log` or `result` where the rule is about those.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from recipegen.complete import complete
from recipegen.lint.context import Context
from recipegen.lint.finding import Finding
from recipegen.lint.predicate import OPERATORS
from recipegen.lint.rule import DECIDED, DOCUMENTS, RULES, Rule, documents, rules
from recipegen.lint.run import lint_log, lint_recipe, lint_result
from recipegen.lint.subject import SUBJECT_FAMILIES, SUBJECTS, Recipe
from recipegen.load.yamldoc import parse
from recipegen.lock import unpinned
from recipegen.render.patches import find_patches
from recipegen.spec import model
from tests.support.scenario import ROOT

CASES = Path(__file__).parent / "lint_cases"
BASE = """
schema: recipegen/v1
name: case
title: A case
hardware: dgx-spark
model: {hf_id: example/Some-Model-NVFP4, revision: a123456789012345678901234567890123456789, quantization: NVFP4}
image: {mode: prebuilt, base: "example.org/vllm:1.0@sha256:%s", transformers: transformers==5.6.2}
engine: {name: vllm, version: 0.22.0, flags: {}}
headline: main
variants: {main: {}}
bench: {corpora: {prose: {builtin: us-founding-texts}}}
""" % ("0" * 64)


def laid_over(base: Any, top: Any) -> Any:
    if isinstance(base, dict) and isinstance(top, dict):
        return {**base, **{key: laid_over(base.get(key), value) for key, value in top.items()}}
    return top


def findings(case: dict[str, Any]) -> list[Finding]:
    """What the linter says of a case."""
    unknown = set(case) - {"recipe", "log", "result"}
    assert not unknown, f"a case has no {unknown}"
    data = laid_over(yaml.safe_load(BASE), case.get("recipe", {}))
    document = parse(yaml.safe_dump(data, sort_keys=False), Path("recipe.yaml"))
    spec = complete(model.Recipe.model_validate(document.data))
    recipe = Recipe(spec, document)
    if "log" in case:
        return lint_log(recipe, spec.headline, case["log"], served=True)
    if "result" in case:
        return lint_result(recipe, spec.headline, case["result"])
    patches = find_patches(ROOT / "patches")
    return lint_recipe(recipe, Context(patches=patches, unpinned=tuple(unpinned(spec, None))))


class RuleFile(BaseModel):
    """A file of rules, for its places."""

    rules: list[Rule]


def rule_problems(file: Path) -> list[str]:
    """What is wrong in a file of rules: its line, and the field."""
    document = parse(file.read_text(), file)
    try:
        RuleFile.model_validate({"rules": document.data})
    except ValidationError as error:
        return [
            f"{document.where(tuple(e['loc'][1:])).line}: {'.'.join(map(str, e['loc'][2:]))}: {e['msg']}"
            for e in error.errors()
        ]
    return []


def load_cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(CASES.glob("*.yaml")):
        for rule, case in yaml.safe_load(file.read_text()).items():
            assert rule not in found, f"{rule} has cases twice"
            found[rule] = case
    return found


ALL = load_cases()
DECIDABLE = [rule.id for rule in rules().values() if rule.stage in DECIDED]


@pytest.mark.parametrize("rule", DECIDABLE)
def test_a_rule_fires_where_it_should_and_only_there(rule: str) -> None:
    assert rule in ALL, f"tests/unit/lint_cases has no case for {rule}"
    fired = [finding for finding in findings(ALL[rule]["fires"]) if finding.rule.id == rule]
    assert fired, f"{rule} does not fire"
    assert all(finding.where.line > 0 for finding in fired), "a finding has a line"
    assert rule not in {finding.rule.id for finding in findings(ALL[rule]["quiet"])}


def test_no_case_is_for_a_rule_that_does_not_exist() -> None:
    assert set(ALL) - set(DECIDABLE) == set()


def test_the_base_recipe_is_quiet_but_for_information() -> None:
    assert [f.rule.id for f in findings({}) if f.severity != "info"] == []


@pytest.mark.parametrize("rule", list(rules()))
def test_predicates_speak_of_subjects_that_exist(rule: str) -> None:
    found = rules()[rule]
    names = [name for name, _, _ in (*found.when, *found.any)] + ([found.at] if found.at else [])
    for name in names:
        assert name in SUBJECTS or name.partition(".")[0] in SUBJECT_FAMILIES, name
    for _, operator, value in (*found.when, *found.any):
        assert operator in OPERATORS
        assert operator not in ("present", "absent") or value is True


@pytest.mark.parametrize(
    "file", [file for file in sorted(RULES.glob("*.yaml")) if file != DOCUMENTS], ids=lambda f: f.stem
)
def test_a_file_of_rules_is_sound(file: Path) -> None:
    assert rule_problems(file) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  severity: error\n", "  severity: grave\n", "2: severity: Input should be 'error', 'warning' or 'info'"),
        ("  fix: ", "  fixx: ", "fix: Field required"),
        ("  check: patches\n", "", "1: : Value error, a rule about a recipe"),
        ("  check: patches\n", "  when: [[spec.method, is, dflash]]\n", "1: : Value error, no such operator: is"),
    ],
)
def test_a_wrong_field_is_told_with_its_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (RULES / "recipegen.yaml").read_text().partition("\n")[2]
    file = tmp_path / "rules.yaml"
    file.write_text(text.replace(old, new, 1))
    assert any(says in problem for problem in rule_problems(file)), rule_problems(file)


@pytest.mark.parametrize("rule", list(rules()))
def test_sources_are_documents_that_are_known(rule: str) -> None:
    keys = {source.document for source in rules()[rule].sources if source.document}
    assert keys <= set(documents())


@pytest.mark.parametrize("rule", [rule.id for rule in rules().values() if rule.disagree])
def test_a_disagreement_names_documents_that_are_among_the_sources(rule: str) -> None:
    found = rules()[rule]
    assert found.disagree
    told = {key for key, document in documents().items() if document.title.partition(":")[0] in found.disagree}
    assert told <= {source.document for source in found.sources}
    if "wheel" in found.disagree:
        assert any(source.title for source in found.sources), "what was read in the wheels is a source of its own"


@pytest.mark.parametrize(
    ("rule", "recipe"),
    [
        # "Qwen3.5-122B on DGX Spark, part 2" has 13.6 tok/s of it on the same single box
        ("SINGLE_SPARK_SIZE_LIMIT", {"model": {"hf_id": "deepseek-ai/DeepSeek-V4-Flash"}}),
        # the guide's own DFlash container, whose README names vLLM 0.19.1
        (
            "DFLASH_MIN_VLLM_0_21",
            {
                "image": {"base": "ghcr.io/aeon-7/vllm-dflash:latest"},
                "engine": {"version": "0.19.1", "flags": {"speculative-config": {"method": "dflash"}}},
            },
        ),
    ],
)
def test_a_rule_is_silent_on_what_a_source_has_run(rule: str, recipe: dict[str, Any]) -> None:
    assert rule not in {finding.rule.id for finding in findings({"recipe": recipe})}


def test_the_known_rules_of_the_field_are_all_there() -> None:
    known = ROOT.parent / "shared" / "knowledge" / "rules.yaml"
    if not known.is_file():
        pytest.skip(f"{known} is not here: the collection that the rules were taken from")
    ids = [rule["id"] for rule in yaml.safe_load(known.read_text())["rules"]]
    assert len(ids) == 204
    assert set(ids) - set(rules()) == set()
