"""Reaching a node: a script on it, through ssh or on this machine, and why ssh failed, in words. Owns no script.

ssh never asks anything here: where it would want a password or an answer it fails, and the error says what to do once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from recipegen import proc
from recipegen.cluster.nodes import Fault, Node, NodesLack
from recipegen.errors import EnvironmentLacks
from recipegen.quoting import shell_command

_T = TypeVar("_T")

CONNECT_S = 10
"""A machine in the same room answers at once; one that is asleep or gone, never."""
SSH_OPTIONS = (
    "-o", "BatchMode=yes",
    "-o", f"ConnectTimeout={CONNECT_S}",
    # A machine that lost its power says nothing: after three questions without an answer ssh ends.
    "-o", "ServerAliveInterval=3",
    "-o", "ServerAliveCountMax=3",
)  # fmt: skip
"""Everything else (keys, ports, jump hosts, checking of host keys) is as the user's own ssh configuration has it."""
SSH_FAILED = 255
"""ssh's exit code when ssh itself failed (ssh(1)); every other one is the command's."""

_NO_ANSWER = re.compile(
    r"timed out|timeout|No route to host|Connection refused|unreachable|not responding|reset by", re.I
)


def ssh(target: str, command: str, *options: str) -> list[str]:
    """The command line that runs a command on a machine.

    Args:
        target: as ssh takes it: `user@host`, an alias, ssh://user@host:port.
        command: for the shell of the account there.
        options: further ones, before the target.
    """
    return ["ssh", *SSH_OPTIONS, *options, "--", target, command]


def on_node(node: Node, command: str) -> list[str]:
    """The command line that runs a command in a POSIX shell of a node."""
    return ["sh", "-c", command] if node.ssh is None else ssh(node.ssh, shell_command(["sh", "-c", command]))


def run_script(node: Node, script: str, *, timeout_s: float = 60.0) -> str:
    """Runs a POSIX shell script on a node and gives back what it printed.

    The script goes in through standard input: whatever the login shell is there, it has nothing to interpret.

    Raises:
        NodesLack: the node cannot be reached, or the script failed or took too long.
    """
    argv = ["sh", "-s"] if node.ssh is None else ssh(node.ssh, "exec sh -s")
    try:
        done = proc.run(argv, input=script, timeout_s=timeout_s, check=False)
    except proc.ProcessFailed as failed:
        said = failed.stderr.strip().rpartition("\n")[2]
        raise NodesLack(
            [Fault(node.name, "reach", f"no answer within {timeout_s:g} s{f': {said}' if said else ''}", _look(node))]
        ) from failed
    if done.code == SSH_FAILED and node.ssh is not None:
        raise NodesLack([ssh_fault(node, done.stderr)])
    if done.code != 0:
        words = proc.redact(done.stderr.strip().rpartition("\n")[2]) or f"exit code {done.code}"
        raise NodesLack([Fault(node.name, "reach", f"a command on it failed: {words}", "")])
    return done.stdout


def _look(node: Node) -> str:
    return f"try it by hand: ssh {node.ssh}" if node.ssh else "look at this machine"


def ssh_fault(node: Node, stderr: str) -> Fault:
    """Why ssh did not get to a node, from what it said."""
    target = node.ssh or node.over_fabric
    said = proc.redact(" ".join(stderr.split()))[-300:]
    if "Permission denied" in stderr or "Too many authentication failures" in stderr:
        wants = (
            "asks for a password"
            if "password" in stderr or "keyboard-interactive" in stderr
            else "takes no key of yours"
        )
        return Fault(
            node.name,
            "reach",
            f"ssh {target} {wants}, and nobody is there to answer",
            f"once, by hand: ssh-copy-id {target}",
        )
    if "Host key verification failed" in stderr or "HOST IDENTIFICATION HAS CHANGED" in stderr:
        return Fault(
            node.name,
            "reach",
            f"ssh does not know the key of {target}, or it is another one than before",
            f"once, by hand: ssh {target}, and look at the key that it shows",
        )
    if "Could not resolve" in stderr or "Name or service not known" in stderr:
        return Fault(node.name, "reach", f"there is no host of the name in {target}", "correct it in the cluster file")
    if _NO_ANSWER.search(stderr):
        return Fault(
            node.name, "reach", f"cannot be reached: {said}", f"is it on, and is sshd running? by hand: ssh {target}"
        )
    return Fault(node.name, "reach", f"ssh {target} failed: {said or 'without a word'}", f"by hand: ssh {target}")


def on_all(nodes: Sequence[Node], work: Callable[[Node], _T]) -> list[_T]:
    """Does the same on every node at the same time; all of them are heard before anything is raised.

    Raises:
        NodesLack: with the faults of all nodes together.
    """
    if not nodes:
        return []
    with ThreadPoolExecutor(len(nodes), thread_name_prefix="recipegen-node") as pool:
        results, faults = [], list[Fault]()
        for future in [pool.submit(work, node) for node in nodes]:
            try:
                results.append(future.result())
            except NodesLack as lack:
                faults += lack.faults
    if faults:
        raise NodesLack(faults)
    return results


def attempt(work: Callable[[Node], _T], node: Node) -> tuple[_T | None, tuple[Fault, ...]]:
    """What work on a node gives, or what is wrong there."""
    try:
        return work(node), ()
    except NodesLack as lack:
        return None, lack.faults
    except EnvironmentLacks as lack:
        return None, (Fault(node.name, "reach", lack.message, lack.hint),)
