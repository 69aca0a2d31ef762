"""Profiles: which cells they come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipegen.bench.profiles import CACHED, ROOM, catalog_profiles, profile_cells
from recipegen.bench.session import choose_cells
from recipegen.cli.bench import _of_profile
from recipegen.engines.benchy import bench_command
from recipegen.errors import RecipegenError
from recipegen.fit import estimate
from recipegen.fit.context import context_of
from recipegen.spec.completed import Spec
from recipegen.spec.model import Profile
from recipegen.workspace import Workspace
from tests.support.kits import small

REPOSITORY = Path(__file__).parents[2]
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
