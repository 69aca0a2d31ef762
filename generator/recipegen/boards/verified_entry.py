"""From the capture of a canonical prompt to the body of a LocalMaxxing row that can earn the badge. Owns its evidence
fields; what it shares with other rows is `payload`'s."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from recipegen.bench.verified import (
    FORMAT,
    NONCE_LINE,
    capture_problems,
    drafts_of,
    engine_object,
    figures_of,
    reported,
)
from recipegen.boards import model_name, server_flags
from recipegen.boards.canonical import known_prompts
from recipegen.boards.launch_line import launch_line, shorten
from recipegen.boards.machine import machine_of
from recipegen.boards.notes import MEMORY_METHOD, doubts, fitted, substituted
from recipegen.boards.payload import SOURCE_FORMAT, Entry, absent, launch_problems, peak_memory, power, shared_fields
from recipegen.boards.row import rounded, total_rate
from recipegen.engines.base import AUTOREGRESSIVE
from recipegen.errors import RecipegenError
from recipegen.evidence import Evidence
from recipegen.files import read_bounded, sha256_bytes
from recipegen.plausible import Judgement, judge_figure
from recipegen.plausible.judge import metrics_of

_LIMIT = 64 << 20
PROMPT_LONGEST = 2000
OUTPUT_LONGEST = 4000


def verified_entry(evidence: Evidence) -> Entry:
    """The row of the canonical prompt that was asked in the same run as the evidence's cell.

    Raises:
        RecipegenError: none was asked, or its file is not the one that the record names.
    """
    found, sha256 = read_capture(evidence)
    spec = evidence.spec
    identity = {"kind": "verified", "capture_sha256": sha256}
    if evidence.variant not in spec.variants:
        return Entry(None, {}, identity, tuple(launch_problems(evidence)), ())
    speculative = spec.variants[evidence.variant].method != AUTOREGRESSIVE
    name, machine = model_name.naming(evidence), machine_of(spec, evidence.record)
    problems = [
        *launch_problems(evidence),
        *_prompt_problems(found),
        *capture_problems(found, speculative=speculative),
        *name.problems,
        *machine.problems,
    ]
    source = {
        "format": SOURCE_FORMAT,
        "run": evidence.place,
        "capture": {"path": f"{evidence.place}/{evidence.record['verified']['file']}", "sha256": sha256},  # type: ignore[index]
        "formulas": {
            "all": "of the one timed request with the median decode rate",
            "specDraftTokens": "the engine's count of that request",
        },
    }
    warnings = (*name.warnings, *machine.warnings)
    if problems or name.hf_id is None or machine.hardware is None:
        return Entry(None, source, identity, tuple(problems), warnings)
    chosen = reported(found)
    figures = figures_of(chosen)
    assert figures is not None, "reported() takes none without figures"
    memory = peak_memory(_metrics(evidence), machine)
    prompt, output, text = figures["prompt_tokens"], figures["output_tokens"], str(chosen["text"])
    total = total_rate(prompt, output, figures["prefill"], figures["decode"])
    body = {
        **shared_fields(evidence, name, machine),
        "promptTokens": prompt,
        "outputTokens": output,
        "prefillTokens": figures["cached_tokens"],
        "batchSize": 1,
        "ttftMs": rounded(figures["ttft_ms"]),
        "tokSOut": rounded(figures["decode"]),
        "tokSPrefill": rounded(figures["prefill"]),
        "tokSTotal": rounded(total),
        **absent({"peakVramGb": memory, "gpuPowerWatts": power(_metrics(evidence), evidence.record["host"])}),
        "promptSha256": found["prompt"]["sha256"],
        "promptSample": shorten(found["prompt"]["text"], PROMPT_LONGEST),
        "outputSha256": sha256_bytes(text.encode()),
        "outputSample": head_and_tail(text, OUTPUT_LONGEST),
        "engineTimingsRaw": engine_object(chosen),
        "engineFlags": {
            "commandSnippet": launch_line(spec, evidence.record),
            **server_flags.engine_flags(spec, evidence.variant),
            "concurrency": 1,
            "temperature": found["temperature"],
            **(_drafts(chosen) if speculative else {}),
        },
        "notes": fitted(_sentences(evidence, found, figures["basis"], name, memory=memory is not None)),
    }
    return Entry(body, source, identity, (), warnings)


def read_capture(evidence: Evidence) -> tuple[dict[str, Any], str]:
    """verified.json of the evidence's run, and its SHA-256.

    Raises:
        RecipegenError: there is none, it is not the one of the record, or not of the shape that is known.
    """
    named = evidence.record.get("verified")
    if not named:
        raise RecipegenError(
            f"no canonical prompt was asked in {evidence.place}",
            hint="recipegen bench NAME --profile localmaxxing-verified --prompts FILE (docs/leaderboards.md)",
        )
    path = evidence.run / str(named["file"])
    raw = read_bounded(path, _LIMIT)
    sha256 = sha256_bytes(raw)
    if sha256 != named["sha256"]:
        raise RecipegenError(f"{path} is not the file that run.json recorded: its SHA-256 differs")
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RecipegenError(f"{path} is not JSON") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or not _has_shape(found):
        raise RecipegenError(f"{path} is not a capture of the format {FORMAT}")
    return found, sha256


def judge_capture(evidence: Evidence, found: Mapping[str, Any]) -> Judgement:
    """Whether the reported decode speed can be, held against the machine.

    Raises:
        ValueError: no request has one.
    """
    figures = figures_of(reported(found))
    assert figures is not None, "reported() takes none without figures"
    context = figures["prompt_tokens"] + figures["cached_tokens"] + figures["output_tokens"]
    host = evidence.record["host"]
    return judge_figure(evidence.spec, evidence.variant, tg=figures["decode"], context=context, host=host)


def head_and_tail(text: str, longest: int) -> str:
    """A text of at most so many characters, its middle left out."""
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]}\n … {text[-half:]}"


def _has_shape(found: Mapping[str, Any]) -> bool:
    prompt, requests = found.get("prompt"), found.get("requests")
    return (
        isinstance(prompt, dict)
        and all(isinstance(prompt.get(key), str) for key in ("id", "text", "sha256"))
        and isinstance(prompt.get("min_output"), int)
        and isinstance(requests, list)
        and all(isinstance(one, dict) and type(one.get("timed")) is bool and "error" in one for one in requests)
        and all(one["error"] is not None or _is_text(one.get("text")) for one in requests)
    )


def _is_text(value: Any) -> bool:
    """Whether it is a text that UTF-8 can hold."""
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def _prompt_problems(found: Mapping[str, Any]) -> list[str]:
    """Whether the prompt is one of the canonical ones, and was asked by the rules."""
    prompt = found["prompt"]
    known = known_prompts().get(prompt["id"], {})
    own = sha256_bytes(prompt["text"].encode("utf-8", "surrogatepass"))
    problems = []
    if not known or own != known["sha256"] or prompt["sha256"] != own:
        problems.append(f"the prompt {prompt['id']!r} is not the board's canonical one")
    if found.get("nonce_line") != NONCE_LINE or found.get("temperature") != 0:
        problems.append("the prompt was not asked by the board's rules (nonce line, temperature 0)")
    nonces = [one.get("nonce") for one in found["requests"]]
    if len(set(map(str, nonces))) != len(nonces):
        problems.append("two requests have the same nonce")
    return problems


def _drafts(chosen: Mapping[str, Any]) -> dict[str, Any]:
    counts = drafts_of(chosen)
    if counts is None:
        return {}
    drafted, accepted = counts
    rate = {"specAcceptanceRate": round(accepted / drafted, 4)} if drafted else {}
    return {"specDraftTokens": drafted, "specAcceptedTokens": accepted, **rate}


def _metrics(evidence: Evidence) -> dict[str, Any] | None:
    named = (evidence.record.get("verified") or {}).get("metrics")
    return metrics_of(evidence.run, {**evidence.cell, "metrics": named})


def _sentences(
    evidence: Evidence, found: Mapping[str, Any], basis: str, name: model_name.Naming, *, memory: bool
) -> list[str]:
    rates = [figures["decode"] for one in found["requests"] if one["timed"] and (figures := figures_of(one))]
    listed = ", ".join(f"{rate:.2f}" for rate in rates)
    spec = evidence.spec
    return [
        *substituted(name),
        f"{spec.title}, variant {evidence.variant}.",
        f"Canonical prompt {found['prompt']['id']}, n={len(rates)} timed requests after two warm-ups, each with a "
        "nonce of its own, temperature 0, one at a time; figures are of the request with the median decode rate "
        f"({basis}).",
        f"tokSOut of all: {listed} tok/s.",
        "outputSha256 is of all that was generated, thinking included.",
        *doubts(evidence, judge_capture(evidence, found)),
        *([MEMORY_METHOD] if memory else []),
    ]
