from __future__ import annotations

from pathlib import Path

import pytest

from tests.broken.registry import Break, all_breaks

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("one", all_breaks().values(), ids=lambda one: one.name)
def test_every_break_names_tests_that_exist(one: Break) -> None:
    """A check that was renamed would otherwise look broken, or be forgotten."""
    assert one.checks
    assert one.tests
    for test in one.tests:
        file, _, node = test.partition("::")
        function = node.partition("[")[0].rpartition("::")[2]
        assert f"def {function}(" in (ROOT / file).read_text(), test
