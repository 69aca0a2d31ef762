"""What every board has: its name, its files, what it takes, how it is sent to. Owns the interface and no board."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from recipegen.boards.receipts import Receipts
from recipegen.claims import Check
from recipegen.evidence import Evidence

if TYPE_CHECKING:
    from recipegen.workspace import Workspace


@dataclass(frozen=True)
class Preflight:
    """Whether a board would take an entry, as far as its contract is known; no network is asked.

    Attributes:
        problems: why it would not, or why it should not be sent; empty: it would be taken.
        warnings: what a person should look at before.
        losses: what is known of the measurement and has no place in the board's format.
    """

    board: str
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()

    @property
    def taken(self) -> bool:
        """Whether it would be taken."""
        return not self.problems

    def as_data(self) -> dict[str, Any]:
        """For --json."""
        return {**asdict(self), "taken": self.taken}


@dataclass(frozen=True)
class Sending:
    """How an entry is sent.

    Attributes:
        dry_run: ask the board what it would make of the entry (or write its folder), and stop.
        again: also an entry that the board has or may have.
        doubtful: also an entry whose figures are in doubt; the doubt then stands in its notes.
        verified: the capture of a canonical prompt instead of the headline cell.
        upload: send to a board that by default gets a folder for its own tool.
        accept: fields in which the board may differ from what was sent.
        wait_s: the most to wait in all when the board says that it is too early.
        token_file: holds the secret, mode 0600; by default it is looked for.
        tell: gets lines for the user while it goes on.
    """

    dry_run: bool = False
    again: bool = False
    doubtful: bool = False
    verified: bool = False
    upload: bool = False
    accept: frozenset[str] = frozenset()
    wait_s: float = 0.0
    token_file: Path | None = None
    tell: Callable[[str], None] = field(default=lambda line: None)


@dataclass(frozen=True)
class Submitted:
    """What became of an entry that was not refused.

    Attributes:
        state: accepted; `dry-run`: the board would take it; `written`: a folder for the board's own tool.
        id: the board's name of the row; None where it gave none.
        folder: what was written.
        facts: what else the board said.
    """

    board: str
    state: str
    id: str | None = None
    folder: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


class Board(ABC):
    """One leaderboard."""

    name: ClassVar[str]
    """As `--board` takes it, and as the folder `boards/<name>/` of a bundle is called."""
    title: ClassVar[str]

    @abstractmethod
    def find(
        self, workspace: Workspace, recipe: str, *, variant: str | None, run: str | None, cell: str | None
    ) -> Evidence:
        """What an entry of this board would rest on.

        Raises:
            RecipegenError: there is no such run, or none of the shape that the board wants.
        """

    @abstractmethod
    def files(self, evidence: Evidence) -> dict[str, bytes]:
        """The board's files, by path under `boards/<name>/`: the same bytes for the same evidence, and none where the
        board would have no use for them."""

    @abstractmethod
    def preflight(self, evidence: Evidence) -> Preflight:
        """Whether the board would take it, and what is lost on the way."""

    @abstractmethod
    def check(self, files: Mapping[str, bytes], evidence: Evidence) -> list[Check]:
        """Whether files made by anybody agree with the recipe and the raw files; never raises for what they hold."""

    @abstractmethod
    def submit(self, evidence: Evidence, receipts: Receipts, how: Sending) -> Submitted:
        """Sends the entry, once.

        Raises:
            RecipegenError: with an exit code that tells: 1 refused, 3 this host or account, 4 the board failed.
        """
