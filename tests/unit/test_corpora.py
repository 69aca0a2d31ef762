"""Staging of texts, with a web server on 127.0.0.1."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recipegen.bench import corpora
from recipegen.bench.corpora import FetchFailed, StagedCorpus, download, stage
from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError

MARK = "*** START OF THE PROJECT GUTENBERG EBOOK THE ADVENTURES ***"
CLEANED = f"{MARK}\r\n\r\nTo Sherlock Holmes she is — the woman.\r\n".encode()
BOOK = "\ufeffThe Project Gutenberg eBook\r\nLicence\r\n".encode() + CLEANED
HASH = hashlib.sha256(BOOK).hexdigest()


class Web:
    """A web server and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers["User-Agent"]))
                self.close_connection = True
                answer, headers = 200, {}
                body = BOOK
                if self.path == "/gone":
                    answer = 404
                elif self.path.startswith("/to?"):
                    answer, headers = 302, {"Location": self.path.removeprefix("/to?")}
                elif self.path == "/loop":
                    answer, headers = 302, {"Location": "/loop"}
                elif self.path == "/claims-much":
                    headers = {"Content-Length": str(10**12)}
                elif self.path == "/cut":
                    headers = {"Content-Length": str(len(BOOK) + 10)}
                elif self.path == "/latin":
                    body = "grün".encode("latin-1")
                elif self.path == "/empty":
                    body = b" \n"
                self.send_response(answer)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.path == "/endless":
                    try:
                        while True:
                            self.wfile.write(b"x" * (1 << 20))
                    except OSError:
                        return
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Web()
    yield server
    server.close()


def offline(url: str) -> bytes:
    raise FetchFailed("no route to host")


def stage_url(tmp_path: Path, url: str, sha256: str | None = None, fetch: corpora.Fetch | None = None) -> StagedCorpus:
    return stage("prose", url, None, sha256, tmp_path / "cache", fetch=fetch, home=tmp_path / "home")


def test_pinned_text(tmp_path: Path, web: Web) -> None:
    url = f"{web.url}/book"
    staged = stage_url(tmp_path, url, HASH)
    book_url = f"{url}#sha256={HASH}"
    expected = tmp_path / "home/.cache/llama-benchy" / f"{hashlib.md5(book_url.encode()).hexdigest()}.txt"
    assert staged == StagedCorpus("prose", book_url, expected, HASH, pinned=True)
    assert expected.read_bytes() == CLEANED
    assert (tmp_path / "cache" / f"{HASH}.raw").read_bytes() == BOOK
    assert len(web.asked) == 1
    assert web.asked[0][0] == "/book"
    assert (web.asked[0][1] or "").startswith("recipegen/")


def test_llama_benchy_reads_the_same_text_as_after_its_own_download(tmp_path: Path) -> None:
    """Its own way: response.text, cut, open(w).write; then open(r).read."""
    text = BOOK.decode()
    own = tmp_path / "own.txt"
    with own.open("w", encoding="utf-8") as file:
        file.write(text[text.find("*** START OF THE PROJECT GUTENBERG EBOOK") :])
    staged = stage_url(tmp_path, "http://127.0.0.1/x", fetch=lambda url: BOOK)
    assert staged.path.read_bytes() == own.read_bytes()
    assert "\r" not in staged.path.read_text(encoding="utf-8")


def test_the_name_is_the_one_that_llama_benchy_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llama_benchy.corpus import TokenizedCorpus

    class Tokenizer:
        def encode(self, text: str, add_special_tokens: bool) -> list[str]:
            return text.split()

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(TokenizedCorpus, "_get_tokenizer", lambda *args: Tokenizer())
    monkeypatch.setattr("requests.get", lambda *args: pytest.fail("it asked the network"))
    staged = stage("prose", "http://127.0.0.1/x", None, HASH, tmp_path / "cache", fetch=lambda url: BOOK)
    assert staged.path.is_relative_to(tmp_path / "home")
    assert TokenizedCorpus(staged.book_url, None, "model").get_tokens() == CLEANED.decode().split()


def test_staged_once_needs_no_network(tmp_path: Path, web: Web) -> None:
    for sha256 in (HASH, None):
        first = stage_url(tmp_path, f"{web.url}/book?{sha256}", sha256)
        again = stage_url(tmp_path, f"{web.url}/book?{sha256}", sha256, offline)
        assert again == first
    assert len(web.asked) == 2


def test_pinned_text_is_shared_by_all_its_addresses(tmp_path: Path, web: Web) -> None:
    first = stage_url(tmp_path, f"{web.url}/one", HASH)
    second = stage_url(tmp_path, f"{web.url}/two", HASH, offline)
    assert first.path != second.path
    assert first.path.read_bytes() == second.path.read_bytes()


def test_unpinned_text_remembers_its_hash(tmp_path: Path) -> None:
    staged = stage_url(tmp_path, "http://127.0.0.1/x#part", fetch=lambda url: BOOK)
    assert (staged.pinned, staged.sha256) == (False, HASH)
    assert staged.book_url == f"http://127.0.0.1/x#sha256={HASH}"
    (memory,) = (tmp_path / "cache").glob("*.json")
    body = json.loads(memory.read_text())
    assert (body["url"], body["sha256"]) == ("http://127.0.0.1/x", HASH)
    assert stage_url(tmp_path, "http://127.0.0.1/x", fetch=offline) == staged


@pytest.mark.parametrize("harm", ["memory", "raw", "text", "strange memory"])
def test_damaged_caches_heal(tmp_path: Path, harm: str) -> None:
    url = "http://127.0.0.1/x"
    staged = stage_url(tmp_path, url, fetch=lambda url: BOOK)
    (memory,) = (tmp_path / "cache").glob("*.json")
    victim = {"memory": memory, "strange memory": memory, "text": staged.path}.get(
        harm, tmp_path / "cache" / f"{HASH}.raw"
    )
    victim.write_text('{"format": 1}' if harm == "strange memory" else "damage")
    again = stage_url(tmp_path, url, fetch=offline if harm == "text" else lambda url: BOOK)
    assert again == staged
    assert staged.path.read_bytes() == CLEANED
    assert (tmp_path / "cache" / f"{HASH}.raw").read_bytes() == BOOK


def test_mismatch_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    wanted = "0" * 64
    with pytest.raises(CheckFailed) as caught:
        stage_url(tmp_path, "http://127.0.0.1/x", wanted, lambda url: BOOK)
    assert f"expected sha256 {wanted}, got {HASH}" in caught.value.message
    assert "pin the new hash" in caught.value.hint
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "home").exists()


def test_offline_and_not_staged(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks) as caught:
        stage_url(tmp_path, "http://127.0.0.1/x", HASH, offline)
    assert "'prose'" in caught.value.message
    assert "no route to host" in caught.value.message
    assert "builtin" in caught.value.hint
    assert caught.value.exit_code == 3


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(EnvironmentLacks, match="refused"):
        stage_url(tmp_path, f"http://127.0.0.1:{port}/book")


def test_builtin_text(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(b"When in the Course of human events\n")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    staged = stage("us-texts", None, file, None, tmp_path / "cache", fetch=offline, home=tmp_path / "home")
    assert staged.book_url == f"recipegen-corpus:us-texts#sha256={found}"
    assert (staged.pinned, staged.sha256) == (True, found)
    assert staged.path.read_bytes() == file.read_bytes()
    with pytest.raises(CheckFailed, match="'us-texts'"):
        stage("us-texts", None, file, HASH, tmp_path / "cache", home=tmp_path / "home")


def test_every_builtin_text_of_the_catalog_can_be_staged(tmp_path: Path) -> None:
    from recipegen.catalog import builtin_corpora, builtin_corpus

    assert builtin_corpora()
    for name in builtin_corpora():
        staged = stage(name, None, builtin_corpus(name), None, tmp_path / "cache", home=tmp_path / "home")
        assert staged.path.stat().st_size > 10_000


def test_exactly_one_source(tmp_path: Path) -> None:
    for url, file in ((None, None), ("http://127.0.0.1/x", tmp_path)):
        with pytest.raises(ValueError):
            stage("x", url, file, None, tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "book.txt", "http://", "http://[::1/x"])
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(RecipegenError, match="no web address"):
        stage_url(tmp_path, url, fetch=lambda url: BOOK)


def test_address_with_a_password_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(RecipegenError) as caught:
        stage_url(tmp_path, "https://anna:secret@127.0.0.1/x", fetch=lambda url: BOOK)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(("path", "reason"), [("latin", "not UTF-8"), ("empty", "is empty")])
def test_what_is_no_text_is_not_kept(tmp_path: Path, web: Web, path: str, reason: str) -> None:
    with pytest.raises(RecipegenError, match=reason):
        stage_url(tmp_path, f"{web.url}/{path}")
    assert not (tmp_path / "cache").exists()


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(EnvironmentLacks, match="cannot make the folder"):
        stage_url(tmp_path, "http://127.0.0.1/x", fetch=lambda url: BOOK)


def test_download_follows_redirects_to_the_web(web: Web) -> None:
    assert download(f"{web.url}/to?/book") == BOOK
    assert [path for path, _ in web.asked] == ["/to?/book", "/book"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x", "gopher://x/"])
def test_download_follows_no_other_redirect(web: Web, target: str) -> None:
    with pytest.raises(FetchFailed):
        download(f"{web.url}/to?{target}")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("gone", "Not Found"), ("loop", "."), ("claims-much", "larger than 64 MiB"), ("cut", "broke off")],
)
def test_download_that_fails(web: Web, path: str, reason: str) -> None:
    with pytest.raises(FetchFailed, match=reason):
        download(f"{web.url}/{path}")


def test_download_without_end_is_cut(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "LARGEST", 3 << 20)
    with pytest.raises(FetchFailed, match="larger than 3 MiB"):
        download(f"{web.url}/endless")


def test_download_knows_no_other_scheme() -> None:
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x"):
        with pytest.raises(FetchFailed):
            download(url)
