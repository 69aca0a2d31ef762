"""The quality gate of a run: what is asked of a server before and after its cells. Owns when; `quality` owns what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipegen.quality.gate import probe
from recipegen.quality.greedy import greedy_check, newest_reference, record_greedy
from recipegen.quality.verdict import Check, Quality, merged

if TYPE_CHECKING:
    from recipegen.bench.display import Display
    from recipegen.bench.session import Request
    from recipegen.results.store import RunWriter
    from recipegen.runners.base import ServerPlan


class QualityGate:
    """Asks before and after, and keeps the record's `quality` in step.

    Args:
        request: what is measured; its recipe says how much a server must know (bench.quality).
        plan: the server that is up.
        writer: of the run that is measured on it.
    """

    def __init__(self, request: Request, plan: ServerPlan, writer: RunWriter, display: Display) -> None:
        self._request, self._plan, self._writer, self._display = request, plan, writer, display
        self._parts: dict[str, Quality] = {}

    def before(self) -> None:
        """Coherence, known answers, the same under load, needles; greedy outputs against the baseline's."""
        from recipegen.fit import estimate

        spec, variant = self._request.spec, self._plan.variant
        cells = self._request.cells[variant]
        quality = Quality(())
        if spec.bench.quality in ("full", "coherence"):
            quality = probe(
                self._plan.base_url,
                spec.served_name,
                concurrency=max((cell.concurrency for cell in cells), default=1),
                depths=tuple(sorted({cell.depth for cell in cells})),
                thinking_kwarg=spec.bench.thinking_kwarg,
                model_context=estimate(spec, variant).context,
                level="full" if spec.bench.quality == "full" else "coherence",
            )
        if spec.baseline is not None:
            quality = quality.with_checks(*self._greedy(spec.baseline))
        self._keep("before", quality)

    def _greedy(self, baseline: str) -> list[Check]:
        record, spec = self._writer.record, self._request.spec
        own = record_greedy(
            self._writer.folder, self._plan.base_url, spec.served_name, thinking_kwarg=spec.bench.thinking_kwarg
        )
        if self._plan.variant == baseline:
            return []
        reference = newest_reference(self._request.folder, record["machine"], baseline)
        return [greedy_check(own, reference, engine_version=record["engine"].get("version"))]

    def after(self) -> None:
        """Whether the server still answers in sentences, now that it has been measured."""
        spec = self._request.spec
        if spec.bench.quality in ("full", "coherence"):
            kwarg = spec.bench.thinking_kwarg
            self._keep("after", probe(self._plan.base_url, spec.served_name, thinking_kwarg=kwarg, level="coherence"))

    def _keep(self, name: str, quality: Quality) -> None:
        self._parts[name] = quality
        checks = merged(self._parts)
        self._writer.record["quality"] = checks.as_data() if checks.checks else None
        self._writer.write()
        for check in quality.checks:
            if check.verdict != "pass":
                self._display.note(f"quality, {check.id}: {check.verdict}: {check.why}")
