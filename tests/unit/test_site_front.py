"""The front page's cells and the comparison's data: what is measured stays apart, data stay data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recipegen.publish.row import Measured, Row, SpeedUp
from recipegen.publish.shown import read_shown
from recipegen.render.templates import Templates
from recipegen.site.compare import compare_context, newest_runs, recipe_data
from recipegen.site.front import COLUMNS, LONGEST, front_context
from recipegen.spec.model import Published
from recipegen.workspace import Workspace
from tests.support.rich_results import made_repository

SOURCE = "https://example.org/results/of-somebody-else.json"


def row(name: str = "made", **other: Any) -> Row:
    return replace(
        Row(
            name=name,
            title="Made up",
            link=f"recipes/{name}",
            status="planned",
            state="not measured",
            model="owner/Made-35B",
            quantization="NVFP4",
            method="DFlash",
            engine="vllm 0.19.0",
            hardware="DGX Spark (GB10)",
            nodes=1,
            context=131072,
            headline="dflash",
            cell="prose-pp2048-tg128-d0-c1",
            pp_tokens=2048,
            tg_tokens=128,
            depth=0,
            concurrency=1,
        ),
        **other,
    )


def measured(**other: Any) -> Row:
    figures: dict[str, Any] = {
        "state": "measured",
        "run": "20261101T070000Z-dflash",
        "machine": "gb10-128g",
        "tg": Measured(103.1, 102.59, 103.32, 12),
        "pp": Measured(2474.0, 2462.3, 2479.8, 12),
    }
    return row(**{**figures, **other})


def published(**other: Any) -> Published:
    fields = {"variant": "dflash", "metric": "tg", "pp": 128, "tg": 128, "value": 102.05, "stat": "median"}
    return Published.model_validate({**fields, "source": SOURCE, **other})


def only(one: Row) -> dict[str, Any]:
    found: dict[str, Any] = front_context([one])["recipes"][0]
    return found


def test_figures_of_others_are_never_measured_ones() -> None:
    found = only(row(state="published", published=(published(), published(metric="pp", value=5000.0))))
    assert found["tg"] is None and found["pp"] is None
    assert [(one["metric"], one["text"], one["source"]) for one in found["published"]] == [
        ("tg", "102.05", SOURCE),
        ("pp", "5000.00", SOURCE),
    ]


def test_a_figure_of_another_variant_is_not_the_headlines() -> None:
    assert only(row(published=(published(variant="ar"),)))["published"] == []


def test_measured_figures_have_their_interval_and_no_more_digits_than_it_carries() -> None:
    found = only(measured())["tg"]
    assert (found["text"], found["interval"], found["n"], found["remarks"]) == ("103.1", "102.59–103.32", 12, [])
    assert float(found["value"]) == 103.1


@pytest.mark.parametrize(
    ("how", "remarks"),
    [
        ({"verdict": "too-fast"}, ["⚠️ too-fast"]),
        ({"verdict": "plausible"}, []),
        ({"own_hardware": False}, ["on gb10-128g"]),
        ({"tg_tokens": 32, "concurrency": 4, "depth": 4096}, ["tg32", "c4", "d4096"]),
        ({"origin": "collected"}, ["collected"]),
        ({"tg": Measured(9, 8, 10, 3, ("few-samples", "wide-interval"))}, ["few-samples"]),
        ({"tg": Measured(9, 8, 10, 12, ("wide-interval", "drift"))}, ["wide-interval", "drift"]),
        ({"tg": Measured(9, 9, 9, 1, ("few-samples",))}, []),
    ],
)
def test_what_makes_a_figure_doubtful_stands_beside_it(how: dict[str, Any], remarks: list[str]) -> None:
    assert only(measured(**how))["tg"]["remarks"] == remarks


def test_an_undecided_speed_up_says_so() -> None:
    found = only(measured(speed_up=SpeedUp("ar", 1.02, 0.98, 1.06, "undecided")))["speed_up"]
    assert found == {"value": "1.02", "text": "1.02", "interval": "0.98–1.06", "undecided": True}


def test_what_was_measured_stands_first_the_fastest_before_the_others() -> None:
    rows = [
        row("a-nothing"),
        row("b-published", state="published", published=(published(),)),
        measured(name="c-slow", link="recipes/c-slow"),
        measured(name="d-fast", link="recipes/d-fast", tg=Measured(200, 199, 201, 12)),
    ]
    found = [one["name"] for one in front_context(rows)["recipes"]]
    assert found == ["d-fast", "c-slow", "b-published", "a-nothing"]


def test_an_engine_is_chosen_by_its_name_and_a_long_text_is_cut() -> None:
    context = front_context([row(model="x" * 10_000), row("other", engine="vllm 0.20.0")])
    choices = {column.key: values for column, values in context["filters"]}
    assert choices["engine"] == ["vllm"]
    assert [len(one) for one in choices["model"]] == [len("owner/Made-35B"), LONGEST]
    # A filter compares with the cell, so that both must be cut alike.
    assert choices["model"][1] in {one["model"] for one in context["recipes"]}


def test_a_page_of_200_recipes_is_small_and_each_row_has_a_cell_a_column() -> None:
    figures = (published(source=f"https://example.org/{'x' * 150}"), published(metric="pp", value=4000.0))
    rows = [
        measured(
            name=f"recipe-number-{at}",
            link=f"recipes/recipe-number-{at}",
            title="A model of 35 billion parameters in NVFP4 with a drafter",
            speed_up=SpeedUp("ar", 2.45, 2.43, 2.47, "faster"),
            memory_bytes=34 << 30,
            quality="pass",
            last_run="2026-11-08",
            reproduced=2,
            published=figures,
        )
        for at in range(200)
    ]
    shared = {"page": "index", "root": "", "version": "0", "site_title": "made", "recipegen": "0"}
    text = Templates(html=True).render("site/front.html.j2", **shared, **front_context(rows))
    assert len(text.encode()) < 400_000
    for found in re.findall(r'<tr id="r-.*?</tr>', text, re.DOTALL):
        assert len(re.findall(r"<t[dh][ >]", found)) == len(COLUMNS)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_repository(tmp_path_factory.mktemp("made") / "repository")


def data_of(root: Path, name: str) -> dict[str, Any]:
    """What a browser makes of data/<name>.js: one call with two JSON values."""
    workspace = Workspace.open(root)
    shown, problems = read_shown(workspace, workspace.spec(name))
    assert problems == []
    text = recipe_data(shown.row, shown.runs)
    call = re.fullmatch(r"recipegenData\((.*)\);\n", text, re.DOTALL)
    assert call is not None
    given, data = json.loads(f"[{call[1]}]")
    assert given == name
    # Neither the end of a script element nor a line end that only JavaScript knows.
    assert not set("<\u2028\u2029") & set(text)
    return dict(data)


def test_data_of_a_recipe_are_one_call_whatever_its_words_are(repository: Path) -> None:
    data = data_of(repository, "made-hostile")
    assert data["title"].startswith("<script>alert(1)</script>")
    assert "\u202e" in data["runs"][0]["error"] and "x" * 10_000 in data["runs"][0]["error"]


def test_data_hold_the_newest_run_of_each_variant_the_headlines_first(repository: Path) -> None:
    data = data_of(repository, "made-rich")
    assert [(run["variant"], run["date"]) for run in data["runs"]] == [
        ("dflash", "2026-11-08"),
        ("mtp", "2026-11-08"),
        ("ar", "2026-11-08"),
    ]
    assert data["runs"][0]["word"] == "made-rich/20261108T070000Z-dflash@made-gb10-128g"
    figure = data["runs"][0]["cells"][0]["figures"]["tg"]
    assert figure["low"] < figure["median"] < figure["high"] and figure["n"] == 12


def test_a_failed_run_counts_only_where_none_has_a_figure(repository: Path) -> None:
    workspace = Workspace.open(repository)
    shown, _ = read_shown(workspace, workspace.spec("made-rich"))
    newest = next(run for run in shown.runs if run.variant == "dflash")
    failed = replace(newest, folder=newest.folder.with_name("20270101T000000Z-dflash"), status="failed", cells=())
    assert failed not in newest_runs([*shown.runs, failed], "dflash")
    assert newest_runs([failed], "dflash") == [failed]


def test_the_comparison_offers_every_recipe_and_its_charts_hold_no_data() -> None:
    context = compare_context([row("b"), row("a")])
    assert context["names"] == ["a", "b"]
    assert all(spec["data"] == {"values": []} for spec in context["specs"].values())
