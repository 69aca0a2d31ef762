"""Bundles of this repository's own measurements: real runs of real engines, made twice, verified, altered, found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recipegen.bundle.layout import NoBundle
from recipegen.bundle.unpack import unpack
from recipegen.verify.whole import verify_bundle
from tests.support.scenario import ROOT, succeed


@pytest.mark.parametrize("name", ["smoke-vllm-cpu", "smoke-llamacpp"])
def test_a_committed_measurement(name: str, tmp_path: Path) -> None:
    root = tmp_path / "repo"
    for part in ("recipes", "patches", "templates"):
        shutil.copytree(ROOT / part, root / part)
    first, second = tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"
    # Measure these two again when their kit or the driver's command lines change (CONTRIBUTING.md).
    for path in (first, second):
        made = json.loads(succeed("bundle", name, "--root", root, "-o", path, "--json"))
    assert first.read_bytes() == second.read_bytes()
    assert made["claim"]["doubts"] == []
    found = json.loads(succeed("verify", first, "--json"))
    assert (found["bundle"], found["verified"], found["counts"]["failed"]) == (made["bundle"], True, 0)
    # No ceiling of a CPU is known, and models of these sizes are not asked questions.
    open_points = {check["id"] for check in found["checks"] if check["status"] == "undecidable"}
    assert open_points <= {"plausibility", "quality"}, found

    folder = unpack(first, tmp_path).root
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) == len(json.loads((folder / "MANIFEST.json").read_text())["files"]) + 1
    for path in files:
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 1]) + raw[len(raw) // 2 + 1 :])
        try:
            checks = verify_bundle(folder).checks
            assert [one for one in checks if (one.id, one.status) == ("manifest", "failed")], path
        except NoBundle:
            assert path.name == "MANIFEST.json"
        path.write_bytes(raw)
    assert {check.id for check in verify_bundle(folder).checks if check.status == "failed"} == set()
