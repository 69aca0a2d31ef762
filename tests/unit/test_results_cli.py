"""recipegen results on a terminal: which runs, tables within the width, plots, ASCII, hostile text, JSON; the plots."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recipegen.cli.plots import bar, encodable, shows_blocks, sparkline
from recipegen.cli.results import results_command
from recipegen.errors import RecipegenError
from recipegen.scaffold import init_repository, new_recipe
from recipegen.workspace import Workspace
from tests.unit.test_compare import CODE, NAME, PROSE, add_run

OLD, NEW = {"name": "vllm", "version": "0.31.0"}, {"name": "vllm", "version": "0.32.0"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results") / "repo"
    init_repository(root)
    new_recipe(Workspace.open(root), NAME)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "repo")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "repo"


def results(root: Path, *args: str, encoding: str = "utf-8", **other: Any) -> Result:
    done = CliRunner(charset=encoding).invoke(results_command, [NAME, "--root", str(root), *args], **other)
    assert done.exception is None, done.output
    return done


def data(root: Path, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(results(root, *args, "--json").output)
    return found


def headline_cell(root: Path) -> str:
    spec = Workspace.open(root).spec(NAME)
    return spec.cell(spec.bench.headline).id


def over_time(root: Path) -> str:
    """Six runs of the headline cell, of two engines; its id."""
    cell = headline_cell(root)
    for hour, middle in enumerate((50.0, 50.4, 49.7, 54.2, 54.5, 54.1)):
        tgs = [10.0, *(middle + step / 100 for step in range(-5, 6))]
        add_run(root, hour=hour, tgs=tgs, cells=[cell], engine=OLD if hour < 3 else NEW)
    return cell


def test_the_newest_run_of_each_variant_and_machine_is_shown_newest_first(root: Path) -> None:
    for hour, (variant, machine) in enumerate((("dflash", "a"), ("ar", "a"), ("dflash", "b"), ("dflash", "a"))):
        add_run(root, variant, hour=hour, machine=machine)
    heads = [line.split(":")[0] for line in results(root).output.splitlines() if line[:2] in ("a/", "b/")]
    newest = ["a/20261121T030000Z-dflash", "b/20261121T020000Z-dflash", "a/20261121T010000Z-ar"]
    assert heads == newest
    assert "1 older run: --all" in results(root).output
    everything = results(root, "--all").output
    assert "a/20261121T000000Z-dflash" in everything and "older" not in everything
    assert "20261121T010000Z-ar" not in results(root, "--variant", "dflash").output


def test_a_newest_run_without_figures_does_not_hide_those_there_are(root: Path) -> None:
    add_run(root, hour=1)
    add_run(root, hour=2)
    add_run(root, hour=3, cells=[], failed=[PROSE], status="failed")
    text = results(root).output
    assert "the server went away" in text
    assert "20261121T020000Z" in text and "20261121T010000Z" not in text


def test_a_row_has_figure_interval_samples_in_order_and_a_bar(root: Path) -> None:
    add_run(root, tgs=[10.0, 40.0, 41.0, 42.0, 43.0, 44.0, 45.0, 46.0], cells=[PROSE])
    add_run(root, "ar", hour=8, tgs=[10.0, *[20.0] * 7], cells=[PROSE])
    rows = [line for line in results(root, "--metric", "tg").output.splitlines() if line.startswith(f"  {PROSE} ")]
    slow, _, fast, _ = rows
    assert fast.split()[1:6] == ["43", "41.0", "to", "45.0", "7"]
    assert "▁|▁▂▃▅▆▇█" in fast
    assert "▁|▅▅▅▅▅▅▅" in slow  # twenty every time is steady, not noise
    assert slow.index("●") < fast.index("●")


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_tables_stay_within_the_width_and_have_no_colour_in_a_pipe(
    root: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    add_run(root, cells=[PROSE, CODE, "prose-pp2048-tg128-d0-c1-think-off-and-a-long-name"])
    text = results(root, color=True).output
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("  ")]
    assert len(rows) > 12
    assert max(map(len, rows)) <= columns


def test_only_the_cells_and_metrics_that_were_asked_for(root: Path) -> None:
    add_run(root, cells=[PROSE, CODE])
    text = results(root, "--cell", "code", "--metric", "pp").output
    assert CODE in text and PROSE not in text
    assert "pp tok/s" in text and "tg tok/s" not in text and "ttfr" not in text
    found = data(root, "--cell", "code", "--metric", "pp")
    assert [list(cell["figures"]) for run in found["runs"] for cell in run["cells"]] == [["pp"]]
    assert [(one["cell"], one["metric"]) for one in found["series"]] == [(CODE, "pp")]


def test_the_headline_has_a_line_of_history(root: Path) -> None:
    cell = over_time(root)
    text = results(root).output
    assert f"history of the headline, dflash {cell}" in text
    assert "6 runs, which scatter by 0.6 %" in text
    assert "20261121T030000Z-dflash: +8.5 % (+7.1 to +9.9 %), engine vllm 0.31.0 → 0.32.0, gain" in text


def test_history_shows_every_run_of_every_figure(root: Path) -> None:
    over_time(root)
    add_run(
        root,
        hour=9,
        tgs=[1.0, 900.0, 900.0],
        cells=[headline_cell(root)],
        verdict={"verdict": "cold", "reasons": ["x"]},
    )
    text = results(root, "--history", "--metric", "tg").output
    rows = [line for line in text.splitlines() if line.startswith("  2026")]
    assert [row.split()[0][9:11] for row in rows[:7]] == ["09", "05", "04", "03", "02", "01", "00"]
    assert rows[0].endswith("apart") and "▲ gain" in rows[3]
    assert "stands apart, not judged: cold: x" in text
    assert results(root, "--history", "--cell", "none").output == "no figure was measured more than once\n"


def test_a_variant_that_was_not_measured_is_told_with_those_that_were(root: Path) -> None:
    add_run(root)
    done = CliRunner().invoke(results_command, [NAME, "--root", str(root), "--variant", "ar"])
    assert isinstance(done.exception, RecipegenError)
    assert done.exception.hint == "measured: dflash"
    assert data(root, "--variant", "ar")["runs"] == []


def test_json_has_samples_figures_series_and_steps(root: Path) -> None:
    cell = over_time(root)
    found = data(root)
    assert found["headline"] == {"variant": "dflash", "cell": cell}
    assert len(found["runs"]) == 6
    assert len(found["runs"][0]["cells"][0]["samples"]["tg"]) == 12
    series = next(one for one in found["series"] if one["metric"] == "tg")
    assert set(series) == {
        "variant", "machine", "cell", "metric", "points", "steps", "apart", "scatter", "free", "notes",
    }  # fmt: skip
    assert set(series["points"][0]) == {"run", "machine", "started", "engine", "image", "samples", "figure"}
    (step,) = series["steps"]
    assert step["mark"] == "gain" and step["changed"] == ["engine vllm 0.31.0 → 0.32.0"]
    assert set(step) == {
        "before", "after", "changed", "ratio", "low", "high", "p", "mark", "words", "size", "verdict",
    }  # fmt: skip


def test_a_terminal_without_blocks_gets_ascii(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over_time(root)
    text = results(root, encoding="ascii").output
    assert text.isascii()
    assert "->" in text and "o" in text and "|" in text
    assert "\\u" not in text


HOSTILE = "[red]x[/] \x1b[31m\x1b]0;title\x07 \u202egnp \U0001f4a5 <script>"


def test_hostile_text_stays_text(root: Path) -> None:
    quality = {"verdict": "warn", "checks": [{"id": HOSTILE, "verdict": "warn", "why": HOSTILE}]}
    add_run(
        root,
        cells=[PROSE],
        failed=[CODE],
        quality=quality,
        engine={"name": HOSTILE, "version": "x" * 10_000},
        verdict={"verdict": HOSTILE, "reasons": [HOSTILE * 1000]},
    )
    text = results(root, color=True).output
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "[red]x[/]" in text
    assert json.loads(results(root, "--json").output)["runs"][0]["quality_reasons"] == [f"{HOSTILE}: {HOSTILE}"]


def test_results_outlive_a_recipe_that_cannot_be_read(root: Path) -> None:
    add_run(root)
    (root / "recipes" / NAME / "recipe.yaml").write_text("schema: recipegen/v1\nname: [")
    assert PROSE in results(root).output
    assert data(root)["headline"] is None


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 8, "▁▂▃▄▅▆▇█"),
        ([8, 1], 8, "█▁"),
        ([1, 1, 2, 2, 8, 8], 3, "▁▂█"),
        ([5.0], 8, "▅"),
        ([100.0, 100.1, 99.9], 8, "▅▅▄"),
        ([0.0, 0.0], 8, "▅▅"),
        ([], 8, ""),
        ([1, 2], 0, ""),
    ],
)
def test_sparklines(values: Sequence[float], width: int, expected: str) -> None:
    assert sparkline(values, width) == expected


def test_a_sparkline_on_another_scale_ends_at_its_edges_and_has_an_ascii_form() -> None:
    assert sparkline([-100.0, 1e9], 5, scale=[1.0, 2.0]) == "▁█"
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8, blocks=False) == ".:-=+*#@"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((2.0, 5.0, 8.0), "··───●───·"),
        ((0.0, 0.0, 0.0), "●·········"),
        ((-5.0, 20.0, 30.0), "─────────●"),
    ],
)
def test_bars(found: tuple[float, float, float], expected: str) -> None:
    assert bar(*found, (0.0, 10.0), 10) == expected


def test_a_bar_has_an_ascii_form_and_a_scale_may_be_a_point() -> None:
    assert bar(2.0, 5.0, 8.0, (0.0, 10.0), 10, blocks=False) == "  ---o--- "
    assert bar(5.0, 5.0, 5.0, (5.0, 5.0), 5) == "··●··"
    assert bar(1.0, 1.0, 1.0, (0.0, 1.0), 0) == ""


def test_encodings() -> None:
    assert (
        shows_blocks("utf-8") and not shows_blocks("ascii") and not shows_blocks("no-such") and not shows_blocks(None)
    )
    assert encodable("a → b ✓", "utf-8") == "a → b ✓"
    assert encodable("−1 → b – ✓", "ascii") == encodable("−1 → b – ✓", None) == "-1 -> b - \\u2713"
    assert encodable("é ✓", "latin-1") == "é \\u2713"
    assert encodable("é", "no-such") == "\\xe9"
