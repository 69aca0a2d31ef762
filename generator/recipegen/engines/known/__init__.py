"""Flags that released engine versions know, as data read when asked for. Owns finding the right version's data.

The files are made by generator/known_flags from the engines' own argument parsers; see docs/known-flags.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from recipegen.spec.versions import parse_version

FOLDER = Path(__file__).parent
_BUILD = re.compile(r"b[0-9]{1,9}\b")
_NAME = re.compile(r"(?P<engine>[a-z.]+)-(?P<version>.+)\.json")


@dataclass(frozen=True)
class Known:
    """What one version of an engine knows.

    Attributes:
        version: the version that the data is of.
        flags: long name without dashes to its facts: aliases, kind, choices, default, nargs, off, deprecated, min,
            max, json (name of the config class whose keys it takes).
        json: name of a config class to its keys' facts: kind, choices, default, min, max.
        env: environment variables that the engine reads.
        open: flags whose choices plugins, or names of Python classes, can add to.
    """

    engine: str
    version: str
    flags: Mapping[str, Mapping[str, Any]]
    json: Mapping[str, Mapping[str, Mapping[str, Any]]]
    env: frozenset[str]
    open: frozenset[str]
    aliases: Mapping[str, str]


@cache
def known_versions(engine: str) -> tuple[str, ...]:
    """Versions of an engine that there is data of, oldest first."""
    found = [match for match in map(_NAME.fullmatch, (path.name for path in FOLDER.glob("*.json"))) if match]
    return tuple(sorted((m["version"] for m in found if m["engine"] == engine), key=_order))


def _order(version: str) -> tuple[Any, ...]:
    """llama.cpp counts builds (b8833); others have versions."""
    parsed = parse_version(version)
    return _three(parsed.release) if parsed else (int(version.lstrip("b")) if version.lstrip("b").isdigit() else 0,)


def _three(release: tuple[int, ...]) -> tuple[int, ...]:
    """0.22 is 0.22.0."""
    return (*release, 0, 0)[: max(len(release), 3)]


@lru_cache(maxsize=1024)
def nearest(engine: str, version: str | None) -> str | None:
    """The version whose data stands for `version`: itself, else the last one before it, else the first one after.

    A development build (0.19.2rc1.dev213) is cut from the main branch, which the next release comes from: the first
    stored release after it stands for it. None without data, or without a version.
    """
    stored = known_versions(engine)
    build = _BUILD.match(version or "")
    parsed = parse_version(version)
    if not stored or (parsed is None and build is None):
        return None
    wanted = _three(parsed.release) if parsed else (int(build[0][1:]),) if build else ()
    before = [name for name in stored if _order(name) <= wanted]
    after = [name for name in stored if _order(name) >= wanted]
    if parsed and parsed.is_prerelease:
        return (after or before)[0 if after else -1]
    return before[-1] if before else stored[0]


@cache
def load_known(engine: str, version: str) -> Known:
    """The data of one stored version."""
    raw = json.loads((FOLDER / f"{engine}-{version}.json").read_bytes())
    return Known(
        engine=engine,
        version=version,
        flags=raw["flags"],
        json=raw["json"],
        env=frozenset(raw["env"]),
        open=frozenset(raw.get("open", ())),
        aliases={alias: name for name, facts in raw["flags"].items() for alias in facts["aliases"]},
    )


def known(engine: str, version: str | None) -> Known | None:
    """The data that stands for a version, or None."""
    stored = nearest(engine, version)
    return load_known(engine, stored) if stored else None


def is_version(engine: str, version: str | None) -> bool:
    """Whether a text names a version of an engine: a release, or a build of llama.cpp (b8833)."""
    return parse_version(version) is not None or (engine == "llama.cpp" and bool(_BUILD.match(version or "")))


def same_version(one: str | None, other: str) -> bool:
    """Whether two texts name the same release or build: `v0.22.0+cu130` and 0.22.0, `b8833 (45cac7ca7)` and b8833."""
    from packaging.version import Version

    parsed, wanted = parse_version(one), parse_version(other)
    if parsed and wanted:
        return Version(parsed.public) == Version(wanted.public)
    build = _BUILD.match(one or "")
    return bool(build and build[0] == other)


def newest(engine: str) -> Known | None:
    """The data of the newest stored version, or None."""
    stored = known_versions(engine)
    return load_known(engine, stored[-1]) if stored else None


def aliases(engine: str, version: str | None) -> Mapping[str, str]:
    """Other spellings of an engine's flags to the long one; of the newest version where the version is not known."""
    stored = nearest(engine, version) or next(reversed(known_versions(engine)), None)
    return load_known(engine, stored).aliases if stored else {}
