"""Both backends and all profiles: every test that takes them runs over each."""

from __future__ import annotations

import pytest

from icelane.srtp.backend import Backend, native_backend, python_backend
from icelane.srtp.profile import ProtectionProfile
from tests.compiled import compiled_or_skip


@pytest.fixture(scope="session")
def native() -> Backend:
    """The compiled backend; skips where it cannot be had, unless it must be."""
    return compiled_or_skip(native_backend)


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
