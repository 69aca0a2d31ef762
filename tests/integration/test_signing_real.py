"""Signed bundles, with the real program minisign and keys made for the test."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from recipegen.bundle.make import Bundle, write_bundle, write_folder
from recipegen.bundle.signing import check_signature, form_fault, sign
from recipegen.cli.bundle import bundle_command
from recipegen.cli.verify import verify_command
from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.verify.outcome import Outcome
from recipegen.verify.whole import verify_bundle
from tests.unit.bundle_factory import FOLDER, NAME, made, measured


@pytest.fixture(scope="module")
def minisign(needs: Callable[[str], str]) -> str:
    return needs("minisign")


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured(tmp_path_factory.mktemp("signing") / "repo")


@pytest.fixture(scope="module")
def bundle(repo: Path) -> Bundle:
    return made(repo)


def key_pair(minisign: str, folder: Path) -> tuple[Path, Path]:
    """A secret key without a password, and its public key."""
    folder.mkdir()
    secret, public = folder / "minisign.key", folder / "minisign.pub"
    subprocess.run(
        [minisign, "-G", "-W", "-s", secret, "-p", public], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return secret, public


@pytest.fixture(scope="module")
def keys(minisign: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(minisign, tmp_path_factory.mktemp("keys") / "mine")


def signature(outcome: Outcome) -> tuple[str, str]:
    (check,) = [check for check in outcome.checks if check.id == "signature"]
    return check.status, check.text


def test_a_signed_bundle_is_checked_by_us_and_by_minisign_itself(
    repo: Path, keys: tuple[Path, Path], minisign: str, tmp_path: Path
) -> None:
    secret, public = keys
    path = tmp_path / "a.tar.gz"
    done = CliRunner().invoke(bundle_command, [NAME, "--root", str(repo), "-o", str(path), "--sign", str(secret)])
    assert done.exit_code == 0, done.output
    again = tmp_path / "b.tar.gz"
    CliRunner().invoke(bundle_command, [NAME, "--root", str(repo), "-o", str(again), "--sign", str(secret)])
    assert path.read_bytes() == again.read_bytes()  # no time stands in a signature
    key = public.read_text().split("\n")[1]
    for given in (str(public), key):
        done = CliRunner().invoke(verify_command, [str(path), "--public-key", given, "--strict"])
        assert done.exit_code == 0, done.output
    assert signature(verify_bundle(path))[0] == "undecidable"
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path)
    subprocess.run([minisign, "-V", "-p", public, "-m", tmp_path / FOLDER / "MANIFEST.json"], check=True)
    assert secret.read_bytes() not in path.read_bytes()


def test_another_key_another_manifest_and_no_signature_are_found(
    bundle: Bundle, keys: tuple[Path, Path], minisign: str, tmp_path: Path
) -> None:
    _, other = key_pair(minisign, tmp_path / "other")
    secret, public = keys
    raw, own = bundle.manifest.raw(), bundle.manifest.id
    made_signature = sign(raw, own, secret)
    assert check_signature(raw, own, made_signature, str(public)).good
    assert not check_signature(raw, own, made_signature, str(other)).good
    assert not check_signature(raw + b" ", own, made_signature, str(public)).good
    write_bundle(bundle, tmp_path / "a.tar.gz")
    assert signature(verify_bundle(tmp_path / "a.tar.gz", str(public))) == ("failed", "the bundle is not signed")


def test_every_byte_of_the_signature_counts(bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path) -> None:
    raw, own = bundle.manifest.raw(), bundle.manifest.id
    good = sign(raw, own, keys[0])
    for at in range(len(good)):
        changed = good[:at] + bytes([good[at] ^ 0x01]) + good[at + 1 :]
        assert not check_signature(raw, own, changed, str(keys[1])).good, at
    write_folder(bundle, tmp_path / "out")
    (tmp_path / "out" / "MANIFEST.json.minisig").write_bytes(good[:40] + b"X" + good[41:])
    assert signature(verify_bundle(tmp_path / "out"))[0] == "failed"  # without a key its form can be told


def test_what_is_no_key_is_told(bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path) -> None:
    raw, own = bundle.manifest.raw(), bundle.manifest.id
    with pytest.raises(RecipegenError, match="is not there"):
        sign(raw, own, tmp_path / "nothing")
    (tmp_path / "text").write_text("no key\n")
    with pytest.raises(RecipegenError, match="minisign did not sign"):
        sign(raw, own, tmp_path / "text")
    good = sign(raw, own, keys[0])
    with pytest.raises(RecipegenError, match="holds no public key"):
        check_signature(raw, own, good, str(tmp_path / "text"))
    with pytest.raises(RecipegenError, match="cannot be read"):
        check_signature(raw, own, good, "RWshort")


def test_without_the_program_nothing_is_signed_and_no_signature_passes(
    bundle: Bundle, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, own = bundle.manifest.raw(), bundle.manifest.id
    good = sign(raw, own, keys[0])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EnvironmentLacks, match="minisign is not installed"):
        sign(raw, own, keys[0])
    with pytest.raises(EnvironmentLacks, match="the signature cannot be checked"):  # and not: everything passed
        check_signature(raw, own, good, str(keys[1]))
    assert form_fault(b"", own) == "MANIFEST.json.minisig is not a signature of minisign's"
