"""A shell text as the commands that a shell would see, without running any. Owns the words: quotes, escapes,
continuations, comments, plain variables and arrays of the same text. What only a running shell could say (`$(…)`, an
unset variable, arithmetic) stays as it is written, and its word says why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from recipegen.errors import RecipegenError
from recipegen.exchange.words import Made, Simple, Word

MAX_EXPANDED = 1 << 20
"""Characters of all words together: what variables that double themselves would exceed."""
MAX_WORDS = 20_000
"""Words of a whole text; the longest script here has about 60."""
MAX_DEPTH = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_SUBSCRIPT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[[@*]\])?(?:(:?[-=?])(.*))?", re.DOTALL)
_OPERATORS = ("&&", "||", ";;", "|&", "|", "&", ";", "(", ")", "\n")
_REDIRECT = re.compile(r"&>>?|<<<|<<-?|>>|[<>]&?|>\|")
_OPENS = ("if", "while", "until", "for", "case", "select", "{")
_CLOSES = ("fi", "done", "esac", "}")
_WITHIN = ("then", "do", "else", "elif", "!")
_DECLARES = ("export", "declare", "readonly", "local", "typeset")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\\.")
_BRACES = re.compile(r"(?<!\$)\{[^{}]*\}")
_ANSI = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v", "0": "\0"}


class ShellSyntax(RecipegenError):
    """A text that no shell would read.

    Attributes:
        line: of the text, counted from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def commands(
    text: str, first_line: int = 1, known: Mapping[str, str] | None = None
) -> tuple[list[Simple], dict[str, Word]]:
    """All simple commands of a text, and the variables that it exports.

    Args:
        known: variables that the text finds set when it starts.

    Raises:
        ShellSyntax: a quote or a parenthesis is not closed, or the text grows without measure.
    """
    # A blank after a backslash at a line's end is invisible and never meant; sparkrun repairs it, too.
    reader = _Reader(re.sub(r"\\[ \t]*\n", "\\\n", text.replace("\r\n", "\n")), first_line, known or {})
    return list(reader.all()), reader.exported


class _Reader:
    def __init__(self, text: str, first_line: int, known: Mapping[str, str]) -> None:
        self.text = text
        self.at = 0
        self.first_line = first_line
        self.counted = (0, first_line)
        self.size = 0
        self.count = 0
        self.variables: dict[str, Word] = {"HOME": Word("~"), "PWD": Word(".")}
        self.variables |= {name: Word(value) for name, value in known.items()}
        self.arrays: dict[str, list[Word]] = {}
        self.exported: dict[str, Word] = {}
        self.depth = 0
        self.heredocs: list[str] = []
        self.defaults = 0

    @property
    def line(self) -> int:
        at, line = self.counted
        if self.at >= at:
            line += self.text.count("\n", at, self.at)
            self.counted = (self.at, line)
        return line

    def all(self) -> Iterator[Simple]:
        while self.at < len(self.text):
            command = self.command()
            if command is not None:
                yield command

    def command(self) -> Simple | None:
        """The command that begins here, up to its operator; None where there is none."""
        words: list[Word] = []
        assigned: list[tuple[str, Word]] = []
        redirected: list[str] = []
        line = 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif redirect := re.compile(r"[0-9]*(?=[<>])|(?=&>)").match(self.text, self.at):
                redirected.append(self.redirection(redirect.end()))
            elif operator := next((op for op in _OPERATORS if self.text.startswith(op, self.at)), ""):
                line = line or self.line
                self.at += len(operator)
                if operator == "\n":
                    self.skip_heredocs()
                if operator in ("|", "|&", "&") and words:
                    redirected.append(operator)
                return self.finished(words, assigned, redirected, line)
            else:
                line = line or self.line
                found = None if words else _ASSIGNMENT.match(self.text, self.at)
                if found:
                    assigned += self.assignment(found)
                else:
                    words += self.word()
        return self.finished(words, assigned, redirected, line)

    def finished(
        self, words: list[Word], assigned: list[tuple[str, Word]], redirected: list[str], line: int
    ) -> Simple | None:
        while words and words[0].text in (*_OPENS, *_CLOSES, *_WITHIN):
            keyword = words.pop(0).text
            self.depth = max(0, self.depth + (keyword in _OPENS) - (keyword in _CLOSES))
            if keyword in ("for", "case", "select"):
                words.clear()
            while words and not words[0].why and (found := _ASSIGNMENT.match(words[0].text)):
                word = words.pop(0)
                assigned.append((found[1], Word(word.text[found.end() :], word.line)))
        if words and words[0].text in _DECLARES:
            for word in words[1:]:
                name, equals, value = word.text.partition("=")
                if equals and _NAME.fullmatch(name):
                    self.set(name, Word(value, word.line, word.why))
                if words[0].text == "export" and name in self.variables:
                    self.exported[name] = self.variables[name]
            return None
        if not words:
            for name, word in assigned:
                self.set(name, word)
            return None
        return Simple(tuple(words), tuple(assigned), line, self.depth, tuple(redirected))

    def set(self, name: str, word: Word) -> None:
        if self.depth:  # only one of a branch's ways is taken, and no one knows which
            word = Word(f"${{{name}}}", word.line, f"the variable {name}, which is set in a branch of the script")
            self.variables.setdefault(name, word)
        else:
            self.variables[name] = word
        if name in self.exported:
            self.exported[name] = self.variables[name]

    def assignment(self, found: re.Match[str]) -> Iterator[tuple[str, Word]]:
        name, adds = found[1], bool(found[2])
        self.at = found.end()
        if self.text.startswith("(", self.at):
            self.at += 1
            items = list(self.array())
            self.arrays[name] = (self.arrays.get(name, []) if adds else []) + items
            if self.depth and items:
                why = f"the array {name}, part of which is set in a branch of the script"
                self.arrays[name] = [Word(item.text, item.line, item.why or why) for item in self.arrays[name]]
            return
        pieces = self.word(split=False) if self.at < len(self.text) and self.text[self.at] not in " \t\n;&|" else []
        word = pieces[0] if pieces else Word("", self.line)
        if adds and name in self.variables:
            before = self.variables[name]
            word = Word(before.text + word.text, word.line, before.why or word.why)
        yield name, word

    def array(self) -> Iterator[Word]:
        """Words up to the closing parenthesis."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\n":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "#":
                self.at = (self.text.find("\n", self.at) + 1) or len(self.text)
            elif char == ")":
                self.at += 1
                return
            elif char in "(;&|<>":
                raise ShellSyntax(f"an array cannot hold {char!r} without quotes", self.line)
            else:
                yield from self.word()
        raise ShellSyntax("an array's parenthesis is not closed", self.line)

    def redirection(self, after_number: int) -> str:
        begin, self.at = self.at, after_number
        found = _REDIRECT.match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        while self.text.startswith((" ", "\t"), self.at):
            self.at += 1
        start = self.at
        target = self.word() if self.at < len(self.text) and self.text[self.at] not in "\n;&|()<>" else []
        if found[0].startswith("<<") and found[0] != "<<<" and target:
            self.heredocs.append(target[0].text)
        self.at = max(self.at, start)
        return " ".join(self.text[begin : self.at].split())

    def skip_heredocs(self) -> None:
        for end in self.heredocs:
            while self.at < len(self.text):
                stop = self.text.find("\n", self.at)
                line = self.text[self.at : stop if stop >= 0 else len(self.text)]
                self.at = stop + 1 if stop >= 0 else len(self.text)
                if line.strip() == end:
                    break
        self.heredocs.clear()

    def word(self, *, split: bool = True) -> list[Word]:
        """The word that begins here; several, or none, where a variable without quotes holds so many."""
        begin, line = self.at, self.line
        made = Made(line)
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\n;&|()<>":
                break
            if char == "\\":
                if not self.text.startswith("\\\n", self.at):
                    made.add(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif char == "'":
                made.add(self.until("'"))
            elif char == '"':
                self.at += 1
                made.add("")
                self.double_quoted(made)
            elif self.text.startswith("$'", self.at):
                self.at += 1
                made.add(self.ansi())
            elif char == "$" or char == "`":
                self.expansion(made, split=split)
            else:
                made.add(char)
                self.at += 1
        raw = self.text[begin : self.at]
        if "{" in raw and any("," in span or ".." in span for span in _BRACES.findall(_QUOTED.sub("Q", raw))):
            made.reason("a brace expansion")
        words = made.words()
        self.size += sum(len(word.text) for word in words)
        self.count += len(words)
        if self.count > MAX_WORDS:
            raise ShellSyntax(f"has more than {MAX_WORDS:,} words", line)
        if self.size > MAX_EXPANDED:
            raise ShellSyntax("grows too large once its variables are put in", line)
        return words

    def until(self, quote: str) -> str:
        end = self.text.find(quote, self.at + 1)
        if end < 0:
            raise ShellSyntax(f"the quote {quote} is not closed", self.line)
        found, self.at = self.text[self.at + 1 : end], end + 1
        return found

    def double_quoted(self, made: Made) -> None:
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\", "\n"):
                made.add(self.text[self.at + 1].replace("\n", ""))
                self.at += 2
            elif char in "$`":
                self.expansion(made, split=False)
            else:
                made.add(char)
                self.at += 1
        raise ShellSyntax('the quote " is not closed', made.line)

    def ansi(self) -> str:
        """What $'…' stands for; the reader is at the quote."""
        found = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self.text, self.at)
        if found is None:
            raise ShellSyntax("the quote $' is not closed", self.line)
        self.at = found.end()

        def decode(match: re.Match[str]) -> str:
            if match[1]:
                return bytes.fromhex("".join(re.findall(r"\\x([0-9a-fA-F]{2})", match[0]))).decode(errors="replace")
            return _ANSI.get(match[2], match[2])

        return re.sub(r"((?:\\x[0-9a-fA-F]{2})+)|\\(.)", decode, found[1], flags=re.DOTALL)

    def expansion(self, made: Made, *, split: bool) -> None:
        begin = self.at
        if self.text[begin] == "`":
            inner = self.until("`")
            self.substitution(made, inner, f"`{inner}`")
        elif self.text.startswith("$(", begin):
            inner = self.balanced("(", ")")
            self.substitution(made, inner, f"$({inner})")
        elif self.text.startswith("${", begin):
            self.variable(made, self.balanced("{", "}"), split=split)
        elif name := _NAME.match(self.text, begin + 1):
            self.at = name.end()
            self.variable(made, name[0], split=split)
        elif re.compile(r"[0-9@*#?!$-]").match(self.text, begin + 1):
            made.add(self.text[begin : begin + 2])
            made.reason(f"{self.text[begin : begin + 2]}, which only a running shell has")
            self.at += 2
        else:
            made.add("$")
            self.at += 1

    def substitution(self, made: Made, inner: str, raw: str) -> None:
        if inner.strip() == "pwd":
            made.add(".")
            return
        made.add(raw)
        made.reason(f"the output of a command, {raw[:60]}")

    def balanced(self, left: str, right: str) -> str:
        """What stands between `$(` and `)` or `${` and `}`; the reader is at the dollar sign."""
        begin, depth = self.at + 2, 1
        at = begin
        while at < len(self.text):
            char = self.text[at]
            if char == "\\":
                at += 1
            elif char == "'" and left == "(":
                at = self.text.find("'", at + 1)
                if at < 0:
                    break
            elif char == left:
                depth += 1
            elif char == right:
                depth -= 1
                if depth == 0:
                    self.at = at + 1
                    return self.text[begin:at]
            at += 1
        raise ShellSyntax(f"${left} is not closed", self.line)

    def variable(self, made: Made, inner: str, *, split: bool) -> None:
        found = _SUBSCRIPT.fullmatch(inner)
        if found is None:
            made.add(f"${{{inner}}}")
            made.reason(f"${{{inner[:60]}}}, which only a running shell can work out")
            return
        name, operator, default = found[1], found[2], found[3]
        if name in self.arrays:
            made.many(self.arrays[name])
            return
        known = self.variables.get(name)
        if operator and "?" not in operator and (known is None or (operator.startswith(":") and not known.text)):
            known = self.default(default)
        if known is None:
            made.add(f"${{{name}}}")
            made.reason(f"the variable {name}, which the text does not set")
        elif split and not known.why:
            made.split(known.text)
        else:
            made.add(known.text)
            made.reason(known.why)

    def default(self, text: str) -> Word:
        """The value of `${NAME:-text}`."""
        self.defaults += 1
        if self.defaults > MAX_DEPTH:
            raise ShellSyntax("is nested too deeply", self.line)
        outer = (self.text, self.at, self.counted)
        made = Made(self.line)
        self.text, self.at = text.strip("\"'") + '"', 0
        try:
            self.double_quoted(made)
        finally:
            self.text, self.at, self.counted = outer
            self.defaults -= 1
        return Word(made.text, made.line, made.why)
