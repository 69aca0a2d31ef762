"""Importing 100 recipes of other projects against reading their YAML. Owns no printing."""

from __future__ import annotations

from pathlib import Path

from sampling import Row, clocked

from recipegen.exchange.read import import_text
from recipegen.load.yamldoc import parse

DATA = Path(__file__).resolve().parents[1] / "data"
RECIPES, BLOCKS = 100, 5
TARGET = 2.0
"""Seconds for all of them, beyond start-up."""


def rows() -> list[Row]:
    """From the text of a file to the text of recipe.yaml in memory, the first one with all that is loaded once."""
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
    ]


def _import(work: list[tuple[Path, str]]) -> None:
    for file, text in work:
        import_text(text, file)
