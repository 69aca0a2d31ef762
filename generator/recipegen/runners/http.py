"""Asking an HTTP server something small, answers bounded in time and size. Owns no meaning of an answer."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from recipegen.errors import EnvironmentLacks

REQUEST_TIMEOUT_S = 5.0
ANSWER_BYTES = 1 << 20
"""A list of models or a version takes a few KiB; more than this is not one."""


class _Closed(urllib.request.HTTPErrorProcessor):
    """Hands every status back as an answer; redirects and errors are not followed and not raised."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


def _opener() -> urllib.request.OpenerDirector:
    """Speaks http and https only (no file:), directly (a proxy would be measured along with the server)."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(), _Closed()):
        opener.add_handler(handler)
    return opener


def get(url: str, timeout_s: float = REQUEST_TIMEOUT_S) -> tuple[int, bytes]:
    """One GET: (status, body of at most ANSWER_BYTES bytes).

    Raises:
        OSError: nothing answers, or it takes longer than `timeout_s`.
        http.client.HTTPException: what answers does not speak HTTP.
    """
    deadline = time.monotonic() + timeout_s
    try:
        response = _opener().open(url, timeout=timeout_s)
    except ValueError as error:
        raise OSError(f"not a web address: {url}") from error
    if response is None:
        raise OSError(f"neither http nor https: {url}")
    body = bytearray()
    with response:
        # A server that sends a byte now and then would pass the socket's own timeout for ever.
        while len(body) < ANSWER_BYTES and (piece := response.read1(65_536)):
            body += piece
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} takes longer than {timeout_s:g} s")
        return int(response.status), bytes(body[:ANSWER_BYTES])


def get_json(url: str) -> Any:
    """The JSON that a server answers with; None for another status, another kind of answer, or none."""
    try:
        status, body = get(url)
        return json.loads(body) if status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None


def server_root(base_url: str) -> str:
    """The address without a trailing slash and without /v1, which benchmark tools want and we add here."""
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def host_and_port(base_url: str) -> tuple[str, int]:
    """Host and port of a web address.

    Raises:
        EnvironmentLacks: it is not one.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise EnvironmentLacks(f"not the address of a server: {base_url}", hint="as in http://127.0.0.1:8000/v1")
    return host, port or (443 if parts.scheme == "https" else 80)
