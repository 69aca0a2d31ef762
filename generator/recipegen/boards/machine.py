"""The machine of a LocalMaxxing row: the hardware union, from the facts of a run. Owns the spellings that the board
groups by; what is not known is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recipegen.bench.host import gpu_slug

if TYPE_CHECKING:
    from recipegen.results.store import RunRecord
    from recipegen.spec.completed import Spec

_GIB = 1 << 30
_OS_LONGEST = 64
_GPUS_MOST = 16
GB10: Mapping[str, Any] = {
    "hwClass": "UNIFIED",
    "chipVendor": "NVIDIA",
    "chipFamily": "GB10 Blackwell",
    "chipVariant": "DGX Spark",
}
"""As the published rows of DGX Sparks have it, so that new ones join the same record of hardware."""
GB10_MEMORY_GB = 128
"""Nominal, of one box; the kernel sees 119.7 GiB of it."""


@dataclass(frozen=True)
class Machine:
    """What a row says of a machine.

    Attributes:
        hardware: the union; None where the machine is not known.
        backend: the interface to the accelerator; None for a CPU, for which the board has no word.
        problems: why there is no hardware.
        warnings: what a person should look at.
    """

    hardware: dict[str, Any] | None
    backend: str | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def unified(self) -> bool:
        """Whether the memory of the host is that of the GPU."""
        return self.hardware is not None and self.hardware["hwClass"] == "UNIFIED"


@dataclass
class _Notes:
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def machine_of(spec: Spec, record: RunRecord) -> Machine:
    """The machine that a run was measured on.

    Args:
        spec: says how many boxes; its own hardware counts where the record says of none but names the machine so.
    """
    facts = record["host"]
    notes = _Notes()
    if facts is None:
        if spec.hardware.gpu == "GB10" and "gb10" in record["machine"].lower().split("-"):
            notes.warnings.append(f"nobody noted the host's facts; the machine's name {record['machine']!r} says GB10")
            return _with(_gb10(spec, {}, notes), "cuda", notes)
        problem = "the run's record says nothing of the machine: measure with recipegen on the machine itself"
        return Machine(None, problems=(problem,))
    gpus = facts.get("gpus")
    if gpus is None:
        return Machine(None, problems=("nvidia-smi failed when the run was recorded: its GPU is not known",))
    if any(gpu_slug(gpu["name"]) == "gb10" for gpu in gpus):
        return _with(_gb10(spec, facts, notes), "cuda", notes)
    if any(gpu.get("unified_memory") for gpu in gpus):
        return Machine(None, problems=(f"no spelling of the board is known for the chip {gpus[0]['name']!r}",))
    if gpus:
        return _with(_discrete(facts, gpus, notes), "cuda", notes)
    return _with(_cpu(facts, notes), None, notes)


def _with(hardware: dict[str, Any] | None, backend: str | None, notes: _Notes) -> Machine:
    return Machine(hardware, backend, tuple(notes.problems), tuple(notes.warnings))


def _gb10(spec: Spec, facts: Mapping[str, Any], notes: _Notes) -> dict[str, Any]:
    nodes = spec.hardware.nodes
    if nodes > 1:
        notes.warnings.append(
            f"the board has no field for {nodes} boxes: unifiedMemoryGb is their sum, as another client sends it, and "
            "notes say how they are joined"
        )
    return {**GB10, "unifiedMemoryGb": GB10_MEMORY_GB * nodes, **_common(facts)}


def _discrete(facts: Mapping[str, Any], gpus: list[Mapping[str, Any]], notes: _Notes) -> dict[str, Any]:
    notes.warnings.append("gpuName must be one of the board's own list, which is not known here: the dry run tells")
    if len(gpus) > _GPUS_MOST:
        notes.problems.append(f"the board takes {_GPUS_MOST} GPUs at most, the machine has {len(gpus)}")
    slots = [{"gpuName": gpu["name"], **_sized("vramGb", gpu.get("memory_bytes"))} for gpu in gpus]
    if all(slot == slots[0] for slot in slots) and "vramGb" in slots[0]:
        if len(slots) > 1:
            notes.warnings.append("vramGb is that of one card; whether the board wants the sum is not settled")
        cards = {**slots[0], **({"gpuCount": len(slots)} if len(slots) > 1 else {})}
    else:
        cards = {"gpus": slots}
    return {"hwClass": "DISCRETE_GPU", **cards, **_sized("ramGb", facts.get("memory_bytes")), **_common(facts)}


def _cpu(facts: Mapping[str, Any], notes: _Notes) -> dict[str, Any] | None:
    common = _common(facts)
    if "cpu" not in common:
        notes.problems.append("the run's record does not name the processor, which a row of a CPU needs")
        return None
    return {"hwClass": "CPU_ONLY", **_sized("ramGb", facts.get("memory_bytes")), **common}


def _common(facts: Mapping[str, Any]) -> dict[str, str]:
    """Processor and system, as far as they are known."""
    cpu, system = facts.get("cpu"), facts.get("os")
    model = cpu.get("model") if isinstance(cpu, Mapping) else None
    found = {"cpu": model, "os": system[:_OS_LONGEST] if isinstance(system, str) else None}
    return {name: text for name, text in found.items() if isinstance(text, str) and text}


def _sized(name: str, size: object) -> dict[str, int]:
    """A size in whole GiB, as cards and boxes are sold; empty when it is not known."""
    return {name: round(size / _GIB)} if isinstance(size, int) and size >= _GIB else {}
