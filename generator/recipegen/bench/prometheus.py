"""One look at a server's /metrics: fetched within bounds, parsed by prometheus_client, cut down to known series.
Owns no clock and no arithmetic over time."""

from __future__ import annotations

import http.client
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_S = 2.0
"""A look that takes longer is a missed one; llama.cpp answers only between two batches of a prompt."""
ANSWER_BYTES = 8 << 20
"""vLLM's page takes about 100 KiB, and grows with ranks and adapters."""
HISTOGRAMS = ("ttft_s", "inter_token_s")
POSITIONS = "accepted_per_position"
SHARES = ("kv_usage",)
"""Series where the fullest of several engines counts; all others are summed over engines and ranks."""
_ABSENT = (404, 405, 501)
"""llama.cpp started without --metrics says 501."""


class NoMetrics(Exception):
    """This look gave nothing.

    Attributes:
        absent: the server has no such page, so asking again is no use.
    """

    def __init__(self, reason: str, *, absent: bool = False) -> None:
        super().__init__(reason)
        self.absent = absent


@dataclass(frozen=True)
class Snapshot:
    """What a page said of the wanted series.

    Attributes:
        values: series name to its value; a series that is absent or NaN is left out.
        parts: (series name, part) to a counter: a position of a draft, a bucket (`le` as the server writes it),
            `sum` or `count` of a histogram.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[tuple[str, str], float] = field(default_factory=dict)


def fetch(url: str, timeout_s: float = TIMEOUT_S, limit: int = ANSWER_BYTES) -> str:
    """The page's text.

    Raises:
        NoMetrics: nothing answers in time, another status than 200, or more than `limit` bytes.
    """
    deadline = time.monotonic() + timeout_s
    try:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    except (ValueError, http.client.HTTPException) as error:
        raise NoMetrics(f"not the address of a server: {url}", absent=True) from error
    body = bytearray()
    try:
        # A connection that is kept would hold one of llama.cpp's few HTTP threads.
        connection.request("GET", parts.path or "/", headers={"Accept": "text/plain", "Connection": "close"})
        response = connection.getresponse()
        if response.status != 200:
            absent = response.status in _ABSENT
            raise NoMetrics(f"/metrics answers with status {response.status}", absent=absent)
        while piece := response.read1(1 << 16):
            body += piece
            if len(body) > limit:
                raise NoMetrics(f"/metrics is larger than {limit >> 20} MiB", absent=True)
            if time.monotonic() > deadline:
                raise NoMetrics(f"/metrics takes longer than {timeout_s:g} s")
        if response.length:
            raise NoMetrics("/metrics breaks off")
    except TimeoutError as error:
        raise NoMetrics(f"/metrics takes longer than {timeout_s:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoMetrics(f"/metrics cannot be read ({type(error).__name__})") from error
    finally:
        connection.close()
    return body.decode(errors="replace")


def parse(text: str, names: Mapping[str, str]) -> Snapshot:
    """The wanted series of a page.

    Args:
        text: the Prometheus text format.
        names: series name to the Prometheus name; see `EngineAdapter.metric_names`.

    Raises:
        NoMetrics: a wanted line is not in that format, or no wanted series is there.
    """
    from prometheus_client.parser import text_string_to_metric_families

    series = {name: key for key, name in names.items() if key not in HISTOGRAMS}
    histograms = {
        f"{names[key]}_{suffix}": (key, suffix)
        for key in HISTOGRAMS
        if key in names
        for suffix in ("bucket", "sum", "count")
    }
    values: dict[str, float] = {}
    parts: dict[tuple[str, str], float] = {}
    try:
        families = list(text_string_to_metric_families(_wanted_lines(text, {*series, *histograms})))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise NoMetrics(f"/metrics is not in the Prometheus text format ({type(error).__name__})") from error
    for sample in (sample for family in families for sample in family.samples):
        value = float(sample.value)
        if not math.isfinite(value):
            continue
        if sample.name in histograms:
            key, suffix = histograms[sample.name]
            part = (key, sample.labels.get("le", "") if suffix == "bucket" else suffix)
            parts[part] = parts.get(part, 0.0) + value
        elif (key := series.get(sample.name, "")) == POSITIONS:
            part = (key, sample.labels.get("position", ""))
            parts[part] = parts.get(part, 0.0) + value
        elif key in SHARES:
            values[key] = max(values.get(key, 0.0), value)
        elif key:
            values[key] = values.get(key, 0.0) + value
    if not values and not parts:
        raise NoMetrics("/metrics answers, but with none of the series that this engine is known for")
    return Snapshot(values, parts)


def _wanted_lines(text: str, wanted: Iterable[str]) -> str:
    """The lines of the wanted samples: a page has ten times as many, and reading them costs processor time
    while something is measured."""
    starts = tuple(f"{name}{after}" for name in wanted for after in ("{", " ", "\t"))
    return "".join(line + "\n" for line in text.splitlines() if line.startswith(starts))
