"""Which machines measure which recipes. Owns the split of the user's machines into groups and who takes what; runs
nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipegen.errors import RecipegenError
from recipegen.files import write_atomic
from recipegen.load.cluster_file import ClusterFile, ClusterNode


@dataclass(frozen=True)
class Group:
    """Machines that measure one recipe at a time.

    Attributes:
        number: its place among all groups, from 0.
    """

    number: int
    nodes: tuple[ClusterNode, ...]

    @property
    def name(self) -> str:
        """The names of its machines, as in `alpha+beta`."""
        return "+".join(node.name for node in self.nodes)

    def write(self, file: Path) -> None:
        """Its machines as a cluster file of their own, readable by this account alone."""
        import yaml

        found = ClusterFile(nodes=self.nodes).model_dump(exclude_defaults=True, mode="json")
        write_atomic(file, yaml.safe_dump(found, sort_keys=False), mode=0o600)


@dataclass(frozen=True)
class Job:
    """One recipe to measure.

    Attributes:
        machines: how many it needs.
        port: of its server on the group with the number 0, the same for all recipes. Each group has its own, because
            all of them are carried to this machine at the same time.
        options: for `recipegen bench`, besides what the group says.
        resume: whether to go on with what a group has measured of it.
        again: whether a group was lost under it before.
    """

    recipe: str
    machines: int
    port: int
    options: tuple[str, ...] = ()
    resume: bool = False
    again: bool = False


@dataclass(frozen=True)
class Lane:
    """Groups of one size, and the recipes that they take off one queue.

    Attributes:
        own: recipes that one group has begun and goes on with before any other, by its number.
    """

    groups: tuple[Group, ...]
    waiting: tuple[Job, ...]
    own: Mapping[int, tuple[Job, ...]]


def groups_of(file: ClusterFile) -> tuple[Group, ...]:
    """The groups of a user's cluster file."""
    return tuple(Group(number, nodes) for number, nodes in enumerate(file.grouped()))


def lanes(groups: Sequence[Group], jobs: Sequence[Job], bound: Mapping[str, int] | None = None) -> tuple[Lane, ...]:
    """Every recipe on the groups of the smallest size that is enough for it.

    Args:
        jobs: in the order in which they are taken.
        bound: number of the group that goes on with a recipe, by its name.

    Raises:
        RecipegenError: a recipe needs more machines than any group has.
    """
    bound = bound or {}
    by_size: dict[int, list[Group]] = {}
    for group in groups:
        by_size.setdefault(len(group.nodes), []).append(group)
    takes: dict[int, list[Job]] = {}
    for job in jobs:
        size = min((size for size in by_size if size >= job.machines), default=None)
        if size is None:
            raise RecipegenError(
                f"{job.recipe} needs {job.machines} machines together, and no group has so many",
                hint="groups: [[alpha, beta], …] in the cluster file says which machines measure together",
            )
        takes.setdefault(size, []).append(job)
    return tuple(_lane(tuple(by_size[size]), takes[size], bound) for size in sorted(takes))


def _lane(groups: tuple[Group, ...], jobs: Sequence[Job], bound: Mapping[str, int]) -> Lane:
    own = {
        group.number: tuple(replace(job, resume=True) for job in jobs if bound.get(job.recipe) == group.number)
        for group in groups
    }
    begun = {job.recipe for mine in own.values() for job in mine}
    return Lane(groups, tuple(job for job in jobs if job.recipe not in begun), own)


def command_of(job: Job, group: Group, file: Path, python: str) -> list[str]:
    """The command line that measures a recipe on a group whose cluster file this is."""
    words = [python, "-m", "recipegen", "bench", job.recipe, *job.options, *(["--resume"] if job.resume else [])]
    return [*words, f"--cluster={file}", f"--port={job.port + group.number}", "--no-index", "--json"]


def environment(given: Mapping[str, str] = os.environ, *, threads: str | None = None) -> dict[str, str]:
    """What `recipegen bench` gets, started by a process of Ray's: without what Ray put in.

    Args:
        threads: OMP_NUM_THREADS of the user's own environment, which Ray overwrites.
    """
    found = {name: value for name, value in given.items() if not name.startswith("RAY_") and name != "OMP_NUM_THREADS"}
    return found if threads is None else found | {"OMP_NUM_THREADS": threads}
