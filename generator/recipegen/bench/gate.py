"""The quality gate of a run: what is asked of a server before and after its cells. Owns when; `quality` owns what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recipegen.quality.gate import probe, probe_needles
from recipegen.quality.greedy import greedy_check, newest_reference, record_greedy
from recipegen.quality.verdict import Check, Quality, merged, quality_of_data

if TYPE_CHECKING:
    from recipegen.bench.display import Display
    from recipegen.bench.session import Request
    from recipegen.results.store import RunRecord, RunWriter
    from recipegen.runners.base import ServerPlan


class QualityGate:
    """Asks before and after, and keeps the record's `quality` in step.

    A run that is gone on with keeps what its earlier starts answered: the worst of all counts, since cells were
    measured on each of them.

    Args:
        request: what is measured; its recipe says how much a server must know (bench.quality).
        plan: the server that is up.
        writer: of the run that is measured on it.
    """

    def __init__(self, request: Request, plan: ServerPlan, writer: RunWriter, display: Display) -> None:
        self._request, self._plan, self._writer, self._display = request, plan, writer, display
        self._earlier = _of_earlier_starts(writer.record)
        self._parts: dict[str, Quality] = {}

    def before(self) -> None:
        """Coherence, known answers, the same under load, needles; greedy outputs against the baseline's."""
        quality = self._probe()
        if self._request.spec.baseline is not None:
            quality = quality.with_checks(*self._greedy(self._request.spec.baseline))
        self._keep("before", quality)

    def after(self) -> None:
        """All of it again, greedy outputs excepted, now that the server has been measured."""
        self._keep("after", self._probe())

    def _probe(self) -> Quality:
        """What the recipe's model must answer; the needles of a profile that is about them in any case."""
        from recipegen.bench.profiles import profile_of
        from recipegen.fit.context import context_of

        spec, variant = self._request.spec, self._plan.variant
        level = spec.bench.quality
        cells = self._request.cells[variant]
        depths = tuple(sorted({cell.depth for cell in cells}))
        context = context_of(spec, variant)
        address, kwarg = (self._plan.base_url, spec.served_name), spec.bench.thinking_kwarg
        quality = Quality(())
        if level in ("full", "coherence"):
            quality = probe(
                *address,
                concurrency=max((cell.concurrency for cell in cells), default=1),
                depths=depths,
                thinking_kwarg=kwarg,
                model_context=context,
                level="full" if level == "full" else "coherence",
            )
        wanted = self._request.profile is not None and profile_of(spec, self._request.profile).needle
        if wanted and level != "full" and quality.verdict != "fail":
            needles = probe_needles(*address, depths=depths, thinking_kwarg=kwarg, model_context=context)
            quality = quality.with_checks(*needles.checks)
        return quality

    def _greedy(self, baseline: str) -> list[Check]:
        record, spec = self._writer.record, self._request.spec
        own = record_greedy(
            self._writer.folder, self._plan.base_url, spec.served_name, thinking_kwarg=spec.bench.thinking_kwarg
        )
        if self._plan.variant == baseline:
            return []
        reference = newest_reference(self._request.folder, record["machine"], baseline)
        return [greedy_check(own, reference, engine_version=record["engine"].get("version"))]

    def _keep(self, name: str, quality: Quality) -> None:
        self._parts[name] = quality
        checks = Quality((*self._earlier, *merged(self._parts).checks))
        self._writer.record["quality"] = checks.as_data() if checks.checks else None
        self._writer.write()
        for check in quality.checks:
            if check.verdict != "pass":
                self._display.note(f"quality, {check.id}: {check.verdict}: {check.why}")


_START = "start-"


def _of_earlier_starts(record: RunRecord) -> tuple[Check, ...]:
    """The checks of a run before it was gone on with, each named by its start: start-1.before.load."""
    number = len(record.get("resumed") or ())
    return tuple(
        check if check.id.startswith(_START) else replace(check, id=f"{_START}{number}.{check.id}")
        for check in quality_of_data(record.get("quality")).checks
    )
