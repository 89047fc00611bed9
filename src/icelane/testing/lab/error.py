"""What goes wrong in a lab."""

from __future__ import annotations


class LabError(Exception):
    """The machine does not do what the lab needs of it; the text says what, and what mends it."""
