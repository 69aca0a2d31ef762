"""Sampling the server's metrics and the host, against a stand-in that serves pages as vLLM and llama.cpp write them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from recipegen.bench import prometheus
from recipegen.bench.host_sampler import parse_gpu_lines, parse_memory
from recipegen.bench.prometheus import NoMetrics, fetch, parse
from recipegen.bench.sampler import MOST_POINTS, Sampler, write_metrics
from recipegen.bench.series import Series, derive, in_flight
from recipegen.engines import engine, engine_names

VLLM = engine("vllm").metric_names
LLAMA = engine("llama.cpp").metric_names
GIB = 1 << 30
MEMINFO = """MemTotal:       125829120 kB
MemFree:         1000000 kB
MemAvailable:   {available} kB
Buffers:           10000 kB
Cached:         20971520 kB
SwapTotal:      16777216 kB
SwapFree:       {swap_free} kB
HugePages_Total:       0
"""


def vllm_page(
    *,
    tokens: float,
    prompt: float = 0,
    running: float = 1,
    kv: float = 0.25,
    drafts: float | None = None,
    ended: float = 0,
    rank: int = 0,
) -> str:
    """A page of vLLM 0.32, cut down, with neighbours whose names begin alike."""
    labels = f'engine="{rank}",model_name="tiny {{x}} \\"q\\""'
    lines = [
        "# HELP python_gc_objects_collected_total Objects collected during gc",
        "# TYPE python_gc_objects_collected_total counter",
        'python_gc_objects_collected_total{generation="0"} 12104.0',
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{{{labels}}} {running}",
        f'vllm:num_requests_waiting_by_reason{{{labels},reason="capacity"}} 77.0',
        f"vllm:num_requests_waiting{{{labels}}} 2.0",
        f"vllm:kv_cache_usage_perc{{{labels}}} {kv}",
        f"vllm:prefix_cache_queries_total{{{labels}}} {prompt}",
        f"vllm:prefix_cache_queries_created{{{labels}}} 1.7637e+09",
        f"vllm:prefix_cache_hits_total{{{labels}}} {prompt / 4}",
        f"vllm:prompt_tokens_total{{{labels}}} {prompt}",
        f'vllm:prompt_tokens_by_source_total{{{labels},source="local"}} 999.0',
        f"vllm:generation_tokens_total{{{labels}}} {tokens}",
        f'vllm:request_success_total{{{labels},finished_reason="stop"}} 0.0',
        f'vllm:request_success_total{{{labels},finished_reason="length"}} {ended}',
        f'vllm:time_to_first_token_seconds_bucket{{{labels},le="0.001"}} 0.0',
        f'vllm:time_to_first_token_seconds_bucket{{{labels},le="0.5"}} {tokens}',
        f'vllm:time_to_first_token_seconds_bucket{{{labels},le="+Inf"}} {tokens + 1}',
        f"vllm:time_to_first_token_seconds_count{{{labels}}} {tokens + 1}",
        f"vllm:time_to_first_token_seconds_sum{{{labels}}} {tokens / 2}",
    ]
    if drafts is not None:
        lines += [
            f"vllm:spec_decode_num_drafts_total{{{labels}}} {drafts}",
            f"vllm:spec_decode_num_draft_tokens_total{{{labels}}} {drafts * 4}",
            f"vllm:spec_decode_num_accepted_tokens_total{{{labels}}} {drafts * 3}",
            *(
                f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{{labels},position="{at}"}} {drafts * share}'
                for at, share in ((10, 0.125), (9, 0.25), (2, 0.5), (0, 1.0))
            ),
        ]
    return "\n".join(lines) + "\n"


Page = tuple[int, bytes]


@contextmanager
def serving(page: Callable[[int], Page]) -> Iterator[str]:
    """A server whose n-th answer on /metrics is `page(n)`; gives its address."""
    asked = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = page(next(asked)) if self.path == "/metrics" else (404, b"")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def sampled(page: Callable[[int], Page], looks: int, names: dict[str, str] | None = None, **options: Any) -> Any:
    """What a sampler gives that looked about so often."""
    done = threading.Event()

    def counted(number: int) -> Page:
        if number + 1 >= looks:
            done.set()
        return page(number)

    with serving(counted) as url, Sampler(url, VLLM if names is None else names, interval_s=0.01, **options) as sampler:
        assert done.wait(20)
    return sampler.data()


def page_of(**values: Any) -> Page:
    return 200, vllm_page(**values).encode()


def test_the_wanted_series_are_read_and_ranks_added_up() -> None:
    two = vllm_page(tokens=100, prompt=40, kv=0.25) + vllm_page(tokens=11, prompt=4, kv=0.75, running=0, rank=1)
    look = parse(two, VLLM)
    assert look.values == {
        "running": 1,
        "waiting": 4,
        "kv_usage": 0.75,  # the fuller of the two, not the sum
        "prefix_queries": 44,
        "prefix_hits": 11,
        "prompt_tokens": 44,
        "generation_tokens": 111,
        "ended": 0,
    }
    assert look.parts["ttft_s", "0.5"] == 111
    assert look.parts["ttft_s", "count"] == 113


def test_a_figure_that_is_none_is_left_out() -> None:
    look = parse(
        vllm_page(tokens=5).replace("0.25", "NaN").replace("running{", "running{").replace(" 2.0", " +Inf"), VLLM
    )
    assert "kv_usage" not in look.values
    assert "waiting" not in look.values
    assert look.values["generation_tokens"] == 5


@pytest.mark.parametrize("text", ["", "<html>no</html>", "vllm:other 5\n", "a b c d e\n{{{{\n"])
def test_a_page_without_known_series_says_so(text: str) -> None:
    with pytest.raises(NoMetrics, match="none of the series"):
        parse(text, VLLM)


@pytest.mark.parametrize(
    "line",
    [
        "vllm:generation_tokens_total{ 5",
        "vllm:generation_tokens_total five",
        'vllm:generation_tokens_total{a="} 5',
        " ",
    ],
)
def test_a_broken_line_of_a_known_series_spoils_the_look(line: str) -> None:
    with pytest.raises(NoMetrics):
        parse(line + "\n", VLLM)


def test_every_engine_names_known_series_only() -> None:
    known = {*VLLM, *LLAMA}
    for name in engine_names():
        assert set(engine(name).metric_names) <= known
    assert {"running", "generation_tokens", "prompt_tokens"} <= set(VLLM) & set(LLAMA)


def test_in_flight_speed_of_a_known_schedule() -> None:
    """40 tok/s while a request runs, 10 s of idling between two requests: the idle time does not count."""
    t = [float(at) for at in range(21)]
    busy = [at <= 5 or at >= 15 for at in range(21)]
    tokens = [40.0 * (min(at, 5) + max(at - 15, 0)) for at in range(21)]
    running = [1.0 if one else 0.0 for one in busy]
    assert in_flight(t, running, tokens, [0.0] * 21, 3) == 40
    # Over wall time it would be half of that: 400 tokens in 20 s.
    assert in_flight(t, [1.0] * 21, tokens, [0.0] * 21, 3) == 20


def schedule(busy_s: float, pause_s: float, rate: float, seconds: int) -> list[tuple[float, float, float, float]]:
    """Looks every second at a server that answers one request after another: s, running, tokens, ended."""
    looks = []
    for at in range(seconds):
        whole, part = divmod(at + 0.1, busy_s + pause_s)
        looks.append((float(at), float(part < busy_s), rate * (whole * busy_s + min(part, busy_s)), whole))
    return looks


def test_pauses_between_requests_that_are_shorter_than_a_look_do_not_count() -> None:
    """200 tok/s for 0.5 s, then 0.25 s of nothing: at many looks a request runs, and the pauses lie between them."""
    series = Series()
    for at, running, tokens, ended in schedule(0.5, 0.25, 200, 30):
        series.add(at, parse(vllm_page(tokens=tokens, running=running, ended=ended), VLLM))
    assert sum(value == 1 for value in series.of("running")) > 15
    # No window is known to be free of a pause: no figure, rather than 150 tok/s.
    assert derive(series, 3)["inflight_tg_tok_s"] is None


def test_the_engines_own_seconds_give_the_speed_of_short_requests() -> None:
    series = Series()
    for at, running, tokens, ended in schedule(0.5, 0.25, 200, 30):
        page = vllm_page(tokens=tokens, running=running, ended=ended)
        # 101 tokens an answer: the first one is the prefill's, and takes 0.1 s.
        page += (
            f"vllm:request_generation_tokens_sum {101 * ended}\nvllm:request_decode_time_seconds_sum {0.5 * ended}\n"
            f"vllm:request_prompt_tokens_sum {64 * ended}\nvllm:request_prefill_time_seconds_sum {0.1 * ended}\n"
        )
        series.add(at, parse(page, VLLM))
    derived = derive(series, 3)
    assert derived["inflight_basis"] == "engine seconds"
    assert derived["inflight_tg_tok_s"] == pytest.approx(200)
    assert derived["inflight_pp_tok_s"] == pytest.approx(640)


def test_the_warm_up_is_in_no_sum_and_no_speed() -> None:
    """Ten seconds at 5 tok/s without a draft accepted, then ten at 40 tok/s with all of them."""
    series = Series()
    for at in range(21):
        warm = max(at - 10, 0)
        page = vllm_page(tokens=5 * min(at, 10) + 40 * warm, drafts=warm, prompt=warm)
        page = page.replace("spec_decode_num_draft_tokens_total", "ignored") + (
            f"vllm:spec_decode_num_draft_tokens_total {3 * warm + 7 * min(at, 10)}\n"
        )
        series.add(at, parse(page, VLLM), begins=at == 10)
    derived = derive(series, 3)
    assert (derived["inflight_tg_tok_s"], derived["acceptance"]) == (40, 1)
    assert len(series.of("running")) == 21


def test_what_counts_begins_with_a_look_after_the_warm_up() -> None:
    with serving(lambda n: page_of(tokens=10 * n)) as url, Sampler(url, VLLM, interval_s=600) as sampler:
        assert sampler.data()["server"]["measuring_from"] is None
        sampler.measuring()
        sampler.measuring()
        while len(sampler._series.t) < 2:
            time.sleep(0.01)
    data = sampler.data()["server"]
    assert data["series"]["generation_tokens"] == [0, 10, 20]
    assert data["measuring_from"] == pytest.approx(data["series"]["t"][1])
    assert sampler._series.gain("generation_tokens") == 10


@pytest.mark.parametrize(
    ("t", "running", "counter", "speed"),
    [
        ([], [], [], None),
        ([0], [1], [5], None),
        ([0, 1], [1, 1], [0, 10], 10),
        ([0, 1, 2], [0, 1, 0], [0, 10, 20], None),  # no window that is busy at both ends
        ([0, 1, 2, 3], [1, 1, 1, 1], [100, 110, 3, 13], 10),  # a reset splits
        ([0, 1, 60, 61], [1, 1, 1, 1], [0, 10, 500, 510], 10),  # what ran in the gap is not known
        ([0, 1, 2], [1, None, 1], [0, 10, 20], None),
        ([0, 1, 2], [1, 1, 1], [0, None, 20], None),
        ([0, 0, 1], [1, 1, 1], [0, 5, 10], 5),  # two looks in one moment
        ([0, 1], [2, 3], [7, 7], 0),
    ],
)
def test_windows(t: list[float], running: list[float], counter: list[float], speed: float | None) -> None:
    assert in_flight(t, running, counter, [0.0] * len(t), 3, least=1) == speed


@pytest.mark.parametrize(
    ("running", "ended", "speed"),
    [
        ([1, 1, 1], [0, 0, 0], 10),
        ([1, 1, 1], [0, 1, 1], 10),  # the first window: the one that ran has ended
        ([1, 1, 1], [0, 1, 2], None),
        ([3, 3, 3], [0, 2, 4], 10),  # one of three ran all the time, whatever the others did
        ([3, 3, 3], [0, 3, 6], None),
        ([1, 1, 1], [5, None, 5], None),
        ([1, 1, 1], [5, 0, 0], 10),  # a reset
    ],
)
def test_windows_in_which_nothing_may_have_run(
    running: list[float], ended: list[float | None], speed: float | None
) -> None:
    assert in_flight([0, 1, 2], running, [0, 10, 20], ended, 3, least=1) == speed


def test_few_windows_give_no_figure() -> None:
    counter = [10.0 * at for at in range(6)]
    assert in_flight(list(range(6)), [1] * 6, counter, [0] * 6, 3) == 10
    assert in_flight(list(range(5)), [1] * 5, counter[:5], [0] * 5, 3) is None


def test_a_run_is_sampled_from_its_start_to_its_end() -> None:
    data = sampled(lambda n: page_of(tokens=10 * n, prompt=100 * n, drafts=n, kv=min(n, 5) / 10), 8)
    server, derived = data["server"], data["derived"]
    looks = len(server["series"]["t"])
    assert looks >= 8
    assert (data["format"], server["endpoint"], server["reason"], server["resets"]) == (
        "recipegen-metrics/1",
        True,
        None,
        0,
    )
    assert server["series"]["generation_tokens"] == [10 * n for n in range(looks)]
    assert {len(values) for values in server["series"].values() if values} == {looks}
    assert server["series"]["generation_seconds"] == []  # not on this page
    gained = looks - 1
    assert server["accepted_per_position"] == [gained * share for share in (1, 0.5, 0.25, 0.125)]
    assert server["histograms"]["ttft_s"] == {
        "buckets": [[0.001, 0], [0.5, 10 * gained], ["+Inf", 10 * gained]],
        "sum": 5 * gained,
        "count": 10 * gained,
    }
    assert derived["acceptance"] == 0.75
    assert derived["acceptance_length"] == 4
    assert derived["acceptance_per_position"] == [1, 0.5, 0.25, 0.125]
    assert derived["kv_peak"] == 0.5
    assert derived["prefix_hit_rate"] == 0.25
    assert derived["inflight_pp_tok_s"] == pytest.approx(10 * derived["inflight_tg_tok_s"])


def test_idle_time_between_requests_is_not_in_the_speed() -> None:
    """A server with a clock of its own: 200 tok/s while busy, and idle half of the time."""
    began = time.monotonic()

    def page(number: int) -> Page:
        at = time.monotonic() - began
        whole, part = divmod(at, 0.4)
        ended = whole + (part >= 0.2)
        return page_of(tokens=200 * (whole * 0.2 + min(part, 0.2)), running=float(part < 0.2), ended=ended)

    speed = sampled(page, 120)["derived"]["inflight_tg_tok_s"]
    assert speed == pytest.approx(200, rel=0.1)


def test_a_counter_that_is_reset_splits_the_run() -> None:
    data = sampled(lambda n: page_of(tokens=1000 + 10 * n if n < 4 else 10 * (n - 4), drafts=n if n < 4 else n - 4), 12)
    looks = len(data["server"]["series"]["t"])
    assert data["server"]["resets"] == 1
    assert data["server"]["histograms"]["ttft_s"]["count"] == 10 * (looks - 2)
    assert data["derived"]["acceptance"] == 0.75
    assert data["derived"]["inflight_tg_tok_s"] > 0


def test_a_figure_that_is_missing_once_is_no_reset_and_counts_once() -> None:
    series = Series()
    for at, tokens in enumerate((100, None, 120, 130)):
        text = "vllm:num_requests_running 1\n" + ("" if tokens is None else f"vllm:generation_tokens_total {tokens}\n")
        series.add(at, parse(text, VLLM))
    assert (series.resets, series.gain("generation_tokens")) == (0, 30)


def test_a_restarted_server_whose_counters_overtook_the_old_ones_is_told_by_its_process() -> None:
    """100, then failed looks, a restart and 150 more: the counter only ever rises."""
    series = Series()
    for at, (began, tokens) in enumerate([(1e9, 90), (1e9, 100), (1e9 + 50, 150), (1e9 + 50, 160)]):
        text = f"vllm:num_requests_running 1\nvllm:generation_tokens_total {tokens}\n"
        series.add(at, parse(text + f"process_start_time_seconds {began}\n", VLLM))
    assert (series.resets, series.gain("generation_tokens")) == (1, 20)
    assert "process_start" not in {name for name, _ in series.gained}


def test_counters_that_come_up_later_began_at_nothing() -> None:
    series = Series()
    for at, accepted in enumerate((None, 7, 9)):
        text = "vllm:num_requests_running 1\nvllm:spec_decode_num_drafts_total 0\n"
        if accepted:
            text += f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{position="0"}} {accepted}\n'
        series.add(at, parse(text, VLLM))
    assert series.gained["accepted_per_position", "0"] == 9


def llama_page(ended: int, running: int) -> str:
    """As llama-server writes it: of a request's tokens none is counted before its end."""
    return (
        "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding cached tokens\n"
        f"# TYPE llamacpp:prompt_tokens_total counter\nllamacpp:prompt_tokens_total {300 * ended}\n"
        f"llamacpp:prompt_tokens_cached_total {100 * ended}\nllamacpp:prompt_seconds_total {0.5 * ended}\n"
        f"llamacpp:tokens_predicted_total {128 * ended}\nllamacpp:tokens_predicted_seconds_total {3.2 * ended}\n"
        "# TYPE llamacpp:n_tokens_max counter\nllamacpp:n_tokens_max 2176\n"
        f"llamacpp:requests_processing {running}\nllamacpp:requests_deferred 0\n"
    )


def test_llama_cpp_counts_at_the_end_of_a_request() -> None:
    series = Series()
    for at, (ended, running) in enumerate([(0, 0), (0, 1), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1), (2, 0)]):
        series.add(at, parse(llama_page(ended, running), LLAMA))
    derived = derive(series, 3)
    assert derived["inflight_tg_tok_s"] == pytest.approx(40)
    assert derived["inflight_pp_tok_s"] == pytest.approx(600)
    assert derived["inflight_basis"] == "engine seconds"
    assert derived["prefix_hit_rate"] == 0.25
    assert derived["acceptance"] is None
    # The seconds of requests that overlap say nothing of the speed of all.
    series.add(8, parse(llama_page(4, 2), LLAMA))
    assert derive(series, 3)["inflight_tg_tok_s"] is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, b""), "status 404"),
        ((501, b'{"error": "This server does not support metrics endpoint."}'), "status 501"),
        ((500, b"oops"), "status 500"),
        ((200, b"\xff\xfe\x00 garbage"), "none of the series"),
        ((200, b"vllm:generation_tokens_total{ 5\n"), "not in the Prometheus text format"),
        ((200, b"x" * (9 << 20)), "larger than 8 MiB"),
    ],
)
def test_a_server_without_metrics_is_told(answer: Page, reason: str, tmp_path: Path) -> None:
    data = sampled(lambda n: answer, 1)
    assert data["server"]["endpoint"] is False
    assert reason in data["server"]["reason"]
    assert all(values == [] for values in data["server"]["series"].values())
    assert data["derived"]["inflight_tg_tok_s"] is None
    assert data["host"]["t"]
    assert json.loads((tmp_path / write_metrics(tmp_path, "cell", data)).read_text())["derived"] == data["derived"]


def test_a_page_that_is_not_there_is_not_asked_for_again() -> None:
    asked = []

    def page(number: int) -> Page:
        asked.append(number)
        return 404, b""

    with serving(page) as url, Sampler(url, VLLM, interval_s=0.01) as sampler:
        while len(sampler.data()["host"]["t"]) < 5:
            time.sleep(0.01)
    assert asked == [0]


def test_nobody_listens() -> None:
    with serving(lambda n: (200, b"")) as url:
        pass
    with Sampler(url, VLLM, interval_s=0.01) as sampler:
        pass
    assert sampler.data()["server"]["reason"] == "/metrics cannot be read (ConnectionRefusedError)"


def test_an_engine_without_metrics_is_not_asked() -> None:
    with Sampler("http://127.0.0.1:1/v1", {}, interval_s=0.01) as sampler:
        pass
    server = sampler.data()["server"]
    assert server["endpoint"] is False
    assert "no metrics that recipegen knows" in server["reason"]


def test_looks_that_fail_in_between_are_told() -> None:
    data = sampled(lambda n: (503, b"") if n == 2 else page_of(tokens=10 * n), 6)
    assert data["server"]["endpoint"] is True
    assert data["server"]["reason"].startswith("1 of ")
    assert "status 503" in data["server"]["reason"]


def test_a_slow_server_costs_the_look_and_nothing_else() -> None:
    held = threading.Event()

    def mute(number: int) -> Page:
        held.wait(20)
        return 200, b""

    with serving(mute) as url:
        with pytest.raises(NoMetrics, match=r"takes longer than 0\.05 s"):
            fetch(f"{url.removesuffix('/v1')}/metrics", timeout_s=0.05)
        held.set()


@pytest.mark.parametrize("url", ["http://[::1/metrics", "http://127.0.0.1:port/metrics", "http:///metrics"])
def test_no_address(url: str) -> None:
    with pytest.raises(NoMetrics):
        fetch(url)


def test_what_goes_wrong_while_sampling_never_reaches_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str, names: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("recipegen.bench.sampler.parse", broken)
    data = sampled(lambda n: page_of(tokens=n), 1)
    assert data["server"]["reason"] == "sampling broke off (RuntimeError)"


def test_the_live_view_gets_what_is_there() -> None:
    with serving(lambda n: page_of(tokens=10 * n, drafts=n)) as url, Sampler(url, VLLM, interval_s=0.01) as sampler:
        while len(sampler._series.t) < 3:
            time.sleep(0.01)
        seen = sampler.latest()
    assert seen["acceptance"] == 0.75
    assert seen["tg_tok_s"] is not None
    assert seen["tg_tok_s"] > 0
    assert (seen["running"], seen["kv_usage"]) == (1, 0.25)
    nothing = Sampler("http://127.0.0.1:1", {}).latest()
    assert set(nothing.values()) == {None}


def test_long_series_are_stored_thin(tmp_path: Path) -> None:
    count = 5000
    series = {"t": list(range(count)), "running": [1] * count, "drafts": []}
    data = {
        "server": {"series": series, "accepted_per_position": [1] * count},
        "host": {"t": list(range(count)), "used_bytes": list(range(count)), "peak_used_bytes": 7, "gpu": None},
    }
    name = write_metrics(tmp_path, "prose-pp2048-tg128", data)
    assert name == "prose-pp2048-tg128.metrics.json"
    stored = json.loads((tmp_path / name).read_text())
    assert len(stored["server"]["series"]["t"]) == MOST_POINTS
    assert (stored["host"]["t"][0], stored["host"]["used_bytes"][-1]) == (0, count - 1)
    assert stored["host"]["t"] == stored["host"]["used_bytes"]
    assert (stored["server"]["series"]["drafts"], stored["host"]["peak_used_bytes"]) == ([], 7)
    with pytest.raises(ValueError, match="plain file name"):
        write_metrics(tmp_path, "../cell", data)


def test_the_host_is_sampled(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    file = tmp_path / "proc/meminfo"
    file.write_text(MEMINFO.format(available=100 << 20, swap_free=16 << 20))
    with Sampler("http://127.0.0.1:1", {}, tmp_path, interval_s=0.01) as sampler:
        while not sampler.data()["host"]["t"]:
            time.sleep(0.01)
        file.write_text(MEMINFO.format(available=20 << 20, swap_free=15 << 20))
    host = sampler.data()["host"]
    assert host["used_bytes"][0] == 20 * GIB
    assert host["available_bytes"][-1] == 20 * GIB
    assert host["peak_used_bytes"] == 100 * GIB
    assert host["swap_used_bytes"][-1] == GIB
    assert host["page_cache_bytes"][-1] == 20 * GIB


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n", "MemTotal: many kB\nMemAvailable: 5 kB\n"])
def test_a_host_that_does_not_say(text: str) -> None:
    assert parse_memory(text) is None


def test_a_server_elsewhere_says_nothing_of_this_host() -> None:
    data = sampled(lambda n: page_of(tokens=n), 2, host=False)
    assert data["host"]["t"] == []
    assert data["host"]["peak_used_bytes"] is None


def test_gpu_lines() -> None:
    lines = (
        "2026/11/21 12:00:01.500, 0, 2411, 61, 38.52\n"
        "2026/11/21 12:00:01.502, 1, 2400, 64, 40.00\n"
        "2026/11/21 12:00:06.501, 0, 2405, [N/A], [N/A]\n"
        "Unable to determine the device handle\n"
        "2026/11/21 12:00:06.502, 1, [Unknown Error], [N/A], 41.5\n"
        "2026/11/21 12:00:11.501, 0, 24"
    )
    assert parse_gpu_lines(lines, datetime(2026, 11, 21, 12, 0, 0)) == {
        "t": [1.5, 6.5],
        "sm_clock_mhz": [2400, 2405],
        "temperature_c": [64, None],
        "power_w": [78.52, 41.5],
    }
    assert parse_gpu_lines("NVIDIA-SMI has failed\n", datetime(2026, 11, 21)) is None


def test_gpus_that_are_not_counted_from_0_are_told_apart_by_round() -> None:
    lines = "".join(
        f"2026/11/21 12:00:{second:02}.50{gpu}, {gpu}, {2400 + second}, 60, 10\n" for second in (1, 6) for gpu in (1, 2)
    )
    lines += "2026/11/21 12:00:11.502, 2, 2411, 60, nan\n"  # the line of GPU 1 was lost
    assert parse_gpu_lines(lines, datetime(2026, 11, 21, 12, 0, 0)) == {
        "t": [1.5, 6.5, 11.5],
        "sm_clock_mhz": [2401, 2406, 2411],
        "temperature_c": [60, 60, 60],
        "power_w": [20, 20, None],
    }


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "NaN", "[N/A]"])
def test_a_gpus_figure_that_is_none_can_be_stored(text: str, tmp_path: Path) -> None:
    gpu = parse_gpu_lines(f"2026/11/21 12:00:01.500, 0, 2400, 60, {text}\n", datetime(2026, 11, 21, 12))
    assert gpu is not None and gpu["power_w"] == [None]
    data = {"server": {"series": {"t": []}}, "host": {"t": [], "gpu": gpu}}
    assert "2400" in (tmp_path / write_metrics(tmp_path, "cell", data)).read_text()


def test_a_gpu_is_watched_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\necho "$@" >"$0.argv"\ndate "+%Y/%m/%d %H:%M:%S.000, 0, 2411, 61, [N/A]"\ntouch "$0.said"\n'
        "exec sleep 600\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Sampler("http://127.0.0.1:1", {}, interval_s=0.01) as sampler:
        while not (tmp_path / "nvidia-smi.said").exists():
            time.sleep(0.01)
    gpu = sampler.data()["host"]["gpu"]
    assert (gpu["sm_clock_mhz"], gpu["temperature_c"], gpu["power_w"]) == ([2411], [61], [None])
    assert "-l 5" in (tmp_path / "nvidia-smi.argv").read_text()


def test_ctrl_c_in_the_first_look_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho $$ >"$0.pid.new"; mv "$0.pid.new" "$0.pid"\nexec sleep 600\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    pid = tmp_path / "nvidia-smi.pid"

    def interrupted(text: str) -> None:
        while not pid.exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("recipegen.bench.sampler.fetch", interrupted)
    with pytest.raises(KeyboardInterrupt), Sampler("http://127.0.0.1:1", VLLM):
        pytest.fail("never entered")
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_the_page_is_cut_down_before_it_is_parsed() -> None:
    """Names that begin alike, and the hundreds of other lines, never reach the parser."""
    kept = prometheus._wanted_lines(vllm_page(tokens=1, drafts=1), {"vllm:prompt_tokens_total"})
    assert kept.count("\n") == 1
    assert kept.startswith("vllm:prompt_tokens_total{")
