"""A measurement on several nodes: what is recorded of them, their memory, a guard for each."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from recipegen.bench.nodes import NodesGuard, head_facts, models_record, nodes_memory, nodes_record
from recipegen.cluster.memory import NodesMemory
from recipegen.cluster.probe import HOST_FILES
from recipegen.cluster.ready import Cluster
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
    memory = NodesMemory([one.node for one in cluster().facts])
    memory._series[0].samples.extend(
        [(9.0, meminfo(100)), (10.5, meminfo(90)), (11.5, meminfo(95)), (20.0, meminfo(1))]
    )
    memory._series[1].samples.append((11.0, "nonsense"))
    first, second = nodes_memory(memory, 10.0, 12.0)
    assert (first["node"], first["t"]) == ("node0", [0.5, 1.5])
    assert first["peak_used_bytes"] == (128 - 90) << 30
    assert second == {**second, "node": "node1", "t": [], "peak_used_bytes": None}


@pytest.fixture
def watched() -> Any:
    """A server of two nodes whose memory the test says; `stopped` is set when a guard stops it."""
    said: dict[int, str] = {}
    stopped = threading.Event()
    plans = [SimpleNamespace(node=one.node) for one in cluster().facts]
    return SimpleNamespace(
        plans=plans, memory=SimpleNamespace(latest=lambda: said), said=said, stopped=stopped,
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
