"""Our client against coturn's `turnserver`."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.interop.relay_server import PASSWORD, SECRET, USER, RelayServer
from tests.interop.running import ICELANE

pytestmark = pytest.mark.interop

CHECK_TIMEOUT = 30.0  # seconds


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_packet_comes_back_with_a_static_user(server_with_users: RelayServer, transport: str) -> None:
    code, result = turn_check(server_with_users, transport, "--password", PASSWORD)
    assert code == 0, f"{result}\n--- turnserver said:\n{server_with_users.program.said()}"


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_packet_comes_back_with_a_rest_credential(server_with_secret: RelayServer, transport: str) -> None:
    code, result = turn_check(server_with_secret, transport, "--secret", SECRET)
    assert code == 0, f"{result}\n--- turnserver said:\n{server_with_secret.program.said()}"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_wrong_password_is_told_as_the_401_that_it_is(server_with_users: RelayServer, transport: str) -> None:
    code, result = turn_check(server_with_users, transport, "--password", "not-the-one")
    assert code not in (0, 2), result
    assert "401" in json.dumps(result)


def test_a_certificate_of_an_unknown_authority_is_a_failed_check(server_with_users: RelayServer) -> None:
    """TL-5: without --authority the machine's own count, which do not know the test's."""
    code, result = turn_check(server_with_users, "tls", "--password", PASSWORD, authority=False)
    assert code == 1, result
    assert "certificate" in json.dumps(result)


def turn_check(server: RelayServer, transport: str, *credential: str, authority: bool = True) -> tuple[int, object]:
    """Run `icelane turn check --json`; returns its exit code and what it printed, decoded."""
    url = f"turn:{server.host}:{server.port}?transport={transport}"
    if transport == "tls":
        url = f"turns:localhost:{server.tls_port}"
        credential = (*credential, "--authority", str(server.authority)) if authority else credential
    command = [*ICELANE, "turn", "check", url, "--user", USER, *credential, "--json"]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CHECK_TIMEOUT)
    assert run.stdout.strip(), f"nothing on standard output, exit code {run.returncode}:\n{run.stderr}"
    return run.returncode, json.loads(run.stdout)
