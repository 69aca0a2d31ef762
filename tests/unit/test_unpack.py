"""Archives that mean harm, or are broken: each is refused in its own words, and nothing is written outside of the
target."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from recipegen.bundle import layout, unpack
from recipegen.bundle.archive import GZIP_HEADER, Member, packed
from recipegen.bundle.layout import NoBundle, path_fault
from recipegen.bundle.manifest import Listed, Manifest, manifest_of, read_manifest
from recipegen.bundle.unpack import open_folder, opened
from recipegen.cli.verify import verify_command
from recipegen.errors import EXIT_USAGE
from recipegen.files import sha256_bytes

TOP = "tiny-bundle"


def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.type, found.linkname, found.mtime = size, kind, link, 0
    return found


def tarred(members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def gzipped(raw: bytes) -> bytes:
    """With the header that a bundle has."""
    return GZIP_HEADER + gzip.compress(raw, mtime=0)[10:]


def one(name: str, data: bytes = b"x", **how: object) -> bytes:
    return gzipped(tarred([(info(name, len(data), **how), data)]))  # type: ignore[arg-type]


def two(first: str, second: str) -> bytes:
    return gzipped(tarred([(info(first, 1), b"x"), (info(second, 1), b"y")]))


def sound(**files: bytes) -> bytes:
    """A bundle, whole as far as its bytes go."""
    content = files or {"claim.json": b"{}\n"}
    lines = [Listed(path, len(data), sha256_bytes(data), "0644") for path, data in content.items()]
    manifest = manifest_of("tiny", lines)
    own = Listed("MANIFEST.json", len(manifest.raw()), sha256_bytes(manifest.raw()), "0644")
    members = [Member(own, manifest.raw()), *(Member(line, content[line.path]) for line in manifest.files)]
    return b"".join(packed(TOP, members))


def changed_tar(change: Callable[[bytearray], None]) -> bytes:
    raw = bytearray(gzip.decompress(sound()))
    change(raw)
    return gzipped(bytes(raw))


def long_header(raw: bytearray) -> None:
    """A size that no file has, in base 256."""
    raw[124:136] = b"\x80" + bytes(3) + (1 << 50).to_bytes(8, "big")
    fix_checksum(raw)


def fix_checksum(raw: bytearray) -> None:
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])


def dated(raw: bytearray) -> None:
    raw[136:148] = b"00000000001\0"
    fix_checksum(raw)


def in_padding(raw: bytearray) -> None:
    raw[1023] = 1


def manifest_bytes(text: str) -> bytes:
    return one(f"{TOP}/MANIFEST.json", text.encode())


def elsewhere() -> bytes:
    """A whole bundle in a folder of another name."""
    raw = manifest_of("tiny", []).raw()
    line = Listed("MANIFEST.json", len(raw), sha256_bytes(raw), "0644")
    return b"".join(packed("other-bundle", [Member(line, raw)]))


HOSTILE: dict[str, tuple[bytes, str]] = {
    "absolute path": (one("/etc/cron.d/x"), "is an absolute path"),
    "parent": (one(f"{TOP}/../../x"), r"leads out of its folder \(\.\.\)"),
    "parent at the front": (one("../x"), "leads out of its folder"),
    "parent as the whole": (one(".."), "leads out of its folder"),
    "backslashes": (one(f"{TOP}/..\\..\\x"), "holds other characters"),
    "drive": (one("C:/x"), "holds other characters"),
    "dot": (one(f"{TOP}/./x"), "holds other characters"),
    "empty part": (one(f"{TOP}//x"), "holds other characters"),
    "control character": (one(f"{TOP}/a\x1bb"), "holds other characters"),
    "symbolic link": (one(f"{TOP}/x", b"", kind=tarfile.SYMTYPE, link="/etc/passwd"), "is a link"),
    "hard link": (one(f"{TOP}/x", b"", kind=tarfile.LNKTYPE, link="/etc/passwd"), "is a link"),
    "device": (one(f"{TOP}/x", b"", kind=tarfile.CHRTYPE), "is a device"),
    "block device": (one(f"{TOP}/x", b"", kind=tarfile.BLKTYPE), "is a device"),
    "pipe": (one(f"{TOP}/x", b"", kind=tarfile.FIFOTYPE), "is a pipe"),
    "folder entry": (one(f"{TOP}/x", b"", kind=tarfile.DIRTYPE), "is an entry for a folder"),
    "unknown kind": (one(f"{TOP}/x", b"", kind=b"Z"), "is no plain file"),
    "twice": (two(f"{TOP}/a", f"{TOP}/a"), "stands twice in it"),
    "case": (two(f"{TOP}/Readme", f"{TOP}/README"), f"differs from {TOP}/Readme by upper and lower case only"),
    "file and folder": (two(f"{TOP}/a", f"{TOP}/a/b"), "is a file and a folder at once"),
    "folder and file": (two(f"{TOP}/a/b", f"{TOP}/a"), "is a file and a folder at once"),
    "folder case": (two(f"{TOP}/a/b", f"{TOP}/A"), "is a file and a folder at once"),
    "no folder": (one("MANIFEST.json"), "does not lie in the one folder"),
    "two folders": (two(f"{TOP}/a", "other/a"), "does not lie in the one folder"),
    "not UTF-8": (gzipped(tarred([(info(f"{TOP}/\udcff"), b"")])), "is not UTF-8"),
    "too long": (one("/".join([TOP, "a" * 80, "b" * 50, "c" * 100])), "is longer than 240 bytes"),
    "long name (GNU)": (
        gzipped(tarred([(info(f"{TOP}/" + "a" * 300), b"")], tarfile.GNU_FORMAT)),
        "has a name longer than a bundle's can be",
    ),
    "extended header": (
        gzipped(tarred([(info(f"{TOP}/" + "é" * 200), b"")], tarfile.PAX_FORMAT)),
        r"has an extended header \(pax\)",
    ),
    "huge size": (changed_tar(long_header), "is larger than 1,073,741,824 bytes"),
    "a time in a header": (changed_tar(dated), "the header of .* is not as recipegen writes it"),
    "bytes in padding": (changed_tar(in_padding), "there are bytes between"),
    "checksum of a header": (changed_tar(lambda raw: raw.__setitem__(0, 0x41)), "is damaged, or no tar archive"),
    "bytes after the end": (changed_tar(lambda raw: raw.__setitem__(-1, 1)), "there are bytes after its end"),
    "no end": (changed_tar(lambda raw: raw.__delitem__(slice(-10240, None))), "is cut short"),
    "more records": (gzipped(gzip.decompress(sound()) + bytes(10240)), "goes on after its end"),
    "garbage behind": (sound() + b"#!/bin/sh\n", "there are bytes behind the archive"),
    "two gzip members": (sound() + sound(), "there are bytes behind the archive"),
    "cut short": (sound()[:-20], "is cut short"),
    "cut in the checksum": (sound()[:-3], "is cut short"),
    "empty": (b"", "not a gzip archive"),
    "only a header": (GZIP_HEADER, "is cut short"),
    "not gzip": (b"PK\x03\x04" + bytes(60), "not a gzip archive"),
    "plain tar": (tarred([(info(f"{TOP}/a", 1), b"x")]), "not a gzip archive"),
    "gzip, no tar": (gzipped(b"text " * 1000), "is damaged, or no tar archive"),
    "a name in the gzip header": (
        b"\x1f\x8b\x08\x08" + bytes(4) + b"\x00\xff" + b"a.tar\0" + sound()[10:],
        "its gzip header is not as recipegen writes it",
    ),
    "wrong checksum": (sound()[:-8] + bytes(4) + sound()[-4:], "is damaged: its checksum is another one"),
    "zeros without end": (gzipped(bytes(1 << 24)), "goes on after its end"),
    "no manifest": (one(f"{TOP}/README.md"), "holds no MANIFEST.json: it is no bundle"),
    "manifest is no JSON": (manifest_bytes("{"), "MANIFEST.json is not JSON"),
    "manifest is nested": (manifest_bytes("[" * 100_000), "MANIFEST.json is not JSON"),
    "manifest is a list": (manifest_bytes("[]"), "names no format"),
    "unknown format": (
        manifest_bytes('{"format": "recipegen-bundle/9"}'),
        "the bundle's format is 'recipegen-bundle/9'",
    ),
    "manifest without files": (manifest_bytes('{"format": "recipegen-bundle/1"}'), "is not a manifest"),
    "wrong folder": (elsewhere(), "its folder is called 'other-bundle', not 'tiny-bundle'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_must_not_be_unpacked_is_refused_in_its_own_words(tmp_path: Path, case: str) -> None:
    data, words = HOSTILE[case]
    path = tmp_path / "in" / "bundle.tar.gz"
    path.parent.mkdir()
    path.write_bytes(data)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(NoBundle, match=words) as caught:
        unpack.unpack(path, target)
    assert caught.value.exit_code == EXIT_USAGE
    assert sorted(child.name for child in tmp_path.iterdir()) == ["in", "target"]
    written = [child for child in target.rglob("*") if not child.is_dir()]
    assert all(child.resolve().is_relative_to(target.resolve()) and not child.is_symlink() for child in written)
    done = CliRunner().invoke(verify_command, [str(path)])
    assert isinstance(done.exception, NoBundle)


def test_a_sound_archive_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(sound(**{"claim.json": b"{}", "recipes/tiny/results/m/r/server.log": b"log\n" * 10_000}))
    with opened(path) as bundle:
        assert sorted(bundle.files) == ["claim.json", "recipes/tiny/results/m/r/server.log"]
        assert (bundle.root / "claim.json").read_bytes() == b"{}"
        place = bundle.root
    assert not place.exists()


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [("FILES_LIMIT", 2, "is one of more than 2 files"), ("TOTAL_LIMIT", 1000, "unpacks to more than 1,000 bytes")],
)
def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(sound(**{f"f{at}": b"x" * 4000 for at in range(8)}))
    for module in (layout, unpack):
        monkeypatch.setattr(module, limit, value)
    if limit == "TOTAL_LIMIT":
        monkeypatch.setattr(unpack, "FILES_LIMIT", 1)
    (tmp_path / "target").mkdir()
    with pytest.raises(NoBundle, match=words):
        unpack.unpack(path, tmp_path / "target")


def test_a_bomb_is_left_long_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(one(f"{TOP}/results/x", bytes(16 << 20)))
    monkeypatch.setattr(unpack, "RATIO_FROM", 4 << 20)
    (tmp_path / "target").mkdir()
    with pytest.raises(NoBundle, match="more than 200 times its size: a decompression bomb"):
        unpack.unpack(path, tmp_path / "target")
    assert sum(file.stat().st_size for file in tmp_path.rglob("x")) <= 5 << 20


def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(sound())
    (tmp_path / "t").mkdir()
    return unpack.unpack(path, tmp_path / "t").root


def test_a_folder_with_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path)
    assert list(open_folder(root).files) == ["claim.json"]
    (root / "link").symlink_to("/etc/passwd")
    with pytest.raises(NoBundle, match="is a link"):
        open_folder(root)
    (root / "link").unlink()
    (root / "below").symlink_to("/etc")
    with pytest.raises(NoBundle, match="is a link"):
        open_folder(root)
    (root / "below").unlink()
    os.mkfifo(root / "pipe")
    with pytest.raises(NoBundle, match="is no plain file"):
        open_folder(root)


def test_what_is_neither_archive_nor_folder(tmp_path: Path) -> None:
    with pytest.raises(NoBundle, match="cannot be read"), opened(tmp_path / "nothing"):
        pass
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoBundle, match="neither a plain file nor a folder"), opened(tmp_path / "pipe"):
        pass
    with pytest.raises(NoBundle, match=r"holds no MANIFEST.json"), opened(tmp_path):
        pass
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "MANIFEST.json").write_bytes(manifest_of("tiny", []).raw())
    place = deep
    for _ in range(150):
        place = place / "d"
    place.mkdir(parents=True)
    assert open_folder(deep).files == {}


GOOD = Listed("a", 1, "0" * 64, "0644")
FAULTY = {
    "path up": ([Listed("../a", 1, "0" * 64, "0644")], "leads out of its folder"),
    "manifest itself": ([Listed("MANIFEST.json", 1, "0" * 64, "0644")], "the path 'MANIFEST.json'"),
    "twice": ([GOOD, GOOD], "stands twice"),
    "size": ([Listed("a", -1, "0" * 64, "0644")], "its size is none"),
    "true": ([Listed("a", True, "0" * 64, "0644")], "its size is none"),
    "large outside of results": ([Listed("a", 1 << 25, "0" * 64, "0644")], "or above 16,777,216 bytes"),
    "total": (
        [Listed(f"r/results/{at}", 1 << 30, "0" * 64, "0644") for at in range(3)],
        "its files come to more than",
    ),
    "hash": ([Listed("a", 1, "0" * 63, "0644")], "sha256 or mode"),
    "mode": ([Listed("a", 1, "0" * 64, "4755")], "sha256 or mode"),
    "order": ([Listed("b", 1, "0" * 64, "0644"), GOOD], "are not sorted"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_manifest_that_cannot_be_one(case: str) -> None:
    files, words = FAULTY[case]
    with pytest.raises(NoBundle, match=words):
        read_manifest(Manifest("tiny", "0.1.0", tuple(files)).raw(), Path("x"))


def test_a_manifest_has_one_spelling() -> None:
    good = Manifest("tiny", "0.1.0", (GOOD,))
    assert read_manifest(good.raw(), Path("x")) == good
    for other in (
        good.raw().replace(b'"a"', b'"\\u0061"'),
        good.raw() + b"\n",
        json.dumps(json.loads(good.raw())).encode(),
        good.raw().replace(b'{\n "format"', b'{\n "recipe": "x",\n "format"'),
    ):
        with pytest.raises(NoBundle, match="is not spelt as recipegen spells it"):
            read_manifest(other, Path("x"))


@pytest.mark.parametrize("path", ["a", "a/b.c", "files/x+y@z", "a..b/c", ".dockerignore", "…", "a b", "", "a/", "a//b"])
def test_paths(path: str) -> None:
    good = path in ("a", "a/b.c", "files/x+y@z", "a..b/c", ".dockerignore")
    assert (path_fault(path) is None) == good
