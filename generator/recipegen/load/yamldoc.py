"""YAML with line numbers. Owns reading a file into plain data and a map of places; knows nothing of recipes.

Plain scalars are read by the YAML 1.2 core rules, so `on`, `no`, `8000:8000` and dates stay text. Duplicate
keys, several documents, tags, numbers without an end, cycles and alias bombs are refused.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recipegen.errors import Problem, RecipegenError, SpecError, Where

MAX_BYTES = 1 << 20
"""A recipe is a page or two; a megabyte is a mistake or an attack."""
MAX_NODES = 20_000
"""Nodes after aliases are put in: what an alias bomb would exceed. The longest recipe here has about 500."""
MAX_DEPTH = 60

_INT = re.compile(r"[-+]?[0-9]{1,400}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,200}")
_OCTAL = re.compile(r"0o[0-7]{1,300}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_SPECIAL = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
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
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise RecipegenError("is not a plain file", where=Where(path))
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
    return decoded(raw, path)


def decoded(raw: bytes, path: Path) -> str:
    """The text that bytes are, of a file or of standard input.

    Args:
        raw: one byte more than MAX_BYTES where there are more.
        path: what to call them in a message.

    Raises:
        RecipegenError: too large, not UTF-8.
    """
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
    loader = yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader
    try:
        root = _Composer(yaml.parse(text, Loader=loader), file).document()
    except yaml.YAMLError as error:
        raise SpecError([_syntax_problem(error, text, file)]) from None
    if root is None:
        raise SpecError([Problem(Where(file, 1, 1), "the file is empty")])
    builder = _Builder(file)
    data = builder.build(root, (), 0)
    if builder.problems:
        raise SpecError(builder.problems)
    return Document(data, builder.places, file)


@dataclass(frozen=True, slots=True)
class _Node:
    """A piece of the document: what it says, what stands below it, and where."""

    event: Any
    where: Where
    items: list[_Node]
    pairs: list[tuple[_Node, _Node]]


class _Composer:
    """From the parser's events to nodes, with aliases put in as the nodes they stand for.

    yaml.compose is not used: it calls itself in C at every level, and a megabyte of brackets kills it.
    """

    def __init__(self, events: Iterator[Any], file: Path) -> None:
        self.events = events
        self.file = file
        self.anchors: dict[str, _Node] = {}

    def document(self) -> _Node | None:
        """The root of the only document; None when there is none."""
        root: _Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise SpecError([Problem(self._where(event), "a second document begins here", "keep one of them")])
                root = self._node(next(self.events), 0)
        return root

    def _where(self, event: Any) -> Where:
        return Where(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise SpecError([Problem(self._where(event), "is nested too deeply")])
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise SpecError([Problem(self._where(event), f"there is no anchor {event.anchor!r} above")])
            return self.anchors[event.anchor]
        node = _Node(event, self._where(event), [], [])
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        if isinstance(event, yaml.SequenceStartEvent):
            while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
                node.items.append(self._node(item, depth + 1))
        elif isinstance(event, yaml.MappingStartEvent):
            while not isinstance(item := next(self.events), yaml.MappingEndEvent):
                key = self._node(item, depth + 1)
                node.pairs.append((key, self._node(next(self.events), depth + 1)))
        return node


def _syntax_problem(error: yaml.YAMLError, text: str, file: Path) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    message = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)
    hint = ""
    lines = text.splitlines()
    if mark and mark.line < len(lines) and re.match(r"[ ]*\t", lines[mark.line]):
        message, hint = "a tab indents this line", "YAML allows spaces only: use two per level"
    elif isinstance(error, yaml.reader.ReaderError):
        # The error's own position counts bytes in C and characters in Python.
        before = text[: max(text.find(chr(error.character)), 0)]
        where = Where(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        message = f"holds the character #x{error.character:04x}, which YAML does not allow"
    if "nesting depth" in message:  # libyaml has a limit of its own since 0.2.6
        return Problem(where, "is nested too deeply")
    return Problem(where, f"not valid YAML: {message}", hint)


class _Builder:
    """Turns nodes into data, noting where everything stands."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.places: dict[Path_, Where] = {}
        self.problems: list[Problem] = []
        self.nodes = 0

    def build(self, node: _Node, path: Path_, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            what = "is nested too deeply" if depth > MAX_DEPTH else "grows too large once its aliases are put in"
            raise SpecError([*self.problems, Problem(node.where, what)])
        self.places.setdefault(path, node.where)
        if node.event.tag is not None:
            hint = "put a text in quotes; a number needs nothing"
            self.problems.append(Problem(node.where, f"the tag {node.event.tag!r} is not known here", hint))
        if isinstance(node.event, yaml.MappingStartEvent):
            return self._mapping(node, path, depth)
        if isinstance(node.event, yaml.SequenceStartEvent):
            return [self.build(item, (*path, i), depth + 1) for i, item in enumerate(node.items)]
        return self._scalar(node)

    def _mapping(self, node: _Node, path: Path_, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.pairs:
            if not isinstance(key_node.event, yaml.ScalarEvent):
                self.problems.append(Problem(key_node.where, "a key must be a word"))
                continue
            key = self._text(key_node)
            if key in out:
                first = self.places[(*path, key)].line
                hint = f"it stands in line {first} already; keep one of them"
                self.problems.append(Problem(key_node.where, f"duplicate key {key!r}", hint))
                continue
            self.places[(*path, key)] = key_node.where
            out[key] = self.build(value_node, (*path, key), depth + 1)
        return out

    def _text(self, node: _Node) -> str:
        text: str = node.event.value
        if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
            self.problems.append(Problem(node.where, "holds half of a surrogate pair, which is no character"))
        return text

    def _scalar(self, node: _Node) -> Any:
        text = self._text(node)
        if node.event.style:
            return text
        if text in _SPECIAL:
            return _SPECIAL[text]
        if _INT.fullmatch(text):
            return int(text)
        if _HEX.fullmatch(text):
            return int(text, 16)
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if _ENDLESS.fullmatch(text):
            hint = "put it in quotes to make it text"
            self.problems.append(Problem(node.where, f"{text} is not a finite number", hint))
        return text
