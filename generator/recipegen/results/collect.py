"""Takes in llama-benchy reports made with the kit or elsewhere. Owns no measuring and edits no report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.errors import Problem, RecipegenError, SpecError, Where
from recipegen.files import read_bounded, sha256_bytes, write_atomic
from recipegen.results.match import match_cells
from recipegen.results.report import (
    NEEDED,
    REPORT_LIMIT,
    Report,
    ReportRefused,
    check_report,
    metric_values,
)
from recipegen.results.scrub import find_secret, identity_here
from recipegen.results.store import (
    CellRecord,
    Origin,
    RunRecord,
    RunWriter,
    iter_runs,
    load_run,
    new_run,
    run_name,
    status_of,
    utc_text,
)

if TYPE_CHECKING:
    from recipegen.spec.completed import PlannedCell, Spec

SIDECAR_LIMIT = 1024 * 1024
"""Largest sidecar that is read, bytes; bench.sh writes less than 2 kB."""
SIDECAR_FIELDS = {
    "recipe": str,
    "variant": str,
    "cell": str,
    "corpus_sha256": str,
    "argv": list,
    "started": str,
    "ended": str,
    "engine_version": str,
    "kit_sha256": str,
}
"""What bench.sh writes beside a report, all optional: `<file>.meta.json`. Data only; others are ignored."""


@dataclass(frozen=True)
class Collected:
    """What became of one file.

    Attributes:
        source: the file that was given.
        folder: the run's folder that holds its bytes; in a dry run, the one that it asks for.
        file: its name there.
        cells: ids of the planned cells that it measured.
        already: it was taken in before, so that nothing was written.
        left_out: what else it measured that the recipe does not plan; it stays in the raw report.
    """

    source: Path
    folder: Path
    file: str
    cells: tuple[str, ...]
    already: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Taken:
    """A file that passed all checks."""

    source: Path
    raw: bytes
    sha256: str
    report: Report
    meta: dict[str, Any]
    origin: Origin
    variant: str
    cells: tuple[tuple[PlannedCell, dict[str, Any]], ...]
    left_out: tuple[str, ...]

    @property
    def same_run(self) -> tuple[str | None, ...]:
        """What files of one run share: these facts stand once in its record."""
        facts = (self.meta.get("kit_sha256"), self.meta.get("engine_version"))
        return (self.variant, self.origin, self.report.version, self.report.data["model"], *facts)

    @property
    def file(self) -> str:
        """Its name in the run's folder: the cell's, or one of its own when it holds several."""
        ids = [cell.id for cell, _ in self.cells]
        return f"{ids[0]}.json" if len(ids) == 1 else f"report-{self.sha256[:16]}.json"


@dataclass
class _Run:
    """Files that become one run."""

    files: list[_Taken] = field(default_factory=list)

    def has_room_for(self, taken: _Taken) -> bool:
        """Whether the file belongs to it: the same facts, and none of its cells measured yet."""
        ids = {cell.id for one in self.files for cell, _ in one.cells}
        same = self.files[0].same_run == taken.same_run
        return same and not ids & {cell.id for cell, _ in taken.cells}


def collect(
    recipe_dir: Path,
    spec: Spec,
    files: Sequence[Path],
    *,
    variant: str | None,
    machine: str,
    corpus: str | None = None,
    thinking: str | None = None,
    dry_run: bool = False,
    judge: Callable[[Path, RunRecord], object] | None = None,
) -> list[Collected]:
    """Checks reports, finds the planned cells that they measured, and copies them byte by byte into results/.

    Files of one call that agree in variant, versions and model become one run, as long as no cell comes
    twice. The run is named after the time in its first report: collecting elsewhere gives the same name.

    Args:
        recipe_dir: the recipe's folder.
        spec: the recipe, completed.
        files: reports; a sidecar among them is left to its report.
        variant: which variant was measured; None to take it from the sidecar, or the only one there is.
        machine: name of the folder under results/.
        corpus: which corpus the prompts came from, where the file's name does not tell.
        thinking: default, on or off, likewise.
        dry_run: do everything but write.
        judge: gets each new run's folder and record before that is written; puts the verdicts into its cells.

    Raises:
        SpecError: one or more files cannot be taken in; every reason of every file. Nothing is written then.
    """
    known = _known_reports(recipe_dir)
    problems: list[Problem] = []
    digests: dict[Path, str] = {}
    taken: dict[str, _Taken] = {}
    names = {str(path) for path in files}
    for path in files:
        if path.name.endswith(".meta.json") and str(path).removesuffix(".meta.json") in names:
            continue
        try:
            raw = read_bounded(path, REPORT_LIMIT)
            digests[path] = digest = sha256_bytes(raw)
            if digest not in known and digest not in taken:
                taken[digest] = _take(path, raw, digest, spec, variant, corpus, thinking)
        except SpecError as error:
            problems += error.problems
        except RecipegenError as error:
            message = error.message.removeprefix(f"{path} ")
            problems.append(Problem(error.where or Where(path), message, error.hint))
    if problems:
        raise SpecError(problems)
    for folder, run in _place(recipe_dir, spec, machine, _runs(list(taken.values())), dry_run, judge):
        for one in run.files:
            known[one.sha256] = (folder, one.file, tuple(cell.id for cell, _ in one.cells))
    results = []
    for path, digest in digests.items():
        mine = taken.get(digest)
        new = mine is not None and mine.source == path
        results.append(Collected(path, *known[digest], not new, mine.left_out if mine and new else ()))
    return results


def _known_reports(recipe_dir: Path) -> dict[str, tuple[Path, str, tuple[str, ...]]]:
    """SHA-256 of every stored report to where it lies and the cells it measured."""
    known: dict[str, tuple[Path, str, tuple[str, ...]]] = {}
    for folder in iter_runs(recipe_dir):
        for cell in load_run(folder)["cells"]:
            if cell["sha256"] and cell["file"]:
                ids = known.get(cell["sha256"], (folder, "", ()))[2]
                known[cell["sha256"]] = (folder, cell["file"], (*ids, cell["id"]))
    return known


def _take(
    path: Path,
    raw: bytes,
    digest: str,
    spec: Spec,
    variant: str | None,
    corpus: str | None,
    thinking: str | None,
) -> _Taken:
    report = check_report(raw, path)
    _no_token(path, raw.decode("utf-8", "replace"))
    meta = _sidecar(path)
    if meta is not None and meta.get("recipe", spec.name) != spec.name:
        message = f"was measured for the recipe {meta['recipe'][:80]!r}, not {spec.name}"
        raise ReportRefused.because(path, message)
    named = _variant(path, spec, variant, (meta or {}).get("variant"))
    cells, left_out = match_cells(path, report, spec.cells(), (meta or {}).get("cell"), corpus, thinking)
    origin: Origin = "collected" if meta is None else "kit"
    return _Taken(path, raw, digest, report, meta or {}, origin, named, cells, left_out)


def _sidecar(path: Path) -> dict[str, Any] | None:
    """What bench.sh wrote about the report; None when nothing lies beside it."""
    beside = path.with_name(path.name + ".meta.json")
    if not beside.exists():
        return None
    try:
        meta = json.loads(read_bounded(beside, SIDECAR_LIMIT))
    except (ValueError, RecursionError) as error:
        raise ReportRefused.because(beside, f"is not JSON: {error}", "remove it, or write it anew") from error
    if not isinstance(meta, dict):
        raise ReportRefused.because(beside, "is not an object")
    found = {key: meta[key] for key in SIDECAR_FIELDS if meta.get(key) not in (None, "")}
    wrong = [key for key, value in found.items() if not _fits(key, value)]
    if wrong:
        raise ReportRefused.because(beside, f"wrong values: {', '.join(wrong)}")
    _no_token(beside, json.dumps(found))
    return found


def _no_token(path: Path, text: str) -> None:
    if find_secret(text):
        raise ReportRefused.because(path, "holds what looks like an access token", "never publish it")


def _fits(key: str, value: Any) -> bool:
    if not isinstance(value, SIDECAR_FIELDS[key]):
        return False
    if key == "argv":
        return all(isinstance(word, str) for word in value)
    try:
        return key not in ("started", "ended") or datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _variant(path: Path, spec: Spec, option: str | None, noted: str | None) -> str:
    if option and noted and option != noted:
        message = f"was measured on the variant {noted[:80]!r}, not on {option!r}"
        raise ReportRefused.because(path, message)
    named = option or noted or (next(iter(spec.variants)) if len(spec.variants) == 1 else None)
    choices = f"one of {', '.join(spec.variants)}"
    if named is None:
        raise ReportRefused.because(path, "does not tell which variant was measured", f"--variant: {choices}")
    if named not in spec.variants:
        raise ReportRefused.because(path, f"the recipe has no variant {named[:80]!r}", choices)
    return named


def _runs(taken: list[_Taken]) -> list[_Run]:
    runs: list[_Run] = []
    for one in sorted(taken, key=lambda one: (one.report.written, one.sha256)):
        home = next((run for run in runs if run.has_room_for(one)), None)
        if home is None:
            runs.append(home := _Run([]))
        home.files.append(one)
    return runs


def _place(
    recipe_dir: Path,
    spec: Spec,
    machine: str,
    runs: list[_Run],
    dry_run: bool,
    judge: Callable[[Path, RunRecord], object] | None,
) -> list[tuple[Path, _Run]]:
    """Writes the runs and gives their folders; when one cannot be written, none stays."""
    placed: list[tuple[Path, _Run]] = []
    try:
        for run in runs:
            record = _record(spec, machine, run)
            if dry_run:
                placed.append((recipe_dir / "results" / machine / record["run"], run))
                continue
            cells, record["cells"] = record["cells"], []
            writer = RunWriter(recipe_dir, record, identity_here())
            placed.append((writer.folder, run))
            for one in run.files:
                write_atomic(writer.folder / one.file, one.raw, within=recipe_dir)
            # Only now: a record never names a report that is not there.
            record["cells"] = cells
            if judge is not None:
                judge(writer.folder, record)
            record["status"] = status_of(cells, {cell.id for cell in spec.cells()})
            writer.write()
    except BaseException:
        for folder, _ in placed if not dry_run else ():
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return placed


def _record(spec: Spec, machine: str, run: _Run) -> RunRecord:
    """What is known about reports that were made elsewhere; the rest stays null."""
    first = run.files[0]
    record = new_run(
        recipe={
            "name": spec.name,
            "title": spec.title,
            # Which version of the recipe was measured, nobody noted; the kit's hash is in the sidecar.
            "spec_sha256": None,
            "kit_sha256": first.meta.get("kit_sha256"),
        },
        variant=first.variant,
        method=spec.variants[first.variant].method,
        machine=machine,
        origin=first.origin,
        llama_benchy=first.report.version,
    )
    record["run"] = run_name(first.report.written, first.variant)
    record["versions"]["python"] = None
    record["engine"]["version"] = first.meta.get("engine_version")
    record["cells"] = [_cell_record(one, cell, benchmark) for one in run.files for cell, benchmark in one.cells]
    starts = [cell["started"] for cell in record["cells"] if cell["started"]]
    record["started"] = min(starts, default=None)
    record["ended"] = max((cell["ended"] for cell in record["cells"] if cell["ended"]), default=None)
    return record


def _cell_record(one: _Taken, cell: PlannedCell, benchmark: dict[str, Any]) -> CellRecord:
    return {
        "id": cell.id,
        "corpus": cell.corpus,
        "corpus_sha256": one.meta.get("corpus_sha256"),
        "pp": cell.pp,
        "tg": cell.tg,
        "depth": cell.depth,
        "concurrency": cell.concurrency,
        "thinking": cell.thinking,
        "runs": max(len(metric_values(benchmark, metric)) for metric in NEEDED),
        "status": "done",
        "file": one.file,
        "sha256": one.sha256,
        "argv": one.meta.get("argv"),
        "started": _utc(one.meta.get("started")),
        "ended": _utc(one.meta.get("ended")) or utc_text(one.report.written),
        "error": None,
        "failed_requests": None,
    }


def _utc(text: str | None) -> str | None:
    return None if text is None else utc_text(datetime.fromisoformat(text))
