"""Spark Arena: which cells must be there, the three files, the form of the recipe, the exchange and the upload."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from recipegen.boards import arena_upload, receipts_of, transport
from recipegen.boards.arena_files import COLUMNS, PROFILE, scheduled
from recipegen.boards.shape import hygiene_findings
from recipegen.boards.spark_arena import SparkArena
from recipegen.boards.sparkrun_form import sparkrun_form
from recipegen.claims import failed
from recipegen.cli.submit import submit_command
from recipegen.errors import RecipegenError
from recipegen.evidence import Evidence
from recipegen.files import sha256_file
from recipegen.results.report import ReportRefused
from recipegen.results.store import RunWriter, new_run
from recipegen.workspace import Workspace
from tests.support.board_server import (
    BUCKET,
    EXCHANGE,
    ID_TOKEN,
    REFRESH,
    STORAGE,
    USER,
    BoardServer,
    Scripted,
    boards,
    places,
)
from tests.unit.boards_factory import GB10, change_record, edit_recipe, measured, recorded_argv
from tests.unit.results_factory import NOBODY, benchmark, report, write_json
from tests.unit.test_compare import NAME, made, root

__all__ = ["made", "root"]  # the fixtures

FILES = {"recipe.yaml": "recipes", "benchmark.csv": "logs", "metadata.json": "metadata"}


def add_arena_run(root: Path, shapes: Sequence[tuple[int, int, int, int]] | None = None, **how: Any) -> Path:
    """A run of the board's profile as bench would leave it; every cell is a report of its own."""
    record = new_run(
        recipe={"name": NAME, "title": "Tiny", "spec_sha256": "5" * 64, "kit_sha256": None},
        variant="dflash",
        method="DFlash",
        machine="gb10-128g",
        llama_benchy="0.4.0",
    )
    record["host"], record["profile"] = GB10, PROFILE
    record["engine"] = {"name": "vllm", "version": "0.19.2"}
    record["server"] = {"argv": recorded_argv(root), "env": {}, "ready_s": 240.5}
    record.update(how)  # type: ignore[typeddict-item]
    writer = RunWriter(root / "recipes" / NAME, record, NOBODY)
    for pp, tg, depth, concurrency in scheduled() if shapes is None else shapes:
        name = f"prose-pp{pp}-tg{tg}-d{depth}-c{concurrency}-cached"
        rates = [40.0 / concurrency, 42.0 / concurrency, 41.0 / concurrency]
        entry = benchmark(pp, tg, depth, concurrency, tgs=rates, pps=[900.0, 950.0, 1000.0])
        load = [benchmark(pp, tg, depth, concurrency, is_context_prefill_phase=True)] if depth else []
        path = write_json(writer.folder / f"{name}.json", report(*load, entry, prefix_caching_enabled=True))
        writer.add_cell(
            {
                "id": name,
                "corpus": "prose",
                "corpus_sha256": "a" * 64,
                "pp": pp,
                "tg": tg,
                "depth": depth,
                "concurrency": concurrency,
                "thinking": "default",
                "runs": 3,
                "status": "done",
                "file": path.name,
                "sha256": sha256_file(path),
                "argv": [],
                "started": None,
                "ended": None,
                "error": None,
                "failed_requests": 0,
            }
        )
    writer.finish("complete")
    return writer.folder


def found(root: Path) -> Evidence:
    return SparkArena().find(Workspace.open(root), NAME, variant=None, run=None, cell=None)


def test_the_profile_has_its_28_cells() -> None:
    cells = scheduled()
    assert len(cells) == 28
    assert {pp for pp, _, _, _ in cells} == {2048}
    assert {depth for _, _, depth, _ in cells} == {0, 4096, 8192, 16384, 32768, 65535, 100000}
    assert {concurrency for _, _, _, concurrency in cells} == {1, 2, 5, 10}


def test_a_whole_run_becomes_three_files(root: Path) -> None:
    run = add_arena_run(root)
    evidence, board = found(root), SparkArena()
    assert evidence.run == run
    files = board.files(evidence)
    assert set(files) == set(FILES)
    assert files == board.files(found(root))
    rows = list(csv.DictReader(io.StringIO(files["benchmark.csv"].decode(), newline="")))
    assert tuple(rows[0]) == COLUMNS
    # Four cells without a context: two lines each; 24 with one: the load of it, and the test.
    assert len(rows) == 4 * 2 + 24 * 4
    first, second = rows[:2]
    assert (first["model"], first["test_name"]) == ("qwen36-35b-a3b", "pp2048 (c1)")
    assert float(first["t_s_mean"]) == pytest.approx(950.0)
    assert float(first["ttfr_std"]) > 0
    assert (first["peak_ts_mean"], second["ttfr_mean"]) == ("", "")
    assert (second["test_name"], float(second["t_s_mean"])) == ("tg128 (c1)", 41.0)
    names = [row["test_name"] for row in rows]
    assert names[8:12] == ["ctx_pp @ d4096 (c1)", "ctx_tg @ d4096 (c1)", "pp2048 @ d4096 (c1)", "tg128 @ d4096 (c1)"]
    assert hygiene_findings({name: content.decode() for name, content in files.items()}, NOBODY) == []
    assert failed(board.check(files, evidence)) == []
    assert board.preflight(evidence).taken


def test_the_metadata_names_no_host(root: Path) -> None:
    digest = "sha256:" + "d" * 64
    add_arena_run(root, image={"ref": "ghcr.io/x/y", "id": "sha256:1", "digest": digest, "base": None})
    data = json.loads(SparkArena().files(found(root))["metadata.json"])
    assert data["recipe"]["container"] == f"ghcr.io/x/y@{digest}"
    assert data["recipe"]["container_pinned"] is True
    assert data["recipe"]["type"] == "sparkrun"
    assert data["cluster"]["node_count"] == 1
    assert set(data["cluster"]) == {"cluster_id", "node_count"}
    assert data["benchmark"]["profile"] == "@official/spark-arena-v2"
    assert data["benchmark"]["args"]["depth"] == [0, 4096, 8192, 16384, 32768, 65535, 100000]
    assert data["timing"]["startup"] == 240.5
    assert data["model"]["revision"] == "e850c696e6d75f965367e816c16bc7dacd955ffa"


def test_the_recipe_in_sparkruns_form(root: Path) -> None:
    add_arena_run(root)
    data = yaml.safe_load(SparkArena().files(found(root))["recipe.yaml"])
    assert data["recipe_version"] == "2"
    assert data["model"] == "RedHatAI/Qwen3.6-35B-A3B-NVFP4"
    assert data["runtime"] == "vllm"
    assert data["container"].startswith("ghcr.io/spark-arena/dgx-vllm-eugr-nightly")
    assert data["defaults"]["gpu_memory_utilization"] == 0.92
    assert data["defaults"]["max_model_len"] == 262144
    assert data["env"]["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    command = data["command"]
    assert command.startswith("vllm serve {model} \\\n")
    assert "--gpu-memory-utilization {gpu_memory_utilization}" in command
    assert """'{"method":"dflash","num_speculative_tokens":15,"model":"z-lab/Qwen3.6-35B-A3B-DFlash"}'""" in command
    assert "MODELS_DIR" not in command
    assert any(loss.startswith("image.patches:") for loss in SparkArena().preflight(found(root)).losses)


def test_a_form_that_cannot_be_is_told() -> None:
    from recipegen.evidence import find_evidence
    from tests.support.scenario import ROOT

    form = sparkrun_form(find_evidence(Workspace.open(ROOT), "smoke-llamacpp"))
    assert form.data is None
    assert "a model of the Hugging Face hub" in form.problems[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda root: add_arena_run(root, scheduled()[:27]), "1 of 28 cells are not there: pp2048 tg128 d100000 c10"),
        (lambda root: add_arena_run(root, scheduled()[:2]), "26 of 28 cells are not there"),
        (lambda root: change_record(add_arena_run(root), status="partial"), "the run is partial"),
        (lambda root: add_arena_run(root, quality={"verdict": "fail", "checks": []}), "failed the quality gate"),
    ],
)
def test_a_run_that_is_not_whole_is_no_submission(root: Path, change: Any, problem: str) -> None:
    change(root)
    evidence, board = found(root), SparkArena()
    assert problem in " ".join(board.preflight(evidence).problems)
    with pytest.raises(RecipegenError, match="would not get this entry"):
        board.submit(evidence, receipts_of(root, evidence.folder, board.name), arena_how())


def test_a_recipe_that_changed_since_is_no_submission(root: Path) -> None:
    add_arena_run(root)
    edit_recipe(root, "    max-num-seqs: 1\n", "    max-num-seqs: 4\n")
    evidence, board = found(root), SparkArena()
    assert "the recipe has changed since this run" in board.preflight(evidence).problems[0]
    assert board.files(evidence) == {}


def arena_how(**how: Any) -> Any:
    from recipegen.boards import Sending

    return Sending(**how)


def test_a_mean_that_does_not_follow_from_its_samples_is_found(root: Path) -> None:
    run = add_arena_run(root)
    path = next(run.glob("prose-pp2048-tg128-d0-c1-cached.json"))
    data = json.loads(path.read_text())
    data["benchmarks"][0]["tg_throughput"]["mean"] = 99.0
    path.write_text(json.dumps(data))
    record = json.loads((run / "run.json").read_text())
    cells = [{**cell, "sha256": sha256_file(path)} if cell["file"] == path.name else cell for cell in record["cells"]]
    change_record(run, cells=cells)
    problems = SparkArena().preflight(found(root)).problems
    assert problems == ("prose-pp2048-tg128-d0-c1-cached: the mean of tg_throughput does not follow from its samples",)


def test_a_mean_that_is_no_number_is_refused(root: Path) -> None:
    run = add_arena_run(root)
    path = next(run.glob("prose-pp2048-tg128-d4096-c1-cached.json"))
    data = json.loads(path.read_text())
    data["benchmarks"][0]["tg_throughput"]["mean"] = "=HYPERLINK()"
    path.write_text(json.dumps(data))
    record = json.loads((run / "run.json").read_text())
    cells = [{**cell, "sha256": sha256_file(path)} if cell["file"] == path.name else cell for cell in record["cells"]]
    change_record(run, cells=cells)
    with pytest.raises(ReportRefused):
        SparkArena().files(found(root))


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("benchmark.csv", b"41.0", b"91.0", "t_s_mean: '91.0', where '41.0' follows"),
        ("benchmark.csv", b"ctx_pp @ d4096 (c1)", b"ctx_pp @ d4096 (c2)", "test_name"),
        ("metadata.json", b'"node_count": 1', b'"node_count": 2', "is not what follows"),
        ("recipe.yaml", b"max_model_len: 262144", b"max_model_len: 4096", "is not what follows"),
        ("recipe.yaml", b"defaults:", b"defaults: [", "cannot be read"),
        ("metadata.json", b"{", b"[", "cannot be read"),
    ],
)
def test_an_altered_file_is_found(root: Path, name: str, old: bytes, new: bytes, words: str) -> None:
    add_arena_run(root)
    evidence, board = found(root), SparkArena()
    files = board.files(evidence)
    assert old in files[name]
    (wrong,) = failed(board.check({**files, name: files[name].replace(old, new, 1)}, evidence))
    assert wrong.path == name
    assert words in wrong.text
    del files[name]
    assert [check.text for check in failed(board.check(files, evidence))] == ["is missing; the board wants all three"]


def test_a_recipe_written_by_another_version_says_the_same(root: Path) -> None:
    add_arena_run(root)
    evidence, board = found(root), SparkArena()
    files = board.files(evidence)
    other = files["recipe.yaml"].replace(b"Written by recipegen", b"Written by another recipegen")
    assert failed(board.check({**files, "recipe.yaml": other}, evidence)) == []


# Sending.


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BoardServer]:
    """The board on the loopback, and a refresh token where sparkrun keeps it."""
    with boards() as server:
        monkeypatch.setenv("RECIPEGEN_ARENA_AUTH_URL", server.url)
        monkeypatch.setenv("RECIPEGEN_ARENA_STORAGE_URL", server.url)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.setattr(transport, "TIMEOUT_S", 0.5)
        monkeypatch.setattr(arena_upload, "EXCHANGE_S", 0.5)
        token = tmp_path / "config" / "sparkrun" / "arena_token"
        token.parent.mkdir(parents=True)
        token.write_text(REFRESH)
        token.chmod(0o600)
        yield server


def submit(root: Path, *args: str) -> tuple[int, str]:
    """`recipegen submit NAME --board spark-arena ARGS`: exit code and all that a user reads."""
    done = CliRunner().invoke(submit_command, [NAME, "--board", "spark-arena", *args, "--root", str(root)])
    code, text = done.exit_code, done.output
    if isinstance(done.exception, RecipegenError):
        code, text = done.exception.exit_code, f"{text}{done.exception.message}\n{done.exception.hint}"
    elif done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert [places(secret, text, root=root) for secret in (REFRESH, ID_TOKEN)] == [[], []]
    return code, text


def test_by_default_a_folder_is_written_for_its_own_tool(root: Path, board: BoardServer) -> None:
    run = add_arena_run(root)
    for args in ((), ("--dry-run",)):
        code, text = submit(root, *args)
        assert code == 0, text
        assert "nothing was sent" in text
    folder = root / "recipes" / NAME / "submission" / "spark-arena" / run.name
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert board.seen == []


def test_an_upload_trades_the_token_and_stores_three_files(root: Path, board: BoardServer) -> None:
    add_arena_run(root)
    code, text = submit(root, "--upload")
    assert code == 0, text
    (exchange,) = board.asked(EXCHANGE)
    assert exchange.json == {"refresh_token": REFRESH}
    assert "Authorization" not in exchange.headers
    uploads = board.asked(STORAGE)
    assert len(uploads) == 3
    for one in uploads:
        assert one.headers["Content-Type"] == "application/octet-stream"
        assert one.headers["User-Agent"].startswith("recipegen/")
        assert REFRESH not in str(one)
    (name,) = {key.split("/")[2] for key in board.objects}
    assert name.startswith("sub")
    assert set(board.objects) == {f"submissions/{USER}/{name}/{folder}/{file}" for file, folder in FILES.items()}
    assert board.objects[f"submissions/{USER}/{name}/recipes/recipe.yaml"].startswith(b"# Written by recipegen")
    assert name in text
    again = submit(root, "--upload")
    assert again[0] == 1
    assert f"as {name}" in again[1]


def test_a_further_try_replaces_what_the_first_one_left(root: Path, board: BoardServer) -> None:
    add_arena_run(root)
    good = Scripted(200, {"name": "x"})
    board.script(STORAGE, good, Scripted(500, {"error": "busy"}))
    code, text = submit(root, "--upload")
    assert code == 4
    assert "did not store benchmark.csv (status 500): busy" in text
    board.script(STORAGE, good, Scripted(nothing=True))
    code, text = submit(root, "--upload")
    assert code == 4
    assert "it replaces what is there" in text
    assert submit(root, "--upload")[0] == 0
    assert len({one.query["name"][0].split("/")[2] for one in board.asked(STORAGE)}) == 1


ACCOUNT = {"id_token": ID_TOKEN, "user_id": USER, "bucket": BUCKET}
EXCHANGES = {
    "401": (Scripted(401, {"error": "invalid_token"}), 3, "does not take the refresh token"),
    "403": (Scripted(403, b"x"), 3, "does not take the refresh token"),
    "500": (Scripted(500, b"x"), 4, "gives no account"),
    "HTML": (Scripted(200, b"<html>"), 4, "gives no account"),
    "empty": (Scripted(200, b""), 4, "gives no account"),
    "half": (Scripted(200, ACCOUNT, cut=30), 4, "gives no account"),
    "incomplete": (Scripted(200, {"id_token": ID_TOKEN}), 4, "gives no account"),
    "a path as user": (Scripted(200, {**ACCOUNT, "user_id": "../x"}), 4, "gives no account"),
    "a bucket with a query": (Scripted(200, {**ACCOUNT, "bucket": "b?x=1"}), 4, "gives no account"),
    "a header in a token": (Scripted(200, {**ACCOUNT, "id_token": "a\r\nX: y0000"}), 4, "gives no account"),
    "redirect": (Scripted(302, b"", {"Location": "https://example.org"}), 4, "gives no account"),
    "nothing": (Scripted(nothing=True), 4, "nothing was uploaded"),
    "late": (Scripted(late_s=30), 4, "no answer within 0.5 s"),
}


@pytest.mark.parametrize(("answer", "code", "words"), EXCHANGES.values(), ids=EXCHANGES.keys())
def test_an_exchange_that_gives_no_account(
    root: Path, board: BoardServer, answer: Scripted, code: int, words: str
) -> None:
    add_arena_run(root)
    board.script(EXCHANGE, answer)
    done = submit(root, "--upload")
    assert done[0] == code, done[1]
    assert words in done[1]
    assert board.asked(STORAGE) == []


UPLOADS = {
    "401": (Scripted(401, {"error": {"message": "expired"}}), 3, "does not let this account store recipe.yaml"),
    "413": (Scripted(413, b""), 4, "did not store recipe.yaml (status 413)"),
    "429": (Scripted(429, b""), 4, "status 429"),
    "HTML": (Scripted(200, b"<html>"), 4, "did not store"),
    "half": (Scripted(200, {"name": "x" * 99}, cut=9), 4, "its answer breaks off"),
    "late": (Scripted(late_s=30), 4, "no answer within 0.5 s"),
    "the token back": (Scripted(500, {"error": ID_TOKEN}), 4, "***"),
}


@pytest.mark.parametrize(("answer", "code", "words"), UPLOADS.values(), ids=UPLOADS.keys())
def test_a_file_that_is_not_taken(root: Path, board: BoardServer, answer: Scripted, code: int, words: str) -> None:
    add_arena_run(root)
    board.script(STORAGE, answer)
    done = submit(root, "--upload")
    assert done[0] == code, done[1]
    assert words in done[1]
    assert len(board.asked(STORAGE)) == 1


def test_the_token_file_must_be_its_owners_alone(root: Path, board: BoardServer, tmp_path: Path) -> None:
    add_arena_run(root)
    token = tmp_path / "config" / "sparkrun" / "arena_token"
    token.chmod(0o644)
    code, text = submit(root, "--upload")
    assert (code, board.seen) == (3, [])
    assert "can be used by others" in text
    token.unlink()
    assert "there is no refresh token" in submit(root, "--upload")[1]


def test_without_a_run_of_the_profile_the_table_s_is_looked_at(root: Path) -> None:
    measured(root, baseline=False)
    preflight = SparkArena().preflight(found(root))
    assert preflight.problems == (
        f"the run is not of the profile spark-arena-v2: recipegen bench {NAME} --profile spark-arena-v2",
    )
