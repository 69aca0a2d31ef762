"""Entry point. Owns nothing but the shortest way to `--version` and `--help`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; `--version` and `--help` answer without loading it, in about Python's own time."""
    if sys.argv[1:] == ["--version"]:
        from recipegen import __version__

        print(f"recipegen {__version__}")
        return
    if sys.argv[1:] in (["--help"], ["-h"]):
        # What click prints at 80 columns; `make generated` writes the file, a test holds it to click's text.
        with open(f"{os.path.dirname(__file__)}/cli/help.txt", encoding="utf-8") as text:  # noqa: PTH
            print(text.read(), end="")
        return
    from recipegen.cli import main as cli_main

    cli_main()


if __name__ == "__main__":
    main()
