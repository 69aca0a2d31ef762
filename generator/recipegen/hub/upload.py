"""Publishing files to a dataset of the hub, through the hub's own client. Owns the order (look through, ask, commit,
look whether all is there) and the words for a refusal. Deletes nothing there; stores and shows no token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from recipegen.errors import CheckFailed, EnvironmentLacks, RecipegenError
from recipegen.hub.client import seconds
from recipegen.hub.scan import Scanned, scan
from recipegen.hub.selection import Item
from recipegen.quoting import comment_text
from recipegen.results.scrub import HIDDEN, identity_here
from recipegen.spec.types import HF_ID

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_T = TypeVar("_T")
TIMEOUT_S = 300.0
"""Without a byte from the hub; a commit of thousands of files takes it a minute. The client's own limit is none."""
_ASK_TIMEOUT_S = 20.0
_AT_ONCE = 500
"""Paths of one question whether files are there."""


@dataclass(frozen=True)
class Published:
    """A commit on the hub, its address as the hub gives it."""

    commit: str
    url: str


def look_through(items: Iterable[Item]) -> tuple[dict[str, Scanned], list[str]]:
    """Look for secrets in every file that is to be published.

    Returns:
        What was looked at, by name in the dataset; and the places that name this host or account.

    Raises:
        CheckFailed: a secret stands in a file; the message names file and line, never the secret.
        RecipegenError: a file cannot be read.
    """
    from huggingface_hub import get_token

    token = get_token()
    identity = identity_here()
    if token:
        identity = replace(identity, secrets=tuple(dict.fromkeys((token, *identity.secrets))))
    found = {item.name: scan(item.path, identity) for item in items}
    if places := [place for one in found.values() for place in one.secrets]:
        raise CheckFailed(
            f"nothing was sent: a secret stands in {'; '.join(places[:20])}",
            hint="take it out of the file (and change it where it was in use), then publish again",
        )
    return found, [place for one in found.values() for place in one.names]


def publish(
    items: Iterable[Item],
    scanned: dict[str, Scanned],
    dataset: str,
    *,
    revision: str = "main",
    private: bool = False,
    create: bool = False,
) -> Published:
    """Add files to a dataset in one commit; what it holds beside them stays as it is.

    Args:
        scanned: what `look_through` found: only those bytes are sent.
        create: make the dataset, and the branch, where they are not there.
        private: of a dataset that is made; one that is there must be private then.

    Raises:
        EnvironmentLacks: no token, no network, no rights, or the hub refuses.
        RecipegenError: there is no such dataset or branch, or a file changed meanwhile.
        CheckFailed: the dataset lacks some of the files after the commit.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not re.fullmatch(HF_ID, dataset) or len(dataset) > 96:
        raise RecipegenError(f"{dataset!r} is not a dataset of the hub", hint="OWNER/NAME")
    token = get_token()
    if not token:
        raise EnvironmentLacks(
            "there is no token of the Hugging Face hub", hint="`hf auth login`, or HF_TOKEN with the right to write"
        )
    disable_progress_bars()
    get_session().timeout = TIMEOUT_S
    api = HfApi(token=token)
    asked = _Asked(dataset, token)
    _require(api, asked, revision, private=private, create=create)
    operations = []
    for item in items:
        operation = CommitOperationAdd(path_in_repo=item.name, path_or_fileobj=item.path)
        if operation.upload_info.sha256.hex() != scanned[item.name].sha256:
            raise RecipegenError(
                f"{item.path} changed after it was looked through", hint="publish when nothing writes to it"
            )
        operations.append(operation)
    message = f"recipegen: {len(operations)} file{'s' * (len(operations) != 1)}"
    done = asked(
        "the commit",
        lambda: api.create_commit(dataset, operations, commit_message=message, repo_type="dataset", revision=revision),
    )
    published = Published(comment_text(str(done.oid))[:80], comment_text(str(done.commit_url))[:300])
    try:
        _look_whether_there(api, asked, revision, [operation.path_in_repo for operation in operations])
    except EnvironmentLacks as error:
        raise EnvironmentLacks(f"{error.message} The commit is made: {published.url}", hint=error.hint) from error
    return published


def _require(api: HfApi, asked: _Asked, revision: str, *, private: bool, create: bool) -> None:
    """See that the dataset and the branch are there, or make them."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    def info(of: str) -> Any:
        return api.dataset_info(asked.dataset, revision=of, timeout=_ASK_TIMEOUT_S)

    try:
        found = asked("the dataset", lambda: info("main"), but=(RepositoryNotFoundError, RevisionNotFoundError))
    except RepositoryNotFoundError:
        if not create:
            raise RecipegenError(
                f"the hub has no dataset {asked.dataset!r}, or this token may not see it",
                hint="--create makes it; for a private one the token needs the right to read it",
            ) from None
        asked("making the dataset", lambda: api.create_repo(asked.dataset, repo_type="dataset", private=private))
    except RevisionNotFoundError:
        pass  # a dataset without a commit
    else:
        if private and not found.private:
            raise RecipegenError(
                f"{asked.dataset} is there and public", hint="leave --private out, or make it private on the hub first"
            )
    if revision == "main":
        return
    try:
        asked("the branch", lambda: info(revision), but=(RevisionNotFoundError,))
    except RevisionNotFoundError:
        if not create:
            raise RecipegenError(
                f"{asked.dataset} has no branch {revision!r}", hint="--create makes it, from main"
            ) from None
        asked("making the branch", lambda: api.create_branch(asked.dataset, branch=revision, repo_type="dataset"))


def _look_whether_there(api: HfApi, asked: _Asked, revision: str, names: list[str]) -> None:
    """A dataset's .gitignore makes the hub leave files out without a word."""
    there: set[str] = set()
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        found = asked(
            "looking whether all is there",
            lambda some=some: api.get_paths_info(asked.dataset, some, repo_type="dataset", revision=revision),  # type: ignore[misc]
        )
        there |= {one.path for one in found}
    if missing := [name for name in names if name not in there]:
        raise CheckFailed(
            f"{asked.dataset} has not taken {len(missing)} of {len(names)} files: {', '.join(missing[:10])}",
            hint="does its .gitignore name them?",
        )


@dataclass(frozen=True)
class _Asked:
    """Questions to the hub about one dataset; a refusal becomes an error in words."""

    dataset: str
    token: str

    def __call__(self, what: str, ask: Callable[[], _T], *, but: tuple[type[Exception], ...] = ()) -> _T:
        """What the hub answers.

        Args:
            what: what is asked for, for the error.
            but: errors that the caller knows what to do with.

        Raises:
            RecipegenError, EnvironmentLacks: everything else that can come.
        """
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

        try:
            return ask()
        except GatedRepoError as error:  # a RepositoryNotFoundError, too
            raise self._refused(what, error) from None
        except but:
            raise
        except HfHubHTTPError as error:
            raise self._refused(what, error) from None  # its text may repeat what was sent
        except Exception as error:
            # The hub's client lets its transport's own errors through, which differ by version, and packs others.
            inner = error.__cause__
            if isinstance(inner, HfHubHTTPError):
                raise self._refused(what, inner) from None
            raise self._broken(what, error) from error

    def _broken(self, what: str, error: Exception) -> RecipegenError:
        unsure = " Whether the commit was made is not known." if what == "the commit" else ""
        if isinstance(error, ValueError | KeyError | TypeError | AttributeError):
            return EnvironmentLacks(
                f"the hub's answer to {what} makes no sense ({type(error).__name__}).{unsure}",
                hint="is HF_ENDPOINT a hub?",
            )
        return EnvironmentLacks(
            f"the Hugging Face hub cannot be reached for {what} ({type(error).__name__}).{unsure}",
            hint="check the network; publishing again sends only what is not there yet",
        )

    def _refused(self, what: str, error: Any) -> RecipegenError:
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        status = int(getattr(error.response, "status_code", 0) or 0)
        if isinstance(error, GatedRepoError):
            page = f"https://huggingface.co/datasets/{self.dataset}"
            return EnvironmentLacks(f"{self.dataset} is gated", hint=f"ask for access at {page}")
        if isinstance(error, RepositoryNotFoundError) or status == 404:
            return RecipegenError(f"the hub has no dataset {self.dataset!r}, or this token may not see it ({what})")
        wait = seconds(str(error.response.headers.get("Retry-After", "")))
        words, hint = {
            401: ("does not take this token", "`hf auth login` again, or another HF_TOKEN"),
            403: ("does not let this token write there", "a token with the right to write to the owner's datasets"),
            409: ("reports a conflict", "somebody else writes to it: try again"),
            412: ("reports a conflict", "somebody else writes to it: try again"),
            413: ("finds it too large", "publish recipe by recipe, or a bundle"),
            429: ("has had too many requests", f"try again in {wait} s" if wait else "try again later"),
        }.get(status, ("refuses", f"try again in {wait} s" if wait else "try again later"))
        unsure = " Whether the commit was made is not known." if what == "the commit" and status >= 500 else ""
        said = str(getattr(error, "server_message", "") or "").replace(self.token, HIDDEN)
        said = "" if "<" in said else comment_text(said)[:200].strip()
        return EnvironmentLacks(
            f"the hub {words} (status {status}, {what}){f': {said}' if said else ''}.{unsure}", hint=hint
        )
