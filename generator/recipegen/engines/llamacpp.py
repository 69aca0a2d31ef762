"""llama.cpp: `llama-server`. Owns its flags' grammar and names; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from recipegen.engines.base import AUTOREGRESSIVE, EngineAdapter
from recipegen.quoting import Arg, Var, literal
from recipegen.spec.completed import Spec


class LlamaCpp(EngineAdapter):
    """`llama-server --model FILE --flag value …`."""

    name = "llama.cpp"
    program = "llama-server"
    knob_flags: ClassVar[Mapping[str, str]] = {
        "ctx-size": "CTX",
        "threads": "THREADS",
        "parallel": "PARALLEL",
        "n-gpu-layers": "N_GPU_LAYERS",
    }
    own_flags: ClassVar[Mapping[str, str]] = {
        "model": "model (or models, and the variant's model key)",
        "-m": "model (or models, and the variant's model key)",
        "alias": "model.served_name",
        "-a": "model.served_name",
        "host": "the knob HOST",
        "port": "run.port",
    }

    def method(self, flags: Mapping[str, Any]) -> str:
        """Read from spec-type (n-gram kinds) and from a draft model."""
        kind = flags.get("spec-type")
        if isinstance(kind, str) and kind != "none":
            return "n-gram" if kind.startswith("ngram") else kind
        return "draft model" if "model-draft" in flags or "-md" in flags else AUTOREGRESSIVE

    def head(self, spec: Spec, model_key: str, place: Arg) -> list[Arg]:
        return [
            *literal(self.program, "--model"),
            place,
            *self.value("alias", (spec.served_name,)),
            *literal("--host"),
            (Var("HOST"),),
            *literal("--port"),
            (Var("PORT"),),
        ]

    def switch_off(self, key: str) -> str:
        return key if key.startswith("-") else f"--no-{key}"
