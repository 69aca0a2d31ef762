"""From a recipe and its last lock to the next lock, and what changed between them. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from recipegen import __version__
from recipegen.errors import RecipegenError
from recipegen.lock import PIN_CLASSES, SCHEMA, Lock, Part, Pin, parts, stale
from recipegen.spec.completed import Spec
from recipegen.web import BadAnswer, NotThere

State = Literal["new", "same", "moved", "kept", "unresolved", "bad", "dropped"]


@dataclass(frozen=True)
class Outcome:
    """What became of one part of a recipe.

    Attributes:
        place: section and key of the lock.
        asked: what the recipe asks for; of a dropped pin, what it was asked for.
        state: new (pinned for the first time, or for something else than before), same, moved, kept (could not
            be looked up: the earlier pin stands), unresolved (could not be, and there is no earlier pin), bad (the
            answer cannot be one), dropped (the earlier pin does not count any more).
        old: the earlier pin.
        new: the pin now.
        why: the reason, where the state does not say it.
        hint: the remedy, if there is one.
    """

    place: str
    asked: str
    state: State
    old: str | None = None
    new: str | None = None
    why: str = ""
    hint: str = ""


class Resolver:
    """Looks names up, each one only once in its life: recipes on one image get one digest.

    Args:
        offline: ask nobody.
    """

    def __init__(self, *, offline: bool = False) -> None:
        self.offline = offline
        self._known: dict[tuple[str, ...], dict[str, str] | RecipegenError] = {}

    def look_up(self, spec: Spec, part: Part) -> dict[str, str]:
        """Name and value of the pin's own field, as in `{"commit": "…"}`.

        Raises:
            RecipegenError: it cannot be looked up; BadAnswer when the answer cannot be one.
        """
        if self.offline:
            raise RecipegenError("not looked up: --offline")
        context = _python_and_machine(spec) if part.section == "packages" else ()
        asked = (part.section, *context, *part.words)
        if asked not in self._known:
            try:
                self._known[asked] = _LOOK_UPS[part.section](spec, part)
            except RecipegenError as error:
                self._known[asked] = error
        found = self._known[asked]
        if isinstance(found, RecipegenError):
            raise found
        return found


def next_lock(
    spec: Spec, old: Lock | None, resolver: Resolver, on_outcome: Callable[[Outcome], None] = lambda _: None
) -> tuple[Lock | None, list[Outcome]]:
    """The lock that the recipe should have now, and what became of every part.

    A part that cannot be looked up keeps its earlier pin while the recipe still asks for the same, and has none
    otherwise; the other parts are pinned all the same. After an answer that cannot be an answer the old lock stands
    as it is: who sends a wrong digest may have sent other wrong ones. Nothing changes on disk here, so that a lock is
    either written whole afterwards or not at all. A pin that did not move keeps its day, so that a lock in which
    nothing changed stays the same file.

    Args:
        spec: completed, without pins.
        old: the last lock.
        on_outcome: called with each outcome as it is known.

    Returns:
        The lock to keep (the very object `old` when there is nothing to write; None when there is nothing to lock
        and nothing was locked), and the outcomes.
    """
    outcomes: list[Outcome] = []
    pins: dict[str, dict[str, Pin]] = {section: {} for section in PIN_CLASSES}
    before = old.pins() if old else {}

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        on_outcome(outcome)

    for part in parts(spec):
        pin, outcome = _next_pin(spec, part, old.pin(part) if old else None, resolver)
        if pin is not None:
            pins[part.section][part.key] = pin
        note(outcome)
    for place, reason in (stale(spec, old) if old else {}).items():
        pin = before[place]
        note(Outcome(".".join(place), pin.asked, "dropped", old=pin.value, why=reason))
    found = Lock.model_validate({"schema": SCHEMA, "recipegen": __version__, **pins})
    if any(outcome.state == "bad" for outcome in outcomes) or found.pins() == before:
        return old, outcomes
    return found, outcomes


def _next_pin(spec: Spec, part: Part, old: Pin | None, resolver: Resolver) -> tuple[Pin | None, Outcome]:
    was = old.value if old else None
    try:
        found = resolver.look_up(spec, part)
    except BadAnswer as error:
        return old, Outcome(part.place, part.asked, "bad", was, was, error.message, error.hint)
    except RecipegenError as error:
        state: State = "kept" if old else "unresolved"
        return old, Outcome(part.place, part.asked, state, was, was, error.message, error.hint)
    today = datetime.now(UTC).date().isoformat()
    pin = PIN_CLASSES[part.section].model_validate({"asked": part.asked, "resolved": today, **found})
    if old is not None and pin.value == old.value:
        return old, Outcome(part.place, part.asked, "same", was, was)
    why = "a stranger cannot pull it: only this machine's daemon knows it" if "local" in found else ""
    return pin, Outcome(part.place, part.asked, "moved" if old else "new", was, pin.value, why)


def _image(spec: Spec, part: Part) -> dict[str, str]:
    from recipegen.pins.registry import digest_of, local_id

    (reference,) = part.words
    try:
        return {"digest": digest_of(reference)}
    except NotThere:
        local = local_id(reference)
        if local is None:
            raise
        return {"local": local}


def _source(spec: Spec, part: Part) -> dict[str, str]:
    from recipegen.pins.git import commit_of_ref

    return {"commit": commit_of_ref(*part.words)}


def _model(spec: Spec, part: Part) -> dict[str, str]:
    from recipegen.hub.client import commit_of

    hf_id, revision = part.words
    return {"commit": commit_of(hf_id, revision or None)}


def _package(spec: Spec, part: Part) -> dict[str, str]:
    from recipegen.pins.index import newest

    python, machine = _python_and_machine(spec)
    return {"version": newest(part.words, python=python, machine=machine)}


def _tool(spec: Spec, part: Part) -> dict[str, str]:
    from recipegen.pins.index import newest

    return {"version": newest(part.words)}


def _corpus(spec: Spec, part: Part) -> dict[str, str]:
    from recipegen.bench.corpora import FetchFailed, download
    from recipegen.files import sha256_bytes
    from recipegen.web import Unreachable

    (url,) = part.words
    try:
        raw = download(url)
    except FetchFailed as error:
        raise Unreachable(f"the text cannot be fetched ({error})") from error
    try:
        empty = not raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise BadAnswer(f"what lies at {url} is not text in UTF-8") from None
    if empty:
        raise BadAnswer(f"the text at {url} is empty")
    return {"sha256": sha256_bytes(raw)}


def _python_and_machine(spec: Spec) -> tuple[str, str]:
    """The image's Python and machine where the recipe tells them."""
    from recipegen.render.context import image_python

    return image_python(spec), spec.hardware.cpu_arch or ""


_LOOK_UPS: dict[str, Callable[[Spec, Part], dict[str, str]]] = {
    "images": _image,
    "source": _source,
    "models": _model,
    "packages": _package,
    "tools": _tool,
    "corpora": _corpus,
}
