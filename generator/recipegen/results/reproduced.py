"""reproduction.json: what came of measuring again beside a reference. Owns its shape and reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from recipegen.errors import Problem, SpecError, Where
from recipegen.files import read_bounded
from recipegen.results.store import REPRODUCTION, iter_runs, run_order

_LIMIT = 4 << 20
DECIDING = ("tg", "pp")
"""Metrics whose difference makes a reproduction fail; times to the first response hang on the network as well."""

Outcome = Literal["inside", "close", "faster", "slower", "undecided"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Side(_Strict):
    """One side's figure: median (or mean) with its 95 % interval, as far as it is known."""

    value: float
    n: int | None
    low: float | None
    high: float | None


class Repeated(_Strict):
    """One metric of one cell, measured again.

    Attributes:
        difference: measured over reference, less one.
        outcome: see `outcome_of`.
        words: the comparison in a sentence.
    """

    cell: str
    metric: str
    unit: str
    reference: Side
    measured: Side
    difference: float
    outcome: Outcome
    words: str


class Differs(_Strict):
    """Something of the environment that is not the same; None is `not there`."""

    what: str
    reference: str | None
    measured: str | None


class Reproduction(_Strict):
    """What came of measuring again.

    Attributes:
        reference: what was repeated, in words.
        reference_run: its run as the repository names it; None for published figures.
        bundle: id of the bundle that the reference came in; None without one.
        quality: verdict of the quality gate of the new run.
        tolerance: share of the reference, see TOLERANCE.
        not_repeated: cells of the reference that were not measured, with the reason where one is known.
        not_known: facts of the environment that one side does not tell.
    """

    format: Literal["recipegen-reproduction/1"] = "recipegen-reproduction/1"
    recipe: str
    variant: str
    run: str
    machine: str
    ended: str | None
    reference: str
    reference_run: str | None
    bundle: str | None = None
    quality: str | None
    tolerance: float
    figures: tuple[Repeated, ...]
    not_repeated: tuple[str, ...]
    environment: tuple[Differs, ...]
    not_known: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Literal["reproduced", "not reproduced", "undecided"]:
        """Of the deciding figures: not reproduced when one certainly differs, undecided when one could not be told."""
        outcomes = {one.outcome for one in self.figures if one.metric in DECIDING}
        if self.quality == "fail" or outcomes & {"faster", "slower"}:
            return "not reproduced"
        return "reproduced" if outcomes and outcomes <= {"inside", "close"} else "undecided"


def load_reproductions(recipe_dir: Path) -> list[Reproduction]:
    """All reproductions of a recipe, newest first.

    Raises:
        SpecError: files that are none; all of them.
    """
    found: list[Reproduction] = []
    problems: list[Problem] = []
    for run in sorted(iter_runs(recipe_dir), key=run_order, reverse=True):
        path = run / REPRODUCTION
        if not path.is_file():
            continue
        try:
            found.append(Reproduction.model_validate_json(read_bounded(path, _LIMIT)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            problems.append(Problem(Where(path), f"is no reproduction: {place}: {first['msg']}", "restore it"))
    if problems:
        raise SpecError(problems)
    return found
