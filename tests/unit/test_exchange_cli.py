"""`import` and `export` as a person meets them: real processes, what is written, exit codes, what is printed where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipegen.load.yamldoc import MAX_BYTES
from recipegen.scaffold import SCHEMA_LINE, init_repository
from tests.unit.exchange_support import OTHERS, SPARKRUN

ENV = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}


def run(*args: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "recipegen", *map(str, args)]
    done = subprocess.run(argv, env=ENV, capture_output=True, text=True, timeout=60, **how)
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init_repository(tmp_path / "repo")
    return tmp_path / "repo"


def test_a_recipe_and_its_kit(root: Path) -> None:
    done = run("import", SPARKRUN / "02-dflash.yaml", "--root", root)
    assert (done.returncode, done.stderr) == (0, "")
    folder = root / "recipes" / "qwen3.6-27b-fp8-dflash"
    assert f"wrote {folder}/recipe.yaml from the sparkrun recipe, version 2" in done.stdout
    assert "metadata.model_params (line 12)" in done.stdout
    text = (folder / "recipe.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"{SCHEMA_LINE}\n# Imported by recipegen ")
    assert (folder / "scripts" / "launch_server.sh").stat().st_mode & 0o111
    assert "(recipes/qwen3.6-27b-fp8-dflash)" in (root / "INDEX.md").read_text(encoding="utf-8")
    assert run("render", "--check", "--root", root).returncode == 0
    again = run("import", SPARKRUN / "02-dflash.yaml", "--root", root)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert (folder / "recipe.yaml").read_text(encoding="utf-8") == text


def test_several_files_and_one_that_fails(root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("model: a/b\nmodel: c/d\ncontainer: [\n", encoding="utf-8")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"model: a/b\n# \xe9\n")
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * (MAX_BYTES + 1))
    files = [
        SPARKRUN / "01-minimal.yaml",
        broken,
        latin,
        huge,
        tmp_path / "none.yaml",
        tmp_path,
        OTHERS / "compose.yaml",
    ]
    done = run("import", *files, "--root", root)
    assert done.returncode == 2
    assert sorted(path.name for path in (root / "recipes").iterdir()) == [".gitkeep", "01-minimal", "gpt-oss"]
    for text in (
        f"{broken}:", f"{latin}:2:1: is not UTF-8 text", f"{huge}: is larger than 1 MiB",
        f"{tmp_path / 'none.yaml'}: there is no such file", f"{tmp_path}: this is a folder", "2 of 7 files imported",
    ):  # fmt: skip
        assert text in done.stderr
    as_json = run("import", *files, "--root", root, "--json")
    told = json.loads(as_json.stdout)
    assert as_json.returncode == 2
    assert told["imported"] == []  # both are there already
    assert [len(failure["problems"]) for failure in told["failed"]] == [1] * 7


def test_dry_run_writes_nothing_and_needs_no_repository(tmp_path: Path) -> None:
    done = run("import", SPARKRUN / "06-hooks.yaml", OTHERS / "docker-vllm.sh", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert [data["name"] for data in yaml.safe_load_all(done.stdout)] == ["06-hooks", "docker-vllm"]
    assert "pre_exec[0] (line 21)" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_standard_input_strict_and_json(root: Path) -> None:
    line = "docker run --gpus all --cap-add X vllm/vllm-openai:v0.28.0 --model a/B\n"
    done = run("import", "-", "--name", "piped", "--strict", "--json", "--root", root, input=line)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["failed"] == []
    (row,) = told["imported"]
    assert (row["name"], row["format"], row["record"]) == ("piped", "docker run command", False)
    assert [(entry["name"], entry["affects_run"]) for entry in row["not_translated"]] == [("--cap-add", True)]
    assert (root / "recipes" / "piped" / "Dockerfile").is_file()  # it is written all the same
    plain = run("import", "-", "--name", "plain", "--strict", "--root", root, input=line.replace("--cap-add X ", ""))
    assert plain.returncode == 0
    bad = run("import", "-", "--dry-run", input="\ud800 vllm serve", errors="surrogatepass")
    assert bad.returncode == 2
    assert "-:1:1: is not UTF-8 text" in bad.stderr


def test_wrong_usage(root: Path) -> None:
    files = [SPARKRUN / "01-minimal.yaml", SPARKRUN / "02-dflash.yaml"]
    assert "--name names one recipe" in run("import", *files, "--name", "x", "--root", root).stderr
    assert run("import", files[0], "--name", "../x", "--dry-run").returncode == 2
    assert run("import", "--root", root).returncode == 2
    assert run("import", files[0], "--format", "nix").returncode == 2
    assert "not valid YAML" in run("import", OTHERS / "docker-vllm.sh", "--format", "sparkrun", "--dry-run").stderr


def test_export_there_and_back(root: Path, tmp_path: Path) -> None:
    assert run("import", SPARKRUN / "02-dflash.yaml", "--name", "one", "--root", root).returncode == 0
    done = run("export", "one", "--format", "sparkrun", "--root", root)
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["runtime"] == "vllm"
    assert "sparkrun has no place for, and it changes nothing that runs:" in done.stderr
    file = tmp_path / "out.yaml"
    written = run("export", "one", "--format", "sparkrun", "-o", file, "--root", root)
    assert f"wrote {file}" in written.stdout
    assert file.read_text(encoding="utf-8") == done.stdout
    assert run("import", file, "--name", "two", "--root", root).returncode == 0
    second = run("export", "two", "--format", "sparkrun", "--json", "--root", root)
    text = json.loads(second.stdout)["text"].replace("two", "one")
    assert text == done.stdout
    baseline = run("export", "one", "--format", "sparkrun", "--variant", "ar", "--root", root)
    assert "speculative" not in yaml.safe_load(baseline.stdout)["command"]


def test_export_compose(root: Path) -> None:
    assert run("import", SPARKRUN / "02-dflash.yaml", "--name", "one", "--root", root).returncode == 0
    done = run("export", "one", "--format", "compose", "--root", root)
    assert done.stdout == (root / "recipes" / "one" / "compose.yaml").read_text(encoding="utf-8")
    assert "models.model: compose downloads nothing" in done.stderr
    other = run("export", "one", "--format", "compose", "--variant", "ar", "--json", "--root", root)
    assert "${LAUNCH:-launch_server_ar.sh}" in json.loads(other.stdout)["text"]
    assert run("import", SPARKRUN / "14-local-model.yaml", "--root", root).returncode == 0
    record = run("export", "14-local-model", "--format", "compose", "--root", root)
    assert record.returncode == 2
    assert "is a record" in record.stderr


def test_strict_does_not_call_a_record_a_recipe(root: Path, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("model: /data/some-model\ncontainer: x/y:1\nruntime: vllm\n", encoding="utf-8")
    assert run("import", tmp_path / "r.yaml", "--name", "lax", "--root", root).returncode == 0
    assert run("import", tmp_path / "r.yaml", "--name", "strict", "--strict", "--root", root).returncode == 1
