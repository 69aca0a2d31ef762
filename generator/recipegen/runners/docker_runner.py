"""A server in a Docker container. Owns one container from its start to its removal; owns no image."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen import docker
from recipegen.errors import EnvironmentLacks
from recipegen.runners.base import (
    GRACE_S,
    ContainerOptions,
    ServerPlan,
    StartedServer,
    require_port,
    signals_held,
)

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_OF_LABELS = ("port", "run", "rank")
"""Options that are not Docker's."""
HURRIED_LOG_S = 3.0
"""What copying the log may still take when Ctrl-C has come again; all but huge logs are whole by then."""


class DockerServer(StartedServer):
    """The server of a plan that has `container` options; see `recipegen.runners.base.Server`."""

    def __init__(self, plan: ServerPlan, client: DockerClient | None = None, *, here: bool | None = None) -> None:
        """A container on the daemon of `client`, by default the one that DOCKER_HOST names.

        Args:
            here: whether that daemon's ports and folders are this machine's; found out by default.
        """
        if plan.container is None:
            raise ValueError("the plan has no container options")
        self.plan = plan
        self._options: ContainerOptions = plan.container
        self._client = client
        self._container: Container | None = None
        self._here = here
        self._image: dict[str, str | None] | None = None
        self._exit_code: int | None = None
        self._stopping = threading.Lock()

    def start(self) -> None:
        """Starts the container.

        Raises:
            EnvironmentLacks: no daemon, image, port or GPU runtime; a container of this name runs already.
        """
        plan, options = self.plan, self._options
        client = self._client = self._client or docker.connect()
        if not docker.image_exists(client, options.image):
            raise EnvironmentLacks(
                f"the image {options.image} does not exist", hint=f"make it: recipegen build {plan.recipe}"
            )
        self._image = docker.image_facts(client, options.image)
        if docker.is_local_daemon() if self._here is None else self._here:
            make_caches(options.volumes)
            # With the network "host" Docker itself would not notice.
            require_port(plan.host, plan.port)
        how = {f.name: getattr(options, f.name) for f in dataclasses.fields(options) if f.name not in _OF_LABELS}
        labels = {
            docker.LABEL_RECIPE: plan.recipe,
            docker.LABEL_VARIANT: plan.variant,
            docker.LABEL_RUN: options.run,
        }
        if options.rank is not None:
            labels[docker.LABEL_RANK] = str(options.rank)
        # Ctrl-C waits until the container is known here: one that is not known could not be taken down.
        with signals_held():
            self._container = docker.run_container(
                client,
                command=plan.words,
                labels=labels,
                env=plan.env,
                ports={options.port: (plan.host, plan.port)},
                **how,
            )

    def alive(self) -> bool:
        """Whether the container runs."""
        container = self._container
        if container is None or not docker.refresh(container):
            return False
        self._exit_code = docker.exit_code(container)
        return container.status not in docker.DEAD

    @property
    def exit_code(self) -> int | None:
        """The container's exit code as of the last `alive`."""
        return self._exit_code

    @property
    def ended_at(self) -> str:
        """When the container's process ended, by its node's clock, as of the last `alive`; sorts by time."""
        state = self._container.attrs.get("State", {}) if self._container is not None else {}
        return str(state.get("FinishedAt") or "")

    def log_tail(self, lines: int) -> str:
        """The last lines of the container's log."""
        if self._container is None:
            return ""
        note = "\n(the kernel ended a process of the container: out of memory)"
        return docker.tail(self._container, lines) + (note if docker.out_of_memory(self._container) else "")

    def save_log(self, path: Path) -> None:
        """Copies the container's whole log."""
        if self._container is not None:
            docker.logs_to(self._container, path)

    def facts(self) -> dict[str, Any]:
        """What runs: the image as the daemon knows it."""
        return {"runner": "docker", "started_by_us": True, "image": self._image, "program": None}

    def kill(self) -> None:
        """Ends the container's process at once; the container and its log stay until `stop`."""
        if self._container is not None:
            docker.halt(self._container, 0)

    def stop(self, grace_s: float | None = None) -> None:
        """Ends and removes the container, log saved to the plan's log_path; another Ctrl-C hurries it.

        The memory guard may call it while its owner does: the second one waits, and finds nothing left to do.
        """
        with signals_held() as hurry, self._stopping:
            container = self._container
            if container is None:
                return
            try:
                docker.halt(container, GRACE_S if grace_s is None else grace_s, hurry)
                self.alive()
                if self.plan.log_path is not None:
                    began = time.monotonic()
                    docker.logs_to(
                        container,
                        self.plan.log_path,
                        lambda: hurry() and time.monotonic() - began > HURRIED_LOG_S,
                    )
            finally:
                docker.remove(container)
                self._container = None


def make_caches(volumes: tuple[docker.Volume, ...]) -> None:
    """Makes the folders that a container may write to: a cache begins empty. Missing models are an error later.

    Args:
        volumes: as in `ContainerOptions`.
    """
    for source, _, read_only in volumes:
        if not read_only and source.startswith("/"):
            Path(source).mkdir(parents=True, exist_ok=True)
