"""One `bench`: for each variant build if needed, start, wait, measure every cell, take down. Owns the order of
things and what is recorded when; measures nothing itself."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.bench.measured import measure_cell
from recipegen.bench.resume import require_same_image, run_identity, writer_for
from recipegen.engines import engine
from recipegen.engines.benchy import PROGRAM
from recipegen.errors import EnvironmentLacks, MeasurementFailed, RecipegenError
from recipegen.results.store import SERVER_LOG, RunStatus, RunWriter, new_run, status_of
from recipegen.runners.base import Server, ServerPlan, every_ten_seconds, wait_ready
from recipegen.runners.plan import HostOptions, model_facts, plan_server, require_models, server_of

if TYPE_CHECKING:
    from recipegen.bench.corpora import StagedCorpus
    from recipegen.bench.display import Display
    from recipegen.bench.guard import MemoryGuard
    from recipegen.bench.verified import Prompt
    from recipegen.spec.completed import PlannedCell, Spec


@dataclass(frozen=True)
class Request:
    """What to measure and how.

    Attributes:
        variants: in this order.
        cells: what to measure, by variant, `runs` set.
        profile: name of the profile that the cells come from.
        resume: go on with a run of the very same identity that did not end.
        retries: how often a cell that failed is tried again while its server lives.
        pair: names runs that were taken in turn, so that they can be compared as pairs.
        machine: name under results/; from the host's facts by default.
        prompt: a board's canonical prompt, asked after the cells on the same server.
        kit_sha256: of the kit on disk.
    """

    spec: Spec
    folder: Path
    variants: tuple[str, ...]
    cells: Mapping[str, tuple[PlannedCell, ...]]
    options: HostOptions
    kit_sha256: str
    profile: str | None = None
    resume: bool = False
    retries: int = 1
    pair: Mapping[str, Any] | None = None
    machine: str | None = None
    base_image: str | None = None
    build_network: str | None = None
    prompt: Prompt | None = None


@dataclass(frozen=True)
class RunOutcome:
    """What became of one variant."""

    variant: str
    folder: Path
    status: RunStatus
    error: str | None


def choose_cells(
    spec: Spec, wanted: tuple[str, ...], runs: int | None, planned: tuple[PlannedCell, ...] | None = None
) -> tuple[PlannedCell, ...]:
    """The cells named (by id or a part of it), all by default, with another number of runs if given.

    Args:
        planned: the cells to choose from; the recipe's own by default.

    Raises:
        RecipegenError: a name that fits no cell.
    """
    cells = spec.cells() if planned is None else planned
    for text in wanted:
        if not any(text in cell.id for cell in cells):
            raise RecipegenError(
                f"{spec.name} has no cell {text!r}",
                hint=f"there are: {', '.join(cell.id for cell in cells)}",
            )
    chosen = [cell for cell in cells if not wanted or any(text in cell.id for text in wanted)]
    return tuple(cell.model_copy(update={"runs": runs}) if runs else cell for cell in chosen)


def benchy_program(version: str) -> list[str]:
    """How to call the pinned llama-benchy: the one beside this Python, on PATH, or through uvx.

    Raises:
        EnvironmentLacks: it is not here in that version.
    """
    try:
        installed: str | None = metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        installed = None
    beside = Path(sys.executable).parent / PROGRAM
    if installed == version and beside.is_file():
        return [str(beside)]
    if shutil.which("uvx"):
        return ["uvx", "--from", f"{PROGRAM}=={version}", PROGRAM]
    raise EnvironmentLacks(
        f"the recipe measures with {PROGRAM} {version}, but {installed or 'none'} is installed",
        hint=f"pip install {PROGRAM}=={version}, or install uv, which fetches it when needed",
    )


def measure(request: Request, display: Display) -> list[RunOutcome]:
    """Measure every variant; one that fails does not keep the next from being measured.

    Raises:
        KeyboardInterrupt: after what was started is down and what was measured is recorded.
        EnvironmentLacks: before anything is started: no Docker, no model, no text, no llama-benchy.
    """
    spec = request.spec
    program = benchy_program(spec.bench.tool)
    for variant in request.variants:
        plan_server(spec, variant, request.options)  # a wrong address is told before a record is begun
        require_models(spec, variant, request.options)
    corpora = stage_corpora(spec, [cell for variant in request.variants for cell in request.cells[variant]])
    if request.options.runner == "docker":
        _require_image(request, display)
    return [_measure_variant(request, variant, program, corpora, display) for variant in request.variants]


def measure_in_turn(request: Request, rounds: int, display: Display) -> list[RunOutcome]:
    """Measure two variants A B, B A, A B …: what drifts on the machine meets both alike.

    Each round is a run of its own for either variant; their records carry the same pair and the round's number.
    """
    pair = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    outcomes = []
    for number in range(1, rounds + 1):
        order = request.variants if number % 2 else request.variants[::-1]
        turn = {"id": pair, "round": number, "rounds": rounds}
        display.note(f"round {number} of {rounds}: {', '.join(order)}")
        outcomes += measure(replace(request, variants=order, pair=turn), display)
    return outcomes


def stage_corpora(spec: Spec, cells: Iterable[PlannedCell]) -> dict[str, StagedCorpus]:
    """Texts of the cells, where llama-benchy finds them without a network."""
    from recipegen.bench.corpora import stage
    from recipegen.catalog import builtin_corpus

    cache = Path.home() / ".cache" / "recipegen" / "corpora"
    staged = {}
    for name in dict.fromkeys(cell.corpus for cell in cells):
        corpus = spec.bench.corpora[name]
        builtin = builtin_corpus(corpus.builtin) if corpus.builtin else None
        staged[name] = stage(corpus.builtin or name, corpus.url, builtin, corpus.sha256, cache)
    return staged


def _require_image(request: Request, display: Display) -> None:
    from recipegen import docker
    from recipegen.images import build_image, is_current

    if is_current(docker.connect(), request.spec, request.kit_sha256, base_image=request.base_image):
        return
    display.note(f"building the image {request.spec.name}")
    build_image(
        request.spec,
        request.folder,
        display.note,
        base_image=request.base_image,
        network=request.build_network,
    )


def _measure_variant(
    request: Request, variant: str, program: list[str], corpora: dict[str, StagedCorpus], display: Display
) -> RunOutcome:
    from recipegen.bench.cell import clean_log
    from recipegen.bench.host import host_facts, machine_name

    spec, options = request.spec, request.options
    facts = host_facts(_docker_version() if options.runner == "docker" else None)
    record = new_run(
        recipe={
            "name": spec.name,
            "title": spec.title,
            "spec_sha256": spec.sha256,
            "kit_sha256": request.kit_sha256,
        },
        variant=variant,
        method=spec.variants[variant].method,
        machine=request.machine or machine_name(facts),
        runner=options.runner,
        llama_benchy=spec.bench.tool,
    )
    record["engine"] = {"name": spec.engine.name, "version": None}
    if options.runner != "endpoint":
        # What a server that is there already runs on, and which files it opened, is not known.
        record["host"] = facts
        record["models"] = model_facts(spec, variant, options)
    record["profile"] = request.profile
    record["pair"] = dict(request.pair) if request.pair else None
    record["identity"] = run_identity(request, variant, record)
    writer = writer_for(request, record, display)
    record = writer.record
    plan = plan_server(spec, variant, options, log_path=writer.folder / SERVER_LOG, run=writer.folder.name)
    server = server_of(plan, options.runner)
    guard = _guard(request, variant, server, display)
    status: RunStatus = "failed"
    error: str | None = None
    try:
        with guard or nullcontext(), server:
            _serve_and_measure(request, plan, server, writer, program, corpora, display)
        status = status_of(record["cells"], {cell.id for cell in request.cells[variant]})
        failed = [cell["id"] for cell in record["cells"] if cell["status"] == "failed"]
        error = f"cells failed: {', '.join(failed)}" if failed else None
        if request.prompt is not None and (refused := (record.get("verified") or {}).get("problems")):
            status, error = "partial", error or f"the canonical prompt gave nothing to verify: {refused[0]}"
    except KeyboardInterrupt:
        status, error = "interrupted", "interrupted by the user"
        raise
    except MeasurementFailed as failure:
        error = (guard.text if guard and guard.text else failure.message).partition("\n")[0]
        for line in filter(None, (*failure.message.splitlines(), failure.hint)):
            display.note(line)
    except RecipegenError as failure:
        error = failure.message
        raise
    finally:
        if guard and guard.error:
            display.note(f"memory ran low, and the server could not be stopped: {guard.error}")
        clean_log(writer.folder / SERVER_LOG, plan.env, {str(options.models_dir): "${MODELS_DIR}"})
        writer.finish(status, error)
        display.close()
    return RunOutcome(variant, writer.folder, status, error)


def _guard(request: Request, variant: str, server: Server, display: Display) -> MemoryGuard | None:
    """Stops the server before it takes the last memory of this host; None for a server elsewhere."""
    from recipegen.bench.guard import MemoryGuard, asked_of
    from recipegen.bench.host_sampler import read_memory

    if request.options.runner == "endpoint":
        return None
    spec = request.spec
    memory = read_memory()
    size_gb = spec.models[spec.variants[variant].model].size_gb
    weights = int(size_gb * 1e9) if size_gb else None

    def stop(text: str) -> None:
        display.note(text)
        server.stop()

    asked = asked_of(spec.variants[variant].flags, memory.total if memory else None, weights)
    return MemoryGuard(None, stop, asked=asked)


def _serve_and_measure(
    request: Request,
    plan: ServerPlan,
    server: Server,
    writer: RunWriter,
    program: list[str],
    corpora: dict[str, StagedCorpus],
    display: Display,
) -> None:
    from recipegen.bench.gate import QualityGate
    from recipegen.runners.engine_version import reported_version

    spec, record = request.spec, writer.record
    if server.note:
        display.note(server.note)
    display.note(f"{plan.title}: waiting for {plan.base_url}")
    ready_s = wait_ready(server, plan, every_ten_seconds(display.note))
    facts = server.facts()
    require_same_image(record, facts["image"])
    record["image"] = facts["image"]
    # llama.cpp out of a wheel does not know its own build; then the wheel's version says it.
    record["engine"]["version"] = reported_version(plan.base_url, spec.engine.name) or facts.get("program")
    started = bool(facts["started_by_us"])
    command = engine(spec.engine.name).command(spec, plan.variant)
    record["server"] = {
        # Of a server that somebody else started, the command line is not known.
        "argv": command.recorded() if started else None,
        "env": dict(command.env) if started else None,
        "program": facts.get("program"),
        "started_by_us": started,
        "ready_s": round(ready_s, 1) if started else None,
    }
    writer.write()
    gate = QualityGate(request, plan, writer, display)
    gate.before()
    finished = {cell["id"] for cell in record["cells"] if cell["status"] == "done"}
    cells = [cell for cell in request.cells[plan.variant] if cell.id not in finished]
    display.start(cells)
    for cell in cells:
        for attempt in range(1, request.retries + 2):
            done = measure_cell(request, plan, cell, writer, program, corpora[cell.corpus], display)
            writer.add_cell({**done, "attempts": attempt})
            if done["status"] == "done" or not server.alive():
                break
            if attempt <= request.retries:
                display.note(f"{cell.id} failed; trying it again ({attempt} of {request.retries})")
        if not server.alive():
            raise MeasurementFailed(
                f"the server of {plan.title} ended (exit code {server.exit_code}) in cell {cell.id}; the end of its "
                f"log:\n{server.log_tail(30)}",
                hint=f"the whole log: {plan.log_path}",
            )
    if request.prompt is not None:
        from recipegen.bench.capture import take_capture

        take_capture(request, request.prompt, plan, writer, display)
    gate.after()


def _docker_version() -> str | None:
    from recipegen import docker

    version = docker.connect().version().get("Version")
    return str(version) if version else None
