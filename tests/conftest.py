"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# The same examples every time, so that a failure is the change's and not the day's; `fuzz/` looks for new ones. No
# deadline: a slow machine is not a bug, and what must be fast has a bench.
settings.register_profile("icelane", deadline=None, derandomize=True)
settings.load_profile("icelane")
