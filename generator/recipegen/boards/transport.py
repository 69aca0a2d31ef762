"""One POST to a board, with a secret that goes to that host only. Owns what was sent and whether an answer came whole;
knows no board and gives an answer no meaning."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from recipegen import __version__
from recipegen.boards.credentials import Secret
from recipegen.errors import EnvironmentLacks, MeasurementFailed, RecipegenError
from recipegen.web import TimeLimit, is_loopback

TIMEOUT_S = 60.0
"""For one exchange, connecting apart; the official clients of both boards wait 15 to 60 s."""
CONNECT_S = 20.0
ANSWER_BYTES = 1 << 20
"""A stored row takes a few KiB; a page of HTML that answers in its place is smaller than this, too."""
AGENT = f"recipegen/{__version__}"
"""A name of our own: the default one of Python's urllib is refused at LocalMaxxing's edge (error 1010)."""


class NotSent(EnvironmentLacks):
    """The board was not reached: nothing of the request left this host."""


class Ambiguous(MeasurementFailed):
    """The request was sent, and nothing says what became of it: it may count or not."""


@dataclass(frozen=True)
class Reply:
    """What a board answered.

    Attributes:
        body: as far as it came, every copy of the secret in it replaced by `***`.
        whole: False when it broke off.
    """

    status: int
    headers: Message
    body: bytes
    whole: bool

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people."""
        kind = str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
        return kind == "text/html" or self.body.lstrip()[:1] == b"<"

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object that it holds; empty for anything else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def words(self) -> str:
        """What it says in words, on one line, for a message; empty where it says nothing."""
        data = self.data
        said = data.get("error", data.get("message", data.get("issues")))
        if said is None and self.is_html:
            return "a page of HTML"
        text = said if isinstance(said, str) else json.dumps(said) if said is not None else _text(self.body)
        return " ".join(text.split())[:500]


def board_address(url: str, variable: str) -> str:
    """The root of a board's address, checked: a secret travels by https, or to this host.

    Args:
        url: from `variable`, or the board's own.
        variable: of the environment, for messages.

    Raises:
        RecipegenError: it is no such address.
    """
    hint = f"{variable} takes an address such as https://board.example.org, or http://127.0.0.1:PORT for tests"
    try:
        parts = urlsplit(url)
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        usable = bool(parts.hostname) and (parts.port or 1) > 0 and plain and url.isascii() and url.isprintable()
    except ValueError:
        raise RecipegenError(f"{variable} is no web address", hint=hint) from None
    if not usable or parts.scheme not in ("http", "https") or " " in url:
        raise RecipegenError(f"{variable} is no web address", hint=hint)
    if parts.scheme == "http" and not is_loopback(str(parts.hostname)):
        raise RecipegenError(f"{variable} is not https: a token would travel in the clear", hint=hint)
    return url.rstrip("/")


def post(
    url: str,
    body: bytes,
    *,
    secret: Secret,
    bearer: bool = True,
    content_type: str = "application/json",
    timeout_s: float | None = None,
) -> Reply:
    """One POST, never repeated and no redirect followed.

    Args:
        secret: kept out of everything that comes back; sent as the Authorization header unless `bearer` is False.
        timeout_s: TIMEOUT_S by default.

    Raises:
        NotSent: the board cannot be reached.
        Ambiguous: it was reached, and no status came back in time.
    """
    parts = urlsplit(url)
    timeout_s = timeout_s or TIMEOUT_S
    headers = {"Content-Type": content_type, "User-Agent": AGENT, "Accept": "application/json", "Connection": "close"}
    if bearer:
        headers["Authorization"] = f"Bearer {secret.value}"
    connection = _connected(parts)
    with TimeLimit(timeout_s) as limit:
        try:
            assert connection.sock is not None, "connect() was called"
            connection.sock.settimeout(timeout_s)
            limit.watch(connection.sock)
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            with suppress(BrokenPipeError, ConnectionResetError):  # a board may answer before it has read all
                connection.request("POST", target, body, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            late = limit.expired or isinstance(error, TimeoutError)
            why = f"no answer within {timeout_s:g} s" if late else _reason(error)
            raise Ambiguous(f"{parts.netloc} was sent the request and did not answer ({why})") from None
        raw, whole = _body(response)
        connection.close()
    whole = whole and not limit.expired
    return Reply(response.status, response.headers, _without(secret.value.encode(), raw), whole)


def _without(secret: bytes, raw: bytes) -> bytes:
    """An answer with `***` for a secret, also for the beginning of one where the answer breaks off in it."""
    raw = raw.replace(secret, b"***")
    half = next((n for n in range(len(secret) - 1, 3, -1) if raw.endswith(secret[:n])), 0)
    return raw[: len(raw) - half] + b"***" if half else raw


def path_part(text: str) -> str:
    """A text as one part of a path or a value of a query."""
    return quote(text, safe="")


def _connected(parts: SplitResult) -> http.client.HTTPConnection:
    """A connection that stands, by the proxy that the environment names for https; nothing is sent to the board yet.

    Plain http is for this host, and never goes through a proxy.
    """
    host, port = str(parts.hostname), parts.port
    try:
        if parts.scheme == "http":
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_S)
        elif (proxy := _proxy(host)) is None:
            connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_S)
        else:
            connection = http.client.HTTPSConnection(str(proxy.hostname), proxy.port or 8080, timeout=CONNECT_S)
            connection.set_tunnel(host, port or 443)
        connection.connect()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotSent(
            f"{parts.netloc} cannot be reached ({_reason(error)}); nothing was sent",
            hint="is there a network? `--preflight` needs none",
        ) from None
    return connection


def _proxy(host: str) -> SplitResult | None:
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _body(response: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """The body as far as it comes, at most ANSWER_BYTES, and whether that is all of it."""
    body = bytearray()
    try:
        while piece := response.read1(1 << 16):
            body += piece
            if len(body) > ANSWER_BYTES:
                return bytes(body[:ANSWER_BYTES]), False
    except (OSError, http.client.HTTPException, ValueError):
        return bytes(body), False
    # A closed connection ends read1 without a word, whatever Content-Length said.
    return bytes(body), not response.length


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known here"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())[:200]


def _text(body: bytes) -> str:
    return body[:2000].decode("utf-8", "replace")
