"""A repository with a recipe for the GB10 and runs of it as bench leaves them: all agrees with the recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recipegen.bundle.make import Bundle, assemble, write_bundle
from recipegen.engines import engine
from recipegen.engines.benchy import bench_command
from recipegen.evidence import find_evidence
from recipegen.files import sha256_file
from recipegen.render.kit import kit_sha256
from recipegen.results.store import RunWriter, new_run
from recipegen.scaffold import init_repository, new_recipe
from recipegen.workspace import Workspace
from tests.unit.results_factory import NOBODY, benchmark, report, write_json

NAME = "qwen36-35b-dflash"
FOLDER = f"{NAME}-bundle"
HEADLINE = "prose-pp2048-tg128-d0-c1-think-on"
SLOW = (20.0, *(43 + step / 50 for step in range(12)))
FAST = (50.0, *(100 + step / 10 for step in range(12)))
HOST = {
    "os": "Ubuntu 24.04",
    "kernel": "6.17",
    "arch": "aarch64",
    "cpu": {"model": "GB10", "cores": 20, "threads": 20},
    "memory_bytes": 128_000_000_000,
    "gpus": [{"name": "NVIDIA GB10", "driver": "580.95.05"}],
}
GOOD = {"verdict": "pass", "checks": [{"id": "coherence", "verdict": "pass", "found": "", "expected": "", "why": ""}]}


def repository(root: Path) -> Path:
    init_repository(root)
    new_recipe(Workspace.open(root), NAME)
    return root


def measure(
    root: Path, variant: str = "dflash", *, hour: int = 7, tgs: Sequence[float] = FAST, **record_fields: Any
) -> Path:
    """One run of a variant; keyword arguments stand in its record as they are."""
    workspace = Workspace.open(root)
    spec = workspace.spec(NAME)
    at = datetime(2026, 11, 21, hour, tzinfo=UTC)
    record = new_run(
        recipe={
            "name": NAME,
            "title": spec.title,
            "spec_sha256": spec.sha256,
            "kit_sha256": kit_sha256(workspace.kit(spec)),
        },
        variant=variant,
        method=spec.variants[variant].method,
        machine="gb10-128g",
        runner="docker",
        started=at,
        llama_benchy=spec.bench.tool,
    )
    record["versions"]["python"] = "3.12.3"
    command = engine(spec.engine.name).command(spec, variant)
    record["host"] = HOST
    record["engine"] = {"name": "vllm", "version": "0.20.1"}
    record["image"] = {"ref": f"recipegen/{NAME}", "id": "sha256:" + "1" * 64}
    record["server"] = {"argv": command.recorded(), "env": dict(command.env), "started_by_us": True}
    record["quality"] = GOOD
    record.update(record_fields)  # type: ignore[typeddict-item]
    writer = RunWriter(root / "recipes" / NAME, record, NOBODY)
    cell = spec.cell(HEADLINE).model_copy(update={"runs": len(tgs)})
    path = writer.folder / f"{HEADLINE}.json"
    write_json(path, report(benchmark(tgs=tgs, pps=[rate * 20 for rate in tgs])))
    (writer.folder / "server.log").write_text("INFO: ready\n" * 40)
    metrics = write_json(writer.folder / f"{HEADLINE}.metrics.json", {"format": "recipegen-metrics/1", "derived": {}})
    write_json(writer.folder / "greedy.json", {"format": "recipegen-greedy/1", "probes": "0" * 64, "outputs": []})
    text = "a" * 64
    url = f"{spec.bench.corpora['prose'].url}#sha256={text}"
    writer.add_cell(
        {
            "id": HEADLINE,
            "corpus": "prose",
            "corpus_sha256": text,
            "pp": cell.pp,
            "tg": cell.tg,
            "depth": cell.depth,
            "concurrency": cell.concurrency,
            "thinking": cell.thinking,
            "runs": cell.runs,
            "status": "done",
            "argv": bench_command(spec, cell).recorded(BOOK_URL=url),
            "error": None,
            "file": path.name,
            "sha256": sha256_file(path),
            "started": "2026-11-21T07:01:00Z",
            "ended": "2026-11-21T07:05:00Z",
            "failed_requests": 0,
            "metrics": metrics.name,
        }
    )
    writer.finish("complete", ended=at.replace(minute=9))
    return writer.folder


def measured(root: Path) -> Path:
    """A repository with a headline run and its baseline."""
    repository(root)
    measure(root, "ar", hour=6, tgs=SLOW)
    measure(root)
    return root


def made(root: Path, **how: Any) -> Bundle:
    workspace = Workspace.open(root)
    choice = {key: how.pop(key) for key in ("run", "variant", "cell") if key in how}
    return assemble(workspace, find_evidence(workspace, NAME, **choice), identity=NOBODY, **how)


def archive(root: Path, path: Path, **how: Any) -> Path:
    write_bundle(made(root, **how), path)
    return path


def edit_json(path: Path, **fields: Any) -> None:
    data = json.loads(path.read_text())
    data.update(fields)
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
