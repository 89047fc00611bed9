"""What the garbage collector need not visit.

It visits everything that refers to something, whenever enough has been made since, and most of what a server makes
lives as long as its allocation. Only cycles need it, and values that hold nothing but texts, numbers and other values
are never part of one.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def _untracked(value: T) -> T:
    """`value`, which the garbage collector does not visit any more: for what can never be part of a cycle."""
    return value  # Python has no way to say so: it is visited


try:
    from icelane.core import tracking
except ImportError:
    untracked = _untracked
else:
    untracked = tracking.untracked
