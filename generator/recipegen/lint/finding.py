"""What the linter found. Owns the shape of a finding and its order; prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from recipegen.errors import Where
from recipegen.lint.rule import SEVERITIES, Rule, Severity, rules, source_texts
from recipegen.load.yamldoc import Path_


@dataclass(frozen=True)
class Hit:
    """A rule that fires, as a check reports it.

    Attributes:
        rule: id of the rule.
        path: place in the recipe; None for the recipe as a whole.
        detail: what was found here, in place of the rule's own title.
        fix: what to do here, in place of the rule's own fix.
        severity: where this case is worse or better than the rule's own.
    """

    rule: str
    path: Path_ | None = None
    detail: str = ""
    fix: str = ""
    severity: Severity | None = None


@dataclass(frozen=True)
class Finding:
    """A hit at its place in the file.

    Attributes:
        variants: the variants that it holds for; none when it is about the recipe as a whole.
        silenced: the author's reason, where the recipe silences the rule.
    """

    rule: Rule
    where: Where
    message: str
    fix: str
    severity: Severity
    variants: tuple[str, ...] = ()
    silenced: str | None = None

    @property
    def order(self) -> tuple[Any, ...]:
        """Worst first, then by place."""
        return (self.silenced is not None, SEVERITIES.index(self.severity), self.where, self.rule.id, self.message)

    def as_data(self) -> dict[str, Any]:
        """The finding for --json."""
        return {
            "rule": self.rule.id,
            "severity": self.severity,
            "file": str(self.where.file),
            "line": self.where.line,
            "column": self.where.column,
            "variants": list(self.variants),
            "message": self.message,
            "why": self.rule.why,
            "fix": self.fix,
            "disagree": self.rule.disagree,
            "sources": source_texts(self.rule),
            "silenced": self.silenced,
        }


def finding_of(hit: Hit, where: Where, variant: str | None, silenced: str | None) -> Finding:
    """A hit with its rule's texts."""
    rule = rules()[hit.rule]
    return Finding(
        rule=rule,
        where=where,
        message=hit.detail or rule.title,
        fix=hit.fix or rule.fix,
        severity=hit.severity or rule.severity,
        variants=(variant,) if variant else (),
        silenced=silenced,
    )


def merged(findings: list[Finding]) -> list[Finding]:
    """The same finding of several variants as one; worst first."""
    found: dict[tuple[Any, ...], Finding] = {}
    for finding in findings:
        key = (finding.rule.id, finding.where, finding.message, finding.severity, finding.silenced)
        known = found.get(key)
        if known is not None:
            variants = tuple(dict.fromkeys((*known.variants, *finding.variants)))
            finding = replace(known, variants=variants)
        found[key] = finding
    return sorted(found.values(), key=lambda finding: finding.order)
