"""index.json and index.csv: their fields, their schema, and that no spreadsheet runs what a recipe says."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from recipegen.cli.measure import index_command
from recipegen.cli.recipes import schema_command
from recipegen.errors import CheckFailed
from recipegen.publish.data import COLUMNS, FORMAT, index_csv, index_data, index_json
from recipegen.publish.data_model import index_schema, index_schema_text
from recipegen.publish.data_page import index_format_page
from recipegen.publish.row import AgentScore, Measured, Row, SpeedUp
from recipegen.publish.tables import iter_shown
from recipegen.workspace import Workspace
from tests.support.rich_results import HOSTILE, made_repository
from tests.support.scenario import ROOT
from tests.unit.results_factory import published

HOSTILE_STARTS = ("=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0")


def row(**other: Any) -> Row:
    """A row in which every field holds something."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "title": "Tiny recipe",
        "link": "recipes/tiny",
        "status": "measured",
        "state": "measured",
        "model": "owner/Tiny-NVFP4",
        "quantization": "NVFP4",
        "method": "DFlash",
        "engine": "vllm 0.32.0",
        "hardware": "DGX Spark (GB10)",
        "nodes": 1,
        "context": 131072,
        "headline": "dflash",
        "cell": "prose-pp2048-tg128-d0-c1",
        "pp_tokens": 2048,
        "tg_tokens": 128,
        "depth": 0,
        "concurrency": 1,
        "tg": Measured(61.8601234, 59.2538, 62.4014, 11, ("wide-interval",)),
        "pp": Measured(468.468, 441.984, 476.474, 12),
        "ttfr": Measured(4374.7, 4300.0, 4400.0, 11),
        "speed_up": SpeedUp("ar", 2.37, 2.3, 2.44, "faster"),
        "memory_bytes": 1_134_145_536,
        "quality": "pass",
        "verdict": "plausible",
        "origin": "bench",
        "run": "20261128T102001Z-dflash",
        "machine": "gb10-128g",
        "date": "2026-11-28",
        "own_hardware": True,
        "report": "recipes/tiny/results/gb10-128g/20261128T102001Z-dflash/a.json",
        "charts": ("recipes/tiny/charts/samples-tg.svg",),
        "last_run": "2026-11-29",
        "runs": 2,
        "reproduced": 1,
        "agents": (AgentScore("TBLite", "12 of 20", "borderline", "gb10-128g", True),),
        "published": (published(),),
    }
    return Row(**{**fields, **other})


def bare(**other: Any) -> Row:
    """A row of a recipe that nobody ran."""
    kept = {
        name: getattr(row(), name)
        for name in list(Row.__dataclass_fields__)[: list(Row.__dataclass_fields__).index("tg")]
    }
    return Row(**{**kept, "state": "not measured", "context": None, **other})


@cache
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(index_schema())
    return jsonschema.Draft202012Validator(index_schema())


def problems(data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(data)]


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_field_is_in_the_schema_and_no_other() -> None:
    single = Measured(1.0, 1.0, 1.0, 1, ("few-samples",))
    no_interval = SpeedUp("ar", 2.0, None, None, None)
    data = index_data(
        [row(), bare(name="bare"), row(name="odd", tg=single, pp=None, speed_up=no_interval, verdict=None)]
    )
    assert data["format"] == FORMAT
    assert problems(data) == []
    recipe = data["recipes"][2]
    for place in (recipe, recipe["cell"], recipe["measured"], recipe["measured"]["tg_tok_s"], recipe["speed_up"],
                  recipe["agents"][0], recipe["published"][0]):  # fmt: skip
        for name in list(place):
            value = place.pop(name)
            assert len(problems(data)) == 1, f"{name} is not required"
            place[name] = value
        place["another"] = 1
        assert len(problems(data)) == 1
        del place["another"]


def test_the_schema_tells_a_wrong_unit_or_word() -> None:
    for change in ({"status": "done"}, {"state": "ours"}, {"quality": "ok"}, {"published": (published(source="a"),)}):
        assert len(problems(index_data([row(**change)]))) == 1


def test_the_repositorys_own_files_and_a_rich_one_fit_the_schema(tmp_path: Path) -> None:
    assert problems(json.loads((ROOT / "index.json").read_text(encoding="utf-8"))) == []
    found: list[Any] = []
    rows = [shown.row for shown in iter_shown(Workspace.open(made_repository(tmp_path / "repository")), found)]
    assert found == []
    data = json.loads(index_json(rows))
    assert problems(data) == []
    assert [one["name"] for one in data["recipes"]] == sorted(one.name for one in rows)
    rich = next(one for one in data["recipes"] if one["name"] == "made-rich")
    assert rich["speed_up"]["baseline"] == "ar" and rich["measured"]["tg_tok_s"]["n"] > 1
    table = cells(index_csv(rows))
    assert [line["name"] for line in table] == [one["name"] for one in data["recipes"]]
    assert {line["state"] for line in table} == {"measured", "published"}


def test_measured_and_published_figures_stand_apart() -> None:
    (only,) = index_data([bare(state="published", published=(published(),))])["recipes"]
    assert only["measured"] is None and only["published"][0]["value"] == 102.05
    assert "102.05" not in index_csv([row()]) and "102.05" in index_json([row()])


def test_the_same_rows_give_the_same_bytes_in_any_order() -> None:
    rows = [row(name=name) for name in ("b", "a", "c")]
    assert index_json(rows) == index_json(reversed(rows))
    assert index_csv(rows) == index_csv(reversed(rows))
    assert "61.8601," in index_json(rows)  # six significant digits


def test_a_line_of_the_csv() -> None:
    (line,) = cells(index_csv([row()]))
    assert tuple(line) == COLUMNS
    assert (line["tg_tok_s"], line["tg_low"], line["tg_high"], line["n"]) == ("61.8601", "59.2538", "62.4014", "11")
    assert (line["pp_tok_s"], line["pp_low"], line["ttfr_ms"]) == ("468.468", "441.984", "4374.7")
    assert (line["speed_up"], line["baseline"], line["own_hardware"], line["reproduced"]) == ("2.37", "ar", "true", "1")
    (empty,) = cells(index_csv([bare()]))
    assert {name for name, value in empty.items() if not value} >= {
        "tg_tok_s",
        "speed_up",
        "machine",
        "quality",
        "report",
    }


@pytest.mark.parametrize("text", HOSTILE_STARTS)
def test_no_cell_of_the_csv_is_a_formula(text: str) -> None:
    """OWASP, CSV injection: a cell that begins with one of = + - @ tab CR is run, or taken for a number.

    The csv module leaves a carriage return bare: what follows it would be a row of its own.
    """
    names = ("title", "model", "quantization", "method", "engine", "hardware", "cell", "machine", "report", "verdict")
    texts = dict.fromkeys(names, text)
    odd = row(**texts, speed_up=SpeedUp(text, 2.0, None, None, None))
    (line,) = cells(index_csv([odd]))
    for name in (*names, "baseline"):
        assert line[name] == f"'{text.strip()}", name
    assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r")) for value in line.values())


@pytest.mark.parametrize("words", [*HOSTILE.values(), 'a,"b"\nc\r\nd', "a\0b"])
def test_hostile_words_stay_in_their_field(words: str) -> None:
    odd = row(title=words, method=words, machine=words)
    text = index_csv([odd, row(name="z")])
    assert len(text.splitlines()) == 3 and not re.search("[\0\u202a-\u202e\u200f]", text)
    line, other = cells(text)
    assert line["title"] == line["method"] == line["machine"] and other == cells(index_csv([row(name="z")]))[0]
    assert line["title"][:1] in words
    assert json.loads(index_json([odd]))["recipes"][0]["title"] == words


def test_a_figure_that_is_none_is_refused_rather_than_written() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        index_json([replace(row(), tg=Measured(float("nan"), 1.0, 1.0, 2))])


def test_the_page_explains_every_field_and_column() -> None:
    page = index_format_page()
    for name in ("context_tokens", "ttfr_ms", "speed_up", "source", *COLUMNS):
        assert f"| `{name}` |" in page
    assert "| None |" not in page and "object or null" in page
    assert "`pass`, `warn`, `fail` or null" in page


def test_the_schema_is_printed_and_checked(tmp_path: Path) -> None:
    assert CliRunner().invoke(schema_command, ["--index"]).stdout == index_schema_text()
    file = tmp_path / "s.json"
    file.write_text("{}", encoding="utf-8")
    failed = CliRunner().invoke(schema_command, ["--index", "--check", str(file)])
    assert isinstance(failed.exception, CheckFailed)
    assert "recipegen schema --index >" in str(failed.exception.hint)


def test_check_names_each_file_that_is_stale(tmp_path: Path) -> None:
    root = made_repository(tmp_path / "repository")
    run = CliRunner()
    wrote = json.loads(run.invoke(index_command, ["--json", "--root", str(root)]).stdout)["written"]
    assert {"INDEX.md", "index.json", "index.csv"} <= set(wrote)
    assert json.loads(run.invoke(index_command, ["--check", "--json", "--root", str(root)]).stdout) == {"stale": []}
    for name in ("index.json", "index.csv"):
        before = (root / name).read_bytes()
        (root / name).write_bytes(before.replace(b"made-rich", b"made-up"))
        found = run.invoke(index_command, ["--check", "--json", "--root", str(root)])
        assert (found.exit_code, json.loads(found.stdout)) == (1, {"stale": [name]})
        run.invoke(index_command, ["--root", str(root)])
        assert (root / name).read_bytes() == before
