"""A chat server of this process that answers as a test wants: well, garbage, nothing, late, wrong under load."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SENTENCES = (
    "A river begins as a small stream in the mountains, where it is cold and quick. "
    "On its way it is joined by other streams, and it becomes wider and slower. "
    "At the end it reaches the sea and leaves the sand that it has carried there."
)
KNOWN = {
    "12 times 17": "204",
    "capital of France": "Paris.",
    "alphabetically": "apple, fig, pear",
    "after Wednesday": "**Thursday**",
    "Repeat this line": "LANTERN\u201158\u2011OTTER",
    "formula of water": "H₂O",
    "three spiders": "They have 24 legs.",
    "chien": "Dog",
}


def good(prompt: str) -> str:
    """What a model that is as it should be answers to the gate's prompts."""
    if code := re.search(r"the access code of the Halvorsen boathouse is (\S+)\.", prompt):
        return code[1]
    return next((answer for part, answer in KNOWN.items() if part in prompt), SENTENCES)


def completion(text: Any, prompt: str = "", finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion with a usage of one token a word and a template of nine."""
    count = len(prompt.split()) + 9
    usage = {"prompt_tokens": count, "completion_tokens": len(str(text).split()), "total_tokens": count}
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}


class ChatServer(ThreadingHTTPServer):
    """Answers POSTs by `reply(prompt, body, busy)`: a dict as JSON, bytes as they are, (status, dict), or None for
    silence until the end. `busy` is the number of requests in work.

    Attributes:
        asked: the bodies of all requests.
        most_busy: the most requests that were in work at the same time.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, reply: Callable[[str, dict[str, Any], int], Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.asked: list[dict[str, Any]] = []
        self.most_busy = 0
        self.busy = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append(body)
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
            busy = server.busy
        try:
            found = server.reply(body["messages"][0]["content"], body, busy)
        finally:
            with server.lock:
                server.busy -= 1
        status, found = found if isinstance(found, tuple) else (200, found)
        if found is None:
            server.ended.wait()
            return
        raw = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_args: Any) -> None:
        """Nothing on the test's stderr."""


@contextmanager
def serving(reply: Callable[[str, dict[str, Any], int], Any]) -> Iterator[ChatServer]:
    """A server that answers so, until the end of the block."""
    server = ChatServer(reply)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
