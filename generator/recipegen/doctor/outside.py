"""Probes of what ties this host to others: tokens, logins, web servers. No value of a secret is ever kept."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from recipegen import proc
from recipegen.errors import RecipegenError
from recipegen.files import read_bounded

REACH_S = 5.0
_DOCKER_CONFIG_BYTES = 1 << 20


def tokens(hf_home: Path) -> dict[str, str | None]:
    """Where each token is: in the environment, in its usual file, or nowhere. Reads no token file."""
    env = os.environ
    hub_file = Path(env.get("HF_TOKEN_PATH") or hf_home / "token")
    ngc_file = Path.home() / ".ngc/config"
    hub_names = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    return {
        "HF_TOKEN": _place(any(env.get(name) for name in hub_names), hub_file),
        "LOCALMAXXING_API_KEY": _place(bool(env.get("LOCALMAXXING_API_KEY")), None),
        "NGC_API_KEY": _place(bool(env.get("NGC_API_KEY")), ngc_file),
    }


def _place(in_environment: bool, file: Path | None) -> str | None:
    if in_environment:
        return "environment"
    try:
        return "file" if file is not None and file.stat().st_size > 0 else None
    except OSError:
        return None


def registry_logins() -> frozenset[str]:
    """Hosts of the registries that the Docker client keeps a login for; its config's values are not kept."""
    import json

    file = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        config = json.loads(read_bounded(file, _DOCKER_CONFIG_BYTES))
    except (RecipegenError, OSError, ValueError, RecursionError):
        return frozenset()
    sections = [config.get(name) for name in ("auths", "credHelpers")] if isinstance(config, dict) else []
    hosts = [host for section in sections if isinstance(section, dict) for host in section]
    return frozenset(host.removeprefix("https://").split("/")[0] for host in hosts)


def reach(url: str) -> str:
    """ "" when a web server answers a HEAD there, with whatever status; else why not, in a few words."""
    import http.client
    import urllib.error
    import urllib.request

    try:
        if urlsplit(url).scheme not in ("http", "https"):
            return "is neither http nor https"
    except ValueError:
        return "is no web address"
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "recipegen-doctor"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=REACH_S):  # noqa: S310
            return ""
    except urllib.error.HTTPError:
        return ""
    except urllib.error.URLError as error:
        return proc.redact(str(getattr(error.reason, "strerror", None) or error.reason))
    except OSError as error:
        return proc.redact(error.strerror or type(error).__name__)
    except (http.client.HTTPException, ValueError) as error:
        # Its text may hold the whole address, with a password in it.
        return type(error).__name__
