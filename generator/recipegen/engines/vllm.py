"""vLLM: `vllm serve`. Owns its flags' grammar and names; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from recipegen.engines.base import AUTOREGRESSIVE, EngineAdapter, flag_word
from recipegen.engines.command import Command, is_model_reference
from recipegen.engines.known import known_versions, load_known
from recipegen.engines.nodes import head_of_nodes
from recipegen.engines.normal import merged_flags
from recipegen.quoting import Arg, Var, literal
from recipegen.spec.completed import Spec
from recipegen.spec.model import MODEL_REFERENCE

_METHODS = {"dflash": "DFlash", "mtp": "MTP", "ngram": "n-gram", "eagle": "EAGLE", "eagle3": "EAGLE-3"}


class Vllm(EngineAdapter):
    """`vllm serve MODEL --flag value …`; JSON-valued flags take JSON."""

    name = "vllm"
    program = "vllm"
    default_transformers = "transformers>=5.0.0"
    knob_flags: ClassVar[Mapping[str, str]] = {
        "max-model-len": "MAX_MODEL_LEN",
        "max-num-seqs": "MAX_NUM_SEQS",
        "gpu-memory-utilization": "GPU_MEMORY_UTILIZATION",
        "default-chat-template-kwargs": "THINK_KWARGS",
    }
    own_flags: ClassVar[Mapping[str, str]] = {
        "model": "model (or models, and the variant's model key)",
        "served-model-name": "model.served_name",
        "host": "the knob HOST",
        "port": "run.port",
        "revision": "model.revision",
    }
    # vllm/v1/metrics/loggers.py and vllm/v1/spec_decode/metrics.py, the same from 0.19 to 0.32; prometheus_client adds
    # _total to counters, and the process's start where it runs in one process.
    metric_names: ClassVar[Mapping[str, str]] = {
        "running": "vllm:num_requests_running",
        "waiting": "vllm:num_requests_waiting",
        "kv_usage": "vllm:kv_cache_usage_perc",
        "generation_tokens": "vllm:generation_tokens_total",
        "prompt_tokens": "vllm:prompt_tokens_total",
        "ended": "vllm:request_success_total",
        "ended_generation_tokens": "vllm:request_generation_tokens_sum",
        "ended_prompt_tokens": "vllm:request_prompt_tokens_sum",
        "generation_seconds": "vllm:request_decode_time_seconds_sum",
        "prompt_seconds": "vllm:request_prefill_time_seconds_sum",
        "prefix_hits": "vllm:prefix_cache_hits_total",
        "prefix_queries": "vllm:prefix_cache_queries_total",
        "drafts": "vllm:spec_decode_num_drafts_total",
        "draft_tokens": "vllm:spec_decode_num_draft_tokens_total",
        "accepted_tokens": "vllm:spec_decode_num_accepted_tokens_total",
        "accepted_per_position": "vllm:spec_decode_num_accepted_tokens_per_pos_total",
        "ttft_s": "vllm:time_to_first_token_seconds",
        "inter_token_s": "vllm:inter_token_latency_seconds",
        "process_start": "process_start_time_seconds",
    }

    def method(self, flags: Mapping[str, Any]) -> str:
        """Read from speculative-config, the one switch that vLLM has for it."""
        newest = load_known(self.name, known_versions(self.name)[-1])
        config = merged_flags(flags, newest).get("speculative-config")
        if not isinstance(config, dict):
            return AUTOREGRESSIVE
        method = str(config.get("method", "draft model"))
        return "MTP" if method.endswith("_mtp") else _METHODS.get(method, method)

    def head(self, spec: Spec, model_key: str, place: Arg) -> list[Arg]:
        model = spec.models[model_key]
        argv = [*literal(self.program, "serve"), place]
        if spec.run.models == "hf-cache" and model.revision:
            argv += literal("--revision", model.revision)
        argv += self.value("served-model-name", (spec.served_name,))
        return [*argv, *literal("--host"), (Var("HOST"),), *literal("--port"), (Var("PORT"),)]

    def in_full(self, spec: Spec, key: str, value: Any) -> Any:
        """A drafter that vLLM itself takes from the hub's cache: at its pinned revision, not at today's."""
        if key == "speculative-config" and isinstance(value, dict) and is_model_reference(value.get("model")):
            revision = spec.models[value["model"][MODEL_REFERENCE]].revision
            if spec.run.models == "hf-cache" and revision and "revision" not in value:
                return {**value, "revision": revision}
        return value

    def on_nodes(self, spec: Spec, variant: str, command: Command) -> Command:
        return head_of_nodes(spec, variant, command)

    def switch_off(self, key: str) -> str:
        return f"--no-{key.lstrip('-')}"

    def value(self, key: str, arg: Arg) -> list[Arg]:
        """argparse takes a word that begins with a dash for a flag, so such a value is joined with =."""
        first = arg[0]
        if isinstance(first, str) and first.startswith("-"):
            return [(f"{flag_word(key)}={first}", *arg[1:])]
        return super().value(key, arg)
