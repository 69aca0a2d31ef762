"""Starting and ending processes: the only module that does. Owns no knowledge of what is run.

Every child leads a process group (and session) of its own, so that Ctrl-C reaches only recipegen, which then
ends the child and whatever the child started. A group is signalled only while its leader is not reaped: until
then the kernel cannot give that number to anybody else.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from recipegen.errors import EXIT_MEASUREMENT, EnvironmentLacks, RecipegenError
from recipegen.quoting import shell_command

GRACE_S = 10.0
"""How long a group may take to end after SIGTERM before it is killed."""
_KILL_WAIT_S = 10.0
"""How long a killed group may take to vanish; a process in an uninterruptible call takes longer."""
_END_LINES = 20
_END_CHARS = 4000
_MAX_LINE = 64 * 1024
"""A child's line longer than this many bytes is handed over in pieces."""

BOARD_KEYS = ("LMX_API_KEY", "LOCALMAXXING_API_KEY")
"""Variables with the key of a leaderboard, in the order of looking."""
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$", re.IGNORECASE
)
_SECRET_OPTION = re.compile(r"(--(?:api[-_]key|token|password)(?:=|\s+))('[^']*'|\"[^\"]*\"|\S+)", re.IGNORECASE)
_OPEN_OPTION = re.compile(r"--(?:api[-_]key|token|password)(?:=|\s+)\Z", re.IGNORECASE)
_PIECE = 1 << 20
_LONGEST_LINE = 4 << 20
"""Characters of a log that are looked at at once; lines beyond that are no lines of a log."""
_SHORTEST_SECRET = 8
"""Shorter values (`1`, `EMPTY`, `none`) are settings; blotting them out would eat ordinary words."""


@dataclass(frozen=True)
class Completed:
    """A process that has ended: both streams as text, its exit code (negative: the signal that ended it)."""

    stdout: str
    stderr: str
    code: int


class ProcessFailed(RecipegenError):
    """A child ended with an error, or was ended for taking too long (then `code` is None).

    Args:
        why: what happened, when the exit code does not say it.
    """

    exit_code = EXIT_MEASUREMENT

    def __init__(
        self,
        argv: Sequence[str],
        code: int | None,
        *,
        stdout: str = "",
        stderr: str = "",
        why: str = "",
        hint: str = "",
    ) -> None:
        self.argv = list(argv)
        self.code = code
        self.stdout = redact(_end(stdout))
        self.stderr = redact(_end(stderr))
        said = "\n".join(text for text in (self.stdout, self.stderr) if text)
        message = redact(f"`{shell_command(argv)}` {why or describe_code(code)}")
        super().__init__(f"{message}\n{said}" if said else message, hint=hint)


def describe_code(code: int | None) -> str:
    """An exit code in words, e.g. `ended with exit code 3` or `was ended by SIGKILL`."""
    if code is None:
        return "was ended"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def child_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child: this process's own, unbuffered Python, and `extra` on top.

    Secrets (HF_TOKEN and the like) are passed on, children need them; `redact` keeps them out of texts. A leaderboard's
    key is not: recipegen alone sends to boards, and what it starts may be a stranger's recipe.
    """
    own = {name: value for name, value in os.environ.items() if name not in BOARD_KEYS}
    # Without it a Python child holds its log back in a buffer, and loses it when it is killed.
    return {**own, "PYTHONUNBUFFERED": "1", **(extra or {})}


def redact(text: str, env: Mapping[str, str] | None = None) -> str:
    """A text without what is nobody else's business, for messages and for logs that are kept.

    Args:
        text: what a child said, or a command line.
        env: a child's environment, whose secrets count besides this process's own.

    Returns:
        The text with the values of secret variables as `***` and the home folder as `~`.
    """
    return redactor(env)(text)


def redactor(env: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """`redact` for many texts of one environment."""
    secrets = {
        value
        for name, value in {**os.environ, **(env or {})}.items()
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name)
    }
    longest_first = sorted(secrets, key=len, reverse=True)
    home = str(Path("~").expanduser())
    own_folder = re.compile(rf"(?<![\w.-]){re.escape(home)}(?![\w.-])") if len(home) > 1 else None

    def without_secrets(text: str) -> str:
        for value in longest_first:
            text = text.replace(value, "***")
        text = _SECRET_OPTION.sub(r"\1***", text)
        return own_folder.sub("~", text) if own_folder else text

    return without_secrets


def redactable(path: Path) -> Iterator[str]:
    """A text file in pieces of about a MiB that `redact` can take one by one: no secret lies across two of them.

    A piece ends at a line's end, not after an option whose secret comes next; a line of many MiB ends at a blank.
    """
    held = ""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        while block := file.read(_PIECE):
            held += block
            cut = _last_cut(held, "\n")
            if not cut and len(held) > _LONGEST_LINE:
                cut = _last_cut(held, " ") or len(held)
            if cut:
                yield held[:cut]
                held = held[cut:]
    if held:
        yield held


def _last_cut(text: str, mark: str) -> int:
    """The place after the last `mark` that is not within an option and its secret; 0 when there is none."""
    cut = text.rfind(mark) + 1
    while cut and _OPEN_OPTION.search(text, max(cut - 100, 0), cut):
        cut = text.rfind(mark, 0, cut - 1) + 1
    return cut


def tail(path: Path, lines: int = 20) -> str:
    """The last `lines` lines of a file, read from its end (at most 1 MiB); "" for a missing file."""
    block, most = 8192, 1 << 20
    try:
        with path.open("rb") as file:
            at = file.seek(0, os.SEEK_END)
            data = b""
            while at > 0 and data.count(b"\n") <= lines and len(data) < most:
                step = min(block, at)
                at = file.seek(at - step)
                data = file.read(step) + data
    except FileNotFoundError:
        return ""
    return "\n".join(data.decode(errors="replace").splitlines()[-lines:])


class _Child:
    """A child in its own session and process group."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        stdin: int | IO[bytes],
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
    ) -> None:
        self.argv = list(argv)
        if cwd is not None and not cwd.is_dir():
            raise EnvironmentLacks(f"the folder to run {argv[0]} in does not exist: {cwd}")
        try:
            self.popen = subprocess.Popen(
                self.argv,
                env=child_env() if env is None else dict(env),
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise EnvironmentLacks(
                f"the program {argv[0]} was not found", hint=f"install {argv[0]}, or put it on PATH"
            ) from None
        except OSError as error:
            raise EnvironmentLacks(f"the program {argv[0]} cannot be started: {error.strerror}") from None
        self.pid = self.popen.pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while the child runs. Does not reap it."""
        if self._code is None and self.popen.returncode is not None:
            self._code = self.popen.returncode
        if self._code is None:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None:
                self._code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        return self._code

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Waits for the child's end.

        Args:
            timeout_s: seconds to wait at most; None waits for ever.

        Returns:
            The exit code, or None when the time is over.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            self._sleep_until_exit(left)
        return code

    def _sleep_until_exit(self, at_most_s: float | None) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:  # old kernels and some containers refuse it
            time.sleep(0.02 if at_most_s is None else min(0.02, at_most_s))
            return
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            poller.poll(None if at_most_s is None else at_most_s * 1000)
        finally:
            os.close(descriptor)

    def terminate(self, grace_s: float = GRACE_S) -> int:
        """Ends the whole group: SIGTERM, after `grace_s` seconds SIGKILL; then reaps the child.

        Also ends what a child that is already gone left behind in its group. Safe to call again.

        Returns:
            The child's exit code.

        Raises:
            ProcessFailed: when the child cannot even be killed.
        """
        if self.popen.returncode is not None:
            return self.popen.returncode
        try:
            if self._alive():
                self._signal(signal.SIGTERM)
                self._wait_for_group(grace_s)
        finally:
            # Also on a second Ctrl-C during the grace time: nothing of ours is left running.
            if self._alive():
                self._signal(signal.SIGKILL)
                self._wait_for_group(_KILL_WAIT_S)
            code = self._reap()
        return code

    def _reap(self) -> int:
        if self.poll() is None:
            raise ProcessFailed(self.argv, None, why=f"could not be killed (process {self.pid})")
        return self.popen.wait()

    def _signal(self, number: int) -> None:
        # The leader is not reaped, so its number is still ours, and so is the group of that number.
        if os.getpgid(self.pid) == self.pid != os.getpgrp():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _wait_for_group(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self.wait(seconds)
        while time.monotonic() < deadline and self._alive():
            time.sleep(0.05)

    def _alive(self) -> bool:
        return self.poll() is None or _group_alive(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()


def _group_alive(group: int) -> bool:
    """Whether any process of the group still runs; zombies do not count (proc(5), fields 3 and 5 of stat)."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in (b"Z", b"X"):
            return True
    return False


class Process(_Child):
    """A child whose output goes straight to a log file, for servers and long measurements.

    As a context manager it ends its group on the way out.

    Args:
        argv: the command.
        log: the file that both streams are appended to, as the child writes them.
        env: the whole environment; `child_env()` when None.
        cwd: the folder to run in.

    Raises:
        EnvironmentLacks: when the program cannot be started.
    """

    def __init__(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as file:
            super().__init__(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    input: str | None = None,
    check: bool = True,
) -> Completed:
    """Runs a command to its end and gives back what it said.

    Args:
        argv: the command.
        env: the whole environment; `child_env()` when None.
        cwd: the folder to run in.
        timeout_s: seconds after which the command is ended.
        input: text for its standard input; nothing when None.
        check: whether an exit code other than 0 is an error.

    Raises:
        ProcessFailed: on an exit code other than 0 (with `check`), or when the time is over.
        EnvironmentLacks: when the program cannot be started.
    """
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    child = _Child(argv, env=env, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = child.popen.communicate(None if input is None else input.encode(), timeout_s)
    except subprocess.TimeoutExpired:
        child.terminate(grace_s=2)
        out, err = _rest(child.popen)
        why = f"did not end within {timeout_s:g} s"
        raise ProcessFailed(argv, None, stdout=_text(out), stderr=_text(err), why=why) from None
    except BaseException:
        child.terminate(grace_s=2)
        _close(child.popen)
        raise
    done = Completed(_text(out), _text(err), child.popen.returncode)
    if check and done.code != 0:
        raise ProcessFailed(argv, done.code, stdout=done.stdout, stderr=done.stderr)
    return done


def stream(
    argv: Sequence[str],
    *,
    on_line: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    silence_timeout_s: float | None = None,
) -> int:
    """Runs a command and hands over its output (both streams) line by line, without line ends.

    Args:
        argv: the command.
        on_line: called for every line; an exception from it ends the command.
        env: the whole environment; `child_env()` when None.
        cwd: the folder to run in.
        silence_timeout_s: seconds without any output after which the command is ended; None waits for ever.

    Returns:
        The exit code.

    Raises:
        ProcessFailed: when the command was silent for too long.
        EnvironmentLacks: when the program cannot be started.
        KeyboardInterrupt: on Ctrl-C, after the command was ended.
    """
    with _Child(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        pipe: Any = child.popen.stdout
        with pipe:
            lines = _Lines(on_line)
            _pump(child, pipe.fileno(), lines, silence_timeout_s)
            lines.close()
            if child.wait(silence_timeout_s) is None:
                raise _silent(argv, silence_timeout_s)
        return child.terminate()


def _pump(child: _Child, descriptor: int, lines: _Lines, silence_timeout_s: float | None) -> None:
    """Reads until the pipe's end, or until the child is gone and what inherited its pipe is silent."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    heard = time.monotonic()
    while True:
        if poller.poll(500):
            chunk = os.read(descriptor, 65536)
            if not chunk:
                return
            heard = time.monotonic()
            lines.feed(chunk)
        elif child.poll() is not None:
            return
        elif silence_timeout_s is not None and time.monotonic() - heard > silence_timeout_s:
            lines.close()
            raise _silent(child.argv, silence_timeout_s)


def _silent(argv: Sequence[str], seconds: float | None) -> ProcessFailed:
    return ProcessFailed(argv, None, why=f"was silent for {seconds or 0:g} s and was ended")


class _Lines:
    """Cuts a stream of bytes into lines of text."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            self._hand_over(line)
        if len(self._rest) >= _MAX_LINE:
            self.close()

    def close(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            self._hand_over(rest)

    def _hand_over(self, line: bytes) -> None:
        for at in range(0, max(len(line), 1), _MAX_LINE):
            self._on_line(_text(line[at : at + _MAX_LINE]).rstrip("\r"))


def _rest(popen: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What an ended child said; does not wait for a stranger that still holds its pipes."""
    try:
        return popen.communicate(timeout=1)
    except subprocess.TimeoutExpired as error:
        _close(popen)
        return error.stdout or b"", error.stderr or b""


def _close(popen: subprocess.Popen[bytes]) -> None:
    for pipe in (popen.stdin, popen.stdout, popen.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _end(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-_END_LINES:])[-_END_CHARS:]
