"""Facts of the host, from recorded texts."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from recipegen.bench import host

MEMINFO_GB10 = """\
MemTotal:       127600748 kB
MemFree:         4210932 kB
MemAvailable:   118566368 kB
Buffers:          902344 kB
Cached:         98122040 kB
SwapTotal:      16777212 kB
SwapFree:       16777212 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
"""
MEMINFO_SMALL = "MemTotal:       24684092 kB\nMemFree:        23735488 kB\nSwapTotal:             0 kB\n"

# Made from the fields that Linux prints on arm64: no model name, only implementer and part.
CPUINFO_GB10 = "\n".join(
    f"""\
processor\t: {number}
BogoMIPS\t: 2000.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm sve sve2 i8mm bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {"0xd87" if number % 10 < 5 else "0xd85"}
CPU revision\t: 1
"""
    for number in range(20)
)
CPUINFO_X86 = "\n".join(
    f"""\
processor\t: {number}
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8480+
physical id\t: {number // 4}
siblings\t: 4
core id\t\t: {number % 4 // 2}
cpu cores\t: 2
power management:
"""
    for number in range(8)
)

GB10 = "NVIDIA GB10, 580.173.02, [N/A], 12.1\n"
H200 = "NVIDIA H200, 570.133.20, 143771 MiB, 9.0\n"
TWO = "NVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB, 9.0\nNVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB, 9.0\n"
MIXED = "NVIDIA GeForce RTX 4090, 560.35.03, 24564 MiB, 8.9\nNVIDIA RTX A6000, 560.35.03, 49140 MiB, 8.6\n"
BROKEN = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
    "NVIDIA driver is installed and running.\n\n"
)
PAGE = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.126.09             Driver Version: 580.126.09     CUDA Version: 13.0     |
+-----------------------------------------+------------------------+----------------------+
"""
MEMORY_GB10 = 127600748 * 1024


def facts(
    gpus: str = "", meminfo: str = MEMINFO_SMALL, arch: str = "x86_64", cpus: str = CPUINFO_X86
) -> dict[str, Any]:
    memory = host.parse_meminfo(meminfo)["MemTotal"]
    return {
        "arch": arch,
        "cpu": host.parse_cpuinfo(cpus),
        "memory_bytes": memory,
        "gpus": host.parse_gpus(gpus, memory) if gpus else [],
    }


def test_meminfo() -> None:
    assert host.parse_meminfo(MEMINFO_GB10) == {"MemTotal": MEMORY_GB10, "SwapTotal": 16777212 * 1024}
    assert host.parse_meminfo(MEMINFO_SMALL)["SwapTotal"] == 0
    assert host.parse_meminfo("") == {"MemTotal": None, "SwapTotal": None}


def test_cpuinfo() -> None:
    arm = {"model": "10x Cortex-X925 + 10x Cortex-A725", "cores": 20, "threads": 20}
    assert host.parse_cpuinfo(CPUINFO_GB10) == arm
    xeon = {"model": "Intel(R) Xeon(R) Platinum 8480+", "cores": 4, "threads": 8}
    assert host.parse_cpuinfo(CPUINFO_X86) == xeon
    assert host.parse_cpuinfo("") == {"model": None, "cores": None, "threads": None}
    strange = "processor\t: 0\nCPU implementer\t: 0x99\nCPU part\t: 0x001\n"
    assert host.parse_cpuinfo(strange)["model"] == "1x Arm 0x99/0x001"


def test_gb10_takes_its_memory_from_the_host() -> None:
    assert host.parse_gpus(GB10, MEMORY_GB10) == [
        {
            "name": "NVIDIA GB10",
            "driver": "580.173.02",
            "memory_bytes": MEMORY_GB10,
            "unified_memory": True,
            "compute_capability": "12.1",
        }
    ]


def test_gpu_with_memory_of_its_own() -> None:
    (gpu,) = host.parse_gpus(H200, MEMORY_GB10) or []
    assert (gpu["memory_bytes"], gpu["unified_memory"]) == (143771 << 20, False)
    assert len(host.parse_gpus(TWO, None) or []) == 2


@pytest.mark.parametrize(
    "text", [BROKEN, "", "\n", "a, b, c, d\n", "NVIDIA X, 1, 12 GB, 9.0\n", "No devices were found\n"]
)
def test_answer_that_is_no_list_of_gpus(text: str) -> None:
    assert host.parse_gpus(text, 1) is None


def test_lost_gpu_has_no_memory() -> None:
    (gpu,) = host.parse_gpus("NVIDIA H200, 570.133.20, [GPU is lost], [GPU is lost]\n", MEMORY_GB10) or []
    assert (gpu["memory_bytes"], gpu["unified_memory"], gpu["compute_capability"]) == (None, False, None)
    assert host.machine_name({"gpus": [gpu]}) == "h200"


def test_cuda_version() -> None:
    assert host.parse_cuda_version(PAGE) == "13.0"
    assert host.parse_cuda_version("| CUDA UMD Version: 13.1 |") == "13.1"
    assert host.parse_cuda_version(BROKEN) is None


def test_releases_and_product() -> None:
    assert host.parse_os_release('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\n') == "Ubuntu 24.04.3 LTS"
    assert host.parse_os_release("PRETTY_NAME=Alpine\n") == "Alpine"
    assert host.parse_os_release("") is None
    dgx = 'DGX_NAME="DGX Spark"\nDGX_SWBUILD_VERSION="7.2.3"\nDGX_SERIAL_NUMBER="1234567890"\n'
    assert host.parse_dgx_release(dgx) == "7.2.3"
    assert host.parse_dgx_release(dgx + 'DGX_OTA_VERSION="7.3.1"\nDGX_OTA_VERSION="7.4.0"\n') == "7.4.0"
    assert host.parse_product("NVIDIA_DGX_Spark\n") == "NVIDIA_DGX_Spark"
    assert host.parse_product("ASUS Ascent GX10\n") == "ASUS Ascent GX10"
    assert host.parse_product("To Be Filled By O.E.M.\n") is None
    assert host.parse_product("System Product Name\n") is None


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (facts(GB10, MEMINFO_GB10, "aarch64", CPUINFO_GB10), "gb10-128g"),
        (facts(H200), "h200-141g"),
        (facts(TWO + TWO), "h100-80g-x4"),
        (facts(MIXED), "rtx-4090-24g-rtx-a6000-48g"),
        (facts("NVIDIA A100-SXM4-40GB, 550.54.15, 40960 MiB, 8.0\n"), "a100-40g"),
        (facts("NVIDIA H100 PCIe, 550.54.15, 81559 MiB, 9.0\n"), "h100-pcie-80g"),
        (facts("Tesla T4, 550.54.15, 15360 MiB, 7.5\n"), "t4-15g"),
        (facts(), "cpu-x86-64-8c-24g"),
        (facts(arch="aarch64", cpus=CPUINFO_GB10, meminfo=MEMINFO_GB10), "cpu-aarch64-20c-128g"),
        ({"arch": "x86_64", "cpu": None, "memory_bytes": None, "gpus": None}, "cpu-x86-64"),
        ({}, "cpu"),
    ],
)
def test_machine_name(told: dict[str, Any], name: str) -> None:
    assert host.machine_name(told) == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


@pytest.mark.parametrize(
    ("kib", "nominal"),
    [
        (900_000, "1g"),
        (1_900_000, "2g"),
        (16_000_000, "16g"),
        (30_800_000, "30g"),
        (49_000_000, "48g"),
        (65_500_000, "64g"),
        (131_700_000, "128g"),
        (263_800_000, "256g"),
        (395_900_000, "384g"),
    ],
)
def test_host_memory_is_named_as_it_was_bought(kib: int, nominal: str) -> None:
    told = {"arch": "x86_64", "cpu": {"threads": 4}, "memory_bytes": kib * 1024, "gpus": []}
    assert host.machine_name(told) == f"cpu-x86-64-4c-{nominal}"


def test_hostile_gpu_name_cannot_leave_the_results_folder() -> None:
    told = facts("../../etc/$(x) `y`, 1, 1024 MiB, 9.0\n")
    assert host.machine_name(told) == "etc-x-y-1g"
    assert host.machine_name(facts("..., 1, 1024 MiB, 9.0\n")) == "gpu-1g"


def test_hardware_matches() -> None:
    spark = facts(GB10, MEMINFO_GB10)
    assert host.hardware_matches(spark, "GB10")
    assert host.hardware_matches(spark, "NVIDIA GB10")
    assert not host.hardware_matches(spark, "H100")
    assert host.hardware_matches(facts(TWO), "NVIDIA H100")
    assert not host.hardware_matches(facts(), "GB10")
    assert not host.hardware_matches({"gpus": None}, "GB10")
    assert not host.hardware_matches(facts("NVIDIA GeForce RTX 4070 Ti, 1, 12282 MiB, 8.9\n"), "RTX 4070")
    assert host.hardware_matches(facts(), None)
    assert host.hardware_matches(spark, None)


def stand_in_nvidia_smi(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def spark_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for path, text in {
        "proc/meminfo": MEMINFO_GB10,
        "proc/cpuinfo": CPUINFO_GB10,
        "etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\n',
        "etc/dgx-release": 'DGX_SWBUILD_VERSION="7.2.3"\nDGX_SERIAL_NUMBER="1983425"\n',
        "sys/devices/virtual/dmi/id/product_name": "NVIDIA_DGX_Spark\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_facts_of_a_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page"
    page.write_text(PAGE)
    body = f"if [ $# = 2 ]; then echo '{GB10.strip()}'; else cat '{page}'; fi"
    stand_in_nvidia_smi(tmp_path, body, monkeypatch)
    told = host.host_facts("28.3.3", root=spark_root(tmp_path))
    assert told["os"] == "Ubuntu 24.04.3 LTS"
    assert told["dgx_os"] == "7.2.3"
    assert told["product"] == "NVIDIA_DGX_Spark"
    assert told["cpu"]["model"] == "10x Cortex-X925 + 10x Cortex-A725"
    assert told["memory_bytes"] == told["gpus"][0]["memory_bytes"] == MEMORY_GB10
    assert told["cuda_driver"] == "13.0"
    assert told["docker"] == "28.3.3"
    assert host.machine_name(told) == "gb10-128g"
    assert "1983425" not in json.dumps(told)


def test_failing_nvidia_smi_is_unknown_and_not_none_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_nvidia_smi(tmp_path, f'echo "{BROKEN.strip()}"; exit 9', monkeypatch)
    told = host.host_facts(root=tmp_path)
    assert told["gpus"] is None
    assert told["cuda_driver"] is None
    assert told["memory_bytes"] is None
    assert host.machine_name(told).startswith("cpu-")


def test_facts_of_this_host_identify_nobody() -> None:
    told = host.host_facts()
    text = json.dumps(told)
    assert told["memory_bytes"] > 0
    assert told["cpu"]["threads"] >= 1
    assert told["python"].startswith("3.")
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text), "a UUID"
    assert not re.search(r"([0-9a-f]{2}:){5}", text), "a MAC address"
    assert "/" not in (told["os"] or "").replace("GNU/Linux", ""), "a path"
    assert f'"{socket.gethostname()}"' not in text
    assert re.fullmatch(r"[a-z0-9-]+", host.machine_name(told))
