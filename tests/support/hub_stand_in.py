"""The Hugging Face hub on a loopback port: models with their files, datasets that take commits, as huggingface_hub
asks.

Answers as the hub's API does (paths, X-Error-Code, Git LFS batch API). Not here: Xet storage, which the hub's client
uses unless HF_HUB_DISABLE_XET is set.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.lock_stand_in import Reply, Serving

SHA = "1234567890" * 4
TOKEN = "hf_" + "CanaryCanaryCanaryCanary" + "42"
"""What must be found nowhere but in the Authorization header; put together, so that no scanner finds it here."""


@dataclass
class HubModelRepo:
    """A model of the stand-in.

    Attributes:
        info: fields of the answer beside id, sha and siblings.
        files: path to bytes, or to a size for weights that nobody fetches.
        lfs: paths that redirect to the store of large files, as the hub's do.
    """

    files: dict[str, bytes | int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    lfs: tuple[str, ...] = ()


@dataclass
class Dataset:
    """A dataset: branch to path to bytes."""

    private: bool = False
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    ignored: tuple[str, ...] = ()


@dataclass
class HubWorld:
    """What the hub holds.

    Attributes:
        special: path to the reply that goes before all else; `once` to one that does so the first time.
        commits: (dataset, branch, paths) of every commit.
    """

    models: dict[str, HubModelRepo] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    special: dict[str, Reply] = field(default_factory=dict)
    once: dict[str, Reply] = field(default_factory=dict)
    commits: list[tuple[str, str, list[str]]] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, method: str, target: str, authorization: str, body: bytes = b"") -> Reply:
        parts = urlsplit(target)
        path, query = unquote(parts.path), parse_qs(parts.query)
        with self.lock:
            if reply := self.once.pop(path, None) or self.special.get(path):
                return reply
            known = authorization == f"Bearer {TOKEN}"
            if authorization and not known:
                return Reply(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
            for room, answer in (
                ("/api/models/", self._model),
                ("/api/datasets/", self._dataset),
                ("/api/repos/create", self._create),
                ("/datasets/", self._batch),
                ("/lfs/", self._store),
            ):
                if path.startswith(room):
                    return answer(method, path.removeprefix(room), known, query, body)
            return self._resolve(path, known)

    # Models.

    def _model(self, method: str, hf_id: str, known: bool, query: dict[str, list[str]], body: bytes) -> Reply:
        if hf_id in self.renamed:
            return Reply(307, b"", {"Location": f"/api/models/{self.renamed[hf_id]}?blobs=true"})
        model = self.models.get(hf_id)
        if model is None or (model.info.get("private") and not known):
            return Reply(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        siblings = [
            {"rfilename": path, "size": data if isinstance(data, int) else len(data)}
            for path, data in model.files.items()
        ]
        info = {"_id": "x", "id": hf_id, "modelId": hf_id, "tags": [], "sha": SHA, "gated": False, "private": False}
        return _json({**info, "siblings": siblings, **model.info})

    def _resolve(self, path: str, known: bool) -> Reply:
        hf_id, _, rest = path.strip("/").partition("/resolve/")
        commit, _, file = rest.partition("/")
        model = self.models.get(hf_id)
        if model is None or commit != SHA:
            return Reply(404, b"", {"X-Error-Code": "RepoNotFound"})
        if model.info.get("gated") and not known:
            return Reply(401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        data = model.files.get(file)
        if not isinstance(data, bytes):
            return Reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        if file in model.lfs:
            oid = hashlib.sha256(data).hexdigest()
            self.large[oid] = data
            return Reply(302, b"", {"Location": f"/lfs/{oid}"})
        return Reply(200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": SHA})

    # Datasets.

    def _create(self, method: str, _: str, known: bool, query: dict[str, list[str]], body: bytes) -> Reply:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if not known:
            return Reply(401, b'{"error": "Unauthorized"}')
        if asked["organization"] != "owner":
            return Reply(403, b'{"error": "You do not have the rights to create a dataset here"}')
        if name in self.datasets:
            return Reply(409, json.dumps({"error": "You already created this dataset repo"}).encode())
        self.datasets[name] = Dataset(private=asked.get("visibility") == "private" or asked.get("private") is True)
        return _json({"url": f"{self.url}/datasets/{name}", "name": name, "id": "1"})

    def _dataset(self, method: str, rest: str, known: bool, query: dict[str, list[str]], body: bytes) -> Reply:
        owner, name, *more = rest.split("/", 3)
        dataset = self.datasets.get(f"{owner}/{name}")
        if dataset is None or (dataset.private and not known):
            return Reply(401 if not known else 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        what, branch = (more[0], more[1] if len(more) > 1 else "") if more else ("", "main")
        if what == "branch" and known:
            if branch in dataset.branches:
                return Reply(409, b'{"error": "Reference already exists"}')
            dataset.branches[branch] = dict(dataset.branches["main"])
            return Reply(201, b"")
        if branch not in dataset.branches:
            return Reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        files = dataset.branches[branch]
        if what in ("", "revision"):
            return _json({"id": f"{owner}/{name}", "sha": SHA, "private": dataset.private, "siblings": []})
        if not known:
            return Reply(403, b'{"error": "Forbidden"}')
        if what == "preupload":
            return _json({"files": [self._mode(dataset, files, one) for one in json.loads(body)["files"]]})
        if what == "commit":
            return self._commit(f"{owner}/{name}", branch, dataset, body)
        if what == "paths-info":
            wanted = parse_qs(body.decode())["paths"]  # a form, not JSON
            found = [
                {"type": "file", "path": path, "size": len(files[path]), "oid": "0" * 40}
                for path in wanted
                if path in files
            ]
            return _json(found)
        return Reply(404, b"{}")

    def _mode(self, dataset: Dataset, files: dict[str, bytes], one: dict[str, Any]) -> dict[str, Any]:
        path, large = one["path"], one["path"].endswith((".tar.gz", ".bin"))
        found = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": path in dataset.ignored}
        if path in files and not large:
            head = f"blob {len(files[path])}\0".encode()
            found["oid"] = hashlib.sha1(head + files[path]).hexdigest()
        return found

    def _batch(self, method: str, rest: str, known: bool, query: dict[str, list[str]], body: bytes) -> Reply:
        if not known or not rest.endswith(".git/info/lfs/objects/batch"):
            return Reply(403, b"{}")
        objects = []
        for one in json.loads(body)["objects"]:
            actions = {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}
            objects.append({**one, **({} if one["oid"] in self.large else {"actions": actions})})
        return _json({"transfer": "basic", "objects": objects})

    def _store(self, method: str, oid: str, known: bool, query: dict[str, list[str]], body: bytes) -> Reply:
        if method == "PUT":
            if hashlib.sha256(body).hexdigest() != oid:
                return Reply(400, b"the checksum is another")
            self.large[oid] = body
            return Reply(200)
        return Reply(200, self.large[oid]) if oid in self.large else Reply(404)

    def _commit(self, name: str, branch: str, dataset: Dataset, body: bytes) -> Reply:
        paths = []
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                dataset.branches[branch][value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                dataset.branches[branch][value["path"]] = self.large[value["oid"]]
            elif item["key"] != "header":
                return Reply(400, json.dumps({"error": f"{item['key']} is not asked for here"}).encode())
            paths += [value["path"]] if "path" in value else []
        self.commits.append((name, branch, sorted(paths)))
        oid = hashlib.sha1(body).hexdigest()
        return _json({"success": True, "commitOid": oid, "commitUrl": f"{self.url}/datasets/{name}/commit/{oid}"})


class HubStandIn(Serving[HubWorld]):
    """The server of the hub."""

    def __init__(self) -> None:
        super().__init__(HubWorld())


def _json(data: Any) -> Reply:
    return Reply(200, json.dumps(data).encode(), {"Content-Type": "application/json"})
