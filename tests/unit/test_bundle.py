"""Making bundles: what goes in, the same bytes twice, what is refused, what is never written."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipegen.bundle import layout, make
from recipegen.bundle.archive import GZIP_HEADER, framing
from recipegen.bundle.make import Leaks, assemble, write_bundle, write_folder
from recipegen.bundle.unpack import open_folder, unpack
from recipegen.claims import Check
from recipegen.cli.bundle import bundle_command
from recipegen.cli.kits import render_command
from recipegen.cli.measure import index_command
from recipegen.errors import EXIT_FINDINGS, CheckFailed, RecipegenError
from recipegen.evidence import Evidence, find_evidence
from recipegen.render.write import write_kit
from recipegen.results.scrub import Identity
from recipegen.shipped import patches_dir, templates_dir
from recipegen.workspace import Workspace
from tests.unit.bundle_factory import FOLDER, HEADLINE, NAME, SLOW, archive, edit_json, made, measure, measured

RUN = f"recipes/{NAME}/results/gb10-128g/20261121T070000Z-dflash"
BASE = f"recipes/{NAME}/results/gb10-128g/20261121T060000Z-ar"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured(tmp_path_factory.mktemp("bundle") / "repo")


@pytest.fixture
def root(repo: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(repo, tmp_path / "repo"))


def names(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def rendered(root: Path) -> None:
    """Renders the kit anew, after the recipe was changed."""
    workspace = Workspace.open(root)
    spec = workspace.spec(NAME)
    write_kit(workspace.kit(spec), workspace.folder(spec))


def test_everything_that_proves_the_headline_is_in_it(repo: Path, tmp_path: Path) -> None:
    found = [name.removeprefix(f"{FOLDER}/") for name in names(archive(repo, tmp_path / "a.tar.gz"))]
    assert found[0] == "MANIFEST.json"
    assert found[1:] == sorted(found[1:])
    for path in ("README.md", "CITATION.txt", "chart.svg", "claim.json", "INDEX.md", f"recipes/{NAME}/RESULTS.md"):
        assert path in found
    kit = ("recipe.yaml", "Dockerfile", "SHA256SUMS", "scripts/launch_server.sh", "scripts/launch_server_ar.sh")
    assert {f"recipes/{NAME}/{path}" for path in kit} <= set(found)
    for run in (RUN, BASE):
        names_of_run = ("run.json", f"{HEADLINE}.json", f"{HEADLINE}.metrics.json", "server.log", "greedy.json")
        assert {f"{run}/{name}" for name in names_of_run} <= set(found)
    assert not [path for path in found if path.startswith(("templates/", "patches/"))]  # those that recipegen ships


def test_the_same_inputs_give_the_same_bytes_whenever_and_wherever(repo: Path, tmp_path: Path) -> None:
    first = archive(repo, tmp_path / "first.tar.gz").read_bytes()
    again = Path(shutil.copytree(repo, tmp_path / "other" / "place"))
    for path in again.rglob("*"):
        path.touch()
    second = archive(again, tmp_path / "second.tar.gz").read_bytes()
    assert first == second
    assert first[:10] == GZIP_HEADER
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == (0o755 if "/scripts/" in member.name else 0o644)


def test_a_bundle_unpacked_is_a_repository_that_commands_work_on(repo: Path, tmp_path: Path) -> None:
    with tarfile.open(archive(repo, tmp_path / "a.tar.gz")) as tar:
        tar.extractall(tmp_path)
    workspace = Workspace.open(tmp_path / FOLDER)
    evidence = find_evidence(workspace, NAME)
    assert evidence.figures["tg"].median == 100.55
    assert evidence.baseline is not None
    for command, args in ((render_command, ["--check"]), (index_command, ["--check"])):
        done = CliRunner().invoke(command, [*args, "--root", str(tmp_path / FOLDER)])
        assert done.exit_code == 0, done.output


def test_the_manifest_lists_every_file_and_its_hash_is_the_bundle(repo: Path, tmp_path: Path) -> None:
    bundle = made(repo)
    write_folder(bundle, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "MANIFEST.json").read_text())
    assert manifest["format"] == "recipegen-bundle/1"
    assert [one["path"] for one in manifest["files"]] == sorted(bundle.sources)
    assert len(bundle.manifest.id) == 64
    opened = open_folder(tmp_path / "out")
    assert opened.manifest == bundle.manifest
    write_bundle(bundle, tmp_path / "a.tar.gz")
    assert unpack(tmp_path / "a.tar.gz", tmp_path / "target").manifest.id == bundle.manifest.id
    with pytest.raises(RecipegenError, match="is there already"):
        write_folder(bundle, tmp_path / "out")


def test_the_pages_say_the_figures_with_their_n_and_interval(repo: Path) -> None:
    bundle = made(repo)
    readme, citation = bundle.sources["README.md"], bundle.sources["CITATION.txt"]
    assert isinstance(readme, bytes)
    assert isinstance(citation, bytes)
    text = readme.decode()
    assert "**100.55 tok/s of decode (warm median, n=12, 95 % interval 100.25 to 100.85), 2.33 times its" in text
    assert "| tg, tok/s: decode | ar | 12 | 43.11 |" in text
    assert "In doubt" not in text
    assert citation.decode().startswith("Qwen3.6-35B-A3B NVFP4 with a DFlash drafter on NVIDIA GB10: 100.55 tok/s")
    assert bundle.claim["doubts"] == []


def test_the_chart_is_sound_xml_with_every_sample(repo: Path) -> None:
    source = made(repo).sources["chart.svg"]
    assert isinstance(source, bytes)
    drawing = ET.fromstring(source)
    dots = [one for one in drawing.iter() if one.tag.endswith("circle")]
    assert len(dots) == 2 * 2 * 13  # two metrics, two variants
    assert len([one for one in dots if one.get("fill") == "none"]) == 4  # the cold ones


def test_a_title_stays_text_in_every_page(root: Path) -> None:
    recipe = root / "recipes" / NAME / "recipe.yaml"
    lines = recipe.read_text().splitlines(keepends=True)
    at = next(at for at, line in enumerate(lines) if line.startswith("title:"))
    lines[at] = "title: '<script>x</script> & [a](b) | `c`'\n"
    recipe.write_text("".join(lines))
    rendered(root)
    bundle = made(root, allow_doubtful=True)  # the kit's README was another one
    assert "<script>" not in str(bundle.sources["README.md"])
    chart = bundle.sources["chart.svg"]
    assert isinstance(chart, bytes)
    assert b"<script>" not in chart
    ET.fromstring(chart)


DOUBTFUL: dict[str, tuple[dict[str, Any], str]] = {
    "quality": (
        {
            "quality": {
                "verdict": "fail",
                "checks": [{"id": "load", "verdict": "fail", "found": "", "expected": "", "why": "says !!!!"}],
            }
        },
        "quality-fail: the server failed its quality gate: load: says !!!!",
    ),
    "too fast": ({"tgs": [9000.0] * 13}, "too-fast"),
    "another recipe": ({"recipe": {"name": NAME, "title": "x", "spec_sha256": "5" * 64, "kit_sha256": None}}, "stale-"),
    "another kit": ({"recipe": {"name": NAME, "title": "x", "spec_sha256": None, "kit_sha256": "5" * 64}}, "stale-kit"),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_a_doubtful_result_makes_no_headline_unless_told_to_and_then_says_so(
    root: Path, tmp_path: Path, case: str
) -> None:
    fields, words = DOUBTFUL[case]
    run = measure(root, hour=8, **fields)
    with pytest.raises(CheckFailed) as caught:
        made(root, run=run.name)
    assert words in caught.value.message
    assert "--allow-doubtful" in caught.value.hint
    bundle = made(root, run=run.name, allow_doubtful=True)
    assert [doubt for doubt in bundle.claim["doubts"] if words.split(":")[0].rstrip("-") in doubt["code"]]
    for page in ("README.md", "CITATION.txt"):
        assert "n doubt" in str(bundle.sources[page])


def test_a_baseline_in_doubt_is_a_doubt(root: Path) -> None:
    measure(root, "ar", hour=9, tgs=[9000.0] * 13)
    with pytest.raises(CheckFailed, match="baseline-too-fast: the baseline: "):
        made(root)


def test_a_kit_that_is_not_the_recipes_is_refused(root: Path) -> None:
    script = root / "recipes" / NAME / "scripts" / "bench.sh"
    script.write_text(script.read_text() + "# mine\n")
    with pytest.raises(CheckFailed, match=r"edited by hand: scripts/bench.sh") as caught:
        made(root)
    assert caught.value.hint == f"recipegen render {NAME}"


CANARY = "hf_" + "Ab3" * 12
LEAKS = {
    "token in a log": (f"{RUN}/server.log", f"GET\nAuthorization: {CANARY}\n", 2, "a token"),
    "bearer": (f"{RUN}/server.log", "x\n\nBearer 0123456789abcdef\n", 3, "a token"),
    "token in a second log": (f"{RUN}/server.1.log", CANARY, 1, "a token"),
    "token in the baseline's run": (f"{BASE}/server.log", f"{CANARY}\n", 1, "a token"),
    "secret of the environment": (
        f"{RUN}/server.log",
        "key=correct-horse-battery\n",
        1,
        "a secret of this environment",
    ),
    "home folder": (f"{RUN}/server.log", "cache in /home/alice/.cache\n", 1, "the name of this account"),
    "host": (f"{RUN}/server.log", "a\nlistening on spark-lab\n", 2, "the name of this account"),
    "beyond a megabyte": (f"{RUN}/server.log", "x" * 70 + "\n" + "line\n" * 300_000 + CANARY, 300_002, "a token"),
    "in one long line": (f"{RUN}/server.log", "x" * 3_000_000 + " " + CANARY, 1, "a token"),
}


@pytest.mark.parametrize("case", LEAKS)
def test_what_would_give_something_away_is_refused_with_file_and_line(root: Path, case: str) -> None:
    place, text, line, what = LEAKS[case]
    (root / place).write_text(text)
    identity = Identity("/home/alice", "alice", ("spark-lab",), ("correct-horse-battery",))
    with pytest.raises(Leaks) as caught:
        assemble(Workspace.open(root), find_evidence(Workspace.open(root), NAME), identity=identity)
    (problem,) = caught.value.problems
    assert (str(problem.where.file).endswith(place), problem.where.line) == (True, line)
    assert what in problem.message
    assert CANARY not in str(problem)
    assert caught.value.exit_code == EXIT_FINDINGS


def test_a_file_that_changes_meanwhile_leaves_nothing(root: Path, tmp_path: Path) -> None:
    bundle = made(root)
    (root / RUN / "server.log").write_text("other\n")
    with pytest.raises(RecipegenError, match="was changed while it was packed"):
        write_bundle(bundle, tmp_path / "a.tar.gz")
    assert not [path for path in tmp_path.iterdir() if path.name != "repo"]


def test_limits_are_those_of_the_reader(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(layout, "FILE_LIMIT", 300)
    with pytest.raises(RecipegenError, match="is too large: a bundle holds 300 bytes"):
        made(root)
    monkeypatch.undo()
    (root / RUN / "server.log").write_bytes(b"the same\n" * 1_000_000)
    monkeypatch.setattr(make, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(make, "RATIO_LIMIT", 50)
    bundle = made(root)
    with pytest.raises(RecipegenError, match="says the same over and over"):
        write_bundle(bundle, tmp_path / "a.tar.gz")


@pytest.mark.parametrize("name", ["with space.log", "näme.log", "x" * 200 + ".log"])
def test_names_that_not_every_archive_can_hold_are_refused(root: Path, name: str) -> None:
    (root / RUN / name).write_text("x")
    with pytest.raises(RecipegenError) as caught:
        made(root)
    assert name in caught.value.message


def test_a_run_of_a_trial_makes_no_headline(root: Path) -> None:
    run = measure(root, hour=9)
    edit_json(run / "run.json", variant="trial-of-dflash")
    with pytest.raises(CheckFailed) as caught:
        made(root, run=run.name, allow_doubtful=True)
    assert "which is no variant of" in caught.value.message
    assert caught.value.hint == "a trial makes no headline: make a variant of its flags, and measure that"


def test_a_file_that_no_measurement_leaves_goes_into_no_bundle(root: Path) -> None:
    (root / RUN / "notes.md").write_text("we got 999.99 tok/s\n")
    with pytest.raises(RecipegenError, match=r"notes.md is no file of the run that lies there"):
        made(root)


def test_a_link_in_a_run_is_refused(root: Path) -> None:
    (root / RUN / "passwd.log").symlink_to("/etc/passwd")
    with pytest.raises(RecipegenError, match="is no plain file"):
        made(root)


def test_what_recipegen_ships_is_not_packed_again(root: Path) -> None:
    shutil.copytree(patches_dir(), root / "patches", dirs_exist_ok=True)
    shutil.copytree(templates_dir(), root / "templates")
    assert not [path for path in made(root).sources if path.startswith(("templates/", "patches/"))]


def test_patches_and_templates_of_the_repository_go_with_it(root: Path) -> None:
    shutil.copytree(patches_dir(), root / "patches", dirs_exist_ok=True)
    shutil.copytree(templates_dir(), root / "templates")
    for file in ("patches/dflash-layer-offset/meta.yaml", "templates/kit/dockerignore.j2"):
        (root / file).write_text((root / file).read_text() + "# ours\n")
    rendered(root)
    found = [path for path in made(root, allow_doubtful=True).sources if path.startswith(("templates/", "patches/"))]
    assert "dflash-layer-offset" in Workspace.open(root).spec(NAME).image.patches
    assert sorted(found) == [
        "patches/dflash-layer-offset/apply.py",
        "patches/dflash-layer-offset/meta.yaml",
        "templates/kit/dockerignore.j2",
    ]


class FakeBoard:
    """What the room of the leaderboards gives."""

    name = "fake"

    def files(self, evidence: Evidence) -> dict[str, bytes]:
        return {"payload.json": json.dumps({"tokSOut": evidence.figures["tg"].median}).encode()}

    def check(self, files: dict[str, bytes], evidence: Evidence) -> Iterator[Check]:
        yield Check("fake-agrees", "passed", "yes", "boards/fake/payload.json")


def test_payloads_for_each_board_lie_under_its_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "all_boards", lambda: {"fake": FakeBoard()})
    bundle = made(root)
    assert bundle.sources["boards/fake/payload.json"] == b'{"tokSOut": 100.55}'
    assert "[payload.json](boards/fake/payload.json)" in str(bundle.sources["README.md"])


def test_the_command(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(bundle_command, [NAME, "--root", str(root)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / f"{FOLDER}.tar.gz").is_file()
    assert "100.55 tok/s of decode" in done.output
    assert f"check it: recipegen verify {FOLDER}.tar.gz" in done.output
    done = CliRunner().invoke(bundle_command, [NAME, "--root", str(root), "--json", "--dir", "-o", "folder"])
    data = json.loads(done.output)
    assert data["bundle"] == open_folder(tmp_path / "folder").manifest.id
    assert data["claim"]["figures"]["tg"]["median"] == 100.55
    other = CliRunner().invoke(bundle_command, [NAME, "--root", str(root), "--variant", "ar", "-o", "ar.tar.gz"])
    assert "43.11 tok/s of decode" in other.output
    assert "times its baseline" not in other.output


def test_an_archive_is_told_from_one_with_another_compression(repo: Path, tmp_path: Path) -> None:
    bundle = made(repo)
    path = tmp_path / "a.tar.gz"
    write_bundle(bundle, path)
    raw = path.read_bytes()
    assert framing(path, bundle.folder, bundle.members()) == "same"
    path.write_bytes(raw[:5000] + bytes([raw[5000] ^ 1]) + raw[5001:])
    assert framing(path, bundle.folder, bundle.members()) == "altered"
    path.write_bytes(gzip.compress(gzip.decompress(raw), 1, mtime=0))
    assert framing(path, bundle.folder, bundle.members()) == "other-zlib"


def test_a_run_without_baseline_claims_no_speed_up(root: Path) -> None:
    shutil.rmtree(root / BASE)
    bundle = made(root)
    assert (bundle.claim["baseline"], bundle.claim["ratios"]) == (None, {})
    assert "no speed-up is claimed" in str(bundle.sources["README.md"])
    assert SLOW[1] not in bundle.claim["figures"]["tg"].values()


def test_a_record_without_facts_still_makes_a_page(root: Path) -> None:
    edit_json(root / RUN / "run.json", host=None, image=None, quality=None)
    bundle = made(root)
    assert "measured on gb10-128g." in str(bundle.sources["README.md"])
    assert bundle.claim["hardware"]["host"] is None
