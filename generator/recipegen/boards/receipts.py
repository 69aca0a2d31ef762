"""What was sent to a board and what came of it: one line a step, only ever added to. Owns the files; sends nothing."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError, Where
from recipegen.files import read_bounded
from recipegen.results.store import utc_text

FORMAT = "recipegen-receipt/1"
_LIMIT = 8 << 20

State = Literal["sending", "accepted", "refused", "ambiguous"]
"""`sending` stands before the answer: where nothing follows it, the process ended in between, and nobody knows."""


def user_ledger(board: str, env: Mapping[str, str] = os.environ) -> Path:
    """Where this account's receipts of a board are, whatever folder it sends from (XDG_STATE_HOME, ~/.local/state)."""
    state = Path(env.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "recipegen" / "receipts" / f"{board}.jsonl"


@dataclass(frozen=True)
class Receipts:
    """The receipts of one recipe at one board.

    Attributes:
        path: `<board>-receipts.jsonl`, beside what is sent.
        user: the same steps of everything that this account sends to the board: a row that was sent from a repository
            is not sent again from a bundle of it.
    """

    path: Path
    user: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While the block runs no other process of this account sends to the board, and none of another from here.

        Raises:
            EnvironmentLacks: another one does, or a folder cannot be written.
        """
        with ExitStack() as held:
            for path in (self.user, self.path):
                held.enter_context(_locked(path))
            yield

    def entries(self) -> list[dict[str, Any]]:
        """Every step so far from here, oldest first.

        Raises:
            RecipegenError: the file was edited or cut short: what it lost cannot be told from what never was.
        """
        return _read(self.path)

    def steps(self, entry: Mapping[str, Any], endpoint: str) -> list[dict[str, Any]]:
        """Every step of an entry at one host, from wherever this account sent it, oldest first.

        Args:
            endpoint: an address of the board; what a test's own server was sent is not at the board.
        """
        found = [step for ledger in self._ledgers(entry, endpoint) for step in ledger]
        return sorted(found, key=lambda step: str(step.get("time")))

    def _ledgers(self, entry: Mapping[str, Any], endpoint: str) -> list[list[dict[str, Any]]]:
        """The steps of an entry at one host, by file: one that ended between two files shows in only one of them."""
        host = urlsplit(endpoint).netloc
        return [
            [step for step in _read(path) if step.get("entry") == dict(entry) and _host(step) in (host, None)]
            for path in (self.user, self.path)
        ]

    def add(self, state: State, entry: Mapping[str, Any], endpoint: str, **facts: Any) -> None:
        """Adds a step to both files and sees it onto the disk.

        Args:
            entry: what identifies the entry: see `Board.submit`.
            endpoint: the address it goes to; its host counts when the entry is looked for.
            facts: status, id, what the board echoed; never a header.

        Raises:
            EnvironmentLacks: it cannot be written.
        """
        receipt = {"format": FORMAT, "time": utc_text(datetime.now(UTC)), "state": state, "entry": dict(entry)}
        line = json.dumps({**receipt, "endpoint": endpoint, **facts}, ensure_ascii=True, allow_nan=False) + "\n"
        for path in (self.user, self.path):
            try:
                handle = _open(path)
                try:
                    os.write(handle, line.encode())
                    os.fsync(handle)
                finally:
                    os.close(handle)
            except OSError as error:
                raise _unwritable(path, error) from error

    def require_unsent(self, entry: Mapping[str, Any], endpoint: str) -> None:
        """Refuses an entry that the board has, or may have.

        Raises:
            CheckFailed: says when it was sent and under which id.
        """
        ledgers = self._ledgers(entry, endpoint)
        accepted = [step for ledger in ledgers for step in ledger if step.get("state") == "accepted"]
        if accepted:
            raise CheckFailed(
                f"this entry was accepted on {accepted[-1].get('time')} as {accepted[-1].get('id')}",
                hint="--again sends it once more, which makes a second row: delete the first one at the board before",
            )
        doubtful = next((step for ledger in ledgers for step in reversed(_unanswered(ledger))), None)
        if doubtful is not None:
            raise CheckFailed(
                f"this entry was sent on {doubtful.get('time')}, and nobody knows whether it was stored "
                f"({doubtful.get('why', 'recipegen ended before the answer')})",
                hint="look for the row at the board; if it is not there, --again sends it once more",
            )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _open(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise EnvironmentLacks(f"another `recipegen submit` is at work with {path}") from error
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _unwritable(path: Path, error: OSError) -> EnvironmentLacks:
    hint = "without receipts an entry could be sent twice; XDG_STATE_HOME names another folder for this account's"
    return EnvironmentLacks(f"cannot write {path}: {error.strerror or error}", hint=hint)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(read_bounded(path, _LIMIT).splitlines(), 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or entry.get("format") != FORMAT:
            raise RecipegenError(
                "this line is no receipt",
                where=Where(path, number, 1),
                hint="receipts keep an entry from being sent twice: restore the file, or mend the line by hand",
            )
        found.append(entry)
    return found


def _host(step: Mapping[str, Any]) -> str | None:
    """The host that a step went to; None where the line does not say, which then counts for every host."""
    endpoint = step.get("endpoint")
    try:
        return urlsplit(endpoint).netloc if isinstance(endpoint, str) else None
    except ValueError:
        return None


def _unanswered(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps after which it is not known whether the board has the entry."""
    found = []
    for at, step in enumerate(steps):
        alone = step.get("state") == "sending" and (at + 1 == len(steps) or steps[at + 1].get("state") == "sending")
        if alone or step.get("state") == "ambiguous":
            found.append(step)
    return found
