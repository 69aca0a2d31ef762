"""Images of the Docker daemon, and containers that carry our labels. Owns no image builds (`docker_build`)
and no decision about what to run. It reads, stops and removes no container but recipegen's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipegen.docker_daemon import connect as connect
from recipegen.docker_daemon import is_local_daemon as is_local_daemon
from recipegen.docker_daemon import talking
from recipegen.errors import EnvironmentLacks, MeasurementFailed, RecipegenError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.errors import APIError
    from docker.models.containers import Container

# Not the labels of the image, which a container that somebody started by hand inherits.
LABEL_RECIPE = "org.recipegen.server.recipe"
LABEL_VARIANT = "org.recipegen.server.variant"
LABEL_RUN = "org.recipegen.server.run"
LABEL_RANK = "org.recipegen.server.rank"
"""Of a server over several nodes: which of them the container belongs to."""

BASE_LABEL = "org.opencontainers.image.base.name"
"""Where the OCI annotations say that an image names its base."""

LOG_TAIL_CHARS = 20_000
POLL_S = 0.1

DEAD = ("exited", "dead", "created")
"""Container states in which no process of it runs ("created": its start failed)."""

PortMap = dict[int, tuple[str, int]]
"""Port in the container -> (address, port) of the host."""

Volume = tuple[str, str, bool]
"""(absolute path of the host or name of a volume, path in the container, read only)."""


@talking()
def image_exists(client: DockerClient, ref: str) -> bool:
    """Whether the daemon holds this image."""
    from docker.errors import ImageNotFound

    try:
        client.images.get(ref)
    except ImageNotFound:
        return False
    return True


@talking()
def image_facts(client: DockerClient, ref: str) -> dict[str, str | None]:
    """What identifies an image: {"ref", "id", "digest", "base"}.

    The digest is the registry's; an image that was built here and never pushed has none (null). The base is
    what the image's own label says.

    Raises:
        EnvironmentLacks: the daemon does not hold the image.
    """
    from docker.errors import ImageNotFound

    try:
        image = client.images.get(ref)
    except ImageNotFound as error:
        raise EnvironmentLacks(f"the image {ref} does not exist", hint="recipegen build NAME makes it") from error
    digests: list[str] = image.attrs.get("RepoDigests") or []
    return {
        "ref": ref,
        "id": image.id,
        "digest": digests[0].partition("@")[2] or None if digests else None,
        "base": (image.labels or {}).get(BASE_LABEL) or None,
    }


@talking()
def run_container(
    client: DockerClient,
    *,
    image: str,
    command: Sequence[str],
    name: str,
    labels: dict[str, str],
    env: dict[str, str],
    ports: PortMap,
    volumes: Sequence[Volume] = (),
    ipc: str | None = None,
    shm_size: str | None = None,
    gpus: str | None = None,
    runtime: str | None = None,
    network: str | None = None,
    ulimits: dict[str, int] | None = None,
    devices: Sequence[str] = (),
) -> Container:
    """Starts a container in the background. It gets `env` and nothing of this process's environment.

    Args:
        command: the argument list; the image's entrypoint, if it has one, comes before it.
        labels: must hold LABEL_RECIPE, by which the container is found again.
        ports: ignored where the container has no network of its own ("host", "container:NAME"): its ports are the
            other's.
        ipc: "host" or "private".
        shm_size: size of /dev/shm, as in "16g".
        gpus: "all" or None.
        ulimits: name -> soft and hard limit; -1 is none.
        devices: of the host, such as /dev/infiniband.

    Raises:
        EnvironmentLacks: no such image, port or name taken, no GPU runtime, a folder to mount is missing.
        MeasurementFailed: the daemon could not start the command for another reason.
    """
    from docker.errors import APIError, ImageNotFound
    from docker.types import DeviceRequest, Mount, Ulimit

    if LABEL_RECIPE not in labels:
        raise ValueError(f"a container needs the label {LABEL_RECIPE}")
    _free_name(client, name)
    mounts = [
        # A bind mount refuses a missing folder; `-v` would make an empty one, owned by root.
        Mount(
            target=target,
            source=source,
            type="bind" if source.startswith("/") else "volume",
            read_only=read_only,
        )
        for source, target, read_only in volumes
    ]
    options: dict[str, Any] = {
        "name": name,
        "labels": labels,
        "environment": env,
        "ports": {} if shares_network(network) else {f"{inside}/tcp": outside for inside, outside in ports.items()},
        "mounts": mounts,
        "ipc_mode": ipc,
        "shm_size": shm_size,
        "runtime": runtime,
        "network_mode": network,
        "devices": [f"{device}:{device}:rwm" for device in devices],
        "ulimits": [Ulimit(name=key, soft=value, hard=value) for key, value in (ulimits or {}).items()],
    }
    if gpus == "all":
        options["device_requests"] = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    try:
        container = client.containers.create(image, list(command), **options)
    except ImageNotFound as error:
        raise EnvironmentLacks(
            f"the image {image} does not exist", hint=f"make it: recipegen build {labels[LABEL_RECIPE]}"
        ) from error
    except APIError as error:
        raise _explained(error, name, ports, labels[LABEL_RECIPE]) from error
    try:
        container.start()
    except APIError as error:
        _remove(container)
        raise _explained(error, name, ports, labels[LABEL_RECIPE]) from error
    except BaseException:
        _remove(container)
        raise
    return container


def shares_network(network: str | None) -> bool:
    """Whether a container has the network of its host or of another container instead of its own."""
    return network is not None and (network == "host" or network.startswith("container:"))


def _free_name(client: DockerClient, name: str) -> None:
    """Makes a container name usable: a dead container of ours is removed, any other is an error."""
    from docker.errors import NotFound

    try:
        container = client.containers.get(name)
    except NotFound:
        return
    if LABEL_RECIPE not in container.labels:
        raise EnvironmentLacks(
            f"a container named {name} exists, and it is not one of recipegen's",
            hint=f"remove or rename it yourself: docker rename {name} {name}-other",
        )
    if container.status not in DEAD:
        raise EnvironmentLacks(
            f"the container {name} is {container.status} already",
            hint=f"stop it: recipegen down {container.labels[LABEL_RECIPE]}",
        )
    _remove(container)


def _explained(error: APIError, name: str, ports: PortMap, recipe: str) -> RecipegenError:
    """The daemon's refusal in words for the user. Messages as of Docker 20.10 to 28."""
    text = str(error.explanation or error)
    low = text.lower()
    if "port is already allocated" in low or "address already in use" in low:
        taken = next((f"{host}:{port}" for host, port in ports.values() if f":{port}" in text), None)
        shown = taken or ", ".join(f"{host}:{port}" for host, port in ports.values())
        return EnvironmentLacks(f"the port {shown} is taken", hint="choose another: --port PORT")
    if any(
        sign in low
        for sign in (
            "could not select device driver",
            "unknown or invalid runtime",
            "unknown runtime",
            "nvidia-container-cli",
        )
    ):
        return EnvironmentLacks(
            f"Docker cannot give a container the GPU: {text}",
            hint="install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker "
            "&& sudo systemctl restart docker",
        )
    if "bind source path does not exist" in low:
        return EnvironmentLacks(
            f"a folder to mount is missing: {text.rpartition(': ')[2]}",
            hint=f"recipegen download {recipe} fetches models; MODELS_DIR names their folder",
        )
    if "no space left on device" in low:
        return EnvironmentLacks(f"no space left for Docker: {text}", hint="docker system df shows what takes it")
    if "setting rlimit" in low:
        return EnvironmentLacks(f"this host's Docker does not allow run.ulimits of {recipe}: {text}")
    if "is already in use by container" in low:
        return EnvironmentLacks(f"the container name {name} is taken", hint=f"recipegen down {recipe}")
    return MeasurementFailed(f"Docker could not start the container {name}: {text}")


@talking()
def find(client: DockerClient, recipe: str | None = None, variant: str | None = None) -> list[Container]:
    """Our containers, running or not, newest first; all of them, or a recipe's, or a variant's."""
    wanted = [LABEL_RECIPE if recipe is None else f"{LABEL_RECIPE}={recipe}"]
    if variant is not None:
        wanted.append(f"{LABEL_VARIANT}={variant}")
    return client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)


@talking()
def refresh(container: Container) -> bool:
    """Asks the daemon for the container's present state; False when it is gone."""
    from docker.errors import NotFound

    try:
        container.reload()
    except NotFound:
        return False
    return True


@talking()
def halt(container: Container, grace_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
    """Ends the container's process: its stop signal, after `grace_s` seconds SIGKILL; without grace SIGKILL at once.

    Does not remove it.

    Polls rather than letting the daemon wait, so that `hurry` can cut the grace short.
    """
    from docker.errors import APIError

    _require_ours(container)
    try:
        if grace_s <= 0:
            container.kill()
            return
        container.kill(signal=container.attrs.get("Config", {}).get("StopSignal") or "SIGTERM")
        deadline = time.monotonic() + grace_s
        while refresh(container) and container.status not in DEAD:
            if hurry() or time.monotonic() >= deadline:
                container.kill()
                break
            time.sleep(POLL_S)
    except APIError as error:
        # 404: gone; 409: not running. Both are what was asked for.
        if error.status_code not in (404, 409):
            raise


def stop(container: Container, grace_s: float = 10.0) -> None:
    """Ends and removes one of our containers; one that is gone already is no error.

    Raises:
        ValueError: the container is not ours.
    """
    halt(container, grace_s)
    _remove(container)


def remove(container: Container) -> None:
    """Removes one of our containers with its anonymous volumes, at once, running or not."""
    _require_ours(container)
    _remove(container)


@talking()
def _remove(container: Container) -> None:
    from docker.errors import APIError

    try:
        container.remove(force=True, v=True)
    except APIError as error:
        # 404: gone; 409: its removal is under way.
        if error.status_code not in (404, 409):
            raise


def _require_ours(container: Container) -> None:
    if LABEL_RECIPE not in container.labels:
        raise ValueError(f"the container {container.name} is not one of recipegen's")


def exit_code(container: Container) -> int | None:
    """Exit code of a container that has ended (as of the last refresh), None while it runs."""
    state: dict[str, Any] = container.attrs.get("State", {})
    return int(state["ExitCode"]) if container.status in ("exited", "dead") else None


def out_of_memory(container: Container) -> bool:
    """Whether the kernel killed a process of the container for memory (as of the last refresh)."""
    return bool(container.attrs.get("State", {}).get("OOMKilled"))


@talking()
def logs_to(container: Container, path: Path, hurry: Callable[[], bool] = lambda: False) -> None:
    """Writes the container's whole log so far (both streams, as they came) to a file, piece by piece.

    Args:
        hurry: asked between pieces; True ends the copy early.
    """
    with path.open("wb") as file:
        for piece in container.logs(stream=True, follow=False):
            file.write(piece)
            if hurry():
                return


@talking()
def tail(container: Container, lines: int) -> str:
    """The last lines of the container's log, at most LOG_TAIL_CHARS characters; empty when it has none."""
    from docker.errors import APIError

    try:
        raw: bytes = container.logs(tail=lines)
    except APIError:
        # Gone, or a logging driver of the host's that cannot be read back.
        return ""
    return raw.decode(errors="replace").rstrip("\n")[-LOG_TAIL_CHARS:]
