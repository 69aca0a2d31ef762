"""An engine that recipegen cannot start. Owns nothing of it: its recipes are records of what others did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from recipegen.engines.base import AUTOREGRESSIVE, EngineAdapter
from recipegen.quoting import Arg
from recipegen.spec.completed import Spec


class Other(EngineAdapter):
    """Flags are kept as they were published; no command line follows from them."""

    name = "other"
    program = ""
    knob_flags: ClassVar[Mapping[str, str]] = {}
    own_flags: ClassVar[Mapping[str, str]] = {}

    def method(self, flags: Mapping[str, Any]) -> str:
        """Not known from flags; `variants.<name>.method` says it."""
        return AUTOREGRESSIVE

    def head(self, spec: Spec, model_key: str, place: Arg) -> list[Arg]:
        return []

    def switch_off(self, key: str) -> str:
        return f"--no-{key.lstrip('-')}"
