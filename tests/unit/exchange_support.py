"""What the tests of `exchange` share: a source read from text, a recipe completed from the text that came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recipegen.checks import cross_check
from recipegen.complete import complete
from recipegen.exchange.read import Imported, import_text
from recipegen.exchange.report import Lost
from recipegen.load.yamldoc import parse
from recipegen.spec.completed import Spec
from recipegen.spec.model import Recipe
from tests.support.scenario import ROOT

SPARKRUN = ROOT / "tests" / "data" / "sparkrun"
OTHERS = ROOT / "tests" / "data" / "exchange"


def imported(file: Path, **how: Any) -> Imported:
    return import_text(file.read_text(encoding="utf-8"), file, **how)


def recipe_data(found: Imported) -> dict[str, Any]:
    """The plain data of the recipe that an import wrote."""
    data: dict[str, Any] = parse(found.text, Path("recipe.yaml")).data
    return data


def spec_of(text: str) -> Spec:
    """The completed recipe of a recipe.yaml's text, which must hold no problem."""
    document = parse(text, Path("recipe.yaml"))
    assert cross_check(document) == []
    return complete(Recipe.model_validate(document.data))


def lost(found: Imported, name: str) -> Lost:
    """The report's entry of that name; there must be exactly one."""
    entries = [entry for entry in found.report.lost if entry.name == name]
    assert len(entries) == 1, [entry.name for entry in found.report.lost]
    return entries[0]


def lost_names(found: Imported, *, runs: bool) -> set[str]:
    return {entry.name for entry in found.report.lost if entry.runs is runs}
