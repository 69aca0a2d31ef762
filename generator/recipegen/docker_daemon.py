"""Finding the Docker daemon and staying in touch with it. Owns nothing that the daemon keeps (`docker`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recipegen.errors import EnvironmentLacks, MeasurementFailed

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_SOCKET = "unix:///var/run/docker.sock"

API_TIMEOUT_S = 120
"""One call of the daemon; creating a container of a 20 GB image on a slow disk takes tens of seconds."""


def daemon_address() -> str:
    """Where the daemon is looked for: DOCKER_HOST, else the current docker context, else the default socket.

    Raises:
        EnvironmentLacks: when the docker context that is asked for does not exist or cannot be read.
    """
    from docker.context import ContextAPI

    host = os.environ.get("DOCKER_HOST")
    if host:
        return host
    name = os.environ.get("DOCKER_CONTEXT")
    try:
        context = ContextAPI.get_context(name)
    # docker-py raises a bare Exception for a context file that it cannot read.
    except Exception as error:
        raise EnvironmentLacks(
            f"the docker context cannot be read: {error}", hint="choose another: docker context use default"
        ) from error
    if context is None:
        raise EnvironmentLacks(
            f"there is no docker context named {name}" if name else "the current docker context does not exist",
            hint="docker context ls shows those that exist; or unset DOCKER_CONTEXT",
        )
    address: str | None = context.Host
    # docker-py writes its default socket in a form of its own.
    return DEFAULT_SOCKET if not address or "/var/run/docker.sock" in address else address


def is_local_daemon() -> bool:
    """Whether the daemon runs on this host, so that its ports are this host's ports."""
    return daemon_address().startswith(("unix://", "http+unix://", "npipe://"))


def connect() -> DockerClient:
    """A client of the daemon, once it has answered.

    Raises:
        EnvironmentLacks: no daemon answers; names the address that was tried.
    """
    import docker
    from docker.errors import DockerException

    address = daemon_address()
    try:
        return docker.from_env(timeout=API_TIMEOUT_S)
    except (DockerException, ValueError) as error:
        raise _no_daemon(address, str(error)) from error


def connect_to(address: str) -> DockerClient:
    """A client of the daemon at an address, whatever DOCKER_HOST says, once it has answered.

    Raises:
        EnvironmentLacks: no daemon answers there.
    """
    import docker
    from docker.errors import DockerException

    try:
        return docker.from_env(timeout=API_TIMEOUT_S, environment={**os.environ, "DOCKER_HOST": address})
    except (DockerException, ValueError) as error:
        raise _no_daemon(address, str(error)) from error


def _no_daemon(address: str, reason: str) -> EnvironmentLacks:
    other = "or measure without Docker: --runner local"
    if "paramiko" in reason:
        return EnvironmentLacks(
            f"the Docker daemon at {address} is reached over ssh, which needs the package paramiko",
            hint=f"pip install paramiko; {other}",
        )
    if "PermissionError" in reason or "Permission denied" in reason:
        return EnvironmentLacks(
            f"no permission to use the Docker daemon at {address}",
            hint=f"join the group: sudo usermod -aG docker $USER, then log in again; {other}",
        )
    if "FileNotFoundError" in reason:
        what = "there is no such socket"
    elif "ConnectionRefusedError" in reason or "Connection refused" in reason:
        what = "nothing listens there"
    else:
        what = reason
    return EnvironmentLacks(
        f"no Docker daemon answers at {address}: {what}",
        hint=f"start it: sudo systemctl start docker; point DOCKER_HOST at it when it is elsewhere; {other}",
    )


@contextmanager
def talking() -> Iterator[None]:
    """Turns whatever a function that talks to the daemon does not expect into an error for the user."""
    from docker.errors import APIError
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (RequestException, HTTPError) as error:
        # APIError is a RequestException too: an answer, but a refusal.
        if isinstance(error, APIError):
            raise MeasurementFailed(f"Docker refuses: {error.explanation or error}") from error
        raise EnvironmentLacks(
            f"the Docker daemon at {daemon_address()} stopped answering: {error}",
            hint="what it ran may still be there: recipegen status",
        ) from error
