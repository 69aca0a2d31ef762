"""What a rule's predicates speak of: the facts of one variant of a recipe, by name. Owns the names and where in the
recipe each stands; decides nothing.

Subjects: hf_id, model.id, family, arch, quant.format, image, image.digest, image.mode, image.arch_list, engine,
engine.version, pkg.NAME, hardware, hardware.sm, nodes, baseline, status, flag.--NAME, spec.KEY (of
--speculative-config), env.NAME, docker.KEY; log; metric.NAME; harness.NAME. A fact that nobody gives is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from recipegen.catalog import facts_of, image_facts
from recipegen.catalog.facts import ImageFacts, ModelFacts
from recipegen.engines.base import flag_key
from recipegen.engines.known import Known, is_version, known, newest
from recipegen.engines.normal import merged_flags
from recipegen.engines.ranks import variant_ranks
from recipegen.load.yamldoc import Document, Path_
from recipegen.spec.completed import MAIN_MODEL, ResolvedVariant, Spec
from recipegen.spec.model import Model
from recipegen.spec.topology import NONE
from recipegen.spec.versions import lowest, parse_version, project

SPECULATIVE = "speculative-config"
_NO = "no-"
_LENGTH = "max-model-len"
_AUTO = "auto"


@dataclass(frozen=True)
class Recipe:
    """A recipe under the linter: completed, and as its author wrote it."""

    spec: Spec
    document: Document

    @cached_property
    def image(self) -> ImageFacts | None:
        """What the catalog knows of the base image."""
        return image_facts(self.spec.image.base) if self.spec.image.base else None

    @cached_property
    def spellings(self) -> Mapping[Path_, Mapping[str, str]]:
        """Per group of flags (the engine's, a variant's): the author's spelling of each flag."""
        data = self.document.data
        groups: list[Path_] = [("engine",), *(("variants", name) for name in self.spec.variants)]
        return {group: {flag_key(str(key)): str(key) for key in _at(data, (*group, "flags"))} for group in groups}


@dataclass(frozen=True)
class Subject:
    """One variant of a recipe, with what was seen of it.

    Attributes:
        log: the server's log, where a rule is about logs.
        metrics: figures of a result: completion_tokens, tg, pp, acceptance and so on.
    """

    recipe: Recipe
    variant: ResolvedVariant
    log: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> Spec:
        return self.recipe.spec

    @cached_property
    def model(self) -> Model:
        """The model that the variant serves."""
        return self.spec.models[self.variant.model]

    @cached_property
    def facts(self) -> ModelFacts | None:
        """What the catalog knows of that model."""
        return facts_of(self.model.hf_id, self.model.base_model)

    @cached_property
    def flags(self) -> dict[str, Any]:
        """Flags by long name, in normal form: `no-x: true` is `x: false`, JSON in quotes a mapping, 64k a number.

        A length that the engine chooses itself (-1) reads as `auto`: it is below no bound.
        """
        found = merged_flags(self.variant.flags, self.known)
        return {name: _AUTO if name == _LENGTH and value == -1 else value for name, value in found.items()}

    @cached_property
    def known(self) -> Known | None:
        """The engine's flags: of the version that stands for the recipe's, of the newest where none is known."""
        return known(self.spec.engine.name, self.engine_version) or newest(self.spec.engine.name)

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Other spellings of the engine's flags to the long one."""
        return self.known.aliases if self.known else {}

    @cached_property
    def engine_version(self) -> str | None:
        """The version that the recipe was written for, else the one that the catalog knows of its image."""
        own = self.spec.engine.version
        if own is not None and is_version(self.spec.engine.name, own):
            return own
        return self.recipe.image.engine_version if self.recipe.image else None

    def value(self, name: str) -> Any:
        """The fact of that name, or None."""
        head, dot, rest = name.partition(".")
        if dot and head in _FAMILIES:
            return _FAMILIES[head](self, rest)
        return _SINGLE[name](self) if name in _SINGLE else None

    def path(self, name: str) -> Path_ | None:
        """Where in the recipe the author says it, or None where the recipe does not say it."""
        head, dot, rest = name.partition(".")
        if dot and head == "flag":
            return self.flag_path(flag_key(rest))
        if dot and head == "spec":
            return self.flag_path(f"{SPECULATIVE}.{rest}")
        if dot and head == "env":
            return self.env_path(rest)
        if dot and head == "docker":
            return ("run", rest)
        if dot and head == "pkg":
            return ("image", "transformers") if rest == "transformers" else ("image",)
        if name in ("hf_id", "model.id", "family", "arch"):
            return (*self.model_path, "hf_id")
        if name == "quant.format":
            return (*self.model_path, "format")
        return _PLACES.get(name)

    @cached_property
    def model_path(self) -> Path_:
        """Place of the served model's declaration."""
        return ("model",) if self.variant.model == MAIN_MODEL else ("models", self.variant.model)

    def flag_path(self, key: str) -> Path_ | None:
        """Place of a flag, or of a key in its JSON, in the variant, else in the common flags.

        The spelling that is asked for goes before others of the same flag.
        """
        groups: tuple[Path_, ...] = (("variants", self.variant.name), ("engine",))
        for group in groups:
            written = self.recipe.spellings[group].get(key)
            if written is not None:
                return (*group, "flags", written)
        return next((path for group in groups if (path := self._flag_path_in(group, key)) is not None), None)

    def _flag_path_in(self, group: Path_, key: str) -> Path_ | None:
        head, _, inner = key.partition(".")
        head = self.aliases.get(head, head)
        whole: Path_ | None = None
        for spelling, written in self.recipe.spellings[group].items():
            first, _, rest = spelling.partition(".")
            name = self.aliases.get(first, first)
            if head not in (name, name.removeprefix(_NO)):
                continue
            path = (*group, "flags", written)
            if rest == inner:
                return path
            if not rest and inner in _at(self.recipe.document.data, path):
                return (*path, inner)
            whole = whole or path
        return whole

    def env_path(self, name: str) -> Path_ | None:
        """Place of an environment variable."""
        for group in (("variants", self.variant.name), ("engine",), ("image",)):
            if name in _at(self.recipe.document.data, (*group, "env")):
                return (*group, "env", name)
        return None


def _at(data: Any, path: Path_) -> Mapping[str, Any]:
    for part in path:
        data = data.get(part) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _flag(subject: Subject, name: str) -> Any:
    head, *inner = flag_key(name).split(".")
    value = subject.flags.get(head)
    for key in inner:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _speculative(subject: Subject, key: str) -> Any:
    return _flag(subject, f"{SPECULATIVE}.{key}")


def _env(subject: Subject, name: str) -> str | None:
    return subject.variant.env.get(name, subject.spec.image.env.get(name))


def _package(subject: Subject, name: str) -> str | None:
    """A package's version in the finished image, as far as the recipe or the catalog say."""
    image = subject.spec.image
    own = {"transformers": image.transformers, "flashinfer-python": image.flashinfer, "torch": image.torch_version}
    named = own.get(name)
    if named is not None:
        bound = parse_version(named) or lowest(named)
        return str(bound) if bound else None
    for requirement in (*image.pip, *image.overrides, *image.wheels):
        if project(requirement) == name.replace("_", "-"):
            return str(lowest(requirement) or "any")
    base = subject.recipe.image
    return base.packages.get(name) if base else None


def _quantization_format(subject: Subject) -> str | None:
    if subject.model.format is not None:
        return subject.model.format
    checkpoints = subject.facts.checkpoints if subject.facts else ()
    wanted = (subject.model.hf_id or "").lower()
    return next((c.format for c in checkpoints if c.hf_id and c.hf_id.lower() == wanted), None)


def _interface(subject: Subject) -> str | None:
    """The interface between the nodes that the scripts set; None where they leave the choice to NCCL."""
    cluster = subject.spec.cluster
    return None if cluster is None or cluster.interface == NONE else cluster.interface


def _arch(subject: Subject) -> str | None:
    return " ".join(subject.facts.arch) if subject.facts else None


def _model_id(subject: Subject) -> str | None:
    if subject.facts is not None:
        return subject.facts.id
    name = subject.model.hf_id or subject.model.folder
    return name.lower() if name else None


_SINGLE: Mapping[str, Any] = {
    "hf_id": lambda s: s.model.hf_id,
    "family": lambda s: s.facts.family if s.facts else None,
    "arch": _arch,
    "quant.format": _quantization_format,
    "model.id": _model_id,
    "image": lambda s: s.spec.image.base.partition("@")[0] or None,
    "image.digest": lambda s: s.spec.image.base.partition("@")[2] or None,
    "image.arch_list": lambda s: s.spec.image.arch_list,
    "image.mode": lambda s: s.spec.image.mode,
    "engine": lambda s: s.spec.engine.name,
    "engine.version": lambda s: s.engine_version,
    "hardware": lambda s: s.spec.hardware.id,
    "hardware.sm": lambda s: s.spec.hardware.sm,
    "nodes": lambda s: s.spec.hardware.nodes,
    "executor": lambda s: variant_ranks(s.spec, s.variant.name).executor if s.spec.cluster else None,
    "interface": _interface,
    "status": lambda s: s.spec.status,
    "baseline": lambda s: s.spec.baseline,
    "log": lambda s: s.log,
}
_FAMILIES: Mapping[str, Any] = {
    "flag": _flag,
    "spec": _speculative,
    "env": _env,
    "pkg": _package,
    "docker": lambda s, rest: getattr(s.spec.run, rest, None),
    "metric": lambda s, rest: s.metrics.get(rest),
    "harness": lambda s, rest: s.metrics.get(rest),
    **{head: (lambda s, rest, head=head: _SINGLE[f"{head}.{rest}"](s)) for head in ("model", "quant", "image")},
    **{head: (lambda s, rest, head=head: _SINGLE[f"{head}.{rest}"](s)) for head in ("engine", "hardware")},
}
_PLACES: Mapping[str, Path_] = {
    "image": ("image", "base"),
    "image.digest": ("image", "base"),
    "image.mode": ("image", "mode"),
    "engine": ("engine", "name"),
    "engine.version": ("engine", "version"),
    "hardware": ("hardware",),
    "hardware.sm": ("hardware",),
    "nodes": ("hardware",),
    "interface": ("hardware",),
    "status": ("status",),
    "baseline": ("baseline",),
    "image.arch_list": ("image", "arch_list"),
}
SUBJECTS = frozenset(_SINGLE)
SUBJECT_FAMILIES = frozenset(("flag", "spec", "env", "pkg", "docker", "metric", "harness"))
"""Heads of the names above that take any rest."""
