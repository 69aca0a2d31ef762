"""Several machines in a recipe: what is said once and where, sizes that add up, errors with their lines; and the user's
own file of machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recipegen.cli import cli
from recipegen.complete import complete
from recipegen.engines import engine
from recipegen.engines.known import known_versions, load_known
from recipegen.engines.ranks import Ranks, variant_ranks
from recipegen.errors import RecipegenError, SpecError
from recipegen.load.cluster_file import default_file, find_cluster_file, load_cluster_file, nodes_for
from recipegen.spec.completed import Spec
from tests.support.kits import ROOT, shipped, workspace

BASE: dict[str, Any] = {
    "schema": "recipegen/v1",
    "name": "r",
    "title": "R",
    "hardware": "dgx-spark-x2",
    "model": {"hf_id": "owner/Name-FP8"},
    "image": {"mode": "prebuilt", "base": "a/b:1"},
    "engine": {"name": "vllm", "version": "0.28.0", "flags": {"tensor-parallel-size": 2}},
    "headline": "main",
    "variants": {"main": {}},
}


def load(tmp_path: Path, **changes: Any) -> Spec:
    """The recipe with changes at its top level, through every check."""
    file = tmp_path / "r" / "recipe.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump({**BASE, **changes}, sort_keys=False))
    return complete(workspace().load_file(file).recipe)


def problems(tmp_path: Path, **changes: Any) -> list[tuple[str, str]]:
    """Each problem's line of the file, as it is written, and its message."""
    with pytest.raises(SpecError) as refused:
        load(tmp_path, **changes)
    lines = (tmp_path / "r" / "recipe.yaml").read_text().splitlines()
    return [(lines[problem.where.line - 1].strip(), problem.message) for problem in refused.value.problems]


def flags(**values: Any) -> dict[str, Any]:
    return {**BASE["engine"], "flags": {key.replace("_", "-"): value for key, value in values.items()}}


# -- what a recipe says ----


def test_nodes_interface_and_adapters_come_from_the_machine(tmp_path: Path) -> None:
    spec = load(tmp_path)
    assert spec.cluster is not None
    assert (spec.cluster.nodes, spec.cluster.gbit_s) == (2, 200)
    assert (spec.cluster.interface, spec.cluster.hca) == ("enP2p1s0f1np1", "rocep1s0f1,roceP2p1s0f1")
    assert (spec.cluster.master_port, spec.cluster.ray_port) == (29501, 6379)
    assert (spec.run.network, spec.run.ipc, spec.run.ulimits) == ("host", "host", {"memlock": -1})


def test_a_recipe_wins_over_the_machine(tmp_path: Path) -> None:
    given = {
        "nodes": 3, "interface": "eth7", "hca": "none", "master_port": 29588, "ray_port": 6380,
        "measured_with": "ray", "per_node": {2: {"models_dir": "~/other"}},
    }  # fmt: skip
    spec = load(tmp_path, cluster=given, engine=flags(tensor_parallel_size=3), run={"ipc": "private"})
    assert spec.cluster is not None
    assert spec.hardware.nodes == spec.cluster.nodes == 3
    assert spec.hardware.label == "3x DGX Spark (GB10)"
    assert (spec.cluster.interface, spec.cluster.hca) == ("eth7", "none")
    assert spec.cluster.per_node[2].models_dir == "~/other"
    assert (spec.run.ipc, spec.run.ulimits) == ("private", {})


def test_cpus_make_a_cluster_too(tmp_path: Path) -> None:
    spec = load(tmp_path, hardware="cpu", cluster={"nodes": 2})
    assert spec.cluster is not None
    assert (spec.hardware.label, spec.cluster.interface, spec.cluster.gbit_s) == ("2x any CPU", "none", None)
    environment = engine("vllm").command(spec, "main").environment(HOST_IP="192.0.2.7", MASTER_ADDR="192.0.2.1")
    assert environment == {"VLLM_HOST_IP": "192.0.2.7"}, "no NCCL without a GPU"


def test_one_machine_is_no_cluster_and_keeps_its_identity(tmp_path: Path) -> None:
    spec = load(tmp_path, hardware="dgx-spark", engine=flags())
    assert spec.cluster is None
    assert spec.run.network == "bridge"
    # SHA-256 of a committed recipe, from its measured records: what is built and measured did not become another.
    assert shipped("smoke-vllm-cpu").sha256 == recorded_identity("smoke-vllm-cpu")


def recorded_identity(name: str) -> str:
    """What the newest committed run of a recipe says of the recipe it measured."""
    import json

    runs = sorted((ROOT / "recipes" / name / "results").glob("*/*/run.json"))
    return str(json.loads(runs[-1].read_text())["recipe"]["spec_sha256"])


def test_interface_and_ports_are_no_part_of_a_recipes_identity(tmp_path: Path) -> None:
    plain = load(tmp_path).sha256
    assert (
        load(
            tmp_path, cluster={"interface": "eth7", "hca": "none", "master_port": 1}, run={"ulimits": {"memlock": -1}}
        ).sha256
        == plain
    )
    assert load(tmp_path, engine=flags(tensor_parallel_size=2, distributed_executor_backend="ray")).sha256 != plain


@pytest.mark.parametrize(
    ("cluster", "given", "expected"),
    [
        ({}, {"-tp": 2}, Ranks("mp", 2, 1, 1, 1, False)),
        ({"tensor": 2}, {}, Ranks("mp", 2, 1, 1, 1, False)),
        ({"pipeline": 2, "executor": "ray"}, {}, Ranks("ray", 1, 2, 1, 1, False)),
        ({"data": 2, "expert": True}, {}, Ranks("mp", 1, 1, 2, 1, True)),
        ({"executor": "ray"}, {"distributed-executor-backend": "ray", "-pp": 2}, Ranks("ray", 1, 2, 1, 1, False)),
        ({"nodes": 4}, {"-tp": 2, "--pipeline_parallel_size": 2}, Ranks("mp", 2, 2, 1, 1, False)),
    ],
)
def test_what_a_cluster_says_becomes_flags_which_alone_are_read_later(
    cluster: dict[str, Any], given: dict[str, Any], expected: Ranks, tmp_path: Path
) -> None:
    spec = load(tmp_path, cluster=cluster, engine={**BASE["engine"], "flags": given})
    assert variant_ranks(spec, "main") == expected


def test_ranks_lie_over_machines_as_vllm_numbers_them() -> None:
    ranks = Ranks("mp", tensor=2, pipeline=2, data=2, prefill_context=1, expert=False)
    assert [ranks.place(rank) for rank in range(8)] == [
        (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1),
    ]  # fmt: skip


# -- what is wrong ----


@pytest.mark.parametrize(
    ("changes", "line", "says"),
    [
        ({"engine": flags(tensor_parallel_size=4)}, "tensor-parallel-size: 4", "= 4 ranks, but 2 machines"),
        ({"engine": flags()}, "main: {}", "= 1 rank, but 2 machines"),
        ({"cluster": {"tensor": 3}, "engine": flags()}, "tensor: 3", "= 3 ranks, but 2 machines"),
        ({"cluster": {"tensor": 4}}, "tensor-parallel-size: 2", "contradicts cluster.tensor: 4"),
        ({"cluster": {"executor": "mp"}, "engine": flags(tensor_parallel_size=2, distributed_executor_backend="ray")},
         "distributed-executor-backend: ray", "contradicts cluster.executor: mp"),
        ({"engine": flags(tensor_parallel_size=2, distributed_executor_backend="uni")},
         "distributed-executor-backend: uni", "joins no machines"),
        ({"engine": flags(tensor_parallel_size=2, nnodes=2)}, "nnodes: 2", "put in by recipegen"),
        ({"engine": flags(tensor_parallel_size=2, master_port=1)}, "master-port: 1", "put in by recipegen"),
        ({"engine": flags(tensor_parallel_size=2, headless=True)}, "headless: true", "differs from node to node"),
        ({"engine": flags(tensor_parallel_size=2, node_rank=0)}, "node-rank: 0", "differs from node to node"),
        ({"engine": {**BASE["engine"], "env": {"HOST_IP": "1"}}}, "HOST_IP: '1'", "a knob of the scripts of a cluster"),
        ({"run": {"network": "bridge"}}, "network: bridge", "the hosts' own network"),
        ({"cluster": {"per_node": {5: {"models_dir": "/m"}}}}, "per_node:", "no rank 5"),
        ({"hardware": "dgx-spark", "cluster": {"tensor": 2}}, "cluster:", "a cluster of one machine"),
        ({"cluster": {"nodes": 1}}, "nodes: 1", "must be at least 2"),
        ({"cluster": {"hosts": ["spark1"]}}, "hosts:", "unknown key 'hosts'"),
        ({"cluster": {"interface": "eth0; id"}}, "interface: eth0; id", "is not the name of a network interface"),
        ({"cluster": {"hca": "$(id)"}}, "hca: $(id)", "is not a list of RDMA adapters"),
        ({"engine": {"name": "llama.cpp"}, "model": {"hf_id": "o/n", "file": "m.gguf"}, "cluster": {"tensor": 2}},
         "cluster:", "recipegen spreads vLLM over machines"),
        ({"variants": {"main": {"refused": "it crashes"}}}, "headline: main", "the variant 'main' is refused"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_named_with_its_line(
    changes: dict[str, Any], line: str, says: str, tmp_path: Path
) -> None:
    found = problems(tmp_path, **changes)
    assert any(where == line and says in message for where, message in found), found


def test_one_variant_of_several_may_be_wrong(tmp_path: Path) -> None:
    found = problems(tmp_path, variants={"main": {}, "odd": {"flags": {"-tp": 1}, "drop": ["tensor-parallel-size"]}})
    assert found == [
        ("-tp: 1", "variant 'odd': tensor 1 x pipeline 1 x data 1 = 1 rank, but 2 machines of one GPU each")
    ]


@pytest.mark.parametrize(
    "hostile", [{"tensor": "x" * 10_000}, {"nodes": True}, {"per_node": {"a": 1}}, [1], "x", {"tensor": []}]
)
def test_a_cluster_of_any_shape_is_an_error_and_no_traceback(hostile: Any, tmp_path: Path) -> None:
    assert problems(tmp_path, cluster=hostile)


@pytest.mark.parametrize("version", known_versions("vllm"))
def test_every_known_vllm_has_the_flags_that_are_put_in(version: str) -> None:
    assert {"nnodes", "node-rank", "master-addr", "master-port", "headless"} <= set(load_known("vllm", version).flags)


# -- a variant that is not to be run ----


@pytest.mark.parametrize("command", ["up", "bench"])
def test_nobody_starts_a_refused_variant(command: str) -> None:
    with pytest.raises(RecipegenError, match=r"'mtp5' is not to be run: Eight requests at once"):
        cli.main([command, "qwen35-397b-fp8-mtp-x4", "--variant", "mtp5", "--root", str(ROOT)], standalone_mode=False)


# -- the user's machines ----

FILE = """\
user: me
interface: enp1s0f1np1
models_dir: /data/models
nodes:
  - {name: alpha, ssh: localhost, address: 192.168.177.11}
  - {name: beta, ssh: spark2, address: 192.168.177.12, docker: "ssh://root@spark2", models_dir: "/mnt/big disk"}
  - {name: gamma, ssh: you@spark3, address: "fd00::3", interface: eth7}
"""


def test_the_file_of_machines_gives_each_node_what_it_says_for_all(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(FILE)
    head, beta, gamma = nodes_for(load_cluster_file(file), 3, file)
    assert (head.ssh, head.interface, head.models_dir) == ("localhost", "enp1s0f1np1", "/data/models")
    assert (beta.ssh, beta.docker, beta.models_dir) == ("me@spark2", "ssh://root@spark2", "/mnt/big disk")
    assert (gamma.ssh, gamma.interface, gamma.address) == ("you@spark3", "eth7", "fd00::3")
    assert len(nodes_for(load_cluster_file(file), 2, file)) == 2
    with pytest.raises(RecipegenError, match="names 3 nodes, and 4 are needed"):
        nodes_for(load_cluster_file(file), 4, file)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("user: me", "users: me", 1, "unknown key 'users' in the cluster file"),
        ("ssh: spark2", 'ssh: "-oProxyCommand=id"', 6, "is not a target of ssh"),
        ("ssh: spark2", 'ssh: "spark2; id"', 6, "is not a target of ssh"),
        ("192.168.177.12", "999.1.1.1", 6, "does not appear to be an IPv4 or IPv6 address"),
        ("192.168.177.12", "192.168.177.11", 0, "two nodes have the address 192.168.177.11"),
        ("name: beta", "name: alpha", 0, "two nodes have the name alpha"),
        (", address: 192.168.177.11}", "}", 5, "nodes.0 lacks the key 'address'"),
        ("/mnt/big disk", '/mnt/\\\\x', 6, "holds a quote, a backslash"),
        ("interface: eth7", 'interface: "a b"', 7, "is not the name of a network interface"),
        ("user: me", "user: me\ngroups: [[alpha, delta]]", 0, "groups names delta, which is no node"),
        ("user: me", "user: me\ngroups: [[alpha, beta], [beta]]", 0, "groups names beta twice"),
        ("user: me", "user: me\ngroups: [[]]", 2, "groups.0"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_has_its_line(old: str, new: str, line: int, says: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(FILE.replace(old, new, 1))
    with pytest.raises(SpecError) as refused:
        load_cluster_file(file)
    (problem,) = refused.value.problems
    assert says in problem.message
    assert problem.where.file == file
    assert line in (0, problem.where.line)


@pytest.mark.parametrize("text", ["", "- a list\n", "nodes: []\n", "x" * 100, "nodes: [1]\n"])
def test_what_is_no_file_of_machines_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    with pytest.raises(RecipegenError):
        load_cluster_file(file)


def test_where_the_file_lies(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(FILE)
    assert find_cluster_file(own, {}) == own
    assert find_cluster_file(None, {"RECIPEGEN_CLUSTER": str(own)}) == own
    assert default_file({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "recipegen" / "cluster.yaml"
    assert default_file({"XDG_CONFIG_HOME": "relative"}) == Path.home() / ".config" / "recipegen" / "cluster.yaml"
    with pytest.raises(RecipegenError, match="there is no cluster file"):
        find_cluster_file(None, {"XDG_CONFIG_HOME": str(tmp_path)})


def test_nothing_of_the_file_enters_a_kit_or_a_recipe_on_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.support.kits import kit_of, small

    file = tmp_path / "recipegen" / "cluster.yaml"
    file.parent.mkdir()
    file.write_text(
        FILE.replace("alpha", "kilo-host").replace("192.168.177.", "10.99.88.").replace("spark3", "node-three")
    )
    monkeypatch.setenv("RECIPEGEN_CLUSTER", str(file))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    secrets = [b"kilo-host", b"10.99.88.", b"node-three", b"/mnt/big disk", b"you@"]
    for spec in (small("vllm-cluster"), shipped("qwen35-397b-fp8-mtp-x4"), shipped("minimax-m27-nvfp4-x2")):
        text = b"".join(file.data for file in kit_of(spec).values()) + spec.model_dump_json().encode()
        assert [secret for secret in secrets if secret in text] == []
    knobs = {"NODE_RANK": "1", "MASTER_ADDR": "10.99.88.11", "HOST_IP": "10.99.88.12", "FABRIC_IFACE": "kilo-host"}
    recorded = " ".join(engine("vllm").command(shipped("minimax-m27-nvfp4-x2"), "mp").recorded(**knobs))
    assert "--master-addr ${MASTER_ADDR}" in recorded, "a record names what belongs to one node, and holds it not"
    assert "10.99.88" not in recorded
    cli.main(["show", "minimax-m27-nvfp4-x2", "--resolved", "--root", str(ROOT)], standalone_mode=False)
    shown = capsys.readouterr().out.encode()
    assert shown and [secret for secret in secrets if secret in shown] == []
