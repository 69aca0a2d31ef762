"""What `A` and `B` of a comparison name: runs, raw reports, published figures. Owns finding and reading them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.errors import RecipegenError, Where
from recipegen.publish.figures import METRICS, cell_samples
from recipegen.quality.verdict import VERDICTS
from recipegen.results.report import cell_of, check_report, metric_values
from recipegen.results.store import (
    DOUBTFUL,
    RECORD,
    CellRecord,
    RunRecord,
    iter_runs,
    load_run,
    pair_id,
    pair_round,
    quality_faults,
    quality_of,
    run_order,
)
from recipegen.stats import warm
from recipegen.workspace import Workspace, variant_of

if TYPE_CHECKING:
    from recipegen.spec.model import Published

PUBLISHED = "published:"
FORMS = "NAME/VARIANT, NAME/VARIANT@MACHINE, NAME/RUN, published:NAME/VARIANT, a run's folder or a report's file"
_REQUESTED = "model in the requests"
_LATENCY = "latency mode"
_Run = tuple[Path, RunRecord]


@dataclass(frozen=True)
class Part:
    """Warm samples of one run of a cell, by metric, in the order in which they were measured.

    Attributes:
        round: which turn of a paired measurement it is; None outside of one.
    """

    round: int | None
    samples: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class SideCell:
    """One cell of a side.

    Attributes:
        shape: prompt tokens, answer tokens, depth, concurrency.
        corpus: name of its text; None where nobody noted it.
        thinking: default, on or off; None where nobody noted it.
        parts: what was measured, a run each.
        published: what somebody else published instead, by metric.
        failed: why there is nothing.
        corpus_sha256: of its text.
        tool: llama-benchy's arguments.
        doubts: verdicts that its figures cannot be right, each with its first reason: `too-fast: 900 tok/s …`.
    """

    id: str
    shape: tuple[int, int, int, int]
    corpus: str | None = None
    thinking: str | None = None
    parts: tuple[Part, ...] = ()
    published: Mapping[str, Published] = field(default_factory=dict)
    failed: str | None = None
    corpus_sha256: str | None = None
    tool: tuple[str, ...] | None = None
    doubts: tuple[str, ...] = ()

    def samples(self, metric: str) -> list[float]:
        """All warm samples of a metric."""
        return [value for part in self.parts for value in part.samples.get(metric, ())]


@dataclass(frozen=True)
class Side:
    """A or B.

    Attributes:
        given: as the user named it.
        title: what it turned out to be.
        pair: id of the paired measurement that all its runs belong to.
        facts: of the environment: driver, engine version, and so on; None where it is not known.
        argv: the server's command line.
        env: the server's environment.
        folders: of its runs, or the report's file.
        quality: the worst verdict of its runs on what the servers answered; None where nobody asked.
        quality_faults: what kept them from passing.
    """

    given: str
    title: str
    cells: tuple[SideCell, ...]
    pair: str | None = None
    facts: Mapping[str, str | None] = field(default_factory=dict)
    argv: tuple[str, ...] | None = None
    env: Mapping[str, str] | None = None
    folders: tuple[Path, ...] = ()
    quality: str | None = None
    quality_faults: tuple[str, ...] = ()

    @property
    def is_published(self) -> bool:
        """Whether nothing of it was measured here."""
        return self.given.startswith(PUBLISHED)


def find_side(given: str, root: Path | None) -> Side:
    """What a text names.

    Args:
        given: one of FORMS, or NAME alone for its headline variant.
        root: the repository; found upwards from the current folder when a name needs it.

    Raises:
        RecipegenError: it names nothing that is there; says what is.
    """
    if given.startswith(PUBLISHED):
        return _published_side(given, Workspace.open(root))
    path = Path(given)
    if path.is_dir() and (path / RECORD).is_file():
        return _run_side(given, [(path, load_run(path))])
    if path.is_file():
        return _file_side(given, path)
    name, slash, rest = given.partition("/")
    if not name or (slash and not rest):
        raise RecipegenError(f"{given!r} names nothing that can be compared", hint=f"give {FORMS}")
    workspace = Workspace.open(root)
    return _run_side(given, _runs(workspace, name, rest))


def _runs(workspace: Workspace, name: str, rest: str) -> list[_Run]:
    """The runs that NAME/REST means: one, or all turns of a paired measurement."""
    folder = workspace.repository.folder(name)
    runs = [(path, load_run(path)) for path in sorted(iter_runs(folder), key=run_order)]
    if not runs:
        raise RecipegenError(f"nothing has been measured of {name} yet", hint=f"recipegen bench {name}")
    wanted, _, machine = (rest or variant_of(workspace.spec(name), None)).partition("@")
    if "/" in wanted:
        machine, _, wanted = wanted.rpartition("/")
    here = [run for run in runs if machine in ("", run[0].parent.name)]
    if not here:
        machines = ", ".join(sorted({path.parent.name for path, _ in runs}))
        raise RecipegenError(f"{name} has no run on a machine {machine!r}", hint=f"there are runs on: {machines}")
    named = [run for run in here if run[0].name == wanted]
    if len(named) > 1:
        places = ", ".join(f"{name}/{path.name}@{path.parent.name}" for path, _ in named)
        raise RecipegenError(f"{name} has several runs {wanted!r}", hint=f"say which: {places}")
    return named or _newest(name, wanted, machine, here)


def _newest(name: str, variant: str, machine: str, runs: list[_Run]) -> list[_Run]:
    of_variant = [run for run in runs if run[1]["variant"] == variant]
    whole = [run for run in of_variant if run[1]["status"] == "complete"]
    if not whole:
        on = f" on {machine}" if machine else ""
        if of_variant:
            others = ", ".join(f"{name}/{path.name} ({record['status']})" for path, record in of_variant[-5:])
            raise RecipegenError(f"{name} has no complete run of {variant!r}{on}", hint=f"there are: {others}")
        variants = ", ".join(dict.fromkeys(f"{name}/{record['variant']}" for _, record in runs))
        raise RecipegenError(
            f"{name} has no run and no measured variant {variant!r}{on}",
            hint=f"measured: {variants}; `recipegen results {name}` lists the runs",
        )
    pair = pair_id(whole[-1][1])
    return [run for run in whole if pair is not None and pair_id(run[1]) == pair] or [whole[-1]]


def _run_side(given: str, runs: list[_Run]) -> Side:
    folder, record = runs[-1]
    cells: dict[str, SideCell] = {}
    for path, one in runs:
        for cell in _cells(path, one):
            known = cells.get(cell.id)
            if known is None or known.failed is not None:
                cells[cell.id] = cell
            elif cell.failed is None:
                doubts = tuple(dict.fromkeys((*known.doubts, *cell.doubts)))
                cells[cell.id] = replace(known, parts=(*known.parts, *cell.parts), doubts=doubts)
    argv, env = server_of(record)
    of = f"{len(runs)} rounds, the last {folder.name}" if len(runs) > 1 else folder.name
    status = "" if record["status"] == "complete" else f", {record['status']}"
    what = f"{record['recipe']['name']} {record['variant']} ({record['method']})"
    return Side(
        given=given,
        title=f"{what} on {record['machine']}, {of}{status}",
        cells=tuple(cells.values()),
        pair=pair_id(record),
        facts=dict(facts_of(record)),
        argv=argv,
        env=env,
        folders=tuple(path for path, _ in runs),
        quality=_worst(quality_of(one) for _, one in runs),
        quality_faults=tuple(dict.fromkeys(fault for _, one in runs for fault in quality_faults(one))),
    )


def _worst(verdicts: Iterable[str | None]) -> str | None:
    asked = [verdict for verdict in verdicts if verdict is not None]
    return next((verdict for verdict in reversed(VERDICTS) if verdict in asked), None)


def _cells(folder: Path, record: RunRecord) -> Iterator[SideCell]:
    for cell in record["cells"]:
        facts: dict[str, Any] = {
            "id": cell["id"],
            "shape": (cell["pp"], cell["tg"], cell["depth"], cell["concurrency"]),
            "corpus": cell["corpus"],
            "thinking": cell["thinking"],
            "corpus_sha256": cell["corpus_sha256"],
            "tool": tuple(map(str, cell["argv"])) if cell["argv"] else None,
        }
        if cell["status"] != "done":
            yield SideCell(**facts, failed=cell["error"] or "no reason noted")
            continue
        values = cell_samples(folder, cell, *METRICS)
        kept = {metric: warm(one)[0] for metric, one in zip(METRICS, values, strict=True) if one}
        yield SideCell(**facts, parts=(Part(pair_round(record), kept),), doubts=_doubts(cell))


def _doubts(cell: CellRecord) -> tuple[str, ...]:
    verdict = cell.get("verdict") or {}
    if verdict.get("verdict") not in DOUBTFUL:
        return ()
    return (": ".join([str(verdict["verdict"]), *verdict["reasons"][:1]]),)


def server_of(record: RunRecord) -> tuple[tuple[str, ...] | None, dict[str, str] | None]:
    """The server's command line and its environment; None where they are not known."""
    server = record["server"] or {}
    argv, env = server.get("argv"), server.get("env")
    return (
        tuple(map(str, argv)) if isinstance(argv, list) else None,
        {str(key): str(value) for key, value in env.items()} if isinstance(env, dict) else None,
    )


def facts_of(record: RunRecord) -> Iterator[tuple[str, str | None]]:
    """What figures depend on, in the order in which it is shown."""
    host, image = record["host"] or {}, record["image"] or {}
    # The host's part of a record that came with a bundle is anybody's.
    gpus = [gpu for gpu in _list(host.get("gpus")) if isinstance(gpu, dict)]
    cpu = host.get("cpu")
    yield "recipe", record["recipe"]["name"]
    yield "variant", record["variant"]
    yield "method", record["method"]
    yield "machine", record["machine"]
    yield "GPU", _counted(gpu.get("name") for gpu in gpus) if record["host"] is not None else None
    yield "driver", _counted(gpu.get("driver") for gpu in gpus)
    yield "processor", _text(cpu.get("model") if isinstance(cpu, dict) else None)
    yield "memory (bytes)", _text(host.get("memory_bytes"))
    for label, key in (("system", "os"), ("DGX OS", "dgx_os"), ("kernel", "kernel"), ("CUDA driver", "cuda_driver")):
        yield label, _text(host.get(key))
    yield "runner", record["runner"]
    for label, key in (("image", "ref"), ("image id", "id"), ("base image", "base")):
        yield label, _text(image.get(key))
    yield "engine", _text(record["engine"].get("name"))
    yield "engine version", _text(record["engine"].get("version"))
    yield "llama-benchy", record["versions"].get("llama_benchy")
    yield "recipegen", record["versions"].get("recipegen")
    yield "models", ", ".join(_model(model) for model in record["models"] if isinstance(model, dict)) or None
    yield "recipe's sha256", (record["recipe"].get("spec_sha256") or "")[:16] or None
    tool = next((cell["argv"] for cell in record["cells"] if cell["argv"]), [])
    yield _REQUESTED, _after("--model", tool)
    yield _LATENCY, _after("--latency-mode", tool)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _after(flag: str, argv: Sequence[Any]) -> str | None:
    """The word after a flag."""
    return next((str(argv[at + 1]) for at, word in enumerate(argv[:-1]) if word == flag), None)


def _model(model: Mapping[str, Any]) -> str:
    revision = model.get("revision")
    return f"{model.get('source') or model.get('folder')}{f'@{revision}' if revision else ''}"


def _counted(values: Iterable[Any]) -> str | None:
    found = sorted(str(value) for value in values if value)
    return ", ".join(f"{len(list(same))}x {one}" for one, same in groupby(found)) or None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _file_side(given: str, path: Path) -> Side:
    """A report; one that lies in a run's folder is known better: its record says what was measured where."""
    if (path.parent / RECORD).is_file():
        record = load_run(path.parent)
        own = [cell for cell in record["cells"] if cell["file"] == path.name]
        if own:
            return _run_side(given, [(path.parent, {**record, "cells": own})])
    return _report_side(given, path)


def _report_side(given: str, path: Path) -> Side:
    report = check_report(path)
    cells: dict[str, SideCell] = {}
    for benchmark in report.benchmarks:
        cell = cell_of(benchmark)
        if cell.is_context_prefill:
            continue
        values = {metric: metric_values(benchmark, name) for metric, name in METRICS.items()}
        kept = {metric: warm(one)[0] for metric, one in values.items() if one}
        if str(cell) in cells:
            message = f"measured {cell} twice, so that nobody can say which is meant"
            raise RecipegenError(f"{path} {message}", where=Where(path), hint="give a report with one of them")
        cells[str(cell)] = SideCell(str(cell), cell[:4], parts=(Part(None, kept),))
    facts = {
        "llama-benchy": report.version,
        _REQUESTED: str(report.data["model"]),
        _LATENCY: report.data["latency_mode"],
    }
    title = f"report {path.name}: {report.data['model']}, {report.written:%Y-%m-%d}"
    return Side(given, title, tuple(cells.values()), facts=facts, folders=(path,))


def _name(figure: Published) -> str:
    """What a published figure is of, in the words of its publisher."""
    more = [f"c{figure.concurrency}"] * (figure.concurrency != 1)
    more += [figure.corpus] if figure.corpus else []
    more += [] if figure.thinking == "default" else [f"thinking {figure.thinking}"]
    return " ".join([f"pp{figure.pp} tg{figure.tg} d{figure.depth}", *more])


def _published_side(given: str, workspace: Workspace) -> Side:
    name, _, wanted = given.removeprefix(PUBLISHED).partition("/")
    spec = workspace.spec(name)
    variant = variant_of(spec, wanted or None)
    figures = [figure for figure in spec.published if figure.variant == variant]
    cells: list[SideCell] = []
    for figure in figures:
        if figure.pp is None or figure.tg is None:
            continue  # of a workload that no cell repeats
        shape = (figure.pp, figure.tg, figure.depth, figure.concurrency)
        thinking = None if figure.thinking == "default" else figure.thinking
        cells.append(
            SideCell(
                _name(figure),
                shape,
                corpus=figure.corpus,
                thinking=thinking,
                published={figure.metric: figure},
            )
        )
    if not cells:
        others = sorted({figure.variant for figure in spec.published if figure.pp is not None})
        hint = f"there are figures of: {', '.join(others)}" if others else f"`recipegen show {name}` shows the recipe"
        raise RecipegenError(f"the recipe {name} holds no published figure of a cell of {variant!r}", hint=hint)
    return Side(given, f"figures that others published of {name} {variant}", tuple(cells))
