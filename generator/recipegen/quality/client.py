"""Asking a chat server one thing, or many at once: bounded in time and size, errors as data. Judges no answer."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from recipegen.quality.verdict import shown
from recipegen.runners.http import server_root
from recipegen.web import TimeLimit

ANSWER_BYTES = 4 << 20
"""512 tokens take some KiB; with token ids and a long reasoning still far less than this."""
_MOST_THREADS = 512
_THINKING = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
)
"""How models mark their thinking where the server does not take it out."""


@dataclass(frozen=True)
class Answer:
    """What a server said to one request.

    Attributes:
        content: the answer without thinking.
        reasoning: the thinking, from a field of its own or from marks in the answer.
        raw: all that was generated: the field of the thinking, then the content with its marks.
        finish: the server's finish_reason.
        prompt_tokens: as the server counted; None when it did not.
        completion_tokens: likewise.
        token_ids: of the answer, where the server gives them.
        error: why there is no answer; None when there is one.
        unreachable: nobody answered, or not in time; more requests would only take more time.
    """

    content: str = ""
    reasoning: str = ""
    raw: str = ""
    finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    token_ids: tuple[int, ...] | None = None
    error: str | None = None
    unreachable: bool = False

    @property
    def text(self) -> str:
        """The answer; of a model that was cut off while it thought, its thinking."""
        return self.content or self.reasoning


class _Broken(Exception):
    """A request that got no usable answer; the message says why."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Chat:
    """A model behind an OpenAI-compatible address. Greedy (temperature 0), no streaming, no proxy."""

    def __init__(self, base_url: str, served_name: str, *, thinking_kwarg: str | None, timeout: float) -> None:
        """Asks nothing yet.

        Args:
            base_url: with or without `/v1`.
            thinking_kwarg: the chat template's switch for thinking, which is turned off: greedy thinking is known
                to go round in circles. A server that refuses template arguments is asked without.
            timeout: seconds for one request.
        """
        self._url = f"{server_root(base_url)}/v1/chat/completions"
        self._name = served_name
        self._kwarg = thinking_kwarg
        self.timeout = timeout

    def ask(
        self, prompt: str, *, max_tokens: int, timeout: float | None = None, with_token_ids: bool = False
    ) -> Answer:
        """One question; whatever goes wrong stands in `error`."""
        body: dict[str, Any] = {
            "model": self._name,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        if with_token_ids:
            body["return_token_ids"] = True  # vLLM's; others pass over it
        limit = timeout or self.timeout
        kwarg = self._kwarg
        try:
            if kwarg is None:
                return _answer(_post(self._url, body, limit))
            try:
                return _answer(_post(self._url, {**body, "chat_template_kwargs": {kwarg: False}}, limit))
            except _Broken as error:
                if error.status not in (400, 422):
                    raise
            answer = _answer(_post(self._url, body, limit))
            self._kwarg = None  # it was the template argument that the server did not want
            return answer
        except _Broken as error:
            return Answer(error=str(error), unreachable=error.status is None)

    def ask_all(self, prompts: Sequence[str], *, max_tokens: int, at_once: int) -> list[Answer]:
        """Many questions, so many of them at the same time, each on its own connection; answers in their order."""
        answers = [Answer(error="not asked")] * len(prompts)
        left = iter(range(len(prompts)))
        drawing = threading.Lock()

        def ask_on() -> None:
            while True:
                with drawing:
                    index = next(left, None)
                if index is None:
                    return
                answers[index] = self.ask(prompts[index], max_tokens=max_tokens)

        # Daemons: an interrupted measurement does not wait for answers that nobody wants any more.
        count = min(at_once, len(prompts), _MOST_THREADS)
        threads = [threading.Thread(target=ask_on, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


def _post(url: str, body: dict[str, Any], timeout: float) -> Any:
    """The JSON that a POST is answered with.

    Raises:
        _Broken: another status than 200, no answer in time, too large a one, or none that is JSON.
    """
    with TimeLimit(timeout) as limit:
        try:
            status, raw = _exchange(url, json.dumps(body).encode(), timeout, limit)
        except TimeoutError as error:
            raise _Broken(f"no answer within {timeout:g} s") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if limit.expired:
                raise _Broken(f"no answer within {timeout:g} s") from error
            raise _Broken(f"no answer: {shown(str(error) or type(error).__name__)}") from error
    if limit.expired:
        raise _Broken(f"no answer within {timeout:g} s")
    if len(raw) > ANSWER_BYTES:
        raise _Broken(f"the answer is larger than {ANSWER_BYTES >> 20} MiB", status)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        if status == 200:
            raise _Broken("the answer is not JSON", status) from error
        found = None
    if status != 200:
        said = _error_of(found) or raw[:300].decode(errors="replace")
        raise _Broken(f"HTTP {status}: {shown(said)}", status)
    return found


def _exchange(url: str, body: bytes, timeout: float, limit: TimeLimit) -> tuple[int, bytes]:
    parts = urlsplit(url)
    kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(parts.scheme)
    if kind is None or not parts.hostname:
        raise ValueError("not a web address")
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.connect()
        limit.watch(connection.sock)
        connection.request("POST", parts.path, body, {"Content-Type": "application/json", "Connection": "close"})
        response = connection.getresponse()
        found = bytearray()
        with response:
            while len(found) <= ANSWER_BYTES and (piece := response.read1(1 << 16)):
                found += piece
        return response.status, bytes(found)
    finally:
        connection.close()


def _error_of(found: Any) -> str:
    """The message of an OpenAI-like error, which old servers put at the top."""
    if isinstance(found, dict):
        inner = found.get("error", found)
        message = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(message, str):
            return message
    return ""


def _answer(found: Any) -> Answer:
    """A chat completion as an Answer.

    Raises:
        _Broken: it is none.
    """
    try:
        choice = found["choices"][0]
        message = choice["message"]
        raw, apart = message.get("content"), message.get("reasoning_content") or message.get("reasoning")
        usage, ids, finish = found.get("usage"), choice.get("token_ids"), choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _Broken("the answer is not a chat completion", 200) from error
    if not isinstance(raw, str | None) or not isinstance(apart, str | None):
        raise _Broken("the answer's content is not text", 200)
    counts = usage if isinstance(usage, dict) else {}
    raw = _sound(raw or "")
    content, thought = split_thinking(raw)
    return Answer(
        content=content.strip(),
        reasoning=(_sound(apart or "") + thought).strip(),
        raw=_sound(apart or "") + raw,
        finish=shown(finish, 40) if isinstance(finish, str) else None,
        prompt_tokens=_count(counts.get("prompt_tokens")),
        completion_tokens=_count(counts.get("completion_tokens")),
        token_ids=tuple(ids) if isinstance(ids, list) and ids and all(type(i) is int for i in ids) else None,
    )


def split_thinking(text: str) -> tuple[str, str]:
    """An answer and the thinking that stands in it between marks; the opening mark may be missing (some templates
    put it into the prompt), and so may the closing one (an answer that was cut off)."""
    thought = ""
    for opening, closing in _THINKING:
        if closing in text:
            before, _, text = text.rpartition(closing)
            thought += before.replace(opening, "")
        if opening in text:
            text, _, after = text.partition(opening)
            thought += after
    return text, thought


def _sound(text: str) -> str:
    """Half of a surrogate pair can be written as JSON but not as UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 40 else None
