"""Numbers in free text: which of them are claims on a measurement. A small tolerant reader: it says what it did not
understand, and is never sure of more than stands there. Owns no check."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = r"(?P<value>\d{1,9}(?:\.\d{1,6})?)"
_UNIT = r"(?:\s*(?:t/s|tok/s|tokens/s|tps|ms)\b)?"
_STAT = r"(?P<stat>median|mean|average|avg|std(?:dev)?|standard deviation)"
_METRIC = re.compile(
    r"\b(?P<tg>tokSOut|tg_throughput|decode|tg\b(?!\s*=))|\b(?P<ttft>ttftMs|e2e_ttft|ttft|time to first token)\b"
    r"|\b(?P<pp>tokSPrefill|pp_throughput|prefill\s+(?:speed|throughput|rate))\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[\w)%\"'])[.!?](?:\s+|$)|[;\n]+")
_STAT_FIRST = re.compile(rf"\b{_STAT}\b\s*(?:of|is|:|=|≈|~)?\s*{_NUMBER}\b", re.IGNORECASE)
_NUMBER_FIRST = re.compile(rf"(?<![\w.]){_NUMBER}{_UNIT}\s+(?:warm\s+)?{_STAT}\b", re.IGNORECASE)
_NAMED = (
    r"(?:tokSOut|tg_throughput|decode|tg|ttftMs|e2e_ttft|ttft|time to first token|tokSPrefill|pp_throughput"
    r"|prefill\s+(?:speed|throughput|rate))"
)
_STAT_METRIC = re.compile(rf"\b{_STAT}\s+{_NAMED}\s*(?:of|is|was|:|=|≈|~)?\s*{_NUMBER}(?![\w.])", re.IGNORECASE)
_METRIC_VALUE = re.compile(
    rf"\b(?!tg\b){_NAMED}\s*[=:]\s*{_NUMBER}(?![\w.]){_UNIT}(?:\s*\(?(?P<stat>median|mean|average|avg)\b)?",
    re.IGNORECASE,
)
_COMMAS = re.compile(r"(?<![\w.])\d+(?:,\d+)+(?:\.\d+)?(?![\w,])")
_GROUPS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_COMPARED = re.compile(
    r"\b(?:faster|slower|as fast|\w*fold|speed-?up|twice|thrice|(?:double|triple)[ds]?|times)\b", re.IGNORECASE
)
_SAID = re.compile(
    r"\b(?:twice|thrice|half|(?:double|triple)[ds]?)\b"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten)(?: times|-?fold)\b"
    r"|(?<![\w.-])\d+(?:\.\d+)?(?:-fold)?(?![\w.]*\w)",
    re.IGNORECASE,
)
"""What may be a claim in a sentence that speaks of speed: any number, and words for one."""
_COUNT = re.compile(r"(?<!\w)n\s*=\s*(?P<value>\d{1,6})\b(?P<warm>\s*warm\b)?", re.IGNORECASE)
_RANGE = re.compile(
    r"\brange\s*(?:of|is|:|=)?\s*(?P<low>\d+(?:\.\d+)?)\s*(?:-|–|to|\.\.)\s*(?P<high>\d+(?:\.\d+)?)", re.I
)
_RATIO = re.compile(
    r"(?<![\w.])(?P<value>\d{1,4}(?:\.\d{1,4})?)\s*(?:(?:×|x\b)\s*(?:over|vs\.?|versus|faster|speed-?up|the|its)|times\s+[a-z]\w*)"
    r"(?P<rest>[^.;]{0,80}?\((?P<base>\d{1,9}(?:\.\d{1,6})?)\s*(?:t/s|tok/s)\b)?",
    re.IGNORECASE,
)
_SHAPE = re.compile(r"\b(?P<key>pp|tg|c|d|depth|concurrency)\s*=?\s*(?P<value>\d{1,7})\b", re.IGNORECASE)
_SPEED = re.compile(rf"(?<![\w.]){_NUMBER}\s*(?P<unit>t/s|tok/s|tokens/s|ms)\b", re.IGNORECASE)
_QUANTITY = re.compile(
    r"(?<![\w.])~?\d+(?:\.\d+)?\s*(?:%|×|x\b|GB\b|GiB\b|MB\b|K\b|tokens\b|ms\b|t/s|tok/s|W\b|°C)", re.IGNORECASE
)
_STATS = {"average": "mean", "avg": "mean", "stddev": "std", "standard deviation": "std"}
_KEYS = {"depth": "d", "concurrency": "c"}


@dataclass(frozen=True)
class Claimed:
    """One number of a text that claims something measured.

    Attributes:
        kind: stat, n, range, ratio, or speed (a number with a unit that no statistic is named for).
        value: the number; of a range its lower end.
        words: the piece of the text.
        metric: tg, ttft or pp, whatever was named last before it; None where nothing was.
        stat: median, mean or std.
        high: upper end of a range.
        base: the baseline's figure beside a ratio.
        warm: of a count, whether it says that these are warm samples.
        shape: what the sentence says of the cell: pp, tg, c, d.
    """

    kind: str
    value: Decimal
    words: str
    metric: str | None = None
    stat: str | None = None
    high: Decimal | None = None
    base: Decimal | None = None
    warm: bool = False
    shape: tuple[tuple[str, int], ...] = ()


def read_notes(text: str) -> tuple[list[Claimed], list[str]]:
    """The claims of a text, and quantities in it that are none or were not understood."""
    found: list[Claimed] = []
    left: list[str] = []
    for sentence in _SENTENCE.split(text[:20_000]):
        if sentence:
            plain, unclear = _without_commas(sentence)
            left += unclear
            claims, taken = _of_sentence(plain)
            found += claims
            rest = _blanked(plain, taken)
            quantities = list(_QUANTITY.finditer(rest))
            left += [match[0].strip() for match in quantities]
            if _METRIC.search(plain) or _COMPARED.search(plain):
                rest = _blanked(rest, [match.span() for match in quantities])
                left += [match[0] for match in _SAID.finditer(rest)]
    return found, left


def _without_commas(sentence: str) -> tuple[str, list[str]]:
    """1,102.43 as 1102.43; of 102,05 nobody can say what it is, so that no part of it is read as a number."""
    unclear: list[str] = []

    def read(match: re.Match[str]) -> str:
        if _GROUPS.fullmatch(match[0]):
            return match[0].replace(",", "")
        unclear.append(match[0])
        return "_" * len(match[0])

    return _COMMAS.sub(read, sentence), unclear


def _of_sentence(sentence: str) -> tuple[list[Claimed], list[tuple[int, int]]]:
    shape = tuple((_KEYS.get(key.lower(), key.lower()), int(value)) for key, value in _SHAPE.findall(sentence))
    claims: list[tuple[int, Claimed]] = []
    taken: list[tuple[int, int]] = []

    def take(match: re.Match[str], kind: str, **more: object) -> None:
        if any(start < match.end() and match.start() < end for start, end in taken):
            return
        taken.append(match.span())
        value = Decimal(match["low"] if kind == "range" else match["value"])
        words = " ".join(match[0].split())
        claim = Claimed(kind, value, words, _metric_before(sentence, match), shape=shape, **more)  # type: ignore[arg-type]
        claims.append((match.start(), claim))

    for match in _RATIO.finditer(sentence):
        take(match, "ratio", base=Decimal(match["base"]) if match["base"] else None)
    for pattern in (_STAT_METRIC, _METRIC_VALUE, _NUMBER_FIRST, _STAT_FIRST):
        for match in pattern.finditer(sentence):
            stat = (match["stat"] or "median").lower()  # a field that is only named is the board's: the median
            take(match, "stat", stat=_STATS.get(stat, stat))
    for match in _RANGE.finditer(sentence):
        take(match, "range", high=Decimal(match["high"]))
    for match in _COUNT.finditer(sentence):
        take(match, "n", warm=bool(match["warm"]))
    for match in _SPEED.finditer(sentence):
        take(match, "speed")
    taken += [match.span() for match in _SHAPE.finditer(sentence)]
    return [claim for _, claim in sorted(claims, key=lambda pair: pair[0])], taken


def _metric_before(sentence: str, match: re.Match[str]) -> str | None:
    """The metric that was named last before a number; behind it, where none was before."""
    named = [(one.start(), one.lastgroup) for one in _METRIC.finditer(sentence)]
    before = [name for at, name in named if at < match.end()]
    return before[-1] if before else None


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text
