"""Start-up of the command line against bare Python. Owns no printing."""

from __future__ import annotations

import sys
from pathlib import Path

from sampling import Row, Skipped, child, interleaved

PAIRS = 31
TARGET_VERSION, TARGET_HELP = 2.0, 3.0


def rows() -> list[Row]:
    """`--version`, `--help` and a command's own help, each against `python -c pass`."""
    script = Path(sys.executable).with_name("recipegen")
    if not script.is_file():
        raise Skipped(f"there is no console script {script.name} beside this Python: pip install --editable .")
    bare, version, text, command = interleaved(
        PAIRS,
        lambda: child([sys.executable, "-c", "pass"]),
        lambda: child([script, "--version"]),
        lambda: child([script, "--help"]),
        lambda: child([script, "bench", "--help"]),
    )
    against = "python -c pass"
    return [
        Row("recipegen --version", version, "ms", against, bare, TARGET_VERSION),
        Row("recipegen --help", text, "ms", against, bare, TARGET_HELP),
        Row("recipegen bench --help", command, "ms", against, bare, remark="loads the command line (click)"),
    ]
