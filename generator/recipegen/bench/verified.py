"""Asks a server a board's canonical prompt by the board's rules and keeps all that it says. Owns the requests, what
each comes to and which one is reported; knows no board's body and no llama-benchy."""

from __future__ import annotations

import http.client
import json
import secrets
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from recipegen.bench.prometheus import NoMetrics, Snapshot, fetch, parse
from recipegen.results.store import utc_text
from recipegen.runners.http import server_root
from recipegen.web import TimeLimit

FORMAT = "recipegen-verified/1"
FILE = "verified.json"
NONCE_LINE = "[LocalMaxxing cache-bust nonce: {hex}]\n"
"""In front of the prompt of every request, so that no cache knows it; the prompt's hash is of what follows."""
NONCE_BYTES = 16
WARM_UPS = 2
TIMED = 3
"""Odd, so that one request has the median rate."""
MAX_TOKENS = 1024
"""Well above the least answer that counts (256)."""
REQUEST_S = 900.0
ANSWER_BYTES = 16 << 20
COUNTERS = ("drafts", "draft_tokens", "accepted_tokens")
_LARGEST = 1e12
"""No count and no rate of a request is larger; infinity is none either."""
_SETTLE_S = 2.0
"""An engine counts the last tokens a moment after it has sent them."""


@dataclass(frozen=True)
class Prompt:
    """A canonical prompt.

    Attributes:
        sha256: of the text as UTF-8.
        min_output: tokens that an answer needs to count.
    """

    id: str
    text: str
    sha256: str
    min_output: int


class _Broken(Exception):
    """A request that got no usable answer; the message says why."""


def capture(
    base_url: str,
    served_name: str,
    prompt: Prompt,
    metric_names: Mapping[str, str],
    *,
    timed: int = TIMED,
    max_tokens: int = MAX_TOKENS,
    timeout_s: float = REQUEST_S,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Two warm-ups and an odd number of timed requests, one after the other, at temperature 0.

    Args:
        base_url: of the server, with or without /v1.
        metric_names: see `EngineAdapter.metric_names`; for the counts of drafted and accepted tokens.
        timed: how many requests count.
        timeout_s: for one request.
        tell: gets a line after each request.

    Returns:
        The content of verified.json. What is wrong with it is `capture_problems`' to say: raw answers are kept anyway.
    """
    if timed % 2 == 0:
        raise ValueError("an even number of requests has no median one")
    requests = []
    for number in range(WARM_UPS + timed):
        found = _request(base_url, served_name, prompt, metric_names, max_tokens, timeout_s)
        requests.append({"timed": number >= WARM_UPS, **found})
        tell(f"{prompt.id}, {'timed' if number >= WARM_UPS else 'warm-up'}: {_summary(found)}")
        if found["error"] is not None:
            break
    return {
        "format": FORMAT,
        "prompt": {"id": prompt.id, "text": prompt.text, "sha256": prompt.sha256, "min_output": prompt.min_output},
        "nonce_line": NONCE_LINE,
        "temperature": 0,
        "max_tokens": max_tokens,
        "requests": requests,
    }


def capture_problems(found: Mapping[str, Any], *, speculative: bool) -> list[str]:
    """Why a capture earns no badge, by the board's rules as far as they are known.

    Args:
        speculative: whether the server drafts tokens, whose counts are wanted then.
    """
    requests = found["requests"]
    failed = next((one["error"] for one in requests if one["error"] is not None), None)
    if failed is not None:
        return [f"a request failed: {failed}"]
    timed = [one for one in requests if one["timed"]]
    problems = []
    if len(requests) - len(timed) < WARM_UPS or len(timed) % 2 == 0:
        problems.append(f"needs {WARM_UPS} warm-ups and an odd number of timed requests")
    least = found["prompt"]["min_output"]
    for one in timed:
        figures = figures_of(one)
        if figures is None:
            problems.append("an answer has no usage or no two tokens at different times: it has no rate")
        elif figures["output_tokens"] < least:
            problems.append(f"an answer has {figures['output_tokens']} tokens, {least} are needed")
    if speculative and any(drafts_of(one) is None for one in timed):
        problems.append("the server drafts tokens and does not count them where recipegen can read it")
    return list(dict.fromkeys(problems))


def reported(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one request that is reported: the timed one with the median decode rate.

    Raises:
        ValueError: there is none.
    """
    timed = [(figures["decode"], one) for one in found["requests"] if one["timed"] and (figures := figures_of(one))]
    if not timed:
        raise ValueError("no timed request has a rate")
    middle = statistics.median_low([rate for rate, _ in timed])
    return next(one for rate, one in timed if rate == middle)


def figures_of(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """What one request comes to; None where it has no rate.

    llama.cpp's own timings are taken where it gives them: prompt_n counts the tokens that were not in its cache. Else
    the client's clock speaks: tokens after the first over the time from the first piece of text to the last one.

    Returns:
        prompt_tokens (read anew), cached_tokens, output_tokens, ttft_ms, prefill and decode (tok/s), basis.
    """
    timings, usage = _object(request, "timings"), _object(request, "usage")
    ttft = _number(request, "ttft_ms")
    if ttft is None or ttft <= 0:
        return None
    predicted, prompt = _number(timings, "predicted_n"), _number(timings, "prompt_n")
    rates = _number(timings, "prompt_per_second"), _number(timings, "predicted_per_second")
    if predicted and prompt and rates[0] and rates[1]:
        cached = int(_number(timings, "cache_n") or 0)
        counts, prefill, decode, basis = (int(prompt), cached, int(predicted)), rates[0], rates[1], "engine timings"
    else:
        output, asked = _number(usage, "completion_tokens"), _number(usage, "prompt_tokens")
        seconds = _number(request, "decode_s")
        if not output or output < 2 or not asked or not seconds:
            return None
        cached = int(_number(_object(usage, "prompt_tokens_details"), "cached_tokens") or 0)
        counts = int(asked) - cached, cached, int(output)
        prefill, decode, basis = counts[0] / (ttft / 1000), (output - 1) / seconds, "client clock"
    return {
        "prompt_tokens": counts[0],
        "cached_tokens": counts[1],
        "output_tokens": counts[2],
        "ttft_ms": ttft,
        "prefill": prefill,
        "decode": decode,
        "basis": basis,
    }


def drafts_of(request: Mapping[str, Any]) -> tuple[int, int] | None:
    """Drafted and accepted tokens of one request: the engine's own timings, else its counters around the request."""
    timings, counters = _object(request, "timings"), _object(request, "counters")
    for part, drafted, accepted in (
        (timings, "draft_n", "draft_n_accepted"),
        (counters, "draft_tokens", "accepted_tokens"),
    ):
        counts = _number(part, drafted), _number(part, accepted)
        if counts[0] is not None and counts[1] is not None:
            return int(counts[0]), int(counts[1])
    return None


def engine_object(request: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's own account of a request, unchanged: its timings, else its usage."""
    return dict(_object(request, "timings") or _object(request, "usage"))


def _request(
    base_url: str, name: str, prompt: Prompt, metric_names: Mapping[str, str], max_tokens: int, timeout_s: float
) -> dict[str, Any]:
    nonce = secrets.token_hex(NONCE_BYTES)
    body = {
        "model": name,
        "messages": [{"role": "user", "content": NONCE_LINE.format(hex=nonce) + prompt.text}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    found: dict[str, Any] = {"nonce": nonce, "started": utc_text(datetime.now(UTC)), "error": None}
    before = _counted(base_url, metric_names)
    try:
        found |= _streamed(f"{server_root(base_url)}/v1/chat/completions", body, timeout_s)
    except _Broken as error:
        return {**found, "error": str(error)}
    return {**found, "counters": _gained(base_url, metric_names, before, found)}


def _streamed(url: str, body: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """One answer as it comes, with the times of its pieces.

    Raises:
        _Broken: there is no whole one.
    """
    parts = urlsplit(url)
    kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(parts.scheme)
    if kind is None or not parts.hostname:
        raise _Broken("not the address of a server")
    connection = kind(parts.hostname, parts.port, timeout=timeout_s)
    with TimeLimit(timeout_s) as limit:
        try:
            connection.connect()
            limit.watch(connection.sock)
            raw = json.dumps(body).encode()
            began = time.perf_counter()
            connection.request("POST", parts.path, raw, {"Content-Type": "application/json", "Connection": "close"})
            response = connection.getresponse()
            if response.status != 200:
                said = " ".join(response.read(2000).decode("utf-8", "replace").split())
                raise _Broken(f"HTTP {response.status}: {said[:300]}")
            found = _pieces(response, began)
        except _Broken as error:
            raise (_Broken(f"no whole answer within {timeout_s:g} s") if limit.expired else error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"no whole answer within {timeout_s:g} s" if limit.expired else f"{error or type(error).__name__}"
            raise _Broken(" ".join(why.split())[:300]) from error
        finally:
            connection.close()
    if limit.expired:
        raise _Broken(f"no whole answer within {timeout_s:g} s")
    return found


def _pieces(response: http.client.HTTPResponse, began: float) -> dict[str, Any]:
    """Takes in the events of a stream.

    Raises:
        _Broken: the stream ends before its time, or is none.
    """
    texts: list[str] = []
    first = last = None
    usage: Any = None
    timings: Any = None
    finish: Any = None
    for event in _events(response):
        now = time.perf_counter()
        choices = event.get("choices") or [{}]
        choice = choices[0] if isinstance(choices, list) and isinstance(choices[0], dict) else {}
        text = _text(choice.get("delta"))
        if text:
            first, last = first if first is not None else now, now
            texts.append(text)
        usage, timings = event.get("usage") or usage, event.get("timings") or timings
        finish = choice.get("finish_reason") or finish
    if first is None or last is None:
        raise _Broken("the answer is empty")
    return {
        "ttft_ms": (first - began) * 1000,
        "decode_s": last - first,
        "pieces": len(texts),
        "finish": finish if isinstance(finish, str) else None,
        "usage": usage if isinstance(usage, dict) else None,
        "timings": timings if isinstance(timings, dict) else None,
        # Half of a surrogate pair can be written as JSON but not as UTF-8.
        "text": "".join(texts).encode("utf-8", "replace").decode(),
    }


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    taken = 0
    while line := response.readline(ANSWER_BYTES):
        taken += len(line)
        if taken > ANSWER_BYTES:
            raise _Broken(f"the answer is larger than {ANSWER_BYTES >> 20} MiB")
        name, _, data = line.partition(b":")
        if name.strip() != b"data":
            continue
        if data.strip() == b"[DONE]":
            return
        event = json.loads(data)
        if not isinstance(event, dict) or "error" in event:
            raise _Broken(f"the server breaks off: {str(event)[:200]}")
        yield event
    raise _Broken("the stream breaks off")


def _text(delta: Any) -> str:
    """What a piece generates; thinking counts, it is generated like the rest."""
    if not isinstance(delta, dict):
        return ""
    parts = delta.get("reasoning_content") or delta.get("reasoning"), delta.get("content")
    return "".join(part for part in parts if isinstance(part, str))


def _counted(base_url: str, names: Mapping[str, str]) -> Snapshot | None:
    wanted = {key: names[key] for key in (*COUNTERS, "generation_tokens") if key in names}
    if not wanted:
        return None
    try:
        return parse(fetch(f"{server_root(base_url)}/metrics"), wanted)
    except NoMetrics:
        return None


def _gained(
    base_url: str, names: Mapping[str, str], before: Snapshot | None, found: Mapping[str, Any]
) -> dict[str, int] | None:
    """What the counters gained by one request; None where the server has none, or something else was counted too."""
    output = _number(_object(found, "usage"), "completion_tokens")
    if before is None or not output:
        return None
    until = time.monotonic() + _SETTLE_S
    while True:
        after = _counted(base_url, names)
        if after is None:
            return None
        made = after.values.get("generation_tokens", 0.0) - before.values.get("generation_tokens", 0.0)
        if made >= output or time.monotonic() > until:
            break
        time.sleep(0.05)
    if made != output:
        return None
    return {
        key: int(after.values[key] - before.values.get(key, 0.0)) for key in COUNTERS if key in after.values
    } or None


def _summary(found: Mapping[str, Any]) -> str:
    if found["error"] is not None:
        return str(found["error"])
    figures = figures_of(found)
    return f"{figures['output_tokens']} tokens, {figures['decode']:.2f} tok/s" if figures else "no rate"


def _object(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}


def _number(data: Mapping[str, Any], key: str) -> float | None:
    found = data.get(key)
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    return float(found) if 0 <= found <= _LARGEST else None
