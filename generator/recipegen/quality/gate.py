"""The probe of a server: coherence, known answers, the same under load, needles. Owns no greedy outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeVar

from recipegen.quality.client import Answer, Chat
from recipegen.quality.needle import SHALLOWEST, measured_scale, needle_check
from recipegen.quality.questions import Question, probes, questions
from recipegen.quality.text import faults
from recipegen.quality.verdict import Check, Quality, Verdict, shown, worst

Level = Literal["full", "coherence"]
_T = TypeVar("_T")

_FEW = 0.1
"""Share of answers that may turn wrong under load before that is more than the rounding of another batch size."""


def probe(
    base_url: str,
    served_name: str,
    *,
    concurrency: int = 1,
    depths: Sequence[int] = (),
    thinking_kwarg: str | None = "enable_thinking",
    model_context: int | None = None,
    timeout: float = 120.0,
    level: Level = "full",
) -> Quality:
    """Asks a server whether it answers sense. Whatever goes wrong is a check, never an exception.

    Args:
        base_url: with or without `/v1`.
        concurrency: the highest that is measured.
        depths: tokens of context that are measured; those below 256 are left out.
        thinking_kwarg: the chat template's argument that turns thinking off; None sends none.
        model_context: tokens that prompt and answer may have together.
        timeout: seconds for one request; a needle gets a second more for each 100 tokens.
        level: `coherence` asks for sentences only, of models that are too small to know anything.
    """
    chat = Chat(base_url, served_name, thinking_kwarg=thinking_kwarg, timeout=timeout)
    small = level == "coherence"
    coherence = _coherence(chat, small)
    if coherence.verdict == "fail":
        return Quality((coherence,))  # the rest would fail for the same reason, and take long
    checks = [coherence]
    if not small:
        known, alone = _questions(chat)
        checks.append(known)
        if concurrency > 1:
            checks.append(_load(chat, concurrency, alone))
        checks += _needles(chat, depths, model_context, "fail")
    elif concurrency > 1:
        checks.append(_coherence(chat, small, concurrency))
    return Quality(tuple(checks))


def probe_needles(
    base_url: str,
    served_name: str,
    *,
    depths: Sequence[int],
    thinking_kwarg: str | None = "enable_thinking",
    model_context: int | None = None,
    timeout: float = 120.0,
) -> Quality:
    """The needles alone, of a model of which nothing else is asked: what it does not find is a warning.

    A model that is too small to know anything, or that has random weights, does not find them; that it answers at
    such a depth at all is what is learnt then. Arguments are those of `probe`.
    """
    chat = Chat(base_url, served_name, thinking_kwarg=thinking_kwarg, timeout=timeout)
    return Quality(tuple(_needles(chat, depths, model_context, "warn")))


def _needles(chat: Chat, depths: Sequence[int], model_context: int | None, missing: Verdict) -> list[Check]:
    deep = sorted({depth for depth in depths if depth >= SHALLOWEST})
    if not deep:
        return []
    scale = measured_scale(chat)
    return [needle_check(chat, depth, scale, model_context, missing) for depth in deep]


def _coherence(chat: Chat, small: bool, at_once: int = 1) -> Check:
    """Sentences in, sentences out; one after the other or all at once."""
    data = probes()["coherence"]
    prompts: list[str] = data["prompts"]
    most: int = data["max_tokens_small" if small else "max_tokens"]
    if at_once == 1:
        answers: list[Answer] = []
        for prompt in prompts:
            answers.append(chat.ask(prompt, max_tokens=most))
            if answers[-1].unreachable:
                break
    else:
        answers = chat.ask_all(_cycled(prompts, at_once), max_tokens=most, at_once=at_once)
    judged = [(answer, *_incoherence(answer, small)) for answer in answers]
    verdict = worst(found for _, found, _ in judged)
    answer, _, why = next(entry for entry in judged if entry[1] == verdict)
    bad = sum(found == verdict for _, found, _ in judged)
    if verdict != "pass" and len(answers) > 1:
        why = f"{bad} of {len(answers)}: {why}"
    return Check(
        id="coherence" if at_once == 1 else "load",
        verdict=verdict,
        found=shown(answer.text) if not answer.error else "no answer",
        expected="some sentences of English" + (f", {at_once} times at once" if at_once > 1 else ""),
        why=why,
    )


def _incoherence(answer: Answer, small: bool) -> tuple[Verdict, str]:
    """What is wrong with an answer of some sentences: the verdict and the reason."""
    if answer.error:
        return "fail", answer.error
    wrong = list(faults(answer.text, small=small))
    if answer.finish == "length" and answer.content:
        wrong.append(("warn", "the answer did not come to an end"))
    elif answer.finish not in ("stop", "length"):
        wrong.append(("warn", f"the request ended with {answer.finish or 'no reason'}"))
    if not wrong:
        return "pass", "words, sentences, no repetition" + ("" if answer.content else ", in the thinking")
    verdict = worst(found for found, _ in wrong)
    return verdict, "; ".join(words for found, words in wrong if found == verdict)


def _questions(chat: Chat) -> tuple[Check, dict[str, bool]]:
    """Each question alone: the check, and which were answered rightly."""
    most: int = probes()["questions"]["max_tokens"]
    asked: list[tuple[Question, Answer]] = []
    for question in questions():
        asked.append((question, chat.ask(question.ask, max_tokens=most)))
        if asked[-1][1].unreachable:
            break
    right = {question.id: not answer.error and question.right(answer.text) for question, answer in asked}
    wrong = [(question, answer) for question, answer in asked if not right[question.id]]
    errors = [answer.error for _, answer in asked if answer.error]
    total = len(questions())
    verdict: Verdict = "pass"
    why = "each asked alone"
    if errors:
        verdict, why = "fail", f"{len(errors)} of {len(asked)} requests failed: {errors[0]}"
    elif wrong:
        verdict = "fail" if 2 * len(wrong) > total else "warn"
        why = f"{len(wrong)} wrong: {_wrongly(wrong)}"
    return Check("questions", verdict, f"{sum(right.values())} of {total} right", "all right", why), right


def _wrongly(wrong: Sequence[tuple[Question, Answer]]) -> str:
    return "; ".join(f"{question.id} -> {shown(answer.text, 40)}" for question, answer in wrong[:4])


def _load(chat: Chat, concurrency: int, alone: dict[str, bool]) -> Check:
    """The questions again, so many at once. What was wrong alone may stay wrong; an empty or failed answer may not."""
    pool, most = questions(), probes()["questions"]["max_tokens"]
    chosen = _cycled(pool, max(concurrency, len(pool)))
    answers = chat.ask_all([question.ask for question in chosen], max_tokens=most, at_once=concurrency)
    kinds = Counter(_kind(question, answer) for question, answer in zip(chosen, answers, strict=True))
    turned = [
        (question, answer)
        for question, answer in zip(chosen, answers, strict=True)
        if _kind(question, answer) == "wrong" and alone.get(question.id)
    ]
    verdict: Verdict = "pass"
    why = f"{len(chosen)} requests, {concurrency} at once"
    if kinds["failed"] or kinds["empty"]:
        verdict = "fail"
        reason = next((answer.error for answer in answers if answer.error), "the answer is empty")
        lost = f"{kinds['failed']} failed and {kinds['empty']} came back empty"
        why = f"{lost} of {len(chosen)}, {concurrency} at once: {reason}"
    elif turned:
        verdict = "fail" if len(turned) > max(1, _FEW * len(chosen)) else "warn"
        why = f"{len(turned)} of {len(chosen)} turned wrong with {concurrency} at once: {_wrongly(turned)}"
    elif not any(alone.values()):
        verdict, why = "warn", "no question is answered rightly alone, so a wrong answer here tells nothing"
    counted = ", ".join(f"{kinds[kind]} {kind}" for kind in ("right", "wrong", "empty", "failed") if kinds[kind])
    return Check("load", verdict, counted, f"as right as alone, {concurrency} at once", why)


def _kind(question: Question, answer: Answer) -> str:
    if answer.error:
        return "failed"
    if not answer.text:
        return "empty"
    return "right" if question.right(answer.text) else "wrong"


def _cycled(items: Sequence[_T], count: int) -> list[_T]:
    return [items[at % len(items)] for at in range(count)]
