"""Asking the hub: what it says of a model, small files of it, the commit behind a name. Owns bounds, the token's way
and the words of a refusal; knows not what a file means.

Asked for through `recipegen.web` instead of with the hub's own client, which reads an answer of any size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from recipegen.errors import EnvironmentLacks, RecipegenError
from recipegen.quoting import comment_text
from recipegen.spec.types import HF_ID
from recipegen.web import Answer, BadAnswer, TooLarge, Unreachable, ask

INFO_LIMIT = 16 << 20
"""Bytes of a model's description; one of a thousand files has about 300 kB."""
ELSEWHERE = "start from a preset otherwise: recipegen catalog list"


@dataclass(frozen=True)
class Described:
    """A model as the hub describes it.

    Attributes:
        hf_id: its name today; another one than was asked for where the model was renamed.
        commit: what `main` stands for.
        files: path to size in bytes; None where the hub gives no size.
        data: the rest of the answer, of any shape.
    """

    hf_id: str
    commit: str
    files: dict[str, int | None]
    data: dict[str, Any]


def describe(hf_id: str) -> Described:
    """What the hub says of a model.

    Raises:
        EnvironmentLacks: the hub cannot be reached, refuses, makes no sense; or the model is gated.
        RecipegenError: this is no hub id, or there is no such model.
    """
    if not re.fullmatch(HF_ID, hf_id) or ".." in hf_id or "--" in hf_id or len(hf_id) > 96:
        raise RecipegenError(f"{hf_id!r} is not a Hugging Face id", hint="OWNER/NAME, as in Qwen/Qwen3-8B")
    answer = _ask(f"/api/models/{hf_id}?blobs=true", INFO_LIMIT)
    if answer.status != 200:
        raise refusal(answer, hf_id)
    try:
        data = answer.json()
    except BadAnswer as error:
        raise _nonsense(hf_id, "no JSON") from error
    if not isinstance(data, dict):
        raise _nonsense(hf_id, "no description")
    name = data.get("id")
    named = name if isinstance(name, str) and re.fullmatch(HF_ID, name) and len(name) <= 96 else hf_id
    return Described(named, _commit(data.get("sha"), hf_id), _files(data.get("siblings")), data)


def small_file(model: Described, path: str, limit: int) -> bytes | None:
    """A file of a model at the commit described; None where it has none of that name.

    Raises:
        EnvironmentLacks: the hub cannot be reached, or the model is gated.
        RecipegenError: the file is larger than `limit` bytes.
    """
    if path not in model.files:
        return None
    too_large = RecipegenError(
        f"{path} of {model.hf_id} is larger than {limit / (1 << 20):g} MiB: not what it is called"
    )
    if (model.files[path] or 0) > limit:
        raise too_large  # known before a byte of it is fetched
    try:
        answer = _ask(f"/{model.hf_id}/resolve/{model.commit}/{quote(path)}", limit)
    except TooLarge as error:
        raise too_large from error
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise refusal(answer, model.hf_id, path)
    return answer.body


def commit_of(hf_id: str, revision: str | None = None) -> str:
    """The commit that a model, or a branch or a tag of it, stands for today.

    Raises:
        Unreachable: the hub does not answer, or has no time now.
        NotThere: it has no such model or revision, or shows it only to those who log in.
        BadAnswer: the answer names no commit.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise Unreachable("the hub is not asked: HF_HUB_OFFLINE is set")
    at = f"/revision/{quote(revision, safe='')}" if revision else ""
    answer = ask(f"{constants.ENDPOINT}/api/models/{hf_id}{at}?expand=sha", headers=_authorization())
    answer.must_be_ok(f"model {hf_id}{f' at {revision}' if revision else ''}")
    found = answer.json()
    try:
        return _commit(found.get("sha") if isinstance(found, dict) else None, hf_id)
    except RecipegenError as error:
        raise BadAnswer(error.message, hint="is HF_ENDPOINT a hub?") from error


def _authorization() -> dict[str, str]:
    """The user's token, from where the hub's own tools look for it; `ask` sends it to the hub alone."""
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _ask(target: str, limit: int) -> Answer:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise EnvironmentLacks("the hub is not asked: HF_HUB_OFFLINE is set", hint=ELSEWHERE)
    try:
        return ask(f"{constants.ENDPOINT}{target}", headers=_authorization(), limit=limit)
    except Unreachable as error:
        raise EnvironmentLacks(
            f"the Hugging Face hub cannot be reached ({error.message})", hint=f"check the network, or {ELSEWHERE}"
        ) from error


def refusal(answer: Answer, hf_id: str, path: str = "") -> RecipegenError:
    """The error for an answer that is not 200, by the hub's own header (X-Error-Code) first, then by status."""
    code = answer.headers.get("X-Error-Code", "")
    what = f"{path} of {hf_id}" if path else f"the model {hf_id!r}"
    if code == "GatedRepo":
        return gated(hf_id)
    if answer.headers.get("X-Error-Message", "") == "Access to this resource is disabled.":
        return EnvironmentLacks(f"the hub has disabled {hf_id}", hint="take another copy of the model")
    if answer.status in (401, 403, 404, 410) and not path:
        hint = "check the spelling; for a private one, `hf auth login`"
        return RecipegenError(f"the hub has no model {hf_id!r}, or it is private", hint=hint)
    wait = retry_after(answer)
    return EnvironmentLacks(
        f"the hub refused {what} (status {answer.status})", hint=f"try again {f'in {wait} s' if wait else 'later'}"
    )


def retry_after(answer: Answer) -> int | None:
    """Seconds that the host asks to wait, where it says so as a number."""
    return seconds(answer.headers.get("Retry-After", ""))


def seconds(text: str) -> int | None:
    """A Retry-After in seconds; None for a date, nonsense or nothing."""
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def gated(hf_id: str) -> EnvironmentLacks:
    """The error for a repository whose terms the user has not accepted."""
    return EnvironmentLacks(
        f"{hf_id} is gated", hint=f"accept its terms at https://huggingface.co/{hf_id}, then `hf auth login`"
    )


def _files(siblings: Any) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for one in siblings if isinstance(siblings, list) else []:
        path, size = (one.get("rfilename"), one.get("size")) if isinstance(one, dict) else (None, None)
        if isinstance(path, str) and path.isprintable():
            found[path] = size if type(size) is int and size >= 0 else None
    return found


def _commit(sha: Any, hf_id: str) -> str:
    if not isinstance(sha, str) or not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise _nonsense(hf_id, "no commit")
    return sha


def _nonsense(hf_id: str, what: str) -> RecipegenError:
    return EnvironmentLacks(
        f"the hub's answer for {hf_id} makes no sense ({comment_text(what)[:100]})",
        hint=f"is HF_ENDPOINT a hub? {ELSEWHERE.capitalize()}",
    )
