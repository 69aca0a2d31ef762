"""The doctor: what made-up facts mean, what the probes read, and the command on this very machine."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from recipegen.bench.host import parse_gpus
from recipegen.cli import cli
from recipegen.cli.doctor import doctor_command
from recipegen.doctor import diagnose, diagnose_recipe
from recipegen.doctor.case import RecipeOnHost, base_images, model_places, registry, registry_address
from recipegen.doctor.checks import CHECKS
from recipegen.doctor.facts import GB, GIB, Disk, Docker, Facts, Gpu, Interface
from recipegen.doctor.finding import Finding
from recipegen.doctor.host import bytes_at, disk, docker_facts, gather, meminfo, parse_live
from recipegen.doctor.outside import reach, registry_logins
from recipegen.doctor.recipe import RECIPE_CHECKS
from recipegen.runners.plan import HostOptions
from recipegen.spec.completed import Spec
from tests.support.kits import shipped, spec_of
from tests.support.scenario import ROOT

if TYPE_CHECKING:
    from docker import DockerClient

MEMINFO = """\
MemTotal:       127600748 kB
MemFree:        112210932 kB
MemAvailable:   118566368 kB
Cached:         6122040 kB
SwapTotal:      16777212 kB
SwapFree:       16777212 kB
HugePages_Total:       0
"""
CACHED = MEMINFO.replace("112210932", "4210932")
GB10 = "NVIDIA GB10, 580.126.09, [N/A], 12.1\n"
H100 = "NVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB, 9.0\n"
LIVE_GB10 = "208, 3003, 41, 4.61, 0, [N/A], 0x0000000000000001\n"
QSFP = Interface("enP2p1s0f1np1", True, 200_000, 9000, "mlx5_core")
QSFP_DOWN = Interface("enp1s0f0np0", False, None, 1500, "mlx5_core")
WIRED = Interface("enP7s7", True, 1000, 1500, "r8127")
MODELS = Disk("~/models", 1, 900 * GB, 4000 * GB)
FLUSH = "sync; echo 3 > /proc/sys/vm/drop_caches"


def host(gpus: str = GB10, **more: Any) -> dict[str, Any]:
    """Facts of the machine, as `bench.host` gives them."""
    return {
        "os": "Ubuntu 24.04.3 LTS",
        "dgx_os": "7.3.1",
        "kernel": "6.14.0-1013-nvidia",
        "arch": "aarch64",
        "gpus": parse_gpus(gpus, 127600748 * 1024) if gpus else [],
        "cuda_driver": "13.0",
        "python": "3.12.3",
        **more,
    }


SPARK = Facts(
    host=host(),
    memory=meminfo(MEMINFO),
    gpus=parse_live(LIVE_GB10),
    toolkit="1.18.1",
    docker=Docker(
        cli="28.5.1",
        info={"ServerVersion": "28.5.1", "Runtimes": {"nvidia": {}, "runc": {}}, "DockerRootDir": "/var/lib/docker"},
        group="member",
    ),
    disks={"docker": Disk("/var/lib/docker", 1, 900 * GB, 4000 * GB), "models": MODELS, "hub": MODELS},
    governors=frozenset({("performance", "cppc_cpufreq")}),
    interfaces=(WIRED, QSFP, QSFP_DOWN),
    programs={"bash": "5.2.21", "curl": "8.5.0", "python3": "3.12.3", "uv": "0.9.5", "llama-benchy": "0.4.0"},
    tokens={"HF_TOKEN": "file", "LOCALMAXXING_API_KEY": None, "NGC_API_KEY": None},
    reached={"https://huggingface.co": ""},
    limits={"memlock": (65536, 65536), "nofile": (1024, 1048576), "stack": (8388608, -1)},
    port_free=True,
)
"""A DGX Spark on which nothing is wrong."""


def look(facts: Facts, name: str, runner: str = "docker") -> Finding | None:
    """What the check of that name finds; None when it does not apply."""
    found = {finding.id: finding for finding in diagnose(facts, runner=runner)}
    return found.get(name)


def test_a_healthy_spark_has_nothing_wrong() -> None:
    findings = diagnose(SPARK)
    assert {finding.severity for finding in findings} == {"ok"}
    found = {finding.id: finding.found for finding in findings}
    assert found["gpu"] == "NVIDIA GB10, compute capability 12.1, memory shared with the host"
    assert found["gpu-driver"] == "driver 580.126.09"
    assert found["gpu-clocks"] == "SM clock 208 MHz of 3003 MHz, 41 °C, 4.61 W, 0 % busy"
    assert found["docker-gpu"] == "Docker has the runtime nvidia, NVIDIA container toolkit 1.18.1"
    assert "enP2p1s0f1np1 up 200 Gbit/s, MTU 9000" in found["network-interfaces"]
    assert "HF_TOKEN present (file)" in found["tokens"]


STALE = Docker(cli="28.5.1", error="no permission to use the Docker daemon at unix:///x", group="stale")
WRONG: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("gpu", {"host": host("")}, "warning", "no NVIDIA GPU", "hardware `cpu`"),
    ("gpu", {"host": host(gpus="") | {"gpus": None}}, "error", "lists no GPU", "reboot"),
    ("gpu", {"host": {}}, "warning", "could not be found out", "nvidia-smi"),
    ("gpu-driver", {"host": host(GB10.replace("580", "570"))}, "warning", "driver 570.126.09, not 580.x", "DGX OS"),
    ("gpu-cuda", {"host": host(cuda_driver="12.8")}, "error", "CUDA 12.8", "13.0"),
    ("gpu-cuda", {"host": host(cuda_driver=None)}, "info", "does not say", ""),
    ("gpu-clocks", {"gpus": (Gpu(500, 3003, 92, 60, 99, None, 0x60),)}, "warning", "too hot (hardware)", "cool"),
    ("gpu-clocks", {"gpus": (Gpu(513, 3003, 60, 14, 96, None, 0),)}, "warning", "below half of its clock", "mains"),
    ("gpu-clocks", {"gpus": (Gpu(2100, 3003, 60, 40, 96, None, 0x2),)}, "info", "application clocks set", "-rgc"),
    (
        "cpu-governor",
        {"governors": frozenset({("powersave", "cppc_cpufreq")})},
        "warning",
        "powersave (cppc_cpufreq)",
        "performance",
    ),
    ("docker-daemon", {"docker": STALE}, "error", "no permission", "newgrp docker"),
    ("docker-daemon", {"docker": replace(STALE, group="outsider")}, "error", "no permission", "usermod -aG docker"),
    ("docker-daemon", {"docker": Docker(error="no daemon", hint="start it")}, "error", "no daemon", "start it"),
    ("docker-version", {"docker": Docker(info={"ServerVersion": "19.03.15"})}, "error", "older than 20.10", "update"),
    (
        "docker-build",
        {"docker": Docker(cli="28.5.1", build_lacks="no buildx; install docker-buildx")},
        "error",
        "no buildx",
        "install docker-buildx",
    ),
    ("docker-gpu", {"docker": Docker(), "toolkit": None}, "error", "no NVIDIA container toolkit", "nvidia-ctk"),
    ("docker-gpu", {"docker": Docker()}, "warning", "1.18.1 is here, but", "nvidia-ctk runtime configure"),
    ("docker-gpu", {"docker": Docker(local=False)}, "warning", "elsewhere", "nvidia-ctk"),
    (
        "disk",
        {"disks": {"docker": Disk("/d", 1, 60 * GB, 99 * GB), "models": Disk("~/m", 1, 60 * GB, 99 * GB)}},
        "warning",
        "/d and ~/m: 65 GB needed, 60 GB free",
        "Not `docker image prune -a`",
    ),
    ("disk", {"disks": {}}, "warning", "could not be read", "df -h"),
    ("folders", {"disks": {"models": replace(MODELS, is_folder=False)}}, "error", "a file", "MODELS_DIR"),
    (
        "folders",
        {"disks": {"models": replace(MODELS, writable=False, exists=False)}},
        "warning",
        "not writable",
        "sudo mkdir -p ~/models",
    ),
    ("folders", {"disks": {"models": replace(MODELS, foreign=3)}}, "warning", "~/models (3)", "--user $(id -u)"),
    ("folders", {"disks": {"models": replace(MODELS, writable=False)}}, "warning", "not writable", "chown"),
    ("hub-cache", {"hub_cache": "/elsewhere"}, "warning", "/elsewhere, outside of HF_HOME", "unset HF_HUB_CACHE"),
    ("memory", {"memory": meminfo(CACHED)}, "warning", "109.1 GiB more when the page cache is flushed", FLUSH),
    (
        "memory",
        {"memory": meminfo(MEMINFO.replace("118566368", "18566368").replace("112210932", "17566368"))},
        "warning",
        "more than half is taken",
        "docker ps",
    ),
    ("memory", {"memory": {}}, "warning", "could not be read", "free -h"),
    ("swap", {"memory": meminfo(MEMINFO.replace("16777212", "0"))}, "info", "swap is off", "64G"),
    (
        "swap",
        {"memory": meminfo(MEMINFO.replace("SwapFree:       16777212", "SwapFree:       8000000"))},
        "warning",
        "8.4 GiB in use",
        "swapoff -a && sudo swapon -a",
    ),
    ("programs", {"programs": {"bash": "5.2", "llama-benchy": "0.4.0"}}, "warning", "curl, python3", "install curl"),
    ("programs", {"programs": {"bash": "5.2"}}, "error", "llama-benchy is missing", "pip install"),
    ("programs", {"programs": {**SPARK.programs, "bash": "3.2.57"}}, "warning", "bash 3.2.57 is older", "newer"),
    (
        "programs",
        {"programs": {key: value for key, value in SPARK.programs.items() if key != "uv"}},
        "info",
        "no uv",
        "uvx",
    ),
    ("tokens", {"tokens": {"HF_TOKEN": None}}, "info", "HF_TOKEN absent", "accept the terms"),
    ("network", {"reached": {"https://huggingface.co": "timed out"}}, "warning", "(timed out)", "HTTPS_PROXY"),
    ("system", {"host": host(arch="x86_64")}, "error", "a GB10 is an aarch64 machine", "aarch64"),
    ("page-size", {"page_size": 65536}, "warning", "64 KiB", "4 KiB"),
    ("probes", {"unanswered": {"hub disk": "gave no answer within 75 s"}}, "warning", "hub disk", "network disk"),
]


@pytest.mark.parametrize(("name", "changed", "severity", "found", "remedy"), WRONG)
def test_what_is_wrong_is_found(name: str, changed: dict[str, Any], severity: str, found: str, remedy: str) -> None:
    told = look(replace(SPARK, **changed), name)
    assert told is not None
    assert told.severity == severity
    assert found in told.found
    assert remedy in told.remedy
    assert told.why
    assert told.source


def test_every_check_of_the_host_is_shown_to_find_something() -> None:
    assert {row[0] for row in WRONG} | {"network-interfaces"} == {check.id for check in CHECKS}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("gpu-driver", {"host": host("")}),
        ("gpu-cuda", {"host": host("")}),
        ("gpu-clocks", {"gpus": ()}),
        ("cpu-governor", {"governors": frozenset()}),
        ("docker-gpu", {"host": host(""), "toolkit": None}),
        ("network", {"reached": {}}),
        ("network-interfaces", {"interfaces": ()}),
        ("swap", {"memory": {}}),
        ("hub-cache", {}),
        ("probes", {}),
    ],
)
def test_what_does_not_apply_is_left_out(name: str, changed: dict[str, Any]) -> None:
    assert look(replace(SPARK, **changed), name) is None


def test_page_cache_matters_only_where_memory_is_shared() -> None:
    own = replace(SPARK, host=host(H100), memory=meminfo(CACHED))
    told = look(own, "memory")
    assert told is not None
    assert told.severity == "ok"


def test_intel_powersave_scales_by_itself() -> None:
    told = look(replace(SPARK, governors=frozenset({("powersave", "intel_pstate")})), "cpu-governor")
    assert told is not None
    assert told.severity == "ok"


def test_the_local_runner_needs_no_docker() -> None:
    ids = {finding.id for finding in diagnose(replace(SPARK, docker=STALE), runner="local")}
    assert not any(name.startswith("docker-") for name in ids)
    assert "gpu" in ids


# One recipe


def recipe(tmp_path: Path, **changed: Any) -> Spec:
    """A small recipe for a DGX Spark with these fields replaced."""
    data = {
        "schema": "recipegen/v1",
        "name": "patient",
        "title": "A patient",
        "hardware": "dgx-spark",
        "model": {"hf_id": "meta/Llama", "size_gb": 40, "gated": True},
        "image": {"mode": "prebuilt", "base": "nvcr.io/nvidia/vllm:26.04-py3"},
        "engine": {"name": "vllm", "flags": {"gpu-memory-utilization": 0.85}},
        "headline": "ar",
        "variants": {"ar": {}},
    }
    return spec_of({**data, **changed}, tmp_path / "recipes")


def vllm(flags: dict[str, Any], **env: str) -> dict[str, Any]:
    return {"name": "vllm", "flags": flags, "env": env}


WHOLE = {"models": {"model": 40 * GB}}
MINIMAX = {"model": {"hf_id": "unsloth/MiniMax-M2.7"}, "engine": vllm({"max-model-len": 108000})}
FOUR = {"hardware": "dgx-spark-x4", "engine": vllm({"tensor-parallel-size": 4}, NCCL_SOCKET_IFNAME="enP2p1s0f1np1")}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, str, str]] = [
    ("recipe-hardware", {}, {}, "ok", "DGX Spark (GB10): NVIDIA GB10", ""),
    ("recipe-hardware", {}, {"host": host("")}, "error", "this host has no GPU", "`cpu`"),
    ("recipe-hardware", {}, {"host": host(H100)}, "warning", "has NVIDIA H100 80GB HBM3", "--from"),
    ("recipe-hardware", {"hardware": "cpu"}, {"host": host("")}, "ok", "every host will do", ""),
    (
        "recipe-hardware",
        {},
        {"memory": meminfo(MEMINFO.replace("127600748", "63000000"))},
        "warning",
        "60.1 GiB of memory",
        "less context",
    ),
    ("recipe-cpu-arch", {}, {"host": host(arch="x86_64")}, "error", "made for aarch64, this host is x86_64", "copy"),
    ("recipe-image", {}, {}, "warning", "no login for nvcr.io", "$oauthtoken"),
    ("recipe-image", {}, {"logins": frozenset({"nvcr.io"})}, "ok", "not built yet", ""),
    ("recipe-image", {}, {"docker": Docker(images={"patient": True})}, "info", "is built", "docker image prune -a"),
    (
        "recipe-image",
        {"image": {"mode": "prebuilt", "base": "vllm/vllm-openai:nightly"}},
        {"reached": {"https://registry-1.docker.io": "timed out"}},
        "warning",
        "its registry was not reached",
        "docker load",
    ),
    ("recipe-models", {}, {}, "warning", "model is not here (40 GB)", "recipegen download patient --variant ar"),
    ("recipe-models", {}, {"models": {"model": 10 * GB}}, "warning", "incomplete (10.0 of 40 GB)", "download"),
    ("recipe-models", {}, WHOLE, "ok", "model is here (40.0 GB)", ""),
    ("recipe-models", {"model": {"hf_id": "a/b"}}, {"models": {"model": 700}}, "warning", "size unknown", "download"),
    ("recipe-token", {}, {}, "ok", "a token is present", ""),
    ("recipe-token", {}, {"tokens": {}}, "error", "gated: meta/Llama; no token", "accept the terms"),
    ("recipe-token", {}, {"tokens": {}, **WHOLE}, "ok", "downloaded already", ""),
    ("recipe-disk", {}, {}, "ok", "40.0 GB of models and 40 GB for the image", ""),
    (
        "recipe-disk",
        {},
        {"disks": {"models": replace(MODELS, free=70 * GB), "docker": replace(MODELS, path="/d", free=70 * GB)}},
        "error",
        "~/models and /d: 80 GB needed, 70 GB free",
        "MODELS_DIR",
    ),
    (
        "recipe-disk",
        {},
        {"disks": {"models": replace(MODELS, free=70 * GB), "docker": replace(MODELS, free=70 * GB, device=2)}},
        "ok",
        "40.0 GB",
        "",
    ),
    ("recipe-disk", {"model": {"hf_id": "a/b"}}, {}, "ok", "size unknown, not counted: model", ""),
    ("recipe-port", {}, {"port_free": False}, "error", "127.0.0.1:8000 is taken", "--port"),
    ("recipe-port", {}, {}, "ok", "is free", ""),
    ("recipe-memory", {}, {}, "ok", "gpu-memory-utilization 0.85 of 121.7 GiB is 103.4 GiB", ""),
    ("recipe-memory", {}, {"memory": meminfo(CACHED)}, "warning", "109.1 GiB more is page cache", FLUSH),
    ("recipe-memory", {"engine": vllm({"gpu-memory-utilization": 0.97})}, {}, "error", "only 113.1 GiB", "refuses"),
    ("recipe-memory", {"engine": vllm({})}, {}, "warning", "gpu-memory-utilization 0.92", FLUSH),
    (
        "recipe-memory",
        {"engine": {"name": "llama.cpp"}, "model": {"hf_id": "a/b", "file": "b.gguf", "size_gb": 150}},
        {},
        "error",
        "the weights take about 139.7 GiB",
        "stop what else runs",
    ),
    ("recipe-swap", MINIMAX, {}, "error", "at least 64.0 GiB", "mkswap"),
    ("recipe-swap", MINIMAX, {"memory": {"SwapTotal": 64 * GIB}}, "ok", "swap 64.0 GiB", ""),
    ("recipe-links", FOUR, {}, "ok", "enP2p1s0f1np1 up", ""),
    ("recipe-links", FOUR, {"interfaces": (WIRED,)}, "error", "names enP2p1s0f1np1, which this host has not", "ls"),
    (
        "recipe-links",
        {"engine": vllm({"nnodes": 2})},
        {"interfaces": (WIRED, QSFP_DOWN)},
        "error",
        "2 machines, and no fast link is up: enp1s0f0np0 down",
        "QSFP",
    ),
    ("recipe-links", {"engine": vllm({"nnodes": 2})}, {}, "warning", "up", "NCCL_SOCKET_IFNAME=enP2p1s0f1np1"),
    ("recipe-ulimits", {"run": {"ulimits": {"memlock": -1}}}, {}, "ok", "Docker sets them", ""),
    (
        "recipe-ulimits",
        {"run": {"ulimits": {"memlock": -1}}},
        {"docker": Docker(info={"SecurityOptions": ["name=rootless"]})},
        "warning",
        "rootless",
        "daemon",
    ),
    ("recipe-tool", {}, {}, "ok", "llama-benchy 0.4.0", ""),
    ("recipe-tool", {"bench": {"tool": "0.3.7"}}, {}, "warning", "measures with 0.3.7", "llama-benchy==0.3.7"),
]


@pytest.mark.parametrize(("name", "given", "changed", "severity", "found", "remedy"), CASES)
def test_a_recipe_on_a_host(
    tmp_path: Path, name: str, given: dict[str, Any], changed: dict[str, Any], severity: str, found: str, remedy: str
) -> None:
    findings = diagnose_recipe(replace(SPARK, **changed), recipe(tmp_path, **given), "ar", HostOptions())
    told = {finding.id: finding for finding in findings}[name]
    assert (told.severity, told.id) == (severity, name)
    assert found in told.found
    assert remedy in told.remedy


def test_every_check_of_a_recipe_is_shown() -> None:
    assert {row[0] for row in CASES} == {check.id for check in RECIPE_CHECKS}


def test_checks_that_do_not_apply_to_a_recipe() -> None:
    here = shipped("qwen36-35b-dflash")
    ids = {finding.id for finding in diagnose_recipe(SPARK, here, "dflash", HostOptions())}
    assert not ids & {"recipe-token", "recipe-swap", "recipe-links", "recipe-ulimits"}
    ids = {finding.id for finding in diagnose_recipe(SPARK, here, "dflash", HostOptions(runner="local"))}
    assert "recipe-image" not in ids


def test_limits_of_a_process_of_this_host(tmp_path: Path) -> None:
    spec = recipe(tmp_path, run={"ulimits": {"memlock": -1, "stack": 67108864}})
    findings = diagnose_recipe(SPARK, spec, "ar", HostOptions(runner="local"))
    told = next(finding for finding in findings if finding.id == "recipe-ulimits")
    assert told.severity == "warning"
    assert told.found.endswith("below it here: memlock")


def test_a_gpu_with_memory_of_its_own(tmp_path: Path) -> None:
    """Memory of the GPU counts, not the host's; a recipe for another GPU has no figure here."""
    spec = recipe(tmp_path)
    other = spec.model_copy(update={"hardware": spec.hardware.model_copy(update={"gpu": "H100"})})
    for free, severity in ((75 * GIB, "ok"), (60 * GIB, "error")):
        facts = replace(SPARK, host=host(H100), gpus=(Gpu(free_bytes=free),))
        told = {finding.id: finding.severity for finding in diagnose_recipe(facts, other, "ar", HostOptions())}
        assert told["recipe-memory"] == severity
        assert "recipe-memory" not in {f.id for f in diagnose_recipe(facts, spec, "ar", HostOptions())}


def test_registries_and_places(tmp_path: Path) -> None:
    assert registry("python:3.11") == "docker.io"
    assert registry("vllm/vllm-openai:nightly") == "docker.io"
    assert registry("localhost/x") == "localhost"
    assert registry_address("nvcr.io/nvidia/vllm:26.04-py3") == "https://nvcr.io"
    assert registry_address("a/b") == "https://registry-1.docker.io"
    options = HostOptions(models_dir=Path("/m"), hf_home=Path("/h"))
    assert model_places(recipe(tmp_path), ["model"], options) == {"model": Path("/m/Llama")}
    cached = recipe(tmp_path, run={"models": "hf-cache"})
    assert model_places(cached, ["model"], options) == {"model": Path("/h/hub/models--meta--Llama")}
    assert base_images(cached) == ["nvcr.io/nvidia/vllm:26.04-py3"]


def test_machines_of_a_variant(tmp_path: Path) -> None:
    for hardware, flags, nodes in (
        ("dgx-spark", {}, 1),
        ("dgx-spark-x4", {"-tp": 4}, 4),
        ("dgx-spark", {"nnodes": 2}, 2),
    ):
        spec = recipe(tmp_path, hardware=hardware, engine=vllm(flags))
        assert RecipeOnHost(SPARK, spec, "ar", HostOptions()).nodes == nodes


# Probes


def test_live_values_of_gpus() -> None:
    assert parse_live(LIVE_GB10) == (Gpu(208, 3003, 41, 4.61, 0, None, 1),)
    (gpu,) = parse_live("1980, 1980, 55, 401.2, 100, 79000, 0x0000000000000004\n")
    assert (gpu.free_bytes, gpu.reasons) == (79000 << 20, 4)
    assert parse_live("[N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A]\n") == (Gpu(),)
    assert parse_live("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n") == ()
    assert parse_live("") == ()


def _program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!{sys.executable}\nimport sys\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a file system like a DGX Spark's, with its nvidia-smi and a client of Docker on PATH."""
    root, programs = tmp_path / "root", tmp_path / "bin"
    for path, text in {
        "proc/meminfo": CACHED,
        "etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\n',
        "etc/dgx-release": 'DGX_OTA_VERSION="7.3.1"\nDGX_SERIAL_NUMBER="12345"\n',
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver": "cppc_cpufreq\n",
        "sys/class/net/lo/mtu": "65536\n",
        "sys/class/net/enP2p1s0f1np1/operstate": "up\n",
        "sys/class/net/enP2p1s0f1np1/speed": "200000\n",
        "sys/class/net/enP2p1s0f1np1/mtu": "9000\n",
        "sys/class/net/wlP9s9/operstate": "down\n",
        "sys/class/net/wlP9s9/speed": "-1\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "sys/bus/mlx5_core").mkdir(parents=True)
    (root / "sys/class/net/enP2p1s0f1np1/device").mkdir()
    (root / "sys/class/net/enP2p1s0f1np1/device/driver").symlink_to(root / "sys/bus/mlx5_core")
    (root / "sys/class/net/wlP9s9/device").mkdir()
    programs.mkdir()
    # As a driver older than 535: it does not know the new name of the reasons.
    _program(
        programs,
        "nvidia-smi",
        f"""\
asked = " ".join(sys.argv[1:])
if "clocks_event_reasons" in asked:
    sys.exit('Field "clocks_event_reasons.active" is not a valid field to query.')
print("CUDA Version: 13.0" if not asked else {LIVE_GB10!r} if "clocks" in asked else {GB10!r}, end="")""",
    )
    _program(programs, "nvidia-ctk", 'print("NVIDIA Container Toolkit CLI version 1.18.1\\ncommit: 0123abc")')
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "DOCKER_CONFIG", "NGC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return root


def test_gather_reads_a_spark(spark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".docker").mkdir(parents=True)
    (home / ".docker/config.json").write_text(
        '{"auths": {"nvcr.io": {"auth": "JG9hdXRodG9rZW46c2VjcmV0LXBhc3N3b3Jk"}}}'
    )
    monkeypatch.setenv("HF_HUB_CACHE", "/elsewhere/hub")
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/token").write_text("hf_secretsecretsecret")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        facts = gather(
            models_dir=tmp_path / "models",
            hf_home=tmp_path / "hf",
            models={"model": tmp_path / "hf", "drafter": tmp_path / "none"},
            port=("127.0.0.1", taken.getsockname()[1]),
            offline=True,
            root=spark,
        )
    assert facts.unanswered == {}
    assert facts.host["gpus"][0]["name"] == "NVIDIA GB10"
    assert (facts.host["dgx_os"], facts.host["cuda_driver"]) == ("7.3.1", "13.0")
    assert facts.gpus == (Gpu(208, 3003, 41, 4.61, 0, None, 1),)
    assert facts.unified
    assert facts.gb10
    assert facts.toolkit == "1.18.1"
    assert facts.flushable() == (118566368 - 4210932) * 1024
    assert facts.governors == {("performance", "cppc_cpufreq")}
    assert facts.interfaces == (QSFP, Interface("wlP9s9", False, None, None, None))
    assert facts.tokens["HF_TOKEN"] == "file"
    assert facts.logins == {"nvcr.io"}
    assert facts.hub_cache == "/elsewhere/hub"
    assert facts.models == {"model": 21, "drafter": None}
    assert facts.port_free is False
    assert facts.reached == {}
    assert "no such socket" in facts.docker.error
    assert set(facts.disks) == {"models", "hub"}
    assert not facts.disks["models"].exists
    assert "secret" not in repr(facts)
    assert "JG9hdXRodG9r" not in repr(facts)


def test_a_probe_that_hangs_or_fails_is_a_finding(spark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = threading.Event()

    def hangs(_folder: Path) -> Disk:
        blocked.wait(60)
        raise AssertionError("not reached")

    def stumbles() -> Any:
        raise TypeError("strange host")

    monkeypatch.setattr("recipegen.doctor.host.disk", hangs)
    monkeypatch.setattr("recipegen.doctor.host.programs", stumbles)
    try:
        facts = gather(models_dir=tmp_path, hf_home=tmp_path, offline=True, root=spark, seconds=5)
    finally:
        blocked.set()
    assert facts.unanswered == {
        "models disk": "gave no answer within 5 s",
        "hub disk": "gave no answer within 5 s",
        "programs": "TypeError: strange host",
    }
    told = look(facts, "probes")
    assert told is not None
    assert told.severity == "warning"
    assert look(facts, "programs") is None
    assert facts.host["gpus"]


def test_a_host_with_nothing_at_all(tmp_path: Path, spark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = gather(models_dir=tmp_path, hf_home=tmp_path, offline=True, root=tmp_path / "empty")
    assert facts.unanswered == {}
    assert facts.host["gpus"] == []
    assert (facts.memory, facts.interfaces, facts.toolkit, facts.docker.cli) == ({}, (), None, None)
    assert "docker client program is missing" in facts.docker.build_lacks
    assert {finding.id for finding in diagnose(facts) if finding.severity == "error"} == {
        "docker-daemon",
        "docker-build",
    }


@pytest.mark.docker
def test_a_real_daemon(docker_client: DockerClient) -> None:
    told = docker_facts(["recipegen/no-such-image"])
    assert told.error == ""
    assert told.info["ServerVersion"] == docker_client.version()["Version"]
    assert told.images == {"recipegen/no-such-image": False}
    facts = replace(SPARK, docker=told)
    for name in ("docker-daemon", "docker-version"):
        found = look(facts, name)
        assert found is not None
        assert found.severity == "ok"


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    told = disk(tmp_path / "a" / "b")
    assert (told.exists, told.writable, told.device) == (False, True, tmp_path.stat().st_dev)
    assert 0 < told.free <= told.total


def test_bytes_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/x").write_bytes(b"12345")
    (tmp_path / "snapshot").symlink_to(tmp_path / "blobs/x")
    assert bytes_at(tmp_path) == 5  # the link is no second copy
    assert bytes_at(tmp_path / "blobs/x") == 5
    assert bytes_at(tmp_path / "none") is None


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"auths": 1}', '{"credsStore": "desktop"}', "[" * 100_000])
def test_a_docker_config_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(text)
    assert registry_logins() == frozenset()


@pytest.fixture
def web() -> Iterator[str]:
    """A web server that refuses everything, as a registry does."""

    class Refuses(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(401)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_reaching_a_web_server(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert reach(web) == ""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert reach(f"http://127.0.0.1:{nobody.getsockname()[1]}") == "Connection refused"
    assert reach("file:///etc/passwd") == "is neither http nor https"
    assert "hunter2" not in reach("http://user:hunter2@127.0.0.1:x/")


# The command


def doctor(*args: str) -> Result:
    return CliRunner().invoke(doctor_command, [*args, "--root", str(ROOT)])


def test_this_machine_with_no_daemon(spark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real probes of this machine; only Docker is out of reach, and the environment holds secrets."""
    secrets = {"HF_TOKEN": "hf_secret0123456789", "LOCALMAXXING_API_KEY": "lmx-secret", "NGC_API_KEY": "ngc-secret"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_ENDPOINT", "http://user:hunter2-secret@127.0.0.1:9")
    for options in ([], ["smoke-llamacpp"], ["qwen36-35b-dflash"]):
        done = doctor(*options, "--json")
        assert done.exit_code == 3, done.output
        told = json.loads(done.output)
        assert set(told) == {"checks", "ok"}
        assert told["ok"] is False
        for check in told["checks"]:
            assert list(check) == ["id", "severity", "found", "why", "remedy", "source"]
            assert check["severity"] in ("error", "warning", "info", "ok")
            assert check["found"]
            assert check["severity"] in ("ok", "info") or check["remedy"]
        by_id = {check["id"]: check for check in told["checks"]}
        assert len(by_id) == len(told["checks"])
        assert by_id["docker-daemon"]["severity"] == "error"
        assert "HF_TOKEN present (environment)" in by_id["tokens"]["found"]
        assert any(name.startswith("recipe-") for name in by_id) == bool(options)
        assert "secret" not in done.output


def test_the_report_for_people(spark: Path) -> None:
    done = doctor("--offline")
    assert done.exit_code == 3
    lines = done.output.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("error    docker-daemon "))
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["why", "do", "source"]
    assert lines[-1].split(" checks: ")[1].startswith("1 error, ") or "errors, " in lines[-1]
    assert not [line for line in lines if line.split()[1:2] == ["network"]]


def test_warnings_alone_end_with_0(spark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_DIR", str(spark))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no GPU of the stand-ins, which would be one of another architecture
    monkeypatch.setattr("recipegen.doctor.host.port_free", lambda *_: True)
    done = doctor("smoke-llamacpp", "--runner", "local", "--offline", "--json")
    told = json.loads(done.output)
    assert (done.exit_code, told["ok"]) == (0, True), done.output
    assert "warning" in {check["severity"] for check in told["checks"]}


@pytest.mark.parametrize("plain", [False, True])
def test_colours_are_left_out_when_asked(plain: bool, spark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1" if plain else "")
    done = CliRunner().invoke(cli, ["doctor", "--offline"], color=True)
    assert ("\x1b[" in done.output) is not plain


def test_wrong_usage() -> None:
    assert doctor("--variant", "ar").exit_code == 2
    for arguments in (["nowhere", "--offline"], ["smoke-llamacpp", "--variant", "nix"]):
        done = doctor(*arguments)
        assert done.exception is not None
        assert getattr(done.exception, "exit_code", None) == 2


def test_hostile_text_of_a_program_is_not_obeyed() -> None:
    told = look(replace(SPARK, docker=Docker(error="\x1b[31mred\nsecond line", hint="x")), "docker-daemon")
    assert told is not None
    assert told.found == "[31mred"


def test_no_password_of_an_address_is_shown() -> None:
    told = look(replace(SPARK, docker=Docker(error="nobody at tcp://user:hunter2@host:1", hint="x")), "docker-daemon")
    assert told is not None
    assert told.found == "nobody at tcp://***@host:1"


@pytest.mark.parametrize("strange", [5, "nvidia", ["nvidia"], {"x": 1}])
def test_a_daemon_that_answers_nonsense_ends_no_command(strange: Any) -> None:
    info = {"ServerVersion": strange, "Runtimes": strange, "SecurityOptions": strange, "DockerRootDir": strange}
    facts = replace(SPARK, docker=Docker(cli="28.5.1", info=info))
    assert diagnose(facts)
    spec = shipped("qwen36-35b-dflash")
    limited = spec.model_copy(update={"run": spec.run.model_copy(update={"ulimits": {"memlock": -1}})})
    assert diagnose_recipe(facts, limited, limited.headline, HostOptions())


def test_a_models_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    assert not disk(tmp_path / "models").is_folder
    assert disk(tmp_path / "later").is_folder


def test_an_address_that_cannot_be_parsed() -> None:
    assert reach("http://[::1") == "is no web address"


def test_a_record_is_refused() -> None:
    from recipegen.errors import RecipegenError

    done = doctor("glm52-nvfp4-x4", "--offline")
    assert isinstance(done.exception, RecipegenError)
    assert done.exception.exit_code == 2
    assert "is a record" in done.exception.message


def test_the_page_lists_every_check() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert listed == [*(check.id for check in CHECKS), *(check.id for check in RECIPE_CHECKS)]
