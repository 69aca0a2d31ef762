"""Rendering 1,000 kits in memory against Jinja2 alone. Owns no printing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from sampling import Row, Sample, clocked

from recipegen.catalog import preset_file, preset_names
from recipegen.render.kit import render_kit
from recipegen.render.templates import Templates
from recipegen.scaffold import init_repository, recipe_text
from recipegen.spec.completed import Spec
from recipegen.workspace import Workspace

RECIPES, BLOCK = 1000, 50
TARGET = 2.5

Call = tuple[str, dict[str, Any]]
"""Name of a template and the values it was rendered with."""


class _Recording(Templates):
    """Renders, and remembers what."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def render(self, name: str, /, **context: object) -> str:
        self.calls.append((name, context))
        return super().render(name, **context)

    @property
    def environment(self) -> jinja2.Environment:
        return self._environment


def rows() -> list[Row]:
    """Whole kits against the same templates with the same values, block by block."""
    with tempfile.TemporaryDirectory(prefix="recipegen-perf-") as folder:
        names = make_repository(Path(folder))
        workspace = Workspace.open(Path(folder))
        recording = _Recording()
        bare = _without_filters(recording.environment)
        _kits(workspace, workspace.specs(names[: len(preset_names())]))  # compiles every template
        starts = range(0, RECIPES, BLOCK)
        blocks = [_block(workspace, names[at : at + BLOCK], recording, bare) for at in starts]
    loading, kits, alone, unfiltered = (list(side) for side in zip(*blocks, strict=True))
    both = [Sample(a.wall + b.wall, (a.cpu or 0) + (b.cpu or 0)) for a, b in zip(loading, kits, strict=True)]
    what, blocked = f"rendering {RECIPES:,} recipes", f"{len(blocks)} blocks of {BLOCK}, all presets in turn"
    from_yaml, included = f"{what} from their YAML files", "loading, checking, completing included"
    return [
        blocks_row(what, kits, "Jinja2 alone, same templates and values", alone, TARGET, blocked),
        blocks_row(what, kits, "the same with filters that do nothing", unfiltered, None, "no value is quoted there"),
        blocks_row(from_yaml, both, "Jinja2 alone", alone, None, included),
    ]


def _block(
    workspace: Workspace, names: list[str], recording: _Recording, bare: jinja2.Environment
) -> tuple[Sample, Sample, Sample, Sample]:
    """A block of recipes: from YAML to Specs, from Specs to kits, Jinja2 alone, Jinja2 without our filters."""
    specs: list[Spec] = []
    loading = clocked(lambda: specs.extend(workspace.specs(names)))
    kits = clocked(lambda: _kits(workspace, specs))
    recording.calls.clear()
    for spec in specs:
        render_kit(spec, recording, workspace.patches)
    alone = clocked(_only_jinja(recording.environment, recording.calls))
    return loading, kits, alone, clocked(_only_jinja(bare, recording.calls))


def make_repository(root: Path) -> list[str]:
    """A repository with recipes made from the presets in turn, each under a name of its own; their names."""
    init_repository(root)
    texts = {preset: preset_file(preset).read_text(encoding="utf-8") for preset in preset_names()}
    names = []
    for number in range(RECIPES):
        preset = preset_names()[number % len(texts)]
        name = f"{preset}-{number:04d}"
        folder = root / "recipes" / name
        folder.mkdir()
        (folder / "recipe.yaml").write_text(recipe_text(name, texts[preset]), encoding="utf-8")
        names.append(name)
    return names


def _kits(workspace: Workspace, specs: list[Spec]) -> None:
    for spec in specs:
        render_kit(spec, workspace.templates, workspace.patches)


def _only_jinja(environment: jinja2.Environment, calls: list[Call]) -> Callable[[], None]:
    """Renders what was recorded, by templates that are loaded and compiled already."""
    ready = [(environment.get_template(name).render, context) for name, context in calls]

    def render() -> None:
        for template, context in ready:
            template(**context)

    return render


def _without_filters(environment: jinja2.Environment) -> jinja2.Environment:
    """The same templates, but every filter of ours gives a text back as it is, and a word for all else."""

    def nothing(value: object, *_options: object) -> str:
        return value if isinstance(value, str) else "word"

    bare = environment.overlay()
    ours = set(environment.filters) - set(jinja2.Environment().filters) - {"knob_names"}  # which a loop runs over
    bare.filters = environment.filters | dict.fromkeys(ours, nothing)
    return bare


def blocks_row(
    what: str, ours: list[Sample], against: str, theirs: list[Sample], target: float | None, remark: str
) -> Row:
    """Samples of blocks, scaled to all recipes."""
    blocks = RECIPES // BLOCK
    ours, theirs = ([Sample(s.wall * blocks, (s.cpu or 0) * blocks) for s in side] for side in (ours, theirs))
    return Row(what, ours, "s", against, theirs, target, remark=remark)
