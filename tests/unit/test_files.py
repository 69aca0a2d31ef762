"""Whole files: atomic writes, bounded reads, hashes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recipegen import files
from recipegen.errors import EXIT_ENVIRONMENT, EXIT_USAGE, EnvironmentLacks, RecipegenError

root_only = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


def test_writes_text_and_bytes_as_they_are(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "text", "a\r\nä\n")
    files.write_atomic(tmp_path / "bytes", b"\xff\x00")
    assert (tmp_path / "text").read_bytes() == b"a\r\n\xc3\xa4\n"
    assert (tmp_path / "bytes").read_bytes() == b"\xff\x00"


def test_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.write_atomic(tmp_path / "plain", "")
        files.write_atomic(tmp_path / "script", "", mode=0o755)
    finally:
        os.umask(before)
    assert (tmp_path / "plain").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "script").stat().st_mode & 0o777 == 0o755


def test_replaces_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(outside)
    files.write_atomic(link, "new")
    assert outside.read_text() == "mine"
    assert not link.is_symlink() and link.read_text() == "new"


def test_refuses_a_linked_folder_that_leads_out(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "results").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecipegenError, match="lies outside of"):
        files.write_atomic(inside / "results" / "a", "x", within=inside)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (inside / "real").mkdir()
    files.write_atomic(inside / "real" / "a", "x", within=inside)


@pytest.mark.parametrize("failing", ["fsync", "fchmod"])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, failing, no_space)
    with pytest.raises(EnvironmentLacks, match="No space left") as caught:
        files.write_atomic(target, "new")
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_the_way_and_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(EnvironmentLacks, match="cannot write"):
        files.write_atomic(tmp_path / "folder", "x")
    with pytest.raises(EnvironmentLacks, match="No such file"):
        files.write_atomic(tmp_path / "none" / "file", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomic(tmp_path / "file", "x")
    assert list(tmp_path.iterdir()) == []


def test_read_bounded_gives_the_bytes_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert files.read_bounded(path, 5) == b"12345"
    with pytest.raises(RecipegenError, match="larger than 4 bytes") as caught:
        files.read_bounded(path, 4)
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.where is not None and caught.value.where.file == path
    (tmp_path / "empty").touch()
    assert files.read_bounded(tmp_path / "empty", 0) == b""


def test_read_bounded_trusts_no_size(tmp_path: Path) -> None:
    # Files under /proc say that they are empty.
    assert b"VmPeak" in files.read_bounded(Path("/proc/self/status"), 100_000)
    with pytest.raises(RecipegenError, match="larger than"):
        files.read_bounded(Path("/proc/self/status"), 10)


def test_read_bounded_refuses_what_is_no_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is not a plain file"),
        (Path("/dev/zero"), "is not a plain file"),
        (tmp_path / "none", "No such file"),
        (Path("a\0b"), "cannot be read"),
    ]:
        with pytest.raises(RecipegenError, match=message):
            files.read_bounded(path, 10)


@root_only
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0)
    for read in (lambda: files.read_bounded(path, 10), lambda: files.sha256_file(path)):
        with pytest.raises(RecipegenError, match="Permission denied"):
            read()


def test_hashes(tmp_path: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "file").touch()
    assert files.sha256_bytes(b"") == files.sha256_file(tmp_path / "file") == empty
    with pytest.raises(RecipegenError, match="Is a directory"):
        files.sha256_file(tmp_path)


def test_waits_for_the_disk_unless_the_file_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(files.os, "fsync", synced.append)
    files.write_atomic(tmp_path / "kit", "x", durable=False)
    assert (tmp_path / "kit").read_text() == "x" and synced == []
    files.write_atomic(tmp_path / "recipe", "x")
    assert len(synced) == 2, "the file, and its name in the folder"
