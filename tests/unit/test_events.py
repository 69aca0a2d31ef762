"""The progress file, recorded from llama-benchy 0.4.0 and llama.cpp with Gemma-3-270M on two busy cores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from recipegen.bench.events import SCHEMA, CellProgress, Event, Follower, parse_event

# --pp 64 --tg 4 --runs 2 --concurrency 2 --exact-tg --no-cache; every line but for its field `schema`.
# The report of this measurement gave 4.328 and 6.306 tok/s.
RECORDED = r"""
{"type":"header","ts":1795246909.1171052,"llama_benchy_version":"0.4.0"}
{"type":"latency_measured","ts":1795246920.0026126,"latency_s":0.004018024999974538,"mode":"api"}
{"type":"request_start","ts":1795246928.1302884,"request_id":0,"model":"tiny","base_url":"http://127.0.0.1:8080/v1","prompt_size":64,"response_size":4,"context_size":0,"concurrency":2,"run_index":1,"target_label":""}
{"type":"request_start","ts":1795246928.1303515,"request_id":1,"model":"tiny","base_url":"http://127.0.0.1:8080/v1","prompt_size":64,"response_size":4,"context_size":0,"concurrency":2,"run_index":1,"target_label":""}
{"type":"request_first_response","ts":1795246932.5745747,"request_id":0,"ttfr_s":4.444068976999915}
{"type":"request_first_token","ts":1795246932.57468,"request_id":0,"ttft_s":4.444068976999915}
{"type":"tokens","ts":1795246932.574706,"request_id":0,"count":1,"snippet":"l","estimated":true}
{"type":"request_first_response","ts":1795246932.5747883,"request_id":1,"ttfr_s":4.444146301000046}
{"type":"request_first_token","ts":1795246932.5748198,"request_id":1,"ttft_s":4.444146301000046}
{"type":"tokens","ts":1795246932.5748358,"request_id":1,"count":1,"snippet":"the","estimated":true}
{"type":"tokens","ts":1795246933.0323455,"request_id":1,"count":1,"snippet":" world","estimated":true}
{"type":"tokens","ts":1795246933.0346746,"request_id":0,"count":1,"snippet":"\n","estimated":true}
{"type":"tokens","ts":1795246933.57433,"request_id":1,"count":1,"snippet":" is","estimated":true}
{"type":"tokens","ts":1795246933.574805,"request_id":0,"count":1,"snippet":"d","estimated":true}
{"type":"tokens","ts":1795246933.9604404,"request_id":1,"count":1,"snippet":" filled","estimated":true}
{"type":"tokens","ts":1795246933.9608903,"request_id":0,"count":1,"snippet":"2","estimated":true}
{"type":"request_end","ts":1795246933.9612687,"request_id":0,"total_tokens":4,"prompt_tokens":69,"decode_seconds":1.3867000820000612,"error":""}
{"type":"request_end","ts":1795246933.9633062,"request_id":1,"total_tokens":4,"prompt_tokens":73,"decode_seconds":1.3885044700000435,"error":""}
{"type":"request_start","ts":1795246933.9640613,"request_id":2,"model":"tiny","base_url":"http://127.0.0.1:8080/v1","prompt_size":64,"response_size":4,"context_size":0,"concurrency":2,"run_index":2,"target_label":""}
{"type":"request_start","ts":1795246933.9641063,"request_id":3,"model":"tiny","base_url":"http://127.0.0.1:8080/v1","prompt_size":64,"response_size":4,"context_size":0,"concurrency":2,"run_index":2,"target_label":""}
{"type":"request_first_response","ts":1795246941.4021032,"request_id":2,"ttfr_s":7.437766571000111}
{"type":"request_first_token","ts":1795246941.402196,"request_id":2,"ttft_s":7.437766571000111}
{"type":"tokens","ts":1795246941.4022198,"request_id":2,"count":1,"snippet":"bright","estimated":true}
{"type":"tokens","ts":1795246941.8523343,"request_id":2,"count":1,"snippet":" and","estimated":true}
{"type":"request_first_response","ts":1795246941.852794,"request_id":3,"ttfr_s":7.888051816999905}
{"type":"request_first_token","ts":1795246941.8528388,"request_id":3,"ttft_s":7.888051816999905}
{"type":"tokens","ts":1795246941.8528564,"request_id":3,"count":1,"snippet":"I","estimated":true}
{"type":"tokens","ts":1795246942.1297514,"request_id":2,"count":1,"snippet":" cool","estimated":true}
{"type":"tokens","ts":1795246942.130377,"request_id":3,"count":1,"snippet":" ","estimated":true}
{"type":"tokens","ts":1795246942.2703302,"request_id":2,"count":1,"snippet":" day","estimated":true}
{"type":"request_end","ts":1795246942.274039,"request_id":2,"total_tokens":4,"prompt_tokens":69,"decode_seconds":0.8719561390000763,"error":""}
{"type":"tokens","ts":1795246942.2746716,"request_id":3,"count":1,"snippet":"2","estimated":true}
{"type":"tokens","ts":1795246942.353577,"request_id":3,"count":1,"snippet":"5","estimated":true}
{"type":"request_end","ts":1795246942.3537219,"request_id":3,"total_tokens":4,"prompt_tokens":70,"decode_seconds":0.5009292970000843,"error":""}
{"type":"bench_complete","ts":1795246942.355243,"status":"ok"}
"""
# --pp 20000 on a server with 2048 tokens of context: every request fails, and llama-benchy exits with 0.
FAILING = r"""
{"type":"request_start","ts":1795246840.4923406,"request_id":0,"model":"tiny","base_url":"http://127.0.0.1:8080/v1","prompt_size":20000,"response_size":12,"context_size":0,"concurrency":1,"run_index":1,"target_label":""}
{"type":"request_end","ts":1795246840.6220376,"request_id":0,"total_tokens":0,"prompt_tokens":0,"decode_seconds":0.0,"error":"HTTP 400: {\"error\":{\"code\":400,\"message\":\"request (4671 tokens) exceeds the available context size (2048 tokens), try increasing it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":4671,\"n_ctx\":2048}}"}
{"type":"request_start","ts":1795246840.62449,"request_id":1,"model":"tiny","base_url":"http://127.0.0.1:8080/v1","prompt_size":20000,"response_size":12,"context_size":0,"concurrency":1,"run_index":2,"target_label":""}
{"type":"request_end","ts":1795246840.726102,"request_id":1,"total_tokens":0,"prompt_tokens":0,"decode_seconds":0.0,"error":"HTTP 400: {\"error\":{\"code\":400,\"message\":\"request (4669 tokens) exceeds the available context size (2048 tokens), try increasing it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":4669,\"n_ctx\":2048}}"}
{"type":"bench_complete","ts":1795246840.726718,"status":"ok"}
"""  # noqa: E501


def lines(recording: str) -> list[bytes]:
    return [
        json.dumps({"schema": SCHEMA, **json.loads(line)}).encode() + b"\n" for line in recording.strip().splitlines()
    ]


def events(recording: str) -> list[Event]:
    return [event for line in lines(recording) if (event := parse_event(line))]


def event(kind: str, ts: float, **data: object) -> Event:
    return Event(kind, ts, data)


def progress(found: Iterable[Event], runs: int = 2) -> CellProgress:
    told = CellProgress(runs)
    told.feed(found)
    return told


def start(ts: float, request: int, run: int, concurrency: int = 1, tg: int = 10) -> Event:
    return event("request_start", ts, request_id=request, run_index=run, concurrency=concurrency, response_size=tg)


def test_follower_reads_what_is_new(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    follower = Follower(file)
    assert follower.poll() == []
    whole = b"".join(lines(RECORDED))
    seen: list[Event] = []
    with file.open("wb", buffering=0) as out:
        for at in range(0, len(whole), 97):
            out.write(whole[at : at + 97])
            seen += follower.poll()
    assert seen == events(RECORDED)
    assert follower.poll() == []
    assert follower.skipped == 0
    assert [seen[0].kind, seen[-1].kind] == ["header", "bench_complete"]


def test_follower_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    follower = Follower(file)
    line = lines(RECORDED)[2]
    file.write_bytes(line[:30])
    assert follower.poll() == []
    file.write_bytes(line)
    assert [found.kind for found in follower.poll()] == ["request_start"]
    assert follower.skipped == 0


def test_follower_steps_over_garbage_and_other_versions(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    good = lines(RECORDED)[0]
    garbage = [
        b"not json\n",
        b"\xff\xfe\x00\n",
        b"[1, 2]\n",
        b"null\n",
        b"[" * 100_000 + b"\n",
        good.replace(b".v1", b".v2"),
        b'{"schema": "llama-benchy-progress.v1", "type": 5, "ts": 1}\n',
        b'{"schema": "llama-benchy-progress.v1", "type": "tokens"}\n',
        b'{"schema": "llama-benchy-progress.v1", "type": "tokens", "ts": NaN}\n',
        b'{"schema": "llama-benchy-progress.v1", "type": "tokens", "ts": "now"}\n',
    ]
    file.write_bytes(b"\n".join([good, *garbage, good]))
    follower = Follower(file)
    assert [found.kind for found in follower.poll()] == ["header", "header"]
    assert follower.skipped == len(garbage)


def test_follower_does_not_hoard_an_endless_line(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    follower = Follower(file)
    with file.open("wb", buffering=0) as out:
        for _ in range(5):
            out.write(b"x" * 600_000)
            assert follower.poll() == []
        out.write(b"\n" + lines(RECORDED)[0])
    assert [found.kind for found in follower.poll()] == ["header"]


def test_follower_starts_again_with_a_new_file(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    follower = Follower(file)
    file.write_bytes(b"".join(lines(RECORDED)))
    follower.poll()
    file.write_bytes(lines(RECORDED)[0])
    assert [found.kind for found in follower.poll()] == ["header"]


def test_progress_of_the_recording() -> None:
    told = progress(events(RECORDED))
    assert (told.run, told.runs, told.running, told.tokens) == (2, 2, 0, 16)
    assert (told.status, told.fraction, told.seconds_left()) == ("ok", 1.0, 0.0)
    assert told.median_rate == pytest.approx((4.328 + 6.306) / 2, rel=0.01)
    assert told.ttfr_s == pytest.approx(7.888, abs=0.001)
    assert told.failed_requests == 0


def test_progress_before_the_first_run() -> None:
    told = progress(events(RECORDED)[:2])
    assert (told.run, told.running, told.tokens, told.fraction) == (0, 0, 0, 0.0)
    assert (told.median_rate, told.current_rate, told.ttfr_s, told.seconds_left()) == (None, None, None, None)


def test_progress_in_the_middle() -> None:
    recorded = events(RECORDED)
    second = [found.kind for found in recorded].index("request_start", 4)
    told = progress(recorded[: second + 6])
    assert (told.run, told.finished_runs, told.running) == (2, 1, 2)
    assert told.tokens == 8 + 2
    assert told.fraction == pytest.approx((1 + 2 / 8) / 2)
    assert told.median_rate == pytest.approx(4.328, rel=0.01)
    assert told.current_rate == pytest.approx(1 / (1941.8523343 - 1941.4022198), rel=0.01)
    first_run = recorded[second].ts - recorded[2].ts
    assert told.seconds_left(recorded[second].ts) == pytest.approx(first_run)
    assert told.seconds_left(recorded[second].ts + 2) == pytest.approx(first_run - 2)
    assert told.seconds_left(recorded[second].ts + 1000) == 0.0
    assert told.seconds_left(recorded[second].ts - 1000) == pytest.approx(first_run)


def test_progress_never_goes_back() -> None:
    told = CellProgress(2)
    fractions = []
    for found in events(RECORDED):
        told.feed([found])
        fractions.append(told.fraction)
    assert fractions == sorted(fractions)
    assert fractions[-2] < 1.0 == fractions[-1]


def test_failed_requests_are_counted_and_have_no_speed() -> None:
    told = progress(events(FAILING))
    assert told.failed_requests == 2
    assert "exceeds the available context size" in told.last_error
    assert (told.median_rate, told.tokens, told.status) == (None, 0, "ok")


def test_one_failed_request_does_not_spoil_the_other() -> None:
    found = [
        start(0, 1, run=1, concurrency=2),
        start(0, 2, run=1, concurrency=2),
        event("request_end", 1, request_id=2, total_tokens=0, error="Server disconnected"),
        event("tokens", 2, request_id=1, count=1),
        event("tokens", 4, request_id=1, count=4),
        event("request_end", 9, request_id=1, total_tokens=5, error=""),
        event("bench_complete", 9, status="ok"),
    ]
    told = progress(found, runs=1)
    assert (told.median_rate, told.failed_requests, told.last_error) == (2.0, 1, "Server disconnected")


def test_runs_are_counted_from_one_with_and_without_a_warm_up() -> None:
    for first in (0, 1):
        told = progress([start(0, 0, run=first), start(1, 1, run=first + 1)], runs=3)
        assert (told.run, told.finished_runs) == (2, 1)


def test_first_chunk_of_several_tokens_counts_none_of_them() -> None:
    """A speculative server sends several tokens at once; those of the first chunk took no decode time."""
    found = [
        start(0, 0, run=1),
        event("tokens", 1, request_id=0, count=4),
        event("tokens", 2, request_id=0, count=6),
    ]
    assert progress(found).current_rate == 6.0


def test_speed_of_a_run_in_two_phases_is_that_of_the_second() -> None:
    found = [
        start(0, 0, run=1),
        event("tokens", 1, request_id=0, count=1),
        event("tokens", 2, request_id=0, count=99),
        event("request_end", 2, request_id=0, total_tokens=100),
        start(2, 1, run=1),
        event("tokens", 3, request_id=1, count=1),
        event("tokens", 5, request_id=1, count=8),
    ]
    told = progress(found)
    assert (told.run, told.finished_runs, told.running, told.current_rate) == (1, 0, 1, 4.0)


@pytest.mark.parametrize(
    "strange",
    [
        event("request_start", 1.0),
        event("request_start", 1.0, request_id="x", run_index=1),
        event("request_start", 1.0, request_id=True, run_index=-1),
        event("tokens", 1.0, request_id=77, count=5),
        event("tokens", 1.0, request_id=[], count=5),
        event("request_end", 1.0),
        event("from_the_future", 1.0, request_id=0),
    ],
)
def test_strange_events_change_nothing(strange: Event) -> None:
    told = progress([strange, strange])
    assert (told.run, told.tokens, told.running, told.failed_requests) == (0, 0, 0, 0)


def test_more_runs_than_asked_for_stay_within_the_whole() -> None:
    told = progress([start(i, i, run=i) for i in range(5)], runs=2)
    assert (told.fraction, told.seconds_left()) == (1.0, 0.0)
    assert progress([start(0, 0, run=1, tg=0)], runs=0).fraction == 0.0
