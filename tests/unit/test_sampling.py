"""The figures of `make bench`: what a row's ratio and verdict follow from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.sampling import Failed, Row, Sample, child, interleaved

BENCH = Path(__file__).parents[1] / "bench" / "run.py"


def samples(*walls: float) -> list[Sample]:
    return [Sample(wall, wall / 2) for wall in walls]


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    # The machine was three times as slow during the second pair; the pairs agree all the same.
    row = Row("a", samples(2, 6, 2.2), "s", "b", samples(1, 3, 1), target=2.0)
    assert row.ratio == 2.0
    assert row.spread == (2.0, 2.1)
    assert (row.value, row.reference, row.cpu_ratio) == (2.2, 1, 2.2)
    assert (row.verdict, row.noisy) == ("within", True)


def test_samples_that_are_no_pairs_are_held_against_the_median() -> None:
    row = Row("a", samples(3), "s", "b", samples(1, 2, 9), target=1.4)
    assert (row.ratio, row.spread, row.verdict, row.noisy) == (1.5, None, "over", False)


def test_a_value_can_be_judged_by_itself_and_a_row_without_target_is_not() -> None:
    assert Row("peak", [Sample(301)], "MB", target=300, judged="value").verdict == "over"
    assert Row("peak", [Sample(300)], "MB", target=300, judged="value").verdict == "within"
    assert Row("a", samples(9), "s", "b", samples(1)).verdict == ""


def test_sides_take_turns_in_changing_order() -> None:
    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return Sample(len(order))

    ours, theirs = interleaved(3, lambda: side("a"), lambda: side("b"))
    assert "".join(order) == "abbaab"
    assert [sample.wall for sample in ours] == [1, 4, 5]
    assert [sample.wall for sample in theirs] == [2, 3, 6]


def test_a_child_that_fails_is_no_sample() -> None:
    took = child([sys.executable, "-c", "sum(range(10**6))"])
    assert took.wall > 0 and took.cpu is not None and took.cpu > 0
    with pytest.raises(Failed, match=r"(?s)ended with 3:.*too bad"):
        child([sys.executable, "-c", "print('too bad'); raise SystemExit(3)"])


def test_the_table_prints_and_its_json_holds_every_sample(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, BENCH, "--only", "startup", "--json", file],
        env=os.environ | {"COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "recipegen --version" in done.stdout
    figures = json.loads(file.read_text())
    assert figures["format"] == "recipegen-perf/1"
    [benchmark] = figures["benchmarks"]
    row = benchmark["rows"][0]
    assert (row["what"], row["target"], row["judged"]) == ("recipegen --version", 2.0, "ratio")
    assert len(row["ours"]) == len(row["theirs"]) > 20
