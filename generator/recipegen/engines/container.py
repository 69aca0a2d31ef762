"""How a recipe's container runs, once, for `docker run`, compose and the driver. Owns no Docker call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from recipegen.quoting import Arg, Var, literal
from recipegen.spec.completed import Spec
from recipegen.spec.model import Volume
from recipegen.spec.topology import NONE

RECIPE_PATH = "/recipe"
"""Where the kit's scripts lie in the image."""

RDMA_DEVICES = "/dev/infiniband"
"""Where Linux has RDMA adapters."""
COMPILE_CACHES = {"vllm": "/root/.cache/vllm", "llama.cpp": "/root/.cache/llama.cpp"}


@dataclass(frozen=True)
class Mount:
    """A folder of the host (knobs HOME, PWD, MODELS_DIR, HF_HOME may stand in it) that the container sees."""

    source: Arg
    target: str
    read_only: bool


@dataclass(frozen=True)
class Container:
    """Options of the container, the same for every variant.

    Attributes:
        env: what only the container needs; the launch script sets the rest.
        mounts: the models' folder first.
        devices: of the host.
    """

    image: str
    port: int
    gpus: bool
    network: str
    ipc: str
    shm_size: str | None
    ulimits: dict[str, int]
    env: dict[str, str]
    mounts: tuple[Mount, ...]
    devices: tuple[str, ...] = ()


def container(spec: Spec) -> Container:
    """The container options of a recipe."""
    run = spec.run
    cache = run.models == "hf-cache"
    mounts = [Mount((Var("HF_HOME" if cache else "MODELS_DIR"),), run.models_path, read_only=not cache)]
    if run.compile_cache:
        source: Arg = (Var("HOME"), f"/.cache/recipegen/compile/{spec.name}")
        mounts.append(Mount(source, COMPILE_CACHES[spec.engine.name], read_only=False))
    mounts += [Mount(_host_path(volume), volume.target, volume.read_only) for volume in run.volumes]
    return Container(
        image=spec.name,
        port=run.port,
        gpus=run.gpus == "all",
        network=run.network,
        ipc=run.ipc,
        shm_size=run.shm_size,
        ulimits=dict(run.ulimits),
        # Inside a bridge network the server must listen on the container's own address; the port is
        # published on the host's loopback only.
        env={"HOST": "127.0.0.1" if run.network == "host" else "0.0.0.0"},  # noqa: S104
        mounts=tuple(mounts),
        devices=(RDMA_DEVICES,) if spec.cluster and spec.cluster.hca != NONE else (),
    )


def _host_path(volume: Volume) -> Arg:
    if volume.source.startswith("~/"):
        return (Var("HOME"), volume.source[1:])
    if volume.source.startswith("/"):
        return (volume.source,)
    return (Var("PWD"), "/" + volume.source.removeprefix("./"))


def launch_words(script: str) -> list[str]:
    """The container's command for a launch script."""
    return ["bash", f"{RECIPE_PATH}/scripts/{script}"]


def docker_run(spec: Spec, variant: str) -> list[Arg]:
    """`docker run` for one variant, as a person types it in the recipe folder."""
    options = container(spec)
    argv = [*_docker_options(spec, options), *literal(options.image)]
    if variant != spec.headline:
        argv += literal(*launch_words(spec.variants[variant].script))
    return argv


def node_run(spec: Spec, knobs: Iterable[str]) -> list[Arg]:
    """`docker run` for one node of several, up to the image, without devices, which not every node has.

    Args:
        knobs: the variables that say which node it is; they are passed on.
    """
    argv = _docker_options(spec, replace(container(spec), devices=()))
    for knob in knobs:
        argv += [*literal("--env"), (f"{knob}=", Var(knob))]
    return argv


def _docker_options(spec: Spec, options: Container) -> list[Arg]:
    argv = literal("docker", "run", "--detach", "--name", spec.name)
    if options.gpus:
        argv += literal("--gpus", "all")
    if options.network == "host":
        argv += literal("--network", "host")
    else:
        argv += literal("--publish", f"127.0.0.1:{options.port}:{options.port}")
    if options.ipc == "host":
        argv += literal("--ipc", "host")
    if options.shm_size:
        argv += literal("--shm-size", options.shm_size)
    for name, limit in options.ulimits.items():
        argv += literal("--ulimit", f"{name}={limit}")
    for device in options.devices:
        argv += literal("--device", device)
    for name, value in options.env.items():
        argv += literal("--env", f"{name}={value}")
    for mount in options.mounts:
        argv += [*literal("--volume"), (*mount.source, f":{mount.target}{':ro' if mount.read_only else ''}")]
    return argv
