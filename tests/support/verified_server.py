"""A chat server that streams an answer as vLLM or llama.cpp does, counts drafts, and misbehaves on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StreamServer(ThreadingHTTPServer):
    """Streams `tokens` words of text, the n-th answer in `seconds[n]`.

    Attributes:
        style: `vllm` gives usage and counters; `llama.cpp` gives timings with the drafts of the request.
        asked: the bodies of all requests.
        broken: what is wrong with the answers: `cut`, `error`, `empty`, `status`.
        others: tokens that somebody else's requests add to the counters meanwhile.
    """

    daemon_threads = True

    def __init__(self, style: str, *, tokens: int = 300, drafts: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.style, self.tokens, self.drafts = style, tokens, drafts
        self.seconds = [0.05] * 20
        self.thinking = False
        self.broken = ""
        self.others = 0
        self.asked: list[dict[str, Any]] = []
        self.generated = self.steps = self.drafted = self.accepted = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def page(self) -> str:
        labels = '{engine="0",model_name="tiny"}'
        lines = [f"vllm:generation_tokens_total{labels} {self.generated}"]
        if self.drafts:
            lines += [
                f"vllm:spec_decode_num_drafts_total{labels} {self.steps}",
                f"vllm:spec_decode_num_draft_tokens_total{labels} {self.drafted}",
                f"vllm:spec_decode_num_accepted_tokens_total{labels} {self.accepted}",
            ]
        return "\n".join(lines) + "\n"


class _Handler(BaseHTTPRequestHandler):
    server: StreamServer

    def do_GET(self) -> None:
        if self.path == "/metrics" and self.server.style == "vllm":
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(self.server.page().encode())
        elif self.path == "/v1/models":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"object": "list", "data": [{"id": "tiny"}]}')
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        server = self.server
        server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        seconds = server.seconds[len(server.asked) - 1]
        if server.broken == "status":
            self.send_error(503, "loading")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        if server.broken == "error":
            self.event({"error": {"message": "out of memory"}})
            return
        field = "reasoning_content" if server.thinking else "content"
        steps = 6
        for step in range(steps):
            time.sleep(seconds / steps if step else 0)
            if server.broken != "empty":
                words = "word " * (server.tokens // steps)
                self.event({"choices": [{"delta": {field: words}, "finish_reason": None}]})
        if server.broken == "cut":
            return
        # Each step drafts four tokens and takes two of them: 3 tokens a step.
        made = server.tokens // 3
        server.generated += server.tokens + server.others
        server.steps += made
        server.drafted += 4 * made
        server.accepted += 2 * made
        last: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 330, "completion_tokens": server.tokens}}
        if server.style == "llama.cpp":
            last["timings"] = {
                "cache_n": 12,
                "prompt_n": 318,
                "prompt_ms": 159.0,
                "prompt_per_second": 2000.0,
                "predicted_n": server.tokens,
                "predicted_ms": seconds * 1000,
                "predicted_per_second": server.tokens / seconds,
                **({"draft_n": 4 * made, "draft_n_accepted": 2 * made} if server.drafts else {}),
            }
        self.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        self.event(last)
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, data: Any) -> None:
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_args: Any) -> None:
        """Nothing on the test's stderr."""


@contextmanager
def streaming(style: str, **how: Any) -> Iterator[StreamServer]:
    """The server, until the end of the block."""
    server = StreamServer(style, **how)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
