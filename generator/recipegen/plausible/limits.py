"""What a machine can do at most with a model: decode, prefill, the time of one pass. Owns the peak of compute and the
bound of speculation; the decode ceiling itself is the fit room's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipegen.catalog.facts import ModelFacts
from recipegen.engines.base import AUTOREGRESSIVE
from recipegen.fit import Ceiling, estimate
from recipegen.fit.setup import Setup, read_setup
from recipegen.spec.completed import Spec

_LLAMA_DRAFTS = ("spec-draft-n-max", "draft-max", "draft", "draft-n", "spec-ngram-mod-n-max")
"""llama.cpp's names for the most tokens of one draft, to which its server cuts what any kind of drafter proposes."""


@dataclass(frozen=True)
class Peak:
    """Peak of compute of one GPU.

    Attributes:
        tflops: 10^12 operations a second, without sparsity, at the narrowest numbers it computes with.
    """

    tflops: float
    source: str


PEAKS = {
    "GB10": Peak(
        500,
        "NVIDIA's product page of the DGX Spark: up to 1 PFLOP at FP4 with sparsity; checkpoints are dense, which "
        "halves it. BF16 and FP8 reach less, so that this bounds them too",
    )
}
"""By the GPU's name as the hardware profiles write it. A GPU that is not here has no prefill ceiling."""


@dataclass(frozen=True)
class Limits:
    """Bounds for one shape of cell; None where a number is missing.

    Attributes:
        decode: tok/s of one stream that reads the weights once a token, high end of the estimate.
        tokens_per_pass: most tokens that one reading of the weights yields, 1 without speculation.
        prefill: tok/s of prompt, all requests together.
        first_ms: least time of any answer: one reading of the weights, ms.
        speculative: whether the variant speculates (or may: a variant of unknown method).
        billions: parameters that one token uses, 10^9.
        notes: what the bounds are of, and why one is missing.
    """

    decode: float | None = None
    tokens_per_pass: int | None = None
    prefill: float | None = None
    first_ms: float | None = None
    speculative: bool = True
    billions: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def decode_most(self) -> float | None:
        """tok/s that no stream exceeds: every draft accepted."""
        if self.decode is None or self.tokens_per_pass is None:
            return None
        return self.decode * self.tokens_per_pass


def limits_of(spec: Spec | None, variant: str | None, context: int, host: Mapping[str, Any] | None = None) -> Limits:
    """The bounds for one stream of `context` tokens.

    Args:
        spec: the recipe; None for a report of an unknown one.
        variant: its variant; None where nobody knows it.
        context: tokens in the cache at the end of the answer.
        host: the record's facts of the machine; None where nobody noted them: then the recipe's hardware is assumed.

    Raises:
        RecipegenError: a file of the catalog cannot be used.
    """
    if spec is None or variant is None or variant not in spec.variants:
        return Limits(notes=("no ceiling is known: the recipe or its variant is not known",))
    setup = read_setup(spec, variant)
    billions = _billions(setup.facts)
    speculative = setup.lookahead > 0 or setup.external or setup.built_in
    speculative |= spec.variants[variant].method != AUTOREGRESSIVE
    tokens = tokens_per_pass(setup)
    profile = spec.hardware
    if host is not None and not _same_machine(host, profile.gpu):
        note = f"no ceiling is known: this was not measured on a {profile.gpu}, for which the recipe is written"
        return Limits(tokens_per_pass=tokens, speculative=speculative, billions=billions, notes=(note,))
    notes = []
    if host is None and profile.gpu is not None:
        notes.append(f"nobody noted the machine; {profile.label}, the recipe's, is assumed")
    found = estimate(spec, variant, context=context)
    ceiling = found.ceiling
    if ceiling is None:
        missing = found.reason if found.verdict == "unknown" else "which bytes a token of this model reads is not known"
        if profile.bandwidth_gb_s is None:
            missing = f"the catalog gives no bandwidth for the hardware {profile.id}"
        notes.append(f"no decode ceiling is known: {missing}")
    return Limits(
        decode=ceiling.tokens_per_s.high if ceiling else None,
        tokens_per_pass=tokens,
        prefill=_prefill(setup, billions),
        first_ms=_first_ms(ceiling),
        speculative=speculative,
        billions=billions,
        notes=tuple(notes),
    )


def decode_share(spec: Spec, variant: str, *, context: int, tg: float, concurrency: int = 1) -> float | None:
    """Decode speed over the most that the memory's bandwidth allows; above 1 it has not been measured.

    Args:
        context: tokens in the cache at the end of the answer.
        tg: tok/s.
        concurrency: requests at the same time.

    Returns:
        None where the ceiling is not known, or does not bound: several streams, or speculation.
    """
    ceiling = estimate(spec, variant, context=context).ceiling
    if ceiling is None or not ceiling.bounds or concurrency != 1:
        return None
    return tg / ceiling.tokens_per_s.high


def tokens_per_pass(setup: Setup) -> int | None:
    """Most tokens of one pass over the weights: all drafted ones and the target's own; None where nobody says."""
    method = setup.spec.variants[setup.variant].method
    if method == AUTOREGRESSIVE and not (setup.lookahead or setup.external):
        return 1
    if setup.spec.engine.name == "vllm" and setup.lookahead:
        return setup.lookahead + 1
    if setup.spec.engine.name == "llama.cpp":
        # Only what the recipe itself says: the defaults differ between versions and kinds of drafts.
        given = setup.spec.variants[setup.variant].flags
        drafts = [given[key] for key in _LLAMA_DRAFTS if isinstance(given.get(key), int)]
        return max(drafts) + 1 if drafts else None
    return None


def _same_machine(host: Mapping[str, Any], gpu: str | None) -> bool:
    """HardwareProfile.gpu is a part of the name that nvidia-smi prints."""
    return gpu is None or any(gpu.lower() in one["name"].lower() for one in host.get("gpus") or ())


def _billions(facts: ModelFacts | None) -> float | None:
    """Parameters that a token is multiplied with: the active ones; a dense model's are all active."""
    if facts is None:
        return None
    return facts.params_b if facts.kind == "dense" else facts.active_b


def _prefill(setup: Setup, billions: float | None) -> float | None:
    """Two operations for each parameter and token, attention and the last layer's head left out: a bound from above."""
    peak = PEAKS.get(setup.spec.hardware.gpu or "")
    if peak is None or billions is None or setup.facts is None:
        return None
    embeddings = 2 * (setup.facts.vocab_size or 0) * (setup.facts.hidden_size or 0) / 1e9
    multiplied = max(billions - embeddings, billions / 2)
    return peak.tflops * 1e12 * setup.spec.hardware.nodes / (2e9 * multiplied)


def _first_ms(ceiling: Ceiling | None) -> float | None:
    return 1000 / ceiling.tokens_per_s.high if ceiling else None
