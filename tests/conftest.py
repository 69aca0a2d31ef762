"""Fixtures that all tests share: what a test needs of this machine. Under CI=true a missing need fails the
test, elsewhere it skips it, with the reason."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import pytest

from recipegen.errors import EnvironmentLacks

if TYPE_CHECKING:
    from docker import DockerClient


def lacking(reason: str) -> NoReturn:
    """Fails the test under CI=true, skips it elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (and under CI=true it must be there)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def needs() -> Callable[[str], str]:
    """`needs("gcc")` gives the program's path; without it the test is skipped, or fails under CI=true."""

    def path_of(program: str) -> str:
        found = shutil.which(program)
        if found is None:
            lacking(f"the program {program} is not installed")
        return found

    return path_of


@pytest.fixture(scope="session")
def docker_client() -> DockerClient:
    """A client of a running Docker daemon, which DOCKER_HOST names; without one, see `lacking`."""
    from recipegen.docker import connect

    try:
        return connect()
    except EnvironmentLacks as error:
        lacking(f"{error.message}; {error.hint}")


def pytest_configure() -> None:
    """Background jobs of a shell, and their children, ignore Ctrl-C; the tests of Ctrl-C need it heard."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
