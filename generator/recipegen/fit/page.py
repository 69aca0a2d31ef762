"""docs/fit.md: how the estimate is made and how far off it is. Owns wording only; every number in it is computed."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from recipegen.fit import constants
from recipegen.fit.constants import Constant
from recipegen.fit.parts import Range
from recipegen.fit.published import Figure, Ran, all_specs, figures, ran
from recipegen.quoting import markdown_cell

_CONSTANTS: dict[str, Constant] = {
    "memory of a GB10": constants.VISIBLE,
    "other software": constants.OTHERS,
    "activations": constants.ACTIVATION,
    "framework and graphs": constants.FRAMEWORK,
    "framework, eager": constants.FRAMEWORK_EAGER,
    "communication": constants.CLUSTER,
    "llama.cpp beside weights and cache": constants.LLAMA_CPP,
    "Atlas beside weights and cache": constants.ATLAS_SHARE,
    "weights": constants.WEIGHTS_ROUNDED,
    "layers of an unknown drafter": constants.UNKNOWN_DRAFTER_LAYERS,
    "weights of an unknown drafter": constants.UNKNOWN_DRAFTER_GB,
}
_INTRODUCTION = """\
`recipegen fit NAME` says before a launch whether a recipe fits, from which parts, and how sure that is. Every part
has a low, an expected and a high value.

- **fits**: even if every part is at its high end. **tight**: only if some stay lower. **over**: not even at the low
  end. **unknown**: a number is missing, and the reason says which.
- Under vLLM the pool for the cache is gpu-memory-utilization times the memory, less weights, drafter, activations and
  framework. One request of max-model-len tokens must fit into it, or the server does not start.
- llama.cpp makes its whole cache at the start; what is summed up is held against the memory less other software.

## What vLLM does with the cache

- The line `GPU KV cache size: N tokens` is not a capacity of its own. From 0.20.1 on it is the concurrency times
  max-model-len: blocks in the pool, over blocks of one request, times max-model-len. Before, it was the blocks of one
  group of layers. The estimate follows both, and its counts of blocks give the published figures exactly: 551,076 is
  288 blocks at 137 a request, 591,530 is 1,733 at 12, 782,791 is 1,720 at 9, 325,495 is 2,086 at 1,680.
- Hybrid models: all kinds of layers share blocks of one size, so a block of attention is as large as one recurrent
  state (784 tokens in Qwen3.5-27B). A request holds 1 state in each group of linear layers, 2 with prefix caching, and
  one more for each speculative token. At 4,096 tokens the states take a third to a half of a request.
- Groups have as many layers as the rarest kind. A DFlash drafter of 5 layers cuts the 48 linear layers of Qwen3.6-27B
  into 10 groups, each with 16 states: a request of 262,144 tokens takes 29.7 GB instead of 17.4.
- Unified memory: the profiler of vLLM 0.19.0 to 0.33.0 takes what the kernel calls available for free on a GB10, so the
  estimate does not take the page cache off the pool. The one published pool that could tell, 294,000 tokens of
  Qwen3.6-35B-A3B at 0.50, can be read both ways, and one report on 0.24.0 says that the check at the start counted
  the cache (github.com/vllm-project/vllm issue 48140): empty it first. `free` shows the cache as used all the same,
  so peaks below count the files of the weights at their high end.

## Decode ceiling

Bandwidth over the bytes that one token of one stream reads: weights and cache. Of a mixture of experts, the active
experts at the quantized bits; attention, shared layers and head lie between those bits and BF16, because most NVFP4
checkpoints leave part of them in BF16. Speculation reads the weights once for several tokens: the ceiling then bounds
steps, not tokens, and is to be multiplied by the mean acceptance length.
"""


def fit_page() -> str:
    """The page, from the recipes and presets of the source checkout."""
    specs = all_specs()
    return "\n".join(_page(figures(specs.__getitem__), list(ran(list(specs.values()))))) + "\n"


def _page(known: list[Figure], runs: list[Ran]) -> Iterator[str]:
    yield "<!-- Written by `make generated` from generator/recipegen/fit; edits here are lost. -->"
    yield "# Does it fit?"
    yield ""
    yield _INTRODUCTION
    yield "## How far off it is"
    yield ""
    yield from _summary(known, runs)
    yield ""
    yield "| configuration | figure | published | estimate (low, expected, high) | ratio | verdict | source |"
    yield "|---|---|--:|--:|--:|---|---|"
    for figure in known:
        yield _row(figure)
    yield ""
    yield "Ratio: expected over published. `runs` and `fails` have no number: the verdict is what is held against them."
    yield "`decode` is tok/s of one stream without speculation, which must lie below the high end of the ceiling."
    yield ""
    yield "## Configurations whose speed is published"
    yield ""
    yield "They ran, so none may be `over`. Decode: the fastest published tok/s of one stream without speculation, on"
    yield "prompts of a known length."
    yield ""
    yield "| configuration | context | cache of a request, GB | left for the cache, GB | verdict | decode | ceiling |"
    yield "|---|--:|--:|--:|---|--:|--:|"
    for one in runs:
        yield _ran_row(one)
    yield ""
    yield "## Constants"
    yield ""
    yield "Fitted to the figures above where the origin says so; not measured on their own."
    yield ""
    yield "| constant | low | expected | high | unit | origin |"
    yield "|---|--:|--:|--:|---|---|"
    for name, constant in _CONSTANTS.items():
        value = constant.value
        numbers = f"{value.low:.4g} | {value.expected:.4g} | {value.high:.4g}"
        yield f"| {name} | {numbers} | {constant.unit} | {markdown_cell(constant.origin)} |"


def _summary(known: list[Figure], runs: list[Ran]) -> Iterator[str]:
    ratios = [figure.ratio for figure in known if figure.ratio is not None]
    off = [max(ratio, 1 / ratio) for ratio in ratios]
    inside = sum(figure.within is True for figure in known)
    yield (
        f"{len(ratios)} published numbers: the expected value is off by a factor of {median(off):.2f} in the median "
        f"and {max(off):.2f} at worst; {inside} of {len(ratios)} lie between low and high. Several constants were "
        "fitted to some of these numbers, so new configurations may be further off."
    )
    yield ""
    verdicts = {word: sum(one.result.verdict == word for one in runs) for word in ("fits", "tight", "over", "unknown")}
    counted = ", ".join(f"{count} {word}" for word, count in verdicts.items())
    wrong = [figure for figure in known if figure.contradicted]
    yield (
        f"{len(runs)} variants with a published speed ran: {counted}. Of {len(known)} figures below, "
        f"{len(wrong)} contradict the verdict."
    )


def _row(figure: Figure) -> str:
    published = "" if figure.published is None else _span(figure.published, figure.unit)
    estimated = _numbers(figure.estimated) if figure.published is not None else ""
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
    source = figure.source + (f" ({figure.note})" if figure.note else "")
    cells = (figure.what, figure.kind, published, estimated, ratio, figure.result.verdict, source)
    return f"| {' | '.join(map(markdown_cell, cells))} |"


def _ran_row(one: Ran) -> str:
    result = one.result
    bound = result.ceiling
    cells = (
        f"{one.recipe} {one.variant}",
        f"{result.context:,}" if result.context else "",
        f"{result.request.expected:.1f}" if result.request else "",
        _numbers(result.pool),
        result.verdict if result.verdict != "unknown" else f"unknown: {result.reason}",
        f"{one.decode:.1f}" if one.decode else "",
        f"{bound.tokens_per_s.low:.0f} to {bound.tokens_per_s.high:.0f}" if bound and one.decode else "",
    )
    return f"| {' | '.join(map(markdown_cell, cells))} |"


def _span(ends: tuple[float, float], unit: str) -> str:
    texts = list(dict.fromkeys(_number(end) for end in ends))
    return f"{' to '.join(texts)} {unit}"


def _numbers(value: Range | None) -> str:
    return ", ".join(_number(end) for end in (value.low, value.expected, value.high)) if value else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"
