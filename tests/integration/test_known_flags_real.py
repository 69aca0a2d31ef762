"""The stored flags of the vLLM that runs here are those that it prints itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import recipegen.engines
from tests.conftest import lacking
from tests.support.vllm_help import differences, printed

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.engine]

IMAGE = "smoke-vllm-cpu"
"""The image that tests/e2e/test_smoke_vllm_cpu.py, which runs before this, builds and leaves."""
KNOWN = Path(recipegen.engines.__file__).parent / "known"


def in_image(client: DockerClient, *command: str) -> str:
    """What a command prints in the image."""
    from docker.errors import ImageNotFound

    try:
        client.images.get(IMAGE)
    except ImageNotFound:
        lacking(f"there is no image {IMAGE}: run tests/e2e/test_smoke_vllm_cpu.py, which builds it, on the same daemon")
    environment = {"COLUMNS": "1000", "VLLM_LOGGING_LEVEL": "ERROR"}
    answer: bytes = client.containers.run(IMAGE, list(command), environment=environment, stderr=False, remove=True)
    return answer.decode()


def test_the_data_is_what_vllm_says_of_itself(docker_client: DockerClient) -> None:
    ask = "import importlib.metadata as m; print(m.version('vllm'))"
    version = in_image(docker_client, "python3", "-c", ask).strip().partition("+")[0]
    text = in_image(docker_client, "vllm", "serve", "--help=all")
    assert len(printed(text)) > 300
    assert differences(text, json.loads((KNOWN / f"vllm-{version}.json").read_bytes())) == []
