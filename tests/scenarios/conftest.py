"""What these tests share."""

from __future__ import annotations

import pytest

from icelane.dtls.backend import native_backend
from icelane.errors import NotSupportedError
from tests.loops import run

__all__ = ["follows_our_clock", "run"]


@pytest.fixture
def follows_our_clock() -> None:
    """For who loses records of a handshake: pyOpenSSL repeats them by the machine's clock."""
    try:
        native_backend()
    except NotSupportedError as error:
        pytest.skip(str(error))
