"""Files of charts as they were drawn: a change in one is a change of data, of a chart, or of vl-convert.

`make golden` writes them anew; look at them before they are committed, light and dark.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.rich_results import made_repository

from recipegen.publish.charts.svg import svg
from recipegen.publish.shown import Shown, read_shown
from recipegen.workspace import Workspace

UPDATE = os.environ.get("RECIPEGEN_UPDATE_GOLDEN") == "1"
GOLDEN = Path(__file__).parent / "charts"
CHARTS = ("samples-tg", "concurrency-tg", "acceptance", "baseline", "history-tg")


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    workspace = Workspace.open(made_repository(tmp_path_factory.mktemp("golden") / "repository"))
    found, problems = read_shown(workspace, workspace.spec("made-rich"))
    assert problems == []
    return found


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_as_it_was(rich: Shown, name: str) -> None:
    path = GOLDEN / f"{name}.svg"
    found = svg(next(one for one in rich.charts if one.id == name))
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(found)
    assert found == path.read_bytes(), f"{path.name} has changed; `make golden` takes it over"
