"""Values of recipe.yaml that are more than text: names, paths, versions, addresses. Owns their patterns and wording."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character, which no process argument can carry")
    return value


def _one_line(value: str) -> str:
    if value.isprintable():
        return value
    for char in value:
        if unicodedata.category(char) in ("Cc", "Zl", "Zp"):
            raise ValueError(f"must be one line of text, but holds the control character {char!r}")
    return value


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Unicode's category Cc without tab and newline."""


def _prose(value: str) -> str:
    control = _CONTROL.search(value)
    if control:
        raise ValueError(f"holds the control character {control[0]!r}")
    return value


def matching(pattern: str, rule: str, longest: int = 500) -> AfterValidator:
    """A text that fulfils a pattern from end to end; `rule` is what the user reads where it does not."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if len(value) > longest:  # first: some patterns take their time over a long text
            raise ValueError(f"is longer than {longest} characters")
        if not compiled.fullmatch(value):
            raise ValueError(rule)
        return value

    return AfterValidator(check)


SLUG = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
"""Safe as a folder, as a Docker repository name and as an image tag."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_one_line)]
ServedName = Annotated[Line, matching(r"[^-].*", "cannot begin with a dash: programs would take it for a flag")]
ImageLine = Annotated[
    Line,
    # Docker reads "a\\" as it should; hadolint takes the quote for an escaped one.
    matching(r'(?:[^\\]|\\(?!"|\Z))*', "goes into the Dockerfile: no backslash before a quote or at the end"),
]
CmakeArg = Annotated[
    Line, matching(r"-[ -~]+", "is not an argument of CMake in ASCII, as in -DGGML_CUDA_FA_ALL_QUANTS=ON")
]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(_prose)]
Value = Annotated[str, AfterValidator(_no_nul)]
Slug = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63),
    matching(
        SLUG,
        "must be lower-case letters, digits and single . _ - between them: it names a folder and an image",
    ),
]
EnvName = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_]*", "is not the name of an environment variable")]
FlagName = Annotated[
    str,
    matching(r"-{0,2}[A-Za-z0-9][A-Za-z0-9_.-]*", "is not a flag: letters, digits, - _ . only, as in max-model-len"),
]
HF_ID = r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*"
"""OWNER/NAME on the Hugging Face hub."""
HfId = Annotated[str, StringConstraints(max_length=256), matching(HF_ID, "is not a Hugging Face id: OWNER/NAME")]
Revision = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}", "is not a git revision")]
PathPart = Annotated[
    str,
    matching(r"[A-Za-z0-9][A-Za-z0-9._+-]*", "must be one folder name: letters, digits and . _ + -", 255),
]
RelPath = Annotated[
    str,
    matching(
        r"(?!.*(?:^|/)\.\.?(?:/|$))[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*",
        "must be a relative path of plain names, without ..",
    ),
]
ImageRef = Annotated[
    str,
    StringConstraints(max_length=500),
    matching(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", "is not an image reference, as in ghcr.io/owner/image:tag"),
]
Package = Annotated[str, matching(r"[a-z0-9][a-z0-9+.-]+", "is not the name of a Debian package")]
Requirement = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9,._-]+\])?\s*(?:(?:==|>=|<=|~=|!=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*",
        "is not a package requirement, as in transformers>=5.0.0",
    ),
]
PythonPackage = Annotated[str, matching(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", "is not a package name")]
Url = Annotated[
    str,
    StringConstraints(max_length=2000),
    matching(r"https?://[^\s<>\"'\\`{}|^\x00-\x1f\x7f]+", "is not a web address (http or https)", 2000),
]
Sha256 = Annotated[str, matching(r"[0-9a-f]{64}", "is not a SHA-256: 64 lower-case hex digits")]
ContainerPath = Annotated[
    str, matching(r"/[A-Za-z0-9._/+-]*", "must be an absolute path in the container, of plain names")
]
HostPath = Annotated[
    str,
    matching(
        r"(?:~/|\./|/)?[A-Za-z0-9_][A-Za-z0-9._/+-]*",
        "must be a host path of plain names; ~/ and ./ may lead it",
    ),
]
Size = Annotated[str, matching(r"[0-9]+(?:\.[0-9]+)?[bkmg]?", "is not a size, as in 16g")]
Version = Annotated[str, matching(r"[0-9A-Za-z][0-9A-Za-z.+!_-]*", "is not a version")]
ArchList = Annotated[
    str,
    matching(
        r"[0-9]+\.[0-9]+[af]?(?:\+PTX)?(?:[ ;][0-9]+\.[0-9]+[af]?(?:\+PTX)?)*",
        "is not an arch list, as in 12.1a",
    ),
]


class Strict(BaseModel):
    """Unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
