"""recipe.lock.yaml: its text, its pins in a completed recipe, what it leaves open, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipegen.complete import complete
from recipegen.errors import RecipegenError, SpecError
from recipegen.lock import LOCK_FILE, Lock, lock_text, parts, pinned, read_lock, stale, unpinned, write_lock
from recipegen.pins.git import advertised
from recipegen.pins.registry import image_name
from recipegen.spec.completed import Spec
from recipegen.spec.model import Recipe
from recipegen.web import BadAnswer, NotThere

DIGEST = f"sha256:{'d' * 64}"
COMMIT = "c" * 40
DAY = "2026-11-21"
IMAGE = {"mode": "prebuilt", "base": "ghcr.io/owner/engine:nightly"}


def recipe(**changes: Any) -> Spec:
    data: dict[str, Any] = {
        "schema": "recipegen/v1",
        "name": "mine",
        "title": "Mine",
        "model": {"hf_id": "owner/target"},
        "image": IMAGE,
        "engine": {"name": "vllm"},
        "headline": "ar",
        "variants": {"ar": {}},
        "bench": {"corpora": {"prose": {"url": "https://host.example/prose.txt"}}},
    }
    return complete(Recipe.model_validate({**data, **changes}))


def lock(**sections: Any) -> Lock:
    filled = {
        section: {key: {"resolved": DAY, **pin} for key, pin in pins.items()} for section, pins in sections.items()
    }
    return Lock.model_validate({"schema": "recipegen-lock/1", "recipegen": "0.1.0", **filled})


FULL = lock(
    images={"base": {"asked": "ghcr.io/owner/engine:nightly", "digest": DIGEST}},
    models={"model": {"asked": "owner/target", "commit": COMMIT}},
    packages={"transformers": {"asked": "transformers>=5.0.0", "version": "5.10"}},
    tools={"llama-benchy": {"asked": "llama-benchy==0.4.0", "version": "0.4.0"}},
    corpora={"prose": {"asked": "https://host.example/prose.txt", "sha256": "e" * 64}},
)


def test_pins_come_into_the_spec_and_into_its_identity() -> None:
    spec = recipe()
    before = spec.sha256
    found = pinned(spec, FULL)
    assert found.image.base == f"ghcr.io/owner/engine:nightly@{DIGEST}"
    assert found.image.transformers == "transformers==5.10"
    assert found.models["model"].revision == COMMIT
    assert found.bench.corpora["prose"].sha256 == "e" * 64
    assert found.sha256 != before == spec.sha256
    assert found.cells() == spec.cells()
    assert Spec.model_validate(found.model_dump()).sha256 == found.sha256


def test_a_lock_that_pins_nothing_changes_nothing() -> None:
    assert pinned(recipe(), lock()) == recipe()
    assert pinned(recipe(), lock()).sha256 == recipe().sha256


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"image": {"mode": "prebuilt", "base": "ghcr.io/owner/engine:v2"}}, ("images", "base")),
        ({"image": {"mode": "prebuilt", "base": f"ghcr.io/owner/engine@{DIGEST}"}}, ("images", "base")),
        ({"model": {"hf_id": "owner/target", "revision": "b" * 40}}, ("models", "model")),
        ({"model": {"hf_id": "owner/target", "revision": "main"}}, ("models", "model")),
        ({"model": {"hf_id": "owner/other"}}, ("models", "model")),
        ({"image": {**IMAGE, "transformers": "transformers>=6"}}, ("packages", "transformers")),
        ({"image": {**IMAGE, "transformers": "none"}}, ("packages", "transformers")),
        ({"bench": {"tool": "0.5.0"}}, ("tools", "llama-benchy")),
        ({"bench": {"corpora": {"prose": {"builtin": "us-founding-texts"}}}}, ("corpora", "prose")),
    ],
)
def test_a_pin_for_something_else_is_stale_and_ignored(changes: dict[str, Any], place: tuple[str, str]) -> None:
    spec = recipe(**changes)
    section, key = place
    pin = FULL.pins()[place]
    assert pin.value in stale(spec, FULL)[place]
    only = Lock.model_validate({"schema": "recipegen-lock/1", "recipegen": "1", section: {key: pin}})
    assert pinned(spec, only) == spec


def test_nothing_is_stale_in_a_current_lock() -> None:
    assert stale(recipe(), FULL) == {}


def test_what_is_open_is_named_with_its_place_in_the_recipe() -> None:
    spec = recipe(
        models={
            "drafter": {"hf_id": "owner/drafter", "role": "drafter"},
            "branch": {"hf_id": "owner/branch", "revision": "main"},
            "fixed": {"hf_id": "owner/fixed", "revision": COMMIT},
        },
        image={
            "mode": "source",
            "base": "build:1",
            "runtime_base": f"run:1@{DIGEST}",
            "repo": "https://host.example/engine",
            "ref": "v1",
            "pip": ["scipy", "orjson==3.1.0", "Flash_Attn[x]==2.*", "flash-attn>2"],
        },
    )
    assert [path for path, _ in unpinned(spec, None)] == [
        ("image", "base"),
        ("image", "ref"),
        ("model", "hf_id"),
        ("models", "drafter", "hf_id"),
        ("models", "branch", "revision"),
        ("image", "transformers"),
        ("image", "pip", 0),
        ("image", "pip", 2),
        ("bench", "corpora", "prose", "url"),
    ]
    assert [what for path, what in unpinned(spec, None) if path[-1] == "ref"] == [
        "v1 is a tag or a branch of https://host.example/engine, not a commit"
    ]


def test_nothing_of_a_record_is_pinned() -> None:
    spec = recipe(image={"mode": "prebuilt", "base": "x:1"}, missing=["how it was built"])
    earlier = lock(images={"base": {"asked": "x:1", "digest": DIGEST}})
    assert parts(spec) == []
    assert unpinned(spec, None) == []
    assert pinned(spec, earlier) == spec
    assert stale(spec, earlier) == {
        ("images", "base"): f"pinned {DIGEST} for x:1, but the recipe is a record of what others ran"
    }


def test_requirements_on_one_project_are_one_part_and_get_one_version() -> None:
    spec = recipe(image={"mode": "prebuilt", "base": "x:1", "pip": ["Flash_Attn[cuda]>2", "flash.attn<3"]})
    asked = {part.key: part.asked for part in parts(spec) if part.section == "packages"}
    assert asked == {"transformers": "transformers>=5.0.0", "flash-attn": "Flash_Attn[cuda]>2 and flash.attn<3"}
    found = pinned(spec, lock(packages={"flash-attn": {"asked": asked["flash-attn"], "version": "2.8"}}))
    assert found.image.pip == ("Flash_Attn[cuda]==2.8", "flash.attn==2.8")


def test_wheels_that_a_lock_does_not_cover_stay_open() -> None:
    spec = recipe(image={"mode": "wheels", "base": f"x@{DIGEST}", "wheels": ["vllm", "torch==2.1"]})
    assert [path for path, _ in unpinned(spec, FULL)] == [("image", "wheels", 0)]


def test_a_local_image_keeps_its_name_and_stays_open() -> None:
    spec = recipe()
    found = lock(images={"base": {"asked": spec.image.base, "local": DIGEST}})
    assert pinned(spec, found).image.base == spec.image.base
    assert "one machine only" in dict(unpinned(spec, found))["image", "base"]


ODD = ("12345678901234567890" * 2, "1234e56789" * 4, "0" * 40)


@pytest.mark.parametrize("commit", ODD)
def test_a_commit_that_looks_like_a_number_stays_text(tmp_path: Path, commit: str) -> None:
    written = lock(models={"on": {"asked": "owner/on", "commit": commit}})
    write_lock(written, tmp_path)
    assert read_lock(tmp_path / LOCK_FILE) == written


def test_a_lock_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_lock(FULL, tmp_path)
    assert read_lock(tmp_path / LOCK_FILE) == FULL
    text = lock_text(FULL)
    assert text.startswith("# Written by `recipegen lock`")
    assert lock_text(FULL) == text
    assert 'version: "5.10"' in text


def test_no_file_is_no_lock(tmp_path: Path) -> None:
    assert read_lock(tmp_path / LOCK_FILE) is None


HEAD = 'schema: recipegen-lock/1\nrecipegen: "1"\n'
PIN = f'asked: "a", resolved: "{DAY}"'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "the file is empty"),
        ("schema: [", 2, "not valid YAML"),
        ("- x\n", 1, "the lock must be a mapping"),
        ("schema: recipegen-lock/1\n", 1, "the lock lacks the key 'recipegen'"),
        ('schema: recipegen-lock/2\nrecipegen: "1"\n', 1, "is not one of recipegen-lock/1"),
        (HEAD + "image: {}\n", 3, "unknown key 'image'"),
        (HEAD + f'images:\n  base: {{{PIN}, digest: "sha256:abc"}}\n', 4, "images.base.digest"),
        (HEAD + f"images:\n  base: {{{PIN}}}\n", 4, "needs one of digest and local"),
        (HEAD + f'images:\n  other: {{{PIN}, digest: "{DIGEST}"}}\n', 4, "other"),
        (HEAD + f'models:\n  model: {{{PIN}, commit: "{COMMIT}\\n"}}\n', 4, "models.model.commit"),
        (HEAD + f'models:\n  model: {{{PIN}, commit: "{COMMIT}", more: 1}}\n', 4, "unknown key 'more'"),
        (HEAD + f"models:\n  model: {{{PIN}, commit: {'1' * 40}}}\n", 4, "must be text"),
        (HEAD + f'models:\n  model: {{asked: "a", resolved: "today", commit: "{COMMIT}"}}\n', 4, "resolved"),
        (HEAD + f'packages:\n  x: {{{PIN}, version: "1; rm"}}\n', 4, "packages.x.version"),
        (HEAD + f'corpora:\n  p: {{{PIN}, sha256: "{"E" * 64}"}}\n', 4, "corpora.p.sha256"),
    ],
)
def test_a_wrong_lock_is_told_with_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = tmp_path / LOCK_FILE
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_lock(file)
    problem = caught.value.problems[0]
    assert (problem.where.file, problem.where.line) == (file, line)
    assert words in problem.message


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(RecipegenError, match="a folder"):
        read_lock(tmp_path / LOCK_FILE)


@pytest.mark.parametrize(
    ("reference", "url", "tag"),
    [
        ("ubuntu", "https://registry-1.docker.io/v2/library/ubuntu", "latest"),
        ("python:3.11-slim", "https://registry-1.docker.io/v2/library/python", "3.11-slim"),
        ("vllm/vllm-openai:nightly", "https://registry-1.docker.io/v2/vllm/vllm-openai", "nightly"),
        ("ghcr.io/a/b/c:1", "https://ghcr.io/v2/a/b/c", "1"),
        ("nvcr.io/nvidia/vllm:26.04-py3", "https://nvcr.io/v2/nvidia/vllm", "26.04-py3"),
        ("localhost/x", "http://localhost/v2/x", "latest"),
        ("localhost:5000/x:y", "http://localhost:5000/v2/x", "y"),
        ("127.0.0.1:5000/x", "http://127.0.0.1:5000/v2/x", "latest"),
        ("host.example:5000/x", "https://host.example:5000/v2/x", "latest"),
    ],
)
def test_references_are_read_as_docker_does(reference: str, url: str, tag: str) -> None:
    found = image_name(reference)
    assert (found.api, found.tag) == (url, tag)


@pytest.mark.parametrize("reference", ["Owner/Upper", "a//b", "x:", "x:-1", "host.example:port/x", "a/../b", "x/"])
def test_what_no_registry_can_have(reference: str) -> None:
    with pytest.raises(NotThere, match="not the name of an image"):
        image_name(reference)


@pytest.mark.parametrize(
    "body",
    [
        b"000",
        b"zzzz",
        b"00ff# short",
        b"0000" + b"0010nonsense\n\n\n\n",
        b"0009ERR no",
        f"0035{COMMIT[:-1]}g refs/x".encode() + b"\n\n\n\n",
    ],
)
def test_a_ref_list_that_makes_no_sense(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        advertised(body)


def test_an_empty_repository_has_no_refs() -> None:
    line = f"{'0' * 40} capabilities^{{}}\0agent=git\n".encode()
    assert set(advertised(f"{len(line) + 4:04x}".encode() + line + b"0000")) == {"capabilities^{}"}
