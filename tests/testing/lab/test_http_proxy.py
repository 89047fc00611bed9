"""The proxy of the lab, asked by other people's clients; and another proxy in its place."""

from __future__ import annotations

import base64
import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from icelane.testing.lab import Firewall, Host, HttpProxy, Lab, Machine, Network, build
from icelane.testing.lab.http_proxy import Proxy, RefusedError
from tests.interop.conftest import need_program
from tests.testing.lab.sockets import connect, echoes, echoing, need_lab

PROXY = Proxy(connect_ports=frozenset({443}))
GUARDED = Proxy(connect_ports=frozenset({443}), user="alice", password="wonder:land")


def credential(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authority", "destination"),
    [
        ("turn.example.org:443", ("turn.example.org", 443)),
        ("198.18.0.2:443", ("198.18.0.2", 443)),
        ("[2001:2::2]:443", ("2001:2::2", 443)),
    ],
)
def test_the_destination_is_what_the_request_names(authority: str, destination: tuple[str, int]) -> None:
    assert PROXY.destination_of(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n") == destination


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET http://turn.example.org/ HTTP/1.1\r\n\r\n", "405"),
        ("CONNECT turn.example.org:3478 HTTP/1.1\r\n\r\n", "403"),
        ("CONNECT turn.example.org HTTP/1.1\r\n\r\n", "400"),
        ("CONNECT 2001:2::2:443 HTTP/1.1\r\n\r\n", "400"),
        ("CONNECT turn.example.org:443\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
    ],
)
def test_what_is_no_tunnel_to_an_allowed_port_is_refused(head: str, status: str) -> None:
    with pytest.raises(RefusedError, match=status):
        PROXY.destination_of(head)


@pytest.mark.parametrize(
    "field",
    ["", "Proxy-Authorization: Basic ", "Proxy-Authorization: Basic !", "Proxy-Authorization: Bearer x"]
    + [f"Proxy-Authorization: Basic {credential(text)}" for text in ("alice:wonderland", "alice:", "bob:wonder:land")],
)
def test_without_the_right_credential_nobody_is_told_more_than_that(field: str) -> None:
    with pytest.raises(RefusedError, match="407") as refused:
        GUARDED.destination_of(f"CONNECT turn.example.org:3478 HTTP/1.1\r\n{field}\r\n\r\n")
    assert refused.value.fields == ('Proxy-Authenticate: Basic realm="lab"',)


def test_the_right_credential_opens_whatever_case_its_words_are_in() -> None:
    field = f"proxy-authorization: basic {credential('alice:wonder:land')}"
    assert GUARDED.destination_of(f"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n") == ("a", 443)


# -- in a lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    need_lab()
    with build(
        Host("server", names=("turn.example.org",)),
        Network("office", Host("alice"), firewall=Firewall.ONLY_PROXY),
        Network("bank", Host("bob"), firewall=Firewall.ONLY_PROXY, proxy=HttpProxy(user="bob", password="secret")),
        Network("firm", Host("carol"), firewall=Firewall.ONLY_PROXY, proxy=HttpProxy(port=8888, run=False)),
    ) as built:
        yield built


def tunnel(machine: Machine, host: str, port: int, user: str | None = None) -> socket.socket:
    """Ask the machine's proxy for a tunnel as the standard library does; raises OSError when it refuses."""
    assert machine.proxy_host is not None
    assert machine.proxy is not None
    connection = http.client.HTTPConnection(machine.proxy_host, machine.proxy.port)
    connection.set_tunnel(host, port, {} if user is None else {"Proxy-Authorization": f"Basic {credential(user)}"})
    with machine.inside():
        connection.connect()
    return connection.sock


@pytest.mark.parametrize(("name", "user"), [("alice", None), ("bob", "bob:secret")])
def test_a_tunnel_leads_to_the_server_by_its_name(lab: Lab, name: str, user: str | None) -> None:
    with echoing(lab["server"], 443) as came, tunnel(lab[name], "turn.example.org", 443, user) as opened:
        assert echoes(opened, bytes(range(256)) * 100)
    gateway = lab["office" if name == "alice" else "bank"]
    assert came[0][0] in (gateway.ipv4, gateway.ipv6)


@pytest.mark.parametrize(
    ("name", "port", "user", "status"),
    [("alice", 80, None, "403"), ("alice", 443, None, "502"), ("bob", 443, None, "407"), ("bob", 443, "x:y", "407")],
)
def test_a_refusal_comes_with_its_status(lab: Lab, name: str, port: int, user: str | None, status: str) -> None:
    with pytest.raises(OSError, match=status):
        tunnel(lab[name], "turn.example.org", port, user)


def test_the_url_is_what_a_person_would_set(lab: Lab) -> None:
    assert lab["alice"].proxy_url == f"http://{lab['office'].lan_ipv4}:3128"
    assert lab["bob"].proxy_url == f"http://bob:secret@{lab['bank'].lan_ipv4}:3128"
    assert lab["server"].proxy_url is None


def test_tinyproxy_takes_the_place_of_ours(lab: Lab, tmp_path: Path) -> None:
    program = need_program("tinyproxy", "tinyproxy")
    configuration = tmp_path / "tinyproxy.conf"
    configuration.write_text("Port 8888\nConnectPort 443\nLogLevel Error\n")
    process = subprocess.Popen(lab["firm"].command(program, "-d", "-c", str(configuration)))
    try:
        deadline = time.monotonic() + 10
        while (opened := connect(lab["carol"], lab["carol"].proxy_host or "", 8888)) is None:
            assert time.monotonic() < deadline
        opened.close()
        with echoing(lab["server"], 443), tunnel(lab["carol"], "turn.example.org", 443) as opened:
            assert echoes(opened, b"through tinyproxy")
        with pytest.raises(OSError, match="403"):
            tunnel(lab["carol"], "turn.example.org", 3478)
    finally:
        process.kill()
        process.wait()
