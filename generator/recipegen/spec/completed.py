"""The completed recipe: nothing is left to default. Owns its shape; every later stage sees only this."""

from __future__ import annotations

import hashlib
import itertools
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from recipegen.spec.model import (
    Author,
    Cell,
    Corpus,
    EngineName,
    Model,
    Profile,
    Published,
    Reference,
    Run,
    Thinking,
    Volume,
)
from recipegen.spec.topology import Fabric, ResolvedCluster

MAIN_MODEL = "model"
"""Key of the recipe's main model among the completed models."""


class _Completed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HardwareProfile(_Completed):
    """A kind of machine that recipes are written for.

    Attributes:
        label: how the table names it.
        gpu: substring of the GPU's name as nvidia-smi prints it; None for a machine without one.
        sm: compute architecture of its GPU, as CUDA writes it: sm_121.
        arch_list: TORCH_CUDA_ARCH_LIST for its GPU.
        memory_gb: memory of one node that the engine can use, GB (10^9 bytes); None when it varies.
        bandwidth_gb_s: peak memory bandwidth of one node, GB/s.
        nodes: how many of these machines work together.
        interconnect: what joins the nodes; None for a single one.
        fabric: names and speed of what joins them; None where it is not known.
        note: what else to know, in words.
    """

    id: str
    label: str
    gpu: str | None = None
    sm: str | None = None
    arch_list: str | None = None
    cpu_arch: str | None = None
    memory_gb: float | None = None
    bandwidth_gb_s: float | None = None
    nodes: int = Field(default=1, ge=1)
    interconnect: str | None = None
    fabric: Fabric | None = None
    note: str | None = None
    source: str


class ResolvedImage(_Completed):
    """How the image is built; fields of other build modes are empty."""

    mode: str
    base: str
    transformers: str | None
    arch_list: str | None
    env: dict[str, str]
    apt: tuple[str, ...]
    pip: tuple[str, ...]
    patches: tuple[str, ...]
    cpu: bool
    wheels: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    offline: bool = False
    torch_version: str | None = None
    torch_index_url: str | None = None
    runtime_base: str | None = None
    repo: str | None = None
    ref: str | None = None
    flashinfer: str | None = None
    max_jobs: int | None = None
    cmake_args: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class ResolvedEngine(_Completed):
    """The server that all variants start."""

    name: EngineName
    version: str | None
    notes: dict[str, str]


class ResolvedVariant(_Completed):
    """One way to start the server, flags and environment complete.

    Attributes:
        script: name of its launch script under scripts/.
        method: speculative method as the table names it; AR without one.
        model: key of the served model.
        flags: engine flags by long name, in the order of the recipe.
        refused: why nobody should start it; None for all others.
    """

    name: str
    title: str
    script: str
    method: str
    model: str
    flags: dict[str, Any]
    env: dict[str, str]
    notes: str | None
    measure: bool
    silenced: dict[str, str]
    refused: str | None = None


class ResolvedRun(Run):
    """Container options; `gpus` is known."""

    gpus: str  # type: ignore[assignment]


class PlannedCell(_Completed):
    """One cell on one corpus in one thinking mode."""

    id: str
    corpus: str
    pp: int
    tg: int
    depth: int
    concurrency: int
    thinking: Thinking
    runs: int
    prefix_caching: bool = False


class ResolvedBench(_Completed):
    """What to measure, corpora and headline cell known."""

    tool: str
    runs: int
    corpora: dict[str, Corpus]
    cells: tuple[Cell, ...]
    thinking: tuple[Thinking, ...]
    thinking_kwarg: str
    headline: str = Field(description="id of the headline cell")
    exact_tg: bool
    no_cache: bool
    coherence: bool
    latency_mode: str
    adapt_prompt: bool
    profiles: dict[str, Profile]
    quality: str


class Spec(_Completed):
    """A recipe with nothing left to default."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    schema_: str = Field(serialization_alias="schema")
    name: str
    title: str
    status: str
    hardware: HardwareProfile
    license: str
    authors: tuple[Author, ...]
    references: tuple[Reference, ...]
    description: str | None
    models: dict[str, Model]
    image: ResolvedImage
    engine: ResolvedEngine
    headline: str
    baseline: str | None
    variants: dict[str, ResolvedVariant]
    cluster: ResolvedCluster | None = None
    run: ResolvedRun
    bench: ResolvedBench
    healthy_log: tuple[str, ...]
    pitfalls: tuple[str, ...]
    published: tuple[Published, ...]
    missing: tuple[str, ...]
    silenced: dict[str, str]

    @cached_property
    def sha256(self) -> str:
        """Identity of what is built and measured. Prose, credit, status and figures of others are no part of it."""
        prose = {"title", "status", "license", "authors", "references", "description"}
        prose |= {"healthy_log", "pitfalls", "published", "missing", "silenced"}
        prose.add("cluster")  # ports and interfaces are the host's; ranks and executor stand in the flags
        hardware_prose = {"label", "source", "note", "sm", "interconnect", "fabric"}
        if self.hardware.nodes == 1:  # a single machine keeps the identity it had before clusters were known
            hardware_prose.add("nodes")
        inner = {
            "models": {"__all__": {"notes", "license", "size_gb"}},
            "variants": {"__all__": {"title", "notes", "measure", "silenced", "refused"}},
            "engine": {"notes"},
            "bench": {"profiles", "quality"},
            "hardware": hardware_prose,
        }
        if not self.image.files:  # younger than the first records, whose identity stays what it was
            inner["image"] = {"files"}
        excluded: dict[str, Any] = {**dict.fromkeys(prose, True), **inner}
        text = self.model_dump_json(by_alias=True, exclude=excluded)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _cells(self) -> tuple[PlannedCell, ...]:
        return tuple(planned_cells(self.bench))

    def cells(self) -> tuple[PlannedCell, ...]:
        """Every cell to measure, headline first, then in the order of the recipe."""
        return self._cells

    def cell(self, cell_id: str) -> PlannedCell:
        """The cell of that id.

        Raises:
            KeyError: the recipe has no such cell.
        """
        for cell in self._cells:
            if cell.id == cell_id:
                return cell
        raise KeyError(cell_id)

    @property
    def startable(self) -> dict[str, ResolvedVariant]:
        """The variants that may be started: all but the refused ones."""
        return {name: variant for name, variant in self.variants.items() if variant.refused is None}

    @property
    def main_model(self) -> Model:
        """The model that the headline variant serves."""
        return self.models[self.variants[self.headline].model]

    @property
    def served_name(self) -> str:
        """The name that requests use, whatever variant runs."""
        name = self.models[MAIN_MODEL].served_name
        assert name is not None, "completion fills served_name"
        return name


def cell_id(corpus: str, cell: Cell, thinking: Thinking) -> str:
    """`prose-pp2048-tg128-d0-c1`, with `-think-on` or `-think-off` when the mode is set."""
    base = f"{corpus}-pp{cell.pp}-tg{cell.tg}-d{cell.depth}-c{cell.concurrency}"
    return base if thinking == "default" else f"{base}-think-{thinking}"


def planned_cells(bench: ResolvedBench) -> list[PlannedCell]:
    """All combinations of corpus, thinking mode and cell, headline first."""
    cells = [
        PlannedCell(
            id=cell_id(corpus, cell, thinking),
            corpus=corpus,
            pp=cell.pp,
            tg=cell.tg,
            depth=cell.depth,
            concurrency=cell.concurrency,
            thinking=thinking,
            runs=bench.runs,
        )
        for thinking, corpus, cell in itertools.product(bench.thinking, bench.corpora, bench.cells)
    ]
    return sorted(cells, key=lambda cell: cell.id != bench.headline)


__all__ = [
    "MAIN_MODEL",
    "PlannedCell",
    "ResolvedBench",
    "ResolvedImage",
    "ResolvedVariant",
    "Spec",
    "Volume",
    "cell_id",
]
