"""Sending three files to Spark Arena: a refresh token for an id token, then one POST a file. Owns this exchange as far
as the official client shows it; the files are `arena_files`'."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from recipegen.boards.arena_files import FOLDERS
from recipegen.boards.credentials import Secret
from recipegen.boards.transport import Ambiguous, Reply, board_address, path_part, post
from recipegen.errors import EnvironmentLacks, MeasurementFailed

AUTH_URL = "https://auth.sparkrun.dev"
STORAGE_URL = "https://firebasestorage.googleapis.com"
AUTH_VARIABLE = "RECIPEGEN_ARENA_AUTH_URL"
STORAGE_VARIABLE = "RECIPEGEN_ARENA_STORAGE_URL"
EXCHANGE_S = 15.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""A bucket or a user as it may stand in an address."""


@dataclass(frozen=True)
class Account:
    """What the exchange gives; the id token is good for an hour and is kept nowhere."""

    token: Secret = field(repr=False)
    user: str
    bucket: str


def submission_id() -> str:
    """A new one, as the official client makes it: kept for every further try, which then replaces files."""
    return f"sub{int(time.time() * 1000)}"


def exchange(refresh: Secret) -> Account:
    """The account of a refresh token.

    Raises:
        EnvironmentLacks: it is not taken, or the host cannot be reached.
        MeasurementFailed: the answer is not as it should be.
    """
    import json

    root = board_address(os.environ.get(AUTH_VARIABLE) or AUTH_URL, AUTH_VARIABLE)
    host = urlsplit(root).netloc
    body = json.dumps({"refresh_token": refresh.value}).encode()
    try:
        reply = post(f"{root}/exchange", body, secret=refresh, bearer=False, timeout_s=EXCHANGE_S)
    except Ambiguous as error:
        raise MeasurementFailed(f"{error.message}; nothing was uploaded", hint="try again") from None
    if reply.status in (400, 401, 403):
        hint = "log in again with `sparkrun arena login`, which writes a new one"
        raise EnvironmentLacks(f"{host} does not take the refresh token (status {reply.status})", hint=hint)
    data = reply.data
    found = [data.get(name) for name in ("id_token", "user_id", "bucket")]
    token, user, bucket = (value if isinstance(value, str) else "" for value in found)
    usable = re.fullmatch(r"[A-Za-z0-9._~+/=-]{8,8000}", token) and _NAME.fullmatch(user) and _NAME.fullmatch(bucket)
    if reply.status != 200 or not reply.whole or not usable:
        raise MeasurementFailed(
            f"{host} gives no account for the token (status {reply.status}); nothing was uploaded",
            hint="try again later; the folder that `--dry-run` writes is for the board's own tool",
        )
    return Account(Secret(token, f"the exchange at {host}"), user, bucket)


def storage_address() -> str:
    """The root of the board's storage, where files go."""
    return board_address(os.environ.get(STORAGE_VARIABLE) or STORAGE_URL, STORAGE_VARIABLE)


def upload(account: Account, submission: str, files: Mapping[str, bytes], tell: Callable[[str], None]) -> str:
    """Each file into its folder of the board's storage; a file that is there already is replaced.

    Returns:
        The address within the storage, for the user.

    Raises:
        MeasurementFailed: one was not taken; with the same submission id all can be sent again.
        EnvironmentLacks: the account may not write there, or the host cannot be reached.
    """
    root = storage_address()
    address = f"{root}/v0/b/{path_part(account.bucket)}/o"
    for name, content in files.items():
        place = f"submissions/{account.user}/{submission}/{FOLDERS[name]}/{name}"
        url = f"{address}?name={path_part(place)}"
        _require_stored(
            post(url, content, secret=account.token, content_type="application/octet-stream"),
            name,
            urlsplit(root).netloc,
        )
        tell(f"{name}: {len(content)} bytes stored")
    return address


def _require_stored(reply: Reply, name: str, host: str) -> None:
    if reply.status == 200 and reply.whole and not reply.is_html:
        return
    said = f": {reply.words}" if reply.words else ""
    if reply.status in (401, 403):
        hint = "log in again with `sparkrun arena login`"
        raise EnvironmentLacks(
            f"{host} does not let this account store {name} (status {reply.status}){said}", hint=hint
        )
    broken = "its answer breaks off" if not reply.whole else f"status {reply.status}"
    raise MeasurementFailed(f"{host} did not store {name} ({broken}){said}")
