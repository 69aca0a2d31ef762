"""A model from one node onto those that lack it or have another state of it. Owns the copy; what a node has, and
whether it is the same, is `probe`'s and `preflight`'s.

rsync over ssh over the fabric: what is there already is not sent again, and a copy that broke off goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recipegen import proc
from recipegen.cluster.access import SSH_OPTIONS, on_all, on_node, run_script
from recipegen.cluster.nodes import Fault, Node, NodesLack
from recipegen.cluster.probe import NodeFacts
from recipegen.quoting import shell_command

SILENCE_S = 900.0
"""Comparing a file of 50 GB that broke off takes minutes, without a word."""


def copy_models(facts: Sequence[NodeFacts], keys: Sequence[str], say: Callable[[str], None]) -> list[Node]:
    """Brings models of the head to every node whose files are others.

    Returns:
        The nodes that something was copied to.

    Raises:
        NodesLack: the head lacks a model, a node lacks rsync, or a copy failed.
    """
    head = facts[0]
    lacking: dict[str, list[str]] = {}
    faults: list[Fault] = []
    for key in keys:
        if not head.models[key].files:
            faults.append(
                Fault(
                    head.node.name, "model", f"the model {key} is not at {head.models[key].place}", "download it there"
                )
            )
        for one in facts[1:]:
            theirs, ours = one.models[key], head.models[key]
            if (theirs.files, theirs.hashes) != (ours.files, ours.hashes):
                lacking.setdefault(one.node.name, []).append(key)
    targets = [one for one in facts[1:] if one.node.name in lacking]
    for one in (*([head] if targets else []), *targets):
        if "rsync" not in one.tools:
            faults.append(
                Fault(
                    one.node.name, "model", "models are copied by rsync, which is not there", "sudo apt install rsync"
                )
            )
    if faults:
        raise NodesLack(faults)
    by_node = {one.node: one for one in targets}

    def copy(node: Node) -> Node:
        for key in lacking[node.name]:
            say(f"{node.name}: gets what it lacks of the model {key} from {head.node.name}")
            _copy(head.node, node, head.models[key].place, by_node[node].models[key].place, key)
        return node

    return on_all(list(by_node), copy)


def copy_argv(source: Node, target: Node, folder: str, place: str) -> list[str]:
    """The command line that makes a folder of one node that of another."""
    if target.ssh is None:
        # Only a head is copied from, and no other node is this machine then.
        raise ValueError("nothing is copied to this machine")
    # Without --whole-file, of a shard that broke off only the rest is sent. --delete: a file too many is a difference.
    argv = ["rsync", "--archive", "--partial", "--delete", "--exclude=/.cache/huggingface/*.lock", "--rsh"]
    # rsync reads HOST:PATH, and an address of IPv6 in brackets; the account goes to ssh.
    account = ["-l", target.user] if target.user else []
    host = f"[{target.address}]" if ":" in target.address else target.address
    argv += [shell_command(["ssh", *SSH_OPTIONS, *account]), "--", f"{folder}/", f"{host}:{place}/"]
    return on_node(source, shell_command(argv))


def _copy(source: Node, target: Node, folder: str, place: str, key: str) -> None:
    run_script(target, f"{shell_command(['mkdir', '-p', '--', place])}\n")
    lines: list[str] = []
    try:
        code = proc.stream(
            copy_argv(source, target, folder, place),
            on_line=lambda line: lines.append(line[:500]),
            silence_timeout_s=SILENCE_S,
        )
    except proc.ProcessFailed as failed:
        code, lines = -1, [failed.message]
    if code != 0:
        said = proc.redact(" ".join(lines[-3:]))
        raise NodesLack(
            [
                Fault(
                    target.name,
                    "model",
                    f"did not get the model {key}: {said}",
                    f"{source.name} must reach it: there, ssh {target.over_fabric}; the same command again goes on",
                )
            ]
        )
