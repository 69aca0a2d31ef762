"""Kits for several machines, run with stand-ins: each node's script starts what the command room says, and cluster.sh
reaches every node, in order, names the one that is wrong, and stops what it can."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipegen.engines import engine
from recipegen.engines.container import node_run
from recipegen.engines.nodes import NodeCommands, node_commands
from recipegen.quoting import put_in
from recipegen.spec.completed import Spec
from tests.support.kits import ROOT, Host, kit_of, on_disk, shipped, small

KNOWLEDGE = ROOT.parent / "shared" / "knowledge"
NODE = {"MASTER_ADDR": "127.0.0.1", "HOST_IP": "127.0.0.1"}
ACTIVE = """
======== Autoscaler status: 2026-06-13 16:13:25 ========
Node status
---------------------------------------------------------------
Active:
 1 node_aaaa
Idle:
 1 node_bbbb
Pending:
 (no pending nodes)
Recent failures:
 node_cccc: 1 node_ was lost

Resources
"""
"""Two nodes, as `ray status` shows them."""


@pytest.fixture(scope="module")
def spec() -> Spec:
    return small("vllm-cluster")


@pytest.fixture(scope="module")
def kit(spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return on_disk(spec, tmp_path_factory.mktemp("kits"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


def commands(spec: Spec, variant: str) -> NodeCommands:
    return node_commands(spec, variant, engine("vllm").command(spec, variant))


def words(command: Any, host: Host, **knobs: str) -> list[str]:
    """The words of a command on that host, for the knobs that it has."""
    given = {"MODELS_DIR": f"{host.home}/models", **NODE, **knobs}
    return list(command.words(**{key: value for key, value in given.items() if key in command.knobs}))


# -- the launch script of a node ----


@pytest.mark.parametrize("rank", ["0", "1"])
def test_vllms_own_mode_starts_the_head_and_a_headless_worker(rank: str, spec: Spec, kit: Path, host: Host) -> None:
    host.stand_in("vllm")
    done = host.run(kit / "scripts" / "launch_server.sh", "--more", "a b", NODE_RANK=rank, **NODE)
    assert done.returncode == 0, done.stderr
    found = commands(spec, "mp")
    command = found.serve if rank == "0" else found.worker
    wanted = words(command, host, NODE_RANK=rank)
    assert ["vllm", *host.argv("vllm")] == [*wanted, "--more", "a b"]
    assert ("--headless" in wanted) is (rank == "1")
    assert wanted[wanted.index("--nnodes") :][:8] == [
        "--nnodes", "2", "--node-rank", rank, "--master-addr", "127.0.0.1", "--master-port", "29501",
    ]  # fmt: skip
    environment = command.environment(NODE_RANK=rank, **NODE)
    assert environment["NCCL_IB_HCA"] == "rocep1s0f1,roceP2p1s0f1"
    assert environment["NCCL_SOCKET_IFNAME"] == environment["GLOO_SOCKET_IFNAME"] == "enP2p1s0f1np1"
    assert environment["TP_SOCKET_IFNAME"] == "enP2p1s0f1np1" and environment["VLLM_HOST_IP"] == "127.0.0.1"
    assert host.env_of("vllm").items() >= environment.items()
    assert "NCCL_IB_DISABLE" not in host.env_of("vllm")


def test_without_adapters_nccl_is_told_so(spec: Spec, kit: Path, host: Host) -> None:
    host.stand_in("vllm")
    knobs = {"FABRIC_IFACE": "none", "FABRIC_HCA": "none"}
    done = host.run(kit / "scripts" / "launch_server.sh", NODE_RANK="0", **NODE, **knobs)
    assert done.returncode == 0, done.stderr
    seen = host.env_of("vllm")
    assert seen["NCCL_IB_DISABLE"] == "1"
    assert not {"NCCL_IB_HCA", "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"} & set(seen)
    environment = commands(spec, "mp").serve.environment(NODE_RANK="0", **NODE, **knobs)
    assert environment == {"VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1", "NCCL_IB_DISABLE": "1"}


def test_the_users_own_variables_win(kit: Path, host: Host) -> None:
    host.stand_in("vllm")
    own = {"NCCL_SOCKET_IFNAME": "=eth1", "NCCL_IB_HCA": "mlx5_0"}
    host.run(kit / "scripts" / "launch_server.sh", NODE_RANK="0", MASTER_PORT="7", **NODE, **own)
    assert host.env_of("vllm").items() >= own.items()
    assert host.argv("vllm")[-2:] == ["--master-port", "7"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "must be set"),
        ({"NODE_RANK": "0", "MASTER_ADDR": "a"}, "must be set"),
        ({"NODE_RANK": "2", **NODE}, "NODE_RANK is 0 to 1, not '2'"),
        ({"NODE_RANK": "a[$(touch pwned)]", **NODE}, "NODE_RANK is 0 to 1"),
        ({"NODE_RANK": "-1", **NODE}, "NODE_RANK is 0 to 1"),
    ],
)
@pytest.mark.parametrize("script", ["launch_server.sh", "launch_server_ray.sh"])
def test_a_node_that_does_not_know_which_one_it_is_starts_nothing(
    script: str, given: dict[str, str], says: str, kit: Path, host: Host
) -> None:
    for program in ("vllm", "ray"):
        host.stand_in(program)
    done = host.run(kit / "scripts" / script, **given)
    assert done.returncode == 2
    assert says in done.stderr
    assert host.calls("vllm") == host.calls("ray") == 0
    assert not list(host.folder.rglob("pwned"))


def test_the_head_of_ray_serves_when_all_nodes_have_joined(spec: Spec, kit: Path, host: Host) -> None:
    host.stand_in("vllm")
    # One call finds no node yet, the next one both.
    both = f'cat <<"END"\n{ACTIVE}\nEND\n'
    body = f'[[ "$1" == status ]] || exit 0\nif [[ -e "$0.again" ]]; then {both}fi\ntouch "$0.again"'
    host.stand_in("ray", body)
    done = host.run(kit / "scripts" / "launch_server_ray.sh", NODE_RANK="0", **NODE)
    assert done.returncode == 0, done.stderr
    found = commands(spec, "ray")
    assert found.head is not None and found.status is not None
    start = words(found.head, host)[1:]
    assert host.argv("ray") == [*start, "status", "status"]
    assert start[:6] == ["start", "--head", "--port", "6379", "--node-ip-address", "127.0.0.1"]
    assert ["vllm", *host.argv("vllm")] == words(found.serve, host)
    assert "--nnodes" not in host.argv("vllm"), "vLLM refuses it beside Ray"
    assert host.env_of("vllm")["RAY_ADDRESS"] == "127.0.0.1:6379"
    assert host.env_of("ray").items() >= found.head.environment(NODE_RANK="0", **NODE).items()


def test_the_head_of_ray_does_not_wait_forever(kit: Path, host: Host) -> None:
    host.stand_in("vllm")
    host.stand_in("ray", 'if [[ "$1" == status ]]; then exit 1; fi')
    done = host.run(kit / "scripts" / "launch_server_ray.sh", NODE_RANK="0", NODES_TIMEOUT="1", **NODE)
    assert done.returncode == 4
    assert "only 0 of 2 nodes have joined Ray after 1 s" in done.stderr
    assert host.calls("vllm") == 0


@pytest.fixture
def head_port() -> Iterator[str]:
    """A port on which a head listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def test_a_worker_of_ray_joins_the_head_that_is_there(spec: Spec, kit: Path, host: Host, head_port: str) -> None:
    for program in ("vllm", "ray"):
        host.stand_in(program)
    done = host.run(kit / "scripts" / "launch_server_ray.sh", NODE_RANK="1", RAY_PORT=head_port, **NODE)
    assert done.returncode == 0, done.stderr
    joined = words(commands(spec, "ray").worker, host, RAY_PORT=head_port)
    assert ["ray", *host.argv("ray")] == joined
    assert joined[:4] == ["ray", "start", "--address", f"127.0.0.1:{head_port}"] and joined[-1] == "--block"
    assert host.calls("vllm") == 0


def test_a_worker_of_ray_gives_up_where_no_head_comes(kit: Path, host: Host) -> None:
    host.stand_in("ray")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
    done = host.run(kit / "scripts" / "launch_server_ray.sh", NODE_RANK="1", RAY_PORT=port, NODES_TIMEOUT="0", **NODE)
    assert done.returncode == 4
    assert f"no Ray head at 127.0.0.1:{port}" in done.stderr
    assert host.calls("ray") == 0


# -- cluster.sh ----

NODES = "localhost=10.0.0.1 me@spark2=10.0.0.2"
SSH = r"""
while [[ "$1" == -* && "$1" != -- ]]; do
    [[ "$1" != -o ]] || { printf '%s\n' "$2" >>"$0.options"; shift; }
    shift
done
target="$2"
[[ "$1" == -- ]] || target="$1"
printf '%s\n' "$target" >>"$0.targets"
if [[ -e "$0.gone" ]]; then echo "ssh: connect to host $target: No route to host" >&2; exit 255; fi
exec env RANK_IS=1 HOME=/home/me bash -c "${@: -1}"
"""
DOCKER = r"""
where="${RANK_IS:-0}"
printf '%s\0' "$where" "$@" $'\n' >>"$0.seen"
case "$1 ${2:-}" in
    "version "*) echo 29.1 ;;
    "image inspect") [[ ! -e "$0.noimage.$where" ]] || exit 1; cat "$0.image.$where" 2>/dev/null || echo sha256:aaaa ;;
    "ps "*) [[ ! -e "$0.there.$where" ]] || echo abc ;;
    "inspect "*) cat "$0.state.$where" 2>/dev/null || exit 1 ;;
    "run "*)
        if [[ -e "$0.fails.$where" ]]; then echo "docker: no" >&2; exit 125; fi
        echo "running 0" >"$0.state.$where"
        echo "run $where" >>"$0.order"
        ;;
    "rm "*) rm -f "$0.state.$where"; echo "rm $where" >>"$0.order" ;;
    "logs "*) echo "log of $where" ;;
    "save "*) echo image-bytes ;;
    "load "*) cat >"$0.loaded" ;;
esac
"""
IP = 'echo "2: $6    inet 10.0.0.$((${RANK_IS:-0} + 1))/24 brd 10.0.0.255 scope global $6"'


@pytest.fixture
def sparks(host: Host) -> Host:
    """A host that reaches a second one over ssh; both have Docker, the image and the model."""
    host.stand_in("ssh", SSH)
    host.stand_in("docker", DOCKER)
    host.stand_in("ip", IP)
    host.stand_in(
        "ss", '[[ ! -e "$0.busy.${RANK_IS:-0}" ]] || [[ "$2" != *:"$(<"$0.busy.${RANK_IS:-0}")" ]] || echo LISTEN'
    )
    host.stand_in("curl", 'cat "$0.says" 2>/dev/null || printf 000')
    for folder in (host.home / "models", host.folder / "data"):
        (folder / "Target-NVFP4").mkdir(parents=True)
        (folder / "Target-NVFP4" / "model.safetensors").write_text("weights")
    return host


def cluster(host: Host, kit: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    given = {"NODES": NODES, "FABRIC_IFACE": "none", "FABRIC_HCA": "none", **env}
    if "NODES_FILE" not in given:
        listing = host.folder / "nodes"
        listing.write_text(f"# target address models\nlocalhost 10.0.0.1 -\nme@spark2 10.0.0.2 {host.folder}/data\n")
        given["NODES_FILE"] = str(listing)
    return host.run(kit / "scripts" / "cluster.sh", *args, **given)


def seen(host: Host, verb: str) -> dict[str, list[list[str]]]:
    """Calls of docker with that verb, by rank."""
    found: dict[str, list[list[str]]] = {}
    file = host.bin / "docker.seen"
    for call in file.read_bytes().decode().split("\n\0")[:-1] if file.exists() else []:
        where, *args = call.split("\0")[:-1]
        if args[0] == verb:
            found.setdefault(where, []).append(args)
    return found


def flag(host: Host, program: str, name: str, text: str = "") -> None:
    (host.bin / f"{program}.{name}").write_text(text)


def test_up_starts_the_workers_then_the_head_with_what_each_needs(spec: Spec, kit: Path, sparks: Host) -> None:
    done = cluster(sparks, kit, "up", MAX_NUM_SEQS="2", FABRIC_IFACE="eth9", DOCKER_ARGS="--privileged")
    assert done.returncode == 0, done.stderr + done.stdout
    assert (sparks.bin / "docker.order").read_text().split("\n")[:-1] == ["run 1", "run 0"]
    passed = ("NODE_RANK", "MASTER_ADDR", "HOST_IP", "FABRIC_IFACE", "FABRIC_HCA")
    for rank, home, models in (
        ("0", str(sparks.home), f"{sparks.home}/models"),
        ("1", "/home/me", f"{sparks.folder}/data"),
    ):
        values = {
            "NODE_RANK": rank, "MASTER_ADDR": "10.0.0.1", "HOST_IP": f"10.0.0.{int(rank) + 1}", "FABRIC_IFACE": "eth9",
            "FABRIC_HCA": "none", "HOME": home, "MODELS_DIR": models,
        }  # fmt: skip
        (call,) = seen(sparks, "run")[rank]
        expected = [put_in(arg, values) for arg in node_run(spec, passed)]
        assert ["docker", *call] == [
            *expected, "--env", "PORT=8000", "--env", "MASTER_PORT=29501", "--env", "MAX_NUM_SEQS=2", "--privileged",
            "vllm-cluster", "bash", "/recipe/scripts/launch_server.sh",
        ]  # fmt: skip
        assert "--network host" in " ".join(call) and "--ipc host" in " ".join(call)
        assert "memlock=-1" in call and "/dev/infiniband" not in call
    assert set((sparks.bin / "ssh.targets").read_text().split()) == {"me@spark2"}
    assert "BatchMode=yes" in (sparks.bin / "ssh.options").read_text(), "ssh must never ask for a password"


def test_with_adapters_the_container_gets_them_and_another_variant_its_script(kit: Path, sparks: Host) -> None:
    assert cluster(sparks, kit, "up", VARIANT="ray", FABRIC_HCA="rocep1s0f1").returncode == 0
    (call,) = seen(sparks, "run")["1"]
    assert call[call.index("--device") + 1] == "/dev/infiniband"
    assert call[-1] == "/recipe/scripts/launch_server_ray.sh"
    assert "RAY_PORT=6379" in call and not any(word.startswith("MASTER_PORT") for word in call)


def test_addresses_are_asked_for_and_a_recipes_own_folders_count(kit: Path, sparks: Host) -> None:
    done = cluster(sparks, kit, "up", NODES="localhost me@spark2", NODES_FILE="", FABRIC_IFACE="eth9")
    assert done.returncode == 0, done.stderr + done.stdout
    (call,) = seen(sparks, "run")["1"]
    assert "HOST_IP=10.0.0.2" in call and "MASTER_ADDR=10.0.0.1" in call
    assert "/data/models:/models:ro" in call, "the recipe's default for rank 1"


def test_a_node_that_does_not_start_takes_the_others_down(kit: Path, sparks: Host) -> None:
    flag(sparks, "docker", "fails.0")
    done = cluster(sparks, kit, "up")
    assert done.returncode == 4
    assert "rank 0, localhost: the container did not start" in done.stdout
    assert "run 1" in (sparks.bin / "docker.order").read_text()
    assert not (sparks.bin / "docker.state.1").exists()


def test_up_leaves_a_running_cluster_alone(kit: Path, sparks: Host) -> None:
    flag(sparks, "docker", "state.1", "running 0")
    done = cluster(sparks, kit, "up")
    assert done.returncode == 1
    assert "rank 1, me@spark2: has a container vllm-cluster already" in done.stdout
    assert seen(sparks, "run") == {} and seen(sparks, "rm") == {}


def test_check_passes_where_all_is_well(kit: Path, sparks: Host) -> None:
    done = cluster(sparks, kit, "check")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "rank 0, localhost: answers" in done.stdout and "rank 1, me@spark2: answers" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "env", "code", "says"),
    [
        (("ssh", "gone", ""), {}, 3, "rank 1, me@spark2: cannot be reached"),
        (("docker", "noimage.1", ""), {}, 1, "rank 1, me@spark2: has no image vllm-cluster"),
        (("docker", "image.1", "sha256:bbbb"), {}, 1, "rank 1, me@spark2: another image than on localhost"),
        (("docker", "there.1", ""), {}, 1, "rank 1, me@spark2: has a container vllm-cluster already"),
        (("ss", "busy.1", "29501"), {}, 1, "rank 1, me@spark2: port 29501 is in use"),
        (("ss", "busy.0", "8000"), {}, 1, "rank 0, localhost: port 8000 is in use"),
        (None, {"FABRIC_IFACE": "nosuch0"}, 1, "rank 1, me@spark2: the interface nosuch0 is missing"),
        (None, {"FABRIC_HCA": "nosuch_0:1"}, 1, "rank 1, me@spark2: has no RDMA adapter nosuch_0"),
    ],
    ids=str,
)
def test_check_names_the_node_and_what_is_wrong(
    wrong: tuple[str, str, str] | None, env: dict[str, str], code: int, says: str, kit: Path, sparks: Host
) -> None:
    if wrong:
        flag(sparks, *wrong)
    done = cluster(sparks, kit, "check", **env)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stdout + done.stderr


def test_check_sees_another_model_and_a_missing_one(kit: Path, sparks: Host) -> None:
    model = sparks.folder / "data" / "Target-NVFP4" / "model.safetensors"
    model.write_text("half")
    done = cluster(sparks, kit, "check")
    assert done.returncode == 1 and "rank 1, me@spark2: other files than on localhost in Target-NVFP4" in done.stderr
    model.unlink()
    model.parent.rmdir()
    done = cluster(sparks, kit, "check")
    assert done.returncode == 1 and f"rank 1, me@spark2: has no model in {model.parent}" in done.stdout


def test_copy_sends_nothing_twice(kit: Path, sparks: Host) -> None:
    sparks.stand_in("rsync")
    flag(sparks, "docker", "noimage.1")
    done = cluster(sparks, kit, "copy")
    assert done.returncode == 0, done.stderr + done.stdout
    assert (sparks.bin / "docker.loaded").read_text() == "image-bytes\n"
    assert sparks.argv("rsync")[-2:] == [
        f"{sparks.home}/models/Target-NVFP4/", f"me@spark2:{sparks.folder}/data/Target-NVFP4/",
    ]  # fmt: skip
    (sparks.bin / "docker.noimage.1").unlink()
    (sparks.bin / "docker.loaded").unlink()
    assert "rank 1, me@spark2: has the image" in cluster(sparks, kit, "copy").stdout
    assert not (sparks.bin / "docker.loaded").exists()


def test_wait_ends_when_the_server_answers(kit: Path, sparks: Host) -> None:
    for rank in "01":
        flag(sparks, "docker", f"state.{rank}", "running 0")
    later = threading.Timer(1, lambda: flag(sparks, "curl", "says", "200"))
    later.start()
    done = cluster(sparks, kit, "wait")
    later.join()
    assert done.returncode == 0, done.stderr
    assert "all 2 ranks" in done.stderr


@pytest.mark.parametrize(("state", "says"), [("exited 137", "(exited 137)"), (None, "(gone)")])
def test_wait_names_the_rank_that_died(state: str | None, says: str, kit: Path, sparks: Host) -> None:
    flag(sparks, "docker", "state.0", "running 0")
    if state:
        flag(sparks, "docker", "state.1", state)
    done = cluster(sparks, kit, "wait")
    assert done.returncode == 4
    assert "rank 1, me@spark2, has ended" in done.stderr and says in done.stderr
    assert "log of 1" in done.stderr


def test_wait_has_an_end(kit: Path, sparks: Host) -> None:
    for rank in "01":
        flag(sparks, "docker", f"state.{rank}", "running 0")
    done = cluster(sparks, kit, "wait", TIMEOUT="1")
    assert done.returncode == 4
    assert "no answer after 1 s" in done.stderr and "log of 0" in done.stderr


def test_down_stops_what_it_reaches_and_names_what_it_does_not(kit: Path, sparks: Host) -> None:
    for rank in "01":
        flag(sparks, "docker", f"state.{rank}", "running 0")
    flag(sparks, "ssh", "gone")
    done = cluster(sparks, kit, "down")
    assert done.returncode == 3
    assert "rank 0, localhost: is down" in done.stdout
    assert "rank 1, me@spark2: cannot be reached" in done.stdout
    assert not (sparks.bin / "docker.state.0").exists()
    (sparks.bin / "ssh.gone").unlink()
    assert cluster(sparks, kit, "down").returncode == 0
    assert not (sparks.bin / "docker.state.1").exists()


def test_status_and_logs_show_each_rank(kit: Path, sparks: Host) -> None:
    flag(sparks, "docker", "state.0", "running 0")
    flag(sparks, "docker", "state.1", "exited 1")
    flag(sparks, "curl", "says", "200")
    done = cluster(sparks, kit, "status")
    assert done.returncode != 0
    assert "rank 0, localhost: running 0, /health says 200" in done.stdout
    assert "rank 1, me@spark2: exited 1" in done.stdout
    assert "rank 1, me@spark2: log of 1" in cluster(sparks, kit, "logs").stdout
    assert "log of 0" not in cluster(sparks, kit, "logs", "1").stdout
    assert cluster(sparks, kit, "logs", "7").returncode == 2


@pytest.mark.parametrize(
    ("args", "env", "says"),
    [
        ((), {}, "usage:"),
        (("restart",), {}, "usage:"),
        (("up",), {"NODES_FILE": "", "NODES": "localhost=10.0.0.1"}, "2 nodes are needed, 1 are named"),
        (("up",), {"NODES_FILE": "", "NODES": "localhost=10.0.0.1 -oProxyCommand=id=10.0.0.2"}, "not a node"),
        (("up",), {"VARIANT": "none"}, "no variant 'none'; there are: mp, ray"),
        (("up",), {"VARIANT": "wild"}, 'is not to be run: It killed both machines, "at once".'),
    ],
    ids=str,
)
def test_wrong_use_reaches_no_node(
    args: tuple[str, ...], env: dict[str, str], says: str, kit: Path, sparks: Host
) -> None:
    done = cluster(sparks, kit, *args, **env)
    assert done.returncode == 2
    assert says in done.stderr
    assert sparks.calls("ssh") == sparks.calls("docker") == 0


# -- what the kits hold ----


def test_a_refused_variant_has_no_script_and_the_page_says_why(spec: Spec) -> None:
    files = kit_of(spec)
    assert "scripts/launch_server_wild.sh" not in files
    assert "Not to be run:" in files["README.md"].data.decode()


def test_three_commands_stay_three_commands(spec: Spec) -> None:
    page = kit_of(spec)["README.md"].data.decode()
    block = page.split("```bash")[1].split("```")[0]
    assert [line for line in block.splitlines() if line.startswith("bash")] == [
        "bash scripts/download_models.sh && docker build --tag vllm-cluster . && bash scripts/cluster.sh copy",
        "bash scripts/cluster.sh check && bash scripts/cluster.sh up",
        "bash scripts/cluster.sh wait && bash scripts/bench.sh",
    ]


def test_compose_wants_to_know_which_node_it_is(spec: Spec) -> None:
    service = yaml.safe_load(kit_of(spec)["compose.yaml"].data)["services"]["server"]
    assert service["network_mode"] == service["ipc"] == "host"
    assert service["devices"] == ["/dev/infiniband"] and service["ulimits"] == {"memlock": -1}
    for knob in ("NODE_RANK", "MASTER_ADDR", "HOST_IP"):
        assert service["environment"][knob].startswith(f"${{{knob}:?")


@pytest.mark.parametrize("name", ["qwen35-397b-fp8-mtp-x4", "minimax-m27-nvfp4-x2"])
def test_shipped_cluster_kits_pass_the_checkers(name: str, tmp_path: Path) -> None:
    folder = on_disk(shipped(name), tmp_path)
    scripts = sorted(map(str, folder.glob("scripts/*.sh")))
    shellcheck = Path(sys.executable).parent / "shellcheck"
    for argv in (["bash", "-n", *scripts[:1]], [str(shellcheck), *scripts]):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


PUBLISHED = [
    "serve",
    "/models/Qwen3.5-397B-A17B-FP8",
    "--served-model-name",
    "Qwen3.5-397B-A17B-FP8",
    "--host",
    "0.0.0.0",
    "--port",
    "8000",
    "--max-model-len",
    "262144",
    "--gpu-memory-utilization",
    "0.9",
    "--load-format",
    "safetensors",
    "--enable-prefix-caching",
    "--enable-auto-tool-choice",
    "--tool-call-parser",
    "qwen3_coder",
    "--reasoning-parser",
    "qwen3",
    "--max-num-batched-tokens",
    "8192",
    "--max-num-seqs",
    "16",
    "--trust-remote-code",
    "--tensor-parallel-size",
    "4",
    "--distributed-executor-backend",
    "ray",
    "--mm-encoder-tp-mode",
    "data",
    "--kv-cache-dtype",
    "fp8",
    "--compilation-config",
    '{"cudagraph_mode":"none"}',
    "--attention-backend",
    "flashinfer",
    "--speculative-config",
    '{"method":"qwen3_next_mtp","num_speculative_tokens":2}',
]
"""The published command of the 397B on four boxes, in vLLM's long names."""


def test_the_head_of_the_four_node_recipe_runs_the_published_command() -> None:
    spec = shipped("qwen35-397b-fp8-mtp-x4")
    command = engine("vllm").command(spec, "mtp2")
    assert command.words(HOST="0.0.0.0")[1:] == PUBLISHED


def test_every_flag_and_variable_of_the_source_is_there() -> None:
    file = KNOWLEDGE / "models.yaml"
    if not file.is_file():
        pytest.skip(f"{file} is not here: the collection that the recipe was taken from")
    (source,) = (
        model for model in yaml.safe_load(file.read_text())["models"] if model["id"] == "qwen35-397b-a17b-fp8-mtp2-tp4"
    )
    spec = shipped("qwen35-397b-fp8-mtp-x4")
    text = kit_of(spec)["scripts/launch_server.sh"].data.decode()
    names = {"-tp": "--tensor-parallel-size", "--compilation-config.cudagraph_mode": "--compilation-config"}
    assert [name for name in source["flags"] if names.get(name, name) not in text] == []
    assert spec.variants["mtp2"].env == source["env"]
    assert spec.run.ipc == source["docker"]["ipc"] and spec.run.shm_size == source["docker"]["shm_size"]
    assert spec.hardware.nodes == source["topology"]["nodes"]
