"""The relay's core in C under AddressSanitizer, which ends it at the first byte that it touches and does not own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from build_ext import C_SOURCES, source_of
from tests.interop.conftest import need_program

HARNESS = Path(__file__).with_name("hostile_core.c")
FOLDER = Path(__file__).parents[2] / source_of("icelane.server.batched.core").parent
SOURCES = [FOLDER / name for name in C_SOURCES["icelane.server.batched.core"]]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the core calls Linux")


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, with the sanitizers of addresses, of undefined behaviour and of leaks."""
    need_program("gcc", "gcc")
    built = tmp_path_factory.mktemp("core") / "hostile_core"
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror"]
    finished = subprocess.run(
        ["gcc", *flags, f"-I{FOLDER}", "-o", built, HARNESS, *SOURCES], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return built


def survive(harness: Path, seed: int, seconds: float) -> None:
    """Run it, and fail with what a sanitizer has printed."""
    finished = subprocess.run(
        [harness, str(seed), str(seconds)], capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    assert finished.returncode == 0, finished.stderr[-4000:]


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_input_touches_nothing_that_is_not_its_own(harness: Path, seed: int) -> None:
    """Malformed, truncated and oversize messages, runs of mixed sizes, ICMP errors, while all routes change."""
    survive(harness, seed, 2.0)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 18))
def test_hostile_input_for_minutes_touches_nothing_that_is_not_its_own(harness: Path, seed: int) -> None:
    survive(harness, seed, 30.0)
