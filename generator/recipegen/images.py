"""A recipe's image: whether it is there and right, and how it is built. Owns no Docker call of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.engines.container import container

if TYPE_CHECKING:
    from docker import DockerClient

    from recipegen.spec.completed import Spec

LABEL_SPEC = "org.recipegen.spec-sha256"
"""The Dockerfile's label that holds the hash of the completed recipe."""


def is_current(client: DockerClient, spec: Spec) -> bool:
    """Whether the daemon holds the image that this very recipe describes."""
    from recipegen import docker

    tag = container(spec).image
    if not docker.image_exists(client, tag):
        return False
    return client.images.get(tag).labels.get(LABEL_SPEC) == spec.sha256


def build_image(
    spec: Spec,
    folder: Path,
    on_line: Callable[[str], None],
    *,
    base_image: str | None = None,
    no_cache: bool = False,
    network: str | None = None,
) -> str:
    """Build the image from the kit on disk.

    Returns:
        The image's tag.
    """
    from recipegen.docker_build import build

    tag = container(spec).image
    args = {"BASE_IMAGE": base_image} if base_image else {}
    build(folder, tag, build_args=args, no_cache=no_cache, network=network, on_line=on_line)
    return tag
