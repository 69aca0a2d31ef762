"""New repositories and new recipes: what they begin with, and that a failure leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipegen.catalog import preset_names
from recipegen.errors import RecipegenError, SpecError
from recipegen.hub import CONFIG_LIMIT, context_of, quantization_of
from recipegen.load.repo import Repository, find_repository
from recipegen.lock import Lock, write_lock
from recipegen.render.write import compare
from recipegen.scaffold import SCHEMA_LINE, init_repository, new_recipe, recipe_text
from recipegen.spec.schema import schema_text
from recipegen.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    init_repository(tmp_path / "repo")
    return Workspace(Repository(tmp_path / "repo"))


def entries(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.repository.recipes.iterdir())


# Repositories.


def test_init_makes_a_repository_that_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "my recipes"
    written = {path.relative_to(folder).as_posix() for path in init_repository(folder)}
    assert written == {
        "recipes/.gitkeep", "patches/.gitkeep", "INDEX.md", "recipe.schema.json", "README.md", ".gitignore",
        ".github/workflows/recipes.yml",
    }  # fmt: skip
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# my recipes\n")
    assert (folder / "recipe.schema.json").read_text(encoding="utf-8") == schema_text()
    workflow = (folder / ".github/workflows/recipes.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(workflow)["jobs"]["check"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands == [
        "pip install recipegen",
        "recipegen lint",
        "recipegen render --check",
        "recipegen index --check",
    ]
    assert find_repository(folder / "recipes").root == folder
    assert Workspace(Repository(folder)).specs() == []


def test_init_keeps_what_is_there_and_refuses_a_repository(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    written = {path.name for path in init_repository(tmp_path)}
    assert "README.md" not in written
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"
    (tmp_path / "INDEX.md").write_text("changed", encoding="utf-8")
    with pytest.raises(RecipegenError, match="is a recipe repository already") as caught:
        init_repository(tmp_path)
    assert caught.value.exit_code == 2
    assert (tmp_path / "INDEX.md").read_text(encoding="utf-8") == "changed"


def test_init_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(RecipegenError, match="is not a folder"):
        init_repository(tmp_path / "file")


def test_a_folder_that_is_no_repository_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(RecipegenError, match="no recipe repository here or above"):
        find_repository(tmp_path)
    with pytest.raises(RecipegenError, match="it has no recipes/ folder") as caught:
        find_repository(tmp_path, tmp_path / "x")
    assert "recipegen init" in caught.value.hint


# Recipes.


@pytest.mark.parametrize("name", preset_names())
def test_new_from_a_preset_is_rendered_up_to_date_and_without_errors(workspace: Workspace, name: str) -> None:
    folder, kit = new_recipe(workspace, name)
    assert folder == workspace.repository.recipes / name
    text = (folder / "recipe.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"{SCHEMA_LINE}\n# ")
    assert text.count("yaml-language-server") == 1
    spec = workspace.spec(name)
    assert not compare(workspace.kit(spec), folder)
    assert set(kit) == set(workspace.kit(spec))
    if spec.missing:
        assert set(kit) == {"README.md", "SHA256SUMS"}
    else:
        assert os.access(folder / "scripts" / "launch_server.sh", os.X_OK)
    errors = [f for f in workspace.findings(name) if f.severity == "error" and f.silenced is None]
    assert [(f.rule.id, str(f.where), f.message) for f in errors] == []


def test_new_under_another_name(workspace: Workspace) -> None:
    new_recipe(workspace, "mine", preset="smoke-llamacpp")
    assert workspace.spec("mine").name == "mine"
    assert "#" in (workspace.repository.recipes / "mine" / "recipe.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["123", "1.5", "1e5", "0x1f", "null", "true", "0", "no", "a.b-c_d"])
def test_a_name_stays_text_whatever_yaml_makes_of_it(workspace: Workspace, name: str) -> None:
    new_recipe(workspace, name, preset="smoke-llamacpp")
    assert workspace.spec(name).name == name


def test_a_copy_of_a_recipe_has_not_been_measured(workspace: Workspace) -> None:
    folder, _ = new_recipe(workspace, "first", preset="smoke-llamacpp")
    file = folder / "recipe.yaml"
    text = file.read_text(encoding="utf-8").replace("status: planned", "status: measured")
    file.write_text(text.replace("  ar:\n    title: plain decoding", "  ar:\n    title: mine"), encoding="utf-8")
    assert workspace.spec("first").status == "measured"
    new_recipe(workspace, "second", source="first")
    spec = workspace.spec("second")
    assert (spec.name, spec.status, spec.variants["ar"].title) == ("second", "planned", "mine")


def test_a_copy_has_the_pins_and_the_own_files_of_its_source(workspace: Workspace) -> None:
    first, _ = new_recipe(workspace, "first", preset="spark-baseline")
    recipe = first / "recipe.yaml"
    text = re.sub(r"(?m)^  mode: prebuilt$", "  mode: prebuilt\n  files: [sub/x.jinja]", recipe.read_text())
    assert "files:" in text
    recipe.write_text(text)
    (first / "files/sub").mkdir(parents=True)
    (first / "files/sub/x.jinja").write_text("template")
    spec = workspace.unpinned("first")
    pin = {"asked": spec.image.base, "resolved": "2026-11-21", "digest": f"sha256:{'d' * 64}"}
    lock = Lock.model_validate({"schema": "recipegen-lock/1", "recipegen": "0", "images": {"base": pin}})
    write_lock(lock, first)

    second, _ = new_recipe(workspace, "second", source="first")
    assert (second / "files/sub/x.jinja").read_text() == "template"
    assert workspace.lock("second") == lock
    assert "d" * 64 in (second / "Dockerfile").read_text()
    assert not compare(workspace.kit(workspace.spec("second")), second)


def test_line_ends_and_odd_separators_survive_the_renaming() -> None:
    text = recipe_text("b", 'schema: x\r\nname: a  # old\r\ntitle: "x\u2028y"\r\n')
    assert text == f'{SCHEMA_LINE}\nschema: x\nname: b\ntitle: "x\u2028y"\n'
    with pytest.raises(RecipegenError, match="no line that begins with `name:`"):
        recipe_text("b", "{schema: x, name: a}")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc/x", "CON", "Con", "-x", "--help", "x" * 64, "x" * 300, "a b", "a\nb", "a\0b",
     "é", "a..b", "a-", "_a", "$(id)", "a\\b", "~", "a:b"],
)  # fmt: skip
def test_a_name_that_is_no_safe_folder_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(RecipegenError, match="cannot name a recipe") as caught:
        new_recipe(workspace, name, preset="smoke-llamacpp")
    assert caught.value.exit_code == 2
    assert entries(workspace) == [".gitkeep"]


def test_an_unknown_preset_lists_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(RecipegenError, match="there is no preset 'qwen36-35-dflsh'") as caught:
        new_recipe(workspace, "qwen36-35-dflsh")
    assert caught.value.hint.startswith("nearest: qwen36-35b-dflash, ")
    with pytest.raises(RecipegenError, match="there is no preset") as caught:
        new_recipe(workspace, "zzzzzzzz")
    assert all(name in caught.value.hint for name in preset_names())
    with pytest.raises(RecipegenError, match="there is no recipe 'frist'"):
        new_recipe(workspace, "a", source="frist")
    with pytest.raises(RecipegenError, match="there is no recipe"):
        new_recipe(workspace, "a", source="../../etc")
    assert entries(workspace) == [".gitkeep"]


def test_what_is_there_is_left_alone(workspace: Workspace) -> None:
    folder = workspace.repository.recipes / "smoke-llamacpp"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RecipegenError, match="is there already"):
        new_recipe(workspace, "smoke-llamacpp")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    dangling = workspace.repository.recipes / "link"
    dangling.symlink_to("nowhere")
    with pytest.raises(RecipegenError, match="is there already"):
        new_recipe(workspace, "link", preset="smoke-llamacpp")
    assert dangling.is_symlink()


def test_a_broken_source_is_told_where_it_stands_and_nothing_is_left(workspace: Workspace) -> None:
    folder, _ = new_recipe(workspace, "broken", preset="smoke-llamacpp")
    file = folder / "recipe.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("headline: ar", "headline: az"), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        new_recipe(workspace, "copy", source="broken")
    assert [problem.where.file for problem in caught.value.problems] == [file]
    assert entries(workspace) == [".gitkeep", "broken"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_while_rendering_leaves_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("recipegen.render.write.write_atomic", fail)
    with pytest.raises(error):
        new_recipe(workspace, "smoke-llamacpp")
    assert entries(workspace) == [".gitkeep"]


def test_a_template_of_the_repository_that_fails_leaves_nothing(workspace: Workspace) -> None:
    own = workspace.repository.root / "templates" / "kit"
    own.mkdir(parents=True)
    (own / "README.md.j2").write_text("{{ no_such_thing }}", encoding="utf-8")
    with pytest.raises(Exception, match="no_such_thing"):
        new_recipe(workspace, "smoke-llamacpp")
    assert entries(workspace) == [".gitkeep"]


# The hub, by real HTTP with a stand-in on the loopback address.

SHA = "1234567890" * 4
CONFIGS: dict[str, Any] = {
    "plain": {"torch_dtype": "bfloat16", "max_position_embeddings": 40960},
    "nvfp4": {
        "quantization_config": {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"},
        "text_config": {"max_position_embeddings": 262144},
    },
    "hostile": {"dtype": "$(id)\n\x1b", "quantization_config": {"quant_method": "x\ny: z", "bits": True}},
    "list": [1, 2],
}


class Hub(BaseHTTPRequestHandler):
    """What the hub answers: the repository's name says which case it is."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        case = (
            path.split("/")[4] if path.startswith("/api/models/") else path.split("/")[2] if path.count("/") > 1 else ""
        )
        if path.startswith("/api/models/owner/"):
            self.model(case)
        elif path == f"/owner/{case}/resolve/{SHA}/config.json":
            self.config(case)
        else:
            self.answer(404, b"{}")

    def model(self, case: str) -> None:
        if case == "missing":
            self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif case == "gated":
            self.answer(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif case == "broken":
            self.answer(500, b"oh no")
        elif case == "limited":
            self.answer(429, b"slow down")
        elif case == "garbage":
            self.answer(200, b"<html>not a hub</html>")
        elif case == "nonsense":
            self.answer(200, b'{"siblings": 5, "sha": {}}')
        else:
            files = [{"rfilename": "model.safetensors", "size": 21_960_000_000}]
            if case != "gguf":
                files.append({"rfilename": "config.json", "size": CONFIG_LIMIT + 1 if case == "huge" else 100})
            info = {
                "_id": "x", "id": f"owner/{case}", "modelId": f"owner/{case}", "siblings": files, "tags": [],
                "sha": "main" if case == "unpinned" else SHA,
                "gated": "manual" if case == "gated-config" else False,
                "cardData": {"license": "apache-2.0\n\x1b[31m: x" if case == "hostile" else "apache-2.0"},
            }  # fmt: skip
            self.answer(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def config(self, case: str) -> None:
        if case == "gated-config":
            self.answer(401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif case == "cut":
            self.answer(403, b"")  # a 500 would be asked for again, for half a minute
        elif case in ("large", "deep", "text"):
            text = {"large": "{}" + " " * CONFIG_LIMIT, "deep": "[" * 200_000, "text": "not JSON"}[case]
            self.answer(200, text.encode(), {"ETag": f'"{case}"', "X-Repo-Commit": SHA})
        else:
            body = json.dumps(CONFIGS.get(case, {})).encode()
            self.answer(200, body, {"ETag": f'"{case}"', "X-Repo-Commit": SHA})

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def hub_env(endpoint: str, cache: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "proxy" not in key.lower()}
    return {**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}


ASK = """
import json, sys
from recipegen.errors import RecipegenError
from recipegen.hub import recipe_from_hub
out = {}
for case in sys.argv[1:]:
    try:
        out[case] = {"text": recipe_from_hub("x", f"owner/{case}")}
    except RecipegenError as error:
        out[case] = {"exit_code": error.exit_code, "message": error.message, "hint": error.hint}
print(json.dumps(out))
"""
CASES = [
    *CONFIGS, "gguf", "missing", "gated", "gated-config", "broken", "limited", "garbage", "nonsense", "unpinned",
    "huge", "large", "deep", "text", "cut", "a..b",
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(hub: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every case asked in one process: the hub's client reads HF_ENDPOINT only once."""
    env = hub_env(hub, tmp_path_factory.mktemp("cache"))
    done = subprocess.run([sys.executable, "-c", ASK, *CASES], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("case", "exit_code", "message"),
    [
        ("missing", 2, "the hub has no model 'owner/missing', or it is private"),
        ("gated", 3, "owner/gated is gated"),
        ("gated-config", 3, "owner/gated-config is gated"),
        ("broken", 3, "the hub refused: "),
        ("limited", 3, "the hub refused: "),
        ("garbage", 3, "the hub's answer for owner/garbage makes no sense"),
        ("nonsense", 3, "the hub's answer for owner/nonsense makes no sense"),
        ("unpinned", 3, "the hub's answer for owner/unpinned makes no sense (no commit)"),
        ("huge", 2, "config.json of owner/huge is larger than 4 MiB: not a config"),
        ("large", 2, "config.json of owner/large is larger than 4 MiB: not a config"),
        ("deep", 3, "the hub's answer for owner/deep makes no sense (config.json is not JSON)"),
        ("text", 3, "the hub's answer for owner/text makes no sense (config.json is not JSON)"),
        ("cut", 3, "config.json of owner/cut could not be fetched"),
        ("a..b", 2, "'owner/a..b' is not a Hugging Face id"),
    ],
)
def test_what_the_hub_refuses(answers: dict[str, dict[str, Any]], case: str, exit_code: int, message: str) -> None:
    answer = answers[case]
    assert "text" not in answer
    assert answer["message"].startswith(message)
    assert answer["exit_code"] == exit_code
    assert "\n" not in answer["message"]
    if "gated" in case:
        assert f"https://huggingface.co/owner/{case}" in answer["hint"]


def test_what_a_first_recipe_says_of_its_model(answers: dict[str, dict[str, Any]]) -> None:
    recipe = yaml.safe_load(answers["plain"]["text"])
    assert recipe["model"] == {
        "hf_id": "owner/plain", "revision": SHA, "quantization": "BF16", "format": "safetensors", "size_gb": 22.0,
        "license": "apache-2.0",
    }  # fmt: skip
    assert recipe["status"] == "planned"
    assert recipe["engine"]["flags"]["max-model-len"] == 40960
    nvfp4 = yaml.safe_load(answers["nvfp4"]["text"])
    assert nvfp4["model"]["quantization"] == "NVFP4"
    assert nvfp4["engine"]["flags"]["max-model-len"] == 65536
    assert yaml.safe_load(answers["hostile"]["text"])["model"]["quantization"] == "UNKNOWN"
    for case in ("gguf", "list"):  # nothing is known, and nothing is made up
        model = yaml.safe_load(answers[case]["text"])["model"]
        assert model["quantization"] == "unknown"
        assert "format" not in model


def run(args: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recipegen", *args], env=env, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("case", ["hostile", "plain"])
def test_new_from_a_hub_model_renders_its_kit(hub: str, workspace: Workspace, tmp_path: Path, case: str) -> None:
    root = workspace.repository.root
    done = run(["new", "mine", "--model", f"owner/{case}", "--root", str(root)], hub_env(hub, tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    spec = workspace.spec("mine")
    assert (spec.models["model"].hf_id, spec.models["model"].revision) == (f"owner/{case}", SHA)
    assert not compare(workspace.kit(spec), root / "recipes" / "mine")


def test_offline_ends_with_3_and_leaves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    env = hub_env("http://127.0.0.1:9", tmp_path / "cache")
    done = run(["new", "mine", "--model", "owner/name", "--root", str(workspace.repository.root)], env)
    assert done.returncode == 3
    assert done.stderr.startswith("error: the Hugging Face hub cannot be reached (")
    assert "recipegen catalog list" in done.stderr
    assert "Traceback" not in done.stderr
    assert entries(workspace) == [".gitkeep"]


@pytest.mark.parametrize("hf_id", ["name", "a/b/c", "../x", "a/-b", "a b/c", "", "http://a/b", "a/b\n"])
def test_what_is_no_hub_id_is_told_without_asking(workspace: Workspace, hf_id: str) -> None:
    with pytest.raises(RecipegenError, match="is not a Hugging Face id") as caught:
        new_recipe(workspace, "mine", model=hf_id)
    assert caught.value.exit_code == 2
    assert entries(workspace) == [".gitkeep"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ("unknown", None)),
        ({"dtype": "float16"}, ("FP16", "safetensors")),
        ({"text_config": {"dtype": "bfloat16"}}, ("BF16", "safetensors")),
        ({"dtype": "int3"}, ("unknown", "safetensors")),
        ({"quantization_config": {"quant_method": "fp8"}}, ("FP8", "fp8")),
        ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}},
         ("NVFP4", "modelopt")),
        ({"quantization_config": {"quant_method": "mxfp4"}}, ("MXFP4", "mxfp4")),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, ("INT4", "awq")),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, ("BITSANDBYTES", "bitsandbytes")),
        ({"quantization_config": {}}, ("UNKNOWN", "unknown")),
    ],
)  # fmt: skip
def test_quantization_is_read_from_the_config(config: dict[str, Any], expected: tuple[str, str | None]) -> None:
    assert quantization_of(config) == expected


def test_the_context_is_that_of_the_text_part() -> None:
    assert context_of({"max_position_embeddings": 5, "text_config": {"max_position_embeddings": 7}}) == 7
    assert context_of({"max_position_embeddings": 5}) == 5
    for odd in (True, "5", -1, 0, None, 1.5):
        assert context_of({"max_position_embeddings": odd}) is None
