"""GGUF repositories: which quantizations they hold, and which one a first recipe takes. Owns names of files; fetches
nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_QUANT = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8](?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|FP16|F16|F32))(?=$|[-._/])",
    re.IGNORECASE,
)
_SHARD = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf")
_NOT_WEIGHTS = re.compile(r"(?:^|/)(?:mmproj|imatrix|vocab)|[-._]imatrix|mmproj", re.IGNORECASE)
"""Encoders of pictures and tables of importance travel as GGUF files, too."""
_DRAFT = re.compile(r"(?:^|[-._/])(?:mtp|draft|eagle3?|dflash)(?=[-._/])", re.IGNORECASE)
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
PREFERRED = (
    "Q4_K_M",
    "UD-Q4_K_XL",
    "Q4_K_L",
    "MXFP4_MOE",
    "MXFP4",
    "NVFP4",
    "Q4_K_S",
    "UD-IQ4_XS",
    "IQ4_NL",
    "IQ4_XS",
    "Q4_0",
)
"""Four bits, the usual middle between size and quality, in the order in which one is taken."""


@dataclass(frozen=True)
class GgufSet:
    """The files of one quantization.

    Attributes:
        quant: in capitals, as llama.cpp names it.
        first: the file that the engine opens; further shards lie beside it.
        size_gb: GB of 10^9 bytes of all its files; None where the hub gives no size for one.
    """

    quant: str
    first: str
    files: tuple[str, ...]
    size_gb: float | None


def gguf_sets(files: Mapping[str, int | None]) -> list[GgufSet]:
    """The quantizations of a repository, smallest first; what is no weights or lacks a shard is left out.

    Args:
        files: path to size in bytes.
    """
    found = []
    for path, size in files.items():
        if not path.lower().endswith(".gguf") or not _PATH.fullmatch(path) or len(path) > 300:
            continue
        if _NOT_WEIGHTS.search(path) or _DRAFT.search(path):
            continue
        shard = _SHARD.fullmatch(path)
        if shard is None:
            found.append(GgufSet(_quant_of(path), path, (path,), _gb([size])))
        elif int(shard[2]) == 1:
            count = int(shard[3])
            names = tuple(f"{shard[1]}-{number:05d}-of-{shard[3]}.gguf" for number in range(1, min(count, 1000) + 1))
            if all(name in files for name in names):
                found.append(GgufSet(_quant_of(path), path, names, _gb([files[name] for name in names])))
    return sorted(found, key=lambda one: (one.size_gb is None, one.size_gb or 0, one.first))


def chosen_set(sets: list[GgufSet], most_gb: float) -> tuple[GgufSet, str] | None:
    """The set that a first recipe takes, and why; None without one.

    Args:
        sets: smallest first.
        most_gb: what the machine has room for.
    """
    fitting = [one for one in sets if one.size_gb is None or one.size_gb <= most_gb]
    for quant in PREFERRED:
        for one in fitting:
            if one.quant == quant:
                return one, "four bits: the usual middle between size and quality"
    if fitting:
        return fitting[-1], f"the largest that leaves room on the machine (at most {most_gb:g} GB)"
    return (sets[0], f"the smallest there is, and yet more than {most_gb:g} GB") if sets else None


def _quant_of(path: str) -> str:
    """The quantization that a file's name carries, the last one in it; the folder's where the file has none."""
    stem = re.sub(r"(?:-[0-9]{5}-of-[0-9]{5})?\.gguf$", "", path, flags=re.IGNORECASE)
    found = _QUANT.findall(stem)
    return found[-1].upper() if found else "unknown"


def _gb(sizes: list[int | None]) -> float | None:
    known = [size for size in sizes if size is not None]
    return sum(known) / 1e9 if len(known) == len(sizes) else None
