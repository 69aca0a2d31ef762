"""Checks the catalog's own files, with a place for every problem: a wrong field fails a test, not a user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from recipegen.catalog import HARDWARE, MODELS, read_yaml
from recipegen.catalog.facts import ImageFile, ModelFacts, ModelFile
from recipegen.errors import Problem, SpecError
from recipegen.load.messages import problems_of
from recipegen.load.yamldoc import Document, Path_, parse, read_text
from recipegen.spec.completed import HardwareProfile

_CATALOG = HARDWARE.parent


def check_catalog(folder: Path = _CATALOG) -> list[Problem]:
    """Every problem of hardware.yaml, families/*.yaml and images.yaml under a folder, in the order of the files.

    Beyond types: ids and repositories are unique, and an image speaks of models and families that are there.
    """
    problems: list[Problem] = []
    models: dict[str, ModelFacts] = {}
    repositories: dict[str, str] = {}
    documents = {file: _document(file, problems) for file in _files(folder)}
    for file, document in documents.items():
        if document is not None and file.parent.name == MODELS.name:
            for at, model in enumerate(_valid(ModelFile, document, problems, "models")):
                problems += _doubles(model, document, at, models, repositories)
    for file, document in documents.items():
        if document is not None and file.name == "images.yaml":
            problems += _images(document, models, problems)
        elif document is not None and file.name == "hardware.yaml":
            problems += _hardware(document)
    return problems


def _files(folder: Path) -> list[Path]:
    single = (folder / "hardware.yaml", folder / "images.yaml")
    return [file for file in (*sorted((folder / MODELS.name).glob("*.yaml")), *single) if file.is_file()]


def _document(file: Path, problems: list[Problem]) -> Document | None:
    try:
        document = parse(read_text(file), file)
    except SpecError as error:
        problems += error.problems
        return None
    if read_yaml(file) != document.data:  # YAML 1.1 takes `yes`, `1_000` or a date for something else
        problems.append(Problem(document.where(()), "YAML 1.1 and 1.2 read this file differently", "quote the value"))
    return document


def _valid(model: type[BaseModel], document: Document, problems: list[Problem], field: str) -> tuple[Any, ...]:
    try:
        return tuple(getattr(model.model_validate(document.data), field))
    except ValidationError as error:
        problems += problems_of(error.errors(include_url=False), document, model)
        return ()


def _doubles(
    model: ModelFacts, document: Document, at: int, models: dict[str, ModelFacts], repositories: dict[str, str]
) -> Iterator[Problem]:
    where = document.where(("models", at, "id"))
    if model.id in models:
        yield Problem(where, f"the model {model.id} is there already")
    models[model.id] = model
    for name in model.repositories():
        owner = repositories.setdefault(name.casefold(), model.id)
        if owner != model.id:
            yield Problem(where, f"{name} belongs to {owner} already")


def _images(document: Document, models: dict[str, ModelFacts], problems: list[Problem]) -> Iterator[Problem]:
    seen: set[str] = set()
    families = {model.family for model in models.values()}
    models_whole = not problems  # a wrong file of models says so itself; what images say of it is not looked at
    for at, image in enumerate(_valid(ImageFile, document, problems, "images")):
        place: Path_ = ("images", at)
        for name in filter(None, (image.id, image.reference, image.matches)):
            if name in seen:
                yield Problem(document.where((*place, "id")), f"the image {name} is there already")
            seen.add(name)
        if not models_whole:
            continue
        for family in sorted(set(image.for_) - families):
            yield Problem(document.where((*place, "for")), f"no model is of the family {family}")
        for key, entries in (("works", image.works), ("fails", image.fails)):
            for index, entry in enumerate(entries):
                where = document.where((*place, key, index))
                if entry.model is not None and entry.model not in models:
                    yield Problem(where, f"there is no model {entry.model}")
                if entry.family is not None and entry.family not in families:
                    yield Problem(where, f"no model is of the family {entry.family}")


def _hardware(document: Document) -> Iterator[Problem]:
    if not isinstance(document.data, dict):
        yield Problem(document.where(()), "must be a mapping of profiles by id")
        return
    for key, body in document.data.items():
        try:
            HardwareProfile.model_validate({"id": key, **body} if isinstance(body, dict) else body)
        except ValidationError as error:
            found = [{**one, "loc": (key, *one["loc"])} for one in error.errors(include_url=False)]
            yield from problems_of(found, document, HardwareProfile)
