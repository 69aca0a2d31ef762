"""YAML with line numbers: what is read, where it stands, and what is refused without harm."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recipegen.errors import RecipegenError, SpecError
from recipegen.load.yamldoc import MAX_BYTES, MAX_DEPTH, Document, parse, read_text

FILE = Path("recipe.yaml")


def read(text: str) -> Document:
    return parse(text, FILE)


def refused(text: str) -> list[str]:
    """Every problem as `line:column message`."""
    with pytest.raises(SpecError) as caught:
        read(text)
    return [f"{p.where.line}:{p.where.column} {p.message}" for p in caught.value.problems]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *((word, word) for word in ("on", "off", "yes", "no", "y", "n", "On", "NO", "<<", "=")),
        *(
            (word, word)
            for word in ("8000:8000", "1:30", "2026-01-01", "2026-11-21T07:00:00Z", "1_000", "0b1", "1.2.3")
        ),
        *((word, word) for word in ("12.1a", "0x", "0o8", "0xg", "+", ".", "..", "1e", "e5", "0o", "--5", "1,5")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("null", "Null", "NULL", "~", "")),
        *(("0", 0), ("-5", -5), ("+5", 5), ("017", 17), ("08", 8), ("0o17", 15), ("0x1F", 31)),
        *(("0.85", 0.85), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-2", -0.015), ("+.5", 0.5)),
        # Numbers that no float or no printable integer holds stay what they were written as.
        *((word, word) for word in ("1e400", "9" * 401, "0x" + "f" * 201)),
        *(("'5'", "5"), ('"true"', "true"), ('"\\u00e9\\n"', "é\n"), ("'it''s'", "it's"), ('""', "")),
        *(("|\n  5\n", "5\n"), (">-\n  a\n  b\n", "a b"), ("[1, on]", [1, "on"]), ("{a: 1}", {"a": 1})),
    ],
)
def test_scalars_follow_the_core_rules_of_yaml_1_2(scalar: str, value: Any) -> None:
    found = read(f"key: {scalar}").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_words_whatever_they_look_like() -> None:
    assert read("on: 1\n5: 2\n~: 3\n1.5: 4\n'': 5\n? complex\n: 6").data == {
        "on": 1, "5": 2, "~": 3, "1.5": 4, "": 5, "complex": 6,
    }  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_part_has_its_place(end: str) -> None:
    document = read(end.join(["# comment", "a:", "  b: é", "  c:", "    - x", "    - {d: 1}", "e: [1, 2]", ""]))
    places = {path: (where.line, where.column) for path, where in document.places.items()}
    assert places == {
        (): (2, 1),
        ("a",): (2, 1),
        ("a", "b"): (3, 3),
        ("a", "c"): (4, 3),
        ("a", "c", 0): (5, 7),
        ("a", "c", 1): (6, 7),
        ("a", "c", 1, "d"): (6, 8),
        ("e",): (7, 1),
        ("e", 0): (7, 5),
        ("e", 1): (7, 8),
    }
    assert str(document.where(("a", "c", 7, "zzz"))) == "recipe.yaml:4:3"  # the nearest that is there
    assert document.where(("nothing",)).line == 2


def test_aliases_stand_for_their_anchors_and_keep_a_place() -> None:
    document = read("a: &x {k: [1]}\nb: *x\n")
    assert document.data == {"a": {"k": [1]}, "b": {"k": [1]}}
    assert document.data["a"] is not document.data["b"]
    assert document.where(("b",)).line == 2
    assert document.where(("b", "k", 0)).line == 1


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1:1 the file is empty"]),
        ("# only a comment\n", ["1:1 the file is empty"]),
        ("a: 1\n---\nb: 2\n", ["2:1 a second document begins here"]),
        ("a: 1\na: 2\nb: {c: 1, c: 2}\na: 3", [
            "2:1 duplicate key 'a'", "3:11 duplicate key 'c'", "4:1 duplicate key 'a'"]),
        ("'5': 1\n5: 2", ["2:1 duplicate key '5'"]),
        ("? [a]\n: 1\n? {b: c}\n: 2", ["1:3 a key must be a word", "3:3 a key must be a word"]),
        ("model:\n\thf_id: x", ["2:1 not valid YAML: a tab indents this line"]),
        ("a:\n  b: 1\n \tc: 2", ["3:2 not valid YAML: a tab indents this line"]),
        ("a: b: c", ["1:5 not valid YAML: mapping values are not allowed in this context"]),
        ("a: @x", ["1:4 not valid YAML: found character that cannot start any token"]),
        ("a: 'x", ["1:6 not valid YAML: found unexpected end of stream"]),
        ("a: é\nb: \"x\x01\"", ["2:6 not valid YAML: holds the character #x0001, which YAML does not allow"]),
        ("a: x\0y", ["1:5 not valid YAML: holds the character #x0000, which YAML does not allow"]),
        ('a: "\\ud800"', ["1:7 not valid YAML: found invalid Unicode character escape code"]),
        ("a: *nowhere", ["1:4 there is no anchor 'nowhere' above"]),
        ("a: !!str 5", ["1:4 the tag 'tag:yaml.org,2002:str' is not known here"]),
        ("a: !!python/object/apply:os.system [id]", [
            "1:4 the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not known here"]),
        ("a: !x {b: 1}", ["1:4 the tag '!x' is not known here"]),
        ("a: .inf\nb: -.Inf\nc: .nan", [
            "1:4 .inf is not a finite number", "2:4 -.Inf is not a finite number", "3:4 .nan is not a finite number"]),
        ("&a [*a]", ["1:1 is nested too deeply"]),
        ("a: &a {b: *a}", ["1:4 is nested too deeply"]),
        ("&a {? *a : 1}", ["1:1 a key must be a word"]),
    ],
)  # fmt: skip
def test_what_is_refused_says_where_and_why(text: str, problems: list[str]) -> None:
    assert refused(text) == problems


def test_a_duplicate_key_names_the_first_line() -> None:
    with pytest.raises(SpecError) as caught:
        read("a: 1\nb: 2\na: 3\n")
    assert caught.value.problems[0].hint == "it stands in line 1 already; keep one of them"


@pytest.mark.parametrize(
    "text", ["[" * 500_000, "{a: " * 200_000, "- " * 400_000, "? " * 400_000, "a:\n " * 3 + "[" * 9_000]
)
def test_deep_nesting_is_refused_at_once(text: str) -> None:
    # In a child: a parser that calls itself for every level ends the whole process.
    code = (
        "import sys; from pathlib import Path; from recipegen.errors import SpecError\n"
        "from recipegen.load.yamldoc import parse\n"
        "try: parse(sys.stdin.read(), Path('f'))\n"
        "except SpecError as error: print(error.problems[0].message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith(("is nested too deeply", "not valid YAML"))


def test_nesting_that_people_write_is_fine() -> None:
    depth = MAX_DEPTH - 2
    assert read("a: " + "[" * depth + "]" * depth).data["a"]


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    started = time.monotonic()
    assert "grows too large once its aliases are put in" in refused("\n".join(lines))[0]
    assert time.monotonic() - started < 5


def message(path: Path) -> str:
    with pytest.raises(RecipegenError) as caught:
        read_text(path)
    assert caught.value.exit_code == 2
    assert caught.value.where is not None
    assert caught.value.where.file == path
    return f"{caught.value.where.line} {caught.value.message}"


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with path.open("wb") as file:
        file.truncate(50 << 20)
    assert message(path) == "0 is larger than 1 MiB: not a recipe"
    path.write_text("#" * MAX_BYTES, encoding="utf-8")
    assert len(read_text(path)) == MAX_BYTES


def test_what_is_not_a_file_of_text_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path) == "0 this is a folder, not a file"
    assert message(tmp_path / "none.yaml") == "0 there is no such file"
    assert message(tmp_path / "none.yaml" / "below") == "0 there is no such file"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it to read would wait for ever
    assert message(pipe) == "0 is not a plain file"
    assert message(Path("/dev/zero")) == "0 is not a plain file"
    text = tmp_path / "a.yaml"
    text.write_bytes(b"a: 1\nb: \xff\xfe\n")
    assert message(text) == "2 is not UTF-8 text"
    text.write_bytes("a: 1\n".encode("utf-16"))
    assert message(text) == "1 is not UTF-8 text"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert message(loop).startswith("0 cannot be read: ")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    document = parse(read_text(path), path)
    assert document.data == {"a": 1}
    assert (document.where(("a",)).line, document.where(("a",)).column) == (1, 1)


def test_no_permission_to_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("a: 1\n", encoding="utf-8")
    path.chmod(0)
    if os.geteuid() != 0:
        assert message(path) == "0 no permission to read this file"
        return
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from recipegen.errors import RecipegenError\n"
        "from recipegen.load.yamldoc import read_text\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: read_text(Path(sys.argv[1]))\n"
        "except RecipegenError as error: print(error.message, error.exit_code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30)
    assert done.stdout == "no permission to read this file 2\n", done.stderr
