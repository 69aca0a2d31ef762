"""recipegen's own performance as a table: `make bench`, `make bench ARGS="--only startup --json FILE"`.

Every time stands beside that of a reference, taken in turn with it (A B B A A B ...), so that whatever
else the machine does hits both. Shown are medians; the ratio is the median of the pairs' ratios, with its
quartiles in brackets; the ratio of the processor times beside it hardly depends on the machine's load. A row
with a target is marked "within" or "over", and "noisy" where the quartiles lie on both sides of the target;
nothing here fails because of a time.

startup    The console script's process from its start to its end, against `python -c pass` of the same
           interpreter.
rendering  1,000 recipes made from the presets, each under a name of its own: completed Specs to whole kits
           in memory (render.kit.render_kit), against Jinja2 alone: the same compiled templates, rendered
           with the values that recipegen passed to them. Each block of 50 recipes is one pair, scaled up.
           Also against the same templates with filters that quote nothing, and with loading, checking and
           completing the YAML files included.
linting    The same 1,000 recipes: every lint rule on every variant, reading and checking the files included,
           against reading, checking and completing them.
index      10,000 reports of 30 samples with their run records (100 recipes x 25 runs x 4 cells; a recipe
           that plans no cells of its own has 4): the code of `recipegen index`, imports included, in a
           process of its own, all tables up to date, against json.load of every file that it reads, in
           another process. Peak memory is the process's resident memory.
layers     A kit is built with BuildKit from nothing, then after each of several edits of one script.
           Counted: build steps that ran, or layers that the image did not have before, whichever is more.
driver     One cell on a real llama.cpp server with Gemma-3-270M: bench.cell.run_cell with the live display
           on a terminal, against a plain call of llama-benchy with the same arguments, one server for both;
           and against the llama-benchy process inside the very same run_cell, a ratio that the load of the
           machine hardly moves: what is more is the driver's.
statistics Of 10,000 reports with three metrics of 30 or 31 samples: median with its interval, quartiles, standard
           deviation and warnings of each metric, against numpy.median of the same samples. And the comparison
           of two cells.
import     100 recipes of other projects (sparkrun, spark-vllm-docker, vLLM, docker run, compose): from the text of a
           file to the text of recipe.yaml, in memory, start-up left out; and against reading their YAML alone.
overhead   What the sampling of /metrics and of the host does to tg and pp: the same cell on a real llama.cpp
           server, in turn with and without it. And how close a known figure is measured: a server that
           streams at an exact rate, through run_cell.
bundle     A bundle with a server log of 96 MB: making it (assembling, scanning for secrets, hashing, packing), and
           verifying it (unpacking, hashing, packing anew, all checks), each against SHA-256 and deflate of the same
           files. And the peak memory of either, with a log of 8 and of 128 MB.
site       200 recipes with 10,000 reports of 30 samples: writing their site, its peak memory, writing it again when
           nothing has changed, and when one recipe has; bytes of the front page; in headless Chromium, the time until
           its table is shown, and from a letter in the search field to the frame that shows what matches.
cluster    Machines that are containers with sshd and a Docker daemon each: an image of 200 MB from one to the next by
           cluster.image, against `docker save | ssh docker load`; the preflight of four against that of one; two
           ranks from the first command to the first answer, less the same by hand (ssh, docker run).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sampling import Failed, Row, Skipped

from recipegen import __version__
from recipegen.errors import RecipegenError

BENCHMARKS = {
    "startup": "startup",
    "rendering": "rendering",
    "linting": "linting",
    "index": "indexing",
    "layers": "layers",
    "driver": "driving",
    "statistics": "describing",
    "import": "importing",
    "overhead": "overhead",
    "bundle": "bundling",
    "site": "siting",
    "cluster": "spreading",
}
"""Name to the module that holds it."""


def main() -> int:
    """Run what was asked for, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only",
        action="append",
        choices=BENCHMARKS,
        metavar="NAME",
        help=f"repeatable: {', '.join(BENCHMARKS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, the single samples included")
    options = parser.parse_args()
    # Where no terminal says how wide it is (a file, CI), the table is given the width that it needs.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    screen, began = Console(width=width), time.perf_counter()
    load, failed = [_load()], False
    results: list[dict[str, Any]] = []
    table = _table()
    for name in options.only or BENCHMARKS:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            rows = importlib.import_module(BENCHMARKS[name]).rows()
        except (Skipped, Failed, RecipegenError) as reason:
            # The figures that are there are worth showing, whatever becomes of the others.
            what = "skipped" if isinstance(reason, Skipped) else "failed"
            failed |= what == "failed"
            results.append({"name": name, what: str(reason), "rows": []})
            table.add_row(name, "", "", escape(f"{what}: {reason}"), end_section=True)
            continue
        for row in rows:
            table.add_row(*_cells(row))
        table.add_section()
        results.append({"name": name, "rows": [row.as_json() for row in rows]})
        load.append(_load())
    screen.print(table)
    screen.print(
        f"Python {platform.python_version()}, {os.cpu_count()} processors; load average from {min(load):.1f} "
        f"to {max(load):.1f} while this ran ({time.perf_counter() - began:.0f} s)",
        highlight=False,
    )
    if options.json:
        about = {
            "recipegen": __version__,
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "load_average": load,
        }
        options.json.write_text(
            json.dumps({"format": "recipegen-perf/1", **about, "benchmarks": results}, indent=2) + "\n"
        )
    return 1 if failed else 0


def _table() -> Table:
    table = Table(title=f"recipegen {__version__}: its own performance", title_justify="left")
    table.add_column("measured", ratio=3)
    table.add_column("recipegen", justify="right")
    table.add_column("reference", justify="right")
    table.add_column("against", ratio=3)
    table.add_column("ratio", justify="right")
    table.add_column("CPU", justify="right")
    table.add_column("target", justify="right")
    table.add_column("", justify="left")
    return table


def _cells(row: Row) -> list[str]:
    ratio = f"{row.ratio:.3f}" if row.ratio is not None else ""
    if row.spread:
        ratio += f" ({row.spread[0]:.3f}–{row.spread[1]:.3f})"
    target = ""
    if row.target is not None:
        target = f"≤ {row.target:g} x" if row.judged == "ratio" else f"≤ {_value(row.target, row.unit)}"
    return [
        escape(row.what + (f"\n  {row.remark}" if row.remark else "")),
        _value(row.value, row.unit) if row.value is not None else "",
        _value(row.reference, row.unit) if row.reference is not None else "",
        row.against,
        ratio,
        f"{row.cpu_ratio:.2f}" if row.cpu_ratio is not None else "",
        target,
        {"within": "[green]within[/]", "over": "[red]over[/]", "": ""}[row.verdict] + (", noisy" if row.noisy else ""),
    ]


def _value(value: float, unit: str) -> str:
    if unit == "ms":
        return f"{value * 1000:.1f} ms"
    return f"{value:.2f} {unit}" if unit in ("s", "%", "tok/s") else f"{value:.0f} {unit}"


def _load() -> float:
    return os.getloadavg()[0]


if __name__ == "__main__":
    sys.exit(main())
