"""A variant that only one measurement knows: one of the recipe's with some flags changed. Owns its name and what it
comes to in the words of recipe.yaml; whether that is right, the recipe's own checks say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recipegen.engines.base import flag_key
from recipegen.errors import RecipegenError
from recipegen.files import sha256_bytes

_LONGEST = 40
"""Characters of a name that tell what was changed; a name is part of folders and containers."""


@dataclass(frozen=True)
class Trial:
    """What is changed for one measurement.

    Attributes:
        of: the variant that is changed.
        flags: flags added or replaced.
        drop: flags left out.
        env: variables of the server added or replaced.
    """

    of: str
    flags: Mapping[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the new variant: `ar.max-num-seqs-4`. The same changes have the same name."""
        parts = [*(f"{flag_key(key)}-{_word(value)}" for key, value in self.flags.items())]
        parts += [f"no-{flag_key(key)}" for key in self.drop]
        parts += [f"{key}-{value}" for key, value in self.env.items()]
        exact = "-".join(parts)
        said = re.sub(r"[^a-z0-9]+", "-", exact.lower()).strip("-")
        if said != exact or len(said) > _LONGEST:
            whole = json.dumps(self.as_data(), sort_keys=True)
            said = f"{said[:_LONGEST].rstrip('-') or 'trial'}-{sha256_bytes(whole.encode())[:6]}"
        return f"{self.of}.{said}"

    @property
    def title(self) -> str:
        """The changes in words, for people."""
        words = [f"{flag_key(key)} {_word(value)}" for key, value in self.flags.items()]
        words += [f"without {flag_key(key)}" for key in self.drop]
        words += [f"{key}={value}" for key, value in self.env.items()]
        return f"{self.of} with {', '.join(words)}"

    def amend(self, data: Any) -> Any:
        """A recipe's data, as its author wrote it, with this variant added.

        Raises:
            RecipegenError: the recipe has no variant to change, or has one of the new name.
        """
        variants = data.get("variants") if isinstance(data, dict) else None
        if not isinstance(variants, dict) or self.of not in variants:
            raise RecipegenError(f"there is no variant {self.of!r} to change")
        if self.name in variants:
            raise RecipegenError(f"the recipe has a variant {self.name!r} already", hint="measure that one")
        base = variants[self.of]
        base = base if isinstance(base, dict) else {}
        flags, env, drop = base.get("flags") or {}, base.get("env") or {}, base.get("drop") or []
        changed = {flag_key(key) for key in (*self.flags, *self.drop)}
        own = {key: value for key, value in flags.items() if flag_key(str(key)) not in changed}
        common = (data.get("engine") or {}).get("flags") or {}
        known = {flag_key(str(key)) for key in (*flags, *common)}
        absent = [key for key in self.drop if flag_key(key) not in known]
        if absent:
            raise RecipegenError(f"{self.of} has no flag {absent[0]!r} that could be left out")
        dropped = [key for key in self.drop if flag_key(key) in {flag_key(str(name)) for name in common}]
        body = {
            **{key: value for key, value in base.items() if key != "silenced"},
            "title": self.title[:200],
            "flags": {**own, **self.flags},
            "drop": [*(key for key in drop if flag_key(str(key)) not in changed), *dropped],
            "env": {**env, **self.env},
        }
        return {**data, "variants": {**variants, self.name: body}}

    def as_data(self) -> dict[str, Any]:
        """The changes for a run's record."""
        return {**asdict(self), "drop": list(self.drop)}


def trial_of(record: Mapping[str, Any]) -> Trial | None:
    """The changes that a run was measured with; None for a variant of the recipe itself.

    Raises:
        RecipegenError: the record's entry is none.
    """
    data = record.get("trial")
    if data is None:
        return None
    try:
        return Trial(str(data["of"]), dict(data["flags"]), tuple(map(str, data["drop"])), dict(data["env"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RecipegenError(f"a run's record says wrongly what was changed: {error}") from error


def parse_trial(of: str, flags: Iterable[str], drop: Iterable[str], env: Iterable[str]) -> Trial | None:
    """The changes that a command line asks for; None where it asks for none.

    Args:
        of: the variant to change.
        flags: `FLAG=VALUE` each, VALUE as in recipe.yaml: a number, true, JSON, plain text. `FLAG` alone is true.
        drop: flags to leave out.
        env: `VAR=VALUE` each.

    Raises:
        RecipegenError: a text is not of that form.
    """
    found = dict(_assigned(text, "FLAG=VALUE") for text in flags)
    variables = dict(_assigned(text, "VAR=VALUE") for text in env)
    if None in variables.values():
        raise RecipegenError("a variable needs a value", hint="--set-env VAR=VALUE")
    trial = Trial(
        of,
        {key: True if text is None else _value(text) for key, text in found.items()},
        tuple(drop),
        {key: str(text) for key, text in variables.items()},
    )
    return trial if trial.flags or trial.drop or trial.env else None


def _assigned(text: str, form: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name:
        raise RecipegenError(f"{text!r} is not {form}")
    return name, value if equals else None


def _value(text: str) -> Any:
    """A value as recipe.yaml would have it."""
    from pathlib import Path

    from recipegen.load.yamldoc import parse

    return parse(f"value: {text}", Path(f"--set …={text}")).data["value"] if text else ""


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
