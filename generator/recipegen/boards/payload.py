"""From evidence to the body of one LocalMaxxing row, and where each figure in it comes from. Owns putting it together;
spellings, flags, texts and figures have modules of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from recipegen.boards import model_name, server_flags
from recipegen.boards.launch_line import launch_line
from recipegen.boards.machine import Machine, machine_of
from recipegen.boards.notes import extra_flags, notes
from recipegen.boards.row import TOTAL, Row, figures, row_of
from recipegen.engines import engine
from recipegen.evidence import EVERY_METRIC, Evidence
from recipegen.files import sha256_file
from recipegen.plausible.counters import peak_used_bytes
from recipegen.stats import WARM_RULE

SOURCE_FORMAT = "recipegen-board-source/1"
_GIB = 1 << 30


@dataclass(frozen=True)
class Entry:
    """One row, ready to be looked at.

    Attributes:
        body: None where something that the board cannot do without is missing.
        source: where the figures come from.
        identity: what makes it this entry and no other: it keeps it from being sent twice.
        problems: why there is no body, or why it would be a wrong one.
        warnings: what a person should look at.
    """

    body: dict[str, Any] | None
    source: dict[str, Any]
    identity: dict[str, str]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def entry_of(evidence: Evidence) -> Entry:
    """The row of a measured cell."""
    identity = {"kind": "cell", "cell": evidence.cell["id"], "report_sha256": str(evidence.cell["sha256"])}
    problems = [*sample_problems(evidence), *launch_problems(evidence)]
    if evidence.variant not in evidence.spec.variants:
        return Entry(None, {}, identity, tuple(problems), ())
    try:
        row = cell_row(evidence)
    except ValueError as error:
        return Entry(None, {}, identity, (*problems, str(error)), ())
    name, machine = model_name.naming(evidence), machine_of(evidence.spec, evidence.record)
    problems += [*name.problems, *machine.problems]
    warnings = [*name.warnings, *machine.warnings, *_bucket_warnings(evidence)]
    warnings += [f"tokSOut: {one.text}" for one in row.statistics["tg"].warnings]
    source = _source(evidence, row)
    if name.hf_id is None or machine.hardware is None:
        return Entry(None, source, identity, tuple(problems), tuple(warnings))
    memory = peak_memory(evidence.metrics, machine)
    body = {
        **shared_fields(evidence, name, machine),
        **figures(row),
        **absent({"peakVramGb": memory, "gpuPowerWatts": power(evidence.metrics, evidence.record["host"])}),
        "engineFlags": {
            "commandSnippet": launch_line(evidence.spec, evidence.record),
            **server_flags.engine_flags(evidence.spec, evidence.variant),
            "concurrency": row.concurrency,
            **_acceptance(evidence.metrics),
            "extraFlags": extra_flags(evidence, row),
        },
        "notes": notes(evidence, name, row, memory=memory is not None),
    }
    return Entry(body, source, identity, tuple(problems), tuple(warnings))


def cell_row(evidence: Evidence) -> Row:
    """The figures of the evidence's cell.

    Raises:
        ValueError: there is no decode speed.
    """
    return row_of(evidence.benchmark, cached_context=evidence.report.get("prefix_caching_enabled") is True)


def shared_fields(evidence: Evidence, name: model_name.Naming, machine: Machine) -> dict[str, Any]:
    """What a row says of model, machine and engine, whatever was measured."""
    spec = evidence.spec
    return {
        "hfId": name.hf_id,
        "modelRevision": name.revision,
        "hardware": machine.hardware,
        **model_name.engine_facts(evidence),
        "quantization": model_name.quantization(spec.models[spec.variants[evidence.variant].model]),
        **absent(
            {
                "backend": machine.backend,
                "contextLength": server_flags.context_length(spec, evidence.variant),
            }
        ),
    }


def sample_problems(evidence: Evidence) -> list[str]:
    """Why the first sample may not be the cold one, so that dropping it would be wrong."""
    cell = evidence.cell
    lost = cell.get("failed_requests") or 0
    if cell["concurrency"] == 1:
        lost = max(lost, cell["runs"] - len(evidence.samples("tg")))
    if not lost:
        return []
    return [
        f"{lost} of {cell['runs']} requests failed, and the report leaves them out: its first sample is not surely the "
        "cold one. Measure the cell again"
    ]


def launch_problems(evidence: Evidence) -> list[str]:
    """Whether the recipe still says the command line that ran: flags, model and method are read from there."""
    if evidence.variant not in evidence.spec.variants:
        return [
            f"{evidence.place} measured {evidence.variant!r}, which is no variant of {evidence.spec.name}: the flags "
            "of a trial are not in the recipe; make a variant of them, and measure that"
        ]
    ran = (evidence.record["server"] or {}).get("argv")
    if ran is None:
        return []
    says = engine(evidence.spec.engine.name).command(evidence.spec, evidence.variant).recorded()
    if list(ran) == says:
        return []
    other = [word for word in ran if word not in says][:4] or ["words in another order, or fewer"]
    return [
        "the recipe has changed since this run: its command line is not the one that ran "
        f"({', '.join(other)}); measure again, or go back to the recipe of the run"
    ]


def peak_memory(metrics: Mapping[str, Any] | None, machine: Machine) -> float | None:
    """GiB in use at most while the cell ran; only where the host's memory is the GPU's, since no other was sampled."""
    peak = peak_used_bytes(metrics) if metrics else None
    return round(peak / _GIB, 1) if machine.unified and peak else None


def power(metrics: Mapping[str, Any] | None, host: Mapping[str, Any] | None) -> list[float] | None:
    """Mean draw of the GPU in watts while the cell ran; of several GPUs only their sum was sampled, so none is sent."""
    gpus = (host or {}).get("gpus") or []
    watts = _part(_part(metrics, "host"), "gpu").get("power_w")
    told = [value for value in watts if isinstance(value, int | float)] if isinstance(watts, list) else []
    return [round(fmean(told), 1)] if len(gpus) == 1 and told and fmean(told) > 0 else None


def _acceptance(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Rates from the server's counters over the whole cell.

    The counts themselves are not sent: the board means those of one request, and these are of all.
    """
    derived = _part(metrics, "derived")
    rate, length = derived.get("acceptance"), derived.get("acceptance_length")
    found = {
        "specAcceptanceRate": round(rate, 4) if isinstance(rate, int | float) and 0 <= rate <= 1 else None,
        "specMeanAcceptedLength": round(length, 3) if isinstance(length, int | float) and length >= 0 else None,
    }
    return absent(found)


def _bucket_warnings(evidence: Evidence) -> list[str]:
    spec = evidence.spec
    found = []
    format_ = model_name.quantization(spec.models[spec.variants[evidence.variant].model])
    for field, value in (("engineName", spec.engine.name), ("quantization", format_)):
        if not model_name.is_known(field, value):
            found.append(
                f"{field} {value!r} is none of those that the board was seen with: it makes a bucket of its own"
            )
    if not evidence.record["engine"].get("version"):
        found.append("the engine did not tell its version: engineVersion is left out")
    return found


def _source(evidence: Evidence, row: Row) -> dict[str, Any]:
    cell = evidence.cell
    metrics = cell.get("metrics") if evidence.metrics is not None else None
    return {
        "format": SOURCE_FORMAT,
        "run": evidence.place,
        "report": {"path": f"{evidence.place}/{cell['file']}", "sha256": cell["sha256"]},
        "row": {
            "prompt_size": cell["pp"],
            "response_size": cell["tg"],
            "context_size": cell["depth"],
            "concurrency": cell["concurrency"],
            "is_context_prefill_phase": False,
        },
        "samples": {
            name: {"metric": EVERY_METRIC[name], "n": found.n, "dropped": found.dropped}
            for name, found in row.statistics.items()
        },
        "drop_rule": WARM_RULE,
        "formulas": {
            "tokSOut": "median of the warm samples of tg_throughput",
            "ttftMs": "median of the warm samples of e2e_ttft",
            "tokSPrefill": row.prefill_how,
            "tokSTotal": TOTAL,
            "peakVramGb": "peak_used_bytes of the sampler over 2^30, where CPU and GPU share the memory",
        },
        "metrics": {"path": f"{evidence.place}/{metrics}", "sha256": sha256_file(evidence.run / metrics)}
        if isinstance(metrics, str)
        else None,
    }


def _part(data: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    found = data.get(key) if data else None
    return found if isinstance(found, Mapping) else {}


def absent(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known: the board takes null for a value."""
    return {name: value for name, value in fields.items() if value is not None}
