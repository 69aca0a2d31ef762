"""Lint rules as data: what each says, when it holds, where it is known from. Owns their shape and their loading."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recipegen.lint.predicate import OPERATORS
from recipegen.spec.model import RuleId
from recipegen.spec.types import Line, Prose

RULES = Path(__file__).parent / "rules"
DOCUMENTS = RULES / "documents.yaml"

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
Stage = Literal["spec", "log", "result", "host", "kit", "advice"]
"""Where a rule is decided: on the recipe; on the server's log; on measured figures; on this machine (`recipegen
doctor`); never broken, because every kit is made so; by nobody but the reader."""
DECIDED: tuple[Stage, ...] = ("spec", "log", "result")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Data):
    """Where a rule is known from: a document of documents.yaml and a section, or a text and an address."""

    document: str | None = None
    section: Line | None = None
    title: Line | None = None
    url: Line | None = None

    @model_validator(mode="after")
    def _one(self) -> Source:
        if (self.document is None) == (self.title is None):
            raise ValueError("a source has either a document or a title")
        return self


Predicate = tuple[str, str, Any]
"""Subject, operator, value: `[spec.method, ==, dflash]`."""


class Rule(_Data):
    """One rule.

    Attributes:
        id: stable; recipes silence a rule by it.
        title: what is wrong, one line.
        why: what happens then, with the figure or the text of the error.
        fix: what to do.
        seen: the conditions under which it was seen: engine, version, image, model, hardware, others.
        disagree: where sources differ, both named.
        when: predicates that must all hold.
        any: predicates of which at least one must hold, where there are some.
        at: the subject whose place a finding names; the last one of `when` with a place otherwise.
        check: the function of `recipegen.lint.checks` that decides it instead of predicates.
        served: for stage `log`, that the server must have answered requests before the rule can be judged.
        held_by: for stage `kit`, what of every kit keeps the rule.
    """

    id: RuleId
    severity: Severity
    stage: Stage
    title: Line
    why: Prose
    fix: Prose
    seen: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], Line] = {}
    error_text: Line | None = None
    disagree: Prose | None = None
    when: tuple[Predicate, ...] = ()
    any: tuple[Predicate, ...] = ()
    at: str | None = None
    check: str | None = None
    served: bool = False
    held_by: Prose | None = None
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    topic: str = ""

    @model_validator(mode="after")
    def _decidable(self) -> Rule:
        decided = bool(self.when or self.any)
        if (decided + (self.check is not None)) != (self.stage in DECIDED):
            raise ValueError("a rule about a recipe, a log or a result has either predicates or a check; others none")
        if (self.held_by is not None) != (self.stage == "kit"):
            raise ValueError("held_by belongs to the stage kit, and must be there")
        if self.served and self.stage != "log":
            raise ValueError("served belongs to the stage log")
        for _, operator, _ in (*self.when, *self.any):
            if operator not in OPERATORS:
                raise ValueError(f"no such operator: {operator}")
        return self


class Document(_Data):
    """A document that rules come from."""

    title: Line
    url: Line | None = None


@cache
def documents() -> dict[str, Document]:
    """The documents that sources name, by key."""
    return {str(key): Document(**body) for key, body in _read(DOCUMENTS).items()}


@cache
def rules() -> dict[str, Rule]:
    """All rules by id, in the order of their files; the file's name is the topic."""
    found: dict[str, Rule] = {}
    for file in sorted(RULES.glob("*.yaml")):
        if file == DOCUMENTS:
            continue
        for body in _read(file) or ():
            rule = Rule(**body, topic=file.stem)
            assert rule.id not in found, f"{rule.id} stands twice"
            found[rule.id] = rule
    return found


def _read(file: Path) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506


def source_texts(rule: Rule) -> list[str]:
    """The sources of a rule, one text for each document: `Dgx Vllm: …, section 13.1, 13.4`."""
    sections: dict[str, list[str]] = {}
    for source in rule.sources:
        title = documents()[source.document].title if source.document else str(source.title)
        sections.setdefault(title, []).extend([source.section] if source.section else [])
    return [f"{title}, section {', '.join(named)}" if named else title for title, named in sections.items()]
