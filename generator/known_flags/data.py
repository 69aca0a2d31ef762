"""The form of the files in generator/recipegen/engines/known: one line per flag, keys sorted. Owns nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

KNOWN = Path(__file__).parents[1] / "recipegen" / "engines" / "known"
WORDS_PER_LINE = 6
"""Names of environment variables on one line."""


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":"))


def _block(value: dict[str, Any], indent: str) -> str:
    if not value:
        return "{}"
    rows = [f"{indent} {_line(key)}: {_line(value[key])}" for key in sorted(value)]
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"


def text(data: dict[str, Any]) -> str:
    """One version's data as the text of its file; the same data gives the same bytes."""
    parts = []
    for key in sorted(data):
        value = data[key]
        if key == "flags":
            printed = _block(value, " ")
        elif key == "json":
            classes = [f"  {_line(name)}: {_block(value[name], '  ')}" for name in sorted(value)]
            printed = "{\n" + ",\n".join(classes) + "\n }" if classes else "{}"
        elif key == "env":
            rows = [value[place : place + WORDS_PER_LINE] for place in range(0, len(value), WORDS_PER_LINE)]
            printed = "[\n" + ",\n".join("  " + _line(row)[1:-1] for row in rows) + "\n ]" if rows else "[]"
        else:
            printed = _line(value)
        parts.append(f" {_line(key)}: {printed}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def write(file: Path, data: dict[str, Any]) -> None:
    """Write one version's file, after checking that it reads back as it was."""
    content = text(data)
    if json.loads(content) != data:
        raise ValueError(f"{file.name} does not read back as it was")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
