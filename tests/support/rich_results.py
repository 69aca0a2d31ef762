"""A repository with everything that the table, the charts and the site show: variants, depths, concurrency, drafts,
memory, a history with a gain, recipes without results, with failed ones, with one sample, and hostile words.

The figures are made up, and say so: recipes and machine are named `made-…`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from recipegen.files import sha256_bytes
from recipegen.results.store import new_run, utc_text
from recipegen.scaffold import init_repository, recipe_text
from tests.unit.results_factory import benchmark, report

MACHINE = "made-gb10-128g"
HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(2)> & \"quotes\" 'and' `ticks`",
    "bidi": "\u202eabc\u202c \u200f\u0627\u0644\u0639\u0631 \U0001f680\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "long": "x" * 10_000,
}
HOST = {
    "os": "DGX OS",
    "gpus": [{"name": "NVIDIA GB10", "driver": "580.95.05"}],
    "memory_bytes": 128 << 30,
    "arch": "aarch64",
}


def made_repository(root: Path) -> Path:
    """Makes it, and returns its root."""
    init_repository(root)
    for number, name in enumerate(("made-rich", "made-single", "made-failed", "made-nothing", "made-hostile")):
        add_recipe(root, name, RECIPE if name != "made-hostile" else hostile_recipe())
        if name == "made-rich":
            rich_runs(root / "recipes" / name)
        if name == "made-single":
            add_run(root / "recipes" / name, "dflash", 3, [("d0", 0, 1, [88.0])])
        if name == "made-failed":
            add_run(root / "recipes" / name, "dflash", 4, [], status="failed", error="CUDA out of memory <b>&amp;</b>")
        if name == "made-hostile":
            words = "\n".join(HOSTILE.values())
            add_run(root / "recipes" / name, "dflash", 5, [("d0", 0, 1, speeds(60.0, number))], error=words)
    return root


RECIPE = """\
schema: recipegen/v1
name: NAME
title: Made-up recipe for tests
status: measured
hardware: dgx-spark
description: Figures of this recipe are made up.
model:
  hf_id: owner/Made-35B-NVFP4
  served_name: made
  quantization: NVFP4
  size_gb: 21.0
models:
  drafter:
    hf_id: owner/Made-35B-drafter
    quantization: BF16
    size_gb: 1.0
image:
  mode: prebuilt
  base: example.org/vllm:1
engine:
  name: vllm
  version: 0.19.0
  flags:
    max-model-len: 131072
    gpu-memory-utilization: 0.8
  notes:
    gpu-memory-utilization: Leaves memory for the desktop.
headline: dflash
baseline: ar
variants:
  dflash:
    title: with a drafter
    method: DFlash
    flags:
      speculative-config: {method: dflash, model: {$model: drafter}, num_speculative_tokens: 8}
  mtp:
    title: with the model's own heads
    method: MTP
  ar:
    title: without speculation
    method: AR
published:
  - {variant: dflash, metric: tg, pp: 128, tg: 128, value: 102.05, stat: median, n: 29, source: "https://example.org/r"}
  - {variant: dflash, metric: ttfr, pp: 128, tg: 128, value: 153, stat: mean, source: "https://example.org/r"}
"""


def hostile_recipe() -> str:
    """The same with hostile words wherever an author may write freely."""
    text = RECIPE.replace("Made-up recipe for tests", _yaml(HOSTILE["markup"]))
    text = text.replace("Leaves memory for the desktop.", _yaml(HOSTILE["bidi"] + HOSTILE["markup"]))
    return text.replace("Figures of this recipe are made up.", _yaml(HOSTILE["markup"] + HOSTILE["long"]))


def _yaml(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def add_recipe(root: Path, name: str, text: str) -> None:
    """One recipe file."""
    folder = root / "recipes" / name
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe_text(name, text))


def speeds(rate: float, seed: int, n: int = 12, spread: float = 0.01) -> list[float]:
    """Samples around a rate, the first one cold."""
    chance = random.Random(seed)
    return [rate * 0.6, *(rate * chance.gauss(1, spread) for _ in range(n))]


Cell = tuple[str, int, int, Sequence[float]]
"""A name for the seed, depth, concurrency, decode samples."""


def rich_runs(folder: Path) -> None:
    """Eight runs of the headline over two engine versions with a gain, a baseline, MTP, depths and concurrency."""
    for day in range(8):
        version, rate = ("0.18.1", 92.0) if day < 4 else ("0.19.0", 103.0)
        start = random.Random(day).gauss(1, 0.006)
        cells = [("d0", 0, 1, speeds(rate * start, day))]
        if day == 7:
            cells += [(f"d{d}", d, 1, speeds(rate * (1 - d / 4e5), d)) for d in (4096, 32768, 98304)]
            cells += [(f"c{c}", 0, c, speeds(rate * c**0.7, c)) for c in (2, 4, 8, 16)]
        add_run(folder, "dflash", day, cells, version=version, accepted=[0.81, 0.64, 0.5, 0.39, 0.3, 0.22, 0.15, 0.1])
    others = [
        ("d0", 0, 1, speeds(42.0, 21)),
        ("d4096", 4096, 1, speeds(41.0, 22)),
        ("d32768", 32768, 1, speeds(38, 23)),
    ]
    add_run(folder, "ar", 7, others, hour=9, version="0.19.0")
    add_run(folder, "mtp", 7, [("d0", 0, 1, speeds(71.0, 24))], hour=11, version="0.19.0", accepted=[0.85, 0.61, 0.4])


def add_run(
    folder: Path,
    variant: str,
    day: int,
    cells: Sequence[Cell],
    *,
    hour: int = 7,
    version: str = "0.19.0",
    status: Any = "complete",
    error: str | None = None,
    accepted: Sequence[float] = (),
) -> Path:
    """A run on disk, as `recipegen bench` leaves one."""
    began = datetime(2026, 11, 1, hour, tzinfo=UTC) + timedelta(days=day)
    record = new_run(
        recipe={"name": folder.name, "title": folder.name, "spec_sha256": None, "kit_sha256": None},
        variant=variant,
        method={"ar": "AR", "mtp": "MTP"}.get(variant, "DFlash"),
        machine=MACHINE,
        started=began,
        llama_benchy="0.4.0",
    )
    record.update(
        status=status,
        error=error,
        ended=utc_text(began + timedelta(minutes=30)),
        host=HOST,
        engine={"name": "vllm", "version": version},
        quality={"verdict": "pass", "checks": []},
    )
    place = folder / "results" / MACHINE / record["run"]
    place.mkdir(parents=True)
    for at, (_, depth, concurrency, tgs) in enumerate(cells):
        name = f"prose-pp2048-tg128-d{depth}-c{concurrency}"
        each = {"mean": 0.0, "std": 0.0, "values": [value / concurrency for value in tgs]}
        one = benchmark(
            depth=depth, concurrency=concurrency, tgs=tgs, pps=[value * 24 for value in tgs], tg_req_throughput=each
        )
        raw = json.dumps(report(one)).encode()
        (place / f"{name}.json").write_bytes(raw)
        (place / f"{name}.metrics.json").write_text(json.dumps(_metrics(day, accepted)))
        record["cells"].append(
            {
                "id": name,
                "corpus": "prose",
                "corpus_sha256": None,
                "pp": 2048,
                "tg": 128,
                "depth": depth,
                "concurrency": concurrency,
                "thinking": "default",
                "runs": len(tgs),
                "status": "done",
                "argv": None,
                "error": None,
                "file": f"{name}.json",
                "sha256": sha256_bytes(raw),
                "started": utc_text(began + timedelta(minutes=at)),
                "ended": utc_text(began + timedelta(minutes=at + 1)),
                "failed_requests": 0,
                "metrics": f"{name}.metrics.json",
                "verdict": {"verdict": "plausible", "reasons": []},
            }
        )
    (place / "run.json").write_text(json.dumps(record, indent=2))
    return place


def _metrics(seed: int, accepted: Sequence[float]) -> dict[str, Any]:
    chance = random.Random(seed)
    used = [int((31 + min(t, 20) / 8 + chance.random() / 2) * (1 << 30)) for t in range(60)]
    return {
        "format": "recipegen-metrics/1",
        "interval_s": 1.0,
        "started": "2026-11-01T07:00:00+00:00",
        "server": {"endpoint": True, "reason": None, "series": {}},
        "host": {"t": list(range(60)), "used_bytes": used, "peak_used_bytes": max(used)},
        "derived": {
            "acceptance_per_position": list(accepted),
            "acceptance_length": 1 + sum(accepted) if accepted else None,
        },
    }
