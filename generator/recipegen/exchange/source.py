"""What a recipe of another project says, in one shape for all of them. Owns the shape; reads no format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipegen.exchange.report import Report
from recipegen.exchange.words import Word


@dataclass
class Box:
    """How the container runs, as far as recipegen has a place for it.

    Attributes:
        published: port of the host that leads to the server; None where the source publishes none.
        volumes: source, target, read_only.
    """

    published: int | None = None
    ipc: str | None = None
    shm_size: str | None = None
    network: str | None = None
    gpus: bool | None = None
    ulimits: dict[str, int] = field(default_factory=dict)
    volumes: list[tuple[str, str, bool]] = field(default_factory=list)


@dataclass
class Extra:
    """A further variant: words and environment that come on top of the common ones."""

    title: str
    words: list[Word]
    env: dict[str, str]


@dataclass
class Source:
    """One recipe of another project.

    Attributes:
        kind: format and version, in words.
        names: what the recipe could be called, best first.
        words: the server's command line, program first.
        model: the model that the source names beside its command line: a hub id, with `:QUANT` for GGUF.
        engine: what the source calls its engine, where it names one.
        nodes: how many machines; None where the source does not say.
        nodes_line: line that says so; 0 where none does.
        quantization: as the source calls it.
        benches: lists of pp, depth, concurrency, and tg, for profiles.
        layered: whether a flag that is given again replaces the first one by the source's own rules.
        missing: what a run would need and the source does not give.
    """

    kind: str
    file: Path
    report: Report = field(default_factory=Report)
    names: list[str] = field(default_factory=list)
    title: str | None = None
    description: str | None = None
    authors: list[dict[str, str]] = field(default_factory=list)
    references: list[dict[str, str]] = field(default_factory=list)
    engine: str | None = None
    engine_version: str | None = None
    image: str | None = None
    words: list[Word] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    revision: str | None = None
    quantization: str | None = None
    nodes: int | None = None
    nodes_line: int = 0
    box: Box = field(default_factory=Box)
    compile_cache: bool = False
    extras: dict[str, Extra] = field(default_factory=dict)
    benches: dict[str, dict[str, Any]] = field(default_factory=dict)
    layered: bool = False
    missing: list[str] = field(default_factory=list)
