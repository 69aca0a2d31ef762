"""From a hub model to a first recipe: the machine that holds it, a context that fits, nothing in it that the linter
calls an error. Owns that choosing; writes no file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.engines.command import model_references
from recipegen.errors import RecipegenError, SpecError
from recipegen.fit import Estimate, estimate
from recipegen.fit.constants import VISIBLE
from recipegen.fit.local import LocalModel
from recipegen.fit.setup import Assumed
from recipegen.hub.draft import DFLASH_PATCH, SHARE, Draft, draft, speculative_configs
from recipegen.hub.emit import recipe_yaml
from recipegen.hub.facts import HubModel, read_model, unknown
from recipegen.hub.known import Known, known_of, target_of_drafter
from recipegen.hub.quantization import NO_FILE, text_part

if TYPE_CHECKING:
    from recipegen.lint.finding import Finding
    from recipegen.lint.subject import Recipe as LintRecipe
    from recipegen.render.patches import Patch
    from recipegen.spec.completed import Spec

MACHINES = (("dgx-spark", 1), ("dgx-spark-x2", 2), ("dgx-spark-x4", 4))
"""The smallest that holds a model is taken."""
CONTEXTS = (32768, 16384, 8192, 4096)
_ANSWERS = ("text-generation", "text-to-text", "any-to-any", "text2text-generation", "question-answering")
"""Ends of the hub's names for tasks whose outcome is text."""
_NEEDED = ("max-model-len", "ctx-size", "gpu-memory-utilization")
"""Flags that a recipe is not written without."""
_ROUNDS = 12
"""Each takes out at least one flag or variant; a draft has fewer than that many."""


@dataclass(frozen=True)
class FirstRecipe:
    """A first recipe, and what its user should know.

    Attributes:
        text: the recipe.yaml.
        facts: what is known of the model, in short sentences.
        open: choices, gaps and what was left out, in words.
        estimates: per variant, with the hub's config.json at hand.
    """

    text: str
    model: HubModel
    known: Known
    facts: tuple[str, ...]
    open: tuple[str, ...]
    estimates: Mapping[str, Estimate]


def first_recipe(name: str, hf_id: str, patches: Mapping[str, Patch]) -> FirstRecipe:
    """A first recipe for a model on the hub.

    Args:
        patches: those of the repository, by id.

    Raises:
        EnvironmentLacks: the hub cannot be reached or makes no sense, or the model is gated.
        RecipegenError: there is no such model, or it is none that a server can serve.
    """
    model = read_model(hf_id)
    known = known_of(model)
    _servable(model)
    chosen = _on_a_machine(name, model, known)
    chosen, dropped = _without_errors(chosen, lambda one: _lint(_text(one, []), patches))
    said = [*chosen.said, *dropped]
    if model.pipeline and not model.pipeline.endswith(_ANSWERS):
        said.append(f"The hub files it under {model.pipeline}: a server of text may have nothing to do with it.")
    theirs = known.facts if known.how != "shape" else None
    told = {"number of parameters": theirs and theirs.params_b, "native context": theirs and theirs.native_context}
    if gaps := [gap for gap in unknown(model) if not told.get(gap)]:
        said.append(f"Not said by any file of the repository: {', '.join(gaps)}.")
    if known.how is None:
        said.append(
            "The catalog does not know this model: parsers, drafters and image are not chosen by anybody's experience."
        )
    elif known.how == "shape" and known.facts:
        said.append(
            f"Recognised by the shape of its layers alone, as {known.facts.id}'s: parsers and image are that family's, "
            "drafters are left out."
        )
    facts = tuple(_facts(model, known))
    text = _text(chosen, [*_head(model, known), " ".join(facts), *said])
    spec = _complete(text)[1]
    return FirstRecipe(
        text, model, known, facts, tuple(said), {key: _estimate(spec, key, model) for key in spec.variants}
    )


def _servable(model: HubModel) -> None:
    """Refuse what is on the hub and no server serves by itself."""
    if model.adapter:
        base = f": {model.base_models[0]}" if model.base_models else ""
        raise RecipegenError(
            f"{model.hf_id} is an adapter (LoRA), not a model", hint=f"start from its base model{base}"
        )
    target = target_of_drafter(model.hf_id)
    if model.drafter or target:
        hint = f"start from its target: recipegen new NAME --model {target}" if target else "start from its target"
        raise RecipegenError(f"{model.hf_id} is a drafter, which serves nobody alone", hint=hint)
    if not model.config and not model.ggufs and not model.weights_gb:
        raise RecipegenError(
            f"{model.hf_id} holds no model that vLLM or llama.cpp can serve: no config.json, no GGUF, no safetensors",
            hint="take the repository with the weights",
        )


def _on_a_machine(name: str, model: HubModel, known: Known) -> Draft:
    """The draft for the smallest machine that holds the model, its context cut to what fits."""
    made = draft(name, model, known)
    if known.base or model.ggufs:
        return _with_context(made, model)
    for hardware, nodes in MACHINES:
        made = draft(name, model, known, hardware=hardware, nodes=nodes)
        spec = _complete(_text(made, []))[1]
        length = min(CONTEXTS[0], made.data["engine"]["flags"]["max-model-len"])
        if not _too_large(_estimate(spec, "ar", model, context=length), model, nodes):
            made = _with_context(made, model)
            if nodes > 1:
                why = f"{model.weights_gb or 0:g} GB of weights are more than fewer boxes hold beside a cache"
                return replace(made, comments={**made.comments, ("hardware",): why})
            return made
    return replace(
        made, said=(*made.said, "It does not fit into four DGX Spark either, as far as the estimate can tell.")
    )


def _too_large(found: Estimate, model: HubModel, nodes: int) -> bool:
    if found.verdict == "unknown":  # no layers are known: the weights alone decide
        return (model.weights_gb or 0) > SHARE * nodes * VISIBLE.value.low
    return found.verdict == "over"


def _with_context(made: Draft, model: HubModel) -> Draft:
    """The same with the longest of a few contexts at which no variant is over the machine's memory."""
    flags = made.data["engine"]["flags"]
    key = next((one for one in ("max-model-len", "ctx-size") if isinstance(flags.get(one), int)), None)
    spec = _complete(_text(made, []))[1]
    if key is None:
        return made

    def fits(length: int) -> bool:
        return all(_estimate(spec, variant, model, flags={key: length}).verdict != "over" for variant in spec.variants)

    own = flags[key]
    if fits(own):
        return made
    length = next((one for one in CONTEXTS if one < own and fits(one)), None)
    if length is None:
        return made
    engine = made.data["engine"]
    notes = {
        **engine.get("notes", {}),
        key: f"{own} do not fit into the machine's memory, as far as `recipegen fit` can tell.",
    }
    data = {**made.data, "engine": {**engine, "flags": {**flags, key: length}, "notes": notes}}
    return replace(made, data=data)


def _without_errors(made: Draft, lint: Callable[[Draft], tuple[LintRecipe, list[Finding]]]) -> tuple[Draft, list[str]]:
    """The draft without the flags and variants that the linter calls an error, and why each is left out."""
    dropped: list[str] = []
    for _ in range(_ROUNDS):
        recipe, findings = lint(made)
        errors = [finding for finding in findings if finding.severity == "error" and finding.silenced is None]
        everywhere = {finding.rule.id for finding in errors if made.data["headline"] in finding.variants}
        cut = next(
            ((place, finding) for finding in errors if (place := _culprit(made, recipe, finding, everywhere))), None
        )
        if cut is None:
            break
        place, finding = cut
        made = replace(made, data=_without(made.data, place))
        dropped.append(
            f"Left out: {place[-1]}. {finding.message[:1].upper()}{finding.message[1:]} ({finding.rule.id})."
        )
    return made, dropped


def _culprit(made: Draft, recipe: LintRecipe, finding: Finding, everywhere: Collection[str]) -> tuple[str, ...] | None:
    """The variant or the common flag that a finding blames, where a recipe can do without it.

    Args:
        everywhere: rules that the headline breaks as well, so that leaving out a variant mends nothing.
    """
    if finding.variants and finding.rule.id not in everywhere:
        return ("variants", finding.variants[0])
    for path, where in recipe.document.places.items():
        if where == finding.where and len(path) >= 3 and path[:2] == ("engine", "flags"):
            return None if path[2] in _NEEDED else ("engine", "flags", str(path[2]))
    return None


def _without(data: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    """The data without one variant (and the drafter and the patch that only it needs) or one flag (and its note)."""
    if place[0] == "variants":
        variants = {key: body for key, body in data["variants"].items() if key != place[1]}
        found = {**data, "variants": variants}
        if found.get("baseline") == place[1]:
            found["baseline"] = found["headline"]
        named = set(model_references([data["engine"], variants]))
        models = {
            key: body for key, body in data.get("models", {}).items() if body["role"] != "drafter" or key in named
        }
        found["models"] = models
        if not any(config.get("method") == "dflash" for config in speculative_configs(found)):
            patches = [patch for patch in found["image"].get("patches", []) if patch != DFLASH_PATCH]
            found["image"] = {**found["image"], "patches": patches}
            if not patches:
                del found["image"]["patches"]
        return {key: body for key, body in found.items() if key != "models" or body}
    engine = data["engine"]
    less = {
        part: {key: one for key, one in engine.get(part, {}).items() if key != place[2]} for part in ("flags", "notes")
    }
    return {**data, "engine": {**engine, **less}}


def _text(made: Draft, head: list[str]) -> str:
    return recipe_yaml(head, made.data, made.comments)


def _complete(text: str) -> tuple[LintRecipe, Spec]:
    from recipegen.checks import cross_check
    from recipegen.complete import complete
    from recipegen.lint.subject import Recipe as LintRecipe
    from recipegen.load.yamldoc import parse
    from recipegen.spec.model import Recipe

    document = parse(text, Path("recipe.yaml"))
    recipe = Recipe.model_validate(document.data)
    if problems := cross_check(document):
        raise SpecError(problems)
    spec = complete(recipe)
    return LintRecipe(spec, document), spec


def _lint(text: str, patches: Mapping[str, Patch]) -> tuple[LintRecipe, list[Finding]]:
    from recipegen.lint.context import Context
    from recipegen.lint.run import lint_recipe

    recipe, _ = _complete(text)
    return recipe, lint_recipe(recipe, Context(patches))


def _estimate(
    spec: Spec, variant: str, model: HubModel, *, context: int | None = None, flags: Mapping[str, Any] | None = None
) -> Estimate:
    """The estimate with the layers that the hub's config.json tells, which wins over the catalog's."""
    local = LocalModel(Path("the model on the hub"), None, {**model.config, **text_part(model.config)})
    return estimate(spec, variant, context=context, assumed=Assumed(flags=flags or {}, local=local))


def _head(model: HubModel, known: Known) -> Iterator[str]:
    yield (
        f"A first recipe for {model.hf_id}, made by `recipegen new --model` from what its files on the hub and the "
        "catalog say. Nobody has run it yet: look through flags and image before a long build."
    )
    if known.presets or known.siblings:
        yield f"Presets of this model: {', '.join([*known.presets, *known.siblings])}."


def _facts(model: HubModel, known: Known) -> Iterator[str]:
    facts = known.facts
    kind = model.architecture or model.model_type
    if kind:
        yield f"Architecture {kind}{f', family {known.family}' if known.family else ''}."
    elif known.family:
        yield f"Family {known.family}."
    params = (facts.params_b if facts and known.how != "shape" else None) or model.params_b
    if params:
        active = facts.active_b if facts and known.how != "shape" else None
        yield f"{params:.3g} billion parameters{f', {active:g} billion of them active for a token' if active else ''}."
    if model.experts:
        each = f", {model.experts_per_token} of them for a token" if model.experts_per_token else ""
        yield f"{model.experts} experts a layer{each}."
    if not model.ggufs:
        found = model.quantization
        form = f" ({found.format})" if found.format else ""
        cache = f", KV cache meant for {found.kv_cache}" if found.kv_cache else ""
        said = found.source if found.source == NO_FILE else f"read from {found.source}"
        yield f"Quantization {found.label}{form}, {said}{cache}."
        yield from (f"{note[0].upper()}{note[1:]}." for note in found.notes)
    if model.weights_gb and not model.ggufs:
        yield f"{model.weights_gb:g} GB of weights."
    if model.context:
        yield f"Native context {model.context} tokens."
    if model.heads:
        yield f"{model.heads.count} prediction head{'s' * (model.heads.count != 1)} (MTP)."
    if model.licence:
        yield f"Licence {model.licence}."
    yield "Gated: the hub asks for accepted terms." if model.gated else "Not gated."
    if model.private:
        yield "Private: others cannot download it."
    if model.base_models:
        yield f"Made from {', '.join(model.base_models[:4])}{f' ({model.relation})' if model.relation else ''}."
    if not model.tokenizer and not model.ggufs:
        yield "It carries no tokenizer that is known here."
    if model.hf_id.casefold() != model.asked.casefold():
        yield f"The hub calls {model.asked} by this name now."
