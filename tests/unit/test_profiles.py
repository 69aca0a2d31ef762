"""Profiles: which cells they come to."""

from __future__ import annotations

import pytest

from recipegen.bench.profiles import CACHED, catalog_profiles, profile_cells
from recipegen.bench.session import choose_cells
from recipegen.engines.benchy import bench_command
from recipegen.errors import RecipegenError
from recipegen.spec.model import Profile
from tests.support.kits import small

SPEC = small("vllm-prebuilt")


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


def test_spark_arena_measures_28_cells_with_a_cached_context() -> None:
    cells, _ = profile_cells(SPEC, "spark-arena-v2", None)
    assert len(cells) == 28 * len(SPEC.bench.thinking)
    assert all(cell.runs == 3 and cell.id.endswith(CACHED) for cell in cells)
    words = bench_command(SPEC, cells[0]).words(BOOK_URL="http://x")
    assert "--enable-prefix-caching" in words and "--no-cache" not in words
    plain = bench_command(SPEC, SPEC.cells()[0]).words(BOOK_URL="http://x")
    assert "--enable-prefix-caching" not in plain and "--no-cache" in plain


def test_cells_longer_than_the_context_are_left_out_and_named() -> None:
    cells, left_out = profile_cells(SPEC, "longctx", 65_536)
    assert max(cell.depth for cell in cells) == 32_768
    assert any("d65536" in name for name in left_out)
    assert all(cell.pp + cell.tg + cell.depth <= 65_536 for cell in cells)


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
