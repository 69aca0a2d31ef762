"""What a spread measurement has come to, recipe by recipe, so that it can be gone on with. Owns one file beside the
repository's caches; it names machines, and is never committed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from recipegen.files import sha256_bytes, write_atomic
from recipegen.fleet.plan import Group

Status = Literal["begun", "whole", "failed"]


def request_hash(kit_sha256: str, options: Sequence[str]) -> str:
    """What tells one request for a recipe from another: its kit, and what was asked."""
    return sha256_bytes(json.dumps([kit_sha256, *options]).encode())


@dataclass(frozen=True)
class Entry:
    """One recipe.

    Attributes:
        request: see `request_hash`.
        machines: names of the group's machines.
    """

    request: str
    machines: tuple[str, ...]
    status: Status


class Journal:
    """The file, read once and written at every change.

    Args:
        file: what cannot be read in it counts as nothing: recipes are then measured anew.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries: dict[str, Entry] = {}
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            for recipe, entry in data["recipes"].items():
                self._entries[recipe] = Entry(entry["request"], tuple(entry["machines"]), entry["status"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._entries = {}

    def entry(self, recipe: str, request: str) -> Entry | None:
        """What came of this very request; None where nothing did."""
        found = self._entries.get(recipe)
        return found if found is not None and found.request == request else None

    def note(self, recipe: str, request: str, group: Group, status: Status) -> None:
        """Keeps what has come of a recipe."""
        self._entries[recipe] = Entry(request, tuple(node.name for node in group.nodes), status)
        data = {"recipes": {name: asdict(entry) for name, entry in sorted(self._entries.items())}}
        write_atomic(self._file, json.dumps(data, indent=1) + "\n", mode=0o600)
