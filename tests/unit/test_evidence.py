"""What a claim rests on: which run and cell are meant, their figures, their baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipegen.errors import RecipegenError
from recipegen.evidence import find_evidence
from recipegen.results.report import ReportRefused
from recipegen.workspace import Workspace
from tests.unit.test_compare import CODE, FAST, NAME, SLOW, made, root
from tests.unit.test_compare import add_run as add_any_run

__all__ = ["made", "root"]  # the fixtures

HEADLINE = "prose-pp2048-tg128-d0-c1-think-on"


def add_run(root: Path, variant: str = "dflash", **how: Any) -> Path:
    """A run that measured the headline cell."""
    return add_any_run(root, variant, **{"cells": (HEADLINE,), **how})


def test_the_headline_of_the_table_with_its_baseline(root: Path) -> None:
    baseline = add_run(root, "ar", hour=6, tgs=SLOW)
    run = add_run(root, hour=7, tgs=FAST)
    found = find_evidence(Workspace.open(root), NAME)
    assert (found.run, found.variant, found.cell["id"]) == (run, "dflash", HEADLINE)
    assert found.place == f"results/gb10-128g/{run.name}"
    assert (found.figures["tg"].median, found.figures["tg"].n, found.figures["tg"].dropped) == (50.55, 12, 1)
    assert found.samples("tg")[0] == 10.0
    assert found.baseline is not None
    assert (found.baseline.run, found.baseline.figures["tg"].median) == (baseline, 40.55)
    assert found.baseline.baseline is None
    assert found.quality is None and found.metrics is None
    assert found.judgement.verdict in ("plausible", "unknown"), found.judgement


def test_a_run_a_variant_and_a_cell_can_be_named(root: Path) -> None:
    first = add_run(root, "ar", hour=6, tgs=SLOW, cells=(HEADLINE, CODE))
    add_run(root, "ar", hour=7, tgs=FAST)
    workspace = Workspace.open(root)
    assert find_evidence(workspace, NAME, variant="ar").figures["tg"].median == 50.55
    named = find_evidence(workspace, NAME, run=first.name, cell=CODE)
    assert (named.cell["id"], named.figures["tg"].median) == (CODE, 40.55)


def test_what_is_not_there_is_named(root: Path) -> None:
    workspace = Workspace.open(root)
    with pytest.raises(RecipegenError, match="no run of its headline"):
        find_evidence(workspace, NAME)
    run = add_run(root, status="partial")
    with pytest.raises(RecipegenError, match="no complete run of 'dflash'") as caught:
        find_evidence(workspace, NAME, variant="dflash")
    assert run.name in caught.value.hint
    with pytest.raises(RecipegenError, match="has not measured the cell 'code") as caught:
        find_evidence(workspace, NAME, run=run.name, cell=CODE)
    assert HEADLINE in caught.value.hint
    with pytest.raises(RecipegenError, match="no run 'other'"):
        find_evidence(workspace, NAME, run="other")


def test_a_changed_report_is_no_evidence(root: Path) -> None:
    report = add_run(root) / f"{HEADLINE}.json"
    report.write_text(report.read_text().replace("50.1", "90.1"))
    with pytest.raises(ReportRefused) as caught:
        find_evidence(Workspace.open(root), NAME)
    assert "SHA-256 differs" in caught.value.problems[0].message
