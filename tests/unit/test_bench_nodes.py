"""A measurement on several nodes: what is recorded of them, their memory, a guard for each."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipegen.bench.host_sampler import parse_gpu_said
from recipegen.bench.nodes import NodesGuard, head_facts, models_record, nodes_record, nodes_series
from recipegen.cluster.nodes import Node
from recipegen.cluster.probe import HOST_FILES
from recipegen.cluster.ready import Cluster
from recipegen.cluster.sampler import NodesSampler
from recipegen.engines.ranks import variant_ranks
from tests.support.kits import small
from tests.unit.test_cluster_preflight import REVISION, good

SPEC = small("vllm-cluster")
GIB_KB = 1 << 20


def meminfo(available_gib: int) -> str:
    return f"MemTotal: {128 * GIB_KB} kB\nMemAvailable: {available_gib * GIB_KB} kB\nCached: 0 kB\n"


def cluster() -> Cluster:
    texts = {**dict.fromkeys(HOST_FILES, ""), "kernel": "6.14", "arch": "aarch64", "hostname": "spark-x"}
    facts = tuple(replace(good(rank), host={**texts, **good(rank).host}) for rank in range(2))
    return Cluster(tuple(one.node for one in facts), facts)


def test_a_record_says_what_the_nodes_are_and_not_whose() -> None:
    made = cluster()
    found = nodes_record(made, variant_ranks(SPEC, "mp"), "127.0.0.1")
    assert (found["count"], found["executor"], found["parallel"]["tensor"]) == (2, "mp", 2)
    assert [one["node"] for one in found["nodes"]] == ["node0", "node1"]
    assert found["nodes"][1]["fabric"] == {
        "interface": "fab0", "hca": "roce0:1", "speed_mbit": 200_000, "mtu": 9000,
    }  # fmt: skip
    assert found["nodes"][0]["host"]["gpus"][0]["driver"] == "580.95.05"
    assert found["requests"] == "through ssh"
    assert nodes_record(made, variant_ranks(SPEC, "mp"), "0.0.0.0")["requests"] == "direct"
    text = json.dumps(found)
    assert not [word for word in ("spark", "10.0.0", "me@") if word in text]
    assert head_facts(made)["kernel"] == "6.14"


def test_models_are_recorded_as_they_lie_on_the_head() -> None:
    made = cluster()
    (model,) = models_record(SPEC, made, ["model"])
    assert (model["bytes"], model["revision"]) == (5020, SPEC.models["model"].revision)
    other = replace(made.facts[0], models={"model": replace(good(0).models["model"], hashes={"config.json": "bb"})})
    (changed,) = models_record(SPEC, replace(made, facts=(other, made.facts[1])), ["model"])
    assert model["fingerprint"] != changed["fingerprint"]
    assert SPEC.models["model"].revision == REVISION


def test_memory_of_each_node_lies_beside_a_cell() -> None:
    sampler = NodesSampler([one.node for one in cluster().facts])
    sampler._series[0].samples.extend(
        [(9.0, meminfo(100)), (10.5, meminfo(90)), (11.5, meminfo(95)), (20.0, meminfo(1))]
    )
    sampler._series[1].samples.append((11.0, "nonsense"))
    first, second = nodes_series(sampler, 10.0, 12.0)
    assert (first["node"], first["t"]) == ("node0", [0.5, 1.5])
    assert first["peak_used_bytes"] == (128 - 90) << 30
    assert second == {**second, "node": "node1", "t": [], "peak_used_bytes": None, "gpu": None}


NVIDIA_SMI = """#!/bin/sh
echo "2026/01/31 23:59:58.000, 0, 2400, 61, 70.5"
echo "2026/02/01 00:00:03.000, 0, [N/A], 63, 71.5"
exec sleep 30
"""


def test_the_gpu_of_each_node_is_looked_at_by_the_same_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text(NVIDIA_SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    began = time.monotonic()
    with NodesSampler([Node(0, "here", None, "10.0.0.1")]) as sampler:
        while len(sampler.gpu(began, time.monotonic())[0]) < 2 or not sampler.latest():
            assert time.monotonic() < began + 30
            time.sleep(0.05)
    (node,) = nodes_series(sampler, began, time.monotonic())
    assert node["peak_used_bytes"] > 0
    # Its clock is months away; the first line's arrival counts.
    first, second = node["gpu"]["t"]
    assert 0 <= first < 30 and second == pytest.approx(first + 5, abs=0.1)
    assert node["gpu"]["sm_clock_mhz"] == [2400, None]
    assert node["gpu"]["temperature_c"] == [61, 63]
    assert parse_gpu_said([(0.0, "No devices were found")]) is None


@pytest.fixture
def watched() -> Any:
    """A server of two nodes whose memory the test says; `stopped` is set when a guard stops it."""
    said: dict[int, str] = {}
    stopped = threading.Event()
    plans = [SimpleNamespace(node=one.node) for one in cluster().facts]
    return SimpleNamespace(
        plans=plans, sampler=SimpleNamespace(latest=lambda: said), said=said, stopped=stopped,
        stop=lambda grace_s: stopped.set(),
    )  # fmt: skip


def test_a_node_that_runs_low_takes_the_server_down_by_its_name(watched: Any) -> None:
    told: list[str] = []
    with NodesGuard(SPEC, "mp", watched, told.append) as guard:
        watched.said[0] = meminfo(100)  # the other one has not said anything yet
        assert not watched.stopped.wait(0.1)
        watched.said[1] = meminfo(1)
        assert watched.stopped.wait(20)
    assert guard.error is None
    assert guard.text is not None and guard.text.startswith("spark-b: memory ran low: 1.0 GiB of 128.0 GiB")


def test_the_users_machines_are_no_part_of_a_kept_text() -> None:
    made = cluster()
    assert (
        made.anonymous("rank 1 on spark-b (10.0.0.2, me@spark-b) of spark-x")
        == "rank 1 on node1 (node1, node1) of node0"
    )
