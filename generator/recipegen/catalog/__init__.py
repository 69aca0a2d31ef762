"""What is known of machines, models, images, texts and presets, as data files read when asked for. Owns no rules."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.errors import RecipegenError
from recipegen.spec.completed import HardwareProfile

if TYPE_CHECKING:
    from recipegen.catalog.facts import ImageFacts, ModelFacts

_HERE = Path(__file__).parent
HARDWARE = _HERE / "hardware.yaml"
MODELS = _HERE / "families"
IMAGES = _HERE / "images.yaml"
PRESETS = _HERE / "presets"
PROFILES = _HERE / "profiles.yaml"
CORPORA = _HERE / "corpora"


def read_yaml(file: Path) -> Any:
    """The plain data of one of the catalog's own files; its shape is checked by `catalog.check`, in the tests."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe loaders


def read_hardware(file: Path) -> dict[str, HardwareProfile]:
    """The hardware profiles of a file, by id.

    Raises:
        pydantic.ValidationError: a profile has a wrong field.
    """
    return {key: HardwareProfile(id=key, **body) for key, body in read_yaml(file).items()}


@cache
def hardware_profiles() -> dict[str, HardwareProfile]:
    """All hardware profiles by id."""
    return read_hardware(HARDWARE)


@cache
def model_facts() -> dict[str, ModelFacts]:
    """What is known of models, by the slug of the base model."""
    from recipegen.catalog.facts import ModelFile

    files = (ModelFile.model_validate(read_yaml(file)) for file in sorted(MODELS.glob("*.yaml")))
    return {model.id: model for file in files for model in file.models}


@cache
def _models_by_repository() -> dict[str, ModelFacts]:
    return {name.casefold(): model for model in model_facts().values() for name in model.repositories()}


def facts_of(hf_id: str | None, base_model: str | None = None) -> ModelFacts | None:
    """What is known of the model in a hub repository; None when nothing is.

    Args:
        hf_id: the repository that is served, quantized or not; case does not matter.
        base_model: the repository it was made from, asked for when hf_id is not known.
    """
    for name in (hf_id, base_model):
        if name and (known := _models_by_repository().get(name.casefold())):
            return known
    return None


@cache
def all_image_facts() -> tuple[ImageFacts, ...]:
    """What is known of images, in the order of the file."""
    from recipegen.catalog.facts import ImageFile

    return ImageFile.model_validate(read_yaml(IMAGES)).images


def image_facts(reference: str) -> ImageFacts | None:
    """What is known of a container image; None when nothing is.

    Args:
        reference: as a Dockerfile names it. The exact tag comes first, then the first pattern that matches. A digest
            is set aside: what is known of a moving tag need not hold for it.
    """
    name, _, digest = reference.removeprefix("docker.io/").partition("@")
    if not digest and ":" not in name.rpartition("/")[2]:
        name += ":latest"  # as Docker reads it
    images = all_image_facts()
    exact = (image for image in images if image.reference == name)
    pattern = (image for image in images if image.matches and re.fullmatch(image.matches, name))
    return next(exact, None) or next(pattern, None)


@cache
def _corpora() -> dict[str, dict[str, dict[str, str]]]:
    import yaml

    found: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((CORPORA / "corpora.yaml").read_text(encoding="utf-8"))
    return found


def default_corpora() -> dict[str, dict[str, str]]:
    """The texts that a recipe measures on when it names none: key to url and, where known, sha256."""
    return _corpora()["default"]


def builtin_corpora() -> dict[str, dict[str, str]]:
    """The texts that travel with recipegen: key to file, title and source."""
    return _corpora()["builtin"]


def builtin_corpus(key: str) -> Path:
    """The file of a text that travels with recipegen."""
    return CORPORA / builtin_corpora()[key]["file"]


def preset_names() -> list[str]:
    """Names of all presets, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset_file(name: str) -> Path:
    """The file of a preset.

    Raises:
        RecipegenError: there is none of that name; the hint lists the nearest.
    """
    from difflib import get_close_matches

    names = preset_names()
    if name not in names:
        near = get_close_matches(name, names, n=3, cutoff=0.4)
        said = f"nearest: {', '.join(near)}; " if near else ""
        raise RecipegenError(
            f"there is no preset {name!r}",
            hint=f"{said}`recipegen catalog list` shows all, --model HF_ID starts from a hub model",
        )
    return PRESETS / f"{name}.yaml"
