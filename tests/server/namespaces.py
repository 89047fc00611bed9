"""Runs Python in a network namespace of its own: loopback, and no route out of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.interop.conftest import miss, need_program

ROOT = Path(__file__).parents[2]


def unshare() -> list[str]:
    """The beginning of a command that runs the rest in a new network namespace.

    Skips the test where that cannot be, naming the Debian package; with ICELANE_REQUIRE_INTEROP=1 that is a failure.
    """
    need_program("ip", "iproute2")
    command = [need_program("unshare", "util-linux"), "--net"]
    if os.geteuid() != 0:
        command.append("--map-root-user")
    probe = subprocess.run([*command, "true"], capture_output=True, text=True)
    if probe.returncode:
        miss(f"network namespaces need root or user namespaces (Debian package iproute2): {probe.stderr.strip()}")
    return command


def run_module(module: str, *arguments: str, timeout: float = 120) -> str:
    """Run a module of the tests in a new namespace and return what it said; fails the test when it fails."""
    command = [*unshare(), sys.executable, "-m", module, *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    if finished.returncode:
        raise AssertionError(f"{finished.stdout[-3000:]}\n{finished.stderr[-3000:]}")
    return finished.stdout


def ip(*arguments: str) -> None:
    """`ip` of iproute2, inside the namespace."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
