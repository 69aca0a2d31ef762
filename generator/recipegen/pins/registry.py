"""The digest of an image, from its registry (OCI distribution specification) or from the daemon. Pulls nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from urllib.parse import urlencode, urlsplit

from recipegen.errors import EnvironmentLacks, MeasurementFailed, RecipegenError
from recipegen.files import sha256_bytes
from recipegen.web import Answer, BadAnswer, NotThere, ask, is_loopback

DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""An index comes first: its digest is the same for every architecture."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?")
_TOKEN = re.compile(r"[!-~]{1,16384}")
_CHALLENGE = re.compile(r'([a-z_]+)="([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True)
class ImageName:
    """An image reference in its long form.

    Attributes:
        host: the registry, with its port if it has one; `docker.io` when the reference names none.
    """

    host: str
    repository: str
    tag: str

    @property
    def api(self) -> str:
        """Where the registry's API lies; plain http is for this machine's own registries only, as in Docker."""
        host = _DOCKER_HUB_API if self.host == DOCKER_HUB else self.host
        scheme = "http" if is_loopback(urlsplit(f"//{host}").hostname or "") else "https"
        return f"{scheme}://{host}/v2/{self.repository}"


def image_name(reference: str) -> ImageName:
    """Read an image reference as Docker does (distribution/reference, `ParseDockerRef`).

    Raises:
        NotThere: no registry can have an image of that name.
    """
    first, slash, rest = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, name = first, rest
    else:
        host, name = DOCKER_HUB, reference
    repository, colon, tag = name.rpartition(":")
    if not colon:
        repository, tag = name, "latest"
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if not (_HOST.fullmatch(host) and _REPOSITORY.fullmatch(repository) and _TAG.fullmatch(tag)):
        raise NotThere(f"{reference!r} is not the name of an image that a registry can have")
    return ImageName(host, repository, tag)


def digest_of(reference: str) -> str:
    """The digest that a tag stands for today, `sha256:` and 64 hex digits: of the index where there is one.

    Only anonymous access is tried; a token that the registry hands out for it goes back to that registry alone.

    Raises:
        Unreachable: the registry does not answer, or has no time now.
        NotThere: it has no such image, or shows it only to those who log in.
        BadAnswer: what it answers is no manifest, or no digest.
    """
    name = image_name(reference)
    url = f"{name.api}/manifests/{name.tag}"
    headers = {"Accept": ", ".join(MANIFEST_TYPES)}
    answer = ask(url, method="HEAD", headers=headers)
    if answer.status == 401 and (challenge := answer.headers.get("WWW-Authenticate")):
        headers["Authorization"] = f"Bearer {_token(name, challenge, answer.host)}"
        answer = ask(url, method="HEAD", headers=headers)
    # Registries may leave the digest out of a HEAD, or not answer one: then the manifest itself gives it.
    if answer.status == 405 or (answer.status == 200 and "Docker-Content-Digest" not in answer.headers):
        answer = ask(url, headers=headers)
        answer.must_be_ok(f"image {reference}")
        return _checked(answer, answer.headers, f"sha256:{sha256_bytes(answer.body)}")
    answer.must_be_ok(f"image {reference}")
    return _checked(answer, answer.headers, None)


def _checked(answer: Answer, headers: Message, computed: str | None) -> str:
    if answer.content_type not in MANIFEST_TYPES:
        raise BadAnswer(f"{answer.host} answers with {answer.content_type[:80]!r}, which is no image manifest")
    given = headers.get("Docker-Content-Digest", computed or "")
    if not _DIGEST.fullmatch(given):
        raise BadAnswer(f"{answer.host} names a digest that is none: {ascii(given)[1:-1][:80]}")
    if computed not in (None, given):
        raise BadAnswer(f"{answer.host} sends a manifest that does not have the digest it names")
    return given


def _token(name: ImageName, challenge: str, host: str) -> str:
    """A token for anonymous pulls (the distribution project's token authentication)."""
    scheme, _, rest = challenge.partition(" ")
    asked = {key.lower(): value for key, value in _CHALLENGE.findall(rest)}
    if scheme.lower() != "bearer":
        raise NotThere(f"{host} wants a user name and a password", hint="recipegen asks registries anonymously")
    realm = asked.get("realm", "")
    api = urlsplit(name.api)
    if urlsplit(realm).scheme != "https" and not (api.scheme == "http" and realm.startswith("http://")):
        raise BadAnswer(f"{host} sends for a token to an address that is not https: {ascii(realm)[1:-1][:80]}")
    query = {"scope": asked.get("scope") or f"repository:{name.repository}:pull"}
    if "service" in asked:
        query["service"] = asked["service"]
    answer = ask(f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}")
    answer.must_be_ok(f"token for image {name.repository}")
    body = answer.json()
    token = (body.get("token") or body.get("access_token")) if isinstance(body, dict) else None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise BadAnswer(f"{answer.host} hands out no token")
    return token


def local_id(reference: str) -> str | None:
    """The id of an image that this machine's daemon holds; None when it holds none, or when none runs."""
    from docker.errors import ImageNotFound

    from recipegen.docker_daemon import connect, talking

    try:
        client = connect()
        with talking():
            try:
                found = client.images.get(reference).id
            except ImageNotFound:
                return None
    except (EnvironmentLacks, MeasurementFailed):
        return None
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise RecipegenError(f"the daemon names an id of {reference} that is none: {found!r}")
    return found
