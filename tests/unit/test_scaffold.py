"""New repositories and new recipes: what they begin with, and that a failure leaves nothing behind."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from recipegen.catalog import preset_names
from recipegen.errors import RecipegenError, SpecError
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
        "recipes/.gitkeep", "patches/.gitkeep", "INDEX.md", "index.json", "index.csv", "recipe.schema.json",
        "README.md", ".gitignore", ".github/workflows/recipes.yml",
    }  # fmt: skip
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# my recipes\n")
    assert (folder / "recipe.schema.json").read_text(encoding="utf-8") == schema_text()
    workflow = (folder / ".github/workflows/recipes.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(workflow)["jobs"]
    assert "PUBLISH_SITE" in jobs["site"]["if"]
    assert jobs["site"]["environment"]["url"] == "${{ steps.pages.outputs.page_url }}"
    assert any("recipegen site" in step.get("run", "") for step in jobs["site"]["steps"])
    assert "/site/" in (folder / ".gitignore").read_text(encoding="utf-8").splitlines()
    steps = jobs["check"]["steps"]
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
    assert caught.value.hint.startswith("`recipegen catalog list` shows all")
    with pytest.raises(RecipegenError, match="there is no preset") as caught:
        new_recipe(workspace, "qwen36")
    assert caught.value.hint.partition(";")[0].count(", ") <= 2, "the three nearest"
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
    def fail(*_: object, **__: object) -> None:
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
