"""An imported recipe as the text of recipe.yaml. Owns its comments and its layout."""

from __future__ import annotations

from recipegen import __version__
from recipegen.exchange.recipe import Draft
from recipegen.exchange.report import Lost
from recipegen.exchange.yaml_text import block
from recipegen.load.yamldoc import Path_
from recipegen.quoting import comment_text

_FLAT: tuple[Path_, ...] = (
    ("engine", "flags", "*"),
    ("variants", "*", "flags", "*"),
    ("variants", "*", "drop"),
    ("image", "apt"),
    ("model", "files"),
    ("bench", "profiles", "*"),
    ("run", "ulimits"),
)
_SECTIONS = ("model", "models", "image", "engine", "headline", "run", "bench", "missing")
"""Keys with an empty line before them."""
_MOST = 200
"""Lines of comment about what was lost; a hostile source could have thousands."""


def recipe_text(draft: Draft) -> str:
    """The whole file. It says where it comes from, and at its end what of the source is not in it."""
    source = draft.source
    lines = [
        f"# Imported by recipegen {__version__} from a {source.kind}: {comment_text(source.file.name)}.",
        "# Nobody has run it from here yet. `recipegen lint` says what is known to go wrong with such a setup.",
    ]
    for key, value in draft.data.items():
        if key in _SECTIONS:
            lines.append("")
        lines += block({key: value}, _FLAT, draft.comments)
    lines += _lost([entry for entry in source.report.lost if entry.runs])
    return "\n".join(lines) + "\n"


def _lost(entries: list[Lost]) -> list[str]:
    if not entries:
        return []
    lines = ["", "# Of the source, this did not translate and changes what runs:"]
    for entry in entries[:_MOST]:
        lines.append(f"# - {comment_text(entry.name)}: {comment_text(entry.why)}")
        if entry.value:
            lines.append(f"#     {comment_text(entry.value)}")
    if len(entries) > _MOST:
        lines.append(f"# - and {len(entries) - _MOST} more")
    return lines
