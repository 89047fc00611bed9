"""The two TURN servers of these tests, ours and coturn's, each started on free loopback ports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import certificates
from tests.interop.running import ICELANE, Running, answers_binding, free_port, running

HOST = "127.0.0.1"
REALM = "example.org"
USER = "alice"
PASSWORD = "correct-horse-battery"
SECRET = "north-by-northwest-128-bits-of-it"


@dataclass(frozen=True, kw_only=True)
class RelayServer:
    """A TURN server for UDP and TCP on `host` and `port`, which relays between loopback addresses.

    On `tls_port` it speaks TLS, as `certificates.NAME` and `localhost`; `authority` is the PEM file to trust.
    """

    host: str
    port: int
    tls_port: int
    authority: Path
    program: Running


@contextmanager
def icelane_serve(
    directory: Path,
    pair: certificates.Pair | None = None,
    *,
    host: str = HOST,
    tls_port: int | None = None,
    peers: Sequence[str] = (),
    workers: int = 1,
) -> Iterator[RelayServer]:
    """`icelane serve` with one static user and one shared secret at once, and with `pair` as its certificate.

    On loopback it relays to loopback peers; on another `host` to `peers`, which are address ranges, and to its own
    relayed addresses. It runs in so many `workers`.
    """
    port, tls_port = free_port(host), tls_port or free_port(host)
    relays = ["127.0.0.1", "::1"] if host == HOST else [host]
    pair = pair or certificates.good(directory, certificates.NAME, "localhost")
    configuration = directory / "icelane.toml"
    configuration.write_text(f"""\
[turn]
realm = "{REALM}"
hostname = "{host}"
listen = ["udp://{host}:{port}", "tcp://{host}:{port}", "tls://{host}:{tls_port}"]
relay_addresses = {json.dumps(relays)}
dangerously_allow_loopback_peers = {json.dumps(host == HOST)}
tcp_allocations = true
workers = {workers}
users = {{ {USER} = "{PASSWORD}" }}
[[turn.secrets]]
kid = "k1"
secret = "{SECRET}"
[turn.peers]
allow = {json.dumps(list(peers))}
[turn.quota]
# Many runs as one user, some of which leave their allocations to expire.
allocations_per_user = 1000
{pair.toml()}""")
    command = [*ICELANE, "serve", "-c", str(configuration)]
    with running(command, ready=lambda: answers_binding(host, port), directory=directory) as program:
        yield RelayServer(
            host=host, port=port, tls_port=tls_port, authority=certificates.authority_file(directory), program=program
        )


@contextmanager
def turnserver(executable: str, directory: Path, *, rest: bool) -> Iterator[RelayServer]:
    """coturn's `turnserver`. It knows either static users or, when `rest`, a shared secret, never both."""
    port, tls_port = free_port(HOST), free_port(HOST)
    pair = certificates.good(directory, certificates.NAME, "localhost")
    credentials = ["--use-auth-secret", f"--static-auth-secret={SECRET}"] if rest else [f"--user={USER}:{PASSWORD}"]
    command = [
        executable,
        "-n",  # no configuration file
        f"--listening-ip={HOST}",
        f"--listening-port={port}",
        "--relay-ip=127.0.0.1",
        "--relay-ip=::1",
        f"--realm={REALM}",
        "--lt-cred-mech",
        *credentials,
        "--allow-loopback-peers",
        "--cli-password=unused",  # without one it refuses loopback peers, even with no CLI
        "--no-cli",
        f"--tls-listening-port={tls_port}",
        f"--cert={pair.certificate}",
        f"--pkey={pair.key}",
        "--no-dtls",
        "--log-file=stdout",
        f"--pidfile={directory / 'turnserver.pid'}",
        f"--userdb={directory / 'turnserver.db'}",
    ]
    with running(command, ready=lambda: answers_binding(HOST, port), directory=directory) as program:
        yield RelayServer(
            host=HOST, port=port, tls_port=tls_port, authority=certificates.authority_file(directory), program=program
        )
