"""The checks of a host, as a table: id, reason, source and the function that answers. Owns no answers."""

from __future__ import annotations

from recipegen.doctor import machine, software
from recipegen.doctor.facts import Facts
from recipegen.doctor.finding import CLUSTER, GDN_WALL, GUIDE, OWN, REPRODUCERS, Check
from recipegen.doctor.software import IMAGE_GB, MODEL_GB

CHECKS: tuple[Check[Facts], ...] = (
    Check(
        "system",
        "images and wheels are made for one processor architecture and system",
        f"{GUIDE}, section 2",
        machine.system,
    ),
    Check(
        "page-size",
        "allocators such as jemalloc are built for one page size, usually 4 KiB, and refuse a larger one",
        "jemalloc's documentation (--with-lg-page)",
        machine.page_size,
    ),
    Check("gpu", "what does not show in nvidia-smi cannot be given to a container", f"{GUIDE}, section 5", machine.gpu),
    Check(
        "gpu-driver",
        "the public figures for the GB10 were measured under driver 580.x",
        f"{REPRODUCERS}, table of the hardware",
        machine.driver,
    ),
    Check(
        "gpu-cuda",
        "a kernel that an image carries only as PTX of a newer CUDA than the driver's cannot be compiled "
        "(cudaErrorUnsupportedPtxVersion)",
        f"{GDN_WALL}, debugging 3",
        machine.cuda,
    ),
    Check(
        "gpu-clocks",
        "a GPU that is held down gives figures that nobody else gets; at idle a low clock is normal",
        "NVML API reference, clocks event reasons (docs.nvidia.com/deploy/nvml-api)",
        machine.clocks,
    ),
    Check(
        "cpu-governor",
        "scheduling and tokenizing run on the CPU; at its lowest clock they add to every token",
        "Linux kernel documentation, admin-guide/pm/cpufreq",
        machine.governor,
    ),
    Check(
        "docker-daemon",
        "images are built and servers run by the Docker daemon; a socket that refuses this user means that "
        "the user is not in the group docker",
        f"{GUIDE}, sections 5 and 11",
        software.daemon,
    ),
    Check("docker-version", "the kits use options of Docker 20.10", OWN, software.docker_version),
    Check("docker-build", "the kits' Dockerfiles need BuildKit", OWN, software.docker_build),
    Check(
        "docker-gpu",
        "without the NVIDIA container toolkit `docker run --gpus all` fails",
        f"{GUIDE}, section 5",
        software.docker_gpu,
    ),
    Check(
        "disk",
        f"an image takes up to {IMAGE_GB} GB with its build cache (an allowance), a model of about 30 billion "
        f"parameters in four bits about {MODEL_GB} GB",
        f"{OWN}; on pruning: {CLUSTER}, build",
        software.disk,
    ),
    Check(
        "folders",
        "what a container downloads as root cannot be replaced or completed by this user later",
        f"{GUIDE}, section 3",
        software.folders,
    ),
    Check(
        "hub-cache",
        "downloads go to HF_HUB_CACHE, but HF_HOME is what the container sees: it would find no model",
        f"{GUIDE}, section 3",
        software.hub_cache,
    ),
    Check(
        "memory",
        "on unified memory the page cache takes what the GPU could have: a load fails with memory left, and prefill "
        "gets slower",
        f"{GUIDE}, sections 5 and 11; {REPRODUCERS}, preparing the host",
        machine.memory,
    ),
    Check(
        "swap",
        "sources differ by recipe: the prefill recipes for Qwen3.5-27B (FlashQLA) and Qwen3.6-27B (AEON) empty swap "
        "before a measurement, MiniMax-M2.7 at a context of 108,000 needs at least 64 GiB of it, and GLM-5.2 on four "
        "machines keeps it on",
        f"{REPRODUCERS}, preparing the host",
        machine.swap,
    ),
    Check(
        "network-interfaces",
        "several machines talk over ConnectX; one QSFP port shows up as two interfaces (enp1s0f1np1 and enP2p1s0f1np1)",
        f"{GUIDE}, section 12",
        machine.interfaces,
    ),
    Check("programs", "recipegen measures with llama-benchy; a kit's scripts call the others", OWN, software.programs),
    Check(
        "tokens",
        "gated models answer 401 without a token, NVIDIA's registry without a login, LocalMaxxing without a key; "
        "only their presence is looked at",
        f"{GUIDE}, sections 3, 5 and 11",
        software.tokens,
    ),
    Check("network", "models and images come from there", OWN, software.network),
    Check("probes", "what gave no answer was not checked", OWN, software.probes),
)

DOCKER_IDS = frozenset({"docker-daemon", "docker-version", "docker-build", "docker-gpu"})
"""Checks that a server without a container does not need."""
