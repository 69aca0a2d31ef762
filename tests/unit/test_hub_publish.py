"""Publishing to a dataset, by real HTTP and the hub's own client against a stand-in on the loopback address."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError
from recipegen.hub.scan import scan
from recipegen.hub.selection import select
from recipegen.hub.upload import Published, look_through, publish
from recipegen.results.leaks import PIECE
from recipegen.results.scrub import Identity
from tests.support.hub_session import hub_env, hub_in_process
from tests.support.hub_stand_in import SHA, TOKEN, Dataset, HubStandIn, HubWorld
from tests.support.lock_stand_in import Reply
from tests.support.scenario import ROOT

RECIPE = "smoke-llamacpp"
DATASET = "owner/results"
LEAKED = "hf_" + "q" * 30  # put together, so that no scanner finds it here


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one measured recipe."""
    root = tmp_path / "repo"
    shutil.copytree(ROOT / "recipes" / RECIPE, root / "recipes" / RECIPE)
    (root / "INDEX.md").write_text("# Results\n", encoding="utf-8")
    return root


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubWorld]:
    with hub_in_process(tmp_path, token=TOKEN) as world:
        world.datasets[DATASET] = Dataset()
        yield world


def upload(target: Path | str, dataset: str = DATASET, **options: object) -> Published:
    selection = select(str(target))
    scanned, _ = look_through(selection.items)
    return publish(selection.items, scanned, dataset, **options)  # type: ignore[arg-type]


def recipe_files(repo: Path) -> dict[str, bytes]:
    folder = repo / "recipes" / RECIPE
    made = [path for part in ("charts", "results") for path in folder.glob(f"{part}/**/*.*")]
    names = ["recipe.yaml", "RESULTS.md", *(path.relative_to(folder).as_posix() for path in made)]
    return {f"recipes/{RECIPE}/{name}": (folder / name).read_bytes() for name in names}


# What is chosen.


def test_of_a_recipe_go_up_its_recipe_its_results_and_no_kit(repo: Path) -> None:
    names = [item.name for item in select(str(repo / "recipes" / RECIPE)).items]
    assert names[:2] == [f"recipes/{RECIPE}/recipe.yaml", f"recipes/{RECIPE}/RESULTS.md"]
    assert set(names) == set(recipe_files(repo))
    assert not any("Dockerfile" in name or "scripts/" in name for name in names)


def test_a_repository_goes_up_with_its_table(repo: Path) -> None:
    (repo / "recipes/unmeasured").mkdir()
    (repo / "recipes/unmeasured/recipe.yaml").write_text("x", encoding="utf-8")
    names = {item.name for item in select(str(repo)).items}
    assert names == {*recipe_files(repo), "INDEX.md"}


def test_weights_links_and_odd_names_stay_here(repo: Path, tmp_path: Path) -> None:
    run = next((repo / "recipes" / RECIPE / "results").glob("*/*"))
    (tmp_path / "outside.txt").write_text("not mine to give", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/inside.txt").write_text("nor this", encoding="utf-8")
    (run / "link.txt").symlink_to(tmp_path / "outside.txt")
    (run / "linked").symlink_to(tmp_path / "folder")
    for name in ("model.safetensors", "x.whl", ".recipegen-a.tmp", "a b.json", "-x.json", "a\nb.json"):
        (run / name).write_text("x", encoding="utf-8")
    found = select(str(repo / "recipes" / RECIPE))
    assert {item.name for item in found.items} == set(recipe_files(repo)) - {
        name for name in recipe_files(repo) if name.rpartition("/")[2] in
        ("link.txt", "model.safetensors", "x.whl", ".recipegen-a.tmp", "a b.json", "-x.json", "a\nb.json", "inside.txt")
    }  # fmt: skip
    assert len(found.left_out) == 8


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no/such", "is no bundle"),
        ("notes.txt", "is no bundle: its name does not end in"),
        ("a b.tar.gz", "cannot be published under that name"),
        ("recipes/empty", "has no results to publish"),
    ],
)
def test_what_cannot_be_published_is_told(
    repo: Path, monkeypatch: pytest.MonkeyPatch, target: str, message: str
) -> None:
    monkeypatch.chdir(repo)
    for name in ("notes.txt", "a b.tar.gz"):
        Path(name).write_text("x", encoding="utf-8")
    Path("recipes/empty").mkdir()
    Path("recipes/empty/recipe.yaml").write_text("x", encoding="utf-8")
    with pytest.raises(RecipegenError, match=message) as caught:
        select(target)
    assert caught.value.exit_code == 2


# What is sent.


def test_every_byte_arrives_in_one_commit_and_nothing_else_changes(repo: Path, hub: HubWorld) -> None:
    hub.datasets[DATASET].branches["main"] = {"mine.txt": b"stays"}
    done = upload(repo / "recipes" / RECIPE)
    assert hub.datasets[DATASET].branches["main"] == {"mine.txt": b"stays", **recipe_files(repo)}
    assert hub.commits == [(DATASET, "main", sorted(recipe_files(repo)))]
    assert done.url == f"{hub.url}/datasets/{DATASET}/commit/{done.commit}"


def test_what_is_there_already_is_not_sent_again(repo: Path, hub: HubWorld) -> None:
    upload(repo / "recipes" / RECIPE)
    again = upload(repo / "recipes" / RECIPE)
    assert len(hub.commits) == 1
    assert again.commit == SHA
    (repo / "recipes" / RECIPE / "RESULTS.md").write_text("new\n", encoding="utf-8")
    upload(repo / "recipes" / RECIPE)
    assert hub.commits[1:] == [(DATASET, "main", [f"recipes/{RECIPE}/RESULTS.md"])]


def test_a_bundle_goes_through_the_store_of_large_files(tmp_path: Path, hub: HubWorld) -> None:
    bundle = archive(tmp_path / "mine-1.tar.gz", {"mine/run.json": b'{"fine": true}\n', "mine/server.log": b"ready\n"})
    upload(bundle)
    assert hub.datasets[DATASET].branches["main"] == {"bundles/mine-1.tar.gz": bundle.read_bytes()}
    assert any(method == "PUT" and path.startswith("/lfs/") for method, path, _ in hub.seen)
    assert not any(token for method, _, token in hub.seen if method == "PUT")  # the store gets no token


@pytest.mark.parametrize("private", [True, False])
def test_a_dataset_is_made_when_asked_for(repo: Path, hub: HubWorld, private: bool) -> None:
    with pytest.raises(RecipegenError, match="the hub has no dataset 'owner/new'") as caught:
        upload(repo, "owner/new")
    assert "--create" in caught.value.hint
    assert "owner/new" not in hub.datasets
    upload(repo, "owner/new", create=True, private=private)
    assert hub.datasets["owner/new"].private is private
    assert len(hub.datasets["owner/new"].branches["main"]) == len(recipe_files(repo)) + 1
    upload(repo, "owner/new", create=True, private=private)  # --create on one that is there changes nothing
    assert hub.datasets["owner/new"].private is private


def test_private_is_not_promised_of_a_public_dataset(repo: Path, hub: HubWorld) -> None:
    with pytest.raises(RecipegenError, match="is there and public"):
        upload(repo, private=True, create=True)
    assert hub.commits == []


def test_a_branch_is_made_when_asked_for(repo: Path, hub: HubWorld) -> None:
    with pytest.raises(RecipegenError, match="has no branch 'july'"):
        upload(repo, revision="july")
    upload(repo, revision="july", create=True)
    assert [branch for _, branch, _ in hub.commits] == ["july"]
    assert hub.datasets[DATASET].branches["main"] == {}


def test_a_dataset_that_ignores_files_is_found_out(repo: Path, hub: HubWorld) -> None:
    lost = f"recipes/{RECIPE}/RESULTS.md"
    hub.datasets[DATASET].ignored = (lost,)
    with pytest.raises(CheckFailed, match=f"has not taken 1 of [0-9]+ files: {lost}") as caught:
        upload(repo / "recipes" / RECIPE)
    assert ".gitignore" in caught.value.hint


def test_a_file_that_changes_after_the_look_is_not_sent(repo: Path, hub: HubWorld) -> None:
    selection = select(str(repo / "recipes" / RECIPE))
    scanned, _ = look_through(selection.items)
    (repo / "recipes" / RECIPE / "RESULTS.md").write_text(f"token {LEAKED}\n", encoding="utf-8")
    with pytest.raises(RecipegenError, match=r"RESULTS\.md changed after it was looked through"):
        publish(selection.items, scanned, DATASET)
    assert hub.commits == []


# Secrets.


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"one\ntwo\nAuthorization: {LEAKED}\n", 3),
        (f"{'x' * (PIECE - 10)}{LEAKED}{'x' * 5} \n", None),  # a letter before it: no token by its form
        (f"{'x ' * (PIECE // 2 - 5)}{LEAKED} tail\n", 1),  # shared by two pieces of a long line
        (f"first\n{'y ' * PIECE}\nBearer abcdef0123456789\n", 3),
        ("curl -H 'x' plain text\n", None),
        ("\n" * 1000 + f"key={TOKEN}", 1001),  # the user's own
        ("", None),
    ],
)
def test_a_secret_is_named_by_file_and_line_and_nothing_is_sent(
    repo: Path, hub: HubWorld, text: str, line: int | None
) -> None:
    log = next((repo / "recipes" / RECIPE / "results").glob("*/*/server.log"))
    log.write_text(text, encoding="utf-8")
    if line is None:
        upload(repo / "recipes" / RECIPE)
        assert len(hub.commits) == 1
        return
    with pytest.raises(CheckFailed) as caught:
        upload(repo / "recipes" / RECIPE)
    assert caught.value.message.startswith(f"nothing was sent: a secret stands in {log}:{line}")
    assert LEAKED not in caught.value.message + caught.value.hint
    assert TOKEN not in caught.value.message + caught.value.hint
    assert hub.seen == []


def test_the_token_of_the_login_file_is_looked_for_too(repo: Path, tmp_path: Path) -> None:
    odd = "an-old-token-without-a-form-81"
    (tmp_path / "token").write_text(odd, encoding="utf-8")
    (repo / "recipes" / RECIPE / "RESULTS.md").write_text(f"a\n| {odd} |\n", encoding="utf-8")
    with hub_in_process(tmp_path) as world, pytest.raises(CheckFailed, match=r"RESULTS\.md:2"):
        look_through(select(str(repo)).items)
    assert world.seen == []


def test_a_secret_in_a_bundle_is_found(tmp_path: Path, hub: HubWorld) -> None:
    bundle = archive(tmp_path / "b.tar.gz", {"b/run.json": b"{}\n", "b/logs/server.log": f"a\nb {LEAKED}\n".encode()})
    with pytest.raises(CheckFailed, match=r"b\.tar\.gz, b/logs/server\.log:2"):
        upload(bundle)
    named = archive(tmp_path / "n.tar.gz", {f"n/{LEAKED}": b""})
    with pytest.raises(CheckFailed, match=r"n\.tar\.gz, name of a member") as caught:
        upload(named)
    assert LEAKED not in caught.value.message
    hidden = tmp_path / "h.tar.gz"
    tail = f"{LEAKED}\n".encode()
    hidden.write_bytes(gzip.compress(gzip.decompress(archive(tmp_path / "x.tar.gz", {"x": b"1"}).read_bytes()) + tail))
    with pytest.raises(CheckFailed, match=r"h\.tar\.gz, outside of its members' lines"):
        upload(hidden)
    packed = tmp_path / "server.log.gz"
    packed.write_bytes(gzip.compress(f"x\n{LEAKED}\n".encode()))
    assert scan(packed, Identity()).secrets == (f"{packed}, unpacked:2",)
    assert hub.seen == []


@pytest.mark.parametrize("damage", ["text", "cut", "empty"])
def test_a_bundle_that_is_none_is_refused(tmp_path: Path, hub: HubWorld, damage: str) -> None:
    whole = archive(tmp_path / "b.tar.gz", {"b/x": bytes(range(256)) * 5000}).read_bytes()
    bundle = tmp_path / "c.tar.gz"
    bundle.write_bytes({"text": b"no archive", "cut": whole[: len(whole) // 2], "empty": b""}[damage])
    with pytest.raises(RecipegenError, match="is not a whole archive"):
        upload(bundle)
    assert hub.seen == []


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipegen.hub.scan.MOST_UNPACKED", 1 << 20)
    bomb = archive(tmp_path / "bomb.tar.gz", {"b/zeros": bytes(2 << 20)})
    with pytest.raises(RecipegenError, match="unpacks to more than 1 MiB"):
        scan(bomb, Identity())
    packed = tmp_path / "bomb.gz"
    packed.write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(RecipegenError, match="unpacks to more than"):
        scan(packed, Identity())


def test_names_of_host_and_account_are_told_and_do_not_refuse(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("ready\nserving on workbench7 from /home/ada/models\n", encoding="utf-8")
    found = scan(log, Identity(home="/home/ada", user="ada", hosts=("workbench7",)))
    assert (found.secrets, found.names) == ((), (f"{log}:2",))


# What the hub may answer.

INFO = f"/api/datasets/{DATASET}/revision/main"
COMMIT = f"/api/datasets/{DATASET}/commit/main"
HTML = Reply(200, b"<html>a login page</html>", {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("path", "reply", "exit_code", "message", "hint"),
    [
        (INFO, Reply(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"}), 3,
         "does not take this token", "auth login"),
        (INFO, Reply(401, b"{}", {"X-Error-Code": "RepoNotFound"}), 2, "has no dataset", "--create"),
        (INFO, Reply(403, b"{}", {"X-Error-Code": "GatedRepo"}), 3, "owner/results is gated", "ask for access"),
        (INFO, Reply(403, b'{"error": "no"}'), 3, "does not let this token write there", "right to write"),
        (INFO, Reply(404, b"{}", {"X-Error-Code": "RepoNotFound"}), 2, "has no dataset", "--create"),
        (INFO, Reply(429, b"", {"Retry-After": "77"}), 3, "has had too many requests (status 429", "in 77 s"),
        (INFO, Reply(429, b"", {"Retry-After": "soon"}), 3, "has had too many requests", "later"),
        (INFO, Reply(500, b"oh no"), 3, "the hub refuses (status 500", "later"),
        (INFO, HTML, 3, "makes no sense", "is HF_ENDPOINT a hub?"),
        (COMMIT, Reply(401, b"{}"), 3, "does not take this token", "auth login"),
        (COMMIT, Reply(403, b'{"error": "read only"}'), 3, "does not let this token write there", "right to write"),
        (COMMIT, Reply(409, b'{"error": "busy"}'), 3, "reports a conflict (status 409, the commit): busy", "try again"),
        (COMMIT, Reply(412, b"{}"), 3, "reports a conflict", "try again"),
        (COMMIT, Reply(413, b"{}"), 3, "finds it too large", "recipe by recipe"),
        (COMMIT, Reply(429, b"", {"Retry-After": "5"}), 3, "has had too many requests", "in 5 s"),
        (COMMIT, Reply(500, b"<html>oh no</html>"), 3, "Whether the commit was made is not known", "later"),
        (COMMIT, HTML, 3, "Whether the commit was made is not known", "is HF_ENDPOINT a hub?"),
        (COMMIT, Reply(200, b"[]", {"Content-Type": "application/json"}), 3, "makes no sense", "hub?"),
        (COMMIT, Reply(200, b'{"commitUrl"', cut=50), 3, "Whether the commit was made is not known", "publish"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_words(
    repo: Path, hub: HubWorld, path: str, reply: Reply, exit_code: int, message: str, hint: str
) -> None:
    hub.special[path] = reply
    with pytest.raises(RecipegenError) as caught:
        upload(repo / "recipes" / RECIPE)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == exit_code
    assert "\n" not in caught.value.message
    assert "<html>" not in caught.value.message
    assert hub.commits == []
    assert sum(seen == path for _, seen, _ in [(m, p.partition("?")[0], a) for m, p, a in hub.seen]) == 1  # asked once


def test_a_hub_that_never_answers_is_left(repo: Path, hub: HubWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipegen.hub.upload.TIMEOUT_S", 0.5)
    hub.special[COMMIT] = Reply(200, b"{}", after_s=1.5)
    with pytest.raises(
        EnvironmentLacks, match=r"cannot be reached for the commit \(ReadTimeout\)\. Whether the commit"
    ):
        upload(repo / "recipes" / RECIPE)


def test_a_short_pause_while_files_are_prepared_is_waited_for(
    repo: Path, hub: HubWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.once[f"/api/datasets/{DATASET}/preupload/main"] = Reply(429, b"", {"Retry-After": "0"})
    upload(repo / "recipes" / RECIPE)
    assert len(hub.commits) == 1


def test_a_store_that_refuses_is_told(tmp_path: Path, hub: HubWorld) -> None:
    bundle = archive(tmp_path / "b.tar.gz", {"b/x": b"1"})
    hub.special[f"/datasets/{DATASET}.git/info/lfs/objects/batch"] = Reply(413, b"{}")
    with pytest.raises(EnvironmentLacks, match="finds it too large"):
        upload(bundle)
    assert hub.commits == []


def test_a_hub_that_repeats_the_token_is_not_quoted(repo: Path, hub: HubWorld) -> None:
    hub.special[COMMIT] = Reply(403, json.dumps({"error": f"Bearer {TOKEN} is no good"}).encode())
    with pytest.raises(EnvironmentLacks) as caught:
        upload(repo / "recipes" / RECIPE)
    assert TOKEN not in caught.value.message + caught.value.hint
    assert caught.value.__suppress_context__


def test_a_foreign_owner_is_refused(repo: Path, hub: HubWorld) -> None:
    with pytest.raises(EnvironmentLacks, match="does not let this token write there"):
        upload(repo, "somebody/else", create=True)


def test_without_token_or_network(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub_in_process(tmp_path) as world:
        with pytest.raises(EnvironmentLacks, match="there is no token") as caught:
            upload(repo)
        assert world.seen == []
        assert caught.value.exit_code == 3
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(EnvironmentLacks, match="cannot be reached"):
            upload(repo)


@pytest.mark.parametrize("dataset", ["", "name", "a/b/c", "../x", "a b/c", "http://a/b", "a/b\n", f"o/{'x' * 100}"])
def test_what_is_no_dataset_is_told_without_asking(repo: Path, hub: HubWorld, dataset: str) -> None:
    with pytest.raises(RecipegenError, match="is not a dataset of the hub"):
        upload(repo, dataset)
    assert hub.seen == []


# The command.


def command(repo: Path, hub: HubWorld, home: Path, *args: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "recipegen", *args]
    env = {**hub_env(hub.url, home), "HF_TOKEN": token}
    return subprocess.run(argv, cwd=repo, env=env, capture_output=True, text=True, timeout=120)


def test_the_command_and_no_trace_of_the_token(repo: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with HubStandIn() as hub:
        dry = command(repo, hub, home, "publish", RECIPE, "--to", DATASET, "--dry-run")
        assert (dry.returncode, dry.stderr) == (0, "")
        assert f"recipes/{RECIPE}/recipe.yaml" in dry.stdout
        assert "nothing was sent" in dry.stdout
        assert hub.seen == []
        done = command(repo, hub, home, "publish", RECIPE, "--to", DATASET, "--create", "--private", "--json")
        assert done.returncode == 0, done.stderr
        data = json.loads(done.stdout)
        assert [file["path"] for file in data["files"]] == [
            item.name for item in select(str(repo / "recipes" / RECIPE)).items
        ]
        assert (data["dry_run"], data["dataset"], data["revision"]) == (False, DATASET, "main")
        assert data["url"].startswith(f"{hub.url}/datasets/{DATASET}/commit/")
        refused = command(repo, hub, home, "--debug", "publish", RECIPE, "--to", "somebody/else", "--create")
        assert refused.returncode == 3
        wrong = command(repo, hub, home, "publish", RECIPE, "--to", DATASET, token="hf_" + "wrong" * 6)
        assert wrong.returncode == 3
        assert "does not take this token" in wrong.stderr
        assert "Traceback" not in wrong.stderr
        for outcome in (dry, done, refused, wrong):
            assert TOKEN not in outcome.stdout + outcome.stderr
        sent = b"".join(data for branch in hub.datasets[DATASET].branches.values() for data in branch.values())
        assert TOKEN.encode() not in sent
        assert not any(TOKEN in path for _, path, _ in hub.seen)
        assert any(token == f"Bearer {TOKEN}" for _, _, token in hub.seen)
    written = [path for folder in (repo, home) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
