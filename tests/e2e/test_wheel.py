"""A user who has only the wheel: templates, patches, presets and texts travel in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.support.scenario import ROOT, succeed


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel, built from this checkout, is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        lacking(f"the wheel cannot be built, which needs a package index: {built.stderr[-500:]}")
    (wheel,) = folder.glob("recipegen-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def test_a_repository_and_a_recipe_come_out_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(installed)}
    where = subprocess.run(
        [sys.executable, "-c", "import recipegen; print(recipegen.__file__)"],
        env=env, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert Path(where.strip()).is_relative_to(installed)
    root = tmp_path / "mine"
    succeed("init", root, env=env, cwd=tmp_path)
    for name in ("qwen36-35b-dflash", "smoke-llamacpp", "smoke-vllm-cpu"):
        succeed("new", name, "--root", root, env=env, cwd=tmp_path)
        by_wheel = {p.relative_to(root): p.read_bytes() for p in (root / "recipes" / name).rglob("*") if p.is_file()}
        ours = ROOT / "recipes" / name / "SHA256SUMS"
        # The status differs where we have measured it, and with it the README that says so.
        same = [line for line in ours.read_text().splitlines() if not line.endswith("  README.md")]
        theirs = by_wheel[Path("recipes") / name / "SHA256SUMS"].decode().splitlines()
        assert set(same) <= set(theirs)
    for check in ("lint", "render --check", "index --check"):
        succeed(*check.split(), "--root", root, env=env, cwd=tmp_path)
