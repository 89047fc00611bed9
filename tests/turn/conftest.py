"""What holds for the tests of the TURN engines."""

from __future__ import annotations

import pytest

# What the driver asserts about the plane has to hold under `python -O` too.
pytest.register_assert_rewrite("tests.turn.server_driver")
