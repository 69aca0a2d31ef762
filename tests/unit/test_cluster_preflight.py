"""What nodes say of themselves, and what the preflight makes of it: every fault with its node, its cause, a remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from recipegen.cluster.nodes import Fault, Node, NodesLack
from recipegen.cluster.preflight import Model, Needs, judge, preflight
from recipegen.cluster.probe import Link, ModelOn, NodeFacts, Places, listening, most_common, parse, script

GIB = 1 << 30
REVISION = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
NEEDS = Needs(
    "pair",
    "pair",
    models={"model": Model(REVISION)},
    head_ports=(8000, 29501),
    rank_ports=(29501,),
    speed_mbit=100_000,
    memory_bytes=50 * GIB,
    gpus=True,
)


def node(rank: int) -> Node:
    return Node(
        rank, f"spark-{'abcd'[rank]}", f"me@spark-{rank}", f"10.0.0.{rank + 1}", interface="fab0", hca="roce0:1"
    )


def model(revision: str | None = REVISION, files: dict[str, int] | None = None, **hashes: str) -> ModelOn:
    return ModelOn(
        "/models/m",
        {"config.json": 20, "w.safetensors": 5000} if files is None else files,
        {"config.json": "aa", **hashes},
        (revision,) if revision else (),
    )


def good(rank: int) -> NodeFacts:
    """A node on which all is well."""
    return NodeFacts(
        node=node(rank),
        clock_offset_s=0.0,
        docker="28.0.1",
        docker_error="",
        docker_address="unix:///var/run/docker.sock",
        image="sha256:" + "1" * 64,
        image_kit="k",
        image_bytes=1,
        link=Link("up", 200_000, 9000, (f"10.0.0.{rank + 1}",)),
        interfaces=("lo", "eth0", "fab0"),
        adapters={"roce0": ("4: ACTIVE",)},
        listening=frozenset({22}),
        models={"model": model()},
        host={"meminfo": f"MemTotal: {128 * GIB // 1024} kB\nMemAvailable: {100 * GIB // 1024} kB\n", "gpus": GPUS},
    )


GPUS = "NVIDIA GB10, 580.95.05, [N/A], 12.1"


def judged(change: Callable[[NodeFacts], NodeFacts], nodes: int = 2, needs: Needs = NEEDS) -> list[Fault]:
    """Faults when the last of the nodes is changed."""
    facts = [good(rank) for rank in range(nodes)]
    return judge([*facts[:-1], change(facts[-1])], needs)


def test_nothing_is_wrong_with_nodes_that_are_alike() -> None:
    assert judged(lambda one: one, nodes=4) == []


def changed(**fields: Any) -> Callable[[NodeFacts], NodeFacts]:
    return lambda one: replace(one, **fields)


@pytest.mark.parametrize(
    ("change", "check", "cause", "remedy"),
    [
        (changed(docker=None, docker_error="permission denied while"), "docker", "may not use Docker", "usermod"),
        (changed(docker=None, docker_error="sh: docker: not found"), "docker", "not installed", "install"),
        (changed(docker=None, docker_error="Cannot connect to"), "docker", "does not answer", "systemctl start"),
        (changed(link=Link(None, None, None, ())), "fabric", "no interface fab0", "eth0, fab0"),
        (changed(link=Link("down", 200_000, 9000, ())), "fabric", "fab0 is down", "ip link set fab0 up"),
        (changed(link=Link("up", 200_000, 9000, ("10.9.9.9",))), "fabric", "not the address 10.0.0.2", "10.9.9.9"),
        (changed(link=Link("up", 1000, 1500, ("10.0.0.2",))), "fabric", "at 1 Gbit/s, less than 100 Gbit/s", "cable"),
        (changed(adapters={"mlx5_0": ("4: ACTIVE",)}), "hca", "no RDMA adapter roce0", "mlx5_0"),
        (changed(adapters={"roce0": ("1: DOWN",)}), "hca", "roce0 is not active (1: DOWN)", "cable"),
        (changed(listening=frozenset({29501})), "port", "29501 is taken (rank 1", "recipegen down pair"),
        (changed(host={"meminfo": "MemAvailable: 1048576 kB", "gpus": GPUS}), "memory", "1.0 GiB are free", "lower"),
        (changed(clock_offset_s=-90.0), "clock", "90 s behind", "timedatectl"),
        (changed(host={"gpus": "NVIDIA GB10, 570.1, [N/A], 12.1"}), "driver", "570.1, elsewhere 580.95.05", "same"),
        (changed(host={}), "driver", "no GPU", "nvidia-smi"),
        (changed(image=None), "image", "no image pair", "distribute pair"),
        (changed(image="sha256:" + "2" * 64), "image", "is 222222222222, elsewhere 111111111111", "distribute"),
        (changed(models={"model": model(files={})}), "model", "is not at /models/m", "--models"),
        (
            changed(models={"model": model(OTHER)}),
            "model",
            "ffffffffffff, the recipe asks for 0123456789ab",
            "--models",
        ),
        (
            changed(models={"model": model(files={"config.json": 20, "w.safetensors": 9})}),
            "model",
            "w.safetensors has 9 bytes, elsewhere 5,000",
            "--models",
        ),
        (changed(models={"model": model(files={"config.json": 20})}), "model", "w.safetensors is missing", "--models"),
    ],
)
def test_each_fault_is_named_with_its_node_and_a_remedy(
    change: Callable[[NodeFacts], NodeFacts], check: str, cause: str, remedy: str
) -> None:
    (fault,) = judged(change)
    assert (fault.node, fault.check) == ("spark-b", check)
    assert cause in fault.cause
    assert remedy in fault.remedy


def test_a_small_file_of_other_content_is_found() -> None:
    found = replace(model(), hashes={"config.json": "bb"})
    (fault,) = judged(changed(models={"model": found}))
    assert "config.json has other content" in fault.cause


def test_revisions_are_compared_where_the_recipe_pins_none() -> None:
    needs = replace(NEEDS, models={"model": Model()})
    (fault,) = judged(changed(models={"model": model(OTHER)}), needs=needs)
    assert "revision ffffffffffff, elsewhere 0123456789ab" in fault.cause


def test_a_file_that_the_engine_opens_must_be_there() -> None:
    needs = replace(NEEDS, models={"model": Model(REVISION, "m.gguf")})
    assert [fault.check for fault in judged(lambda one: one, needs=needs)] == ["model", "model"]


def test_the_state_of_most_nodes_is_the_rule_even_against_the_head() -> None:
    facts = [good(rank) for rank in range(3)]
    (fault,) = judge([replace(facts[0], image="sha256:" + "2" * 64), *facts[1:]], NEEDS)
    assert fault.node == "spark-a"
    assert most_common(["a", "b", "b"]) == "b"
    assert most_common(["a", "b"]) == "a"


def test_a_port_of_the_head_may_be_taken_elsewhere() -> None:
    assert judged(changed(listening=frozenset({8000}))) == []


def test_virtual_interfaces_do_not_know_their_speed() -> None:
    assert judged(changed(link=Link("unknown", None, 1500, ("10.0.0.2",)))) == []


def test_no_interface_and_no_adapter_are_looked_for_where_none_is_named() -> None:
    bare = [replace(good(rank), node=Node(rank, f"n{rank}", None, f"10.0.0.{rank}")) for rank in range(2)]
    assert judge([replace(one, link=Link(None, None, None, ()), adapters={}) for one in bare], NEEDS) == []


def test_faults_of_all_nodes_come_together_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(one: Node, image: str, models: Any) -> NodeFacts:
        if one.rank == 0:
            raise NodesLack([Fault(one.name, "reach", "cannot be reached", "is it on?")])
        return replace(good(one.rank), listening=frozenset({29501}), image=None)

    monkeypatch.setattr("recipegen.cluster.preflight.probe", ask)
    found = preflight([node(rank) for rank in range(3)], NEEDS, lambda _: {})
    assert [(fault.node, fault.check) for fault in found.faults] == [
        ("spark-a", "reach"), ("spark-b", "port"), ("spark-b", "image"), ("spark-c", "port"), ("spark-c", "image"),
    ]  # fmt: skip
    error = NodesLack(found.faults)
    assert error.message.startswith("5 problems on 3 nodes, nothing was started:")
    assert all(fault.cause in error.message and fault.remedy in error.message for fault in found.faults)


# What the script's answer says


def answer(*parts: tuple[str, str]) -> str:
    return "".join(f"\n@@recipegen {name}\n{text}\n" for name, text in parts)


PLACES = {"model": Places("~/models/m")}


def parsed(*parts: tuple[str, str], before: float = 100.0, after: float = 101.0) -> NodeFacts:
    return parse(node(1), answer(*parts), PLACES, before, after)


def test_an_answer_is_read() -> None:
    found = parsed(
        ("clock", "100.2"),
        ("docker", "28.0.1"),
        ("docker-address", "unix:///run/user/1000/docker.sock"),
        ("image", 'sha256:11 900 {"org.recipegen.kit-sha256":"kk"}'),
        ("interfaces", "eth0\nfab0"),
        ("link", "up\n9000\n200000"),
        ("addresses", "3: fab0    inet 10.0.0.2/24 scope global fab0\n3: fab0    inet6 fe80::1/64 scope link"),
        ("hca roce0", "4: ACTIVE"),
        ("tcp", "  0: 00000000:1F40 00000000:0000 0A 00\n  1: 0100007F:0016 0100007F:9999 01 00"),
        ("home", "/home/me"),
        ("model-files model", "20 config.json\n5000 w with a blank.safetensors"),
        ("model-hashes model", "aa  ./config.json"),
        ("model-notes model", f"      2 {REVISION}\n      1 {OTHER}"),
        ("gpus", GPUS),
        ("tools", "/usr/bin/rsync"),
        ("end", "100.8"),
    )
    assert (found.docker, found.image, found.image_bytes, found.image_kit) == ("28.0.1", "sha256:11", 900, "kk")
    assert found.docker_address == "unix:///run/user/1000/docker.sock"
    assert found.link == Link("up", 200_000, 9000, ("10.0.0.2", "fe80::1"))
    assert found.adapters == {"roce0": ("4: ACTIVE",)}
    assert found.listening == {8000}
    assert found.clock_offset_s == 0.0
    assert found.models["model"] == ModelOn(
        "/home/me/models/m",
        {"config.json": 20, "w with a blank.safetensors": 5000},
        {"config.json": "aa"},
        (REVISION, OTHER),
    )
    assert found.drivers == ("580.95.05",)
    assert found.tools == {"rsync"}


@pytest.mark.parametrize(
    ("first", "last", "offset"), [("100.5", "100.9", 0.0), ("40.0", "41.0", -60.0), ("160.0", "161.0", 60.0)]
)
def test_a_clock_is_off_by_what_the_way_there_cannot_explain(first: str, last: str, offset: float) -> None:
    assert parsed(("clock", first), ("end", last)).clock_offset_s == offset


def test_a_daemon_that_does_not_answer_leaves_its_words() -> None:
    found = parsed(("docker", "Cannot connect to the Docker daemon\n!"))
    assert (found.docker, found.docker_error) == (None, "Cannot connect to the Docker daemon")


@pytest.mark.parametrize("text", ["", "nonsense", "@@recipegen", "\n@@recipegen link\nx\ny\nz\n", "\x00\u202e" * 50])
def test_an_answer_of_another_shape_is_no_accident(text: str) -> None:
    found = parse(node(1), text, PLACES, 0.0, 1.0)
    assert found.docker is None and found.models["model"].files == {}


def test_the_table_of_ports_is_read() -> None:
    table = (
        "  sl local rem st\n   0: 00000000000000000000000000000000:1F90 000:0000 0A x\n   1: 0100007F:0CEA 0:0 06 x\n"
    )
    assert listening(table) == {8080}


def test_hostile_places_and_names_stay_data(tmp_path: Any) -> None:
    """The script is run as it is, in a folder whose name would do something."""
    import subprocess

    folder = tmp_path / "it's $(touch pwned) `x`; y"
    folder.mkdir()
    (folder / "a b.json").write_text("{}")
    here = replace(node(0), interface="none", docker="unix:///nowhere'$(touch pwned)")
    text = script(here, "image'; touch pwned", {"model": Places(str(folder))})
    done = subprocess.run(["sh", "-s"], input=text, capture_output=True, text=True, check=True, cwd=tmp_path)
    found = parse(here, done.stdout, {"model": Places(str(folder))}, 0, 1e12)
    assert found.models["model"].files == {"a b.json": 2}
    assert list(found.models["model"].hashes) == ["a b.json"]
    assert not (tmp_path / "pwned").exists()
    assert found.docker is None
    assert "MemTotal" in found.host["meminfo"]


def ranks(facts: Sequence[NodeFacts]) -> list[int]:
    return [one.node.rank for one in facts]


def test_facts_come_in_the_order_of_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipegen.cluster.preflight.probe", lambda one, image, models: good(one.rank))
    assert ranks(preflight([node(rank) for rank in range(4)], NEEDS, lambda _: {}).facts) == [0, 1, 2, 3]
