"""Makes generator/recipegen/engines/known/vllm-<version>.json from released wheels.

    python generator/known_flags/make_vllm.py --python PYTHON --cache DIR [VERSION ...]

PYTHON is one that has the packages a vLLM needs (an environment with the newest vLLM, also its CPU build); each
version's own sources are put before them, and its own parser is asked. Owns where a file's contents come from; the
reading of the parser is vllm_parser.py's. docs/known-flags.md is the user's page.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from packaging.version import Version

from known_flags.data import KNOWN, write
from known_flags.wheels import preferred, python_sources, releases

FIRST = "0.19.0"
READ = re.compile(r"""(?:os\.getenv|environ\.get|environ\.pop|environ\.setdefault|environ)[(\[]\s*["'](VLLM_\w+)["']""")
"""Where a module reads one of vLLM's variables by itself."""


def environment(package: Path) -> list[str]:
    """Names of the environment variables that vLLM reads: those of its table, and VLLM_ ones read elsewhere.

    Args:
        package: the folder vllm of a wheel.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse((package / "envs.py").read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Dict):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if [ast.unparse(target) for target in targets] == ["environment_variables"]:
            names |= {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
    if not names:
        raise SystemExit(f"{package}/envs.py has no table of environment_variables")
    for module in package.rglob("*.py"):
        names |= set(READ.findall(module.read_text(encoding="utf-8")))
    return sorted(names)


def parsed(python: str, sources: Path) -> dict[str, Any]:
    """What that version's own parser accepts, as vllm_parser.py prints it."""
    env = {
        **os.environ,
        "PYTHONPATH": f"{sources}{os.pathsep}{Path(__file__).parents[1]}",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    command = [python, "-P", "-m", "known_flags.vllm_parser"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{sources.name}: the parser cannot be asked\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Make the files of the versions named, or of every release from FIRST on."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("versions", nargs="*", metavar="VERSION")
    arguments.add_argument("--python", required=True, help="a Python with vLLM's dependencies")
    arguments.add_argument("--cache", required=True, type=Path, help="folder for the sources (50 MB a version)")
    options = arguments.parse_args()
    found = releases("vllm", FIRST)
    for version in [Version(one) for one in options.versions] or found:
        wheel = preferred(found[version])
        sources = options.cache / str(version)
        python_sources(wheel, sources)
        answer = parsed(options.python, sources)
        if answer["version"] != str(version):
            raise SystemExit(f"{options.python} imported vLLM {answer['version']} and not {version}")
        file = KNOWN / f"vllm-{version}.json"
        write(
            file,
            {
                "engine": "vllm",
                "version": str(version),
                "released": wheel.released,
                "source": {"file": wheel.name, "how": "parser", "sha256": wheel.sha256},
                "flags": answer["flags"],
                "json": answer["json"],
                "open": answer["open"],
                "env": environment(sources / "vllm"),
            },
        )
        print(f"{file.name}: {len(answer['flags'])} flags, {file.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
