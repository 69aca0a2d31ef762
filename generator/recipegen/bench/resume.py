"""Going on with a run that stopped. Owns what makes two runs the same one, and finding the one to go on with.

Nothing that was measured is ever taken for another configuration or another host: the identity covers all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.engines import engine
from recipegen.engines.benchy import bench_command
from recipegen.errors import MeasurementFailed, RecipegenError
from recipegen.files import sha256_bytes
from recipegen.results.store import RunRecord, RunWriter, done_cells, iter_runs, load_run, run_order

if TYPE_CHECKING:
    from recipegen.bench.display import Display
    from recipegen.bench.session import Request
    from recipegen.spec.completed import PlannedCell


def run_identity(request: Request, variant: str, record: RunRecord, runs_on: str | None) -> str:
    """SHA-256 over all that makes a run this run: recipe, kit, variant, changes, models, command lines, tool, machine.

    Args:
        runs_on: the image or program that will serve; None for a server that is there already.
    """
    cells = request.cells[variant]
    content = {
        "recipe": record["recipe"],
        "variant": variant,
        "runner": record["runner"],
        "machine": record["machine"],
        "host": record["host"],
        "models": record["models"],
        "base_url": request.options.base_url,
        "runs_on": runs_on,
        "base_image": request.base_image,
        "tool": record["versions"]["llama_benchy"],
        "server": engine(request.spec.engine.name).command(request.spec, variant).recorded(),
        "cells": [bench_command(request.spec, cell).recorded() for cell in cells],
        "pair": record.get("pair"),
        "trial": record.get("trial"),
        "prompt": request.prompt.sha256 if request.prompt else None,
    }
    if record.get("nodes"):  # one machine keeps the identity that it had before
        content["nodes"] = record["nodes"]
    return sha256_bytes(json.dumps(content, sort_keys=True).encode())


def earlier_run(recipe_dir: Path, identity: str) -> tuple[Path, RunRecord] | None:
    """The newest run of an identity, complete or not; None where there is none."""
    for folder in sorted(iter_runs(recipe_dir), key=run_order, reverse=True):
        try:
            record = load_run(folder)
        except RecipegenError:
            continue  # the table's own checks report it
        if record.get("identity") == identity:
            return folder, record
    return None


def resumed_writer(request: Request, earlier: tuple[Path, RunRecord], display: Display) -> RunWriter:
    """Goes on with a run that did not end."""
    folder, record = earlier
    display.note(f"going on with {folder.name}: {len(done_cells(record))} cells are done")
    return RunWriter.resumed(request.folder, folder, record)


def in_order(cells: Iterable[PlannedCell], record: RunRecord) -> list[PlannedCell]:
    """The cells that are not measured yet; those that failed before come last, since they may end the server again."""
    status = {cell["id"]: cell["status"] for cell in record["cells"]}
    left = [cell for cell in cells if status.get(cell.id) != "done"]
    return sorted(left, key=lambda cell: cell.id in status)


def require_same_server(record: RunRecord, image: dict[str, Any] | None, version: str | None) -> None:
    """Before cells are added to those that were measured earlier: it must be the same image and engine.

    Raises:
        MeasurementFailed: it is another one.
    """
    if not done_cells(record):
        return
    then = {"image": (record["image"] or {}).get("id"), "engine version": record["engine"].get("version")}
    now = {"image": (image or {}).get("id"), "engine version": version}
    for what, before in then.items():
        if before is not None and before != now[what]:
            raise MeasurementFailed(
                f"the {what} is {now[what]}; the finished cells were measured on {before}",
                hint="measure anew, without --resume",
            )
