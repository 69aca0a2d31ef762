"""A look at a site on this machine: an HTTP server on 127.0.0.1. Owns nothing of the site."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from recipegen.errors import EnvironmentLacks

HOST = "127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, no listings, nothing hidden, no log line for each request."""

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def send_head(self) -> Any:
        wanted = Path(self.translate_path(self.path))
        hidden = any(part.startswith(".") for part in unquote(self.path.split("?")[0]).split("/"))
        if hidden or not wanted.resolve().is_relative_to(
            Path(self.directory).resolve()
        ):  # a link leads out of the site
            self.send_error(404)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return


def site_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of a site that listens already.

    Args:
        folder: the site.
        port: 0 takes a free one.

    Raises:
        EnvironmentLacks: the port is taken.
    """
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        hint = "name another one: --port 8001, or --port 0 for a free one"
        raise EnvironmentLacks(f"cannot listen on {HOST}:{port}: {error.strerror or error}", hint=hint) from error
