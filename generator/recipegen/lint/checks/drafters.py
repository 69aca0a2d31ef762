"""Drafters that belong to another model than the one that is served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from recipegen.catalog import model_facts
from recipegen.lint.context import Context
from recipegen.lint.finding import Hit
from recipegen.lint.subject import SPECULATIVE, Subject
from recipegen.spec.model import MODEL_REFERENCE


def drafter_of_another(subject: Subject, context: Context) -> Iterator[Hit]:
    """DFLASH_ONE_DRAFTER_PER_TARGET. Silent where the catalog knows the target or the drafter not at all."""
    config = subject.flags.get(SPECULATIVE)
    if subject.facts is None or not isinstance(config, Mapping) or config.get("method") != "dflash":
        return
    named = config.get("model")
    if isinstance(named, Mapping):
        model = subject.spec.models.get(str(named.get(MODEL_REFERENCE)))
        named = model.hf_id if model else None
    if not isinstance(named, str):
        return
    targets = [
        facts.id
        for facts in model_facts().values()
        for drafter in facts.drafters
        if drafter.hf_id and drafter.hf_id.casefold() == named.casefold()
    ]
    if targets and subject.facts.id not in targets:
        detail = f"the drafter {named} was trained for {', '.join(targets)}, this variant serves {subject.facts.id}"
        yield Hit("DFLASH_ONE_DRAFTER_PER_TARGET", subject.path("spec.model"), detail)
