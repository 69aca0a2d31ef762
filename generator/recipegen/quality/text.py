"""Whether a text is sentences of words: the marks of garbage and of endless repetition. Knows no server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recipegen.quality.verdict import Verdict

_JUDGED = 8000
"""Characters of a text that are looked at: the first and the last half of them."""
_LEAST_WORDS = 8
_PRINTABLE = 0.98
_LETTERS = 0.6
_COMMON = 0.15
_NGRAM = 4
_DISTINCT = 0.5
_LEAST_REPEATED = 24
"""Words below which repetition is not looked for, and that a loop at the end has at least."""
_LONGEST_PERIOD = 40
_SENTENCE = 6
"""Words of a loop that can be a whole sentence."""
_LOOP = re.compile(r"(\S{1,8}?)\1{15,}")
_SPECIAL = re.compile(r"<[|｜][\w ▁]{1,40}[|｜]>|<(?:start|end)_of_turn>|\[/?INST\]|</?s>")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

_COMMON_TEXT = (
    "the of and to a in is it that for on with as are was by at be this from or an its which their they have has not "
    "but can into through we you i he she his her my our more when where than then so also will would some these there "
    "all most like how about up out over after before because each other while"
)
COMMON_WORDS = frozenset(_COMMON_TEXT.split())
"""Of running English text a third to a half are among them, of random tokens few."""


def faults(text: str, *, small: bool = False) -> Iterator[tuple[Verdict, str]]:
    """What is wrong with an answer that should be some sentences of English.

    Args:
        small: of a small model, which says whole sentences again and again: a warning then.

    Yields:
        `fail` or `warn`, and what is wrong in words; nothing for a text as it should be.
    """
    if not text.strip():
        yield "fail", "the answer is empty"
        return
    judged = text if len(text) <= _JUDGED else f"{text[: _JUDGED // 2]} {text[-_JUDGED // 2 :]}"
    solid = [char for char in judged if not char.isspace()]
    printable = sum(char.isprintable() and char != "\ufffd" for char in solid) / len(solid)
    letters = sum(char.isalpha() for char in solid) / len(solid)
    words = [word.casefold() for word in _WORD.findall(judged)]
    common = sum(word in COMMON_WORDS for word in words) / max(len(words), 1)
    repeated = repetition(judged, words)
    if printable < _PRINTABLE:
        yield "fail", f"only {printable:.0%} of the characters are printable"
    if repeated:
        yield "warn" if small and repeated.sentences else "fail", repeated.words
    elif letters < _LETTERS:
        yield "fail", f"only {letters:.0%} of the characters are letters"
    elif len(words) < _LEAST_WORDS:
        yield "warn", f"only {len(words)} words"
    elif common < _COMMON:
        yield "fail", f"the words do not make English sentences: {common:.0%} are common ones, a third is usual"
    if special := _SPECIAL.search(judged):
        yield "warn", f"the special token {special[0]} stands in the answer: is the chat template right?"


@dataclass(frozen=True)
class Repeated:
    """How a text repeats itself; `sentences`: whole ones, not a word or two."""

    words: str
    sentences: bool


def repetition(text: str, words: Sequence[str]) -> Repeated | None:
    """How a text repeats itself without end; None when it does not.

    Args:
        words: of the text, in lower case.
    """
    if loop := _LOOP.search(text):
        return Repeated(f"{loop[1]!a} is repeated {len(loop[0]) // len(loop[1])} times", False)
    if len(words) < _LEAST_REPEATED:
        return None
    for period in range(1, min(_LONGEST_PERIOD, len(words) // 3) + 1):
        same = 0
        while same < len(words) - period and words[-1 - same] == words[-1 - same - period]:
            same += 1
        if same + period >= max(3 * period, _LEAST_REPEATED):
            return Repeated(f"it ends in a loop of {period} word{'s' * (period > 1)}", period >= _SENTENCE)
    grams = [tuple(words[at : at + _NGRAM]) for at in range(len(words) - _NGRAM + 1)]
    distinct = len(set(grams)) / len(grams)
    if distinct < _DISTINCT:
        share = f"only {distinct:.0%} of its groups of {_NGRAM} words are different ones"
        return Repeated(f"it repeats itself: {share}", len(set(words)) >= _SENTENCE)
    return None
