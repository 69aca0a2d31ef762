"""What makes a recipe for several machines wrong: sizes that do not add up, values said twice, flags of one node.

Owns these checks. Each bears data of any shape, because it runs beside the type check.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recipegen.catalog import hardware_profiles
from recipegen.engines.base import flag_key
from recipegen.engines.command import NODE_KNOBS
from recipegen.engines.known import Known, known, newest
from recipegen.engines.normal import canonical
from recipegen.engines.ranks import BACKEND, BY_NODE, EXPERT, PUT_IN, SIZES, Ranks, parallel_flags, ranks_of
from recipegen.errors import Problem
from recipegen.load.guarded import Reader, items
from recipegen.load.yamldoc import Path_

_SECTION = "cluster"


def cluster_problems(reader: Reader) -> Iterator[Problem]:
    """All that is wrong with how a recipe spreads over machines."""
    nodes, given = _nodes(reader), reader.mapping(_SECTION)
    if given and nodes is not None and nodes < 2:
        yield reader.problem(
            (_SECTION,),
            f"a cluster of one machine: the hardware {reader.text('hardware') or 'dgx-spark'!r} has no more",
            "cluster.nodes says how many; or choose a profile of several, dgx-spark-x2 say",
        )
        return
    if nodes is None or nodes < 2:
        return
    if reader.text("engine", "name") != "vllm":
        if given:
            name = reader.text("engine", "name")
            yield reader.problem((_SECTION,), f"recipegen spreads vLLM over machines, not {name}", "leave it out")
        return
    version = reader.text("engine", "version")
    facts = known("vllm", version) or newest("vllm")
    yield from _ranks_of_nodes(reader, nodes)
    for group in (("engine",), *(("variants", name) for name in reader.mapping("variants"))):
        yield from _group(reader, group, facts)
    for variant in reader.mapping("variants"):
        yield from _variant(reader, variant, nodes, version, facts)
    if reader.text("run", "network") == "bridge":
        yield reader.problem(
            ("run", "network"), "ranks find one another on the hosts' own network", "leave it out, or: network: host"
        )


def _nodes(reader: Reader) -> int | None:
    """How many machines; None where the recipe does not say it in a form that is right."""
    own = reader.mapping(_SECTION).get("nodes")
    if own is not None:
        return own if isinstance(own, int) and not isinstance(own, bool) else None
    profile = hardware_profiles().get(reader.text("hardware") or "dgx-spark")
    return profile.nodes if profile else None


def _ranks_of_nodes(reader: Reader, nodes: int) -> Iterator[Problem]:
    for rank in reader.mapping(_SECTION, "per_node"):
        if rank.isdecimal() and int(rank) >= nodes:
            yield reader.problem(
                (_SECTION, "per_node"), f"there is no rank {rank}: {nodes} machines have 0 to {nodes - 1}"
            )


def _group(reader: Reader, group: tuple[str, ...], facts: Known | None) -> Iterator[Problem]:
    """The flags and variables of one place: what belongs to a node, what contradicts `cluster`."""
    wanted = {flag: (key, value) for key, flag, value in _wanted(reader)}
    for flag, value in reader.mapping(*group, "flags").items():
        path: Path_ = (*group, "flags", flag)
        name, plain = canonical(flag_key(flag), value, facts)
        if name in BY_NODE:
            yield reader.problem(path, f"the flag {flag!r} differs from node to node", "leave it out: the scripts know")
        elif name in PUT_IN:
            yield reader.problem(path, f"the flag {flag!r} is put in by recipegen", f"set {PUT_IN[name]}")
        elif name in wanted and plain != wanted[name][1]:
            key, said = wanted[name]
            yield reader.problem(
                path, f"{flag}: {plain} contradicts {_SECTION}.{key}: {said}", "say it in one place; in the flags alone"
            )
        elif name == BACKEND and plain not in ("mp", "ray"):
            yield reader.problem(path, f"{plain!r} joins no machines", "mp or ray")
    for variable in reader.mapping(*group, "env"):
        if variable in NODE_KNOBS:
            yield reader.problem(
                (*group, "env", variable), f"{variable} is a knob of the scripts of a cluster", "leave it out here"
            )


def _wanted(reader: Reader) -> Iterator[tuple[str, str, Any]]:
    given = reader.mapping(_SECTION)
    for key, flag in {**SIZES, "expert": EXPERT, "executor": BACKEND}.items():
        if given.get(key) is not None:
            yield key, flag, given[key]


def _variant(reader: Reader, variant: str, nodes: int, version: str | None, facts: Known | None) -> Iterator[Problem]:
    """Whether a variant's ranks are as many as the machines, which have one GPU each."""
    if reader.root.get("missing"):
        return  # a record shows what its source shows
    flags, places = _flags_of(reader, variant, facts)
    ranks = ranks_of(parallel_flags(flags, version), version)
    if ranks.world == nodes:
        return
    path = next((places[flag] for flag in SIZES.values() if flag in places), ("variants", variant))
    yield reader.problem(
        path,
        f"variant {variant!r}: {_product(ranks)} = {ranks.world} rank{'s' if ranks.world > 1 else ''}, "
        f"but {nodes} machines of one GPU each",
        f"sizes whose product is {nodes} (tensor-parallel-size: {nodes}, say), or cluster.nodes: {ranks.world}"
        if ranks.world > 1
        else f"tensor-parallel-size: {nodes}, or pipeline-parallel-size: {nodes}",
    )


def _product(ranks: Ranks) -> str:
    sizes = {"tensor": ranks.tensor, "pipeline": ranks.pipeline, "data": ranks.data}
    if ranks.prefill_context > 1:
        sizes["prefill context"] = ranks.prefill_context
    return " x ".join(f"{name} {size}" for name, size in sizes.items())


def _flags_of(reader: Reader, variant: str, facts: Known | None) -> tuple[dict[str, Any], dict[str, Path_]]:
    """A variant's parallel flags by long name, and where each stands; those of `cluster` where it says nothing."""
    dropped = {
        flag_key(item) for item in items(reader.mapping("variants", variant).get("drop")) if isinstance(item, str)
    }
    flags: dict[str, Any] = {}
    places: dict[str, Path_] = {}
    for group in (("engine",), ("variants", variant)):
        for flag, value in reader.mapping(*group, "flags").items():
            if group == ("engine",) and flag_key(flag) in dropped:
                continue
            name, plain = canonical(flag_key(flag), value, facts)
            flags[name], places[name] = plain, (*group, "flags", flag)
    for key, flag, value in _wanted(reader):
        if flag not in flags:
            flags[flag], places[flag] = value, (_SECTION, key)
    return flags, places
