"""Importing 100 recipes of other projects: in memory against reading their YAML, and by the command."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from sampling import Row, Skipped, child, clocked

from recipegen.exchange.read import import_text
from recipegen.load.yamldoc import parse
from recipegen.scaffold import init_repository

DATA = Path(__file__).resolve().parents[1] / "data"
RECIPES, BLOCKS = 100, 5
TARGET = 2.0
"""Seconds for all of them, beyond start-up."""


def rows() -> list[Row]:
    """From the text of a file to the text of recipe.yaml in memory, the first one with all that is loaded once; then
    the command itself, from files to recipes and kits on the disk."""
    files = [*sorted((DATA / "sparkrun").glob("*.yaml")), *sorted((DATA / "exchange").iterdir())]
    texts = [(file, file.read_text(encoding="utf-8")) for file in files]
    work = [texts[number % len(texts)] for number in range(RECIPES)]
    yaml = [(file, text) for file, text in work if file.suffix == ".yaml"]
    first = clocked(lambda: _import(work))
    ours = [clocked(lambda: _import(work)) for _ in range(BLOCKS)]
    parsing = [clocked(lambda: [parse(text, file) for file, text in yaml]) for _ in range(BLOCKS)]
    what = f"importing {RECIPES} recipes"
    once = f"{len(files)} files of five formats in turn; what is read once included"
    return [
        Row(what, [first], "s", target=TARGET, judged="value", remark=once),
        Row(f"{what}, everything loaded", ours, "s", "reading the YAML among them", parsing),
        *_command(),
    ]


def _import(work: list[tuple[Path, str]]) -> None:
    for file, text in work:
        import_text(text, file)


def _command() -> list[Row]:
    """`recipegen import` of 100 sparkrun recipes, each under the name of its file, start-up and kits included."""
    script = Path(sys.executable).with_name("recipegen")
    if not script.is_file():
        raise Skipped(f"there is no console script {script.name} beside this Python: pip install --editable .")
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as scratch:
        texts = [file.read_text(encoding="utf-8") for file in sorted((DATA / "sparkrun").glob("*.yaml"))]
        files = [Path(scratch, f"recipe-{number:03d}.yaml") for number in range(RECIPES)]
        for number, file in enumerate(files):
            text = re.sub(r"(?m)^name:.*\n", "", texts[number % len(texts)])
            file.write_text(text, encoding="utf-8")
        taken = []
        for block in range(BLOCKS):
            root = Path(scratch, f"repository-{block}")
            init_repository(root)
            taken.append(child([script, "import", *files, "--root", root]))
            written = len(list(root.glob("recipes/*/Dockerfile")))
        start = child([script, "--version"])
    remark = f"start-up and {written} kits on the disk included; --version takes {start.wall:.2f} s"
    return [Row(f"recipegen import of {RECIPES} files", taken, "s", target=TARGET, judged="value", remark=remark)]
