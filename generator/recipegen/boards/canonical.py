"""A board's canonical prompts, out of a saved copy of what it tells agents. Owns reading them and refusing others; the
texts are not kept here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recipegen.bench.verified import Prompt
from recipegen.boards.shape import schema
from recipegen.errors import CheckFailed, RecipegenError, Where
from recipegen.files import read_bounded, sha256_bytes

_LIMIT = 8 << 20
DEFAULT = "reasoning-v1"


def known_prompts() -> dict[str, dict[str, Any]]:
    """What is known of each prompt, by its id: sha256, chars, minOutputTokens."""
    return {prompt["id"]: prompt for prompt in schema()["x-canonical-prompts"]}


def read_prompt(path: Path, wanted: str = DEFAULT) -> Prompt:
    """One canonical prompt of a saved agent-context (`canonicalPrompts[]` with `id` and `text`).

    Raises:
        RecipegenError: the file is none, or does not hold that prompt.
        CheckFailed: its text is another one.
    """
    known = known_prompts()
    if wanted not in known:
        raise RecipegenError(f"there is no canonical prompt {wanted!r}", hint=f"known: {', '.join(known)}")
    hint = "save https://www.localmaxxing.com/api/agent-context as it is"
    try:
        data = json.loads(read_bounded(path, _LIMIT))
        texts = {prompt["id"]: prompt["text"] for prompt in data["canonicalPrompts"]}
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RecipegenError(
            "is not a saved agent-context: no canonicalPrompts", where=Where(path), hint=hint
        ) from error
    text = texts.get(wanted)
    if not isinstance(text, str):
        raise RecipegenError(f"holds no prompt {wanted!r}", where=Where(path), hint=hint)
    sha256 = sha256_bytes(text.encode("utf-8", "surrogatepass"))
    if sha256 != known[wanted]["sha256"]:
        raise CheckFailed(
            f"the text of {wanted} has the SHA-256 {sha256[:12]}…, the canonical one {known[wanted]['sha256'][:12]}…",
            where=Where(path),
            hint=f"{hint}; if the board has changed its prompt, update recipegen",
        )
    return Prompt(wanted, text, sha256, int(known[wanted]["minOutputTokens"]))
