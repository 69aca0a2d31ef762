"""One run: one variant from its server's start to its last cell. Owns what happens when a cell fails or the server
ends, and what is recorded when; the server is the runners', a cell is `measured`'s."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.bench.measured import measure_cell
from recipegen.bench.nodes import NodesGuard, node_plans, server_of_nodes
from recipegen.bench.resume import earlier_run, in_order, require_same_server, resumed_writer, run_identity
from recipegen.bench.verdicts import judge_run
from recipegen.cluster.server import ClusterServer
from recipegen.engines import engine
from recipegen.errors import MeasurementFailed, RecipegenError
from recipegen.results.store import (
    SERVER_LOG,
    CellRecord,
    RunRecord,
    RunStatus,
    RunWriter,
    done_cells,
    iter_runs,
    load_run,
    new_run,
    quality_of,
    status_of,
)
from recipegen.runners.base import Server, every_ten_seconds, wait_ready
from recipegen.runners.plan import model_facts, plan_server, runs_on, server_of

if TYPE_CHECKING:
    from recipegen.bench.corpora import StagedCorpus
    from recipegen.bench.display import Display
    from recipegen.bench.gate import QualityGate
    from recipegen.bench.guard import MemoryGuard
    from recipegen.bench.session import Request
    from recipegen.cluster.ready import Cluster
    from recipegen.spec.completed import PlannedCell


@dataclass(frozen=True)
class RunOutcome:
    """What became of one variant; `quality` is the verdict of the quality gate, None where nothing was asked."""

    variant: str
    folder: Path
    status: RunStatus
    error: str | None
    quality: str | None = None


def measure_variant(
    request: Request, variant: str, program: list[str], corpora: dict[str, StagedCorpus], display: Display
) -> RunOutcome:
    """Measure one variant: a new run, or with `request.resume` what an earlier one of the same identity left over.

    Args:
        program: how to call llama-benchy.
        corpora: the cells' texts, by name.

    Raises:
        KeyboardInterrupt: after the server is down and what was measured is recorded.
        RecipegenError: nothing could be started.
    """
    record = _new_record(request, variant)
    earlier = earlier_run(request.folder, record["identity"]) if request.resume else None
    if earlier is not None and earlier[1]["status"] == "complete" and request.options.runner != "endpoint":
        display.note(f"{variant}: measured already, in {earlier[0].name}")
        return RunOutcome(variant, earlier[0], "complete", None, quality_of(earlier[1]))
    if request.resume and earlier is None:
        display.note(f"{variant}: no run of this very identity is there: measuring anew")
    usable = earlier is not None and earlier[1]["status"] != "complete"
    writer = resumed_writer(request, earlier, display) if earlier and usable else RunWriter(request.folder, record)
    run = _Run(request, variant, program, corpora, display, writer)
    status: RunStatus | None = None
    error: str | None = None
    anonymous = request.cluster.anonymous_error if request.cluster else str
    try:
        error = run.measure()
    except KeyboardInterrupt:
        status, error = "interrupted", "interrupted by the user"
        raise
    except MeasurementFailed as failure:
        error = anonymous((run.guarded or failure.message).partition("\n")[0])
        for line in filter(None, (*failure.message.splitlines(), failure.hint)):
            display.note(line)
    except RecipegenError as failure:
        error = anonymous(failure.message)
        raise
    finally:
        status = status or status_of(writer.record["cells"], {cell.id for cell in request.cells[variant]})
        if status == "complete" and not run.whole:
            status = "partial"
        writer.finish(status, error)
        display.close()
    return RunOutcome(variant, writer.folder, status, error, quality_of(writer.record))


def unfinished_pair(request: Request, rounds: int) -> str | None:
    """The newest measurement in turn of this very configuration that is not whole; its id, None where there is none."""
    turns: dict[str, tuple[dict[str, Any], str, str | None]] = {}
    whole: Counter[str] = Counter()
    for folder in iter_runs(request.folder):
        record = load_run(folder)
        pair = record.get("pair") or {}
        if pair.get("rounds") == rounds and record["variant"] in request.variants:
            turns[str(pair["id"])] = pair, record["variant"], record.get("identity")
            whole[str(pair["id"])] += record["status"] == "complete"
    for name in sorted(turns, reverse=True):
        pair, variant, identity = turns[name]
        same = _new_record(replace(request, pair=pair), variant)["identity"] == identity
        if same and whole[name] < rounds * len(request.variants):
            return name
    return None


def _new_record(request: Request, variant: str) -> RunRecord:
    from recipegen.bench.host import host_facts, machine_name

    spec, options = request.spec, request.options
    cluster = request.cluster
    if cluster is not None:
        from recipegen.bench.nodes import head_facts

        facts = head_facts(cluster)
    else:
        facts = host_facts(_docker_version() if options.runner == "docker" else None)
    record = new_run(
        recipe={
            "name": spec.name,
            "title": spec.title,
            "spec_sha256": request.spec_sha256,
            "kit_sha256": request.kit_sha256,
        },
        variant=variant,
        method=spec.variants[variant].method,
        machine=request.machine or machine_name(facts, len(request.nodes)),
        runner=options.runner,
        llama_benchy=spec.bench.tool,
    )
    record["engine"] = {"name": spec.engine.name, "version": None}
    if cluster is not None:
        _note_nodes(record, request, variant, cluster, facts)
    elif options.runner != "endpoint":
        # What a server that is there already runs on, and which files it opened, is not known.
        record["host"] = facts
        record["models"] = model_facts(spec, variant, options)
    record["profile"] = request.profile
    record["pair"] = dict(request.pair) if request.pair else None
    record["trial"] = request.trial.as_data() if request.trial and request.trial.name == variant else None
    record["identity"] = run_identity(
        request, variant, record, cluster.facts[0].image if cluster else runs_on(spec, variant, options)
    )
    return record


def _note_nodes(record: RunRecord, request: Request, variant: str, cluster: Cluster, facts: dict[str, Any]) -> None:
    from recipegen.bench.nodes import models_record, nodes_record
    from recipegen.engines.base import used_models
    from recipegen.engines.ranks import variant_ranks

    spec = request.spec
    ranks = variant_ranks(spec, variant) if spec.cluster is not None else None
    record["host"] = facts
    record["nodes"] = nodes_record(cluster, ranks, request.options.host)
    record["models"] = models_record(spec, cluster, used_models(spec, variant))


class _Run:
    """A run under way; `guarded` is why the memory guard stopped its server, None while it did not."""

    def __init__(
        self,
        request: Request,
        variant: str,
        program: list[str],
        corpora: dict[str, StagedCorpus],
        display: Display,
        writer: RunWriter,
    ) -> None:
        self._request, self._program, self._corpora = request, program, corpora
        self._display, self._writer = display, writer
        log_path, run = writer.folder / SERVER_LOG, writer.folder.name
        self._ranks = node_plans(request, variant, log_path, run) if request.cluster else ()
        self._plan = (
            self._ranks[0].server
            if self._ranks
            else plan_server(request.spec, variant, request.options, log_path=log_path, run=run)
        )
        self._left = in_order(request.cells[variant], writer.record)
        self._attempts: Counter[str] = Counter()
        self._gate: QualityGate | None = None
        self._closed = False
        self.guarded: str | None = None

    def measure(self) -> str | None:
        """Measure every cell that is left, on a new server after one that ended.

        Every end of a server costs a cell one of its attempts, so that this ends. What is asked after the cells is
        asked of one more server, where the last one ended before.

        Returns:
            What went wrong with single cells; None when nothing did.

        Raises:
            MeasurementFailed: a server did not get ready, ran low on memory, or is not ours to start again.
        """
        self._display.start(self._left)
        self._on_one_server()
        while self._left:
            self._start_again(f"{len(self._left)} cells")
        if not self._closed and done_cells(self._writer.record):
            self._start_again("what is asked after the cells")
        judge_run(self._request.spec, self._writer, self._display)
        failed = [cell["id"] for cell in self._writer.record["cells"] if cell["status"] == "failed"]
        if failed:
            return f"cells failed: {', '.join(failed)}"
        return f"the canonical prompt gave nothing to verify: {self.unverified[0]}" if self.unverified else None

    def _start_again(self, what: str) -> None:
        self._writer.keep_log()
        self._display.note(f"{self._plan.title}: starting its server again for {what}")
        self._on_one_server()

    @property
    def whole(self) -> bool:
        """Whether all was asked that stands around the cells, and a canonical prompt gave what it should."""
        return self._closed and not self.unverified

    @property
    def unverified(self) -> list[str]:
        """What is wrong with the answers to a canonical prompt; empty where all is well or none is to be asked."""
        if self._request.prompt is None:
            return []
        found = self._writer.record.get("verified")
        return list(found["problems"]) if found else ["it was not asked: the server ended before"]

    def _on_one_server(self) -> None:
        from recipegen.bench.cell import clean_log

        options = self._request.options
        server: Server
        guard: MemoryGuard | NodesGuard | None
        cluster = self._request.cluster
        if cluster is not None:
            server = server_of_nodes(self._ranks, cluster, self._display.note)
            guard = NodesGuard(self._request.spec, self._plan.variant, server, self._display.note)
        else:
            server = server_of(self._plan, options.runner)
            guard = _guard(self._request, self._plan.variant, server, self._display)
        try:
            with guard or nullcontext(), server:
                self._serve(server)
                while self._left:
                    if not self._measure_next(server):
                        self._server_gone(server, guard)
                        return
                if self._request.prompt is not None:
                    from recipegen.bench.capture import take_capture

                    take_capture(self._request, self._request.prompt, self._plan, self._writer, self._display)
                if self._gate is not None:
                    self._gate.after()
                self._closed = True
        finally:
            if guard is not None:
                self.guarded = guard.text
                if guard.error:
                    self._display.note(f"memory ran low, and the server could not be stopped: {guard.error}")
            names = {str(options.models_dir): "${MODELS_DIR}"}
            for log in [rank.server.log_path for rank in self._ranks] or [self._writer.folder / SERVER_LOG]:
                clean_log(log, self._plan.env, names, cluster.anonymous if cluster else None)

    def _serve(self, server: Server) -> None:
        """Wait for the server, note what it is, and ask it whether it answers rightly."""
        from recipegen.bench.gate import QualityGate
        from recipegen.runners.engine_version import reported_version

        spec, plan, record, display = self._request.spec, self._plan, self._writer.record, self._display
        if server.note:
            display.note(server.note)
        display.note(f"{plan.title}: waiting for {plan.base_url}")
        ready_s = wait_ready(server, plan, every_ten_seconds(display.note))
        facts = server.facts()
        # llama.cpp out of a wheel does not know its own build; then the wheel's version says it.
        version = reported_version(plan.base_url, spec.engine.name) or facts.get("program")
        require_same_server(record, facts["image"], version)
        started = bool(facts["started_by_us"])
        command = engine(spec.engine.name).command(spec, plan.variant)
        record["image"], record["engine"]["version"] = facts["image"], version
        record["server"] = {
            # Of a server that somebody else started, the command line is not known.
            "argv": command.recorded() if started else None,
            "env": dict(command.env) if started else None,
            "program": facts.get("program"),
            "started_by_us": started,
            "ready_s": round(ready_s, 1) if started else None,
        }
        self._writer.write()
        if self._gate is None:
            self._gate = QualityGate(self._request, plan, self._writer, display)
            self._gate.before()

    def _measure_next(self, server: Server) -> bool:
        """Measure the first cell that is left; it stays the first while it failed and may be tried again.

        Returns:
            Whether the server is still there.
        """
        cell = self._left[0]
        self._attempts[cell.id] += 1
        attempt = self._attempts[cell.id]
        done = measure_cell(
            self._request,
            self._plan,
            cell,
            self._writer,
            self._program,
            self._corpora[cell.corpus],
            self._display,
            attempt,
            server.sampler if isinstance(server, ClusterServer) else None,
        )
        alive = server.alive()
        again = done["status"] == "failed" and attempt <= self._request.retries
        if not alive:
            self._note_end(cell, done, server)
        if again:
            self._display.note(f"{cell.id} failed; trying it again ({attempt} of {self._request.retries})")
        else:
            self._left.pop(0)
        return alive

    def _note_end(self, cell: PlannedCell, done: CellRecord, server: Server) -> None:
        """The end of a server, in the record of the cell that it failed in and for the user."""
        how = server.cause or f"exit code {server.exit_code}"
        end = f"the server of {self._plan.title} ended ({how}) in cell {cell.id}"
        self._display.note(f"{end}; the end of its log:\n{server.log_tail(30)}")
        if done["status"] == "failed":
            self._writer.add_cell({**done, "error": self._anonymous(f"{end}: {done['error']}")})

    def _anonymous(self, text: str) -> str:
        """What goes into the record, without the user's machines in it."""
        cluster = self._request.cluster
        return cluster.anonymous_error(text) if cluster else text

    def _server_gone(self, server: Server, guard: MemoryGuard | NodesGuard | None) -> None:
        if guard is not None and guard.text:
            raise MeasurementFailed(guard.text)  # another start would take the same memory
        if server.lost:
            raise MeasurementFailed(
                server.cause,
                hint="what was measured is kept; once the node is back, the same command with --resume goes on",
            )
        if self._request.options.runner == "endpoint":
            raise MeasurementFailed(
                f"nothing listens at {self._plan.base_url} any more",
                hint="start the server again, then the same command with --resume",
            )


def _guard(request: Request, variant: str, server: Server, display: Display) -> MemoryGuard | None:
    """Stops the server before it takes the last memory of this host; None for a server elsewhere."""
    from recipegen.bench.guard import guard_of

    if request.options.runner == "endpoint":
        return None
    return guard_of(request.spec, variant, server, display.note)


def _docker_version() -> str | None:
    from recipegen import docker

    version = docker.connect().version().get("Version")
    return str(version) if version else None
