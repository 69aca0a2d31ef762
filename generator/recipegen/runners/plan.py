"""From a completed recipe to the plan of one server on this host. Owns what differs between runners: paths,
addresses, environment; starts nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from recipegen.engines import engine
from recipegen.engines.base import used_models
from recipegen.engines.container import container
from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.files import fingerprint
from recipegen.quoting import put_in
from recipegen.runners.base import ContainerOptions, Server, ServerPlan

if TYPE_CHECKING:
    from recipegen.spec.completed import Spec

RunnerName = Literal["docker", "local", "endpoint"]


def _models_dir() -> Path:
    return Path(os.environ.get("MODELS_DIR") or Path.home() / "models").absolute()


def _hf_home() -> Path:
    return Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").absolute()


@dataclass(frozen=True)
class HostOptions:
    """What the user may set for this host.

    Attributes:
        host: address to bind (or, for a container, to publish) to.
        port: port on this host; the recipe's by default.
        base_url: of a server that is there already, for the endpoint runner.
        models_dir: where models lie as plain folders.
        hf_home: where the Hugging Face cache lies.
    """

    runner: RunnerName = "docker"
    host: str = "127.0.0.1"
    port: int | None = None
    base_url: str | None = None
    models_dir: Path = field(default_factory=_models_dir)
    hf_home: Path = field(default_factory=_hf_home)


def container_name(spec: Spec, variant: str) -> str:
    """Name of the container in which a variant runs."""
    return f"recipegen-{spec.name}-{variant}"


def plan_server(
    spec: Spec, variant: str, options: HostOptions, *, log_path: Path | None = None, run: str = ""
) -> ServerPlan:
    """The server of one variant on this host.

    Args:
        spec: the recipe.
        variant: one of its variants.
        options: where and how.
        log_path: where the server's log goes.
        run: identity of the run that it is started for.

    Raises:
        RecipegenError: the address of an endpoint is missing or not one.
    """
    command = engine(spec.engine.name).command(spec, variant)
    adapter = engine(spec.engine.name)
    how = container(spec)
    port = options.port or spec.run.port
    host, base_url, words, env = options.host, "", [], dict(command.env)
    boxed: ContainerOptions | None = None
    if options.runner == "endpoint":
        host, port = _endpoint(options)
    elif options.runner == "docker":
        inside = port if how.network == "host" else how.port
        address = options.host if how.network == "host" else how.env["HOST"]
        words = command.words(**_given(command.knobs, HOST=address, PORT=str(inside), MODELS_DIR=spec.run.models_path))
        boxed = ContainerOptions(
            image=how.image,
            name=container_name(spec, variant),
            port=inside,
            run=run,
            volumes=tuple(
                (put_in(mount.source, _host_paths(options)), mount.target, mount.read_only) for mount in how.mounts
            ),
            ipc="host" if how.ipc == "host" else None,
            shm_size=how.shm_size,
            gpus="all" if how.gpus else None,
            network="host" if how.network == "host" else None,
            ulimits=how.ulimits,
        )
    else:
        words = command.words(
            **_given(command.knobs, HOST=options.host, PORT=str(port), MODELS_DIR=str(options.models_dir))
        )
        env |= {"HF_HOME": str(options.hf_home)} if spec.run.models == "hf-cache" else {}
    base_url = options.base_url or f"http://{_reachable(host)}:{port}"
    return ServerPlan(
        recipe=spec.name,
        variant=variant,
        words=words,
        env=env,
        host=host,
        port=port,
        base_url=base_url,
        timeout_s=spec.run.ready_timeout_s,
        ready_path=adapter.ready_path,
        log_path=log_path,
        container=boxed,
    )


def server_of(plan: ServerPlan, runner: RunnerName) -> Server:
    """The runner's server for a plan."""
    if runner == "docker":
        from recipegen.runners.docker_runner import DockerServer

        return DockerServer(plan)
    if runner == "local":
        from recipegen.runners.local import LocalServer

        return LocalServer(plan)
    from recipegen.runners.endpoint import EndpointServer

    return EndpointServer(plan)


def _given(knobs: Mapping[str, str], **values: str) -> dict[str, str]:
    """Those of the values that the command has a knob for."""
    return {name: value for name, value in values.items() if name in knobs}


def _host_paths(options: HostOptions) -> dict[str, str]:
    return {
        "MODELS_DIR": str(options.models_dir),
        "HF_HOME": str(options.hf_home),
        "HOME": str(Path.home()),
        "PWD": str(Path.cwd()),
    }


def _reachable(host: str) -> str:
    """Where this host reaches a server that is bound to `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104


def _endpoint(options: HostOptions) -> tuple[str, int]:
    if options.base_url is None:
        raise RecipegenError("the endpoint runner needs the server's address", hint="--base-url http://127.0.0.1:8000")
    parts = urlsplit(options.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RecipegenError(f"not an address of a server: {options.base_url!r}", hint="as in http://127.0.0.1:8000")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def require_models(spec: Spec, variant: str, options: HostOptions) -> None:
    """Make sure that what the variant opens is there, before anything is started.

    Raises:
        EnvironmentLacks: a model's folder or file is missing.
    """
    if spec.run.models == "hf-cache" or options.runner == "endpoint":
        return
    for key in used_models(spec, variant):
        model = spec.models[key]
        place = options.models_dir / str(model.folder) / (model.file or "")
        if not place.exists():
            raise EnvironmentLacks(
                f"the model {key} of {spec.name} is not at {place}",
                hint=f"recipegen download {spec.name} --variant {variant}; MODELS_DIR names the folder of all models",
            )


def model_facts(spec: Spec, variant: str, options: HostOptions) -> list[dict[str, object]]:
    """What the variant opens, for the record: source, folder, size in bytes and fingerprint of the files.

    The revision is the one that the recipe asks for. Size and fingerprint are None for what lies in a hub's cache.
    """
    facts: list[dict[str, object]] = []
    for key in used_models(spec, variant):
        model = spec.models[key]
        source = model.hf_id or (f"pypi:{model.pypi.package}=={model.pypi.version}" if model.pypi else model.generate)
        folder = options.models_dir / str(model.folder)
        here = spec.run.models == "folders" and folder.is_dir()
        size, mark = fingerprint(folder) if here else (None, None)
        asked = {"key": key, "source": source, "revision": model.revision, "folder": model.folder}
        facts.append({**asked, "bytes": size, "fingerprint": mark})
    return facts


def runs_on(spec: Spec, variant: str, options: HostOptions) -> str | None:
    """What will serve, as far as it is known before the start: an image's id, a program's file; None for an endpoint.

    Raises:
        EnvironmentLacks: no Docker, or the program is not on this host.
    """
    if options.runner == "docker":
        from recipegen import docker

        return docker.image_facts(docker.connect(), container(spec).image)["id"]
    if options.runner == "local":
        from recipegen.runners.local import program_stamp

        return program_stamp(plan_server(spec, variant, options).words)
    return None
