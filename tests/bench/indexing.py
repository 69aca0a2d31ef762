"""`index` over 10,000 reports against reading their JSON plainly. Owns no printing.

Called with arguments it is the child process that is measured: `indexing.py index ROOT` or `indexing.py plain
LIST`; it prints its times and its peak memory as JSON.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sampling import Row, Sample, child, clocked, interleaved

RECIPES, RUNS, CELLS, SAMPLES = 100, 25, 4, 30
PAIRS, COMMANDS = 5, 3
TARGET, TARGET_MB = 2.0, 300.0
DIFFERENT = 50
"""Reports of different samples; all others are copies. Writing ten thousand different ones takes a minute."""


def rows() -> list[Row]:
    """The code of `recipegen index` in a process of its own against json.load in another."""
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        root = Path(folder, "repository")
        records, reports = repository(root, RECIPES, RUNS)
        everything, only_reports = Path(folder, "all.txt"), Path(folder, "reports.txt")
        everything.write_text("\n".join([*records, *reports]))
        only_reports.write_text("\n".join(reports))
        first = _measured("index", root)
        index, plain, plain_reports = interleaved(
            PAIRS,
            lambda: _measured("index", root),
            lambda: _measured("plain", everything),
            lambda: _measured("plain", only_reports),
        )
        command = [
            child([sys.executable, "-m", "recipegen", "index", "--check", "--root", root]) for _ in range(COMMANDS)
        ]
    what = f"index over {len(reports):,} reports"
    shape = f"{RECIPES} recipes x {RUNS} runs x {CELLS} cells of {SAMPLES} samples"
    same = f"json.load of the same {len(reports):,} reports and {len(records):,} run.json"
    peaks = [Sample(one.peak_mb) for one in index]
    return [
        Row(what, _times(index), "s", same, _times(plain), TARGET, remark=shape),
        Row(what, _times(index), "s", "json.load of the reports alone", _times(plain_reports), TARGET),
        Row(
            f"{what}: peak memory",
            peaks,
            "MB",
            target=TARGET_MB,
            judged="value",
            remark="of the child, resident",
        ),
        Row(
            "recipegen index --check",
            command,
            "s",
            "the plain reader",
            [one.process for one in plain],
            remark="whole processes",
        ),
        Row(
            "index, everything written anew",
            [first.times],
            "s",
            remark=f"once; {RECIPES + 3} tables and every chart drawn, synced to disk",
        ),
    ]


class _Child(NamedTuple):
    """A child process: what its work took, what it took as a whole, its peak memory in MB (10^6 bytes)."""

    times: Sample
    process: Sample
    peak_mb: float


def _times(children: Sequence[_Child]) -> list[Sample]:
    return [one.times for one in children]


def _measured(mode: str, argument: Path) -> _Child:
    """One child process, which takes its own times."""
    with tempfile.TemporaryFile() as out:
        process = child([sys.executable, __file__, mode, argument], out=out)
        out.seek(0)
        found = json.load(out)
    return _Child(Sample(found["wall"], found["cpu"]), process, found["peak_bytes"] / 1e6)


def repository(root: Path, recipes: int, runs: int) -> tuple[list[str], list[str]]:
    """A repository of measured recipes, each with that many runs of CELLS cells.

    Returns:
        Paths of all run.json and of all reports.
    """
    from recipegen.catalog import preset_file, preset_names
    from recipegen.scaffold import init_repository, recipe_text
    from recipegen.workspace import Workspace

    init_repository(root)
    workspace = Workspace.open(root)
    records, reports = [], []
    for number in range(recipes):
        preset = preset_names()[number % len(preset_names())]
        name = f"{preset}-{number:03d}"
        folder = root / "recipes" / name
        folder.mkdir()
        text = preset_file(preset).read_text(encoding="utf-8")
        (folder / "recipe.yaml").write_text(recipe_text(name, text), encoding="utf-8")
        spec = workspace.spec(name)
        for run in range(runs):
            record, files = _run(spec, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=run), number)
            place = folder / "results" / record["machine"] / record["run"]
            place.mkdir(parents=True)
            for file, raw in files.items():
                (place / file).write_bytes(raw)
                reports.append(str(place / file))
            (place / "run.json").write_text(json.dumps(record, indent=2))
            records.append(str(place / "run.json"))
    return records, reports


def _run(spec: Any, when: datetime, seed: int) -> tuple[Any, dict[str, bytes]]:
    """The record of a run with every field filled in, and its reports by file name."""
    from recipegen.engines import engine
    from recipegen.engines.benchy import bench_command
    from recipegen.results.store import new_run, utc_text

    command = engine(spec.engine.name).command(spec, spec.headline)
    record: Any = new_run(
        recipe={
            "name": spec.name,
            "title": spec.title,
            "spec_sha256": spec.sha256,
            "kit_sha256": spec.sha256,
        },
        variant=spec.headline,
        method=spec.variants[spec.headline].method,
        machine="gb10-128g",
        runner="docker",
        started=when,
        llama_benchy=spec.bench.tool,
    )
    gpu = {
        "name": "NVIDIA GB10",
        "driver": "580.95.05",
        "memory_bytes": None,
        "unified_memory": True,
        "compute_capability": "12.1",
    }
    digest = f"sha256:{spec.sha256}"
    record |= {
        "status": "complete",
        "ended": utc_text(when + timedelta(minutes=40)),
        "host": {
            "os": "Ubuntu 24.04.3 LTS",
            "dgx_os": "7.2.3",
            "kernel": "6.11.0-1016-nvidia",
            "arch": "aarch64",
            "product": "NVIDIA DGX Spark",
            "cpu": {"model": "Cortex-X925, Cortex-A725", "cores": 20, "threads": 20},
            "memory_bytes": 128_500_000_000,
            "swap_bytes": 0,
            "gpus": [gpu],
            "cuda_driver": "13.0",
            "docker": "28.5.1",
            "python": "3.12.3",
        },
        "image": {
            "ref": f"recipegen/{spec.name}:latest",
            "id": digest,
            "digest": None,
            "base": spec.image.base,
        },
        "models": [
            {"key": k, "source": m.hf_id, "revision": m.revision, "folder": m.folder, "bytes": 10**10}
            for k, m in spec.models.items()
        ],
        "engine": {"name": spec.engine.name, "version": "0.19.0"},
        "server": {
            "argv": command.recorded(),
            "env": dict(command.env),
            "program": None,
            "started_by_us": True,
            "ready_s": 240.5,
        },
    }
    files = {}
    for position, cell in enumerate(spec.cells()[:CELLS]):
        raw = _report(cell.pp, cell.tg, cell.depth, cell.concurrency, (seed + position) % DIFFERENT)
        files[f"{cell.id}.json"] = raw
        planned = cell.model_dump()
        record["cells"].append(
            planned
            | {
                "corpus_sha256": spec.sha256,
                "status": "done",
                "file": f"{cell.id}.json",
                "sha256": hashlib.sha256(raw).hexdigest(),
                "argv": bench_command(spec, cell).recorded(),
                "started": record["started"],
                "ended": record["ended"],
                "error": None,
            }
        )
    return record, files


_MADE: dict[tuple[int, ...], bytes] = {}


def _report(pp: int, tg: int, depth: int, concurrency: int, seed: int) -> bytes:
    """A report of one cell in llama-benchy's own shape and size (about 9 kB)."""
    key = (pp, tg, depth, concurrency, seed)
    if key not in _MADE:
        chance = random.Random(seed)

        def metric(middle: float) -> dict[str, Any]:
            values = [middle * chance.gauss(1, 0.02) for _ in range(SAMPLES)]
            return {"mean": sum(values) / SAMPLES, "std": middle * 0.02, "values": values}

        rates = {name: metric(1000) for name in ("pp_throughput", "pp_req_throughput")}
        rates |= {f"{name}_throughput": metric(60) for name in ("tg", "tg_req", "peak", "peak_req")}
        times = {name: metric(300) for name in ("ttfr", "est_ppt", "e2e_ttft")}
        shape = {"concurrency": concurrency, "context_size": depth, "prompt_size": pp, "response_size": tg}
        body = {**shape, "is_context_prefill_phase": False, **rates, **times}
        body |= {"throughput_over_time": None, "requests_throughput_over_time": None}
        head = {
            "version": "0.4.0",
            "timestamp": "2026-01-01 00:30:00Z",
            "latency_mode": "api",
            "latency_ms": 1.5,
        }
        head |= {"model": "measured", "prefix_caching_enabled": False, "max_concurrency": concurrency}
        _MADE[key] = json.dumps({**head, "benchmarks": [body]}, indent=2).encode()
    return _MADE[key]


def _index(root: Path) -> Sample:
    """What the command does, its imports included."""

    def index() -> None:
        from recipegen.publish.tables import write_index
        from recipegen.workspace import Workspace

        write_index(Workspace.open(root))

    return clocked(index)


def _plain(paths: list[str]) -> Sample:
    def read() -> None:
        for path in paths:
            with open(path, "rb") as file:  # noqa: PTH123 - as plain as it goes
                json.load(file)

    return clocked(read)


def peak_bytes() -> int:
    """Peak of this process's resident memory; getrusage would count the parent's before the exec too."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    took = _index(Path(sys.argv[2])) if sys.argv[1] == "index" else _plain(Path(sys.argv[2]).read_text().splitlines())
    print(json.dumps({**took._asdict(), "peak_bytes": peak_bytes()}))
