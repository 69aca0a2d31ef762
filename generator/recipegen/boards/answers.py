"""What an answer of LocalMaxxing means: accepted, refused or nobody knows, in words and with an exit code. Owns this
table and how long to wait; sends nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from recipegen.boards.transport import Reply
from recipegen.errors import EXIT_ENVIRONMENT, EXIT_FINDINGS, EXIT_MEASUREMENT

UNREADABLE_WAIT_S = 60.0
"""Where a 429 does not say how long: what another importer does."""
LEAST_WAIT_S = 1.0
_HTML = "answers with a page of HTML where JSON should be: the path has moved, and nothing was stored"
_LOOK = "look for the row at the board; if it is not there, --again sends it once more"


@dataclass(frozen=True)
class Meaning:
    """What an answer means.

    Attributes:
        state: `refused`: the board does not have the entry; `ambiguous`: it may have it.
        id: of the stored row.
        wait_s: after which it can be tried again; None when that changes nothing.
    """

    state: Literal["accepted", "refused", "ambiguous"]
    message: str
    hint: str = ""
    exit_code: int = 0
    id: str | None = None
    wait_s: float | None = None


_REFUSALS: dict[int, tuple[str, str, int]] = {
    401: (
        "does not take the key",
        "it is wrong, or has expired: make a new one at the board's dashboard",
        EXIT_ENVIRONMENT,
    ),
    403: (
        "refuses the client, not the entry",
        "its edge keeps some networks and programs out: try another network; the key was not looked at",
        EXIT_ENVIRONMENT,
    ),
    404: ("knows no such path: it has moved, and nothing was stored", "update recipegen", EXIT_MEASUREMENT),
    409: ("says that it has such an entry already", "look for the row at the board", EXIT_FINDINGS),
    413: ("says that the entry is too large", "`--preflight` shows what is in it", EXIT_FINDINGS),
}


def meaning(reply: Reply, host: str, *, real: bool) -> Meaning:
    """The meaning of an answer to the POST of an entry.

    Args:
        host: of the board, for messages.
        real: False for a dry run, which stores nothing whatever happens.
    """
    status = reply.status
    if real and status == 201:
        return _created(reply, host)
    if status == 200:
        return _ok(reply, host, real=real)
    if 300 <= status < 400:
        return Meaning(
            "refused",
            f"{host} redirects (status {status}); a key is sent to no other address",
            "the path has moved: update recipegen",
            EXIT_MEASUREMENT,
        )
    if status in (400, 422):
        return _invalid(reply, host)
    if status == 429:
        wait = wait_of(reply)
        return Meaning(
            "refused",
            f"{host} takes no more entries for now (status 429): again in {math.ceil(wait)} s",
            "--wait SECONDS waits that long and goes on by itself",
            EXIT_ENVIRONMENT,
            wait_s=wait,
        )
    if status in _REFUSALS:
        words, hint, code = _REFUSALS[status]
        said = f": {reply.words}" if reply.words else ""
        return Meaning("refused", f"{host} {words} (status {status}){said}", hint, code)
    if real and (status >= 500 or status < 300):
        return _unknown(f"{host} failed (status {status}): {reply.words or 'no word on why'}")
    return Meaning(
        "refused", f"{host} failed (status {status}): {reply.words or 'no word on why'}", "", EXIT_MEASUREMENT
    )


def _created(reply: Reply, host: str) -> Meaning:
    name = reply.data.get("id")
    if reply.whole and isinstance(name, str | int) and not isinstance(name, bool) and str(name).strip():
        return Meaning("accepted", f"{host} has stored it", id=str(name)[:200])
    if not reply.whole:
        return _unknown(f"{host} says 201 (stored), and its answer breaks off")
    what = "a page of HTML" if reply.is_html else "an answer without an id" if reply.body.strip() else "nothing else"
    return _unknown(f"{host} says 201 (stored) and {what}")


def _ok(reply: Reply, host: str, *, real: bool) -> Meaning:
    """200: a dry run's answer; of a real entry it is none."""
    if reply.is_html:
        return Meaning("refused", f"{host} {_HTML}", "update recipegen, or tell its authors", EXIT_MEASUREMENT)
    if real and (not reply.whole or reply.data.get("id")):
        return _unknown(f"{host} answers with 200 where a stored row gets 201")
    if not real and reply.whole and isinstance(reply.data.get("valid"), bool):
        return Meaning("accepted", f"{host} has looked at it")
    half = "half an answer" if not reply.whole else "an answer that says nothing" if reply.body.strip() else "no body"
    stored = "; by its contract nothing was stored" if real else ""
    return Meaning("refused", f"{host} gives {half} (status 200){stored}", "try again later", EXIT_MEASUREMENT)


def _invalid(reply: Reply, host: str) -> Meaning:
    suggested = reply.data.get("suggestedHfId")
    hint = "the entry is not as the board wants it: `--preflight` shows it"
    if isinstance(suggested, str):
        hint = f"the board suggests the id {suggested[:256]}: name it as model.base_model in the recipe"
    said = reply.words or "no word on why"
    return Meaning("refused", f"{host} refuses the entry (status {reply.status}): {said}", hint, EXIT_FINDINGS)


def _unknown(message: str) -> Meaning:
    return Meaning("ambiguous", f"{message}: it may be stored or not", _LOOK, EXIT_MEASUREMENT)


def wait_of(reply: Reply) -> float:
    """Seconds until the board takes entries again: the longest that it names in a header or in the body."""
    told = [seconds for seconds in _waits(reply) if math.isfinite(seconds)]
    return max(LEAST_WAIT_S, *told) if told else UNREADABLE_WAIT_S


def _waits(reply: Reply) -> Iterator[float]:
    after = str(reply.headers.get("Retry-After", "")).strip()
    if after.isascii() and after.isdigit() and len(after) < 10:
        yield float(after)
    elif after:
        with suppress(ValueError, TypeError, OverflowError):
            yield parsedate_to_datetime(after).timestamp() - time.time()
    body: Any = reply.data.get("retryAfterMs")
    if isinstance(body, int | float) and not isinstance(body, bool) and 0 <= body < 1e12:
        yield body / 1000
    reset = str(reply.headers.get("X-RateLimit-Reset", "")).strip()
    if (
        reset.isascii()
        and reset.isdigit()
        and len(reset) < 12
        and reply.headers.get("X-RateLimit-Remaining", "0") == "0"
    ):
        yield float(reset) - time.time()


def rate_words(reply: Reply) -> str:
    """What the board says of the entries that are left, for the user; empty where it says nothing."""
    left, limit = (reply.headers.get(f"X-RateLimit-{name}", "") for name in ("Remaining", "Limit"))
    if not (left.isascii() and left.isdigit() and len(left) < 10):
        return ""
    of = f" of {limit}" if limit.isascii() and limit.isdigit() and len(limit) < 10 else ""
    return f"{left}{of} entries are left for now"
