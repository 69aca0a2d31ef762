"""What of a recipe decides on memory, engine flags read and defaults put in. Owns reading; computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipegen.catalog import facts_of, image_facts, model_facts
from recipegen.catalog.facts import Drafter, KvFacts, ModelFacts
from recipegen.engines.base import used_models
from recipegen.engines.known import Known, known, known_versions, load_known
from recipegen.engines.normal import normal_flags
from recipegen.fit.constants import VISIBLE
from recipegen.fit.local import LocalModel, kv_facts, read_local
from recipegen.fit.parts import Range
from recipegen.spec.completed import Spec
from recipegen.spec.model import Model
from recipegen.spec.versions import parse_version

HYBRID_PREFIX_SINCE = "0.26.0"
"""vLLM from which on hybrid models cache prefixes unless told otherwise (ModelConfig.is_prefix_caching_supported)."""
GB10_BATCH_SINCE = "0.33.0"
"""vLLM from which on a GB10 has the defaults of a small GPU (EngineArgs.get_batch_defaults)."""

_DRAFT_FLAGS = frozenset({"model-draft", "-md", "spec-draft-model"})
"""llama.cpp's names for a drafter's file."""


@dataclass(frozen=True)
class Assumed:
    """What is put in place of a recipe's own values, to ask what if.

    Attributes:
        flags: engine flags laid over the variant's.
        model_id: id of the catalog's model, where the recipe names none that the catalog knows.
        weights_gb: size of the weights, where the recipe gives none.
        local: what a folder of the model would say, where there is none.
    """

    flags: Mapping[str, Any] = field(default_factory=dict)
    model_id: str | None = None
    weights_gb: float | None = None
    local: LocalModel | None = None


@dataclass(frozen=True)
class Setup:
    """One variant of a recipe, as far as memory goes.

    Attributes:
        flags: in normal form; defaults that equal the engine's are left out.
        defaults: of the engine's version (or of the newest known one).
        memory: GB of one node that the engine sees; None where the catalog has no number.
        lookahead: speculative tokens per step.
        built_in: the drafter is the model's own prediction heads.
        external: a drafter that travels beside the model.
    """

    spec: Spec
    variant: str
    model: Model
    facts: ModelFacts | None
    kv: KvFacts | None
    local: LocalModel | None
    flags: Mapping[str, Any]
    defaults: Mapping[str, Any]
    version: str | None
    memory: Range | None
    lookahead: int
    built_in: bool
    external: bool
    drafter: Drafter | None
    drafter_gb: float | None
    notes: tuple[str, ...]

    def flag(self, key: str) -> Any:
        """The recipe's value, else the engine's default; None when there is neither."""
        return self.flags.get(key, self.defaults.get(key))

    def number(self, key: str) -> float | None:
        """A flag that is a number above zero, or None."""
        value = self.flag(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None

    def since(self, version: str) -> bool:
        """Whether the engine is that version or younger; a version that nobody names counts as the newest."""
        own, other = parse_version(self.version), parse_version(version)
        return own is None or other is None or own >= other


def read_setup(spec: Spec, variant: str, *, models_dir: Path | None = None, assumed: Assumed | None = None) -> Setup:
    """Everything that the estimate needs of one variant.

    Raises:
        KeyError: no such variant.
        RecipegenError: a file of the local model cannot be used.
    """
    chosen, what_if = spec.variants[variant], assumed or Assumed()
    model = spec.models[chosen.model]
    facts = facts_of(model.hf_id, model.base_model) or model_facts().get(what_if.model_id or model.generate or "")
    if what_if.weights_gb is not None:
        model = model.model_copy(update={"size_gb": what_if.weights_gb})
    version, notes = _version(spec)
    data = known(spec.engine.name, version) or _newest(spec.engine.name)
    if data is not None and version is None:
        notes.append(f"the engine's version is not known; defaults are those of {data.engine} {data.version}")
    flags = normal_flags({**chosen.flags, **what_if.flags}, data)
    local = read_local(models_dir / str(model.folder), model.file) if models_dir and model.folder else what_if.local
    own_kv = kv_facts(local) if local and local.config else None
    if models_dir:
        notes += _local_notes(models_dir, model, local, own_kv)
    speculative = flags.get("speculative-config")
    config: Mapping[str, Any] = speculative if isinstance(speculative, Mapping) else {}
    declared = [spec.models[key] for key in used_models(spec, variant)[1:] if spec.models[key].role == "drafter"]
    drafter = _drafter(facts, declared[0] if declared else None, config)
    own_heads = str(config.get("method", "")).endswith("mtp") and "model" not in config
    return Setup(
        spec=spec,
        variant=variant,
        model=model,
        facts=facts,
        kv=own_kv or (facts.kv if facts else None),
        local=local,
        flags=flags,
        defaults={key: about["default"] for key, about in data.flags.items()} if data else {},
        version=version,
        memory=_memory(spec),
        lookahead=_lookahead(config, drafter),
        built_in=own_heads,
        external=bool(declared) or ("model" in config) or not _DRAFT_FLAGS.isdisjoint(flags),
        drafter=drafter,
        drafter_gb=(declared[0].size_gb if declared else None) or (drafter.size_gb if drafter else None),
        notes=tuple(notes),
    )


def _local_notes(models_dir: Path, model: Model, local: LocalModel | None, own_kv: KvFacts | None) -> list[str]:
    """What of a model was looked for on this machine and not found."""
    place = f"{models_dir.name}/{model.folder}"
    if local is None:
        return [f"there is no {place}: published sizes are used"]
    notes = [] if local.weights_bytes else [f"{place} holds no whole checkpoint: published sizes are used"]
    if own_kv is None:
        notes.append(f"{place} has no config.json whose layers are understood: the catalog's are used, if it has any")
    return notes


def _version(spec: Spec) -> tuple[str | None, list[str]]:
    own = spec.engine.version
    if own is not None and (parse_version(own) is not None or spec.engine.name != "vllm"):
        return own, []
    image = image_facts(spec.image.base) if spec.image.base else None
    return (image.engine_version if image else None), []


def _newest(engine: str) -> Known | None:
    versions = known_versions(engine)
    return load_known(engine, versions[-1]) if versions else None


def _memory(spec: Spec) -> Range | None:
    if spec.hardware.memory_gb is None:
        return None
    return VISIBLE.value if spec.hardware.gpu == "GB10" else Range.exactly(spec.hardware.memory_gb)


def _drafter(facts: ModelFacts | None, model: Model | None, config: Mapping[str, Any]) -> Drafter | None:
    known_ones = facts.drafters if facts else ()
    if model is not None and model.hf_id:
        return next((one for one in known_ones if one.hf_id and one.hf_id.lower() == model.hf_id.lower()), None)
    if "model" in config:
        return next((one for one in known_ones if one.hf_id is None and one.method == config.get("method")), None)
    return None


def _lookahead(config: Mapping[str, Any], drafter: Drafter | None) -> int:
    """Tokens per step. Where the recipe leaves them to the drafter: DFlash's blocks have 16, one of them is given."""
    given = config.get("num_speculative_tokens")
    if isinstance(given, int) and given > 0:
        return given
    return 15 if config.get("method") == "dflash" else 1 if config or drafter else 0
