"""A repository's recipes, loaded, checked and completed. Owns the way from a name to a Spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from recipegen.errors import Problem, RecipegenError, SpecError
from recipegen.load.repo import RECIPE_FILE, Repository, find_repository

if TYPE_CHECKING:
    from recipegen.lint.finding import Finding
    from recipegen.lint.subject import Recipe as LintRecipe
    from recipegen.load.recipe import Loaded
    from recipegen.load.yamldoc import Document
    from recipegen.lock import Lock
    from recipegen.render.kit import Kit
    from recipegen.render.patches import Patch
    from recipegen.render.templates import Templates
    from recipegen.spec.completed import Spec
    from recipegen.trial import Trial

_T = TypeVar("_T")

OWN_FILE_LIMIT = 1 << 20
"""A chat template or a parser is a few kilobytes; what is larger than 1 MiB does not belong into a kit."""

LOG_LIMIT = 256 << 20
"""A server's log of a long measurement is some megabytes."""


@dataclass(frozen=True)
class Workspace:
    """A repository and what its recipes are rendered with.

    Attributes:
        trials: recipes that have one more variant than their files say, by name.
    """

    repository: Repository
    trials: Mapping[str, Trial] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path | None) -> Workspace:
        """The repository named, or the one around the current folder."""
        return cls(find_repository(Path.cwd(), root))

    def trying(self, name: str, trial: Trial | None) -> Workspace:
        """The same repository, in which one recipe has one more variant; itself without a trial."""
        return self if trial is None else replace(self, trials={**self.trials, name: trial})

    @cached_property
    def patches(self) -> dict[str, Patch]:
        """The repository's patches on top of those that recipegen ships."""
        from recipegen.render.kit import repository_patches

        return repository_patches(self.repository.root)

    @cached_property
    def templates(self) -> Templates:
        """The repository's templates before those that recipegen ships."""
        from recipegen.render.templates import Templates

        return Templates(self.repository.root / "templates")

    def load(self, name: str) -> Loaded:
        """One recipe as its author wrote it, checked.

        Raises:
            SpecError: with every problem in it.
        """
        return self.load_file(self.repository.folder(name) / RECIPE_FILE)

    def load_file(self, file: Path) -> Loaded:
        """One recipe file, checked as a recipe of this repository."""
        from recipegen.catalog import preset_file
        from recipegen.checks import cross_check
        from recipegen.load.recipe import load_recipe

        def names(document: Document) -> list[Problem]:
            return cross_check(document, patches=self.patches)

        def folder(document: Document) -> list[Problem]:
            given = document.data.get("name")
            if isinstance(given, str) and given != file.parent.name:
                where = document.where(("name",))
                return [Problem(where, f"the name {given!r} is not the folder's", f"folder: {file.parent.name}")]
            return []

        trial = self.trials.get(file.parent.name)
        amend = trial.amend if trial else None
        return load_recipe(file, preset=preset_file, amend=amend, checks=(names, folder))

    def spec(self, name: str) -> Spec:
        """One recipe with nothing left to default, the pins of its lock put in where it has one."""
        from recipegen.lock import pinned

        spec, lock = self.unpinned(name), self.lock(name)
        return spec if lock is None else pinned(spec, lock)

    def unpinned(self, name: str) -> Spec:
        """One recipe with nothing left to default, without the pins of its lock."""
        from recipegen.complete import complete

        return complete(self.load(name).recipe)

    def lock(self, name: str) -> Lock | None:
        """The pins of one recipe; None when it has no lock."""
        from recipegen.lock import LOCK_FILE, read_lock

        return read_lock(self.repository.folder(name) / LOCK_FILE)

    def findings(self, name: str) -> list[Finding]:
        """All lint findings on one recipe, worst first.

        Raises:
            SpecError: it cannot be read as a recipe.
        """
        from recipegen.lint.context import Context
        from recipegen.lint.run import lint_recipe
        from recipegen.lock import unpinned

        recipe, lock = self.under_lint(name)
        return lint_recipe(recipe, Context(self.patches, tuple(unpinned(recipe.spec, lock))))

    def log_findings(self, name: str, variant: str | None, log: Path) -> list[Finding]:
        """Lint findings on the server log that a variant of a recipe wrote."""
        from recipegen.files import read_bounded
        from recipegen.lint.run import lint_log

        recipe, _ = self.under_lint(name)
        text = read_bounded(log, LOG_LIMIT).decode("utf-8", errors="replace")
        return lint_log(recipe, variant_of(recipe.spec, variant), text, served=True)

    def under_lint(self, name: str) -> tuple[LintRecipe, Lock | None]:
        """One recipe as the linter takes it, without the pins of its lock, and the lock."""
        from recipegen.complete import complete
        from recipegen.lint.subject import Recipe as LintRecipe

        loaded = self.load(name)
        return LintRecipe(complete(loaded.recipe), loaded.document), self.lock(name)

    def specs(self, names: Iterable[str] = ()) -> list[Spec]:
        """Several recipes, all by default.

        Raises:
            SpecError: with every problem of every recipe.
        """
        found: list[Spec] = []
        problems: list[Problem] = []
        for name in dict.fromkeys(names or self.repository.names()):
            spec, wrong = attempt(self.spec, name)
            problems += wrong
            if spec is not None:
                found.append(spec)
        if problems:
            raise SpecError(problems)
        return found

    def kit(self, spec: Spec) -> Kit:
        """The rendered kit of a recipe, in memory."""
        from recipegen.render.kit import render_kit

        return render_kit(spec, self.templates, self.patches, own_files(spec, self.folder(spec)))

    def runnable(self, name: str) -> Spec:
        """One recipe that can be built and run.

        Raises:
            RecipegenError: it is a record.
        """
        spec = self.spec(name)
        if spec.missing:
            raise RecipegenError(
                f"{name} is a record of what others published: {spec.missing[0]}",
                hint=f"`recipegen show {name}` says what else is missing",
            )
        return spec

    def folder(self, spec: Spec) -> Path:
        """The folder of a recipe."""
        return self.repository.recipes / spec.name


def attempt(work: Callable[[str], _T], name: str) -> tuple[_T | None, list[Problem]]:
    """What work on the recipe of that name gives, or what is wrong with its files.

    Raises:
        RecipegenError: the fault lies in no file.
    """
    try:
        return work(name), []
    except SpecError as error:
        return None, error.problems
    except RecipegenError as error:
        if error.where is None:
            raise
        return None, [Problem(error.where, error.message, error.hint)]  # a file that cannot be read


def own_files(spec: Spec, folder: Path) -> dict[str, bytes]:
    """What the files hold that a recipe brings into its image, by their names in `image.files`; nothing of a record.

    Raises:
        RecipegenError: one of them is not there, or is not a plain file of sensible size.
    """
    from recipegen.files import read_bounded
    from recipegen.render.kit import OWN_FILES

    paths = () if spec.missing else spec.image.files
    return {path: read_bounded(folder / OWN_FILES / path, OWN_FILE_LIMIT) for path in paths}


def resolved_data(spec: Spec) -> dict[str, Any]:
    """A completed recipe as data: every value, the command line and the fingerprint of each variant, its own hash."""
    from recipegen.engines import engine
    from recipegen.engines.normal import fingerprint

    data = spec.model_dump(mode="json", by_alias=True)
    if not spec.missing:
        adapter = engine(spec.engine.name)
        data["commands"] = {key: adapter.command(spec, key).recorded() for key in spec.variants}
    data["fingerprints"] = {key: fingerprint(spec, key) for key in spec.variants}
    data["sha256"] = spec.sha256
    return data


def require_allowed(spec: Spec, variants: Iterable[str]) -> None:
    """Refuse to start variants that the recipe shows as a warning only.

    Raises:
        RecipegenError: one of them is refused; with the reason.
    """
    for name in variants:
        why = spec.variants[name].refused if name in spec.variants else None
        if why is not None:
            raise RecipegenError(
                f"{spec.name}: the variant {name!r} is not to be run: {why}",
                hint=f"there are: {', '.join(spec.startable)}",
            )


def variant_of(spec: Spec, name: str | None) -> str:
    """The variant named, or the headline.

    Raises:
        RecipegenError: there is none of that name.
    """
    if name is None:
        return spec.headline
    if name not in spec.variants:
        raise RecipegenError(f"{spec.name} has no variant {name!r}", hint=f"there are: {', '.join(spec.variants)}")
    return name
