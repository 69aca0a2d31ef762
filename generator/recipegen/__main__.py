"""Entry point. Owns nothing but the shortest way to `--version`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; `--version` answers without loading it."""
    if sys.argv[1:] == ["--version"]:
        from recipegen import __version__

        print(f"recipegen {__version__}")
        return
    from recipegen.cli import main as cli_main

    cli_main()


if __name__ == "__main__":
    main()
