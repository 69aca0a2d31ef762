"""Shapes of what is known of models and images. Owns types only: the facts are the YAML files beside it.

A fact that no source gives is absent. Every fact names where it was read; one that was written down from memory and
could not be looked up says `verified: false`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from recipegen.spec.types import SLUG


def _slug(value: str) -> str:
    if not re.fullmatch(SLUG, value):
        raise ValueError(f"{value!r} is no slug: small letters and digits, joined by dots, dashes or underscores")
    return value


def _repository(value: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", value):
        raise ValueError(f"{value!r} is no repository of the hub: OWNER/NAME")
    return value


Text = Annotated[str, StringConstraints(min_length=1, max_length=600)]
Slug = Annotated[str, AfterValidator(_slug)]
HfId = Annotated[str, AfterValidator(_repository)]
Count = Annotated[int, Field(ge=1)]
Billions = Annotated[float, Field(gt=0)]
Gigabytes = Annotated[float, Field(gt=0)]
"""GB of 10^9 bytes."""


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _many(default: object = ()) -> object:
    """A tuple field that takes the lists of YAML, which strict validation alone refuses."""
    return Field(default=default, strict=False)


class Source(_Fact):
    """Where facts come from.

    Attributes:
        facts: names of the fields of the same entry that it gives.
        source: title and section of a document, or `config.json of REPO`.
        verified: False for numbers that were not looked up.
        note: what the source leaves open, or who says otherwise.
    """

    facts: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    source: Text
    verified: bool = True
    note: Text | None = None


class SlidingKv(_Fact):
    """Layers whose attention looks back `window` tokens; their cache stops growing there."""

    layers: Count
    window: Count
    kv_heads: Count
    head_dim: Count


class MlaKv(_Fact):
    """Multi-head latent attention: one latent of both widths per layer and token, whatever the number of heads."""

    kv_lora_rank: Count
    qk_rope_head_dim: Count


class LinearState(_Fact):
    """Gated DeltaNet (or alike) layers: a state of fixed size per sequence.

    The recurrent part of a layer holds v_heads * k_dim * v_dim numbers, the convolution
    (2 * k_heads * k_dim + v_heads * v_dim) * (conv_kernel - 1).
    """

    layers: Count
    k_heads: Count
    v_heads: Count
    k_dim: Count
    v_dim: Count
    conv_kernel: Count


class MambaState(_Fact):
    """Mamba-2 layers: a state of fixed size per sequence.

    The recurrent part of a layer holds heads * head_dim * state_size numbers, the convolution
    (heads * head_dim + 2 * groups * state_size) * (conv_kernel - 1).
    """

    layers: Count
    heads: Count
    head_dim: Count
    state_size: Count
    groups: Count
    conv_kernel: Count


class Indexer(_Fact):
    """Sparse attention's selector, which keeps a key of `head_dim` numbers per token and layer."""

    layers: Count
    head_dim: Count


class KvFacts(_Fact):
    """What the size of a model's caches follows from.

    Attributes:
        layers: all decoder layers, those without a cache included.
        attention_layers: layers whose cache grows with every token (full or latent attention; no sliding ones).
        kv_heads: key/value heads of those layers; absent with MLA.
        head_dim: width of one head of those layers; absent with MLA.
        shared_kv_layers: layers of the above counts that reuse another layer's cache and keep none of their own.
        k_eq_v: the full-attention layers use one projection as key and as value. An engine may store it twice.
    """

    layers: Count
    attention_layers: Annotated[int, Field(ge=0)]
    kv_heads: Count | None = None
    head_dim: Count | None = None
    mla: MlaKv | None = None
    indexer: Indexer | None = None
    sliding: SlidingKv | None = None
    linear: LinearState | None = None
    mamba: MambaState | None = None
    shared_kv_layers: Count | None = None
    k_eq_v: bool | None = None
    source: Text
    verified: bool
    note: Text | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if (self.mla is None) != (self.kv_heads is not None and self.head_dim is not None):
            raise ValueError("needs either mla, or kv_heads and head_dim")
        parts = self.attention_layers + sum(part.layers for part in (self.sliding, self.linear, self.mamba) if part)
        if parts > self.layers:
            raise ValueError(f"{parts} layers with a cache or a state, but only {self.layers} layers")
        return self


class Moe(_Fact):
    """Experts per MoE layer."""

    experts: Count
    active: Count
    shared: Count | None = None


class Mtp(_Fact):
    """Prediction heads that travel with the weights; an engine may run one head several times.

    Attributes:
        heads: how many; None when it has some and no source counts them.
    """

    heads: Count | None


class Parsers(_Fact):
    """Names of the engine's parsers for the model's answers."""

    tool: Text | None = None
    reasoning: Text | None = None


class Drafter(_Fact):
    """A second model that proposes tokens.

    Attributes:
        hf_id: absent when it lies inside the checkpoint.
        target_layer_ids: layers of the target that a DFlash drafter reads, as its config counts them.
        layers: its decoder layers, for its own cache.
    """

    hf_id: HfId | None = None
    method: Literal["dflash", "mtp", "eagle3"]
    params_b: Billions | None = None
    size_gb: Gigabytes | None = None
    layers: Count | None = None
    kv_heads: Count | None = None
    head_dim: Count | None = None
    target_layer_ids: tuple[int, ...] = _many()  # type: ignore[assignment]
    source: Text
    verified: bool = True
    note: Text | None = None


class Checkpoint(_Fact):
    """One published set of weights of a model.

    Attributes:
        quantization: as its publisher names it: NVFP4, FP8, BF16, MXFP4, UD-IQ4_XS.
        format: what the engine loads it as: modelopt, compressed-tensors, fp8, mxfp4, gguf, bf16, autoround.
        weights_gb: size of all its weight files; None when no source gives it.
        approximate: the source rounds.
        parsers: where this checkpoint wants others than the model.
    """

    hf_id: HfId | None = None
    quantization: Text
    format: Text | None = None
    weights_gb: Gigabytes | None = None
    approximate: bool = False
    params_b: Billions | None = None
    gated: bool | None = None
    revision: Text | None = None
    parsers: Parsers | None = None
    source: Text
    verified: bool = True
    note: Text | None = None


class ModelFacts(_Fact):
    """What is known of one model, whatever its checkpoint.

    Attributes:
        id: slug of the base model.
        base_model: the publisher's own repository.
        kind: `class` in the file: how decoding reads its weights.
        arch: tags such as moe, dense, hybrid-gdn, mamba, mla, diffusion, sliding, vision.
        arch_class: `architectures` of its config.json.
        params_b: all parameters, 10^9; active_b: those that one token uses.
        native_context: tokens without a change of the rope; max_context: with what its publisher documents.
        attention_heads: heads of queries in an attention layer, which tensor parallelism splits.
        gated: the hub asks for a licence to be accepted.
        transformers: the least release that knows its model_type, as a specifier.
        hf_ids: further repositories of this model (quantized, GGUF) beside base_model and the checkpoints.
    """

    id: Slug
    family: Slug
    base_model: HfId | None = None
    kind: Literal["dense", "moe"] | None = Field(default=None, alias="class")
    arch: tuple[Slug, ...] = _many()  # type: ignore[assignment]
    arch_class: Text | None = None
    model_type: Text | None = None
    params_b: Billions | None = None
    active_b: Billions | None = None
    native_context: Count | None = None
    max_context: Count | None = None
    vocab_size: Count | None = None
    hidden_size: Count | None = None
    attention_heads: Count | None = None
    moe: Moe | None = None
    parsers: Parsers | None = None
    mtp: Mtp | None = None
    drafters: tuple[Drafter, ...] = _many()  # type: ignore[assignment]
    gated: bool | None = None
    transformers: Text | None = None
    kv: KvFacts | None = None
    checkpoints: tuple[Checkpoint, ...] = _many()  # type: ignore[assignment]
    hf_ids: tuple[HfId, ...] = _many()  # type: ignore[assignment]
    notes: tuple[Text, ...] = _many()  # type: ignore[assignment]
    sources: Annotated[tuple[Source, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _every_fact_has_a_source(self) -> Self:
        covered = {name for source in self.sources for name in source.facts}
        # These say where they come from themselves, or are names and not facts.
        covered |= {"id", "family", "base_model", "drafters", "kv", "checkpoints", "hf_ids", "notes", "sources"}
        given = {self._key(name) for name in type(self).model_fields if getattr(self, name) not in (None, ())}
        if missing := sorted(given - covered):
            raise ValueError(f"no source is named for {', '.join(missing)}")
        if unknown := sorted(covered - {self._key(name) for name in type(self).model_fields}):
            raise ValueError(f"a source names the unknown field {', '.join(unknown)}")
        return self

    @classmethod
    def _key(cls, name: str) -> str:
        return cls.model_fields[name].alias or name

    def repositories(self) -> tuple[str, ...]:
        """Every hub repository that holds this model: base, checkpoints, others. Drafters are not among them."""
        checkpoints = tuple(checkpoint.hf_id for checkpoint in self.checkpoints if checkpoint.hf_id)
        base = (self.base_model,) if self.base_model else ()
        return tuple(dict.fromkeys((*base, *checkpoints, *self.hf_ids)))

    def checkpoint(self, hf_id: str) -> Checkpoint | None:
        """The checkpoint of that repository, case apart."""
        wanted = hf_id.casefold()
        return next((one for one in self.checkpoints if one.hf_id and one.hf_id.casefold() == wanted), None)


class Failure(_Fact):
    """An image that does not run a model.

    Attributes:
        family: a family of models; or model: one id. Absent when it concerns the way it is run (see `when`).
        when: the condition, in words.
        error: the engine's text, or what is seen.
    """

    family: Slug | None = None
    model: Slug | None = None
    when: Text | None = None
    error: Text
    source: Text


class Works(_Fact):
    """A model that an image was seen to run, or that its publisher names it for."""

    family: Slug | None = None
    model: Slug | None = None
    when: Text | None = None
    source: Text


class ImageFacts(_Fact):
    """What a container image holds.

    Attributes:
        id: slug.
        reference: the image with its tag; absent when `matches` is given.
        matches: a regular expression for a whole reference, for many tags that are alike.
        engine_version: of the engine inside; absent for a floating tag of which no source names one.
        packages: versions of Python packages inside, as the source writes them.
        sm_121: it has the FP8 kernels for GB10. Absent: nobody says.
        dflash, mtp: its engine knows the method. Absent: nobody says.
        floating: the tag moves; facts hold for the day the source looked.
        entrypoint: what stands before the engine's arguments. serve-explicit: `vllm serve MODEL`;
            model-positional: the model comes first; model-flag: only flags; env-driven: environment alone.
        local: built by its user, published nowhere.
        registry_login: a pull needs an account.
        disagree: sources that contradict each other, in words.
    """

    id: Slug
    reference: Text | None = None
    matches: Text | None = None
    engine: Literal["vllm", "llama.cpp", "atlas", "none"]
    engine_version: Text | None = None
    python: Text | None = None
    cuda: Text | None = None
    packages: dict[str, Text] = Field(default_factory=dict)
    sm_121: bool | None = None
    dflash: bool | None = None
    mtp: bool | None = None
    lacks: tuple[Text, ...] = _many()  # type: ignore[assignment]
    for_: tuple[Slug, ...] = Field(default=(), alias="for", strict=False)
    works: tuple[Works, ...] = _many()  # type: ignore[assignment]
    fails: tuple[Failure, ...] = _many()  # type: ignore[assignment]
    floating: bool
    local: bool = False
    entrypoint: Literal["serve-explicit", "model-positional", "model-flag", "env-driven"] | None = None
    registry_login: bool | None = None
    disagree: tuple[Text, ...] = _many()  # type: ignore[assignment]
    notes: tuple[Text, ...] = _many()  # type: ignore[assignment]
    source: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]

    @field_validator("matches")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.reference is None) == (self.matches is None):
            raise ValueError("needs reference or matches, and not both")
        return self


class ModelFile(_Fact):
    """A file of families/: the models of one family."""

    models: Annotated[tuple[ModelFacts, ...], Field(strict=False)]


class ImageFile(_Fact):
    """images.yaml."""

    images: Annotated[tuple[ImageFacts, ...], Field(strict=False)]
