"""Where a board's secret comes from: the environment, or a file that only its owner can read. Owns reading it; it is
never written, printed or put into an argument."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recipegen.errors import EnvironmentLacks

_LIMIT = 16_384
"""Bytes; a refresh token of Firebase takes about a thousand."""
_SECRET = re.compile(r"[A-Za-z0-9._~+/=|-]{8,}")
"""What can stand in a header. A space or a control character is a slip when the file was written."""


@dataclass(frozen=True)
class Secret:
    """A token. Its value shows in no repr, so that no traceback or log holds it.

    Attributes:
        source: where it came from, in words.
    """

    value: str = field(repr=False)
    source: str


def config_file(*parts: str, env: Mapping[str, str] = os.environ) -> Path:
    """A file under the user's configuration folder (XDG_CONFIG_HOME, ~/.config)."""
    return Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config", *parts)


def find_secret(
    what: str,
    variables: Sequence[str],
    files: Sequence[Path],
    *,
    given: Path | None = None,
    env: Mapping[str, str] = os.environ,
) -> Secret:
    """The secret: of the file that was named, else of the first variable that is set, else of the first file there.

    Args:
        what: for messages: `LocalMaxxing key`.
        given: a file that the user named.

    Raises:
        EnvironmentLacks: there is none, or it is not one, or others can read its file.
    """
    if given is not None:
        return _of_file(given, what)
    for name in variables:
        if value := env.get(name, "").strip():
            return _checked(value, f"the variable {name}", what)
    for path in files:
        if os.path.lexists(path):
            return _of_file(path, what)
    places = [*variables, *(f"the file {path} (mode 0600)" for path in files)]
    raise EnvironmentLacks(f"there is no {what}", hint=f"it is looked for in {', '.join(places)}, or --token-file")


def _of_file(path: Path, what: str) -> Secret:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "is a link" if path.is_symlink() else f"cannot be read: {error.strerror or error}"
        raise EnvironmentLacks(f"{path}, which should hold the {what}, {why}") from None
    try:
        # Of the file that is open, not of its name: between two looks at a name another file can take its place.
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise EnvironmentLacks(f"{path}, which should hold the {what}, is not a plain file")
        if info.st_uid != os.geteuid() or info.st_mode & 0o177:
            raise EnvironmentLacks(
                f"{path} holds the {what} and can be used by others (mode {stat.S_IMODE(info.st_mode):04o})",
                hint=f"chmod 600 {path}; if others had access, make a new key",
            )
        text = os.read(handle, _LIMIT).decode("utf-8", "replace")
    finally:
        os.close(handle)
    return _checked(text.strip(), f"the file {path}", what)


def _checked(value: str, source: str, what: str) -> Secret:
    if not _SECRET.fullmatch(value):
        raise EnvironmentLacks(
            f"{source} holds no {what}: it is empty, short, or has characters that none has",
            hint="one token, nothing else",
        )
    return Secret(value, source)
