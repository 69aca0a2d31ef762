"""Holds the stored flags of a vLLM against what `vllm serve --help=all` prints. Owns the reading of that text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BY_HAND = {"-O"}
"""Spellings that vLLM replaces before argparse sees them; the help does not name them."""

OF_THE_DEVICE = {"mm-processor-device": ["cuda"]}
"""Choices that name the device vLLM runs on: the data is made as on an NVIDIA GPU, a test may run on a CPU."""


def printed(text: str) -> dict[str, list[str] | None]:
    """Every option of a help text, with dashes, and the words in its braces.

    Args:
        text: what the engine prints when COLUMNS is so wide that nothing is broken into lines.
    """
    found: dict[str, list[str] | None] = {}
    for line in re.findall(r"^  (--?[A-Za-z].*)$", text, re.MULTILINE):
        head = re.split(r"\s{2,}", line)[0]
        braces = re.search(r"\{([^}]*)\}", head)
        words = [word for word in braces[1].split(",") if word != "None"] if braces else None
        bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", head)
        for option in re.findall(r"(?:^|, )(--?[A-Za-z][\w-]*)", bare):
            found[option] = words
    for option in ("-h", "--help"):
        found.pop(option, None)
    return found


def stored(data: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Every spelling in the data, with dashes, to its flag's name and facts."""
    spellings = {}
    for name, facts in data["flags"].items():
        for key in (name, *facts["aliases"], *([facts["off"]] if facts["off"] else [])):
            spellings[key if key.startswith("-") else f"--{key}"] = (name, facts)
    return spellings


def differences(text: str, data: Mapping[str, Any]) -> list[str]:
    """What the help text and the stored data do not agree on, a sentence each.

    Choices of flags in `open` are the engine's own words, to which plugins may add; argparse does not print all of
    them as choices, so they are compared only where it does.
    """
    engine, ours = printed(text), stored(data)
    said = [f"{option}: in the help alone" for option in sorted(engine.keys() - ours.keys())]
    said += [f"{option}: in the data alone" for option in sorted(ours.keys() - engine.keys() - BY_HAND)]
    for option in sorted(engine.keys() & ours.keys()):
        name, facts = ours[option]
        words = engine[option]
        choices = [str(choice) for choice in facts["choices"] or ()]
        if words is None and (name in data["open"] or not choices):
            continue
        choices = [word for word in choices if word in (words or ()) or word not in OF_THE_DEVICE.get(name, ())]
        if sorted(words or ()) != sorted(choices):
            said.append(f"{option}: the help has {words}, the data {choices}")
    return said
