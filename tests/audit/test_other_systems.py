"""What Python has on Linux alone is used behind a check of whether it is there, as the types of macOS show it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.audit.sources import ROOT

# Namespaces and devices of the kernel's, for tests: `missing()` of each says that it needs Linux. And a server in
# several processes, which `workers.choice` refuses elsewhere.
LINUX_AS_A_WHOLE: Final = ("testing/", "server/workers/")

TYPES: Final = re.compile(r"^src/icelane/([^:]+):(\d+): error: (.*)$", re.MULTILINE)


def test_the_library_uses_no_name_that_only_linux_has_without_a_check(tmp_path: Path) -> None:
    """mypy takes `hasattr` for such a check. Numbers have no types: those are tried in `tests/elsewhere`."""
    pytest.importorskip("mypy", reason="mypy is not installed: make lint installs it")
    command = [sys.executable, "-m", "mypy", "--platform", "darwin", "--cache-dir", str(tmp_path), "src/icelane"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = TYPES.findall(finished.stdout)
    assert found, f"in testing there are some, and mypy must see them: {finished.stdout}{finished.stderr}"
    assert [one for one in found if not one[0].startswith(LINUX_AS_A_WHOLE)] == []
