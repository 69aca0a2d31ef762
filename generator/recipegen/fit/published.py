"""The estimate held against figures that others published. Owns the comparison; the figures are published.yaml and the
recipes' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from recipegen.catalog import preset_names, read_yaml
from recipegen.fit.estimate import estimate
from recipegen.fit.parts import GB, Estimate, Range
from recipegen.fit.setup import Assumed
from recipegen.spec.completed import Spec

FILE = Path(__file__).with_name("published.yaml")
GIB = 2**30
Kind = Literal["tokens", "peak", "weights", "left", "token_bytes", "decode", "runs", "fails"]
_UNITS: dict[Kind, str] = {
    "tokens": "tokens",
    "peak": "GB",
    "weights": "GB",
    "left": "GB",
    "token_bytes": "bytes",
    "decode": "tok/s",
}


@dataclass(frozen=True)
class Figure:
    """One published figure and the estimate of the same.

    Attributes:
        published: least and most of it, in `unit`; None for what only ran, or did not.
        estimated: None where the estimate has no number.
        what: the configuration in words.
    """

    recipe: str
    variant: str
    kind: Kind
    what: str
    published: tuple[float, float] | None
    estimated: Range | None
    result: Estimate
    source: str
    note: str

    @property
    def unit(self) -> str:
        """Of `published` and `estimated`."""
        return _UNITS.get(self.kind, "")

    @property
    def ratio(self) -> float | None:
        """Expected over published (the middle of its range); above 1 the estimate is too high."""
        if self.published is None or self.estimated is None or self.kind == "decode":
            return None
        return self.estimated.expected / (sum(self.published) / 2)

    @property
    def within(self) -> bool | None:
        """Whether the published figure lies in the estimate's range."""
        if self.published is None or self.estimated is None or self.kind == "decode":
            return None
        return self.estimated.low <= self.published[1] and self.published[0] <= self.estimated.high

    @property
    def contradicted(self) -> bool:
        """Ran, but estimated not to fit; did not fit, but estimated to; decoded faster than the ceiling."""
        if self.kind == "decode":
            return self.published is None or self.estimated is None or self.published[1] > self.estimated.high
        return self.result.verdict == ("fits" if self.kind == "fails" else "over")


def figures(spec_of: Callable[[str], Spec]) -> list[Figure]:
    """Every figure of published.yaml.

    Args:
        spec_of: a recipe's or preset's name to its completed recipe.
    """
    return [_figure(entry, spec_of(entry["recipe"])) for entry in read_yaml(FILE)]


def _figure(entry: dict[str, Any], spec: Spec) -> Figure:
    given = entry.get("assume", {})
    assumed = Assumed(given.get("flags", {}), given.get("model"), given.get("weights_gb"))
    result = estimate(spec, entry["variant"], assumed=assumed)
    kind: Kind = entry["kind"]
    value = tuple(entry["value"]) if "value" in entry else None
    if value is not None and kind in ("peak", "weights"):
        value = tuple(number * GIB / GB for number in value)
    changed = [f"{key} {value}" for key, value in {**given.get("flags", {})}.items()]
    changed += [f"{given['weights_gb']:g} GB of weights"] if "weights_gb" in given else []
    what = f"{spec.name} {entry['variant']}" + (f" with {', '.join(changed)}" if changed else "")
    return Figure(
        recipe=spec.name,
        variant=entry["variant"],
        kind=kind,
        what=what,
        published=value,
        estimated=_estimated(kind, result),
        result=result,
        source=entry["source"],
        note=entry.get("note", ""),
    )


def _estimated(kind: Kind, result: Estimate) -> Range | None:
    if result.request is None or result.context is None:
        return None
    if kind == "tokens":
        return result.logged or result.tokens
    if kind == "token_bytes":
        return result.request * (GB / result.context)
    if kind == "weights":
        return next(part.gb for part in result.parts if part.name == "weights")
    if kind == "decode":
        return result.ceiling.tokens_per_s if result.ceiling and result.ceiling.bounds else None
    return {"peak": result.total, "left": result.pool}.get(kind)


@dataclass(frozen=True)
class Ran:
    """A variant whose speed somebody published, so it ran.

    Attributes:
        decode: the fastest published tok/s of one stream without speculation; None without one.
    """

    recipe: str
    variant: str
    result: Estimate
    decode: float | None


def ran(specs: list[Spec]) -> Iterator[Ran]:
    """Every variant with a published figure, each once."""
    seen: set[tuple[str, str]] = set()
    for spec in specs:
        for name in dict.fromkeys(figure.variant for figure in spec.published):
            if (spec.name, name) in seen or name not in spec.variants:
                continue
            seen.add((spec.name, name))
            result = estimate(spec, name)
            speeds = [
                one.value
                for one in spec.published
                if (one.variant, one.metric, one.concurrency, one.workload) == (name, "tg", 1, None)
            ]
            bounded = result.ceiling is not None and result.ceiling.bounds and spec.variants[name].method == "AR"
            yield Ran(spec.name, name, result, max(speeds) if speeds and bounded else None)


@cache
def all_specs() -> dict[str, Spec]:
    """Recipes of the source checkout and presets by name; a recipe hides the preset of its name."""
    from recipegen.catalog import preset_file
    from recipegen.complete import complete
    from recipegen.load.recipe import load_recipe

    files = {name: preset_file(name) for name in preset_names()}
    root = Path(__file__).parents[3] / "recipes"
    files |= {file.parent.name: file for file in sorted(root.glob("*/recipe.yaml"))}
    return {name: complete(load_recipe(file, preset=preset_file, checks=()).recipe) for name, file in files.items()}
