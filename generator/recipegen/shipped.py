"""Where templates/ and patches/ lie: in the wheel, or at the top of a source checkout. Owns nothing else."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _shipped(name: str) -> Path:
    inside = _PACKAGE / "_shipped" / name
    return inside if inside.is_dir() else _PACKAGE.parents[1] / name


def templates_dir() -> Path:
    """The templates that recipegen ships."""
    return _shipped("templates")


def patches_dir() -> Path:
    """The patches that recipegen ships."""
    return _shipped("patches")
