"""One variant of a recipe beside the facts of a host: what it needs, where that would lie. Owns no verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.doctor.facts import GB, Facts
from recipegen.engines.base import used_models

if TYPE_CHECKING:
    from recipegen.runners.plan import HostOptions
    from recipegen.spec.completed import Spec

COMPLETE_SHARE = 0.95
"""Less than this share of a model's download size on disk is an unfinished download; sizes in recipes are rounded."""
LEAST_WEIGHTS = 1_000_000
"""Bytes; a hub model with less than that on disk is a config without weights."""


@dataclass(frozen=True)
class RecipeOnHost:
    """One variant of a recipe, the host's facts, and what the user set for this host."""

    facts: Facts
    spec: Spec
    variant: str
    options: HostOptions

    @property
    def flags(self) -> dict[str, Any]:
        """The variant's engine flags."""
        return self.spec.variants[self.variant].flags

    @property
    def in_container(self) -> bool:
        """Whether the server runs in a container."""
        return self.options.runner == "docker"

    @cached_property
    def model_keys(self) -> list[str]:
        """The models that the variant opens, and those that their tokenizers come from."""
        return model_keys(self.spec, self.variant)

    def bytes_here(self, key: str) -> int | None:
        """What lies where the engine looks for a model; None for nothing, or for a config without weights."""
        here = self.facts.models.get(key)
        bare = here is not None and here < LEAST_WEIGHTS and self.spec.models[key].hf_id is not None
        return None if bare else here

    def missing_bytes(self, key: str) -> float | None:
        """How much of a model is still to be fetched; None when its size is not known and nothing is there."""
        here, whole = self.bytes_here(key), self.spec.models[key].size_gb
        if here is not None and (whole is None or here >= COMPLETE_SHARE * whole * GB):
            return 0
        return None if whole is None else whole * GB - (here or 0)

    def incomplete(self) -> list[str]:
        """Keys of the models that are not here, or not whole."""
        return [key for key in self.model_keys if self.missing_bytes(key) != 0]

    @property
    def nodes(self) -> int:
        """How many machines the variant runs on: the hardware's, or more where its flags say so."""
        return int(max(self.spec.hardware.nodes, number(self.flags.get("nnodes"))))


def number(value: Any) -> float:
    """A flag's value where it is a number, else 1."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 1


def model_keys(spec: Spec, variant: str) -> list[str]:
    """The models that a variant opens, and those that their tokenizers come from."""
    keys = used_models(spec, variant)
    borrowed = [tokenizer for key in keys if (tokenizer := spec.models[key].tokenizer)]
    return list(dict.fromkeys([*keys, *(key for key in borrowed if key in spec.models)]))


def model_places(spec: Spec, keys: Iterable[str], options: HostOptions) -> dict[str, Path]:
    """Where the engine looks for each of these models on this host."""
    places = {}
    for key in keys:
        model = spec.models[key]
        if spec.run.models == "hf-cache" and model.hf_id:
            places[key] = options.hf_home / "hub" / f"models--{model.hf_id.replace('/', '--')}"
        else:
            places[key] = options.models_dir / str(model.folder) / (model.file or "")
    return places


def base_images(spec: Spec) -> list[str]:
    """The images that a build starts from."""
    return [image for image in (spec.image.base, spec.image.runtime_base) if image]


def registry(image: str) -> str:
    """The registry's host in an image reference, by Docker's rule: `python:3.11` is docker.io's."""
    host, slash, _ = image.partition("/")
    return host if slash and ("." in host or ":" in host or host == "localhost") else "docker.io"


def registry_address(image: str) -> str:
    """The web address of an image's registry."""
    host = registry(image)
    return f"https://{'registry-1.docker.io' if host == 'docker.io' else host}"
