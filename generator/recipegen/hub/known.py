"""What the catalog knows of a hub model: the model behind it, an image that runs it, presets that serve it. Owns the
matching; every fact stays the catalog's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from recipegen import catalog
from recipegen.catalog.facts import ImageFacts, ModelFacts
from recipegen.hub.facts import HubModel
from recipegen.hub.quantization import text_part
from recipegen.load.recipe import load_recipe
from recipegen.spec.model import Recipe

DEFAULT_IMAGE = "vllm/vllm-openai:nightly"
"""Taken where the catalog names no image for a model: the newest engine knows the most architectures."""
LLAMA_CPP_IMAGE = "nvcr.io/nvidia/cuda:13.0.0-devel-ubuntu24.04"
LLAMA_CPP_REF = "b8833"
"""What the catalog's entry cuda-13.0.0-devel was seen to build and run on a GB10."""
How = Literal["repository", "base model", "shape"]


@dataclass(frozen=True)
class Known:
    """What the catalog adds to a hub model.

    Attributes:
        facts: the model behind it; `how` says by what it was recognised. By `shape` it may be another model of the
            same build: parsers and images of its family hold, drafters do not.
        base: preset that serves this very repository and can run; None without one.
        presets: presets that serve this repository; `siblings` those that serve another checkpoint of the model.
    """

    facts: ModelFacts | None
    how: How | None
    base: tuple[str, Recipe] | None
    presets: tuple[str, ...]
    siblings: tuple[str, ...]

    @property
    def family(self) -> str | None:
        """The family of the model behind it."""
        return self.facts.family if self.facts else None


def known_of(model: HubModel) -> Known:
    """Everything that the catalog knows of a hub model."""
    facts, how = _facts(model)
    same = {name.casefold() for name in facts.repositories()} if facts and how != "shape" else set()
    own, siblings = [], []
    for name, served in _presets():
        if model.hf_id.casefold() in served:
            own.append(name)
        elif same & served:
            siblings.append(name)
    return Known(facts, how, _base(own, model), tuple(own), tuple(siblings))


def image_for(known: Known) -> tuple[ImageFacts | None, str]:
    """The published vLLM image that the catalog's sources vouch for most, and why; None where they name none."""
    best: tuple[int, ImageFacts | None, str] = (0, None, "the catalog names no image for this model")
    if known.facts is None:
        return None, best[2]
    for image in catalog.all_image_facts():
        score, why = _vouched(image, known.facts)
        if score > best[0]:
            best = (score, image, why)
    return best[1], best[2]


def target_of_drafter(hf_id: str) -> str | None:
    """The model that a drafter of the catalog was trained for; None where the catalog does not know it."""
    for facts in catalog.model_facts().values():
        if any(one.hf_id and one.hf_id.casefold() == hf_id.casefold() for one in facts.drafters):
            return facts.base_model or facts.id
    return None


def _facts(model: HubModel) -> tuple[ModelFacts | None, How | None]:
    if facts := catalog.facts_of(model.hf_id):
        return facts, "repository"
    for base in model.base_models:
        if facts := catalog.facts_of(base):
            return facts, "base model"
    alike = [facts for facts in catalog.model_facts().values() if _same_shape(facts, model)]
    named = [facts for facts in alike if _plain(facts.id) in _plain(model.hf_id)]
    chosen = named if named else alike
    # Several models of one shape are as good as one where they are of one family and want the same parsers.
    if chosen and len({(one.family, one.parsers) for one in chosen}) == 1:
        return chosen[0], "shape"
    return None, None


def _same_shape(facts: ModelFacts, model: HubModel) -> bool:
    text = text_part(model.config)
    layers = facts.kv.layers if facts.kv else None
    wanted = (facts.hidden_size, layers, facts.vocab_size)
    return (
        facts.arch_class is not None
        and facts.arch_class == model.architecture
        and None not in wanted[:2]
        and wanted == (text.get("hidden_size"), text.get("num_hidden_layers"), text.get("vocab_size"))
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _vouched(image: ImageFacts, facts: ModelFacts) -> tuple[int, str]:
    """How strongly an image is vouched for, and by whom; 0 where it is not, or where it was seen to fail."""
    if image.engine != "vllm" or image.reference is None or image.local or image.entrypoint == "env-driven":
        return 0, ""
    for failure in image.fails:
        if failure.model == facts.id or failure.family == facts.family or "GB10" in (failure.when or ""):
            return 0, ""
    score, why = 0, ""
    if facts.family in image.for_:
        score, why = 2, f"for {facts.family} ({image.source[0]})"
    for works in image.works:
        weight = 4 if works.model == facts.id else 3 if works.family == facts.family else 0
        if weight:
            score += 1 if works.when else weight
            why = f"runs {works.model or works.family}{f', {works.when}' if works.when else ''} ({works.source})"
    return score, why


def _presets() -> Iterator[tuple[str, set[str]]]:
    """Every preset with the repositories that its variants serve, in small letters."""
    for name in catalog.preset_names():
        data: Any = catalog.read_yaml(catalog.preset_file(name))
        models = {"model": data["model"], **data.get("models", {})}
        keys = {"model", *(body["model"] for body in data["variants"].values() if body and "model" in body)}
        yield name, {str(models[key].get("hf_id", "")).casefold() for key in keys} - {""}


def _base(names: list[str], model: HubModel) -> tuple[str, Recipe] | None:
    for name in names:
        recipe = load_recipe(catalog.preset_file(name), preset=catalog.preset_file).recipe
        own = recipe.model.hf_id is not None and recipe.model.hf_id.casefold() == model.hf_id.casefold()
        if own and recipe.engine.name == "vllm" and recipe.image.mode == "prebuilt" and not recipe.missing:
            return name, recipe
    return None
