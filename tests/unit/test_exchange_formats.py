"""vLLM's recipes, `docker run` lines, scripts and compose files: what each becomes, and what is said of the rest."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from recipegen.errors import RecipegenError, SpecError
from recipegen.exchange.read import Imported, import_text
from tests.unit.exchange_support import OTHERS, imported, lost, lost_names, recipe_data, spec_of


def docker(line: str, name: str = "x.sh") -> Imported:
    return import_text(line, Path(name))


def compose(text: str) -> Imported:
    return import_text(textwrap.dedent(text), Path("compose.yaml"))


@pytest.mark.parametrize("file", sorted(OTHERS.iterdir()), ids=lambda file: file.name)
def test_every_example_makes_a_recipe(file: Path) -> None:
    found = imported(file)
    spec = spec_of(found.text)
    assert spec.name == found.name
    assert found.record is bool(spec.missing)


# vLLM's recipes.


def test_a_vllm_recipe_is_taken_for_a_spark() -> None:
    found = imported(OTHERS / "vllm-qwen36.yaml")
    data = recipe_data(found)
    assert (found.kind, found.name) == ("vLLM recipe", "qwen3.6-35b-a3b-nvfp4")
    assert data["model"]["hf_id"] == "nvidia/Qwen3.6-35B-A3B-NVFP4"
    assert data["image"]["base"] == "vllm/vllm-openai:v0.28.0"
    assert list(data["engine"]["flags"]) == [
        "trust-remote-code", "async-scheduling", "kv-cache-dtype", "moe-backend", "max-num-seqs",
        "enable-auto-tool-choice", "tool-call-parser", "reasoning-parser",
    ]  # fmt: skip
    assert data["engine"]["env"] == {"VLLM_USE_DEEP_GEMM": "0", "VLLM_HAS_FLASHINFER_CUBIN": "1"}
    assert data["variants"]["mtp"]["flags"]["speculative-config"]["num_speculative_tokens"] == 3
    assert data["variants"]["text_only"] == {
        "title": "No vision encoder",
        "flags": {"language-model-only": True},
        "measure": False,
    }
    assert lost_names(found, runs=True) == set()
    assert {"variants.default", "hardware_overrides.amd", "dependencies[0]", "guide"} <= lost_names(found, runs=False)


def test_another_checkpoint_by_name() -> None:
    found = imported(OTHERS / "vllm-qwen36.yaml", variant="default")
    data = recipe_data(found)
    assert data["model"]["hf_id"] == "Qwen/Qwen3.6-35B-A3B"
    assert data["variants"]["eagle3"]["flags"]["speculative-config"]["model"] == {"$model": "drafter"}
    assert data["models"]["drafter"]["hf_id"] == "community/eagle3"
    with pytest.raises(RecipegenError, match="has no variant 'nvfp5'") as caught:
        imported(OTHERS / "vllm-qwen36.yaml", variant="nvfp5")
    assert caught.value.hint == "did you mean nvfp4?"


def test_later_groups_of_a_vllm_recipe_win() -> None:
    found = import_text(
        "model: {model_id: a/B, base_args: [--max-num-seqs, '4', -tp, '2']}\n"
        "hardware_overrides: {nvidia: {extra_args: [--tensor-parallel-size, '1']}}\n"
        "variants: {default: {extra_args: [--max-num-seqs, '8']}}\n",
        Path("x.yaml"),
    )
    assert recipe_data(found)["engine"]["flags"] == {"tensor-parallel-size": 1, "max-num-seqs": 8}
    assert found.report.lost == []
    assert any("the recipe names none" in note for note in found.report.notes)


# docker run, and scripts around it.


def test_a_script_with_variables_arrays_and_other_steps() -> None:
    found = imported(OTHERS / "docker-vllm.sh")
    data = recipe_data(found)
    assert found.kind == "docker run command"
    assert data["engine"]["flags"] == {
        "max-model-len": 65536,
        "max-num-seqs": 4,
        "speculative-config": {"method": "mtp", "num_speculative_tokens": 3},
        "chat-template": "/templates/chat.jinja",
        "enable-prefix-caching": True,
        "enable-log-requests": False,
        "tensor-parallel-size": 1,
        "optimization-level": 3,
    }
    assert data["engine"]["env"] == {"VLLM_USE_FLASHINFER_MOE_FP4": "0", "CUTE_DSL_ARCH": "sm_121a"}
    assert data["run"] == {
        "models": "hf-cache",
        "port": 8000,
        "ipc": "host",
        "shm_size": "16g",
        "ulimits": {"memlock": -1, "stack": 67108864},
        "volumes": [{"source": "~/templates", "target": "/templates"}],
        "compile_cache": True,
    }
    assert lost_names(found, runs=True) == {"-e HF_TOKEN", "--cap-add"}
    assert lost_names(found, runs=False) == {"redirection", "--restart"}
    assert "HF_TOKEN=" not in found.text


def test_bash_c_and_the_api_server_module() -> None:
    found = imported(OTHERS / "docker-api-server.txt")
    data = recipe_data(found)
    assert data["model"]["hf_id"] == "openai/gpt-oss-20b"
    assert data["engine"]["env"] == {"VLLM_LOGGING_LEVEL": "DEBUG", "OMP_NUM_THREADS": "4"}
    assert data["run"]["network"] == "host"
    assert data["run"]["port"] == 8123
    assert data["engine"]["flags"] == {"max-model-len": 65536, "kv-cache-dtype": "auto"}


def test_a_model_in_a_mounted_folder() -> None:
    found = imported(OTHERS / "docker-llamacpp.sh")
    data = recipe_data(found)
    assert found.record
    assert (data["model"]["folder"], data["model"]["file"]) == ("gemma", "gemma-3-1b-it-Q4_K_M.gguf")
    assert data["run"] == {"models": "folders", "port": 9090}
    assert data["image"]["apt"] == ["python3"]


@pytest.mark.parametrize(
    ("line", "hf_id", "port", "flags"),
    [
        ("vllm serve a/B", "a/B", 8000, {}),
        ("vllm serve --model a/B --port 9000", "a/B", 9000, {}),
        ("vllm serve --port 9000 a/B --seed 1", "a/B", 9000, {"seed": 1}),
        ("CUDA_VISIBLE_DEVICES=0 exec vllm serve a/B", "a/B", 8000, {}),
        ("python3 -m vllm.entrypoints.openai.api_server --model a/B", "a/B", 8000, {}),
        ("uv run vllm serve a/B", "a/B", 8000, {}),
        ("sudo docker run --gpus all vllm/vllm-openai:v0.28.0 --model a/B --seed 1", "a/B", 8000, {"seed": 1}),
        ("docker run --gpus all vllm/vllm-openai:v0.28.0 a/B --seed 1", "a/B", 8000, {"seed": 1}),
        ("docker run --gpus=all --entrypoint vllm img serve a/B", "a/B", 8000, {}),
        ("docker run -itd --rm -p8001:8000 --gpus all img vllm serve a/B", "a/B", 8001, {}),
        ("docker run --gpus all -p 127.0.0.1:8001:8000/tcp img vllm serve a/B --port 8000", "a/B", 8001, {}),
        ("exec sudo -E docker run --gpus all img vllm serve a/B", "a/B", 8000, {}),
        ("M=a/B; docker run --gpus all img vllm serve ${M:?set it}", "a/B", 8000, {}),
        ("docker run --gpus all ghcr.io/ggml-org/llama.cpp:full --server -hf a/B --hf-file c.gguf", "a/B", 8080, {}),
        ("podman run --device nvidia.com/gpu=all img bash -lc 'vllm serve a/B'", "a/B", 8000, {}),
        ("docker container run --gpus all -e M=a/B img sh -c 'vllm serve $M'", "a/B", 8000, {}),
        ("vllm serve /root/.cache/huggingface/hub/models--a--B/snapshots/" + "0" * 40, "a/B", 8000, {}),
    ],
)
def test_ways_to_start_a_server(line: str, hf_id: str, port: int, flags: dict[str, Any]) -> None:
    found = docker(line)
    data = recipe_data(found)
    assert data["model"]["hf_id"] == hf_id
    assert data["run"].get("port", 8000) == port
    assert data["engine"].get("flags", {}) == flags
    assert lost_names(found, runs=True) == set()


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ("-v data:/data", "-v", "data:/data"),
        ("-v x", "-v", "x"),
        ("--mount type=volume,src=a,dst=/b", "--mount", "type=volume,src=a,dst=/b"),
        ("--privileged", "--privileged", ""),
        ("--cap-add SYS_PTRACE", "--cap-add", "SYS_PTRACE"),
        ("--env-file .env", "--env-file", ".env"),
        ("--user 1000", "--user", "1000"),
        ("-m 100g", "-m", "100g"),
        ("--network mynet", "--network", "mynet"),
        ("--ipc container:x", "--ipc", "container:x"),
        ("--ulimit nofile=1:2", "--ulimit", "nofile=1:2"),
        ("-p 1-2:3-4", "-p", "1-2:3-4"),
        ("-e NAME", "-e NAME", ""),
        ("-e A=$(id)", "-e A", ""),
        ("-e PORT=1", "engine.env.PORT", "1"),
        ("-e API_KEY=abcdef", "-e API_KEY", "<hidden>"),
        ("-v $(mktemp):/x", "-v", "$(mktemp):/x"),
        ("-v ../up:/x", "run.volumes.0", '{"source": "../up", "target": "/x", "read_only": false}'),
    ],
)
def test_options_without_a_place_are_listed(options: str, name: str, value: str) -> None:
    found = docker(f"docker run --gpus all {options} img vllm serve a/B")
    assert lost(found, name).value == value
    assert lost(found, name).runs
    assert recipe_data(found)["model"]["hf_id"] == "a/B"


@pytest.mark.parametrize(
    ("option", "where", "value"),
    [
        ("--ipc=host", "ipc", "host"),
        ("--network host", "network", "host"),
        ("--shm-size=16gb", "shm_size", "16g"),
        ("--shm-size 10.24gb", "shm_size", "10.24g"),
        ("-v $PWD/t:/t:ro", "volumes", [{"source": "./t", "target": "/t"}]),
        ("-v `pwd`/t:/t", "volumes", [{"source": "./t", "target": "/t", "read_only": False}]),
        ("--mount type=bind,src=/t,dst=/t,readonly", "volumes", [{"source": "/t", "target": "/t"}]),
        ("--ulimit memlock=-1:-1", "ulimits", {"memlock": -1}),
    ],
)
def test_options_with_a_place(option: str, where: str, value: Any) -> None:
    found = docker(f"docker run --gpus all {option} img vllm serve a/B")
    assert recipe_data(found)["run"][where] == value
    assert found.report.lost == []


def test_a_container_without_gpus_is_for_a_cpu() -> None:
    assert recipe_data(docker("docker run img vllm serve a/B"))["hardware"] == "cpu"


def test_generic_names_are_passed_over() -> None:
    assert docker("vllm serve a/Some-Model", "run.sh").name == "some-model"
    assert docker("docker run --name vllm --gpus all img vllm serve a/Some-Model", "-").name == "some-model"
    assert docker("vllm serve a/Some-Model", "nightly build.sh").name == "nightly-build"
    assert import_text("vllm serve a/B", Path("-"), name="chosen").name == "chosen"


def test_the_container_that_serves_is_the_one_that_counts() -> None:
    found = docker("docker run -d redis\ndocker run --gpus all -p 9:8000 img vllm serve a/B\n")
    assert recipe_data(found)["run"]["port"] == 9
    assert found.report.lost == []


def test_a_second_server_and_further_steps_are_told() -> None:
    found = docker("./warm-up --all\ndocker pull x\nvllm serve a/B\nvllm serve c/D\n")
    assert lost(found, "./warm-up --all").line == 1
    assert "a second server" in lost(found, "vllm serve").why
    assert recipe_data(found)["model"]["hf_id"] == "a/B"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo hello\n", "starts no server that is known"),
        ("docker run --gpus all nginx\n", "starts no server that is known"),
        ("vllm serve a/B 'x\n", "the quote ' is not closed"),
        ("", "starts no server that is known"),
        ("docker run", "starts no server that is known"),
        ("vllm serve a/B\n" + "A=$A$A\n", None),
    ],
)
def test_texts_without_a_server(text: str, message: str | None) -> None:
    if message is None:
        assert docker(text).name == "x"  # what comes after the server does not matter to it
        return
    with pytest.raises(SpecError) as caught:
        docker(text, "run.sh")
    assert message in caught.value.problems[0].message


# Compose.


def test_a_compose_file_with_a_server_and_a_proxy() -> None:
    found = imported(OTHERS / "compose.yaml")
    data = recipe_data(found)
    assert (found.kind, found.name) == ("compose file", "gpt-oss")
    assert data["image"]["base"] == "vllm/vllm-openai:v0.28.0"
    assert data["model"]["served_name"] == "gpt-oss"
    assert data["engine"]["env"] == {"VLLM_LOGGING_LEVEL": "INFO"}
    assert data["run"]["ipc"] == "host"  # through the merge key
    assert data["run"]["port"] == 8080
    assert data["run"]["volumes"] == [{"source": "./plugins", "target": "/plugins"}]
    assert lost_names(found, runs=True) == {"environment.HF_TOKEN", "environment.PASSED_ON"}
    assert {"services.proxy", "healthcheck", "restart"} == lost_names(found, runs=False)


def test_compose_with_llama_cpp_and_long_syntax() -> None:
    data = recipe_data(imported(OTHERS / "compose-llamacpp.yaml"))
    assert data["hardware"] == "cpu"
    assert data["run"]["port"] == 8081
    assert data["engine"]["env"] == {"LLAMA_ARG_THREADS": "8"}
    assert data["model"]["hf_id"] == "ggml-org/gemma-3-1b-it-GGUF"


def test_variables_of_compose_and_of_the_container() -> None:
    found = compose(
        """
        services:
          s:
            image: img:${TAG}
            gpus: all
            environment: {M: a/B, COST: "$$5"}
            command: bash -c "vllm serve $$M --seed ${SEED:-7} --max-num-seqs ${SEQS}"
        """
    )
    data = recipe_data(found)
    assert data["model"]["hf_id"] == "a/B"
    assert data["engine"]["env"] == {"M": "a/B", "COST": "$5"}
    assert data["engine"]["flags"] == {"seed": 7}
    assert "SEQS" in lost(found, "--max-num-seqs").why
    assert "TAG" in lost(found, "image").why
    assert found.record


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: {a: {image: nginx}}\n", "has no service with a server"),
        ("services: {}\n", "has no service with a server"),
        (
            "services: {a: {image: x, command: vllm serve a/B}, b: {image: y, command: vllm serve c/D}}\n",
            "has 2 services",
        ),
        ('services: {a: {image: x, command: "vllm serve \'a"}}\n', "No closing quotation"),
    ],
)
def test_compose_files_without_one_server(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        import_text(text, Path("compose.yaml"))
    assert message in caught.value.problems[0].message


def test_what_a_service_has_beyond_is_listed() -> None:
    found = compose(
        """
        services:
          s:
            image: vllm/vllm-openai:v0.28.0
            command: ["a/B"]
            runtime: nvidia
            build: .
            env_file: .env
            cap_add: [SYS_NICE]
            depends_on: [db]
            volumes: [{type: volume, source: v, target: /v}, "named:/n"]
            ports: ["8000:8000", "9000:9000"]
            deploy: {replicas: 2, resources: {limits: {memory: 1g}}}
          db: {image: postgres}
        secrets: {x: {file: y}}
        """
    )
    assert lost_names(found, runs=True) == {
        "build", "env_file", "cap_add", "depends_on", "volumes[0]", "volumes[1]", "ports[1]", "deploy", "secrets",
    }  # fmt: skip
    assert "engine.env" in lost(found, "env_file").why
    assert not any("docker run" in entry.why for entry in found.report.lost)
