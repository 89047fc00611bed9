"""The servers under test: how each is configured, started on its CPU, waited for and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benches.certificates import Certificate, write_certificate
from benches.links import Link
from benches.measure import cpu_list
from benches.turn_client import Address, Credentials, answers_binding
from icelane.server import batched

CREDENTIALS = Credentials(username="bench", password="benchmark-password")  # of servers that live for one benchmark
REALM = "bench.example"
MAXIMUM_ALLOCATIONS = 16000
"""More than any benchmark opens at once. All of them belong to one user, so our own quota is raised to it."""

START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0

COTURN = "turnserver"
COTURN_PACKAGE = "coturn"

BEST_COTURN = ("--relay-threads=1", "--no-software-attribute", "--no-stdout-log")
"""What makes coturn cheapest on one CPU."""


class ServerFailedError(Exception):
    """A server ended or did not answer; the message ends with its last output."""


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where a server takes clients: UDP and TCP at one address, TLS at another one of the same host."""

    plain: Address
    tls: Address
    certificate: Certificate


class Server(Protocol):
    """One row of the tables: a program with a configuration."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def is_reference(self) -> bool:
        """Whether the ratios of the others are taken to it."""

    def missing(self) -> str | None:
        """Why it cannot run on this machine, or None."""

    def command(self, link: Link, listening: Listening, directory: Path) -> Sequence[str]:
        """The command line that serves clients at `listening`; files go into `directory`."""

    def environment(self) -> Mapping[str, str]:
        """Variables to set for it."""


@dataclass(frozen=True, kw_only=True)
class Coturn:
    """coturn's turnserver, in its default configuration unless `options` say more."""

    name: str
    program: str = COTURN
    options: Sequence[str] = ()
    is_reference: bool = False

    def missing(self) -> str | None:
        """None if the program is there."""
        if shutil.which(self.program) is not None:
            return None
        return f"{self.program} is not installed (Debian package {COTURN_PACKAGE})"

    def command(self, link: Link, listening: Listening, directory: Path) -> Sequence[str]:
        """Everything on the command line; only what a run needs differs from the defaults."""
        host, port = listening.plain
        return [
            str(shutil.which(self.program)),
            *("-n", "--no-cli", "--no-dtls", "--lt-cred-mech"),
            *(f"--user={CREDENTIALS.username}:{CREDENTIALS.password}", f"--realm={REALM}"),
            *(f"--listening-ip={host}", f"--listening-port={port}", f"--relay-ip={host}"),
            *(f"--tls-listening-port={listening.tls[1]}", f"--cert={listening.certificate.chain}"),
            f"--pkey={listening.certificate.key}",
            *(f"--userdb={directory / 'turndb'}", f"--pidfile={directory / 'pid'}", "--log-file=stdout"),
            *(["--allow-loopback-peers"] if link.is_loopback else []),
            *self.options,
        ]

    def environment(self) -> Mapping[str, str]:
        """Nothing special."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Icelane:
    """Our server in one of its forms, chosen by `variables` and `settings`."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Sequence[str] = ()
    """Lines of `[turn]`."""
    is_reference: bool = False

    def missing(self) -> str | None:
        """None if the command is installed beside this interpreter, and is the form that the row is about."""
        if not self._program.exists():
            return f"{self._program} is not there: install the package first"
        if "ICELANE_PURE" not in self.variables and not batched.available():
            return "the compiled plane has not been built here"
        return None

    def command(self, link: Link, listening: Listening, directory: Path) -> Sequence[str]:
        """`icelane serve` with a configuration file that raises the limits which a load from one user would meet."""
        host, port = listening.plain
        configuration = directory / "icelane.toml"
        settings = "\n".join(self.settings)
        configuration.write_text(
            f"""\
[turn]
realm = "{REALM}"
listen = ["udp://{host}:{port}", "tcp://{host}:{port}", "tls://{host}:{listening.tls[1]}"]
relay_addresses = ["{host}"]
relay_ports = "49152-65535"
dangerously_allow_loopback_peers = {str(link.is_loopback).lower()}
unauthenticated_replies_per_second = 0
{settings}
users = {{ {CREDENTIALS.username} = "{CREDENTIALS.password}" }}
[turn.peers]
allow = ["{link.client_host}/32"]
[turn.quota]
allocations_per_user = {MAXIMUM_ALLOCATIONS}
allocations_total = {MAXIMUM_ALLOCATIONS}
[tls]
certificate = "{listening.certificate.chain}"
key = "{listening.certificate.key}"
"""
        )
        return [str(self._program), "serve", "-c", str(configuration)]

    def environment(self) -> Mapping[str, str]:
        """What selects the form."""
        return self.variables

    @property
    def _program(self) -> Path:
        return Path(sys.executable).with_name("icelane")


def default_servers(coturn_paths: Sequence[str] = ()) -> list[Server]:
    """Debian's coturn twice, ours, then each coturn given by path, twice as well."""
    servers: list[Server] = [
        Coturn(name="coturn, default", is_reference=True),
        Coturn(name="coturn, best", options=BEST_COTURN, is_reference=True),
        Icelane(name="icelane, pure", variables={"ICELANE_PURE": "1"}),
        Icelane(name="icelane, compiled", settings=('plane = "compiled"',)),
        Icelane(name="icelane, no waiting", settings=('plane = "compiled"', "coalesce_microseconds = 0")),
    ]
    for path in coturn_paths:
        servers.append(Coturn(name=f"{path}, default", program=path))
        servers.append(Coturn(name=f"{path}, best", program=path, options=BEST_COTURN))
    return servers


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers."""

    server: Server
    pid: int
    address: Address
    """Of UDP and TCP."""
    tls_address: Address


@contextlib.contextmanager
def running(server: Server, link: Link, cpus: int | Sequence[int], directory: Path) -> Iterator[Running]:
    """Start `server` on one CPU or on some, at its side of `link`, wait until it answers, and end it with the block.

    Raises ServerFailedError when it ends or stays silent.
    """
    directory.mkdir(parents=True, exist_ok=True)
    listening = Listening(
        plain=(link.server_host, link.free_port()),
        tls=(link.server_host, link.free_port()),
        certificate=write_certificate(link.server_host, directory),
    )
    output = directory / "output"
    # The kernel kills the server should this process die without cleaning up.
    allowed = cpu_list([cpus] if isinstance(cpus, int) else cpus)
    prefix = ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", allowed]
    with output.open("wb") as sink, link.server_side():
        process = subprocess.Popen(
            [*prefix, *server.command(link, listening, directory)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, **server.environment()},
        )
    try:
        _wait_until_it_answers(server, process, link, listening.plain, output)
        yield Running(server=server, pid=process.pid, address=listening.plain, tls_address=listening.tls)
        if process.poll() is not None:
            raise ServerFailedError(_failure(server, f"ended with status {process.returncode}", output))
    finally:
        _end(process)


def _wait_until_it_answers(
    server: Server, process: subprocess.Popen[bytes], link: Link, address: Address, output: Path
) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailedError(_failure(server, f"ended with status {process.returncode}", output))
        with link.client_side():
            if answers_binding(address, timeout=0.05):
                return
    raise ServerFailedError(_failure(server, f"did not answer within {START_TIMEOUT:g} s", output))


def _failure(server: Server, what: str, output: Path) -> str:
    tail = output.read_text(errors="replace").splitlines()[-12:]
    return "\n  ".join([f"{server.name} {what}; its last output:", *tail])


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
