"""How many tokens one request may have. Owns where that stands; computes no memory."""

from __future__ import annotations

from recipegen.fit.estimate import estimate
from recipegen.fit.setup import read_setup
from recipegen.spec.completed import Spec

CONTEXT_FLAGS = {"vllm": "max-model-len", "llama.cpp": "ctx-size", "atlas": "max-seq-len"}
"""Per engine, the flag that sets it."""


def context_of(spec: Spec, variant: str) -> int | None:
    """Tokens that prompt and answer of one request may have together; None where that is not known.

    The estimate's own, which knows the model's where no flag is given; where the estimate lacks another number (the
    memory of any CPU), the flag alone.

    Raises:
        KeyError: no such variant.
    """
    found = estimate(spec, variant).context
    return found if found is not None else given_context(spec, variant)


def given_context(spec: Spec, variant: str) -> int | None:
    """What the engine's flag says; None where it is not given, or leaves the length to the engine (auto, 0, -1).

    Raises:
        KeyError: no such variant.
    """
    key = CONTEXT_FLAGS.get(spec.engine.name)
    given = read_setup(spec, variant).number(key) if key else None
    return None if given is None else int(given)
