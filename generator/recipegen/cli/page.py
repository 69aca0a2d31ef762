"""Lines and tables for a terminal: data styles nothing, and no more columns are taken than there are. Owns no data."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from recipegen.cli import plain
from recipegen.cli.plots import encodable, shows_blocks

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

INDENT, GAP = 2, 2
"""Columns before a table, and between two of its own."""


class Page:
    """Lines and tables for one terminal.

    Args:
        piped: columns where the output is no terminal and COLUMNS does not say; rich's 80 by default.
    """

    def __init__(self, piped: int | None = None) -> None:
        from rich.console import Console

        self._stream = sys.stdout
        width = None if self._stream.isatty() or os.environ.get("COLUMNS") else piped
        self._console = Console(file=self._stream, markup=False, emoji=False, highlight=False, width=width)
        self.blocks = shows_blocks(self._stream.encoding)

    @property
    def width(self) -> int:
        """Columns."""
        return self._console.width

    def text(self, text: str, style: str = "") -> Text:
        """Text that styles nothing but itself and that the terminal's encoding can show."""
        from rich.text import Text

        return Text(encodable(plain(text), self._stream.encoding), style)

    def line(self, text: str = "", style: str = "", indent: int = 0) -> None:
        """A line, left to the terminal to break."""
        self._print(self.text(" " * indent + text, style), whole=True)

    def table(self, columns: Sequence[tuple[bool, int | None]], rows: Sequence[Sequence[Text]]) -> None:
        """Rows, of which the first is the head. A column is whether it holds figures, and its width if it is set.

        Those with a width, and the last one, are folded where they are too narrow.
        """
        from rich.padding import Padding
        from rich.table import Table

        table = Table(box=None, show_header=False, padding=(0, GAP, 0, 0), pad_edge=False)
        for at, (right, width) in enumerate(columns):
            whole = width is None and at < len(columns) - 1
            table.add_column(justify="right" if right else "left", width=width, overflow="fold", no_wrap=whole)
        for row in rows:
            table.add_row(*row)
        self._print(Padding(table, (0, 0, 0, INDENT)))

    def _print(self, what: RenderableType, whole: bool = False) -> None:
        with self._console.capture() as captured:
            self._console.print(what, soft_wrap=whole)
        click.echo("\n".join(line.rstrip() for line in captured.get().split("\n")), nl=False)
