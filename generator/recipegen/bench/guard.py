"""Watches the memory of this host while a server loads and runs, and ends it before the host freezes. Owns the limit
and the words; how a server is killed is its runner's.

On a GB10 CPU and GPU share one memory. A server that takes more than there is does not fail with an error: the
host stops answering, ssh included, and only a power cycle brings it back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from recipegen.bench.host_sampler import Memory, read_memory

if TYPE_CHECKING:
    from recipegen.runners.base import Server
    from recipegen.spec.completed import Spec

INTERVAL_S = 0.5
CLOSE_INTERVAL_S = 0.1
"""When little is left: weights come from a disk at up to 10 GB/s, 1 GB in this time."""
_CLOSE = 4
"""Little is left below this many times the floor."""
_LEAST_FLOOR = 2 << 30
_FLOOR_SHARE = 0.02
SWAP_GROWTH = 1 << 30
"""So much pushed out to swap while little is left: the host is about to crawl, whatever is still called available."""
_TO_LOWER = (
    "gpu-memory-utilization",
    "max-model-len",
    "max-num-seqs",
    "max-num-batched-tokens",
    "max-seq-len",
    "ctx-size",
    "parallel",
)
"""Flags of engines that decide how much memory a server takes, the strongest first."""


@dataclass(frozen=True)
class Asked:
    """What a server was started to take.

    Attributes:
        what: in words, with figures.
        lower: what to lower, the strongest first, in words.
    """

    what: str = ""
    lower: tuple[str, ...] = ()


def asked_of(flags: Mapping[str, Any], total_bytes: int | None, weights_bytes: int | None = None) -> Asked:
    """What the flags of a variant ask for.

    Args:
        flags: the engine's, by long name without dashes.
        total_bytes: the host's memory.
        weights_bytes: size of the model's files, where it is known.
    """
    parts = []
    share = flags.get("gpu-memory-utilization")
    if isinstance(share, int | float) and not isinstance(share, bool) and total_bytes:
        parts.append(f"gpu-memory-utilization {share:g} of {_gib(total_bytes)}, that is {_gib(share * total_bytes)}")
    if weights_bytes:
        parts.append(f"weights of {_gib(weights_bytes)}")
    lower = tuple(f"{flag} (now {flags[flag]})" for flag in _TO_LOWER if flag in flags)
    return Asked(" and ".join(parts), lower)


def default_floor(total_bytes: int) -> int:
    """The least that must stay available: 2 GiB, or 2 % of a large memory; on a small host a tenth of it."""
    return min(max(_LEAST_FLOOR, int(_FLOOR_SHARE * total_bytes)), total_bytes // 10)


def guard_of(spec: Spec, variant: str, server: Server, say: Callable[[str], None]) -> MemoryGuard:
    """A guard that kills the server of a variant on this host when memory runs low, and says why.

    Without grace: at 10 GB/s the floor is gone in a third of a second, and a server that loads may not hear SIGTERM.

    Args:
        say: gets the text for the user, after the server was told to die.
    """
    memory = read_memory()
    size_gb = spec.models[spec.variants[variant].model].size_gb
    asked = asked_of(
        spec.variants[variant].flags, memory.total if memory else None, int(size_gb * 1e9) if size_gb else None
    )

    def kill(text: str) -> None:
        try:
            server.stop(grace_s=0)
        finally:
            say(text)

    return MemoryGuard(None, kill, asked=asked)


class MemoryGuard:
    """Calls `on_low` once, from a thread of its own, when the available memory falls below the limit.

    As a context manager it watches from `with` to its end. Where /proc/meminfo cannot be read it does nothing.

    Args:
        limit_bytes: the floor; None for `default_floor`.
        on_low: gets a text for the user; it should stop the server. What it raises is kept in `error`.
        asked: what the server was started to take.
        root: of the file system whose proc/meminfo is read.
        read: gives the memory of another host, None while it is not known; this host's is read by default.
        interval_s: between two looks while there is plenty.
    """

    def __init__(
        self,
        limit_bytes: int | None,
        on_low: Callable[[str], None],
        *,
        asked: Asked | None = None,
        root: Path = Path("/"),
        read: Callable[[], Memory | None] | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.text: str | None = None
        """What `on_low` was told; None while all is well."""
        self.error: Exception | None = None
        self._limit, self._on_low, self._asked = limit_bytes, on_low, asked or Asked()
        self._read, self._interval = read or (lambda: read_memory(root)), interval_s
        self._elsewhere = read is not None
        self._swap_before: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recipegen-guard", daemon=True)

    def __enter__(self) -> Self:
        memory = self._read()
        if memory is not None or self._elsewhere:
            self._begin(memory)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(INTERVAL_S)

    def _begin(self, memory: Memory | None) -> None:
        if memory is not None and self._swap_before is None:
            self._limit = default_floor(memory.total) if self._limit is None else self._limit
            self._swap_before = memory.swap_used

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            memory = self._read()
            wait = self._interval
            if memory is None:
                continue
            self._begin(memory)
            self.text = self.judge(memory)
            if self.text is not None:
                try:
                    self._on_low(self.text)
                except Exception as error:
                    # Nobody waits for this thread: whoever owns the guard finds the error there.
                    self.error = error
                return
            if memory.available < _CLOSE * (self._limit or 0):
                wait = min(self._interval, CLOSE_INTERVAL_S)

    def judge(self, memory: Memory) -> str | None:
        """What to tell the user when this is too little memory; None when it is enough."""
        limit = default_floor(memory.total) if self._limit is None else self._limit
        swapped = memory.swap_used - (self._swap_before or 0)
        swapping = swapped > SWAP_GROWTH and memory.available < _CLOSE * limit
        if memory.available >= limit and not swapping:
            return None
        text = (
            f"memory ran low: {_gib(memory.available)} of {_gib(memory.total)} were available, and {_gib(limit)} must "
            "stay free, or this host may freeze"
        )
        if swapped > 0:
            text += f"; {_gib(swapped)} went to swap meanwhile"
        if self._asked.what:
            text += f". The server was started with {self._asked.what}"
        return f"{text}. {self._advice()}"

    def _advice(self) -> str:
        if self._asked.lower:
            return f"Lower {', then '.join(self._asked.lower)}, or end other programs"
        return "Take a smaller model, a shorter context or fewer requests at once, or end other programs"


def _gib(size: float) -> str:
    return f"{size / (1 << 30):.1f} GiB"
