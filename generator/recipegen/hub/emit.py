"""A recipe as YAML that people go on editing: blocks, short leaves in one line, comments at their keys. Owns the
layout; every text is escaped by `quoting`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from recipegen.quoting import comment_text, yaml_scalar

WIDTH = 110
_SENTENCE = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./+()=<>,;' -]|:(?=[^ ]))*(?<! )")
"""Prose that needs no quotes outside of brackets, where a comma ends nothing."""
_PROSE = re.compile(r"[^\s](?:[ -~]*[^\s])?")

Place = tuple[str, ...]


def recipe_yaml(head: list[str], data: Mapping[str, Any], comments: Mapping[Place, str]) -> str:
    """A document with a comment on top and comments at keys.

    Args:
        head: paragraphs of the comment on top.
        data: mappings, lists, texts, numbers, truth values; empty mappings are left out.
        comments: path of a key to what stands behind it, or above it where it is long.
    """
    lines = [line for text in head for line in _comment(text, "")]
    last_was_block = False
    for key, value in data.items():
        block = isinstance(value, dict)
        lines += [""] if block or last_was_block else []
        lines += _entry(key, value, (), comments)
        last_was_block = block
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, above: Place, comments: Mapping[Place, str]) -> Iterator[str]:
    place, pad = (*above, key), "  " * len(above)
    said = comments.get(place, "")
    if isinstance(value, Mapping) and not _short(value, place):
        yield from _comment(said, pad) if said else ()
        yield f"{pad}{yaml_scalar(key)}:"
        for inner, item in value.items():
            yield from _entry(inner, item, place, comments)
        return
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        yield f"{pad}{yaml_scalar(key)}:"
        for item in value:
            for number, (inner, leaf) in enumerate(item.items()):
                yield f"{pad}  {'- ' if number == 0 else '  '}{yaml_scalar(inner)}: {_leaf(leaf)}"
        return
    line = f"{pad}{yaml_scalar(key)}: {_leaf(value)}"
    folded = isinstance(value, str) and len(line) > WIDTH and _PROSE.fullmatch(value) and "  " not in value
    if said and not folded and len(line) + len(said) + 4 <= WIDTH:
        yield f"{line}  # {comment_text(said)}"
        return
    yield from _comment(said, pad) if said else ()
    if folded:
        yield f"{pad}{yaml_scalar(key)}: >-"
        yield from textwrap.wrap(
            value,
            WIDTH,
            initial_indent=f"{pad}  ",
            subsequent_indent=f"{pad}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    else:
        yield line


def _short(value: Mapping[str, Any], place: Place) -> bool:
    """Whether a mapping goes into one line: a leaf below the sections, and not long."""
    return len(place) > 2 and len(yaml_scalar(value)) <= 80


def _comment(text: str, pad: str) -> list[str]:
    lead = f"{pad}# "
    return textwrap.wrap(
        comment_text(text),
        WIDTH,
        initial_indent=lead,
        subsequent_indent=lead,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _leaf(value: Any) -> str:
    """What stands behind a key of a block."""
    sentence = isinstance(value, str) and " " in value and _SENTENCE.fullmatch(value)
    return value if sentence else yaml_scalar(value)
