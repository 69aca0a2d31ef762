"""What the facts say of GPU, processor, memory and links of a host: pure functions. Owns no probing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from recipegen.doctor.facts import GIB, Facts, Gpu, Interface, size
from recipegen.doctor.finding import Verdict, ok

FLUSH = "sudo sh -c 'sync; echo 3 > /proc/sys/vm/drop_caches'"
"""Gives the page cache back; needs root, and is only ever printed."""
CYCLE_SWAP = "sudo swapoff -a && sudo swapon -a"

MEASURED_DRIVER = 580
"""Major version of the driver under which the public figures for the GB10 were measured."""
CACHE_SHARE = 0.1
"""A page cache of more than this share of unified memory is worth a flush."""
_SLOWED = {0x08: "hardware slowdown", 0x20: "too hot (software)", 0x40: "too hot (hardware)", 0x80: "power brake"}
"""Reasons for a lower clock that spoil a measurement, by NVML's bits."""
_CAPPED = {0x02: "application clocks set", 0x04: "power cap", 0x10: "sync boost", 0x100: "display clocks set"}
_SELF_SCALING = ("intel_pstate", "amd-pstate-epp")
"""Drivers whose governor `powersave` scales with the load."""


def gpu(facts: Facts) -> Verdict:
    """Whether there is a GPU, and which."""
    if "gpus" not in facts.host:
        return Verdict("warning", "whether there is a GPU could not be found out", "run nvidia-smi yourself")
    gpus = facts.host["gpus"]
    if gpus is None:
        return Verdict(
            "error",
            "nvidia-smi is here but lists no GPU",
            "run nvidia-smi and read its message; after a driver update, reboot",
        )
    if not gpus:
        return Verdict(
            "warning",
            "no NVIDIA GPU: nvidia-smi is not here",
            "recipes for hardware `cpu` run all the same; for others install NVIDIA's driver",
        )
    shown = []
    for gpu in gpus:
        memory = "memory shared with the host" if gpu["unified_memory"] else f"{size(gpu['memory_bytes'])} of its own"
        shown.append(f"{gpu['name']}, compute capability {gpu['compute_capability'] or 'unknown'}, {memory}")
    return ok("; ".join(shown))


def driver(facts: Facts) -> Verdict | None:
    """The driver's version, against that of the public figures."""
    versions = {gpu["driver"] for gpu in facts.host.get("gpus") or () if gpu["driver"]}
    if not versions:
        return None
    shown = f"driver {', '.join(sorted(versions))}"
    if facts.gb10 and any(version.split(".")[0] != str(MEASURED_DRIVER) for version in versions):
        return Verdict(
            "warning",
            f"{shown}, not {MEASURED_DRIVER}.x",
            f"figures may differ from published ones; {MEASURED_DRIVER}.x comes with updates of DGX OS",
        )
    return ok(shown)


def cuda(facts: Facts) -> Verdict | None:
    """The newest CUDA that the driver serves."""
    version = facts.host.get("cuda_driver")
    if not facts.host.get("gpus"):
        return None
    if version is None:
        return Verdict("info", "nvidia-smi does not say which CUDA version the driver serves")
    if facts.gb10 and int(version.split(".")[0]) < 13:
        return Verdict(
            "error", f"the driver serves CUDA {version}", f"images for the GB10 need 13.0: driver {MEASURED_DRIVER}.x"
        )
    return ok(f"the driver serves CUDA up to {version}")


def clocks(facts: Facts) -> Verdict | None:
    """Whether the GPU is held down."""
    if not facts.gpus:
        return None
    told = "; ".join(map(_clock_words, facts.gpus))
    masks = [gpu.reasons or 0 for gpu in facts.gpus]
    slowed = sorted({text for bit, text in _SLOWED.items() if any(mask & bit for mask in masks)})
    if slowed:
        return Verdict(
            "warning",
            f"{told}: clocks held down: {', '.join(slowed)}",
            "let it cool, free its air ways, use the power supply that came with it; then measure",
        )
    if any(_stuck(gpu) for gpu in facts.gpus):
        return Verdict(
            "warning",
            f"{told}: busy, but below half of its clock",
            "stop what runs and look again; a GB10 that stays low under load was reported to recover only once it "
            "had been cut off from mains power (github.com/Blackwellboy/model-serving-minefield, trap 124)",
        )
    capped = sorted({text for bit, text in _CAPPED.items() if any(mask & bit for mask in masks)})
    if capped:
        return Verdict("info", f"{told}: {', '.join(capped)}", "say so beside the figures; nvidia-smi -rgc undoes -lgc")
    return ok(told)


def _clock_words(gpu: Gpu) -> str:
    def told(value: float | None, unit: str) -> str:
        return "unknown" if value is None else f"{value:g} {unit}"

    return (
        f"SM clock {told(gpu.sm_mhz, 'MHz')} of {told(gpu.max_sm_mhz, 'MHz')}, "
        f"{told(gpu.temperature_c, '°C')}, {told(gpu.power_w, 'W')}, {told(gpu.busy_percent, '%')} busy"
    )


def _stuck(gpu: Gpu) -> bool:
    known = gpu.busy_percent is not None and gpu.sm_mhz is not None and gpu.max_sm_mhz is not None
    return known and (gpu.busy_percent or 0) >= 50 and (gpu.sm_mhz or 0) < (gpu.max_sm_mhz or 0) / 2


def governor(facts: Facts) -> Verdict | None:
    """How the CPU's clock is chosen."""
    if not facts.governors:
        return None
    shown = ", ".join(f"{governor} ({driver or 'driver unknown'})" for governor, driver in sorted(facts.governors))
    if any(governor == "powersave" and driver not in _SELF_SCALING for governor, driver in facts.governors):
        remedy = "sudo cpupower frequency-set -g performance, for the time of the measurement"
        return Verdict("warning", f"CPU governor {shown}: the lowest clock", remedy)
    return ok(f"CPU governor {shown}")


def memory(facts: Facts) -> Verdict:
    """Memory in all, available, free, and what the page cache holds."""
    total, cache = facts.memory.get("MemTotal"), facts.flushable()
    if total is None or cache is None:
        return Verdict("warning", "/proc/meminfo could not be read", "free -h shows the memory")
    available = facts.memory["MemAvailable"]
    free = facts.memory["MemFree"]
    found = f"{size(total)} in all, {size(free)} free, {size(cache)} more when the page cache is flushed"
    if facts.unified and cache > CACHE_SHARE * total:
        return Verdict("warning", found, f"before a start, and before a measurement: {FLUSH}")
    if facts.unified and available < total / 2:
        return Verdict("warning", f"{found}: more than half is taken", "recipegen status; docker ps; nvidia-smi")
    return ok(found)


def swap(facts: Facts) -> Verdict | None:
    """Swap, and how much of it is in use."""
    total, free = facts.memory.get("SwapTotal"), facts.memory.get("SwapFree")
    if total is None or free is None:
        return None
    if total == 0:
        return Verdict(
            "info",
            "swap is off",
            "right for most recipes; MiniMax-M2.7 at a context of 108,000 wants 64 GiB: "
            "sudo fallocate -l 64G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && "
            "sudo swapon /swapfile",
        )
    found = f"swap {size(total)}, {size(total - free)} in use"
    if total - free > GIB:
        return Verdict("warning", found, f"before a measurement, with no server running: {CYCLE_SWAP}")
    return ok(found)


def fast_links(interfaces: Sequence[Interface]) -> list[Interface]:
    """The interfaces of ConnectX adapters: the kernel's driver for them, or the name that a DGX Spark gives them."""
    return [
        one
        for one in interfaces
        if one.driver == "mlx5_core" or (one.driver is None and re.fullmatch(r"en[pP]\w*s\d+f\dnp\d", one.name))
    ]


def link_words(one: Interface) -> str:
    """An interface in words: name, state, speed, MTU."""
    speed = f"{one.speed_mbit / 1000:g} Gbit/s" if one.speed_mbit else "speed unknown"
    return f"{one.name} {'up' if one.up else 'down'}" + (f" {speed}, MTU {one.mtu}" if one.up else "")


def interfaces(facts: Facts) -> Verdict | None:
    """Network interfaces, those of ConnectX first."""
    if not facts.interfaces:
        return None
    fast = fast_links(facts.interfaces)
    others = [one for one in facts.interfaces if one not in fast and one.up]
    words = [f"ConnectX: {', '.join(map(link_words, fast))}"] if fast else ["no ConnectX interface"]
    return ok("; ".join([*words, *map(link_words, others)]))


def system(facts: Facts) -> Verdict | None:
    """System, kernel, architecture, versions."""
    host = facts.host
    if not host:
        return None
    from recipegen import __version__

    release = f"DGX OS {host['dgx_os']}, " if host.get("dgx_os") else ""
    found = (
        f"{release}{host.get('os') or 'system unknown'}, kernel {host.get('kernel')}, {host.get('arch')}, "
        f"Python {host.get('python')}, recipegen {__version__}"
    )
    if facts.gb10 and host.get("arch") != "aarch64":
        return Verdict("error", f"{found}: a GB10 is an aarch64 machine", "install Python and Docker for aarch64")
    return ok(found)


def page_size(facts: Facts) -> Verdict:
    """The kernel's page size."""
    found = f"memory pages of {facts.page_size >> 10} KiB"
    if facts.page_size != 4096:
        return Verdict("warning", found, "boot the kernel with pages of 4 KiB when a library of an image complains")
    return ok(found)
