"""One checked point of a claim. Owns its shape and the worst of several; checks nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["passed", "failed", "undecidable"]


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        id: stable name, in kebab-case: `manifest`, `figure-tg`.
        text: what was held against what, with the figures.
        path: the file that it is about, relative to the bundle; None for all of it.
    """

    id: str
    status: Status
    text: str
    path: str | None = None

    def as_data(self) -> dict[str, Any]:
        """The check for --json."""
        return asdict(self)


def failed(checks: Iterable[Check]) -> list[Check]:
    """The checks that failed."""
    return [check for check in checks if check.status == "failed"]
