"""Signatures in minisign's format, made and checked by the program `minisign` (https://jedisct1.github.io/minisign).
Owns its command lines and the one form of the file; no key is ever read here."""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from recipegen.bundle.layout import MANIFEST, SIGNATURE
from recipegen.errors import EnvironmentLacks, RecipegenError, Where
from recipegen.files import read_bounded, write_atomic

PROGRAM = "minisign"
_UNTRUSTED = "signature of a recipegen-bundle/1 manifest"
_INSTALL = "install minisign: apt install minisign, brew install minisign, or https://jedisct1.github.io/minisign"
_CHECK_S = 30.0
_KEY_LIMIT = 4096
_KEY = re.compile(r"[A-Za-z0-9+/]{56}")
"""A public key as text: 42 bytes in Base64."""


@dataclass(frozen=True)
class Signed:
    """What became of a signature's check; `reason` is in words."""

    good: bool
    reason: str


def _comment(bundle_id: str) -> str:
    return f"recipegen-bundle {bundle_id}"


def sign(manifest: bytes, bundle_id: str, key: Path) -> bytes:
    """The signature of a manifest.

    The program asks for the key's password on the terminal where it has one. No time goes into the signature, so that
    the same key gives the same bytes.

    Raises:
        EnvironmentLacks: minisign is not installed.
        RecipegenError: it refused.
    """
    program = _program("nothing can be signed")
    if not key.is_file():
        raise RecipegenError("is not there, or is no file", where=Where(key), hint="`minisign -G` makes a pair of keys")
    with TemporaryDirectory(prefix="recipegen-") as folder:
        file = Path(folder, MANIFEST)
        write_atomic(file, manifest)
        # -c and -t: without them the time of signing would stand in the file.
        argv = [program, "-S", "-s", str(key.resolve()), "-m", str(file), "-c", _UNTRUSTED, "-t", _comment(bundle_id)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=None, check=False)
        made = Path(folder, SIGNATURE)
        if done.returncode != 0 or not made.is_file():
            raise RecipegenError(
                f"minisign did not sign (exit code {done.returncode})",
                where=Where(key),
                hint="its own words stand above",
            )
        return read_bounded(made, _KEY_LIMIT)


def check_signature(manifest: bytes, bundle_id: str, signature: bytes, public_key: str) -> Signed:
    """Whether a signature is that of a manifest by the holder of a key.

    Args:
        public_key: the key itself, or the file that holds it.

    Raises:
        RecipegenError: what was given is no public key.
        EnvironmentLacks: minisign is not installed.
    """
    wrong = form_fault(signature, bundle_id)
    if wrong is not None:
        return Signed(False, wrong)
    key = _public_key(public_key)
    program = _program("the signature cannot be checked")
    with TemporaryDirectory(prefix="recipegen-") as folder:
        file = Path(folder, MANIFEST)
        write_atomic(file, manifest)
        write_atomic(Path(folder, SIGNATURE), signature)
        done = subprocess.run(
            [program, "-V", "-q", "-P", key, "-m", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHECK_S,
            check=False,
        )
    if done.returncode == 0:
        return Signed(True, f"signed by the key {key[:12]}…")
    said = " ".join(done.stderr.decode("utf-8", "replace").replace(f"{folder}/", "").split())[:300]
    return Signed(False, f"the signature is not that of this key and manifest: {said or done.returncode}")


def _program(consequence: str) -> str:
    found = shutil.which(PROGRAM)
    if found is None:
        raise EnvironmentLacks(f"minisign is not installed, so that {consequence}", hint=_INSTALL)
    return found


def _public_key(given: str) -> str:
    if _KEY.fullmatch(given):
        return given
    lines = read_bounded(Path(given), _KEY_LIMIT).decode("utf-8", "replace").split("\n")
    key = next((line.strip() for line in lines if _KEY.fullmatch(line.strip())), None)
    if key is None:
        raise RecipegenError("holds no public key of minisign", where=Where(Path(given)), hint="it is in minisign.pub")
    return key


def form_fault(signature: bytes, bundle_id: str) -> str | None:
    """Why a signature file is not as `sign` writes it, whoever signed; None for a good one.

    The untrusted comment and unused bits of Base64 are covered by no signature: they have one form here.
    """
    try:
        lines = signature.decode("ascii").split("\n")
        sizes = [len(_canonical(lines[at])) for at in (1, 3)]
    except (UnicodeDecodeError, binascii.Error, ValueError, IndexError):
        return f"{SIGNATURE} is not a signature of minisign's"
    expected = [f"untrusted comment: {_UNTRUSTED}", f"trusted comment: {_comment(bundle_id)}", ""]
    if sizes != [74, 64] or [lines[0], lines[2], *lines[4:]] != expected:
        return f"{SIGNATURE} is not as `recipegen bundle --sign` writes it: its comments are others"
    return None


def _canonical(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("unused bits are set")
    return raw
