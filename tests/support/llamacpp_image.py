"""Images with a real llama.cpp server in them, made without a registry: xllamacpp's wheel as it is installed here, on
the tests' base image. Each passes for one that `recipegen build` made from a recipe's kit."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from recipegen.images import LABEL_KIT
from tests.conftest import lacking
from tests.support.scenario import ROOT

DOCKERFILE = """
FROM recipegen-test-base:bookworm
COPY engine /engine
COPY llama-server /usr/local/bin/llama-server
"""
PROGRAM = """#!/bin/sh
PYTHONPATH=/engine exec python3 -m recipegen.runners.embedded "$@"
"""
OWN = ("__init__.py", "errors.py", "runners/__init__.py", "runners/embedded.py")
"""What of recipegen stands in for the program `llama-server`."""


def build_images(recipes: Sequence[Path], work: Path) -> list[str]:
    """An image for each recipe's folder, tagged with the recipe's name; needs the base image."""
    found = importlib.util.find_spec("xllamacpp")
    if found is None or found.origin is None:
        lacking("the package xllamacpp is not installed: pip install 'recipegen[demo]'")
    engine = work / "engine"
    shutil.copytree(Path(found.origin).parent, engine / "xllamacpp")
    for name in OWN:
        (engine / "recipegen" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "generator" / "recipegen" / name, engine / "recipegen" / name)
    (work / "Dockerfile").write_text(DOCKERFILE)
    (work / "llama-server").write_text(PROGRAM)
    (work / "llama-server").chmod(0o755)
    for recipe in recipes:
        kit = hashlib.sha256((recipe / "SHA256SUMS").read_bytes()).hexdigest()
        subprocess.run(
            ["docker", "build", "--quiet", "--tag", recipe.name, "--label", f"{LABEL_KIT}={kit}", work],
            check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "1"}, timeout=600,
        )  # fmt: skip
    return [recipe.name for recipe in recipes]
