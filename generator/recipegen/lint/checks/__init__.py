"""Checks that predicates cannot express. Owns the register: each check is a function that reports hits of the rules
whose `check` names its module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from recipegen.lint.checks.drafters import drafter_of_another
from recipegen.lint.checks.fit import memory_fits, native_context
from recipegen.lint.checks.flags import flag_pairs, known_flags
from recipegen.lint.checks.heads import heads_split
from recipegen.lint.checks.images import other_engine_version
from recipegen.lint.checks.patches import patch_ranges
from recipegen.lint.checks.pins import moving_parts
from recipegen.lint.context import Context
from recipegen.lint.finding import Hit
from recipegen.lint.subject import Recipe, Subject

PER_RECIPE: tuple[Callable[[Recipe, Context], Iterator[Hit]], ...] = (
    patch_ranges,
    moving_parts,
    other_engine_version,
)
PER_VARIANT: tuple[Callable[[Subject, Context], Iterator[Hit]], ...] = (
    known_flags,
    flag_pairs,
    drafter_of_another,
    memory_fits,
    native_context,
    heads_split,
)
