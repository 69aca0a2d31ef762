"""The version that a requirement resolves to today, from a package index. Installs and downloads no package."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from recipegen.errors import RecipegenError
from recipegen.web import Answer, BadAnswer, NotThere, ask

if TYPE_CHECKING:
    from packaging.version import Version

DEFAULT_INDEX = "https://pypi.org/simple"
PAGE_BYTES = 32 << 20
"""The longest pages of the public index have some ten thousand files of about 500 bytes."""
_NAME_LENGTH = 255
"""The longest name of a file; a wheel's name can stand for as many tags as the product of its parts."""
_TEXT_LENGTH = 1000
"""The longest bound on Python that is read: of a number of thousands of digits Python makes none."""
_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = ("text/html", "application/vnd.pypi.simple.v1+html")


@dataclass(frozen=True)
class IndexFile:
    """One file of a project's page; what the page leaves out is empty."""

    name: str
    yanked: bool = False
    requires_python: str = ""


def newest(requirements: Sequence[str], *, python: str = "", machine: str = "") -> str:
    """The newest version that satisfies all requirements on one project; final releases before pre-releases.

    A version counts when one of its files is not yanked (an exact requirement may ask for a yanked one), is for
    that Python, and is a source archive or a wheel for that machine. Bounds that other packages of the image put
    on the project are not known here.

    Args:
        requirements: of one project, as in `transformers>=5.0.0`.
        python: version of the image's Python, as in `3.11`; empty when it is not known.
        machine: as in `aarch64`; empty for any.

    Raises:
        Unreachable: the index does not answer.
        NotThere: it has no such project, or no version that satisfies them.
        BadAnswer: the page makes no sense.
        RecipegenError: a requirement is none.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import SpecifierSet

    try:
        # A comma at the end is allowed in a recipe.
        parsed = [Requirement(text.rstrip(" ,")) for text in requirements]
        bounds = SpecifierSet(",".join(str(one.specifier) for one in parsed if one.specifier))
    except InvalidRequirement as error:
        raise RecipegenError(f"{requirements[0]!r} is not a package requirement: {error}") from error
    files = _files(parsed[0].name)
    exact = any(bound.operator == "==" and "*" not in bound.version for bound in bounds)
    usable = {
        version
        for file in files
        if (exact or not file.yanked) and _for_python(file, python)
        for version in _version(file.name, machine)
    }
    fitting = sorted(bounds.filter(usable))
    if not fitting:
        words = " and ".join(requirements)
        where = "".join([f" for Python {python}" if python else "", f" on {machine}" if machine else ""])
        raise NotThere(f"{_index()[1]} has no release of {words}{where}", hint="is the requirement right?")
    return str(fitting[-1])


def _index() -> tuple[str, str, dict[str, str]]:
    """Address of the package index without credentials, its host, and the header that carries them."""
    url = os.environ.get("PIP_INDEX_URL", "").strip() or DEFAULT_INDEX
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        raise RecipegenError("PIP_INDEX_URL is not a web address") from None
    headers = {}
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {b64encode(secret).decode()}"
    return parts._replace(netloc=host, query="", fragment="").geturl().rstrip("/"), host, headers


def _files(project: str) -> list[IndexFile]:
    from packaging.utils import canonicalize_name

    url, _, headers = _index()
    accept = {"Accept": f"{_JSON}, {_HTML[1]};q=0.2, {_HTML[0]};q=0.1"}
    answer = ask(f"{url}/{canonicalize_name(project)}/", headers={**headers, **accept}, limit=PAGE_BYTES)
    answer.must_be_ok(f"package {project}")
    if answer.content_type == _JSON:
        return _of_json(answer)
    if answer.content_type in _HTML:
        return _of_html(answer)
    raise BadAnswer(f"{answer.host} answers with {answer.content_type[:80]!r}, which is no page of a package index")


def _of_json(answer: Answer) -> list[IndexFile]:
    """The files of a page in the form of PEP 691."""
    page = answer.json()
    files = page.get("files") if isinstance(page, dict) else None
    if not isinstance(files, list):
        raise BadAnswer(f"the page of {answer.host} lists no files")
    found = []
    for file in files:
        name = file.get("filename") if isinstance(file, dict) else None
        if not isinstance(name, str):
            raise BadAnswer(f"the page of {answer.host} lists a file without a name")
        python = file.get("requires-python")
        found.append(IndexFile(name, bool(file.get("yanked")), python if isinstance(python, str) else ""))
    return found


class _Anchors(HTMLParser):
    """Collects the files of a page in the form of PEP 503."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[IndexFile] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: dict[str, Any] = dict(attrs)
        if tag == "a" and given.get("href"):
            name = unquote(given["href"].partition("#")[0].rpartition("/")[2])
            self.files.append(IndexFile(name, "data-yanked" in given, given.get("data-requires-python") or ""))


def _of_html(answer: Answer) -> list[IndexFile]:
    page = _Anchors()
    page.feed(answer.body.decode("utf-8", "replace"))
    return page.files


def _for_python(file: IndexFile, python: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if not python or not file.requires_python or len(file.requires_python) > _TEXT_LENGTH:
        return True
    try:
        return SpecifierSet(file.requires_python).contains(f"{python}.99")  # any patch release of that Python
    except InvalidSpecifier:
        return True  # as pip has it: a bound that nobody can read binds nobody


def _version(name: str, machine: str) -> Iterator[Version]:
    """The version of a file that can be installed on that machine; nothing for any other file."""
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )
    from packaging.version import InvalidVersion

    if len(name) > _NAME_LENGTH:
        return
    try:
        if name.endswith(".whl"):
            _, version, _, tags = parse_wheel_filename(name)
            if not machine or any(
                tag.platform == "any" or (tag.platform.endswith(f"_{machine}") and "linux" in tag.platform)
                for tag in tags
            ):
                yield version
        elif name.endswith((".tar.gz", ".zip")):
            yield parse_sdist_filename(name)[1]
    except (InvalidSdistFilename, InvalidWheelFilename, InvalidVersion):
        return
