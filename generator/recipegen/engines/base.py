"""What every engine has in common: from flags to a command line. Owns nothing of one engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from recipegen.engines.command import (
    Command,
    ModelPlace,
    is_model_reference,
    json_arg,
    model_references,
    plain_text,
    referred_place,
)
from recipegen.quoting import Arg, Var, compact_json, literal
from recipegen.spec.completed import Spec
from recipegen.spec.model import Model

AUTOREGRESSIVE = "AR"
"""Name of the speculative method of a server that has none."""


def flag_key(flag: str) -> str:
    """One spelling of a flag: `--max_model_len`, `max-model-len` -> `max-model-len`; `-c` stays.

    What follows a dot (`compilation-config.cudagraph_mode`) is the key of a JSON value and stays, too.
    """
    if flag.startswith("-") and not flag.startswith("--"):
        return flag
    name, dot, key = flag.removeprefix("--").partition(".")
    return name.replace("_", "-") + dot + key


def flag_word(key: str) -> str:
    """The flag as the command line has it."""
    return key if key.startswith("-") else f"--{key}"


def model_place(model: Model, run_models: str) -> Arg:
    """Where the engine finds a model: a folder (or file) under MODELS_DIR, or the hub's id."""
    if run_models == "hf-cache" and model.hf_id:
        return (model.hf_id,)
    assert model.folder is not None, "completion fills folder"
    path = f"/{model.folder}/{model.file}" if model.file else f"/{model.folder}"
    return (Var("MODELS_DIR"), path)


class EngineAdapter(ABC):
    """One engine: its program, its flags' grammar, its knobs and its answers."""

    name: ClassVar[str]
    program: ClassVar[str]
    ready_path: ClassVar[str] = "/v1/models"
    default_transformers: ClassVar[str | None] = None
    knob_flags: ClassVar[Mapping[str, str]]
    """Flags whose value is a knob of the launch script, with the knob's name."""
    own_flags: ClassVar[Mapping[str, str]]
    """Flags that the engine room puts in itself, with the place in the recipe that they come from."""
    metric_names: ClassVar[Mapping[str, str]] = {}
    """Series of bench.sampler to the name of the sample (or histogram) on the server's /metrics page."""

    @abstractmethod
    def method(self, flags: Mapping[str, Any]) -> str:
        """The speculative method that these flags switch on, as the table names it."""

    @abstractmethod
    def head(self, spec: Spec, model_key: str, place: Arg) -> list[Arg]:
        """Program, model, served name, address: what stands before the recipe's own flags."""

    @abstractmethod
    def switch_off(self, key: str) -> str:
        """The word for a flag whose value is false."""

    def in_full(self, spec: Spec, key: str, value: Any) -> Any:
        """The value of a flag with what the engine must be told beside it: nothing, for most."""
        return value

    def on_nodes(self, spec: Spec, variant: str, command: Command) -> Command:
        """The command as the first of several machines runs it; the same for one machine."""
        return command

    def value(self, key: str, arg: Arg) -> list[Arg]:
        """A flag and its one value, as two words: the engine takes the second whatever it looks like."""
        return [(flag_word(key),), arg]

    def command(self, spec: Spec, variant: str) -> Command:
        """The server's command line for one variant.

        Raises:
            KeyError: no such variant.
        """
        chosen = spec.variants[variant]
        places = {key: model_place(model, spec.run.models) for key, model in spec.models.items()}
        knobs = {"MODELS_DIR": spec.run.models_path, "HOST": "127.0.0.1", "PORT": str(spec.run.port)}
        if spec.run.models == "hf-cache" and not any(
            isinstance(part, Var) for key in used_models(spec, variant) for part in places[key]
        ):
            del knobs["MODELS_DIR"]
        argv = self.head(spec, chosen.model, places[chosen.model])
        for _, words in self.flags(spec, variant, knobs):
            argv += words
        return self.on_nodes(spec, variant, Command(tuple(argv), dict(chosen.env), knobs))

    def flags(self, spec: Spec, variant: str, knobs: dict[str, str]) -> Iterator[tuple[str, list[Arg]]]:
        """Each flag of a variant and its words, in the order of the recipe.

        Args:
            knobs: gets the name and the recipe's value of every knob that stands in the words.
        """
        places = {key: model_place(model, spec.run.models) for key, model in spec.models.items()}
        for key, value in spec.variants[variant].flags.items():
            yield key, list(self._words(key, self.in_full(spec, key, value), places, knobs))

    def _words(self, key: str, value: Any, places: ModelPlace, knobs: dict[str, str]) -> Iterator[Arg]:
        if value is True:
            yield (flag_word(key),)
        elif value is False:
            yield (self.switch_off(key),)
        elif isinstance(value, list):
            yield (flag_word(key),)
            yield from literal(*(plain_text(item) for item in value))
        elif is_model_reference(value):
            yield from self.value(key, referred_place(value, places))
        elif key in self.knob_flags and not any(model_references(value)):
            knob = self.knob_flags[key]
            knobs[knob] = compact_json(value) if isinstance(value, dict) else plain_text(value)
            yield from self.value(key, (Var(knob),))
        elif isinstance(value, dict):
            yield from self.value(key, json_arg(value, places))
        else:
            yield from self.value(key, (plain_text(value),))


def used_models(spec: Spec, variant: str) -> list[str]:
    """Keys of the models that a variant opens: the served one, then those that its flags name."""
    chosen = spec.variants[variant]
    keys = [chosen.model, *(key for value in chosen.flags.values() for key in model_references(value))]
    return list(dict.fromkeys(keys))
