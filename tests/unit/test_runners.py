"""The runners with real processes of this host: servers that become ready late, die, never answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recipegen.errors import EnvironmentLacks, MeasurementFailed
from recipegen.runners import local
from recipegen.runners.base import (
    ServerPlan,
    every_ten_seconds,
    free_port,
    is_ready,
    port_free,
    require_port,
    signals_held,
    wait_ready,
)
from recipegen.runners.docker_runner import make_caches
from recipegen.runners.endpoint import EndpointServer
from recipegen.runners.engine_version import reported_version, served_models
from recipegen.runners.http import get, get_json, host_and_port, server_root
from recipegen.runners.local import LocalServer

STAND_IN = Path(__file__).parent.parent / "support" / "stand_in_server.py"


def plan_for(tmp_path: Path, *options: str, timeout_s: float = 20) -> ServerPlan:
    """A plan that runs the stand-in on a free port."""
    port = free_port()
    return ServerPlan(
        recipe="stand-in",
        variant="ar",
        words=[sys.executable, str(STAND_IN), "--port", str(port), *options],
        env={"STAND_IN_WORD": "it's $(data)"},
        host="127.0.0.1",
        port=port,
        base_url=f"http://127.0.0.1:{port}",
        timeout_s=timeout_s,
        log_path=tmp_path / "server.log",
    )


def gone(pid: int) -> bool:
    """Whether no such process runs any more (a zombie does not run)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def silent(_seconds: float, _line: str) -> None:
    """No progress wanted."""


def test_a_server_that_is_ready_late_is_waited_for_and_taken_down(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "--listen-after", "0.6", "--load", "1.2")
    ticks: list[tuple[float, str]] = []
    with LocalServer(plan) as server:
        ready_s = wait_ready(server, plan, lambda seconds, line: ticks.append((seconds, line)))
        assert 1.0 < ready_s < 15
        assert server.alive()
        assert server.exit_code is None
        assert server.facts() == {
            "runner": "local",
            "started_by_us": True,
            "image": None,
            "program": Path(sys.executable).name,
        }
        assert "word it's $(data)" in server.log_tail(20)
        pid = int(server.log_tail(20).split("pid ")[1].split()[0])
    assert [seconds for seconds, _ in ticks] == sorted(seconds for seconds, _ in ticks)
    assert any(line == "loading" for _, line in ticks)
    assert gone(pid)
    assert not server.alive()
    assert "loading" in (tmp_path / "server.log").read_text()
    assert port_free(plan.host, plan.port)


def test_llama_cpp_lists_models_while_it_loads_and_is_not_ready_then(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "--load", "60")
    with LocalServer(plan) as server:
        until(lambda: get_json(f"{plan.base_url}/v1/models") is not None)
        assert is_ready(replace(plan, health_path=None))
        assert not is_ready(plan)
        assert is_ready(replace(plan, health_path="/unknown-to-this-server"))
        assert server.alive()


def test_a_server_that_dies_at_its_start_is_noticed_at_once(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "--die", "7", timeout_s=600)
    began = time.monotonic()
    with LocalServer(plan) as server, pytest.raises(MeasurementFailed) as caught:
        wait_ready(server, plan, silent)
    assert time.monotonic() - began < 10
    cause, _, log = caught.value.message.partition("\n")
    assert cause.startswith("the server of stand-in/ar ended with exit code 7, after ")
    assert "RuntimeError: no such quantization" in log
    assert str(tmp_path) not in cause
    assert caught.value.hint == f"the whole log: {tmp_path / 'server.log'}"
    assert caught.value.exit_code == 4


def test_a_server_killed_for_memory_says_so(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "--die", "-9")
    with LocalServer(plan) as server, pytest.raises(MeasurementFailed, match="SIGKILL, as the kernel does"):
        wait_ready(server, plan, silent)


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "--load", "600", timeout_s=1.5)
    with LocalServer(plan) as server, pytest.raises(MeasurementFailed) as caught:
        wait_ready(server, plan, silent)
    assert caught.value.message.startswith("the server of stand-in/ar was not ready after 1.5 s;")
    assert "loading" in caught.value.message
    assert "ready_timeout_s" in caught.value.hint
    assert port_free(plan.host, plan.port)


def test_a_server_that_takes_connections_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "--mute", timeout_s=0.2)
    with LocalServer(plan) as server, pytest.raises(MeasurementFailed, match="was not ready"):
        until(lambda: not port_free(plan.host, plan.port))
        wait_ready(server, plan, silent)


def test_secrets_stay_out_of_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    plan = plan_for(tmp_path, "--die", "1", "--say", "token is hf_abcdefghijklmnop")
    with LocalServer(plan) as server, pytest.raises(MeasurementFailed) as caught:
        wait_ready(server, plan, silent)
    assert "token is ***" in caught.value.message
    assert "hf_abc" not in caught.value.message


def test_a_server_that_ignores_sigterm_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "GRACE_S", 0.5)
    plan = plan_for(tmp_path, "--stubborn", "--child")
    with LocalServer(plan) as server:
        wait_ready(server, plan, silent)
        pids = [int(line.split()[1]) for line in server.log_tail(50).splitlines() if line.startswith("pid ")]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_server_that_is_deaf_to_sigterm_is_killed_without_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "GRACE_S", 600)
    server = LocalServer(plan_for(tmp_path, "--stubborn"))
    with server:
        wait_ready(server, server.plan, silent)
        server.stop(grace_s=0)
        assert server.exit_code == -signal.SIGKILL


def test_stop_is_harmless_when_repeated_or_never_started(tmp_path: Path) -> None:
    plan = plan_for(tmp_path)
    never = LocalServer(plan)
    never.stop()
    assert never.exit_code is None
    assert not never.alive()
    server = LocalServer(replace(plan, log_path=None))
    with server:
        wait_ready(server, plan, silent)
        copy = tmp_path / "copy.log"
        server.save_log(copy)
        assert "pid " in copy.read_text()
    server.stop()
    assert server.exit_code == -signal.SIGTERM


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    plan = plan_for(tmp_path)
    with socket.create_server((plan.host, plan.port)):
        with pytest.raises(EnvironmentLacks) as caught, LocalServer(plan):
            pytest.fail("it must not start")
        assert not port_free(plan.host, plan.port)
    assert caught.value.message == f"the port 127.0.0.1:{plan.port} is taken"
    assert "--port" in caught.value.hint
    assert not (tmp_path / "server.log").exists()
    require_port(plan.host, plan.port)


def test_a_missing_program_is_named_with_a_remedy(tmp_path: Path) -> None:
    plan = replace(plan_for(tmp_path), words=["recipegen-no-such-engine", "serve"])
    with pytest.raises(EnvironmentLacks) as caught, LocalServer(plan):
        pytest.fail("it must not start")
    assert caught.value.message == "the program recipegen-no-such-engine is not on this host"
    assert "PATH" in caught.value.hint


def test_llama_server_is_replaced_by_the_package_that_carries_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.shutil, "which", lambda name, path: None)
    monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: object() if name == "xllamacpp" else None)
    monkeypatch.setattr(local.importlib.metadata, "version", lambda name: "1.2.3")
    argv, program, note = local.program_argv(["llama-server", "-m", "a b.gguf"])
    assert argv == [sys.executable, "-m", "recipegen.runners.embedded", "-m", "a b.gguf"]
    assert program == "xllamacpp 1.2.3"
    assert note == "llama-server is not on PATH: running the same server out of xllamacpp 1.2.3"
    with pytest.raises(EnvironmentLacks, match="the program vllm is not on this host"):
        local.program_argv(["vllm", "serve"])
    monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentLacks) as caught:
        local.program_argv(["llama-server"])
    assert "pip install xllamacpp" in caught.value.hint


def test_llama_server_on_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local.program_argv(["llama-server", "-c", "8"]) == ([str(program), "-c", "8"], "llama-server", "")


def test_the_endpoint_runner_leaves_the_server_alone(tmp_path: Path) -> None:
    plan = plan_for(tmp_path)
    with LocalServer(plan) as theirs:
        wait_ready(theirs, plan, silent)
        theirs_plan = replace(plan, base_url=plan.base_url + "/v1/", words=[], log_path=None)
        with EndpointServer(theirs_plan) as server:
            assert wait_ready(server, theirs_plan, silent) < 5
            assert server.alive()
            assert server.facts()["started_by_us"] is False
            assert server.log_tail(5) == ""
            server.save_log(tmp_path / "none.log")
        server.stop()
        assert theirs.alive()
        assert not (tmp_path / "none.log").exists()
    assert not server.alive()
    with pytest.raises(EnvironmentLacks) as caught, EndpointServer(theirs_plan):
        pytest.fail("nothing is there")
    assert f"http://127.0.0.1:{plan.port}/v1/models" in caught.value.message
    assert "--base-url" in caught.value.hint


def test_an_endpoint_that_vanishes_is_noticed(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "--load", "600", timeout_s=60)
    with LocalServer(plan) as theirs:
        until(lambda: not port_free(plan.host, plan.port))
        server = EndpointServer(plan)
        server.start()
        theirs.stop()
        with pytest.raises(MeasurementFailed, match="the server of stand-in/ar is gone"):
            wait_ready(server, plan, silent)


def test_an_endpoint_that_wants_a_key_is_named(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "--status", "401")
    with LocalServer(plan):
        until(lambda: not port_free(plan.host, plan.port))
        with pytest.raises(EnvironmentLacks, match=r"wants a key \(status 401\)"):
            EndpointServer(plan).start()


@pytest.mark.parametrize("url", ["", "localhost:8000", "file:///etc/passwd", "http://", "http://h:99999", "ftp://h"])
def test_what_is_not_an_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="not the address of a server"):
        EndpointServer(replace(plan_for(tmp_path), base_url=url))


def test_addresses() -> None:
    assert server_root("http://h:8000/v1/") == server_root("http://h:8000/v1") == server_root("http://h:8000/")
    assert server_root("http://h/prefix/v1") == "http://h/prefix"
    assert host_and_port("http://[::1]:8000/v1") == ("::1", 8000)
    assert host_and_port("https://h/v1") == ("h", 443)
    assert host_and_port("http://h") == ("h", 80)


def test_the_http_client_reads_no_files_and_follows_no_redirects(served: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    with pytest.raises(OSError, match="neither http nor https"):
        get(secret.as_uri())
    with pytest.raises(OSError, match="not a web address"):
        get("v1/models")
    assert get(served + "/redirect")[0] == 302
    assert get_json(served + "/redirect") is None


def test_the_http_client_is_bounded_in_size_and_time(served: str) -> None:
    assert len(get(served + "/endless")[1]) == 1 << 20
    began = time.monotonic()
    with pytest.raises(OSError, match=r"takes longer than|timed out"):
        get(served + "/drip", timeout_s=0.6)
    assert time.monotonic() - began < 3


def test_no_proxy_stands_between(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert served_models(served) == ["tiny"]


def test_what_a_server_says_about_itself(served: str) -> None:
    assert reported_version(served + "/v1", "vllm") == "0.32.0+cpu"
    assert reported_version(served, "llama.cpp") == "b1-abc"
    assert reported_version(served, "another") is None
    assert served_models(served + "/v1/") == ["tiny"]


def test_what_a_server_does_not_say_is_none(served: str) -> None:
    for folder in ("/odd/list", "/odd/number", "/odd/html", "/odd/control", "/odd/500"):
        assert reported_version(served + folder, "vllm") is None
        assert served_models(served + folder) == []
    assert reported_version(served + "/odd/unknown", "llama.cpp") is None
    nothing_there = f"http://127.0.0.1:{free_port()}"
    assert reported_version(nothing_there, "llama.cpp") is None
    assert served_models(nothing_there) == []


def test_signals_are_held_and_delivered_at_the_end() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        with signals_held() as hurry:
            assert not hurry()
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            until(hurry)
            done.append("all of it")
        done.append("never")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_the_main_thread_nothing_is_held() -> None:
    seen: list[bool] = []

    def work() -> None:
        with signals_held() as hurry:
            seen.append(hurry())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_takes_the_server_down_however_often_it_comes(tmp_path: Path, times: int) -> None:
    """A whole Python process runs a stubborn server, and gets Ctrl-C once or three times."""
    plan = plan_for(tmp_path, "--stubborn")
    program = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from recipegen.runners import local
from recipegen.runners.base import ServerPlan
local.GRACE_S = {0.5 if times == 1 else 60}
plan = ServerPlan(recipe="r", variant="v", words={plan.words!r}, env={{}}, host="127.0.0.1", port={plan.port},
                  base_url={plan.base_url!r}, timeout_s=20, log_path=Path({str(plan.log_path)!r}))
with local.LocalServer(plan) as server:
    print("started", server._process.pid, flush=True)
    signal.pause()
"""
    driver = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert driver.stdout is not None
    pid = int(driver.stdout.readline().split()[1])
    until(lambda: is_ready(plan))
    for _ in range(times):
        driver.send_signal(signal.SIGINT)
        time.sleep(0.2)
    _out, err = driver.communicate(timeout=20)
    assert b"KeyboardInterrupt" in err
    assert gone(pid)
    assert port_free(plan.host, plan.port)


def until(condition: object, seconds: float = 15) -> None:
    """Waits until a condition holds."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address of a stand-in that is ready."""
    plan = plan_for(tmp_path)
    with LocalServer(plan) as server:
        wait_ready(server, plan, silent, sleep=lambda _s: time.sleep(0.02))
        yield plan.base_url


def test_a_waiting_user_gets_a_line_every_ten_seconds() -> None:
    said: list[str] = []
    tick = every_ten_seconds(said.append)
    for seconds in (0.0, 0.5, 9.9, 10.1, 15.0, 20.2):
        tick(seconds, f"log at {seconds}" + "x" * 500)
    assert [line.split("  ")[1] for line in said] == ["0 s", "10 s", "20 s"]
    assert max(map(len, said)) < 140


def test_a_cache_begins_empty_and_a_missing_model_stays_missing(tmp_path: Path) -> None:
    cache, models = tmp_path / "a" / "cache", tmp_path / "models"
    make_caches(((str(cache), "/root/.cache/vllm", False), (str(models), "/models", True), ("named", "/v", False)))
    assert cache.is_dir()
    assert not models.exists()
    assert not Path("named").exists()
