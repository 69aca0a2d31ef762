"""claim.json: the figures that a bundle claims, and what they are of. Owns its shape (recipegen-claim/1); every figure
comes from `stats` by way of the evidence."""

from __future__ import annotations

import json
from collections.abc import Iterable
from statistics import median
from typing import Any

from recipegen import __version__
from recipegen.bundle.doubts import Doubt, remarks_of
from recipegen.evidence import EVERY_METRIC, Evidence
from recipegen.publish.figures import UNITS
from recipegen.stats import WARM_RULE, warm
from recipegen.stats.bootstrap import ratio_interval
from recipegen.stats.summary import Described

FORMAT = "recipegen-claim/1"
WORDS = {
    "tg": "decode",
    "pp": "prefill",
    "ttfr": "time to first response",
    "ttft": "time to first token",
    "tg_req": "decode of one request",
}
STATISTICS = ("n", "dropped", "median", "low", "high", "mean", "std", "q1", "q3", "minimum", "maximum")
"""What is claimed of each metric: `low` and `high` are the ends of the median's 95 % bootstrap interval."""


def claim_of(evidence: Evidence, doubts: Iterable[Doubt]) -> dict[str, Any]:
    """What a bundle of this evidence claims."""
    spec, record, cell = evidence.spec, evidence.record, evidence.cell
    baseline = evidence.baseline
    return {
        "format": FORMAT,
        "recipe": spec.name,
        "title": spec.title,
        **_side(evidence),
        "cell": {
            key: cell[key]
            for key in ("id", "corpus", "corpus_sha256", "pp", "tg", "depth", "concurrency", "thinking", "runs")
        },
        "warm_rule": WARM_RULE,
        "baseline": None if baseline is None else _side(baseline),
        "ratios": ratios_of(evidence),
        "quality": evidence.quality,
        "plausibility": evidence.judgement.as_data(),
        "doubts": [doubt.as_data() for doubt in doubts],
        "remarks": list(remarks_of(evidence)),
        "model": spec.models[spec.variants[evidence.variant].model].model_dump(
            mode="json", include={"hf_id", "revision", "served_name", "base_model", "quantization"}
        ),
        "hardware": {"recipe": spec.hardware.label, "host": record["host"]},
        "engine": dict(record["engine"]),
        "image": record["image"],
        "versions": {**record["versions"], "bundle": __version__},
    }


def _side(evidence: Evidence) -> dict[str, Any]:
    return {
        "variant": evidence.variant,
        "method": evidence.record["method"],
        "machine": evidence.record["machine"],
        "run": evidence.place,
        "measured": evidence.cell["ended"] or evidence.record["ended"] or evidence.record["started"],
        "report": f"{evidence.place}/{evidence.cell['file']}",
        "report_sha256": evidence.cell["sha256"],
        "figures": {metric: figure_data(metric, found) for metric, found in evidence.figures.items()},
    }


def figure_data(metric: str, found: Described) -> dict[str, Any]:
    """One metric's figures: unit, then STATISTICS."""
    return {"unit": UNITS[metric], **{key: getattr(found, key) for key in STATISTICS}}


def ratios_of(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Headline to baseline, by metric, with the ends of the 95 % interval; a metric without a ratio is left out."""
    found: dict[str, dict[str, float]] = {}
    if evidence.baseline is None:
        return found
    for metric in EVERY_METRIC:
        ours, theirs = warm(evidence.samples(metric))[0], warm(evidence.baseline.samples(metric))[0]
        if ours and theirs and min(*ours, *theirs) > 0:
            low, high = ratio_interval(sorted(theirs), sorted(ours))
            found[metric] = {"ratio": median(ours) / median(theirs), "low": low, "high": high}
    return found


def claim_text(claim: dict[str, Any]) -> str:
    """The one spelling of claim.json."""
    return json.dumps(claim, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
