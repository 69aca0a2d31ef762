"""What a bundle says of one fixed measurement, whole pages. `make golden` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.bundle_factory import made, measure, repository

from recipegen import __version__
from recipegen.bundle import make

UPDATE = os.environ.get("RECIPEGEN_UPDATE_GOLDEN") == "1"
GOLDEN = Path(__file__).parent / "bundle"
PAGES = ("README.md", "CITATION.txt", "claim.json", "chart.svg")
VERSIONS = {"recipegen": "0.0.0", "llama_benchy": "0.4.0", "python": "3.12.3"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = repository(tmp_path_factory.mktemp("golden") / "repo")
    measure(root, "ar", hour=6, tgs=(20.0, *(43 + step / 50 for step in range(12))), versions=VERSIONS)
    measure(root, versions=VERSIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "all_boards", dict)  # their payloads have tests of their own
        sources = made(root).sources
    found = {}
    for page in PAGES:
        data = sources[page]
        assert isinstance(data, bytes)
        found[page] = data.decode().replace(f'"bundle": "{__version__}"', '"bundle": "0.0.0"')
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_as_it_was(pages: dict[str, str], page: str) -> None:
    path = GOLDEN / page
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(pages[page], encoding="utf-8")
    assert pages[page] == path.read_text(encoding="utf-8")
