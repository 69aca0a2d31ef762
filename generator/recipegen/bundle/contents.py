"""Which files of a run's folder belong to the run, by its record. Owns their names; reads none of them."""

from __future__ import annotations

import re

from recipegen.bench.verified import FILE as CAPTURE
from recipegen.quality.greedy import FILE as GREEDY
from recipegen.results.store import RANK_LOG, RECORD, SERVER_LOG, RunRecord, done_cells

_NUMBERED = re.compile(r"\.[0-9]{1,4}\.log$")
"""Of an earlier attempt: `server.1.log` (store.keep_numbered)."""


def belongs_to_run(record: RunRecord, name: str) -> bool:
    """Whether a file of that name in the run's folder is one that a measurement leaves there."""
    known = {RECORD, SERVER_LOG, GREEDY}
    known |= {str(cell["file"]) for cell in done_cells(record)}
    for cell in record["cells"]:
        known |= {f"{cell['id']}.log", f"{cell['id']}.metrics.json"}
    if record.get("verified"):
        known |= {CAPTURE, f"{CAPTURE.removesuffix('.json')}.metrics.json"}
    plain = _NUMBERED.sub(".log", name)
    return plain in known or (bool(record.get("nodes")) and RANK_LOG.fullmatch(plain) is not None)
