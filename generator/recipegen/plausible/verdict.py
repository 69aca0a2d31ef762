"""Shapes of a judgement and the order of severity. Owns no threshold and no arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["too-fast", "too-slow", "cold", "mixed"]
Verdict = Literal["too-fast", "too-slow", "cold", "mixed", "plausible", "unknown"]

MEANINGS: Mapping[Verdict, str] = {
    "plausible": "below the ceiling of the machine, and consistent in itself",
    "unknown": "nothing speaks against it, and no ceiling of the machine is known",
    "too-fast": "faster than the machine's memory or arithmetic allows, or cached",
    "too-slow": "far below what the machine does elsewhere",
    "cold": "holds samples of a server that was still warming up",
    "mixed": "samples of two kinds under one figure",
}
"""Each in short; docs/plausibility.md has the rules."""

SEVERITY: tuple[Kind, ...] = ("too-fast", "too-slow", "cold", "mixed")
"""Worst first. A figure that no machine reaches is wrong whatever else is true of it; one far below the machine is
probably wrong; a cold start spoils some statistics of right samples; mixed samples are right, one by one."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a cell.

    Attributes:
        kind: the verdict that it asks for.
        code: stable name of the check, as in docs/plausibility.md.
        text: the reason in words, with the figures.
    """

    kind: Kind
    code: str
    text: str


@dataclass(frozen=True)
class Judgement:
    """What a cell came to.

    Attributes:
        verdict: of the worst finding; without findings `plausible`, or `unknown` where no ceiling is known.
        findings: worst first.
        notes: what was compared, what could not be, and what was seen that spoils nothing.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, in words, the worst first."""
        return (*(finding.text for finding in self.findings), *self.notes)

    def as_data(self) -> dict[str, Any]:
        """The shape of a cell record's `verdict`."""
        return {"verdict": self.verdict, "reasons": list(self.reasons)}


def judgement(findings: Iterable[Finding], notes: Iterable[str], *, bounded: bool) -> Judgement:
    """The judgement of all findings on one cell.

    Args:
        findings: in any order.
        notes: in the order to be read.
        bounded: whether the decode speed was held against a ceiling.
    """
    found = sorted(findings, key=lambda finding: SEVERITY.index(finding.kind))
    verdict: Verdict = found[0].kind if found else "plausible" if bounded else "unknown"
    return Judgement(verdict, tuple(found), tuple(notes))
