"""What a running server says about itself: the engine's version, the models it serves. Owns no guess: what a
server does not say is None."""

from __future__ import annotations

import re
from typing import Any

from recipegen.runners.http import get_json, server_root

VERSION_SOURCES = {"vllm": ("/version", "version"), "llama.cpp": ("/props", "build_info")}
"""Engine -> (path, key): vllm/entrypoints' `show_version`, llama.cpp's tools/server/README.md."""

UNKNOWN = "b0-unknown"
"""What llama.cpp says when it was built outside its git repository: nothing (cmake/build-info.cmake)."""

_VERSION = re.compile(r"[ -~]{1,200}")
_MODEL = re.compile(r"[^\x00-\x1f\x7f]{1,500}")


def reported_version(base_url: str, engine: str) -> str | None:
    """The version that a running server reports, as it writes it ("0.11.0+cu130", "b6730-e60f01d94").

    Args:
        base_url: with or without a trailing /v1.
        engine: "vllm" or "llama.cpp".
    """
    source = VERSION_SOURCES.get(engine)
    if source is None:
        return None
    path, key = source
    version = _text(_field(get_json(server_root(base_url) + path), key), _VERSION)
    return None if version == UNKNOWN else version


def served_models(base_url: str) -> list[str]:
    """Names of the models that a server offers, in its order; empty when it gives no such list."""
    models = _field(get_json(server_root(base_url) + "/v1/models"), "data")
    if not isinstance(models, list):
        return []
    names = (_text(_field(model, "id"), _MODEL) for model in models)
    return [name for name in names if name is not None]


def _field(answer: Any, key: str) -> Any:
    return answer.get(key) if isinstance(answer, dict) else None


def _text(value: Any, allowed: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and allowed.fullmatch(value) else None
