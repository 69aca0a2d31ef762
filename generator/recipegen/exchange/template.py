"""Command templates of sparkrun and spark-vllm-docker: `{key}` stands for a default, JSON's braces for themselves.
Owns the substitution, which is text for text, as theirs is; reads no shell.

Both spellings of a literal brace are known: plain JSON (version 2), and the doubled braces of version 1, which hold for
the whole template once `{{` stands in it (a JSON object never begins with two).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recipegen.quoting import compact_json

MAX_LENGTH = 256 << 10
MAX_PASSES = 10
"""Defaults that refer to defaults; deeper than this is a circle."""
_OPEN, _CLOSE = "\ue000", "\ue001"
"""Stand for literal braces while placeholders are put in; of the private use area, and refused in a source."""
_DOUBLED = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
LEFT_OVER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A placeholder for which there is no default."""


class TooLong(ValueError):
    """The text grows without measure."""


def render(template: str, values: Mapping[str, Any]) -> str:
    """The template with its defaults put in; a placeholder without a default stays as it is written.

    Raises:
        TooLong: defaults refer to one another in a circle, or double themselves.
    """
    text = template.replace(_OPEN, "").replace(_CLOSE, "")
    if "{{" in text:
        text = _DOUBLED.sub(lambda match: {"{{": _OPEN, "}}": _CLOSE}.get(match[0], match[0]), text)
    for _ in range(MAX_PASSES):
        changed = _put_in(text, values)
        if changed == text:
            return text.replace(_OPEN, "{").replace(_CLOSE, "}")
        text = changed
    raise TooLong("its defaults refer to one another in a circle")


def _put_in(text: str, values: Mapping[str, Any]) -> str:
    parts: list[str] = []
    length = at = 0
    for match in _PLACEHOLDER.finditer(text):
        key = match[1]
        known = key in values and values[key] is not None
        for part in (text[at : match.start()], plain(values[key]) if known else match[0]):
            parts.append(part)
            length += len(part)
        if length > MAX_LENGTH:
            raise TooLong("grows too large once its defaults are put in")
        at = match.end()
    return "".join([*parts, text[at:]])


def plain(value: Any) -> str:
    """A default as it stands in a command: JSON for what is a mapping, a list or a truth value."""
    return compact_json(value) if isinstance(value, dict | list | bool) else str(value)
