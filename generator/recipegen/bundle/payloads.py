"""The one seam to the leaderboards. Owns nothing of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module, util
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from recipegen.claims import Check
    from recipegen.evidence import Evidence


class Board(Protocol):
    """What a bundle asks of a leaderboard."""

    @property
    def name(self) -> str:
        """Its folder under boards/."""

    def files(self, evidence: Evidence) -> dict[str, bytes]:
        """The payload files, by path in its folder; the same evidence gives the same bytes."""

    def check(self, files: dict[str, bytes], evidence: Evidence) -> list[Check]:
        """Whether a payload agrees with the recipe and the raw files."""


def all_boards() -> Mapping[str, Board]:
    """The leaderboards that payloads are made for, by name."""
    if util.find_spec("recipegen.boards") is None:
        return {}
    found: Mapping[str, Board] = import_module("recipegen.boards").all_boards()
    return found
