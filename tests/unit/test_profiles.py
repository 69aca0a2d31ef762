"""Profiles: which cells they come to; what makes two runs the same one; going on with a run that stopped."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipegen.bench.profiles import CACHED, ROOM, catalog_profiles, profile_cells
from recipegen.bench.resume import require_same_image, run_identity, writer_for
from recipegen.bench.session import choose_cells, measure_in_turn
from recipegen.cli.measure import _of_profile
from recipegen.engines.benchy import bench_command
from recipegen.errors import MeasurementFailed, RecipegenError
from recipegen.fit import estimate
from recipegen.fit.context import context_of
from recipegen.results.store import RunWriter, load_run, new_run
from recipegen.spec.completed import Spec
from recipegen.spec.model import Profile
from recipegen.workspace import Workspace
from tests.support.kits import small

REPOSITORY = Path(__file__).parents[2]
SPEC = small("vllm-prebuilt")


class Told:
    """A display that remembers its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_every_profile_of_the_catalog_comes_to_cells_with_ids_of_their_own() -> None:
    assert set(catalog_profiles()) >= {"quick", "headline", "concurrency", "longctx", "needle", "spark-arena-v2"}
    for name in catalog_profiles():
        cells, left_out = profile_cells(SPEC, name, None)
        assert cells and not left_out
        assert len({cell.id for cell in cells}) == len(cells)


def test_headline_is_what_leaderboards_ask_for() -> None:
    cells, _ = profile_cells(SPEC, "headline", None)
    assert {(cell.pp, cell.tg, cell.depth, cell.concurrency) for cell in cells} == {(2048, 128, 0, 1), (128, 128, 0, 1)}
    assert {cell.thinking for cell in cells} == {"on", "off"}
    assert {cell.corpus for cell in cells} == set(SPEC.bench.corpora)


def both_modes() -> Spec:
    """A recipe that measures thinking on and off, as qwen36-35b-dflash does."""
    return SPEC.model_copy(update={"bench": SPEC.bench.model_copy(update={"thinking": ("on", "off")})})


@pytest.mark.parametrize("spec", [SPEC, both_modes()])
def test_quick_is_one_cell(spec: Spec) -> None:
    assert len(profile_cells(spec, "quick", None)[0]) == 1


@pytest.mark.parametrize("spec", [SPEC, both_modes()])
def test_spark_arena_measures_28_cells_with_a_cached_context(spec: Spec) -> None:
    cells, _ = profile_cells(spec, "spark-arena-v2", None)
    assert len(cells) == 28
    assert all(cell.runs == 3 and cell.id.endswith(CACHED) for cell in cells)
    words = bench_command(SPEC, cells[0]).words(BOOK_URL="http://x")
    assert "--enable-prefix-caching" in words and "--no-cache" not in words
    plain = bench_command(SPEC, SPEC.cells()[0]).words(BOOK_URL="http://x")
    assert "--enable-prefix-caching" not in plain and "--no-cache" in plain


def test_cells_longer_than_the_context_are_left_out_and_named() -> None:
    cells, left_out = profile_cells(SPEC, "needle", 65_536)
    assert max(cell.depth for cell in cells) == 16_384
    assert any("d65536" in name for name in left_out)
    assert all(cell.pp + cell.tg + cell.depth + ROOM <= 65_536 for cell in cells)


@pytest.mark.parametrize(
    ("context", "depths"),
    [
        (108_000, [0, 4096, 8192, 16384, 32768, 65536, 108_000 - 2048 - 128 - ROOM]),
        (65_536, [0, 4096, 8192, 16384, 32768, 65_536 - 2048 - 128 - ROOM]),
        (262_144, [0, 4096, 8192, 16384, 32768, 65536, 131072, 196608, 258048]),  # the limit is 1.7 % deeper
        (4096, [0, 4096 - 2048 - 128 - ROOM]),
        (2048 + 128 + ROOM, [0]),
        (2048, []),
        (None, [0, 4096, 8192, 16384, 32768, 65536, 131072, 196608, 258048]),
    ],
)
def test_longctx_goes_to_the_limit(context: int | None, depths: list[int]) -> None:
    cells, _ = profile_cells(SPEC, "longctx", context)
    assert sorted({cell.depth for cell in cells}) == depths


@pytest.mark.parametrize(
    ("kit", "flags", "context"),
    [
        ("smoke-vllm-cpu", {}, 8192),
        ("smoke-llamacpp", {}, 4096),
        ("smoke-llamacpp", {"ctx-size": 0}, None),
        ("smoke-vllm-cpu", {"max-model-len": -1}, None),
    ],
)
def test_the_context_is_known_from_the_flag_where_the_estimate_lacks_the_memory(
    kit: str, flags: dict[str, Any], context: int | None
) -> None:
    spec = Workspace.open(REPOSITORY).spec(kit)
    ran = spec.variants["ar"].model_copy(update={"flags": {**spec.variants["ar"].flags, **flags}})
    spec = spec.model_copy(update={"variants": {**spec.variants, "ar": ran}})
    assert estimate(spec, "ar").context is None
    assert context_of(spec, "ar") == context
    # What the profile of bench is planned by, and what a needle is planted in.
    planned = _of_profile(spec, "ar", "longctx") or ()
    assert max(cell.depth for cell in planned) == (context - 2048 - 128 - ROOM if context else 258_048)


def test_the_estimates_own_context_comes_first() -> None:
    spec = Workspace.open(REPOSITORY).spec("qwen36-35b-dflash")
    assert context_of(spec, spec.headline) == estimate(spec, spec.headline).context is not None


def test_a_recipe_has_profiles_of_its_own() -> None:
    own = Profile(title="mine", pp=(256,), tg=16, runs=2)
    spec = SPEC.model_copy(update={"bench": SPEC.bench.model_copy(update={"profiles": {"mine": own, "quick": own}})})
    assert [(cell.pp, cell.tg, cell.runs) for cell in profile_cells(spec, "mine", None)[0]] == [
        (256, 16, 2) for _ in spec.bench.thinking
    ]
    assert profile_cells(spec, "quick", None)[0][0].pp == 256
    with pytest.raises(RecipegenError, match="no profile 'mien'") as error:
        profile_cells(spec, "mien", None)
    assert "mine" in error.value.hint


def test_cells_of_a_profile_are_chosen_by_name_too() -> None:
    cells, _ = profile_cells(SPEC, "concurrency", None)
    assert {cell.concurrency for cell in choose_cells(SPEC, ("-c4",), 2, cells)} == {4}
    assert {cell.runs for cell in choose_cells(SPEC, (), 2, cells)} == {2}
    with pytest.raises(RecipegenError, match="no cell 'c5'"):
        choose_cells(SPEC, ("c5",), None, cells)


def request(folder: Path, **other: Any) -> Any:
    fields = {
        "spec": SPEC, "folder": folder, "variants": ("ar",), "cells": dict.fromkeys(SPEC.variants, SPEC.cells()),
        "base_image": None, "resume": True, "pair": None,
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
    made["identity"] = run_identity(request(folder), "ar", made)
    writer = RunWriter(folder, made)
    writer.add_cell(cell(SPEC.cells()[0].id))
    (writer.folder / "server.log").write_text("first start\n")
    return writer


def fresh(folder: Path, **other: Any) -> Any:
    made = record(**other)
    made["identity"] = run_identity(request(folder), "ar", made)
    return made


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first, told = begun(tmp_path), Told()
    writer = writer_for(request(tmp_path), fresh(tmp_path), told)  # type: ignore[arg-type]
    assert writer.folder == first.folder
    assert [c["id"] for c in writer.record["cells"]] == [SPEC.cells()[0].id]
    assert told.notes == [f"going on with {first.folder.name}: 1 cells are done"]
    assert (writer.folder / "server.1.log").read_text() == "first start\n"
    stored = load_run(writer.folder)
    assert stored["status"] == "running" and len(stored["resumed"]) == 1
    again = writer_for(request(tmp_path), fresh(tmp_path), told)  # type: ignore[arg-type]
    assert len(again.record["resumed"]) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "elsewhere"},
        {"runner": "local"},
        {"host": {"gpus": []}},
        {"versions": {"recipegen": "x", "llama_benchy": "0.3.7", "python": "3"}},
        {"recipe": {"name": "other", "title": "", "spec_sha256": "0" * 64, "kit_sha256": "k" * 64}},
    ],
)
def test_another_configuration_or_host_is_never_gone_on_with(tmp_path: Path, other: dict[str, Any]) -> None:
    begun(tmp_path)
    told = Told()
    writer = writer_for(request(tmp_path), fresh(tmp_path, **other), told)  # type: ignore[arg-type]
    assert writer.record["cells"] == []
    assert told.notes == ["no run of this very identity is unfinished: measuring anew"]


def test_other_cells_or_a_whole_run_are_not_gone_on_with(tmp_path: Path) -> None:
    first = begun(tmp_path)
    fewer = {**fresh(tmp_path)}
    fewer["identity"] = run_identity(request(tmp_path, cells={"ar": SPEC.cells()[:1]}), "ar", fewer)
    assert writer_for(request(tmp_path), fewer, Told()).record["cells"] == []  # type: ignore[arg-type]
    first.finish("complete")
    assert writer_for(request(tmp_path), fresh(tmp_path), Told()).folder != first.folder  # type: ignore[arg-type]


def test_without_resume_a_run_is_a_new_one(tmp_path: Path) -> None:
    first = begun(tmp_path)
    assert writer_for(request(tmp_path, resume=False), fresh(tmp_path), Told()).folder != first.folder  # type: ignore[arg-type]


def test_a_broken_record_does_not_keep_others_from_being_found(tmp_path: Path) -> None:
    first = begun(tmp_path)
    broken = first.folder.with_name("99991231T000000Z-ar")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert writer_for(request(tmp_path), fresh(tmp_path), Told()).folder == first.folder  # type: ignore[arg-type]


def test_another_image_under_the_same_tag_is_told(tmp_path: Path) -> None:
    made = record(image={"id": "sha256:1"}, cells=[cell("a")])
    require_same_image(made, {"id": "sha256:1"})
    with pytest.raises(MeasurementFailed, match="another one"):
        require_same_image(made, {"id": "sha256:2"})
    require_same_image(record(image={"id": "sha256:1"}, cells=[]), {"id": "sha256:2"})


def test_two_variants_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[str, ...], int]] = []

    def measure(asked: Any, display: Any) -> list[str]:
        seen.append((asked.variants, asked.pair["round"]))
        return list(asked.variants)

    monkeypatch.setattr("recipegen.bench.session.measure", measure)
    from recipegen.bench.session import Request
    from recipegen.runners.plan import HostOptions

    asked = Request(SPEC, Path(), ("ar", "dflash"), {}, HostOptions(runner="local"), "k")
    told = Told()
    assert measure_in_turn(asked, 3, told) == ["ar", "dflash", "dflash", "ar", "ar", "dflash"]  # type: ignore[arg-type]
    assert [number for _, number in seen] == [1, 2, 3]
    assert len(told.notes) == 3


def test_the_record_keeps_what_older_readers_do_not_know(tmp_path: Path) -> None:
    writer = begun(tmp_path, profile="quick", pair={"id": "p", "round": 1, "rounds": 3})
    stored = json.loads((writer.folder / "run.json").read_text())
    assert stored["profile"] == "quick" and stored["pair"]["round"] == 1
    assert load_run(writer.folder)["identity"] == writer.record["identity"]
