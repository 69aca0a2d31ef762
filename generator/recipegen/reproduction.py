"""A measurement made again beside the one it repeats: what was inside the interval, what differed. Owns
reproduction.json and REPRODUCED.md; measures nothing itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipegen.errors import RecipegenError
from recipegen.files import write_atomic
from recipegen.publish.compare import Compared, Figure, Row
from recipegen.publish.figures import NOTHING, digits, number, table_head, table_row
from recipegen.quoting import markdown_code, markdown_link, markdown_text
from recipegen.results.reproduced import DECIDING, Differs, Outcome, Repeated, Reproduction, Side, load_reproductions
from recipegen.results.store import REPRODUCTION

PAGE = "REPRODUCED.md"
TOLERANCE = 0.05
"""Share of the reference within which a figure outside the interval still counts as reproduced. A chosen limit: the
interval is of one start of the server, and starts of the same server differ by a few per cent themselves."""

_WORDS: Mapping[Outcome, str] = {
    "inside": "reproduced: inside the interval",
    "close": "reproduced: outside the interval, within {:g} %",
    "faster": "faster: outside the interval",
    "slower": "slower: outside the interval",
    "undecided": "outside the interval; no difference can be told",
}


def reproduction_of(
    found: Compared,
    *,
    recipe: str,
    variant: str,
    run: Path,
    ended: str | None,
    quality: str | None,
    reference_run: str | None,
    bundle: str | None = None,
    tolerance: float = TOLERANCE,
) -> Reproduction:
    """Turns a comparison with the reference as A and the new run as B into a reproduction.

    Raises:
        RecipegenError: no figure stands on both sides.
    """
    figures = tuple(one for row in found.rows if (one := _repeated(row, tolerance)) is not None)
    if not figures:
        raise RecipegenError("nothing of the reference was measured again", hint=f"A has: {', '.join(found.only_a)}")
    return Reproduction(
        recipe=recipe,
        variant=variant,
        run=run.name,
        machine=run.parent.name,
        ended=ended,
        reference=found.a.title,
        reference_run=reference_run,
        bundle=bundle,
        quality=quality,
        tolerance=tolerance,
        figures=figures,
        not_repeated=found.only_a,
        environment=tuple(Differs(what=one.what, reference=one.a, measured=one.b) for one in found.differences),
        not_known=found.unknown,
        notes=found.notes,
    )


def _repeated(row: Row, tolerance: float) -> Repeated | None:
    if row.a is None or row.b is None or row.ratio is None:
        return None
    return Repeated(
        cell=row.cell_b,
        metric=row.metric,
        unit=row.unit,
        reference=Side(value=row.a.median, n=row.a.n, low=row.a.low, high=row.a.high),
        measured=Side(value=row.b.median, n=row.b.n, low=row.b.low, high=row.b.high),
        difference=row.ratio - 1,
        outcome=outcome_of(row.a, row.b, row.effect, tolerance, higher_is_better=row.metric in DECIDING),
        words=row.words,
    )


def outcome_of(
    reference: Figure, measured: Figure, effect: str | None, tolerance: float, *, higher_is_better: bool
) -> Outcome:
    """Whether a figure was reproduced.

    `inside` when the measured median lies in the reference's 95 % interval; a published figure has none, then when it
    lies in the measured one's. Else `close` within the tolerance. Beyond that the test of the comparison decides
    whether it is `faster` or `slower`, or `undecided` where the samples are too few to tell; against a published
    figure there is no test, and the measured interval speaks alone.

    Args:
        effect: what the comparison found; None where it could not test.
    """
    published = reference.low is None or reference.high is None
    held, figure = (measured, reference) if published else (reference, measured)
    low, high = held.low, held.high
    if low is not None and high is not None and low <= figure.median <= high:
        return "inside"
    ratio = measured.median / reference.median
    if abs(ratio - 1) <= tolerance:
        return "close"
    if effect in ("faster", "slower") or (published and measured.n is not None and measured.n > 1):
        return "faster" if (ratio > 1) == higher_is_better else "slower"
    return "undecided"


def write_reproduction(made: Reproduction, recipe_dir: Path, run: Path) -> Path:
    """Keeps the reproduction beside its run, and writes REPRODUCED.md of the recipe anew.

    Returns:
        The page.
    """
    write_atomic(run / REPRODUCTION, made.model_dump_json(indent=2) + "\n", within=recipe_dir)
    page = recipe_dir / PAGE
    write_atomic(page, reproduced_page(load_reproductions(recipe_dir)), within=recipe_dir)
    return page


def reproduced_page(made: Sequence[Reproduction]) -> str:
    """The whole of REPRODUCED.md."""
    lines = [
        "<!-- Rendered by recipegen from results/. Do not edit. -->",
        f"# Reproduced: {markdown_text(made[0].recipe)}" if made else "# Reproduced",
        "",
        "A figure is reproduced when the new median lies inside the 95 % interval of the reference's, or within the",
        "tolerance of it. Times to the first response are shown, and decide nothing: they hang on the network too.",
        "",
    ]
    for one in made:
        lines += _section(one)
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(made: Reproduction) -> Iterator[str]:
    place = f"results/{made.machine}/{made.run}"
    yield f"## {markdown_text(made.run)} on {markdown_text(made.machine)}: {made.verdict}"
    yield ""
    yield f"- reference: {markdown_text(made.reference)}"
    if made.bundle:
        yield f"- the reference came in the bundle {markdown_code(made.bundle)}"
    yield f"- measured: {markdown_link('run.json', f'{place}/run.json')}, {markdown_text(made.ended or 'no date')}"
    yield f"- quality of the answers: {markdown_text(made.quality or 'not asked')}"
    yield ""
    yield from table_head(
        ("cell", False),
        ("metric", False),
        ("reference", True),
        ("95 % interval", True),
        ("measured", True),
        ("95 % interval", True),
        ("difference", True),
        ("verdict", False),
    )
    for one in made.figures:
        yield table_row(
            markdown_text(one.cell),
            f"{one.metric} ({one.unit})",
            *_side(one.reference),
            *_side(one.measured),
            f"{100 * one.difference:+.1f} %",
            _WORDS[one.outcome].format(100 * made.tolerance),
        )
    yield ""
    for cell in made.not_repeated:
        yield f"- not repeated: {markdown_text(cell)}"
    for note in made.notes:
        yield f"- {markdown_text(note)}"
    if made.not_repeated or made.notes:
        yield ""
    yield from _environment(made)


def _side(side: Side) -> tuple[str, str]:
    n = "n not given" if side.n is None else f"n={side.n}"
    if side.low is None or side.high is None:
        return f"{number(side.value)} ({n})", NOTHING
    to = digits(side.value, side.low, side.high)
    return f"{to.figure(side.value)} ({n})", f"{to.finer(side.low)}–{to.finer(side.high)}"


def _environment(made: Reproduction) -> Iterator[str]:
    if made.environment:
        yield from table_head(("what differs", False), ("reference", False), ("measured", False))
        for one in made.environment:
            shown = (NOTHING if text is None else markdown_text(text) for text in (one.reference, one.measured))
            yield table_row(markdown_text(one.what), *shown)
    else:
        yield "Nothing else that is recorded differs."
    yield ""
    if made.not_known:
        yield f"Not known, so not compared: {markdown_text('; '.join(made.not_known))}."
        yield ""


def as_data(made: Reproduction) -> dict[str, Any]:
    """The reproduction for --json, its verdict included."""
    data: dict[str, Any] = json.loads(made.model_dump_json())
    return {**data, "verdict": made.verdict}
