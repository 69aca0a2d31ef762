"""The pages of a site as text. Owns which templates make them; no folder and no figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from recipegen import __version__
from recipegen.errors import Problem
from recipegen.publish.charts.theme import config
from recipegen.publish.data import CSV_FILE, JSON_FILE, index_csv, index_json
from recipegen.publish.figures import METRICS, UNITS
from recipegen.publish.marks import QUALITY, STATUS
from recipegen.publish.row import Row
from recipegen.publish.shown import read_shown
from recipegen.render.templates import Templates
from recipegen.site.compare import compare_context, recipe_data
from recipegen.site.front import front_context
from recipegen.site.recipe_page import recipe_context
from recipegen.stats import WARM_RULE
from recipegen.workspace import attempt

if TYPE_CHECKING:
    from recipegen.workspace import Workspace

_ASSETS = ("site.css", "front.css", "copy.js", "table.js", "compare.js", "charts.js")


@dataclass(frozen=True)
class RecipePage:
    """One recipe: its row, its page, its data for the comparison."""

    row: Row
    page: str
    data: str


class Pages:
    """Renders the pages of one site.

    Args:
        workspace: the repository.
        title: of the site.
        base_url: where the repository's files can be looked at, without a slash at its end.
        stamp: goes into the addresses of assets, so that no browser shows new pages with an old style.
    """

    def __init__(self, workspace: Workspace, title: str, stamp: str, base_url: str | None = None) -> None:
        self._workspace = workspace
        self._base_url = base_url
        self._templates = Templates(workspace.repository.root / "templates", html=True)
        self._shared = {"site_title": title, "version": stamp, "recipegen": __version__}

    def _render(self, template: str, page: str, root: str = "", **context: Any) -> str:
        return self._templates.render(f"site/{template}.html.j2", page=page, root=root, **self._shared, **context)

    def recipe(self, name: str) -> tuple[RecipePage | None, list[Problem]]:
        """One recipe, read and rendered, or what is wrong with its files."""
        spec, problems = attempt(self._workspace.spec, name)
        if spec is None:
            return None, problems
        shown, problems = read_shown(self._workspace, spec)
        if problems:
            return None, problems
        context = recipe_context(self._workspace, spec, shown, self._base_url)
        page = self._render("recipe", "recipe", "../", **context, theme=_themes())
        return RecipePage(shown.row, page, recipe_data(shown.row, shown.runs)), []

    def shared(self, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
        """The pages about all recipes, by path."""
        yield "index.html", self._render("front", "index", **front_context(rows))
        yield "compare.html", self._render("compare", "compare", **compare_context(rows), theme=_themes())
        yield "rules.html", self._render("rules", "rules", **_rules_context())
        yield "method.html", self._render("method", "method", **_method_context())
        yield JSON_FILE, index_json(rows)
        yield CSV_FILE, index_csv(rows)

    def assets(self) -> Iterator[tuple[str, bytes]]:
        """Style sheets and scripts as they are."""
        for name in _ASSETS:
            yield name, self._templates.read(f"site/assets/{name}")

    @staticmethod
    def vega_stamp() -> str:
        """What the chart library is, so that an unchanged one need not be made again."""
        return f"Vega-Lite, Vega and vega-embed as vl-convert {version('vl-convert-python')} holds them; BSD licence"

    @staticmethod
    def vega() -> str:
        """The chart library for browsers, the very one that draws the SVG files."""
        import vl_convert

        return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _themes() -> dict[str, Any]:
    return {"light": config("light"), "dark": config("dark")}


def _rules_context() -> dict[str, Any]:
    from recipegen.lint.page import STAGES, condition
    from recipegen.lint.rule import documents, rules

    every = list(rules().values())
    return {
        "rules": every,
        "topics": list(dict.fromkeys(rule.topic for rule in every)),
        "stages": STAGES,
        "documents": documents(),
        "conditions": {rule.id: condition(rule) for rule in every if rule.when or rule.any},
    }


def _method_context() -> dict[str, Any]:
    from recipegen.plausible.verdict import MEANINGS
    from recipegen.stats.bootstrap import CONFIDENCE
    from recipegen.stats.history import MATTERS
    from recipegen.stats.summary import DRIFT_CHANGE, FEW, WIDE

    return {
        "warm_rule": WARM_RULE,
        "metrics": METRICS,
        "units": UNITS,
        "statuses": STATUS,
        "qualities": QUALITY,
        "verdicts": MEANINGS,
        "confidence": CONFIDENCE,
        "few": FEW,
        "wide": WIDE,
        "drift": DRIFT_CHANGE,
        "matters": MATTERS,
    }
