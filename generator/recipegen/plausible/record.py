"""The verdicts of a whole run, put into its record. Owns no check (judge) and no file."""

from __future__ import annotations

from pathlib import Path

from recipegen.plausible.judge import CellVerdict, verdicts
from recipegen.results.store import RunRecord
from recipegen.spec.completed import Spec


def put_verdicts(spec: Spec, run: Path, record: RunRecord) -> list[CellVerdict]:
    """Judges every measured cell of a run, also against the other cells, and puts the verdicts into the record.

    Args:
        spec: the recipe that was measured.
        run: the run's folder, its reports in it.
        record: changed in place; writing it is the caller's.

    Returns:
        Those that are other than what the record said before.

    Raises:
        RecipegenError: a report cannot be read or was changed since it was stored.
    """
    found = {one.cell: one for one in verdicts(spec, run, record)}
    changed = []
    for cell in record["cells"]:
        if cell["id"] in found:
            before, cell["verdict"] = cell.get("verdict"), found[cell["id"]].judgement.as_data()
            if before != cell["verdict"]:
                changed.append(found[cell["id"]])
    return changed
