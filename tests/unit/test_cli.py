"""The command line as a person meets it: real processes, exit codes, what is printed where."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import recipegen
from recipegen.cli import cli
from recipegen.cli.generated import HELP
from recipegen.errors import CheckFailed

NAMES = ["smoke-llamacpp", "smoke-vllm-cpu"]
ENV = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
"""Everything here works without Docker."""


def run(
    *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "recipegen", *map(str, args)]
    return subprocess.run(argv, cwd=cwd, env=env or ENV, capture_output=True, text=True, timeout=60)


def fails(code: int, *args: str | Path, cwd: Path | None = None) -> str:
    """What a command says on standard error when it ends with this exit code."""
    done = run(*args, cwd=cwd)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout
    return done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two recipes, as the commands make it."""
    root = tmp_path_factory.mktemp("made") / "repo"
    done = run("init", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"next: cd {root} && recipegen new smoke-llamacpp" in done.stdout
    for name in NAMES:
        done = run("new", name, "--root", root)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"next: recipegen bench {name}" in done.stdout
    return root


@pytest.fixture
def repo(made: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(made, tmp_path / "repo")
    return tmp_path / "repo"


def test_the_console_script_is_the_module() -> None:
    script = Path(sys.executable).with_name("recipegen")
    if not script.is_file():
        pytest.skip("recipegen is not installed in this environment")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"recipegen {recipegen.__version__}\n")
    assert run("--version").stdout == done.stdout


def test_help_at_once_is_the_help_of_click() -> None:
    for argument in ("--help", "-h"):
        done = run(argument)
        assert (done.returncode, done.stdout, done.stderr) == (0, HELP.read_text(encoding="utf-8"), "")
    assert "Exit codes: 0 done" in HELP.read_text(encoding="utf-8")


def test_every_command_has_a_help_text_with_an_example() -> None:
    assert isinstance(cli, click.Group)
    # click caches the help option of the first context: it must be one as the command line makes it.
    context = click.Context(cli, info_name="recipegen", **cli.context_settings)
    names = cli.list_commands(context)
    assert len(names) >= 18
    for name in names:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        text = command.get_help(click.Context(command, info_name=name, parent=context))
        assert "Example" in text, name
        assert f"recipegen {name}" in text, name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, (name, parameter.name)


def test_a_command_shows_its_help(made: Path) -> None:
    for arguments in (["new", "--help"], ["new", "-h"], ["catalog", "--help"]):
        done = run(*arguments)
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: recipegen ")
    assert fails(2).startswith("Usage: recipegen [OPTIONS] COMMAND")  # nothing at all


def test_wrong_usage_ends_with_2_and_a_suggestion(made: Path, tmp_path: Path) -> None:
    assert "No such command 'rendr'. Did you mean render?" in fails(2, "rendr")
    assert "No such command 'zzzz'." in fails(2, "zzzz")
    assert "No such option" in fails(2, "list", "--jsn")
    assert "Missing argument 'NAME'" in fails(2, "new")
    text = fails(2, "new", "x", "--preset", "smoke-llamacpp", "--from", "y", "--root", made)
    assert "exclude each other" in text
    assert "there is no recipe 'smoke-lamacpp'" in (text := fails(2, "show", "smoke-lamacpp", "--root", made))
    assert "nearest: smoke-llamacpp" in text
    assert "there is no preset 'qwen36-35b-dflsh'" in (text := fails(2, "new", "qwen36-35b-dflsh", "--root", made))
    assert "nearest: qwen36-35b-dflash" in text
    assert "the catalog has no 'nix'" in fails(2, "catalog", "show", "nix")
    assert "cannot name a recipe" in fails(2, "new", "../x", "--root", made)
    assert "is there already" in fails(2, "new", NAMES[0], "--root", made)
    assert "is a recipe repository already" in fails(2, "init", made)
    assert "no recipe repository here or above" in fails(2, "list", cwd=tmp_path)
    assert "is not a recipe repository" in fails(2, "list", "--root", tmp_path)
    assert "\x1b" not in fails(2, "show", "\x1b[31m", "--root", made)
    assert sorted(path.name for path in (made / "recipes").iterdir()) == [".gitkeep", *NAMES]


def test_a_host_that_does_not_let_us_write_ends_with_3(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    text = fails(3, "init", tmp_path / "file" / "below")
    assert text.startswith("error: ")
    assert "Not a directory" in text


def test_list_show_catalog_and_lint_print_json(made: Path) -> None:
    rows = json.loads(run("list", "--json", "--root", made).stdout)
    assert [row["name"] for row in rows] == NAMES
    assert rows[0]["engine"] == "llama.cpp"
    assert rows[0]["quantization"] == "Q4_K_M"
    shown = json.loads(run("show", NAMES[0], "--json", "--root", made).stdout)
    assert shown["name"] == NAMES[0]
    resolved = json.loads(run("show", NAMES[0], "--resolved", "--json", "--root", made).stdout)
    assert len(resolved["sha256"]) == 64
    assert resolved["commands"]["ar"][0] == "llama-server"
    assert resolved["schema"] == "recipegen/v1"
    kinds = {row["kind"] for row in json.loads(run("catalog", "list", "--json").stdout)}
    assert kinds == {"preset", "hardware", "model", "image"}
    assert {row["kind"] for row in json.loads(run("catalog", "list", "--kind", "image", "--json").stdout)} == {"image"}
    assert (
        json.loads(run("catalog", "show", "nvcr.io/nvidia/vllm:26.04-py3", "--json").stdout)["engine_version"]
        == "0.19.0"
    )
    assert json.loads(run("catalog", "show", "nvidia/Qwen3.6-35B-A3B-NVFP4", "--json").stdout)["family"] == "qwen3.6"
    assert "nearest: dgx-spark" in fails(2, "catalog", "show", "dgx-sparkle")
    assert json.loads(run("catalog", "show", "dgx-spark", "--json").stdout)["arch_list"] == "12.1a"
    assert json.loads(run("catalog", "show", NAMES[0], "--json").stdout)["name"] == NAMES[0]
    linted = run("lint", "--json", "--root", made)
    assert linted.returncode == 0
    assert json.loads(linted.stdout)["checked"] == NAMES
    assert {row["severity"] for row in json.loads(linted.stdout)["findings"]} <= {"warning", "info"}
    rendered = json.loads(run("render", "--check", "--json", "--root", made).stdout)
    assert [(row["name"], row["changed"], row["missing"]) for row in rendered] == [(name, [], []) for name in NAMES]
    assert json.loads(run("schema").stdout)["title"] == "Recipe"


def test_the_same_for_people(made: Path) -> None:
    table = run("list", cwd=made / "recipes").stdout.splitlines()  # found upwards
    assert [line.split()[0] for line in table if line.startswith("  ") and line.split()[0] in NAMES] == NAMES
    assert run("show", NAMES[0], "--root", made).stdout == (made / "recipes" / NAMES[0] / "recipe.yaml").read_text(
        encoding="utf-8"
    )
    assert "sha256: " in run("show", NAMES[0], "--resolved", "--root", made).stdout
    assert "dgx-spark" in run("catalog", "list").stdout
    assert "\n2 recipes checked: " in "\n" + run("lint", "--root", made).stdout
    assert "\n1 recipe checked: " in "\n" + run("lint", NAMES[0], "--severity", "error", "--root", made).stdout


def test_lint_tells_every_problem_of_every_recipe(repo: Path) -> None:
    for name, old, new in [
        (NAMES[0], "headline: ar", "headline: az"),
        (NAMES[1], "schema: ", '"\\e[31mx": 1\nschema: '),
    ]:
        file = repo / "recipes" / name / "recipe.yaml"
        file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    done = run("lint", "--root", repo)
    assert done.returncode == 2
    assert "headline: there is no variant 'az'" in done.stderr
    assert f"{repo / 'recipes' / NAMES[1] / 'recipe.yaml'}:" in done.stderr
    assert done.stderr.endswith("error: 2 problems\n")
    assert "\x1b" not in done.stderr
    found = run("lint", "--json", "--root", repo)
    assert found.returncode == 2
    findings = json.loads(found.stdout)["findings"]
    assert [(f["severity"], f["column"]) for f in findings] == [("error", 1), ("error", 1)]
    assert findings[0]["fix"] == "known: ar"
    assert all(f["line"] > 0 for f in findings)
    # Nothing is rendered from them.
    before = {path: path.read_bytes() for path in repo.rglob("*") if path.is_file()}
    assert fails(2, "render", "--root", repo)
    assert {path: path.read_bytes() for path in repo.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("size", [50 << 20])
def test_what_is_no_recipe_file_ends_with_2(repo: Path, size: int) -> None:
    file = repo / "recipes" / NAMES[0] / "recipe.yaml"
    with file.open("wb") as stream:
        stream.truncate(size)
    assert f"{file}: is larger than 1 MiB" in fails(2, "lint", "--root", repo)
    file.unlink()
    file.mkdir()
    assert f"{file}: this is a folder" in fails(2, "lint", "--root", repo)
    file.rmdir()
    file.write_text("&a [" + "*a, " * 9 + "*a]", encoding="utf-8")
    assert f"{file}:1:1: is nested too deeply" in fails(2, "render", "--root", repo)
    file.write_text("[" * 300_000, encoding="utf-8")
    assert "is nested too deeply" in fails(2, "show", NAMES[0], "--root", repo)


def test_render_check_names_every_file_that_was_edited(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = repo / "recipes" / NAMES[0]
    assert run("render", "--check", "--root", repo).stdout == "2 kits up to date\n"
    kit = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "recipe.yaml"
    )
    assert {"Dockerfile", "compose.yaml", "README.md", "scripts/launch_server.sh", "scripts/bench.sh"} <= set(kit)
    for path in kit:
        whole = (folder / path).read_bytes()
        (folder / path).write_bytes(whole + b"\n")
        if path == kit[0]:
            done = run("render", NAMES[0], "--check", "--root", repo)
            said = done.stdout
            assert done.returncode == 1
        else:  # in this process: a start for each of them takes its time
            with pytest.raises(CheckFailed) as caught:
                cli.main(["render", NAMES[0], "--check", "--root", str(repo)], standalone_mode=False)
            said = capsys.readouterr().out
            assert caught.value.exit_code == 1
        named = [line for line in said.splitlines() if line.startswith("  recipes/")]
        assert any(line.startswith(f"  recipes/{NAMES[0]}/{path} (") for line in named)
        assert len(named) == 1 or path == "SHA256SUMS"
        (folder / path).write_bytes(whole)
    assert run("render", "--check", "--root", repo).returncode == 0


def test_render_check_sees_what_is_missing_and_what_cannot_run(repo: Path) -> None:
    folder = repo / "recipes" / NAMES[0]
    (folder / "scripts" / "bench.sh").chmod(0o644)
    (folder / "compose.yaml").unlink()
    done = run("render", "--check", "--root", repo)
    assert done.returncode == 1
    assert f"  recipes/{NAMES[0]}/compose.yaml (missing)" in done.stdout
    assert f"  recipes/{NAMES[0]}/scripts/bench.sh (" in done.stdout
    assert "2 files are not as their recipes say" in done.stderr
    assert run("render", "--root", repo).returncode == 0
    assert run("render", "--check", "--root", repo).returncode == 0
    (folder / "README.md").write_text("mine", encoding="utf-8")
    assert "README.md" in fails(1, "render", "--root", repo)  # nobody's own text is overwritten
    assert (folder / "README.md").read_text(encoding="utf-8") == "mine"


def test_schema_check(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    assert "is not the schema of this version" in fails(1, "schema", "--check", file)
    file.write_text(run("schema").stdout, encoding="utf-8")
    assert run("schema", "--check", file).returncode == 0


FAULT = """
import sys
from recipegen import workspace
def fail(root): raise RuntimeError("inner \\x1b[31m trouble")
workspace.Workspace.open = staticmethod(fail)
from recipegen.cli import main
main()
"""


def test_a_fault_of_our_own_is_told_without_a_traceback() -> None:
    plain = subprocess.run([sys.executable, "-c", FAULT, "list"], capture_output=True, text=True, timeout=60)
    assert plain.returncode == 70
    assert "unexpected RuntimeError: inner \\x1b[31m trouble" in plain.stderr
    assert "--debug" in plain.stderr
    assert "Traceback" not in plain.stderr
    debug = subprocess.run([sys.executable, "-c", FAULT, "--debug", "list"], capture_output=True, text=True, timeout=60)
    assert debug.returncode == 70
    assert "Traceback" in debug.stderr


def test_debug_shows_a_traceback_and_keeps_the_exit_code(tmp_path: Path) -> None:
    done = run("--debug", "list", "--root", tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "is not a recipe repository" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["schema"]])
def test_a_reader_that_leaves_early_sees_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    argv = [sys.executable, "-m", "recipegen", *arguments]
    done = subprocess.run(argv, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 1


def test_starting_loads_nothing_heavy() -> None:
    code = (
        "import sys; import recipegen.cli, recipegen.cli.recipes, recipegen.workspace\n"
        "heavy = {'docker', 'rich', 'huggingface_hub', 'llama_benchy', 'psutil', 'jinja2', 'pydantic', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
