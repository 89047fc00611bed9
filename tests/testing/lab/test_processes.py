"""What a program of a lab leaves behind, wherever it has gone, ends with the lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from icelane.testing.lab import Host, Lab, build
from icelane.testing.lab.processes import new_mark, other_processes
from tests.testing.lab.sockets import need_lab

need_lab()

OWNER = """
import subprocess, sys, time
from icelane.testing.lab import Host, build

with build(Host("alice")) as lab:
    started = subprocess.Popen(lab["alice"].command(*sys.argv[1:]), stdout=subprocess.PIPE)
    started.stdout.readline()
    print("ready", flush=True)
    time.sleep(1000)
"""
NESTED = [sys.executable, "-c", OWNER, "sh", "-c", "setsid sleep {seconds} & echo started; wait"]

# How long they would sleep: a number that nobody else sleeps for.
SECONDS = str(86_400 + os.getpid() % 10_000)
PROGRAMS = {
    "in a network of its own": "unshare --net sleep {seconds} & echo started; wait",
    "in a session and a network of its own": "unshare --net setsid sleep {seconds} & echo started",
    "with an empty environment": "env -i setsid sleep {seconds} & echo started",
    "with everything of that": "env -i unshare --net --mount --pid --fork setsid sleep {seconds} & echo started",
    "of a parent with an empty environment": "exec env -i sh -c 'unshare --net sleep {seconds} & echo started; wait'",
}


def sleepers() -> list[int]:
    """Processes that sleep as long as ours do."""
    found = []
    for process in other_processes():
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:
                command = file.read()
        except OSError:
            continue
        if command.split(b"\0")[:2] == [b"sleep", SECONDS.encode()]:
            found.append(process)
    return found


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Whatever the test has found."""
    yield
    for process in sleepers():
        os.kill(process, signal.SIGKILL)


def wait_for(count: int) -> None:
    """So many have begun to sleep, at least: who goes to the background says so before that."""
    deadline = time.monotonic() + 10
    while len(sleepers()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone() -> bool:
    deadline = time.monotonic() + 10
    while sleepers() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not sleepers()


def begin(lab: Lab, *command: str) -> subprocess.Popen[str]:
    """Start it on the lab's machine, and wait until it says that it has begun."""
    process = subprocess.Popen(lab["alice"].command(*command), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    wait_for(1)
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_it_ends_with_the_lab(program: str) -> None:
    with build(Host("alice")) as lab:
        process = begin(lab, "sh", "-c", program.format(seconds=SECONDS))
    assert not sleepers()
    end(process)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_it_ends_when_the_program_that_built_the_lab_is_killed(program: str) -> None:
    command = [sys.executable, "-c", OWNER, "sh", "-c", program.format(seconds=SECONDS)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    wait_for(1)
    owner.kill()
    end(owner)
    assert gone()


def test_a_lab_in_a_lab_ends_with_the_outer_one() -> None:
    with build(Host("alice")) as lab:
        process = begin(lab, *[part.format(seconds=SECONDS) for part in NESTED])
    assert gone()
    end(process)


def test_other_labs_go_on() -> None:
    with build(Host("alice")) as stays:
        with build(Host("alice")) as ends:
            first = begin(stays, "sh", "-c", PROGRAMS["in a network of its own"].format(seconds=SECONDS))
            second = begin(ends, "sh", "-c", PROGRAMS["in a network of its own"].format(seconds=SECONDS))
            wait_for(2)
        assert len(sleepers()) == 1
        assert first.poll() is None
    for process in (first, second):
        end(process)


def test_each_lab_has_a_mark_of_its_own() -> None:
    assert len({new_mark() for _ in range(100)}) == 100
