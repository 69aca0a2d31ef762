"""One cell with all that happens around it: llama-benchy, the sampler, the verdict; the first one a stand-in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from recipegen.bench.corpora import StagedCorpus
from recipegen.bench.display import Display
from recipegen.bench.measured import measure_cell
from recipegen.bench.sampler import Sampler
from recipegen.results.store import CellRecord
from recipegen.runners.plan import HostOptions
from tests.support.kits import small
from tests.unit.test_cell import STAND_IN
from tests.unit.test_sampler import page_of, serving

SPEC = small("vllm-prebuilt")


def measure(tmp_path: Path, url: str, how: str) -> CellRecord:
    options = HostOptions(runner="local", models_dir=tmp_path, hf_home=tmp_path)
    cell = SPEC.cells()[0]
    return measure_cell(
        cast(Any, SimpleNamespace(spec=SPEC, options=options, cluster=None)),
        cast(Any, SimpleNamespace(base_url=url, variant=SPEC.headline)),
        cell,
        cast(Any, SimpleNamespace(folder=tmp_path, record={"host": None, "cells": []}, add_cell=lambda done: None)),
        [sys.executable, "-c", STAND_IN, how],
        StagedCorpus("prose", "text:x", tmp_path, "0" * 64, pinned=True),
        Display(),
    )


def test_a_cell_is_sampled_from_its_first_measured_run_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looks are an hour apart: those that there are were asked for.
    monkeypatch.setattr(
        "recipegen.bench.sampler.Sampler", lambda *args, **options: Sampler(*args, interval_s=3600, **options)
    )
    with serving(lambda number: page_of(tokens=10 * number)) as url:
        done = measure(tmp_path, url, "well")
    assert (done["status"], done["failed_requests"]) == ("done", 0)
    page = json.loads((tmp_path / str(done["metrics"])).read_text())["server"]
    assert page["series"]["generation_tokens"] == [0, 10, 20]  # before, after the warm-up, at the end
    assert page["measuring_from"] is not None
    assert done["verdict"] is not None


def test_lost_requests_and_a_server_without_counters_are_in_the_cells_verdict(tmp_path: Path) -> None:
    with serving(lambda number: (404, b"")) as url:
        done = measure(tmp_path, url, "half")
    assert (done["status"], done["failed_requests"]) == ("done", 1)
    assert done["verdict"] is not None
    reasons = " ".join(done["verdict"]["reasons"])
    assert "1 request failed: its sample is missing" in reasons
    assert "the server's counters were not seen (/metrics answers with status 404)" in reasons


def test_a_cell_that_failed_has_no_verdict_and_keeps_its_metrics(tmp_path: Path) -> None:
    with serving(lambda number: page_of(tokens=number)) as url:
        failed = measure(tmp_path, url, "crash")
    assert (failed["status"], failed["verdict"]) == ("failed", None)
    assert json.loads((tmp_path / str(failed["metrics"])).read_text())["server"]["measuring_from"] is None
