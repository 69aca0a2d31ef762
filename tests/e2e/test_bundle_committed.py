"""Bundles of this repository's own measurements: real runs of real engines, made twice, verified, altered, found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recipegen.bundle.layout import NoBundle
from recipegen.bundle.unpack import unpack
from recipegen.verify.whole import verify_bundle
from tests.support.scenario import ROOT, recipegen, succeed


@pytest.mark.parametrize("name", ["smoke-vllm-cpu", "smoke-llamacpp"])
def test_a_committed_measurement(name: str, tmp_path: Path) -> None:
    root = tmp_path / "repo"
    for part in ("recipes", "patches", "templates"):
        shutil.copytree(ROOT / part, root / part)
    first, second = tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"
    done = recipegen("bundle", name, "--root", root, "-o", first)
    # Measure these two again when their kit or the driver's command lines change (CONTRIBUTING.md).
    if done.returncode != 0:  # the kit has moved on since: no headline, unless told to
        assert (done.returncode, first.exists()) == (1, False), done.stderr
        assert "makes no headline: stale-" in done.stderr
    for path in (first, second):
        made = json.loads(succeed("bundle", name, "--root", root, "-o", path, "--allow-doubtful", "--json"))
    assert first.read_bytes() == second.read_bytes()
    verified = recipegen("verify", first, "--json")
    found = json.loads(verified.stdout)
    assert found["bundle"] == made["bundle"]
    # A run that is older than its recipe was started by command lines that the recipe of today does not give.
    failed = {check["id"] for check in found["checks"] if check["status"] == "failed"}
    stale = [doubt for doubt in made["claim"]["doubts"] if doubt["code"].startswith("stale-")]
    assert failed <= ({"argv-bench", "argv-server"} if stale else set()), found
    assert verified.returncode == (1 if failed else 0)
    open_points = {check["id"] for check in found["checks"] if check["status"] == "undecidable"}
    assert open_points <= {"stale-kit", "stale-recipe", "plausibility", "quality", "fresh"}
    assert {doubt["code"] for doubt in made["claim"]["doubts"]} <= open_points

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
    assert {check.id for check in verify_bundle(folder).checks if check.status == "failed"} == failed
