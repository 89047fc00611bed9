"""What holds for every test."""

from __future__ import annotations

import pytest
from hypothesis import settings

# What helpers beside the tests assert has to hold under `python -O` too. Here, because whoever imports one first must
# find it registered.
pytest.register_assert_rewrite("tests.turn.server_driver")

# The same examples every time, so that a failure is the change's and not the day's; `fuzz/` looks for new ones. No
# deadline: a slow machine is not a bug, and what must be fast has a bench.
settings.register_profile("icelane", deadline=None, derandomize=True)
settings.load_profile("icelane")
