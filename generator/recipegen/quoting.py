"""The only code that turns a value into the syntax of another language. Owns no templates.

A value of a spec is data. Whatever it holds, it must come out of a shell script, a Dockerfile, a JSON text or
a Markdown page as that same value. Each function here serves one target grammar.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Var:
    """A knob: an environment variable that is put in when the command runs."""

    name: str


Part = str | Var
Arg = tuple[Part, ...]
"""One argument of a command: literal pieces and knobs, in order."""

_BARE = re.compile(r"[A-Za-z0-9_@%+:./-]+|--[a-z0-9-]+=[A-Za-z0-9_@%+:./=-]*")
"""Words that need no quotes. In an array shellcheck takes `a,b` and `a=b` for slips (SC2054, SC2191)."""
_RESERVED = frozenset(
    [
        "case",
        "coproc",
        "do",
        "done",
        "elif",
        "else",
        "esac",
        "fi",
        "for",
        "function",
        "if",
        "in",
        "select",
        "then",
        "time",
        "until",
        "while",
    ]
)
"""Words of bash's grammar: harmless as an argument, but easily misread, by shellcheck too (SC1010)."""
_ASCII = re.compile(r"[ -~]*")
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of characters that a reader does not see: controls, direction marks, halves of surrogate pairs
(which UTF-8 cannot hold), line separators."""


def shell_word(value: str) -> str:
    """One shell word (bash) that expands to exactly `value`, in every locale.

    Raises:
        ValueError: for a NUL, which no argument of a process can hold.
    """
    if "\0" in value:
        raise ValueError("a NUL character cannot be passed to a process")
    if _BARE.fullmatch(value) and value not in _RESERVED:
        return value
    plain = not set(value) & set("'$`\\")
    if plain and not value.startswith("~") and all(map(_plain_in_single_quotes, value)):
        return f"'{value}'"
    if _ASCII.fullmatch(value) and not value.startswith("~"):
        return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'
    # \u in $'…' means another thing in each locale; the bytes of UTF-8 are the same in all.
    return "$'" + "".join(map(_ansi_c, value)) + "'"


def _plain_in_single_quotes(char: str) -> bool:
    """Neither invisible nor a typographic quote, which shellcheck takes for a slip (SC1112)."""
    return unicodedata.category(char) not in (*_INVISIBLE, "Pi", "Pf")


def _ansi_c(char: str) -> str:
    if char in "\\'":
        return "\\" + char
    if " " <= char <= "~":
        return char
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
    return named or "".join(f"\\x{byte:02x}" for byte in char.encode())


def shell_arg(arg: Arg) -> str:
    """One argument as a shell word; knobs stay variables: `"${MODELS_DIR}"/Qwen3.6-27B`."""
    return "".join(f'"${{{p.name}}}"' if isinstance(p, Var) else shell_word(p) for p in arg) or "''"


def shell_command(words: Iterable[str]) -> str:
    """A command line to copy: every word quoted where it must be."""
    return " ".join(map(shell_word, words))


def symbolic(arg: Arg) -> str:
    """One argument with knobs named, not put in: `${MODELS_DIR}/Qwen3.6-27B`. For records only."""
    return "".join(f"${{{p.name}}}" if isinstance(p, Var) else p for p in arg)


def dockerfile_string(value: str) -> str:
    """A double-quoted value for ENV, ARG and LABEL in a Dockerfile.

    Raises:
        ValueError: for control characters; a Dockerfile instruction ends with its line.
    """
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in value):
        raise ValueError("a Dockerfile value cannot hold control characters")
    return '"' + re.sub(r'([\\"$])', r"\\\1", value) + '"'


def compact_json(value: Any) -> str:
    """JSON without spaces, keys in the order given, text unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


_YAML_ESCAPED = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")


def yaml_string(value: str) -> str:
    """A double-quoted YAML scalar: a JSON string, with what YAML wants escaped beyond that.

    Characters beyond U+FFFF stay as they are: JSON would write two surrogates, which YAML refuses.
    """
    return _YAML_ESCAPED.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(value, ensure_ascii=False))


_YAML_PLAIN = re.compile(r"(?:\.?/|\$?[A-Za-z_])(?:[A-Za-z0-9_./+ -]*[A-Za-z0-9_./+-])?(?:[:@][A-Za-z0-9_./+-]+)*")
_YAML_WORDS = frozenset(
    ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"]  # in YAML 1.1 too, which others read
)


def yaml_scalar(value: Any) -> str:
    """One value on one line: a plain word where every version of YAML reads that as itself, else a quoted text; what is
    nested in brackets."""
    if isinstance(value, str):
        plain = _YAML_PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS
        return value if plain else yaml_string(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{yaml_scalar(str(key))}: {yaml_scalar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml_scalar, value)) + "]"
    text = json.dumps(value)
    # JSON's 1e-05 is a text for YAML 1.1, which others read.
    return re.sub(r"^(-?[0-9]+)e", r"\1.0e", text) if isinstance(value, float) else text


def compose_string(value: str) -> str:
    """A YAML scalar for a compose file, where a dollar sign would start an interpolation."""
    return yaml_string(value.replace("$", "$$"))


_JOINERS = "\u200c\u200d"
"""Invisible, but part of how emoji, Persian and Indic scripts are written."""


def _one_line(value: str) -> str:
    """The text on one line, without characters that no reader sees."""
    # Nearly every text is printable throughout, and then nothing has to be looked at letter by letter.
    if not value.isprintable():
        value = "".join(c for c in value if c.isspace() or c in _JOINERS or unicodedata.category(c) not in _INVISIBLE)
    return " ".join(value.split())


_MARKDOWN = re.compile(r"^[0-9]{1,9}[.)](?= |$)|[\\`*_{}\[\]<>#+|~&$:@=-]|(?<=www)\.", re.IGNORECASE)
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", ".": "&#46;", "@": "&#64;"}


@lru_cache(maxsize=4096)  # a page of a thousand runs says the same few words a thousand times
def markdown_text(value: str) -> str:
    """Inline Markdown that shows `value` and nothing else: no markup, no HTML, no line breaks, no links."""
    visible = _one_line(value)
    # Only characters that can begin markup where they stand are escaped; prose stays readable in the source.
    return _MARKDOWN.sub(_escape_markdown(visible), visible)


def _escape_markdown(text: str) -> Callable[[re.Match[str]], str]:
    def escape(match: re.Match[str]) -> str:
        char, at = match[0], match.start()
        if len(char) > 1:
            return f"{char[:-1]}\\{char[-1]}"  # a number that would begin a list
        if char in "-+=" and at > 0:
            return char
        if char == "_" and 0 < at < len(text) - 1 and text[at - 1].isalnum() and text[at + 1].isalnum():
            return char
        if char == ":":
            return "&#58;" if "://" in text else char
        return _ENTITIES.get(char, "\\" + char)

    return escape


def markdown_paragraphs(value: str) -> str:
    """Prose of several paragraphs, parted by empty lines, each shown as it is written."""
    return "\n\n".join(markdown_text(part) for part in re.split(r"\n\s*\n", value.strip()) if part.strip())


def markdown_code(value: str) -> str:
    """An inline code span that shows `value`, whatever it holds; the invisible is shown as `\\x1b`."""
    flat = " ".join("".join(map(_shown, value)).split()) or " "
    if "\\|" in flat:
        # In a table cell this would lose its backslash, and no escape within a code span prevents it.
        return "<code>" + re.sub(r"[^A-Za-z0-9 ]", lambda m: f"&#{ord(m[0])};", flat) + "</code>"
    longest = max((len(run) for run in re.findall(r"`+", flat)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def _shown(char: str) -> str:
    return char if char.isspace() or unicodedata.category(char) not in _INVISIBLE else ascii(char)[1:-1]


def markdown_cell(text: str) -> str:
    """Finished inline Markdown made safe for a table cell: a bar, even in a code span, would end it."""
    return re.sub(r"(?<!\\)\|", r"\\|", text) if "|" in text else text


def markdown_link(text: str, url: str) -> str:
    """A link whose text is finished inline Markdown; the address must be http(s) or a relative path."""
    return f"[{text}]({url_text(url)})"


def markdown_image(alternative: str, url: str) -> str:
    """An image with its alternative text; the address must be http(s) or a relative path."""
    return f"!{markdown_link(markdown_text(alternative), url)}"


def url_text(url: str) -> str:
    """An address that cannot leave the parentheses of a Markdown link.

    Raises:
        ValueError: for a scheme other than http and https.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if scheme and scheme.group(1).lower() not in ("http", "https"):
        raise ValueError(f"not a web address: {url!r}")
    safe = re.sub(r"[^A-Za-z0-9:/?#@!$&*+,;=%._~-]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), url)
    return re.sub(r"&(?=#?[A-Za-z0-9]+;)", "&amp;", safe)  # Markdown reads entities in addresses too


def url_path(path: str) -> str:
    """A path of a repository as the path of an address: whatever a name holds, it begins no query and no fragment."""
    return quote(path, safe="/")


def html_text(value: str) -> str:
    """Text for HTML content or a quoted attribute."""
    return html.escape(value, quote=True)


def xml_text(value: str) -> str:
    """Text for an element of XML, which cannot hold control characters, not even escaped."""
    return html_text(_drawable(value))


def script_json(value: Any) -> str:
    """JSON for a `<script type="application/json">` element, which ends at the first `</` and knows no entities."""
    text = compact_json(value)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _drawable(value: str) -> str:
    """One line of what XML can hold: the last two code points of its first plane are no characters there."""
    return _one_line(value).replace("\ufffe", "").replace("\uffff", "")


def visible(value: Any, longest: int | None = None) -> Any:
    """Data in which every text is one line without control characters, for drawings that show it as it is.

    Args:
        longest: characters of a text; of a longer one the beginning is kept.
    """
    if isinstance(value, str):
        return _drawable(value)[:longest]
    if isinstance(value, Mapping):
        return {key: visible(one, longest) for key, one in value.items()}
    return [visible(one, longest) for one in value] if isinstance(value, list | tuple) else value


def fenced_block(text: str, language: str = "") -> str:
    """A fenced code block that no line of `text` can end."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def put_in(arg: Arg, knobs: dict[str, str]) -> str:
    """One argument with its knobs put in, as the shell would.

    Raises:
        KeyError: when a knob has no value.
    """
    return "".join(knobs[p.name] if isinstance(p, Var) else p for p in arg)


def literal(*words: str) -> list[Arg]:
    """Arguments without knobs."""
    return [(word,) for word in words]


def comment_text(value: str) -> str:
    """Text for a comment that ends with its line (shell, Dockerfile, YAML)."""
    return _one_line(value)
