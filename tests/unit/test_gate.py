"""The gate of a run: what is asked before and after, of whom, and what a run that is gone on with keeps of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipegen.bench.gate import QualityGate
from recipegen.results.store import RunWriter, load_run, new_run
from recipegen.spec.completed import Spec
from tests.support.chat_stand_in import SENTENCES, ChatServer, completion, good, serving
from tests.support.kits import small
from tests.unit.results_factory import NOBODY

SPEC = small("vllm-prebuilt")


class Told:
    """A display that remembers its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    facts: Any = {"name": SPEC.name, "title": "", "spec_sha256": None, "kit_sha256": None}
    return RunWriter(tmp_path, new_run(recipe=facts, variant="ar", method="AR", machine="here"), NOBODY)


def asking(quality: str) -> Spec:
    bench = SPEC.bench.model_copy(update={"quality": quality})
    return SPEC.model_copy(update={"bench": bench, "baseline": None})


@contextmanager
def gated(
    writer: RunWriter,
    quality: str = "full",
    profile: str | None = None,
    depths: tuple[int, ...] = (0,),
    at_once: int = 1,
) -> Iterator[tuple[QualityGate, ChatServer, dict[str, Any]]]:
    """A gate before a server that answers well, or what is put under `says`."""
    state: dict[str, Any] = {"says": None}

    def reply(prompt: str, body: dict[str, Any], busy: int) -> Any:
        return completion(good(prompt) if state["says"] is None else state["says"], prompt)

    spec = asking(quality)
    cells = tuple(spec.cells()[0].model_copy(update={"depth": depth, "concurrency": at_once}) for depth in depths)
    with serving(reply) as server:
        request = SimpleNamespace(spec=spec, cells={"ar": cells}, profile=profile, folder=writer.folder)
        plan = SimpleNamespace(variant="ar", base_url=server.url)
        yield QualityGate(request, plan, writer, Told()), server, state  # type: ignore[arg-type]


def verdicts(writer: RunWriter) -> dict[str, str]:
    quality = load_run(writer.folder).get("quality") or {"checks": []}
    return {check["id"]: check["verdict"] for check in quality["checks"]}


def test_everything_is_asked_before_and_after(writer: RunWriter) -> None:
    with gated(writer, depths=(0, 512), at_once=2) as (gate, server, _):
        gate.before()
        asked = len(server.asked)
        gate.after()
    assert len(server.asked) == 2 * asked
    names = ("coherence", "questions", "load", "needle-512")
    assert verdicts(writer) == {f"{when}.{name}": "pass" for when in ("before", "after") for name in names}


@pytest.mark.parametrize("turned", [f"{SENTENCES} " * 5, SENTENCES])
def test_a_server_that_turns_bad_while_it_is_measured_fails(writer: RunWriter, turned: str) -> None:
    """Sentences in a loop are a failure of a model that knows something; sentences that answer no question, too."""
    with gated(writer) as (gate, _, state):
        gate.before()
        state["says"] = turned
        gate.after()
    assert {check for check, verdict in verdicts(writer).items() if verdict == "fail"} <= {
        "after.coherence",
        "after.questions",
    }
    assert (load_run(writer.folder)["quality"] or {})["verdict"] == "fail"


@pytest.mark.parametrize(("quality", "asked"), [("off", set()), ("coherence", {"before.coherence"})])
def test_a_recipe_may_ask_less(writer: RunWriter, quality: str, asked: set[str]) -> None:
    with gated(writer, quality, depths=(512,)) as (gate, _, _):
        gate.before()
    assert set(verdicts(writer)) == asked


@pytest.mark.parametrize("quality", ["off", "coherence", "full"])
def test_the_profile_needle_asks_its_needle_of_every_model(writer: RunWriter, quality: str) -> None:
    with gated(writer, quality, "needle", depths=(512, 1024)) as (gate, _, _):
        gate.before()
    assert {name: verdict for name, verdict in verdicts(writer).items() if "needle" in name} == {
        "before.needle-512": "pass",
        "before.needle-1024": "pass",
    }


@pytest.mark.parametrize(("quality", "verdict"), [("off", "warn"), ("full", "fail")])
def test_a_needle_that_a_model_without_knowledge_misses_is_a_warning(
    writer: RunWriter, quality: str, verdict: str
) -> None:
    def forgetful(prompt: str, body: dict[str, Any], busy: int) -> Any:
        return completion("KITE-0000-MOSS" if "boathouse" in prompt else good(prompt), prompt)

    with gated(writer, quality, "needle", depths=(512,)) as (gate, server, _):
        server.reply = forgetful
        gate.before()
        assert verdicts(writer)["before.needle-512"] == verdict
        server.reply = lambda *_: (500, {"error": {"message": "out of memory"}})
        gate.after()
    # A server that cannot serve the depth fails, whatever its model knows.
    last = "after.needle-512" if quality == "off" else "after.coherence"
    assert verdicts(writer)[last] == "fail"


def test_a_run_that_is_gone_on_with_keeps_its_earlier_verdict(writer: RunWriter) -> None:
    with gated(writer) as (gate, _, state):
        state["says"] = ""
        gate.before()
    assert verdicts(writer) == {"before.coherence": "fail"}
    for number in (1, 2):
        writer = RunWriter.resumed(writer.folder.parents[2], writer.folder, load_run(writer.folder), NOBODY)
        with gated(writer) as (gate, _, _):
            gate.before()
            gate.after()
        found = verdicts(writer)
        assert found["start-1.before.coherence"] == "fail"
        assert found["before.questions"] == found["after.questions"] == "pass"
        assert ("start-2.before.questions" in found) is (number == 2)
        assert (load_run(writer.folder)["quality"] or {})["verdict"] == "fail"
    assert not any("start-1.start" in name or "start-2.start" in name for name in found)


def test_a_verdict_that_nobody_knows_counts_as_the_worst(writer: RunWriter) -> None:
    writer.record["quality"] = {"verdict": "great", "checks": [{"id": "before.load", "verdict": "great", "why": ""}]}
    writer.record["resumed"] = ["2026-11-21T07:00:00Z"]
    with gated(writer, "off", "needle", depths=(512,)) as (gate, _, _):
        gate.before()
    assert verdicts(writer)["start-1.before.load"] == "fail"
