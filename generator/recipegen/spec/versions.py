"""Versions of engines and packages, PEP 440. Owns reading them; what is no version is None, never an error."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packaging.version import Version

_PROJECT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_LEADING = re.compile(r"v?[0-9]+(?:\.[0-9]+)+[^\s,;()]*")


def parse_version(value: Any) -> Version | None:
    """The version that a text begins with (`0.20.2rc1.dev3+gcb03fee32 (host venv)`), or None."""
    return _parse(str(value).strip()) if isinstance(value, str | int | float) else None


@lru_cache(maxsize=4096)
def _parse(text: str) -> Version | None:
    from packaging.version import InvalidVersion, Version

    match = _LEADING.match(text)
    if match is None:
        return None
    try:
        return Version(match[0])
    except InvalidVersion:
        return None


def project(requirement: str) -> str:
    """The name of a requirement's project, normalized as PEP 503 says: `Mistral_Common>=1.11` -> mistral-common."""
    found = _PROJECT.match(requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def lowest(requirement: str | None) -> Version | None:
    """The lowest version that a requirement admits: `transformers>=5.0.0` -> 5.0.0; None when it names none."""
    from packaging.requirements import InvalidRequirement, Requirement

    if requirement is None:
        return None
    try:
        parts = Requirement(requirement).specifier
    except InvalidRequirement:
        return None
    bounds = [parse_version(part.version) for part in parts if part.operator in ("==", ">=", "~=", ">")]
    return max((bound for bound in bounds if bound is not None), default=None)
