"""What a recipe asks of its machines before any is switched on: what each node holds, what goes over the fabric.

Owns the layout over nodes and the traffic between them; memory is the estimate's (`recipegen.fit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipegen.engines.base import used_models
from recipegen.engines.ranks import Ranks, variant_ranks
from recipegen.fit import Estimate, Range, estimate
from recipegen.fit.parts import GB
from recipegen.fit.setup import Setup, read_setup
from recipegen.spec.completed import Spec

ACTIVATION_BYTES = 2
"""Bytes of one number of a hidden state: BF16, in which vLLM computes whatever the weights' format."""
PER_LAYER = 2
"""All-reduces of a layer in the forward pass: after attention and after the MLP or the experts (Megatron-LM, arXiv
1909.08053, section 3)."""
EMBEDDING = 1
"""One more for the embeddings, whose table vLLM splits too (VocabParallelEmbedding)."""
STAGE_TENSORS = 2
"""Tensors of the hidden state's width that a stage hands on: the state, the residual (vLLM, IntermediateTensors)."""
SOURCE = (
    "two all-reduces a layer (Megatron-LM, arXiv 1909.08053, section 3), one for the embeddings, of hidden_size BF16 "
    "numbers a token; in a ring each rank sends 2 (n - 1) / n of that (NVIDIA, nccl-tests, PERFORMANCE.md)"
)


@dataclass(frozen=True)
class Node:
    """One node and what lies on it, GB of 10^9 bytes.

    Attributes:
        part, stage, copy: which part of a layer (tensor parallelism), which layers (pipeline), which copy (data).
        layers: decoder layers here; None where the model's are not known.
        overhead: activations, framework, communication, a drafter.
        pool: left for the cache of requests.
    """

    rank: int
    role: str
    part: int
    stage: int
    copy: int
    layers: int | None
    weights: Range | None
    overhead: Range | None
    pool: Range | None

    def as_data(self) -> dict[str, Any]:
        """The node for --json."""
        places = {
            "rank": self.rank,
            "role": self.role,
            "tensor_part": self.part,
            "stage": self.stage,
            "copy": self.copy,
        }
        sizes = {"weights_gb": self.weights, "overhead_gb": self.overhead, "cache_gb": self.pool}
        return {
            **places,
            "layers": self.layers,
            **{key: value.as_data() if value else None for key, value in sizes.items()},
        }


@dataclass(frozen=True)
class Traffic:
    """What goes between the ranks of a server.

    Attributes:
        collectives: all-reduces of one step, of however many tokens.
        token_bytes: bytes that one rank sends for one token by tensor parallelism.
        stage_bytes: bytes that a stage hands to the next one for one token; 0 without stages.
        step_tokens: tokens of one stream's step: 1, and those that speculation proposes.
        prefill_tokens: tokens of the largest step, max-num-batched-tokens; None where it is not given.
    """

    collectives: int
    token_bytes: float
    stage_bytes: float
    step_tokens: int
    prefill_tokens: int | None


@dataclass(frozen=True)
class Plan:
    """The plan of one variant.

    Attributes:
        link_gb_s: line rate of one link, GB/s; None for one machine, or where the profile knows none.
        models_gb: what a node's disk holds of the models that the variant opens; None where a size is not known.
        image_gb: size of the image, where it was given.
        traffic: None for one rank, or where hidden size or layers are not known.
    """

    recipe: str
    variant: str
    ranks: Ranks
    estimate: Estimate
    nodes: tuple[Node, ...]
    link_gb_s: float | None
    models_gb: float | None
    image_gb: float | None
    traffic: Traffic | None
    notes: tuple[str, ...]

    def seconds(self, gb: float | None) -> float | None:
        """Seconds that so many GB take on one link at its line rate; a measured transfer takes longer."""
        return None if gb is None or self.link_gb_s is None else gb / self.link_gb_s

    def sent_gb(self, gb: float | None) -> float | None:
        """GB that leave the first node so that every other one has its copy."""
        return None if gb is None else gb * (len(self.nodes) - 1)

    def as_data(self) -> dict[str, Any]:
        """The plan for --json."""
        several = len(self.nodes) > 1
        return {
            "recipe": self.recipe,
            "variant": self.variant,
            "executor": self.ranks.executor if several else None,
            "tensor": self.ranks.tensor,
            "pipeline": self.ranks.pipeline,
            "data": self.ranks.data,
            "expert_parallel": self.ranks.expert,
            "nodes": [node.as_data() for node in self.nodes],
            "link_gb_s": self.link_gb_s,
            "send": {"models": self._sent(self.models_gb), "image": self._sent(self.image_gb)} if several else None,
            "traffic": self._traffic_data(),
            "estimate": self.estimate.as_data(),
            "notes": list(self.notes),
        }

    def _sent(self, gb: float | None) -> dict[str, float | None]:
        whole = self.sent_gb(gb)
        return {"gb_per_node": gb, "gb": whole, "seconds_at_line_rate": self.seconds(whole)}

    def _traffic_data(self) -> dict[str, Any] | None:
        traffic = self.traffic
        if traffic is None:
            return None
        return {
            "all_reduces_per_step": traffic.collectives,
            "bytes_sent_per_rank_and_token": traffic.token_bytes,
            "bytes_to_next_stage_per_token": traffic.stage_bytes,
            "tokens_per_decode_step": traffic.step_tokens,
            "decode_step_seconds_at_line_rate": self.step_seconds(traffic.step_tokens),
            "tokens_per_prefill_step": traffic.prefill_tokens,
            "prefill_step_seconds_at_line_rate": self.step_seconds(traffic.prefill_tokens),
            "source": SOURCE,
        }

    def step_seconds(self, tokens: int | None) -> float | None:
        """Seconds that the bytes of a step of so many tokens take on a link, without the collectives' latency."""
        if tokens is None or self.traffic is None:
            return None
        return self.seconds(tokens * (self.traffic.token_bytes + self.traffic.stage_bytes) / GB)


def plan(spec: Spec, variant: str, *, image_gb: float | None = None, models_dir: Path | None = None) -> Plan:
    """What one variant of a recipe asks of its machines.

    Args:
        image_gb: size of the image, GB, where it is known.
        models_dir: folder with the models' folders; files there win over published sizes.

    Raises:
        KeyError: no such variant.
        RecipegenError: a file of a local model cannot be used.
    """
    found = estimate(spec, variant, models_dir=models_dir)
    setup = read_setup(spec, variant, models_dir=models_dir)
    ranks = variant_ranks(spec, variant)
    cluster = spec.cluster
    nodes = tuple(_node(rank, ranks, setup, found) for rank in range(spec.hardware.nodes))
    return Plan(
        recipe=spec.name,
        variant=variant,
        ranks=ranks,
        estimate=found,
        nodes=nodes,
        link_gb_s=cluster.gbit_s / 8 if cluster and cluster.gbit_s else None,
        models_gb=_models_gb(spec, variant, setup),
        image_gb=image_gb,
        traffic=_traffic(setup, ranks) if len(nodes) > 1 else None,
        notes=tuple(_notes(spec, variant, ranks)),
    )


def stage_layers(layers: int, stages: int) -> list[int]:
    """Layers of each stage, as vLLM splits them (vllm/distributed/utils.py, get_pp_indices).

    What does not divide goes to the stages before the last one, which has the head beside its layers.
    """
    each, left = divmod(layers, stages)
    found = [each] * stages
    for at in range(2, left + 2):
        found[-at] += 1
    return found


def _node(rank: int, ranks: Ranks, setup: Setup, found: Estimate) -> Node:
    copy, stage, part = ranks.place(rank)
    layers = stage_layers(setup.kv.layers, ranks.pipeline) if setup.kv and ranks.pipeline <= setup.kv.layers else None
    own = layers[stage % ranks.pipeline] if layers else None
    parts = {part_.name: part_.gb for part_ in found.parts}
    weights = parts.pop("weights", None)
    if weights and layers and own:
        weights = weights * (own / max(layers))
    overhead = sum(parts.values(), Range.exactly(0)) if parts else None
    role = "head" if rank == 0 else "worker"
    return Node(rank, role, part, stage, copy, own, weights, overhead, found.pool)


def _models_gb(spec: Spec, variant: str, setup: Setup) -> float | None:
    sizes = []
    for key in used_models(spec, variant):
        model = spec.models[key]
        checkpoint = setup.facts.checkpoint(model.hf_id) if setup.facts and model.hf_id else None
        sizes.append(model.size_gb or (checkpoint.weights_gb if checkpoint else None))
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _traffic(setup: Setup, ranks: Ranks) -> Traffic | None:
    hidden = setup.facts.hidden_size if setup.facts else None
    if hidden is None or setup.kv is None or ranks.pipeline > setup.kv.layers:
        return None
    collectives = PER_LAYER * max(stage_layers(setup.kv.layers, ranks.pipeline)) + EMBEDDING if ranks.tensor > 1 else 0
    message = hidden * ACTIVATION_BYTES
    batched = setup.number("max-num-batched-tokens")
    return Traffic(
        collectives=collectives,
        token_bytes=collectives * message * 2 * (ranks.tensor - 1) / ranks.tensor,
        stage_bytes=STAGE_TENSORS * message if ranks.pipeline > 1 else 0,
        step_tokens=1 + setup.lookahead,
        prefill_tokens=int(batched) if batched else None,
    )


def _notes(spec: Spec, variant: str, ranks: Ranks) -> list[str]:
    notes = []
    if why := spec.variants[variant].refused:
        notes.append(f"this variant is not to be run: {why}")
    if spec.hardware.nodes > 1:
        notes.append("seconds are those of the line rate; protocols take some of it, and each all-reduce its latency")
    if ranks.expert and ranks.data > 1:
        notes.append("not counted: what expert parallelism sends from copy to copy")
    if spec.hardware.nodes > 1 and spec.cluster is None:
        notes.append(f"how {spec.engine.name} spreads over machines is not known here: only its memory is estimated")
    return notes
