"""One turnserver.conf for both servers: coturn's own client relays through ours with the same credentials."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from icelane.core.net import SocketAddress
from tests import certificates
from tests.interop.conftest import need_program
from tests.interop.running import ICELANE, answers_binding, free_port, running
from tests.interop.uclient import run_uclient

pytestmark = [pytest.mark.interop, pytest.mark.once]

HOST = "127.0.0.1"
SECRET = "north-by-northwest-128-bits-of-it"

CREDENTIALS = {
    "user": ("lt-cred-mech\nuser=alice:correct horse", ["-u", "alice", "-w", "correct horse"]),
    "secret": (f"use-auth-secret\nstatic-auth-secret={SECRET}", ["-u", "bob", "-W", SECRET]),
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_turnutils_uclient_relays_through_either_server(kind: str, tmp_path: Path) -> None:
    uclient, turnserver = need_program("turnutils_uclient", "coturn"), need_program("turnserver", "coturn")
    said, flags = CREDENTIALS[kind]
    ports = {"coturn": free_port(HOST), "icelane": free_port(HOST)}
    pair = certificates.good(tmp_path, certificates.NAME, "localhost")
    commands = {}
    for name, port in ports.items():
        file = tmp_path / f"{name}.conf"
        file.write_text(f"""\
listening-ip={HOST}
listening-port={port}
tls-listening-port={free_port(HOST)}
relay-ip={HOST}
realm=example.org
{said}
cert={pair.certificate}
pkey={pair.key}
no-dtls
allow-loopback-peers
no-cli
cli-password=unused
log-file=stdout
pidfile={tmp_path}/{name}.pid
userdb={tmp_path}/{name}.db
min-port=50000
max-port=50999
""")
        commands[name] = [turnserver, "-c", str(file)]
    target = tmp_path / "icelane.toml"
    imported = [*ICELANE, "config", "import", "coturn", str(tmp_path / "icelane.conf"), "--output", str(target)]
    subprocess.run(imported, check=True, capture_output=True, timeout=60)
    subprocess.run([*ICELANE, "config", "check", "-c", str(target)], check=True, capture_output=True, timeout=60)
    commands["icelane"] = [*ICELANE, "serve", "-c", str(target)]
    for name, command in commands.items():
        port = ports[name]
        with running(command, ready=lambda port=port: answers_binding(HOST, port), directory=tmp_path):  # type: ignore[misc]
            totals = run_uclient(uclient, HOST, port, ["-y", "-m", "2", "-n", "20", *flags])
            assert totals.passed, f"{SocketAddress(HOST, port)} {name}\n{totals.output}"
