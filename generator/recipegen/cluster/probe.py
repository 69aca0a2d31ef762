"""What a node says of itself: one script, one answer, read into facts. Owns no opinion on them (`preflight`).

Everything comes from files of the kernel and from programs that are there anyway; nothing is changed on the node.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recipegen.cluster.access import run_script
from recipegen.cluster.nodes import Node
from recipegen.images import LABEL_KIT
from recipegen.quoting import shell_word
from recipegen.spec.topology import NONE

PROBE_TIMEOUT_S = 60.0
"""nvidia-smi takes seconds where the driver is not kept loaded, a list of 200 shards on a cold disk as well."""
_MARK = "@@recipegen "
_SMALL_KIB = 1024
"""Files up to 1 MiB (configurations, tokenizers) are compared by their content, larger ones by their size."""
_LISTENS = "0A"
"""TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h of Linux)."""

HOST_FILES = {
    "os-release": "/etc/os-release",
    "dgx-release": "/etc/dgx-release",
    "product": "/sys/devices/virtual/dmi/id/product_name",
    "cpuinfo": "/proc/cpuinfo",
    "meminfo": "/proc/meminfo",
}
GPU_QUESTION = "name,driver_version,memory.total,compute_cap"


@dataclass(frozen=True)
class ModelOn:
    """A model as it lies on one node.

    Attributes:
        place: its folder there.
        files: size in bytes by path; empty when the folder is not there.
        hashes: SHA-256 of the small files.
        revisions: commits that the download notes name, the most frequent first; empty where nothing says.
    """

    place: str
    files: Mapping[str, int]
    hashes: Mapping[str, str]
    revisions: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())


@dataclass(frozen=True)
class Link:
    """A network interface.

    Attributes:
        state: as the kernel says, `up` or `down`; virtual ones say `unknown`. None: there is no such interface.
        speed_mbit: line rate; None where the kernel does not know.
        addresses: of the interface, without prefix lengths.
    """

    state: str | None
    speed_mbit: int | None
    mtu: int | None
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class NodeFacts:
    """What one node said.

    Attributes:
        clock_offset_s: its clock less this machine's, as far as it is certain; 0 within what the way there took.
        docker: version of its daemon; None, with `docker_error`, when none answers.
        image: id of the recipe's image; None when it is not there.
        image_kit: the kit that the image says it was built from.
        listening: ports that something listens on.
        interfaces: names of all its interfaces.
        adapters: state of each of its RDMA adapters' ports, by name.
        host: texts of HOST_FILES, `hostname`, `kernel`, `arch`, and of nvidia-smi `gpus`
            (its table) and `smi` (its page), where there is one.
        tools: those of rsync and zstd that are there.
        home: home folder of the account there.
    """

    node: Node
    clock_offset_s: float
    docker: str | None
    docker_error: str
    docker_address: str
    image: str | None
    image_kit: str | None
    image_bytes: int | None
    link: Link
    interfaces: tuple[str, ...]
    adapters: Mapping[str, tuple[str, ...]]
    listening: frozenset[int]
    models: Mapping[str, ModelOn]
    host: Mapping[str, str] = field(repr=False)
    tools: frozenset[str] = frozenset()
    home: str = ""

    @property
    def memory_available(self) -> int | None:
        """Bytes that a new program can get."""
        found = re.search(r"^MemAvailable:\s*(\d+) kB$", self.host.get("meminfo", ""), re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    @property
    def drivers(self) -> tuple[str, ...]:
        """Versions of the GPU driver, one a GPU; empty without a GPU."""
        rows = [line.split(",") for line in self.host.get("gpus", "").splitlines()]
        return tuple(row[1].strip() for row in rows if len(row) == GPU_QUESTION.count(",") + 1)


@dataclass(frozen=True)
class Places:
    """Where one node has a model: the folder of its files, and the one with the notes of its download."""

    files: str
    notes: str = ""
    revision: str = ""


def probe(node: Node, image: str, models: Mapping[str, Places]) -> NodeFacts:
    """Asks a node everything at once.

    Args:
        image: tag of the recipe's image.
        models: place of each model on this node, by key.

    Raises:
        NodesLack: it cannot be reached.
    """
    before = time.time()
    text = run_script(node, script(node, image, models), timeout_s=PROBE_TIMEOUT_S)
    return parse(node, text, models, before, time.time())


def script(node: Node, image: str, models: Mapping[str, Places]) -> str:
    """What runs on the node: POSIX shell, each answer under a line of its own."""
    link = f"/sys/class/net/{node.interface}"
    gpus = f"nvidia-smi --query-gpu={GPU_QUESTION} --format=csv,noheader"
    asked = "{{.Id}} {{.Size}} {{json .Config.Labels}}"
    lines = [
        'export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"',
        "exec 2>/dev/null",
        f"say() {{ printf '\\n{_MARK}%s\\n' \"$*\"; }}",
        "say clock; date +%s.%N",
        *([f"export DOCKER_HOST={shell_word(node.docker_host)}"] if node.docker_host else []),
        "say docker; docker version --format '{{.Server.Version}}' 2>&1 || echo '!'",
        'say docker-address; [ -z "${DOCKER_HOST:-}" ] || printf \'%s\\n\' "$DOCKER_HOST"',
        "[ -n \"${DOCKER_HOST:-}\" ] || docker context inspect --format '{{.Endpoints.docker.Host}}'",
        f"say image; docker image inspect --format {shell_word(asked)} -- {shell_word(image)}",
        "say interfaces; ls /sys/class/net",
        *(
            [
                "say link",
                f"[ ! -d {link} ] || {{ cat {link}/operstate; cat {link}/mtu; cat {link}/speed || echo -1; }}",
                f"say addresses; ip -o addr show dev {shell_word(node.interface)}",
            ]
            if node.interface != NONE
            else []
        ),
        'for port in /sys/class/infiniband/*/ports/*; do [ ! -e "$port/state" ] || {',
        '  name=${port#/sys/class/infiniband/}; say hca "${name%%/*}"; cat "$port/state"; }; done',
        "say tcp; cat /proc/net/tcp /proc/net/tcp6",
        "say kernel; uname -r",
        "say arch; uname -m",
        *(f"say host {name}; cat {path}" for name, path in HOST_FILES.items()),
        f"! command -v nvidia-smi >/dev/null || {{ say gpus; {gpus}; say smi; nvidia-smi; }}",
        "say home; printf '%s\\n' \"$HOME\"",
        "say hostname; uname -n",
        "say tools; command -v rsync; command -v zstd",
        *(line for key, places in models.items() for line in _model_lines(key, places)),
        "say end; date +%s.%N",
        "exit 0",
    ]
    return "\n".join(lines) + "\n"


def on_shell(path: str) -> str:
    """A path of a node as its shell reads it; ~/ leads to the home folder there."""
    return f'"$HOME"/{shell_word(path[2:])}' if path.startswith("~/") else shell_word(path)


def at_home(path: str, home: str) -> str:
    """The same as an absolute path."""
    return f"{home}/{path[2:]}" if path.startswith("~/") else path


def _model_lines(key: str, places: Places) -> list[str]:
    folder, notes = on_shell(places.files), on_shell(places.notes or f"{places.files}/.cache/huggingface/download")
    return [
        f"say model-files {key}; find -L {folder} -type f -not -path '*/.cache/*' -printf '%s %P\\n'",
        f"say model-hashes {key}; cd {folder} && "
        f"find -L . -type f -not -path './.cache/*' -size -{_SMALL_KIB}k -exec sha256sum -- {{}} +; cd /",
        # huggingface_hub notes the commit on the first line of FILE.metadata for what it downloads into a folder.
        f"say model-notes {key}; find {notes} -name '*.metadata' -exec sed -n 1p {{}} ';' | sort | uniq -c | sort -rn",
    ]


def parse(node: Node, text: str, models: Mapping[str, Places], before: float, after: float) -> NodeFacts:
    """Reads the script's answer.

    Args:
        before, after: this machine's clock around the question, s.
    """
    told: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if line.startswith(_MARK):
            name = line[len(_MARK) :]
            told.setdefault(name, "")
        elif name:
            told[name] += line + "\n"
    answers = {key: value.strip("\n") for key, value in told.items()}
    docker, works = answers.get("docker", ""), not answers.get("docker", "!").endswith("!")
    image = answers.get("image", "").split(maxsplit=2)
    adapters: dict[str, tuple[str, ...]] = {}
    for key, value in answers.items():
        if key.startswith("hca "):
            adapters[key[4:]] = tuple(value.split("\n"))
    host = {name: answers.get(f"host {name}", "") for name in HOST_FILES}
    host |= {name: answers.get(name, "") for name in ("kernel", "arch", "hostname")}
    host |= {name: answers[name] for name in ("gpus", "smi") if name in answers}
    return NodeFacts(
        node=node,
        clock_offset_s=_offset(answers, before, after),
        docker=docker if works and docker else None,
        docker_error=docker.removesuffix("!").strip() if not works else "",
        docker_address=answers.get("docker-address", "").split("\n")[0],
        image=image[0] if image else None,
        image_bytes=int(image[1]) if len(image) > 1 and image[1].isdigit() else None,
        image_kit=_kit_label(image[2]) if len(image) > 2 else None,
        link=_link(answers),
        interfaces=tuple(answers.get("interfaces", "").split()),
        adapters=adapters,
        listening=listening(answers.get("tcp", "")),
        models={key: _model(answers, key, places) for key, places in models.items()},
        host=host,
        tools=frozenset(line.rpartition("/")[2] for line in answers.get("tools", "").split()),
        home=answers.get("home", ""),
    )


def _kit_label(labels: str) -> str | None:
    """The label that `recipegen build` puts on an image, out of all labels as JSON."""
    try:
        found = json.loads(labels)
    except ValueError:
        return None
    return str(found[LABEL_KIT]) if isinstance(found, dict) and LABEL_KIT in found else None


def _offset(answers: Mapping[str, str], before: float, after: float) -> float:
    """How far the clock there must be off: it was read after `before` and again before `after`."""
    try:
        first, last = float(answers["clock"]), float(answers["end"])
    except (KeyError, ValueError):
        return 0.0
    return min(first - before, 0.0) or max(last - after, 0.0)


def _link(answers: Mapping[str, str]) -> Link:
    state, mtu, speed = [*answers.get("link", "").split("\n"), "", "", ""][:3]
    rate = int(speed) if speed.isdigit() else -1  # the kernel says -1, or an error, where it does not know
    addresses = re.findall(r"\binet6? ([0-9a-fA-F.:]+)", answers.get("addresses", ""))
    return Link(state or None, rate if rate > 0 else None, int(mtu) if mtu.isdigit() else None, tuple(addresses))


def listening(table: str) -> frozenset[int]:
    """Ports in a /proc/net/tcp table that something listens on (proc(5): local_address ends with the port in hex)."""
    rows = (line.split() for line in table.split("\n"))
    return frozenset(
        int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == _LISTENS and ":" in row[1]
    )


def _model(answers: Mapping[str, str], key: str, places: Places) -> ModelOn:
    files = [line.split(" ", 1) for line in answers.get(f"model-files {key}", "").split("\n") if line]
    hashes = [line.split("  ", 1) for line in answers.get(f"model-hashes {key}", "").split("\n") if line]
    noted = [line.split() for line in answers.get(f"model-notes {key}", "").split("\n") if line]
    revisions = [words[1] for words in noted if len(words) == 2]
    if not revisions and places.revision and files:
        revisions = [places.revision]  # a hub cache has a folder for each revision
    return ModelOn(
        at_home(places.files, answers.get("home", "")),
        {path: int(size) for size, path in (f for f in files if len(f) == 2) if size.isdigit()},
        {path.removeprefix("./"): digest for digest, path in (h for h in hashes if len(h) == 2)},
        tuple(revisions),
    )


def most_common(values: Sequence[str]) -> str:
    """The value that most nodes have; of several equally frequent ones the first, which is the head's."""
    return max(values, key=lambda value: (values.count(value), -values.index(value)))
