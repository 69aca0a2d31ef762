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
    # tools/server/server-task.cpp (to_metrics); builds of spring 2026 lack the drafts and the cached tokens. The page
    # needs --metrics. Tokens of an answer are counted when it ends.
    metric_names: ClassVar[Mapping[str, str]] = {
        "running": "llamacpp:requests_processing",
        "waiting": "llamacpp:requests_deferred",
        "generation_tokens": "llamacpp:tokens_predicted_total",
        "generation_seconds": "llamacpp:tokens_predicted_seconds_total",
        "prompt_tokens": "llamacpp:prompt_tokens_total",
        "prompt_seconds": "llamacpp:prompt_seconds_total",
        "prefix_hits": "llamacpp:prompt_tokens_cached_total",
        "drafts": "llamacpp:spec_decode_num_drafts_total",
        "draft_tokens": "llamacpp:spec_decode_num_draft_tokens_total",
        "accepted_tokens": "llamacpp:spec_decode_num_accepted_tokens_total",
        "accepted_per_position": "llamacpp:spec_decode_num_accepted_tokens_per_pos_total",
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
