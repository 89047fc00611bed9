"""Libraries that are measured beside each other: a pair of programs each, one per end, on a CPU and in a network each.

`peer_end.py` is what the programs have in common; they are asked on their standard input, and answer by JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches.command import Options, Session
from benches.links import may_make_namespaces
from benches.measure import cpu_nanoseconds
from icelane.testing.namespace import inside, new_namespace

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".venv-peers/bin/python"

REFERENCE = "aiortc"
LOOPBACK = "loopback"

CALL_TIMEOUT = 120.0
"""Seconds for one command; what is queued must arrive within it, too."""

QUIET_LOAD = 0.5
"""Programs that run or want to, on average over the minute before."""


class PeerFailedError(Exception):
    """A peer's program ended or did not answer."""


class Program:
    """One end in its own process."""

    def __init__(self, command: Sequence[str], signaling: socket.socket, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [*command, str(signaling.fileno())],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[signaling.fileno()],
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.name = " ".join(command)

    @property
    def pid(self) -> int:
        return self._process.pid

    def answer(self) -> Any:
        """What the program says next."""
        try:
            line = self._lines.get(timeout=CALL_TIMEOUT)
        except queue.Empty:
            raise PeerFailedError(f"no answer within {CALL_TIMEOUT:g} s: {self.name}") from None
        if not line:
            raise PeerFailedError(f"it ended: {self.name}")
        return json.loads(line)

    def call(self, do: str, **given: object) -> Any:
        """Ask, and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **given}) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        """Let it end by itself, or else kill it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A library to measure."""

    name: str
    python: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def library(self) -> str:
        """What its programs know it by."""
        return self.name.partition(",")[0]

    def missing(self) -> str | None:
        """Why it cannot be measured here, or None."""
        return None if self.python.exists() else f"make {PEERS_PYTHON.parents[1].name}/.installed makes its environment"


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where the two ends are; None for this process's own namespace."""

    name: str
    offerer: int | None
    answerer: int | None


class Pair:
    """Both ends of one library; `module` is the program of an end."""

    def __init__(self, peer: Peer, module: str, network: Network, session: Session) -> None:
        self.peer = peer
        self._ends: list[Program] = []
        sockets = socket.socketpair()
        cpus = (session.processors.server, session.processors.load)
        for cpu, namespace, signaling in zip(cpus, (network.offerer, network.answerer), sockets, strict=True):
            command = ["taskset", "--cpu-list", str(cpu), str(peer.python), "-m", module, peer.library]
            with inside(namespace), signaling:
                self._ends.append(Program(command, signaling, peer.environment))
        for end in self._ends:
            end.answer()

    @property
    def offerer(self) -> Program:
        return self._ends[0]

    @property
    def answerer(self) -> Program:
        return self._ends[1]

    def cpu_seconds(self) -> tuple[float, float]:
        """What offerer and answerer have used."""
        offerer, answerer = (cpu_nanoseconds(end.pid) / 1e9 for end in self._ends)
        return offerer, answerer

    def end(self) -> None:
        for end in self._ends:
            end.end()


@contextlib.contextmanager
def loopback(session: Session) -> Iterator[Network]:
    """One namespace with an address that is not a loopback address, or this machine's loopback."""
    if not may_make_namespaces():
        session.note("this machine's own loopback: a namespace needs root and the Debian package iproute2")
        yield Network(name=LOOPBACK, offerer=None, answerer=None)
        return
    with new_namespace() as namespace:
        with inside(namespace):
            for command in (
                "link set lo up",
                "link add ethernet type veth peer name unused",
                "address add 198.18.0.1/24 dev ethernet",
                "link set unused up",
                "link set ethernet up",
                "route add default via 198.18.0.254",
            ):
                subprocess.run(["ip", *command.split()], check=True)
        yield Network(name=LOOPBACK, offerer=namespace, answerer=namespace)


def choose_peers(options: Options, session: Session, others: Sequence[str]) -> list[Peer]:
    """Ours, and the others where their environment is."""
    ours = {} if may_make_namespaces() else {"BENCH_INTERFACES": "lo"}
    found = [Peer(name="icelane", python=Path(sys.executable), environment=ours)]
    if options.full:
        found.append(Peer(name="icelane, pure", python=Path(sys.executable), environment=ours | {"ICELANE_PURE": "1"}))
    if may_make_namespaces():
        found += [Peer(name=name, python=PEERS_PYTHON) for name in others]
    else:
        session.note(f"left out, since they gather no loopback addresses: {', '.join(others)}")
    chosen = []
    for peer in found:
        if options.servers in peer.name:
            reason = peer.missing()
            if reason is None:
                chosen.append(peer)
            else:
                session.note(f"left out: {peer.name}: {reason}")
    return chosen or sys.exit("no peer to measure")


@contextlib.contextmanager
def running(peers: Sequence[Peer], module: str, network: Network, session: Session) -> Iterator[list[Pair]]:
    """Both ends of every peer."""
    with contextlib.ExitStack() as stack:
        pairs = []
        for peer in peers:
            pair = Pair(peer, module, network, session)
            stack.callback(pair.end)
            pairs.append(pair)
        yield pairs


def note_what_disturbs(session: Session, undisturbed: str) -> None:
    """Where others run, an end that has little to do waits for a CPU most of the time; less so with privileges."""
    load = os.getloadavg()[0]
    if load > QUIET_LOAD:
        session.note(f"the load was {load:.1f} before it began: only {undisturbed} say something")
