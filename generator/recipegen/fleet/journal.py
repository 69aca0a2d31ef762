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
        runs: folders of the runs that it came to.
    """

    request: str
    machines: tuple[str, ...]
    status: Status
    runs: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything was measured, and is still there."""
        return self.status == "whole" and bool(self.runs) and all(Path(run).is_dir() for run in self.runs)


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
                found = tuple(entry["machines"]), entry["status"], tuple(entry["runs"])
                self._entries[recipe] = Entry(entry["request"], *found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._entries = {}

    def entry(self, recipe: str, request: str) -> Entry | None:
        """What came of this very request; None where nothing did."""
        found = self._entries.get(recipe)
        return found if found is not None and found.request == request else None

    def note(self, recipe: str, request: str, group: Group, status: Status, runs: Sequence[str] = ()) -> None:
        """Keeps what has come of a recipe."""
        self._entries[recipe] = Entry(request, tuple(node.name for node in group.nodes), status, tuple(runs))
        self._write()

    def forget(self, *recipes: str) -> None:
        """Recipes of which nothing is to be gone on with."""
        for recipe in recipes:
            self._entries.pop(recipe, None)
        self._write()

    def _write(self) -> None:
        data = {"recipes": {name: asdict(entry) for name, entry in sorted(self._entries.items())}}
        write_atomic(self._file, json.dumps(data, indent=1) + "\n", mode=0o600)
