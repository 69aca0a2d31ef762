"""The commit that a tag or a branch of a git repository stands for, over git's smart HTTP. Fetches no source."""

from __future__ import annotations

import re

from recipegen.web import BadAnswer, NotThere, ask

REFS_BYTES = 32 << 20
"""vLLM has some 60,000 refs (each pull request has one) of about 65 bytes."""
_CONTENT_TYPE = "application/x-git-upload-pack-advertisement"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PEELED = "^{}"


def commit_of_ref(repo: str, ref: str) -> str:
    """The commit of a tag (an annotated one is followed) or a branch, 40 hex digits.

    Args:
        repo: web address of the repository, as `git clone` takes it.
        ref: looked for as git does it: as it stands under refs/, then among tags, then among branches.

    Raises:
        Unreachable: the host does not answer.
        NotThere: there is no such repository or ref.
        BadAnswer: what answers does not speak git, or names no commit.
    """
    from recipegen import __version__

    # GitHub wants an agent that begins like git's own (dulwich's client says so).
    headers = {"User-Agent": f"git/recipegen-{__version__}"}
    url = f"{repo.rstrip('/')}/info/refs?service=git-upload-pack"
    answer = ask(url, headers=headers, limit=REFS_BYTES)
    answer.must_be_ok(f"git repository {repo}")
    if answer.content_type != _CONTENT_TYPE:
        raise BadAnswer(f"{answer.host} does not speak git at {repo}")
    refs = advertised(answer.body)
    for name in (ref, f"refs/{ref}", f"refs/tags/{ref}", f"refs/heads/{ref}"):
        found = refs.get(name + _PEELED) or refs.get(name)
        if found is not None:
            return found
    hint = "an abbreviated commit cannot be looked up: write all 40 digits" if re.fullmatch(r"[0-9a-f]+", ref) else ""
    raise NotThere(f"{repo} has no tag or branch {ref!r}", hint=hint)


def advertised(body: bytes) -> dict[str, str]:
    """Ref to commit, from a ref advertisement of protocol version 0 (gitprotocol-http, gitprotocol-pack).

    Raises:
        BadAnswer: it is none.
    """
    refs: dict[str, str] = {}
    for line in _packets(body):
        if line.startswith(b"#"):
            continue
        sha, space, name = line.partition(b"\0")[0].rstrip(b"\n").decode("utf-8", "replace").partition(" ")
        if not space or not _COMMIT.fullmatch(sha):
            raise BadAnswer("the git host's list of refs makes no sense")
        refs[name] = sha
    return refs


def _packets(body: bytes) -> list[bytes]:
    """The payloads of pkt-lines; a length below 4 is a flush or a delimiter, which carries nothing."""
    lines, at = [], 0
    while at < len(body):
        head = body[at : at + 4]
        if not re.fullmatch(rb"[0-9a-f]{4}", head) or at + int(head, 16) > len(body):
            raise BadAnswer("the git host's list of refs is cut short or makes no sense")
        length = int(head, 16)
        if length >= 4:
            lines.append(body[at + 4 : at + length])
        at += max(length, 4)
    return lines
