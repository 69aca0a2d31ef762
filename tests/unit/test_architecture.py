"""The map in docs/architecture.md is true: rooms import to their left only, and heavy libraries come late."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scenario import ROOT

PACKAGE = ROOT / "generator" / "recipegen"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = (
    "docker",
    "rich",
    "huggingface_hub",
    "llama_benchy",
    "jinja2",
    "yaml",
    "pydantic",
    "psutil",
    "numpy",
    "requests",
    "jsonschema",
    "scipy",
    "prometheus_client",
    "vl_convert",
    "ray",
)


def rooms() -> dict[str, int]:
    """Room to its rank, read from the architecture page: a later rank may import an earlier one."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = re.search(r"Imports go to the left only:\n\n((?: {4,}.+\n)+)", text)
    assert block is not None
    ranks = {}
    for rank, group in enumerate(block[1].replace("\n", " ").split("←")):
        ranks |= {name.strip(): rank for name in group.split(",") if name.strip()}
    return ranks


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> set[str]:
    """Rooms of the package that a module imports, wherever in the module."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "recipegen" else [f"recipegen.{a.name}" for a in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("recipegen.")}
    return found - {"__version__"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_rooms_import_to_their_left_only(module: Path) -> None:
    ranks, own = rooms(), room_of(module)
    if own in ("__init__", "__main__"):
        return
    assert own in ranks, f"docs/architecture.md does not name the room {own}"
    wrong = sorted(other for other in imports(module) if other != own and ranks[other] >= ranks[own])
    assert wrong == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_modules_stay_small_and_say_what_they_own(module: Path) -> None:
    text = module.read_text()
    assert len(text.splitlines()) <= 500
    assert not text or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("args", [["--version"], ["--help"]])
def test_start_up_imports_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['recipegen', *{args!r}]\n"
        "try:\n    runpy.run_module('recipegen', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print('LOADED', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert loaded & set(HEAVY) == set()
    assert "click" not in loaded
