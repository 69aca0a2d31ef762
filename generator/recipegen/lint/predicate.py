"""Predicates of lint rules: subject, operator, value. Owns their meaning; knows no recipe."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from recipegen.spec.versions import parse_version

Test = Callable[[Any, Any], bool]


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) or isinstance(value, str):
        return _text(value) == _text(wanted)
    return bool(value == wanted)


def _text(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _ordered(compare: Callable[[Any, Any], bool]) -> Test:
    """Numbers as numbers, else both as versions; what is neither fulfils no order."""

    def test(value: Any, wanted: Any) -> bool:
        for reading in (_number, parse_version):
            pair = reading(value), reading(wanted)
            if pair[0] is not None and pair[1] is not None:
                return compare(*pair)
        return False

    return test


def _number(value: Any) -> float | None:
    # "0.19" in quotes is a version; 0.9 without is a number, and so is the text of a flag's value beside it.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf if value > 0 else -math.inf


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


OPERATORS: Mapping[str, Test] = {
    "==": _same,
    "!=": lambda value, wanted: value is None or not _same(value, wanted),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
    "in": lambda value, wanted: any(_same(value, item) for item in wanted),
    "present": lambda value, wanted: (value is not None and value is not False) is bool(wanted),
    "absent": lambda value, wanted: (value is None or value is False) is bool(wanted),
    "matches": lambda value, wanted: _pattern(wanted).search(_text(value)) is not None,
    "lacks": lambda value, wanted: _pattern(wanted).search(_text(value)) is None,
}
_BEAR_NOTHING = frozenset(["!=", "present", "absent"])


def holds(value: Any, operator: str, wanted: Any) -> bool:
    """Whether a predicate holds for a subject's value; one that is not known (None) fulfils only != and absent."""
    if value is None and operator not in _BEAR_NOTHING:
        return False
    return OPERATORS[operator](value, wanted)
