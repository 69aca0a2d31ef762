"""One server over several nodes: started on all, the first that ends named, all taken down that can be reached.
Containers and daemons are the test's; the real ones are e2e's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recipegen.cli.cluster import nodes_for_recipe
from recipegen.cluster import server as cluster_server
from recipegen.cluster.nodes import Node, NodesLack
from recipegen.cluster.plan import is_loopback, needs_of, rank_plans
from recipegen.cluster.server import ClusterServer
from recipegen.errors import EnvironmentLacks, MeasurementFailed, RecipegenError
from recipegen.runners.base import ServerPlan, wait_ready
from recipegen.runners.plan import HostOptions, plan_server
from recipegen.trial import Trial
from tests.support.kits import small
from tests.unit.test_cluster_preflight import good

SPEC = small("vllm-cluster")


class Container:
    """What stands in for DockerServer: does as `Daemon` is told."""

    made: list[Container] = []  # noqa: RUF012

    def __init__(self, plan: ServerPlan, client: Any, *, here: bool) -> None:
        self.plan, self.here = plan, here
        self.rank = plan.container.rank if plan.container else None
        self.running, self.gone, self.killed = False, False, False
        self.exit_code: int | None = None
        self.ended_at = ""
        self.stops: list[float | None] = []
        Container.made.append(self)

    def start(self) -> None:
        if self.rank == self.refuses:
            raise EnvironmentLacks("the port 127.0.0.1:8000 is taken", hint="choose another")
        self.running = True

    refuses: int | None = None

    def alive(self) -> bool:
        if self.gone:
            raise EnvironmentLacks("the Docker daemon at unix:///tmp/x stopped answering: broken pipe")
        return self.running

    def end(self, code: int, at: str) -> None:
        self.running, self.exit_code, self.ended_at = False, code, at

    def kill(self) -> None:
        self.killed, self.running = True, False

    def log_tail(self, lines: int) -> str:
        return f"log of rank {self.rank}"

    def stop(self, grace_s: float | None = None) -> None:
        if self.gone:
            raise EnvironmentLacks("the Docker daemon stopped answering")
        self.stops.append(grace_s)
        self.running = False

    def facts(self) -> dict[str, Any]:
        return {"runner": "docker", "started_by_us": True, "image": {"id": "sha256:1"}, "program": None}


class NoTunnel:
    """A way to a daemon that is always open."""

    def __init__(self, node: Node, address: str, port: int | None) -> None:
        self.port = port

    def open(self) -> NoTunnel:
        return self

    def client(self) -> None:
        return None

    def close(self) -> None:
        pass


class NoSampler:
    def __init__(self, nodes: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    Container.made, Container.refuses = [], None
    monkeypatch.setattr(cluster_server, "DockerServer", Container)
    monkeypatch.setattr(cluster_server, "Tunnel", NoTunnel)
    monkeypatch.setattr(cluster_server, "NodesSampler", NoSampler)
    monkeypatch.setattr(cluster_server, "run_script", lambda node, text: "")
    monkeypatch.setattr(cluster_server, "WATCH_S", 0.01)
    yield []


def server(said: list[str], nodes: int = 2) -> ClusterServer:
    facts = [replace(good(rank), home="/home/me") for rank in range(nodes)]
    plans = rank_plans(SPEC, "mp", facts, HostOptions())
    return ClusterServer(plans, [""] * nodes, said.append)


def by_rank() -> list[Container]:
    return sorted(Container.made, key=lambda one: one.rank or 0)


def test_every_rank_is_started_and_taken_down(said: list[str]) -> None:
    with server(said) as both:
        assert both.alive()
        assert [one.plan.words[-1] == "--headless" for one in by_rank()] == [False, True]
    assert [one.stops for one in by_rank()] == [[15.0], [15.0]]
    assert not both.alive()
    assert both.cause == "" and said == []


def test_a_node_that_cannot_start_its_rank_is_named_and_the_others_are_taken_down(said: list[str]) -> None:
    Container.refuses = 1
    with pytest.raises(NodesLack, match="spark-b: the port"), server(said):
        pass
    assert [len(one.stops) for one in by_rank()] == [1, 1]


def test_the_rank_that_ended_first_is_the_cause_and_the_others_are_killed(said: list[str]) -> None:
    both = server(said)
    both.start()
    first, second = by_rank()
    second.end(137, "2026-12-01T10:00:00Z")
    first.end(1, "2026-12-01T10:00:05Z")
    assert not both.alive()
    assert both.cause == "rank 1 on spark-b ended with exit code 137"
    assert (both.exit_code, both.lost, both.log_tail(5)) == (137, False, "log of rank 1")
    both.stop()


def test_a_node_that_is_gone_explains_the_rest(said: list[str]) -> None:
    both = server(said)
    both.start()
    first, second = by_rank()
    first.end(1, "2026-12-01T10:00:00Z")
    second.gone = True
    assert not both.alive()
    assert both.cause.startswith("the node spark-b (rank 1) is gone: ")
    assert both.lost and both.exit_code is None
    both.stop()
    assert "spark-b: its rank could not be taken down" in said[-1] and "recipegen down vllm-cluster" in said[-1]
    assert first.stops == [15.0]


def test_the_watch_kills_the_others_without_being_asked(said: list[str]) -> None:
    both = server(said, nodes=3)
    both.start()
    _, second, third = by_rank()
    third.end(1, "2026-12-01T10:00:00Z")
    both._watch.join(10)
    assert second.killed and not third.killed
    assert "rank 2 on spark-c" in both.cause
    both.stop()


def test_waiting_ends_with_the_rank_and_its_log(said: list[str]) -> None:
    with server(said) as both:
        by_rank()[1].end(1, "2026-12-01T10:00:00Z")
        plan = replace(both.plans[0].server, base_url="http://127.0.0.1:9", timeout_s=5)
        with pytest.raises(MeasurementFailed, match="rank 1 on spark-b ended with exit code 1 after 0 s") as caught:
            wait_ready(both, plan, lambda *_: None)
    assert "log of rank 1" in caught.value.message


# The plans


def test_each_rank_has_its_own_place_name_and_address(tmp_path: Path) -> None:
    facts = [replace(good(rank), home=f"/home/{rank}") for rank in range(2)]
    first, second = rank_plans(SPEC, "mp", facts, HostOptions(port=8123), log_path=tmp_path / "server.log", run="r")
    words = " ".join(second.server.words)
    assert "--node-rank 1" in words and "--master-addr 10.0.0.1" in words and "--port 8123" in words
    assert second.server.env["VLLM_HOST_IP"] == "10.0.0.2"
    assert second.server.env["GLOO_SOCKET_IFNAME"] == "fab0"
    assert second.server.log_path == tmp_path / "server.rank1.log"
    assert first.server.base_url == second.server.base_url == "http://127.0.0.1:8123"
    boxes = [one.server.container for one in (first, second)]
    assert [box.name for box in boxes if box] == ["recipegen-vllm-cluster-mp-rank0", "recipegen-vllm-cluster-mp-rank1"]
    assert boxes[1] is not None
    assert (boxes[1].network, boxes[1].devices, boxes[1].rank) == ("host", ("/dev/infiniband",), 1)
    assert any(source.startswith("/home/1/") for source, _, _ in boxes[1].volumes)


def test_nodes_that_are_containers_share_no_memory() -> None:
    """vLLM finds out by shared memory which ranks are on one machine, and talks to those through files of it."""
    facts = [replace(good(rank), home="/root") for rank in range(2)]
    inside = replace(facts[1], node=replace(facts[1].node, network="container:b"))
    first, second = (one.server.container for one in rank_plans(SPEC, "mp", [facts[0], inside], HostOptions()))
    assert first is not None and second is not None
    assert (first.network, first.ipc) == ("host", "host")
    assert (second.network, second.ipc) == ("container:b", "private")


def test_over_ray_each_container_runs_the_kits_script_with_its_knobs() -> None:
    facts = [replace(good(rank), home="/home/me") for rank in range(2)]
    _, second = rank_plans(SPEC, "ray", facts, HostOptions())
    assert second.server.words == ["bash", "/recipe/scripts/launch_server_ray.sh"]
    assert (second.server.env["NODE_RANK"], second.server.env["MASTER_ADDR"]) == ("1", "10.0.0.1")
    trial = Trial("ray", {"max-num-seqs": 2})
    tried = SPEC.model_copy(update={"variants": {**SPEC.variants, trial.name: SPEC.variants["ray"]}})
    with pytest.raises(RecipegenError, match="own script"):
        rank_plans(tried, trial.name, facts, HostOptions(), trial=trial)


def test_a_head_that_listens_for_others_is_reached_without_a_tunnel() -> None:
    facts = [replace(good(rank), home="/home/me") for rank in range(2)]
    first, _ = rank_plans(SPEC, "mp", facts, HostOptions(host="0.0.0.0"))
    assert first.server.base_url == "http://10.0.0.1:8000"
    assert is_loopback("::1") and is_loopback("localhost") and not is_loopback("example.org")


def test_ports_and_models_that_a_variant_needs() -> None:
    needs = needs_of(SPEC, "ray", HostOptions())
    assert 6379 in needs.head_ports and 29501 not in needs.head_ports
    assert list(needs.models) == ["model"] and needs.gpus and needs.speed_mbit == 100_000


def test_a_recipe_of_one_machine_runs_on_a_node_as_it_does_here(tmp_path: Path) -> None:
    spec = small("llamacpp-prebuilt")
    one = replace(good(0), home="/home/me", node=replace(good(0).node, interface="none", hca="none", models_dir="~/m"))
    (plan,) = rank_plans(spec, spec.headline, [one], HostOptions(port=8123), log_path=tmp_path / "server.log")
    here = plan_server(spec, spec.headline, HostOptions(port=8123), log_path=tmp_path / "server.log")
    box, usual = plan.server.container, here.container
    assert box is not None and usual is not None
    assert (plan.server.words, plan.server.env, plan.server.log_path) == (here.words, here.env, here.log_path)
    assert (box.name, box.network, box.port, box.devices) == (usual.name, usual.network, usual.port, ())
    assert box.volumes[0][0] == "/home/me/m"
    needs = needs_of(spec, spec.headline, HostOptions(port=8123))
    assert (needs.head_ports, needs.rank_ports, needs.speed_mbit) == ((8123,), (8123,), None)


def test_on_a_node_that_is_a_container_it_listens_on_that_ones_loopback() -> None:
    spec = small("llamacpp-prebuilt")
    one = replace(good(0), home="/root", node=replace(good(0).node, network="container:a"))
    (plan,) = rank_plans(spec, spec.headline, [one], HostOptions(port=8123))
    words = " ".join(plan.server.words)
    assert "--host 127.0.0.1" in words and "--port 8123" in words
    assert plan.server.container is not None and plan.server.container.network == "container:a"


def test_the_fabric_is_left_out_for_one_machine_and_its_file_must_be_named(tmp_path: Path) -> None:
    spec = small("llamacpp-prebuilt")
    file = tmp_path / "cluster.yaml"
    file.write_text("interface: fab0\nnodes: [{name: a, ssh: me@a, address: 10.0.0.1, hca: roce0}]\n")
    assert nodes_for_recipe(spec, None) == ()
    (node,) = nodes_for_recipe(spec, file)
    assert (node.name, node.interface, node.hca) == ("a", "none", "none")
