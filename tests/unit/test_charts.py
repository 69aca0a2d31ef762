"""Charts: what they show, files that are the same everywhere, hostile words, what is written and what is removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from recipegen.errors import RecipegenError
from recipegen.publish import tables
from recipegen.publish.charts.beside import compare_spec
from recipegen.publish.charts.chart import Chart
from recipegen.publish.charts.over_time import history_chart
from recipegen.publish.charts.samples import acceptance_chart, line_chart, memory_chart, samples_chart
from recipegen.publish.charts.svg import WIDTH, is_current, is_ours, svg
from recipegen.publish.charts.theme import GROUND, LINES, PALETTE, TEXT, config
from recipegen.publish.history import histories, of_headline
from recipegen.publish.shown import Shown, read_shown
from recipegen.publish.tables import write_charts, write_index
from recipegen.workspace import Workspace
from tests.support.rich_results import HOSTILE, RECIPE, add_recipe, add_run, made_repository, speeds
from tests.support.scenario import ROOT

ALL = [
    "samples-tg",
    "samples-pp",
    "depth-tg",
    "depth-pp",
    "concurrency-tg",
    "concurrency-pp",
    "acceptance",
    "memory",
    "baseline",
    "history-tg",
    "history-pp",
]
SVG = "{http://www.w3.org/2000/svg}"
Spec = Mapping[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_repository(tmp_path_factory.mktemp("charts") / "repository")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may write into."""
    return Path(shutil.copytree(made, tmp_path / "repository"))


@pytest.fixture(scope="module")
def written(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after `recipegen index`."""
    root = Path(shutil.copytree(made, tmp_path_factory.mktemp("written") / "repository"))
    write_index(Workspace.open(root))
    return root


@pytest.fixture
def indexed(written: Path, tmp_path: Path) -> Path:
    """A copy of that which a test may write into."""
    return Path(shutil.copytree(written, tmp_path / "repository"))


@pytest.fixture(scope="module")
def rich(made: Path) -> Shown:
    return shown(made, "made-rich")


def shown(root: Path, name: str) -> Shown:
    workspace = Workspace.open(root)
    found, problems = read_shown(workspace, workspace.spec(name))
    assert problems == []
    return found


def chart(of: Shown, name: str) -> Chart:
    return next(one for one in of.charts if one.id == name)


def encodings(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """Every channel of a spec, of all its layers."""
    yield from spec.get("encoding", {}).items()
    for layer in spec.get("layer", ()):
        yield from encodings(layer)


def values(spec: Spec) -> Iterator[Spec]:
    yield from spec.get("data", {}).get("values", ())
    for layer in spec.get("layer", ()):
        yield from values(layer)


def texts(drawing: bytes) -> list[str]:
    tree = ElementTree.fromstring(drawing)
    return ["".join(one.itertext()) for one in tree.iter(f"{SVG}text")]


def test_a_rich_recipe_has_every_chart(rich: Shown) -> None:
    assert [one.id for one in rich.charts] == ALL
    assert list(rich.row.charts) == [f"recipes/made-rich/charts/{name}.svg" for name in ALL]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("made-single", ["samples-tg", "samples-pp", "memory"]), ("made-failed", []), ("made-nothing", [])],
)
def test_charts_only_of_what_there_is(made: Path, name: str, expected: list[str]) -> None:
    found = shown(made, name)
    assert [one.id for one in found.charts] == expected
    for one in found.charts:
        ElementTree.fromstring(svg(one))


@pytest.mark.parametrize("name", ALL)
def test_a_chart_says_in_words_and_in_a_table_what_it_draws(rich: Shown, name: str) -> None:
    one = chart(rich, name)
    assert one.description.endswith(".")
    assert any(char.isdigit() for char in one.description), "the main figures"
    assert one.rows
    assert {len(row) for row in one.rows} == {len(one.columns)}


def test_the_table_has_every_sample_in_order(rich: Shown) -> None:
    run = next(run for run in rich.runs if run.run == rich.row.run)
    samples = next(cell for cell in run.cells if cell.id == rich.row.cell).samples["tg"]
    rows = [row for row in chart(rich, "samples-tg").rows if row[0] == "dflash"]
    assert [row[2] for row in rows] == [f"{value:.2f}" for value in samples]
    assert [row[3] for row in rows] == ["cold"] + ["yes"] * 12


@pytest.mark.parametrize("name", ALL)
def test_rates_begin_at_zero_and_a_cut_axis_says_so(rich: Shown, name: str) -> None:
    cut = set()
    for channel, told in encodings(chart(rich, name).spec):
        figures = channel in ("x", "y") and "tok/s" in str(told.get("title")) and "scale" in told
        if figures and not told["scale"].get("zero"):
            cut.add(told["title"])
    assert bool(cut) == name.startswith("history")
    assert all("not from zero" in title for title in cut)


@pytest.mark.parametrize("name", ALL)
def test_color_is_never_the_only_sign(rich: Shown, name: str) -> None:
    channels = {channel for channel, told in encodings(chart(rich, name).spec) if told.get("field") != "kind"}
    assert "color" not in channels or channels & {"shape", "strokeDash", "xOffset"}


def test_a_variant_has_the_same_color_in_every_chart(rich: Shown) -> None:
    def domain(name: str) -> list[str]:
        found = [told["scale"]["domain"] for at, told in encodings(chart(rich, name).spec) if at == "color"]
        return list(found[0])

    # ar drafts nothing, and still holds its place.
    assert domain("acceptance") == domain("samples-tg") == domain("memory") == ["dflash", "ar", "mtp"]


def test_contrast_on_both_grounds() -> None:
    """WCAG 2.2: 3:1 for what is drawn (1.4.11), 4.5:1 for texts (1.4.3)."""
    for theme, ground in GROUND.items():
        for color in PALETTE:
            assert contrast(color, ground) >= 3, (theme, color)
        assert contrast(TEXT[theme], ground) >= 4.5
    assert len(set(PALETTE)) == len(PALETTE) == 8


def contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ALL)
def test_a_file_is_plain_accessible_and_of_the_themes_colors(rich: Shown, name: str) -> None:
    one = chart(rich, name)
    drawing = svg(one)
    tree = ElementTree.fromstring(drawing)
    assert tree.get("role") == "img"
    assert tree.get("width") == str(WIDTH)
    assert [tree[0].text, tree[1].text] == [one.title, one.description]
    used = {node.tag.removeprefix(SVG) for node in tree.iter()}
    assert used <= {"svg", "title", "desc", "style", "g", "path", "rect", "line", "text", "tspan"}
    colors = {node.get(which) for node in tree.iter() for which in ("fill", "stroke")}
    known = {*PALETTE, TEXT["light"], LINES["light"], GROUND["light"], "none", "transparent", None}
    assert colors <= known, "a color that the dark style does not know"
    for attribute in (name for node in tree.iter() for name in node.attrib):
        assert "href" not in attribute
        assert not attribute.startswith("on")
    assert b"url(" not in drawing


def test_the_dark_style_turns_ground_text_and_lines(rich: Shown) -> None:
    style = ElementTree.fromstring(svg(chart(rich, "samples-tg"))).find(f"{SVG}style")
    assert style is not None
    for pair in (GROUND, TEXT, LINES):
        assert pair["light"] in str(style.text)
        assert pair["dark"] in str(style.text)


def test_the_same_bytes_twice_and_with_other_fonts(rich: Shown, tmp_path: Path) -> None:
    """Where nothing is known of any font a chart is laid out alike: its first family is inside vl-convert."""
    one = chart(rich, "baseline")
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>")
    (tmp_path / "chart.json").write_text(json.dumps([one.id, one.title, one.description, one.spec]))
    code = (
        "import json, sys\n"
        "from recipegen.publish.charts.chart import Chart\n"
        "from recipegen.publish.charts.svg import svg\n"
        "sys.stdout.buffer.write(svg(Chart(*json.load(open(sys.argv[1])), (), ())))"
    )
    path = os.pathsep.join([str(ROOT / "generator"), os.environ.get("PYTHONPATH", "")])
    env = {"PYTHONPATH": path, "HOME": str(tmp_path), "FONTCONFIG_FILE": str(tmp_path / "fonts.conf"), "LANG": "C"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "chart.json")],
        env=env,
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert svg(one) == svg(one) == done.stdout


@pytest.mark.parametrize("name", ["smoke-llamacpp", "smoke-vllm-cpu"])
def test_committed_charts_come_out_byte_for_byte(name: str) -> None:
    """`recipegen index --check` goes by the hashes in a file; here each is drawn anew."""
    found = shown(ROOT, name)
    assert found.charts
    for one in found.charts:
        assert (ROOT / "recipes" / name / "charts" / f"{one.id}.svg").read_bytes() == svg(one), one.id


WORDS = {**HOSTILE, "surrogate": "a\ud800b", "control": "a\x00\x1bb\ufffe", "expression": "'+datum.x+'\\n${x}"}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_hostile_words_stay_text(rich: Shown, words: str) -> None:
    cell = next(cell for cell in rich.runs[-1].cells if cell.figures)
    one = samples_chart({words: cell, "ar": cell}, "tg")
    assert one is not None
    tree = ElementTree.fromstring(svg(one))
    used = {node.tag.removeprefix(SVG) for node in tree.iter()}
    assert used <= {"svg", "title", "desc", "style", "g", "path", "rect", "line", "text", "tspan"}
    assert {row[0] for row in one.rows} == {words, "ar"}, "the table has the whole name"
    drawn = "".join(texts(svg(one)))
    assert not set(drawn) & set("\u202e\u202c\u200f\x00\x1b\ufffe")
    assert len(drawn) < 1000, "a long name is cut in the drawing"
    if words == HOSTILE["long"]:
        assert "…" in drawn


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_hostile_versions_of_an_engine(rich: Shown, words: str) -> None:
    series = of_headline(histories(rich.runs), "dflash", rich.row.cell)[0]
    points = tuple(replace(point, engine=words if at % 2 else "vllm 1") for at, point in enumerate(series.points))
    one = history_chart(replace(series, points=points))
    assert one is not None
    ElementTree.fromstring(svg(one))
    assert {row[2] for row in one.rows} == {words, "vllm 1"}


@pytest.mark.parametrize(
    "counted",
    [
        {},
        {"derived": None, "host": 3},
        {"derived": {"acceptance_per_position": "0.5"}, "host": {"t": 1, "used_bytes": {}}},
        {
            "derived": {"acceptance_per_position": [None, True, 1.5, -1, float("nan"), "x"]},
            "host": {"t": [None, "a", float("inf")], "used_bytes": [1, 2, 3]},
        },
    ],
)
def test_counters_that_are_none_make_no_chart(counted: dict[str, Any]) -> None:
    assert acceptance_chart({"dflash": counted}) is None
    assert memory_chart({"dflash": counted}, "cell") is None


def test_a_position_without_a_figure_is_left_out() -> None:
    one = acceptance_chart({"mtp": {"derived": {"acceptance_per_position": [0.9, None, 0.4]}}})
    assert one is not None
    assert one.rows == (("mtp", "1", "90.0%"), ("mtp", "3", "40.0%"))


def test_thinned_memory_keeps_its_peak() -> None:
    used = [20 << 30] * 3600
    used[1777] = 100 << 30
    one = memory_chart({"ar": {"host": {"t": list(range(3600)), "used_bytes": used}}}, "cell")
    assert one is not None
    points = list(values(one.spec))
    assert len(points) <= 300
    assert max(point["gib"] for point in points) == 100
    assert "100.0 GiB" in one.description


def test_depths_of_an_older_run_are_shown_beside_a_newer_headline(root: Path) -> None:
    folder = root / "recipes" / "made-rich"
    add_run(folder, "dflash", 9, [("d0", 0, 1, speeds(120.0, 1))])
    found = shown(root, "made-rich")
    rows = [row for row in chart(found, "depth-tg").rows if row[0] == "dflash"]
    assert [row[1] for row in rows] == ["0", "4,096", "32,768", "98,304"]
    assert rows[0][2].startswith(("119", "120", "121")), "the newest of each cell"


def test_a_single_depth_is_no_course(rich: Shown) -> None:
    cell = next(cell for run in rich.runs for cell in run.cells if cell.id == rich.row.cell and cell.figures)
    assert line_chart({"dflash": [cell]}, "depth", "tg", cell) is None


def test_a_server_that_answers_nonsense_is_in_no_chart(root: Path) -> None:
    run = add_run(root / "recipes" / "made-rich", "dflash", 9, [("d0", 0, 1, speeds(500.0, 1))])
    record = json.loads((run / "run.json").read_text())
    record["quality"] = {"verdict": "fail", "checks": []}
    (run / "run.json").write_text(json.dumps(record))
    found = shown(root, "made-rich")
    for name in ("samples-tg", "depth-tg", "history-tg", "baseline"):
        drawn = [one.get("value", one.get("median", 0)) for one in values(chart(found, name).spec)]
        assert max(drawn) < 400, name


def test_a_doubtful_figure_is_called_one(rich: Shown) -> None:
    cell = next(cell for cell in rich.runs[-1].cells if cell.figures)
    one = samples_chart({"dflash": replace(cell, verdict="too-fast")}, "tg")
    assert one is not None
    assert "too-fast" in one.description


@pytest.mark.parametrize("metric", ["tg", "pp", "ttfr"])
def test_the_comparison_takes_data_of_a_page(metric: str) -> None:
    import vl_convert

    spec = compare_spec(metric)
    one = {"cell": "prose-pp2048-tg128-d0-c1", "side": "A", "median": 3.0, "low": 2.0, "high": 4.0}
    spec["data"] = {"values": [one, {**one, "side": "B", "median": 5.0}]}
    drawn = vl_convert.vegalite_to_svg({**spec, "width": 300}, config=config("dark"), allowed_base_urls=[])
    found = texts(drawn.encode())
    assert {"A", "B"} <= set(found)
    assert "prosepp2048-tg128d0-c1" in found, "the label's three lines are whole"


def test_a_second_time_nothing_is_drawn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shown(root, "made-rich")
    folder = root / "recipes" / "made-rich" / "charts"
    assert [path.name for path in write_charts(found, write=False)] == [f"{name}.svg" for name in ALL]
    assert not folder.exists(), "a check writes nothing"
    assert len(write_charts(found)) == len(ALL)
    monkeypatch.setattr(tables, "svg", lambda chart: pytest.fail("drawn again"))
    assert write_charts(found) == write_charts(found, write=False) == []


def test_an_edit_and_new_data_are_noticed(indexed: Path) -> None:
    found = shown(indexed, "made-rich")
    path = indexed / "recipes" / "made-rich" / "charts" / "samples-tg.svg"
    drawn = path.read_bytes()
    path.write_bytes(drawn.replace(b"</svg>", b"<!-- mine --></svg>"))
    assert write_charts(found, write=False) == [path]
    assert write_charts(found) == [path]
    assert path.read_bytes() == drawn
    add_run(indexed / "recipes" / "made-rich", "dflash", 9, [("d0", 0, 1, speeds(120.0, 1))])
    stale = {one.stem for one in write_charts(shown(indexed, "made-rich"))}
    assert {"samples-tg", "depth-tg", "history-tg", "baseline"} <= stale
    assert "concurrency-pp" in stale


def test_only_what_was_drawn_here_and_not_edited_is_removed(indexed: Path) -> None:
    found = shown(indexed, "made-rich")
    folder = indexed / "recipes" / "made-rich" / "charts"
    drawn = (folder / "memory.svg").read_bytes()
    (folder / "old.svg").write_bytes(drawn)
    (folder / "edited.svg").write_bytes(drawn.replace(b"</svg>", b" </svg>"))
    (folder / "theirs.svg").write_text("<svg/>")
    (folder / "notes.txt").write_bytes(drawn)
    (folder / "link.svg").symlink_to("old.svg")
    assert [path.name for path in write_charts(found, write=False)] == ["old.svg"]
    assert [path.name for path in write_charts(found)] == ["old.svg"]
    left = {path.name for path in folder.iterdir()} - {f"{name}.svg" for name in ALL}
    assert left == {"edited.svg", "theirs.svg", "notes.txt", "link.svg"}


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_others_put_in_a_charts_place_is_not_overwritten(root: Path, kind: str) -> None:
    path = root / "recipes" / "made-rich" / "charts" / "samples-tg.svg"
    path.parent.mkdir()
    if kind == "file":
        path.write_text("<svg/>")
    elif kind == "link":
        path.symlink_to(root / "INDEX.md")
    else:
        path.mkdir()
    with pytest.raises(RecipegenError) as caught:
        write_charts(shown(root, "made-rich"))
    assert "samples-tg.svg" in f"{caught.value} {caught.value.where}"
    assert (root / "INDEX.md").is_file()


def test_a_recipe_that_says_measured_has_what_its_readme_shows(indexed: Path) -> None:
    """Its README is rendered from recipe.yaml alone, and must show no broken image."""
    for name in ("made-nothing", "made-failed", "made-single", "made-rich"):
        for metric in ("tg", "pp"):
            drawing = (indexed / "recipes" / name / "charts" / f"samples-{metric}.svg").read_bytes()
            empty = name in ("made-nothing", "made-failed")
            assert empty == any("No run here" in text for text in texts(drawing)), name
    assert write_index(Workspace.open(indexed), write=False) == []
    add_recipe(indexed, "made-planned", RECIPE.replace("status: measured", "status: planned"))
    write_index(Workspace.open(indexed))
    assert not (indexed / "recipes" / "made-planned" / "charts").exists()


def test_the_stand_in_goes_when_there_are_samples(indexed: Path) -> None:
    path = indexed / "recipes" / "made-nothing" / "charts" / "samples-tg.svg"
    before = path.read_bytes()
    add_run(indexed / "recipes" / "made-nothing", "dflash", 3, [("d0", 0, 1, speeds(50.0, 1))])
    write_index(Workspace.open(indexed))
    after = path.read_bytes()
    assert is_ours(before)
    assert is_ours(after)
    assert after != before
    assert is_current(chart(shown(indexed, "made-nothing"), "samples-tg"), after)


def test_the_results_page_shows_each_chart_with_its_words(indexed: Path) -> None:
    page = (indexed / "recipes" / "made-rich" / "RESULTS.md").read_text()
    for name in ALL:
        assert f"](charts/{name}.svg)" in page
