"""The outcome of a verification, and turning what a stranger's data does to a check into a word. Owns no check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from recipegen.claims import Check, failed
from recipegen.errors import EXIT_DONE, EXIT_FINDINGS, EnvironmentLacks, RecipegenError, SpecError

_WRONG_SHAPE = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What data of another shape than recipegen writes does to code that reads it."""
_SHOWN = 300


@dataclass(frozen=True)
class Outcome:
    """What a verification found.

    Attributes:
        subject: what was verified, in words.
        bundle: the bundle's id; None for a bare payload.
    """

    subject: str
    bundle: str | None
    checks: tuple[Check, ...]

    def exit_code(self, *, strict: bool) -> int:
        """0 when nothing failed; strictly, when everything could be decided too."""
        open_points = [check for check in self.checks if check.status == "undecidable"]
        return EXIT_FINDINGS if failed(self.checks) or (strict and open_points) else EXIT_DONE

    def counts(self) -> dict[str, int]:
        """How many checks passed, failed, and could not be decided."""
        found = Counter(check.status for check in self.checks)
        return {status: found[status] for status in ("passed", "failed", "undecidable")}

    def as_data(self, *, strict: bool) -> dict[str, Any]:
        """The outcome for --json."""
        return {
            "subject": self.subject,
            "bundle": self.bundle,
            "verified": self.exit_code(strict=strict) == EXIT_DONE,
            "counts": self.counts(),
            "checks": [check.as_data() for check in self.checks],
        }


def guarded(name: str, work: Callable[[], Iterable[Check]], path: str | None = None) -> list[Check]:
    """The checks that some work finds; where the data is not of the shape that it should have, that is what they say.

    Args:
        name: id of the check that failed then.
        path: the file that it is about.

    Raises:
        EnvironmentLacks: the fault is this host's, not the data's.
    """
    try:
        return list(work())
    except EnvironmentLacks:
        raise
    except SpecError as error:
        return [_failed(name, f"{problem.where.file.name}: {problem.message}", path) for problem in error.problems]
    except RecipegenError as error:
        place = f"{error.where.file.name}: " if error.where else ""
        return [_failed(name, f"{place}{error.message}", path)]
    except _WRONG_SHAPE as error:
        return [_failed(name, f"what stands there is not of the shape that it should have: {error!r}", path)]


def _failed(name: str, text: str, path: str | None) -> Check:
    return Check(name, "failed", text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …", path)
