"""Whether a variant fits into its machine's memory, and whether its context is one that the model has."""

from __future__ import annotations

from collections.abc import Iterator

from recipegen.fit import estimate
from recipegen.fit.context import CONTEXT_FLAGS
from recipegen.lint.context import Context
from recipegen.lint.finding import Hit
from recipegen.lint.subject import Subject

_LONGER = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"


def memory_fits(subject: Subject, context: Context) -> Iterator[Hit]:
    """FIT_OVER_MEMORY, FIT_TIGHT. Silent where a number is missing (`recipegen fit` says which)."""
    found = estimate(subject.spec, subject.variant.name)
    if found.verdict not in ("over", "tight"):
        return
    path = next(
        (
            place
            for key in (CONTEXT_FLAGS[subject.spec.engine.name], "gpu-memory-utilization")
            if (place := subject.flag_path(key))
        ),
        ("variants", subject.variant.name),
    )
    largest = found.largest.expected if found.largest else 0
    fix = f"About {int(largest):,} tokens of one request would fit; `recipegen fit` shows the parts." if largest else ""
    if found.verdict == "over":
        yield Hit("FIT_OVER_MEMORY", path, f"it does not fit: {found.reason}", fix)
        return
    assert found.request is not None and found.pool is not None
    likely = found.request.expected <= found.pool.expected
    yield Hit("FIT_TIGHT", path, f"it may not fit: {found.reason}", "" if likely else fix, "info" if likely else None)


def native_context(subject: Subject, context: Context) -> Iterator[Hit]:
    """CONTEXT_OVER_NATIVE: vLLM refuses it unless the rope is changed or a variable allows it."""
    key = CONTEXT_FLAGS.get(subject.spec.engine.name)
    asked = subject.flags.get(key) if key else None
    facts = subject.facts
    native = facts.native_context if facts else None
    if native is None or facts is None or not isinstance(asked, int) or isinstance(asked, bool) or asked <= native:
        return
    path = subject.flag_path(str(key)) or ("variants", subject.variant.name)
    longest = facts.max_context or native
    if asked > longest:
        detail = f"--{key} is {asked:,}, but {facts.id} goes to {longest:,}"
        yield Hit("CONTEXT_OVER_NATIVE", path, detail)
    elif not _stretched(subject):
        detail = f"--{key} is {asked:,}, above the {native:,} of {facts.id}, and nothing changes its rope"
        yield Hit("CONTEXT_OVER_NATIVE", path, detail)


def _stretched(subject: Subject) -> bool:
    """Whether the recipe says that it wants more than the model's own context."""
    allowed = subject.value(f"env.{_LONGER}") not in (None, "0")
    return allowed or any(
        key in subject.flags for key in ("hf-overrides", "rope-scaling", "override-kv", "yarn-orig-ctx")
    )
