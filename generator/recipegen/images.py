"""A recipe's image: whether it is there and right, and how it is built. Owns no Docker call of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.engines.container import container
from recipegen.files import sha256_file
from recipegen.render.kit import MANIFEST

if TYPE_CHECKING:
    from docker import DockerClient

    from recipegen.spec.completed import Spec

LABEL_KIT = "org.recipegen.kit-sha256"
"""Label, put on at build time, that holds the hash of the kit: a Dockerfile cannot hold its own."""
LABEL_BASE = "org.opencontainers.image.base.name"
"""The OCI annotations' label for the base: what BASE_IMAGE was."""


def is_current(client: DockerClient, spec: Spec, kit_sha256: str, *, base_image: str | None = None) -> bool:
    """Whether the daemon holds the image of this very kit, on that base if one is named."""
    from recipegen import docker

    tag = container(spec).image
    if not docker.image_exists(client, tag):
        return False
    labels = client.images.get(tag).labels
    return labels.get(LABEL_KIT) == kit_sha256 and base_image in (None, labels.get(LABEL_BASE))


def build_image(
    spec: Spec,
    folder: Path,
    on_line: Callable[[str], None],
    *,
    base_image: str | None = None,
    no_cache: bool = False,
    network: str | None = None,
    daemon: str | None = None,
) -> str:
    """Build the image from the kit on disk.

    Args:
        daemon: address of the daemon that builds; the usual one by default.

    Returns:
        The image's tag.
    """
    from recipegen.docker_build import build

    tag = container(spec).image
    args = {"BASE_IMAGE": base_image} if base_image else {}
    labels = {LABEL_KIT: sha256_file(folder / MANIFEST), LABEL_BASE: base_image or spec.image.base}
    build(
        folder, tag, build_args=args, labels=labels, no_cache=no_cache, network=network, daemon=daemon, on_line=on_line
    )
    return tag
