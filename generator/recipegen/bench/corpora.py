"""Puts the texts that prompts are cut from where llama-benchy finds them without a network. Owns no texts.

llama-benchy 0.4.0 reads `~/.cache/llama-benchy/<md5 of --book-url>.txt` when that file exists, and downloads
the URL otherwise (llama_benchy/corpus.py). The URL that it is given here ends in the text's hash, so that the
file's name pins its content: `<url>#sha256=<hash>`, or `recipegen-corpus:<name>#sha256=<hash>` for a text
that travels with recipegen.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urldefrag, urlsplit

from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError
from recipegen.files import read_bounded, sha256_bytes, write_atomic

LARGEST = 64 << 20
"""Bytes of the largest text; all of Shakespeare has 5 MiB, and llama-benchy tokenizes the whole text."""
_SOCKET_TIMEOUT_S = 30.0
_DOWNLOAD_TIMEOUT_S = 600.0
_FORMAT = "recipegen-corpus/1"
_GUTENBERG_START = "*** START OF THE PROJECT GUTENBERG EBOOK"

Fetch = Callable[[str], bytes]


class FetchFailed(Exception):
    """A text could not be downloaded; the message says why."""


@dataclass(frozen=True)
class StagedCorpus:
    """A text that is ready for llama-benchy.

    Attributes:
        name: the corpus's.
        book_url: what llama-benchy is given as --book-url.
        path: the cleaned text in llama-benchy's cache.
        sha256: of the raw bytes, before cleaning.
        pinned: whether the hash was known before the text was seen.
    """

    name: str
    book_url: str
    path: Path
    sha256: str
    pinned: bool


def stage(
    corpus_name: str,
    url: str | None,
    builtin_path: Path | None,
    sha256: str | None,
    cache_dir: Path,
    *,
    fetch: Fetch | None = None,
    home: Path | None = None,
) -> StagedCorpus:
    """Puts one text into llama-benchy's cache; downloads it only when it is not here yet.

    Args:
        corpus_name: for messages and for the book URL of a builtin text.
        url: where the text is; None for a builtin one.
        builtin_path: the file of a builtin text.
        sha256: of the raw bytes, lower-case hex; None takes the text as it comes and remembers its hash.
        cache_dir: keeps raw downloads as `<sha256>.raw`.
        fetch: gets the bytes of a URL, or raises FetchFailed; `download` when None.
        home: whose `.cache/llama-benchy` is filled; the user's when None.

    Raises:
        CheckFailed: the text is not the one that was pinned.
        EnvironmentLacks: it is not here and cannot be fetched, or the cache cannot be written.
        RecipegenError: it is not usable as a text, or the URL is not a plain web address.
    """
    if (url is None) == (builtin_path is None):
        raise ValueError("exactly one of url and builtin_path")
    if builtin_path is not None:
        raw = read_bounded(builtin_path, LARGEST)
        base = f"recipegen-corpus:{corpus_name}"
        _verify(corpus_name, raw, sha256, "the installed recipegen carries another text: reinstall it")
    else:
        base = _web_address(corpus_name, str(url))
        raw = _raw_of_url(corpus_name, base, sha256, cache_dir, fetch or download)
    found = sha256_bytes(raw)
    book_url = f"{base}#sha256={found}"
    path = cached_text(book_url, home or Path.home())
    _write_if_other(path, _clean(corpus_name, raw))
    return StagedCorpus(corpus_name, book_url, path, found, pinned=sha256 is not None or url is None)


def cached_text(book_url: str, home: Path) -> Path:
    """The file that llama-benchy reads for a book URL."""
    name = hashlib.md5(book_url.encode(), usedforsecurity=False).hexdigest()
    return home / ".cache" / "llama-benchy" / f"{name}.txt"


def _raw_of_url(name: str, url: str, sha256: str | None, cache_dir: Path, fetch: Fetch) -> bytes:
    memory = cache_dir / f"{sha256_bytes(url.encode())}.json"
    known = sha256 or _remembered(memory, url)
    if known is not None and (kept := _kept(cache_dir, known)) is not None:
        return kept
    try:
        raw = fetch(url)
    except FetchFailed as error:
        raise EnvironmentLacks(
            f"the text {name!r} is not on this machine and cannot be fetched from {url}: {error}",
            hint="measure once with a network, which keeps the text; or name a builtin text: "
            "`recipegen catalog list` shows them",
        ) from error
    _verify(name, raw, sha256, f"the text at {url} was changed: pin the new hash, or name another source")
    _clean(name, raw)  # nothing unusable is kept
    found = sha256_bytes(raw)
    _make_folder(cache_dir)
    write_atomic(cache_dir / f"{found}.raw", raw)
    if sha256 is None:
        fetched = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"format": _FORMAT, "url": url, "sha256": found, "fetched": fetched}
        write_atomic(memory, json.dumps(body, indent=2) + "\n")
    return raw


def _remembered(memory: Path, url: str) -> str | None:
    """The hash that an unpinned URL had when it was fetched."""
    try:
        body = json.loads(memory.read_bytes())
        if body["format"] == _FORMAT and body["url"] == url:
            return str(body["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _kept(cache_dir: Path, sha256: str) -> bytes | None:
    """A raw download that is here and whole."""
    try:
        raw = read_bounded(cache_dir / f"{sha256}.raw", LARGEST)
    except RecipegenError:
        return None
    return raw if sha256_bytes(raw) == sha256 else None


def _verify(name: str, raw: bytes, sha256: str | None, hint: str) -> None:
    found = sha256_bytes(raw)
    if sha256 is not None and found != sha256:
        raise CheckFailed(
            f"the text {name!r} is not the one that was pinned: expected sha256 {sha256}, got {found}",
            hint=hint,
        )


def _clean(name: str, raw: bytes) -> bytes:
    """What llama-benchy itself would keep of a download: all from Gutenberg's start mark on, line ends kept.

    Raises:
        RecipegenError: not UTF-8, or nothing in it.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipegenError(
            f"the text {name!r} is not UTF-8 (byte {error.start})", hint="name a source that serves UTF-8"
        ) from None
    text = text[max(0, text.find(_GUTENBERG_START)) :]
    if not text.strip():
        raise RecipegenError(f"the text {name!r} is empty", hint="name another source")
    return text.encode("utf-8")


def _write_if_other(path: Path, data: bytes) -> None:
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass
    _make_folder(path.parent)
    write_atomic(path, data)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentLacks(f"cannot make the folder {folder}: {error.strerror}") from error


def _web_address(name: str, url: str) -> str:
    """The URL without its fragment, which would clash with the hash.

    Raises:
        RecipegenError: not http(s), or with a user or a password, which would end up in every result.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        parts, usable = None, False
    if parts is None or not usable:
        raise RecipegenError(f"the text {name!r} has no web address: {url!r}", hint="use http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise RecipegenError(
            f"the address of the text {name!r} holds a user name or a password",
            hint="serve the text without one; the address is recorded in every result",
        )
    return urldefrag(url).url


def download(url: str) -> bytes:
    """Gets a URL over http or https.

    Raises:
        FetchFailed: no answer, an error status, too large, cut short, or a redirect away from http(s).
    """
    from http.client import HTTPException, InvalidURL

    try:
        with _opener().open(_request(url), timeout=_SOCKET_TIMEOUT_S) as answer:
            return _read(answer)
    except (ValueError, InvalidURL):  # names a proxy's address, password included
        raise FetchFailed("an address that cannot be read: is that of a proxy right?") from None
    except (OSError, HTTPException) as error:
        raise FetchFailed(str(getattr(error, "reason", None) or error or type(error).__name__)) from error


def _request(url: str) -> Any:
    from urllib.request import Request

    from recipegen import __version__

    # S310 fears file:, which `_opener` does not know.
    return Request(url, headers={"User-Agent": f"recipegen/{__version__}"})  # noqa: S310


def _opener() -> Any:
    """An opener that knows http, https and proxies, and nothing else: no file:, ftp: or data:."""
    import urllib.request as web

    class Redirects(web.HTTPRedirectHandler):
        def redirect_request(
            self, req: web.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
        ) -> web.Request | None:
            if urlsplit(newurl).scheme not in ("http", "https"):
                raise FetchFailed("it redirects to an address that is not http or https")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    opener = web.OpenerDirector()
    for handler in (
        web.ProxyHandler(),
        web.UnknownHandler(),
        web.HTTPHandler(),
        web.HTTPSHandler(),
        web.HTTPDefaultErrorHandler(),
        Redirects(),
        web.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _read(answer: Any) -> bytes:
    length = answer.headers.get("Content-Length")
    expected = int(length) if length is not None and length.isdigit() else None
    if expected is not None and expected > LARGEST:
        raise FetchFailed(f"it is larger than {LARGEST >> 20} MiB")
    deadline = time.monotonic() + _DOWNLOAD_TIMEOUT_S
    parts, size = [], 0
    while chunk := answer.read1(1 << 16):
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST:
            raise FetchFailed(f"it is larger than {LARGEST >> 20} MiB")
        if time.monotonic() > deadline:
            raise FetchFailed(f"it took longer than {_DOWNLOAD_TIMEOUT_S:g} s")
    if expected is not None and size < expected:
        raise FetchFailed(f"it broke off after {size} of {expected} bytes")
    return b"".join(parts)
