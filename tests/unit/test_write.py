"""Writing kits: no hand-made text is lost, nothing leaves the folder, the manifest tells what is ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError
from recipegen.render.kit import MANIFEST, File, Kit, kit_sha256, manifest
from recipegen.render.write import compare, differences, write_kit


def kit(**files: str) -> Kit:
    """`kit(Dockerfile="FROM x")`; two underscores stand for a slash."""
    made = {path.replace("__", "/"): File(text.encode(), 0o755 if path.startswith("s") else 0o644)
            for path, text in files.items()}  # fmt: skip
    made[MANIFEST] = File(manifest(made).encode())
    return made


ONE = kit(Dockerfile="FROM a\n", scripts__run="echo\n", README="text\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the kit ONE in it, and what is not of the kit."""
    target = tmp_path / "recipe"
    target.mkdir()
    (target / "recipe.yaml").write_text("mine")
    write_kit(ONE, target)
    return target


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_writes_files_with_their_bits_and_a_manifest_that_checks(folder: Path) -> None:
    assert (folder / "Dockerfile").read_text() == "FROM a\n"
    assert (folder / "scripts/run").stat().st_mode & 0o777 == 0o755
    assert (folder / "Dockerfile").stat().st_mode & 0o777 == 0o644
    done = subprocess.run(["sha256sum", "--check", MANIFEST], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (folder / "README").write_text("other")
    done = subprocess.run(["sha256sum", "--check", MANIFEST], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "README: FAILED" in done.stdout
    assert len(kit_sha256(ONE)) == 64


def test_a_second_time_nothing_changes(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert not write_kit(ONE, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_what_the_recipe_changed_is_written(folder: Path) -> None:
    two = kit(Dockerfile="FROM b\n", scripts__run="echo\n", README="text\n")
    changes = write_kit(two, folder)
    assert (changes.changed, changes.edited, changes.missing) == (["Dockerfile", MANIFEST], [], [])
    assert (folder / "Dockerfile").read_text() == "FROM b\n"
    assert not compare(two, folder)


def test_a_hand_edit_is_never_overwritten_without_force(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM mine\n")
    before = tree(folder)
    two = kit(Dockerfile="FROM b\n", scripts__run="echo 2\n", README="text\n")
    for wanted in (ONE, two):
        with pytest.raises(CheckFailed, match="Dockerfile") as refused:
            write_kit(wanted, folder)
        assert refused.value.exit_code == 1
        assert "--force" in refused.value.hint
        assert tree(folder) == before, "nothing at all is written"
    write_kit(two, folder, force=True)
    assert not compare(two, folder)


def test_a_file_that_we_never_wrote_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("my own")
    with pytest.raises(CheckFailed, match="README"):
        write_kit(ONE, tmp_path)
    assert tree(tmp_path) == {"README": b"my own"}


def test_edits_without_a_manifest_are_still_edits(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    assert write_kit(ONE, folder).missing == [MANIFEST], "all else is as rendered"
    (folder / MANIFEST).unlink()
    (folder / "README").write_text("edited")
    with pytest.raises(CheckFailed, match="README"):
        write_kit(ONE, folder)


def test_lost_bits_are_put_back(folder: Path) -> None:
    (folder / "scripts/run").chmod(0o644)
    changes = compare(ONE, folder)
    assert (changes.changed, changes.edited) == (["scripts/run"], [])
    write_kit(ONE, folder)
    assert (folder / "scripts/run").stat().st_mode & 0o777 == 0o755


def test_stale_files_go_with_their_empty_folders(folder: Path) -> None:
    two = kit(Dockerfile="FROM a\n", README="text\n")
    changes = write_kit(two, folder)
    assert changes.stale == ["scripts/run"]
    assert not (folder / "scripts").exists()
    assert (folder / "recipe.yaml").read_text() == "mine"


def test_a_stale_file_that_was_edited_stays_without_force(folder: Path) -> None:
    (folder / "scripts/run").write_text("mine")
    two = kit(Dockerfile="FROM a\n", README="text\n")
    with pytest.raises(CheckFailed, match="scripts/run"):
        write_kit(two, folder)
    assert (folder / "scripts/run").read_text() == "mine"
    write_kit(two, folder, force=True)
    assert not (folder / "scripts").exists()


def test_a_folder_with_somebody_elses_file_stays(folder: Path) -> None:
    (folder / "scripts/mine").write_text("x")
    write_kit(kit(Dockerfile="FROM a\n", README="text\n"), folder)
    assert (folder / "scripts/mine").is_file()


def test_a_file_of_the_users_own_stays_when_the_recipe_names_it_no_longer(folder: Path) -> None:
    mine = {"files/x.jinja": File(b"mine")}
    write_kit(ONE | mine | {MANIFEST: File(manifest(ONE | mine).encode())}, folder)
    assert write_kit(ONE, folder).stale == []
    assert (folder / "files/x.jinja").read_text() == "mine"
    assert "files/x.jinja" not in (folder / MANIFEST).read_text()


@pytest.mark.parametrize("path", ["recipe.yaml", "results/m/r/run.json", "RESULTS.md", "../other", "/etc/hostname"])
def test_a_manifest_cannot_take_away_what_is_not_a_kits(path: str, folder: Path) -> None:
    import hashlib

    target = folder / path
    if not target.is_absolute() or str(target).startswith(str(folder.parent)):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("mine")
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    with (folder / MANIFEST).open("a") as file:
        file.write(f"{digest}  {path}\n")
    write_kit(ONE, folder, force=True)
    assert target.is_file()


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "a/../../out"])
def test_no_file_leaves_the_folder(path: str, tmp_path: Path) -> None:
    with pytest.raises(RecipegenError, match="would leave its folder"):
        write_kit({path: File(b"x")}, tmp_path / "recipe")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("link", ["Dockerfile", "scripts", MANIFEST])
def test_links_are_refused(link: str, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "recipe"
    folder.mkdir()
    if link == "scripts":
        outside.mkdir()
    else:
        outside.write_text("precious")
    (folder / link).symlink_to(outside)
    for force in (False, True):
        with pytest.raises(RecipegenError, match="is a link"):
            write_kit(ONE, folder, force=force)
    assert outside.is_dir() or outside.read_text() == "precious"


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RecipegenError, match="is a link"):
        write_kit(ONE, tmp_path, force=True)


def test_odd_things_in_the_way_are_refused_not_crashed_on(folder: Path) -> None:
    (folder / "README").unlink()
    (folder / "README").mkdir()
    with pytest.raises(RecipegenError, match="is a folder"):
        write_kit(ONE, folder)
    (folder / "README").rmdir()
    os.mkfifo(folder / "README")
    with pytest.raises(RecipegenError, match="not a plain file"):
        write_kit(ONE, folder)
    (folder / "README").unlink()
    shutil.rmtree(folder / "scripts")
    (folder / "scripts").write_text("a file")
    with pytest.raises(RecipegenError, match="is a file where a folder"):
        write_kit(ONE, folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_said_so(folder: Path) -> None:
    folder.chmod(0o555)
    try:
        with pytest.raises(EnvironmentLacks):
            write_kit(kit(Dockerfile="FROM b\n"), folder)
    finally:
        folder.chmod(0o755)


def test_differences_show_both_sides(folder: Path) -> None:
    (folder / "README").write_bytes(b"bin\xff\n")
    two = kit(Dockerfile="FROM b\n", README="text\n", new="n\n")
    text = differences(two, folder, compare(two, folder))
    assert "--- recipe/Dockerfile (on disk)\n+++ recipe/Dockerfile (rendered)" in text
    assert "-FROM a\n+FROM b\n" in text
    assert "+n\n" in text
    assert "-echo\n" in text


def test_lines_name_what_differs(folder: Path) -> None:
    (folder / "README").write_text("edited")
    two = kit(Dockerfile="FROM b\n", README="text\n", new="n\n")
    assert compare(two, folder).lines() == [
        "missing: new", "out of date: Dockerfile", "edited by hand: README", f"out of date: {MANIFEST}",
        "no longer rendered: scripts/run",
    ]  # fmt: skip


def test_a_kit_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`render` makes it again; what nobody can make again is synced (test_files.py)."""
    synced: list[int] = []
    monkeypatch.setattr("recipegen.files.os.fsync", synced.append)
    write_kit(ONE, tmp_path)
    assert tree(tmp_path) == {path: file.data for path, file in ONE.items()}
    assert synced == []
