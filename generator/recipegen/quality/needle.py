"""A made-up fact in a long filler text: does it come back, exactly? Owns no cells and no speed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from recipegen.quality.client import Answer, Chat
from recipegen.quality.questions import plain, probes
from recipegen.quality.text import faults
from recipegen.quality.verdict import Check, Verdict, shown

SHALLOWEST = 256
"""Tokens of depth from which on a needle is worth looking for."""
_SLOWEST_PREFILL = 100.0
"""tok/s that a server is given time for, beyond the time of any request."""
_SAMPLES = (100, 600)
_USUAL_SLOPE = 1.2
"""Tokens of a word of the filler, where the server does not count."""
_DENSER = 1.4
"""Tokens of a word of the fact and the question for each of a word of the filler: a code, names, short words."""
_ROOM = 64
_CUT = 0.8
"""A prompt counted as less than this share of what was sent was cut by the server."""


@dataclass(frozen=True)
class Scale:
    """Tokens of a filler of some words: `base + slope * words`."""

    base: float
    slope: float
    counted: bool

    def words(self, tokens: int) -> int:
        """Words of filler in a prompt of so many tokens with the fact and the question in it."""
        data = probes()["needle"]
        beside = len(f"{data['fact']} {data['ask']}".split()) * _DENSER
        return max(int((tokens - self.base) / self.slope - beside), 1)


@dataclass(frozen=True)
class Planted:
    """A prompt with a fact in it.

    Attributes:
        share: of the filler that stands before the fact.
    """

    prompt: str
    code: str
    share: float


def measured_scale(chat: Chat) -> Scale:
    """How many tokens the filler's words have on this server, from its own counts of two prompts."""
    counts = [
        chat.ask(_filler(random.Random(words), words)[0], max_tokens=1).prompt_tokens  # noqa: S311 - no secret
        for words in _SAMPLES
    ]
    if counts[0] is None or counts[1] is None or counts[1] <= counts[0]:
        return Scale(0, _USUAL_SLOPE, False)
    slope = (counts[1] - counts[0]) / (_SAMPLES[1] - _SAMPLES[0])
    return Scale(counts[0] - slope * _SAMPLES[0], slope, True)


def plant(words: int, seed: str) -> Planted:
    """A filler of about `words` words with a fact at a place that only the seed decides, and the question after it."""
    chance = random.Random(seed)  # noqa: S311 - the same needle in every run, no secret
    data = probes()["needle"]
    first, last = chance.sample(data["code_words"], 2)
    code = f"{first}-{chance.randrange(1000, 10000)}-{last}"
    _, sentences = _filler(chance, words)
    share = chance.uniform(0.1, 0.9)
    sentences.insert(round(share * len(sentences)), data["fact"].format(code=code))
    return Planted(f"{' '.join(sentences)}\n\n{data['ask']}", code, share)


def needle_check(chat: Chat, depth: int, scale: Scale, model_context: int | None, missing: Verdict = "fail") -> Check:
    """Asks for the fact at one depth; a miss gets a second try at another place.

    Args:
        depth: tokens of the whole prompt, about.
        model_context: tokens that prompt and answer may have together; a deeper needle is planted less deep.
        missing: what it is when the fact is found at neither place; a request that fails is a failure in any case.
    """
    most = probes()["needle"]["max_tokens"]
    aim = depth if model_context is None else max(min(depth, model_context - most - _ROOM), 1)
    words = scale.words(aim)
    lowered = f"; planted at {aim} tokens, since the context ends at {model_context}" if aim < depth else ""
    missed: tuple[Planted, Answer] | None = None
    for attempt in (1, 2):
        planted = plant(words, f"{depth}/{attempt}")
        answer = chat.ask(planted.prompt, max_tokens=most, timeout=chat.timeout + aim / _SLOWEST_PREFILL)
        if answer.error:
            return _check(depth, "fail", answer.error, planted, f"the request failed{lowered}")
        if plain(planted.code) in plain(answer.text):
            return _found(depth, aim, scale, planted, answer, missed, lowered)
        missed = planted, answer
    assert missed is not None
    planted, answer = missed
    garbage = [words for verdict, words in faults(answer.text) if verdict == "fail"] if answer.text else ["empty"]
    why = f"not found at {planted.share:.0%} of the text, nor at another place{_tokens(answer)}{lowered}"
    if len(answer.text.split()) > 20 and garbage:
        why += f"; the answer is garbage: {garbage[0]}"
    return _check(depth, missing, shown(answer.text), planted, why)


def _found(
    depth: int,
    aim: int,
    scale: Scale,
    planted: Planted,
    answer: Answer,
    missed: tuple[Planted, Answer] | None,
    lowered: str,
) -> Check:
    why = f"found at {planted.share:.0%} of the text{_tokens(answer)}{lowered}"
    if missed:
        why += f"; missed at {missed[0].share:.0%}, where the answer was {shown(missed[1].text, 60)}"
        return _check(depth, "warn", planted.code, planted, why)
    if scale.counted and answer.prompt_tokens is not None and answer.prompt_tokens < _CUT * aim:
        return _check(depth, "warn", planted.code, planted, f"{why}; was the prompt cut?")
    return _check(depth, "pass", planted.code, planted, why)


def _tokens(answer: Answer) -> str:
    if answer.prompt_tokens is None:
        return " (the server does not count tokens)"
    return f" of {answer.prompt_tokens} tokens"


def _check(depth: int, verdict: Any, found: str, planted: Planted, why: str) -> Check:
    return Check(f"needle-{depth}", verdict, found, planted.code, why)


def _filler(chance: random.Random, words: int) -> tuple[str, list[str]]:
    """Sentences of at least so many words together, as one text and apart."""
    data = probes()["needle"]["filler"]
    sentences: list[str] = []
    count = 0
    while count < words:
        one, two = chance.sample(data["noun"], 2)
        middle = f"{chance.choice(data['adjective'])} {one} {chance.choice(data['verb'])} the {two}"
        sentences.append(f"The {middle} {chance.choice(data['place'])}.")
        count += len(sentences[-1].split())
    return " ".join(sentences), sentences
