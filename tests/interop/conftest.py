"""What the tests against other people's programs share: finding the programs, and servers that are up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.interop.relay_server import RelayServer, icelane_serve, turnserver


def need_program(name: str, package: str) -> str:
    """The path of the program `name`; skips the test, naming the Debian package, when it is not installed.

    With ICELANE_REQUIRE_INTEROP=1 a missing program fails the test, so that a run that promises the whole is whole.
    """
    found = shutil.which(name)
    if found:
        return found
    return miss(f"{name} is not installed: apt-get install {package}")


def miss(what: str) -> NoReturn:
    """Skip the test, or the module, for `what` is missing; with ICELANE_REQUIRE_INTEROP=1 that is a failure."""
    if os.environ.get("ICELANE_REQUIRE_INTEROP") == "1":
        pytest.fail(what)
    pytest.skip(what, allow_module_level=True)


@pytest.fixture(scope="module")
def icelane_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayServer]:
    """Our server, one for the module."""
    with icelane_serve(tmp_path_factory.mktemp("icelane")) as server:
        yield server


# In two processes the compiled plane alone: how requests find theirs is the same for both, and each mode takes seconds.
PROCESSES = {"one process": 1} | ({} if os.environ.get("ICELANE_PURE") == "1" else {"two processes": 2})


@pytest.fixture(scope="module", params=PROCESSES.values(), ids=list(PROCESSES))
def icelane_servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayServer]:
    """Our server, in one process and in two."""
    with icelane_serve(tmp_path_factory.mktemp("icelane"), workers=request.param) as server:
        yield server


@pytest.fixture(scope="session")
def server_with_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayServer]:
    """coturn's server with one static user."""
    executable = need_program("turnserver", "coturn")
    with turnserver(executable, tmp_path_factory.mktemp("static"), rest=False) as server:
        yield server


@pytest.fixture(scope="session")
def server_with_secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayServer]:
    """coturn's server with a shared secret for REST credentials."""
    executable = need_program("turnserver", "coturn")
    with turnserver(executable, tmp_path_factory.mktemp("rest"), rest=True) as server:
        yield server
