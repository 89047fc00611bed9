"""The tests that cannot run from a wheel, each with the reason: they read sources that no wheel has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

LEFT_OUT: Final = {
    "tests/audit": "reads the sources of the project: its tree, its links, its rules",
    "tests/server/test_hostile_core.py": "compiles the core in C anew, with sanitizers",
    "tests/twin/test_forms.py": "is about what was built in place, beside the sources",
}
"""Files, folders and single tests."""


def arguments_for(left_out: Iterable[str]) -> list[str]:
    """What pytest is told. A file is not even imported; of a single test the others run."""
    return [f"--deselect={one}" if "::" in one else f"--ignore={one}" for one in left_out]


def stale(tree: Path) -> list[str]:
    """What is left out and does not exist: the list must not hide a test that has moved."""
    return [one for one in LEFT_OUT if not _exists(tree, one)]


def _exists(tree: Path, test: str) -> bool:
    file, _, name = test.partition("::")
    path = tree / file
    return path.exists() and (not name or f"def {name}(" in path.read_text(encoding="utf-8"))
