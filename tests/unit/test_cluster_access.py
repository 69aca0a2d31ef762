"""Reaching nodes: ssh that never asks, why it failed in words, work on all at once. ssh is a program of the test's."""

from __future__ import annotations

import base64
import subprocess
import tarfile
import threading
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from recipegen.cluster.access import attempt, on_all, on_node, run_script
from recipegen.cluster.image import distribute, image_ids, load_file, transfer
from recipegen.cluster.models import copy_argv
from recipegen.cluster.names import anonymous, without_addresses
from recipegen.cluster.nodes import Fault, Node, NodesLack, nodes_of
from recipegen.cluster.tokenizer import tokenizer_here
from recipegen.errors import EnvironmentLacks
from recipegen.load.cluster_file import ClusterFile
from tests.support.kits import small

A = Node(0, "spark-a", "me@spark-a", "10.0.0.1", user="me")
B = Node(1, "spark-b", "me@spark-b", "10.0.0.2", user="me", docker="unix:///b/docker.sock")
HERE = Node(0, "here", None, "10.0.0.9")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs before all others on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("stderr", "cause", "remedy"),
    [
        ("me@spark-b: Permission denied (publickey,password).", "asks for a password", "ssh-copy-id me@spark-b"),
        ("Permission denied (publickey).", "takes no key of yours", "ssh-copy-id me@spark-b"),
        ("Host key verification failed.", "does not know the key", "ssh me@spark-b"),
        ("ssh: Could not resolve hostname spark-b: Name or service not known", "no host of the name", "cluster file"),
        ("ssh: connect to host spark-b port 22: Connection timed out", "cannot be reached", "is it on"),
        ("ssh: connect to host spark-b port 22: No route to host", "cannot be reached", "is it on"),
        ("kex_exchange_identification: nonsense", "failed: kex_exchange", "by hand: ssh me@spark-b"),
    ],
)
def test_why_ssh_failed(programs: Path, stderr: str, cause: str, remedy: str) -> None:
    program(programs, "ssh", f"echo '{stderr}' >&2; exit 255")
    with pytest.raises(NodesLack) as caught:
        run_script(B, "true\n")
    (fault,) = caught.value.faults
    assert (fault.node, fault.check) == ("spark-b", "reach")
    assert cause in fault.cause and remedy in fault.remedy


def test_ssh_asks_nothing_and_gets_the_script_as_its_input(programs: Path, tmp_path: Path) -> None:
    program(programs, "ssh", f'printf "%s\\n" "$@" >{tmp_path}/argv; eval "${{@: -1}}"')
    assert run_script(B, "echo it's $((6 * 7))\n".replace("'", "\\'")) == "it's 42\n"
    argv = (tmp_path / "argv").read_text().split("\n")
    assert "BatchMode=yes" in argv and "ConnectTimeout=10" in argv
    assert argv[argv.index("--") + 1] == "me@spark-b"


def test_a_node_that_says_nothing_is_given_up(programs: Path) -> None:
    program(programs, "ssh", "sleep 30")
    with pytest.raises(NodesLack, match=r"spark-b: no answer within 0\.3 s"):
        run_script(B, "true\n", timeout_s=0.3)


def test_a_command_that_fails_on_a_node_is_told_with_its_words() -> None:
    with pytest.raises(NodesLack, match="here: a command on it failed: no such thing"):
        run_script(HERE, "echo no such thing >&2; exit 3\n")


def test_all_nodes_work_at_the_same_time_and_all_are_heard() -> None:
    barrier = threading.Barrier(3, timeout=20)

    def work(node: Node) -> int:
        barrier.wait()
        if node.rank:
            raise NodesLack([Fault(node.name, "reach", "gone", "")])
        return node.rank

    nodes = [A, B, Node(2, "spark-c", None, "10.0.0.3")]
    with pytest.raises(NodesLack) as caught:
        on_all(nodes, work)
    assert [fault.node for fault in caught.value.faults] == ["spark-b", "spark-c"]
    assert on_all([], work) == []


def test_an_attempt_keeps_other_errors_of_the_environment_too() -> None:
    def work(node: Node) -> None:
        raise EnvironmentLacks("no daemon", hint="start it")

    assert attempt(work, B) == (None, (Fault("spark-b", "reach", "no daemon", "start it"),))


# The image


def test_from_the_head_to_a_worker_over_the_fabric() -> None:
    argv = transfer(A, B, "pair")
    assert argv[0] == "ssh" and "me@spark-a" in argv
    assert "docker save pair" in argv[-1] and "ssh://me@10.0.0.2" in argv[-1] and "docker load" in argv[-1]
    assert "spark-b" not in argv[-1], "the way of the cables is the fabric's, not the name's"
    assert "DOCKER_HOST=unix:///b/docker.sock" in argv[-1]


def test_from_this_machine_a_pipe() -> None:
    argv = transfer(None, B, "pair")
    assert argv[:2] == ["bash", "-c"] and argv[2].startswith("set -o pipefail; docker save pair | ssh ")
    packed = transfer(None, B, "pair", pack=True)[2]
    assert "zstd -1" in packed and "zstd -d" in packed


class Daemons:
    """`docker` and `ssh` that know which node has which image; what they were asked for is noted."""

    def __init__(self, programs: Path, folder: Path, **ids: str) -> None:
        self.folder = folder
        folder.mkdir()
        for node, image in ids.items():
            (folder / node).write_text(image)
        # Which node a command runs on: the last target that ssh was told.
        program(
            programs,
            "ssh",
            'while [ "$1" != -- ]; do shift; done; target=${2#ssh://}; shift 2\n'
            'case "$target" in *spark-a|*10.0.0.1) NODE=a;; *) NODE=b;; esac\n'
            f'echo "ssh $NODE" >>{folder}/log; export NODE; exec sh -c "$*"',
        )
        program(
            programs,
            "docker",
            f'cd {folder}; NODE=${{NODE:-here}}; case "$1" in\n'
            "image) cat $NODE 2>/dev/null;;\n"
            'save) echo "save $NODE" >>log; cat $NODE;;\n'
            'load) echo "load $NODE" >>log; [ ! -e full-$NODE ] || { echo no space left >&2; exit 1; }; cat >$NODE;;\n'
            "esac",
        )

    def log(self) -> list[str]:
        return [line for line in (self.folder / "log").read_text().split("\n") if line[:5] in ("save ", "load ")]


def test_nothing_is_sent_to_a_node_that_has_it(programs: Path, tmp_path: Path) -> None:
    daemons = Daemons(programs, tmp_path / "d", a="sha256:1", b="sha256:1")
    assert image_ids([A, B], "pair") == ["sha256:1", "sha256:1"]
    assert distribute([A, B], "pair", "sha256:1", print, source=A) == []
    assert daemons.log() == []


def test_the_head_hands_on_what_this_machine_sent_once(programs: Path, tmp_path: Path) -> None:
    daemons = Daemons(programs, tmp_path / "d", here="sha256:1", b="sha256:old")
    sent = distribute([A, B], "pair", "sha256:1", print, source=None)
    assert [(one.node.name, one.by) for one in sent] == [("spark-a", "here"), ("spark-b", "spark-a")]
    assert sorted(daemons.log()) == ["load a", "load b", "save a", "save here"]


def test_a_node_that_has_no_space_is_named(programs: Path, tmp_path: Path) -> None:
    daemons = Daemons(programs, tmp_path / "d", a="sha256:1")
    (daemons.folder / "full-b").touch()
    with pytest.raises(NodesLack, match=r"spark-b: did not get the image pair: .*no space left"):
        distribute([A, B], "pair", "sha256:1", print, source=A)


def test_an_image_that_arrives_as_another_one_is_told(programs: Path, tmp_path: Path) -> None:
    Daemons(programs, tmp_path / "d", a="sha256:1")
    program(programs, "docker", 'case "$1" in image) echo "sha256:$NODE";; load) cat >/dev/null;; save) echo x;; esac')
    with pytest.raises(NodesLack, match="arrived as sha256:b instead of sha256:a"):
        distribute([A, B], "pair", "sha256:a", print, source=A)


def test_an_image_out_of_a_file_comes_to_all(programs: Path, tmp_path: Path) -> None:
    daemons = Daemons(programs, tmp_path / "d")
    saved = tmp_path / "it's an image.tar"
    saved.write_text("sha256:7")
    assert load_file([A, B], saved, "pair", print) == "sha256:7"
    assert sorted(daemons.log()) == ["load a", "load b"]
    with pytest.raises(EnvironmentLacks, match="no file"):
        load_file([A, B], tmp_path / "nothing", "pair", print)


def test_models_go_from_the_head_over_the_fabric() -> None:
    argv = copy_argv(A, B, "/models/it's", "/data/m")
    assert argv[0] == "ssh" and "rsync" in argv[-1]
    assert "10.0.0.2:/data/m/" in argv[-1] and "-l me" in argv[-1] and "BatchMode=yes" in argv[-1]
    here = copy_argv(HERE, B, "/models/m", "/data/m")
    assert here[:2] == ["sh", "-c"]


def test_a_command_on_a_node_is_quoted_once_for_each_shell() -> None:
    words = on_node(HERE, "printf '%s' \"it's\"")
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "it's"
    remote = on_node(B, "printf '%s' \"it's\"")
    # What sshd does: the account's shell reads the last word.
    assert subprocess.run(["bash", "-c", remote[-1]], capture_output=True, text=True, check=True).stdout == "it's"


# Names


def test_the_users_machines_stand_in_no_text_that_is_kept() -> None:
    short = Node(1, "b", "ops@b.lab.example.org", "192.168.1.12", user="ops", models_dir="/srv/weights")
    text = "ssh ops@b.lab.example.org: 192.168.1.12:29501 b /srv/weights/m 192.168.1.123 ab a.b rank b-side"
    clean = anonymous([A, short], (), text)
    assert clean == "ssh node1: node1:29501 node1 ${MODELS_DIR}/m 192.168.1.123 ab a.b rank b-side"


# From the cluster file


def test_nodes_come_from_the_file_the_recipe_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_DIR", "/own/models")
    monkeypatch.delenv("HF_HOME", raising=False)
    file = ClusterFile.model_validate(
        {
            "user": "me",
            "nodes": [
                {"name": "a", "ssh": "localhost", "address": "10.0.0.1"},
                {"name": "b", "ssh": "b.lab", "address": "10.0.0.2", "interface": "eth7", "network": "container:x"},
            ],
        }
    )
    spec = small("vllm-cluster")
    first, second = nodes_of(spec, file.resolved())
    assert spec.cluster is not None
    assert (first.ssh, first.models_dir, first.interface) == (None, "/own/models", spec.cluster.interface)
    assert (second.ssh, second.user, second.interface) == ("me@b.lab", "me", "eth7")
    assert (second.models_dir, second.network) == ("/data/models", "container:x")
    assert (second.hf_home, second.hca) == ("~/.cache/huggingface", spec.cluster.hca)


# The tokenizer of models that are elsewhere


def test_the_tokenizer_comes_from_the_head_without_any_weight(tmp_path: Path) -> None:
    spec = small("vllm-cluster")
    folder = tmp_path / "models" / str(spec.models["model"].folder)
    (folder / "deeper").mkdir(parents=True)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "deeper" / "config.json").write_text("{}")
    (tmp_path / "blob").write_text("chat")
    (folder / "chat_template.jinja").symlink_to(tmp_path / "blob")  # as in a hub's cache
    (folder / "model.safetensors").write_bytes(bytes(1000))
    head = replace(HERE, models_dir=str(tmp_path / "models"))
    root = tokenizer_here(spec, head, tmp_path / "cache")
    here = root / folder.name
    assert {file.name: file.read_text() for file in here.iterdir()} == {
        "tokenizer.json": "{}", "chat_template.jinja": "chat",
    }  # fmt: skip
    assert tokenizer_here(spec, head, tmp_path / "cache") == root
    (folder / "tokenizer.json").write_text('{"other": 1}')
    assert tokenizer_here(spec, head, tmp_path / "cache") != root


def test_a_head_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(NodesLack, match=f"here: there is no tokenizer in {tmp_path}"):
        tokenizer_here(small("vllm-cluster"), replace(HERE, models_dir=str(tmp_path)), tmp_path / "cache")


def test_an_archive_that_reaches_out_writes_nothing_outside(programs: Path, tmp_path: Path) -> None:
    evil = BytesIO()
    with tarfile.open(fileobj=evil, mode="w:gz") as archive:
        for name in ("../../out", "/out", "tokenizer.json"):
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, BytesIO(b"{}"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    program(programs, "ssh", f"echo {base64.b64encode(evil.getvalue()).decode()}")
    root = tokenizer_here(small("vllm-cluster"), replace(A, models_dir="/models"), tmp_path / "cache")
    (folder,) = root.iterdir()
    assert [file.name for file in folder.iterdir()] == ["tokenizer.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "cache"]


def test_addresses_that_no_file_names_stay_out_of_recorded_errors() -> None:
    said = (
        "connect to host 10.0.0.7 port 22; Connection reset by fd00::7 port 22 at 14:20:43; 127.0.0.1:8000; vLLM 0.32.0"
    )
    assert without_addresses(said) == (
        "connect to host … port 22; Connection reset by … port 22 at 14:20:43; 127.0.0.1:8000; vLLM 0.32.0"
    )
