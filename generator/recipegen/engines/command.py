"""A command line as data: arguments, environment, knobs. Owns no engine and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recipegen.quoting import Arg, Part, Var, compact_json, put_in
from recipegen.spec.model import MODEL_REFERENCE
from recipegen.spec.topology import NONE

NODE_KNOBS = ("NODE_RANK", "MASTER_ADDR", "HOST_IP", "MASTER_PORT", "RAY_PORT", "FABRIC_IFACE", "FABRIC_HCA")
"""Knobs that a node of several has: which it is, where the first one and it itself are, what joins them."""
HOST_KNOBS = ("MODELS_DIR", "HOST", "PORT", "BASE_URL", *NODE_KNOBS)
"""Knobs whose values say where something lies on one host: no part of what was measured."""
KNOBS = frozenset(
    [
        "MODELS_DIR",
        "HF_HOME",
        "HOST",
        "PORT",
        "RUNS",
        "PP",
        "TG",
        "DEPTH",
        "CONCURRENCY",
        "OUT",
        "CORPUS",
        "BOOK_URL",
        "SERIES",
    ]
)
"""Variables that scripts read themselves; an engine's environment must not redefine them."""


@dataclass(frozen=True)
class NodeVariable:
    """A variable of a node's environment that follows from a knob.

    Attributes:
        value: with knobs in it.
        knob: the variable is set unless this knob is NONE; with `without`, only if it is. None: always.
    """

    name: str
    value: Arg
    knob: str | None = None
    without: bool = False


@dataclass(frozen=True)
class Command:
    """What to run. The launch scripts are a printed form of it; the driver runs it as it is.

    Attributes:
        argv: the arguments, program first.
        env: environment variables to set.
        knobs: the variables that stand in argv, with the recipe's own values.
        optional: further arguments that are there only while a knob is not empty.
        node_env: variables that follow from knobs, on a node of several.
    """

    argv: tuple[Arg, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    knobs: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[tuple[str, tuple[Arg, ...]], ...] = ()
    node_env: tuple[NodeVariable, ...] = ()

    def words(self, **knobs: str) -> list[str]:
        """The arguments as a process gets them, knobs put in.

        Raises:
            TypeError: for a knob that the command does not have.
        """
        unknown = sorted(set(knobs) - set(self.knobs))
        if unknown:
            raise TypeError(f"no such knob: {', '.join(unknown)}")
        values = {**self.knobs, **knobs}
        return [put_in(arg, values) for arg in self._present(values)]

    def environment(self, **knobs: str) -> dict[str, str]:
        """The variables to set, those that follow from knobs among them."""
        values = {**self.knobs, **knobs}
        found = dict(self.env)
        for variable in self.node_env:
            if variable.knob is None or (values[variable.knob] == NONE) is variable.without:
                found.setdefault(variable.name, put_in(variable.value, values))
        return found

    def recorded(self, **knobs: str) -> list[str]:
        """The arguments for a record: what belongs to one host (HOST_KNOBS) named, all else as it ran."""
        values = {**self.knobs, **knobs, **{name: f"${{{name}}}" for name in HOST_KNOBS if name in self.knobs}}
        return [put_in(arg, values) for arg in self._present(values)]

    def _present(self, values: Mapping[str, str]) -> Iterator[Arg]:
        yield from self.argv
        for knob, args in self.optional:
            if values[knob]:
                yield from args


ModelPlace = Mapping[str, Arg]
"""Key of a model to where the engine finds it."""


def is_model_reference(value: Any) -> bool:
    """Whether a flag's value is `{$model: KEY}` or `{$model: KEY, path: P}`."""
    return isinstance(value, dict) and MODEL_REFERENCE in value and set(value) <= {MODEL_REFERENCE, "path"}


def referred_place(value: Mapping[str, Any], places: ModelPlace) -> Arg:
    """The place that a reference stands for: the model's own, or one in it."""
    place = places[value[MODEL_REFERENCE]]
    return (*place, f"/{value['path']}") if "path" in value else place


def references(value: Any) -> Iterator[Mapping[str, Any]]:
    """All references to models in a value, at any depth."""
    if is_model_reference(value):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from references(item)


def model_references(value: Any) -> Iterator[str]:
    """Keys of all models that a value names, at any depth."""
    return (str(reference[MODEL_REFERENCE]) for reference in references(value))


def json_arg(value: Any, places: ModelPlace) -> Arg:
    """A JSON text as one argument; the place of a model is put in where the value refers to it."""
    return _merge(list(_json_parts(value, places)))


def _json_parts(value: Any, places: ModelPlace) -> Iterator[Part]:
    if is_model_reference(value):
        yield '"'
        for part in referred_place(value, places):
            yield part if isinstance(part, Var) else compact_json(part)[1:-1]
        yield '"'
    elif isinstance(value, dict):
        yield "{"
        for at, (key, item) in enumerate(value.items()):
            yield ("," if at else "") + compact_json(str(key)) + ":"
            yield from _json_parts(item, places)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for at, item in enumerate(value):
            yield "," if at else ""
            yield from _json_parts(item, places)
        yield "]"
    else:
        yield compact_json(value)


def _merge(parts: list[Part]) -> Arg:
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part:
            merged.append(part)
    return tuple(merged)


def plain_text(value: Any) -> str:
    """A number or text as the engine's command line takes it; a number keeps every digit."""
    return str(value)
