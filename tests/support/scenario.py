"""What the scenarios share: the real command line in a child process, repositories, free ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def recipegen(
    *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """`recipegen ARGS` as a user runs it; both streams as text."""
    return subprocess.run(
        [sys.executable, "-m", "recipegen", *map(str, args)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def succeed(*args: str | Path, **how: Any) -> str:
    """`recipegen ARGS` that must end with 0; its standard output."""
    done = recipegen(*args, **how)
    assert done.returncode == 0, f"recipegen {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def free_port() -> int:
    """A port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def only_run(recipe: Path) -> tuple[Path, dict[str, Any]]:
    """Folder and record of the one run that a recipe has."""
    runs = sorted(recipe.glob("results/*/*/run.json"))
    assert len(runs) == 1, runs
    return runs[0].parent, json.loads(runs[0].read_text())


def rows(index: Path) -> list[str]:
    """The table's rows of recipes in INDEX.md."""
    return [line for line in index.read_text().splitlines() if line.startswith("| [")]
