"""A stand-in for an inference server, to test what surrounds one: late, mute, stubborn, dying on demand."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ODD = {
    "/odd/list": (200, b"[1, 2]"),
    "/odd/number": (200, b'{"version": 5, "data": [{"id": 5}, 5]}'),
    "/odd/html": (200, b"<html>"),
    "/odd/control": (200, b'{"version": "0.1\\n## INDEX", "data": [{"id": "a\\u0000"}]}'),
    "/odd/unknown": (200, b'{"build_info": "b0-unknown"}'),
    "/odd/500": (500, b'{"version": "0.1", "data": [{"id": "tiny"}]}'),
}
STARTED = time.monotonic()


def handler(options: argparse.Namespace) -> type[BaseHTTPRequestHandler]:
    """The server's answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            loading = time.monotonic() - STARTED < options.load
            odd = next((answer for prefix, answer in ODD.items() if self.path.startswith(prefix)), None)
            if odd is not None:
                self.answer(*odd)
            elif options.status != 200:
                self.answer(options.status, b"{}")
            elif self.path == "/v1/models":
                self.answer(200, b'{"object": "list", "data": [{"id": "tiny"}]}')
            elif self.path == "/health":
                self.answer(503 if loading else 200, b"{}")
            elif self.path == "/version":
                self.answer(200, b'{"version": "0.32.0+cpu"}')
            elif self.path == "/props":
                self.answer(200, b'{"build_info": "b1-abc"}')
            elif self.path == "/redirect":
                self.answer(302, b"{}", Location="/version")
            elif self.path in ("/endless", "/drip"):
                self.send_response(200)
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(b"x" if self.path == "/drip" else b"x" * 65536)
                        time.sleep(0.05 if self.path == "/drip" else 0)
                except OSError:
                    pass
            else:
                self.answer(404, b"{}")

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: its log is what the tests read."""

    return Handler


def main() -> None:
    """Parses the options and serves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--listen-after", type=float, default=0, help="seconds before the port is bound")
    parser.add_argument("--load", type=float, default=0, help="seconds from the start for which /health says 503")
    parser.add_argument("--die", type=int, help="exit code to end with at the start; -N: by signal N")
    parser.add_argument("--say", default="")
    parser.add_argument("--status", type=int, default=200, help="status of every answer")
    parser.add_argument("--mute", action="store_true", help="take connections, never answer")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--child", action="store_true", help="start a child that ignores SIGTERM too")
    options = parser.parse_args()
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"pid {os.getpid()}", flush=True)
    print(f"word {os.environ.get('STAND_IN_WORD')}", flush=True)
    if options.say:
        print(options.say, flush=True)
    if options.child:
        # An ignored signal stays ignored in a child.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(f"pid {child.pid}", flush=True)
    if options.die is not None:
        print("RuntimeError: no such quantization", file=sys.stderr, flush=True)
        if options.die < 0:
            os.kill(os.getpid(), -options.die)
        sys.exit(options.die)
    print("loading", flush=True)
    time.sleep(options.listen_after)
    if options.mute:
        with socket.create_server(("127.0.0.1", options.port)):
            time.sleep(600)
    ThreadingHTTPServer(("127.0.0.1", options.port), handler(options)).serve_forever()


if __name__ == "__main__":
    main()
