"""The engines that recipes may name. Owns the register only."""

from __future__ import annotations

from recipegen.engines.atlas import Atlas
from recipegen.engines.base import EngineAdapter
from recipegen.engines.llamacpp import LlamaCpp
from recipegen.engines.other import Other
from recipegen.engines.vllm import Vllm

_ENGINES: dict[str, EngineAdapter] = {adapter.name: adapter for adapter in (Vllm(), LlamaCpp(), Atlas(), Other())}


def engine(name: str) -> EngineAdapter:
    """The adapter of an engine.

    Raises:
        KeyError: no such engine; the spec's model admits only known names.
    """
    return _ENGINES[name]


def engine_names() -> list[str]:
    """Names of all engines."""
    return list(_ENGINES)
