"""A hub on the loopback port for tests in this process: the hub's client reads its address only once, so it is put
in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.hub_stand_in import HubStandIn, HubWorld


@contextmanager
def hub_in_process(home: Path, *, token: str | None = None) -> Iterator[HubWorld]:
    """The stand-in as the hub of this process, with an empty home for the hub's client."""
    from huggingface_hub import constants

    with HubStandIn() as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", world.url)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        for name in list(os.environ):
            if name.startswith(("HF_", "HUGGING")) or "proxy" in name.lower():
                patch.delenv(name)
        if token:
            patch.setenv("HF_TOKEN", token)
        yield world


def hub_env(endpoint: str, home: Path) -> dict[str, str]:
    """The environment of a process that takes `endpoint` for the hub."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "proxy" not in key.lower()}
    here = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    return {**kept, **here, "HF_HUB_DISABLE_TELEMETRY": "1"}
