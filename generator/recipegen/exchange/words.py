"""Words and commands of a shell text. Owns their shape and how a word is put together; reads no text."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word of a command.

    Attributes:
        text: its value, as far as no shell is needed to tell it.
        why: what in it only a running shell could tell; empty for a plain word.
    """

    text: str
    line: int = 0
    why: str = ""


@dataclass(frozen=True)
class Simple:
    """One simple command.

    Attributes:
        assigned: variables that stand before it.
        within: depth of the if, for or function that it stands in.
        redirected: its redirections and pipes, as written.
    """

    words: tuple[Word, ...]
    assigned: tuple[tuple[str, Word], ...]
    line: int
    within: int
    redirected: tuple[str, ...]


class Made:
    """A word in the making; a variable without quotes can end it and begin another."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.done: list[Word] = []
        self.pieces: list[str] = []
        self.why = ""
        self.begun = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.begun = True

    def reason(self, why: str) -> None:
        self.why = self.why or why

    def end(self) -> None:
        if self.begun:
            self.done.append(Word(self.text, self.line, self.why))
        self.pieces, self.why, self.begun = [], "", False

    def split(self, value: str) -> None:
        """A variable's value without quotes: blanks in it part words."""
        parts = re.split(r"[ \t\n]+", value)
        for number, part in enumerate(parts):
            if number:
                self.end()
            if part:
                self.add(part)

    def many(self, words: list[Word]) -> None:
        """An array: each of its words one of its own."""
        for number, word in enumerate(words):
            if number:
                self.end()
            self.add(word.text)
            self.reason(word.why)

    def words(self) -> list[Word]:
        self.end()
        return self.done
