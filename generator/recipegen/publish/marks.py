"""The field's marks beside the words they stand for: one table, wherever a status or a verdict is shown."""

from __future__ import annotations

from collections.abc import Mapping

from recipegen.results.store import DOUBTFUL

STATUS: Mapping[str, tuple[str, str]] = {
    "shipped": ("✅", "measured from its repository, and in use"),
    "measured": ("✅", "measured from its repository"),
    "measuring": ("⏳", "being measured"),
    "staged": ("📦", "ready to be measured"),
    "planned": ("📝", "written down, nobody has run it yet"),
    "research": ("🔬", "research: not known to work"),
    "report": ("📄", "a record of what others measured"),
    "archived": ("🗄️", "kept, no longer looked after"),
    "no-pass": ("❌", "tried, and did not reach its aim"),
}
"""Status of a recipe to its mark and what it says. ✅ and 🔬 are those that published tables of this field use."""
QUALITY: Mapping[str | None, tuple[str, str]] = {
    "pass": ("✅", "every question was answered rightly"),
    "warn": ("⚠️", "most questions were answered rightly"),
    "fail": ("❌", "the server did not answer rightly, so that its speed makes no row"),
    None: ("–", "nobody asked the server anything"),
}
DOUBT = "⚠️"
"""Stands beside a figure that may not be one."""


def marked(status: str) -> str:
    """`✅ measured`: a mark alone says nothing to those who cannot see it, or do not know it."""
    mark = STATUS.get(status, ("", ""))[0]
    return f"{mark} {status}".strip()


def quality_marked(quality: str | None) -> str:
    """`✅ pass`, `– not asked`."""
    return f"{QUALITY.get(quality, ('', ''))[0]} {quality or 'not asked'}".strip()


def is_doubtful(verdict: str | None) -> bool:
    """Whether a plausibility verdict must stand beside its figure."""
    return verdict in DOUBTFUL
