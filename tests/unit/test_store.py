"""Run records: written whole at every step, read with care, without secrets or names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recipegen import files
from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.results import scrub as scrub_module
from recipegen.results.scrub import Identity, assert_clean, identity_here, is_secret, scrub
from recipegen.results.store import (
    CellRecord,
    RunRecord,
    RunWriter,
    claim_folder,
    iter_runs,
    load_run,
    new_run,
    status_of,
)
from tests.unit.results_factory import NOBODY

AT = datetime(2026, 11, 21, 7, 20, tzinfo=UTC)


def record(**other: Any) -> RunRecord:
    fields: dict[str, Any] = {
        "recipe": {"name": "tiny", "title": "Tiny", "spec_sha256": "5" * 64, "kit_sha256": None},
        "variant": "ar",
        "method": "AR",
        "machine": "gb10-128g",
        "started": AT,
    }
    return new_run(**{**fields, **other})


def cell(cell_id: str = "prose-pp2048-tg128-d0-c1", **other: Any) -> CellRecord:
    fields: dict[str, Any] = {
        "id": cell_id,
        "corpus": "prose",
        "corpus_sha256": None,
        "pp": 2048,
        "tg": 128,
        "depth": 0,
        "concurrency": 1,
        "thinking": "default",
        "runs": 3,
        "status": "done",
        "file": f"{cell_id}.json",
        "sha256": None,
        "argv": ["llama-benchy"],
        "started": None,
        "ended": None,
        "error": None,
    }
    return {**fields, **other}  # type: ignore[return-value]


def test_a_run_is_readable_at_every_step(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, record(), NOBODY)
    assert writer.folder == tmp_path / "results" / "gb10-128g" / "20261121T072000Z-ar"
    first = load_run(writer.folder)
    assert (first["status"], first["cells"], first["ended"]) == ("running", [], None)
    assert first["started"] == "2026-11-21T07:20:00Z"
    writer.add_cell(cell())
    after = load_run(writer.folder)
    assert (after["status"], [c["id"] for c in after["cells"]]) == ("running", ["prose-pp2048-tg128-d0-c1"])
    writer.finish("complete", ended=datetime(2026, 11, 21, 8, tzinfo=UTC))
    end = load_run(writer.folder)
    assert (end["status"], end["error"], end["ended"]) == ("complete", None, "2026-11-21T08:00:00Z")
    assert sorted(path.name for path in writer.folder.iterdir()) == ["run.json"]


def test_a_second_attempt_replaces_the_first(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, record(), NOBODY)
    writer.add_cell(cell(status="failed", file=None, error="server gone"))
    writer.add_cell(cell())
    assert [c["status"] for c in load_run(writer.folder)["cells"]] == ["done"]


def test_a_failing_write_keeps_the_last_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RunWriter(tmp_path, record(), NOBODY)

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(EnvironmentLacks, match="No space left"):
        writer.add_cell(cell())
    assert load_run(writer.folder)["cells"] == []
    assert [path.name for path in writer.folder.iterdir()] == ["run.json"]


def test_ids_never_collide(tmp_path: Path) -> None:
    names = [RunWriter(tmp_path, record(), NOBODY).folder.name for _ in range(12)]
    assert names == ["20261121T072000Z-ar", *(f"20261121T072000Z-ar-{n}" for n in range(2, 13))]
    assert [path.name for path in iter_runs(tmp_path)] == names
    assert load_run(tmp_path / "results" / "gb10-128g" / names[3])["run"] == names[3]


def test_runs_come_by_machine_then_by_time(tmp_path: Path) -> None:
    for machine, variant, hour in [("b", "ar", 9), ("a", "mtp", 9), ("a", "ar", 10), ("a", "zz", 8)]:
        RunWriter(tmp_path, record(machine=machine, variant=variant, started=AT.replace(hour=hour)), NOBODY)
    results = tmp_path / "results"
    (results / "a" / "20261121T072000Z-no-record").mkdir()
    (results / "a" / ".hidden").mkdir()
    (results / "README.md").touch()
    (results / "linked").symlink_to(results / "a")
    assert [f"{path.parent.name}/{path.name}" for path in iter_runs(tmp_path)] == [
        "a/20261121T080000Z-zz".replace("0800", "0820"),
        "a/20261121T092000Z-mtp",
        "a/20261121T102000Z-ar",
        "b/20261121T092000Z-ar",
    ]
    assert list(iter_runs(tmp_path / "none")) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "../a", "a b", "-a", ".a", "a\n", "ä", "x" * 201])
def test_a_machine_is_one_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipegenError, match="is not a name for a machine"):
        claim_folder(tmp_path, name, "run")
    assert list(tmp_path.iterdir()) == []


def test_results_that_lead_out_are_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    (recipe / "results").symlink_to(tmp_path / "out")
    with pytest.raises(RecipegenError, match="lies outside of"):
        RunWriter(recipe, record(), NOBODY)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(EnvironmentLacks, match="cannot make a folder"):
        claim_folder(tmp_path, "a", "run")


def test_status_of_a_run() -> None:
    planned = {"a", "b"}
    assert status_of([], planned) == "failed"
    assert status_of([cell("a", status="failed")], planned) == "failed"
    assert status_of([cell("a"), cell("b", status="failed")], planned) == "partial"
    assert status_of([cell("a"), cell("b"), cell("c")], planned) == "complete"


def change_record(folder: Path, **fields: Any) -> None:
    path = folder / "run.json"
    data = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({key: value for key, value in data.items() if value != "REMOVED"}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "recipegen-run/2"}, "the format 'recipegen-run/2' is not known, recipegen-run/1 is"),
        ({"format": "REMOVED"}, "is not a run's record"),
        ({"cells": "REMOVED"}, "cells is missing or wrong"),
        ({"cells": 1}, "cells is missing or wrong"),
        ({"cells": [1]}, r"cells\[0\] is not an object"),
        ({"host": "REMOVED"}, "host is missing or wrong"),
        ({"host": {"gpus": 5}}, "host.gpus"),
        ({"host": {"gpus": [{"name": None}]}}, "host.gpus"),
        ({"variant": None}, "variant is missing or wrong"),
        ({"status": "great"}, "status is not one of"),
        ({"origin": []}, "origin is not one of"),
        ({"cells": [cell(file="../../secret.json")]}, r"cells\[0\].file is not the name of a file"),
        ({"cells": [cell(file=5)]}, r"cells\[0\].file is not the name of a file"),
        ({"cells": [cell(file=None)]}, r"cells\[0\].status is missing or wrong"),
        ({"cells": [cell(pp="2048")]}, r"cells\[0\].pp is missing or wrong"),
        ({"cells": [cell(pp=True)]}, r"cells\[0\].pp is missing or wrong"),
        ({"cells": [cell(sha256=5)]}, r"cells\[0\].sha256 is missing or wrong"),
    ],
)
def test_a_record_that_is_none_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    folder = RunWriter(tmp_path, record(), NOBODY).folder
    change_record(folder, **fields)
    with pytest.raises(RecipegenError, match=message) as caught:
        load_run(folder)
    assert caught.value.hint
    assert caught.value.where is not None and caught.value.where.file == folder / "run.json"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '"recipegen-run/1"'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecipegenError, match=r"is not JSON|is not a run's record"):
        load_run(tmp_path)
    with pytest.raises(RecipegenError, match="No such file"):
        load_run(tmp_path / "none")


ALICE = Identity("/home/alice", "alice", ("spark-7f3a.lan", "spark-7f3a"), ("s3cr3tvalue",))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/alice/models/x", "~/models/x"),
        ("--models=/home/alice", "--models=~"),
        ("cannot open /home/alice.", "cannot open ~."),
        ("/home/alice2/x /home/alice-b /mnt/home/alicex", "/home/alice2/x /home/alice-b /mnt/home/alicex"),
        ("/home/alice.bak/x", "/home/alice.bak/x"),
        ("file:///home/alice/x", "file://~/x"),
        ("/media/alice/disk", "/media/<user>/disk"),
        ("/run/media/alice/disk", "/run/media/<user>/disk"),
        ("alice in wonderland", "alice in wonderland"),
        ("alice/Qwen3-NVFP4", "alice/Qwen3-NVFP4"),
        ("ssh alice@spark-7f3a failed", "ssh <user>@<host> failed"),
        ("http://spark-7f3a:8000/v1", "http://<host>:8000/v1"),
        ("http://spark-7f3a.lan:8000/v1", "http://<host>:8000/v1"),
        ("dgx-spark-7f3a spark-7f3a1", "dgx-spark-7f3a spark-7f3a1"),
        ("token s3cr3tvalue!", "token <hidden>!"),
        ("bytes \udcff", "bytes ?"),
        ("${MODELS_DIR}/x", "${MODELS_DIR}/x"),
    ],
)
def test_names_become_placeholders(text: str, clean: str) -> None:
    got = scrub({"error": text}, ALICE)
    assert got == {"error": clean}
    assert_clean(got, ALICE)


def test_common_names_are_left_alone() -> None:
    root = Identity("/root", "root", ("gpu", "localhost"), ())
    text = "root cause: chroot /rootfs, gpu 0, http://localhost:8000, /root/models, gpu"
    assert scrub({"error": text}, root)["error"] == (
        "root cause: chroot /rootfs, gpu 0, http://localhost:8000, ~/models, gpu"
    )


def test_what_the_recipe_says_is_not_touched() -> None:
    prose = Identity("/home/prose", "prose", ("prose", "model", "dflash"))
    run = record(variant="dflash", machine="model")
    run["cells"] = [cell(argv=["llama-benchy", "--host", "prose"], error="model prose gone")]
    run["models"] = [{"key": "model", "source": "/home/prose/x", "folder": "model"}]
    got = scrub(run, prose)
    assert (got["variant"], got["machine"], got["cells"][0]["corpus"]) == ("dflash", "model", "prose")
    assert got["cells"][0]["id"] == "prose-pp2048-tg128-d0-c1"
    assert got["cells"][0]["argv"] == ["llama-benchy", "--host", "<host>"]
    assert got["cells"][0]["error"] == "<host> <host> gone"
    assert got["models"] == [{"key": "model", "source": "~/x", "folder": "model"}]
    assert_clean(got, prose)


def test_secret_values_are_hidden_by_the_names_that_hold_them() -> None:
    server = {
        "env": {
            "HF_TOKEN": "abc",
            "VLLM_API_KEY": "k",
            "DB_PASSWORD": "123456",
            "TOKENIZERS_PARALLELISM": "off",
        },
        "argv": [
            *(
                "serve",
                "--api-key",
                "abc",
                "--max-num-batched-tokens",
                "8192",
                "--api-key=xyz",
                "--port",
                "8000",
            ),
            *("-e", "HF_TOKEN=abc", "--tokenizer", "dir", "--hf-token", "${HF_TOKEN}", "--token", "--eager"),
        ],
    }
    got = scrub({"server": server, "models": [{"key": "model"}]}, NOBODY)
    assert got["server"]["env"] == {
        "HF_TOKEN": "<hidden>",
        "VLLM_API_KEY": "<hidden>",
        "DB_PASSWORD": "<hidden>",
        "TOKENIZERS_PARALLELISM": "off",
    }
    assert got["server"]["argv"] == [
        *(
            "serve",
            "--api-key",
            "<hidden>",
            "--max-num-batched-tokens",
            "8192",
            "--api-key=<hidden>",
            "--port",
            "8000",
        ),
        *("-e", "HF_TOKEN=<hidden>", "--tokenizer", "dir", "--hf-token", "${HF_TOKEN}", "--token", "--eager"),
    ]
    assert got["models"] == [{"key": "model"}]


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HF_TOKEN", "x", True),
        ("hf-token", "x", True),
        ("apiKey", "x", True),
        ("AWS_SECRET_ACCESS_KEY", "x", True),
        ("PASSWORD", "1234", True),
        ("HF_TOKEN", "", False),
        ("MAX_TOKENS", "4096", False),
        ("TOKENIZER_MODE", "mistral", False),
        ("PATH", "/bin", False),
    ],
)
def test_which_names_are_secret(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) is secret


TOKENS = [
    "hf_" + "aB3" * 11,
    "bhk_live_12345678",
    "Authorization: Bearer abc123def456",
    "sk-" + "a1" * 15,
    *(sign + "a1" * 18 for sign in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_never_written(tmp_path: Path, token: str) -> None:
    run = record()
    run["server"] = {"argv": ["serve", "--header", token], "env": {}}
    with pytest.raises(RecipegenError, match=r"would hold a secret: server.argv\[2\]") as caught:
        RunWriter(tmp_path, run, NOBODY)
    assert token not in str(caught.value) + caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_in_an_error_is_hidden_so_that_the_run_is_kept(tmp_path: Path, token: str) -> None:
    writer = RunWriter(tmp_path, record(), NOBODY)
    writer.add_cell(cell(status="failed", file=None, error=f"server said: {token} is wrong"))
    text = (writer.folder / "run.json").read_text()
    assert "<hidden> is wrong" in text and token.split()[-1] not in text
    # The caller's own record keeps what was said.
    assert token in str(writer.record["cells"][0]["error"])


@pytest.mark.parametrize("text", ["hf_transfer", "hf_overrides", "Bearer authentication", "task-force", "sk-learn"])
def test_words_that_only_look_like_tokens(text: str) -> None:
    assert_clean({"server": {"argv": [text]}}, NOBODY)


def test_assert_clean_stands_on_its_own() -> None:
    with pytest.raises(RecipegenError, match=r"name this host or account: server.argv\[0\]"):
        assert_clean({"server": {"argv": ["/home/alice/x"]}}, ALICE)
    with pytest.raises(RecipegenError, match=r"name this host or account: host\.spark-7f3a"):
        assert_clean({"host": {"spark-7f3a": 1}}, ALICE)


def test_the_identity_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub_module.socket, "gethostname", lambda: "box-12.example.org")
    env = {"HOME": "/home/alice/", "HF_TOKEN": "hf_0123456789", "SHORT_KEY": "abc", "PATH": "/usr/bin:/bin"}
    got = identity_here(env)
    assert got.home == "/home/alice"
    assert got.hosts == ("box-12.example.org", "box-12")
    assert got.secrets == ("hf_0123456789",)
    assert "hf_0123456789" not in repr(got)
