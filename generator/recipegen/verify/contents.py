"""Whether a bundle holds what a bundle is made of and nothing besides: what no check reads, nobody vouches for. Owns
which files those are; the kit's own are `provenance`'s."""

from __future__ import annotations

from collections.abc import Iterator

from recipegen.boards import all_boards
from recipegen.bundle.contents import belongs_to_run
from recipegen.bundle.layout import BOARDS, CHART, CITATION, CLAIM, README
from recipegen.bundle.unpack import Opened
from recipegen.claims import Check
from recipegen.evidence import Evidence
from recipegen.load.repo import INDEX_FILE
from recipegen.publish.data import CSV_FILE, JSON_FILE
from recipegen.verify.integrity import same_version
from recipegen.workspace import Workspace

_PAGES = (README, CITATION, CHART, CLAIM, INDEX_FILE, JSON_FILE, CSV_FILE)


def check_files(bundle: Opened, workspace: Workspace, evidence: Evidence) -> Iterator[Check]:
    """Every file is one that `recipegen bundle` packs of this evidence."""
    wrong = []
    for path in bundle.files:
        if not _known(path, workspace, evidence):
            # A younger version may send another file to a board; nothing else of a bundle is a version's own choice.
            open_point = path.startswith(f"{BOARDS}/") and not same_version(bundle)
            text = "is no file that a bundle of this run has: no check reads it"
            wrong.append(Check("files", "undecidable" if open_point else "failed", text, path))
    yield from wrong or [Check("files", "passed", f"all {len(bundle.files)} files are such as a bundle has")]


def _known(path: str, workspace: Workspace, evidence: Evidence) -> bool:
    top, _, inner = path.partition("/")
    if top == BOARDS:
        board, _, name = inner.partition("/")
        return board in all_boards() and name in all_boards()[board].files(evidence)
    if top == "patches":
        patch, _, name = inner.partition("/")
        return patch in evidence.spec.image.patches and name in workspace.patches[patch].files
    recipe = f"recipes/{evidence.spec.name}/"
    for side in (evidence, evidence.baseline):
        if side is not None and path.startswith(f"{recipe}{side.place}/"):
            return belongs_to_run(side.record, path.removeprefix(f"{recipe}{side.place}/"))
    # The rest of the recipe's folder, and templates, are held against the kit.
    return (
        path in _PAGES or (path.startswith(recipe) and not path.startswith(f"{recipe}results/")) or top == "templates"
    )
