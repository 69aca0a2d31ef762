"""recipe.lock.yaml: what the moving names of a recipe stood for when somebody looked. Owns the file's shape, reading
and writing it, and putting its pins into a completed recipe; asks nobody (`pins` does)."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from recipegen.errors import Problem, SpecError
from recipegen.files import write_atomic
from recipegen.load.messages import problems_of
from recipegen.load.yamldoc import Path_, parse, read_text
from recipegen.spec.completed import MAIN_MODEL, Spec
from recipegen.spec.types import Line, PythonPackage, Sha256, Slug, Strict, Version

LOCK_FILE = "recipe.lock.yaml"
SCHEMA = "recipegen-lock/1"
BENCH_TOOL = "llama-benchy"
_HEADER = """\
# Written by `recipegen lock`: what the moving names in recipe.yaml stood for on that day. Kits are rendered from it.
# Not edited by hand: change recipe.yaml, then `recipegen lock`. `recipegen lock --check` says what moved since.
"""

_COMMIT = r"[0-9a-f]{40}"
_PROJECT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?")
_EXACT = re.compile(_PROJECT.pattern + r"\s*==\s*[^*,\s]+[\s,]*")

Asked = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=rf"^{_COMMIT}$")]
Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Pin(Strict):
    """What a name stood for.

    Attributes:
        asked: the name, as the recipe has it; a pin counts only while the recipe still asks for the same.
        resolved: the day (UTC) on which it came to stand for this.
    """

    asked: Asked
    resolved: Day

    @property
    @abstractmethod
    def value(self) -> str:
        """The pin itself: a digest, a commit, a version or a hash."""


class ImagePin(Pin):
    """An image: its digest at the registry, or its id in one machine's daemon, which a stranger cannot pull."""

    digest: Digest | None = None
    local: Digest | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ImagePin:
        if (self.digest is None) == (self.local is None):
            raise ValueError("needs one of digest and local")
        return self

    @property
    def value(self) -> str:
        return self.digest or f"local {self.local}"


class CommitPin(Pin):
    """A model of the hub, or a git repository at a ref."""

    commit: Commit

    @property
    def value(self) -> str:
        return self.commit


class VersionPin(Pin):
    """A package of a package index."""

    version: Version

    @property
    def value(self) -> str:
        return self.version


class HashPin(Pin):
    """A text of the web: the SHA-256 of its bytes."""

    sha256: Sha256

    @property
    def value(self) -> str:
        return self.sha256


class Lock(Strict):
    """The pins of one recipe, by kind and name."""

    schema_: Literal["recipegen-lock/1"] = Field(alias="schema")
    recipegen: Line = Field(description="version of recipegen that wrote it")
    images: dict[Literal["base", "runtime_base"], ImagePin] = Field(default_factory=dict)
    source: dict[Literal["ref"], CommitPin] = Field(default_factory=dict)
    models: dict[Slug, CommitPin] = Field(default_factory=dict)
    packages: dict[PythonPackage, VersionPin] = Field(default_factory=dict)
    tools: dict[PythonPackage, VersionPin] = Field(default_factory=dict)
    corpora: dict[Slug, HashPin] = Field(default_factory=dict)

    def pins(self) -> dict[tuple[str, str], Pin]:
        """Every pin by section and key, in the order of the file."""
        sections: dict[str, dict[str, Pin]] = {name: getattr(self, name) for name in PIN_CLASSES}
        return {(section, key): pin for section, found in sections.items() for key, pin in found.items()}

    def pin(self, part: Part) -> Pin | None:
        """The pin of a part; None when there is none, or one for something else than the recipe asks for now."""
        found = self.pins().get(part.id)
        return found if found is not None and found.asked == part.asked else None


PIN_CLASSES: dict[str, type[Pin]] = {
    "images": ImagePin,
    "source": CommitPin,
    "models": CommitPin,
    "packages": VersionPin,
    "tools": VersionPin,
    "corpora": HashPin,
}
"""The sections of a lock, in the order of the file."""


@dataclass(frozen=True)
class Part:
    """One name in a recipe that can stand for something else tomorrow.

    Attributes:
        section: of the lock.
        key: in that section.
        words: what is asked for, as the resolver of that section takes it.
        asked: the same as one text.
        path: where it stands in recipe.yaml.
        moves: in words, why it is not pinned; empty for what is pinned in the recipe and locked all the same.
    """

    section: str
    key: str
    words: tuple[str, ...]
    asked: str
    path: Path_
    moves: str

    @property
    def id(self) -> tuple[str, str]:
        """Section and key."""
        return self.section, self.key

    @property
    def place(self) -> str:
        """Section and key as one word, for messages."""
        return f"{self.section}.{self.key}"


def parts(spec: Spec) -> list[Part]:
    """What of a completed recipe a lock pins: all that the recipe itself does not, and the benchmark's version.

    Nothing of a record: what a name stands for today is not what its authors had.
    """
    if spec.missing:
        return []
    return [*_images(spec), *_source(spec), *_models(spec), *_packages(spec), *_corpora(spec)]


def _images(spec: Spec) -> Iterator[Part]:
    for key in ("base", "runtime_base"):
        name = getattr(spec.image, key)
        if name and "@" not in name:
            moves = f"the image {name} has no digest: the tag can stand for another image tomorrow"
            yield Part("images", key, (name,), name, ("image", key), moves)


def _source(spec: Spec) -> Iterator[Part]:
    repo, ref = spec.image.repo, spec.image.ref
    if repo and ref and not re.fullmatch(_COMMIT, ref):
        moves = f"{ref} is a tag or a branch of {repo}, not a commit"
        yield Part("source", "ref", (repo, ref), f"{repo}@{ref}", ("image", "ref"), moves)


def _models(spec: Spec) -> Iterator[Part]:
    for key, model in spec.models.items():
        if not model.hf_id or re.fullmatch(_COMMIT, model.revision or ""):
            continue
        path: Path_ = ("model",) if key == MAIN_MODEL else ("models", key)
        if model.revision:
            moves = f"the revision {model.revision} of {model.hf_id} is not a commit"
            asked, path = f"{model.hf_id}@{model.revision}", (*path, "revision")
        else:
            moves = f"{model.hf_id} has no revision: what it holds can change"
            asked, path = model.hf_id, (*path, "hf_id")
        yield Part("models", key, (model.hf_id, model.revision or ""), asked, path, moves)


def _packages(spec: Spec) -> Iterator[Part]:
    # One environment holds one version of a project: requirements on the same one are resolved together.
    projects: dict[str, list[tuple[str, Path_]]] = {}
    if spec.image.transformers:
        projects.setdefault(_project(spec.image.transformers), []).append(
            (spec.image.transformers, ("image", "transformers"))
        )
    for index, text in enumerate(spec.image.pip):
        projects.setdefault(_project(text), []).append((text, ("image", "pip", index)))
    for project, wanted in projects.items():
        if any(_EXACT.fullmatch(text) for text, _ in wanted):
            continue
        words = tuple(dict.fromkeys(text for text, _ in wanted))
        asked = " and ".join(words)
        yield Part("packages", project, words, asked, wanted[0][1], f"{asked} takes whatever version is newest")
    tool = f"{BENCH_TOOL}=={spec.bench.tool}"
    yield Part("tools", BENCH_TOOL, (tool,), tool, ("bench", "tool"), "")


def _corpora(spec: Spec) -> Iterator[Part]:
    for key, corpus in spec.bench.corpora.items():
        if corpus.url and not corpus.sha256:
            moves = f"the text at {corpus.url} has no sha256: it can change"
            yield Part("corpora", key, (corpus.url,), corpus.url, ("bench", "corpora", key, "url"), moves)


def _project(requirement: str) -> str:
    """The name of a requirement's project in its normal form (packaging's name normalization), as a key."""
    found = _PROJECT.match(requirement)
    assert found is not None, "the spec's models check requirements"
    return re.sub(r"[-_.]+", "-", found[1]).strip("-").lower()


def pinned(spec: Spec, lock: Lock) -> Spec:
    """The completed recipe with the lock's pins in it; its identity covers them.

    A pin counts only where the recipe leaves something open and still asks for what the pin was made for: what the
    recipe itself says wins. An image that only one machine's daemon knows keeps its name: no registry has its digest.
    """
    pins = {part.id: pin.value for part in parts(spec) if (pin := lock.pin(part)) is not None}
    image: dict[str, Any] = {}
    for key in ("base", "runtime_base"):
        digest = pins.get(("images", key), "local")
        if not digest.startswith("local"):
            image[key] = f"{getattr(spec.image, key)}@{digest}"
    if ("source", "ref") in pins:
        image["ref"] = pins["source", "ref"]
    image["pip"] = tuple(_with_version(text, pins) for text in spec.image.pip)
    if spec.image.transformers:
        image["transformers"] = _with_version(spec.image.transformers, pins)
    models = {
        key: model.model_copy(update={"revision": pins["models", key]}) if ("models", key) in pins else model
        for key, model in spec.models.items()
    }
    corpora = {
        key: corpus.model_copy(update={"sha256": pins["corpora", key]}) if ("corpora", key) in pins else corpus
        for key, corpus in spec.bench.corpora.items()
    }
    changed: dict[str, Any] = {
        "image": spec.image.model_copy(update=image),
        "models": models,
        "bench": spec.bench.model_copy(update={"corpora": corpora}),
    }
    # Not model_copy: it would take over the hash that the recipe without its pins may have been asked for already.
    fields: dict[str, Any] = {name: getattr(spec, name) for name in Spec.model_fields}
    return Spec.model_construct(**{**fields, **changed})


def _with_version(requirement: str, pins: dict[tuple[str, str], str]) -> str:
    version = pins.get(("packages", _project(requirement)))
    found = _PROJECT.match(requirement)
    return f"{found[0]}=={version}" if version and found else requirement


def unpinned(spec: Spec, lock: Lock | None) -> list[tuple[Path_, str]]:
    """What of a recipe can change without the recipe: neither pinned in it nor by its lock.

    Args:
        spec: completed, without the lock's pins.

    Returns:
        Place in recipe.yaml and what moves there, in the order of `parts`, then the wheels, which no lock covers.
    """
    found = []
    for part in parts(spec):
        pin = lock.pin(part) if lock else None
        if isinstance(pin, ImagePin) and pin.local:
            found.append((part.path, f"the image {part.asked} is known to one machine only: nobody else can pull it"))
        elif pin is None and part.moves:
            found.append((part.path, part.moves))
    for index, text in enumerate(() if spec.missing else spec.image.wheels):
        if not _EXACT.fullmatch(text):
            path: Path_ = ("image", "wheels", index)
            found.append((path, f"{text} takes whatever wheel lies in wheels/; a lock does not cover it"))
    return found


def stale(spec: Spec, lock: Lock) -> dict[tuple[str, str], str]:
    """Pins that do not count any more, by section and key, each with the reason.

    Args:
        spec: completed, without the lock's pins.
    """
    wanted = {part.id: part for part in parts(spec)}
    found = {}
    for place, pin in lock.pins().items():
        part = wanted.get(place)
        if part is None:
            own = spec.models[place[1]].revision if place[0] == "models" and place[1] in spec.models else None
            says = f"the recipe itself says {own}" if own else "the recipe leaves nothing open there"
            says = "the recipe is a record of what others ran" if spec.missing else says
            found[place] = f"pinned {pin.value} for {pin.asked}, but {says}"
        elif part.asked != pin.asked:
            found[place] = f"pinned {pin.value} for {pin.asked}, but the recipe asks for {part.asked}"
    return found


def read_lock(file: Path) -> Lock | None:
    """The lock in that file; None when there is no such file.

    Raises:
        SpecError: it is not a lock, with every problem and its line.
        RecipegenError: it cannot be read.
    """
    if not file.exists():
        return None
    document = parse(read_text(file), file)
    try:
        return Lock.model_validate(document.data)
    except ValidationError as error:
        remedy = f"`recipegen lock` writes this file: remove it and run `recipegen lock {file.parent.name}`"
        problems = sorted(problems_of(error.errors(include_url=False), document, Lock), key=lambda one: one.where)
        raise SpecError(
            [Problem(one.where, one.message[:500].replace("the recipe ", "the lock "), remedy) for one in problems]
        ) from None


def lock_text(lock: Lock) -> str:
    """The lock as YAML, its comment first; values are quoted, so that a commit of digits stays text."""
    import yaml

    class Quoted(str):
        __slots__ = ()

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_representer(Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, '"'))
    data = lock.model_dump(mode="json", by_alias=True, exclude_none=True)
    head = {"schema": data.pop("schema"), "recipegen": Quoted(data.pop("recipegen"))}
    sections = {
        section: {Quoted(key): {name: Quoted(value) for name, value in pin.items()} for key, pin in pins.items()}
        for section, pins in data.items()
        if pins
    }
    text: str = yaml.dump({**head, **sections}, Dumper=Dumper, sort_keys=False, width=10_000, allow_unicode=True)
    return _HEADER + text


def write_lock(lock: Lock, folder: Path) -> None:
    """Write a recipe's lock: the whole file at once, so that no reader ever meets a part of one."""
    write_atomic(folder / LOCK_FILE, lock_text(lock))
