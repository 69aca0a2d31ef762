"""What the facts say of Docker, disks, programs, tokens and the network: pure functions. Owns no probing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from recipegen.doctor.facts import GB, Disk, Facts
from recipegen.doctor.finding import Verdict, ok

IMAGE_GB = 40
"""Allowance for an image of a GPU engine with its build cache, GB: an estimate (public vLLM images unpack to about
20 GB, and a build keeps old layers beside the new ones), not a measurement."""
CPU_IMAGE_GB = 10
"""The same for an engine on the CPU."""
MODEL_GB = 25
"""Room for one model of about 30 billion parameters in four bits and its drafter, GB."""

OLDEST_DOCKER = (20, 10)
OLDEST_BASH = 4
"""The kits' scripts use associative arrays, which bash has since 4.0."""
NGC = "nvcr.io"

TOOLKIT_REMEDY = (
    "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker "
    "&& sudo systemctl restart docker"
)


def daemon(facts: Facts) -> Verdict:
    """Whether the Docker daemon answers this user."""
    docker = facts.docker
    if not docker.error:
        where = "" if docker.local else ", not on this host"
        return ok(f"Docker {docker.info.get('ServerVersion', 'of unknown version')} answers{where}")
    remedy = docker.hint
    if "no permission" in docker.error and docker.group == "stale":
        remedy = "this user is in the group docker, but this session began before: newgrp docker, or log in again"
    elif "no permission" in docker.error:
        remedy = "sudo usermod -aG docker $USER, then newgrp docker (or log in again)"
    return Verdict("error", docker.error, remedy)


def docker_version(facts: Facts) -> Verdict | None:
    """The age of the Docker server."""
    version = str(facts.docker.info.get("ServerVersion", ""))
    found = re.match(r"(\d+)\.(\d+)", version)
    if not found:
        return None
    shown = f"server {version}, client {facts.docker.cli or 'missing'}"
    if (int(found[1]), int(found[2])) < OLDEST_DOCKER:
        oldest = ".".join(map(str, OLDEST_DOCKER))
        return Verdict("error", f"{shown}: older than {oldest}", "update it: https://docs.docker.com/engine/install/")
    return ok(shown)


def docker_build(facts: Facts) -> Verdict:
    """Whether a client here can build with BuildKit."""
    lacks, _, hint = facts.docker.build_lacks.partition("; ")
    if facts.docker.build_lacks:
        return Verdict("error", lacks, hint)
    return ok(f"client {facts.docker.cli} builds with BuildKit")


def docker_gpu(facts: Facts) -> Verdict | None:
    """Whether a container gets the GPU."""
    if facts.docker.error or not (facts.host.get("gpus") or facts.toolkit is not None):
        return None
    runtimes = facts.docker.info.get("Runtimes") or {}
    toolkit = f"NVIDIA container toolkit {facts.toolkit or 'of unknown version'}"
    if isinstance(runtimes, Mapping) and "nvidia" in runtimes:
        return ok("Docker has the runtime nvidia" + (f", {toolkit}" if facts.toolkit else ""))
    if not facts.docker.local:
        return Verdict("warning", "the daemon elsewhere has no runtime nvidia", f"there: {TOOLKIT_REMEDY}")
    if facts.toolkit is not None:
        return Verdict(
            "warning",
            f"{toolkit} is here, but Docker has no runtime nvidia: --gpus may work, --runtime nvidia does not",
            "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
        )
    return Verdict("error", "no NVIDIA container toolkit: a container does not see the GPU", TOOLKIT_REMEDY)


def shortages(needs: Mapping[str, float], disks: Mapping[str, Disk]) -> list[str]:
    """Disks on which what is needed does not fit, in words; needs on the same file system are added up.

    Args:
        needs: key of a disk to bytes.
        disks: as in `Facts`.
    """
    by_device: dict[int, list[str]] = {}
    for key, need in needs.items():
        if need > 0 and key in disks:
            by_device.setdefault(disks[key].device, []).append(key)
    short = []
    for keys in by_device.values():
        need, free = sum(needs[key] for key in keys), disks[keys[0]].free
        if need > free:
            places = " and ".join(disks[key].path for key in keys)
            short.append(f"{places}: {need / GB:.0f} GB needed, {free / GB:.0f} GB free")
    return short


def disk_words(keys: Sequence[str], disks: Mapping[str, Disk]) -> str:
    """Free space of each of these disks that is known."""
    return "; ".join(f"{disks[key].path}: {disks[key].free / GB:.0f} GB free" for key in keys if key in disks)


DISK_REMEDY = (
    "docker system df shows what Docker keeps; set MODELS_DIR or HF_HOME to a larger disk. Not "
    "`docker image prune -a`: it also deletes images built here that no container uses; remove by name and tag"
)


def disk(facts: Facts) -> Verdict:
    """Space for an image and a model."""
    needs = {"docker": IMAGE_GB * GB, "models": MODEL_GB * GB}
    if not facts.disks:
        return Verdict("warning", "free space could not be read", "df -h shows it")
    short = shortages(needs, facts.disks)
    if short:
        return Verdict("warning", "; ".join(short), DISK_REMEDY)
    return ok(disk_words(("docker", "models", "hub"), facts.disks))


def folders(facts: Facts) -> Verdict | None:
    """Whether the models' folders are this user's."""
    disks = [facts.disks[key] for key in ("models", "hub") if key in facts.disks]
    if not disks:
        return None
    files = [disk.path for disk in disks if not disk.is_folder]
    if files:
        return Verdict("error", f"a file, not a folder: {', '.join(files)}", "set MODELS_DIR or HF_HOME to a folder")
    closed = [disk for disk in disks if not disk.writable]
    if closed:
        first = closed[0]
        mend = f"sudo chown -R $USER {first.path}"
        if not first.exists:
            mend = f"sudo mkdir -p {first.path} && sudo chown $USER {first.path}"
        return Verdict(
            "warning",
            f"not writable for this user: {', '.join(disk.path for disk in closed)}",
            f"{mend}, or set MODELS_DIR or HF_HOME elsewhere",
        )
    foreign = [f"{disk.path} ({disk.foreign})" for disk in disks if disk.foreign]
    if foreign:
        return Verdict(
            "warning",
            f"entries that belong to root: {', '.join(foreign)}",
            "sudo chown -R $USER on that folder; download on the host (recipegen download), or run the container that "
            "downloads with --user $(id -u):$(id -g)",
        )
    return ok(", ".join(disk.path if disk.exists else f"{disk.path} (not there yet)" for disk in disks))


def hub_cache(facts: Facts) -> Verdict | None:
    """Whether downloads go where the container looks."""
    if facts.hub_cache is None:
        return None
    return Verdict(
        "warning",
        f"HF_HUB_CACHE is {facts.hub_cache}, outside of HF_HOME",
        "unset HF_HUB_CACHE (and HUGGINGFACE_HUB_CACHE) and set HF_HOME to the folder that is mounted",
    )


def programs(facts: Facts) -> Verdict | None:
    """The programs that a kit calls."""
    if "programs" in facts.unanswered:
        return None
    shown = ", ".join(f"{name} {version}".strip() for name, version in facts.programs.items())
    if "llama-benchy" not in facts.programs:
        remedy = "install recipegen again: pip install --force-reinstall recipegen"
        return Verdict("error", f"llama-benchy is missing; here: {shown}", remedy)
    missing = [name for name in ("bash", "curl", "python3") if name not in facts.programs]
    if missing:
        return Verdict("warning", f"missing: {', '.join(missing)}; here: {shown}", f"install {' '.join(missing)}")
    bash = facts.programs["bash"].split(".")[0]
    if bash.isdigit() and int(bash) < OLDEST_BASH:
        return Verdict(
            "warning", f"bash {facts.programs['bash']} is older than {OLDEST_BASH}.0", "install a newer bash"
        )
    if "uv" not in facts.programs:
        return Verdict(
            "info",
            f"{shown}; no uv",
            "only a kit used without recipegen wants it (uvx): https://docs.astral.sh/uv/, or pip install llama-benchy "
            "huggingface_hub",
        )
    return ok(shown)


def tokens(facts: Facts) -> Verdict | None:
    """Which tokens are present; never what they are."""
    if not facts.tokens:
        return None
    shown = ", ".join(f"{name} {f'present ({at})' if at else 'absent'}" for name, at in facts.tokens.items())
    found = f"{shown}, Docker login at {NGC} {'present' if NGC in facts.logins else 'absent'}"
    if facts.tokens.get("HF_TOKEN"):
        return ok(found)
    return Verdict(
        "info", found, "for gated models: accept the terms on the model's page, then export HF_TOKEN or `hf auth login`"
    )


def network(facts: Facts) -> Verdict | None:
    """Whether hub and registries are reached."""
    if not facts.reached:
        return None
    failed = [f"{url} ({reason})" for url, reason in facts.reached.items() if reason]
    if failed:
        return Verdict(
            "warning",
            f"not reached: {', '.join(failed)}",
            "check the network and HTTPS_PROXY; what is downloaded already works without: HF_HUB_OFFLINE=1",
        )
    return ok(f"reached: {', '.join(facts.reached)}")


def probes(facts: Facts) -> Verdict | None:
    """What gave no answer."""
    if not facts.unanswered:
        return None
    shown = "; ".join(f"{name}: {why}" for name, why in facts.unanswered.items())
    return Verdict("warning", f"no answer: {shown}", "a network disk that is gone or a driver that hangs: look there")
