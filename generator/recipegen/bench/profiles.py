"""Profiles: named sets of cells, of the catalog or of the recipe. Owns which cells a profile comes to."""

from __future__ import annotations

import itertools
from functools import cache

from recipegen.errors import RecipegenError
from recipegen.load.messages import near_miss
from recipegen.spec.completed import PlannedCell, Spec, cell_id
from recipegen.spec.model import Cell, Profile

CACHED = "-cached"
"""End of a cell's id when its context may be cached: another measurement than the cell of the same shape."""

ROOM = 256
"""Tokens that stay free beside prompt, depth and answer: what the chat template adds (some bring a system prompt of
their own), and what a text has more when it is cut by words."""
_NEAR = 1.05
"""A depth that is to be the limit and is hardly deeper than one that is measured anyway tells nothing new."""


@cache
def catalog_profiles() -> dict[str, Profile]:
    """The profiles that every recipe has, by name."""
    from recipegen.catalog import PROFILES, read_yaml

    return {name: Profile.model_validate(body) for name, body in read_yaml(PROFILES).items()}


def profile_of(spec: Spec, name: str) -> Profile:
    """The profile of that name: the recipe's own, else the catalog's.

    Raises:
        RecipegenError: there is none; the hint lists them.
    """
    known = catalog_profiles() | spec.bench.profiles
    if name not in known:
        raise RecipegenError(f"there is no profile {name!r}", hint=near_miss(name, known))
    return known[name]


def profile_cells(spec: Spec, name: str, context: int | None) -> tuple[tuple[PlannedCell, ...], tuple[str, ...]]:
    """The cells of a profile, and ids of those left out because they are longer than the context.

    Args:
        context: tokens that the variant's server takes; None when that is not known.
    """
    profile = profile_of(spec, name)
    texts = list(spec.bench.corpora) if profile.corpora == "all" else list(spec.bench.corpora)[:1]
    modes = profile.thinking or spec.bench.thinking
    shapes = [(pp, depth) for pp in profile.pp for depth in _depths(profile, pp, context)]
    cells: list[PlannedCell] = []
    too_long: list[str] = []
    for thinking, corpus, (pp, depth), concurrency in itertools.product(modes, texts, shapes, profile.concurrency):
        shape = Cell(pp=pp, tg=profile.tg, depth=depth, concurrency=concurrency)
        found = PlannedCell(
            id=cell_id(corpus, shape, thinking) + CACHED * profile.prefix_caching,
            corpus=corpus,
            **shape.model_dump(),
            thinking=thinking,
            runs=profile.runs or spec.bench.runs,
            prefix_caching=profile.prefix_caching,
        )
        if context is not None and depth > _deepest(profile, pp, context):
            too_long.append(found.id)
        else:
            cells.append(found)
    return tuple(cells), tuple(too_long)


def _deepest(profile: Profile, pp: int, context: int) -> int:
    """Tokens that may stand before a prompt, so that prompt and answer fit after them; below zero when they do not."""
    return context - pp - profile.tg - ROOM


def _depths(profile: Profile, pp: int, context: int | None) -> tuple[int, ...]:
    """The profile's depths, and the limit's own where it asks for that and the limit is known."""
    if context is None or not profile.to_limit:
        return profile.depth
    limit = _deepest(profile, pp, context)
    planned = max((depth for depth in profile.depth if depth <= limit), default=0)
    return (*profile.depth, limit) if limit > _NEAR * planned + ROOM else profile.depth
