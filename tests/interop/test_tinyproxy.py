"""TURN over TCP and TLS through Debian's tinyproxy: two relay-only peers, and the command that checks a server."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.aio.turn_client import connect_turn
from icelane.errors import ProxyError
from tests.aio.peers import configured, connect, pair
from tests.interop.conftest import need_program
from tests.interop.relay_server import PASSWORD, USER, RelayServer
from tests.interop.running import ICELANE, Running, accepts, free_port, running

pytestmark = pytest.mark.interop

PROXY_USER = "office"
PROXY_PASSWORD = "wonderland"


@dataclass(frozen=True)
class TinyProxy:
    """A running one."""

    port: int
    program: Running

    def url(self, user: str = f"{PROXY_USER}:{PROXY_PASSWORD}@") -> str:
        return f"http://{user}127.0.0.1:{self.port}"


@contextmanager
def tinyproxy(directory: Path, *allowed: int) -> Iterator[TinyProxy]:
    """One that wants a user, and connects to `allowed` ports."""
    executable = need_program("tinyproxy", "tinyproxy")
    port = free_port()
    lines = [
        f"Port {port}",
        "Listen 127.0.0.1",
        "Allow 127.0.0.1",
        "LogLevel Connect",
        f"BasicAuth {PROXY_USER} {PROXY_PASSWORD}",
        *(f"ConnectPort {one}" for one in allowed),
    ]
    configuration = directory / "tinyproxy.conf"
    configuration.write_text("\n".join([*lines, ""]))
    command = [executable, "-d", "-c", str(configuration)]
    with running(command, ready=lambda: accepts("127.0.0.1", port), directory=directory) as program:
        yield TinyProxy(port, program)


def url_of(server: RelayServer, transport: str) -> str:
    return f"turns:localhost:{server.tls_port}" if transport == "tls" else f"turn:localhost:{server.port}?transport=tcp"


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_two_relay_only_peers_call_each_other_through_it(
    icelane_server: RelayServer, tmp_path: Path, transport: str
) -> None:
    async def scenario(proxy: TinyProxy) -> None:
        url = url_of(icelane_server, transport)
        configuration: RTCConfiguration = configured(
            iceServers=[RTCIceServer(urls=url, username=USER, credential=PASSWORD)],
            iceTransportPolicy="relay",
            authority=icelane_server.authority,
            http_proxy=proxy.url(),
        )
        async with pair(configuration, configuration) as (alice, bob):
            bob.on("datachannel", lambda channel: channel.on("message", channel.send))
            channel = alice.createDataChannel("echo")
            await connect(alice, bob)
            await channel.opened()
            for _ in range(10):
                channel.send(bytes(60_000))
                assert await asyncio.wait_for(channel.receive(), 10) == bytes(60_000)
            found = (await alice.getStats()).of_type("local-candidate")
            assert {(local.url, local.relayProtocol) for local in found} == {(url, transport)}

    with tinyproxy(tmp_path, icelane_server.port, icelane_server.tls_port) as proxy:
        asyncio.run(scenario(proxy))
        port = icelane_server.tls_port if transport == "tls" else icelane_server.port
        assert proxy.program.said().count(f"CONNECT localhost:{port} HTTP/1.1") == 2


@pytest.mark.parametrize(
    ("user", "ports", "status", "words"),
    [
        ("", True, 407, "by Basic: it answered 407, and no user and password were given"),
        ("office:wrong@", True, 401, "does not take the user and password that it was given: it answered 401"),
        (f"{PROXY_USER}:{PROXY_PASSWORD}@", False, 403, "does not allow connections"),
    ],
)
def test_its_refusals_are_told_in_words(
    icelane_server: RelayServer, tmp_path: Path, user: str, ports: bool, status: int, words: str
) -> None:
    async def scenario(proxy: TinyProxy) -> None:
        with pytest.raises(ProxyError) as caught:
            await connect_turn(
                url_of(icelane_server, "tls"),
                username=USER,
                password=PASSWORD,
                authority=icelane_server.authority,
                http_proxy=proxy.url(user),
            )
        assert caught.value.status == status
        assert words in str(caught.value)

    with tinyproxy(tmp_path, icelane_server.tls_port if ports else 1) as proxy:
        asyncio.run(scenario(proxy))


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_the_check_of_a_server_goes_through_it(icelane_server: RelayServer, tmp_path: Path, transport: str) -> None:
    with tinyproxy(tmp_path, icelane_server.port, icelane_server.tls_port) as proxy:
        command = [*ICELANE, "turn", "check", url_of(icelane_server, transport), "--user", USER, "--json"]
        command += ["--password", PASSWORD, "--authority", str(icelane_server.authority), "--proxy", proxy.url()]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        document = json.loads(finished.stdout)
        assert document["proxy"] == proxy.url("")
        assert document["server"].startswith("localhost:")
        assert PROXY_PASSWORD not in finished.stdout + finished.stderr
