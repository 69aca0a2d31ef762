"""Is a measured figure one that the machine can reach. Owns the verdicts, their thresholds and their words; measures
nothing, changes no figure.

docs/plausibility.md has every check with its threshold and its source.
"""

from recipegen.plausible.judge import CellVerdict, judge_cell, judge_figure, verdicts
from recipegen.plausible.limits import Limits, decode_share, limits_of
from recipegen.plausible.verdict import Finding, Judgement, Kind, Verdict

__all__ = [
    "CellVerdict",
    "Finding",
    "Judgement",
    "Kind",
    "Limits",
    "Verdict",
    "decode_share",
    "judge_cell",
    "judge_figure",
    "limits_of",
    "verdicts",
]
