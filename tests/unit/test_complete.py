"""The completed recipe: defaults, variants as differences, presets to build on, the schema for editors."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from recipegen.catalog import default_corpora, hardware_profiles, preset_file, preset_names
from recipegen.cli import cli
from recipegen.cli.generated import HELP, generated
from recipegen.complete import complete
from recipegen.errors import SpecError
from recipegen.load.recipe import Loaded, load_recipe
from recipegen.load.yamldoc import parse
from recipegen.spec.completed import Spec
from recipegen.spec.schema import schema, schema_text
from recipegen.workspace import Workspace

ROOT = Path(__file__).parents[2]
BASE = """\
schema: recipegen/v1
name: r
title: R
model: {hf_id: owner/Name-FP8}
models:
  drafter: {hf_id: owner/Drafter, role: drafter}
  other: {hf_id: owner/Other, quantization: FP8}
image: {mode: prebuilt, base: a/b}
engine:
  name: vllm
  flags: {max_model_len: 4096, --seed: 0, x: {a: 1, b: 2}}
  env: {A: one, B: two}
  notes: {max_model_len: why, A: because}
headline: spec
variants:
  spec: {flags: {speculative-config: {method: dflash, model: {$model: drafter}}}}
  ar:
  other: {model: other, drop: [seed], drop_env: [A], env: {B: three, C: four}, flags: {x: {c: 3}, max-model-len: 1}}
"""


def load(tmp_path: Path, text: str, **options: Any) -> Loaded:
    file = tmp_path / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return load_recipe(file, **options)


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return complete(load(tmp_path, BASE).recipe)


def changed(tmp_path: Path, old: str, new: str) -> Spec:
    assert BASE.count(old) == 1
    return complete(load(tmp_path, BASE.replace(old, new)).recipe)


def test_what_is_left_out_follows_from_machine_and_engine(spec: Spec) -> None:
    assert spec.hardware.id == "dgx-spark"
    assert spec.image.transformers == "transformers>=5.0.0"
    assert spec.image.arch_list == hardware_profiles()["dgx-spark"].arch_list == "12.1a"
    assert spec.image.cpu is False
    assert spec.run.gpus == "all"
    assert (spec.run.models, spec.run.port) == ("folders", 8000)
    assert (spec.status, spec.license, spec.baseline) == ("planned", "MIT", None)
    assert spec.models["model"].folder == spec.models["model"].served_name == spec.served_name == "Name-FP8"
    assert spec.engine.notes == {"max-model-len": "why", "A": "because"}


def test_a_machine_without_a_gpu(tmp_path: Path) -> None:
    spec = changed(tmp_path, "title: R", "title: R\nhardware: cpu")
    assert (spec.run.gpus, spec.image.cpu, spec.image.arch_list) == ("none", True, None)
    spec = changed(tmp_path, "base: a/b", "base: a/b, transformers: none, arch_list: '9.0'")
    assert (spec.image.transformers, spec.image.arch_list) == (None, "9.0")


def test_llamacpp_opens_the_file_that_its_package_writes(tmp_path: Path) -> None:
    text = BASE.replace("name: vllm", "name: llama.cpp").replace(
        "{hf_id: owner/Name-FP8}",
        f"{{pypi: {{package: p-k, version: '1', module: p_k, file: m.gguf, sha256: {'a' * 64}}}}}",
    )
    spec = complete(load(tmp_path, text).recipe)
    assert (spec.models["model"].folder, spec.models["model"].file) == ("p-k", "m.gguf")
    assert spec.image.transformers is None


def test_prose_and_code_are_measured_by_default_headline_first(spec: Spec) -> None:
    assert set(spec.bench.corpora) == set(default_corpora()) == {"prose", "code"}
    assert spec.bench.runs == 30
    assert [cell.id for cell in spec.cells()] == [
        "prose-pp2048-tg128-d0-c1",
        "prose-pp128-tg128-d0-c1",
        "code-pp2048-tg128-d0-c1",
        "code-pp128-tg128-d0-c1",
    ]
    assert spec.bench.headline == "prose-pp2048-tg128-d0-c1"
    assert {cell.runs for cell in spec.cells()} == {30}
    with pytest.raises(KeyError):
        spec.cell("prose-pp1-tg1-d0-c1")


def test_the_headline_cell_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    bench = """
bench:
  corpora: {a: {builtin: recipegen-source}, b: {url: "https://example.org/b"}}
  cells: [{pp: 10, tg: 5}, {pp: 20, tg: 5, depth: 100, concurrency: 4}]
  thinking: [default, "on", "off"]
  headline: {corpus: b, thinking: "off", pp: 20, tg: 5, depth: 100, concurrency: 4}
"""
    cells = complete(load(tmp_path, BASE + bench).recipe).cells()
    assert cells[0].id == "b-pp20-tg5-d100-c4-think-off"
    assert (cells[0].corpus, cells[0].thinking, cells[0].depth, cells[0].concurrency) == ("b", "off", 100, 4)
    assert len(cells) == len({cell.id for cell in cells}) == 12
    assert cells[1].id == "a-pp10-tg5-d0-c1"


def test_variants_are_differences(spec: Spec) -> None:
    common = {"max-model-len": 4096, "seed": 0, "x": {"a": 1, "b": 2}}
    assert spec.variants["ar"].flags == common
    assert spec.variants["spec"].flags == {
        **common,
        "speculative-config": {"method": "dflash", "model": {"$model": "drafter"}},
    }
    other = spec.variants["other"]
    assert other.flags == {"max-model-len": 1, "x": {"c": 3}}  # replaced whole, not merged
    assert list(other.flags) == ["max-model-len", "x"]
    assert other.env == {"B": "three", "C": "four"}
    assert spec.variants["ar"].env == {"A": "one", "B": "two"}
    assert (other.model, spec.variants["ar"].model) == ("other", "model")
    assert spec.main_model.hf_id == "owner/Name-FP8"
    assert [v.script for v in spec.variants.values()] == [
        "launch_server.sh",
        "launch_server_ar.sh",
        "launch_server_other.sh",
    ]


@pytest.mark.parametrize(
    ("engine", "flags", "method"),
    [
        ("vllm", {}, "AR"),
        ("vllm", {"speculative-config": {"method": "dflash"}}, "DFlash"),
        ("vllm", {"speculative_config": {"method": "mtp"}}, "MTP"),
        ("vllm", {"speculative-config": {"method": "qwen3_next_mtp"}}, "MTP"),
        ("vllm", {"speculative-config": {"method": "ngram"}}, "n-gram"),
        ("vllm", {"speculative-config": {"method": "eagle3"}}, "EAGLE-3"),
        ("llama.cpp", {}, "AR"),
        ("llama.cpp", {"model-draft": "x"}, "draft model"),
        ("llama.cpp", {"spec-type": "ngram-simple"}, "n-gram"),
        ("llama.cpp", {"spec-type": "none"}, "AR"),
    ],
)
def test_the_method_follows_from_the_flags(tmp_path: Path, engine: str, flags: dict[str, Any], method: str) -> None:
    text = BASE.replace("name: vllm", f"name: {engine}").replace("  ar:\n", f"  ar: {{flags: {json.dumps(flags)}}}\n")
    assert complete(load(tmp_path, text).recipe).variants["ar"].method == method


def test_the_hash_is_stable_and_notices_every_change(tmp_path: Path, spec: Spec) -> None:
    again = complete(
        load(
            tmp_path,
            "# a comment\n" + BASE.replace("{mode: prebuilt, base: a/b}", "\n  mode: prebuilt\n  base: a/b"),
        ).recipe
    )
    assert re.fullmatch(r"[0-9a-f]{64}", spec.sha256)
    assert again.sha256 == spec.sha256
    # What is spelled out as its default is the same recipe.
    assert changed(tmp_path, "title: R", "title: R\nhardware: dgx-spark\nstatus: planned").sha256 == spec.sha256
    # Prose and status are no part of what is measured: measuring a recipe does not make it another.
    assert changed(tmp_path, "title: R", "title: S\nstatus: measured\npitfalls: [x]").sha256 == spec.sha256
    hashes = {
        changed(tmp_path, old, new).sha256
        for old, new in [
            ("base: a/b", "base: a/c"),
            ("--seed: 0", "--seed: 1"),
            ("A: one", "A: two"),
            ("  ar:\n", ""),
            ("headline: spec", "headline: ar"),
            ("owner/Drafter", "owner/Drafter2"),
            ("title: R", "title: R\nhardware: cpu"),
            ("title: R", "title: R\nbench: {runs: 5}"),
            ("title: R", "title: R\nrun: {port: 9}"),
        ]
    }
    assert len(hashes) == 9
    assert spec.sha256 not in hashes


def test_every_shipped_recipe_is_complete_and_told_apart() -> None:
    specs = Workspace.open(ROOT).specs()
    assert len(specs) >= 6
    assert len({spec.sha256 for spec in specs}) == len(specs)
    for spec in specs:
        assert Spec.model_validate(spec.model_dump(by_alias=False)).sha256 == spec.sha256


# Building on a preset.


def test_extends_puts_mappings_together_and_replaces_all_else(tmp_path: Path) -> None:
    text = """\
schema: recipegen/v1
extends: qwen36-35b-dflash
name: mine
title: Mine
engine:
  flags:
    max-model-len: 8192
variants:
  ar: {title: plain}
bench:
  cells: [{pp: 1, tg: 1}]
"""
    loaded = load(tmp_path, text, preset=preset_file)
    preset = complete(load_recipe(preset_file("qwen36-35b-dflash")).recipe)
    spec = complete(loaded.recipe)
    assert (spec.name, spec.title, spec.variants["ar"].title) == ("mine", "Mine", "plain")
    assert spec.variants["dflash"].flags == {**preset.variants["dflash"].flags, "max-model-len": 8192}
    assert [cell.pp for cell in spec.bench.cells] == [1]
    assert spec.image == preset.image
    assert "extends" not in loaded.document.data
    # Places point into the file that says it.
    own, base = tmp_path / "recipe.yaml", preset_file("qwen36-35b-dflash")
    assert loaded.document.where(("engine", "flags", "max-model-len")).file == own
    assert loaded.document.where(("engine", "flags", "max-model-len")).line == 7
    assert loaded.document.where(("engine", "flags", "seed")).file == base
    seed = base.read_text(encoding="utf-8").splitlines().index("    seed: 0") + 1
    assert loaded.document.where(("engine", "flags", "seed")).line == seed
    assert loaded.document.where(("title",)).line == 4


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("extends: qwen36-35b-dflsh", "there is no preset 'qwen36-35b-dflsh'", "nearest: qwen36-35b-dflash"),
        ("extends: [a]", "extends must be the name of a preset", ""),
        ("extends: ../../etc/passwd", "there is no preset '../../etc/passwd'", "`recipegen catalog list`"),
        (
            "extends: qwen36-35b-dflash\nheadlin: x",
            "unknown key 'headlin' in the recipe",
            "did you mean headline?",
        ),
    ],
)
def test_a_wrong_preset_is_told_with_its_line(tmp_path: Path, line: str, message: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, f"schema: recipegen/v1\nname: a\n{line}\n", preset=preset_file)
    (problem,) = caught.value.problems
    assert (problem.message, problem.where.file) == (message, tmp_path / "recipe.yaml")
    assert problem.where.line == (4 if "headlin" in line else 3)
    assert problem.hint.startswith(hint)


def test_a_fault_that_the_preset_brings_is_told_where_it_stands(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(BASE.replace("--seed: 0", "--seed: 0, 'b d': 1"), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load(tmp_path, "schema: recipegen/v1\nname: a\nextends: base\ntitel: x\n", preset=lambda _: base)
    assert {(p.where.file.name, p.where.line) for p in caught.value.problems} == {
        ("base.yaml", 11),
        ("recipe.yaml", 4),
    }


# Generated files.


def test_generated_files_are_as_the_code_says() -> None:
    for path, text in generated().items():
        assert path.read_text(encoding="utf-8") == text, "python -m recipegen.cli.generated writes it"
    assert {path.name for path in generated()} == {
        "help.txt",
        "recipe.schema.json",
        "rules.md",
        "fit.md",
        "index-format.md",
        "index.schema.json",
    }


def test_help_txt_is_what_click_says_at_80_columns() -> None:
    context = cli.make_context("recipegen", ["list"], terminal_width=80, max_content_width=80)
    assert HELP.read_text(encoding="utf-8") == cli.get_help(context) + "\n"
    assert all(len(line) <= 80 for line in HELP.read_text(encoding="utf-8").splitlines())
    assert isinstance(cli, click.Group)
    for name in cli.list_commands(context):
        assert f"\n  {name} " in HELP.read_text(encoding="utf-8")


@cache
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def data_of(path: Path) -> Any:
    return parse(path.read_text(encoding="utf-8"), path).data


def test_the_json_schema_is_valid_and_says_what_things_mean() -> None:
    assert json.loads(schema_text()) == schema()
    assert schema()["additionalProperties"] is False
    described = schema()["$defs"]["Model"]["properties"]
    assert described["revision"]["description"]


@pytest.mark.parametrize(
    "path",
    [*(preset_file(name) for name in preset_names()), *sorted((ROOT / "recipes").glob("*/recipe.yaml"))],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_every_preset_and_recipe_is_right_by_the_schema(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(data_of(path))] == []


def test_every_recipe_names_the_schema_for_editors() -> None:
    for path in sorted((ROOT / "recipes").glob("*/recipe.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert match, path
        assert (path.parent / match[1]).resolve() == ROOT / "recipe.schema.json"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: R\n", ""),
        ("title: R\n", "title: 5\n"),
        ("title: R\n", "title: R\nunknown: x\n"),
        ("title: R\n", "title: R\nstatus: mesured\n"),
        ("mode: prebuilt", "mode: prebuild"),
        ("mode: prebuilt", "mode: wheels"),
        ("name: vllm", "name: vlm"),
        ("title: R\n", "title: R\nrun: {port: 99999}\n"),
        ("title: R\n", "title: R\nbench: {cells: []}\n"),
        ("{hf_id: owner/Drafter, role: drafter}", "{hf_ib: owner/Drafter}"),
        ("  ar:\n", "  ar: {dorp: [x]}\n"),
    ],
)
def test_the_schema_sees_what_an_editor_should_underline(old: str, new: str) -> None:
    assert list(validator().iter_errors(yaml.safe_load(BASE))) == []
    assert BASE.count(old) == 1
    assert list(validator().iter_errors(yaml.safe_load(BASE.replace(old, new))))


def test_a_recipe_that_extends_needs_only_its_name_by_the_schema() -> None:
    right = {"schema": "recipegen/v1", "name": "a", "extends": "qwen36-35b-dflash"}
    assert list(validator().iter_errors(right)) == []
    assert list(validator().iter_errors({**right, "extends": 5}))
    del right["extends"]
    assert list(validator().iter_errors(right))
