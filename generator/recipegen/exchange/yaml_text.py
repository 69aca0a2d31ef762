"""Plain data as YAML for people: blocks outside, one line for a flag's JSON, texts quoted where YAML would read them
otherwise. Owns the layout; `quoting` owns the escapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from recipegen.load.yamldoc import Path_
from recipegen.quoting import comment_text, yaml_scalar

_BLOCK_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]*")


def block(data: Mapping[str, Any], flat: tuple[Path_, ...], comments: Mapping[Path_, str]) -> list[str]:
    """Lines of a mapping.

    Args:
        flat: paths, with * for any key, whose values stand on one line.
        comments: what to say behind a line, by path.
    """
    return list(_mapping(data, (), flat, comments))


def _mapping(
    data: Mapping[str, Any], path: Path_, flat: tuple[Path_, ...], comments: Mapping[Path_, str]
) -> Iterator[str]:
    indent = "  " * len(path)
    for key, value in data.items():
        at = (*path, key)
        head = f"{indent}{yaml_scalar(key)}:"
        said = f"  # {comment_text(comments[at])}" if at in comments else ""
        if isinstance(value, Mapping) and value and not _is_flat(at, flat):
            yield head + said
            yield from _mapping(value, at, flat, comments)
        elif isinstance(value, list) and value and not _is_flat(at, flat):
            yield head + said
            for item in value:
                yield from _item(item, indent)
        elif isinstance(value, str) and "\n" in value and _blockable(value):
            yield f"{head} |{said}"
            yield from (f"{indent}  {line}".rstrip() for line in value.removesuffix("\n").split("\n"))
        else:
            yield f"{head} {yaml_scalar(value)}{said}"


def _item(item: Any, indent: str) -> Iterator[str]:
    if not isinstance(item, Mapping) or not item:
        yield f"{indent}  - {yaml_scalar(item)}"
        return
    for number, (key, value) in enumerate(item.items()):
        yield f"{indent}  {'-' if not number else ' '} {yaml_scalar(key)}: {yaml_scalar(value)}"


def _is_flat(path: Path_, flat: tuple[Path_, ...]) -> bool:
    return any(
        len(path) == len(pattern) and all(want in ("*", have) for want, have in zip(pattern, path, strict=True))
        for pattern in flat
    )


def _blockable(text: str) -> bool:
    """Whether a block (`|`) keeps a text to the letter."""
    lines = text.removesuffix("\n").split("\n")
    whole = text.endswith("\n") and lines[-1] != "" and lines[0] != "" and not lines[0].startswith(" ")
    return whole and all(_BLOCK_LINE.fullmatch(line) and line == line.rstrip() for line in lines)
