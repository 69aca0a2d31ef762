"""The linter itself: every rule on every variant. Owns the order of the work; the rules are data and checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from recipegen.lint.checks import PER_RECIPE, PER_VARIANT
from recipegen.lint.context import Context
from recipegen.lint.finding import Finding, Hit, finding_of, merged
from recipegen.lint.predicate import holds
from recipegen.lint.rule import Predicate, Rule, Stage, rules
from recipegen.lint.subject import Recipe, Subject

if TYPE_CHECKING:
    from recipegen.load.yamldoc import Path_


def lint_recipe(recipe: Recipe, context: Context) -> list[Finding]:
    """All findings on a recipe as it is written, silenced ones included, worst first."""
    found = [_finding(recipe, hit, None) for check in PER_RECIPE for hit in check(recipe, context)]
    for variant in recipe.spec.variants.values():
        subject = Subject(recipe, variant)
        hits = [*_by_predicates(subject, "spec"), *(hit for check in PER_VARIANT for hit in check(subject, context))]
        found += [_finding(recipe, hit, variant.name) for hit in hits]
    found += list(_silences(recipe, found))
    return merged(found)


def lint_log(recipe: Recipe, variant: str, log: str, *, served: bool) -> list[Finding]:
    """Findings on a server's log, for the variant that wrote it.

    Args:
        served: whether the server had answered requests by then; some lines come only with them.
    """
    subject = Subject(recipe, recipe.spec.variants[variant], log=log)
    hits = (hit for hit in _by_predicates(subject, "log") if served or not rules()[hit.rule].served)
    return merged([_finding(recipe, hit, variant) for hit in hits])


def lint_result(recipe: Recipe, variant: str, metrics: Mapping[str, Any]) -> list[Finding]:
    """Findings on measured figures.

    Args:
        metrics: what is known of one measured cell (`recipegen.bench.judge` names them); rules about what is not
            given do not fire.
    """
    subject = Subject(recipe, recipe.spec.variants[variant], metrics=metrics)
    return merged([_finding(recipe, hit, variant) for hit in _by_predicates(subject, "result")])


@cache
def _predicate_rules(stage: Stage) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules().values() if rule.stage == stage and (rule.when or rule.any))


def _by_predicates(subject: Subject, stage: Stage) -> Iterator[Hit]:
    values: dict[str, Any] = {}

    def fulfilled(predicate: Predicate) -> bool:
        name, operator, wanted = predicate
        if name not in values:
            values[name] = subject.value(name)
        return holds(values[name], operator, wanted)

    for rule in _predicate_rules(stage):
        if all(map(fulfilled, rule.when)) and (not rule.any or any(map(fulfilled, rule.any))):
            blamed = [predicate for predicate in rule.any if fulfilled(predicate)] or list(reversed(rule.when))
            yield Hit(rule.id, _place(subject, rule.at, blamed))


def _place(subject: Subject, at: str | None, blamed: Iterable[Predicate]) -> Path_ | None:
    for name in [at] if at else [name for name, _, _ in blamed]:
        path = subject.path(name)
        if path is not None:
            return path
    return ("variants", subject.variant.name)


def _finding(recipe: Recipe, hit: Hit, variant: str | None) -> Finding:
    where = recipe.document.where(hit.path or ())
    own = recipe.spec.variants[variant].silenced if variant else {}
    return finding_of(hit, where, variant, own.get(hit.rule) or recipe.spec.silenced.get(hit.rule))


def _silences(recipe: Recipe, found: list[Finding]) -> Iterator[Finding]:
    """Silences that name no rule, or a rule that does not fire."""
    firing = {(finding.rule.id, variant) for finding in found for variant in (*finding.variants, None)}
    silences: list[tuple[Path_, str, str | None]] = [(("silenced", name), name, None) for name in recipe.spec.silenced]
    for variant in recipe.spec.variants.values():
        silences += [(("variants", variant.name, "silenced", rule), rule, variant.name) for rule in variant.silenced]
    for path, name, of in silences:
        if name not in rules():
            yield _finding(recipe, Hit("SILENCE_UNKNOWN_RULE", path, f"no rule is called {name}"), None)
        elif (name, of) not in firing and rules()[name].stage == "spec":
            yield _finding(recipe, Hit("SILENCE_WITHOUT_EFFECT", path, f"{name} is silenced, but does not fire"), None)
