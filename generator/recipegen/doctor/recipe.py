"""What the facts of a host mean for one variant of one recipe: pure functions. Owns no probing."""

from __future__ import annotations

from recipegen.bench.host import hardware_matches
from recipegen.doctor.case import RecipeOnHost, base_images, number, registry, registry_address
from recipegen.doctor.facts import GB, GIB, size
from recipegen.doctor.finding import CLUSTER, GUIDE, OWN, REPRODUCERS, Check, Verdict, ok
from recipegen.doctor.machine import FLUSH, fast_links, link_words
from recipegen.doctor.software import CPU_IMAGE_GB, DISK_REMEDY, IMAGE_GB, NGC, disk_words, shortages
from recipegen.engines.base import used_models
from recipegen.engines.container import container

DEFAULT_UTILIZATION = 0.92
"""vLLM's gpu_memory_utilization where a recipe sets none: 0.92 in 0.32, 0.9 in 0.19 (vllm/config/cache.py)."""
MEMORY_SHARE = 0.9
"""The kernel shows a few percent less memory than is built in."""
LONG_MINIMAX = 100_000
MINIMAX_SWAP = 64 * GIB
SLOW_LINK_MBIT = 100_000
"""A ConnectX-7 link runs at 200 Gbit/s; half of it and more is not the Ethernet fallback."""


def _hardware(case: RecipeOnHost) -> Verdict:
    wanted, host = case.spec.hardware, case.facts.host
    names = ", ".join(gpu["name"] for gpu in host.get("gpus") or ()) or "no GPU"
    if not hardware_matches(dict(host), wanted.gpu):
        found = f"written for {wanted.label}; this host has {names}"
        if host.get("gpus"):
            remedy = "its image and flags may not fit: make a copy for this machine, recipegen new NAME --from RECIPE"
            return Verdict("warning", found, remedy)
        return Verdict("error", found, "take a recipe for hardware `cpu`, or another machine")
    total = case.facts.memory.get("MemTotal")
    if (
        wanted.gpu
        and wanted.memory_gb
        and case.facts.unified
        and total
        and total < MEMORY_SHARE * wanted.memory_gb * GB
    ):
        return Verdict(
            "warning", f"{size(total)} of memory; {wanted.label} has {wanted.memory_gb:g} GB", "expect less context"
        )
    return ok(f"{wanted.label}: {names if wanted.gpu else 'every host will do'}")


def _cpu_arch(case: RecipeOnHost) -> Verdict | None:
    wanted, here = case.spec.hardware.cpu_arch, case.facts.host.get("arch")
    if wanted is None or here is None:
        return None
    if wanted != here:
        return Verdict(
            "error",
            f"made for {wanted}, this host is {here}",
            f"an image for {wanted} does not run here: change image.base and hardware in a copy of the recipe",
        )
    return ok(here)


def _base_image(case: RecipeOnHost) -> Verdict | None:
    facts = case.facts
    if not case.in_container or facts.docker.error:
        return None
    name = container(case.spec).image
    if facts.docker.images.get(name):
        return Verdict(
            "info",
            f"the image {name} is built",
            "`docker image prune -a` deletes it whenever no container uses it; docker save keeps a copy",
        )
    absent = [image for image in base_images(case.spec) if not facts.docker.images.get(image)]
    closed = [image for image in absent if registry(image) == NGC and NGC not in facts.logins]
    if closed:
        return Verdict(
            "warning",
            f"{', '.join(closed)} is not here, and there is no login for {NGC}",
            f"when the pull answers 401: docker login {NGC}, user $oauthtoken, password: an NGC API key",
        )
    unreached = [image for image in absent if facts.reached.get(registry_address(image))]
    if unreached:
        return Verdict(
            "warning",
            f"{', '.join(unreached)} is not here, and its registry was not reached",
            "pull it where there is a network: docker save there, docker load here",
        )
    have = "its base is here" if base_images(case.spec) and not absent else "its base is pulled by the build"
    return ok(f"the image {name} is not built yet; {have}")


def _models(case: RecipeOnHost) -> Verdict | None:
    if not case.model_keys or "models" in case.facts.unanswered:
        return None
    words = []
    for key in case.model_keys:
        here, rest = case.bytes_here(key), case.missing_bytes(key)
        if rest == 0:
            words.append(f"{key} is here ({(here or 0) / GB:.1f} GB)")
        elif here is None:
            whole = case.spec.models[key].size_gb
            words.append(f"{key} is not here ({f'{whole:g} GB' if whole else 'size unknown'})")
        else:
            words.append(f"{key} is incomplete ({here / GB:.1f} of {case.spec.models[key].size_gb:g} GB)")
    if case.incomplete():
        return Verdict("warning", "; ".join(words), f"recipegen download {case.spec.name} --variant {case.variant}")
    return ok("; ".join(words))


def _token(case: RecipeOnHost) -> Verdict | None:
    gated = [key for key in case.model_keys if case.spec.models[key].gated]
    if not gated:
        return None
    shown = ", ".join(case.spec.models[key].hf_id or key for key in gated)
    if case.facts.tokens.get("HF_TOKEN"):
        return ok(f"gated: {shown}; a token is present")
    if not set(gated) & set(case.incomplete()):
        return ok(f"gated: {shown}; downloaded already")
    return Verdict(
        "error",
        f"gated: {shown}; no token is present",
        "accept the terms on the model's page, then export HF_TOKEN or `hf auth login`",
    )


def _space(case: RecipeOnHost) -> Verdict | None:
    disks = case.facts.disks
    if not disks:
        return None
    rest = {key: case.missing_bytes(key) for key in case.model_keys}
    models = "hub" if case.spec.run.models == "hf-cache" else "models"
    needs = {models: sum(bytes_ or 0 for bytes_ in rest.values())}
    if case.in_container and not case.facts.docker.images.get(container(case.spec).image):
        needs["docker"] = (CPU_IMAGE_GB if case.spec.image.cpu else IMAGE_GB) * GB
    unknown = [key for key, bytes_ in rest.items() if bytes_ is None]
    note = f" (size unknown, not counted: {', '.join(unknown)})" if unknown else ""
    short = shortages(needs, disks)
    if short:
        return Verdict("error", "; ".join(short) + note, DISK_REMEDY)
    wanted = f"{needs[models] / GB:.1f} GB of models"
    if "docker" in needs:
        wanted += f" and {needs['docker'] / GB:.0f} GB for the image"
    return ok(f"to come: {wanted}{note}; {disk_words((models, 'docker'), disks)}")


def _port(case: RecipeOnHost) -> Verdict | None:
    if case.facts.port_free is None or (case.in_container and not case.facts.docker.local):
        return None
    shown = f"{case.options.host}:{case.options.port or case.spec.run.port}"
    if not case.facts.port_free:
        return Verdict("error", f"{shown} is taken", "recipegen status shows our servers; choose another: --port PORT")
    return ok(f"{shown} is free")


def _memory(case: RecipeOnHost) -> Verdict | None:
    facts = case.facts
    total, available, free = (facts.memory.get(name) for name in ("MemTotal", "MemAvailable", "MemFree"))
    if (
        total is None
        or available is None
        or free is None
        or not hardware_matches(dict(facts.host), case.spec.hardware.gpu)
    ):
        return None
    on_gpu = case.spec.hardware.gpu is not None
    if on_gpu and not facts.unified:
        rooms = [gpu.free_bytes for gpu in facts.gpus]
        sizes = [gpu["memory_bytes"] for gpu in facts.host["gpus"]]
        if not rooms or None in rooms or None in sizes:
            return None
        free = available = min(room for room in rooms if room is not None)
        total = min(sizes)
    if on_gpu and case.spec.engine.name == "vllm":
        share = case.flags.get("gpu-memory-utilization", DEFAULT_UTILIZATION)
        share = share if isinstance(share, int | float) else DEFAULT_UTILIZATION
        need, what = share * total, f"gpu-memory-utilization {share:g} of {size(total)} is {size(share * total)}"
    else:
        weights = sum(case.spec.models[key].size_gb or 0 for key in used_models(case.spec, case.variant)) * GB
        need, what = weights / case.nodes, f"the weights take about {size(weights / case.nodes)}"
    cache = facts.flushable() or 0
    if need > available:
        remedy = "stop what else runs (recipegen status, docker ps, nvidia-smi)"
        if case.spec.engine.name == "vllm":
            remedy += "; or lower gpu-memory-utilization: vLLM refuses to start otherwise"
        return Verdict("error" if on_gpu else "warning", f"{what}, but only {size(available)} is available", remedy)
    if need > free and facts.unified:
        return Verdict(
            "warning",
            f"{what}; {size(free)} is free and {size(cache)} more is page cache",
            f"before the start: {FLUSH}",
        )
    return ok(f"{what}; {size(available)} is available")


def _swap(case: RecipeOnHost) -> Verdict | None:
    swap = case.facts.memory.get("SwapTotal")
    named = any("MiniMax-M2.7" in (case.spec.models[key].hf_id or "") for key in case.model_keys)
    context = max(number(case.flags.get(flag)) for flag in ("ctx-size", "-c", "max-model-len"))
    if not named or context < LONG_MINIMAX or swap is None:
        return None
    if swap < MINIMAX_SWAP:
        return Verdict(
            "error",
            f"swap {size(swap)}; this context needs at least {size(MINIMAX_SWAP)}",
            "sudo fallocate -l 64G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && "
            "sudo swapon /swapfile",
        )
    return ok(f"swap {size(swap)}")


def _links(case: RecipeOnHost) -> Verdict | None:
    if case.nodes < 2:
        return None
    env = case.spec.variants[case.variant].env
    fast = fast_links(case.facts.interfaces)
    shown = ", ".join(map(link_words, fast)) or "no ConnectX interface"
    named = [name for name in env.get("NCCL_SOCKET_IFNAME", "").lstrip("^=").split(",") if name]
    absent = [name for name in named if not any(one.name.startswith(name) for one in case.facts.interfaces)]
    if absent and not env["NCCL_SOCKET_IFNAME"].startswith("^"):
        return Verdict(
            "error",
            f"NCCL_SOCKET_IFNAME names {', '.join(absent)}, which this host has not: {shown}",
            "name one that is up: ls /sys/class/net",
        )
    quick = [one for one in fast if one.up and (one.speed_mbit or 0) >= SLOW_LINK_MBIT]
    if not quick:
        return Verdict(
            "error",
            f"{case.nodes} machines, and no fast link is up: {shown}",
            "connect the QSFP ports (two machines: one cable; more: a switch) and give the interfaces addresses",
        )
    if not named:
        return Verdict("warning", shown, f"bind NCCL to it: NCCL_SOCKET_IFNAME={quick[0].name} in the recipe's env")
    return ok(shown)


def _ulimits(case: RecipeOnHost) -> Verdict | None:
    wanted = case.spec.run.ulimits
    if not wanted:
        return None
    shown = ", ".join(f"{name}={value}" for name, value in wanted.items())
    if case.in_container:
        options = case.facts.docker.info.get("SecurityOptions") or []
        if isinstance(options, list) and any("rootless" in str(option) for option in options):
            return Verdict("warning", f"{shown}, but a rootless Docker cannot raise limits", "use the system's daemon")
        return ok(f"{shown}: Docker sets them")
    low = [
        name
        for name, value in wanted.items()
        if name in case.facts.limits and _below(case.facts.limits[name][1], value)
    ]
    if low:
        return Verdict(
            "warning", f"{shown}; below it here: {', '.join(low)}", "raise them in /etc/security/limits.conf"
        )
    return ok(shown)


def _below(hard: int, wanted: int) -> bool:
    """Whether a hard limit is lower than wanted; -1 is none."""
    return hard != -1 and (wanted == -1 or hard < wanted)


def _tool(case: RecipeOnHost) -> Verdict | None:
    here, wanted = case.facts.programs.get("llama-benchy"), case.spec.bench.tool
    if not here:
        return None
    if here != wanted:
        return Verdict(
            "warning",
            f"llama-benchy {here} is here, the recipe measures with {wanted}",
            f"pip install llama-benchy=={wanted}, or set bench.tool: figures of two versions are not the same quantity",
        )
    return ok(f"llama-benchy {here}")


RECIPE_CHECKS: tuple[Check[RecipeOnHost], ...] = (
    Check("recipe-hardware", "flags are chosen for one kind of machine", f"{GUIDE}, section 2", _hardware),
    Check("recipe-cpu-arch", "an image runs on the architecture it was built for", f"{GUIDE}, section 2", _cpu_arch),
    Check(
        "recipe-image",
        "NVIDIA's registry may answer 401 without a login; pruning has deleted images that took hours to build",
        f"{GUIDE}, section 5; {CLUSTER}, build",
        _base_image,
    ),
    Check("recipe-models", "a server starts only when its models are where it looks", OWN, _models),
    Check("recipe-token", "the download of a gated model answers 401 without a token", f"{GUIDE}, section 11", _token),
    Check(
        "recipe-disk",
        f"image: an allowance of {IMAGE_GB} GB ({CPU_IMAGE_GB} GB on the CPU); models: their sizes in the recipe",
        OWN,
        _space,
    ),
    Check("recipe-port", "whatever holds the port would be measured instead", OWN, _port),
    Check(
        "recipe-memory",
        "vLLM starts only when its share of all memory is available, and on unified memory the page cache counts "
        "against it",
        f"{GUIDE}, sections 2, 5 and 11; vllm/v1/worker/utils.py of vLLM 0.32",
        _memory,
    ),
    Check("recipe-swap", "its public recipe was run with that much swap", f"{REPRODUCERS}, long context", _swap),
    Check(
        "recipe-links",
        "NCCL that falls back to Ethernet costs 10 to 20 times the throughput",
        f"{GUIDE}, section 12",
        _links,
    ),
    Check("recipe-ulimits", "limits that cannot be set keep the server from starting", OWN, _ulimits),
    Check("recipe-tool", "speeds of llama-benchy 0.3 and 0.4 are defined differently", OWN, _tool),
)
