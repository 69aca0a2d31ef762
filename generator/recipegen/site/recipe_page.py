"""What the page of a recipe shows, for templates/site/recipe.html.j2. Owns no markup and no statistics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.publish.figures import METRICS, UNITS, figure_parts, number, ratio_parts, with_interval
from recipegen.publish.history import figure_words
from recipegen.publish.marks import QUALITY, STATUS, is_doubtful, marked, quality_marked
from recipegen.publish.ratios import against_baseline
from recipegen.quoting import shell_command, url_path
from recipegen.workspace import resolved_data

if TYPE_CHECKING:
    from recipegen.lint.finding import Finding
    from recipegen.publish.listing import CellLine, RunLine
    from recipegen.publish.row import Measured
    from recipegen.publish.shown import Shown
    from recipegen.spec.completed import Spec
    from recipegen.stats.summary import Described
    from recipegen.workspace import Workspace

_OPEN_RUNS = 4
"""Newest runs whose cells stand open; older ones are folded, as a recipe may have dozens."""
_TEXT_LIMIT = 64 << 10
"""Characters of a kit's file that the page shows; larger ones are only named."""
_SHOWN_FILES = (".sh", ".yaml", "Dockerfile", ".dockerignore", "SHA256SUMS")


def recipe_context(workspace: Workspace, spec: Spec, shown: Shown, base_url: str | None = None) -> dict[str, Any]:
    """Everything of one recipe.

    Args:
        base_url: where the repository's files can be looked at; without it their paths stand as text.
    """
    row = shown.row
    folder = workspace.folder(spec)
    return {
        "spec": spec,
        "row": row,
        "status": {"text": marked(row.status), "meaning": STATUS.get(row.status, ("", ""))[1]},
        "quality": {"text": quality_marked(row.quality), "meaning": QUALITY.get(row.quality, ("", ""))[1]},
        "tiles": list(_tiles(shown)),
        "charts": shown.charts,
        "commands": _commands(workspace, spec),
        "flags": [] if spec.missing else _flags(spec),
        "launch": {} if spec.missing else _launch(spec),
        "source": (folder / "recipe.yaml").read_text(encoding="utf-8", errors="replace"),
        "resolved": json.dumps(resolved_data(spec), indent=2, ensure_ascii=False),
        "files": None if base_url is None else f"{base_url}/recipes/{url_path(spec.name)}",
        "url_path": url_path,
        "kit": _kit_files(folder),
        "findings": [_finding(one, folder) for one in workspace.findings(spec.name)],
        "runs": [_run(one, place, folder) for place, one in enumerate(shown.runs)],
        "ratios": against_baseline(shown.runs, spec.baseline, row.machine),
        "history": [_series(one) for one in shown.history],
        "published": row.published,
        "units": UNITS,
        "reproductions": shown.reproductions,
        "agents": shown.entry.agents,
        "number": number,
    }


def _tiles(shown: Shown) -> Iterator[tuple[str, str, str]]:
    """Title, figure and detail of the headline's tiles."""
    row = shown.row
    if row.run is None:
        return
    yield "Decode", *_tile(row.tg, "tok/s", row.tg_tokens, "tg")
    yield "Prefill", *_tile(row.pp, "tok/s", row.pp_tokens, "pp")
    yield "First response", *_tile(row.ttfr, "ms", row.pp_tokens, "pp")
    if row.speed_up is not None:
        figure, interval = ratio_parts(row.speed_up.ratio, row.speed_up.low, row.speed_up.high)
        undecided = "undecided" if row.speed_up.effect == "undecided" else ""
        over = f"decode over {row.speed_up.baseline}, same cell and machine"
        yield "× baseline", figure, ", ".join(filter(None, [interval, undecided, over]))
    if row.memory_bytes is not None:
        yield "Memory", f"{row.memory_bytes / (1 << 30):.1f} GiB", "most that the host had in use"
    figures = "" if row.last_run == row.date else f"figures of {row.date or 'no date'}, "
    other = "" if row.own_hardware else ", not the hardware that it is written for"
    yield "Last run", row.last_run or "no date", f"{figures}on {row.machine}{other}"
    yield "Reproduced", str(row.reproduced), "on other machines"


def _tile(found: Measured | None, unit: str, tokens: int, name: str) -> tuple[str, str]:
    if found is None:
        return "–", "no sample"
    figure, interval = figure_parts(found)
    told = [f"{name}{tokens}", f"95 % interval {interval}" if interval else "one sample", f"n={found.n}"]
    return f"{figure} {unit}", ", ".join([*told, *found.warnings])


def _commands(workspace: Workspace, spec: Spec) -> list[tuple[str, str, str]]:
    """Id, title and text of the commands to copy."""
    if spec.missing:
        return [("show", "Read what is known of it", f"recipegen show {spec.name}")]
    from recipegen.render.kit import kit_commands

    kit = ("kit", f"With the kit alone, in recipes/{spec.name}", kit_commands(spec, workspace.templates))
    measure = ("measure", "Build, start, measure, take down", f"recipegen bench {spec.name}")
    again = ("reproduce", "Measure again and hold it against the newest run", f"recipegen reproduce {spec.name}")
    if spec.hardware.nodes < 2:
        return [measure, again, kit]
    plan = ("plan", "What each machine will hold", f"recipegen plan {spec.name}")
    if spec.cluster is None:  # recipegen knows no way to spread this engine
        return [plan, kit]
    check = ("check", "What would keep your machines from serving it", f"recipegen cluster check {spec.name}")
    return [plan, check, measure, again, kit]


def _flags(spec: Spec) -> Sequence[Any]:
    from recipegen.render.context import flag_rows

    return flag_rows(spec)


def _launch(spec: Spec) -> dict[str, str]:
    """The server's command line of each variant, as a record has it."""
    from recipegen.engines import engine

    adapter = engine(spec.engine.name)
    return {name: shell_command(adapter.command(spec, name).recorded()) for name in spec.variants}


def _kit_files(folder: Path) -> list[dict[str, Any]]:
    """The rendered files with their sizes; the text of scripts and the like."""
    found = []
    for line in _manifest_lines(folder / "SHA256SUMS"):
        path = folder / line
        if not path.is_file() or path.is_symlink():
            continue
        size = path.stat().st_size
        shows = line.endswith(_SHOWN_FILES) and size <= _TEXT_LIMIT
        text = path.read_text(encoding="utf-8", errors="replace") if shows else None
        found.append({"path": line, "size": size, "text": text})
    return found


def _manifest_lines(manifest: Path) -> list[str]:
    if not manifest.is_file():
        return []
    lines = manifest.read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.split("  ", 1)[1] for line in lines if "  " in line and not line.startswith("#")]
    return [name for name in names if not name.startswith("/") and ".." not in name.split("/")]


def _finding(found: Finding, folder: Path) -> dict[str, Any]:
    file = found.where.file
    place = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name
    return {**found.as_data(), "file": place, "silenced": found.silenced}


def _run(run: RunLine, place: int, recipe: Path) -> dict[str, Any]:
    facts = {
        "date": run.date,
        "engine": run.engine,
        "profile": run.profile,
        "quality": quality_marked(run.quality),
        "origin": run.record["origin"],
        "llama-benchy": run.record["versions"].get("llama_benchy"),
        "image": (run.record["image"] or {}).get("ref"),
    }
    return {
        "name": run.run,
        "what": f"{run.variant} ({run.method})",
        "machine": run.machine,
        "status": run.status,
        "folder": run.folder.relative_to(recipe).as_posix(),
        "open": place < _OPEN_RUNS,
        "facts": {key: str(value) for key, value in facts.items() if value},
        "error": run.error,
        "quality_reasons": run.quality_reasons,
        "cells": [_cell(cell) for cell in run.cells],
    }


def _cell(cell: CellLine) -> dict[str, Any]:
    figures = [(metric, cell.figures[metric]) for metric in METRICS if metric in cell.figures]
    return {
        "id": cell.id,
        "file": cell.file,
        "status": cell.status,
        "error": cell.error,
        "verdict": cell.verdict,
        "doubtful": is_doubtful(cell.verdict),
        "reasons": cell.reasons,
        "note": cell.server_note,
        "acceptance": None if cell.acceptance_length is None else f"{cell.acceptance_length:.2f}",
        "memory": None if cell.peak_used_bytes is None else f"{cell.peak_used_bytes / (1 << 30):.1f}",
        "n": figures[0][1].n if figures else None,
        "figures": {metric: with_interval(found) for metric, found in figures},
        "samples": [_samples(metric, found, cell.samples[metric]) for metric, found in figures],
        "warnings": [f"{metric}, {one.code}: {one.text}" for metric, found in figures for one in found.warnings],
    }


def _samples(metric: str, found: Described, samples: Sequence[float]) -> dict[str, Any]:
    """Every sample in the order in which it was measured; the cold ones apart. Joined here: a page has thousands."""
    shown = [number(value) for value in samples]
    return {
        "metric": metric,
        "unit": UNITS[metric],
        "cold": ", ".join(shown[: found.dropped]),
        "warm": ", ".join(shown[found.dropped :]),
        "mean": number(found.mean),
        "std": number(found.std),
    }


def _series(series: Any) -> dict[str, Any]:
    steps = {step.after: step for step in series.steps}
    return {
        "title": f"{series.metric} ({UNITS[series.metric]}) of {series.cell} on {series.machine}",
        "points": [
            {
                "run": one.run,
                "started": one.started,
                "engine": one.engine,
                "figure": figure_words(one),
                "step": steps.get(one.run),
            }
            for one in series.points
        ],
        "apart": [{"run": one.run, "figure": figure_words(one), "why": one.why} for one in series.apart],
        "notes": series.notes,
    }
