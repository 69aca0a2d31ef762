"""The launch line of a LocalMaxxing row: what ran, without what is nobody's business. Owns the cleaning; what is left
is held against the hygiene rules as everything else is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from recipegen.engines import engine
from recipegen.quoting import shell_command, shell_word
from recipegen.results.scrub import is_secret

if TYPE_CHECKING:
    from recipegen.results.store import RunRecord
    from recipegen.spec.completed import Spec

WEIGHTS = "<weights>"
PATH = "<path>"
LONGEST = 3900
"""Characters; two clients cut here, and 4000 are thought to be the limit."""
_DROPPED = ("--host", "--port")
_PATH = re.compile(r"(?<![\w>/:.-])~?/[\w.+-]+(?:/[\w.+-]+)*/?")
"""An absolute path, as a word or inside of one (JSON, `a=/b`); no part of a web address."""


def launch_line(spec: Spec, record: RunRecord) -> str:
    """The server's command with its variables in front, models by their hub ids, paths and secrets taken out."""
    server = record["server"] or {}
    argv, env = server.get("argv"), server.get("env")
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        command = engine(spec.engine.name).command(spec, record["variant"])
        argv, env = command.recorded(), dict(command.env)
    places = _places(spec)
    words = [_cleaned(word, places) for word in _without_addresses(argv)]
    # The name of an assignment must not be quoted: a shell would look for a program of that name.
    settings = [f"{name}={shell_word(_cleaned(value, places))}" for name, value in _open(env or {})]
    return shorten(" ".join([*settings, shell_command(words)]), LONGEST)


def shorten(text: str, longest: int) -> str:
    """A text of at most so many characters; ` …` says that something is missing."""
    return text if len(text) <= longest else f"{text[: longest - 2]} …"


def _places(spec: Spec) -> list[tuple[str, str]]:
    """Where models lie, and what to write instead; the longest place first, since one may begin like another."""
    found = {}
    for model in spec.models.values():
        if model.folder is None:
            continue
        named = model.hf_id or WEIGHTS
        for root in ("${MODELS_DIR}", spec.run.models_path):
            place = f"{root}/{model.folder}"
            found[place] = named
            if model.file:
                found[f"{place}/{model.file}"] = f"{named}/{model.file}" if model.hf_id else WEIGHTS
    return sorted(found.items(), key=lambda item: len(item[0]), reverse=True)


def _without_addresses(argv: Sequence[str]) -> Iterator[str]:
    """The words without the server's own address and without any flag that holds a secret."""
    words = list(argv)
    at = 0
    while at < len(words):
        word = words[at]
        name, equals, value = word.partition("=")
        following = words[at + 1] if at + 1 < len(words) else ""
        apart = not equals and not following.startswith("-")
        if name in _DROPPED or (name.startswith("-") and is_secret(name, value if equals else following)):
            at += 2 if apart else 1
            continue
        yield word
        at += 1


def _open(env: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in env.items():
        if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and not is_secret(name, value):
            yield name, value


def _cleaned(word: str, places: Sequence[tuple[str, str]]) -> str:
    for place, named in places:
        word = re.sub(rf"{re.escape(place)}(?![\w.+-])", lambda _, named=named: named, word)  # type: ignore[misc]
    word = word.replace("${MODELS_DIR}", WEIGHTS)
    return _PATH.sub(PATH, word)
