"""INDEX.md and RESULTS.md: figures from raw reports, hand-written text kept, hostile words harmless."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recipegen.cli.results_text import figure_columns
from recipegen.errors import RecipegenError
from recipegen.files import sha256_file
from recipegen.publish.entry import IndexEntry
from recipegen.publish.figures import with_interval
from recipegen.publish.index import BEGIN, END, build_index
from recipegen.publish.listing import list_runs
from recipegen.publish.ratios import against_baseline
from recipegen.publish.results_page import build_results_page
from recipegen.publish.shown import Shown, shown_of
from recipegen.results.report import ReportCell
from recipegen.results.store import RunWriter, new_run
from recipegen.stats.summary import describe
from tests.unit.results_factory import NOBODY, benchmark, published, real_report, report, write_json

GOLDEN = Path(__file__).parent.parent / "golden" / "results"
CELL = "prose-pp2048-tg128-d0-c1"
COLUMNS = {
    "decode tg128 (tok/s)": "tg",
    "prefill pp2048 (tok/s)": "pp",
    "decode (tok/s)": "tg",
    "prefill (tok/s)": "pp",
}
"""Titles of columns to the short names that the tests use."""
GB10 = {"gpus": [{"name": "NVIDIA GB10"}]}
H100 = {"gpus": [{"name": "NVIDIA H100 80GB HBM3"}]}


def entry(root: Path, name: str = "tiny", **other: Any) -> IndexEntry:
    fields: dict[str, Any] = {
        "folder": root / "recipes" / name,
        "link": f"recipes/{name}",
        "title": "Tiny recipe",
        "status": "planned",
        "model": "owner/Tiny-NVFP4",
        "quantization": "NVFP4",
        "method": "DFlash",
        "headline": "dflash",
        "cell_id": CELL,
        "cell": ReportCell(2048, 128, 0, 1, False),
        "hardware": "DGX Spark (GB10)",
        "gpu": "GB10",
    }
    return IndexEntry(**{**fields, **other})


def measured(
    of: IndexEntry,
    hour: int = 7,
    shown: Any = None,
    machine: str = "gb10-128g",
    variant: str = "dflash",
    status: Any = "complete",
    host: Any = GB10,
    cell_id: str = CELL,
    cell_status: Any = "done",
    error: str | None = None,
    raw: Path | None = None,
    **other: Any,
) -> Path:
    """A run with one cell, as bench would leave it."""
    at = datetime(2026, 11, 21, hour, tzinfo=UTC)
    record = new_run(
        recipe={"name": of.name, "title": of.title, "spec_sha256": None, "kit_sha256": None},
        variant=variant,
        method="AR" if variant == "ar" else "DFlash",
        machine=machine,
        started=at,
        llama_benchy="0.4.0",
    )
    record.update(host=host, **other)
    writer = RunWriter(of.folder, record, NOBODY)
    path = writer.folder / f"{cell_id}.json"
    shown = shown or benchmark()
    if cell_status == "done":
        path.write_bytes(raw.read_bytes()) if raw else write_json(path, report(shown))
    writer.add_cell(
        {
            "id": cell_id,
            "corpus": "prose",
            "corpus_sha256": None,
            "pp": shown["prompt_size"],
            "tg": shown["response_size"],
            "depth": shown["context_size"],
            "concurrency": shown["concurrency"],
            "thinking": "default",
            "runs": 4,
            "status": cell_status,
            "argv": None,
            "error": error,
            "file": path.name if cell_status == "done" else None,
            "sha256": sha256_file(path) if cell_status == "done" else None,
            "started": "2026-11-21T07:01:00Z",
            "ended": f"2026-11-21T{hour:02}:05:00Z",
        }
    )
    writer.finish(status, ended=at.replace(minute=9))
    return writer.folder


def shown(one: IndexEntry) -> Shown:
    """What is shown of a recipe, as `recipegen index` reads it."""
    runs, problems = list_runs(one.folder)
    assert problems == []
    return shown_of(one, runs)


def index(entries: Iterable[IndexEntry], text: str = "") -> str:
    return build_index([shown(one).row for one in entries], text)


def page_of(one: IndexEntry) -> str:
    return build_results_page(shown(one))


def row(one: IndexEntry) -> dict[str, str]:
    """The recipe's row by its columns' titles, the group that it stands in under `group`."""
    return table_rows(index([one]))[one.name]


def table_rows(text: str) -> dict[str, dict[str, str]]:
    """Every row of the table, by recipe."""
    found, group, head = {}, "", []
    for line in text.split("\n"):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("### "):
            group = line[4:]
        if line.startswith("| recipe |"):
            head = [COLUMNS.get(cell, cell) for cell in cells]
        if line.startswith("| ["):
            found[cells[0].split("]")[0][1:]] = {**dict(zip(head, cells, strict=True)), "group": group}
    return found


def golden(name: str, text: str) -> None:
    """Holds a text against tests/golden/results; RECIPEGEN_UPDATE_GOLDEN=1 writes it anew."""
    path = GOLDEN / name
    if os.environ.get("RECIPEGEN_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def example(root: Path) -> list[IndexEntry]:
    """Recipes of all kinds: measured, published only, neither, and one for any CPU."""
    figures = (
        published(),
        published(value=88.24, corpus="codegen", note="same server"),
        published(metric="pp", pp=2048, tg=32, value=2575.12, stat="mean", n=None, corpus=None, thinking="default"),
        published(variant="ar", value=42.98),
    )
    own = entry(root, "b-measured", title="Measured | here", status="measured", published=figures)
    measured(own, image={"ref": "recipegen/b-measured:dflash", "id": "sha256:" + "a" * 64})
    measured(own, hour=6, variant="ar", machine="h100-80g", host=H100)
    measured(own, hour=8, status="failed", cell_status="failed", error="server exited with 137\nKilled |")
    only = entry(root, "a-published", published=figures[:1])
    cpu = entry(root, "c-cpu", method="AR", headline="ar", hardware="any CPU", gpu=None, quantization="none")
    measured(cpu, variant="ar", machine="cpu-x86-64-2c", host={"gpus": []})
    return [own, only, cpu, entry(root, "d-nothing", title="Nothing yet")]


def test_the_whole_index(tmp_path: Path) -> None:
    golden("INDEX.md", index(example(tmp_path), "# Recipes\n\nHand-written.\n"))


def test_the_whole_results_page(tmp_path: Path) -> None:
    own = example(tmp_path)[0]
    golden("RESULTS.md", page_of(own))


def test_the_order_given_does_not_matter(tmp_path: Path) -> None:
    entries = example(tmp_path)
    assert index(entries) == index(reversed(entries)) == index(entries)
    runs, _ = list_runs(entries[0].folder)
    one, other = (build_results_page(shown_of(entries[0], given)) for given in (runs, reversed(runs)))
    assert one == other


def test_warm_median_and_n(tmp_path: Path) -> None:
    one = entry(tmp_path)
    measured(one, shown=benchmark(tgs=[1.0, 10.0, 20.0, 30.004], pps=[1.0, 100.0]))
    got = row(one)
    assert (got["tg"], got["pp"]) == (
        "20 (10.0–30.0, n=3, few-samples)",
        "100.00 (n=1, few-samples)",
    )
    assert (got["last run"], got["group"]) == ("2026-11-21 on gb10-128g", "Measured here: DGX Spark (GB10)")


@pytest.mark.parametrize(
    ("median", "low", "high", "shown"),
    [
        (36.12, 35.47, 36.77, "36.1 (35.47–36.77)"),  # give or take 0.65
        (36.12, 36.05, 36.19, "36.12 (36.05–36.19)"),
        (42.976, 42.975, 42.977, "42.98 (42.98–42.98)"),
        (42.976, 42.976, 42.976, "42.98 (42.98–42.98)"),
        (49.64, 47.78, 56.84, "50 (47.8–56.8)"),
        (103.6, 81.98, 180.37, "100 (82–180)"),
        (7022.39, 6900.82, 8284.53, "7000 (6900–8280)"),
        (7578.57, 5576.23, 7830.19, "7600 (5580–7830)"),  # give or take 1127: 8000 would lie outside
        (10.45, 10.45, 17.65, "10.45 (10.45–17.65)"),  # 10 and 10.4 would, too
        (2871.24, 2868.1, 2874.9, "2871 (2868.1–2874.9)"),
        (0.4, 0.1, 60.1, "0.4 (0.10–60.10)"),
    ],
)
def test_a_figure_has_no_digits_that_its_interval_does_not_carry(
    median: float, low: float, high: float, shown: str
) -> None:
    known = replace(describe([1.0, 2.0, 3.0]), median=median, low=low, high=high)
    assert with_interval(known) == shown
    assert with_interval(describe([36.123])) == "36.12"


def test_index_results_page_and_listing_round_alike(tmp_path: Path) -> None:
    one = entry(tmp_path)
    measured(one, shown=benchmark(tgs=[1.0, 35.47, *[36.12] * 3, 36.77]))
    assert row(one)["tg"].startswith("36.1 (35.47–36.77, n=5")
    assert "| 36.1 (35.47–36.77) | 36.1 | 0.41 |" in page_of(one)
    (run,) = list_runs(one.folder)[0]
    assert figure_columns(run.cells[0].figures["tg"]) == ("36.1", "35.47 to 36.77")


def test_a_real_report(tmp_path: Path) -> None:
    raw = real_report("qwen36-35b-a3b-dflash-spark/results/result-sherlock-thinkON.json")
    one = entry(tmp_path, cell=ReportCell(128, 128, 0, 1, False), published=(published(),))
    measured(one, shown=benchmark(pp=128), raw=raw)
    got = row(one)
    assert (got["tg"], got["pp"]) == (
        "100 (82–180, n=29, wide-interval)",
        "847 (835.0–855.1, n=29, pp128)",
    )
    assert "102.05" not in index([one]) and "102.05" in page_of(one)


def test_the_newest_run_of_the_headline_variant_counts(tmp_path: Path) -> None:
    one = entry(tmp_path)
    for hour, rate, options in [
        (3, 30.0, {}),
        (9, 90.0, {"variant": "ar"}),
        (8, 80.0, {"status": "interrupted"}),
        (7, 70.0, {"status": "running"}),
        (6, 60.0, {"cell_id": "code-pp2048-tg128-d0-c1"}),
        (5, 50.0, {"status": "failed", "cell_status": "failed"}),
        (4, 40.0, {"status": "partial", "machine": "gb10-64g"}),
    ]:
        measured(one, hour=hour, shown=benchmark(tgs=[rate]), **options)
    assert row(one)["tg"] == "40.00 (n=1, few-samples)"


def test_own_hardware_goes_before_newer_runs_elsewhere(tmp_path: Path) -> None:
    one = entry(tmp_path)
    measured(one, hour=8, shown=benchmark(tgs=[80.0]), machine="h100-80g", host=H100)
    measured(one, hour=7, shown=benchmark(tgs=[70.0]), machine="cpu-x86-64", host={"gpus": []})
    got = row(one)
    assert (got["tg"], got["last run"]) == ("80.00 (n=1, few-samples)", "2026-11-21 on h100-80g")
    assert got["group"] == "Measured here, on other hardware"
    measured(one, hour=3, shown=benchmark(tgs=[30.0]))
    assert (row(one)["tg"], row(one)["last run"]) == ("30.00 (n=1, few-samples)", "2026-11-21 on gb10-128g")


@pytest.mark.parametrize(("machine", "own"), [("gb10-128g", True), ("my-GB10", True), ("h100-80g", False)])
def test_without_facts_the_machines_name_tells(tmp_path: Path, machine: str, own: bool) -> None:
    one = entry(tmp_path)
    measured(one, machine=machine, host=None, origin="collected")
    got = row(one)
    assert got["tg"] == "41.0 (40.00–42.00, n=3, few-samples, collected)"
    assert (got["group"] != "Measured here, on other hardware") is own


def test_other_shapes_say_so(tmp_path: Path) -> None:
    one = entry(tmp_path)
    one = replace(one, cell=ReportCell(512, 32, 4096, 4, False))
    measured(one, shown=benchmark(pp=512, tg=32, depth=4096, concurrency=4))
    got = row(one)
    assert got["tg"] == "41.0 (40.00–42.00, n=3, few-samples, tg32, c4, d4096)"
    assert got["pp"] == "950 (900–1000, n=3, few-samples, pp512, c4, d4096)"


def test_a_metric_without_samples(tmp_path: Path) -> None:
    one = entry(tmp_path)
    measured(one, shown=benchmark(tg_throughput=None))
    assert (row(one)["tg"], row(one)["pp"]) == ("–", "950 (900–1000, n=3, few-samples)")
    assert "| 0/3/3 | – | – | – | 950 (900–1000) |" in page_of(one)


def test_what_the_servers_counters_did_not_say_is_told(tmp_path: Path) -> None:
    one = entry(tmp_path)
    folder = measured(one)
    record = json.loads((folder / "run.json").read_text())
    record["cells"][0]["server_note"] = "the server's counters were not seen | why"
    (folder / "run.json").write_text(json.dumps(record))
    assert f"- {CELL}: the server's counters were not seen \\| why" in page_of(one)


def test_several_requests_at_a_time_show_their_share(tmp_path: Path) -> None:
    one = entry(tmp_path)
    shares = {"mean": 11.0, "std": 1.0, "values": [2.0, 10.0, 11.0, 12.0]}
    measured(one, shown=benchmark(concurrency=4, tg_req_throughput=shares))
    page = page_of(one)
    assert "each of the 4 requests decodes at 11.0 (10.00–12.00) tok/s" in page
    other = entry(tmp_path, "one-at-a-time")
    measured(other)
    assert "each of the" not in page_of(other)


@pytest.mark.parametrize(("verdict", "shown"), [("pass", "✅ pass"), ("warn", "⚠️ warn"), (None, "– not asked")])
def test_the_quality_of_the_run_stands_in_its_row(tmp_path: Path, verdict: str | None, shown: str) -> None:
    one = entry(tmp_path)
    measured(one, quality={"verdict": verdict, "checks": []} if verdict else None)
    assert row(one)["quality"] == shown


def test_a_server_that_answers_nonsense_makes_no_row_and_is_named(tmp_path: Path) -> None:
    one = entry(tmp_path)
    measured(one, quality={"verdict": "fail", "checks": []})
    assert (row(one)["group"], row(one)["status"]) == ("Without figures yet", "📝 planned; quality fail")
    measured(one, hour=6, quality={"verdict": "pass", "checks": []})
    assert (row(one)["tg"][:4], row(one)["quality"]) == ("41.0", "✅ pass")


def test_published_figures_prefer_the_headline_cells_shape(tmp_path: Path) -> None:
    one = entry(tmp_path, published=(published(value=1.0), published(value=2.0, pp=2048), published(variant="ar")))
    assert row(one)["tg"] == "[2.00](https://example.org/result) tg128"
    assert row(one)["conditions"] == "median, n=29, pp2048 tg128 d0, sherlock, thinking on"
    other = row(entry(tmp_path, published=(published(variant="ar"),)))
    assert (other["tg"], other["conditions"]) == ("–", "other figures: [README](recipes/tiny/README.md)")


def test_published_figures_never_stand_among_measured_ones(tmp_path: Path) -> None:
    others, own = entry(tmp_path, "others", published=(published(),)), entry(tmp_path, "own", published=(published(),))
    measured(own)
    text = index([others, own])
    got = table_rows(text)
    assert got["others"]["group"] == "Published by others, not measured here" and "102.05" in got["others"]["tg"]
    assert got["own"]["group"].startswith("Measured here") and "102.05" not in " ".join(got["own"].values())
    assert text.startswith(f"{BEGIN}\n\n2 recipes: 1 measured here, 1 of them on the hardware")


def test_speed_up_over_the_baseline_of_the_same_machine(tmp_path: Path) -> None:
    one = entry(tmp_path, baseline="ar")
    fast = [50.0, *(84.0 + n / 10 for n in range(12))]
    slow = [50.0, *(42.0 + n / 20 for n in range(12))]
    measured(one, shown=benchmark(tgs=fast))
    measured(one, hour=6, variant="ar", machine="gb10-64g", shown=benchmark(tgs=[9.0] * 12))
    assert row(one)["× baseline"] == "–"  # the baseline's run is another machine's
    measured(one, hour=6, variant="ar", shown=benchmark(tgs=slow))
    assert re.fullmatch(r"2\.00 \((1\.9\d|2\.00)–2\.0\d\)", row(one)["× baseline"])
    speed_up = shown(one).row.speed_up
    assert speed_up is not None and (speed_up.baseline, speed_up.effect) == ("ar", "faster")


def test_a_pair_counts_each_round_once_wherever_its_ratio_is_shown(tmp_path: Path) -> None:
    one = entry(tmp_path, baseline="ar")
    for turn, rate in enumerate((80.0, 84.0, 88.0)):
        pair = {"id": "p1", "round": turn}
        measured(one, hour=3 + turn, shown=benchmark(tgs=[1.0, rate - 1, rate, rate + 1]), pair=pair)
        measured(one, hour=3 + turn, variant="ar", shown=benchmark(tgs=[1.0, 39.0, 40.0, 41.0]), pair=pair)
    read = shown(one)
    assert read.row.speed_up is not None and read.row.speed_up.ratio == pytest.approx((2.0 * 2.1 * 2.2) ** (1 / 3))
    (decode,) = [found for found in against_baseline(read.runs, "ar", "gb10-128g") if found.metric == "tg"]
    assert (decode.ratio, decode.low, decode.high) == (
        read.row.speed_up.ratio,
        read.row.speed_up.low,
        read.row.speed_up.high,
    )


def test_a_baseline_in_doubt_is_none(tmp_path: Path) -> None:
    one = entry(tmp_path, baseline="ar")
    measured(one)
    folder = measured(one, hour=6, variant="ar")
    assert shown(one).row.speed_up is not None
    record = json.loads((folder / "run.json").read_text())
    record["cells"][0]["verdict"] = {"verdict": "too-slow", "reasons": ["another process had the GPU"]}
    (folder / "run.json").write_text(json.dumps(record))
    assert shown(one).row.speed_up is None


def test_the_last_run_is_the_newest_and_the_figures_say_their_own_day(tmp_path: Path) -> None:
    one = entry(tmp_path)
    folder = measured(one)
    failed = measured(one, hour=9, status="failed", cell_status="failed")
    record = json.loads((failed / "run.json").read_text())
    (failed / "run.json").write_text(json.dumps({**record, "ended": "2026-11-30T07:00:00Z"}))
    assert row(one)["last run"] == "2026-11-30, figures of 2026-11-21 on gb10-128g"
    assert shown(one).row.run == folder.name


def test_rows_stand_by_hardware_then_the_fastest_first(tmp_path: Path) -> None:
    for name, rate, hardware in [("a", 10.0, "B"), ("b", 30.0, "B"), ("c", 20.0, "A"), ("d", 40.0, "B")]:
        measured(entry(tmp_path, name, hardware=hardware), shown=benchmark(tgs=[rate]))
    entries = [entry(tmp_path, name, hardware=box) for name, box in (("a", "B"), ("b", "B"), ("c", "A"), ("d", "B"))]
    assert list(table_rows(index(entries))) == ["c", "d", "b", "a"]


HOSTILE = [
    "a | b || c",
    "a \\| b",
    "`code` ``more``",
    "<script>alert(1)</script>",
    "<!-- recipegen:index:end -->",
    "[x](javascript:alert(1)) ![y](z)",
    "\u202eevil\u202c \u200f",
    "line\nbreak\r\n\u2028| x | y |",
    "$(id) ${HOME} $x^2$",
    "@someone #1 https://example.org",
    "- item",
    "*bold* _it_ ~~no~~",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_in_their_cell(tmp_path: Path, words: str) -> None:
    note = published(corpus=words, note=words, source="https://example.org/a)b|c`<d>")
    one = entry(tmp_path, title=words, model=words, quantization=words, method=words, published=(note,))
    measured(one, machine="h100", host=H100, error=words, cell_status="done")
    text = index([one], "before\n")
    assert len(text.split("\n")) == len(index([entry(tmp_path, published=(published(),))], "before\n").split("\n"))
    assert len(table_rows(text)) == 1
    assert [line.strip() for line in text.splitlines()].count(END) == 1
    assert not re.search(r"<(?!!-- recipegen:index:(begin|end) -->)", text)
    assert not re.search("[\u202a-\u202e\u200e\u200f\u2028]", text)
    assert index([one], text) == text
    page = page_of(one)
    assert (
        len({len(re.split(r"(?<!\\)\|", line)) for line in page.split("\n") if line.startswith(f"| {CELL[:5]}")}) == 1
    )
    assert "<script" not in page and "\u202e" not in page


def test_a_hostile_folder_of_results(tmp_path: Path) -> None:
    one = entry(tmp_path)
    folder = measured(one, machine="h100", host=H100)
    folder.parent.rename(folder.parent.with_name("a | [b](c)\n<d>"))
    assert row(one)["last run"].startswith("2026-11-21 on a \\|")
    page = page_of(one)
    assert "results/a%20%7C%20%5Bb%5D%28c%29%0A%3Cd%3E/" in page


def test_text_around_the_table_is_kept_byte_for_byte(tmp_path: Path) -> None:
    one = entry(tmp_path)
    before, after = "# Mine\r\n\x0c\u2028\r\n \t", " \t\r\nand `" + END + "` in prose\r\nno line end"
    text = index([one], f"{before}{BEGIN}\r\nold\r\n{END}{after}")
    assert text.startswith(before + BEGIN + "\r\n") and text.endswith(END + after)
    assert "old" not in text and "\n" not in text.replace("\r\n", "")
    assert index([one], text) == text


@pytest.mark.parametrize("start", ["", "# Mine\n", "# Mine", "# Mine\r\n"])
def test_a_file_without_markers_gets_the_table_after_it(tmp_path: Path, start: str) -> None:
    text = index([entry(tmp_path)], start)
    assert text.startswith(start) and text.count(BEGIN) == text.count(END) == 1
    assert text.endswith("\n") and index([entry(tmp_path)], text) == text
    if start:
        assert text.removeprefix(start).lstrip("\r\n").startswith(BEGIN)
        assert re.match(r"(\r?\n)+", text.removeprefix(start))


@pytest.mark.parametrize(
    "text",
    [
        f"{BEGIN}\n",
        f"{END}\n",
        f"{END}\n{BEGIN}\n",
        f"{BEGIN}\n{BEGIN}\n{END}\n",
        f"{BEGIN}\n{END}\n{END}\n",
        f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n",
    ],
)
def test_broken_markers_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipegenError, match="markers are broken") as caught:
        index([entry(tmp_path)], text)
    assert "leave one line" in caught.value.hint


def test_every_broken_record_is_reported(tmp_path: Path) -> None:
    gone, edited, newer, fine = (entry(tmp_path, name) for name in ("gone", "edited", "newer", "fine"))
    (measured(gone) / f"{CELL}.json").unlink()
    raw = measured(edited) / f"{CELL}.json"
    raw.write_text(raw.read_text().replace("42.0", "99.0"))
    record = measured(newer) / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "format": "recipegen-run/9"}))
    measured(fine)
    problems = [str(problem) for one in (gone, edited, newer, fine) for problem in list_runs(one.folder)[1]]
    text = "\n".join(problems)
    assert len(problems) == 3
    assert "No such file" in text and "SHA-256 differs" in text and "recipegen-run/9" in text


def test_every_report_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = entry(tmp_path, baseline="ar")
    for hour in range(5):
        measured(one, hour=hour)
        measured(one, hour=hour, variant="ar")
    opened: list[str] = []
    really = os.open

    def watch(path: Any, *args: Any, **options: Any) -> int:
        opened.append(str(path))
        return really(path, *args, **options)

    monkeypatch.setattr(os, "open", watch)
    read = shown(one)
    build_index([read.row])
    build_results_page(read)
    reports = [path for path in opened if path.endswith(f"{CELL}.json")]
    assert len(reports) == 10 and len(set(reports)) == 10


def test_an_empty_repository() -> None:
    text = index([])
    assert text.startswith(BEGIN) and "There is no recipe yet" in text


def test_a_page_without_runs(tmp_path: Path) -> None:
    text = page_of(entry(tmp_path))
    assert "Nothing has been measured yet." in text and "Published elsewhere" not in text
    assert text.endswith("\n") and not text.endswith("\n\n")
