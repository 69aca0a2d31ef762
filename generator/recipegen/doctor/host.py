"""Small probes of this host, each bounded in time, none of them changing anything. Owns no opinion.

No probe raises: what is missing is a fact. Tokens are looked at for presence only; their values are never kept.
"""

from __future__ import annotations

import csv
import grp
import os
import re
import resource
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recipegen import proc
from recipegen.bench.host import host_facts
from recipegen.doctor import outside
from recipegen.doctor.facts import Disk, Docker, Facts, Gpu, GroupState, Interface
from recipegen.errors import RecipegenError
from recipegen.runners.base import port_free

ALL_PROBES_S = 75.0
"""All probes run side by side and get this long together: nvidia-smi is asked up to three times, 30 s each at most
the first two, and takes seconds where the driver is not kept loaded."""
ASK_S = 10.0
HUB = "https://huggingface.co"

_LIVE = ("clocks.sm", "clocks.max.sm", "temperature.gpu", "power.draw", "utilization.gpu", "memory.free")
# The second is the name before driver 535; an unknown field fails the whole question.
_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
_PROGRAMS = ("bash", "curl", "python3", "uv")
_LIMITS = {"memlock": resource.RLIMIT_MEMLOCK, "nofile": resource.RLIMIT_NOFILE, "stack": resource.RLIMIT_STACK}
_ENTRIES = 2000
"""How many entries of a models folder are looked at for their owner."""


def gather(
    *,
    models_dir: Path,
    hf_home: Path,
    images: Sequence[str] = (),
    addresses: Sequence[str] = (),
    models: Mapping[str, Path] | None = None,
    port: tuple[str, int] | None = None,
    offline: bool = False,
    root: Path = Path("/"),
    seconds: float = ALL_PROBES_S,
) -> Facts:
    """Everything that the checks look at, within `seconds`.

    Args:
        models_dir: where models lie as plain folders.
        hf_home: where the Hugging Face cache lies.
        images: images to ask the daemon for.
        addresses: web addresses to ask besides the hub's.
        models: key of a recipe's model to the file or folder where the engine looks for it.
        port: address and port that a server would listen on.
        offline: asks no web address.
        root: of the file system from which /proc and /sys are read.
        seconds: what has not answered by then is reported as unanswered.
    """
    hub = os.environ.get("HF_ENDPOINT") or HUB
    probes: dict[str, Callable[[], Any]] = {
        "host": lambda: host_facts(root=root),
        "gpus": live_gpus,
        "memory": lambda: meminfo(_text(root / "proc/meminfo")),
        "toolkit": lambda: version_of("nvidia-ctk", "--version"),
        "docker": lambda: docker_facts(images),
        "models disk": lambda: disk(models_dir),
        "hub disk": lambda: disk(hf_home),
        "governors": lambda: governors(root),
        "interfaces": lambda: interfaces(root),
        "programs": programs,
        "tokens": lambda: outside.tokens(hf_home),
        "logins": outside.registry_logins,
        "models": lambda: {key: bytes_at(place) for key, place in (models or {}).items()},
        "port": lambda: port_free(*port) if port else None,
    }
    if not offline:
        probes |= {f"network {url}": partial(outside.reach, url) for url in dict.fromkeys([hub, *addresses])}
    answers, unanswered = _all(probes, seconds)
    docker: Docker = answers.get(
        "docker", Docker(error="the Docker daemon did not answer in time", hint="sudo systemctl status docker")
    )
    disks = {"models": answers.get("models disk"), "hub": answers.get("hub disk")}
    data_root = docker.info.get("DockerRootDir")
    if docker.local and isinstance(data_root, str) and data_root:
        found, late = _all({"docker disk": lambda: disk(Path(data_root))}, ASK_S)
        disks["docker"] = found.get("docker disk")
        unanswered |= late
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    elsewhere = cache is not None and not Path(cache).absolute().is_relative_to(hf_home)
    return Facts(
        host=answers.get("host", {}),
        memory=answers.get("memory", {}),
        page_size=os.sysconf("SC_PAGE_SIZE"),
        gpus=answers.get("gpus", ()),
        toolkit=answers.get("toolkit"),
        docker=docker,
        disks={key: found for key, found in disks.items() if found is not None},
        governors=answers.get("governors", frozenset()),
        interfaces=answers.get("interfaces", ()),
        programs=answers.get("programs", {}),
        tokens=answers.get("tokens", {}),
        logins=answers.get("logins", frozenset()),
        reached={
            _shown(name.partition(" ")[2]): reason for name, reason in answers.items() if name.startswith("network ")
        },
        limits={name: resource.getrlimit(number) for name, number in _LIMITS.items()},
        models=answers.get("models", {}),
        port_free=answers.get("port"),
        hub_cache=proc.redact(str(cache)) if elsewhere else None,
        unanswered={_shown_probe(name): why for name, why in unanswered.items()},
    )


def _all(probes: Mapping[str, Callable[[], Any]], seconds: float) -> tuple[dict[str, Any], dict[str, str]]:
    """Runs all probes side by side: (answers, reasons of those without one).

    Threads that may be left behind, because a folder on a network disk that is gone blocks for ever.
    """
    answers: dict[str, Any] = {}
    failed: dict[str, str] = {}

    def ask(name: str, probe: Callable[[], Any]) -> None:
        try:
            answers[name] = probe()
        except Exception as error:
            # One probe that stumbles over a strange host must not hide what the others found.
            failed[name] = f"{type(error).__name__}: {proc.redact(str(error))}"

    threads = {name: threading.Thread(target=ask, args=(name, probe), daemon=True) for name, probe in probes.items()}
    deadline = time.monotonic() + seconds
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        thread.join(max(deadline - time.monotonic(), 0))
        if thread.is_alive():
            failed[name] = f"gave no answer within {seconds:g} s"
    return {name: answer for name, answer in list(answers.items()) if name not in failed}, failed


def _shown(url: str) -> str:
    """A web address without user, password, path and query."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}" if parts.hostname else "an address that is none"
    except ValueError:
        return "an address that is none"


def _shown_probe(name: str) -> str:
    kind, _, url = name.partition(" ")
    return f"network {_shown(url)}" if kind == "network" else name


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


def _say(*argv: str) -> proc.Completed | None:
    """What a program says; None when it is not there or does not end in time."""
    try:
        return proc.run(argv, timeout_s=ASK_S, check=False)
    except RecipegenError:
        return None


def meminfo(text: str) -> dict[str, int]:
    """All sizes of /proc/meminfo in bytes (the file says kB and means KiB)."""
    return {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+):\s*(\d+) kB$", text, re.MULTILINE)}


def live_gpus() -> tuple[Gpu, ...]:
    """Clocks, temperature, power and free memory of each GPU; empty without nvidia-smi."""
    for reasons in _REASONS:
        done = _say("nvidia-smi", f"--query-gpu={','.join((*_LIVE, reasons))}", "--format=csv,noheader,nounits")
        if done is None:
            return ()
        if done.code == 0:
            return parse_live(done.stdout)
    return ()


def parse_live(text: str) -> tuple[Gpu, ...]:
    """The answer of nvidia-smi to `live_gpus`; fields that it does not know are None."""
    gpus = []
    for row in csv.reader(line for line in text.splitlines() if line.strip()):
        if len(row) != len(_LIVE) + 1:
            return ()
        sm, most, heat, power, busy, free = (_number(value) for value in row[:-1])
        mask = row[-1].strip()
        reasons = int(mask, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,16}", mask) else None
        gpus.append(Gpu(sm, most, heat, power, busy, None if free is None else int(free) << 20, reasons))
    return tuple(gpus)


def _number(text: str) -> float | None:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*", text)
    return float(found[1]) if found else None


def version_of(*argv: str) -> str | None:
    """The first version number that a program prints; "" when it prints none, None when it is not there."""
    done = _say(*argv)
    if done is None:
        return None
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else ""


def programs() -> dict[str, str]:
    """The programs that a kit's scripts call, and llama-benchy, with their versions."""
    from importlib.metadata import PackageNotFoundError, version

    found = {name: version_of(name, "--version") for name in _PROGRAMS}
    try:
        found["llama-benchy"] = version("llama-benchy")
    except PackageNotFoundError:
        found["llama-benchy"] = version_of("llama-benchy", "--version")
    return {name: text for name, text in found.items() if text is not None}


def docker_facts(images: Sequence[str] = ()) -> Docker:
    """The Docker client, the daemon's own description, and which of the images it holds."""
    from recipegen import docker
    from recipegen.docker_build import find_build_client
    from recipegen.docker_daemon import talking

    facts: dict[str, Any] = {"cli": version_of("docker", "--version"), "group": docker_group()}
    try:
        find_build_client()
    except RecipegenError as error:
        facts["build_lacks"] = f"{error.message}; {error.hint}"
    try:
        facts["local"] = docker.is_local_daemon()
        client = docker.connect()
        try:
            with talking():
                info = client.info()
                facts["info"] = info if isinstance(info, dict) else {}
            facts["images"] = {image: docker.image_exists(client, image) for image in dict.fromkeys(images)}
        finally:
            client.close()
    except RecipegenError as error:
        facts |= {"error": proc.redact(error.message), "hint": error.hint}
    return Docker(**facts)


def docker_group() -> GroupState:
    """Whether this user is in the group docker, and whether this session knows it."""
    try:
        group = grp.getgrnam("docker")
    except KeyError:
        return "unknown"
    if group.gr_gid in (*os.getgroups(), os.getegid()):
        return "member"
    import pwd

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "unknown"
    return "stale" if user in group.gr_mem else "outsider"


def disk(folder: Path) -> Disk:
    """The file system under a folder, or under the nearest folder above it that is there."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    told = os.statvfs(place)
    return Disk(
        path=proc.redact(str(folder)),
        device=place.stat().st_dev,
        free=told.f_bavail * told.f_frsize,
        total=told.f_blocks * told.f_frsize,
        exists=place == folder,
        writable=os.access(place, os.W_OK),
        foreign=_owned_by_root(folder) if place == folder and os.getuid() != 0 else 0,
        is_folder=place.is_dir(),
    )


def bytes_at(place: Path) -> int | None:
    """Bytes of a file, or of all files in a folder, each counted once; None when there is nothing."""
    if not place.exists():
        return None
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    # A hub cache holds links to its blobs: the same file under two names.
    return sum({(told.st_dev, told.st_ino): told.st_size for told in (path.stat() for path in files)}.values())


def _owned_by_root(folder: Path) -> int:
    """Entries of a folder, and of the folders in it, that belong to root; at most `_ENTRIES` are looked at."""
    count = seen = 0
    waiting = [(folder, 0)]
    while waiting and seen < _ENTRIES:
        here, depth = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError:
            continue
        for entry in entries:
            seen += 1
            try:
                # lost+found at the top of a disk is root's by right.
                count += entry.stat(follow_symlinks=False).st_uid == 0 and entry.name != "lost+found"
                if depth < 2 and entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), depth + 1))
            except OSError:
                continue
    return count


def governors(root: Path) -> frozenset[tuple[str, str]]:
    """The kinds of (scaling governor, scaling driver) among the CPUs; empty where the kernel scales none."""
    folders = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq")
    pairs = {(_text(at / "scaling_governor").strip(), _text(at / "scaling_driver").strip()) for at in folders}
    return frozenset(pair for pair in pairs if pair[0])


def interfaces(root: Path) -> tuple[Interface, ...]:
    """Network interfaces that have a device: no loopback, bridge or container end."""
    net = root / "sys/class/net"
    found = []
    for at in sorted(net.iterdir()) if net.is_dir() else ():
        if (at / "device").exists():
            driver = at / "device/driver"
            found.append(
                Interface(
                    name=at.name,
                    up=_text(at / "operstate").strip() == "up",
                    speed_mbit=_whole(_text(at / "speed")),
                    mtu=_whole(_text(at / "mtu")),
                    driver=driver.resolve().name if driver.exists() else None,
                )
            )
    return tuple(found)


def _whole(text: str) -> int | None:
    """A positive number; the kernel says -1 (or refuses to be read) for a link that is down."""
    return int(text) if re.fullmatch(r"\d+", text.strip()) else None
