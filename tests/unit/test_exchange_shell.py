"""Shell text as data: the words that a shell would see, nothing run, and what only a shell could tell named."""

from __future__ import annotations

import subprocess

import pytest

from recipegen.exchange.shell import ShellSyntax, commands
from recipegen.exchange.template import TooLong, render


def words(text: str) -> list[str]:
    return [word.text for command in commands(text)[0] for word in command.words]


@pytest.mark.parametrize(
    "text",
    [
        "a 'b c' \"d e\" f\\ g",
        "a \\\n  b \\\n  c",
        "a # b c",
        "a b#c '#d'",
        'a "b\'c" \'d"e\' "f\\"g" "\\$h" \'$i\'',
        "a '{\"k\": {\"l\": 1}}' {m}",
        "a $'b\\'c\\td\\\\e' x",
        "X='b c'; a $X \"$X\" ${X} '$X'",
        "X=1; X=2; a $X",
        "X=(b 'c d' \"e\"); X+=(f); a \"${X[@]}\"",
        "a ${UNSET_FOR_TESTS:-b} \"${UNSET_FOR_TESTS:-c d}\" ${UNSET_FOR_TESTS-e}",
        "Y=z; a ${UNSET_FOR_TESTS:-$Y}",
        "a \"b\\\nc\"",
        "a ''  \"\" b",
        "a --x=y --j='{\"a\":1}' -O3",
        "a é 'ü\u2028'",
    ],
)  # fmt: skip
def test_words_are_those_of_bash(text: str) -> None:
    """`a` is a function that prints its arguments, in a real bash: the only one here, on texts of our own."""
    printing = 'a() { for w in "$@"; do printf "%s\\0" "$w"; done; }\n'
    done = subprocess.run(["bash", "-c", printing + text], capture_output=True, check=True)
    expected = done.stdout.decode().split("\0")[:-1]
    found = [command for command in commands(text)[0] if command.words[0].text == "a"]
    assert [word.text for word in found[0].words[1:]] == expected
    assert [word.why for word in found[0].words] == [""] * (len(expected) + 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a $(id)", "the output of a command, $(id)"),
        ("a `id`", "the output of a command, `id`"),
        ("a x$(echo $(id))y", "the output of a command, $(echo $(id))"),
        ("a $UNSET", "the variable UNSET, which the text does not set"),
        ('a "${UNSET}"', "the variable UNSET, which the text does not set"),
        ("a ${X%%.*}", "${X%%.*}, which only a running shell can work out"),
        ("a $1", "$1, which only a running shell has"),
        ('a "$@"', "$@, which only a running shell has"),
        ("a {b,c}", "a brace expansion"),
        ("a {1..9}", "a brace expansion"),
        ("if x; then V=1; fi; a $V", "the variable V, which is set in a branch of the script"),
    ],
)
def test_what_only_a_shell_can_tell_is_named(text: str, why: str) -> None:
    found = next(command for command in commands(text)[0] if command.words[0].text == "a")
    assert found.words[1].why == why


def test_operators_part_commands_and_redirections_stand_apart() -> None:
    found, exported = commands(
        "export A=1\nB=2 x y > log 2>&1 &\nif t; then z | tee q; fi # c\ncat <<'EOF'\n $(id) '\nEOF\nw"
    )
    assert [[word.text for word in command.words] for command in found] == [
        ["x", "y"], ["t"], ["z"], ["tee", "q"], ["cat"], ["w"],
    ]  # fmt: skip
    assert found[0].redirected == ("> log", "2>&1", "&")
    assert [(name, word.text) for name, word in found[0].assigned] == [("B", "2")]
    assert [command.within for command in found] == [0, 1, 1, 1, 0, 0]
    assert [command.line for command in found] == [2, 3, 3, 3, 4, 7]
    assert {name: word.text for name, word in exported.items()} == {"A": "1"}


def test_a_blank_after_a_backslash_still_continues_the_line() -> None:
    assert words("a \\  \n b \\\t\r\n c") == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a $(b", "a ${b", "a `b", "X=(a b", "a $'b", "X=(a; b)"])
def test_what_no_shell_would_read_has_its_line(text: str) -> None:
    with pytest.raises(ShellSyntax) as caught:
        commands(f"\n{text}")
    assert caught.value.line == 2


def test_variables_that_double_themselves_are_stopped() -> None:
    with pytest.raises(ShellSyntax, match="more than 20,000 words"):
        commands("a " * 30_000)
    doubling = "A=xxxxxxxxxxxxxxxx\n" + "A=$A$A\n" * 40 + "a $A"
    with pytest.raises(ShellSyntax, match="grows too large"):
        commands(doubling)
    nested = "${A:-" * 50 + "x" + "}" * 50
    with pytest.raises(ShellSyntax, match="nested too deeply"):
        commands(f"a {nested}")


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("vllm serve {model} --port {port}", {"model": "a/b", "port": 8000}, "vllm serve a/b --port 8000"),
        ("'{\"n\":{n}}'", {"n": 3}, "'{\"n\":3}'"),
        ('\'{"a":{"b":1}}\' {n}', {"n": 3}, '\'{"a":{"b":1}}\' 3'),
        ('\'{{"n":{n},"d":"{d}"}}\'', {"n": 3, "d": "x/y"}, '\'{"n":3,"d":"x/y"}\''),
        ('\'{{"a":{{"n":{n}}}}}\'', {"n": 3}, '\'{"a":{"n":3}}\''),
        ("'{spec}'", {"spec": '{"method":"mtp","n":{n}}', "n": 2}, '\'{"method":"mtp","n":2}\''),
        ("{a}", {"a": True}, "true"),
        ("{a}", {"a": {"b": [1, 2]}}, '{"b":[1,2]}'),
        ("{unknown} {none}", {"none": None}, "{unknown} {none}"),
        ("{a}", {"a": "{a}"}, "{a}"),
    ],
)
def test_templates(template: str, values: dict[str, object], expected: str) -> None:
    assert render(template, values) == expected


@pytest.mark.parametrize("values", [{"a": "x{a}"}, {"a": "{b}", "b": "y{a}"}, {"a": "{b}{b}" * 99, "b": "{a}" * 99}])
def test_defaults_that_never_end_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(TooLong):
        render("{a}", values)
