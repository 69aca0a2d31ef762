"""Reading a document whose shape nobody has checked yet. Owns the guards; knows no key."""

from __future__ import annotations

from typing import Any

from recipegen.errors import Problem
from recipegen.load.yamldoc import Document, Path_


class Reader:
    """Guarded access to a document of any shape."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.root: dict[str, Any] = document.data

    def mapping(self, *path: str) -> dict[str, Any]:
        """The mapping at a path, empty where there is none."""
        at: Any = self.root
        for part in path:
            at = at.get(part) if isinstance(at, dict) else None
        return {str(key): value for key, value in at.items()} if isinstance(at, dict) else {}

    def text(self, *path: str) -> str | None:
        """The text at a path, None where there is none."""
        value = self.mapping(*path[:-1]).get(path[-1])
        return value if isinstance(value, str) else None

    def problem(self, path: Path_, message: str, hint: str = "") -> Problem:
        """A problem with its place."""
        return Problem(self.document.where(path), message, hint)


def items(value: Any) -> list[Any]:
    """A list, or nothing."""
    return value if isinstance(value, list) else []
