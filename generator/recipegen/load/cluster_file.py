"""The user's own machines: a file of hosts, addresses and places, outside every recipe. Owns its shape and its place.

It says who may be reached where, so that it belongs to one person's machines: nothing of it goes into a kit, a record
or a bundle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError, model_validator

from recipegen.errors import Problem, RecipegenError, SpecError
from recipegen.load.messages import problems_of
from recipegen.load.yamldoc import parse, read_text
from recipegen.spec.topology import Adapters, Interface
from recipegen.spec.types import Strict, matching

VARIABLE = "RECIPEGEN_CLUSTER"
"""Environment variable that names the file."""

LOCALHOST = "localhost"
"""A node's `ssh` where it is this machine, which is reached without ssh."""

Target = Annotated[
    str,
    StringConstraints(max_length=300),
    matching(
        r"(?:[A-Za-z0-9_.-]+@)?[A-Za-z0-9][A-Za-z0-9_.:-]*", "is not a target of ssh: HOST or USER@HOST, or localhost"
    ),
]
DockerHost = Annotated[
    str,
    StringConstraints(max_length=500),
    matching(r"(?:ssh|tcp|unix)://[A-Za-z0-9_.@:/%-]+", "is not a Docker host, as in ssh://me@spark2"),
]
Address = Annotated[
    str, StringConstraints(max_length=100), matching(r"[0-9A-Fa-f.:]+", "is not an IP address, as in 192.168.177.11")
]
Network = Annotated[
    str,
    matching(r"host|container:[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", "is neither host nor container:NAME"),
]
AnyPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4096),
    matching(r"[^\x00-\x1f\x7f\"\\]+", "holds a quote, a backslash or a control character", 4096),
]


Name = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", "is not a name: letters, digits, . _ -")]


class ClusterNode(Strict):
    """One machine, in the order of ranks.

    Attributes:
        ssh: what ssh connects to; `localhost` is this machine.
        docker: where its Docker answers; over ssh by default.
        address: its address on the fast network, by which the other ranks find it.
    """

    name: Name
    ssh: Target
    address: Address
    docker: DockerHost | None = None
    interface: Interface | None = Field(None, description="on this node, where it differs")
    hca: Adapters | None = Field(None, description="on this node, where it differs")
    models_dir: AnyPath | None = None
    hf_home: AnyPath | None = None
    network: Network | None = Field(None, description="of the rank's container; container:NAME where a node is one")

    @model_validator(mode="after")
    def _address_is_one(self) -> ClusterNode:
        from ipaddress import ip_address

        ip_address(self.address)  # raises ValueError in words of its own
        return self


class ClusterFile(Strict):
    """The machines of one user, head first.

    Attributes:
        user: of all nodes whose `ssh` names none.
        interface, hca, models_dir, hf_home: of all nodes that say nothing else.
        groups: names of nodes that measure together when recipes are spread over all of them (`bench --hosts`), each
            group's head first; a node of no group measures alone.
    """

    nodes: tuple[ClusterNode, ...] = Field(min_length=1, max_length=1024)
    user: Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", "is not the name of a user")] | None = None
    interface: Interface | None = None
    hca: Adapters | None = None
    models_dir: AnyPath | None = None
    hf_home: AnyPath | None = None
    groups: tuple[Annotated[tuple[Name, ...], Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _groups_are_of_nodes(self) -> ClusterFile:
        grouped = [name for group in self.groups for name in group]
        if unknown := sorted(set(grouped) - {node.name for node in self.nodes}):
            raise ValueError(f"groups names {unknown[0]}, which is no node")
        if twice := sorted({name for name in grouped if grouped.count(name) > 1}):
            raise ValueError(f"groups names {twice[0]} twice")
        return self

    @model_validator(mode="after")
    def _no_node_twice(self) -> ClusterFile:
        for what, values in (
            ("name", [node.name for node in self.nodes]),
            ("address", [node.address for node in self.nodes]),
        ):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"two nodes have the {what} {twice[0]}")
        return self

    def resolved(self) -> tuple[ClusterNode, ...]:
        """The nodes with what the file says for all of them put in."""
        return tuple(node.model_copy(update=self._of(node)) for node in self.nodes)

    def grouped(self) -> tuple[tuple[ClusterNode, ...], ...]:
        """The nodes as they measure together: the groups, then each other node alone."""
        by_name = {node.name: node for node in self.resolved()}
        groups = [tuple(by_name.pop(name) for name in group) for group in self.groups]
        return (*groups, *((node,) for node in by_name.values()))

    def _of(self, node: ClusterNode) -> dict[str, str | None]:
        own = ("interface", "hca", "models_dir", "hf_home")
        found = {key: getattr(node, key) or getattr(self, key) for key in own}
        if self.user and "@" not in node.ssh and node.ssh != LOCALHOST:
            found["ssh"] = f"{self.user}@{node.ssh}"
        return found


def default_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the file lies when nobody names one: recipegen/cluster.yaml under $XDG_CONFIG_HOME, or ~/.config."""
    config = environ.get("XDG_CONFIG_HOME")
    folder = Path(config) if config and Path(config).is_absolute() else Path.home() / ".config"
    return folder / "recipegen" / "cluster.yaml"


def find_cluster_file(named: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that --cluster names, else the variable RECIPEGEN_CLUSTER, else the default one.

    Raises:
        RecipegenError: it is not there.
    """
    from_variable = environ.get(VARIABLE)
    file = named or (Path(from_variable) if from_variable else default_file(environ))
    if not file.exists():
        raise RecipegenError(
            f"there is no cluster file {file}",
            hint=f"docs/clusters.md shows one; --cluster FILE or {VARIABLE} names another place",
        )
    return file


def load_cluster_file(file: Path) -> ClusterFile:
    """The machines of a file.

    Raises:
        SpecError: with every problem in it, each with its line.
        RecipegenError: it cannot be read.
    """
    document = parse(read_text(file), file)
    if not isinstance(document.data, dict):
        raise SpecError([Problem(document.where(()), "the cluster file must be a mapping", "nodes: [...]")])
    try:
        return ClusterFile.model_validate(document.data)
    except ValidationError as error:
        found = problems_of(error.errors(include_url=False), document, ClusterFile, "the cluster file")
        raise SpecError(sorted(found, key=lambda problem: problem.where)) from None


def nodes_for(file: ClusterFile, wanted: int, where: Path) -> tuple[ClusterNode, ...]:
    """The first so many nodes of a file, head first.

    Raises:
        RecipegenError: it has fewer.
    """
    found = file.resolved()
    if len(found) < wanted:
        raise RecipegenError(
            f"{where} names {len(found)} node{'s' if len(found) > 1 else ''}, and {wanted} are needed",
            hint="add machines to it, or take a recipe for fewer",
        )
    return found[:wanted]
