"""A server that somebody else started. Owns nothing of it: checks that it answers, never stops it."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Any

from recipegen.errors import EnvironmentLacks
from recipegen.runners.base import ServerPlan, StartedServer
from recipegen.runners.http import REQUEST_TIMEOUT_S, get, host_and_port, server_root


class EndpointServer(StartedServer):
    """The server at the plan's base_url; see `recipegen.runners.base.Server`."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self._address = host_and_port(plan.base_url)

    def start(self) -> None:
        """Checks that a server answers there.

        Raises:
            EnvironmentLacks: nothing answers, or it wants a key.
        """
        url = server_root(self.plan.base_url) + self.plan.ready_path
        try:
            status, _body = get(url)
        except (OSError, http.client.HTTPException) as error:
            raise EnvironmentLacks(
                f"no server answers at {url}: {error}", hint="start it, or give its address: --base-url URL"
            ) from error
        if status in (401, 403):
            raise EnvironmentLacks(f"the server at {url} wants a key (status {status})")

    def alive(self) -> bool:
        """Whether something still listens there; under load, an answer could take too long to ask for one."""
        try:
            with socket.create_connection(self._address, timeout=REQUEST_TIMEOUT_S):
                return True
        except OSError:
            return False

    @property
    def exit_code(self) -> int | None:
        """Unknown: the process is not ours."""
        return None

    def log_tail(self, lines: int) -> str:
        """Empty: the log is not ours."""
        return ""

    def save_log(self, path: Path) -> None:
        """Writes nothing: the log is not ours."""

    def facts(self) -> dict[str, Any]:
        """That it was not started here."""
        return {"runner": "endpoint", "started_by_us": False, "image": None, "program": None}

    def stop(self, grace_s: float | None = None) -> None:
        """Leaves the server alone."""
