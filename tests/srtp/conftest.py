"""Both backends and all profiles: every test that takes them runs over each."""

from __future__ import annotations

import os

import pytest

from icelane.errors import NotSupportedError
from icelane.srtp.backend import Backend, native_backend, python_backend
from icelane.srtp.profile import ProtectionProfile


@pytest.fixture(scope="session")
def native() -> Backend:
    """The compiled backend; skips where it cannot be had, unless it must be."""
    try:
        return native_backend()
    except NotSupportedError as error:
        if os.environ.get("ICELANE_REQUIRE_COMPILED") == "1" and os.environ.get("ICELANE_PURE") != "1":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def python() -> Backend:
    """The other one."""
    return python_backend()


@pytest.fixture(params=["native", "python"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    found: Backend = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=list(ProtectionProfile), ids=lambda profile: profile.name)
def profile(request: pytest.FixtureRequest) -> ProtectionProfile:
    """Each profile in turn."""
    found: ProtectionProfile = request.param
    return found
