"""Turns a validator's errors into problems with a place, a cause and a remedy. Owns wording only."""

from __future__ import annotations

import types
import typing
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from recipegen.errors import Problem
from recipegen.load.yamldoc import Document, Path_

TAGGED = (("image",),)
"""Places of a recipe whose value is a tagged union."""
MANY = 200
"""Names beyond this are neither compared nor listed: a hostile file would make that take minutes."""


def near_miss(word: str, known: typing.Iterable[str]) -> str:
    """`did you mean …?`, or all that is known when nothing is near."""
    names = list(known)
    if len(names) > MANY:
        return ""
    names.sort()
    near = get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(names)}" if names else ""


_MUST = {
    "string": "must be text",
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "dict": "must be a mapping of keys to values",
    "model": "must be a mapping of keys to values",
    "tuple": "must be a list",
    "list": "must be a list",
}
"""First part of a validator's error type to what the value must be."""
_LIMITS = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt:g}",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} characters",
    "too_short": "needs at least {min_length} entry",
}


def problems_of(
    errors: typing.Sequence[Any], document: Document, model: type[BaseModel], whole: str = "the recipe"
) -> list[Problem]:
    """One problem for each wrong place; alternatives of a union at the same place count once.

    Args:
        whole: what the document is called.
    """
    found: dict[tuple[Path_, str], Problem] = {}
    # Of a union's alternatives, one that looked at the value knows more than those that want another type.
    for error in sorted(errors, key=lambda error: error["type"] != "value_error"):
        path = _known_path(error["loc"], document)
        if error["type"] == "union_tag_invalid":
            path = (*path, "mode")
        kind = "key" if error["type"] in ("extra_forbidden", "missing") else "value"
        name = str(error["loc"][-1]) if error["type"] == "missing" else ""
        message, hint = _words(error, path, model, document, whole)
        found.setdefault((path, kind + name), Problem(document.where(path), message, hint))
    return list(found.values())


def _known_path(loc: tuple[str | int, ...], document: Document) -> Path_:
    """The validator's location without the names of union members, which are no keys of the document."""
    path: Path_ = ()
    # A tagged union's place is followed by the tag, which may be called as a key is (image.wheels).
    for part in loc[:1] + loc[2:] if loc[:1] in TAGGED else loc:
        if (*path, part) in document.places:
            path = (*path, part)
    return path


def _dotted(path: Path_, whole: str) -> str:
    words = (str(part) if str(part).isprintable() else ascii(part) for part in path)
    return ".".join(words) or whole


def _words(error: Any, path: Path_, model: type[BaseModel], document: Document, whole: str) -> tuple[str, str]:
    kind, context, given = error["type"], error.get("ctx", {}), error.get("input")
    last = str(error["loc"][-1]) if error["loc"] else ""
    if kind == "extra_forbidden":
        known = fields_at(model, path[:-1], document.data)
        return f"unknown key {last!r} in {_dotted(path[:-1], whole)}", near_miss(last, known)
    if kind == "missing":
        return f"{_dotted(path, whole)} lacks the key {last!r}", ""
    if kind == "union_tag_not_found":
        return f"{_dotted(path, whole)} lacks the key 'mode'", "one of prebuilt, wheels, source"
    if kind == "value_error":
        return f"{_dotted(path, whole)}: {error['msg'].removeprefix('Value error, ')}", ""
    if given is None:
        return f"{_dotted(path, whole)} has no value", "give it one, or leave the key out"
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = context.get("expected") or context.get("expected_tags") or ""
        words = [word.strip().strip("'") for word in str(allowed).replace(" or ", ", ").split(",")]
        given = context.get("tag", given)
        return f"{_dotted(path, whole)}: {given!r} is not one of {', '.join(words)}", near_miss(str(given), words)
    if len(path) > 1 and path[-2] == "flags":
        return (
            f"{_dotted(path, whole)}: not a value that a flag can have",
            "true, false, a number, a text, a list or a mapping; leave a flag out with the variant's `drop`",
        )
    if kind in _LIMITS:
        return f"{_dotted(path, whole)} {_LIMITS[kind].format(**context)}", ""
    must = _MUST.get(kind.partition("_")[0])
    if must is None:
        return f"{_dotted(path, whole)}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""
    hint = ""
    if kind == "string_type" and isinstance(given, bool | int | float):
        hint = "put it in quotes to make it text"
    elif must == "must be a list":
        hint = "one item a line, each after a dash; or [a, b]"
    return f"{_dotted(path, whole)} {must}", hint


def fields_at(model: type[BaseModel], path: Path_, data: Any) -> list[str]:
    """Names of the keys that the model allows at a path of the document."""
    at: Any = model
    for part in path:
        if isinstance(data, list):
            data = data[part] if isinstance(part, int) and part < len(data) else None
        else:
            data = data.get(part) if isinstance(data, dict) else None
        if isinstance(at, type) and issubclass(at, BaseModel):
            at = _member(_field_type(at, str(part)), data)
        else:  # tuple[Item, ...] or dict[Key, Value]
            items = [argument for argument in typing.get_args(at) if argument is not Ellipsis]
            at = _member(items[-1] if items else None, data)
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
