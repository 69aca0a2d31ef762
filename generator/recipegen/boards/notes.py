"""The free texts of a LocalMaxxing row: notes and extraFlags. Owns their wording and lengths; computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from recipegen.boards.launch_line import shorten
from recipegen.boards.row import PREFILL_FROM_TTFT, Row
from recipegen.engines.base import AUTOREGRESSIVE
from recipegen.results.store import DOUBTFUL
from recipegen.stats.summary import Described, figure

if TYPE_CHECKING:
    from recipegen.boards.model_name import Naming
    from recipegen.evidence import Evidence
    from recipegen.plausible import Judgement

LONGEST = 2000
EXTRA_LONGEST = 1000
"""No limit is known; 302 characters were stored."""
MEMORY_METHOD = (
    "peakVramGb is GiB of system memory in use (MemTotal less the least MemAvailable of /proc/meminfo, sampled every "
    "second while the cell ran), shared by CPU and GPU."
)


def notes(evidence: Evidence, name: Naming, row: Row, *, memory: bool) -> str:
    """What the board's fields cannot say, the most important first; what does not fit is left out whole.

    Args:
        memory: whether peakVramGb is sent, whose method must then be said.
    """
    sentences = [
        *substituted(name),
        _setting(evidence),
        _shape(evidence, row),
        statistics("tokSOut", row.statistics["tg"], "tok/s"),
        *([statistics("ttftMs", row.statistics["ttft"], "ms")] if "ttft" in row.statistics else []),
        *_prefill(row),
        *doubts(evidence, evidence.judgement),
        *([MEMORY_METHOD] if memory else []),
        *_baseline(evidence, row),
        f"Raw report (llama-benchy): SHA-256 {evidence.cell['sha256']}.",
        *_quality(evidence),
    ]
    return fitted(sentences)


def fitted(sentences: Iterable[str]) -> str:
    """As many whole sentences as the board takes."""
    text = ""
    for sentence in sentences:
        longer = f"{text} {sentence}".strip()
        if len(longer) <= LONGEST:
            text = longer
    return text


def substituted(name: Naming) -> list[str]:
    """The first sentence, where the row does not stand under the served weights' own name."""
    return [f"Submitted under {name.hf_id}; the served weights are {name.served}."] if name.served else []


def statistics(field: str, found: Described, unit: str) -> str:
    """Median, mean, spread and range of the samples that count."""
    return (
        f"{field}: median {figure(found.median)} {unit}, mean {figure(found.mean)}, std {figure(found.std)}, range "
        f"{figure(found.minimum)} to {figure(found.maximum)}, n={found.n}."
    )


def doubts(evidence: Evidence, judged: Judgement) -> list[str]:
    """What speaks against the figures, said aloud.

    Args:
        judged: whether the figures of the row can be.
    """
    found = []
    if evidence.quality == "fail":
        found.append("Doubted: the server failed the quality gate, its answers are not right.")
    if judged.verdict in DOUBTFUL:
        found.append(f"Doubted ({judged.verdict}): {judged.reasons[0]}.")
    return found


def extra_flags(evidence: Evidence, row: Row) -> str:
    """The harness and its arguments, and which samples were dropped."""
    tool = evidence.report.get("version")
    argv = [str(word) for word in evidence.cell["argv"] or ()]
    words = [f"llama-benchy {tool if isinstance(tool, str) else 'of unknown version'}", *_arguments(argv)]
    dropped = row.statistics["tg"].dropped
    left = f"first sample of the cell dropped ({dropped} of {dropped + row.statistics['tg'].n})"
    return shorten(f"harness: {' '.join(words)}; {left if dropped else 'no sample dropped'}", EXTRA_LONGEST)


_HARNESS_PLACES = ("--base-url", "--book-url", "--tokenizer", "--model", "--served-model-name", "--format")
"""Arguments that say where something lies, or what is said elsewhere."""


def _arguments(argv: Sequence[str]) -> list[str]:
    kept, skip = [], True  # the program's own name is said already
    for word in argv:
        if skip:
            skip = False
        elif word in _HARNESS_PLACES:
            skip = True
        else:
            kept.append(word)
    return kept


def _setting(evidence: Evidence) -> str:
    spec = evidence.spec
    variant = spec.variants[evidence.variant]
    how = "autoregressive" if variant.method == AUTOREGRESSIVE else f"speculative decoding: {variant.method}"
    nodes = f", {spec.hardware.nodes} boxes ({spec.hardware.interconnect})" if spec.hardware.nodes > 1 else ""
    return f"{spec.title}, variant {variant.name} ({how}){nodes}."


def _shape(evidence: Evidence, row: Row) -> str:
    cell, found = evidence.cell, row.statistics["tg"]
    thinking = "" if cell["thinking"] == "default" else f", thinking {cell['thinking']}"
    cached = " (context in the prefix cache)" if row.cached else ""
    dropped = f", the first of {found.n + found.dropped} dropped" if found.dropped else ""
    return (
        f"llama-benchy on {cell['corpus']}: pp {cell['pp']}, tg {cell['tg']}, depth {cell['depth']}{cached}, "
        f"concurrency {cell['concurrency']}{thinking}; n={found.n} warm samples{dropped}; figures are medians."
    )


def _prefill(row: Row) -> list[str]:
    if row.prefill is None:
        return []
    if row.prefill_how == PREFILL_FROM_TTFT:
        return ["tokSPrefill is promptTokens over ttftMs: the first response came before the first token."]
    return [statistics("tokSPrefill", row.statistics["pp"], "tok/s")]


def _baseline(evidence: Evidence, row: Row) -> list[str]:
    if evidence.baseline is None or "tg" not in evidence.baseline.figures:
        return []
    other = evidence.baseline.figures["tg"]
    ratio = row.decode / other.median
    return [f"{ratio:.2f} times variant {evidence.baseline.variant} ({figure(other.median)} tok/s, n={other.n})."]


def _quality(evidence: Evidence) -> list[str]:
    return [f"Quality gate (known answers): {evidence.quality}."] if evidence.quality in ("pass", "warn") else []
