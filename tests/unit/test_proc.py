"""Processes, with real children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from recipegen import proc
from recipegen.errors import EnvironmentLacks

PY = sys.executable
GENERATOR = str(Path(proc.__file__).parents[1])


def python(code: str, *args: str) -> list[str]:
    return [PY, "-c", textwrap.dedent(code), *args]


def running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def wait_for(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


# A child that starts a grandchild, both deaf to SIGTERM when asked, and writes down their numbers.
FAMILY = """
    import os, signal, subprocess, sys, time
    deaf = sys.argv[2] == "deaf"
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    inner = "import signal, time;" + ("signal.signal(signal.SIGTERM, signal.SIG_IGN);" if deaf else "")
    child = subprocess.Popen([sys.executable, "-c", inner + "print('up', flush=True); time.sleep(60)"])
    with open(sys.argv[1] + ".part", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.replace(sys.argv[1] + ".part", sys.argv[1])
    if sys.argv[3] == "stay":
        time.sleep(60)
"""


def family(tmp_path: Path, temper: str, stay: str) -> tuple[proc.Process, int, int]:
    pids = tmp_path / "pids"
    child = proc.Process(python(FAMILY, str(pids), temper, stay), log=tmp_path / "log")
    wait_for(lambda: pids.exists() and "up" in (tmp_path / "log").read_text())
    leader, grandchild = map(int, pids.read_text().split())
    assert leader == child.pid
    return child, leader, grandchild


def test_run_gives_back_both_streams_and_the_code() -> None:
    done = proc.run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert done == proc.Completed("out\n", "err\n", 0)


def test_run_takes_input_cwd_and_env(tmp_path: Path) -> None:
    code = "import os, sys; print(sys.stdin.read().upper(), os.getcwd(), os.environ['KNOB'], len(os.environ))"
    done = proc.run(python(code), input="grün\n", cwd=tmp_path, env={"KNOB": "a b"})
    text, folder, knob = done.stdout.split("\n")[0], *done.stdout.split("\n")[1].split(" ", 2)[1:]
    assert (text, folder) == ("GRÜN", str(tmp_path))
    assert knob.startswith("a b ")


def test_run_without_input_reads_nothing() -> None:
    assert proc.run(python("import sys; print(repr(sys.stdin.read()))")).stdout == "''\n"


def test_failure_carries_argv_code_and_the_end_of_both_streams() -> None:
    code = "import sys; [print('line', i) for i in range(50)]; print('why', file=sys.stderr); sys.exit(7)"
    with pytest.raises(proc.ProcessFailed) as caught:
        proc.run(python(code, "two words"))
    error = caught.value
    assert error.code == 7
    assert error.argv[-1] == "two words"
    assert error.stdout.splitlines()[0] == "line 30"
    assert error.stderr == "why"
    assert "exit code 7" in error.message
    assert "'two words'" in error.message
    assert error.exit_code == 4


def test_check_false_gives_the_code() -> None:
    assert proc.run(python("raise SystemExit(7)"), check=False).code == 7
    killed = proc.run(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), check=False)
    assert killed.code == -9
    assert proc.describe_code(-9) == "was ended by SIGKILL"


def test_program_not_found_is_named() -> None:
    with pytest.raises(EnvironmentLacks, match="no-such-program") as caught:
        proc.run(["no-such-program", "--x"])
    assert caught.value.exit_code == 3
    assert "PATH" in caught.value.hint


def test_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="folder"):
        proc.run([PY, "-c", ""], cwd=tmp_path / "none")


def test_file_that_cannot_be_executed(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("not a program")
    with pytest.raises(EnvironmentLacks, match="cannot be started"):
        proc.run([str(program)])


def test_output_larger_than_a_pipe_buffer() -> None:
    code = "import sys; sys.stdout.write('o' * 3_000_000); sys.stderr.write('e' * 3_000_000)"
    done = proc.run(python(code), timeout_s=60)
    assert (len(done.stdout), len(done.stderr)) == (3_000_000, 3_000_000)


def test_timeout_ends_the_command_and_keeps_what_it_said() -> None:
    started = time.monotonic()
    with pytest.raises(proc.ProcessFailed, match=r"did not end within 1 s") as caught:
        proc.run(python("import time; print('so far', flush=True); time.sleep(60)"), timeout_s=1)
    assert time.monotonic() - started < 10
    assert caught.value.stdout == "so far"
    assert caught.value.code is None


def test_output_that_is_no_text_does_not_break() -> None:
    assert "ok" in proc.run(python(r"import sys; sys.stdout.buffer.write(b'\xff\xfeok')")).stdout


@pytest.mark.parametrize("temper", ["mild", "deaf"])
def test_terminate_ends_grandchildren_too(tmp_path: Path, temper: str) -> None:
    child, leader, grandchild = family(tmp_path, temper, "stay")
    assert child.poll() is None
    assert child.wait(0.05) is None
    code = child.terminate(grace_s=0.5)
    assert code == (-signal.SIGKILL if temper == "deaf" else -signal.SIGTERM)
    assert not running(leader)
    assert not running(grandchild)
    assert not Path(f"/proc/{leader}").exists(), "the child was not reaped"
    assert child.terminate() == code == child.poll() == child.wait()


def test_terminate_ends_what_a_dead_child_left_behind(tmp_path: Path) -> None:
    child, leader, grandchild = family(tmp_path, "mild", "leave")
    assert child.wait(10) == 0
    assert running(grandchild)
    assert Path(f"/proc/{leader}").exists(), "reaped too early: its number could be given to a stranger"
    assert child.terminate(grace_s=5) == 0
    assert not running(grandchild)


def test_context_manager_ends_the_child_when_an_error_passes(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError),
        proc.Process([PY, "-c", "import time; time.sleep(60)"], log=tmp_path / "l") as p,
    ):
        raise ValueError
    assert not running(p.pid)
    assert p.poll() == -signal.SIGTERM


def test_terminate_never_touches_our_own_group(tmp_path: Path) -> None:
    with proc.Process([PY, "-c", "import time; time.sleep(60)"], log=tmp_path / "log") as child:
        assert os.getpgid(child.pid) == child.pid != os.getpgrp()
        assert os.getsid(child.pid) != os.getsid(0)


def test_process_appends_to_its_log_while_it_runs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    code = "import sys, time; print('one'); print('two', file=sys.stderr); time.sleep(60)"
    with proc.Process(python(code), log=log):
        wait_for(lambda: log.read_text() == "before\none\ntwo\n")


def test_process_that_writes_more_than_a_pipe_holds_is_not_blocked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with proc.Process(python("print('x' * 5_000_000)"), log=log) as child:
        assert child.wait(30) == 0
    assert log.stat().st_size == 5_000_001


def test_wait_returns_at_once_when_the_child_ends(tmp_path: Path) -> None:
    with proc.Process(python("import time; time.sleep(0.3); print(time.time())"), log=tmp_path / "log") as child:
        assert child.wait(30) == 0
        noticed = time.time()
    assert noticed - float((tmp_path / "log").read_text()) < 0.3


def test_wait_without_pidfd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError("not permitted")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with proc.Process(python("import time; time.sleep(0.2)"), log=tmp_path / "log") as child:
        assert child.wait(0.01) is None
        assert child.wait(30) == 0


def test_stream_hands_over_lines_of_both_streams() -> None:
    lines: list[str] = []
    code = r"""
        import sys
        sys.stdout.write("one\ntwo\r\n"); sys.stdout.flush()
        sys.stderr.write("three\n"); sys.stderr.flush()
        sys.stdout.write("no end"); sys.stdout.flush()
        sys.exit(5)
    """
    assert proc.stream(python(code), on_line=lines.append) == 5
    assert lines == ["one", "two", "three", "no end"]


def test_stream_of_one_endless_line_stays_small() -> None:
    lines: list[str] = []
    assert proc.stream(python("print('x' * 1_000_000)"), on_line=lines.append) == 0
    assert sum(map(len, lines)) == 1_000_000
    assert max(map(len, lines)) <= 65536


def test_stream_ends_a_silent_command() -> None:
    lines: list[str] = []
    started = time.monotonic()
    with pytest.raises(proc.ProcessFailed, match="silent for 1 s"):
        code = "import time; print('hello', flush=True); time.sleep(60)"
        proc.stream(python(code), on_line=lines.append, silence_timeout_s=1)
    assert lines == ["hello"]
    assert time.monotonic() - started < 15


def test_stream_counts_output_without_line_ends_as_life() -> None:
    code = "import time; [(print('.', end='', flush=True), time.sleep(0.4)) for _ in range(5)]"
    lines: list[str] = []
    assert proc.stream(python(code), on_line=lines.append, silence_timeout_s=1.5) == 0
    assert "".join(lines) == "....."


def test_stream_does_not_wait_for_who_inherited_the_pipe() -> None:
    code = """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], start_new_session=False)
        print("done")
    """
    lines: list[str] = []
    started = time.monotonic()
    assert proc.stream(python(code), on_line=lines.append) == 0
    assert lines == ["done"]
    assert time.monotonic() - started < 10


def test_an_error_in_on_line_ends_the_command() -> None:
    seen: list[int] = []

    def refuse(line: str) -> None:
        seen.append(int(line))
        raise ValueError(line)

    with pytest.raises(ValueError):
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        proc.stream(python(code), on_line=refuse)
    assert not running(seen[0])


@pytest.mark.parametrize("how", ["run", "stream", "process"])
def test_ctrl_c_ends_the_group_and_is_raised_again(tmp_path: Path, how: str) -> None:
    """A real SIGINT to an interpreter that runs a family: it sees KeyboardInterrupt, the family is gone."""
    pids = tmp_path / "pids"
    script = tmp_path / "driver.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {GENERATOR!r})
            from pathlib import Path
            from recipegen import proc
            argv = {python(FAMILY, str(pids), "mild", "stay")!r}
            try:
                if {how!r} == "run":
                    proc.run(argv)
                elif {how!r} == "stream":
                    proc.stream(argv, on_line=lambda line: None)
                else:
                    with proc.Process(argv, log=Path({str(tmp_path / "log")!r})) as child:
                        child.wait()
            except KeyboardInterrupt:
                print("interrupted", flush=True)
                sys.exit(130)
            """
        )
    )
    driver = subprocess.Popen([PY, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        wait_for(pids.exists)
        leader, grandchild = map(int, pids.read_text().split())
        time.sleep(0.2)
        driver.send_signal(signal.SIGINT)
        out, _ = driver.communicate(timeout=20)
    finally:
        driver.kill()
    assert (driver.returncode, out) == (130, "interrupted\n")
    wait_for(lambda: not running(leader) and not running(grandchild), 2)


def test_tail(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert proc.tail(file) == ""
    file.write_text("")
    assert proc.tail(file) == ""
    file.write_text("".join(f"line {i}\n" for i in range(10_000)))
    assert proc.tail(file, 3) == "line 9997\nline 9998\nline 9999"
    file.write_text("no end")
    assert proc.tail(file, 3) == "no end"
    file.write_bytes(b"a\n" + b"\xff" * 3_000_000 + b"\nlast\n")
    assert proc.tail(file, 2).endswith("\nlast")
    assert len(proc.tail(file, 2)) <= 1 << 20


def test_secrets_reach_the_child_but_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijkl")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "parallel-value")
    monkeypatch.setenv("SHORT_TOKEN", "EMPTY")
    code = "import os, sys; print(os.environ['HF_TOKEN'], os.environ['EXTRA'], file=sys.stderr); sys.exit(1)"
    argv = python(code, "hf_abcdefghijkl", "--api-key", "sk-unknown")
    done = proc.run(argv, env=proc.child_env({"EXTRA": "more"}), check=False)
    assert done.stderr == "hf_abcdefghijkl more\n"
    with pytest.raises(proc.ProcessFailed) as caught:
        proc.run(argv, env=proc.child_env({"EXTRA": "more"}))
    for text in (caught.value.message, caught.value.stderr, str(caught.value)):
        assert "hf_abc" not in text
        assert "sk-unknown" not in text
    assert caught.value.stderr == "*** more"
    assert proc.redact("EMPTY parallel-value") == "EMPTY parallel-value"
    assert proc.redact("x=my-secret-value", {"MY_API_KEY": "my-secret-value"}) == "x=***"


def test_home_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    text = "/home/anna/.cache '/home/anna' file:///home/anna/x /home/annabel /mnt/home/anna.bak"
    assert proc.redact(text) == "~/.cache '~' file://~/x /home/annabel /mnt/home/anna.bak"
    monkeypatch.setenv("HOME", "/")
    assert proc.redact("/etc /") == "/etc /"


def test_child_env_puts_extras_over_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "1")
    env = proc.child_env({"ONE": "2"})
    assert env["ONE"] == "2"
    assert env["PATH"] == os.environ["PATH"]
    assert os.environ["ONE"] == "1"


@pytest.mark.parametrize("name", ["LMX_API_KEY", "LOCALMAXXING_API_KEY"])
def test_no_child_gets_the_key_of_a_board(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "bhk_0123456789abcdef")
    monkeypatch.setenv("HF_TOKEN", "needed")
    assert name not in proc.child_env({"ONE": "2"})
    done = proc.run(["env"])  # by default, too
    assert f"{name}=" not in done.stdout
    assert "HF_TOKEN=needed" in done.stdout
    assert "***" in proc.redact("says bhk_0123456789abcdef")


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
def test_a_text_in_pieces_loses_the_same_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(proc, "_PIECE", piece)
    text = (
        "serving --api-key sk-aaaaaaaa\n--api-key\nsk-bbbbbbbb\nplain\n--token \n \n'sk cc'\nx=my-secret-value\n"
        "a longer line that holds my-secret-value and --password=dddd\n\nthe end, --token"
    )
    path = tmp_path / "log"
    path.write_text(text)
    redacted = proc.redactor({"MY_API_KEY": "my-secret-value"})
    pieces = list(proc.redactable(path))
    assert "".join(pieces) == text
    assert "".join(map(redacted, pieces)) == redacted(text)
    assert "sk" not in redacted(text) and "secret-value" not in redacted(text) and "dddd" not in redacted(text)


def test_a_line_without_an_end_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "_PIECE", 10)
    monkeypatch.setattr(proc, "_LONGEST_LINE", 40)
    path = tmp_path / "log"
    path.write_text("word " * 20 + "--token abcdefgh " + "x" * 100)
    pieces = list(proc.redactable(path))
    assert max(map(len, pieces)) <= 50
    assert "abcdefgh" not in "".join(map(proc.redact, pieces))
