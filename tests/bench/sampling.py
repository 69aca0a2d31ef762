"""Taking times in pairs, and a row of the table. Owns no benchmark and no printing."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeVar


class Skipped(Exception):
    """A benchmark that cannot run here; the message says why."""


class Failed(Exception):
    """What was to be measured did not work; the message says how."""


Taken = TypeVar("Taken")
"""What a side gives: a Sample, or something that holds one."""


class Sample(NamedTuple):
    """What one execution took.

    Attributes:
        wall: seconds on the clock.
        cpu: seconds of processor time, user and system; None where it says nothing.
    """

    wall: float
    cpu: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: what recipegen took, what the reference took, how they compare.

    Attributes:
        what: what was measured.
        against: the reference; empty for a value that stands alone.
        ours: samples of recipegen; of a pair, the n-th belongs to the n-th of `theirs`. None of a row that could not
            be measured here, whose remark says why.
        theirs: samples of the reference.
        unit: of `Sample.wall` as it is shown: "ms" and "s" for times, which are held in seconds, else the value's own.
        target: upper limit of what `judged` names, in the unit of `Sample.wall`; None for a figure that only informs.
        judged: the ratio of the two, or recipegen's own value.
        remark: conditions that a reader must know.
    """

    what: str
    ours: Sequence[Sample]
    unit: Literal["ms", "s", "MB", "kB", "layers", "tok/s", "%"]
    against: str = ""
    theirs: Sequence[Sample] = field(default=())
    target: float | None = None
    judged: Literal["ratio", "value"] = "ratio"
    remark: str = ""

    @property
    def value(self) -> float | None:
        """Median of recipegen's samples."""
        return statistics.median(sample.wall for sample in self.ours) if self.ours else None

    @property
    def reference(self) -> float | None:
        """Median of the reference's samples."""
        return statistics.median(sample.wall for sample in self.theirs) if self.theirs else None

    @property
    def ratios(self) -> list[float]:
        """Ours to theirs, pair by pair; where they are no pairs, of each of ours to the median of theirs."""
        if len(self.ours) == len(self.theirs):
            return [our.wall / their.wall for our, their in zip(self.ours, self.theirs, strict=True)]
        return [our.wall / self.reference for our in self.ours] if self.reference else []

    @property
    def ratio(self) -> float | None:
        """Median of the ratios."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def spread(self) -> tuple[float, float] | None:
        """First and third quartile of the ratios: how much the machine's load moved them."""
        if len(self.ratios) < 2:
            return None
        first, _, third = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return first, third

    @property
    def cpu_ratio(self) -> float | None:
        """Ratio of the processor times' medians, which other programs on the machine hardly move."""
        ours = [sample.cpu for sample in self.ours if sample.cpu is not None]
        theirs = [sample.cpu for sample in self.theirs if sample.cpu]
        return statistics.median(ours) / statistics.median(theirs) if ours and theirs else None

    @property
    def verdict(self) -> Literal["within", "over", ""]:
        """Whether the target was met; nothing for a row without one."""
        found = self.ratio if self.judged == "ratio" else self.value
        if self.target is None or found is None:
            return ""
        return "within" if found <= self.target else "over"

    @property
    def noisy(self) -> bool:
        """Whether the pairs do not agree on the verdict: the target lies between the quartiles."""
        if self.target is None or self.spread is None:
            return False
        return self.spread[0] <= self.target < self.spread[1]

    def as_json(self) -> dict[str, Any]:
        """Everything, the single samples included."""
        return {
            "what": self.what,
            "against": self.against or None,
            "unit": self.unit,
            "value": self.value,
            "reference": self.reference,
            "ratio": self.ratio,
            "ratio_quartiles": self.spread,
            "cpu_ratio": self.cpu_ratio,
            "target": self.target,
            "judged": self.judged if self.target is not None else None,
            "verdict": self.verdict or None,
            "noisy": self.noisy,
            "remark": self.remark or None,
            "ours": [sample._asdict() for sample in self.ours],
            "theirs": [sample._asdict() for sample in self.theirs],
        }


def interleaved(pairs: int, *sides: Callable[[], Taken]) -> list[list[Taken]]:
    """Runs the sides in turn, `pairs` times, every other time backwards, so that drift hits all alike.

    Returns:
        The samples of each side, in the order of the sides.
    """
    samples: list[list[Taken]] = [[] for _ in sides]
    for number in range(pairs):
        order = range(len(sides)) if number % 2 == 0 else range(len(sides) - 1, -1, -1)
        for side in order:
            samples[side].append(sides[side]())
    return samples


def clocked(action: Callable[[], object]) -> Sample:
    """What an action took in this process."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return Sample(time.perf_counter() - wall, time.process_time() - cpu)


def child(argv: Sequence[str | Path], *, out: IO[bytes] | None = None, **options: Any) -> Sample:
    """What a process took from its start to its end, with its own children that it waited for.

    Args:
        argv: the command; it must end with 0.
        out: where both streams go, a file that can be read; a temporary one by default.
        options: for subprocess.Popen.

    Raises:
        Failed: it ended with another code; with the end of what it said.
    """
    with nullcontext(out) if out else tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=said, stderr=said, **options)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            end = said.read().decode(errors="replace")[-2000:]
            raise Failed(f"{Path(argv[0]).name} {argv[1]} … ended with {process.returncode}:\n{end}")
    return Sample(wall, usage.ru_utime + usage.ru_stime)
