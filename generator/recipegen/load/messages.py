"""Turns a validator's errors into problems with a place, a cause and a remedy. Owns wording only."""

from __future__ import annotations

import types
import typing
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from recipegen.errors import Problem
from recipegen.load.yamldoc import Document, Path_


def near_miss(word: str, known: typing.Iterable[str]) -> str:
    """`did you mean …?`, or all that is known when nothing is near."""
    names = sorted(known)
    near = get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(names)}" if names else ""


def problems_of(errors: typing.Sequence[Any], document: Document, model: type[BaseModel]) -> list[Problem]:
    """One problem for each wrong place; alternatives of a union at the same place count once."""
    found: dict[tuple[Path_, str], Problem] = {}
    for error in errors:
        path = _known_path(error["loc"], document)
        kind = "key" if error["type"] in ("extra_forbidden", "missing") else "value"
        name = str(error["loc"][-1]) if error["type"] == "missing" else ""
        message, hint = _words(error, path, model, document)
        found.setdefault((path, kind + name), Problem(document.where(path), message, hint))
    return list(found.values())


def _known_path(loc: tuple[str | int, ...], document: Document) -> Path_:
    """The validator's location without the names of union members, which are no keys of the document."""
    path: Path_ = ()
    for part in loc:
        if (*path, part) in document.places:
            path = (*path, part)
    return path


def _dotted(path: Path_) -> str:
    return ".".join(map(str, path)) or "the recipe"


def _words(error: Any, path: Path_, model: type[BaseModel], document: Document) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    last = str(error["loc"][-1]) if error["loc"] else ""
    if kind == "extra_forbidden":
        known = fields_at(model, path[:-1], document.data)
        return f"unknown key {last!r} in {_dotted(path[:-1])}", near_miss(last, known)
    if kind == "missing":
        return f"{_dotted(path)} lacks the key {last!r}", ""
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = context.get("expected") or context.get("expected_tags") or ""
        words = [word.strip().strip("'") for word in str(allowed).replace(" or ", ", ").split(",")]
        given = context.get("tag", error.get("input"))
        where = _dotted((*path, "mode") if kind == "union_tag_invalid" else path)
        return f"{where}: {given!r} is not one of {', '.join(words)}", near_miss(str(given), words)
    if kind == "union_tag_not_found":
        return f"{_dotted(path)} lacks the key 'mode'", "one of prebuilt, wheels, source"
    if kind == "value_error":
        return f"{_dotted(path)}: {error['msg'].removeprefix('Value error, ')}", ""
    if path and len(path) > 1 and path[-2] == "flags":
        return (
            f"{_dotted(path)}: not a value that a flag can have",
            "true, false, a number, a text, a list or a mapping; leave a flag out with the variant's `drop`",
        )
    return f"{_dotted(path)}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""


def fields_at(model: type[BaseModel], path: Path_, data: Any) -> list[str]:
    """Names of the keys that the model allows at a path of the document."""
    at: Any = model
    for part in path:
        data = data.get(part) if isinstance(data, dict) else data[part] if isinstance(data, list) else None
        if isinstance(at, type) and issubclass(at, BaseModel):
            at = _member(_field_type(at, str(part)), data)
        else:
            at = _member(typing.get_args(at)[-1] if typing.get_args(at) else None, data)
        if typing.get_origin(at) is tuple:
            at = (typing.get_args(at) or (None,))[0:1] and tuple[typing.get_args(at)[0], ...]
    if isinstance(at, type) and issubclass(at, BaseModel):
        return [field.alias or name for name, field in at.model_fields.items()]
    return []


def _field_type(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return field.annotation
    return None


def _member(annotation: Any, data: Any) -> Any:
    """The member of an optional or a tagged union that the data means."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    members = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
    mode = data.get("mode") if isinstance(data, dict) else None
    for member in members:
        field = member.model_fields.get("mode") if isinstance(member, type) and issubclass(member, BaseModel) else None
        if field is not None and mode in typing.get_args(field.annotation):
            return member
    return members[0] if len(members) == 1 else None
