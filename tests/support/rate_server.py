"""An OpenAI server that streams at an exactly known rate, with vLLM's names on /metrics: what measures it must find
that rate. Tokens leave by a schedule from the request's start, so that a late one does not move those after it.

    python rate_server.py --port N --rate TOKENS_PER_S [--prompt-seconds S]
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_SPIN_S = 0.002
"""Sleeping ends late by up to a millisecond; the rest is waited for awake."""


class Counters:
    """What the server has done, as its /metrics says it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running = self.prompt = self.generated = 0
        self.ended = self.ended_prompt = self.ended_generated = 0
        self.prompt_s = self.decode_s = 0.0

    def add(self, *, running: int = 0, prompt: int = 0, generated: int = 0) -> None:
        with self.lock:
            self.running += running
            self.prompt += prompt
            self.generated += generated

    def end(self, *, prompt: int, generated: int, prompt_s: float, decode_s: float) -> None:
        """A request has ended; vLLM observes its tokens and times then."""
        with self.lock:
            self.running -= 1
            self.ended += 1
            self.ended_prompt += prompt
            self.ended_generated += generated
            self.prompt_s += prompt_s
            self.decode_s += decode_s

    def page(self) -> str:
        labels = '{engine="0",model_name="tiny"}'
        with self.lock:
            return (
                f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{labels} {float(self.running)}\n"
                f"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{labels} 0.0\n"
                f"# TYPE vllm:prompt_tokens_total counter\nvllm:prompt_tokens_total{labels} {float(self.prompt)}\n"
                "# TYPE vllm:generation_tokens_total counter\n"
                f"vllm:generation_tokens_total{labels} {float(self.generated)}\n"
                f"vllm:request_success_total{labels} {float(self.ended)}\n"
                f"vllm:request_prompt_tokens_sum{labels} {float(self.ended_prompt)}\n"
                f"vllm:request_generation_tokens_sum{labels} {float(self.ended_generated)}\n"
                f"vllm:request_prefill_time_seconds_sum{labels} {self.prompt_s}\n"
                f"vllm:request_decode_time_seconds_sum{labels} {self.decode_s}\n"
            )


def wait_until(moment: float) -> None:
    """Sleeps until a time of time.perf_counter, to some microseconds."""
    left = moment - time.perf_counter()
    if left > _SPIN_S:
        time.sleep(left - _SPIN_S)
    while time.perf_counter() < moment:
        pass


def handler(rate: float, prompt_s: float, counters: Counters) -> type[BaseHTTPRequestHandler]:
    """The server's answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self.answer(counters.page().encode(), "text/plain; version=0.0.4")
            else:
                self.answer(b'{"object": "list", "data": [{"id": "tiny"}]}')

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            count = int(asked.get("max_tokens", 16))
            prompt = sum(len(str(message["content"]).split()) for message in asked["messages"])
            usage = {"prompt_tokens": prompt, "completion_tokens": count, "total_tokens": prompt + count}
            if not asked.get("stream"):
                choice = {"index": 0, "message": {"role": "assistant", "content": "a " * count}}
                self.answer(json.dumps({"choices": [choice], "usage": usage}).encode())
                return
            self.stream(count, prompt, usage)

        def stream(self, count: int, prompt: int, usage: dict[str, int]) -> None:
            began = time.perf_counter()
            first = began + prompt_s
            sent = [began]
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            counters.add(running=1)
            try:
                for at in range(count):
                    wait_until(first + at / rate)
                    sent.append(time.perf_counter())
                    counters.add(generated=1, prompt=prompt if at == 0 else 0)
                    choice = {"index": 0, "delta": {"content": "a "}, "token_ids": [at]}
                    self.event(json.dumps({"choices": [choice]}))
            finally:
                prompt_end = sent[min(1, len(sent) - 1)]
                times = {"prompt_s": prompt_end - began, "decode_s": sent[-1] - prompt_end}
                counters.end(prompt=prompt, generated=len(sent) - 1, **times)
            self.event(json.dumps({"choices": [], "usage": usage}))
            self.event("[DONE]")
            self.wfile.write(b"0\r\n\r\n")

        def event(self, text: str) -> None:
            data = f"data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def answer(self, body: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler


def main() -> None:
    """Parses the options and serves until it is ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="tokens/s of every request")
    parser.add_argument("--prompt-seconds", type=float, default=0.2, help="from a request to its first token")
    options = parser.parse_args()
    answers = handler(options.rate, options.prompt_seconds, Counters())
    ThreadingHTTPServer(("127.0.0.1", options.port), answers).serve_forever()


if __name__ == "__main__":
    main()
