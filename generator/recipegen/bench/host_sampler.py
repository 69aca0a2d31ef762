"""This host while something runs: memory from /proc/meminfo, the GPU from nvidia-smi. Owns no thread and no opinion."""

from __future__ import annotations

import csv
import math
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recipegen import proc
from recipegen.cluster.sampler import GPU_INTERVAL_S, GPU_LIVE, GPU_LOOP
from recipegen.errors import RecipegenError

_TIME = "%Y/%m/%d %H:%M:%S.%f"
_GPU_LOG_BYTES = 16 << 20
"""Of nvidia-smi's lines, the newest: ten days of one GPU."""


@dataclass(frozen=True)
class Memory:
    """The memory of a host, in bytes; on a GB10 the GPU's too.

    Attributes:
        total: MemTotal.
        available: MemAvailable: what a new program can get without swapping.
        page_cache: Cached: pages of files, given back when needed.
        swap_used: SwapTotal less SwapFree.
    """

    total: int
    available: int
    page_cache: int
    swap_used: int

    @property
    def used(self) -> int:
        """What is not available."""
        return self.total - self.available


def parse_memory(text: str) -> Memory | None:
    """Reads /proc/meminfo (it says kB and means KiB); None when it does not say what is available."""
    found = {name: int(size) * 1024 for name, size in re.findall(r"^(\w+):\s*(\d+) kB$", text, re.MULTILINE)}
    if "MemTotal" not in found or "MemAvailable" not in found:
        return None
    swap = max(found.get("SwapTotal", 0) - found.get("SwapFree", 0), 0)
    return Memory(found["MemTotal"], found["MemAvailable"], found.get("Cached", 0), swap)


def read_memory(root: Path = Path("/")) -> Memory | None:
    """The memory of now; None when it cannot be read.

    Args:
        root: of the file system whose proc/meminfo is read.
    """
    try:
        return parse_memory((root / "proc/meminfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def memory_series(looks: Sequence[tuple[float, Memory]]) -> dict[str, Any]:
    """Series of a host's memory in bytes, for the record."""
    memory = [look for _, look in looks]
    return {
        "t": [round(at, 2) for at, _ in looks],
        "available_bytes": [one.available for one in memory],
        "used_bytes": [one.used for one in memory],
        "page_cache_bytes": [one.page_cache for one in memory],
        "swap_used_bytes": [one.swap_used for one in memory],
        "peak_used_bytes": max((one.used for one in memory), default=None),
    }


class GpuWatch:
    """One nvidia-smi that writes a line every five seconds: cheaper than starting one each time.

    Does nothing, without a word, where there is no nvidia-smi. As a context manager it ends its process.
    """

    def __init__(self) -> None:
        self._folder: str | None = None
        self._process: proc.Process | None = None
        self._started = datetime.now()
        self._text = ""

    def __enter__(self) -> Self:
        if shutil.which("nvidia-smi") is None:
            return self
        with suppress(RecipegenError, OSError):
            self._folder = tempfile.mkdtemp(prefix="recipegen-")
            self._process = proc.Process(list(GPU_LOOP), log=Path(self._folder, "gpu.csv"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with suppress(RecipegenError):
                self._process.terminate(grace_s=1)
            with suppress(OSError), self._process.log.open("rb") as file:
                file.seek(max(self._process.log.stat().st_size - _GPU_LOG_BYTES, 0))
                self._text = file.read().decode(errors="replace")
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def data(self) -> dict[str, list[Any]] | None:
        """Series for the record, after the end; None without a GPU that says anything."""
        return parse_gpu_lines(self._text, self._started)


def parse_gpu_said(said: Sequence[tuple[float, str]]) -> dict[str, list[Any]] | None:
    """The same of lines of another machine, whose clock is not this one's.

    Args:
        said: seconds since the begin, line; the first line's time counts for all of them.
    """
    for at, line in said:
        with suppress(ValueError):
            stamp = datetime.strptime(line.partition(",")[0].strip(), _TIME)
            return parse_gpu_lines("\n".join(text for _, text in said), stamp - timedelta(seconds=at))
    return None


def parse_gpu_lines(text: str, started: datetime) -> dict[str, list[Any]] | None:
    """Reads nvidia-smi's lines: of several GPUs the slowest clock, the hottest, and the sum of the power.

    Args:
        text: timestamp, index, SM clock (MHz), temperature (°C), power (W); `[N/A]` where the GPU gives none.
        started: local time that counts as 0 s.

    Returns:
        t (s), sm_clock_mhz, temperature_c, power_w; None when no line can be read.
    """
    rounds: list[tuple[float, list[list[float | None]]]] = []
    seen: set[int] = set()
    for row in csv.reader(text.splitlines()):
        try:
            stamp, index, *values = (cell.strip() for cell in row)
            at = (datetime.strptime(stamp, _TIME) - started).total_seconds()
            number = int(index)
        except ValueError:
            continue  # an error message, or a line that was cut when the process was ended
        if len(values) != len(GPU_LIVE) - 2:
            continue
        # Not by the index 0, which a list of chosen GPUs may lack: lines of one round come together, and each GPU once.
        if not rounds or number in seen or at - rounds[-1][0] > GPU_INTERVAL_S / 2:
            rounds.append((at, []))
            seen.clear()
        seen.add(number)
        rounds[-1][1].append([_number(value) for value in values])
    if not rounds:
        return None
    series: dict[str, list[Any]] = {"t": [round(max(at, 0.0), 1) for at, _ in rounds]}
    for column, (name, over) in enumerate((("sm_clock_mhz", min), ("temperature_c", max), ("power_w", sum))):
        told = [[row[column] for row in rows if row[column] is not None] for _, rows in rounds]
        series[name] = [round(over(values), 2) if values else None for values in told]  # type: ignore[operator]
    return series


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:  # [N/A], [Not Supported], [Unknown Error]
        return None
    if not math.isfinite(value):
        return None  # JSON has no word for it
    return int(value) if value.is_integer() else value
