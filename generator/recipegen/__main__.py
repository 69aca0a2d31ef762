"""Entry point. Owns nothing but the shortest way to `--version` and `--help`."""

from __future__ import annotations

import os
import sys


def _say(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # `recipegen --help | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def main() -> None:
    """Run the command line; `--version` and `--help` answer without loading it."""
    if sys.argv[1:] == ["--version"]:
        from recipegen import __version__

        _say(f"recipegen {__version__}\n")
        return
    if sys.argv[1:] in (["--help"], ["-h"]):
        # What click prints at 80 columns; `make generated` writes the file, a test holds it to click's text.
        with open(f"{os.path.dirname(__file__)}/cli/help.txt", encoding="utf-8") as text:  # noqa: PTH120, PTH123 (pathlib costs more than all the rest)
            _say(text.read())
        return
    from recipegen.cli import main as cli_main

    cli_main()


if __name__ == "__main__":
    main()
