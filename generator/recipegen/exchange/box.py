"""Options of a container, as `docker run` and compose both have them. Owns what of them recipegen has a place for, and
the words for what it has none for."""

from __future__ import annotations

import re
from typing import Any

from recipegen.engines.container import COMPILE_CACHES
from recipegen.exchange.report import shown
from recipegen.exchange.source import Box, Source
from recipegen.exchange.words import Word
from recipegen.results.scrub import find_secret, is_secret

HF_HOME = "/root/.cache/huggingface"
_HUB_CACHE = re.compile(r"(?:.*/)?(?:\.cache/)?huggingface(?:/hub)?/?|.*/hf[-_]?(?:cache|home)/?")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([bkmgtBKMGT]?)(?:[iI]?[bB])?")
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_API_TOKEN")
NO_EFFECT = "recipegen's driver and kit do this in their own way"
MACHINE = "recipegen has no place for this option of a container; add it to `docker run` by hand where it is needed"


def put_env(source: Source, name: str, value: Word | None, label: str) -> None:
    """One variable of the server's environment; secrets and what belongs to the kit stay out.

    Args:
        value: None where the source takes it from the environment of who runs it.
        label: how the report calls it.
    """
    report, line = source.report, value.line if value else 0
    if name in TOKENS or (value is not None and (is_secret(name, value.text) or find_secret(value.text))):
        report.secret(label, line)
    elif value is None or value.why:
        why = value.why if value is not None else "a value that only the caller's environment has"
        report.lose(label, f"needs {why}", "", line)
    elif name in ("HF_HOME", "HF_HUB_CACHE", "TRANSFORMERS_CACHE", "HUGGINGFACE_HUB_CACHE"):
        report.note(f"{label}: the kit itself says where the models lie (run.models)")
    else:
        source.env[name] = value.text


def put_volume(source: Source, text: str, label: str, line: int = 0, read_only: bool = False) -> None:
    """`SOURCE:TARGET[:OPTIONS]`; the hub's cache is what `run.models: hf-cache` mounts."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(parts[:2]):
        source.report.lose(label, "is not a folder of the host and a folder of the container", text, line)
        return
    outer, inner = parts[:2]
    read_only = read_only or "ro" in (parts[2].split(",") if len(parts) == 3 else ())
    if _HUB_CACHE.fullmatch(inner) or _HUB_CACHE.fullmatch(outer):
        source.report.note(f"{label} {shown(outer)}: the hub's cache, which run.models: hf-cache mounts")
    elif inner.rstrip("/") in COMPILE_CACHES.values():
        source.compile_cache = True
        source.report.note(f"{label} {shown(outer)}: the engine's compile cache, which run.compile_cache keeps")
    elif not outer.startswith(("/", "~", ".")):
        source.report.lose(label, "a volume of Docker's own; recipegen mounts folders of the host", text, line)
    else:
        source.box.volumes.append((outer if outer != "." else "./", inner, read_only))


def put_port(source: Source, text: str, label: str, line: int = 0) -> None:
    """`[IP:][HOST:]CONTAINER[/tcp]`: where the server is reached from the host."""
    found = re.fullmatch(r"(?:(?:[0-9]+(?:\.[0-9]+){3}|\[[0-9a-f:]+\]):)?(?:([0-9]{1,5}):)?([0-9]{1,5})(?:/tcp)?", text)
    if found is None or source.box.published is not None:
        why = "is not one port" if found is None else "recipegen publishes one port"
        source.report.lose(label, why, text, line)
        return
    source.box.published = int(found[1] or found[2])


def put_ulimit(source: Source, text: str, label: str, line: int = 0) -> None:
    """`NAME=N` or `NAME=SOFT:HARD` with both the same."""
    found = re.fullmatch(r"([a-z]+)=(-?[0-9]{1,18})(?::(-?[0-9]{1,18}))?", text)
    if found is None or found[3] not in (None, found[2]):
        source.report.lose(label, "recipegen holds one number for a limit", text, line)
        return
    source.box.ulimits[found[1]] = int(found[2])


def put_choice(source: Source, key: str, text: str, label: str, line: int = 0) -> None:
    """ipc, network, shm_size, gpus: the values that recipegen has."""
    box, report = source.box, source.report
    if key == "ipc" and text in ("host", "private"):
        box.ipc = text
    elif key == "network" and text in ("host", "bridge", "default"):
        box.network = "host" if text == "host" else "bridge"
    elif key == "shm_size" and (found := _SIZE.fullmatch(text)) and found[2].lower() != "t":
        box.shm_size = found[1] + found[2].lower()
    elif key == "gpus" and re.fullmatch(r"\"?(?:all|count=all|-1|device=0)\"?", text):
        box.gpus = True
    elif key == "gpus":
        box.gpus = True
        report.lose(label, "recipegen gives a container all GPUs", text, line)
    else:
        report.lose(label, f"recipegen has no such value for {key}", text, line)


def put_executor(source: Source, config: dict[str, Any], where: Any) -> None:
    """sparkrun's `executor_config`."""
    for key, value in config.items():
        label, line = f"executor_config.{key}", where(("executor_config", key)).line
        if value is None:
            continue
        if key in ("ipc", "network", "shm_size", "gpus"):
            put_choice(source, key, str(value), label, line)
        elif key == "ulimit" and isinstance(value, list):
            for item in value:
                put_ulimit(source, str(item), label, line)
        elif key == "entrypoint" and value == "":
            source.report.note(f"{label}: the kit's image has an entry point of its own")
        elif key in ("auto_remove", "restart_policy", "labels", "gpu_access_mode"):
            source.report.lose(label, NO_EFFECT, value, line, runs=False)
        elif key == "user" and value in ("root", "0", 0, "0:0"):
            source.report.note(f"{label}: the kit's container runs as root")
        else:
            source.report.lose(label, MACHINE, value, line)


def finish(box: Box) -> None:
    """What a plain container has where its source is silent."""
    box.ipc = box.ipc or "private"
    box.network = box.network or "bridge"
