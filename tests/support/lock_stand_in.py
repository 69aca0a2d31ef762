"""A registry, a hub, a package index, a git host and a web site on one loopback port, for the tests of `lock`; and the
server under it, for worlds of other tests.

Each answers as its published contract says: the OCI distribution specification with the distribution project's token
authentication, the hub's model API, PEP 691 and PEP 503, git's smart HTTP (a real `git upload-pack` behind it).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

INDEX = "application/vnd.oci.image.index.v1+json"
TOKEN = "anonymous-token"
JSON_INDEX = "application/vnd.pypi.simple.v1+json"


@dataclass
class Reply:
    """One answer, byte for byte."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    """How many bytes the Content-Length promises beyond the body."""
    after_s: float = 0
    """Seconds before it comes."""


def manifest(text: str) -> bytes:
    """An image index that differs with `text`."""
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"of": text}}).encode()


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class World:
    """What the stand-ins know; tests change it between two locks.

    Attributes:
        images: `repository:tag` to manifest.
        models: hub id, or `id@revision`, to commit.
        projects: package to its files (PEP 691 objects).
        texts: path to bytes.
        repositories: name to a git folder.
        special: path to a reply that goes before all else.
        seen: (method, path, Authorization) of every request.
    """

    images: dict[str, bytes] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    projects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    repositories: dict[str, Path] = field(default_factory=dict)
    special: dict[str, Reply] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0
    html: bool = False
    """Whether the package index speaks HTML only."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def registry(self) -> str:
        return f"127.0.0.1:{self.port}"

    def reply(self, method: str, target: str, authorization: str, body: bytes = b"") -> Reply:
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path in self.special:
            return self.special[parts.path]
        room, _, rest = parts.path.strip("/").partition("/")
        if room == "v2":
            return self._manifest(rest, authorization)
        if room == "token":
            known = query.get("service") == "stand-in" and query.get("scope", "").endswith(":pull")
            return self._json({"token": TOKEN}) if known else Reply(400)
        if room == "api":
            return self._model(rest, query)
        if room == "simple":
            return self._project(rest.strip("/"))
        if room == "git":
            return self._refs(rest, query)
        if room == "texts" and rest in self.texts:
            return Reply(200, self.texts[rest], {"Content-Type": "text/plain; charset=utf-8"})
        return Reply(404)

    def _json(self, data: Any, content_type: str = "application/json") -> Reply:
        return Reply(200, json.dumps(data).encode(), {"Content-Type": content_type})

    def _manifest(self, rest: str, authorization: str) -> Reply:
        repository, _, tag = rest.rpartition("/manifests/")
        if authorization != f"Bearer {TOKEN}":
            scope = f"repository:{repository}:pull"
            challenge = f'Bearer realm="{self.url}/token",service="stand-in",scope="{scope}"'
            return Reply(401, b"{}", {"WWW-Authenticate": challenge})
        body = self.images.get(f"{repository}:{tag}")
        if body is None:
            return Reply(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
        return Reply(200, body, {"Content-Type": INDEX, "Docker-Content-Digest": digest(body)})

    def _model(self, rest: str, query: dict[str, str]) -> Reply:
        hf_id, _, revision = rest.removeprefix("models/").partition("/revision/")
        sha = self.models.get(f"{hf_id}@{unquote(revision)}" if revision else hf_id)
        if sha is None:
            return Reply(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        found = {"_id": "5f", "id": hf_id, "sha": sha}
        return self._json(found if query.get("expand") == "sha" else {**found, "siblings": []})

    def _project(self, project: str) -> Reply:
        files = self.projects.get(project)
        if files is None:
            return Reply(404, b"")
        if not self.html:
            return self._json({"meta": {"api-version": "1.1"}, "name": project, "files": files}, JSON_INDEX)
        rows = []
        for file in files:
            python = file.get("requires-python", "").replace(">", "&gt;")
            extra = f' data-requires-python="{python}"' if python else ""
            extra += ' data-yanked="broken"' if file.get("yanked") else ""
            rows.append(f'<a href="../../packages/{file["filename"]}#sha256=00"{extra}>{file["filename"]}</a><br>')
        page = f"<!DOCTYPE html><html><body>{''.join(rows)}</body></html>"
        return Reply(200, page.encode(), {"Content-Type": "text/html; charset=UTF-8"})

    def _refs(self, rest: str, query: dict[str, str]) -> Reply:
        repository = self.repositories.get(rest.removesuffix("/info/refs"))
        if repository is None or query.get("service") != "git-upload-pack":
            return Reply(404)
        argv = ["git", "upload-pack", "--http-backend-info-refs", str(repository)]
        refs = subprocess.run(argv, capture_output=True, check=True).stdout
        head = b"# service=git-upload-pack\n"
        body = f"{len(head) + 4:04x}".encode() + head + b"0000" + refs
        return Reply(200, body, {"Content-Type": "application/x-git-upload-pack-advertisement"})


class Answering(Protocol):
    """A world that the server asks what to answer."""

    port: int
    seen: list[tuple[str, str, str]]

    def reply(self, method: str, target: str, authorization: str, body: bytes = b"") -> Reply: ...


W = TypeVar("W", bound=Answering)


class Serving(Generic[W]):
    """The server of a world; a context manager that gives it."""

    def __init__(self, world: W) -> None:
        self.world = world

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                authorization = self.headers.get("Authorization", "")
                world.seen.append((self.command, self.path, authorization))
                length = int(self.headers.get("Content-Length") or 0)
                reply = world.reply(self.command, self.path, authorization, self.rfile.read(length))
                time.sleep(reply.after_s)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body) + reply.cut))
                if reply.cut:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)

            do_POST = do_PUT = do_DELETE = do_GET

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the client hung up on an answer that is too large
                    super().handle()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        world.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> W:
        return self.world

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class StandIn(Serving[World]):
    """The hosts that `lock` asks."""

    def __init__(self) -> None:
        super().__init__(World())
