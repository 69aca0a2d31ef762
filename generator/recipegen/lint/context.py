"""What checks need beside the recipe: the repository's patches, the recipe's lock. Owns the shape only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recipegen.load.yamldoc import Path_
from recipegen.render.patches import Patch


@dataclass(frozen=True)
class Context:
    """What surrounds a recipe.

    Attributes:
        patches: the repository's patches by id.
        unpinned: parts of the recipe that move, with what moves; empty where a lock holds them.
    """

    patches: Mapping[str, Patch] = field(default_factory=dict)
    unpinned: tuple[tuple[Path_, str], ...] = ()
