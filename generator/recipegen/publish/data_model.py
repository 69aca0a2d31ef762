"""What stands in index.json, as models: the source of docs/index.schema.json and docs/index-format.md.

Owns the words that explain the fields; publish.data fills them, and a test holds the two equal.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recipegen.plausible.verdict import Verdict
from recipegen.publish.data import FORMAT
from recipegen.results.agent_eval import Label
from recipegen.results.store import Origin
from recipegen.spec.model import Status, Thinking
from recipegen.stats.compare import Effect
from recipegen.stats.summary import Code

_DATE = r"^\d{4}-\d{2}-\d{2}$"
_SOURCE = r"^https?://"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Part):
    """What the headline cell measures: prompt, answer and context in tokens, requests at a time."""

    id: str = Field(description="the cell's id: text, shape, thinking mode: `prose-pp2048-tg128-d0-c1`")
    pp_tokens: int = Field(ge=1, description="tokens of the prompt")
    tg_tokens: int = Field(ge=1, description="tokens of the answer")
    depth_tokens: int = Field(ge=0, description="tokens in the context before the prompt")
    concurrency: int = Field(ge=1, description="requests at a time; of several, tg and pp are their sum")


class Figure(_Part):
    """One measured figure. The first sample of a cell is not in it (docs/statistics.md)."""

    median: float = Field(description="of the warm samples")
    low: float = Field(description="lower end of the median's 95 % bootstrap interval")
    high: float = Field(description="upper end of it; of a single sample both are the figure itself")
    n: int = Field(ge=1, description="warm samples")
    warnings: list[Code] = Field(description="why the figure must be read with care; none where nothing is odd")


class MeasuredData(_Part):
    """The run whose figures stand in the table, and the figures of its headline cell."""

    run: str = Field(description="name of its folder: `<time>-<variant>`")
    machine: str = Field(description="name of the machine, the folder above that")
    date: str | None = Field(pattern=_DATE, description="day on which the cell was measured, in UTC")
    origin: Origin = Field(description="who called the tool: recipegen, the kit alone, or somebody elsewhere")
    own_hardware: bool = Field(description="whether that machine is the hardware that the recipe is written for")
    report: str | None = Field(description="llama-benchy's raw report, from the repository's root")
    verdict: Verdict | None = Field(
        description="whether the figures can be right (docs/plausibility.md); null where nobody judged them"
    )
    tg_tok_s: Figure | None = Field(description="decode speed in tokens a second")
    pp_tok_s: Figure | None = Field(description="prefill speed in tokens a second")
    ttfr_ms: Figure | None = Field(description="time to the first response in milliseconds")
    memory_bytes: int | None = Field(ge=0, description="most memory of the host in use while the cell was measured")


class SpeedUpData(_Part):
    """Decode speed over the baseline variant's: same cell, same machine."""

    baseline: str = Field(description="the variant that the headline is held against")
    ratio: float = Field(description="headline over baseline")
    low: float | None = Field(description="lower end of its 95 % interval; null where there is none")
    high: float | None = Field(description="upper end of it")
    effect: Effect | None = Field(description="what may be said of it; null where nothing may")


class Agent(_Part):
    """Newest agentic run of one suite with the headline variant."""

    suite: str = Field(description="the suite's name")
    score: str = Field(description="tasks solved of those tried: `12 of 20`")
    label: Label = Field(description="what the score is worth (docs/agent-evaluations.md)")
    machine: str = Field(description="name of the machine that served")
    own_hardware: bool = Field(description="whether it is the hardware that the recipe is written for")


class PublishedData(_Part):
    """A figure of others. Nobody measured it from this repository; its source says how it came about."""

    variant: str = Field(description="variant of the recipe that stands for what they measured")
    metric: Literal["tg", "pp", "ttfr"] = Field(description="tg and pp in tokens a second, ttfr in milliseconds")
    value: float = Field(gt=0, description="the figure")
    stat: Literal["median", "mean"] = Field(description="of their samples")
    n: int | None = Field(ge=1, description="samples; null where the source does not say")
    pp_tokens: int | None = Field(ge=1, description="tokens of the prompt; null with a workload")
    tg_tokens: int | None = Field(ge=1, description="tokens of the answer; null with a workload")
    workload: str | None = Field(description="what was measured instead of a cell, in words")
    depth_tokens: int = Field(ge=0, description="tokens in the context before the prompt")
    concurrency: int = Field(ge=1, description="requests at a time")
    corpus: str | None = Field(description="the text; null where the source does not say")
    thinking: Thinking = Field(description="the server's thinking mode")
    source: str = Field(pattern=_SOURCE, description="address of where they published it")
    note: str | None = Field(description="what else a reader must know")


class RecipeData(_Part):
    """One recipe: its row."""

    name: str = Field(description="the recipe's name")
    title: str = Field(description="its title")
    folder: str = Field(description="its folder, from the repository's root")
    status: Status = Field(description="what its author says of it")
    state: Literal["measured", "published", "not measured"] = Field(
        description="measured from this repository; else published by others; else neither"
    )
    model: str = Field(description="what the headline variant serves: a name on the Hugging Face hub where it has one")
    quantization: str = Field(description="of its weights")
    method: str = Field(description="speculative method of the headline variant; AR without one")
    engine: str = Field(description="name and version: the measured one, else the one that the recipe is written for")
    hardware: str = Field(description="what the recipe is written for")
    nodes: int = Field(ge=1, description="how many machines work together")
    context_tokens: int | None = Field(
        ge=0, description="tokens that the headline variant's server takes; null where nobody says"
    )
    headline: str = Field(description="name of the headline variant")
    cell: Cell = Field(description="the headline cell")
    measured: MeasuredData | None = Field(description="null where nobody measured it from this repository")
    speed_up: SpeedUpData | None = Field(description="null where there is no baseline that it may be held against")
    quality: Literal["pass", "warn", "fail"] | None = Field(
        description="verdict of questions that the server was asked; null where nobody asked. "
        "A run that fails has no figures here"
    )
    runs: int = Field(ge=0, description="how many there are, of any variant, whatever became of them")
    last_run: str | None = Field(pattern=_DATE, description="day of the newest of them, in UTC")
    reproduced: int = Field(
        ge=0, description="other machines on which the measurement was made again and came out alike"
    )
    charts: list[str] = Field(description="SVG files, from the repository's root")
    agents: list[Agent] = Field(description="scores of agents, one a suite")
    published: list[PublishedData] = Field(description="figures of others, never mixed with those above")


class IndexFile(_Part):
    """The whole file."""

    format: Literal["recipegen-index/1"] = Field(description="name and number of this format")
    recipes: list[RecipeData] = Field(description="every recipe of the repository, by name")


def index_schema() -> dict[str, Any]:
    """JSON Schema of index.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **IndexFile.model_json_schema(),
        "title": FORMAT,
    }


def index_schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(index_schema(), indent=2, ensure_ascii=False) + "\n"
