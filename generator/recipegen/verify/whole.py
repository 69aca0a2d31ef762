"""The verification of a bundle: which checks, in which order, on what. Owns the order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from recipegen.boards import all_boards
from recipegen.bundle.doubts import doubts_of
from recipegen.bundle.layout import BOARDS, CLAIM, MANIFEST
from recipegen.bundle.unpack import Opened, opened
from recipegen.claims import Check, failed
from recipegen.evidence import Evidence, find_evidence
from recipegen.files import read_bounded
from recipegen.load.repo import RECIPE_FILE, Repository
from recipegen.publish.figures import METRICS
from recipegen.verify import contents, figures, integrity, provenance
from recipegen.verify.outcome import Outcome, guarded
from recipegen.verify.payload import check_payload, is_payload, raw_of_evidence
from recipegen.workspace import Workspace

_PAYLOAD_LIMIT = 4 << 20
PAYLOAD = "payload.json"
"""The row of the headline's report. That of a canonical prompt rests on no report: its board checks it."""
SAMPLES_LIMIT = 100_000
"""Samples of one metric that statistics are made of: seconds of work. `bench` takes at most 10,000 runs."""


def verify_bundle(path: Path, public_key: str | None = None) -> Outcome:
    """Checks a bundle, packed or unpacked.

    Args:
        public_key: of minisign, as text or as a file; asks for a signature by it.

    Raises:
        NoBundle: it is no bundle, or must not be unpacked.
    """
    with opened(path) as bundle:
        checks = checks_of(bundle, public_key)
        return Outcome(f"bundle of {bundle.manifest.recipe}", bundle.manifest.id, tuple(checks))


def checks_of(bundle: Opened, public_key: str | None = None) -> list[Check]:
    """All checks of a bundle that lies unpacked."""
    checks = list(integrity.check_manifest(bundle))
    checks += integrity.check_archive(bundle, whole=not failed(checks))
    checks += integrity.check_signed(bundle, public_key)
    return [*checks, *_content(bundle)]


def _content(bundle: Opened) -> list[Check]:
    """The checks of what the files say; they go as far as the recipe, the claim and the evidence can be read."""
    name, workspace = bundle.manifest.recipe, Workspace(Repository(bundle.root.resolve()))
    file = f"recipes/{name}/{RECIPE_FILE}"
    found: list[Evidence] = []

    def recipe() -> Iterator[Check]:
        spec = workspace.spec(name)
        locked = "with its lock" if workspace.lock(name) else "without a lock: names in it may have moved"
        yield Check("recipe", "passed", f"recipe.yaml is valid ({spec.schema_}), {locked}", file)

    def rests_on() -> Iterator[Check]:
        claim = figures.read_claim(bundle.root)
        run, cell = Path(claim["run"]).name, str(claim["cell"].get("id"))
        evidence = find_evidence(workspace, name, run=run, cell=cell)
        most = max(len(side.samples(metric)) for side in (evidence, evidence.baseline) if side for metric in METRICS)
        if most > SAMPLES_LIMIT:
            text = f"a report holds {most:,} samples of a metric; no measurement has more than {SAMPLES_LIMIT:,}"
            yield Check("evidence", "failed", text, CLAIM)
            return
        found.append(evidence)
        yield Check("evidence", "passed", f"the claim is of {found[0].place}, cell {cell}", CLAIM)
        made = (claim["versions"] or {}).get("bundle")
        if made != bundle.manifest.recipegen:
            text = f"the manifest says that recipegen {bundle.manifest.recipegen} made the bundle, the claim {made}"
            yield Check("evidence", "failed", text, MANIFEST)

    checks = guarded("recipe", recipe, file)
    if not failed(checks):
        checks += guarded("evidence", rests_on, CLAIM)
    if not found:
        text = "without a recipe and a claim that can be read, no figure was checked"
        checks.append(Check("figures", "undecidable", text))
        return checks
    return checks + _of_evidence(bundle, workspace, found[0])


def _of_evidence(bundle: Opened, workspace: Workspace, evidence: Evidence) -> list[Check]:
    from recipegen.render.kit import MANIFEST as KIT_MANIFEST

    checks: list[Check] = []
    claim = figures.read_claim(bundle.root)

    def kit() -> Iterable[Check]:
        return provenance.check_kit(bundle, evidence, provenance.rendered_kit(workspace, evidence))

    checks += guarded("kit", kit)
    for role, side in (("", evidence), ("-baseline", evidence.baseline)):
        if side is not None:
            checks += guarded(f"record{role}", partial(provenance.check_record, side, role))
            checks += guarded(f"reports{role}", partial(provenance.check_reports, side, role))
            checks += guarded(f"argv-server{role}", partial(provenance.check_server, side, role))
            checks += guarded(f"argv-bench{role}", partial(provenance.check_cells, side, role))

    def claims() -> Iterator[Check]:
        # The kit as it lies in the bundle; that it is the recipe's own is the check above.
        kit_sha256 = bundle.files[f"recipes/{evidence.spec.name}/{KIT_MANIFEST}"].sha256
        doubts = doubts_of(evidence, kit_sha256)
        yield from figures.check_figures(claim, evidence, doubts)
        yield from figures.check_doubts(claim, evidence, doubts)
        yield from figures.check_pages(bundle, claim, evidence)

    checks += guarded("figures", claims, CLAIM)
    checks += guarded("files", lambda: contents.check_files(bundle, workspace, evidence))
    checks += guarded("payloads", lambda: _payloads(bundle, evidence), BOARDS)
    return checks


def _payloads(bundle: Opened, evidence: Evidence) -> Iterator[Check]:
    """What goes to the leaderboards: each board's own checks, then every number in a payload."""
    known = all_boards()
    by_board: dict[str, dict[str, bytes]] = {}
    for path in sorted(bundle.files):
        top, _, rest = path.partition("/")
        board, slash, inner = rest.partition("/")
        if top == BOARDS and slash:
            by_board.setdefault(board, {})[inner] = read_bounded(bundle.root / path, _PAYLOAD_LIMIT)
    for board, files in by_board.items():
        if board not in known:
            yield Check("payload", "undecidable", "this recipegen knows no such leaderboard", f"{BOARDS}/{board}")
            continue
        for check in known[board].check(files, evidence):
            # A board knows its own folder only.
            yield replace(check, path=f"{BOARDS}/{board}/{check.path}") if check.path in files else check
        for inner, data in files.items():
            if is_payload(data) and inner == PAYLOAD:
                yield from check_payload(data, raw_of_evidence(evidence), f"{BOARDS}/{board}/{inner}")
