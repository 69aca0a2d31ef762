"""A check and what it finds, as data. Owns neither facts nor printing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from recipegen import proc
from recipegen.bench.display import one_line

Severity = Literal["error", "warning", "info", "ok"]

# Titles of the documents that the facts come from.
GUIDE = "Dgx Vllm: a guide to serving LLMs with vLLM on a DGX Spark (vlaicu.io/posts/dgx-vllm)"
REPRODUCERS = "spark-bench-reproducers: minimum-reproduction recipes for DGX Spark"
GDN_WALL = "Qwen3.5-122B on DGX Spark, part 2: the 17 tok/s GDN wall"
CLUSTER = "Qwen3.5-397B-A17B-FP8 with MTP on 4x ASUS GX10"
OWN = "recipegen's own needs"

_PASSWORD = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]*(?=@)")
"""User and password in a web address, such as a DOCKER_HOST."""

Facts = TypeVar("Facts")


@dataclass(frozen=True)
class Verdict:
    """What a check says of a host.

    Attributes:
        found: what is there, one line.
        remedy: what to do; nothing when nothing is to be done.
    """

    severity: Severity
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Finding:
    """A verdict with its check's id, reason and source."""

    id: str
    severity: Severity
    found: str
    why: str
    remedy: str
    source: str


@dataclass(frozen=True)
class Check(Generic[Facts]):
    """One question to the facts.

    Attributes:
        id: stable name.
        why: why the answer matters.
        source: the document, by title, that the reason comes from.
        look: answers it; None when it does not apply.
    """

    id: str
    why: str
    source: str
    look: Callable[[Facts], Verdict | None]

    def finding(self, facts: Facts) -> Finding | None:
        """The check's answer, None when it does not apply."""
        verdict = self.look(facts)
        if verdict is None:
            return None
        # Texts of other programs stand in these: no secret, no control character gets through.
        texts = (_PASSWORD.sub("***", proc.redact(text)) for text in (verdict.found, verdict.remedy))
        found, remedy = map(one_line, texts)
        return Finding(self.id, verdict.severity, found, self.why, remedy, self.source)


def ok(found: str) -> Verdict:
    """All is well."""
    return Verdict("ok", found)
