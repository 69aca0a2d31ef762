"""One image onto every node, sent once. Owns who sends it to whom, and the check that it arrived.

`docker save` runs where the image is, `docker load` where it is not, and ssh between them goes to the fabric address: a
pipe without a file in between. Before it every node is asked what it has, so that nothing is sent twice; after it each
one is asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recipegen import proc
from recipegen.cluster.access import SSH_OPTIONS, on_all, on_node, run_script, ssh
from recipegen.cluster.nodes import Fault, Node, NodesLack
from recipegen.errors import EnvironmentLacks
from recipegen.quoting import shell_command, shell_word

SLOW_MBIT = 2_500
"""Below this rate of the link zstd at its fastest level (about 500 MB/s a core) sends an image sooner than none; above
it, it is the brake."""
SILENCE_S = 1800.0
"""docker load says nothing until a layer is in; one of 20 GB on a slow disk takes minutes."""
_ID = "docker image inspect --format '{{.Id}}' -- "


@dataclass(frozen=True)
class Sent:
    """An image that came to a node: how long it took, s, and who sent it (a node's name, `here`, or a file's name)."""

    node: Node
    seconds: float
    by: str


def image_ids(nodes: Sequence[Node], image: str) -> list[str | None]:
    """The image's id on each node, in their order; None where it is not there."""
    return on_all(nodes, partial(_id_on, image))


def _id_on(image: str, node: Node) -> str | None:
    return run_script(node, f"{_docker_host(node)}{_ID}{shell_word(image)} 2>/dev/null || true\n").strip() or None


def _docker_host(node: Node) -> str:
    return f"export DOCKER_HOST={shell_word(node.docker_host)}; " if node.docker_host else ""


def distribute(
    nodes: Sequence[Node],
    image: str,
    image_id: str,
    say: Callable[[str], None],
    *,
    source: Node | None,
    speed_mbit: int | None = None,
    zstd: bool = False,
) -> list[Sent]:
    """Brings an image to every node that lacks it.

    The source sends to all others at the same time. Where this machine holds it and is not one of the nodes, the head
    gets it first and hands it on over the fabric.

    Args:
        image: its tag.
        image_id: the id that all must have in the end.
        source: the node that has it; None: this machine, which is no node.
        speed_mbit: rate of the fabric, where it is known.
        zstd: whether both ends have zstd.

    Returns:
        What was sent; empty when every node had it.

    Raises:
        NodesLack: a node could not be reached, or did not get the image.
    """
    ids = dict(zip(nodes, image_ids(nodes, image), strict=True))
    lacking = [node for node, found in ids.items() if found != image_id]
    sent: list[Sent] = []
    pack = zstd and speed_mbit is not None and speed_mbit < SLOW_MBIT
    if source is None and lacking:
        holder = next((node for node, found in ids.items() if found == image_id), None)
        if holder is None:
            holder = lacking.pop(0)
            sent.append(_send(None, image, image_id, say, pack, holder))
        source = holder
    if source is not None and lacking:
        sent += on_all(lacking, partial(_send, source, image, image_id, say, pack))
    return sent


def _send(source: Node | None, image: str, image_id: str, say: Callable[[str], None], pack: bool, target: Node) -> Sent:
    by = source.name if source else "here"
    say(f"{target.name}: gets the image {image} from {by}")
    began = time.monotonic()
    direct = transfer(source, target, image, pack=pack)
    error = _run(direct)
    if error and source is not None and source.ssh is not None:
        # The source may hold no key for the other node; this machine reaches both.
        say(f"{target.name}: not from {by} itself ({error}); through this machine")
        error = _run(transfer(source, target, image, pack=pack, through_here=True))
    _require(target, image, image_id, error)
    return Sent(target, time.monotonic() - began, by)


def transfer(
    source: Node | None, target: Node, image: str, *, pack: bool = False, through_here: bool = False
) -> list[str]:
    """The command line that carries an image from one node to another.

    Args:
        source: None: this machine.
        pack: through zstd.
        through_here: from the source to this machine and on, where the source cannot reach the target itself.
    """
    save = f"{_docker_host(source) if source else ''}docker save {shell_word(image)}"
    load = f"{_docker_host(target)}docker load"
    if pack:
        save, load = f"{save} | zstd -1 -T0 -c", f"zstd -d -c | {load}"
    if source is None or source.ssh is None or through_here:
        first = save if source is None or source.ssh is None else shell_command(on_node(source, save))
        # From this machine the fabric is taken where it is one of the nodes, else the way that ssh always takes.
        last = on_node(target, load) if source is None or through_here else _over_fabric(target, load)
        return ["bash", "-c", f"set -o pipefail; {first} | {shell_command(last)}"]
    inner = f"set -o pipefail; {save} | {shell_command(_over_fabric(target, load))}"
    return ssh(source.ssh, shell_command(["bash", "-c", inner]))


def _over_fabric(target: Node, command: str) -> list[str]:
    if target.ssh is None:
        return ["sh", "-c", command]
    return ["ssh", *SSH_OPTIONS, "--", target.over_fabric, shell_command(["sh", "-c", command])]


def _run(argv: list[str]) -> str | None:
    """Why a transfer failed, in a line; None when it did not."""
    try:
        lines: list[str] = []
        code = proc.stream(argv, on_line=lambda line: lines.append(line[:500]), silence_timeout_s=SILENCE_S)
    except proc.ProcessFailed as failed:
        return failed.message.partition("\n")[0]
    return None if code == 0 else proc.redact(" ".join(lines[-3:])) or proc.describe_code(code)


def _require(node: Node, image: str, image_id: str, error: str | None) -> None:
    found = _id_on(image, node)
    if found == image_id:
        return
    if error is None and found is not None:
        error = (
            f"it arrived as {found[:19]} instead of {image_id[:19]}: do both daemons keep images in the same way "
            "(docker info, storage driver)?"
        )
    raise NodesLack(
        [Fault(node.name, "image", f"did not get the image {image}: {error}", "space? there: docker system df")]
    )


def load_file(nodes: Sequence[Node], file: Path, image: str, say: Callable[[str], None]) -> str:
    """Loads a saved image (`docker save -o FILE`) onto every node, for machines without a network to the world.

    Returns:
        The id of the image on all of them.

    Raises:
        EnvironmentLacks: the file is not there.
        NodesLack: a node did not take it, or holds another image of that name afterwards.
    """
    if not file.is_file():
        raise EnvironmentLacks(f"no file {file}", hint=f"docker save -o {file} {image}, on a machine that has it")

    def load(node: Node) -> str:
        say(f"{node.name}: gets the image out of {file.name}")
        command = shell_command(on_node(node, f"{_docker_host(node)}docker load"))
        error = _run(["bash", "-c", f"{command} < {shell_word(str(file))}"])
        found = _id_on(image, node)
        if error or found is None:
            cause = error or f"{file.name} holds no image {image}"
            raise NodesLack(
                [Fault(node.name, "image", f"did not take the image: {cause}", "docker load -i FILE shows it")]
            )
        return found

    ids = on_all(nodes, load)
    if len(set(ids)) > 1:
        raise NodesLack(
            [
                Fault(node.name, "image", f"holds {one[:19]} afterwards", "")
                for node, one in zip(nodes, ids, strict=True)
            ]
        )
    return ids[0]
