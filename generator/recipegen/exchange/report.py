"""What a translation could not carry over, by name and with the reason. Owns the list; prints nothing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from recipegen.quoting import comment_text
from recipegen.results.scrub import HIDDEN, hide_secrets, is_secret

NO_SECRETS = "a secret: give it to the server from the environment when it starts"
MAX_VALUE = 200
"""Characters of a value that a report repeats."""
_NAME = r"(?<![A-Za-z0-9_-])"
_VALUE = r"('[^']*'|\"[^\"]*\"|[^\s'\";]+)"
_ASSIGNED = re.compile(rf"{_NAME}(-{{0,2}}[A-Za-z_][A-Za-z0-9_-]*)(\s*[=:]\s*){_VALUE}")
_GIVEN = re.compile(rf"{_NAME}(--?[A-Za-z_][A-Za-z0-9_-]*)(\s+){_VALUE}")


@dataclass(frozen=True)
class Lost:
    """One thing of the source that has no place in the target.

    Attributes:
        name: as the source calls it: `mods`, `pre_exec[0]`, `--api-key`.
        why: the reason, and what to do about it.
        value: what stood there, on one line, secrets hidden.
        line: of the source; 0 where it has none.
        runs: whether it changes what runs; a maintainer's name or a label does not.
    """

    name: str
    why: str
    value: str = ""
    line: int = 0
    runs: bool = True

    def as_data(self) -> dict[str, Any]:
        """For --json."""
        return {"name": self.name, "why": self.why, "value": self.value, "line": self.line, "affects_run": self.runs}


@dataclass
class Report:
    """What was lost, and what a reader should know of what was not."""

    _lost: dict[Lost, None] = field(default_factory=dict)
    _notes: dict[str, None] = field(default_factory=dict)

    def lose(self, name: str, why: str, value: Any = "", line: int = 0, *, runs: bool = True) -> None:
        """Put one thing on the list, once."""
        self._lost[Lost(one_line(name, 120), why, shown(value), line, runs)] = None

    def secret(self, name: str, line: int = 0) -> None:
        """A secret, which no recipe may hold; its value is not repeated."""
        self.lose(name, NO_SECRETS, HIDDEN, line)

    def note(self, text: str) -> None:
        """Something that was carried over, but not word by word.

        Args:
            text: our own words; a value of the source among them goes through `shown` first. What follows a name is
                not taken for its value here: `env.HF_TOKEN: is dropped` is all our own.
        """
        self._notes[one_line(hide_secrets(text[:1000]), 500)] = None

    @property
    def lost(self) -> list[Lost]:
        """What was lost, in the order in which it was met."""
        return list(self._lost)

    @property
    def notes(self) -> list[str]:
        """What a reader should know besides."""
        return list(self._notes)

    @property
    def changes_run(self) -> bool:
        """Whether anything was lost that changes what runs."""
        return any(entry.runs for entry in self.lost)


def shown(value: Any) -> str:
    """A value of the source for a report or a comment: one line, of bounded length, without secrets."""
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else json.dumps(_hidden(value), ensure_ascii=False, default=str)
    return one_line(without_secrets(text[: 20 * MAX_VALUE]), MAX_VALUE)


def one_line(text: str, most: int) -> str:
    """Text on one line, cut to at most that many characters."""
    flat = comment_text(text[: 20 * most])
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def without_secrets(text: str) -> str:
    """The text without tokens that tell by their form, and without the values of variables that are called secret."""

    def hide(match: re.Match[str]) -> str:
        secret = is_secret(match[1], match[3].strip("'\""))
        return f"{match[1]}{match[2]}{HIDDEN}" if secret else match[0]

    return _GIVEN.sub(hide, _ASSIGNED.sub(hide, hide_secrets(text)))


def _hidden(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _hidden(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return HIDDEN if isinstance(value, str) and is_secret(key, value) else value
