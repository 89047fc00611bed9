"""The clean room: what is kept out of it, and which tests are."""

from __future__ import annotations

import pytest

from tests.wheel.archives import ROOT
from tests.wheel.left_out import LEFT_OUT, arguments_for, stale
from tests.wheel.room import is_compiler

COMPILERS = """
    cc c99 gcc gcc-12 x86_64-linux-gnu-gcc x86_64-linux-gnu-gcc-12 g++ c++ cpp clang-19 clang++ tcc
    as x86_64-linux-gnu-as ld ld.gold x86_64-linux-gnu-ld.bfd
"""


@pytest.mark.parametrize("name", COMPILERS.split())
def test_no_compiler_gets_in(name: str) -> None:
    assert is_compiler(name)


@pytest.mark.parametrize(
    "name", ["ip", "mount", "sh", "chromium", "ldd", "ldconfig", "python3", "nft", "gcc-ar", "bash"]
)
def test_other_programs_get_in(name: str) -> None:
    assert not is_compiler(name)


def test_what_is_left_out_exists_and_says_why() -> None:
    assert stale(ROOT) == []
    assert all(len(reason) > 20 for reason in LEFT_OUT.values())


def test_a_file_is_not_even_imported_and_of_a_single_test_the_others_run() -> None:
    assert arguments_for(["tests/audit", "tests/a.py::test_one"]) == [
        "--ignore=tests/audit",
        "--deselect=tests/a.py::test_one",
    ]
