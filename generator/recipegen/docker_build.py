"""Image builds, by the docker client program with BuildKit. Owns no Dockerfile and no other use of Docker."""

from __future__ import annotations

import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipegen import proc
from recipegen.errors import EXIT_MEASUREMENT, EnvironmentLacks, RecipegenError

BUILTIN_BUILDKIT = ((18, 9), (23, 0))
"""Docker clients from 18.09 up to 23.0 speak BuildKit themselves; later ones through the plugin buildx
(https://docs.docker.com/engine/release-notes/23.0/); without it they fall back to the classic builder."""

PROBE_TIMEOUT_S = 20
END_LINES = 30


@dataclass(frozen=True)
class BuildClient:
    """A docker client program that can build with BuildKit; `buildx`: through the plugin."""

    program: str
    buildx: bool


def find_build_client() -> BuildClient:
    """The first docker client on PATH that can build with BuildKit.

    Raises:
        EnvironmentLacks: there is none; names what is there and what it lacks.
    """
    refused: list[str] = []
    for program in _docker_programs():
        version = _client_version(program)
        if version is None:
            refused.append(f"{program} does not say that it is Docker")
        elif BUILTIN_BUILDKIT[0] <= version < BUILTIN_BUILDKIT[1]:
            return BuildClient(program, buildx=False)
        elif version >= BUILTIN_BUILDKIT[1] and _answers(program, "buildx", "version") is not None:
            return BuildClient(program, buildx=True)
        else:
            shown = ".".join(map(str, version))
            lacks = "has no buildx plugin" if version >= BUILTIN_BUILDKIT[1] else "is older than BuildKit"
            refused.append(f"{program} ({shown}) {lacks}")
    if not refused:
        raise EnvironmentLacks(
            "the docker client program is missing",
            hint="install it: https://docs.docker.com/engine/install/; or measure without: --runner local",
        )
    raise EnvironmentLacks(
        f"no docker client here can build with BuildKit: {'; '.join(refused)}",
        hint="install the plugin: docker-buildx-plugin (Docker's packages) or docker-buildx (Debian's)",
    )


def _docker_programs() -> list[str]:
    """Every docker on PATH, in its order, each program once."""
    found: dict[Path, str] = {}
    for folder in os.get_exec_path():
        program = shutil.which("docker", path=folder)
        if program:
            found.setdefault(Path(program).resolve(), program)
    return list(found.values())


def _client_version(program: str) -> tuple[int, int] | None:
    match = re.match(r"Docker version (\d+)\.(\d+)", _answers(program, "--version") or "")
    return (int(match[1]), int(match[2])) if match else None


def _answers(*argv: str) -> str | None:
    """What a program prints, None when it fails."""
    try:
        done = proc.run(argv, timeout_s=PROBE_TIMEOUT_S, check=False)
    except RecipegenError:
        return None
    return done.stdout if done.code == 0 else None


def build_argv(
    client: BuildClient,
    kit: Path,
    tag: str,
    *,
    build_args: Mapping[str, str],
    labels: Mapping[str, str],
    no_cache: bool,
    network: str | None,
) -> list[str]:
    """The command line of a build; see `build`."""
    argv = [client.program, "build", "--progress=plain", f"--tag={tag}"]
    if client.buildx:
        # The user's own builder may be one that keeps its images to itself.
        argv.append("--load")
    argv += [f"--build-arg={key}={value}" for key, value in build_args.items()]
    argv += [f"--label={key}={value}" for key, value in labels.items()]
    if no_cache:
        argv.append("--no-cache")
    if network:
        argv.append(f"--network={network}")
    return [*argv, "--", str(kit.resolve())]


def build(
    kit: Path,
    tag: str,
    *,
    build_args: Mapping[str, str],
    no_cache: bool = False,
    network: str | None = None,
    labels: Mapping[str, str] | None = None,
    daemon: str | None = None,
    on_line: Callable[[str], None] = lambda _line: None,
) -> None:
    """Builds the Dockerfile of a folder into an image.

    Args:
        kit: folder with the Dockerfile; the whole of it is the build's context.
        tag: what the image is called.
        network: "host" for the build's RUN steps, or None for Docker's default.
        daemon: address of the daemon that builds; the usual one by default.
        on_line: gets every line of the build's output (BuildKit's plain progress) as it comes.

    Raises:
        EnvironmentLacks: no client with BuildKit, no daemon, no space left, the base image cannot be fetched.
        RecipegenError: the build failed (exit code 4); names the step and shows the end of the output.
    """
    argv = build_argv(
        find_build_client(),
        kit,
        tag,
        build_args=build_args,
        labels=labels or {},
        no_cache=no_cache,
        network=network,
    )
    output = _Output()

    def hear(line: str) -> None:
        output.add(line)
        on_line(line)

    # Without a limit on silence: compiling an engine can be silent for the better part of an hour.
    own = {"DOCKER_HOST": daemon} if daemon else {}
    code = proc.stream(argv, on_line=hear, env=proc.child_env({"DOCKER_BUILDKIT": "1", **own}))
    if code != 0:
        raise output.failure(tag, code)


_STEP = re.compile(r"#(\d+) (\[.+)")
_STEP_ERROR = re.compile(r"#(\d+) ERROR: (.+)")


class _Output:
    """What to remember of BuildKit's plain progress: each step's name, the failing one, the end."""

    def __init__(self) -> None:
        self.steps: dict[str, str] = {}
        self.failed_step = ""
        self.reason = ""
        self.no_space = False
        self.end: deque[str] = deque(maxlen=END_LINES)

    def add(self, line: str) -> None:
        if line.strip():
            self.end.append(line)
        self.no_space = self.no_space or "no space left on device" in line.lower()
        if error := _STEP_ERROR.fullmatch(line):
            self.failed_step = self.steps.get(error[1], f"step #{error[1]}")
            self.reason = error[2]
        elif step := _STEP.fullmatch(line):
            self.steps.setdefault(step[1], step[2])

    def failure(self, tag: str, code: int) -> RecipegenError:
        end = "\n".join(self.end)
        if self.no_space:
            return EnvironmentLacks(
                f"no space left while building {tag}{self._at()}; the end of the output:\n{end}",
                hint="docker system df shows what takes it; docker builder prune frees the build cache",
            )
        if "cannot connect to the docker daemon" in end.lower():
            return EnvironmentLacks(f"no Docker daemon for the build of {tag}: {self.end[-1]}", hint="start Docker")
        if "load metadata for" in self.failed_step:
            return EnvironmentLacks(
                f"the base image cannot be fetched{self._at()}: {self.reason}",
                hint="check the network and docker login, or build on another base: --base-image IMAGE",
            )
        return RecipegenError(
            f"the build of {tag} failed{self._at()} (exit code {code}); the end of the output:\n{end}",
            exit_code=EXIT_MEASUREMENT,
        )

    def _at(self) -> str:
        return f" at {self.failed_step}" if self.failed_step else ""
