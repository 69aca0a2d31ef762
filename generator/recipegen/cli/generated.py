"""Files that are generated from the code and committed; run as a module, it writes them. A test compares."""

from __future__ import annotations

from pathlib import Path

import click

from recipegen.cli import cli
from recipegen.fit.page import fit_page
from recipegen.lint.page import rules_page
from recipegen.publish.data_model import index_schema_text
from recipegen.publish.data_page import index_format_page
from recipegen.spec.schema import SCHEMA_FILE, schema_text

HELP = Path(__file__).with_name("help.txt")


def help_text() -> str:
    """`recipegen --help` at 80 columns."""
    settings = {**cli.context_settings, "terminal_width": 80, "max_content_width": 80}
    with click.Context(cli, info_name="recipegen", **settings) as context:
        return cli.get_help(context) + "\n"


def generated() -> dict[Path, str]:
    """Path to text of every generated file of a source checkout."""
    root = Path(__file__).parents[3]
    return {
        HELP: help_text(),
        root / SCHEMA_FILE: schema_text(),
        root / "docs" / "rules.md": rules_page(),
        root / "docs" / "fit.md": fit_page(),
        root / "docs" / "index-format.md": index_format_page(),
        root / "docs" / "index.schema.json": index_schema_text(),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")
