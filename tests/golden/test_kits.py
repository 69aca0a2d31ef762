"""Whole kits as they are rendered, one for each build mode and engine. `make golden` writes them anew.

What varies is frozen: recipegen's version and the recipe's hash. Files that are copied as they are stand in
no golden kit; they are compared with their source.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.kits import ROOT, SMALL, SMALL_NAMES, kit_of, small

from recipegen.catalog import builtin_corpus
from recipegen.render import kit as kit_module

UPDATE = os.environ.get("RECIPEGEN_UPDATE_GOLDEN") == "1"
COPIED = {
    "scripts/summary.py",
    "scripts/verify_image.py",
    "scripts/stage_pypi_model.py",
    "scripts/make_tiny_qwen3.py",
}


def is_copied(path: str) -> bool:
    return path in COPIED or path.startswith(("corpora/", "patches/")) or path == kit_module.MANIFEST


@pytest.fixture(params=SMALL_NAMES)
def rendered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Name of a small recipe, and its kit without what varies."""
    monkeypatch.setattr(kit_module, "__version__", "0.0.0")
    spec = small(request.param)
    kit = kit_of(spec)
    yield (
        request.param,
        {path: file.data.replace(spec.sha256.encode(), b"0" * 64) for path, file in kit.items()},
    )


def golden_files(name: str) -> dict[str, bytes]:
    folder = SMALL / name
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "recipe.yaml")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_kit_is_as_it_was(rendered: tuple[str, dict[str, bytes]]) -> None:
    name, files = rendered
    wanted = {path: data for path, data in files.items() if not is_copied(path)}
    if UPDATE:
        for path in golden_files(name):
            (SMALL / name / path).unlink()
        for path, data in wanted.items():
            target = SMALL / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    golden = golden_files(name)
    assert sorted(golden) == sorted(wanted), "files came or went; `make golden` takes them over"
    for path, data in wanted.items():
        assert data.decode() == golden[path].decode(), f"{name}/{path} has changed; `make golden` takes it over"


def test_copied_files_are_their_sources(rendered: tuple[str, dict[str, bytes]]) -> None:
    _, files = rendered
    for path in filter(is_copied, files):
        if path in COPIED:
            source = ROOT / "templates" / "kit" / path
        elif path.startswith("corpora/"):
            source = builtin_corpus(Path(path).stem)
        elif path.startswith("patches/"):
            source = ROOT / path
        else:
            continue
        assert files[path] == source.read_bytes(), path


def test_a_golden_kit_holds_nothing_that_varies(rendered: tuple[str, dict[str, bytes]]) -> None:
    from recipegen import __version__

    name, _ = rendered
    for path, data in golden_files(name).items():
        assert f'"{__version__}"'.encode() not in data, path
        assert str(ROOT).encode() not in data, path
