"""What was sent to a board and what came of it: one line a step, only ever added to. Owns the file; sends nothing."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError, Where
from recipegen.files import read_bounded
from recipegen.results.store import utc_text

FORMAT = "recipegen-receipt/1"
_LIMIT = 8 << 20

State = Literal["sending", "accepted", "refused", "ambiguous"]
"""`sending` stands before the answer: where nothing follows it, the process ended in between, and nobody knows."""


@dataclass(frozen=True)
class Receipts:
    """The receipts of one recipe at one board.

    Attributes:
        path: `<board>-receipts.jsonl`.
    """

    path: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While the block runs no other process sends from here.

        Raises:
            EnvironmentLacks: another one does, or the folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise EnvironmentLacks(f"cannot write {self.path}: {error.strerror or error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise EnvironmentLacks(f"another `recipegen submit` is at work with {self.path}") from error
        finally:
            os.close(handle)

    def entries(self) -> list[dict[str, Any]]:
        """Every step so far, oldest first.

        Raises:
            RecipegenError: the file was edited or cut short: what it lost cannot be told from what never was.
        """
        if not self.path.exists():
            return []
        found = []
        for number, line in enumerate(read_bounded(self.path, _LIMIT).splitlines(), 1):
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                entry = None
            if not isinstance(entry, dict) or entry.get("format") != FORMAT:
                raise RecipegenError(
                    "this line is no receipt",
                    where=Where(self.path, number, 1),
                    hint="receipts keep an entry from being sent twice: restore the file, or mend the line by hand",
                )
            found.append(entry)
        return found

    def add(self, state: State, entry: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
        """Adds a step and sees it onto the disk.

        Args:
            entry: what identifies the entry: see `Board.submit`.
            facts: endpoint, status, id, what the board echoed; never a header.

        Raises:
            EnvironmentLacks: it cannot be written.
        """
        receipt = {"format": FORMAT, "time": utc_text(datetime.now(UTC)), "state": state, "entry": dict(entry), **facts}
        line = json.dumps(receipt, ensure_ascii=True, allow_nan=False) + "\n"
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                os.write(handle, line.encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise EnvironmentLacks(f"cannot write {self.path}: {error.strerror or error}") from error
        return receipt

    def require_unsent(self, entry: Mapping[str, Any]) -> None:
        """Refuses an entry that the board has, or may have.

        Raises:
            CheckFailed: says when it was sent and under which id.
        """
        same = [step for step in self.entries() if step.get("entry") == dict(entry)]
        accepted = [step for step in same if step.get("state") == "accepted"]
        if accepted:
            raise CheckFailed(
                f"this entry was accepted on {accepted[-1].get('time')} as {accepted[-1].get('id')}",
                hint="--again sends it once more, which makes a second row: delete the first one at the board before",
            )
        doubtful = next((step for step in reversed(_unanswered(same))), None)
        if doubtful is not None:
            raise CheckFailed(
                f"this entry was sent on {doubtful.get('time')}, and nobody knows whether it was stored "
                f"({doubtful.get('why', 'recipegen ended before the answer')})",
                hint="look for the row at the board; if it is not there, --again sends it once more",
            )


def _unanswered(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps after which it is not known whether the board has the entry."""
    found = []
    for at, step in enumerate(steps):
        alone = step.get("state") == "sending" and (at + 1 == len(steps) or steps[at + 1].get("state") == "sending")
        if alone or step.get("state") == "ambiguous":
            found.append(step)
    return found
