"""The command line: arguments in, one handler for errors, exit codes out. Commands load when called."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

import click

from recipegen.errors import (
    EXIT_ENVIRONMENT,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    EnvironmentLacks,
    Problem,
    RecipegenError,
    SpecError,
)

EXIT_FAULT = 70
"""A fault of recipegen itself (EX_SOFTWARE of sysexits.h)."""

_COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("recipes", "Make a new recipe repository."),
    "new": ("recipes", "Write a recipe from a preset, a recipe or a hub model, and render its kit."),
    "list": ("recipe_list", "List the recipes of this repository with their figures."),
    "show": ("recipes", "Show one recipe, as written or completed."),
    "import": ("exchange", "Make recipes from those of sparkrun, vLLM, spark-vllm-docker, docker run or compose."),
    "export": ("exchange", "Write a recipe as a sparkrun recipe or a compose file."),
    "catalog": ("catalog", "List or show what is known: presets, machines, models, images."),
    "lint": ("lint", "Check recipes and say what is wrong, with file, line, source and remedy."),
    "explain": ("lint", "Print a lint rule, or all of them."),
    "lock": ("lock", "Pin what moves under a recipe: images, models, packages, texts."),
    "doctor": ("doctor", "Look at this host before anything is built."),
    "fit": ("fit", "Estimate whether a recipe fits into its machine's memory, and how fast it can decode."),
    "plan": ("plan", "Say what a recipe asks of its machines: what each node holds, what goes between them."),
    "schema": ("recipes", "Print the JSON Schema of recipe.yaml, or of index.json."),
    "render": ("kits", "Render the kits of recipes, or check that they are up to date."),
    "download": ("kits", "Fetch the models of a recipe."),
    "build": ("kits", "Build the image of a recipe."),
    "up": ("servers", "Start a recipe's server."),
    "status": ("servers", "Show the servers that recipegen started."),
    "logs": ("servers", "Show the log of a server."),
    "down": ("servers", "Take servers down."),
    "cluster": ("cluster", "Several machines together: check them, send them image and models."),
    "bench": ("bench", "Measure variants of a recipe: up, wait, every cell, down."),
    "collect": ("measure", "Take in llama-benchy reports made elsewhere."),
    "results": ("results", "Show what was measured: runs, cells, samples, intervals, history."),
    "compare": ("compare", "Compare two variants, runs, machines, or a run and a published figure."),
    "bundle": ("bundle", "Make one archive that proves a recipe's headline."),
    "verify": ("verify", "Check a bundle or a leaderboard payload, without a network and without trust."),
    "reproduce": ("reproduce", "Measure a recipe again and hold it against its reference."),
    "submit": ("submit", "Send a measured row to a leaderboard, or say whether it would take it."),
    "index": ("measure", "Write INDEX.md, index.json, index.csv, RESULTS.md, charts; or check them."),
    "site": ("site", "Write a static site of all recipes, with charts and a comparison."),
    "publish": ("hub", "Upload results or a bundle to a dataset on the Hugging Face hub."),
    "demo": ("measure", "The main job on the embedded engine, in a folder of its own."),
}


class _Group(click.Group):
    """Knows the commands' names and one-line helps without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = import_module(f"recipegen.cli.{_COMMANDS[name][0]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], _COMMANDS, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in _COMMANDS.items()])


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `recipegen demo`, or with `recipegen init my-recipes` and `recipegen new qwen36-35b-dflash`.",
)
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
@click.version_option(package_name="recipegen", message="%(prog)s %(version)s")
def cli(debug: bool) -> None:
    """Benchmark recipes for LLM inference on NVIDIA DGX Spark (GB10) and its kin.

    One recipe.yaml describes model, image, flags, variants and what to measure; from it come a Docker
    build kit that stands alone, measured results, and the table of INDEX.md.

    Exit codes: 0 done, 1 findings or a failed check, 2 wrong usage or spec, 3 the environment lacks
    something, 4 the server or the benchmark failed, 130 interrupted.
    """
    click.get_current_context().color = _colour()


def root_option(function: click.decorators.FC) -> click.decorators.FC:
    """--root, for every command that works in a repository."""
    return click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False),
        help="Repository; found upwards from here by default.",
    )(function)


def json_option(function: click.decorators.FC) -> click.decorators.FC:
    """--json, for every command that prints data."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(function)


def plain(text: str) -> str:
    """Text for a terminal: a control character in a file's name or value is shown, not obeyed."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _colour() -> bool | None:
    """False where the user wants none (https://no-color.org); None lets click see whether there is a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def _print_problem(problem: Problem) -> None:
    click.echo(
        f"{click.style(plain(str(problem.where)), bold=True)}: {plain(problem.message)}", err=True, color=_colour()
    )
    if problem.hint:
        click.echo(f"    {plain(problem.hint)}", err=True, color=_colour())


def report(error: RecipegenError) -> None:
    """Print an error: what, where, and the remedy."""
    if isinstance(error, SpecError):
        for problem in error.problems:
            _print_problem(problem)
    where = f"{error.where}: " if error.where else ""
    click.echo(
        f"{click.style('error:', fg='red', bold=True)} {plain(where + error.message)}", err=True, color=_colour()
    )
    if error.hint:
        click.echo(f"  {plain(error.hint)}", err=True, color=_colour())


def _trace(debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()


def _as_interrupt(_number: int, _frame: object) -> None:
    """SIGTERM ends a command as Ctrl-C does: what was started is taken down."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and turn every outcome into its exit code."""
    debug = "--debug" in sys.argv[1:]
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        code = cli.main(standalone_mode=False, prog_name="recipegen")
        sys.exit(code if isinstance(code, int) else 0)
    except RecipegenError as error:
        _trace(debug)
        report(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        # No permission, no space, a folder that is a file: this host's, not recipegen's.
        _trace(debug)
        name = f"{error.filename}: " if isinstance(error.filename, str | Path) else ""
        report(EnvironmentLacks(f"{name}{error.strerror or error}"))
        sys.exit(EXIT_ENVIRONMENT)
    except Exception as error:
        _trace(debug)
        click.echo(plain(f"error: unexpected {type(error).__name__}: {error}"), err=True)
        click.echo(
            "  this is a fault of recipegen: run again with --debug before the command and report its output",
            err=True,
        )
        sys.exit(EXIT_FAULT)
