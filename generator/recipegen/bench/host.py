"""Facts of this host for a run's record, and the machine's name. Owns no opinion on whether they suffice.

Nothing here may identify a host or a person: no names, serial numbers, UUIDs, addresses or paths. Facts that
cannot be read are None, never guessed.
"""

from __future__ import annotations

import csv
import math
import platform
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipegen import proc
from recipegen.cluster.probe import GPU_QUESTION
from recipegen.errors import RecipegenError

Facts = dict[str, Any]

_GPU_FIELDS = GPU_QUESTION.split(",")
_ASK_GPU_S = 30.0
"""nvidia-smi takes seconds where the driver is not kept loaded (no persistence mode)."""

# Arm's part numbers, from arch/arm64/include/asm/cputype.h of Linux; 0x41 is Arm as implementer, 0x4e NVIDIA.
_ARM_PARTS = {
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd84"): "Neoverse-V3",
    ("0x41", "0xd8e"): "Neoverse-N3",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd85"): "Cortex-X925",
    ("0x41", "0xd87"): "Cortex-A725",
    ("0x4e", "0x004"): "Carmel",
}
# What firmware says when nobody filled the field in.
_NO_PRODUCT = re.compile(r"(to be filled|default string|system product|not specified|unknown|none|o\.e\.m)", re.I)
# Words of a GPU's name that tell its packaging or repeat its memory, which the machine's name states anyway.
_PACKAGING = re.compile(r"(nvidia|geforce|tesla|quadro|graphics|hbm\d\w*|sxm\d*|\d+gb|\d+mb)", re.I)


def host_facts(docker_version: str | None = None, *, root: Path = Path("/")) -> Facts:
    """What a reader of a result needs to know of the machine it was measured on.

    Args:
        docker_version: of the Docker server, where the caller knows it.
        root: the root of the file system that is read.

    Returns:
        os, dgx_os, kernel, arch, product, cpu {model, cores, threads}, memory_bytes (MemTotal), swap_bytes,
        gpus [{name, driver, memory_bytes, unified_memory, compute_capability}], cuda_driver, docker, python.
        `gpus` is empty without nvidia-smi and None when nvidia-smi fails.
    """
    texts = {
        "os-release": _read(root / "etc/os-release"),
        "dgx-release": _read(root / "etc/dgx-release"),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "product": _read(root / "sys/devices/virtual/dmi/id/product_name"),
        "cpuinfo": _read(root / "proc/cpuinfo"),
        "meminfo": _read(root / "proc/meminfo"),
    }
    answer = _say("nvidia-smi", f"--query-gpu={GPU_QUESTION}", "--format=csv,noheader")
    if answer is not None:
        texts |= {"gpus": answer, "smi": _say("nvidia-smi") or ""}
    return {**facts_of_texts(texts, docker_version), "python": platform.python_version()}


def facts_of_texts(texts: Mapping[str, str], docker_version: str | None) -> Facts:
    """What a machine's own texts say of it; `python` is left out.

    Args:
        texts: os-release, dgx-release, product, cpuinfo, meminfo (files), kernel, arch, and of nvidia-smi `gpus` (its
            answer to GPU_QUESTION) and `smi` (its page); without `gpus` there is no nvidia-smi.
    """
    memory = parse_meminfo(texts["meminfo"])
    gpus = parse_gpus(texts["gpus"], memory["MemTotal"]) if "gpus" in texts else []
    return {
        "os": parse_os_release(texts["os-release"]),
        "dgx_os": parse_dgx_release(texts["dgx-release"]),
        "kernel": texts["kernel"] or None,
        "arch": texts["arch"] or None,
        "product": parse_product(texts["product"]),
        "cpu": parse_cpuinfo(texts["cpuinfo"]),
        "memory_bytes": memory["MemTotal"],
        "swap_bytes": memory["SwapTotal"],
        "gpus": gpus,
        "cuda_driver": parse_cuda_version(texts.get("smi", "")) if gpus else None,
        "docker": docker_version,
    }


def machine_name(facts: Facts, nodes: int = 1) -> str:
    """A name for the folder of this machine's results, the same for all machines of its kind.

    Examples: `gb10-128g`, `h100-80g-x4`, `cpu-x86-64-2c-24g`; of several nodes together `gb10-128g-nodes2`.
    """
    if nodes > 1:
        return f"{machine_name(facts)}-nodes{nodes}"
    counted = Counter(
        "-".join(filter(None, (gpu_slug(gpu["name"]), _nominal_gib(gpu["memory_bytes"], gpu["unified_memory"]))))
        for gpu in facts.get("gpus") or ()
    )
    if counted:
        return "-".join(name if count == 1 else f"{name}-x{count}" for name, count in sorted(counted.items()))
    threads = (facts.get("cpu") or {}).get("threads")
    parts = ("cpu", _slug(facts.get("arch") or ""), f"{threads}c" if threads else "")
    return "-".join(filter(None, (*parts, _nominal_gib(facts.get("memory_bytes"), True))))


def hardware_matches(facts: Facts, profile_gpu: str | None) -> bool:
    """Whether this host is what a hardware profile means.

    Args:
        facts: of `host_facts`.
        profile_gpu: the profile's GPU, e.g. "GB10"; None means any CPU, which every host has.
    """
    if profile_gpu is None:
        return True
    return any(gpu_slug(gpu["name"]) == gpu_slug(profile_gpu) for gpu in facts.get("gpus") or ())


def gpu_slug(name: str) -> str:
    """A GPU's name without maker, packaging and memory: `NVIDIA H100 80GB HBM3` is `h100`."""
    words = re.split(r"[\s_-]+", name)
    return _slug(" ".join(word for word in words if not _PACKAGING.fullmatch(word))) or "gpu"


def parse_meminfo(text: str) -> dict[str, int | None]:
    """MemTotal and SwapTotal of /proc/meminfo in bytes (the file says kB and means KiB)."""
    found = dict(re.findall(r"^(\w+):\s*(\d+) kB$", text, re.MULTILINE))
    return {key: int(found[key]) * 1024 if key in found else None for key in ("MemTotal", "SwapTotal")}


def parse_cpuinfo(text: str) -> dict[str, Any]:
    """The processor of /proc/cpuinfo.

    Returns:
        model (on Arm the cores by kind, `10x Cortex-X925 + 10x Cortex-A725`), cores (physical), threads.
    """
    blocks = [dict(re.findall(r"^(.+?)[ \t]*:[ \t]*(.*)$", block, re.MULTILINE)) for block in text.split("\n\n")]
    blocks = [block for block in blocks if "processor" in block]
    if not blocks:
        return {"model": None, "cores": None, "threads": None}
    cores = {(block.get("physical id"), block.get("core id")) for block in blocks}
    # Arm has no field of this kind and no hyper-threading in the machines meant here: a processor is a core.
    told = all("core id" in block for block in blocks)
    model = blocks[0].get("model name") or _arm_model(blocks)
    return {"model": model, "cores": len(cores) if told else len(blocks), "threads": len(blocks)}


def _arm_model(blocks: list[dict[str, str]]) -> str | None:
    parts = [(block.get("CPU implementer", ""), block.get("CPU part", "")) for block in blocks]
    if not all(map(all, parts)):
        return None
    kinds = Counter(_ARM_PARTS.get(part, f"Arm {part[0]}/{part[1]}") for part in parts)
    return " + ".join(f"{count}x {kind}" for kind, count in sorted(kinds.items(), reverse=True))


def parse_gpus(text: str, host_memory_bytes: int | None) -> list[Facts] | None:
    """The GPUs in the answer of `nvidia-smi --query-gpu=… --format=csv,noheader` (fields: `_GPU_FIELDS`).

    Args:
        text: the answer, one line a GPU.
        host_memory_bytes: MemTotal. A GB10 reports its memory as [N/A], because it shares the host's.

    Returns:
        None when the answer is not such a list.
    """
    gpus = []
    for row in csv.reader(line for line in text.splitlines() if line.strip()):
        if len(row) != len(_GPU_FIELDS):
            return None
        name, driver, memory, capability = (_told(value) for value in row)
        size = re.fullmatch(r"(\d+) MiB", memory or "")
        if name is None or (memory is not None and size is None):
            return None
        # Other words, such as [GPU is lost], say nothing of where the memory is.
        unified = memory is None and row[2].strip(" []") in ("N/A", "Not Supported")
        gpus.append(
            {
                "name": name,
                "driver": driver,
                "memory_bytes": int(size[1]) << 20 if size else host_memory_bytes if unified else None,
                "unified_memory": unified,
                "compute_capability": capability,
            }
        )
    return gpus or None


def _told(value: str) -> str | None:
    """A field of nvidia-smi, or None for its ways to say that it does not know."""
    text = value.strip()
    return None if re.fullmatch(r"|\[.*\]|N/A|Not Supported", text) else text


def parse_cuda_version(text: str) -> str | None:
    """The newest CUDA version that the driver serves, from nvidia-smi's page."""
    found = re.search(r"\bCUDA (?:\w+ )?Version:? *(\d+\.\d+)", text)
    return found[1] if found else None


def parse_os_release(text: str) -> str | None:
    """PRETTY_NAME of os-release(5)."""
    return _assigned(text, "PRETTY_NAME")


def parse_dgx_release(text: str) -> str | None:
    """The version of DGX OS: the last update over the air, else the build.

    The file holds a serial number too, so only these two lines are read.
    """
    return _assigned(text, "DGX_OTA_VERSION") or _assigned(text, "DGX_SWBUILD_VERSION")


def parse_product(text: str) -> str | None:
    """The product's name from DMI, e.g. `NVIDIA_DGX_Spark`; None for fillers of firmware."""
    name = " ".join(text.split())
    return name if name and not _NO_PRODUCT.match(name) else None


def _assigned(text: str, name: str) -> str | None:
    found = re.findall(rf"^{name}=(['\"]?)(.*)\1\s*$", text, re.MULTILINE)
    return found[-1][1] or None if found else None


def _nominal_gib(size: int | None, host_memory: bool) -> str:
    """A size as it is printed on the box, e.g. `128g`; "" when unknown.

    A GPU reports nearly all of its memory, the kernel a few percent less than is built in (121.7 of 128 GiB
    on a GB10): host memory is rounded up to the next eighth of the power of two below it.
    """
    if not size:
        return ""
    gib = size / (1 << 30)
    step = max(1, 2 ** (math.floor(math.log2(gib)) - 3)) if host_memory and gib >= 1 else 1
    return f"{math.ceil(gib / step) * step}g"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _say(*argv: str) -> str | None:
    """What a program says; None when it is not there, "" when it fails."""
    try:
        return proc.run(argv, timeout_s=_ASK_GPU_S).stdout
    except proc.ProcessFailed:
        return ""
    except RecipegenError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
