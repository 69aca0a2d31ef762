"""The JSON Schema of recipe.yaml. Owns its wording for editors; the models are the source."""

from __future__ import annotations

import json
from typing import Any

from recipegen.spec.model import Recipe

SCHEMA_FILE = "recipe.schema.json"


def schema() -> dict[str, Any]:
    """The schema of what a user may write. A recipe that `extends` a preset needs only schema and name."""
    found = Recipe.model_json_schema(by_alias=True)
    required = found.pop("required")
    found["properties"]["extends"] = {
        "type": "string",
        "description": "name of a preset that this recipe builds on",
    }
    # A variant without a difference may be written as nothing at all.
    variants = found["properties"]["variants"]
    variants["additionalProperties"] = {"anyOf": [variants["additionalProperties"], {"type": "null"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "required": ["schema", "name"],
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": required},
    }


def schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
