"""Both backends: every test that takes `backend` runs over each."""

from __future__ import annotations

import os

import pytest

from icelane.dtls.backend import Backend, native_backend, pyopenssl_backend
from icelane.errors import NotSupportedError

# What these assert has to hold under `python -O` too.
pytest.register_assert_rewrite("tests.dtls.pair", "tests.dtls.raw_peer", "tests.dtls.refragment")


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
def pyopenssl() -> Backend:
    """The other one."""
    return pyopenssl_backend()


@pytest.fixture(params=["native", "pyopenssl"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    found: Backend = request.getfixturevalue(request.param)
    return found
