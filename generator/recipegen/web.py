"""Asking hosts of the world (a hub, a registry, a package index) something small: bounded in time and size, with
credentials that stay with the host they are for. Owns no meaning of an answer."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, InvalidURL
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from recipegen.errors import EnvironmentLacks, RecipegenError

SOCKET_TIMEOUT_S = 20.0
TOTAL_TIMEOUT_S = 120.0
"""A server that sends a byte now and then would pass the socket's own time-out for ever."""
ANSWER_BYTES = 4 << 20
"""The limit that the OCI distribution specification suggests for manifests; lists of models and tokens are smaller."""
MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


class Unreachable(EnvironmentLacks):
    """Nobody answers, or the host has no time now: what was known before still stands."""


class BadAnswer(EnvironmentLacks):
    """The host answers with something that cannot be what was asked for."""


class TooLarge(BadAnswer):
    """The answer has more bytes than what was asked for can have."""


class NotThere(RecipegenError):
    """The host answers that it has no such thing, or shows it to others only."""


@dataclass(frozen=True)
class Answer:
    """What a host said in the end, redirects followed."""

    host: str
    status: int
    headers: Message
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case; empty when the host names none."""
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            BadAnswer: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(f"the answer of {self.host} is not JSON") from error

    def must_be_ok(self, what: str) -> None:
        """Turn every status but 200 into an error about `what` was asked for.

        Raises:
            Unreachable: the host has no time now (429, 5xx).
            NotThere: it has no such thing, or not for us (401, 403, 404, 410).
            BadAnswer: any other status.
        """
        if self.status == 200:
            return
        if self.status == 429 or self.status >= 500:
            raise Unreachable(f"{self.host} refuses for now (status {self.status})", hint="try again later")
        if self.status in (401, 403, 404, 410):
            raise NotThere(f"{self.host} has no {what}, or shows it only to those who log in (status {self.status})")
        raise BadAnswer(f"{self.host} answers with status {self.status} when asked for {what}")


def ask(
    url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, limit: int = ANSWER_BYTES
) -> Answer:
    """One GET or HEAD, redirects followed; Authorization goes only to the host (and port) of `url`.

    Args:
        url: http or https; https never falls back to http.
        limit: the most bytes that an answer may have.

    Raises:
        Unreachable: no answer, or none within the time.
        BadAnswer: too many bytes, or a redirect to where nobody should go.
        NotThere: `url` is no web address.
    """
    deadline = time.monotonic() + TOTAL_TIMEOUT_S
    first = _address(url, NotThere)
    sent = dict(headers or {})
    at = first
    for _ in range(MOST_REDIRECTS + 1):
        response = _open(at, method, sent)
        with response:
            goal = response.headers.get("Location")
            if response.status not in _REDIRECTS or not goal:
                body = b"" if method == "HEAD" else _body(response, _host(at), limit, deadline)
                return Answer(_host(at), int(response.status), response.headers, body)
        at = _next(at, goal)
        if _origin(at) != _origin(first):
            sent = {name: value for name, value in sent.items() if name.lower() != "authorization"}
    raise BadAnswer(f"{_host(first)} redirects more than {MOST_REDIRECTS} times")


def is_loopback(host: str) -> bool:
    """Whether a host name without its port can only be this machine."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _address(url: str, wrong: type[RecipegenError]) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise wrong(f"not a web address: {ascii(url)[1:-1][:200]}") from None
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise wrong(f"not a web address (http or https): {ascii(url)[1:-1][:200]}")
    if parts.username is not None or parts.password is not None:
        raise wrong(f"a web address with a user name or a password in it, at {parts.hostname}")
    return parts


def _next(at: SplitResult, goal: str) -> SplitResult:
    try:
        found = _address(urljoin(at.geturl(), goal), BadAnswer)
    except (BadAnswer, ValueError) as error:
        raise BadAnswer(f"{_host(at)} redirects to what nobody should follow ({_short(str(error))})") from error
    if at.scheme == "https" and found.scheme != "https":
        raise BadAnswer(f"{_host(at)} redirects from https to http")
    return found


def _host(parts: SplitResult) -> str:
    return parts.netloc


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def _open(at: SplitResult, method: str, headers: Mapping[str, str]) -> Any:
    import urllib.request as web

    from recipegen import __version__

    class Closed(web.HTTPErrorProcessor):
        """Hands every status back as an answer; nothing is followed or raised behind our back."""

        def http_response(self, request: Any, response: Any) -> Any:
            return response

        https_response = http_response

    opener = web.OpenerDirector()  # knows no file:, ftp: or data:
    for handler in (web.ProxyHandler(), web.HTTPHandler(), web.HTTPSHandler(), Closed()):
        opener.add_handler(handler)
    sent = {"User-Agent": f"recipegen/{__version__}", **headers}
    try:
        request = web.Request(at.geturl(), headers=sent, method=method)  # noqa: S310 - the scheme is checked
        response = opener.open(request, timeout=SOCKET_TIMEOUT_S)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        cause: Exception | None = error
        if isinstance(error, ValueError | InvalidURL):  # names a proxy's address, password included, or a header
            reason, cause = "is the address of a proxy right?", None
        raise Unreachable(f"{_host(at)} cannot be reached ({_short(str(reason))})") from cause
    if response is None:
        raise Unreachable(f"{_host(at)} cannot be reached ({at.scheme} is not spoken here)")
    return response


def _body(response: Any, host: str, limit: int, deadline: float) -> bytes:
    body = bytearray()
    try:
        while piece := response.read1(1 << 16):
            body += piece
            if len(body) > limit:
                raise TooLarge(f"the answer of {host} is larger than {limit >> 10:,} KiB")
            if time.monotonic() > deadline:
                raise Unreachable(f"{host} takes longer than {TOTAL_TIMEOUT_S:g} s")
    except (OSError, HTTPException, ValueError) as error:
        raise Unreachable(f"{host} breaks off ({_short(str(error) or type(error).__name__)})") from error
    length = response.headers.get("Content-Length", "")
    if re.fullmatch(r"[0-9]{1,18}", length) and len(body) < int(length):
        raise Unreachable(f"{host} breaks off after {len(body)} of {length} bytes")
    return bytes(body)


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
