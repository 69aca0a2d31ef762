"""Whether what ran follows from the recipe: the kit, the command lines, the raw reports' hashes and inner agreement.
Owns no figure of a claim."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.bench.profiles import CACHED
from recipegen.bundle.unpack import Opened
from recipegen.catalog import builtin_corpus
from recipegen.claims import Check, Status
from recipegen.engines import engine
from recipegen.engines.benchy import bench_command
from recipegen.errors import RecipegenError
from recipegen.evidence import Evidence
from recipegen.files import read_bounded
from recipegen.load.repo import RECIPE_FILE
from recipegen.lock import LOCK_FILE
from recipegen.publish.charts.recipe import FOLDER as CHARTS
from recipegen.results.report import REPORT_LIMIT, cell_of, check_report, metric_values
from recipegen.results.store import CellRecord, done_cells
from recipegen.spec.completed import PlannedCell
from recipegen.verify.integrity import same_version

if TYPE_CHECKING:
    from recipegen.render.kit import Kit
    from recipegen.workspace import Workspace

_NOT_KIT = (RECIPE_FILE, LOCK_FILE, "RESULTS.md")
_NEAR = 1e-6
"""Relative: llama-benchy's mean and standard deviation are numpy's, ours are summed exactly."""


def rendered_kit(workspace: Workspace, evidence: Evidence) -> Kit:
    """The kit of the recipe with recipegen's own templates; the bundle's patches are copied, never run."""
    from recipegen.render.kit import render_kit
    from recipegen.render.templates import Templates
    from recipegen.workspace import own_files

    spec = evidence.spec
    return render_kit(spec, Templates(), workspace.patches, own_files(spec, evidence.folder))


def check_kit(bundle: Opened, evidence: Evidence, kit: Kit) -> Iterator[Check]:
    """The kit in the bundle is what the recipe renders to.

    Templates of the bundle's own are programs, and never run: recipegen's render the kit, and each file that comes out
    otherwise is named. A file that no kit has is failed, whoever made the bundle.
    """
    top = f"recipes/{evidence.spec.name}/"
    brought = _templates(bundle)
    found = [
        Check("kit", "failed", "recipegen has no template of this name, so that nothing is rendered from it", path)
        for path in brought
        if not _is_ours(path)
    ]
    status: Status = "failed"
    other = ""
    if any(map(_is_ours, brought)):
        status = "undecidable"
        other = " by recipegen's own templates; the bundle brings others, which are programs and were not run"
    elif not same_version(bundle):
        status = "undecidable"
        other = f"; it was made by recipegen {bundle.manifest.recipegen}, which may render differently"
    for path, file in kit.items():
        there = bundle.files.get(top + path)
        same = there is not None and there.sha256 == hashlib.sha256(file.data).hexdigest()
        if there is None or not same or there.executable != (file.mode & 0o111 != 0):
            text = (
                "the recipe renders this file, and it is not there" if there is None else "the recipe renders otherwise"
            )
            found.append(Check("kit", status, text + other, top + path))
    for path in bundle.files:
        inner = path.removeprefix(top)
        # Results and charts are held against the raw reports.
        elsewhere = inner in _NOT_KIT or inner.startswith(("results/", f"{CHARTS}/"))
        if path.startswith(top) and inner not in kit and not elsewhere:
            found.append(Check("kit", "failed", "no recipe renders this file", path))
    if brought and not found:
        text = "it renders from the recipe by recipegen's own templates; the bundle's were not run"
        found.append(Check("kit", "undecidable", text, "templates"))
    yield from found or [Check("kit", "passed", f"all {len(kit)} files render from the recipe, byte for byte")]
    patches = sorted({path.split("/")[1] for path in bundle.files if path.startswith("patches/")})
    if patches:
        text = (
            f"the image is built with patches of the bundle's own ({', '.join(patches)}): read them; nothing ran them"
        )
        yield Check("patches", "undecidable", text, "patches")


def _templates(bundle: Opened) -> list[str]:
    return [path for path in bundle.files if path.startswith("templates/")]


def _is_ours(path: str) -> bool:
    """Whether a template stands in for one of recipegen's, so that the kit may come out otherwise."""
    from recipegen.shipped import templates_dir

    return path.startswith("templates/kit/") and (templates_dir() / path.removeprefix("templates/")).is_file()


def check_server(evidence: Evidence, role: str) -> Iterator[Check]:
    """The server's command line and environment are those that the recipe's variant has."""
    name, place = f"argv-server{role}", f"recipes/{evidence.folder.name}/{evidence.place}/run.json"
    server = evidence.record["server"] or {}
    argv = server.get("argv")
    if argv is None:
        yield Check(name, "undecidable", "nobody recorded how the server was started", place)
        return
    command = engine(evidence.spec.engine.name).command(evidence.spec, evidence.variant)
    difference = _difference(argv, command.recorded())
    if difference is None and server.get("env") != dict(command.env):
        difference = f"its environment was {server.get('env')!r}, the recipe's is {dict(command.env)!r}"
    if difference is not None:
        yield Check(
            name, "failed", f"the server did not run as the recipe's {evidence.variant} does: {difference}", place
        )
    else:
        yield Check(
            name, "passed", f"the server's {len(argv)} arguments follow from the recipe's {evidence.variant}", place
        )


def check_cells(evidence: Evidence, role: str) -> Iterator[Check]:
    """llama-benchy's command line of every cell, and the text that it read."""
    name, place = f"argv-bench{role}", f"recipes/{evidence.folder.name}/{evidence.place}/run.json"
    wrong, checked, unknown = [], 0, 0
    for cell in done_cells(evidence.record):
        if cell["argv"] is None:
            unknown += 1
            continue
        found = _cell_fault(evidence, cell)
        checked += 1
        if found is not None:
            wrong.append(Check(name, "failed", f"{cell['id']}: {found}", place))
    yield from wrong
    if unknown:
        text = f"nobody recorded how llama-benchy was called in {unknown} of {unknown + checked} cells"
        yield Check(name, "undecidable", text, place)
    elif not wrong:
        yield Check(name, "passed", f"llama-benchy's arguments follow from the recipe; cells: {checked}", place)


def _cell_fault(evidence: Evidence, cell: CellRecord) -> str | None:
    spec = evidence.spec
    if cell["corpus"] not in spec.bench.corpora:
        return f"the recipe has no text {cell['corpus']!r}"
    corpus = spec.bench.corpora[cell["corpus"]]
    book, digest = corpus.url or f"recipegen-corpus:{corpus.builtin or cell['corpus']}", cell["corpus_sha256"]
    expected = corpus.sha256
    if corpus.builtin:
        expected = hashlib.sha256(builtin_corpus(corpus.builtin).read_bytes()).hexdigest()
    if expected is not None and digest != expected:
        return f"it read another text than the recipe's: SHA-256 {str(digest)[:16]}…, not {expected[:16]}…"
    planned = PlannedCell(
        **{key: cell[key] for key in PlannedCell.model_fields if key in cell},  # type: ignore[literal-required]
        prefix_caching=cell["id"].endswith(CACHED),
    )
    return _difference(cell["argv"], bench_command(spec, planned).recorded(BOOK_URL=f"{book}#sha256={digest}"))


def _difference(found: Any, expected: list[str]) -> str | None:
    """The first word in which two command lines differ; None for the same."""
    if found == expected:
        return None
    if not isinstance(found, list):
        return "it is no list of words"
    for at in range(max(len(found), len(expected))):
        one, two = (words[at] if at < len(words) else None for words in (found, expected))
        if one != two:
            before = f" after {expected[at - 1]!r}" if 0 < at <= len(expected) else ""
            return f"word {at + 1}{before} is {one!r:.120}, by the recipe {two!r:.120}"
    return None


def check_record(evidence: Evidence, role: str) -> Iterator[Check]:
    """The record lies where it says that it lies, and is of this recipe."""
    name, place = f"record{role}", f"recipes/{evidence.folder.name}/{evidence.place}/run.json"
    record, run = evidence.record, evidence.run
    said = (record["recipe"].get("name"), record["machine"], record["run"])
    lies = (evidence.spec.name, run.parent.name, run.name)
    if said != lies:
        yield Check(name, "failed", f"it calls itself {'/'.join(map(str, said))} and lies in {'/'.join(lies)}", place)
    elif record["variant"] not in evidence.spec.variants:
        yield Check(name, "failed", f"the recipe has no variant {record['variant']!r}", place)
    else:
        text = f"{record['format']}, {record['status']}, variant {record['variant']}, {len(record['cells'])} cells"
        yield Check(name, "passed", text, place)


def check_reports(evidence: Evidence, role: str) -> Iterator[Check]:
    """Every raw report is the one that was recorded, is llama-benchy's, and agrees with itself."""
    name, base = f"reports{role}", f"recipes/{evidence.folder.name}/{evidence.place}"
    wrong, cells = [], done_cells(evidence.record)
    for cell in cells:
        text = _report_fault(evidence.run / str(cell["file"]), cell)
        if text is not None:
            wrong.append(Check(name, "failed", text, f"{base}/{cell['file']}"))
    yield from wrong or [
        Check(
            name,
            "passed",
            f"raw reports with the SHA-256 of run.json, in agreement with themselves: {len(cells)}",
            base,
        )
    ]


def _report_fault(path: Path, cell: CellRecord) -> str | None:
    try:
        raw = read_bounded(path, REPORT_LIMIT)
    except RecipegenError as error:
        return error.message.removeprefix(f"{path} ")
    if hashlib.sha256(raw).hexdigest() != cell["sha256"]:
        return "is not the file that run.json recorded: its SHA-256 differs"
    report = check_report(raw, path)
    shape = (cell["pp"], cell["tg"], cell["depth"], cell["concurrency"], False)
    for benchmark in report.benchmarks:
        fault = self_fault(benchmark)
        if fault is not None:
            return fault
        if cell_of(benchmark) == shape and len(metric_values(benchmark, "pp_throughput")) > cell["runs"] * max(
            1, cell["concurrency"]
        ):
            return f"holds more samples than the {cell['runs']} runs that were asked for"
    return None


def self_fault(benchmark: Mapping[str, Any]) -> str | None:
    """The first metric whose own mean or standard deviation does not follow from its samples; None where all do."""
    for name, metric in benchmark.items():
        if not isinstance(metric, dict) or not metric.get("values"):
            continue
        values = metric["values"]
        mean = math.fsum(values) / len(values)
        std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        for stat, expected in (("mean", mean), ("std", std)):
            if not math.isclose(metric[stat], expected, rel_tol=_NEAR, abs_tol=_NEAR * max(abs(mean), 1e-3)):
                return f"{name}: the report says {stat} {metric[stat]:.6g}, its samples give {expected:.6g}"
    return None
