"""The shape of a LocalMaxxing body: the schema, the rules that a schema cannot hold, what must never be public. Owns
checking one; makes none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from recipegen.results.scrub import Identity, find_secret, identity_here

SCHEMA = "localmaxxing.schema.json"
BODY_LIMIT = 256 * 1024
"""Bytes of a body that is read; a real one has about 3 kB."""


@cache
def schema() -> dict[str, Any]:
    """The schema, with the rules beside it."""
    found: dict[str, Any] = json.loads((files("recipegen.boards") / SCHEMA).read_text(encoding="utf-8"))
    return found


def read_body(raw: bytes) -> dict[str, Any]:
    """A body that somebody made.

    Raises:
        ValueError: it is too large, not JSON, no object, or holds a key twice or a number that is none.
    """
    if len(raw) > BODY_LIMIT:
        raise ValueError(f"is larger than {BODY_LIMIT // 1024} KiB")
    try:
        found = json.loads(raw, object_pairs_hook=_once, parse_constant=_no_number, parse_int=_integer)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("is not a JSON object")
    return found


_HYGIENE = tuple(
    (rule, re.compile(pattern))
    for rule, pattern in (
        ("home-path", r"(?:^|[\s='\"(:,])(?:~|\$HOME|\$\{HOME\})/\S"),
        (
            "private-address",
            r"(?i)(?<![\w:])(?:f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])(?=:[0-9a-f:]*:)(?::[0-9a-f]{0,4}){2,7}(?!\w)",
        ),
        ("device", r"(?i)(?<![\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}(?![\w:-])"),
        ("device", r"(?i)\b(?:serial(?:[ _-]?(?:number|no\.?))?|s/n)\s*[:=#]\s*(?=\S*\d)[\w-]{4,}"),
        ("device", r"(?i)\bGPU-[0-9a-f]{8}-[0-9a-f]{4}-"),
        ("draft", r"\b(?:TBD|TODO|FIXME)\b"),
    )
)
"""What the schema's lint does not look for, all of it an error: folders of an account, local IPv6 addresses, MAC
addresses, serial numbers and UUIDs of cards, values of a draft."""


def shape_problems(body: Mapping[str, Any], *, verified: bool = False) -> list[str]:
    """Every place at which a body is not as the schema wants, in words.

    Args:
        verified: hold it against what the badge needs, too.
    """
    from jsonschema import Draft202012Validator

    odd = [
        f"{place}: {value} is no number"
        for place, value in _leaves(body)
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if odd:
        return odd  # a validator compares numbers, and NaN is neither above nor below anything
    whole = schema()
    problems = list(_problems(Draft202012Validator(whole), body))
    if verified:
        # The first part of the profile is the whole schema, which was just asked.
        problems += _problems(Draft202012Validator(whole["$defs"]["verifiedSubmission"]["allOf"][1]), body)
    return list(dict.fromkeys(problems))


def _problems(validator: Any, body: Mapping[str, Any]) -> Iterator[str]:
    from jsonschema.exceptions import best_match

    for error in sorted(validator.iter_errors(body), key=lambda error: list(map(str, error.absolute_path))):
        # Of a union the branch that the body means says more than "is not valid under any".
        leaf = best_match([error]) or error
        place = ".".join(map(str, leaf.absolute_path)) or "the body"
        if leaf.validator == "anyOf" and not leaf.absolute_path:
            yield "the body: needs one of tokSPrefill, tokSTotal, ttftMs, peakVramGb"
        elif leaf.validator == "not":
            yield f"{place}: holds what looks like a key"
        else:
            yield f"{place}: {leaf.message[:300]}"


def rule_findings(body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What the rules beside the schema say of a body that has its shape: (rule, severity, text)."""
    severities = {rule["id"]: rule["severity"] for rule in schema()["x-rules"]}
    return [(rule, severities[rule], text) for rule, text in _rules(body)]


def _rules(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    flags = body.get("engineFlags", {})
    timings = body.get("engineTimingsRaw")
    if timings is not None and (size := len(json.dumps(timings, separators=(",", ":")).encode())) > 8192:
        yield "timings-size", f"engineTimingsRaw takes {size} bytes; 8192 are the limit"
    drafted, accepted = flags.get("specDraftTokens"), flags.get("specAcceptedTokens")
    steps, output = flags.get("specNumTokens"), body.get("outputTokens")
    if drafted is not None and accepted is not None and steps and output:
        told = accepted + drafted / steps
        if abs(told - output) > 0.01 * output:
            yield "spec-identity", f"accepted tokens and drafts come to {told:.0f} tokens, the answer has {output}"
    rate = flags.get("specAcceptanceRate")
    if rate is not None and drafted and accepted is not None and abs(rate - accepted / drafted) > 0.005:
        yield "spec-rate", f"specAcceptanceRate is {rate}, accepted over drafted {accepted / drafted:.4f}"
    prompt, ttft, prefill = body.get("promptTokens"), body.get("ttftMs"), body.get("tokSPrefill")
    if prompt and ttft and prefill and prefill > 3 * prompt / (ttft / 1000):
        yield "prefill-sanity", f"tokSPrefill {prefill} is over three times promptTokens over ttftMs"
    streams, total = flags.get("concurrency", 1), body.get("tokSTotal")
    if streams == 1 and prompt and output and prefill and total:
        follows = (prompt + output) / (prompt / prefill + output / body["tokSOut"])
        if abs(total - follows) > 0.01 * follows:
            yield "total-identity", f"tokSTotal is {total}; the other figures give {follows:.2f}"
    if streams > 1:
        yield "aggregate", f"tokSOut is the sum over {streams} streams; such a row gets no badge"


def hygiene_findings(body: Any, identity: Identity | None = None) -> list[tuple[str, str]]:
    """What must not be public in any text of a body: (severity, text). Places are named, never values.

    Args:
        identity: whose names and secrets to look for; this account's by default.
    """
    who = identity if identity is not None else identity_here()
    found = []
    for place, text in _leaves(body):
        if not isinstance(text, str):
            continue
        for rule in schema()["x-hygiene-lint"]:
            if re.search(rule["pattern"], text):
                found.append((str(rule["severity"]), f"{place}: {_WORDS[rule['id']]}"))
        found += [("error", f"{place}: {_WORDS[rule]}") for rule, pattern in _HYGIENE if pattern.search(text)]
        if find_secret(text) or any(secret in text for secret in who.secrets):
            found.append(("error", f"{place}: {_WORDS['secret']}"))
        if who.found_in(text):
            found.append(("error", f"{place}: holds the name or the home folder of this host or account"))
    return list(dict.fromkeys(found))


_WORDS = {
    "home-path": "holds a path of somebody's home folder",
    "absolute-path": "holds an absolute path",
    "private-address": "holds a private network address",
    "device": "holds the address or the serial number of a device",
    "draft": "holds a word that only a draft has",
    "secret": "holds what looks like a key",
    "credential-flag": "holds the value of a flag that takes a key",
}


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every text and number of a body with its place: `engineFlags.specMethod`, `gpuPowerWatts[0]`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{place}[{index}]")
    else:
        yield place, value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("holds a key twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"holds {text}, which is no number of JSON")


def _integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError("holds a number of more than 20 digits")
    return int(text)
