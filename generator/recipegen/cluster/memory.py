"""The memory of every node while a server runs. Owns the loop on each node and what it said; no thread touches a run.

One ssh connection a node, two short lines a second: the kernel answers from memory, nothing is started on the node but
`sleep`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from recipegen import proc
from recipegen.cluster.access import on_node
from recipegen.cluster.nodes import Node
from recipegen.errors import RecipegenError

INTERVAL_S = 1
MOST_SAMPLES = 7 * 24 * 3600
"""A week of them; older ones are forgotten."""
LOOP = (
    "while grep -E '^(MemTotal|MemAvailable|Cached|SwapTotal|SwapFree):' /proc/meminfo && echo; "
    f"do sleep {INTERVAL_S}; done"
)


class _Over(Exception):
    """Ends a loop from within, when nobody listens any more."""


@dataclass
class _Series:
    """What one node said: (monotonic time, text of its /proc/meminfo), the newest last."""

    samples: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    part: list[str] = field(default_factory=list)


class NodesMemory:
    """Looks at every node each second from `with` to its end; a node that falls silent has no samples from then on.

    Args:
        on_sample: gets rank and text of each look, from a thread of its own; what it raises ends that node's loop.
    """

    def __init__(self, nodes: Sequence[Node], on_sample: Callable[[int, str], None] | None = None) -> None:
        self._nodes, self._on_sample = tuple(nodes), on_sample
        self._series = {node.rank: _Series() for node in nodes}
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(node,), name=f"recipegen-memory-{node.rank}", daemon=True)
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
            if text:
                series.part.append(text)
                return
            whole, series.part = "\n".join(series.part) + "\n", []
            series.samples.append((time.monotonic(), whole))
            if self._on_sample is not None:
                self._on_sample(node.rank, whole)

        with suppress(_Over, RecipegenError):
            proc.stream(on_node(node, LOOP), on_line=line, silence_timeout_s=30)

    def between(self, began: float, ended: float) -> dict[int, list[tuple[float, str]]]:
        """What each rank's node said in a span of monotonic time: seconds since its begin, text of /proc/meminfo."""
        return {
            rank: [(at - began, text) for at, text in list(series.samples) if began <= at <= ended]
            for rank, series in self._series.items()
        }

    def latest(self) -> dict[int, str]:
        """The last text of each rank's node."""
        return {rank: series.samples[-1][1] for rank, series in self._series.items() if series.samples}
