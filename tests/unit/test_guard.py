"""The guard of the host's memory, with a /proc/meminfo of its own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from recipegen.bench.guard import Asked, MemoryGuard, asked_of, default_floor, guard_of
from recipegen.bench.host_sampler import Memory
from recipegen.cli.servers import up_command
from recipegen.errors import MeasurementFailed
from tests.support.kits import small

GIB = 1 << 30
KIB = 1 << 20
"""A GiB in the file's unit."""


class Host:
    """A file system with nothing but proc/meminfo."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc").mkdir()

    def has(self, available_gib: float, *, total_gib: float = 120, swap_used_gib: float = 0) -> None:
        """Replaces the file at once, so that nobody reads half of it."""
        new = self.root / "new"
        new.write_text(
            f"MemTotal: {int(total_gib * KIB)} kB\nMemAvailable: {int(available_gib * KIB)} kB\n"
            f"SwapTotal: {16 * KIB} kB\nSwapFree: {int((16 - swap_used_gib) * KIB)} kB\n"
        )
        new.replace(self.root / "proc/meminfo")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_low_memory_is_told_once_with_what_was_asked_and_what_to_lower(host: Host) -> None:
    host.has(100)
    told: list[str] = []
    low = threading.Event()

    def on_low(text: str) -> None:
        told.append(text)
        low.set()

    flags = {"max-num-seqs": 4, "gpu-memory-utilization": 0.95, "trust-remote-code": True, "max-model-len": 262144}
    asked = asked_of(flags, 120 * GIB, 70 * GIB)
    with MemoryGuard(None, on_low, asked=asked, root=host.root, interval_s=0.01) as guard:
        assert not low.wait(0.1)
        host.has(1.5)
        assert low.wait(20)
    assert told == [
        "memory ran low: 1.5 GiB of 120.0 GiB were available, and 2.4 GiB must stay free, or this host may freeze. The "
        "server was started with gpu-memory-utilization 0.95 of 120.0 GiB, that is 114.0 GiB and weights of 70.0 GiB. "
        "Lower gpu-memory-utilization (now 0.95), then max-model-len (now 262144), then max-num-seqs (now 4), or end "
        "other programs"
    ]
    assert guard.text == told[0]
    assert guard.error is None


def test_plenty_of_memory_is_no_news(host: Host) -> None:
    host.has(3)
    with MemoryGuard(2 * GIB, pytest.fail, root=host.root, interval_s=0.001) as guard:
        threading.Event().wait(0.05)
    assert guard.text is None


@pytest.mark.parametrize(
    ("available", "swap", "low"),
    [
        (2.0, 0, False),  # exactly at the floor
        (1.99, 0, True),
        (7, 3, True),  # 2 GiB more in swap than at the start, and little left
        (7, 1.9, False),
        (50, 9, False),  # old pages went to swap, there is plenty
        (7, 0, False),
    ],
)
def test_when_it_is_low(host: Host, available: float, swap: float, low: bool) -> None:
    host.has(100, swap_used_gib=1)
    with MemoryGuard(2 * GIB, lambda text: None, root=host.root, interval_s=60) as guard:
        memory = Memory(120 * GIB, int(available * GIB), 0, int(swap * GIB))
        text = guard.judge(memory)
    assert (text is not None) is low
    if low and swap:
        assert text is not None
        assert "2.0 GiB went to swap meanwhile" in text
        assert "Take a smaller model" in text


def test_what_stopping_the_server_raises_is_kept(host: Host) -> None:
    host.has(0.1)
    raised = threading.Event()

    def stuck(text: str) -> None:
        raised.set()
        raise RuntimeError("the daemon does not answer")

    with MemoryGuard(None, stuck, root=host.root, interval_s=0.01) as guard:
        assert raised.wait(20)
    assert str(guard.error) == "the daemon does not answer"
    assert guard.text is not None


def test_a_host_without_meminfo_is_not_watched(tmp_path: Path) -> None:
    with MemoryGuard(None, pytest.fail, root=tmp_path) as guard:
        pass
    assert guard.text is None


def test_a_file_that_vanishes_does_not_end_the_watch(host: Host) -> None:
    host.has(50)
    low = threading.Event()
    with MemoryGuard(None, lambda text: low.set(), root=host.root, interval_s=0.001):
        (host.root / "proc/meminfo").unlink()
        assert not low.wait(0.05)
        host.has(0.5)
        assert low.wait(20)


def test_the_guard_may_be_left_from_its_own_call(host: Host) -> None:
    host.has(0.5)
    done = threading.Event()
    guard: MemoryGuard

    def on_low(text: str) -> None:
        guard.__exit__(None, None, None)
        done.set()

    guard = MemoryGuard(None, on_low, root=host.root, interval_s=0.001)
    with guard:
        assert done.wait(20)
    assert guard.error is None


@pytest.mark.parametrize(("total", "floor"), [(121.7, 0.02 * 121.7), (64, 2), (24, 2), (16, 1.6), (4, 0.4), (1000, 20)])
def test_the_floor(total: float, floor: float) -> None:
    assert default_floor(int(total * GIB)) / GIB == pytest.approx(floor, abs=1e-6)


@pytest.mark.parametrize(
    ("flags", "total", "weights", "asked"),
    [
        ({}, 120 * GIB, None, Asked()),
        ({"gpu-memory-utilization": True}, 120 * GIB, None, Asked("", ("gpu-memory-utilization (now True)",))),
        ({"gpu-memory-utilization": 0.9}, None, None, Asked("", ("gpu-memory-utilization (now 0.9)",))),
        (
            {"parallel": 4, "ctx-size": 8192},
            24 * GIB,
            GIB // 2,
            Asked("weights of 0.5 GiB", ("ctx-size (now 8192)", "parallel (now 4)")),
        ),
    ],
)
def test_what_was_asked(flags: dict[str, object], total: int | None, weights: int | None, asked: Asked) -> None:
    assert asked_of(flags, total, weights) == asked


def test_the_guard_of_a_server_kills_it_without_grace_and_then_says_so() -> None:
    done: list[object] = []

    class Stubborn:
        def stop(self, grace_s: float | None = None) -> None:
            done.append(grace_s)
            raise RuntimeError("the daemon does not answer")

    spec = small("vllm-prebuilt")
    guard = guard_of(spec, spec.headline, cast(Any, Stubborn()), done.append)
    with pytest.raises(RuntimeError, match="does not answer"):
        guard._on_low("memory ran low")
    assert done == [0, "memory ran low"]


def test_up_watches_a_server_while_it_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = threading.Event()
    graces: list[float | None] = []

    class Loading:
        note, exit_code, cause = "", -9, ""

        def start(self) -> None:
            assert killed.wait(20)

        def stop(self, grace_s: float | None = None) -> None:
            graces.append(grace_s)
            killed.set()

        def alive(self) -> bool:
            return False

        def log_tail(self, lines: int) -> str:
            return ""

    monkeypatch.setattr("recipegen.runners.plan.server_of", lambda plan, runner: Loading())
    monkeypatch.setattr("recipegen.runners.plan.require_models", lambda spec, variant, options: None)
    monkeypatch.setattr("recipegen.bench.guard.read_memory", lambda root=None: Memory(120 * GIB, GIB, 0, 0))
    root = Path(__file__).parents[2]
    done = CliRunner().invoke(up_command, ["smoke-llamacpp", "--runner", "local", "--root", str(root)])
    assert graces[0] == 0
    assert "memory ran low: 1.0 GiB of 120.0 GiB were available" in done.output
    assert isinstance(done.exception, MeasurementFailed)
