"""Reads released wheels from a package index without downloading them whole. Owns no knowledge of any engine.

A wheel is a zip: its list of files stands at the end, so the Python files alone are read with HTTP range requests
(30 MB of 500). The index is the one that pip is configured with, or PyPI.
"""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPResponse
from pathlib import Path

from packaging.utils import parse_wheel_filename
from packaging.version import Version

PYPI = "https://pypi.org/simple"
BLOCK = 1 << 20
"""Bytes of one range request."""
BLOCKS_KEPT = 32
MACHINE = "aarch64"
"""The wheel of a DGX Spark, where a release has several."""


@dataclass(frozen=True)
class Wheel:
    """One file of a release, a wheel nearly always.

    Attributes:
        released: date of its upload, YYYY-MM-DD, where the index tells it.
    """

    name: str
    url: str
    sha256: str
    released: str | None

    @property
    def version(self) -> Version:
        """The version in its file name."""
        return parse_wheel_filename(self.name)[1]

    @property
    def build(self) -> int:
        """The build number: a release whose wheel was made anew has more than one."""
        tag = parse_wheel_filename(self.name)[2]
        return tag[0] if tag else 0


@lru_cache
def index_url() -> str:
    """The simple index that pip uses here."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(r"index-url='([^']+)'$", done.stdout.replace("extra-index-url", ""), re.MULTILINE)
    return match[1].rstrip("/") if match else PYPI


def _answer(url: str, headers: dict[str, str]) -> HTTPResponse:
    """The answer to a GET request; a part of the file if the headers ask for a range.

    Raises:
        OSError: no answer, or the server does not know ranges.
    """
    if not url.startswith(("https://", "http://")):
        raise OSError(f"{url} is no address that this tool reads")
    answer: HTTPResponse = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=180)  # noqa: S310
    if "Range" in headers and answer.status != 206:
        raise OSError(f"{url} does not answer range requests")
    return answer


def _open(url: str, headers: dict[str, str]) -> bytes:
    with _answer(url, headers) as answer:
        return answer.read()


def _files(project: str) -> list[Wheel]:
    """Every file of a project in the index, in its order."""
    page = f"{index_url()}/{project}/"
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
    text = _open(page, {"Accept": accept}).decode()
    if text.lstrip().startswith("{"):
        rows = [
            (file["url"], file["hashes"].get("sha256", ""), file["filename"], file.get("upload-time"))
            for file in json.loads(text)["files"]
        ]
    else:
        rows = []
        for attributes, name in re.findall(r"<a ([^>]*)>\s*([^<]+?)\s*</a>", text):
            href = re.search(r'href="([^"#]+)#sha256=([0-9a-f]{64})"', attributes)
            when = re.search(r'data-upload-time="([^"]+)"', attributes)
            if href:
                rows.append((html.unescape(href[1]), href[2], name, when[1] if when else None))
    return [
        Wheel(name, urllib.parse.urljoin(page, url), sha256, when[:10] if when else None)
        for url, sha256, name, when in rows
    ]


def releases(project: str, first: str) -> dict[Version, list[Wheel]]:
    """The wheels of every release of a project from `first` on, oldest release first."""
    found: dict[Version, list[Wheel]] = {}
    for wheel in _files(project):
        if wheel.name.endswith(".whl") and wheel.version >= Version(first) and not wheel.version.is_prerelease:
            found.setdefault(wheel.version, []).append(wheel)
    return dict(sorted(found.items()))


def source_package(project: str, version: str) -> tuple[str, str]:
    """URL and SHA-256 of a release's source package."""
    name = f"{project}-{version}.tar.gz"
    return next((file.url, file.sha256) for file in _files(project) if file.name == name)


def download(url: str, sha256: str, folder: Path) -> Path:
    """The whole file behind a URL, in a folder; fetched unless it is there, and checked.

    Raises:
        OSError: what came is not what the index promised.
    """
    file = folder / url.rpartition("/")[2]
    if not file.exists():
        data = _open(url, {})
        if hashlib.sha256(data).hexdigest() != sha256:
            raise OSError(f"{file.name} has not the SHA-256 that the index tells")
        file.write_bytes(data)
    return file


def preferred(candidates: Iterable[Wheel]) -> Wheel:
    """Of a release's wheels the newest build for MACHINE, which is the one that pip takes there."""
    chosen = list(candidates)
    return max([wheel for wheel in chosen if MACHINE in wheel.name] or chosen, key=lambda wheel: wheel.build)


class RemoteFile(io.RawIOBase):
    """A file behind a URL, read in blocks by range requests; the last blocks are kept."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._place = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        with _answer(url, {"Range": "bytes=0-0"}) as answer:
            self._size = int(answer.headers["Content-Range"].rpartition("/")[2])

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = base + offset
        return self._place

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            first = number * BLOCK
            last = min(first + BLOCK, self._size) - 1
            self._blocks[number] = _open(self._url, {"Range": f"bytes={first}-{last}"})
            if len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return self._blocks[number]

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._place + size, self._size)
        parts = []
        while self._place < end:
            number, skip = divmod(self._place, BLOCK)
            part = self._block(number)[skip : skip + end - self._place]
            parts.append(part)
            self._place += len(part)
        return b"".join(parts)


def opened(wheel: Wheel) -> zipfile.ZipFile:
    """The wheel as a zip file; only what is read of it is fetched."""
    return zipfile.ZipFile(RemoteFile(wheel.url))


def python_sources(wheel: Wheel, folder: Path) -> None:
    """Put a wheel's Python files and metadata under a folder; does nothing when they are there already."""
    done = folder / ".complete"
    if done.exists():
        return
    with opened(wheel) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith((".py", "/METADATA", "/RECORD"))]
        for info in sorted(members, key=lambda info: info.header_offset):
            archive.extract(info, folder)
    done.touch()
