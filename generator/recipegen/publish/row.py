"""The row of a recipe as data: what INDEX.md, index.json, index.csv, `recipegen list` and the site all show of it.

Owns no text and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from recipegen.spec.model import Published

State = Literal["measured", "published", "not measured"]


@dataclass(frozen=True)
class Measured:
    """One measured figure, in its metric's unit (publish.figures.UNITS).

    Attributes:
        low, high: 95 % bootstrap interval of the median; the figure itself where there is a single sample.
        n: warm samples.
        warnings: codes of stats.summary: few-samples, wide-interval, drift, two-groups.
    """

    median: float
    low: float
    high: float
    n: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SpeedUp:
    """The headline over the baseline at the same cell: decode speed, on the same machine.

    Attributes:
        baseline: the variant that it is held against.
        low, high: 95 % interval of the ratio; None where there is none.
        effect: faster, slower, same or undecided; None where nothing can be said.
    """

    baseline: str
    ratio: float
    low: float | None
    high: float | None
    effect: str | None


@dataclass(frozen=True)
class AgentScore:
    """Newest agentic run of one suite: `TBLite`, `12 of 20`, `borderline`, and where the agent ran."""

    suite: str
    score: str
    label: str
    machine: str
    own_hardware: bool


@dataclass(frozen=True)
class Row:
    """A recipe as its row shows it.

    Attributes:
        link: the folder as seen from the repository's root, with forward slashes: `recipes/<name>`.
        state: measured here; else published by others; else neither.
        engine: name, and the version that was measured, or else the one that the recipe is written for.
        context: tokens that the headline variant's server takes; None where nobody says.
        headline: the headline variant; `method` is its speculative method, AR without one.
        cell: id of the headline cell; pp_tokens, tg_tokens, depth (tokens) and concurrency are its shape.
        tg, pp, ttfr: of the headline cell (tok/s, tok/s, ms); None where nothing was measured.
        memory_bytes: most memory of the host in use meanwhile; None where nobody looked.
        quality: pass, warn, fail; None where nobody asked.
        verdict: plausibility of the headline cell: a doubtful one must be shown beside the figure.
        origin: bench, kit or collected.
        run, machine, date: of the run whose figures these are; None where there is none.
        own_hardware: whether that machine is the hardware that the recipe is written for.
        report: its raw report as seen from the repository's root; None where there is none.
        charts: SVG files of the recipe as seen from the repository's root.
        last_run: date of the newest run of any variant, whatever became of it.
        runs: how many there are.
        reproduced: how many other machines' or people's measurements reproduced the headline.
        published: figures of others, each with its source.
    """

    name: str
    title: str
    link: str
    status: str
    state: State
    model: str
    quantization: str
    method: str
    engine: str
    hardware: str
    nodes: int
    context: int | None
    headline: str
    cell: str
    pp_tokens: int
    tg_tokens: int
    depth: int
    concurrency: int
    tg: Measured | None = None
    pp: Measured | None = None
    ttfr: Measured | None = None
    speed_up: SpeedUp | None = None
    memory_bytes: int | None = None
    quality: str | None = None
    verdict: str | None = None
    origin: str | None = None
    run: str | None = None
    machine: str | None = None
    date: str | None = None
    own_hardware: bool = True
    report: str | None = None
    charts: tuple[str, ...] = ()
    last_run: str | None = None
    runs: int = 0
    reproduced: int = 0
    agents: tuple[AgentScore, ...] = ()
    published: tuple[Published, ...] = ()
