"""Measured again: what counts as reproduced, what the page says, that hostile words stay words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipegen.errors import RecipegenError, SpecError
from recipegen.publish.compare import Figure, compare_sides
from recipegen.publish.sides import find_side
from recipegen.reproduction import (
    TOLERANCE,
    Reproduction,
    as_data,
    load_reproductions,
    outcome_of,
    reproduced_page,
    reproduction_of,
    write_reproduction,
)
from recipegen.results.store import REPRODUCTION
from tests.unit.test_compare import CODE, FAST, NAME, PROSE, SLOW, add_run, made, root

__all__ = ["made", "root"]  # the fixtures

TENTH = [rate * 1.1 for rate in FAST]


def again(reference: Path, run: Path, **other: object) -> Reproduction:
    found = compare_sides(find_side(str(reference), None), find_side(str(run), None))
    facts = {"ended": "2026-11-21T08:09:00Z", "quality": "pass", "reference_run": reference.name, **other}
    return reproduction_of(found, recipe=NAME, variant="dflash", run=run, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "measured", "effect", "outcome"),
    [
        (Figure(100, 29, 98, 103), Figure(102.9, 29, 101, 104), "faster", "inside"),
        (Figure(100, 29, 98, 103), Figure(104, 29, 103.5, 104.5), "faster", "close"),
        (Figure(100, 29, 98, 103), Figure(96, 29, 95, 97), "slower", "close"),
        (Figure(100, 29, 98, 103), Figure(110, 29, 109, 111), "faster", "faster"),
        (Figure(100, 29, 98, 103), Figure(90, 29, 89, 91), "slower", "slower"),
        (Figure(100, 3, 98, 103), Figure(90, 3, 80, 91), "undecided", "undecided"),
        (Figure(100, 3, 98, 103), Figure(90, 3, 80, 91), None, "undecided"),
        # A published figure has no interval: the measured one's must hold it.
        (Figure(100, 29), Figure(99, 29, 97, 101), None, "inside"),
        (Figure(100, None), Figure(120, 29, 118, 121), None, "faster"),
        (Figure(100, None), Figure(120, 1, 120, 120), None, "undecided"),
    ],
)
def test_what_counts_as_reproduced(reference: Figure, measured: Figure, effect: str | None, outcome: str) -> None:
    assert outcome_of(reference, measured, effect, TOLERANCE, higher_is_better=True) == outcome


def test_a_time_that_is_longer_is_slower() -> None:
    found = outcome_of(Figure(100, 29, 98, 103), Figure(150, 29, 149, 151), "slower", TOLERANCE, higher_is_better=False)
    assert found == "slower"
    published = outcome_of(Figure(100, 29), Figure(150, 29, 149, 151), None, TOLERANCE, higher_is_better=False)
    assert published == "slower"


def test_the_same_again_is_reproduced(root: Path) -> None:
    found = again(add_run(root, hour=7), add_run(root, hour=8, cells=(PROSE, CODE)))
    assert found.verdict == "reproduced"
    assert {one.metric: one.outcome for one in found.figures} == dict.fromkeys(("tg", "pp", "ttfr"), "inside")
    assert found.environment == () and found.not_repeated == ()
    assert again(add_run(root, hour=9), add_run(root, hour=10), quality="fail").verdict == "not reproduced"


def test_what_differs_is_named(root: Path) -> None:
    reference = add_run(root, hour=7, cells=(PROSE, CODE))
    run = add_run(root, hour=8, tgs=TENTH, argv=["vllm", "serve", "--max-num-seqs", "8"], machine="gb10-64g")
    found = again(reference, run)
    assert found.verdict == "not reproduced"
    tg = next(one for one in found.figures if one.metric == "tg")
    assert (tg.outcome, round(tg.difference, 3)) == ("faster", 0.1)
    assert again(reference, run, tolerance=0.2).verdict == "reproduced"
    page = reproduced_page([found])
    assert "on gb10-64g: not reproduced" in page
    assert "| flag --max-num-seqs | 4 | 8 |" in page and "| machine | gb10-128g | gb10-64g |" in page
    assert f"- not repeated: {CODE}" in page
    assert "+10.0 % | faster: outside the interval |" in page


def test_the_page_holds_every_reproduction_newest_first(root: Path) -> None:
    recipe, reference = root / "recipes" / NAME, add_run(root, hour=7)
    for hour in (8, 9):
        run = add_run(root, hour=hour, tgs=FAST if hour == 8 else SLOW)
        page = write_reproduction(again(reference, run), recipe, run)
    heads = [line for line in page.read_text().splitlines() if line.startswith("## ")]
    assert [head.rpartition(": ")[2] for head in heads] == ["not reproduced", "reproduced"]
    assert [one.verdict for one in load_reproductions(recipe)] == ["not reproduced", "reproduced"]
    assert as_data(load_reproductions(recipe)[1])["verdict"] == "reproduced"
    assert page.read_text() == reproduced_page(load_reproductions(recipe))


def test_a_file_that_is_none_is_named(root: Path) -> None:
    recipe, run = root / "recipes" / NAME, add_run(root)
    for text in ("{", "[]", json.dumps({"format": "recipegen-reproduction/9"})):
        (run / REPRODUCTION).write_text(text)
        with pytest.raises(SpecError) as caught:
            load_reproductions(recipe)
        assert caught.value.problems[0].where.file == run / REPRODUCTION


def test_nothing_measured_again_is_an_error(root: Path) -> None:
    with pytest.raises(RecipegenError, match="no cell in common"):
        again(add_run(root, hour=7), add_run(root, hour=8, cells=(CODE,)))


def test_hostile_words_stay_words(root: Path) -> None:
    found = again(add_run(root, hour=7), add_run(root, hour=8))
    words = "a | b <script>alert(1)</script> [x](javascript:1) \u202e\n# head"
    evil = found.model_copy(update={"reference": words, "recipe": words, "notes": (words,), "not_known": (words,)})
    page = reproduced_page([evil])
    assert "<script" not in page and "\u202e" not in page
    assert [line for line in page.splitlines() if line.startswith("# ")] == [page.splitlines()[1]]
