"""docs/index-format.md: what index.json and index.csv hold. Owns wording only; the fields are publish.data_model's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recipegen.publish.data import COLUMNS, CSV_FILE, FORMAT, JSON_FILE
from recipegen.publish.data_model import (
    Agent,
    Cell,
    Figure,
    IndexFile,
    MeasuredData,
    PublishedData,
    RecipeData,
    SpeedUpData,
)
from recipegen.publish.figures import table_head, table_row
from recipegen.quoting import markdown_code

_INTRODUCTION = f"""\
# {JSON_FILE} and {CSV_FILE}

`recipegen index` writes both at the repository's root, with INDEX.md and from the same rows; `recipegen index
--check` fails when one of them is stale. `recipegen list --json` prints the recipes of {JSON_FILE} afresh. The same
records give the same bytes.

Units stand in the names: `tok_s` is tokens a second, `ms` milliseconds, `bytes` bytes, `tokens` tokens. Paths begin
at the repository's root and have forward slashes. Every field is there; what is not known is null. Figures have six
significant digits: more than any interval carries.

Measured figures and those of others never share a field: `measured` is of this repository, `published` of others,
each with the address of its source. Texts come from recipes and records as they are: whoever shows them must escape
them.

`format` is `{FORMAT}`. The number changes when a field is renamed, removed or comes to mean something else; fields
may be added without that. The JSON Schema, of the fields that this version writes and no others, is
[index.schema.json](index.schema.json) (`recipegen schema --index`). From a shell:

    jq -r '.recipes[] | select(.measured) | [.name, .measured.tg_tok_s.median] | @tsv' {JSON_FILE}
"""
_CSV = f"""\
## {CSV_FILE}

A line a recipe, UTF-8, commas, quotes as in RFC 4180, the columns in this order; empty where nothing is known. Figures
of others are not in it: a spreadsheet would mix them with measured ones. Texts are one line without characters that
nobody sees, and one that begins with `=`, `+`, `-` or `@` has an apostrophe before it, because spreadsheets run those;
index.json has them as they are.
"""
_PLACES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("the file", IndexFile),
    ("recipes[]", RecipeData),
    ("recipes[].cell", Cell),
    ("recipes[].measured", MeasuredData),
    ("recipes[].measured.tg_tok_s, pp_tok_s, ttfr_ms", Figure),
    ("recipes[].speed_up", SpeedUpData),
    ("recipes[].agents[]", Agent),
    ("recipes[].published[]", PublishedData),
)
_COLUMN_WORDS: Mapping[str, str] = {
    "cell": "the headline cell's id",
    "tg_low": "lower end of decode speed's 95 % interval",
    "tg_high": "upper end of it",
    "pp_low": "lower end of prefill speed's 95 % interval",
    "pp_high": "upper end of it",
    "n": "warm samples of decode speed",
    "speed_up": "decode speed over the baseline variant's",
    "baseline": "that variant",
}
"""Columns that are no field of the same name."""


def index_format_page() -> str:
    """The whole page."""
    lines = [_INTRODUCTION, f"## {JSON_FILE}", ""]
    for place, model in _PLACES:
        head = table_head(("field", False), ("type", False), ("what it says", False))
        lines += [f"### {place}", "", str(model.__doc__).strip(), "", *head, *_rows(model), ""]
    lines += [_CSV, *table_head(("column", False), ("what it says", False)), *_columns()]
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield table_row(markdown_code(name), _type(field.annotation), str(field.description))


def _type(annotation: Any) -> str:
    """`number or null`, `tg, pp, ttfr`: as JSON has it."""
    if annotation is None or annotation is type(None):
        return "null"
    if get_origin(annotation) is Literal:
        return ", ".join(markdown_code(one) for one in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(map(_type, get_args(annotation)))
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "object")


def _columns() -> Iterator[str]:
    fields: dict[str, FieldInfo] = {**MeasuredData.model_fields, **RecipeData.model_fields}
    for name in COLUMNS:
        yield table_row(markdown_code(name), _COLUMN_WORDS.get(name) or str(fields[name].description))
