"""Looking at this host before anything is built: facts, and what they mean. Changes nothing and starts no server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipegen.doctor.case import RecipeOnHost
from recipegen.doctor.checks import CHECKS, DOCKER_IDS
from recipegen.doctor.facts import Facts
from recipegen.doctor.finding import Check, Finding
from recipegen.doctor.recipe import RECIPE_CHECKS

if TYPE_CHECKING:
    from recipegen.runners.plan import HostOptions
    from recipegen.spec.completed import Spec


def diagnose(facts: Facts, *, runner: str = "docker") -> list[Finding]:
    """What the facts mean for any recipe, in the order of the checks.

    Args:
        facts: of `host.gather`.
        runner: "local" leaves Docker out: a process of this host needs none.
    """
    checks: Sequence[Check[Facts]] = [check for check in CHECKS if runner == "docker" or check.id not in DOCKER_IDS]
    return [found for check in checks if (found := check.finding(facts)) is not None]


def diagnose_recipe(facts: Facts, spec: Spec, variant: str, options: HostOptions) -> list[Finding]:
    """What the facts mean for one variant of one recipe; checks that do not apply to it are left out."""
    case = RecipeOnHost(facts, spec, variant, options)
    return [found for check in RECIPE_CHECKS if (found := check.finding(case)) is not None]
