"""What the driver of several machines takes over doing the same by hand: an image sent, nodes looked at, ranks started.
The machines are containers with sshd and a Docker daemon each (tests/support/machines.py). Owns no printing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sampling import Row, Sample, Skipped, clocked, interleaved

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.machines import PAIR_RECIPE, Machines, engine_image, engine_program  # noqa: E402

from recipegen.cluster.image import distribute  # noqa: E402
from recipegen.cluster.nodes import Node, nodes_of  # noqa: E402
from recipegen.cluster.plan import rank_plans  # noqa: E402
from recipegen.cluster.preflight import Needs, preflight  # noqa: E402
from recipegen.cluster.probe import NodeFacts, probe  # noqa: E402
from recipegen.cluster.server import ClusterServer  # noqa: E402
from recipegen.docker import connect, image_exists  # noqa: E402
from recipegen.errors import EnvironmentLacks  # noqa: E402
from recipegen.load.cluster_file import load_cluster_file  # noqa: E402
from recipegen.runners.base import wait_ready  # noqa: E402
from recipegen.runners.plan import HostOptions  # noqa: E402
from recipegen.spec.completed import Spec  # noqa: E402
from recipegen.workspace import Workspace  # noqa: E402

IMAGE_MB = 200
PAIRS = 3
LOOKS = 5
START_TARGET_S = 5.0
LOOK_TARGET = 2.0
"""Four nodes at the same time against one; one after another they would take four times as long."""


def rows() -> list[Row]:
    """An image from one machine to the next, four nodes looked at, two ranks started; each against doing it by hand."""
    try:
        client = connect()
    except EnvironmentLacks as lack:
        raise Skipped(lack.message) from lack
    if not image_exists(client, "recipegen-test-base:bookworm"):
        raise Skipped("the tests' base image is not there: tests/support/base_image.sh makes it")
    if not all(map(shutil.which, ("ssh", "gcc"))):
        raise Skipped("ssh and gcc are needed")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with Machines(client, work / "machines", 4, daemons=True) as machines:
            os.environ["PATH"] = machines.env["PATH"]
            spec = _spec(work)
            file = load_cluster_file(machines.write_cluster_file(models_dir="/models"))
            nodes = nodes_of(None, file.resolved())
            for machine in machines.machines:
                machine.run("mkdir", "-p", "/models/model")
            engine_image(client, engine_program(work), spec.name, "none", filler=IMAGE_MB << 20)
            try:
                _hand_over(nodes[0], spec.name)
                return [_sending(machines, nodes, spec.name), _looking(nodes), _starting(machines, nodes, spec)]
            finally:
                client.images.remove(spec.name, force=True)


def _spec(work: Path) -> Spec:
    folder = work / "recipes" / "pair"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(PAIR_RECIPE)
    return Workspace.open(work).spec("pair")


def _hand_over(node: Node, image: str) -> None:
    subprocess.run(f"docker save {image} | ssh {node.ssh} docker load", shell=True, check=True, capture_output=True)


def _sending(machines: Machines, nodes: tuple[Node, ...], image: str) -> Row:
    image_id = machines.machines[0].run("docker", "image", "inspect", "--format", "{{.Id}}", image).strip()

    def fresh(action: Callable[[], object]) -> Callable[[], Sample]:
        def taken() -> Sample:
            machines.machines[1].container.exec_run(["docker", "rmi", "--force", image])
            return clocked(action)

        return taken

    by_hand = f"ssh {nodes[0].ssh} 'docker save {image} | ssh {nodes[1].ssh} docker load'"
    ours, theirs = interleaved(
        PAIRS,
        fresh(lambda: distribute(nodes[:2], image, image_id, lambda _: None, source=nodes[0])),
        fresh(lambda: subprocess.run(by_hand, shell=True, check=True, capture_output=True)),
    )
    what, against = f"image of {IMAGE_MB} MB to a node", "docker save | ssh docker load"
    return Row(what, ours, "s", against, theirs, 1.25, remark="ids compared before and after included")


def _looking(nodes: tuple[Node, ...]) -> Row:
    needs = Needs("pair", "pair")
    ours, theirs = interleaved(
        LOOKS,
        lambda: clocked(lambda: preflight(nodes, needs, lambda _: {})),
        lambda: clocked(lambda: probe(nodes[0], "pair", {})),
    )
    return Row(
        "preflight of four nodes", ours, "s", "of one of them", theirs, LOOK_TARGET, remark="on this machine's cores"
    )


def _starting(machines: Machines, nodes: tuple[Node, ...], spec: Spec) -> Row:
    pair = nodes_of(spec, load_cluster_file(machines.folder / "cluster.yaml").resolved()[:2])
    facts = tuple(replace(probe(node, spec.name, {}), models={}) for node in pair)
    ours, theirs = interleaved(
        PAIRS,
        lambda: _by_driver(spec, facts),
        lambda: _by_hand(spec, facts),
    )
    more = [Sample(our.wall - their.wall) for our, their in zip(ours, theirs, strict=True)]
    return Row(
        "start of two ranks, what is more than by hand", more, "s", target=START_TARGET_S, judged="value",
        remark="from the first command to the first answer; preflight and image left out",
    )  # fmt: skip


def _by_driver(spec: Spec, facts: tuple[NodeFacts, ...]) -> Sample:
    plans = rank_plans(spec, "ar", facts, HostOptions())
    server = ClusterServer(plans, [one.docker_address for one in facts], lambda _: None)
    began = time.perf_counter()
    with server:
        wait_ready(server, plans[0].server, lambda *_: None)
        return Sample(time.perf_counter() - began)


def _by_hand(spec: Spec, facts: tuple[NodeFacts, ...]) -> Sample:
    """Two ssh lines and a tunnel, as a person types them."""
    plans = rank_plans(spec, "ar", facts, HostOptions())
    tunnel = subprocess.Popen(["ssh", "-N", "-L", "127.0.0.1:8000:127.0.0.1:8000", str(facts[0].node.ssh)])
    began = time.perf_counter()
    try:
        for plan in reversed(plans):
            command = f"docker run --detach --name hand --network host {spec.name} {' '.join(plan.server.words)}"
            subprocess.run(["ssh", str(plan.node.ssh), command], check=True, capture_output=True)
        while True:
            try:
                urllib.request.urlopen("http://127.0.0.1:8000/v1/models", timeout=5).close()
                return Sample(time.perf_counter() - began)
            except OSError:
                time.sleep(0.5)
    finally:
        for plan in plans:
            subprocess.run(["ssh", str(plan.node.ssh), "docker rm --force hand"], check=False, capture_output=True)
        tunnel.terminate()
        tunnel.wait()
