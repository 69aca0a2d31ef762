"""A canonical prompt on a real engine: Gemma-3-270M on llama.cpp, whose timings come with the stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from recipegen.bench.verified import Prompt, capture, capture_problems, engine_object, figures_of, reported
from recipegen.engines import engine
from tests.unit.test_embedded import Served, model, served, xllamacpp

__all__ = ["model", "served", "xllamacpp"]  # the fixtures

pytestmark = pytest.mark.engine

PROMPT = Prompt("reasoning-v1", "Write about a river and a mountain, with many details.", "0" * 64, 32)


@pytest.fixture
def found(served: Served) -> Iterator[dict[str, Any]]:
    names = engine("llama.cpp").metric_names
    yield capture(served.url, "gemma", PROMPT, names, timed=1, max_tokens=40)


def test_llama_cpp_streams_its_timings(found: dict[str, Any]) -> None:
    assert capture_problems(found, speculative=False) == []
    one = reported(found)
    figures = figures_of(one)
    assert figures is not None
    assert figures["basis"] == "engine timings"
    assert figures["output_tokens"] == one["usage"]["completion_tokens"] == 40
    assert figures["prompt_tokens"] + figures["cached_tokens"] == one["usage"]["prompt_tokens"]
    assert {"prompt_per_second", "predicted_per_second"} <= set(engine_object(one))
    # The client's clock and the engine's agree on how long the answer took.
    assert figures["decode"] == pytest.approx(39 / one["decode_s"], rel=0.2)
