"""YAML with line numbers. Owns reading a file into plain data and a map of places; knows nothing of recipes.

Plain scalars are read by the YAML 1.2 core rules, so `on`, `no`, `8000:8000` and dates stay text. Duplicate
keys, several documents, cycles and alias bombs are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recipegen.errors import Problem, RecipegenError, SpecError, Where

MAX_BYTES = 1 << 20
"""A recipe is a page or two; a megabyte is a mistake or an attack."""
MAX_NODES = 50_000
"""Nodes after aliases are put in: what an alias bomb would exceed."""
MAX_DEPTH = 60

_INT = re.compile(r"[-+]?[0-9]{1,4000}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,4000}")
_OCTAL = re.compile(r"0o[0-7]{1,4000}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    "-.inf": float("-inf"),
}

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """Plain data, and where each part of it stands.

    Attributes:
        data: dicts, lists and scalars.
        places: path from the root (keys and indices) to the place of that key or item.
    """

    data: Any
    places: dict[Path_, Where]
    file: Path

    def where(self, path: Path_) -> Where:
        """The place of `path`, or of its nearest ancestor that has one."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return Where(self.file)


def read_text(path: Path) -> str:
    """The text of a small UTF-8 file.

    Raises:
        RecipegenError: not there, a folder, not readable, too large, not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipegenError("there is no such file", where=Where(path)) from None
    except IsADirectoryError:
        raise RecipegenError("this is a folder, not a file", where=Where(path)) from None
    except PermissionError:
        raise RecipegenError("no permission to read this file", where=Where(path)) from None
    except OSError as error:
        raise RecipegenError(f"cannot be read: {error.strerror}", where=Where(path)) from None
    if len(raw) > MAX_BYTES:
        raise RecipegenError(f"is larger than {MAX_BYTES >> 20} MiB: not a recipe", where=Where(path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecipegenError("is not UTF-8 text", where=Where(path, line, 1)) from None


def parse(text: str, file: Path) -> Document:
    """Read one YAML document.

    Raises:
        SpecError: the text is not YAML, holds a duplicate key, or grows beyond the limits.
    """
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise SpecError([_syntax_problem(error, text, file)]) from None
    except RecursionError:
        raise SpecError([Problem(Where(file), "is nested too deeply")]) from None
    if root is None:
        raise SpecError([Problem(Where(file, 1, 1), "the file is empty")])
    builder = _Builder(file)
    data = builder.build(root, (), 0)
    if builder.problems:
        raise SpecError(builder.problems)
    return Document(data, builder.places, file)


def _syntax_problem(error: yaml.YAMLError, text: str, file: Path) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    message = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)
    hint = ""
    lines = text.splitlines()
    if mark and mark.line < len(lines) and re.match(r"[ ]*\t", lines[mark.line]):
        message, hint = "a tab indents this line", "YAML allows spaces only: use two per level"
    elif isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position] if isinstance(error.position, int) else ""
        where = Where(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        message = f"holds the character #x{int(error.character):04x}, which YAML does not allow"
    return Problem(where, f"not valid YAML: {message}", hint)


class _Builder:
    """Turns the parser's node graph into data, noting where everything stands."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.places: dict[Path_, Where] = {}
        self.problems: list[Problem] = []
        self.nodes = 0

    def _where(self, node: yaml.Node) -> Where:
        return Where(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def build(self, node: yaml.Node, path: Path_, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            what = "is nested too deeply" if depth > MAX_DEPTH else "grows too large once its aliases are put in"
            raise SpecError([*self.problems, Problem(self._where(node), what)])
        self.places.setdefault(path, self._where(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path_, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            where = self._where(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(where, "a key must be a word"))
                continue
            key = str(key_node.value)
            if key in out:
                first = self.places[(*path, key)]
                self.problems.append(
                    Problem(where, f"duplicate key {key!r}", f"it stands in line {first.line} already; keep one of them")
                )
                continue
            self.places[(*path, key)] = where
            out[key] = self.build(value_node, (*path, key), depth + 1)
        return out

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if node.style or node.tag == "tag:yaml.org,2002:str" and node.start_mark.index == node.end_mark.index:
            return text
        if text in _SPECIAL:
            return _SPECIAL[text]
        if _INT.fullmatch(text):
            return int(text)
        if _HEX.fullmatch(text):
            return int(text, 16)
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        if _FLOAT.fullmatch(text):
            return float(text)
        return text
