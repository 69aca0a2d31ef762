"""Whether what a bundle claims follows from its raw reports: claim.json, the pages, the doubts. Owns no figure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recipegen.bundle.claim import FORMAT, STATISTICS, claim_of
from recipegen.bundle.doubts import Doubt
from recipegen.bundle.layout import BOARDS, CLAIM
from recipegen.bundle.make import pages
from recipegen.bundle.unpack import Opened
from recipegen.claims import Check, Status
from recipegen.errors import RecipegenError, Where
from recipegen.evidence import Evidence
from recipegen.files import read_bounded
from recipegen.publish.charts.recipe import FOLDER as CHARTS
from recipegen.publish.charts.svg import STYLE
from recipegen.publish.figures import number
from recipegen.quality.verdict import worst
from recipegen.stats.summary import figure
from recipegen.verify.integrity import same_version

_LIMIT = 4 << 20
_SAME = 1e-9
"""Relative: two versions of Python may differ in the last digit of a sum."""


def read_claim(root: Path) -> dict[str, Any]:
    """claim.json.

    Raises:
        RecipegenError: it is not there, or is none.
    """
    path = root / CLAIM
    raw = read_bounded(path, _LIMIT)
    try:
        claim = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RecipegenError(f"is not JSON: {error}", where=Where(path)) from error
    if not isinstance(claim, dict) or claim.get("format") != FORMAT:
        raise RecipegenError(f"is no claim of the format {FORMAT}", where=Where(path))
    if not all(isinstance(claim.get(key), kind) for key, kind in _SHAPE.items()):
        raise RecipegenError("does not say what it claims, of which run and cell", where=Where(path))
    return claim


_SHAPE: dict[str, type] = {"run": str, "cell": dict, "figures": dict, "ratios": dict, "doubts": list}


def check_figures(claim: Mapping[str, Any], evidence: Evidence, doubts: tuple[Doubt, ...]) -> Iterator[Check]:
    """Every figure of claim.json, recomputed."""
    expected = claim_of(evidence, doubts)
    yield from _sides("figure", claim["figures"], expected["figures"])
    ours, theirs = expected["baseline"], claim["baseline"]
    if (ours is None) != (theirs is None):
        what = (
            "claims a baseline that is not in the bundle" if ours is None else "leaves out the baseline that it holds"
        )
        yield Check("baseline", "failed", what, CLAIM)
    elif ours is not None and theirs is not None:
        yield from _sides("figure-baseline", theirs["figures"], ours["figures"])
    yield from _ratios(claim["ratios"], expected["ratios"])
    shown = evidence.samples("tg") or evidence.samples("pp")
    found = evidence.figures.get("tg") or evidence.figures["pp"]
    if claim.get("warm_rule") != expected["warm_rule"]:
        yield Check("warm-rule", "failed", f"it claims another rule: {claim.get('warm_rule')!r:.200}", CLAIM)
    else:
        text = f"{found.n} of {len(shown)} samples count; the first is left out" if found.dropped else "a single sample"
        yield Check("warm-rule", "passed", text, CLAIM)
    numbers = {"figures", "baseline", "ratios", "warm_rule"}
    for key in sorted(set(claim) | set(expected)):
        if key not in numbers and claim.get(key) != expected.get(key):
            text = (
                f"{key} is {claim.get(key)!r:.150}; from the recipe and the record follows {expected.get(key)!r:.150}"
            )
            yield Check("claim", _text_status(claim, expected, key), text, CLAIM)
    if theirs is not None and ours is not None:
        for key in ours:
            if key != "figures" and theirs.get(key) != ours[key]:
                yield Check(
                    "claim", "failed", f"baseline.{key} is {theirs.get(key)!r:.150}, not {ours[key]!r:.150}", CLAIM
                )


def _text_status(claim: Mapping[str, Any], expected: Mapping[str, Any], key: str) -> Status:
    """Another version of recipegen may word these otherwise; numbers in them must follow all the same."""
    worded = ("remarks", "plausibility", "doubts", "versions")
    made = (claim.get("versions") or {}).get("bundle")
    if key not in worded or made == expected["versions"]["bundle"]:
        return "failed"
    one, two = (_numbers_in(json.dumps(side.get(key)).encode(), CLAIM) for side in (claim, expected))
    return "failed" if key != "versions" and one - two else "undecidable"


def _sides(prefix: str, claimed: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Check]:
    for metric in sorted(set(claimed) | set(expected)):
        name, one, two = f"{prefix}-{metric}", claimed.get(metric), expected.get(metric)
        if two is None:
            yield Check(name, "failed", "the raw report has no sample of it", CLAIM)
            continue
        if one is None:
            yield Check(name, "failed", "the raw report has it, the claim leaves it out", CLAIM)
            continue
        wrong = [
            f"{key} {one.get(key)!r:.40} is claimed, {_shown(two[key])} follows"
            for key in (*STATISTICS, "unit")
            if not _same(one.get(key), two[key])
        ]
        text = f"{number(two['median'])} {two['unit']} (n={two['n']}, {number(two['low'])} to {number(two['high'])})"
        if wrong:
            yield Check(name, "failed", f"{'; '.join(wrong)}. From the raw report follows {text}", CLAIM)
        else:
            yield Check(name, "passed", f"{text} follows from the raw report", CLAIM)


def _ratios(claimed: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Check]:
    for metric in sorted(set(claimed) | set(expected)):
        one, two = claimed.get(metric) or {}, expected.get(metric)
        if two is None:
            yield Check(f"ratio-{metric}", "failed", "there is no baseline's figure to make a ratio of", CLAIM)
            continue
        wrong = [
            f"{key} {one.get(key)!r:.40} is claimed, {two[key]:.4f} follows"
            for key in two
            if not _same(one.get(key), two[key])
        ]
        if wrong:
            yield Check(f"ratio-{metric}", "failed", "; ".join(wrong), CLAIM)
        else:
            text = f"{two['ratio']:.3f} times the baseline ({two['low']:.3f} to {two['high']:.3f}) follows"
            yield Check(f"ratio-{metric}", "passed", text, CLAIM)


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, bool) or not isinstance(one, int | float) or not isinstance(two, int | float):
        return bool(one == two)
    return math.isclose(one, two, rel_tol=_SAME, abs_tol=0.0)


def _shown(value: Any) -> str:
    return figure(value) if isinstance(value, float) else repr(value)


def check_doubts(claim: Mapping[str, Any], evidence: Evidence, doubts: tuple[Doubt, ...]) -> Iterator[Check]:
    """Plausibility, quality and age, judged anew; a doubt that the bundle itself names is left to the reader."""
    admitted = {str(doubt.get("code")) for doubt in claim["doubts"] if isinstance(doubt, dict)}
    for doubt in doubts:
        if doubt.code in admitted:
            yield Check(doubt.code, "undecidable", f"{doubt.text}. The bundle says so itself")
        else:
            yield Check(doubt.code, "failed", f"{doubt.text}. The bundle does not say so")
    found = {doubt.code for doubt in doubts}
    for code in sorted(admitted - found):
        yield Check(code, "undecidable", "the bundle names this doubt, and nothing here gives rise to it")
    sides = [("", evidence), *([("-baseline", evidence.baseline)] if evidence.baseline else [])]
    for role, side in sides:
        prefix = "baseline-" if role else ""
        if prefix + side.judgement.verdict not in found:
            text = f"{side.judgement.verdict}: " + ("; ".join(side.judgement.notes) or "judged anew")
            known = side.judgement.verdict == "plausible"
            yield Check(f"plausibility{role}", "passed" if known else "undecidable", text)
        yield from _quality(side, role)
        hashes = side.record["recipe"]
        if None in (hashes.get("spec_sha256"), hashes.get("kit_sha256")):
            text = "nobody recorded by its hash which recipe and kit were measured"
            yield Check(f"fresh{role}", "undecidable", text)
        elif not found & {f"{prefix}stale-recipe", f"{prefix}stale-kit"}:
            text = "the recipe and the kit that were measured are those in the bundle, by their hashes"
            yield Check(f"fresh{role}", "passed", text)


def _quality(side: Evidence, role: str) -> Iterator[Check]:
    quality = side.record.get("quality")
    if quality is None:
        yield Check(f"quality{role}", "undecidable", "nobody asked the server questions")
        return
    verdict = worst(check["verdict"] for check in quality["checks"])
    if verdict != quality["verdict"]:
        text = f"the record says {quality['verdict']!r}, its checks come to {verdict!r}"
        yield Check(f"quality{role}", "failed", text)
    elif verdict != "fail":
        text = f"{verdict}: {len(quality['checks'])} checks, as they were recorded"
        yield Check(f"quality{role}", "passed", text)


def check_pages(bundle: Opened, claim: Mapping[str, Any], evidence: Evidence) -> Iterator[Check]:
    """README.md, CITATION.txt, the chart, claim.json and the tables are what recipegen writes of this evidence."""
    payloads = [path for path in bundle.files if path.startswith(f"{BOARDS}/") and path.count("/") >= 2]
    # The doubts that the bundle names are the ones that its pages must repeat.
    told = tuple(Doubt(str(one["code"]), str(one["text"])) for one in claim["doubts"])
    charts = {path for path in bundle.files if path.startswith(f"recipes/{evidence.spec.name}/{CHARTS}/")}
    for entry in pages(evidence, claim_of(evidence, told), payloads):
        charts.discard(entry.path)
        assert isinstance(entry.source, bytes)
        if entry.path not in bundle.files:
            yield Check("page", "failed", "is not there", entry.path)
        else:
            yield _page(bundle, entry.path, entry.source)
    for path in sorted(charts):
        yield Check("page", "failed", "the runs of this bundle make no such chart", path)


def _page(bundle: Opened, path: str, expected: bytes) -> Check:
    found = read_bounded(bundle.root / path, _LIMIT)
    if found == expected:
        return Check("page", "passed", "is what follows from the recipe, the records and the raw reports", path)
    if path.endswith(".svg") and (active := _ACTIVE.search(found.replace(STYLE.encode(), b""))):
        return Check("page", "failed", f"a chart that does things: {active[0]!r:.40}", path)
    if same_version(bundle):
        return Check("page", "failed", first_difference(found, expected), path)
    # The wording is another version's; the figures are nobody's but the reports'.
    strange = sorted(_numbers_in(found, path) - _numbers_in(expected, path) - {bundle.manifest.recipegen})
    if strange:
        return Check("page", "failed", f"{', '.join(strange[:8])} does not follow from the raw reports", path)
    text = f"{first_difference(found, expected)}; recipegen {bundle.manifest.recipegen} made it, which may word it so"
    return Check("page", "undecidable", text, path)


_ACTIVE = re.compile(
    rb"<\s*(?:script|foreignObject|iframe|image|use|a|style|animate\w*|set|!DOCTYPE|!ENTITY)\b|\bon\w+\s*=|\bhref\b"
    rb"|javascript:|\burl\(",
    re.IGNORECASE,
)
"""What a chart of bars and dots never needs: programs, and things from elsewhere."""
_NUMBER = re.compile(r"(?<![\w./-])\d+(?:[.,]\d+)*(?![\w/-]|\.\w)")


def _numbers_in(page: bytes, path: str) -> set[str]:
    """Numbers in a page; versions, addresses and hashes are none. Of a drawing those in its texts."""
    text = page.decode("utf-8", "replace")
    if path.endswith(".svg"):
        text = " ".join(re.findall(r">([^<>]*)<", text))
    return set(_NUMBER.findall(text))


def first_difference(found: bytes, expected: bytes) -> str:
    """The first line in which a file is not what recipegen makes of the evidence, in words."""
    one, two = (data.decode("utf-8", "replace").split("\n") for data in (found, expected))
    for number_, (line, right) in enumerate(zip(one, two, strict=False), 1):
        if line != right:
            return f"line {number_} says {line!r:.160}; from the raw reports follows {right!r:.160}"
    return f"has {len(one)} lines; from the raw reports follow {len(two)}"
