"""From a file of another project to a recipe's text. Owns which format a file is; reads at most one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipegen.errors import Problem, SpecError, Where
from recipegen.exchange.report import Report
from recipegen.exchange.source import Source
from recipegen.load.yamldoc import Document, parse

FORMATS = ("sparkrun", "spark-vllm-docker", "vllm", "docker", "compose")
_YAML = re.compile(
    r"(?m)^(?:services|recipe_version|model|container|meta|command|runtime|defaults|metadata|name)[ \t]*:|\A\s*\{"
)
_YAML_NAMES = (".yaml", ".yml", ".json")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ue000\ue001]")


@dataclass(frozen=True)
class Imported:
    """One recipe that was read.

    Attributes:
        kind: format and version of the source, in words.
        text: of recipe.yaml.
    """

    name: str
    kind: str
    text: str
    report: Report
    record: bool


def import_text(
    text: str, file: Path, *, form: str | None = None, name: str | None = None, variant: str | None = None
) -> Imported:
    """A recipe's text from the text of a file.

    Args:
        file: what the file is called, for messages and for the recipe's name.
        form: one of FORMATS; by default the content tells.
        name: what to call the recipe.
        variant: of a vLLM recipe.

    Raises:
        SpecError: it is no recipe of that format; with file and line.
    """
    from recipegen.exchange.recipe import draft
    from recipegen.exchange.recipe_text import recipe_text

    control = _CONTROL.search(text)
    if control:
        line = text.count("\n", 0, control.start()) + 1
        raise SpecError([Problem(Where(file, line, 1), f"holds the control character {control[0]!r}")])
    source = Source("", file)
    read(source, text, form, variant)
    made = draft(source, name)
    return Imported(made.recipe.name, source.kind, recipe_text(made), source.report, bool(made.recipe.missing))


def read(source: Source, text: str, form: str | None, variant: str | None = None) -> None:
    """Put a file's content into the source, by the format given or found."""
    if form == "docker" or (form is None and not _is_yaml(text, source.file)):
        from recipegen.exchange.script import read_script

        if source.file.suffix in (".sh", ".bash", ".txt"):
            source.names.append(source.file.stem)
        read_script(source, text)
        return
    document = parse(text, source.file)
    if not isinstance(document.data, dict):
        raise SpecError([Problem(Where(source.file, 1, 1), "is not a mapping of keys to values", _KNOWN)])
    _reader(form or _format(document))(source, document, variant)


_KNOWN = f"known formats: {', '.join(FORMATS)}; --format names one"


def _is_yaml(text: str, file: Path) -> bool:
    return file.suffix.lower() in _YAML_NAMES or _YAML.search(text) is not None


def _format(document: Document) -> str:
    data = document.data
    if isinstance(data.get("services"), dict):
        return "compose"
    if data.get("schema") == "recipegen/v1":
        hint = "`recipegen new NAME --from RECIPE` copies one; put the folder under recipes/ to take one over"
        raise SpecError([Problem(document.where(("schema",)), "is a recipe of recipegen already", hint)])
    if isinstance(data.get("model"), dict):
        return "vllm"
    if "command" in data or "container" in data or "runtime" in data or isinstance(data.get("model"), str):
        return "sparkrun"
    raise SpecError([Problem(Where(document.file, 1, 1), "is not a recipe of a format that is known", _KNOWN)])


def _reader(form: str) -> Callable[[Source, Document, str | None], Any]:
    if form == "compose":
        from recipegen.exchange.compose import read_compose

        return lambda source, document, _: read_compose(source, document)
    if form == "vllm":
        from recipegen.exchange.vllm_recipes import read_vllm_recipe

        return read_vllm_recipe
    from recipegen.exchange.sparkrun import read_sparkrun

    return lambda source, document, _: read_sparkrun(source, document)
