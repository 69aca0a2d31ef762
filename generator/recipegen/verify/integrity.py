"""Whether a bundle is whole: every byte of the archive, every file of the manifest, the signature. Owns no meaning of
files."""

from __future__ import annotations

from collections.abc import Iterator

from recipegen import __version__
from recipegen.bundle.archive import folder_of, framing, members
from recipegen.bundle.layout import FORMAT, MANIFEST, SIGNATURE
from recipegen.bundle.signing import check_signature, form_fault
from recipegen.bundle.unpack import Opened
from recipegen.claims import Check


def check_manifest(bundle: Opened) -> Iterator[Check]:
    """Every file that is listed, and none besides, as it is listed."""
    yield Check("format", "passed", f"the format is {FORMAT}, made by recipegen {bundle.manifest.recipegen}")
    listed = bundle.manifest.by_path()
    wrong = []
    for path in sorted(set(listed) | set(bundle.files)):
        one, found = listed.get(path), bundle.files.get(path)
        if found is None:
            wrong.append(Check("manifest", "failed", "is listed, but is not there", path))
        elif one is None:
            wrong.append(Check("manifest", "failed", "is there, but is not listed", path))
        elif (one.size, one.sha256) != (found.size, found.sha256):
            text = f"was changed: {found.size:,} bytes with SHA-256 {found.sha256[:16]}…, listed {one.size:,} bytes "
            wrong.append(Check("manifest", "failed", text + f"with {one.sha256[:16]}…", path))
        elif found.executable != (one.mode == "0755"):
            wrong.append(Check("manifest", "failed", f"its mode is not {one.mode}", path))
    if wrong:
        yield from wrong
    else:
        yield Check(
            "manifest", "passed", f"all {len(listed)} files are there, none besides, each with its size and SHA-256"
        )


def check_archive(bundle: Opened, *, whole: bool) -> Iterator[Check]:
    """Every byte of the archive, the framing of tar and gzip included.

    Args:
        whole: whether the files are what the manifest says; else there is nothing to hold the archive against.
    """
    if bundle.archive is None:
        return
    signature = bundle.signature
    expected = [MANIFEST, *([SIGNATURE] if signature is not None else []), *(one.path for one in bundle.manifest.files)]
    if list(bundle.order) != expected:
        yield Check("archive", "failed", "its files are not in the order of the manifest")
    elif whole:
        same = framing(bundle.archive, folder_of(bundle.manifest), members(bundle.manifest, bundle.root, signature))
        if same == "same":
            yield Check("archive", "passed", "packed anew it comes out the same, byte for byte")
        elif same == "altered":
            yield Check(
                "archive", "failed", "some of its bytes were changed: packed anew it does not come out the same"
            )
        else:
            text = "it holds the right files and no byte more, but its compression is not this zlib's: made elsewhere"
            yield Check("archive", "undecidable", text)


def check_signed(bundle: Opened, public_key: str | None) -> Iterator[Check]:
    """The signature of the manifest, where there is one or one is asked for."""
    signature = bundle.signature
    if signature is None:
        if public_key is not None:
            yield Check("signature", "failed", "the bundle is not signed", SIGNATURE)
        return
    if public_key is None:
        wrong = form_fault(signature, bundle.manifest.id)
        if wrong is not None:
            yield Check("signature", "failed", wrong, SIGNATURE)
        else:
            text = "the bundle is signed; --public-key KEY says whose key to hold it against"
            yield Check("signature", "undecidable", text, SIGNATURE)
        return
    found = check_signature(bundle.manifest.raw(), bundle.manifest.id, signature, public_key)
    yield Check("signature", "passed" if found.good else "failed", found.reason, SIGNATURE)


def same_version(bundle: Opened) -> bool:
    """Whether this recipegen writes kits and pages as the one that made the bundle."""
    return bundle.manifest.recipegen == __version__
