"""compare and results: what a name means, which cells belong together, pairs, what differs, what is said."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.cli.compare import compare_command
from recipegen.cli.results import results_command
from recipegen.errors import EXIT_FINDINGS, EXIT_USAGE, RecipegenError, SpecError
from recipegen.files import sha256_file
from recipegen.publish.compare import Compared, Row, arguments, compare_sides
from recipegen.publish.listing import list_runs
from recipegen.publish.sides import Side, find_side
from recipegen.results.store import RunWriter, new_run
from recipegen.scaffold import init_repository, new_recipe
from recipegen.workspace import Workspace
from tests.unit.results_factory import NOBODY, benchmark, real_report, report, write_json

NAME = "qwen36-35b-dflash"
PROSE, CODE = "prose-pp2048-tg128-d0-c1", "code-pp2048-tg128-d0-c1"
SLOW = [10.0, *(40 + step / 10 for step in range(12))]
FAST = [10.0, *(50 + step / 10 for step in range(12))]
HOST = {"gpus": [{"name": "NVIDIA GB10", "driver": "580.95.05"}], "kernel": "6.17"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare") / "repo"
    init_repository(root)
    new_recipe(Workspace.open(root), NAME)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one recipe, and the current folder in it."""
    shutil.copytree(made, tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


def add_run(
    root: Path,
    variant: str = "dflash",
    *,
    hour: int = 7,
    tgs: Sequence[float] = FAST,
    cells: Sequence[str] = (PROSE,),
    failed: Sequence[str] = (),
    machine: str = "gb10-128g",
    status: Any = "complete",
    argv: Sequence[str] = ("vllm", "serve", "--max-num-seqs", "4"),
    verdict: dict[str, Any] | None = None,
    **other: Any,
) -> Path:
    """A run as bench would leave it."""
    at = datetime(2026, 11, 21, hour, tzinfo=UTC)
    record = new_run(
        recipe={"name": NAME, "title": "Tiny", "spec_sha256": "5" * 64, "kit_sha256": None},
        variant=variant,
        method="AR" if variant == "ar" else "DFlash",
        machine=machine,
        started=at,
        llama_benchy="0.4.0",
    )
    record["host"] = HOST
    record["engine"] = {"name": "vllm", "version": "0.19.0"}
    record["server"] = {"argv": list(argv), "env": {"VLLM_X": "1"}}
    record.update(other)  # type: ignore[typeddict-item]
    writer = RunWriter(root / "recipes" / NAME, record, NOBODY)
    for cell in (*cells, *failed):
        path = writer.folder / f"{cell}.json"
        good = cell not in failed
        if good:
            write_json(path, report(benchmark(tgs=tgs, pps=[rate * 20 for rate in tgs])))
        writer.add_cell(
            {
                "id": cell,
                "corpus": cell.partition("-")[0],
                "corpus_sha256": "a" * 64,
                "pp": 2048,
                "tg": 128,
                "depth": 0,
                "concurrency": 1,
                "thinking": "default",
                "runs": len(tgs),
                "status": "done" if good else "failed",
                "argv": ["llama-benchy", "--model", "tiny", "--latency-mode", "api", "--pp", "2048"],
                "error": None if good else "the server went away",
                "file": path.name if good else None,
                "sha256": sha256_file(path) if good else None,
                "started": "2026-11-21T07:01:00Z",
                "ended": "2026-11-21T07:05:00Z",
                "failed_requests": 0,
                **({"verdict": verdict} if verdict else {}),  # type: ignore[typeddict-item]
            }
        )
    writer.finish(status, ended=at.replace(minute=9))
    return writer.folder


def compared(a: Any, b: Any, *cells: str) -> Compared:
    return compare_sides(find_side(str(a), None), find_side(str(b), None), cells)


def row(found: Compared, metric: str = "tg", cell: str = PROSE) -> Row:
    (one,) = (row for row in found.rows if row.metric == metric and row.cell == cell)
    return one


def known(one: Row) -> tuple[float, float, float]:
    assert one.low is not None
    assert one.ratio is not None
    assert one.high is not None
    return one.low, one.ratio, one.high


def test_two_variants_of_a_recipe(root: Path) -> None:
    add_run(root, "ar", tgs=SLOW)
    add_run(root, "dflash", tgs=FAST, argv=["vllm", "serve", "--max-num-seqs", "2", "--x"])
    found = compared(f"{NAME}/ar", f"{NAME}/dflash")
    one = row(found)
    assert one.a is not None
    assert one.b is not None
    assert (one.a.median, one.a.n, one.b.median, one.b.n) == (40.55, 12, 50.55, 12)
    assert one.ratio == pytest.approx(50.55 / 40.55)
    low, ratio, high = known(one)
    assert 1.2 < low < ratio < high < 1.3
    assert (one.paired, one.effect) == (False, "faster")
    assert row(found, "ttfr").effect == "faster"  # a shorter time
    assert row(found, "ttfr").ratio == pytest.approx(40.55 / 50.55, rel=1e-3)
    assert [(one.what, one.a, one.b) for one in found.differences] == [
        ("variant", "ar", "dflash"),
        ("method", "AR", "DFlash"),
        ("flag --max-num-seqs", "4", "2"),
        ("flag --x", None, "set"),
    ]
    assert found.unknown == ()
    assert found.notes[0].startswith("each server was started once")


def test_the_environment_of_two_machines_is_listed(root: Path) -> None:
    add_run(root, hour=7)
    other = {"gpus": [{"name": "NVIDIA GB10", "driver": "590.1"}], "kernel": None}
    add_run(root, hour=8, machine="gx10-128g", host=other, engine={"name": "vllm", "version": "0.20.0"})
    found = compared(f"{NAME}/dflash@gb10-128g", f"{NAME}/dflash@gx10-128g")
    assert [(one.what, one.a, one.b) for one in found.differences] == [
        ("machine", "gb10-128g", "gx10-128g"),
        ("driver", "1x 580.95.05", "1x 590.1"),
        ("engine version", "0.19.0", "0.20.0"),
    ]
    assert found.unknown == ("of B: kernel",)


def test_the_newest_complete_run_is_meant_whatever_its_machine(root: Path) -> None:
    add_run(root, hour=9, machine="a-machine")
    newest = add_run(root, hour=11)
    add_run(root, hour=12, status="partial")
    assert find_side(f"{NAME}/dflash", None).folders == (newest,)
    assert find_side(NAME, None).folders == (newest,)  # the headline variant
    assert find_side(f"{NAME}/dflash@a-machine", None).folders[0].parent.name == "a-machine"
    assert find_side(f"{NAME}/20261121T120000Z-dflash", None).title.endswith(", partial")
    assert find_side(str(newest), None).folders == (newest,)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (f"{NAME}/mtp", "has no run and no measured variant 'mtp'", f"measured: {NAME}/dflash"),
        (f"{NAME}/dflash@mars", "has no run on a machine 'mars'", "there are runs on: gb10-128g, gx10-128g"),
        (f"{NAME}/ar", "has no complete run of 'ar'", "20261121T120000Z-ar (interrupted)"),
        (f"{NAME}/20261121T070000Z-dflash", "has several runs", "@gb10-128g"),
        (f"{NAME}/", "names nothing that can be compared", "NAME/VARIANT"),
        ("qwen36-35b-dflsh/ar", "there is no recipe", f"nearest: {NAME}"),
        (f"published:{NAME}/mtp", "has no variant 'mtp'", "dflash"),
    ],
)
def test_a_name_of_nothing_says_what_there_is(root: Path, given: str, message: str, hint: str) -> None:
    add_run(root, hour=7)
    add_run(root, hour=7, machine="gx10-128g")
    add_run(root, "ar", hour=12, status="interrupted")
    with pytest.raises(RecipegenError) as caught:
        find_side(given, None)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == EXIT_USAGE


def test_cells_that_only_one_has_are_named(root: Path) -> None:
    add_run(root, "ar", tgs=SLOW, failed=[CODE])
    add_run(root, "dflash", cells=[PROSE, CODE])
    found = compared(f"{NAME}/ar", f"{NAME}/dflash")
    assert {row.cell for row in found.rows} == {PROSE}
    assert found.only_a == (f"{CODE} (failed: the server went away)",)
    assert found.only_b == (CODE,)
    with pytest.raises(RecipegenError, match="no cell in common that --cell names") as caught:
        compared(f"{NAME}/ar", f"{NAME}/dflash", "code")
    assert CODE in caught.value.hint


def test_runs_measured_in_turn_are_pairs(root: Path) -> None:
    for turn in (1, 2, 3):
        pair = {"id": "p1", "round": turn, "rounds": 3}
        drift = 10 * turn  # what hits both of a round alike
        add_run(root, "ar", hour=6 + turn, tgs=[1.0, 40 + drift, 41 + drift, 42 + drift], pair=pair)
        two = [1.0, *(1.02 * (value + drift) for value in (40, 41, 42))]
        add_run(root, "dflash", hour=6 + turn, tgs=two, pair=pair)
    found = compared(f"{NAME}/ar", f"{NAME}/dflash")
    one = row(found)
    assert one.paired
    assert one.a is not None
    assert one.a.n == 9
    assert known(one) == pytest.approx((1.02, 1.02, 1.02))
    assert one.effect == "faster"
    assert one.rounds == pytest.approx((1.02, 1.02, 1.02))
    assert found.notes == (
        "paired: A and B were measured in turn, 3 rounds; each round counts once, however many samples it has",
    )
    assert "3 rounds" in found.a.title
    printed = CliRunner().invoke(compare_command, [f"{NAME}/ar", f"{NAME}/dflash"]).output
    assert "B to A, round by round: 1.020, 1.020, 1.020" in printed
    # One round alone is one run; of another round it is no partner.
    second = root / "recipes" / NAME / "results" / "gb10-128g" / "20261121T080000Z-dflash"
    alone = row(compared(f"{NAME}/20261121T080000Z-ar", second))
    assert (alone.paired, alone.low, alone.effect) == (True, None, "undecided")
    assert alone.words.startswith("nothing can be told from 1 round")
    assert not row(compared(f"{NAME}/20261121T070000Z-ar", second)).paired


def test_a_round_that_lost_samples_still_counts(root: Path) -> None:
    for turn in (1, 2, 3):
        pair = {"id": "p1", "round": turn, "rounds": 3}
        add_run(root, "ar", hour=6 + turn, tgs=SLOW, pair=pair)
        add_run(root, "dflash", hour=6 + turn, tgs=FAST[: 13 - turn], pair=pair)
    one = row(compared(f"{NAME}/ar", f"{NAME}/dflash"))
    assert (one.paired, len(one.rounds), len(one.within), one.effect) == (True, 3, 3, "faster")


def test_a_round_that_one_of_the_two_lacks_is_left_out_and_told(root: Path) -> None:
    for turn in (1, 2, 3, 4):
        pair = {"id": "p1", "round": turn, "rounds": 4}
        add_run(root, "ar", hour=6 + turn, tgs=SLOW, pair=pair)
        if turn != 2:
            add_run(root, "dflash", hour=6 + turn, tgs=FAST, pair=pair)
    found = compared(f"{NAME}/ar", f"{NAME}/dflash")
    assert len(row(found).rounds) == 3
    assert f"rounds that one of the two lacks are left out, in {PROSE}: 4 were begun" in found.notes


def test_samples_of_one_start_are_not_independent(root: Path) -> None:
    """Three starts of each, 1.5 % apart by chance, twelve samples that hardly scatter: nothing is told apart."""
    for turn, (a, b) in enumerate([(1.0, 1.015), (0.99, 1.0), (1.01, 1.012)], 1):
        pair = {"id": "p1", "round": turn, "rounds": 3}
        add_run(root, "ar", hour=6 + turn, tgs=[1.0, *(a * (50 + step / 100) for step in range(12))], pair=pair)
        add_run(root, "dflash", hour=6 + turn, tgs=[1.0, *(b * (50 + step / 100) for step in range(12))], pair=pair)
    one = row(compared(f"{NAME}/ar", f"{NAME}/dflash"))
    assert one.effect == "undecided"
    assert all(low > 1 for low, _ in one.within)
    assert "no difference can be told from 3 rounds" in one.words


def test_rounds_that_disagree_are_told(root: Path) -> None:
    for turn, factor in enumerate((1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 0.99), 1):
        pair = {"id": "p1", "round": turn, "rounds": 7}
        add_run(root, "ar", hour=6 + turn, tgs=[1.0, 40, 41, 42, 43], pair=pair)
        add_run(root, "dflash", hour=6 + turn, tgs=[1.0, *(factor * v for v in (40, 41, 42, 43))], pair=pair)
    found = compared(f"{NAME}/ar", f"{NAME}/dflash")
    assert row(found).effect == "faster"
    ratios = ", ".join([*["1.300"] * 6, "0.990"])
    assert f"{PROSE} tg: the rounds do not agree on which is faster (B to A: {ratios})" in found.notes


def test_a_garbage_server_is_not_fast_without_a_word(root: Path) -> None:
    checks = [
        {"id": "before.coherence", "verdict": "fail", "why": "'!' is repeated 400 times"},
        {"id": "before.load", "verdict": "pass", "why": "fine"},
    ]
    add_run(root, "ar", tgs=SLOW, quality={"verdict": "warn", "checks": [{**checks[0], "verdict": "warn"}]})
    impossible = {"verdict": "too-fast", "reasons": ["22 times what the memory allows", "more"]}
    add_run(root, "dflash", verdict=impossible, quality={"verdict": "fail", "checks": checks})
    found = compared(f"{NAME}/ar", f"{NAME}/dflash")
    one = row(found)
    assert one.doubts == ("B: quality fail", "B: too-fast")
    assert one.words.endswith("; in doubt, B: quality fail, B: too-fast")
    assert found.notes[:3] == (
        "A's server did not pass everything that it was asked (quality warn): "
        "before.coherence: '!' is repeated 400 times",
        "B's server did not answer rightly (quality fail): before.coherence: '!' is repeated 400 times",
        f"{PROSE} of B is too-fast: 22 times what the memory allows",
    )
    data = found.as_data()
    assert (data["a"]["quality"], data["b"]["quality"]) == ("warn", "fail")
    assert data["b"]["quality_faults"] == ["before.coherence: '!' is repeated 400 times"]
    assert data["cells"][0]["doubts"] == ("B: quality fail", "B: too-fast")
    assert "in doubt, B: quality fail" in CliRunner().invoke(compare_command, [f"{NAME}/ar", f"{NAME}/dflash"]).output
    turned = compared(f"{NAME}/dflash", f"{NAME}/ar")
    assert row(turned).doubts == ("A: quality fail", "A: too-fast")


def test_of_several_rounds_the_worst_counts(root: Path) -> None:
    for turn, verdict in enumerate(("pass", "fail", "warn"), 1):
        pair = {"id": "p1", "round": turn, "rounds": 3}
        quality = {"verdict": verdict, "checks": [{"id": f"r{turn}", "verdict": verdict, "why": "so"}]}
        doubt = {"verdict": "cold" if turn == 2 else "plausible", "reasons": ["the first samples"]}
        add_run(root, "ar", hour=6 + turn, tgs=SLOW, pair=pair, quality=quality, verdict=doubt)
    side = find_side(f"{NAME}/ar", None)
    assert (side.quality, side.quality_faults) == ("fail", ("r2: so", "r3: so"))
    assert side.cells[0].doubts == ("cold: the first samples",)


def test_raw_reports_are_matched_by_their_shape(root: Path, tmp_path: Path) -> None:
    a = write_json(tmp_path / "a.json", report(benchmark(tgs=SLOW), benchmark(depth=4096)))
    b = write_json(tmp_path / "b.json", report(benchmark(tgs=FAST), benchmark(pp=128)))
    found = compared(a, b)
    assert row(found, cell="pp2048 tg128 d0 c1").effect == "faster"
    assert (found.only_a, found.only_b) == (("pp2048 tg128 d4096 c1",), ("pp128 tg128 d0 c1",))
    assert "a raw report does not say which text" in found.notes[0]
    assert found.unknown == ("of A: the server's flags", "of B: the server's flags")
    run = add_run(root, cells=[PROSE, CODE], tgs=SLOW)
    beside = compared(a, f"{NAME}/dflash")
    assert {row.cell_b for row in beside.rows} == {PROSE, CODE}
    # A report in a run's folder is that run's cell: its text is known.
    inside = compared(run / f"{PROSE}.json", f"{NAME}/dflash")
    assert {(row.cell, row.cell_b) for row in inside.rows} == {(PROSE, PROSE)}


def test_the_same_run_twice_is_told(root: Path) -> None:
    add_run(root)
    found = compared(f"{NAME}/dflash", NAME)
    assert row(found).effect in ("same", "undecided")
    assert row(found).ratio == 1
    assert "A and B are the very same measurement" in found.notes


def test_the_published_speed_up_follows_from_the_raw_reports() -> None:
    folder = "qwen36-35b-a3b-dflash-spark/results"
    found = compared(
        real_report(f"{folder}/ar-pp128-tg128-thinkON.json"), real_report(f"{folder}/result-sherlock-thinkON.json")
    )
    one = row(found, cell="pp128 tg128 d0 c1")
    assert one.a is not None
    assert f"{one.a.median:.2f}" == "42.98"
    assert one.effect == "faster"
    assert one.ratio == pytest.approx(2.37, abs=0.05)


def test_a_measurement_beside_published_figures(root: Path, tmp_path: Path) -> None:
    tgs = [1.0, *(102.0 + step / 100 for step in range(12))]
    path = write_json(tmp_path / "r.json", report(benchmark(pp=128, tgs=tgs), benchmark(pp=2048)))
    found = compared(f"published:{NAME}/dflash", path)
    named = {(row.cell, row.metric): row for row in found.rows}
    assert all(row.cell_b == "pp128 tg128 d0 c1" for row in found.rows)
    off = named["pp128 tg128 d0 prose thinking off", "tg"]
    assert off.a is not None
    assert (off.a.median, off.a.low) == (40.7, None)
    assert off.ratio == pytest.approx(102.055 / 40.7)
    assert "lies outside the interval" in off.words
    assert named["pp128 tg128 d0 prose thinking on", "pp"].words.endswith("is a mean, the measured one a median")
    assert found.only_b == ("pp2048 tg128 d0 c1",)
    turned = {row.cell_b: row for row in compared(path, f"published:{NAME}/dflash").rows if row.metric == "tg"}
    assert turned["pp128 tg128 d0 prose thinking off"].ratio == pytest.approx(40.7 / 102.055)
    low, high = (getattr(turned["pp128 tg128 d0 prose thinking off"], end) for end in ("low", "high"))
    assert low < 40.7 / 102.055 < high


def test_samples_of_no_speed_are_said_not_divided(tmp_path: Path) -> None:
    a = write_json(tmp_path / "a.json", report(benchmark(tgs=[0.0, 0.0, 0.0])))
    b = write_json(tmp_path / "b.json", report(benchmark(tg_throughput=None, tg=1)))
    same = write_json(tmp_path / "c.json", report(benchmark()))
    assert "not above zero" in row(compared(a, same), cell="pp2048 tg128 d0 c1").words
    one = write_json(tmp_path / "d.json", report(benchmark(tg=1)))
    found = row(compared(one, b), cell="pp2048 tg1 d0 c1")
    assert (found.ratio, found.words) == (None, "B has no sample of it")


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    bad = write_json(tmp_path / "bad.json", {"x": 1})
    with pytest.raises(SpecError):
        find_side(str(bad), None)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["vllm", "serve", "m"], {"command": "vllm serve m"}),
        (["x", "--a", "1", "--b", "--c=2"], {"command": "x", "--a": "1", "--b": "set", "--c": "2"}),
        (["--a", "-1", "2"], {"--a": "-1 2"}),
        (["-tp", "2", "-tp", "4"], {"-tp": "2 4"}),
        (["--json", '{"a": "--b"}'], {"--json": '{"a": "--b"}'}),
        ([], {}),
    ],
)
def test_command_lines_are_read_as_flags(argv: list[str], expected: dict[str, str]) -> None:
    assert arguments(argv) == expected


def test_compare_prints_a_table_and_json(root: Path) -> None:
    add_run(root, "ar", tgs=SLOW)
    add_run(root, "dflash", cells=[PROSE, CODE])
    done = CliRunner().invoke(compare_command, [f"{NAME}/ar", f"{NAME}/dflash"])
    assert done.exit_code == 0, done.output
    assert re.search(
        rf"{PROSE} +tg tok/s +40\.[56] \(n=12\) +50\.[56] \(n=12\) +1\.247 +1\.2\d\d to 1\.2\d\d\n", done.output
    )
    assert "times as fast as A (95 % interval" in done.output
    assert f"only B has: {CODE}" in done.output
    assert "variant  ar" in done.output
    done = CliRunner().invoke(compare_command, [f"{NAME}/ar", f"{NAME}/dflash", "--json", "--cell", "prose"])
    data = json.loads(done.output)
    assert [one["metric"] for one in data["cells"]] == ["tg", "pp", "ttfr"]
    assert data["cells"][0]["effect"] == "faster"
    assert data["only_b"] == []
    assert {one["what"] for one in data["environment"]} == {"variant", "method"}


def test_results_lists_runs_and_cells(root: Path) -> None:
    quality = {"verdict": "warn", "checks": [{"id": "needle-4096", "verdict": "warn", "why": "not found"}]}
    verdict = {"verdict": "too-fast", "reasons": ["faster than the memory"]}
    add_run(root, failed=[CODE], quality=quality, verdict=verdict, profile="headline", status="partial")
    add_run(root, "ar", hour=8, tgs=[1.0, *[40.0] * 6, *[60.0] * 6])
    done = CliRunner().invoke(results_command, [NAME])
    assert done.exit_code == 0, done.output
    for text in (
        "gb10-128g/20261121T070000Z-dflash: dflash (DFlash), partial, 2026-11-21, 1 of 2 cells done, profile headline, "
        "quality warn",
        "quality: needle-4096: not found",
        f"{PROSE}: faster than the memory",
        f"{CODE}: the server went away",
        "  50.5  ",
        "too-fast",
        "two-groups",
    ):
        assert text in done.output, done.output
    data = json.loads(CliRunner().invoke(results_command, [NAME, "--json"]).output)
    first, second = data["runs"]
    assert (first["cells_done"], first["quality"], second["status"]) == (1, "warn", "complete")
    tg = first["cells"][0]["figures"]["tg"]
    assert (tg["median"], tg["n"], tg["dropped"]) == (50.55, 12, 1)
    assert tg["low"] <= 50.55 <= tg["high"]
    codes = {one["code"] for one in second["cells"][0]["figures"]["tg"]["warnings"]}
    assert "two-groups" in codes
    assert data["problems"] == data["agents"] == []


def test_results_shows_acceptance_memory_failed_requests_and_a_server_without_counters(root: Path) -> None:
    def metrics(**derived: float) -> dict[str, Any]:
        page = {"endpoint": True, "resets": 0, "reason": None}
        host = {"peak_used_bytes": 96 << 30}
        return {"format": "recipegen-metrics/1", "server": page, "host": host, "derived": derived}

    seen, unseen = add_run(root), add_run(root, "ar", hour=8)
    without = {**metrics(), "server": {"endpoint": False, "reason": "/metrics answers with status 404"}, "host": {}}
    for run, data in ((seen, metrics(acceptance_length=5.318)), (unseen, without)):
        write_json(run / "cell.metrics.json", data)
        record = json.loads((run / "run.json").read_text())
        record["cells"][0] |= {"metrics": "cell.metrics.json", "failed_requests": 2 if run == seen else 0}
        write_json(run / "run.json", record)
    done = CliRunner().invoke(results_command, [NAME])
    assert done.exit_code == 0, done.output
    assert re.search(r"failed +accepted +peak GiB +verdict", done.output)
    assert re.search(rf"{PROSE} .* 2 +5\.32 +96\.0 +", done.output), done.output
    assert f"{PROSE}: the server's counters were not seen (/metrics answers with status 404)" in done.output
    first, second = json.loads(CliRunner().invoke(results_command, [NAME, "--json"]).output)["runs"]
    shown = [run["cells"][0] for run in (first, second)]
    keys = ("acceptance_length", "peak_used_bytes", "failed_requests")
    assert [shown[0][key] for key in keys] == [5.318, 96 << 30, 2]
    assert [shown[1][key] for key in keys] == [None, None, 0]
    assert shown[0]["server_note"] is None


def test_results_shows_what_it_can_and_tells_what_is_broken(root: Path) -> None:
    good = add_run(root, hour=7)
    changed = add_run(root, hour=8)
    (changed / f"{PROSE}.json").write_text("{}")
    broken = add_run(root, hour=9)
    (broken / "run.json").write_text("{")
    lines, problems = list_runs(root / "recipes" / NAME)
    assert [line.folder for line in lines] == [good, changed]
    assert lines[1].cells[0].figures == {}
    assert [problem.where.file for problem in problems] == [changed / f"{PROSE}.json", broken / "run.json"]
    done = CliRunner().invoke(results_command, [NAME])
    assert good.name in done.output
    assert isinstance(done.exception, RecipegenError)
    assert done.exception.exit_code == EXIT_FINDINGS


def test_results_of_nothing_says_how_to_get_some(root: Path) -> None:
    done = CliRunner().invoke(results_command, [NAME])
    assert done.output == f"nothing has been measured of {NAME} yet: recipegen bench {NAME}\n"
    with pytest.raises(RecipegenError, match="nothing has been measured"):
        find_side(f"{NAME}/ar", None)


def test_a_side_knows_whether_it_was_measured() -> None:
    assert Side("published:x/y", "", ()).is_published
    assert not Side("x/y", "", ()).is_published
