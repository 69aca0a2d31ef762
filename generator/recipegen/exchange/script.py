"""A shell text with a server in it: a `docker run` line, a script around one, a bare `vllm serve`. Owns finding the one
command that matters; the other steps go into the report."""

from __future__ import annotations

import re
from pathlib import Path

from recipegen.errors import Problem, SpecError, Where
from recipegen.exchange.box import put_env
from recipegen.exchange.docker_line import is_docker_run, read_docker_run
from recipegen.exchange.models import LONGEST
from recipegen.exchange.server import KNOWN_SERVERS, NO_SERVER, before_server, describe, find_server, inner_script
from recipegen.exchange.shell import ShellSyntax, commands
from recipegen.exchange.source import Source
from recipegen.exchange.words import Simple, Word

MAX_NESTED = 4
"""Shells within shells: `bash -c "bash -c …"`."""
_HARMLESS = frozenset(
    ["set", "cd", "echo", "printf", "mkdir", "sleep", "trap", "shopt", "true", ":", "wait", "exit", "curl", "test", "["]
) | frozenset(["[[", "pwd", "date", "clear", "tee", "ulimit", "which"])
_IMAGES = ((r"(?:.*/)?llama[._-]?cpp(?:[:@/].*)?|.*llama\.cpp:.*server.*", "llama-server"), (r".*vllm.*", "vllm"))
"""Images whose entry point is the server: a command without a program is its arguments."""


def read_script(source: Source, text: str, first_line: int = 1) -> None:
    """Put the server of a shell text into the source.

    Raises:
        SpecError: it starts no server that is known, or it is not shell.
    """
    try:
        found, exported = commands(text, first_line, source.env)
        if not _take(source, found, exported, 0):
            raise SpecError([Problem(Where(source.file, first_line, 1), NO_SERVER, KNOWN_SERVERS)])
    except ShellSyntax as error:
        raise SpecError([Problem(Where(source.file, error.line, 1), f"not shell: {error.message}", "")]) from None


def _take(source: Source, found: list[Simple], exported: dict[str, Word], depth: int) -> bool:
    servers = [command for command in found if _starts(command)]
    if not servers:
        return False
    chosen = servers[0]
    for command in found:
        if command is not chosen:
            _other(source, command, again=command in servers)
    if chosen.within:
        source.report.note(f"the server's command stands in a branch of the script (line {chosen.line})")
    if chosen.redirected:
        why = "where a server's output goes is the driver's business"
        source.report.lose("redirection", why, " ".join(chosen.redirected), chosen.line, runs=False)
    words = list(chosen.words)
    if (begins := is_docker_run(words)) is not None:
        source.kind = source.kind or "docker run command"
        read_docker_run(source, words[begins:])
    else:
        for name, word in {**exported, **dict(chosen.assigned)}.items():
            put_env(source, name, word, f"export {name}")
        source.kind = source.kind or "shell command"
        source.words = words
    unwrap(source, depth)
    return True


def unwrap(source: Source, depth: int = 0) -> None:
    """From what a container runs to the server's own words: out of `bash -c`, with the image's entry point put in.

    Raises:
        ShellSyntax: what a shell was to run is not shell.
    """
    inner = inner_script(source.words)
    if inner is not None and depth < MAX_NESTED:
        found, exported = commands(inner.text, max(inner.line, 1), source.env)
        if inner.why:
            source.report.lose("bash -c", f"its text holds {inner.why}", "", inner.line)
        outer, source.words = source.words, []
        if not _take(source, found, exported, depth + 1):
            source.words = outer
        return
    place = find_server(source.words)
    if place is None:
        _entry_point(source)
        return
    _, program, _ = place
    env, other = before_server(source.words[:program])
    for name, word in env.items():
        put_env(source, name, word, f"env {name}")
    if other:
        source.report.lose("before the server", "recipegen starts the server itself", describe(other), other[0].line)
    source.words = source.words[program:]


def _entry_point(source: Source) -> None:
    image = (source.image or "").partition("@")[0][:LONGEST]
    program = next((program for pattern, program in _IMAGES if re.fullmatch(pattern, image)), None)
    if program is None:
        return
    head = [Word("vllm"), Word("serve")] if program == "vllm" else [Word("llama-server")]
    words = source.words
    extra = "serve" if program == "vllm" else "--server"  # what images of several programs are told first
    if words and words[0].text == extra:
        words = words[1:]
    source.words = [*head, *words]


def _starts(command: Simple) -> bool:
    words = list(command.words)
    if (begins := is_docker_run(words)) is not None:
        trial = Source("", Path())
        read_docker_run(trial, words[begins:])
        unwrap(trial)
        return find_server(trial.words) is not None
    if find_server(words) is not None:
        return True
    inner = inner_script(words)
    return inner is not None and find_server([Word(text) for text in inner.text.split()]) is not None


def _other(source: Source, command: Simple, *, again: bool) -> None:
    words = list(command.words)
    name = " ".join(word.text for word in words[:2])
    if again:
        source.report.lose(name, "a second server: import it on its own", describe(words), command.line)
        return
    program = words[0].text.rpartition("/")[2]
    around = program in ("docker", "podman", "sudo") and not {"exec", "build"} & {word.text for word in words}
    if program not in _HARMLESS and not around:
        why = "a step of the script beside the server; recipegen runs none: put what it does into the image"
        source.report.lose(name, why, describe(words), command.line)
