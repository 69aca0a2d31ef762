"""Why a result should not make a headline, and what a reader must know of it. Owns the list; judges nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from recipegen.evidence import Evidence
from recipegen.results.store import DOUBTFUL


@dataclass(frozen=True)
class Doubt:
    """One reason not to believe a figure.

    Attributes:
        code: stable name: a verdict of `plausible`, `quality-fail`, `stale-recipe`, `stale-kit`, `run-<status>`; with
            `baseline-` in front where the baseline is meant.
        text: the reason in words.
    """

    code: str
    text: str

    def as_data(self) -> dict[str, str]:
        """The form in claim.json."""
        return asdict(self)


def doubts_of(evidence: Evidence, kit_sha256: str) -> tuple[Doubt, ...]:
    """Why this evidence should not make a headline; nothing where it may.

    Args:
        kit_sha256: of the kit that is rendered from the recipe today.
    """
    found = list(_of_one(evidence, kit_sha256))
    if evidence.baseline is not None:
        found += [
            Doubt(f"baseline-{doubt.code}", f"the baseline: {doubt.text}")
            for doubt in _of_one(evidence.baseline, kit_sha256)
        ]
    return tuple(found)


def _of_one(evidence: Evidence, kit_sha256: str) -> Iterator[Doubt]:
    record = evidence.record
    if record["status"] not in ("complete", "partial"):
        yield Doubt(f"run-{record['status']}", f"the run did not end well: {record['error'] or record['status']}")
    if evidence.quality == "fail":
        checks = (record.get("quality") or {}).get("checks", ())
        why = "; ".join(f"{check['id']}: {check['why']}" for check in checks if check["verdict"] == "fail")
        yield Doubt("quality-fail", f"the server failed its quality gate: {why or 'no reason noted'}")
    judgement = evidence.judgement
    if judgement.verdict in DOUBTFUL:
        yield Doubt(judgement.verdict, "; ".join(one.text for one in judgement.findings))
    ran = record["recipe"]
    if ran.get("spec_sha256") not in (None, evidence.spec.sha256):
        yield Doubt(
            "stale-recipe",
            f"recipe.yaml says something else than what was measured: {str(ran['spec_sha256'])[:16]} ran, "
            f"{evidence.spec.sha256[:16]} is here",
        )
    if ran.get("kit_sha256") not in (None, kit_sha256):
        yield Doubt(
            "stale-kit",
            f"the kit is another one than was measured: {str(ran['kit_sha256'])[:16]} ran, {kit_sha256[:16]} is here",
        )


def remarks_of(evidence: Evidence) -> tuple[str, ...]:
    """What a reader must know, though it is no reason to refuse: few samples, no gate, nothing to hold it against."""
    return tuple(_remarks(evidence))


def _remarks(evidence: Evidence) -> Iterator[str]:
    record = evidence.record
    for metric, figure in evidence.figures.items():
        if metric in ("tg", "pp"):
            yield from (f"{metric}: {warning.text}" for warning in figure.warnings)
    if evidence.quality is None:
        yield "nobody asked the server questions: whether its answers are right is not known"
    elif evidence.quality == "warn":
        checks = (record.get("quality") or {}).get("checks", ())
        yield "quality gate: " + "; ".join(f"{one['id']}: {one['why']}" for one in checks if one["verdict"] == "warn")
    if evidence.judgement.verdict == "unknown":
        yield "no ceiling of this machine and model is known, so that nothing bounds the decode speed from above"
    failed = evidence.cell.get("failed_requests")
    if failed:
        yield f"{failed} of {evidence.cell['runs']} requests failed; their samples are missing"
    if record["origin"] != "bench":
        yield "the report was taken in, not measured by recipegen: which command lines ran is not known"
    if record["recipe"].get("spec_sha256") is None:
        yield "nobody recorded which recipe was measured: that it was this one is its author's word"
    if evidence.spec.baseline is not None and evidence.baseline is None and evidence.variant != evidence.spec.baseline:
        yield f"the baseline ({evidence.spec.baseline}) has no run of this cell on this machine: no speed-up is claimed"
