"""Both leaderboards' contracts as a real HTTP server on the loopback: it checks what it is sent, stores it, and answers
as the boards do, or as a test scripts it: every status, HTML, nothing, half a body, late."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "bhk_" + "c0ffee0ddba11fee1dead5ca1ab1e0123456789a"
"""The key that the server takes, and the canary that must turn up nowhere."""
REFRESH = "AMf-canary-refresh-token_0123456789abcdef"
ID_TOKEN = "eyJhbGciOiJub25lIn0.canary-id-token.c2lnbmF0dXJl"
USER, BUCKET = "user0123", "spark-arena.example.app"
SUBMIT, DRY_RUN = "/api/speed-tests", "/api/speed-tests/dry-run"
EXCHANGE, STORAGE = "/exchange", f"/v0/b/{BUCKET}/o"
HTML = b"<!DOCTYPE html><html><body>LocalMaxxing</body></html>"
REQUIRED = ("hfId", "hardware", "engineName", "quantization", "tokSOut")
SECONDARY = ("tokSPrefill", "tokSTotal", "ttftMs", "peakVramGb")
KNOWN = {
    *REQUIRED, *SECONDARY, "modelRevision", "engineVersion", "engineRepository", "engineBuild", "engineCommit",
    "backend", "promptTokens", "outputTokens", "contextLength", "batchSize", "prefillTokens", "gpuPowerWatts",
    "notes", "promptSha256", "promptSample", "outputSha256", "outputSample", "engineTimingsRaw", "engineFlags",
}  # fmt: skip


@dataclass
class Scripted:
    """One answer that a test asks for.

    Attributes:
        body: text, bytes, or an object for JSON.
        cut: bytes of the body after which the connection ends.
        nothing: close without a word.
        late_s: seconds before the answer.
        drip: send a byte of the head now and then, for ever.
    """

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    nothing: bool = False
    late_s: float = 0.0
    drip: bool = False

    @property
    def raw(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Seen:
    """One request that came."""

    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class BoardServer(ThreadingHTTPServer):
    """The boards.

    Attributes:
        seen: all requests.
        rows: what LocalMaxxing stored.
        objects: what Spark Arena stored, by object name.
        quota: entries that are left this hour.
        issues: what a dry run names as keeping the verified mark away.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
        self.rows: list[dict[str, Any]] = []
        self.objects: dict[str, bytes] = {}
        self.scripts: dict[str, list[Scripted]] = {}
        self.quota = 30
        self.issues: list[str] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def script(self, path: str, *answers: Scripted) -> None:
        """The next answers on a path; after them the contract's own."""
        self.scripts.setdefault(path, []).extend(answers)

    def asked(self, path: str) -> list[Seen]:
        return [one for one in self.seen if one.path == path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away early is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: BoardServer

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        seen = Seen(parts.path, parse_qs(parts.query), dict(self.headers.items()), body)
        self.server.seen.append(seen)
        waiting = self.server.scripts.get(parts.path)
        self.answer(waiting.pop(0) if waiting else self.contract(seen))

    def do_GET(self) -> None:
        self.server.seen.append(Seen(self.path, {}, dict(self.headers.items()), b""))
        self.answer(Scripted(404, {"error": "not found"}))

    def contract(self, seen: Seen) -> Scripted:
        if seen.path in (SUBMIT, DRY_RUN):
            return self.localmaxxing(seen)
        if seen.path == EXCHANGE:
            if json.loads(seen.body).get("refresh_token") != REFRESH:
                return Scripted(401, {"error": "invalid_token"})
            return Scripted(200, {"id_token": ID_TOKEN, "user_id": USER, "bucket": BUCKET})
        if seen.path == STORAGE:
            if seen.headers.get("Authorization") != f"Bearer {ID_TOKEN}":
                return Scripted(403, {"error": {"code": 403, "message": "Permission denied."}})
            (name,) = seen.query["name"]
            self.server.objects[name] = seen.body
            return Scripted(200, {"name": name, "bucket": BUCKET})
        if seen.path.startswith("/api/benchmarks"):
            return Scripted(200, HTML, {"Content-Type": "text/html; charset=utf-8"})
        return Scripted(404, {"error": "not found"})

    def localmaxxing(self, seen: Seen) -> Scripted:
        if seen.headers.get("User-Agent", "").startswith("Python-urllib"):
            return Scripted(403, b"error code: 1010", {"Content-Type": "text/plain"})
        if seen.headers.get("Authorization") != f"Bearer {KEY}":
            return Scripted(401, {"error": "Invalid API key"})
        body = json.loads(seen.body)
        missing = [name for name in REQUIRED if name not in body]
        if missing or not any(name in body for name in SECONDARY):
            return Scripted(400, {"error": f"missing: {', '.join(missing) or 'a secondary metric'}"})
        parsed = {name: value for name, value in body.items() if name in KNOWN}  # others vanish without a word
        if seen.path == DRY_RUN:
            verified = "promptSha256" in parsed and not self.server.issues
            verification = {"verified": verified, "issues": self.server.issues}
            return Scripted(200, {"valid": True, "parsed": parsed, "verification": verification})
        limits = {"X-RateLimit-Limit": "30", "X-RateLimit-Reset": str(int(time.time()) + 3600)}
        if self.server.quota < 1:
            return Scripted(429, {"error": "rate limit"}, {**limits, "X-RateLimit-Remaining": "0"})
        self.server.quota -= 1
        row = {"id": f"cm{len(self.server.rows):023d}", "status": "APPROVED", **parsed, "verifiedRun": False}
        self.server.rows.append(row)
        return Scripted(201, row, {**limits, "X-RateLimit-Remaining": str(self.server.quota)})

    def answer(self, scripted: Scripted) -> None:
        if scripted.late_s and self.server.ended.wait(scripted.late_s):
            return
        if scripted.nothing:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        if scripted.drip:
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 201 Created\r\n")
                while not self.server.ended.wait(0.02):
                    self.wfile.write(b"X")
            return
        raw = scripted.raw
        self.send_response(scripted.status)
        for name, value in {"Content-Type": "application/json", **scripted.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw if scripted.cut is None else raw[: scripted.cut])

    def log_message(self, *_args: Any) -> None:
        """Nothing on the test's stderr."""


@contextmanager
def boards() -> Iterator[BoardServer]:
    """The server, until the end of the block."""
    server = BoardServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def places(secret: str, *texts: str, root: Any) -> list[str]:
    """Where a secret turned up: texts and files under a folder. Empty, if all is well."""
    found = [f"text {at}" for at, text in enumerate(texts) if secret in text]
    pattern = re.compile(re.escape(secret.encode()))
    return found + [str(path) for path in root.rglob("*") if path.is_file() and pattern.search(path.read_bytes())]
