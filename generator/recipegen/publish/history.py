"""A recipe's runs over time: which belong together, what changed between them, and whether it moved a figure.

Owns no statistics (stats.history) and no page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipegen.publish.compare import BETTER, arguments, differing, tool_flags
from recipegen.publish.figures import NOTHING, digits
from recipegen.publish.listing import CellLine, RunLine
from recipegen.publish.marks import is_doubtful
from recipegen.publish.sides import facts_of, server_of
from recipegen.results.store import CellRecord, run_order
from recipegen.stats import warm
from recipegen.stats.history import Change, Judged, Mark, drifts, judge_changes, outliers, percent
from recipegen.stats.summary import Described

_TOLD = (
    "image",
    "image id",
    "models",
    "GPU",
    "processor",
    "driver",
    "CUDA driver",
    "DGX OS",
    "system",
    "kernel",
    "runner",
    "llama-benchy",
    "latency mode",
)
"""Facts (publish.sides) of which a change begins a new group, beside the engine, the server's flags and variables, who
measured, the text and llama-benchy's own flags."""
_ONLY_WRITTEN = ("--format", "--save-total-throughput-timeseries", "--save-all-throughput-timeseries")
"""Flags of llama-benchy that say what is written, not what is measured."""
_LONGEST = 60
"""Characters of one value among what changed; the records hold all of it."""
_HASH = re.compile(r"[0-9a-f]{20,}")
_HASH_SHOWN = 12
"""As container tools and version control show one."""


@dataclass(frozen=True)
class Point:
    """One run of a series.

    Attributes:
        run: name of its folder.
        started: in UTC; None where nobody noted it.
        engine: name and version, as far as they are known: `vllm 0.32.0`.
        image: reference of the image that ran; None without one.
        samples: warm ones, in the order in which they were measured.
        figure: what they come to.
    """

    run: str
    machine: str
    started: str | None
    engine: str
    image: str | None
    samples: tuple[float, ...]
    figure: Described


@dataclass(frozen=True)
class Apart:
    """A run that is not judged: it is listed beside the series, and moves no step and no interval.

    Attributes:
        figure: of its samples, where it has any.
        why: `quality fail`, `too-fast: …`, `failed: …`.
    """

    run: str
    started: str | None
    figure: Described | None
    why: str


@dataclass(frozen=True)
class Step:
    """Where something changed from one run to the next.

    Attributes:
        before: the last run of the group before.
        after: the first run of the group that begins.
        changed: what did: `engine vllm 0.31.0 → 0.32.0`, `flag --max-num-seqs 4 → 2`.
        ratio: the figure after over that before: geometric means of the medians of all runs of either group.
        low, high: its 95 % interval (Student's t on the scatter between runs); None where no group has two runs.
        p: corrected for the steps of the series (Holm); None likewise.
        mark: gain and regression are significant and no smaller than stats.history.MATTERS; "none" is a change that
            is surely smaller; the rest is undecided.
        words: all of it in words; `size` is the ratio alone, `verdict` the mark and what to measure.
    """

    before: str
    after: str
    changed: tuple[str, ...]
    ratio: float
    low: float | None
    high: float | None
    p: float | None
    mark: Mark
    words: str
    size: str
    verdict: str


@dataclass(frozen=True)
class Series:
    """One figure over time: of one variant, machine, cell and metric.

    Attributes:
        points: runs that count, oldest first.
        steps: oldest first.
        apart: runs that do not count, oldest first.
        scatter: from one run to the next with nothing changed, as a share; None where no group has two runs.
        free: its degrees of freedom: runs less groups.
        notes: what else a reader must know: a run that lies apart from its group, a drift, runs of a single day.
    """

    variant: str
    machine: str
    cell: str
    metric: str
    points: tuple[Point, ...]
    steps: tuple[Step, ...]
    apart: tuple[Apart, ...] = ()
    scatter: float | None = None
    free: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_repeated(self) -> bool:
        """Whether it was measured more than once, in doubt or not."""
        return len(self.points) + len(self.apart) > 1


_Setup = Mapping[str, Mapping[str, str] | None]
"""What a run was measured with, by kind; a kind that is not known is None."""
_Measured = tuple[RunLine, CellLine]


def histories(runs: Sequence[RunLine]) -> list[Series]:
    """Every series that the runs of a recipe make: by variant, machine, cell, then metric.

    Runs that failed, were interrupted or answered wrongly, doubtful figures and failed cells stand apart.

    Args:
        runs: of one recipe, in any order.
    """
    ordered = sorted(runs, key=lambda run: run_order(run.folder))
    keys = dict.fromkeys(
        (run.variant, run.machine, cell.id, metric) for run in ordered for cell in run.cells for metric in cell.figures
    )
    of = {
        key: [one for one in ordered if (one.variant, one.machine) == key]
        for key in dict.fromkeys((run.variant, run.machine) for run in ordered)
    }
    order = {metric: at for at, metric in enumerate(BETTER)}
    ranked = sorted(keys, key=lambda key: (*key[:3], order[key[3]]))
    setups: dict[tuple[Path, str], _Setup] = {}
    return [_series(of[key[:2]], setups, *key) for key in ranked]


def of_headline(series: Iterable[Series], variant: str, cell: str) -> list[Series]:
    """The series of a headline: one for every machine and metric that it was measured on more than once."""
    return [one for one in series if (one.variant, one.cell) == (variant, cell) and one.is_repeated]


def headline_histories(runs: Sequence[RunLine], variant: str, cell: str) -> list[Series]:
    """The same of runs, without making the series of everything else."""
    own = [
        replace(run, cells=tuple(one for one in run.cells if one.id == cell)) for run in runs if run.variant == variant
    ]
    return of_headline(histories(own), variant, cell)


def _series(
    runs: Sequence[RunLine],
    setups: dict[tuple[Path, str], _Setup],
    variant: str,
    machine: str,
    cell_id: str,
    metric: str,
) -> Series:
    measured: list[_Measured] = []
    apart: list[Apart] = []
    for run in runs:
        for cell in run.cells:
            if cell.id == cell_id:
                why = _doubt(run, cell, metric)
                if why is None:
                    measured.append((run, cell))
                else:
                    apart.append(Apart(run.run, run.started, cell.figures.get(metric), why))
    groups, changed = _grouped(measured, setups)
    points = tuple(_point(run, cell, metric) for run, cell in measured)
    judged, notes = Judged((), None, 0), tuple[str, ...]()
    if len(points) > 1:
        medians = [[cell.figures[metric].median for _, cell in group] for group in groups]
        judged = judge_changes(medians, better=BETTER[metric])
        names = [[run for run, _ in group] for group in groups]
        notes = (*_odd_runs(names, medians), *_single_days(names, judged))
    sides = zip(groups, groups[1:], changed, judged.changes, strict=False)
    steps = tuple(_step(before[-1][0], after[0][0], what, change) for before, after, what, change in sides)
    return Series(variant, machine, cell_id, metric, points, steps, tuple(apart), judged.scatter, judged.free, notes)


def _doubt(run: RunLine, cell: CellLine, metric: str) -> str | None:
    """Why a figure is not to be judged; None where it is."""
    found = cell.figures.get(metric)
    if cell.status != "done":
        return f"failed: {cell.error or 'no reason noted'}"
    if found is None:
        return "no samples"
    if run.status not in ("complete", "partial"):
        return f"the run is {run.status}"
    if run.quality == "fail":
        return "quality fail"
    if is_doubtful(cell.verdict):
        return ": ".join([str(cell.verdict), *cell.reasons[:1]])
    return None if found.median > 0 else "not above zero"


def _point(run: RunLine, cell: CellLine, metric: str) -> Point:
    return Point(
        run=run.run,
        machine=run.machine,
        started=run.started,
        engine=run.engine,
        image=_text((run.record["image"] or {}).get("ref")),
        samples=tuple(warm(cell.samples[metric])[0]),
        figure=cell.figures[metric],
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _grouped(
    measured: Sequence[_Measured], setups: dict[tuple[Path, str], _Setup]
) -> tuple[list[list[_Measured]], list[tuple[str, ...]]]:
    """Neighbouring runs between which nothing changed, and what changed between one group and the next.

    What a record does not tell is taken to be as it was last told: it is no evidence of a change.

    Args:
        setups: what cells were measured with; filled in here, because every metric of a cell asks for it.
    """
    groups: list[list[_Measured]] = []
    changed: list[tuple[str, ...]] = []
    known: dict[str, Mapping[str, str] | None] = {}
    last: _Setup | None = None
    for run, cell in measured:
        key = run.folder, cell.id
        if key not in setups:
            setups[key] = _setup(run, next(one for one in run.record["cells"] if one["id"] == cell.id))
        setup = setups[key]
        found = () if setup is last or setup == last else tuple(_changes(known, setup))
        last = setup
        if not groups or found:
            groups.append([])
            if len(groups) > 1:
                changed.append(found)
        groups[-1].append((run, cell))
        for kind, values in setup.items():
            if values is not None:
                # A fact is known by itself, a command line only as a whole.
                known[kind] = {**(known.get(kind) or {}), **values} if kind == "" else values
    return groups, changed


def _setup(run: RunLine, cell: CellRecord) -> _Setup:
    facts = dict(facts_of(run.record))
    told = {
        "engine": run.engine or None,
        **{name: facts.get(name) for name in _TOLD},
        "origin": run.record["origin"],
        f"text {cell['corpus']}": cell["corpus_sha256"],
    }
    argv, env = server_of(run.record)
    tool = tool_flags(list(map(str, cell["argv"]))) if cell["argv"] else None
    return {
        "": {name: value for name, value in told.items() if value is not None},
        "flag": None if argv is None else arguments(argv),
        "variable": env,
        "llama-benchy": None if tool is None else {k: v for k, v in tool.items() if k not in _ONLY_WRITTEN},
    }


def _changes(known: _Setup, setup: _Setup) -> Iterator[str]:
    for kind, values in setup.items():
        before = known.get(kind)
        if before is None or values is None:
            continue
        if kind == "":
            before = {name: value for name, value in before.items() if name in values}
            values = {name: value for name, value in values.items() if name in before}
            if before.get("image") != values.get("image"):
                values.pop("image id", None)  # another reference is another image: said once
                before.pop("image id", None)
        for one in differing(kind, before, values):
            yield f"{one.what.strip()} {_from_to(one.a, one.b)}"


def _from_to(a: str | None, b: str | None) -> str:
    """`vllm 0.31.0 → 0.32.0`: values that are long are shown around where they part."""
    if a is None or b is None:
        return " → ".join("not there" if one is None else _short(one) for one in (a, b))
    cut = [_HASH.sub(lambda found: found[0][:_HASH_SHOWN], one) for one in (a, b)]
    if cut[0] != cut[1]:
        a, b = cut
    name, _, rest = a.partition(" ")
    if rest and len(name) < _LONGEST // 3 and b.startswith(f"{name} "):
        # The engine's name, the number of GPUs: once.
        b = b.removeprefix(f"{name} ")
    start = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
    skip = max(0, start - _LONGEST // 2) if max(len(a), len(b)) > _LONGEST else 0
    return f"{_short(a, skip)} → {_short(b, skip)}"


def _short(text: str, skip: int = 0) -> str:
    rest = f"… {text[skip:]}" if skip else text
    return rest if len(rest) <= _LONGEST else f"{rest[: _LONGEST - 2]} …"


def _step(before: RunLine, after: RunLine, changed: tuple[str, ...], change: Change) -> Step:
    words = f"{change.size}, {', '.join(changed)}, {change.verdict}"
    told = (change.ratio, change.low, change.high, change.p, change.mark, words, change.size, change.verdict)
    return Step(before.run, after.run, changed, *told)


def _odd_runs(names: Sequence[Sequence[RunLine]], medians: Sequence[Sequence[float]]) -> Iterator[str]:
    """Runs that lie apart from their group, and groups that drift: both make every interval of the series wider."""
    for one in outliers(medians):
        run = names[one.group][one.run].run
        yield f"{run} lies {percent(one.times)} off the runs around it, though nothing that is recorded changed"
    for at, times in drifts(medians):
        first, last = names[at][0].run, names[at][-1].run
        yield (
            f"from {first} to {last} the figure drifts by {percent(times)}, though nothing that is recorded changed: "
            "a step beside it may be part of that"
        )


def _single_days(names: Sequence[Sequence[RunLine]], judged: Judged) -> Iterator[str]:
    """Scatter that was seen within days only is too small for what lies between them."""
    days = [[(run.started or run.run)[:10] for run in group] for group in names]
    repeated = [group for group in days if len(group) > 1]
    if not any(change.mark in ("gain", "regression") for change in judged.changes) or not repeated:
        return
    if all(len(set(group)) == 1 for group in repeated) and len({day for group in days for day in group}) > 1:
        yield (
            "the runs with nothing changed between them were made on one day each: what differs from day to day is "
            "not in the intervals"
        )


def figure_words(point: Point | Apart) -> str:
    """A point's median and its interval; `–` without samples."""
    if point.figure is None:
        return NOTHING
    found = point.figure
    return digits(found.median, found.low, found.high).with_interval(found)
