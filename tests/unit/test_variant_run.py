"""One run of a variant: what makes two runs the same, going on with it, what happens when cells and servers fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipegen.bench import variant as variant_run
from recipegen.bench.display import Display
from recipegen.bench.resume import earlier_run, in_order, require_same_server, run_identity
from recipegen.bench.session import Request, measure_in_turn
from recipegen.bench.variant import measure_variant, unfinished_pair
from recipegen.bench.verified import Prompt
from recipegen.errors import MeasurementFailed
from recipegen.results.store import RunWriter, load_run, new_run
from recipegen.runners.plan import HostOptions
from recipegen.spec.completed import Spec
from recipegen.trial import Trial
from tests.support.kits import small

SPEC = small("vllm-prebuilt")
CELLS = SPEC.cells()


class Told(Display):
    """A display that remembers its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def request(folder: Path, **other: Any) -> Any:
    fields = {
        "spec": SPEC, "folder": folder, "variants": ("ar",), "cells": dict.fromkeys(SPEC.variants, SPEC.cells()),
        "base_image": None, "resume": True, "pair": None, "prompt": None, "options": HostOptions(runner="docker"),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **other})


def record(spec: Spec = SPEC, **other: Any) -> Any:
    facts = {"name": spec.name, "title": spec.title, "spec_sha256": spec.sha256, "kit_sha256": "k" * 64}
    made = new_run(recipe=facts, variant="ar", method="AR", machine="here", runner="docker", llama_benchy="0.4.0")  # type: ignore[arg-type]
    return {**made, **other}


def cell(cell_id: str, status: str = "done") -> Any:
    common = {"corpus": "prose", "pp": 128, "tg": 128, "depth": 0, "concurrency": 1, "thinking": "default", "runs": 3}
    blank = dict.fromkeys(("corpus_sha256", "sha256", "argv", "started", "ended", "error", "failed_requests"))
    return {"id": cell_id, **common, **blank, "status": status, "file": f"{cell_id}.json" if status == "done" else None}


def begun(folder: Path, **other: Any) -> Any:
    """A run that stopped after its first cell."""
    made = record(**other)
    made["identity"] = run_identity(request(folder), "ar", made, "sha256:1")
    writer = RunWriter(folder, made)
    writer.add_cell(cell(SPEC.cells()[0].id))
    (writer.folder / "server.log").write_text("first start\n")
    return writer


def fresh(folder: Path, **other: Any) -> Any:
    made = record(**other)
    made["identity"] = run_identity(request(folder), "ar", made, "sha256:1")
    return made


def test_two_variants_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[str, ...], int]] = []

    def measure(asked: Any, display: Any) -> list[str]:
        seen.append((asked.variants, asked.pair["round"]))
        return list(asked.variants)

    monkeypatch.setattr("recipegen.bench.session.measure", measure)
    asked = Request(SPEC, Path(), ("ar", "dflash"), {}, HostOptions(runner="local"), "k", "s")
    told = Told()
    assert measure_in_turn(asked, 3, told) == ["ar", "dflash", "dflash", "ar", "ar", "dflash"]  # type: ignore[arg-type]
    assert [number for _, number in seen] == [1, 2, 3]
    assert len(told.notes) == 3


def test_the_record_keeps_what_older_readers_do_not_know(tmp_path: Path) -> None:
    writer = begun(tmp_path, profile="quick", pair={"id": "p", "round": 1, "rounds": 3})
    stored = json.loads((writer.folder / "run.json").read_text())
    assert stored["profile"] == "quick" and stored["pair"]["round"] == 1
    assert load_run(writer.folder)["identity"] == writer.record["identity"]


# Which run is the same one


def test_the_newest_run_of_an_identity_is_found(tmp_path: Path) -> None:
    first = begun(tmp_path)
    found = earlier_run(tmp_path, first.record["identity"])
    assert found is not None and found[0] == first.folder
    assert earlier_run(tmp_path, "other") is None
    broken = first.folder.with_name("99991231T000000Z-ar")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    again = earlier_run(tmp_path, first.record["identity"])
    assert again is not None and again[0] == first.folder


@pytest.mark.parametrize(
    ("of_record", "of_request", "runs_on"),
    [
        ({"machine": "elsewhere"}, {}, "sha256:1"),
        ({"runner": "local"}, {}, "sha256:1"),
        ({"host": {"gpus": []}}, {}, "sha256:1"),
        ({"versions": {"recipegen": "x", "llama_benchy": "0.3.7", "python": "3"}}, {}, "sha256:1"),
        ({"recipe": {"name": "other", "title": "", "spec_sha256": "0", "kit_sha256": "k"}}, {}, "sha256:1"),
        ({"models": [{"key": "model", "bytes": 2, "fingerprint": "b"}]}, {}, "sha256:1"),
        ({"trial": {"of": "ar", "flags": {"x": 1}, "drop": [], "env": {}}}, {}, "sha256:1"),
        ({}, {}, "sha256:2"),
        ({}, {"base_image": "other"}, "sha256:1"),
        ({}, {"options": HostOptions(runner="endpoint", base_url="http://127.0.0.1:1")}, "sha256:1"),
        ({}, {"cells": {"ar": CELLS[:1]}}, "sha256:1"),
        ({}, {"prompt": Prompt("code-v1", "text", "0" * 64, 256)}, "sha256:1"),
    ],
)
def test_another_configuration_or_host_has_another_identity(
    tmp_path: Path, of_record: dict[str, Any], of_request: dict[str, Any], runs_on: str
) -> None:
    usual = run_identity(request(tmp_path), "ar", record(), "sha256:1")
    assert run_identity(request(tmp_path), "ar", record(), "sha256:1") == usual
    assert run_identity(request(tmp_path, **of_request), "ar", record(**of_record), runs_on) != usual


def test_cells_that_failed_come_last_and_those_that_are_done_not_at_all() -> None:
    made = record(cells=[cell(CELLS[0].id, "failed"), cell(CELLS[1].id)])
    assert [one.id for one in in_order(CELLS, made)] == [*(one.id for one in CELLS[2:]), CELLS[0].id]


def test_another_image_or_engine_under_the_same_tag_is_told() -> None:
    made = record(image={"id": "sha256:1"}, engine={"name": "vllm", "version": "0.32.0"}, cells=[cell("a")])
    require_same_server(made, {"id": "sha256:1"}, "0.32.0")
    with pytest.raises(MeasurementFailed, match="image is sha256:2"):
        require_same_server(made, {"id": "sha256:2"}, "0.32.0")
    with pytest.raises(MeasurementFailed, match=r"engine version is 0\.33\.0"):
        require_same_server(made, {"id": "sha256:1"}, "0.33.0")
    require_same_server(record(image={"id": "sha256:1"}, cells=[]), {"id": "sha256:2"}, None)


# What happens when cells and servers fail


class Box:
    """Servers and cells that do as they are told: `fate` maps a cell to what each try of it comes to."""

    cause, lost = "", False

    def __init__(self, folder: Path, fate: Mapping[str, tuple[str, ...]]) -> None:
        self.folder, self.fate = folder, {cell: list(tries) for cell, tries in fate.items()}
        self.tries: list[str] = []
        self.starts = 0
        self.up = False
        self.note = ""
        self.exit_code = -9
        self.asked: list[str] = []
        self.judged: list[int] = []

    # A server, as runners have them.

    def __enter__(self) -> Box:
        self.starts += 1
        self.up = True
        return self

    def __exit__(self, *_: object) -> None:
        self.up = False
        (self.folder / "server.log").write_text(f"start {self.starts}\n")

    def alive(self) -> bool:
        return self.up

    def log_tail(self, lines: int) -> str:
        return "last words"

    def facts(self) -> dict[str, Any]:
        return {"image": {"id": "sha256:1"}, "program": None, "started_by_us": True}

    # What stands in for measuring.

    def measure(self, _request: Any, _plan: Any, planned: Any, writer: RunWriter, *_: Any) -> Any:
        self.tries.append(planned.id)
        now = self.fate.get(planned.id, ["done"])
        what = now.pop(0) if len(now) > 1 else now[0]
        self.up = what not in ("kills", "ends")
        good = what in ("done", "ends")
        done = {**cell(planned.id, "done" if good else "failed"), "error": None if good else "why"}
        writer.add_cell(done)  # type: ignore[arg-type]
        return done


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`run(fate, retries=1, runner="docker", resume=False)` measures three cells; gives outcome, box, notes."""

    def measured(
        fate: Mapping[str, tuple[str, ...]], *, retries: int = 1, runner: Any = "docker", resume: bool = False
    ):  # type: ignore[no-untyped-def]
        box, told = Box(tmp_path, fate), Told()

        class Gate:
            def __init__(self, *_: Any) -> None:
                pass

            def before(self) -> None:
                box.asked.append("before")

            def after(self) -> None:
                box.asked.append("after")

        monkeypatch.setattr(
            variant_run, "server_of", lambda plan, _: setattr(box, "folder", plan.log_path.parent) or box
        )
        monkeypatch.setattr(variant_run, "wait_ready", lambda *_: 1.0)
        monkeypatch.setattr(variant_run, "runs_on", lambda *_: "sha256:1")
        monkeypatch.setattr(variant_run, "measure_cell", box.measure)
        monkeypatch.setattr(
            variant_run, "judge_run", lambda _spec, writer, _display: box.judged.append(len(writer.record["cells"]))
        )
        monkeypatch.setattr(variant_run, "_docker_version", lambda: "20.10")
        monkeypatch.setattr(variant_run, "_guard", lambda *_: None)
        monkeypatch.setattr("recipegen.bench.gate.QualityGate", Gate)
        monkeypatch.setattr("recipegen.runners.engine_version.reported_version", lambda *_: "0.32.0")
        base_url = "http://127.0.0.1:1" if runner == "endpoint" else None
        asked = Request(
            SPEC, tmp_path, ("ar",), {"ar": CELLS[:3]}, HostOptions(runner=runner, base_url=base_url), "k", "s",
            resume=resume, retries=retries, machine="here",
        )  # fmt: skip
        outcome = measure_variant(asked, "ar", ["llama-benchy"], dict.fromkeys(SPEC.bench.corpora), told)  # type: ignore[arg-type]
        return outcome, box, told.notes

    return measured


def statuses(outcome: Any) -> list[str]:
    by_id = {one["id"]: one["status"] for one in load_run(outcome.folder)["cells"]}
    return [by_id.get(one.id, "-") for one in CELLS[:3]]


def test_a_run_asks_before_and_after_its_cells(run: Any) -> None:
    outcome, box, _ = run({})
    assert (outcome.status, outcome.error, box.starts) == ("complete", None, 1)
    assert box.asked == ["before", "after"]
    assert load_run(outcome.folder)["engine"]["version"] == "0.32.0"


def test_cells_are_judged_beside_each_other_after_the_last_one_whatever_ended_the_server(run: Any) -> None:
    for fate in ({}, {CELLS[2].id: ("kills",)}):
        _, box, _ = run(fate, retries=0)
        assert box.judged == [3]


def test_a_cell_that_fails_is_tried_again_and_the_rest_goes_on(run: Any) -> None:
    outcome, box, notes = run({CELLS[0].id: ("fails", "done"), CELLS[1].id: ("fails",)})
    assert statuses(outcome) == ["done", "failed", "done"]
    assert (outcome.status, box.starts) == ("partial", 1)
    assert box.tries == [CELLS[0].id] * 2 + [CELLS[1].id] * 2 + [CELLS[2].id]
    assert outcome.error == f"cells failed: {CELLS[1].id}"
    assert f"{CELLS[0].id} failed; trying it again (1 of 1)" in notes


def test_a_cell_that_ends_its_server_does_not_block_the_rest(run: Any) -> None:
    outcome, box, notes = run({CELLS[1].id: ("kills",)})
    assert statuses(outcome) == ["done", "failed", "done"]
    assert outcome.status == "partial"
    # The first server, one more for the second try, one for the cell after it; asked once, as one run is one server.
    assert (box.starts, box.asked) == (3, ["before", "after"])
    error = next(one["error"] for one in load_run(outcome.folder)["cells"] if one["id"] == CELLS[1].id)
    assert error.startswith(f"the server of {SPEC.name}/ar ended (exit code -9) in cell {CELLS[1].id}: why")
    assert [(outcome.folder / f"server{n}.log").read_text() for n in (".1", ".2", "")] == [
        "start 1\n",
        "start 2\n",
        "start 3\n",
    ]
    assert any("last words" in note for note in notes)


def test_a_server_that_ends_in_every_cell_ends_the_run(run: Any) -> None:
    outcome, box, _ = run({one.id: ("kills",) for one in CELLS}, retries=2)
    assert (outcome.status, statuses(outcome)) == ("failed", ["failed"] * 3)
    assert box.starts == 9  # three cells, three tries each


def test_a_node_that_is_lost_ends_the_run_by_its_name(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "lost", True)
    monkeypatch.setattr(Box, "cause", "the node spark-b (rank 1) is gone")
    outcome, box, notes = run({CELLS[1].id: ("kills",)})
    assert (outcome.status, box.starts) == ("partial", 1)
    assert statuses(outcome) == ["done", "failed", "-"]
    assert outcome.error == "the node spark-b (rank 1) is gone"
    assert any("--resume goes on" in note for note in notes)


def test_a_server_that_is_not_ours_is_not_started_again(run: Any) -> None:
    outcome, box, _ = run({CELLS[1].id: ("kills",)}, runner="endpoint")
    assert (outcome.status, box.starts) == ("partial", 1)
    assert "nothing listens at http://127.0.0.1:1 any more" in outcome.error
    assert statuses(outcome) == ["done", "failed", "-"]


def test_a_server_that_ends_after_its_last_cell_is_started_once_more_to_be_asked(run: Any) -> None:
    outcome, box, notes = run({CELLS[2].id: ("ends",)})
    assert (outcome.status, statuses(outcome), box.starts) == ("complete", ["done"] * 3, 2)
    assert box.asked == ["before", "after"]
    assert any("starting its server again for what is asked after the cells" in note for note in notes)
    there, box, _ = run({CELLS[2].id: ("ends",)}, runner="endpoint")
    # Nobody can say whether it still answered rightly: not complete, so that --resume asks it.
    assert (there.status, box.asked) == ("partial", ["before"])
    assert "nothing listens" in there.error


def test_an_interrupted_measurement_in_turn_is_gone_on_with(run: Any, tmp_path: Path) -> None:
    options = HostOptions(runner="docker")
    asked = Request(SPEC, tmp_path, ("ar", "dflash"), dict.fromkeys(("ar", "dflash"), CELLS[:1]), options, "k", "s",
                    machine="here", resume=True)  # fmt: skip
    told = Told()
    run({})  # a run outside of any pair, and what measuring is replaced with
    assert unfinished_pair(asked, 2) is None
    pair = {"id": "20261121T000000Z", "round": 1, "rounds": 2}
    corpora = dict.fromkeys(SPEC.bench.corpora)
    measure_variant(replace(asked, pair=pair), "ar", ["llama-benchy"], corpora, told)  # type: ignore[arg-type]
    assert unfinished_pair(asked, 2) == pair["id"]
    assert unfinished_pair(asked, 3) is None
    assert unfinished_pair(replace(asked, cells=dict.fromkeys(("ar", "dflash"), CELLS[1:2])), 2) is None
    for turn in (1, 2):
        for variant in ("ar", "dflash"):
            now = replace(asked, pair={**pair, "round": turn})
            measure_variant(now, variant, ["llama-benchy"], corpora, told)  # type: ignore[arg-type]
    assert unfinished_pair(asked, 2) is None
    assert sum("measured already" in note for note in told.notes) == 1


def test_resume_measures_what_is_left_and_nothing_twice(run: Any) -> None:
    first, _, _ = run({CELLS[0].id: ("kills",)}, retries=0)
    assert statuses(first) == ["failed", "done", "done"]
    again, box, notes = run({}, resume=True)
    assert (again.folder, again.status, box.tries) == (first.folder, "complete", [CELLS[0].id])
    assert f"going on with {first.folder.name}: 2 cells are done" in notes
    once_more, box, notes = run({}, resume=True)
    assert (once_more.folder, once_more.status, box.tries, box.starts) == (first.folder, "complete", [], 0)
    assert notes == [f"ar: measured already, in {first.folder.name}"]
    anew, box, _ = run({})
    assert anew.folder != first.folder and len(box.tries) == 3


def test_a_run_on_a_server_that_is_there_already_is_never_taken_for_done(run: Any) -> None:
    first, _, _ = run({}, runner="endpoint")
    again, box, _ = run({}, runner="endpoint", resume=True)
    assert again.folder != first.folder and len(box.tries) == 3


def test_the_changes_of_a_trial_stand_in_the_record(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, _, _ = run({})
    assert load_run(outcome.folder)["trial"] is None
    trial = Trial("ar", {"max-num-seqs": 2})
    monkeypatch.setattr(variant_run, "runs_on", lambda *_: "sha256:1")
    spec = SPEC.model_copy(update={"variants": {**SPEC.variants, trial.name: SPEC.variants["ar"]}})
    asked = Request(
        spec, tmp_path, (trial.name,), {trial.name: CELLS[:1]}, HostOptions(), "k", "s", trial=trial, machine="here"
    )
    changed = measure_variant(asked, trial.name, ["llama-benchy"], dict.fromkeys(SPEC.bench.corpora), Told())  # type: ignore[arg-type]
    assert load_run(changed.folder)["trial"] == trial.as_data()
    assert changed.folder.name.endswith("-ar.max-num-seqs-2")
