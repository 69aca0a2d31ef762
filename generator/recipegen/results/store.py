"""The record of a run: its format, where it lies, how it is written. Owns no measuring and no statistics."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypedDict

from recipegen import __version__
from recipegen.errors import EnvironmentLacks, RecipegenError, Where
from recipegen.files import read_bounded, write_atomic
from recipegen.results.fast_json import decode
from recipegen.results.scrub import Identity, assert_clean, identity_here, scrub

FORMAT = "recipegen-run/1"
METRICS_FORMAT = "recipegen-metrics/1"
"""Of `<cell>.metrics.json`, what was sampled of server and host while a cell was measured."""
DOUBTFUL = ("too-fast", "too-slow", "cold", "mixed")
"""Verdicts on a cell's figures that stand beside them wherever they are shown."""
RECORD = "run.json"
SERVER_LOG = "server.log"
RANK_LOG = re.compile(r"server\.rank[0-9]{1,4}\.log")
"""Of a run on several nodes: the log of each rank but the head's."""
REPRODUCTION = "reproduction.json"
"""Beside the record of a run that repeated another one."""
RECORD_LIMIT = 8 * 1024 * 1024
"""Largest record that is read, bytes; one of ten cells has about 10 kB."""

Origin = Literal["bench", "kit", "collected"]
RunStatus = Literal["running", "complete", "partial", "failed", "interrupted"]
ORIGINS: tuple[Origin, ...] = ("bench", "kit", "collected")
STATUSES: tuple[RunStatus, ...] = ("running", "complete", "partial", "failed", "interrupted")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A machine, a run, a stored file: one plain name, never a path."""


class RecipeFacts(TypedDict):
    """Which recipe was measured."""

    name: str
    title: str
    spec_sha256: str | None
    kit_sha256: str | None


class Versions(TypedDict):
    """Of the programs that measured and recorded."""

    recipegen: str | None
    llama_benchy: str | None
    python: str | None


class EngineFacts(TypedDict):
    """The server as it says of itself."""

    name: str | None
    version: str | None


class _LaterOfCell(TypedDict, total=False):
    """What younger versions of recipegen record of a cell; absent in older records."""

    attempts: int
    earlier_errors: list[str]
    metrics: str | None
    server_note: str | None
    verdict: dict[str, Any] | None


class CellRecord(_LaterOfCell):
    """One measured cell; `file` is its untouched report in the run's folder, None when it failed.

    A cell that is done may have lost some of its samples to requests that failed; None where nobody counted them.
    """

    id: str
    corpus: str
    corpus_sha256: str | None
    pp: int
    tg: int
    depth: int
    concurrency: int
    thinking: str
    runs: int
    status: Literal["done", "failed"]
    file: str | None
    sha256: str | None
    argv: list[str] | None
    started: str | None
    ended: str | None
    error: str | None
    failed_requests: int | None


class _Later(TypedDict, total=False):
    """What younger versions of recipegen record; absent in older records."""

    profile: str | None
    pair: dict[str, Any] | None
    trial: dict[str, Any] | None
    identity: str
    resumed: list[str]
    quality: dict[str, Any] | None
    verified: dict[str, Any] | None
    nodes: dict[str, Any] | None


class RunRecord(_Later):
    """One server start of one variant, and what was measured on it. Times: ISO 8601, UTC, to the second."""

    format: str
    run: str
    recipe: RecipeFacts
    variant: str
    method: str
    machine: str
    origin: Origin
    runner: str | None
    status: RunStatus
    error: str | None
    started: str | None
    ended: str | None
    versions: Versions
    host: dict[str, Any] | None
    image: dict[str, Any] | None
    models: list[dict[str, Any]]
    engine: EngineFacts
    server: dict[str, Any] | None
    cells: list[CellRecord]


def utc_text(moment: datetime) -> str:
    """`2026-11-21T07:20:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_name(moment: datetime, variant: str) -> str:
    """`20261121T072000Z-dflash`: sorts by time."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{variant}"


def new_run(
    *,
    recipe: RecipeFacts,
    variant: str,
    method: str,
    machine: str,
    origin: Origin = "bench",
    runner: str | None = None,
    started: datetime | None = None,
    llama_benchy: str | None = None,
) -> RunRecord:
    """A record with what is known at the start; the rest is unknown (null) until somebody fills it in.

    Args:
        recipe: which recipe.
        variant: its variant.
        method: the variant's speculative method.
        machine: the name under results/ that the user gave this machine.
        origin: who measures.
        runner: how the server runs, when recipegen knows.
        started: when the run began; now, by default.
        llama_benchy: version of the measuring tool.
    """
    return {
        "format": FORMAT,
        "run": run_name(started or datetime.now(UTC), variant),
        "recipe": recipe,
        "variant": variant,
        "method": method,
        "machine": machine,
        "origin": origin,
        "runner": runner,
        "status": "running",
        "error": None,
        "started": utc_text(started or datetime.now(UTC)),
        "ended": None,
        "versions": {
            "recipegen": __version__,
            "llama_benchy": llama_benchy,
            "python": platform.python_version(),
        },
        "host": None,
        "image": None,
        "models": [],
        "engine": {"name": None, "version": None},
        "server": None,
        "cells": [],
    }


class RunWriter:
    """Keeps a run's folder and its record in step: after every step the record on disk is whole.

    The folder is made at once, under a name that no other run has. A process that dies leaves a record with
    status `running` and the cells that were done.

    Attributes:
        folder: recipes/<name>/results/<machine>/<run>.
        record: the record; change it and call `write`.
    """

    def __init__(self, recipe_dir: Path, record: RunRecord, identity: Identity | None = None) -> None:
        """Makes the folder and writes the record.

        Raises:
            RecipegenError: the machine's name is not one, or the record would give something away.
            EnvironmentLacks: the folder cannot be made.
        """
        self._identity = identity if identity is not None else identity_here()
        self._recipe_dir = recipe_dir
        self.record = record
        self._checked()
        self.folder = claim_folder(recipe_dir, record["machine"], record["run"])
        record["run"] = self.folder.name
        self.write()

    @classmethod
    def resumed(cls, recipe_dir: Path, folder: Path, record: RunRecord, identity: Identity | None = None) -> RunWriter:
        """Goes on with the record of a run that did not end; cells that are done stay, its log is kept.

        Raises:
            EnvironmentLacks: it cannot be written.
        """
        writer = cls.__new__(cls)
        writer._identity = identity if identity is not None else identity_here()
        writer._recipe_dir, writer.record, writer.folder = recipe_dir, record, folder
        writer.keep_log()
        record["status"], record["error"], record["ended"] = "running", None, None
        record["resumed"] = [*record.get("resumed", []), utc_text(datetime.now(UTC))]
        writer.write()
        return writer

    def keep_log(self) -> None:
        """Puts the server's log aside, as server.1.log, server.2.log …: another server is about to write one."""
        for log in (self.folder / SERVER_LOG, *rank_logs(self.folder)):
            keep_numbered(log)

    def _checked(self) -> Mapping[str, Any]:
        clean = scrub(self.record, self._identity)
        assert_clean(clean, self._identity)
        return clean

    def write(self) -> None:
        """Writes the record as it is now.

        Raises:
            RecipegenError: the record would give away a secret or a name.
            EnvironmentLacks: it cannot be written.
        """
        text = json.dumps(self._checked(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        write_atomic(self.folder / RECORD, text, within=self._recipe_dir)

    def add_cell(self, cell: CellRecord) -> None:
        """Adds a cell that is done or has failed, in place of an earlier attempt, and writes."""
        self.record["cells"] = [old for old in self.record["cells"] if old["id"] != cell["id"]] + [cell]
        self.write()

    def finish(self, status: RunStatus, error: str | None = None, ended: datetime | None = None) -> None:
        """Ends the run and writes."""
        self.record["status"] = status
        self.record["error"] = error
        self.record["ended"] = utc_text(ended or datetime.now(UTC))
        self.write()


def rank_log(log: Path, rank: int) -> Path:
    """Where the log of a rank lies beside the head's: `server.rank1.log`."""
    return log.with_name(f"{log.stem}.rank{rank}{log.suffix}")


def rank_logs(folder: Path) -> list[Path]:
    """The logs of a run's further ranks, earlier attempts left out."""
    return sorted(path for path in folder.glob("server.rank*.log") if RANK_LOG.fullmatch(path.name))


def keep_numbered(file: Path) -> None:
    """Renames a file that is about to be written anew: `server.log` to the first free of server.1.log, server.2.log."""
    if file.exists():
        names = (file.with_name(f"{file.stem}.{number}{file.suffix}") for number in range(1, 10_000))
        file.rename(next(name for name in names if not name.exists()))


def done_cells(record: RunRecord) -> list[CellRecord]:
    """The cells of a run that have figures."""
    return [cell for cell in record["cells"] if cell["status"] == "done"]


def quality_of(record: RunRecord) -> str | None:
    """Verdict of a run's quality gate: pass, warn, fail; None where nobody asked."""
    verdict = (record.get("quality") or {}).get("verdict")
    return None if verdict is None else str(verdict)


def pair_id(record: RunRecord) -> str | None:
    """Id of the paired measurement that a run is a turn of; None where it is none."""
    found = (record.get("pair") or {}).get("id")
    return None if found is None else str(found)


def pair_round(record: RunRecord) -> int | None:
    """Which turn of its paired measurement a run is; None where it is none."""
    found = (record.get("pair") or {}).get("round")
    return found if type(found) is int else None


def quality_faults(record: RunRecord) -> list[str]:
    """What kept a run from passing: `after.load: 3 of 8 turned wrong with 4 at once`."""
    checks = (record.get("quality") or {}).get("checks", ())
    return [f"{check['id']}: {check['why']}" for check in checks if check["verdict"] != "pass"]


def status_of(cells: list[CellRecord], planned: set[str]) -> RunStatus:
    """What a run came to: every planned cell done, some cells, or none."""
    done = {cell["id"] for cell in cells if cell["status"] == "done"}
    if not done:
        return "failed"
    return "complete" if planned <= done else "partial"


def claim_folder(recipe_dir: Path, machine: str, run: str) -> Path:
    """Makes results/<machine>/<run>, or <run>-2, -3 … when there is one already.

    Raises:
        RecipegenError: for a name that is not one plain name, or a link that leads out of the recipe.
        EnvironmentLacks: it cannot be made.
    """
    for what, name in (("machine", machine), ("run", run)):
        if not _NAME.fullmatch(name) or len(name) > 200:
            hint = "letters, digits and . _ - only: it names a folder"
            raise RecipegenError(f"{name!r} is not a name for a {what}", hint=hint)
    parent = recipe_dir / "results" / machine
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if not parent.resolve().is_relative_to(recipe_dir.resolve()):
            raise RecipegenError(f"{parent} lies outside of {recipe_dir}", hint="a link leads out: remove it")
        for number in range(1, 10_000):
            folder = parent / (run if number == 1 else f"{run}-{number}")
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                continue
    except OSError as error:
        raise EnvironmentLacks(f"cannot make a folder in {parent}: {error.strerror or error}") from error
    raise RecipegenError(f"{parent} holds thousands of runs called {run}", hint="look what starts them")


def iter_runs(recipe_dir: Path, record: str = RECORD) -> Iterator[Path]:
    """Folders of all runs that have a record, by machine, then oldest first. Links are not followed.

    Args:
        record: name of the file that makes a folder a run; agentic runs have another one.
    """
    for machine in _folders(recipe_dir / "results"):
        for run in sorted(_folders(machine), key=run_order):
            # os.path, because a table looks at ten thousand runs and pathlib takes three times as long.
            if os.path.isfile(f"{run}/{record}"):  # noqa: PTH113
                yield run


def run_order(run: Path) -> tuple[str, int, str]:
    """Sorts runs by time; of one second, `-2` before `-10`."""
    return run.name[:16], len(run.name), run.name


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.name[0] != "." and e.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names)]


def load_run(folder: Path) -> RunRecord:
    """The record of a run.

    Args:
        folder: the run's folder.

    Raises:
        RecipegenError: not there, not readable, of an unknown format, or not whole.
    """
    path = folder / RECORD
    raw = read_bounded(path, RECORD_LIMIT)
    try:
        record = decode(raw)
    except (ValueError, RecursionError) as error:
        raise RecipegenError(f"{path} is not JSON: {error}", where=Where(path)) from error
    found = record.get("format") if isinstance(record, dict) else None
    if found is None:
        hint = "remove it, or restore it from version control"
        raise RecipegenError(f"{path} is not a run's record", hint=hint, where=Where(path))
    if found != FORMAT:
        message = f"{path}: the format {str(found)[:60]!r} is not known, {FORMAT} is"
        raise RecipegenError(message, hint="update recipegen, or measure again", where=Where(path))
    wrong = next(_faults(record), None)
    if wrong is not None:
        hint = "records are written by recipegen, not by hand: restore it"
        raise RecipegenError(f"{path}: {wrong}", hint=hint, where=Where(path))
    return record  # type: ignore[no-any-return]


_TEXT = (str,)
_TEXT_OR_NONE = (str, type(None))
_FIELDS: dict[str, tuple[type, ...]] = {
    "run": _TEXT,
    "recipe": (dict,),
    "variant": _TEXT,
    "method": _TEXT,
    "machine": _TEXT,
    "runner": _TEXT_OR_NONE,
    "error": _TEXT_OR_NONE,
    "started": _TEXT_OR_NONE,
    "ended": _TEXT_OR_NONE,
    "versions": (dict,),
    "host": (dict, type(None)),
    "image": (dict, type(None)),
    "models": (list,),
    "engine": (dict,),
    "server": (dict, type(None)),
    "cells": (list,),
}
_CELL_FIELDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "corpus", "thinking"), _TEXT),
    **dict.fromkeys(("pp", "tg", "depth", "concurrency", "runs"), (int,)),
    **dict.fromkeys(("corpus_sha256", "sha256", "started", "ended", "error"), _TEXT_OR_NONE),
}


def _faults(record: dict[str, Any]) -> Iterator[str]:
    """What is not as RunRecord says, in the fields that readers rely on."""
    for key, kinds in _FIELDS.items():
        if type(record.get(key, 0)) not in kinds:
            yield f"{key} is missing or wrong"
    if record.get("origin") not in ORIGINS:
        yield f"origin is not one of {', '.join(ORIGINS)}"
    if record.get("status") not in STATUSES:
        yield f"status is not one of {', '.join(STATUSES)}"
    gpus = (record["host"] or {}).get("gpus") or []
    if not isinstance(gpus, list) or not all(isinstance(g, dict) and type(g.get("name")) is str for g in gpus):
        yield "host.gpus is not a list of GPUs with names"
    for index, cell in enumerate(record["cells"]):
        if not isinstance(cell, dict):
            yield f"cells[{index}] is not an object"
            return
        for key, kinds in _CELL_FIELDS.items():
            if type(cell.get(key, 0.0)) not in kinds:
                yield f"cells[{index}].{key} is missing or wrong"
        file = cell.get("file")
        if cell.get("status") not in ("done", "failed") or (cell["status"] == "done" and file is None):
            yield f"cells[{index}].status is missing or wrong"
        if file is not None and not (isinstance(file, str) and _NAME.fullmatch(file)):
            # A path here would make the table read files of another place.
            yield f"cells[{index}].file is not the name of a file in the run's folder"
        metrics, verdict = cell.get("metrics"), cell.get("verdict")
        if metrics is not None and not (isinstance(metrics, str) and _NAME.fullmatch(metrics)):
            yield f"cells[{index}].metrics is not the name of a file in the run's folder"
        if verdict is not None and not (_texts(verdict, "verdict") and _all_text(verdict.get("reasons"))):
            yield f"cells[{index}].verdict is wrong"
    verified = record.get("verified")
    if verified is not None and not (_texts(verified, "file", "sha256") and _NAME.fullmatch(verified["file"])):
        yield "verified is wrong"
    nodes = record.get("nodes")
    if nodes is not None and not (isinstance(nodes, dict) and type(nodes.get("count")) is int):
        yield "nodes is wrong"
    quality = record.get("quality")
    if quality is not None:
        checks = quality.get("checks") if _texts(quality, "verdict") else None
        if not isinstance(checks, list) or not all(_texts(check, "id", "verdict", "why") for check in checks):
            yield "quality is wrong"


def _texts(found: object, *keys: str) -> bool:
    """Whether that is an object with text under these keys."""
    return isinstance(found, dict) and all(type(found.get(key)) is str for key in keys)


def _all_text(found: object) -> bool:
    return isinstance(found, list) and all(type(item) is str for item in found)
