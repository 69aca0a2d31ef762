"""What a probe came to: checks, their verdicts, the shape that a run's record keeps. Asks nobody anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from recipegen.results.scrub import HIDDEN, find_secret

Verdict = Literal["pass", "warn", "fail"]
VERDICTS: tuple[Verdict, ...] = ("pass", "warn", "fail")
"""From best to worst."""

_SHOWN = 160


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        id: `coherence`, `questions`, `load`, `needle-4096`, `greedy`; `before.` or `after.` in front where merged.
        found: what there was, an excerpt.
        expected: what there should be.
        why: what a verdict other than `pass` rests on; one line otherwise on what was done.
    """

    id: str
    verdict: Verdict
    found: str
    expected: str
    why: str

    def as_data(self) -> dict[str, str]:
        """The form in run.json."""
        return {
            "id": self.id,
            "verdict": self.verdict,
            "found": self.found,
            "expected": self.expected,
            "why": self.why,
        }


@dataclass(frozen=True)
class Quality:
    """All checks of a probe, or of several."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks."""
        return worst(check.verdict for check in self.checks)

    def with_checks(self, *checks: Check) -> Quality:
        """These checks and more."""
        return Quality((*self.checks, *checks))

    def as_data(self) -> dict[str, Any]:
        """The form in run.json: `{"verdict", "checks": [{"id", "verdict", "found", "expected", "why"}]}`."""
        return {"verdict": self.verdict, "checks": [check.as_data() for check in self.checks]}


def quality_of_data(data: Mapping[str, Any] | None) -> Quality:
    """What `Quality.as_data` gave, as it stands in a record that was loaded; nothing asked is no checks.

    A verdict that is none of the three counts as the worst: somebody changed the record.
    """
    checks: Iterable[Mapping[str, Any]] = (data or {}).get("checks", ())
    return Quality(
        tuple(
            Check(
                id=check["id"],
                verdict=check["verdict"] if check["verdict"] in VERDICTS else "fail",
                found=check.get("found", ""),
                expected=check.get("expected", ""),
                why=check["why"],
            )
            for check in checks
        )
    )


def merged(parts: Mapping[str, Quality]) -> Quality:
    """Several probes as one, each check's id with the name of its part in front: `before.coherence`."""
    return Quality(
        tuple(replace(check, id=f"{name}.{check.id}") for name, part in parts.items() for check in part.checks)
    )


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts; `pass` of none."""
    return max(verdicts, key=VERDICTS.index, default="pass")


def shown(text: str, limit: int = _SHOWN) -> str:
    """An answer as one short printable line: what a model says must not steer a terminal, a page or a record."""
    if find_secret(text):
        return HIDDEN
    line = " ".join(text[: 4 * limit].split())
    line = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in line)
    if not line:
        return "(empty)"
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 1]}…"
