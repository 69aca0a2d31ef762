"""The quality gate against a server that answers well, garbage, nothing, late, wrong under load, or with malice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipegen.errors import RecipegenError
from recipegen.quality.client import ANSWER_BYTES, Chat, split_thinking
from recipegen.quality.gate import probe
from recipegen.quality.greedy import (
    FILE,
    Greedy,
    Output,
    Reference,
    compare,
    greedy_check,
    load_greedy,
    newest_reference,
    record_greedy,
)
from recipegen.quality.needle import plant
from recipegen.quality.questions import PROBES, Question, probes, questions
from recipegen.quality.text import faults
from recipegen.quality.verdict import Check, Quality, merged, shown
from recipegen.results.store import RECORD, RunWriter, new_run
from tests.support.chat_stand_in import SENTENCES, completion, good, serving
from tests.unit.results_factory import NOBODY

Reply = Callable[[str, dict[str, Any], int], Any]


def well(prompt: str, body: dict[str, Any], busy: int) -> Any:
    return completion(good(prompt), prompt)


def saying(text: str | None, finish: str = "stop", **message: Any) -> Reply:
    return lambda prompt, body, busy: completion(text, prompt, finish, **message)


def probed(reply: Reply, **options: Any) -> Quality:
    with serving(reply) as server:
        return probe(server.url, "tiny", **{"timeout": 20.0, **options})


def by_id(quality: Quality) -> dict[str, Check]:
    return {check.id: check for check in quality.checks}


# The whole probe


def test_a_good_server_passes_everything() -> None:
    with serving(well) as server:
        quality = probe(f"{server.url}/v1/", "tiny", concurrency=4, depths=(0, 4096, 1024, 4096), timeout=20)
    data = quality.as_data()
    assert {check["id"]: check["verdict"] for check in data["checks"]} == {
        "coherence": "pass",
        "questions": "pass",
        "load": "pass",
        "needle-1024": "pass",
        "needle-4096": "pass",
    }
    assert data["verdict"] == "pass"
    assert all(set(check) == {"id", "verdict", "found", "expected", "why"} for check in data["checks"])
    assert json.loads(json.dumps(data)) == data
    assert {body["temperature"] for body in server.asked} == {0}
    assert {body["model"] for body in server.asked} == {"tiny"}
    assert all(body["max_tokens"] <= 512 for body in server.asked)
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in server.asked)


def test_the_needle_is_planted_at_the_depth_that_is_measured() -> None:
    quality = probed(well, depths=(2000,))
    needle = by_id(quality)["needle-2000"]
    assert needle.found == needle.expected
    counted = int(needle.why.rpartition(" of ")[2].split()[0])
    assert counted == pytest.approx(2000, rel=0.03)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (saying(""), "the answer is empty"),
        (saying(None), "the answer is empty"),
        (saying("!" * 400, "length"), "'!' is repeated 400 times"),
        (saying("the cat sat " * 130, "length"), "it ends in a loop of 3 words"),
        (
            saying("ificación กด def 𝔸 gewoon xlabel 東京 ratio Unity malloc пере jdbc ostream " * 1),
            "do not make English",
        ),
        (saying("\ufffd\ufffd\x00\x01" * 40), "of the characters are printable"),
        (saying("0x1f 3.14 {} [] == 77 -> 12; 9 8 7 6 5 4 3 2 1 == != [] {} ()"), "are letters"),
        (lambda *_: (500, {"error": {"message": "CUDA error: out of memory"}}), "HTTP 500: CUDA error: out of memory"),
        (lambda *_: (302, b""), "HTTP 302"),
        (lambda *_: b"<html>busy</html>", "the answer is not JSON"),
        (lambda *_: b"[" * 200_000, "the answer is not JSON"),
        (lambda *_: [], "the answer is not a chat completion"),
        (lambda *_: {"choices": [{"message": "hello"}]}, "the answer is not a chat completion"),
        (lambda *_: completion(["no", "text"]), "the answer's content is not text"),
        (lambda *_: b" " * (ANSWER_BYTES + 2), "the answer is larger than 4 MiB"),
    ],
)
def test_what_is_no_sense_fails_at_the_first_check(reply: Reply, why: str) -> None:
    quality = probed(reply, concurrency=8, depths=(4096,))
    assert quality.verdict == "fail"
    (check,) = quality.checks
    assert check.id == "coherence"
    assert why in check.why


def test_a_server_that_answers_too_late_is_asked_once() -> None:
    with serving(lambda *_: None) as server:
        quality = probe(server.url, "tiny", timeout=0.3)
    assert [check.why for check in quality.checks] == ["no answer within 0.3 s"]
    assert len(server.asked) == 1


def test_a_server_that_drips_is_cut_off() -> None:
    """Each byte comes within the socket's time-out; the answer never does."""
    import socketserver

    ended = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            try:
                self.request.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not ended.wait(0.05):
                    self.request.sendall(b"a")
            except OSError:
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            chat = Chat(f"http://127.0.0.1:{server.server_address[1]}", "x", thinking_kwarg=None, timeout=0.5)
            answer = chat.ask("hello", max_tokens=1)
        finally:
            ended.set()
            server.shutdown()
    assert answer.error == "no answer within 0.5 s"
    assert answer.unreachable


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "ftp://127.0.0.1", "nonsense", "http://[::"])
def test_nobody_there_is_a_check_too(address: str) -> None:
    quality = probe(address, "tiny", timeout=5)
    assert quality.verdict == "fail"
    assert quality.checks[0].why.startswith("no answer: ")


def test_a_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert probed(well).verdict == "pass"


# Questions


def knowing(*wrong: str) -> Reply:
    """Answers well but for the questions with these words in them."""
    return lambda prompt, body, busy: completion(
        "I do not know." if any(part in prompt for part in wrong) else good(prompt), prompt
    )


@pytest.mark.parametrize(
    ("wrong", "verdict", "found"),
    [
        ((), "pass", "8 of 8 right"),
        (("12 times",), "warn", "7 of 8 right"),
        (("12 times", "spiders", "chien", "alpha"), "warn", "4 of 8 right"),
        (("12 times", "spiders", "chien", "alpha", "water"), "fail", "3 of 8 right"),
    ],
)
def test_few_wrong_answers_warn_and_most_fail(wrong: tuple[str, ...], verdict: str, found: str) -> None:
    check = by_id(probed(knowing(*wrong)))["questions"]
    assert (check.verdict, check.found) == (verdict, found)
    assert not wrong or "product -> I do not know." in check.why


def test_one_failed_request_fails() -> None:
    def failing(prompt: str, body: dict[str, Any], busy: int) -> Any:
        return (503, {"message": "overloaded"}) if "spiders" in prompt else completion(good(prompt), prompt)

    check = by_id(probed(failing))["questions"]
    assert (check.verdict, check.why) == ("fail", "1 of 8 requests failed: HTTP 503: overloaded")


@pytest.mark.parametrize(
    ("id_", "answer", "right"),
    [
        ("product", "12 × 17 = **204**", True),
        ("product", "1204", False),
        ("product", "2040", False),
        ("capital", "PARIS!", True),
        ("capital", "Parisian", False),
        ("order", "apple, fig, pear", True),
        ("order", "1. apple\n2. fig\n3. pear", True),
        ("order", "pear, apple, fig", False),
        ("formula", "$H_2O$", True),
        ("formula", "H₂O", True),
        ("formula", "$\\text{H}_2\\text{O}$", True),
        ("formula", "CO2", False),
        ("copy", "lantern–58–otter", True),
        ("legs", "24", True),
        ("legs", "240", False),
        ("french", 'The word is "dog".', True),
    ],
)
def test_right_answers_in_their_many_forms(id_: str, answer: str, right: bool) -> None:
    assert {question.id: question for question in questions()}[id_].right(answer) is right


def test_no_question_holds_its_own_answer() -> None:
    """An echo of the prompt is no knowledge; copying is the exception, that is what it asks for."""
    assert [question.id for question in questions() if question.right(question.ask)] == ["copy"]
    assert len({question.id for question in questions()}) == len(questions()) == 8


# Thinking


@pytest.mark.parametrize(
    ("text", "content", "thought"),
    [
        ("plain", "plain", ""),
        ("<think>\nhm\n</think>\n\nanswer", "\n\nanswer", "\nhm\n"),
        ("hm\n</think>answer", "answer", "hm\n"),
        ("<think>cut of", "", "cut of"),
        ("[THINK]a[/THINK]b", "b", "a"),
        ("<think>a</think>b<think>c</think>d", "d", "a</think>bc"),
    ],
)
def test_thinking_is_taken_out(text: str, content: str, thought: str) -> None:
    assert split_thinking(text) == (content, thought)


def test_a_thinking_model_is_judged_by_its_answer() -> None:
    def thinking(prompt: str, body: dict[str, Any], busy: int) -> Any:
        return completion(f"<think>Is it 204? Paris? No.</think>{good(prompt)}", prompt)

    assert probed(thinking).verdict == "pass"
    wrong = by_id(
        probed(
            lambda prompt, *_: completion(
                SENTENCES if "sentences" in prompt else "none", prompt, reasoning_content=f"{good(prompt)}?"
            )
        )
    )["questions"]
    assert wrong.found == "0 of 8 right"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_an_answer_may_stand_in_the_thinking_when_there_is_no_other(field: str) -> None:
    quality = probed(lambda prompt, *_: completion(None, prompt, "length", **{field: good(prompt)}))
    assert by_id(quality)["questions"].found == "8 of 8 right"
    assert quality.verdict == "pass"


def test_a_server_that_refuses_template_arguments_is_asked_without() -> None:
    def strict(prompt: str, body: dict[str, Any], busy: int) -> Any:
        if "chat_template_kwargs" in body:
            return 400, {"error": {"message": "unknown field chat_template_kwargs"}}
        return completion(good(prompt), prompt)

    with serving(strict) as server:
        assert probe(server.url, "tiny", timeout=20).verdict == "pass"
    assert sum("chat_template_kwargs" in body for body in server.asked) == 1


# Under load


def wrong_under_load(answer: Any) -> Reply:
    """Right as long as requests come one at a time."""
    together = threading.Barrier(8)
    alone = {"left": len(questions())}

    def reply(prompt: str, body: dict[str, Any], busy: int) -> Any:
        if good(prompt) == SENTENCES:
            return completion(SENTENCES, prompt)
        if alone["left"] > 0:
            alone["left"] -= 1
            return completion(good(prompt), prompt)
        together.wait(10)  # so that eight are in work at once
        return answer(prompt)

    return reply


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda prompt: completion("banana", prompt), "8 of 8 turned wrong with 8 at once: product -> banana"),
        (lambda prompt: completion("", prompt), "0 failed and 8 came back empty of 8, 8 at once"),
        (
            lambda prompt: (500, {"error": "engine died"}),
            "8 failed and 0 came back empty of 8, 8 at once: HTTP 500: engine died",
        ),
        (
            lambda prompt: completion("banana" if "Fr" in prompt else good(prompt), prompt),
            "2 of 8 turned wrong with 8 at once: capital -> banana; french -> banana",
        ),
    ],
)
def test_right_alone_and_wrong_under_load_fails(answer: Any, why: str) -> None:
    with serving(wrong_under_load(answer)) as server:
        quality = probe(server.url, "tiny", concurrency=8, timeout=20)
    found = by_id(quality)
    assert found["questions"].verdict == "pass"
    assert found["load"].verdict == "fail"
    assert found["load"].why.startswith(why)
    assert server.most_busy == 8


def test_one_answer_that_turns_wrong_is_a_warning() -> None:
    one = wrong_under_load(lambda prompt: completion("150" if "12 times" in prompt else good(prompt), prompt))
    check = by_id(probed(one, concurrency=8))["load"]
    assert (check.verdict, check.found) == ("warn", "7 right, 1 wrong")


def test_what_is_wrong_alone_may_be_wrong_under_load() -> None:
    check = by_id(probed(knowing("12 times", "chien"), concurrency=16))["load"]
    assert (check.verdict, check.found) == ("pass", "12 right, 4 wrong")


# Needles


def forgetful(times: int) -> Reply:
    missed = {"left": times}

    def reply(prompt: str, body: dict[str, Any], busy: int) -> Any:
        if "boathouse" in prompt and missed["left"]:
            missed["left"] -= 1
            return completion("KITE-0000-MOSS", prompt)
        return completion(good(prompt), prompt)

    return reply


def test_a_needle_missed_once_is_a_warning_and_twice_a_failure() -> None:
    once = by_id(probed(forgetful(1), depths=(512,)))["needle-512"]
    assert once.verdict == "warn"
    assert "missed at" in once.why and "KITE-0000-MOSS" in once.why
    twice = by_id(probed(forgetful(2), depths=(512,)))["needle-512"]
    assert (twice.verdict, twice.found) == ("fail", "KITE-0000-MOSS")


def test_a_needle_stays_within_the_context() -> None:
    needle = by_id(probed(well, depths=(8192,), model_context=2048))["needle-8192"]
    assert needle.verdict == "pass"
    assert needle.why.endswith("planted at 1728 tokens, since the context ends at 2048")
    assert int(needle.why.split(" of ")[2].split()[0]) < 2048 - 256


def test_a_prompt_that_the_server_cuts_is_told() -> None:
    def cutting(prompt: str, body: dict[str, Any], busy: int) -> Any:
        found = completion(good(prompt), prompt)
        found["usage"]["prompt_tokens"] = min(found["usage"]["prompt_tokens"], 1000)
        return found

    needle = by_id(probed(cutting, depths=(4096,)))["needle-4096"]
    assert needle.verdict == "warn"
    assert needle.why.endswith("of 1000 tokens; was the prompt cut?")


def test_a_server_that_does_not_count_is_measured_by_words() -> None:
    def uncounted(prompt: str, body: dict[str, Any], busy: int) -> Any:
        return completion(good(prompt), prompt) | {"usage": {"prompt_tokens": "many"}}

    needle = by_id(probed(uncounted, depths=(512,)))["needle-512"]
    assert needle.verdict == "pass"
    assert needle.why.endswith("(the server does not count tokens)")


def test_needles_differ_by_depth_and_repeat_by_seed() -> None:
    assert plant(300, "512/1") == plant(300, "512/1")
    codes = {plant(300, f"{depth}/{attempt}").code for depth in (512, 4096) for attempt in (1, 2)}
    assert len(codes) == 4
    planted = plant(1000, "x")
    before = len(planted.prompt.partition(planted.code)[0]) / len(planted.prompt)
    assert before == pytest.approx(planted.share, abs=0.05)
    assert planted.prompt.count(planted.code) == 1


# Small models, texts, what is shown


def test_a_model_too_small_to_know_is_asked_for_sentences_only() -> None:
    reply = saying(SENTENCES)
    assert probed(reply).verdict == "fail"
    quality = probed(reply, level="coherence", concurrency=6, depths=(4096,))
    assert [(check.id, check.verdict) for check in quality.checks] == [("coherence", "pass"), ("load", "pass")]


def test_garbage_under_load_is_found_of_small_models_too() -> None:
    calm = {"left": 2}

    def reply(prompt: str, body: dict[str, Any], busy: int) -> Any:
        calm["left"] -= 1
        return completion(SENTENCES if calm["left"] >= 0 else "#" * 300, prompt, "length")

    quality = probed(reply, level="coherence", concurrency=6)
    assert by_id(quality)["load"].why == "6 of 6: '#' is repeated 300 times"


@pytest.mark.parametrize(
    ("text", "verdict", "words"),
    [
        (SENTENCES, None, ""),
        (f"**River**\n\n- {SENTENCES}\n", None, ""),
        ("Water flows down from the hills, and it is cold.", None, ""),
        ("Rivers grow.", "warn", "only 2 words"),
        (SENTENCES + "<|im_end|>", "warn", "the special token <|im_end|>"),
        (SENTENCES + "<｜end▁of▁sentence｜>", "warn", "the special token"),
        (f"{SENTENCES} " * 5, "fail", "it repeats itself: only 20% "),
        (SENTENCES + " and so on" * 12, "fail", "it ends in a loop of 3 words"),
        (SENTENCES + " ab" * 4 + "ab" * 30, "fail", "'ab' is repeated 31 times"),
        ("\n \t ", "fail", "the answer is empty"),
        (" ".join(f"it is a very good {i} and it was a very bad" for i in range(9)), "fail", "it repeats itself"),
    ],
)
def test_faults_of_texts(text: str, verdict: str | None, words: str) -> None:
    found = list(faults(text))
    if verdict is None:
        assert found == []
    else:
        assert found[0][0] == verdict
        assert found[0][1].startswith(words)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Write three plain sentences about how a river changes on its way.<|im_end|> user " * 20, "warn"),
        ("and so on " * 40, "fail"),
        ("!" * 300, "fail"),
        ("ificación กด def 𝔸 gewoon xlabel 東京 ratio malloc пере jdbc ostream", "fail"),
    ],
)
def test_a_small_model_may_say_a_sentence_again_and_again(text: str, verdict: str) -> None:
    """What Gemma-3-270M does in a chat; of a model that should know more it is a failure."""
    assert next(faults(text, small=True))[0] == verdict
    assert next(faults(text))[0] == "fail"


def test_a_huge_text_is_judged_by_its_ends() -> None:
    assert next(faults("ab" * 2_000_000))[0] == "fail"
    assert [verdict for verdict, _ in faults("x y " * 500_000)] == ["fail"]


def test_an_answer_without_an_end_is_a_warning() -> None:
    cut = by_id(probed(lambda prompt, *_: completion(good(prompt), prompt, "length")))["coherence"]
    assert (cut.verdict, cut.why) == ("warn", "2 of 2: the answer did not come to an end")
    aborted = by_id(probed(lambda prompt, *_: completion(good(prompt), prompt, "abort")))["coherence"]
    assert aborted.why == "2 of 2: the request ended with abort"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n\n  b\tc", "a b c"),
        ("", "(empty)"),
        ("\x1b[31mred\u202e", "\\x1b[31mred\\x202e"),
        ("token hf_" + "a1" * 12, "<hidden>"),
        ("x" * 500, "x" * 159 + "…"),
    ],
)
def test_answers_are_shown_as_one_harmless_line(text: str, line: str) -> None:
    assert shown(text) == line


def test_a_hostile_answer_can_be_recorded(tmp_path: Path) -> None:
    """Secrets in form, surrogates and control characters must not keep a run from being recorded."""
    evil = "hf_" + "a1" * 12 + " \x1b]0;title\x07 ```\n| a | \ud800"
    raw = json.dumps(completion(SENTENCES)).replace('"content": "A river', '"content": "A \\ud800 river').encode()
    quality = probed(lambda prompt, *_: raw if "sentences" in prompt else completion(evil, prompt))
    record = new_run(
        recipe={"name": "r", "title": "r", "spec_sha256": None, "kit_sha256": None},
        variant="v",
        method="AR",
        machine="m",
    )
    record["quality"] = quality.as_data()  # type: ignore[typeddict-unknown-key]
    writer = RunWriter(tmp_path, record, NOBODY)
    stored = json.loads((writer.folder / RECORD).read_text())["quality"]
    assert stored["verdict"] == "fail"
    assert "hf_a1" not in json.dumps(stored)


def test_verdicts_add_up() -> None:
    fine = Quality((Check("coherence", "pass", "", "", ""),))
    poor = fine.with_checks(Check("greedy", "warn", "", "", ""))
    both = merged({"before": fine, "after": poor})
    assert [check.id for check in both.checks] == ["before.coherence", "after.coherence", "after.greedy"]
    assert (fine.verdict, poor.verdict, both.verdict, Quality(()).verdict) == ("pass", "warn", "warn", "pass")


def test_probes_are_well_formed() -> None:
    data = probes()
    assert PROBES.name == "probes.yaml"
    assert len(data["coherence"]["prompts"]) == 2
    assert len({item["id"] for item in data["greedy"]["prompts"]}) == len(data["greedy"]["prompts"]) == 8
    assert all(isinstance(question, Question) for question in questions())


# Greedy outputs


def outputs(*texts: str, ids: list[tuple[int, ...]] | None = None) -> tuple[Output, ...]:
    return tuple(Output(f"p{at}", text, ids[at] if ids else None, "length", None) for at, text in enumerate(texts))


def reference(*texts: str, version: str | None = "1.0") -> Reference:
    return Reference("20261121T072000Z-ar", version, Greedy("x", outputs(*texts)))


def recorded_run(recipe: Path, variant: str, machine: str = "spark", version: str = "0.19.0") -> Path:
    record = new_run(
        recipe={"name": "r", "title": "r", "spec_sha256": None, "kit_sha256": None},
        variant=variant,
        method="AR",
        machine=machine,
    )
    record["engine"] = {"name": "vllm", "version": version}
    return RunWriter(recipe, record, NOBODY).folder


def test_outputs_are_recorded_and_compared_with_the_newest_baseline(tmp_path: Path) -> None:
    def story(prompt: str, body: dict[str, Any], busy: int) -> Any:
        found = completion(f"About {prompt[:20]}: {SENTENCES}", prompt, "length")
        found["choices"][0]["token_ids"] = [7, 8, 9]
        return found

    assert newest_reference(tmp_path, "spark", "ar") is None
    with serving(story) as server:
        for variant, machine in (("ar", "spark"), ("ar", "spark"), ("mtp", "spark"), ("ar", "other")):
            folder = recorded_run(tmp_path, variant, machine)
            own = record_greedy(folder, server.url, "tiny", timeout=20)
            assert load_greedy(folder) == own
        assert {body["max_tokens"] for body in server.asked} == {128}
        assert {body["temperature"] for body in server.asked} == {0}
    found = newest_reference(tmp_path, "spark", "ar")
    assert found is not None
    assert found.run.endswith("-ar-2")
    assert (found.engine_version, found.greedy.outputs[0].token_ids) == ("0.19.0", (7, 8, 9))
    check = greedy_check(own, found, engine_version="0.19.0")
    assert (check.verdict, check.found) == ("pass", "8 of 8 identical")
    assert check.why == f"compared with run {found.run}"


def test_where_outputs_part_is_told() -> None:
    own = Greedy("x", outputs("a" * 80 + "bc", "same", "a" * 10, "z"))
    check = greedy_check(own, reference("a" * 80 + "dc", "same", "a" * 12, "z"), engine_version="2.0")
    assert (check.verdict, check.found) == ("warn", "2 of 4 identical")
    assert "2 of 4 part from run 20261121T072000Z-ar (of engine version 1.0, this is 2.0)" in check.why
    assert "p0 at character 80: 'bc' for 'dc'; p2 at character 10: '(empty)' for 'aa'" in check.why
    assert check.why.endswith("; 1 within the first 16 tokens")


def test_token_places_where_both_servers_give_them() -> None:
    ours = outputs("the cat sat", "same", ids=[(1, 2, 3), (4,)])
    theirs = outputs("the cat ran", "same", ids=[(1, 2, 9), (5,)])
    (parting,) = compare(ours, theirs)
    assert (parting.id, parting.token, parting.char) == ("p0", 2, 8)
    assert parting.words() == "p0 at token 2 (character 8): 'sat' for 'ran'"


def test_most_parting_at_once_fails() -> None:
    own = Greedy("x", outputs("other text", "nothing alike", "z"))
    check = greedy_check(own, reference("some text", "words", "z"))
    assert (check.verdict, check.found) == ("fail", "1 of 3 identical")


def test_outputs_that_failed_or_are_empty_fail() -> None:
    broken = Greedy("x", (*outputs("a"), Output("p1", "", None, None, "HTTP 500: gone")))
    check = greedy_check(broken, reference("a", "b"))
    assert (check.verdict, check.why) == ("fail", "1 of 2 prompts: HTTP 500: gone")
    assert greedy_check(Greedy("x", outputs("")), reference("a")).why == "1 of 1 prompts: the output is empty"


def test_no_baseline_is_a_warning() -> None:
    check = greedy_check(Greedy("x", outputs("a")), None)
    assert check.verdict == "warn"
    assert "measure it first" in check.why


def test_a_dead_server_gives_outputs_that_say_so(tmp_path: Path) -> None:
    own = record_greedy(tmp_path, "http://127.0.0.1:1", "tiny", timeout=5)
    assert len(own.outputs) == 8
    assert (own.outputs[0].error or "").startswith("no answer: ")
    assert own.outputs[1].error == "not asked: the server did not answer before"


def as_file(**changes: Any) -> str:
    """A file of one output, with a wrong value in it."""
    fine = {"id": "a", "text": "", "token_ids": None, "finish": None, "error": None}
    return json.dumps({"format": "recipegen-greedy/1", "probes": "x", "outputs": [{**fine, **changes}]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"format": "recipegen-greedy/9", "probes": "x", "outputs": []}',
        '{"format": "recipegen-greedy/1", "outputs": []}',
        '{"format": "recipegen-greedy/1", "probes": 1, "outputs": []}',
        '{"format": "recipegen-greedy/1", "probes": "x", "outputs": [1]}',
        as_file(text=1),
        as_file(token_ids=["b"]),
        as_file(error=5),
    ],
)
def test_a_damaged_file_of_outputs_is_refused_and_passed_over(tmp_path: Path, text: str) -> None:
    folder = recorded_run(tmp_path, "ar")
    (folder / FILE).write_text(text)
    with pytest.raises(RecipegenError, match="greedy"):
        load_greedy(folder)
    assert newest_reference(tmp_path, "spark", "ar") is None
