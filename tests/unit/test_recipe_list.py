"""`recipegen list`: figures as INDEX.md has them, filters and order, narrow terminals, words that style nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from recipegen.cli import recipe_list
from recipegen.cli.recipe_list import list_command
from recipegen.publish import tables
from recipegen.publish.data import index_data
from recipegen.publish.index import RecordsBroken
from recipegen.publish.row import Measured, Row, SpeedUp
from recipegen.publish.tables import write_index
from recipegen.workspace import Workspace
from tests.support.rich_results import HOSTILE, MACHINE, made_repository
from tests.unit.results_factory import published
from tests.unit.test_index_data import bare, row

ROWS = [
    row(name="fast", tg=Measured(90.0, 88.0, 92.0, 29), pp=Measured(900.0, 890.0, 910.0, 29), last_run="2026-11-20"),
    row(
        name="slow",
        tg=Measured(30.0, 29.0, 31.0, 29),
        pp=Measured(2000.0, 1990.0, 2010.0, 29),
        speed_up=SpeedUp("ar", 1.0, 0.9, 1.1, "undecided"),
        engine="llama.cpp b1234",
        quality="warn",
        last_run="2026-11-30",
        status="shipped",
    ),
    row(name="too-good", tg=Measured(500.0, 500.0, 500.0, 1, ("few-samples", "wide-interval")), verdict="too-fast"),
    row(name="elsewhere", own_hardware=False, machine="h100-80g", tg=Measured(80.0, 79.0, 81.0, 9), concurrency=4),
    bare(name="of-others", state="published", published=(published(),), status="planned"),
    bare(name="only-an-idea", status="research", engine="other", quality="fail"),
]


def run(*arguments: str | Path, width: int | None = None) -> Result:
    return CliRunner().invoke(
        list_command, list(map(str, arguments)), env={"COLUMNS": str(width) if width else None, "NO_COLOR": None}
    )


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Row]:
    """The rows of the repository, whatever it holds; the list can be changed."""
    made = list(ROWS)
    monkeypatch.setattr(tables, "iter_shown", lambda *_: [_Shown(one) for one in made])
    monkeypatch.setattr(recipe_list.Workspace, "open", lambda _: None)
    return made


class _Shown:
    def __init__(self, row: Row) -> None:
        self.row = row


def names(*arguments: str) -> list[str]:
    done = run("--json", *arguments)
    assert done.exception is None
    return [one["name"] for one in json.loads(done.stdout)]


def lines(text: str) -> dict[str, str]:
    """Line of each recipe by its name."""
    return {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_repository(tmp_path_factory.mktemp("list") / "repository")


def test_json_is_the_rows_of_index_json(repository: Path) -> None:
    write_index(Workspace.open(repository))
    done = run("--json", "--sort", "name", "--root", repository)
    written = json.loads((repository / "index.json").read_text(encoding="utf-8"))["recipes"]
    assert sorted(json.loads(done.stdout), key=lambda one: one["name"]) == written
    assert len(written) == 5


def test_a_real_repository_on_a_terminal_of_80_columns(repository: Path) -> None:
    done = run("--root", repository, width=80)
    assert done.exception is None
    assert all(cell_len(line) <= 80 for line in done.stdout.splitlines() if line.startswith("  "))
    assert "\x1b" not in done.stdout and "<script" not in done.stdout
    assert not re.search("[\u202a-\u202e\u200f\x00-\x09\x0b-\x1f]", done.stdout)
    rich = lines(done.stdout)["made-rich"]
    written = next(one for one in index_data([_rich_row(repository)])["recipes"])
    assert f"{written['measured']['tg_tok_s']['median']:.0f}"[:2] in rich
    assert f"{written['speed_up']['ratio']:.2f}" in rich


def _rich_row(repository: Path) -> Row:
    found: list[Any] = []
    return next(
        shown.row for shown in tables.iter_shown(Workspace.open(repository), found) if shown.row.name == "made-rich"
    )


def test_every_column_where_there_is_room(rows: list[Row]) -> None:
    text = run().stdout
    assert text.splitlines()[0].startswith("6 recipes: 4 measured here, 3 of them on the hardware")
    head = text.splitlines()[3].split("  ")
    titles = [title.strip() for title in head if title.strip()]
    assert titles == [
        "recipe", "method", "decode", "interval", "0–92", "× base", "prefill", "quality", "last run", "status",
        "remarks",
    ]  # fmt: skip
    fast = lines(text)["fast"].split("  ")
    assert [cell.strip() for cell in fast if cell.strip()] == [
        "fast", "DFlash", "90", "88.0–92.0", "······················─●", "2.37", "900", "pass", "2026-11-20",
        "measured",
    ]  # fmt: skip
    assert "few" not in lines(text)["fast"]


def test_figures_in_doubt_say_why_and_do_not_set_the_scale(rows: list[Row]) -> None:
    line = lines(run().stdout)["too-good"]
    assert "⚠️ too-fast" in line and "few-samples" in line and "wide-interval" not in line
    assert "0–92" in run().stdout
    rows[:] = [rows[2]]
    assert "0–500" in run().stdout


def test_other_cells_machines_and_undecided_ratios_say_so(rows: list[Row]) -> None:
    found = lines(run().stdout)
    assert found["elsewhere"].rstrip().endswith("c4, on h100-80g")
    assert "× base undecided" in found["slow"] and "undecided" not in found["fast"]


def test_figures_of_others_stand_apart(rows: list[Row]) -> None:
    sections = run().stdout.split("\n\n")
    headings = [section.splitlines()[0] for section in sections[1:]]
    assert headings == [
        "Measured here: DGX Spark (GB10)",
        "Measured here, on other hardware",
        "Published by others, not measured here",
        "Without figures yet",
    ]
    assert "102.05" in sections[3] and sections[3].count("of-others") == 1
    assert "median, n=29, pp128 tg128 d0, sherlock, thinking on" in sections[3]
    assert "102.05" not in "".join([*sections[:3], sections[4]])
    assert "fail" in lines(sections[4])["only-an-idea"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_nothing_is_wider_than_the_terminal_and_what_is_left_out_is_named(rows: list[Row], width: int) -> None:
    text = run(width=width).stdout
    table = [line for line in text.splitlines() if line.startswith("  ")]
    assert all(cell_len(line) <= width for line in table)
    told = re.search(rf"^{width} columns are too few for: (.+) \(--json has all\)$", text, re.MULTILINE)
    assert (told is None) == (width >= 120)
    if width == 80:
        assert told and "last run" in told[1] and "quality" in told[1]
        assert "decode" in text and "interval" in text and "× base" in text and "remarks" in text
    for title in ("quality", "last run") if told else ():
        assert (title in text.splitlines()[3]) == (title not in told[1])


def test_names_are_whole_before_anything_else(rows: list[Row]) -> None:
    rows[0] = row(name="a-long-name-of-a-recipe-nvfp4")
    assert "a-long-name-of-a-recipe-nvfp4" in lines(run(width=80).stdout)
    assert "a-long-name-of-a-recipe-nvfp4" in lines(run().stdout)


def test_order_inside_a_section(rows: list[Row]) -> None:
    measured = ["fast", "slow", "too-good"]
    assert names() == ["too-good", "fast", "slow", "elsewhere", "of-others", "only-an-idea"]
    assert [one for one in names("--sort", "prefill") if one in measured] == ["slow", "fast", "too-good"]
    assert [one for one in names("--sort", "date") if one in measured] == ["slow", "too-good", "fast"]
    assert [one for one in names("--sort", "name") if one in measured] == measured


def test_filters(rows: list[Row]) -> None:
    assert names("--measured") == ["too-good", "fast", "slow", "elsewhere"]
    assert names("--status", "shipped", "--status", "research") == ["slow", "only-an-idea"]
    assert names("--engine", "llama.cpp") == ["slow"]
    assert names("--engine", "llama.cpp", "--status", "planned") == []
    assert run("--engine", "llama.cpp", "--status", "planned").stdout == "none of 6 recipes is that\n"
    for wrong in (("--engine", "vlm"), ("--status", "done"), ("--sort", "speed")):
        assert run(*wrong).exit_code == 2
    assert "vllm, llama.cpp, atlas, other" in run("--engine", "vlm").output
    rows.clear()
    assert run().stdout == "there is no recipe yet: recipegen new NAME\n"
    assert names() == []


@pytest.mark.parametrize("words", [*HOSTILE.values(), "[bold red]x[/]", "\x1b[31mred\x1b[0m", "a\nb\tc", ":boom:"])
def test_words_style_nothing(rows: list[Row], words: str) -> None:
    rows[:] = [row(method=words, machine=words, own_hardware=False, engine=words, hardware=words)]
    text = run(width=100).stdout
    assert "\x1b" not in text and not re.search("[\u202a-\u202e\u200f\t]", text)
    assert all(cell_len(line) <= 100 for line in text.splitlines()[1:])
    if words.startswith(("[bold", ":")):
        assert words in run(width=300).stdout


def test_a_terminal_that_knows_no_drawing_characters(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner(charset="ascii").invoke(list_command, [])
    assert done.exception is None
    assert done.stdout.isascii() and "88.0-92.0" in done.stdout and "-o" in done.stdout


def test_what_can_be_read_is_shown_and_the_rest_named(repository: Path, tmp_path: Path) -> None:
    root = made_repository(tmp_path / "repository")
    raw = next(path for path in (root / "recipes" / "made-single" / "results" / MACHINE).rglob("*-c1.json"))
    raw.write_text(raw.read_text().replace("88.0", "99.0"), encoding="utf-8")
    done = run("--root", root)
    assert isinstance(done.exception, RecordsBroken)
    assert "SHA-256 differs" in str(done.exception.problems[0])
    assert "made-rich" in lines(done.stdout) and "99" not in lines(done.stdout)["made-single"]
