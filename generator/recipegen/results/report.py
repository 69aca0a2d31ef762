"""Reads a llama-benchy report (0.3, 0.4) and tells whether it is one. Owns no statistics and no storage."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

from recipegen.errors import Problem, RecipegenError, SpecError, Where
from recipegen.files import read_bounded, sha256_bytes
from recipegen.results.fast_json import decode

REPORT_LIMIT = 32 * 1024 * 1024
"""Largest report that is read, bytes. One of 30 runs has about 9 kB; time series make it larger."""
LARGEST = 1e15
"""No rate (tok/s) and no time (ms) is larger; squares of larger numbers would overflow."""
KNOWN_VERSIONS = re.compile(r"0\.[34](?:[.+-].*)?")
"""Versions of llama-benchy whose report has this shape and whose metrics have this meaning."""
NEEDED = ("pp_throughput", "tg_throughput", "ttfr")
"""Metrics that a cell cannot do without (llama_benchy/results.py: tok/s, tok/s, ms)."""

_Data = dict[str, Any]


class ReportCell(NamedTuple):
    """What a benchmark of a report measured: tokens, tokens, tokens, requests at the same time."""

    pp: int
    tg: int
    depth: int
    concurrency: int
    is_context_prefill: bool

    def __str__(self) -> str:
        shape = f"pp{self.pp} tg{self.tg} d{self.depth} c{self.concurrency}"
        return f"{shape} (context prefill)" if self.is_context_prefill else shape


@dataclass(frozen=True)
class Report:
    """A report that passed the check.

    Attributes:
        data: the report as parsed.
        version: of llama-benchy.
        written: when the suite ended, UTC (llama-benchy takes the time then, not at the start).
        benchmarks: one cell each, in the report's order; prefills of a cached context stand apart.
    """

    data: _Data
    version: str
    written: datetime
    benchmarks: tuple[_Data, ...]


class ReportRefused(SpecError):
    """A file is no usable report; carries every reason found in it."""

    @classmethod
    def because(cls, path: Path, message: str, hint: str = "") -> Self:
        """The refusal of a file for one reason."""
        return cls([Problem(Where(path), message, hint)])


def load_report(path: Path) -> _Data:
    """The report as parsed, unchecked. For files that were checked when they were taken in.

    Raises:
        ReportRefused: it cannot be read or is not a JSON object.
    """
    return parse_report(_read(path), path)


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, REPORT_LIMIT)
    except RecipegenError as error:
        raise ReportRefused.because(path, error.message.removeprefix(f"{path} ")) from error


def parse_report(raw: bytes, path: Path) -> _Data:
    """The bytes of a report as an object.

    Args:
        raw: the whole file.
        path: where it came from, for messages.

    Raises:
        ReportRefused: it is not a JSON object.
    """
    try:
        data = decode(raw)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 0
        column = error.colno if isinstance(error, json.JSONDecodeError) else 0
        raise ReportRefused([Problem(Where(path, line, column), *_not_json(raw, error))]) from error
    if not isinstance(data, dict):
        raise ReportRefused.because(path, "is JSON, but not an object, so it is not a llama-benchy report")
    return data


def _not_json(raw: bytes, error: Exception) -> tuple[str, str]:
    """What a file is that is not JSON, as far as its beginning tells, and what to do."""
    hint = "measure with `llama-benchy --format json --save-result FILE`"
    start = raw[:4096].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    first = start.split("\n", 1)[0]
    if not start:
        return "is empty", "llama-benchy writes its report when the suite ends: it was probably interrupted"
    if start[0] == "<":
        return (
            "is an HTML page, not a llama-benchy report",
            "download the raw file, not the page that shows it",
        )
    if start[0] in "|#" or "| model" in start:
        return "is a Markdown report, which lacks the single samples", hint
    if start.startswith("version https://git-lfs"):
        return "is a Git LFS pointer, not the report itself", "fetch it with `git lfs pull`"
    if start[0] not in '{["' and first.count(",") >= 3:
        return "is a CSV report, which lacks the single samples", hint
    if '"llama-benchy-progress' in first:
        return "is llama-benchy's progress log, not its report", hint
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON: {error.msg}", "the file may be cut short"
    return f"is not JSON: {error}", hint


def check_report(source: Path | bytes | _Data, path: Path | None = None) -> Report:
    """Checks a report against llama-benchy's own model and against what a measurement must hold.

    Args:
        source: a file, the bytes of one, or a report already parsed.
        path: where bytes or an object came from, for messages.

    Raises:
        ReportRefused: it is not a usable report; says why and where, every reason at once.
    """
    if isinstance(source, Path):
        path, source = source, _read(source)
    name = path or Path("report")
    data = parse_report(source, name) if isinstance(source, bytes) else source
    reasons = list(_shape_problems(data)) or list(_content_problems(data))
    if reasons:
        raise ReportRefused([Problem(Where(name), message, hint) for message, hint in reasons])
    return Report(data, data["version"], _time(data["timestamp"]), tuple(data["benchmarks"]))


def refuse_unusable(data: _Data, path: Path) -> None:
    """Checks a report that llama-benchy has just written: the contents, not its model, which takes a second to import.

    Raises:
        ReportRefused: nothing can be computed from it; every reason.
    """
    try:
        reasons = list(_content_problems(data))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ReportRefused.because(path, "is not a llama-benchy report") from error
    if reasons:
        raise ReportRefused([Problem(Where(path), message, hint) for message, hint in reasons])


def _shape_problems(data: _Data) -> Iterator[tuple[str, str]]:
    """Missing fields and wrong types, as llama-benchy's own model finds them."""
    if "benchmarks" not in data:
        known = ", ".join(map(repr, list(data)[:6])) or "nothing"
        yield f"is not a llama-benchy report: no 'benchmarks' (it holds {known})", ""
        return
    # Both are imported here only: pydantic, numpy and llama-benchy's client take most of a second.
    from llama_benchy.results import BenchmarkReport
    from pydantic import ValidationError

    try:
        BenchmarkReport.model_validate(data, strict=True)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"]).lstrip(".")
            message = item["msg"]
            yield f"is not a llama-benchy report: {place}: {message[:1].lower()}{message[1:]}", ""


def _content_problems(data: _Data) -> Iterator[tuple[str, str]]:
    """What the model lets through although nothing can be computed from it."""
    version = data["version"]
    if not KNOWN_VERSIONS.fullmatch(version):
        yield (
            f"was written by llama-benchy {version[:40]!r}; 0.3 and 0.4 are understood",
            "measure with a version that is, or update recipegen",
        )
    try:
        _time(data["timestamp"])
    except ValueError:
        yield f"timestamp: {data['timestamp'][:40]!r} is not a time", ""
    if not any(not benchmark["is_context_prefill_phase"] for benchmark in data["benchmarks"]):
        yield "holds no benchmark", "the suite failed before its first cell: see llama-benchy's output"
    for index, benchmark in enumerate(data["benchmarks"]):
        place = f"benchmarks[{index}]"
        cell = cell_of(benchmark)
        if min(cell.pp, cell.tg, cell.concurrency) < 1 or cell.depth < 0:
            # A context prefill has a prompt of its own length; it never has zero tokens either.
            yield f"{place}: {cell} is not a measurement", ""
        for metric in NEEDED:
            if metric == "tg_throughput" and cell.tg == 1:
                continue  # one token has no rate
            if not metric_values(benchmark, metric):
                yield f"{place}.{metric}: holds no sample", _no_sample_hint(metric)
        yield from _number_problems(place, benchmark)


def _no_sample_hint(metric: str) -> str:
    if metric == "pp_throughput":
        return "all requests failed, or were answered faster than the measured latency (--latency-mode none)"
    return "all requests failed: see llama-benchy's output"


def _number_problems(place: str, benchmark: _Data) -> Iterator[tuple[str, str]]:
    for name, metric in benchmark.items():
        if not isinstance(metric, dict) or "values" not in metric:
            continue
        numbers = [*metric["values"], metric["mean"], metric["std"]]
        bad = next((n for n in numbers if not 0 <= n <= LARGEST), None)
        if bad is not None:
            kind = "not possible" if math.isfinite(bad) else "not a finite number"
            yield f"{place}.{name}: {bad} is {kind}", ""


def _time(text: str) -> datetime:
    """`2026-04-28 00:53:05Z`; a time without a zone is taken as UTC, which is what llama-benchy writes."""
    moment = datetime.fromisoformat(text)
    if not 2000 <= moment.year < 9000:
        raise ValueError("a clock that was never set")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def cell_of(benchmark: _Data) -> ReportCell:
    """What one entry of `benchmarks` measured."""
    return ReportCell(
        benchmark["prompt_size"],
        benchmark["response_size"],
        benchmark["context_size"],
        benchmark["concurrency"],
        benchmark["is_context_prefill_phase"],
    )


def metric_values(benchmark: _Data, metric: str) -> list[float]:
    """The raw samples of a metric in the order they were measured; none for a metric that is null."""
    entry = benchmark.get(metric)
    return entry["values"] if entry else []


def load_benchmark(path: Path, cell: ReportCell, sha256: str | None = None, metrics: Iterable[str] = NEEDED) -> _Data:
    """The entry of a stored report that measured `cell`.

    Args:
        path: the report in a run's folder.
        cell: what is looked for.
        sha256: of the file as it was stored; None when that was not recorded.
        metrics: those that the caller will use; their samples are checked.

    Raises:
        ReportRefused: not readable, changed since it was stored, or without that cell.
    """
    raw = _read(path)
    if sha256 is not None and sha256_bytes(raw) != sha256:
        message = "is not the file that run.json recorded: its SHA-256 differs"
        raise ReportRefused.because(path, message, "restore the raw report; it is never edited")
    data = parse_report(raw, path)
    try:
        for benchmark in data["benchmarks"]:
            if cell_of(benchmark) == cell:
                for metric in metrics:
                    _check_samples(metric_values(benchmark, metric))
                return cast(_Data, benchmark)
    except (KeyError, TypeError) as error:
        raise ReportRefused.because(path, f"is not a llama-benchy report: {error}") from error
    raise ReportRefused.because(path, f"holds no benchmark of {cell}")


def _check_samples(values: list[float]) -> None:
    for value in values:
        if type(value) not in (float, int) or not 0 <= value <= LARGEST:
            raise TypeError(f"the sample {value!r:.40} is not a number that can be measured")
