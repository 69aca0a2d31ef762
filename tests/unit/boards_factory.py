"""Evidence for the tests of boards: a measured row of a DGX Spark, with all that a bench would have recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recipegen.engines import engine
from recipegen.evidence import Evidence, find_evidence
from recipegen.results.store import load_run
from recipegen.workspace import Workspace
from tests.unit.test_compare import FAST, NAME, SLOW
from tests.unit.test_compare import add_run as add_any_run

HEADLINE = "prose-pp2048-tg128-d0-c1-think-on"
GB10: dict[str, Any] = {
    "os": "Ubuntu 24.04.3 LTS",
    "cpu": {"model": "10x Cortex-X925 + 10x Cortex-A725", "cores": 20, "threads": 20},
    "memory_bytes": 128_520_683_520,
    "gpus": [{"name": "NVIDIA GB10", "driver": "580.95.05", "memory_bytes": 128_520_683_520, "unified_memory": True}],
}
CPU: dict[str, Any] = {
    "os": "Debian GNU/Linux 12 (bookworm)",
    "cpu": {"model": "AMD EPYC", "cores": 2, "threads": 2},
    "memory_bytes": 25_276_510_208,
    "gpus": [],
}
CARD = {"name": "NVIDIA H100 80GB HBM3", "driver": "580.95.05", "memory_bytes": 85_520_809_984, "unified_memory": False}
METRICS: dict[str, Any] = {
    "format": "recipegen-metrics/1",
    "server": {"series": {"t": []}},
    "host": {"peak_used_bytes": 121_872_967_958, "gpu": {"t": [0, 5], "power_w": [58.0, 61.5]}},
    "derived": {"acceptance": 0.2643, "acceptance_length": 4.9645},
}


def recorded_argv(root: Path, variant: str = "dflash", name: str = NAME) -> list[str]:
    """What a run of that variant records as its command line."""
    spec = Workspace.open(root).spec(name)
    return engine(spec.engine.name).command(spec, variant).recorded()


def add_run(root: Path, variant: str = "dflash", **how: Any) -> Path:
    """A run of the headline cell as bench would leave it on a DGX Spark."""
    metrics = how.pop("metrics", METRICS)
    given: dict[str, Any] = {"cells": (HEADLINE,), "host": GB10, "argv": recorded_argv(root, variant), **how}
    given.setdefault("engine", {"name": "vllm", "version": "0.19.2rc1.dev213+g9558f4390.d20260426"})
    run = add_any_run(root, variant, **given)
    if metrics is not None:
        change_cell(run, metrics=f"{HEADLINE}.metrics.json", thinking="on")
        (run / f"{HEADLINE}.metrics.json").write_text(json.dumps(metrics))
    return run


def change_record(run: Path, **fields: Any) -> None:
    """Other facts in a record."""
    path = run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def change_cell(run: Path, **fields: Any) -> None:
    """Other facts of the one cell of a run."""
    cells = [{**cell, **fields} for cell in load_run(run)["cells"]]
    change_record(run, cells=cells)


def measured(root: Path, **how: Any) -> Evidence:
    """Evidence of a run and its baseline."""
    if how.pop("baseline", True):
        add_run(root, "ar", hour=6, tgs=SLOW, metrics=None)
    add_run(root, **{"tgs": FAST, **how})
    return find_evidence(Workspace.open(root), NAME)


def edit_recipe(root: Path, old: str, new: str) -> None:
    """Another text in the recipe."""
    path = root / "recipes" / NAME / "recipe.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


__all__ = ["FAST", "HEADLINE", "NAME", "SLOW", "add_run", "measured"]
