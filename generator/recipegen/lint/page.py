"""The table of all lint rules as Markdown (docs/rules.md), and a rule's condition in words. Owns wording only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recipegen.lint.rule import Rule, Stage, documents, rules
from recipegen.quoting import markdown_cell, markdown_code, markdown_text

STAGES: dict[Stage, str] = {
    "spec": "decided from the recipe: recipegen lint",
    "log": "decided from the server's log: after up and bench, or recipegen lint NAME --log FILE",
    "result": "decided from measured figures: after bench",
    "host": "decided on this machine: recipegen doctor",
    "kit": "kept by every kit",
    "advice": "advice: no recipe, log or result decides it",
}


def condition(rule: Rule) -> str:
    """When a rule fires, in one line: `spec.method == dflash and flag.--kv-cache-dtype matches ^fp8`."""

    def words(predicates: Any) -> list[str]:
        return [
            f"{name} is {operator}" if operator in ("present", "absent") else f"{name} {operator} {_value(value)}"
            for name, operator, value in predicates
        ]

    parts = words(rule.when)
    either = " or ".join(words(rule.any))
    return " and ".join([*parts, *([f"({either})" if parts else either] if either else [])])


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def rules_page() -> str:
    """docs/rules.md: every rule, by topic."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    every = list(rules().values())
    yield "<!-- Written by `make generated` from generator/recipegen/lint/rules; edits here are lost. -->"
    yield "# Lint rules"
    yield ""
    yield f"{len(every)} rules. `recipegen explain ID` prints one with the conditions under which it was seen."
    yield ""
    yield "| stage | rules | |"
    yield "|---|--:|---|"
    for stage, meaning in STAGES.items():
        yield f"| {stage} | {sum(rule.stage == stage for rule in every)} | {meaning} |"
    yield ""
    yield "Sources:"
    yield ""
    for key, document in documents().items():
        title = markdown_text(document.title)
        yield f"- {key}: [{title}]({document.url})" if document.url else f"- {key}: {title}"
    for topic in dict.fromkeys(rule.topic for rule in every):
        yield from ("", f"## {topic}", "", "| rule | severity | stage | what and why | fix | source |")
        yield "|---|---|---|---|---|---|"
        for rule in every:
            if rule.topic == topic:
                yield _row(rule)


def _row(rule: Rule) -> str:
    what = [f"**{markdown_text(rule.title)}.** {markdown_text(rule.why)}"]
    if rule.error_text:
        what.append(f"Error: {markdown_code(rule.error_text)}.")
    if rule.when or rule.any:
        what.append(f"Fires if {markdown_code(condition(rule))}.")
    if rule.disagree:
        what.append(f"Sources disagree: {markdown_text(rule.disagree)}")
    if rule.held_by:
        what.append(f"Held by: {markdown_text(rule.held_by)}")
    sources = "; ".join(f"{source.document or source.title} {source.section or ''}".strip() for source in rule.sources)
    cells = [markdown_code(rule.id), rule.severity, rule.stage, " ".join(what), markdown_text(rule.fix)]
    return f"| {' | '.join(map(markdown_cell, [*cells, markdown_text(sources)]))} |"
