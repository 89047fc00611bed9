"""Both backends: every test that takes `backend` runs over each."""

from __future__ import annotations

import pytest

from icelane.dtls.backend import Backend, native_backend, pyopenssl_backend
from tests.compiled import compiled_or_skip

# What these assert has to hold under `python -O` too.
pytest.register_assert_rewrite("tests.dtls.pair", "tests.dtls.raw_peer", "tests.dtls.refragment")


@pytest.fixture(scope="session")
def native() -> Backend:
    """The compiled backend; skips where it cannot be had, unless it must be."""
    return compiled_or_skip(native_backend)


@pytest.fixture(scope="session")
def pyopenssl() -> Backend:
    """The other one."""
    return pyopenssl_backend()


@pytest.fixture(params=["native", "pyopenssl"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    found: Backend = request.getfixturevalue(request.param)
    return found
