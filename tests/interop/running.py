"""Start a program for one test, wait until it answers, end it, and keep what it said for the failure message."""

from __future__ import annotations

import os
import secrets
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT = 15.0  # seconds; a cold start of a Python program on a busy machine takes a few
STOP_TIMEOUT = 5.0
PROBE_TIMEOUT = 0.2

ICELANE = (sys.executable, "-c", "from icelane.cli.main import main; main()")
"""The command `icelane`, run by the interpreter that runs the tests, installed or not."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A program that is running, and the file that takes its standard output and error."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """Everything that the program has written so far."""
        return self.log.read_text(errors="replace")


@contextmanager
def running(
    command: Sequence[str],
    *,
    ready: Callable[[], bool],
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run `command` in `directory` until the block ends; enter the block when `ready()` is true.

    `environment` is the program's, by default ours.
    Raises AssertionError with the program's own words when it ends early or does not get ready.
    """
    handle, log = tempfile.mkstemp(prefix=Path(command[0]).name, suffix=".log", dir=directory)
    with os.fdopen(handle, "wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    program = Running(process=process, log=Path(log))
    try:
        _wait_until_ready(program, ready)
        yield program
    finally:
        _end(process)


def _wait_until_ready(program: Running, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        code = program.process.poll()
        assert code is None, f"the program ended with {code} before it was ready:\n{program.said()}"
        assert time.monotonic() < deadline, f"the program is not ready after {START_TIMEOUT:g} s:\n{program.said()}"
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port(host: str = "127.0.0.1", *, consecutive: int = 1) -> int:
    """The first of `consecutive` ports that nobody uses on `host`, by UDP or TCP, at this moment."""
    for _ in range(100):
        port = 20000 + secrets.randbelow(12000)  # below the ports that Linux gives out by itself
        if all(_is_free(host, port + offset) for offset in range(consecutive)):
            return port
    raise AssertionError("no free ports on this machine")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def answers_binding(host: str, port: int) -> bool:
    """Whether a STUN server answers a Binding request on `host` and `port` over UDP, and accepts over TCP."""
    request = struct.pack("!HHI12s", 0x0001, 0, 0x2112A442, secrets.token_bytes(12))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(PROBE_TIMEOUT)
        probe.connect((host, port))
        try:
            probe.send(request)
            answer = probe.recv(2048)
        except OSError:
            return False
    return answer[8:20] == request[8:20] and accepts(host, port)


def accepts(host: str, port: int) -> bool:
    """Whether somebody accepts TCP connections on `host` and `port`."""
    try:
        socket.create_connection((host, port), PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True
