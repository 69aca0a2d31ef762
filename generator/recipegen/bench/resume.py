"""Going on with a run that stopped. Owns what makes two runs the same one, and finding the one to go on with.

Nothing that was measured is ever taken for another configuration or another host: the identity covers all of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from recipegen.engines import engine
from recipegen.engines.benchy import bench_command
from recipegen.errors import MeasurementFailed, RecipegenError
from recipegen.files import sha256_bytes
from recipegen.results.store import RunRecord, RunWriter, done_cells, iter_runs, load_run, run_order

if TYPE_CHECKING:
    from recipegen.bench.display import Display
    from recipegen.bench.session import Request


def run_identity(request: Request, variant: str, record: RunRecord) -> str:
    """SHA-256 over all that makes a run this run: recipe, kit, variant, command lines, tool, runner, machine, cells.

    The image that a tag stands for is not known before the server is up; it is held against the record's then.
    """
    cells = request.cells[variant]
    content = {
        "recipe": record["recipe"],
        "variant": variant,
        "runner": record["runner"],
        "machine": record["machine"],
        "host": record["host"],
        "base_image": request.base_image,
        "tool": record["versions"]["llama_benchy"],
        "server": engine(request.spec.engine.name).command(request.spec, variant).recorded(),
        "cells": [bench_command(request.spec, cell).recorded() for cell in cells],
        "pair": record.get("pair"),
    }
    return sha256_bytes(json.dumps(content, sort_keys=True).encode())


def writer_for(request: Request, record: RunRecord, display: Display) -> RunWriter:
    """The record of a run that did not end and is the very same, where the user wants to go on; else a new one."""
    if request.resume:
        for folder in sorted(iter_runs(request.folder), key=run_order, reverse=True):
            try:
                old = load_run(folder)
            except RecipegenError:
                continue  # the table's own checks report it
            if old.get("identity") == record["identity"] and old["status"] != "complete":
                display.note(f"going on with {folder.name}: {len(done_cells(old))} cells are done")
                return RunWriter.resumed(request.folder, folder, old)
        display.note("no run of this very identity is unfinished: measuring anew")
    return RunWriter(request.folder, record)


def require_same_image(record: RunRecord, image: dict[str, Any] | None) -> None:
    before = (record["image"] or {}).get("id")
    if done_cells(record) and before is not None and before != (image or {}).get("id"):
        raise MeasurementFailed(
            "the image is another one than the finished cells were measured on",
            hint="measure anew, without --resume",
        )
