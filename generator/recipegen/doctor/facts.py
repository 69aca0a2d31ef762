"""What is known of this host, as plain data that tests can make up. Owns no probing and no opinion.

A fact that could not be read is None (or missing from its mapping), never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

GIB = 1 << 30
GB = 10**9

GroupState = Literal["member", "stale", "outsider", "unknown"]
"""Whether this user may use the docker socket by group: `stale` means added, but not yet logged in again."""


@dataclass(frozen=True)
class Gpu:
    """What changes from moment to moment on one GPU; its name and driver stand in `Facts.host`.

    Attributes:
        sm_mhz, max_sm_mhz: clock now and at most, MHz.
        busy_percent: utilization over the last sample period.
        free_bytes: free memory of its own; None on unified memory.
        reasons: bit mask of why the clock is not higher (NVML, clocks event reasons).
    """

    sm_mhz: float | None = None
    max_sm_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    busy_percent: float | None = None
    free_bytes: int | None = None
    reasons: int | None = None


@dataclass(frozen=True)
class Docker:
    """The Docker client and daemon.

    Attributes:
        cli: version of the client program, None without one.
        build_lacks: why no client here can build with BuildKit; "" when one can.
        error, hint: why the daemon does not answer; "" when it does.
        info: the daemon's answer to `docker info`.
        local: the daemon runs on this host.
        images: which of the images asked for the daemon holds.
    """

    cli: str | None = None
    build_lacks: str = ""
    error: str = ""
    hint: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    local: bool = True
    group: GroupState = "unknown"
    images: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Disk:
    """The file system under a folder.

    Attributes:
        path: the folder, home shown as ~.
        device: file systems of the same number share their space.
        free, total: bytes; free as an ordinary user may use it.
        exists: the folder itself is there.
        writable: this user may write in it, or in the nearest folder above it.
        foreign: how many entries near its top belong to root while this user is not root.
        is_folder: False where a file is in the way.
    """

    path: str
    device: int
    free: int
    total: int
    exists: bool = True
    writable: bool = True
    foreign: int = 0
    is_folder: bool = True


@dataclass(frozen=True)
class Interface:
    """A network interface with a device behind it.

    Attributes:
        speed_mbit: link speed in Mbit/s, None while the link is down.
        driver: the kernel's driver, mlx5_core for ConnectX.
    """

    name: str
    up: bool
    speed_mbit: int | None
    mtu: int | None
    driver: str | None


@dataclass(frozen=True)
class Facts:
    """Everything that the checks look at.

    Attributes:
        host: of `recipegen.bench.host.host_facts`.
        memory: /proc/meminfo in bytes by the kernel's names.
        gpus: live values, in nvidia-smi's order.
        toolkit: version of the NVIDIA container toolkit's command line.
        governors: scaling governors of the CPUs with their drivers.
        disks: "docker", "models" and "hub" to the file system there.
        programs: program to version; "" for one whose version is not known.
        tokens: name of a token to where it is ("environment", "file"); None when absent. Never a value.
        logins: registries that the Docker client has a login for.
        reached: web address to "" or the reason why it cannot be reached; empty when not asked.
        limits: soft and hard limit by ulimit's name; -1 is none.
        hub_cache: the HF_HUB_CACHE of the environment, where it lies outside of HF_HOME.
        models: key of a recipe's model to the bytes that lie where the engine looks for it; None when nothing does.
        port_free: whether the recipe's port is free; None when not asked.
        unanswered: probe to why it gave no answer.
    """

    host: Mapping[str, Any]
    memory: Mapping[str, int] = field(default_factory=dict)
    page_size: int = 4096
    gpus: tuple[Gpu, ...] = ()
    toolkit: str | None = None
    docker: Docker = Docker()
    disks: Mapping[str, Disk] = field(default_factory=dict)
    governors: frozenset[tuple[str, str]] = frozenset()
    interfaces: tuple[Interface, ...] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str | None] = field(default_factory=dict)
    logins: frozenset[str] = frozenset()
    reached: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    hub_cache: str | None = None
    models: Mapping[str, int | None] = field(default_factory=dict)
    port_free: bool | None = None
    unanswered: Mapping[str, str] = field(default_factory=dict)

    @property
    def gb10(self) -> bool:
        """Whether a GB10 is here."""
        from recipegen.bench.host import hardware_matches

        return hardware_matches(dict(self.host), "GB10")

    @property
    def unified(self) -> bool:
        """Whether a GPU shares the host's memory."""
        return any(gpu["unified_memory"] for gpu in self.host.get("gpus") or ())

    def flushable(self) -> int | None:
        """Bytes that the kernel would give up for an allocation, but that are not free now; None when unknown."""
        free, available = self.memory.get("MemFree"), self.memory.get("MemAvailable")
        return None if free is None or available is None else max(available - free, 0)


def size(count: float | None) -> str:
    """Bytes in words: `97.3 GiB`."""
    return "unknown" if count is None else f"{count / GIB:.1f} GiB"
