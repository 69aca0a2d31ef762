"""Making a bundle: which files go in, refusing what makes no headline, writing the archive. Owns no figure and no
page."""

from __future__ import annotations

import hashlib
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.boards import all_boards
from recipegen.bundle.archive import Member, folder_of, members, packed, tar_header
from recipegen.bundle.chart import chart_svg
from recipegen.bundle.claim import claim_of, claim_text
from recipegen.bundle.contents import belongs_to_run
from recipegen.bundle.doubts import Doubt, doubts_of
from recipegen.bundle.layout import (
    BOARDS,
    CHART,
    CITATION,
    CLAIM,
    FOLDER_END,
    MANIFEST,
    RATIO_FROM,
    RATIO_LIMIT,
    README,
    SIGNATURE,
    SMALL_LIMIT,
    TOTAL_LIMIT,
    Entry,
    Names,
    size_limit,
)
from recipegen.bundle.manifest import Listed, Manifest, manifest_of
from recipegen.bundle.pages import citation, readme
from recipegen.errors import CheckFailed, EnvironmentLacks, Problem, RecipegenError, SpecError, Where
from recipegen.evidence import Evidence
from recipegen.files import read_bounded, sha256_bytes, writing_atomic
from recipegen.load.repo import INDEX_FILE, RECIPE_FILE
from recipegen.lock import LOCK_FILE
from recipegen.publish.charts.svg import svg
from recipegen.publish.data import CSV_FILE, JSON_FILE, index_csv, index_json
from recipegen.publish.entry import entry_of
from recipegen.publish.index import RESULTS_PAGE, RecordsBroken, build_index
from recipegen.publish.listing import list_runs
from recipegen.publish.results_page import build_results_page
from recipegen.publish.shown import shown_of
from recipegen.results.leaks import find_leak
from recipegen.results.scrub import Identity, identity_here
from recipegen.results.store import REPRODUCTION
from recipegen.workspace import Workspace

if TYPE_CHECKING:
    from recipegen.render.kit import Kit


class Leaks(SpecError):
    """Files of a bundle would give something away; carries every file and line."""

    exit_code = CheckFailed.exit_code


@dataclass(frozen=True)
class Bundle:
    """What will be packed.

    Attributes:
        claim: as in claim.json.
        sources: where each listed file's bytes come from.
        signature: of the manifest; None without.
    """

    evidence: Evidence
    manifest: Manifest
    claim: dict[str, Any]
    sources: dict[str, bytes | Path]
    signature: bytes | None = None

    @property
    def folder(self) -> str:
        """Name of the one folder of the archive."""
        return folder_of(self.manifest)

    def members(self) -> Iterator[Member]:
        """Its files in the archive's order."""
        return members(self.manifest, self.sources, self.signature)


def assemble(
    workspace: Workspace, evidence: Evidence, *, allow_doubtful: bool = False, identity: Identity | None = None
) -> Bundle:
    """Everything that a bundle of some evidence holds, checked.

    Args:
        workspace: the repository that the evidence is of.
        allow_doubtful: go on with a result that should make no headline; the bundle says so then.
        identity: whose secrets and names must not stand in it; this process's by default.

    Raises:
        CheckFailed: the kit on disk is not the recipe's, or the result makes no headline.
        Leaks: a file holds a secret, or names this account or host.
    """
    from recipegen.render.kit import kit_sha256

    if evidence.variant not in evidence.spec.variants:
        raise CheckFailed(
            f"{evidence.place} measured {evidence.variant!r}, which is no variant of {evidence.spec.name}",
            hint="a trial makes no headline: make a variant of its flags, and measure that",
        )
    kit = _kit(workspace, evidence)
    doubts = doubts_of(evidence, kit_sha256(kit))
    if doubts and not allow_doubtful:
        _refuse(evidence, doubts)
    claim = claim_of(evidence, doubts)
    to_boards = payloads(evidence)
    written = pages(evidence, claim, [entry.path for entry in to_boards])
    top = f"recipes/{evidence.spec.name}"
    scripts = [Entry(f"{top}/{path}", file.data, file.mode & 0o111 != 0) for path, file in kit.items()]
    entries = [*_source_files(workspace, evidence), *scripts, *_run_files(evidence), *to_boards, *written]
    listed = _listed(evidence.spec.name, sorted(entries, key=lambda entry: entry.path))
    _require_clean(entries, identity if identity is not None else identity_here())
    sources = {entry.path: entry.source for entry in entries}
    return Bundle(evidence, manifest_of(evidence.spec.name, listed), claim, sources)


def _refuse(evidence: Evidence, doubts: tuple[Doubt, ...]) -> None:
    stale = all(doubt.code.removeprefix("baseline-").startswith("stale-") for doubt in doubts)
    measure = f"measure again (`recipegen bench {evidence.spec.name}`)"
    raise CheckFailed(
        f"{evidence.place} makes no headline: " + "; ".join(f"{doubt.code}: {doubt.text}" for doubt in doubts),
        hint=f"{measure}, or check out the recipe as it was; --allow-doubtful makes the bundle, which then says so"
        if stale
        else f"find the cause and {measure}; --allow-doubtful makes the bundle, which then says so",
    )


def _kit(workspace: Workspace, evidence: Evidence) -> Kit:
    """The kit of the recipe, which must be the one on disk."""
    from recipegen.render.write import compare

    spec, folder = evidence.spec, evidence.folder
    kit = workspace.kit(spec)
    changes = compare(kit, folder)
    if changes:
        message = f"the kit of {spec.name} is not as its recipe says: {'; '.join(changes.lines())}"
        raise CheckFailed(message, hint=f"recipegen render {spec.name}")
    return kit


def _source_files(workspace: Workspace, evidence: Evidence) -> Iterator[Entry]:
    """The recipe, its lock, and patches and templates of the repository's own that recipegen does not ship."""
    from recipegen.render.patches import find_patches
    from recipegen.shipped import patches_dir, templates_dir

    spec, root = evidence.spec, workspace.repository.root
    for name in (RECIPE_FILE, LOCK_FILE):
        if (evidence.folder / name).is_file():
            yield Entry(f"recipes/{spec.name}/{name}", read_bounded(evidence.folder / name, SMALL_LIMIT))
    shipped = find_patches(patches_dir())
    for patch in (workspace.patches[name] for name in spec.image.patches):
        if shipped.get(patch.id) != patch:
            for path, data in patch.files.items():
                yield Entry(f"patches/{patch.id}/{path}", data)
    own, ours = root / "templates", templates_dir()
    for file in sorted((own / "kit").rglob("*")):
        name = file.relative_to(own).as_posix()
        if file.is_file() and not file.is_symlink() and not _same(file, ours / name):
            yield Entry(f"templates/{name}", read_bounded(file, SMALL_LIMIT))


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and read_bounded(one, SMALL_LIMIT) == read_bounded(other, SMALL_LIMIT)


def _run_files(evidence: Evidence) -> Iterator[Entry]:
    """Everything in the folders of the headline's run and the baseline's: records, reports, metrics, logs."""
    for side in filter(None, (evidence, evidence.baseline)):
        for path in sorted(side.run.iterdir()):
            info = path.lstat()
            if not stat.S_ISREG(info.st_mode):
                raise RecipegenError("is no plain file; a run's folder holds plain files only", where=Where(path))
            if not path.name.startswith(".") and path.name != REPRODUCTION:
                if not belongs_to_run(side.record, path.name):
                    message = f"{path.name} is no file of the run that lies there, so that it goes into no bundle"
                    raise RecipegenError(message, where=Where(path), hint="put it elsewhere")
                yield Entry(f"recipes/{side.spec.name}/{side.place}/{path.name}", path)


def payloads(evidence: Evidence) -> list[Entry]:
    """What goes to the leaderboards."""
    return [
        Entry(f"{BOARDS}/{name}/{path}", data)
        for name, board in sorted(all_boards().items())
        for path, data in sorted(board.files(evidence).items())
    ]


def pages(evidence: Evidence, claim: dict[str, Any], board_files: Iterable[str]) -> Iterator[Entry]:
    """What is written about the evidence: page, chart, citation, claim, tables. The same evidence gives the same bytes.

    Args:
        board_files: paths of the payloads, in the bundle.
    """
    from recipegen.render.templates import Templates

    boards: dict[str, list[str]] = {}
    for path in sorted(board_files):
        _, board, file = path.split("/", 2)
        boards.setdefault(board, []).append(file)
    yield Entry(CLAIM, claim_text(claim).encode())
    yield Entry(README, readme(claim, boards).encode())
    yield Entry(CITATION, citation(claim).encode())
    yield Entry(CHART, chart_svg(evidence, Templates()).encode())
    yield from tables(evidence)


def tables(evidence: Evidence) -> Iterator[Entry]:
    """The tables and pages of the runs that are in the bundle, as `recipegen index` would write them there."""
    spec = evidence.spec
    runs = [side for side in (evidence, evidence.baseline) if side is not None]
    with tempfile.TemporaryDirectory(prefix="recipegen-") as folder:
        # The table looks at every run of a recipe; here it must see those of the bundle only.
        place = Path(folder, spec.name)
        for side in runs:
            copy = place / side.place
            copy.mkdir(parents=True)
            for path in side.run.glob("*.json"):
                if path.is_file() and not path.is_symlink():
                    shutil.copyfile(path, copy / path.name)
        entry = replace(entry_of(spec, evidence.folder, f"recipes/{spec.name}"), folder=place)
        lines, problems = list_runs(place)
        if problems:
            raise RecordsBroken(problems)
        shown = shown_of(entry, lines)
        index, results = build_index([shown.row], f"# {spec.name}\n"), build_results_page(shown)
    yield Entry(INDEX_FILE, index.encode())
    yield Entry(JSON_FILE, index_json([shown.row]).encode())
    yield Entry(CSV_FILE, index_csv([shown.row]).encode())
    yield Entry(f"recipes/{spec.name}/{RESULTS_PAGE}", results.encode())
    for chart, drawing in zip(shown.charts, shown.row.charts, strict=True):
        yield Entry(drawing, svg(chart))


def _listed(recipe: str, entries: list[Entry]) -> list[Listed]:
    """The manifest's lines; every file is read once, in pieces."""
    names, total, found = Names(), 0, []
    for entry in entries:
        wrong = names.fault(f"{recipe}{FOLDER_END}/{entry.path}")
        if wrong is None and entry.path in (MANIFEST, SIGNATURE):
            wrong = "has a name that bundles keep for themselves"
        if wrong is not None:
            raise RecipegenError(f"{entry.path} {wrong}, so that it cannot go into a bundle", hint="rename it")
        size, digest = _measured(entry.source)
        total += size
        if size > size_limit(entry.path) or total > TOTAL_LIMIT:
            raise RecipegenError(
                f"{entry.path} is too large: a bundle holds {size_limit(entry.path):,} bytes of such a file, "
                f"{TOTAL_LIMIT:,} in all",
                hint="a server log of that size says the same line over and over: make it quieter and measure again",
            )
        try:
            tar_header(f"{recipe}{FOLDER_END}/{entry.path}", size, entry.mode)
        except ValueError as error:
            raise RecipegenError(f"{entry.path}: {error}", hint="give machine or run a shorter name") from error
        found.append(Listed(entry.path, size, digest, f"0{entry.mode:o}"))
    return found


def _measured(source: bytes | Path) -> tuple[int, str]:
    if isinstance(source, bytes):
        return len(source), sha256_bytes(source)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _require_clean(entries: list[Entry], identity: Identity) -> None:
    """Refuses what would give away a secret; of measured files, also what names this account or host."""
    problems = []
    for entry in entries:
        measured = "/results/" in entry.path and not entry.path.endswith("/run.json")  # the record was looked at before
        leak = find_leak(entry.source, identity, names=measured)
        if leak is not None:
            where = Where(entry.source if isinstance(entry.source, Path) else Path(entry.path), leak.line, 1)
            hint = "take it out; in a log put <hidden>, ~ or <host> in its place"
            problems.append(Problem(where, f"holds {leak.what}, which must not go into a bundle", hint))
    if problems:
        raise Leaks(problems)


def write_bundle(bundle: Bundle, path: Path) -> None:
    """Writes the archive: whole, or not at all.

    Raises:
        RecipegenError: a file was changed meanwhile.
        EnvironmentLacks: it cannot be written.
    """
    total = sum(one.size for one in bundle.manifest.files)
    with writing_atomic(path) as file:
        for piece in packed(bundle.folder, bundle.members()):
            file.write(piece)
        if total > RATIO_FROM and total > RATIO_LIMIT * file.tell():
            # Its reader would refuse to unpack it.
            largest = max(bundle.manifest.files, key=lambda one: one.size)
            raise RecipegenError(
                f"{largest.path} says the same over and over: packed, it would be taken for a decompression bomb",
                hint="shorten the log",
            )


def write_folder(bundle: Bundle, target: Path) -> None:
    """Writes the bundle unpacked, into a folder that must not be there yet.

    Raises:
        RecipegenError: it is there, or a file was changed meanwhile.
        EnvironmentLacks: it cannot be written.
    """
    try:
        target.mkdir()
        for member in bundle.members():
            file = target / member.listed.path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as out:
                for piece in member.pieces():
                    out.write(piece)
            file.chmod(int(member.listed.mode, 8))
    except FileExistsError as error:
        raise RecipegenError(f"{target} is there already", hint="name another one with -o") from error
    except OSError as error:
        raise EnvironmentLacks(f"cannot write into {target}: {error.strerror or error}") from error
