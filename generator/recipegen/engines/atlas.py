"""Atlas (Avarok-Cybersecurity/atlas): `spark serve`, a Rust engine for GB10 alone. Owns its flags' grammar and
names, as published launch scripts show them; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from recipegen.engines.base import AUTOREGRESSIVE, EngineAdapter
from recipegen.quoting import Arg, Var, literal
from recipegen.spec.completed import Spec


class Atlas(EngineAdapter):
    """`spark serve --model-from-path DIR --model-name NAME --port N --flag value …`."""

    name = "atlas"
    program = "spark"
    knob_flags: ClassVar[Mapping[str, str]] = {
        "max-seq-len": "MAX_SEQ_LEN",
        "max-num-seqs": "MAX_NUM_SEQS",
        "gpu-memory-utilization": "GPU_MEMORY_UTILIZATION",
    }
    own_flags: ClassVar[Mapping[str, str]] = {
        "model-from-path": "model (or models, and the variant's model key)",
        "model-name": "model.served_name",
        "port": "run.port",
    }

    def method(self, flags: Mapping[str, Any]) -> str:
        """`--dflash` is the one speculative switch that the sources show."""
        return "DFlash" if flags.get("dflash") is True else AUTOREGRESSIVE

    def head(self, spec: Spec, model_key: str, place: Arg) -> list[Arg]:
        return [
            *literal(self.program, "serve", "--model-from-path"),
            place,
            *self.value("model-name", (spec.served_name,)),
            *literal("--port"),
            (Var("PORT"),),
        ]

    def switch_off(self, key: str) -> str:
        return f"--no-{key.lstrip('-')}"
