"""Judging a run as a whole once its cells are measured. Owns when and what is told; `plausible` owns the checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipegen.errors import RecipegenError, SpecError
from recipegen.results.store import DOUBTFUL

if TYPE_CHECKING:
    from recipegen.bench.display import Display
    from recipegen.results.store import RunWriter
    from recipegen.spec.completed import Spec


def judge_run(spec: Spec, writer: RunWriter, display: Display) -> None:
    """Stores the verdicts of all cells, those that only show beside another cell among them, and tells of new doubt.

    A report that was changed since it was stored (by hand, before --resume) is told: each cell keeps its own verdict
    then, and the table refuses the changed one.
    """
    from recipegen.plausible.record import put_verdicts

    before = {cell["id"]: (cell.get("verdict") or {}).get("verdict") for cell in writer.record["cells"]}
    try:
        changed = put_verdicts(spec, writer.folder, writer.record)
    except RecipegenError as problem:
        why = "; ".join(map(str, problem.problems)) if isinstance(problem, SpecError) else problem.message
        display.note(f"the cells were not judged beside each other: {why}")
        return
    for one in changed:
        if one.judgement.verdict in DOUBTFUL and one.judgement.verdict != before[one.cell]:
            display.note(f"{one.cell}: {one.judgement.verdict}: {one.judgement.reasons[0]}")
    writer.write()
