"""What is there only where it was compiled."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from icelane.errors import NotSupportedError

Backend = TypeVar("Backend")


def compiled_or_skip(load: Callable[[], Backend]) -> Backend:
    """What `load` returns; skips where it cannot be had, unless it must be."""
    try:
        return load()
    except NotSupportedError as error:
        if os.environ.get("ICELANE_REQUIRE_COMPILED") == "1" and os.environ.get("ICELANE_PURE") != "1":
            raise
        pytest.skip(str(error))
