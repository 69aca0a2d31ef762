"""Spark Arena: three files a run. Owns what the board takes and the folder for its own tool; the wire is
`arena_upload`'s, the files are `arena_files`'."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from recipegen.boards.arena_files import (
    CSV,
    METADATA,
    PROFILE,
    benchmark_csv,
    coverage_problems,
    metadata,
    scheduled,
)
from recipegen.boards.arena_upload import exchange, storage_address, submission_id, upload
from recipegen.boards.base import Board, Preflight, Sending, Submitted
from recipegen.boards.credentials import config_file, find_secret
from recipegen.boards.receipts import Receipts
from recipegen.boards.shape import hygiene_findings
from recipegen.boards.sparkrun_form import RECIPE, read_form, sparkrun_form
from recipegen.boards.transport import Ambiguous
from recipegen.claims import Check
from recipegen.errors import CheckFailed, RecipegenError
from recipegen.evidence import Evidence, find_evidence
from recipegen.files import sha256_bytes, write_atomic
from recipegen.results.store import DOUBTFUL, iter_runs, load_run, run_order

if TYPE_CHECKING:
    from recipegen.workspace import Workspace


class SparkArena(Board):
    """https://spark-arena.com, category performance."""

    name: ClassVar[str] = "spark-arena"
    title: ClassVar[str] = "Spark Arena"

    def find(
        self, workspace: Workspace, recipe: str, *, variant: str | None, run: str | None, cell: str | None
    ) -> Evidence:
        """The newest run of the board's profile; where there is none, the run of the table, which preflight refuses."""
        spec = workspace.spec(recipe)
        wanted = variant or (spec.headline if run is None else None)
        if run is None and cell is None:
            folder = workspace.folder(spec)
            for path in sorted(iter_runs(folder), key=run_order, reverse=True):
                record = load_run(path)
                done = next((one["id"] for one in record["cells"] if one["status"] == "done"), None)
                if record.get("profile") == PROFILE and record["variant"] == wanted and done is not None:
                    return find_evidence(workspace, recipe, run=path.name, cell=done)
        return find_evidence(workspace, recipe, variant=variant, run=run, cell=cell)

    def files(self, evidence: Evidence) -> dict[str, bytes]:
        """recipe.yaml, benchmark.csv and metadata.json of a run that covers the profile; nothing of another one."""
        form = sparkrun_form(evidence)
        if form.data is None or coverage_problems(evidence):
            return {}
        return {
            RECIPE: form.text.encode(),
            CSV: benchmark_csv(evidence),
            METADATA: metadata(evidence, form),
        }

    def preflight(self, evidence: Evidence) -> Preflight:
        """Coverage, the form of the recipe, hygiene, doubts."""
        form = sparkrun_form(evidence)
        problems = [*form.problems, *coverage_problems(evidence)]
        warnings: list[str] = []
        if evidence.quality == "fail":
            problems.append("the server failed the quality gate")
        if not problems:
            if evidence.judgement.verdict in DOUBTFUL:
                problems.append(f"its figures are in doubt ({evidence.judgement.verdict})")
            for name, content in self.files(evidence).items():
                for severity, text in hygiene_findings({name: content.decode()}):
                    (problems if severity == "error" else warnings).append(text)
        return Preflight(self.name, tuple(problems), tuple(warnings), (*form.losses, *_LOSSES))

    def check(self, files: Mapping[str, bytes], evidence: Evidence) -> list[Check]:
        """Each file against what follows from the raw files, line by line."""
        if not files:
            return []
        own = self.files(evidence)
        if not own:
            problems = [*sparkrun_form(evidence).problems, *coverage_problems(evidence)]
            return [Check("spark-arena-coverage", "failed", f"the run is no submission: {'; '.join(problems)}")]
        found = [Check("spark-arena-coverage", "passed", f"all {len(scheduled())} cells of {PROFILE} are there")]
        for name, right in own.items():
            if name not in files:
                found.append(
                    Check(f"spark-arena-{_kebab(name)}", "failed", "is missing; the board wants all three", name)
                )
            else:
                found.append(_check_file(name, files[name], right))
        return found

    def submit(self, evidence: Evidence, receipts: Receipts, how: Sending) -> Submitted:
        """Writes the folder; with `upload` sends its files as well."""
        problems = self.preflight(evidence).problems
        if problems:
            raise CheckFailed(f"{self.title} would not get this entry: {'; '.join(problems)}")
        files = self.files(evidence)
        folder = receipts.path.parent / self.name / evidence.run.name
        _write(folder, files)
        if how.dry_run or not how.upload:
            how.tell("its own tool sends such files after it has measured; `--upload` sends these")
            return Submitted(self.name, "written", folder=str(folder))
        identity = {"kind": "run", "run": evidence.place, "csv_sha256": sha256_bytes(files[CSV])}
        storage = storage_address()
        with receipts.locked():
            earlier = receipts.steps(identity, storage)
            if not how.again and any(step.get("state") == "accepted" for step in earlier):
                receipts.require_unsent(identity, storage)
            # One id for every try of the same files: what an earlier try left is replaced, not doubled.
            given = [step["id"] for step in earlier if isinstance(step.get("id"), str)]
            submission = given[-1] if given and not how.again else submission_id()
            secret = find_secret(
                "refresh token of Spark Arena", (), [config_file("sparkrun", "arena_token")], given=how.token_file
            )
            account = exchange(secret)
            receipts.add("sending", identity, storage, id=submission)
            try:
                endpoint = upload(account, submission, files, how.tell)
            except RecipegenError as error:
                receipts.add(
                    "ambiguous" if isinstance(error, Ambiguous) else "refused",
                    identity,
                    storage,
                    id=submission,
                    why=error.message,
                )
                error.hint = error.hint or f"the same command tries again, as {submission}: it replaces what is there"
                raise
            receipts.add("accepted", identity, storage, id=submission)
        return Submitted(self.name, "accepted", submission, str(folder), {"endpoint": endpoint})


_LOSSES = (
    "the single samples: the file has mean and standard deviation of three runs",
    "n and failed requests: the file has no column for them",
    "the version of llama-benchy: in metadata.json's runtime_info only, which the board may not show",
    "the SHA-256 of the reports, the quality gate, the verdict on plausibility: no field",
)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomic(folder / name, content)


def _check_file(name: str, given: bytes, right: bytes) -> Check:
    check = f"spark-arena-{_kebab(name)}"
    if given == right:
        return Check(check, "passed", "follows from the raw files and the recipe", name)
    if name == CSV:
        return Check(check, "failed", _first_difference(given, right), name)
    try:
        read = json.loads if name == METADATA else read_form
        same = read(given) == read(right)
    except (ValueError, RecursionError, RecipegenError):
        return Check(check, "failed", "cannot be read", name)
    if same:
        return Check(check, "passed", "says what follows from record and recipe, spelt in another way", name)
    return Check(check, "failed", "is not what follows from the raw files and the recipe", name)


def _first_difference(given: bytes, right: bytes) -> str:
    texts = (raw.decode("utf-8", "replace") for raw in (given, right))
    ours, theirs = (list(csv.reader(io.StringIO(text, newline=""))) for text in texts)
    for number, (one, two) in enumerate(zip(ours, theirs, strict=False), 1):
        for column, (have, want) in enumerate(zip(one, two, strict=False)):
            if have != want:
                head = theirs[0][column] if column < len(theirs[0]) else f"column {column + 1}"
                return f"line {number}, {head}: {have[:60]!r}, where {want[:60]!r} follows from the raw files"
    return f"has {len(ours)} lines, {len(theirs)} follow from the raw files"


def _kebab(name: str) -> str:
    return name.replace(".", "-")
