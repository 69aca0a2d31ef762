"""The fixed texts that the gate asks, out of probes.yaml, and whether an answer is right. Asks nobody."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PROBES = Path(__file__).parent / "probes.yaml"
_JUDGED = 4000
_MARKS = re.compile(r"\\(?:text|mathrm|boxed)|[*_${}]")
"""Of Markdown and TeX, inside an answer."""
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")


@dataclass(frozen=True)
class Question:
    """A question with a known answer.

    Attributes:
        answer: a regular expression over what `plain` makes of the answer.
    """

    id: str
    ask: str
    answer: str

    def right(self, text: str) -> bool:
        """Whether the known answer stands in a text."""
        return re.search(self.answer, plain(text)) is not None


@cache
def probes() -> dict[str, Any]:
    """probes.yaml; not to be changed."""
    from recipegen.catalog import read_yaml

    found: dict[str, Any] = read_yaml(PROBES)
    return found


def questions() -> tuple[Question, ...]:
    """The questions with known answers."""
    return tuple(Question(**item) for item in probes()["questions"]["list"])


def plain(text: str) -> str:
    """The end of a text (where an answer stands that is led up to), in lower case and without marks of Markdown and
    TeX: `H₂O` and `$\\text{H}_2\\text{O}$` are h2o, and every dash and hyphen is `-`."""
    return _MARKS.sub("", unicodedata.normalize("NFKC", text[-_JUDGED:]).translate(_DASHES)).casefold()
