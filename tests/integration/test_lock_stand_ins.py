"""`recipegen lock` over real HTTP, against stand-ins of the hosts that it asks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.bench.corpora import FetchFailed, download
from recipegen.cli.lock import lock_command
from recipegen.errors import RecipegenError, SpecError
from recipegen.hub.client import commit_of
from recipegen.lock import LOCK_FILE, read_lock, unpinned
from recipegen.pins.git import commit_of_ref
from recipegen.pins.index import newest
from recipegen.pins.registry import digest_of, local_id
from recipegen.web import BadAnswer, NotThere, Unreachable, ask
from recipegen.workspace import Workspace
from tests.support.lock_stand_in import INDEX, JSON_INDEX, TOKEN, Reply, StandIn, World, digest, manifest

SHA, OTHER = "12ab" * 10, "34cd" * 10
DIGITS = "1234567890" * 4
"""A commit of digits only, which must not turn into a number in the lock."""


def wheel(project: str, version: str, **more: Any) -> dict[str, Any]:
    return {"filename": f"{project.replace('-', '_')}-{version}-py3-none-any.whl", "url": "x", "hashes": {}, **more}


RECIPE = """\
schema: recipegen/v1
name: mine
title: Mine
model: {hf_id: owner/target, quantization: BF16}
models:
  drafter: {hf_id: owner/drafter, role: drafter}
  branch: {hf_id: owner/branch, role: drafter, revision: stable}
  fixed: {hf_id: owner/fixed, role: drafter, revision: FIXED}
image:
  mode: prebuilt
  base: REGISTRY/owner/engine:nightly
  pip: ["scipy<2", "orjson==3.0.0"]
engine: {name: vllm, flags: {max-model-len: 4096}}
headline: ar
variants: {ar: {}}
bench:
  corpora:
    prose: {url: "URL/texts/prose.txt"}
    fixed: {builtin: us-founding-texts}
"""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    import huggingface_hub.constants

    for name in list(os.environ):
        if "proxy" in name.lower():
            monkeypatch.delenv(name)
    with StandIn() as world:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", world.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_secret_of_the_user")
        monkeypatch.setenv("PIP_INDEX_URL", f"{world.url}/simple")
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        world.images["owner/engine:nightly"] = manifest("one")
        world.models |= {"owner/target": DIGITS, "owner/drafter": SHA, "owner/branch@stable": SHA}
        world.projects |= {
            "transformers": [wheel("transformers", v) for v in ("4.57.0", "5.0.0", "5.10.0", "5.9.1", "6.0.0rc1")],
            "scipy": [wheel("scipy", v) for v in ("1.15.0", "1.16.2", "2.0.0")],
            "llama-benchy": [wheel("llama-benchy", "0.4.0"), wheel("llama-benchy", "0.5.0")],
        }
        world.texts["prose.txt"] = b"Once upon a time.\n"
        yield world


@pytest.fixture
def repository(world: World, tmp_path: Path) -> Path:
    folder = tmp_path / "recipes" / "mine"
    folder.mkdir(parents=True)
    (tmp_path / "INDEX.md").write_text("")
    text = RECIPE.replace("REGISTRY", world.registry).replace("URL", world.url).replace("FIXED", f'"{OTHER}"')
    (folder / "recipe.yaml").write_text(text)
    return tmp_path


def lock(repository: Path, *args: str) -> tuple[int, str]:
    """Exit code and output of `recipegen lock`, a closing error included."""
    done = CliRunner().invoke(lock_command, [*args, "--root", str(repository)])
    if isinstance(done.exception, RecipegenError):
        return done.exception.exit_code, f"{done.output}{done.exception.message}\n"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def lock_file(repository: Path) -> Path:
    return repository / "recipes" / "mine" / LOCK_FILE


def edit(repository: Path, old: str, new: str) -> None:
    file = repository / "recipes" / "mine" / "recipe.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_lock_pins_everything_and_the_kit_is_rendered_from_it(repository: Path, world: World) -> None:
    before = Workspace.open(repository).spec("mine")
    code, output = lock(repository, "mine")
    assert code == 0, output
    found = read_lock(lock_file(repository))
    assert found is not None
    prose = hashlib.sha256(b"Once upon a time.\n").hexdigest()
    image = digest(manifest("one"))
    assert {".".join(place): pin.value for place, pin in found.pins().items()} == {
        "images.base": image,
        "models.model": DIGITS,
        "models.drafter": SHA,
        "models.branch": SHA,
        "packages.transformers": "5.10.0",
        "packages.scipy": "1.16.2",
        "tools.llama-benchy": "0.4.0",
        "corpora.prose": prose,
    }
    assert lock_file(repository).read_text().startswith("# Written by `recipegen lock`")

    workspace = Workspace.open(repository)
    spec = workspace.spec("mine")
    kit = {path: file.data.decode() for path, file in workspace.kit(spec).items()}
    assert f"ARG BASE_IMAGE={world.registry}/owner/engine:nightly@{image}\n" in kit["Dockerfile"]
    assert "transformers==5.10.0" in kit["Dockerfile"]
    assert "'scipy==1.16.2' 'orjson==3.0.0'" in kit["Dockerfile"]
    assert f"fetch drafter owner/drafter {SHA}" in kit["scripts/download_models.sh"]
    assert f"fetch fixed owner/fixed {OTHER}" in kit["scripts/download_models.sh"]
    assert f"pinned={prose}" in kit["scripts/bench.sh"]
    assert spec.sha256 != before.sha256
    assert unpinned(workspace.unpinned("mine"), found) == []


def test_a_second_lock_writes_nothing_and_check_agrees(repository: Path, world: World) -> None:
    assert lock(repository)[0] == 0
    first = lock_file(repository).stat()
    code, output = lock(repository)
    assert (code, lock_file(repository).stat().st_ino) == (0, first.st_ino)
    assert "nothing to write" in output
    assert lock(repository, "--check") == (0, lock(repository, "--check")[1])


def test_what_moved_is_named_with_old_and_new_and_check_writes_nothing(repository: Path, world: World) -> None:
    lock(repository)
    text = lock_file(repository).read_bytes()
    world.images["owner/engine:nightly"] = manifest("two")
    world.models["owner/drafter"] = OTHER
    world.projects["transformers"].append(wheel("transformers", "5.11.0"))
    code, output = lock(repository, "--check")
    assert code == 1
    assert f"moved: {digest(manifest('one'))} -> {digest(manifest('two'))}" in output
    assert f"moved: {SHA} -> {OTHER}" in output
    assert "moved: 5.10.0 -> 5.11.0" in output
    assert "3 parts not as the locks say" in output
    assert lock_file(repository).read_bytes() == text
    code, output = lock(repository)
    assert code == 0
    assert f"moved: {SHA} -> {OTHER}" in output
    assert lock(repository, "--check")[0] == 0


def test_check_without_a_lock_says_what_is_missing(repository: Path) -> None:
    code, output = lock(repository, "--check", "--json")
    assert code == 1
    (report,) = json.loads(output)
    assert report["written"] is False
    assert {part["state"] for part in report["parts"]} == {"new"}
    assert not lock_file(repository).exists()


def test_a_pin_for_something_else_does_not_count(repository: Path, world: World) -> None:
    lock(repository)
    edit(repository, "engine:nightly", "engine:v2")
    edit(repository, "owner/drafter,", f'owner/drafter, revision: "{OTHER}",')
    workspace = Workspace.open(repository)
    spec = workspace.spec("mine")
    assert spec.image.base.endswith("engine:v2")
    assert spec.models["drafter"].revision == OTHER
    world.images["owner/engine:v2"] = manifest("v2")
    code, output = lock(repository, "--check")
    assert code == 1
    assert "engine:nightly, but the recipe asks for" in output
    assert f"pinned {SHA} for owner/drafter, but the recipe itself says {OTHER}" in output
    assert lock(repository)[0] == 0
    found = read_lock(lock_file(repository))
    assert found is not None
    assert ("models", "drafter") not in found.pins()
    assert found.images["base"].digest == digest(manifest("v2"))


def test_offline_keeps_what_there_is_and_drops_what_does_not_count(repository: Path, world: World) -> None:
    lock(repository)
    text = lock_file(repository).read_bytes()
    world.seen.clear()
    code, output = lock(repository, "--offline")
    assert code == 0
    assert output.count("not looked up: --offline") == 8
    assert lock(repository, "--check", "--offline")[0] == 0
    assert lock_file(repository).read_bytes() == text
    edit(repository, "engine:nightly", "engine:v2")
    assert lock(repository, "--check", "--offline")[0] == 1
    assert lock(repository, "--offline")[0] == 3
    assert "nightly" not in lock_file(repository).read_text()
    assert DIGITS in lock_file(repository).read_text()
    assert world.seen == []


def test_offline_without_a_lock_writes_none(repository: Path) -> None:
    assert lock(repository, "--offline")[0] == 3
    assert not lock_file(repository).exists()


def test_a_host_that_is_down_costs_only_its_own_parts(repository: Path, world: World) -> None:
    lock(repository)
    world.special["/v2/owner/engine/manifests/nightly"] = Reply(503)
    world.models["owner/drafter"] = OTHER
    code, output = lock(repository)
    assert code == 0
    assert f"kept: {digest(manifest('one'))}\n      {world.registry} refuses for now (status 503)" in output
    found = read_lock(lock_file(repository))
    assert found is not None
    assert found.models["drafter"].commit == OTHER
    assert lock(repository, "--check")[0] == 3, "what could not be compared is not called current"


def test_what_nobody_has_is_named_and_the_rest_is_pinned(repository: Path, world: World) -> None:
    del world.images["owner/engine:nightly"], world.models["owner/drafter"]
    code, output = lock(repository)
    assert code == 3
    assert f"has no image {world.registry}/owner/engine:nightly, or shows it only to those who log in" in output
    assert "has no model owner/drafter, or shows it only to those who log in" in output
    assert "2 parts could not be pinned" in output
    assert lock(repository, "--check")[0] == 1, "no pin is a finding, whoever is to blame"
    found = read_lock(lock_file(repository))
    assert found is not None
    assert len(found.pins()) == 6


def test_an_image_of_this_machine_only_is_recorded_and_rendered_by_name(
    repository: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    del world.images["owner/engine:nightly"]
    monkeypatch.setattr("recipegen.pins.registry.local_id", lambda reference: f"sha256:{'a' * 64}")
    code, output = lock(repository)
    assert code == 0
    assert "a stranger cannot pull it" in output
    workspace = Workspace.open(repository)
    assert workspace.spec("mine").image.base == f"{world.registry}/owner/engine:nightly"
    left = unpinned(workspace.unpinned("mine"), workspace.lock("mine"))
    assert [path for path, _ in left] == [("image", "base")]
    assert lock(repository, "--check")[0] == 0


@pytest.mark.docker
def test_the_daemon_gives_the_id_of_its_own_image(
    world: World, docker_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the world of the stand-ins has no daemon
    name = "recipegen-lock-test:1"
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    docker_client.api.import_image_from_data(empty.getvalue(), repository="recipegen-lock-test", tag="1")
    try:
        assert local_id(name) == docker_client.images.get(name).id
        assert local_id("recipegen-lock-test:2") is None
    finally:
        docker_client.images.remove(name)


@pytest.fixture
def sources(world: World, tmp_path: Path, needs: Callable[[str], str]) -> Path:
    """A git repository with a branch, a plain tag and an annotated one, each on a commit of its own."""
    folder = tmp_path / "sources"
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*args: str) -> None:
        subprocess.run([needs("git"), *args], cwd=folder, env={**os.environ, **who}, check=True, capture_output=True)

    folder.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    for name, mark in (("one", ["tag", "plain"]), ("two", ["tag", "-a", "-m", "x", "v1"]), ("three", ["status"])):
        git("commit", "--quiet", "--allow-empty", "--message", name)
        git(*mark)
    world.repositories["owner/engine"] = folder
    return folder


@pytest.mark.parametrize(("ref", "commit"), [("plain", "main~2"), ("v1", "main~1"), ("main", "main"), ("HEAD", "main")])
def test_a_git_ref_is_its_commit(world: World, sources: Path, ref: str, commit: str) -> None:
    wanted = subprocess.run(["git", "rev-parse", commit], cwd=sources, check=True, capture_output=True, text=True)
    assert commit_of_ref(f"{world.url}/git/owner/engine", ref) == wanted.stdout.strip()


def test_a_ref_that_is_none(world: World, sources: Path) -> None:
    with pytest.raises(NotThere, match="no tag or branch 'v9'"):
        commit_of_ref(f"{world.url}/git/owner/engine", "v9")
    with pytest.raises(NotThere) as caught:
        commit_of_ref(f"{world.url}/git/owner/engine/", "abc1234")
    assert "all 40 digits" in caught.value.hint
    with pytest.raises(NotThere, match="has no git repository"):
        commit_of_ref(f"{world.url}/git/owner/none", "v1")


def test_a_preset_based_source_recipe_is_locked(repository: Path, world: World, sources: Path) -> None:
    """Names that come from the preset are pinned like the recipe's own."""
    world.images |= {"owner/build:1": manifest("build"), "owner/run:1": manifest("run")}
    recipe = f"""\
schema: recipegen/v1
extends: smoke-llamacpp
name: mine
image:
  mode: source
  base: {world.registry}/owner/build:1
  runtime_base: {world.registry}/owner/run:1
  repo: {world.url}/git/owner/engine
  ref: v1
"""
    (repository / "recipes" / "mine" / "recipe.yaml").write_text(recipe)
    code, output = lock(repository)
    assert code == 0, output
    workspace = Workspace.open(repository)
    spec = workspace.spec("mine")
    dockerfile = workspace.kit(spec)["Dockerfile"].data.decode()
    wanted = subprocess.run(["git", "rev-parse", "v1^{}"], cwd=sources, check=True, capture_output=True, text=True)
    assert f"checkout --detach {wanted.stdout.strip()}" in dockerfile
    assert f"ARG BASE_IMAGE={world.registry}/owner/build:1@{digest(manifest('build'))}\n" in dockerfile
    assert f"ARG RUNTIME_IMAGE={world.registry}/owner/run:1@{digest(manifest('run'))}\n" in dockerfile


def test_every_name_is_looked_up_once_for_all_recipes(repository: Path, world: World) -> None:
    other = repository / "recipes" / "second"
    other.mkdir()
    text = (repository / "recipes" / "mine" / "recipe.yaml").read_text()
    (other / "recipe.yaml").write_text(text.replace("name: mine", "name: second"))
    assert lock(repository)[0] == 0
    heads = [path for method, path, token in world.seen if method == "HEAD" and token]
    assert heads == ["/v2/owner/engine/manifests/nightly"]
    assert (other / LOCK_FILE).read_bytes() == lock_file(repository).read_bytes()


# Hosts that answer with what they should not.

MANIFEST = "/v2/owner/engine/manifests/nightly"
MODEL = "/api/models/owner/drafter"
PAGE = "/simple/transformers/"
_INDEX = {"Content-Type": INDEX}
_JSON = {"Content-Type": "application/json"}
HOSTILE = {
    "digest that is none": (MANIFEST, Reply(200, b"", {**_INDEX, "Docker-Content-Digest": "sha256:../../etc"})),
    "digest of another kind": (MANIFEST, Reply(200, b"", {**_INDEX, "Docker-Content-Digest": f"md5:{'a' * 32}"})),
    "web page for a manifest": (MANIFEST, Reply(200, b"<html>", {"Content-Type": "text/html"})),
    "manifest of no type": (MANIFEST, Reply(200, b"{}")),
    "huge manifest": (MANIFEST, Reply(200, b" " * (5 << 20), _INDEX)),
    "redirect to a file": (MANIFEST, Reply(302, b"", {"Location": "file:///etc/passwd"})),
    "redirect to itself": (MANIFEST, Reply(302, b"", {"Location": MANIFEST})),
    "redirect with a password": (MANIFEST, Reply(302, b"", {"Location": "http://user:secret@127.0.0.1/"})),
    "redirect into nonsense": (MANIFEST, Reply(302, b"", {"Location": "http://[::1"})),
    "token from a file": (MANIFEST, Reply(401, b"", {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'})),
    "token that is none": ("/token", Reply(200, b'{"token": "a\\r\\nX-Evil: 1"}', _JSON)),
    "token of another kind": ("/token", Reply(200, b'{"token": ["x"]}', _JSON)),
    "token page": ("/token", Reply(200, b"<html>", {"Content-Type": "text/html"})),
    "commit that is none": (MODEL, Reply(200, b'{"sha": "main"}', _JSON)),
    "commit with a line end": (MODEL, Reply(200, json.dumps({"sha": f"{SHA}\n"}).encode(), _JSON)),
    "no commit": (MODEL, Reply(200, b'{"id": "owner/drafter"}', _JSON)),
    "list for a model": (MODEL, Reply(200, b"[]", _JSON)),
    "deep model": (MODEL, Reply(200, b"[" * 200_000, _JSON)),
    "huge model": (MODEL, Reply(200, b'{"sha": "' + b"a" * (5 << 20) + b'"}', _JSON)),
    "page without files": (PAGE, Reply(200, b'{"versions": []}', {"Content-Type": JSON_INDEX})),
    "page with a nameless file": (PAGE, Reply(200, b'{"files": [{}]}', {"Content-Type": JSON_INDEX})),
    "page of another type": (PAGE, Reply(200, b"{}", {"Content-Type": "application/octet-stream"})),
    "page of JSON that is none": (PAGE, Reply(200, b"{", {"Content-Type": JSON_INDEX})),
    "text that is none": ("/texts/prose.txt", Reply(200, b"\xff\xfe\x00")),
    "empty text": ("/texts/prose.txt", Reply(200, b" \n")),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_answer_changes_nothing_on_disk(repository: Path, world: World, case: str) -> None:
    assert lock(repository)[0] == 0
    folder = lock_file(repository).parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    path, reply = HOSTILE[case]
    if reply.headers.get("Content-Type") == INDEX and len(reply.body) > 1:
        world.special["/token"] = Reply(200, json.dumps({"token": TOKEN}).encode(), _JSON)
    world.special[path] = reply
    world.projects["scipy"].append(wheel("scipy", "1.17.0"))  # would be written, were it not for that answer
    code, output = lock(repository)
    assert code == 3, output
    assert "nothing is written: an answer cannot be right" in output
    assert "secret" not in output
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply(200, b"12", {"Content-Type": "text/plain"}, cut=5), Unreachable, "breaks off"),
        (Reply(429), Unreachable, "status 429"),
        (Reply(418), BadAnswer, "status 418"),
        (Reply(410), NotThere, "status 410"),
    ],
)
def test_statuses_in_words(world: World, reply: Reply, error: type[Exception], words: str) -> None:
    world.special["/odd"] = reply
    with pytest.raises(error, match=words):
        ask(f"{world.url}/odd").must_be_ok("thing")


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5000], ids=["superscript", "endless"])
def test_a_length_that_is_no_number_does_not_count(length: str) -> None:
    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\nhi"
            connection.sendall(head.encode("latin-1"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        assert ask(f"http://127.0.0.1:{listener.getsockname()[1]}/").body == b"hi"
        thread.join()


@pytest.mark.parametrize("proxy", ["http:/me:secret@proxy:1", "http://me@proxy:secret"])
def test_a_proxys_password_is_never_shown(world: World, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Unreachable) as asked:
        ask(f"{world.url}/odd")
    with pytest.raises(FetchFailed) as fetched:
        download(f"{world.url}/texts/prose.txt")
    for caught in (asked.value, fetched.value):
        told = "".join(traceback.format_exception(caught))
        assert "proxy right?" in told
        assert "secret" not in told


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "http://", "http://a b/", "http://h:99999/"])
def test_what_is_no_web_address_is_not_asked(url: str) -> None:
    with pytest.raises(NotThere, match="not a web address"):
        ask(url)


# Credentials stay with the host they are for.


def test_the_users_token_goes_to_the_hub_alone(repository: Path, world: World) -> None:
    with StandIn() as elsewhere:
        elsewhere.models["owner/drafter"] = SHA
        world.special[MODEL] = Reply(307, b"", {"Location": f"{elsewhere.url}{MODEL}?expand=sha"})
        assert lock(repository)[0] == 0
        assert [token for _, path, token in elsewhere.seen if path.startswith(MODEL)] == [""]
    for _, path, token in world.seen:
        allowed = {"/api": "Bearer hf_secret_of_the_user", "/v2/": f"Bearer {TOKEN}"}.get(path[:4], "")
        assert token in ("", allowed), path
    assert any(token == "Bearer hf_secret_of_the_user" for _, _, token in world.seen)


def test_the_indexs_password_is_sent_but_never_shown(
    repository: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:p%40ss-word@{world.registry}/simple/")
    del world.projects["scipy"]
    code, output = lock(repository)
    assert code == 3
    assert "has no package scipy" in output
    assert "p@ss-word" not in output + lock_file(repository).read_text()
    assert "p%40ss-word" not in output
    assert {token for _, path, token in world.seen if path.startswith("/simple/")} == {"Basic bWU6cEBzcy13b3Jk"}


# Registries and indexes that differ within their contracts.


def test_a_registry_without_a_digest_in_its_head_is_asked_for_the_manifest(world: World) -> None:
    body = manifest("x")
    world.special["/v2/owner/plain/manifests/latest"] = Reply(200, body, _INDEX)
    assert digest_of(f"{world.registry}/owner/plain") == digest(body)


def test_a_manifest_that_does_not_have_its_digest_is_refused(world: World) -> None:
    class Twice(dict[str, Reply]):
        """Answers HEAD without a digest and GET with a wrong one."""

        def __getitem__(self, path: str) -> Reply:
            wrong = {"Docker-Content-Digest": f"sha256:{'0' * 64}"} if world.seen[-1][0] == "GET" else {}
            return Reply(200, b"{}", {**_INDEX, **wrong})

    world.special = Twice({"/v2/owner/x/manifests/1": Reply()})
    with pytest.raises(BadAnswer, match="does not have the digest it names"):
        digest_of(f"{world.registry}/owner/x:1")


def test_a_registry_that_wants_a_password_is_not_given_one(world: World) -> None:
    world.special[MANIFEST] = Reply(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
    with pytest.raises(NotThere, match="wants a user name"):
        digest_of(f"{world.registry}/owner/engine:nightly")


FILES = [
    wheel("thing", "1.0"),
    wheel("thing", "1.1", **{"requires-python": ">=3.10"}),
    wheel("thing", "1.2", **{"requires-python": ">=3.12"}),
    {"filename": "thing-1.3-cp312-cp312-manylinux_2_28_x86_64.whl"},
    wheel("thing", "1.4", yanked="broken"),
    {"filename": "thing-1.5rc1.tar.gz"},
    {"filename": "thing-no-version.exe"},
    {"filename": "thing-not_a_version-py3-none-any.whl"},
]


@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
@pytest.mark.parametrize(
    ("requirements", "python", "machine", "version"),
    [
        (["thing"], "", "", "1.3"),
        (["thing"], "", "x86_64", "1.3"),
        (["thing"], "", "aarch64", "1.2"),
        (["thing"], "3.11", "aarch64", "1.1"),
        (["thing", "thing<1.1"], "", "", "1.0"),
        (["thing>=1.0,<1.2,"], "", "", "1.1"),
        (["thing>=1.5rc1"], "", "", "1.5rc1"),
        (["Thing[extra]==1.4"], "", "", "1.4"),
    ],
)
def test_the_newest_version_that_fits(
    world: World, html: bool, requirements: list[str], python: str, machine: str, version: str
) -> None:
    world.projects["thing"], world.html = FILES, html
    assert newest(requirements, python=python, machine=machine) == version


def test_a_requirement_that_nothing_satisfies(world: World) -> None:
    world.projects["thing"] = FILES
    with pytest.raises(NotThere, match=r"no release of thing>=9 for Python 3\.11 on aarch64"):
        newest(["thing>=9"], python="3.11", machine="aarch64")


@pytest.mark.parametrize(
    "file",
    [
        {"filename": f"thing-{'9' * 5000}.tar.gz"},
        {"filename": f"thing-{'9' * 5000}-py3-none-any.whl"},
        {"filename": f"thing-9-{'.'.join(map(str, range(999)))}-{'.'.join(map(str, range(999)))}-any.whl"},
        wheel("thing", "1.0", **{"requires-python": f">={'3' * 5000}"}),
    ],
    ids=["version of an archive", "version of a wheel", "a million tags", "bound on Python"],
)
def test_a_file_with_an_endless_name_is_passed_over(world: World, file: dict[str, Any]) -> None:
    world.projects["thing"] = [file, wheel("thing", "1.0")]
    assert newest(["thing"], python="3.11") == "1.0"


def test_a_models_branch_is_asked_for_by_name(world: World) -> None:
    world.models["owner/target@refs/pr/1"] = OTHER
    assert commit_of("owner/target", "refs/pr/1") == OTHER


# Never a half-written lock.


def run_until_killed(repository: Path, world: World, code: str) -> None:
    """`recipegen lock` in a process of its own, after `code`; it must end by SIGKILL."""
    script = f"{code}\nfrom recipegen.cli.lock import lock_command\nlock_command(['--root', {str(repository)!r}])"
    env = {**os.environ, "HF_ENDPOINT": world.url}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_killed_while_writing(repository: Path, world: World, call: str) -> None:
    lock(repository)
    before = lock_file(repository).read_bytes()
    world.models["owner/drafter"] = OTHER
    kill = "lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    run_until_killed(repository, world, f"import os, pathlib, signal\n{call} = {kill}")
    assert lock_file(repository).read_bytes() == before
    assert lock(repository)[0] == 0, "what the killed one left lying does not matter"
    assert OTHER in lock_file(repository).read_text()


def test_killed_while_asking(repository: Path, world: World) -> None:
    lock(repository)
    before = lock_file(repository).read_bytes()
    world.images["owner/engine:nightly"] = manifest("two")
    patch = "import os, signal, recipegen.hub.client\n"
    patch += "recipegen.hub.client.commit_of = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    run_until_killed(repository, world, patch)
    assert lock_file(repository).read_bytes() == before
    assert sorted(path.name for path in lock_file(repository).parent.iterdir()) == [LOCK_FILE, "recipe.yaml"]


def test_a_broken_lock_is_told_with_its_line(repository: Path) -> None:
    lock(repository)
    file = lock_file(repository)
    file.write_text(file.read_text().replace(SHA, "main", 1))
    with pytest.raises(SpecError) as caught:
        Workspace.open(repository).spec("mine")
    (problem,) = caught.value.problems
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if 'commit: "main"' in text)
    assert (problem.where.file, problem.where.line) == (file, line)
    assert "models.drafter.commit" in problem.message
    assert "recipegen lock mine" in problem.hint
