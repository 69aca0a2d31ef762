"""The static site: hostile words stay words, a strict policy holds, only what changed is read and written."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from recipegen.cli.site import site_command
from recipegen.errors import RecipegenError, SpecError
from recipegen.publish.row import Row
from recipegen.site.build import Built, build_site
from recipegen.site.manifest import FILE, fingerprint
from recipegen.site.rows import row_from_data, row_to_data
from recipegen.site.serve import site_server
from recipegen.workspace import Workspace, resolved_data
from tests.support.rich_results import HOSTILE, made_repository
from tests.support.scenario import ROOT

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


class Page(HTMLParser):
    """What a page holds: elements with their attributes, ids, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._data = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._data = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._data = False

    def handle_data(self, data: str) -> None:
        if not self._data:
            self.text += data

    @property
    def ids(self) -> list[str]:
        return [str(attrs["id"]) for _, attrs in self.elements if "id" in attrs]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_repository(tmp_path_factory.mktemp("made") / "repository")


@pytest.fixture(scope="module")
def site(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    build(made, out)
    return out


def build(root: Path, out: Path, **options: Any) -> Built:
    return build_site(Workspace.open(root), out, **options)


def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def files(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_there_is_a_page_for_everything(site: Path) -> None:
    names = {"made-rich", "made-single", "made-failed", "made-nothing", "made-hostile"}
    assert set(pages(site)) == {
        *("index.html", "compare.html", "rules.html", "method.html"),
        *(f"recipes/{name}.html" for name in names),
    }
    assert {path.name for path in (site / "data").iterdir()} == {f"{name}.js" for name in names}
    assert json.loads((site / "index.json").read_text())["format"] == "recipegen-index/1"


def test_every_page_has_the_policy_and_nothing_that_it_forbids(site: Path) -> None:
    for path, page in pages(site).items():
        metas = [attrs for tag, attrs in page.elements if tag == "meta"]
        assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in metas, path
        for tag, attrs in page.elements:
            assert tag not in ("style", "iframe", "object", "embed", "base"), path
            assert not [name for name in attrs if name.startswith("on") or name == "style"], (path, tag, attrs)
            if tag == "script":
                assert attrs.get("type") == "application/json" or "src" in attrs, path
        assert ("html", {"lang": "en"}) in page.elements
        assert len(page.ids) == len(set(page.ids)), path


def test_links_lead_to_files_and_places_that_are_there_and_assets_to_no_other_host(site: Path) -> None:
    all_pages = pages(site)
    for path, page in all_pages.items():
        for tag, attrs in page.elements:
            target = attrs.get("href") if tag in ("a", "link") else attrs.get("src")
            if target is None or attrs.get("rel") == "icon":
                assert target in (None, "data:,")  # an icon that is none, so that no browser asks the host for one
                continue
            if re.match(r"[a-z]+:", target):
                assert tag == "a" and target.startswith("https://"), (path, target)
                continue
            file, _, place = target.partition("#")
            where = (site / path).parent / file.partition("?")[0] if file else site / path
            assert where.is_file(), (path, target)
            name = where.resolve().relative_to(site.resolve()).as_posix()
            assert not place or name not in all_pages or place in all_pages[name].ids, (path, target)


def test_headings_go_down_one_step_at_a_time(site: Path) -> None:
    for path, page in pages(site).items():
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1, path
        assert all(after <= before + 1 for before, after in pairwise(levels)), path


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_words_are_shown_as_text(site: Path, kind: str) -> None:
    page = pages(site)["recipes/made-hostile.html"]
    assert HOSTILE[kind] in page.text
    assert not [attrs for tag, attrs in page.elements if tag == "img"]
    raw = (site / "recipes/made-hostile.html").read_text()
    assert "<script>alert" not in raw and "<img" not in raw
    assert "</script" not in (site / "data/made-hostile.js").read_text()


def test_a_recipe_page_shows_every_sample_every_run_and_what_moved(site: Path) -> None:
    text = pages(site)["recipes/made-rich.html"].text
    assert len(re.findall(r"20261\d+T0\d+Z-dflash: dflash \(DFlash\)", text)) == 8
    assert "gain" in text and "engine vllm 0.18.1 → 0.19.0" in text
    assert "95 % interval" in text and "(cold)" in text
    assert "recipegen bench made-rich" in text and "bash scripts/bench.sh" in text
    assert "Leaves memory for the desktop." in text  # why a flag is there


@pytest.mark.parametrize(
    ("name", "words", "charts"),
    [
        ("made-nothing", "Nobody has measured this recipe from this repository yet.", 0),
        ("made-failed", "CUDA out of memory <b>&amp;</b>", 0),
        ("made-single", "one sample", 3),
        ("made-rich", "× baseline", 11),
    ],
)
def test_recipes_with_little_to_show(site: Path, name: str, words: str, charts: int) -> None:
    page = pages(site)[f"recipes/{name}.html"]
    assert words in page.text
    assert sum(tag == "figure" for tag, _ in page.elements) == charts
    assert "Published by others" in page.text and "153.00 ms" in page.text


def test_a_page_has_every_value_with_the_defaults_put_in(site: Path, made: Path) -> None:
    _, found, rest = pages(site)["recipes/made-rich.html"].text.partition("prints it.")
    assert found
    assert json.JSONDecoder().raw_decode(rest)[0] == resolved_data(Workspace.open(made).spec("made-rich"))


def test_files_are_linked_where_the_repository_can_be_looked_at(made: Path, site: Path, tmp_path: Path) -> None:
    page = pages(site)["recipes/made-single.html"]
    assert not [attrs for tag, attrs in page.elements if tag == "a" and "results/" in str(attrs.get("href"))]
    args = ["--root", str(made), "-o", str(tmp_path / "site")]
    linked = CliRunner().invoke(site_command, [*args, "--repository-url", "https://example.org/me/mine/blob/main/"])
    assert linked.exit_code == 0, linked.output
    page = pages(tmp_path / "site")["recipes/made-single.html"]
    base = "https://example.org/me/mine/blob/main/recipes/made-single/"
    links = {str(attrs["href"]).removeprefix(base) for tag, attrs in page.elements if tag == "a" and "href" in attrs}
    recipe = made / "recipes" / "made-single"
    reports = {path.relative_to(recipe).as_posix() for path in recipe.rglob("prose-*-c1.json")}
    assert "recipe.yaml" in links and links & reports


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "git@example.org:me/mine", "https://", 'https://x/"onclick="', ""]
)
def test_files_are_linked_to_web_addresses_only(made: Path, tmp_path: Path, url: str) -> None:
    args = ["--root", str(made), "-o", str(tmp_path / "site"), "--repository-url", url]
    refused = CliRunner().invoke(site_command, args)
    assert isinstance(refused.exception, RecipegenError) and "not the web address" in str(refused.exception)
    assert not (tmp_path / "site").exists()


def test_the_kits_commands_are_those_of_its_readme(made: Path) -> None:
    from recipegen.render.kit import kit_commands

    for root in (made, ROOT):
        workspace = Workspace.open(root)
        for spec in workspace.specs():
            if not spec.missing:
                readme = workspace.kit(spec)["README.md"].data.decode()
                commands = kit_commands(spec, workspace.templates)
                assert f"```bash\n{commands}```" in readme and "docker build" in commands, spec.name


def test_figures_of_others_stand_under_their_own_heading_only(site: Path) -> None:
    before, heading, after = (site / "recipes/made-rich.html").read_text().partition('<h2 id="published">')
    assert heading and "153.00" not in before and "153.00 ms" in after


def test_the_same_repository_makes_the_same_site(made: Path, site: Path, tmp_path: Path) -> None:
    build(made, tmp_path / "again", title="repository")
    first, second = files(site), files(tmp_path / "again")
    del first[FILE], second[FILE]
    assert first == second


def test_only_what_changed_is_read_and_written(made: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "repository", tmp_path / "site"
    shutil.copytree(made, root)
    assert build(root, out).read == 5
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    unchanged = build(root, out)
    assert (unchanged.written, unchanged.read) == ((), 0)
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*")}

    recipe = root / "recipes" / "made-single" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("Made-up recipe for tests", "Another title"))
    built = build(root, out)
    assert built.read == 1
    assert set(built.written) == {
        *("index.html", "index.json", "index.csv", "recipes/made-single.html", "data/made-single.js")
    }
    assert "Another title" in (out / "index.html").read_text()

    shutil.rmtree(root / "recipes" / "made-failed")
    gone = build(root, out)
    assert set(gone.removed) == {"recipes/made-failed.html", "data/made-failed.js"}
    assert "made-failed" not in (out / "index.html").read_text()


def test_a_page_that_was_lost_is_written_again(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    build(made, out)
    (out / "recipes" / "made-rich.html").unlink()
    (out / "rules.html").unlink()
    assert {"recipes/made-rich.html", "rules.html"} <= set(build(made, out).written)
    assert (out / "rules.html").is_file()


def test_a_changed_template_of_the_repository_is_noticed(made: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "repository", tmp_path / "site"
    shutil.copytree(made, root)
    build(root, out)
    own = root / "templates" / "site" / "method.html.j2"
    own.parent.mkdir(parents=True)
    own.write_text('{% extends "site/base.html.j2" %}{% block main %}<h1>Our own {{ "<i>" }}</h1>{% endblock %}')
    assert "method.html" in build(root, out).written
    assert "Our own &lt;i&gt;" in (out / "method.html").read_text()


def test_files_of_others_are_neither_overwritten_nor_removed(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(RecipegenError, match="holds files that are no site") as caught:
        build(made, out)
    assert "-o DIR" in caught.value.hint and [path.name for path in out.iterdir()] == ["thesis.txt"]
    (out / "thesis.txt").unlink()
    build(made, out)
    (out / "thesis.txt").write_text("mine")
    manifest = json.loads((out / FILE).read_text())
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    manifest["files"]["../outside.txt"] = "0" * 64
    manifest["files"]["thesis.txt"] = "0" * 64
    (out / FILE).write_text(json.dumps(manifest))
    build(made, out, force=True)
    assert (out / "thesis.txt").read_text() == outside.read_text() == "mine"


def test_broken_recipes_and_reports_are_all_named_and_the_site_stays(made: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "repository", tmp_path / "site"
    shutil.copytree(made, root)
    build(root, out)
    before = files(out)
    (root / "recipes" / "made-nothing" / "recipe.yaml").write_text("schema: [")
    report = next((root / "recipes" / "made-single" / "results").rglob("prose-*-c1.json"))
    report.write_text(report.read_text().replace("88.0", "99.0"))
    with pytest.raises(SpecError) as caught:
        build(root, out)
    told = "\n".join(map(str, caught.value.problems))
    assert "made-nothing" in told and "SHA-256 differs" in told
    assert files(out) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "recipegen-site/0"}', '{"format": "recipegen-site/1"}'])
def test_a_broken_manifest_is_no_site_to_trust(site: Path, made: Path, tmp_path: Path, text: str) -> None:
    out = tmp_path / "site"
    shutil.copytree(site, out)
    (out / FILE).write_text(text)
    assert build(made, out, title="repository").read == 5


def test_what_somebody_changed_in_the_manifest_is_read_anew(site: Path, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    shutil.copytree(site, out)
    manifest = json.loads((out / FILE).read_text())
    manifest["recipes"]["made-single"]["row"] = {"name": "made-single"}
    manifest["recipes"]["made-failed"] = "nothing"
    del manifest["files"]["data/made-rich.js"]
    (out / FILE).write_text(json.dumps(manifest))
    assert build(made, out).read == 3
    first, second = files(site), files(out)
    del first[FILE], second[FILE]
    assert first == second


def test_a_first_site_that_was_interrupted_can_be_gone_on_with(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: object) -> str:
        raise KeyboardInterrupt

    out = tmp_path / "site"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("recipegen.site.pages.Pages.vega", stop)
        build(made, out)
    assert (out / "index.html").is_file()
    assert build(made, out).files == len(files(out)) - 1  # the manifest is none of its own files


def test_code_that_python_compiles_meanwhile_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("")
    first = fingerprint(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"x")
    assert fingerprint(tmp_path) == first


def test_the_fingerprint_sees_names_sizes_and_times(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    first = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == first
    os.utime(tmp_path / "a", ns=(1, 1))
    second = fingerprint(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, fingerprint(tmp_path)}) == 3


def test_rows_survive_the_manifest(made: Path) -> None:
    from recipegen.publish.shown import read_shown

    workspace = Workspace.open(made)
    for name in workspace.repository.names():
        row: Row = read_shown(workspace, workspace.spec(name))[0].row
        assert row_from_data(json.loads(json.dumps(row_to_data(row)))) == row


def test_the_command(made: Path, tmp_path: Path) -> None:
    args = ["--root", str(made), "-o", str(tmp_path / "site")]
    done = CliRunner().invoke(site_command, args)
    assert done.exit_code == 0 and "5 of 5 recipes read" in done.output
    assert CliRunner().invoke(site_command, args).output.startswith("up to date")
    data = json.loads(CliRunner().invoke(site_command, [*args, "--json"]).output)
    assert (data["recipes"], data["recipes_read"], data["written"]) == (5, 0, [])


def test_the_server_shows_the_site_on_this_machine_only(site: Path) -> None:
    with site_server(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        with urlopen(f"http://127.0.0.1:{port}/index.html") as answer:
            assert answer.headers["Content-Type"] == "text/html"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        (site / "outside.html").symlink_to("/etc/hostname")
        for path in (FILE, "recipes/", "outside.html", "../build.py", "%2e%2e/x", "%2e" + FILE[1:]):
            with pytest.raises(HTTPError) as caught:
                urlopen(f"http://127.0.0.1:{port}/{path}")
            assert caught.value.code == 404, path
        (site / "outside.html").unlink()
        server.shutdown()


def test_the_repositorys_own_site(tmp_path: Path) -> None:
    built = build(ROOT, tmp_path / "site")
    assert built.recipes == len(list((ROOT / "recipes").glob("*/recipe.yaml")))
    front = Page((tmp_path / "site" / "index.html").read_text())
    assert "smoke-llamacpp" in front.text and "published by others" in front.text
