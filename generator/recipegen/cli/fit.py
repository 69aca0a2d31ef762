"""Command `fit`: does a recipe fit into its machine. Owns how the estimate is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recipegen.cli import json_option, plain, root_option
from recipegen.errors import EXIT_FINDINGS
from recipegen.workspace import Workspace, variant_of

if TYPE_CHECKING:
    from recipegen.fit.parts import Estimate, Range


@click.command("fit")
@click.argument("name")
@click.option("--variant", metavar="V", help="Variant to look at; the headline by default.")
@click.option(
    "--context", type=click.IntRange(1, 1 << 24), metavar="N", help="Tokens of a request, instead of the recipe's."
)
@click.option(
    "--models-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder that holds the models' folders.",
)
@root_option
@json_option
def fit_command(
    name: str, variant: str | None, context: int | None, models_dir: Path | None, root: Path | None, as_json: bool
) -> None:
    """Estimate memory, the longest context and the decode ceiling of the recipe NAME, before it is launched.

    Each number has a low, an expected and a high value and its source. Exit code 1 when it does not fit (over);
    0 for fits, tight and unknown. With --models-dir, weights and config.json on this machine win over published sizes.

    \b
    Examples:
      recipegen fit qwen36-35b-dflash
      recipegen fit qwen36-35b-dflash --variant ar --context 131072
      recipegen fit qwen35-397b-fp8-mtp-x4 --models-dir ~/models --json
    """
    from recipegen.fit import estimate

    spec = Workspace.open(root).spec(name)
    chosen = variant_of(spec, variant)
    found = estimate(spec, chosen, context=context, models_dir=models_dir)
    if as_json:
        click.echo(json.dumps({"recipe": name, "variant": chosen, **found.as_data()}, indent=2))
    else:
        click.echo(plain("\n".join(_lines(name, chosen, found))))
    raise SystemExit(EXIT_FINDINGS if found.verdict == "over" else 0)


def _lines(name: str, variant: str, found: Estimate) -> Iterator[str]:
    yield f"{name} {variant}: {found.verdict} ({found.reason})"
    if found.pool is None or found.request is None or found.budget is None:
        return
    yield ""
    yield _head("GB of one node")
    yield _row("the engine may use", found.budget)
    for part in found.parts:
        yield _row(part.name, part.gb, "- ")
    yield _row("left for the cache", found.pool)
    yield _row(f"one request of {found.context:,} tokens", found.request)
    if found.total is not None:
        yield _row("in use, other software too", found.total)
    yield ""
    yield _head("tokens")
    for label, value in (
        ("cache holds", found.tokens),
        ("the engine's log says", found.logged),
        ("longest context, 1 request", found.largest),
        (f"longest context, {found.sequences} at once", found.largest_full if found.sequences != 1 else None),
    ):
        if value is not None:
            yield f"{label:<32}" + "".join(
                f"{max(0, int(end)):>12,}" for end in (value.low, value.expected, value.high)
            )
    if found.native is not None:
        yield f"the model's own context: {found.native:,}"
    if found.ceiling is not None:
        rate = found.ceiling.tokens_per_s
        word, unit = ("decode ceiling", "tok/s") if found.ceiling.bounds else ("ceiling of steps", "a second")
        yield ""
        yield (
            f"{word} of one stream at {found.ceiling.context:,} tokens: {rate.low:.1f} to {rate.high:.1f} {unit}, "
            f"expected {rate.expected:.1f}"
        )
        yield f"  {found.ceiling.note}"
    yield ""
    for part in found.parts:
        yield f"{part.name}: {part.source}"
    for note in found.notes:
        yield f"note: {note}"


def _head(label: str) -> str:
    return f"{label:<32}" + "".join(f"{word:>12}" for word in ("low", "expected", "high"))


def _row(label: str, value: Range, sign: str = "") -> str:
    return f"{sign + label:<32}" + "".join(f"{end:>12.2f}" for end in (value.low, value.expected, value.high))
