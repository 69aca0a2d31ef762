"""Prints, as JSON, what one vLLM's own parser of `vllm serve` accepts. Runs inside that vLLM's Python.

    PYTHONPATH=SOURCES:generator python -P -m known_flags.vllm_parser

Owns the reading of argparse actions and of the config classes; nothing of recipegen is imported.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import importlib
import inspect
import json
import pathlib
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from known_flags.vllm_pretend import sources_alone, use_cuda_platform

sys.argv = ["vllm", "serve", "--help=all"]  # the engine reads its options' descriptions only then

MARK = "\0"
"""Stands in an option's description around the name of the config field that the option fills."""
LONGEST_DEFAULT = 200
"""Characters of JSON; a longer default is a table of the engine, of no use to a reader of flags."""
JSON_FLAGS = {
    "diffusion-config": "DiffusionConfig",
    "speculative-config": "SpeculativeConfig",
    "watermark-config": "WatermarkConfig",
}
"""Flags that take any JSON object in the parser's eyes, with the class that EngineArgs makes of it."""
DEPRECATED = re.compile(r"\b(is|are|be|been) deprecated\b|^\W*deprecated\b|[\[(]deprecated", re.IGNORECASE)

Field = tuple[type, str]


def unwrapped(function: Any) -> Any:
    """The converter within vLLM's `optional_type(parse_type(converter))`."""
    while getattr(function, "__name__", "") in ("_optional_type", "_parse_type"):
        (cell,) = function.__closure__
        function = cell.cell_contents
    return function


def hints(hint: Any) -> list[Any]:
    """The alternatives of a type hint, without Annotated and Union around them."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return hints(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return [found for arg in typing.get_args(hint) for found in hints(arg)]
    if type(hint).__name__ == "TypeAliasType":
        return hints(hint.__value__)
    return [hint]


def constraints(hint: Any) -> Iterator[Any]:
    """The metadata of every Annotated in a type hint."""
    if typing.get_origin(hint) is typing.Annotated:
        yield from hint.__metadata__
    for arg in typing.get_args(hint):
        if typing.get_origin(hint) in (typing.Annotated, typing.Union, types.UnionType):
            yield from constraints(arg)


def limits(cls: type, name: str) -> tuple[Any, Any]:
    """Least and greatest value of a field, both allowed, as its class declares them with ge, gt, le, lt.

    An open limit of a float is given as if it were closed: there is no next number.
    """
    info = getattr(cls, "__pydantic_fields__", {}).get(name)
    if info is None:
        return None, None
    low = high = None
    whole = all(one in (int, bool, type(None)) for one in hints(info.annotation))
    for rule in [*info.metadata, *constraints(info.annotation)]:
        for one in [rule, *getattr(rule, "metadata", ())]:
            if getattr(one, "ge", None) is not None:
                low = one.ge
            if getattr(one, "gt", None) is not None:
                low = one.gt + 1 if whole else one.gt
            if getattr(one, "le", None) is not None:
                high = one.le
            if getattr(one, "lt", None) is not None:
                high = one.lt - 1 if whole else one.lt
    return low, high


def plain(value: Any) -> Any:
    """A default as JSON; null for what is no JSON, or too long to be of use."""
    if isinstance(value, enum.Enum):
        value = value.value if isinstance(value, int) else value.name
    if isinstance(value, (set, tuple)):
        value = sorted(value) if isinstance(value, set) else list(value)
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return None
    return value if len(text) <= LONGEST_DEFAULT else None


def members(hint: Any) -> list[Any] | None:
    """Names of the members of the enumeration in a type hint; of one of numbers the numbers too."""
    found = [one for one in hints(hint) if isinstance(one, type) and issubclass(one, enum.Enum)]
    if len(found) != 1:
        return None
    numbers = [member.value for member in found[0]] if issubclass(found[0], int) else []
    return in_order([*found[0].__members__, *numbers])


def in_order(words: Iterable[Any]) -> list[Any]:
    """Numbers, then words, each in order and once."""
    return sorted(set(words), key=lambda word: (isinstance(word, str), word))


def literals(hint: Any) -> list[Any] | None:
    """The words of the Literals in a type hint; None where any text will do, or none is listed."""
    alternatives = hints(hint)
    if str in alternatives:
        return None
    words = [word for one in alternatives if typing.get_origin(one) is typing.Literal for word in typing.get_args(one)]
    return in_order(word for word in words if word is not None) or None


def kind_of_hint(hint: Any) -> str:
    """What a key of a JSON object takes."""
    alternatives = [one for one in hints(hint) if one is not type(None)]
    words = literals(hint)
    if words is not None:
        alternatives = [type(word) for word in words] + [one for one in alternatives if one in (int, float, bool)]
    named = {bool: "switch", int: "int", float: "float", str: "str", pathlib.Path: "str"}
    kinds = {named.get(one, "json") for one in alternatives}
    if members(hint):
        return "str"
    if kinds == {"int", "float"}:
        return "float"
    return kinds.pop() if len(kinds) == 1 else "str" if "str" in kinds else "json"


class Classes:
    """The config classes whose keys a JSON value may have, gathered on the way."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def add(self, cls: type) -> str:
        """Take in a class and those within it; its name."""
        name = cls.__name__
        if name in self.found:
            return name
        keys = self.found[name] = {}
        annotations = typing.get_type_hints(cls, include_extras=True)
        for field in dataclasses.fields(cls):
            info = getattr(cls, "__pydantic_fields__", {}).get(field.name)
            hint = annotations.get(field.name, Any)
            if not field.init or (info is not None and info.init is False) or field.name.startswith("_"):
                continue
            if any(
                type(rule).__name__ == "SkipValidation" for rule in [*constraints(hint), *getattr(info, "metadata", ())]
            ):
                continue  # the engine puts an object of its own there
            inner = [one for one in hints(hint) if isinstance(one, type) and dataclasses.is_dataclass(one)]
            inner = [one for one in inner if one.__module__.startswith("vllm.config")]
            low, high = limits(cls, field.name)
            keys[field.name] = {
                "kind": kind_of_hint(hint),
                "choices": literals(hint) or members(hint),
                "default": default_of(field, info),
                "min": low,
                "max": high,
                "json": self.add(inner[0]) if len(inner) == 1 else None,
            }
        return name


def default_of(field: dataclasses.Field[Any], info: Any) -> Any:
    """A field's default as JSON."""
    if info is not None:
        return None if info.is_required() or info.default_factory else plain(info.default)
    return None if field.default is dataclasses.MISSING else plain(field.default)


def deprecation(action: argparse.Action, parser: argparse.ArgumentParser, description: str) -> str | None:
    """The engine's own words on a flag that it will drop."""
    sentences = [sentence for sentence in description.replace("\n", " ").split(". ") if DEPRECATED.search(sentence)]
    marked = action in getattr(parser, "_deprecated", ()) or getattr(action, "deprecated", False)
    named = "eprecated" in type(action).__name__
    if marked or named or sentences:
        return ". ".join(sentences).strip()[:300] or "deprecated"
    return None


def key_of(option: str) -> str:
    """An option's name as recipegen's data has it: without dashes if long."""
    return option[2:].replace("_", "-") if option.startswith("--") else option


def kind_of_action(action: argparse.Action) -> str:
    """What a flag takes."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return "switch"
    convert = unwrapped(action.type)
    name = getattr(convert, "__name__", "")
    if name.startswith("human_readable_int"):
        return "size"
    if name in ("loads", "parse_dataclass", "union_dict_and_str"):
        return "json"
    return {int: "int", float: "float"}.get(convert, "str")


def marked(action: argparse.Action) -> tuple[str, str]:
    """The config field that an option fills, as Class.name, and the option's description without the mark."""
    before, mark, rest = (action.help or "").partition(MARK)
    field, _, description = rest.partition(MARK)
    return (field, before + description) if mark else ("", before)


def spellings(action: argparse.Action, parser: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """The names that switch an option on (or give it a value), and those that switch it off.

    The parser's own table is asked: since 0.33.0 an option does not name all of its spellings.
    """
    options = [option for option, owner in parser._option_string_actions.items() if owner is action]
    negative = getattr(action, "negative_option_strings", None)
    if negative is None:
        switch = isinstance(action, argparse.BooleanOptionalAction)
        negative = {option for option in options if switch and option.startswith("--no-")}
    return [key_of(one) for one in options if one not in negative], [key_of(one) for one in options if one in negative]


def described(
    action: argparse.Action, parser: argparse.ArgumentParser, classes: Classes, fields: Any
) -> dict[str, Any]:
    """One flag as recipegen's data has it."""
    field, description = marked(action)
    cls, name = fields.get(field, (None, ""))
    options, negations = spellings(action, parser)
    low, high = limits(cls, name) if cls else (None, None)
    long_name = next(one for one in options if not one.startswith("-"))
    convert = unwrapped(action.type)
    inner = None
    if getattr(convert, "__name__", "") == "parse_dataclass":
        inner = classes.add(convert.__defaults__[0])
    elif long_name in JSON_FLAGS:
        inner = classes.add(getattr(importlib.import_module("vllm.engine.arg_utils"), JSON_FLAGS[long_name]))
    choices = [one for one in action.choices or () if one not in (None, "None")]
    return {
        "name": long_name,
        "aliases": sorted(one for one in options if one != long_name),
        "kind": kind_of_action(action),
        "choices": in_order(choices) or None,
        "default": None if action.default is argparse.SUPPRESS else plain(action.default),
        "nargs": None if action.nargs == 0 else action.nargs,
        "off": f"no-{long_name}" if f"no-{long_name}" in negations else None,
        "deprecated": deprecation(action, parser, description),
        "min": low,
        "max": high,
        "json": inner,
    }


def serve_parser(arg_utils: types.ModuleType, fields: dict[str, Field]) -> argparse.ArgumentParser:
    """The parser of `vllm serve`, each option's description marked with the field that it fills."""
    original: Callable[[Any], dict[str, dict[str, Any]]] = arg_utils.get_kwargs

    def get_kwargs(cls: Any) -> dict[str, dict[str, Any]]:
        result = original(cls)
        for name, kwargs in result.items():
            field = f"{cls.__name__}.{name}"
            fields[field] = (cls, name)
            if MARK not in kwargs["help"]:
                kwargs["help"] = f"{MARK}{field}{MARK}{kwargs['help']}"
        return result

    vars(arg_utils)["get_kwargs"] = get_kwargs
    serve = importlib.import_module("vllm.entrypoints.cli.serve")
    flexible = serve.FlexibleArgumentParser
    parser: argparse.ArgumentParser = serve.ServeSubcommand().subparser_init(
        flexible(prog="vllm").add_subparsers(required=False, dest="subparser")
    )
    return parser


def open_choices(
    flags: dict[str, dict[str, Any]], parser: argparse.ArgumentParser, fields: dict[str, Field]
) -> list[str]:
    """Fill in the words that the engine has, where the parser lets others pass; of which flags.

    These are the names that it looks up after parsing, to which a plugin may add some, and the names of an
    enumeration, which it takes in any case of letters.
    """
    words: dict[str, list[Any]] = {}
    for action in parser._actions:
        long_name = next((key_of(one) for one in action.option_strings if one.startswith("--")), "")
        cls, name = fields.get(marked(action)[0], (None, ""))
        if isinstance(action.metavar, list):
            words[long_name] = [word for word in action.metavar if word is not None]
        elif cls is not None and (found := members(typing.get_type_hints(cls, include_extras=True).get(name))):
            words[long_name] = found
    for flag, module, manager in (
        ("tool-call-parser", "vllm.tool_parsers", "ToolParserManager"),
        ("reasoning-parser", "vllm.reasoning", "ReasoningParserManager"),
    ):
        words[flag] = list(getattr(importlib.import_module(module), manager).list_registered())
    words["quantization"] = list(
        importlib.import_module("vllm.model_executor.layers.quantization").QUANTIZATION_METHODS
    )
    words["load-format"] = list(
        typing.get_args(importlib.import_module("vllm.model_executor.model_loader").LoadFormats)
    )
    opened = sorted(flag for flag, names in words.items() if flag in flags and names and not flags[flag]["choices"])
    for flag in opened:
        flags[flag]["choices"] = in_order(words[flag])
    return opened


def main() -> None:
    """Print the flags, the JSON classes and the version as one JSON object."""
    answer, sys.stdout = sys.stdout, sys.stderr  # the engine prints while it is imported
    sources_alone()
    use_cuda_platform()
    fields: dict[str, Field] = {}
    parser = serve_parser(importlib.import_module("vllm.engine.arg_utils"), fields)
    classes = Classes()
    flags = {}
    for action in parser._actions:
        if action.option_strings and not isinstance(action, argparse._HelpAction):
            flag = described(action, parser, classes, fields)
            flags[flag.pop("name")] = flag
            for second in spellings(action, parser)[1]:
                if second != flag["off"]:  # since 0.33.0: --disable-x beside --no-enable-x
                    flags[second] = {**flag, "aliases": [], "default": None, "off": None}
    if '"-O"' in inspect.getsource(type(parser)):  # replaced by the long name before argparse sees it
        flags["optimization-level"]["aliases"] = ["-O"]
    json.dump(
        {
            "version": importlib.import_module("importlib.metadata").version("vllm"),
            "flags": flags,
            "json": classes.found,
            "open": open_choices(flags, parser, fields),
        },
        answer,
    )


if __name__ == "__main__":
    main()
