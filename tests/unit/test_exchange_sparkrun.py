"""sparkrun recipes of both versions, and spark-vllm-docker's: what each field becomes, and what is said of the rest."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from recipegen.errors import SpecError
from recipegen.exchange.read import Imported, import_text
from tests.unit.exchange_support import OTHERS, SPARKRUN, imported, lost, lost_names, recipe_data, spec_of

FILES = sorted(SPARKRUN.glob("*.yaml"))


def sparkrun(text: str, name: str = "x.yaml") -> Imported:
    return import_text(textwrap.dedent(text), Path(name))


def with_command(command: str, **fields: Any) -> Imported:
    lines = ["runtime: vllm", "model: a/Model", "container: image:1", *(f"{k}: {v}" for k, v in fields.items())]
    return sparkrun("\n".join([*lines, "command: |", *(f"  {line}" for line in command.split("\n"))]))


def flags_of(found: Imported) -> dict[str, Any]:
    flags: dict[str, Any] = recipe_data(found)["engine"].get("flags", {})
    return flags


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recipe_makes_a_recipe(file: Path) -> None:
    found = imported(file)
    spec = spec_of(found.text)
    assert spec.name == found.name
    assert found.record is bool(spec.missing)
    assert spec.status == "planned"
    # Nothing is lost without a word: what is not in the recipe stands in its report and, if it matters, in its text.
    for entry in found.report.lost:
        assert entry.why
        assert not entry.runs or f"# - {entry.name}: " in found.text


def test_a_recipe_without_a_command_gets_the_one_that_sparkrun_makes() -> None:
    data = recipe_data(imported(SPARKRUN / "01-minimal.yaml"))
    assert data["engine"] == {"name": "vllm", "flags": {"tensor-parallel-size": 1}}
    assert data["model"] == {"hf_id": "Qwen/Qwen3-1.7B", "quantization": "unknown", "served_name": "Qwen/Qwen3-1.7B"}
    assert data["image"] == {"mode": "prebuilt", "base": "scitrera/dgx-spark-vllm:latest", "transformers": "none"}
    assert data["run"] == {"models": "hf-cache", "port": 8000, "network": "host", "ipc": "host", "compile_cache": True}


def test_drafter_and_pins() -> None:
    found = imported(SPARKRUN / "02-dflash.yaml")
    data = recipe_data(found)
    assert data["model"]["revision"] == "51058cd551c7e570d87bd32a4adee720edce2349"
    assert data["models"]["drafter"] == {
        "hf_id": "z-lab/Qwen3.6-27B-DFlash",
        "role": "drafter",
        "revision": "bf582e4eacc1810f76656d1811693ff6c6737d2a",
        "quantization": "unknown",
    }
    config = {"method": "dflash", "model": {"$model": "drafter"}, "num_speculative_tokens": 15}
    assert data["engine"]["flags"]["speculative-config"] == config
    assert data["image"]["base"].endswith("@sha256:ba6db0547b24162854948fb16cda68dd4408360e03aeba480edb8d3d876eaeef")
    assert data["engine"]["env"] == {
        "VLLM_MARLIN_USE_ATOMIC_ADD": "1",
        "VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS": "0",
        "OMP_SCHEDULE_SHARE": "0.5",
    }
    assert data["headline"] == "dflash"
    assert data["variants"]["ar"]["drop"] == ["speculative-config"]
    assert data["authors"] == [{"name": "Some Body"}]
    assert "some@body.example" not in found.text
    # The engine gets the drafter at its pin: the kit puts the revision back into the JSON.
    words = next(iter(spec_of(found.text).variants.values())).flags
    assert "revision" not in words["speculative-config"]


def test_json_placeholders_of_both_versions() -> None:
    second = flags_of(imported(SPARKRUN / "03-plain-json.yaml"))
    assert second["speculative-config"] == {"method": "mtp", "num_speculative_tokens": 3}
    assert second["compilation-config"]["pass_config"] == {"fuse_allreduce_rms": True}
    assert second["default-chat-template-kwargs"] == {"enable_thinking": False}
    assert second["enable-flashinfer-autotune"] is False
    first = recipe_data(imported(SPARKRUN / "04-v1-doubled-braces.yaml"))
    assert first["engine"]["flags"]["override-generation-config"] == {"temperature": 0.7, "top_p": 0.95}
    assert first["models"]["drafter"]["hf_id"] == "poolside/Laguna-S-2.1-DFlash-NVFP4"
    assert first["engine"]["version"] == "0.25.1"  # from build_args


def test_nodes_and_executor_config() -> None:
    found = imported(SPARKRUN / "05-two-nodes.yaml")
    data = recipe_data(found)
    assert data["hardware"] == "dgx-spark-x2"
    assert data["run"]["shm_size"] == "20g"
    assert data["run"]["ulimits"] == {"memlock": -1, "stack": 67108864}
    assert data["references"] == [
        {"title": "Source named by the recipe", "url": "https://github.com/example/two-sparks"}
    ]
    assert lost_names(found, runs=True) == {"mods[0]", "executor_config.privileged"}
    assert lost_names(found, runs=False) == {"executor_config.restart_policy"}


def test_hooks_are_told_and_never_run(tmp_path: Path) -> None:
    found = imported(SPARKRUN / "06-hooks.yaml")
    assert {f"pre_exec[{n}]" for n in range(3)} == lost_names(found, runs=True)
    assert lost(found, "pre_exec[1]").value == "sed -i 's/old/new/' /workspace/config.json"
    assert lost(found, "pre_exec[1]").line == 22
    data = recipe_data(found)
    assert "compile_cache" not in data["run"]  # runtime_cache: false
    assert "ipc" not in data["run"]  # executor_config.ipc: private
    assert data["bench"]["profiles"]["source-tg32"]["concurrency"] == [1, 2, 5]
    trap = tmp_path / "trap"
    with_command(
        f"touch {trap}\nvllm serve a/Model --seed $(touch {trap}) `touch {trap}`", pre_exec=f"['touch {trap}']"
    )
    assert not trap.exists()


def test_llama_cpp_and_atlas() -> None:
    data = recipe_data(imported(SPARKRUN / "08-llama-cpp-command.yaml"))
    assert data["engine"]["name"] == "llama.cpp"
    assert data["model"]["file"] == "gemma-3-1b-it-Q4_K_M.gguf"
    assert data["model"]["served_name"] == "gemma"
    assert data["engine"]["flags"] == {
        "ctx-size": 4096, "n-gpu-layers": 99, "parallel": 2, "flash-attn": "on", "mmap": False, "jinja": True,
    }  # fmt: skip
    record = imported(SPARKRUN / "07-llama-cpp.yaml")
    assert record.record
    assert "Qwen/Qwen3-1.7B-GGUF:Q4_K_M" in recipe_data(record)["missing"][0]
    atlas = recipe_data(imported(SPARKRUN / "09-atlas.yaml"))
    assert atlas["engine"]["flags"]["max-seq-len"] == 16384
    assert atlas["run"]["port"] == 8888


def test_another_engine_is_a_record_with_its_flags() -> None:
    found = imported(SPARKRUN / "13-sglang.yaml")
    data = recipe_data(found)
    assert found.record
    assert data["engine"]["name"] == "other"
    assert data["image"] == {"mode": "none", "base": "lmsysorg/sglang:spark"}
    assert data["engine"]["flags"]["mem-fraction-static"] == 0.85
    assert "sglang" in data["missing"][0]


def test_shell_in_a_command_is_read_as_far_as_it_is_plain() -> None:
    found = imported(SPARKRUN / "10-shell-in-command.yaml")
    data = recipe_data(found)
    assert data["engine"]["flags"] == {
        "max-model-len": 131072, "async-scheduling": True, "stream-interval": 20, "tensor-parallel-size": 1,
    }  # fmt: skip
    assert data["engine"]["env"] == {"VLLM_USE_FLASHINFER_MOE_MXFP4_MXFP8": "1"}
    assert lost(found, "--seed").why == "its value holds the output of a command, $(date +%s)"
    assert lost(found, "redirection").runs is False


def test_names_lists_and_repeats() -> None:
    found = imported(SPARKRUN / "11-names-and-lists.yaml")
    data = recipe_data(found)
    assert found.name == "qwen3-coder-next-int4-autoround"
    flags = data["engine"]["flags"]
    assert data["model"]["served_name"] == "coder next"
    assert flags["speculative-config"] == {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}
    assert flags["compilation-config"] == {"cudagraph_mode": "PIECEWISE"}
    assert flags["optimization-level"] == 3
    assert flags["tokenizer"] == {"$model": "tokenizer"}
    assert flags["max-num-seqs"] == 8
    assert lost(found, "--max-num-seqs").value == "4"
    assert lost(found, "--served-model-name").value == "second-name"
    assert lost(found, "--api-key").value == "<hidden>"
    assert "sk-0123456789" not in found.text


def test_what_has_no_place_is_listed_by_name() -> None:
    found = imported(SPARKRUN / "12-include-and-unknown.yaml")
    assert lost_names(found, runs=True) == {
        "include", "builder", "builder_config", "containers[0]", "runtime_config.some_switch", "brand_new_field",
        "env.HF_TOKEN", "env.NESTED", "engine.env.BAD-NAME", "{linear_backend}",
    }  # fmt: skip
    assert lost_names(found, runs=False) == {"defaults.never_used"}
    data = recipe_data(found)
    assert (data["hardware"], data["cluster"]) == ("dgx-spark-x4", {"nodes": 3})
    assert "for 3 nodes of one GPU, and its flags ask for 1 rank" in data["missing"][0]
    assert any("--brand-new-switch is not a flag" in note for note in found.report.notes)
    assert any("HF_HOME" in note for note in found.report.notes)


def test_weights_on_the_machine_are_a_record() -> None:
    found = imported(SPARKRUN / "14-local-model.yaml")
    data = recipe_data(found)
    assert data["model"] == {"folder": "qwen3-8b-nvfp4", "quantization": "NVFP4"}
    assert "/nfs/models/qwen3-8b-nvfp4" in data["missing"][0]


def test_spark_vllm_docker() -> None:
    found = imported(OTHERS / "svd-nemotron.yaml")
    assert found.kind == "spark-vllm-docker recipe"
    assert "builds on the host" in lost(found, "container").why
    flags = flags_of(found)
    assert flags["moe-backend"] == "cutlass"
    assert flags["reasoning-parser-plugin"] == "nano_v3_reasoning_parser.py"
    assert any("nano_v3_reasoning_parser.py must be in the image" in note for note in found.report.notes)


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("--max-model-len 4096", "max-model-len", 4096),
        ("--max-model-len=4096", "max-model-len", 4096),
        ("--max_model_len 4096", "max-model-len", 4096),
        ("--max-model-len 64K", "max-model-len", "64K"),
        ("--max-model-len auto", "max-model-len", "auto"),
        ("-tp 2", "tensor-parallel-size", 2),
        ("-tp=2", "tensor-parallel-size", 2),
        ("-O3", "optimization-level", 3),
        ("-O=2", "optimization-level", 2),
        ("--no-enable-prefix-caching", "enable-prefix-caching", False),
        ("--enable-prefix-caching", "enable-prefix-caching", True),
        ("--gpu-memory-utilization 0.90", "gpu-memory-utilization", 0.9),
        ("--seed 18446744073709551616", "seed", 18446744073709551616),
        ("--kv-cache-dtype fp8", "kv-cache-dtype", "fp8"),
        ("--cudagraph-capture-sizes 1 2 4", "cudagraph-capture-sizes", [1, 2, 4]),
        ('--hf-overrides \'{"a": {"b": [1, true, null]}}\'', "hf-overrides", {"a": {"b": [1, True, None]}}),
        ('--hf-overrides \'{"a": 1, "a": 2}\'', "hf-overrides", '{"a": 1, "a": 2}'),
        ("--hf-overrides '{\"a\": NaN}'", "hf-overrides", '{"a": NaN}'),
        ("--speculative-config.model ngram", "speculative-config", {"model": "ngram"}),
        ("-cc.cudagraph_mode=NONE", "compilation-config", {"cudagraph_mode": "NONE"}),
        ("-O.cudagraph_mode=FULL", "compilation-config", {"cudagraph_mode": "FULL"}),
        ("-O.level 3", "compilation-config", {"level": 3}),
        ("--default-chat-template-kwargs.thinking=true", "default-chat-template-kwargs", {"thinking": True}),
        ("--chat-template '{{% if x %}}'", "chat-template", "{% if x %}"),
        ("--unheard-of", "unheard-of", True),
        ("--unheard-of 7", "unheard-of", 7),
        ("--unheard-of a b", "unheard-of", ["a", "b"]),
    ],
)
def test_flags(written: str, name: str, value: Any) -> None:
    found = with_command(f"vllm serve {{model}} --port 8000 {written} --trust-remote-code")
    assert flags_of(found) == {name: value, "trust-remote-code": True}
    assert type(flags_of(found)[name]) is type(value)


HOSTILE = [
    "$(touch /tmp/recipegen-hostile)",
    "`id`",
    "a; rm -rf /",
    "x\nENV EVIL=1",
    "'\"\\",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "${HF_TOKEN}",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "-v /:/host",
    "# comment\nname: other",
    "\u202etxt.exe",
    "[link](javascript:x)",
    "!!python/object:os.system",
    "*alias",
    "|\n  block",
    "",
    " ",
    "~",
    "null",
    "0x10",
    "1e999",
]


FIELDS = [
    "name", "description", "model", "model_revision", "container", "runtime", "runtime_version", "env.A", "env.B C",
    "defaults.max_model_len", "defaults.served_model_name", "defaults.chat_template", "metadata.maintainer",
    "metadata.description", "metadata.source", "metadata.quantization", "metadata.x", "executor_config.shm_size",
    "mods", "pre_exec", "build_args", "unknown",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("field", FIELDS)
def test_a_hostile_value_stays_data_in_every_field(field: str, value: str) -> None:
    import json

    data: dict[str, Any] = {"model": "a/Model", "runtime": "vllm", "container": "image:1", "defaults": {"port": 8000}}
    head, _, key = field.partition(".")
    if key:
        data.setdefault(head, {})[key] = value
    else:
        data[head] = [value] if field in ("mods", "pre_exec", "build_args") else value
    text = json.dumps(data, ensure_ascii=False)
    try:
        found = import_text(text, Path("x.yaml"))
    except SpecError as error:
        assert error.problems  # an image or a model of that name cannot be
        return
    spec = spec_of(found.text)  # reads back, and no comment or text broke out of its line
    assert spec.name == found.name
    if field == "env.A" and value:
        assert {**spec.image.env, **spec.variants[spec.headline].env} == {"A": value}
    if field == "defaults.chat_template" and value not in ("", " "):
        assert spec.variants[spec.headline].flags["chat-template"] in (value, json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("model: a/b\nmodel: c/d\ncontainer: x\n", "duplicate key 'model'", 2),
        ("a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\ncontainer: [*e,*e,*e]\n",
         "grows too large", 1),
        ("model: !!python/object:os.system x\n", "tag", 1),
        ("model: [a\n", "not valid YAML", 2),
        ("- model\n- a/b\n", "is not a mapping", 1),
        ("container: x\nname: y\n", "names neither a model nor a command", 1),
        ("model: a/b\ncommand: |\n  echo hello\n", "starts no server that is known", 3),
        ("model: a/b\ncommand: |\n  vllm serve {model}\n  echo 'open\n", "the quote ' is not closed", 4),
        ("model: a/b\ndefaults: {a: 'x{a}'}\ncommand: |\n  vllm serve {a}\n", "refer to one another in a circle", 3),
        ("model: a/b\ncontainer: 'x y'\n", "is not an image reference", 0),
        ("schema: recipegen/v1\nmodel: {hf_id: a/b}\n", "is a recipe of recipegen already", 1),
        ("just: some\nyaml: file\ndefaults: {}\n", "is not a recipe of a format that is known", 1),
        ("model: a\x00b\n", "control character", 1),
    ],
)  # fmt: skip
def test_bad_files_have_one_clear_error(text: str, message: str, line: int) -> None:
    with pytest.raises(SpecError) as caught:
        import_text(text, Path("bad.yaml"))
    problem = caught.value.problems[0]
    assert message in problem.message
    assert (str(problem.where.file), problem.where.line) == ("bad.yaml", line) or (line == 1 and problem.where.line > 0)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("vllm serve {model} " + "x " * 30_000, "has more than 20,000 words"),
        ("A=xxxxxxxxxxxxxxxx\n" + "A=$A$A\n" * 30 + "vllm serve {model} $A", "grows too large"),
        ("vllm serve " + "{a}" * 200_000, "grows too large"),
    ],
)
def test_texts_without_measure_are_refused(command: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        with_command(command, defaults="{a: xxxx}")
    assert message in caught.value.problems[0].message


@pytest.mark.parametrize(
    "name", ["--speculative-config." + "a." * 5000 + "b 1", "--" + "a" * 5000, "--x '" + "{" * 5000 + "'"]
)
def test_flags_without_measure_are_left_out_and_told(name: str) -> None:
    found = with_command(f"vllm serve {{model}} {name}")
    assert flags_of(found) == {} or name.startswith("--x")
    assert len(found.report.lost) == (0 if name.startswith("--x") else 1)


def test_values_of_the_wrong_shape_are_told() -> None:
    found = sparkrun(
        """
        model: a/Model
        runtime: vllm
        container: image:1
        defaults: [1, 2]
        env: text
        metadata: 7
        runtime_version: {a: 1}
        """
    )
    assert {"defaults", "env", "metadata", "runtime_version"} <= lost_names(found, runs=True)


def test_no_secret_gets_through() -> None:
    token = "hf_" + "a1B2" * 8
    found = sparkrun(
        f"""
        name: with {token}
        description: token {token} here
        model: a/Model
        runtime: vllm
        container: image:1
        env: {{HF_TOKEN: {token}, MY_SECRET: hunter2hunter2, OTHER: "{token}"}}
        pre_exec: ["export HF_TOKEN={token}", "export DB_PASSWORD=swordfish9", "login --token {token}"]
        mods: [{token}]
        metadata: {{maintainer: "{token}", x: {token}, description: "{token}"}}
        unknown: {{API_KEY: plain-secret-value}}
        defaults: {{chat_template: {token}, hf_token: {token}, api_key: abc123def}}
        """
    )
    everything = found.text + str(found.report)
    for secret in (token, token.lower(), "hunter2hunter2", "swordfish9", "plain-secret-value", "abc123def"):
        assert secret not in everything, secret


def test_an_unquoted_truth_value_is_told() -> None:
    found = with_command("vllm serve {model}", env="{A: true, B: 1, C: 1.50}")
    assert recipe_data(found)["engine"]["env"] == {"A": "True", "B": "1", "C": "1.5"}
    assert any(note.startswith("env.A: true without quotes") for note in found.report.notes)


@pytest.mark.parametrize(
    ("fields", "hardware"),
    [
        ({}, "dgx-spark"),
        ({"min_nodes": 2}, "dgx-spark-x2"),
        ({"min_nodes": 3}, "dgx-spark-x4"),
        ({"min_nodes": 4}, "dgx-spark-x4"),
        ({"min_nodes": 9}, "dgx-spark-x4"),
        ({"cluster_only": "true"}, "dgx-spark-x2"),
        ({"solo_only": "true", "defaults": "{tensor_parallel: 2}"}, "dgx-spark"),
        ({"max_nodes": 1, "defaults": "{tensor_parallel: 2}"}, "dgx-spark"),
        ({"defaults": "{tensor_parallel: 2}"}, "dgx-spark-x2"),
        ({"defaults": "{tensor_parallel: 2, pipeline_parallel: 2}"}, "dgx-spark-x4"),
    ],
)
def test_hardware_follows_from_nodes_and_ranks(fields: dict[str, Any], hardware: str) -> None:
    assert recipe_data(with_command("vllm serve {model}", **fields))["hardware"] == hardware


def test_a_value_in_a_note_is_still_looked_at() -> None:
    line = "docker run -v /x/password=swordfish9:/root/.cache/huggingface vllm/vllm-openai --model a/B"
    (note,) = [note for note in import_text(line, Path("x.sh")).report.notes if "hub's cache" in note]
    assert "swordfish9" not in note
    assert note.endswith("the hub's cache, which run.models: hf-cache mounts")


@pytest.mark.parametrize(("value", "on"), [('"1"', True), ("1", True), ("true", True), ('"no"', False), ('"0"', False)])
def test_a_switch_among_the_defaults_is_read_as_sparkrun_does(value: str, on: bool) -> None:
    found = sparkrun(f"model: a/b\ncontainer: x/y:1\nruntime: vllm\ndefaults: {{enforce_eager: {value}}}\n")
    assert flags_of(found) == {"enforce-eager": on}


def test_a_note_keeps_its_own_words() -> None:
    text = "model: a/b\ncontainer: x/y:1\nruntime: vllm\ndefaults: {my_api_key_file: x}\nenv: {A_TOKENIZER: $HOME}\n"
    notes = sparkrun(text).report.notes
    assert (
        "env.A_TOKENIZER: kept as it is written; sparkrun puts in the variable HOME of the machine that steers" in notes
    )
    assert not any("<hidden>" in note for note in notes), notes


def test_what_sparkruns_runtime_brings_along_is_told() -> None:
    text = "model: a/b\ncontainer: x/y:1\nruntime: vllm-ray\nmin_nodes: 2\ncommand: vllm serve {model}\n"
    found = sparkrun(text)
    assert "distributed-executor-backend: ray" in lost(found, "runtime").why
    assert any("without privileges" in note for note in found.report.notes)


def test_the_containers_own_defaults_are_taken_over_or_told() -> None:
    bridge = sparkrun("model: a/b\ncontainer: x/y:1\nruntime: vllm\nexecutor_config: {ipc: private, network: bridge}\n")
    assert "network" not in recipe_data(bridge)["run"]
    assert any("run.shm_size" in note for note in bridge.report.notes)
    svd = recipe_data(imported(OTHERS / "svd-nemotron.yaml"))
    assert (svd["run"]["network"], svd["run"]["ulimits"]) == ("host", {"nofile": 1048576})
    assert svd["engine"]["env"]["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"


def test_as_many_machines_as_the_source_has_and_a_record_where_its_ranks_are_not_as_many() -> None:
    found = with_command("vllm serve {model} -tp 3 -pp 3", min_nodes=9)
    assert not found.record
    assert (recipe_data(found)["hardware"], recipe_data(found)["cluster"]) == ("dgx-spark-x4", {"nodes": 9})
    found = with_command("vllm serve {model}", min_nodes=2)
    assert found.record
    assert "for 2 nodes of one GPU, and its flags ask for 1 rank" in recipe_data(found)["missing"][0]


def test_a_node_of_vllms_own_mode_becomes_the_recipe_of_all() -> None:
    line = "docker run --gpus all --network host x/vllm:v0.28.0 --model a/B -tp 2 --nnodes 2 --node-rank 1 --headless"
    found = import_text(f"{line} --master-addr 10.0.0.1 --master-port 29588", Path("x.sh"))
    data = recipe_data(found)
    assert (data["hardware"], data["cluster"]) == ("dgx-spark-x2", {"master_port": 29588})
    assert data["engine"]["flags"] == {"tensor-parallel-size": 2}
    assert "10.0.0.1" not in found.text
    alone = recipe_data(import_text("docker run --gpus all x/vllm:v0.28.0 --model a/B --nnodes 1 -r 0", Path("x.sh")))
    assert "cluster" not in alone and alone["hardware"] == "dgx-spark"
    on_cpus = recipe_data(import_text(line.replace("--gpus all", ""), Path("x.sh")))
    assert (on_cpus["hardware"], on_cpus["cluster"]) == ("cpu", {"nodes": 2})


def test_a_further_name_has_its_line() -> None:
    found = with_command("vllm serve {model} \\\n  --served-model-name one two")
    assert lost(found, "--served-model-name").line == 6


def test_what_an_old_spelling_meant_and_what_a_repeat_costs_is_said() -> None:
    found = with_command("vllm serve {model} -O.cudagraph_mode=FULL --middleware a.b --middleware c.d")
    assert flags_of(found) == {"compilation-config": {"cudagraph_mode": "FULL"}, "middleware": "c.d"}
    assert any("-cc.cudagraph_mode" in note for note in found.report.notes)
    assert lost(found, "--middleware").value == "a.b"
    assert "some flags would add them up" in lost(found, "--middleware").why
