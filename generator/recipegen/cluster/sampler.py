"""The memory and the GPU of every node while a server runs. Owns the loop on each node and what it said, unread; no
thread touches a run.

One ssh connection a node, a few short lines a second: the kernel answers from memory, nothing is started on the node
but `sleep`, and one nvidia-smi where there is one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from recipegen import proc
from recipegen.cluster.access import on_node
from recipegen.cluster.nodes import Node
from recipegen.errors import RecipegenError
from recipegen.quoting import shell_command

INTERVAL_S = 1
GPU_INTERVAL_S = 5
GPU_LIVE = ("timestamp", "index", "clocks.sm", "temperature.gpu", "power.draw")
"""What nvidia-smi is asked while something runs. A line of it begins with the year, none of /proc/meminfo does."""
MOST_SAMPLES = 7 * 24 * 3600
"""A week of them; older ones are forgotten."""
_QUESTION = f"--query-gpu={','.join(GPU_LIVE)}"
GPU_LOOP = ("nvidia-smi", _QUESTION, "--format=csv,noheader,nounits", "-l", str(GPU_INTERVAL_S))
"""One that goes on is cheaper than one each time."""
LOOP = (
    # It ends with its next line when nobody reads any more, as the loop does.
    f"! command -v nvidia-smi >/dev/null || {shell_command(GPU_LOOP)} 2>/dev/null & "
    "while grep -E '^(MemTotal|MemAvailable|Cached|SwapTotal|SwapFree):' /proc/meminfo && echo; "
    f"do sleep {INTERVAL_S}; done"
)


class _Over(Exception):
    """Ends a loop from within, when nobody listens any more."""


@dataclass
class _Series:
    """What one node said: (monotonic time, text of its /proc/meminfo), the newest last; nvidia-smi's lines likewise."""

    samples: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    gpu_lines: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    part: list[str] = field(default_factory=list)


class NodesSampler:
    """Looks at every node each second from `with` to its end; a node that falls silent has no samples from then on."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = tuple(nodes)
        self._series = {node.rank: _Series() for node in nodes}
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(node,), name=f"recipegen-sampler-{node.rank}", daemon=True)
            for node in nodes
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(2 * INTERVAL_S + 1)

    def _run(self, node: Node) -> None:
        series = self._series[node.rank]

        def line(text: str) -> None:
            if self._stopping.is_set():
                raise _Over
            if text[:1].isdigit():
                series.gpu_lines.append((time.monotonic(), text))
                return
            if text:
                series.part.append(text)
                return
            whole, series.part = "\n".join(series.part) + "\n", []
            series.samples.append((time.monotonic(), whole))

        with suppress(_Over, RecipegenError):
            proc.stream(on_node(node, LOOP), on_line=line, silence_timeout_s=30)

    def memory(self, began: float, ended: float) -> dict[int, list[tuple[float, str]]]:
        """What each rank's node said in a span of monotonic time: seconds since its begin, text of /proc/meminfo."""
        return {rank: _within(series.samples, began, ended) for rank, series in self._series.items()}

    def gpu(self, began: float, ended: float) -> dict[int, list[tuple[float, str]]]:
        """What nvidia-smi of each rank's node said in the span: seconds since its begin, line; see GPU_LIVE."""
        return {rank: _within(series.gpu_lines, began, ended) for rank, series in self._series.items()}

    def latest(self) -> dict[int, str]:
        """The last text of each rank's node."""
        return {rank: series.samples[-1][1] for rank, series in self._series.items() if series.samples}


def _within(said: deque[tuple[float, str]], began: float, ended: float) -> list[tuple[float, str]]:
    return [(at - began, text) for at, text in list(said) if began <= at <= ended]
