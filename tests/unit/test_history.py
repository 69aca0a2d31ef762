"""histories(): which runs belong together, what changed between them, which are not judged, what the pages say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from recipegen.publish.history import Series, headline_histories, histories, of_headline
from recipegen.publish.history_page import history_section
from recipegen.publish.listing import list_runs
from tests.unit.test_compare import CODE, HOST, NAME, PROSE, add_run

OLD = {"name": "vllm", "version": "0.31.0"}
NEW = {"name": "vllm", "version": "0.32.0"}


def around(middle: float) -> list[float]:
    """A cold sample, then eleven around a median."""
    return [10.0, *(middle + step / 100 for step in range(-5, 6))]


def add(root: Path, medians: Sequence[float], *, hour: int = 0, **other: Any) -> list[Path]:
    """A run an hour, each with the headline's decode median."""
    return [add_run(root, hour=hour + at, tgs=around(one), **other) for at, one in enumerate(medians)]


def read(root: Path, metric: str = "tg", cell: str = PROSE) -> Series:
    runs, problems = list_runs(root / "recipes" / NAME)
    assert problems == []
    (one,) = (one for one in histories(runs) if (one.metric, one.cell) == (metric, cell))
    return one


def change(root: Path, **other: Any) -> tuple[str, ...]:
    """What changed between a run and one with other circumstances."""
    add(root, [50.0])
    add(root, [50.0], hour=1, **other)
    steps = read(root).steps
    return steps[0].changed if steps else ()


def test_an_engine_that_is_newer_is_a_step_with_its_mark(tmp_path: Path) -> None:
    before = add(tmp_path, [50.0, 50.4, 49.7], engine=OLD)
    after = add(tmp_path, [54.2, 54.5, 54.1], hour=3, engine=NEW)
    series = read(tmp_path)
    assert [point.engine for point in series.points] == ["vllm 0.31.0"] * 3 + ["vllm 0.32.0"] * 3
    assert [point.figure.median for point in series.points] == [50.0, 50.4, 49.7, 54.2, 54.5, 54.1]
    assert len(series.points[0].samples) == 11 and series.points[0].samples[0] != 10.0
    (step,) = series.steps
    assert (step.before, step.after) == (before[-1].name, after[0].name)
    assert step.changed == ("engine vllm 0.31.0 → 0.32.0",)
    assert step.mark == "gain"
    assert step.low is not None and step.p is not None and step.low > 1.06 and step.p < 0.001
    assert step.words == "+8.5 % (+7.1 to +9.9 %), engine vllm 0.31.0 → 0.32.0, gain"
    assert (series.free, series.notes) == (4, ())
    # Half the time is a gain as well.
    assert read(tmp_path, "ttfr").steps[0].mark == "gain"
    assert read(tmp_path, "ttfr").steps[0].ratio < 1


def test_runs_between_which_nothing_changed_are_one_group(tmp_path: Path) -> None:
    add(tmp_path, [50.0, 60.0, 50.0])
    series = read(tmp_path)
    assert (series.steps, series.free) == ((), 2)
    assert series.scatter == pytest.approx(0.105, abs=0.001)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"argv": ["vllm", "serve", "--max-num-seqs", "2"]}, ("flag --max-num-seqs 4 → 2",)),
        ({"argv": ["vllm", "serve"]}, ("flag --max-num-seqs 4 → not there",)),
        (
            {"server": {"argv": ["vllm", "serve", "--max-num-seqs", "4"], "env": {"VLLM_X": "2"}}},
            ("variable VLLM_X 1 → 2",),
        ),
        ({"host": {**HOST, "gpus": [{"name": "NVIDIA GB10", "driver": "590.1"}]}}, ("driver 1x 580.95.05 → 590.1",)),
        ({"versions": {"recipegen": "9", "llama_benchy": "0.5.0", "python": "3"}}, ("llama-benchy 0.4.0 → 0.5.0",)),
        ({"origin": "kit"}, ("origin bench → kit",)),
        # Nobody recorded it, so that nothing is known to have changed.
        ({"server": None, "host": None, "engine": {"name": None, "version": None}}, ()),
        ({"recipe": {"name": NAME, "title": "Other", "spec_sha256": "6" * 64, "kit_sha256": None}}, ()),
    ],
)
def test_what_changed_is_named(tmp_path: Path, other: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert change(tmp_path, **other) == expected


def test_a_fact_that_one_run_does_not_tell_is_held_against_the_last_one_that_did(tmp_path: Path) -> None:
    for hour, engine in enumerate((OLD, {"name": None, "version": None}, NEW)):
        add(tmp_path, [50.0], hour=hour, engine=engine)
    assert [step.changed for step in read(tmp_path).steps] == [("engine vllm 0.31.0 → 0.32.0",)]


def test_an_image_is_named_once_and_hashes_are_cut(tmp_path: Path) -> None:
    def image(ref: str, sha: str) -> dict[str, Any]:
        return {"ref": ref, "id": f"sha256:{sha * 64}", "base": None}

    for hour, one in enumerate((image("vllm:1", "a"), image("vllm:1", "b"), image("vllm:2", "c"))):
        add(tmp_path, [50.0], hour=hour, image=one)
    steps = read(tmp_path).steps
    assert [step.changed for step in steps] == [
        ("image id sha256:aaaaaaaaaaaa → sha256:bbbbbbbbbbbb",),
        ("image vllm:1 → vllm:2",),
    ]


def test_long_values_are_shown_where_they_part(tmp_path: Path) -> None:
    same = "x" * 10_000
    argv = ["vllm", "serve", "--max-num-seqs", "4", "--json", same]
    add(tmp_path, [50.0], argv=[*argv, "one"])
    add(tmp_path, [50.0], hour=1, argv=[*argv, "two"])
    (changed,) = read(tmp_path).steps[0].changed
    assert changed.startswith("flag --json … ") and len(changed) < 200
    assert "one → … " in changed and changed.endswith("two")


def test_what_is_in_doubt_stands_apart_and_moves_nothing(tmp_path: Path) -> None:
    good = add(tmp_path, [50.0, 50.2, 49.9, 50.1])
    fast = {"verdict": "too-fast", "reasons": ["faster than the memory", "and more"]}
    add(tmp_path, [500.0], hour=4, verdict=fast, engine=NEW)
    wrong = {"verdict": "fail", "checks": [{"id": "answers", "verdict": "fail", "why": "2 of 8"}]}
    add(tmp_path, [600.0], hour=5, quality=wrong)
    add(tmp_path, [40.0], hour=6, status="interrupted")
    add_run(tmp_path, hour=7, cells=[], failed=[PROSE], status="failed")
    series = read(tmp_path)
    assert [point.run for point in series.points] == [run.name for run in good]
    assert series.steps == ()
    assert [one.why for one in series.apart] == [
        "too-fast: faster than the memory",
        "quality fail",
        "the run is interrupted",
        "failed: the server went away",
    ]
    assert [one.figure.median if one.figure else None for one in series.apart] == [500.0, 600.0, 40.0, None]


def test_series_are_kept_apart_by_variant_machine_cell_and_metric(tmp_path: Path) -> None:
    add(tmp_path, [50.0, 51.0], cells=[PROSE, CODE])
    add(tmp_path, [20.0], hour=2, variant="ar")
    add(tmp_path, [90.0], hour=3, machine="other")
    found = histories(list_runs(tmp_path / "recipes" / NAME)[0])
    keys = [(one.variant, one.machine, one.cell, one.metric, len(one.points)) for one in found]
    assert keys[:4] == [
        ("ar", "gb10-128g", PROSE, "tg", 1),
        ("ar", "gb10-128g", PROSE, "pp", 1),
        ("ar", "gb10-128g", PROSE, "ttfr", 1),
        ("dflash", "gb10-128g", CODE, "tg", 2),
    ]
    assert len(keys) == 12
    runs = list_runs(tmp_path / "recipes" / NAME)[0]
    assert headline_histories(runs, "dflash", PROSE) == of_headline(found, "dflash", PROSE)
    assert {(one.machine, one.metric) for one in of_headline(found, "dflash", PROSE)} == {
        ("gb10-128g", metric) for metric in ("tg", "pp", "ttfr")
    }


def test_a_run_beside_its_group_and_runs_of_one_day_are_noted(tmp_path: Path) -> None:
    add(tmp_path, [50.0, 50.2, 49.9, 45.0, 50.1, 50.0], engine=OLD)
    (note,) = read(tmp_path).notes
    assert note.startswith("20261121T030000Z-dflash lies −10.") and "nothing that is recorded changed" in note
    other = tmp_path / "other"
    add(other, [50.0, 50.2, 49.9], engine=OLD)
    for run in add(other, [60.0, 60.2, 59.9], hour=3, engine=NEW):
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**record, "started": "2026-11-28T07:00:00Z"}))
    series = read(other)
    assert series.steps[0].mark == "gain"
    assert series.notes == (
        "the runs with nothing changed between them were made on one day each: what differs from day to day is not in "
        "the intervals",
    )


def test_nothing_measured_has_no_history() -> None:
    assert histories([]) == []


def section(root: Path) -> str:
    runs = list_runs(root / "recipes" / NAME)[0]
    shown = SimpleNamespace(
        history=headline_histories(runs, "dflash", PROSE), entry=SimpleNamespace(headline="dflash", cell_id=PROSE)
    )
    return "\n".join(history_section(cast(Any, shown)))


def test_the_page_has_a_history_where_the_headline_was_measured_twice(tmp_path: Path) -> None:
    add(tmp_path, [50.0], engine=OLD)
    assert section(tmp_path) == ""
    add(tmp_path, [50.1, 49.9], hour=1, engine=OLD)
    add(tmp_path, [40.0, 40.1], hour=3, engine={"name": "vllm", "version": "0.32 | <b>"})
    fast = {"verdict": "too-fast", "reasons": ["faster | than"]}
    add(tmp_path, [500.0], hour=5, verdict=fast)
    text = section(tmp_path)
    assert "## History" in text
    rows = [line for line in text.splitlines() if line.startswith("| 2026")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        f"20261121T0{hour}0000Z-dflash" for hour in (5, 4, 3, 2, 1, 0)
    ]
    assert "▼ regression" in rows[2] and "0.31.0 → 0.32" in rows[2]
    assert "(apart)" in rows[0]
    assert "<b>" not in text
    assert "- tg, 20261121T030000Z-dflash: −19.9 % (−20.3 to −19.5 %), regression" in text
    assert "20261121T050000Z-dflash stands apart, not judged: too-fast: faster" in text
