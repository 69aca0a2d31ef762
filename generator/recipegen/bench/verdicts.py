"""Judging a run as a whole once its cells are measured. Owns when and what is told; `plausible` owns the checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipegen.results.store import DOUBTFUL

if TYPE_CHECKING:
    from recipegen.bench.display import Display
    from recipegen.results.store import RunWriter
    from recipegen.spec.completed import Spec


def judge_run(spec: Spec, writer: RunWriter, display: Display) -> None:
    """Stores the verdicts of all cells, those that only show beside another cell among them, and tells of new doubt.

    Raises:
        RecipegenError: a report of an earlier cell was changed since it was stored.
    """
    from recipegen.plausible.record import put_verdicts

    before = {cell["id"]: (cell.get("verdict") or {}).get("verdict") for cell in writer.record["cells"]}
    for one in put_verdicts(spec, writer.folder, writer.record):
        if one.judgement.verdict in DOUBTFUL and one.judgement.verdict != before[one.cell]:
            display.note(f"{one.cell}: {one.judgement.verdict}: {one.judgement.reasons[0]}")
    writer.write()
