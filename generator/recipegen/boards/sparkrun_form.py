"""The recipe of a Spark Arena submission: the measured variant in sparkrun's own form, as `exchange` writes it. Owns
when there is none, and what the board's entry loses by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipegen.boards.payload import launch_problems
from recipegen.errors import RecipegenError
from recipegen.evidence import Evidence
from recipegen.exchange.export import to_sparkrun
from recipegen.load.yamldoc import parse

RECIPE = "recipe.yaml"


@dataclass(frozen=True)
class SparkrunForm:
    """A recipe as sparkrun has it.

    Attributes:
        text: of its recipe.yaml; empty where it has no such form.
        data: what that says.
        problems: why it has none.
        losses: what of the recipe changes what runs and is not in the form.
    """

    text: str = ""
    data: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


def sparkrun_form(evidence: Evidence) -> SparkrunForm:
    """The variant that was measured; none when the recipe has changed since, or its model is not on the hub."""
    if changed := launch_problems(evidence):
        return SparkrunForm(problems=tuple(changed))
    spec = evidence.spec
    if spec.models[spec.variants[evidence.variant].model].hf_id is None:
        return SparkrunForm(problems=("the board wants a model of the Hugging Face hub, and the recipe names none",))
    try:
        exported = to_sparkrun(spec, evidence.variant)
    except RecipegenError as error:
        return SparkrunForm(problems=(error.message,))
    losses = tuple(f"{lost.name}: {lost.why}" for lost in exported.report.lost if lost.runs)
    return SparkrunForm(exported.text, read_form(exported.text.encode()), losses=losses)


def read_form(raw: bytes) -> Any:
    """What a recipe.yaml of anybody says.

    Raises:
        RecipegenError: it is not YAML of a sensible size.
    """
    return parse(raw.decode("utf-8", "replace"), Path(RECIPE)).data
