"""The one kind of error that a user sees, and the exit codes. Owns no printing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EXIT_DONE = 0
EXIT_FINDINGS = 1
"""Findings, or a check that failed."""
EXIT_USAGE = 2
"""Wrong usage or a wrong spec."""
EXIT_ENVIRONMENT = 3
"""The environment lacks something: no Docker, no GPU, no network, no space, no token."""
EXIT_MEASUREMENT = 4
"""The server or the benchmark failed."""
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, order=True)
class Where:
    """A place in a file; line and column count from 1, 0 means unknown."""

    file: Path
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return str(self.file)
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file, and what would be right."""

    where: Where
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


class RecipegenError(Exception):
    """What went wrong, in words for the user.

    Args:
        message: the cause, one sentence.
        hint: the remedy, or nothing when there is none to name.
        where: the file (and line) that is to blame.
        exit_code: one of the EXIT_ constants.
    """

    exit_code = EXIT_USAGE

    def __init__(
        self, message: str, *, hint: str = "", where: Where | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        if exit_code is not None:
            self.exit_code = exit_code


class SpecError(RecipegenError):
    """A recipe (or several) that cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        count = len(problems)
        super().__init__("1 problem" if count == 1 else f"{count} problems")


class CheckFailed(RecipegenError):
    """A check found a difference: a kit, a table or a record is not what it should be."""

    exit_code = EXIT_FINDINGS


class EnvironmentLacks(RecipegenError):
    """This host lacks something that the command needs."""

    exit_code = EXIT_ENVIRONMENT


class MeasurementFailed(RecipegenError):
    """The server or the benchmark failed; what was measured before is kept."""

    exit_code = EXIT_MEASUREMENT
