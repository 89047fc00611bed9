"""A 401 is told apart by what else is known, and each transport is judged by itself, at a node on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icelane.core.clock import UnixSeconds
from icelane.diagnostics import Cause, CheckResult, CheckStatus, run_checks
from icelane.diagnostics.ice_body import ask_for_relay_ports
from icelane.diagnostics.plan import plan
from icelane.diagnostics.relay_check import Login, ephemeral
from icelane.diagnostics.relay_probe import DEFAULT_RELAY_PORTS, RelayAccess, check_relay_echo, check_relay_reach
from icelane.diagnostics.site import FixedLookup, parse_site
from icelane.diagnostics.turn_check import check_credential, check_stun, check_turn, transport_of
from icelane.node.ice import as_bound
from icelane.node.subject import subject_of
from icelane.stun.uri import StunUri, TurnUri, parse_uri
from tests import certificates
from tests.certificates import NAME
from tests.interop.running import free_port
from tests.node.nodes import SECRET, Node, node

NOW = UnixSeconds(time.time())
OTHER = "another secret that nobody has told the server"


def turn(url: str) -> TurnUri:
    uri = parse_uri(url)
    assert isinstance(uri, TurnUri)
    return uri


def stun(url: str) -> StunUri:
    uri = parse_uri(url)
    assert isinstance(uri, StunUri)
    return uri


def at_a_node(folder: Path, ask: Callable[[Node, TurnUri], Awaitable[CheckResult]], **sections: Any) -> CheckResult:
    async def run() -> CheckResult:
        async with node(folder, **sections) as found:
            return await ask(found, turn(f"turn:{found.server.listening[0].address}"))

    return asyncio.run(run())


def login(secret: str = SECRET, ttl: int = 600) -> Login:
    return ephemeral("alice", secret, ttl, UnixSeconds(time.time()))


@pytest.mark.parametrize(
    ("credential", "realm", "cause"),
    [
        (login(), None, None),
        (login(ttl=-60), None, Cause.CREDENTIAL_EXPIRED),
        (login(OTHER), None, Cause.SECRET_WRONG),
        (login(OTHER), "example.org", Cause.SECRET_WRONG),
        (login(OTHER), "elsewhere.example", Cause.REALM_WRONG),
        (Login(username="alice", password="hidden"), None, Cause.SECRET_WRONG),
    ],
)
def test_a_401_is_told_apart(tmp_path: Path, credential: Login, realm: str | None, cause: Cause | None) -> None:
    result = at_a_node(tmp_path, lambda _, uri: check_turn(uri, credential, UnixSeconds(time.time()), realm=realm))
    assert result.cause is cause, result
    assert "hidden" not in repr(result)


def test_another_refusal_is_in_words(tmp_path: Path) -> None:
    quota = {"quota": {"allocations_per_user": 1}}
    result = at_a_node(tmp_path, lambda _, uri: check_turn(uri, login(), NOW), turn=quota)
    assert result.cause is Cause.TURN_REFUSED
    assert "486" in result.detail
    assert "as many allocations as the server allows" in result.detail


def test_closed_ports_are_silence_of_their_transport() -> None:
    port = free_port()
    for transport, cause in (("udp", Cause.UDP_BLOCKED), ("tcp", Cause.TURN_SILENT)):
        uri = turn(f"turn:127.0.0.1:{port}?transport={transport}")
        result = asyncio.run(check_turn(uri, login(), NOW, timeout=0.5))
        assert result.cause is cause, result
        assert f"{port}/{transport}" in (result.mend or "")
    result = asyncio.run(check_stun(stun(f"stun:127.0.0.1:{port}"), timeout=0.5))
    assert result.cause is Cause.UDP_BLOCKED


@pytest.mark.parametrize(
    ("username", "cause"),
    [
        ("alice", None),
        ("1000600:k1:alice", None),
        ("1000030:alice", Cause.CREDENTIAL_SHORT),
        ("999999:alice", Cause.CREDENTIAL_EXPIRED),
    ],
)
def test_the_life_of_a_credential_is_read_off_its_name(username: str, cause: Cause | None) -> None:
    assert check_credential(username, UnixSeconds(1_000_000.0)).cause is cause


def test_packets_from_relay_to_relay_and_from_outside_pass(tmp_path: Path) -> None:
    async def echo(found: Node, uri: TurnUri) -> CheckResult:
        return await check_relay_echo(RelayAccess(uri=uri, login=login()), packets=5)

    async def reach(found: Node, uri: TurnUri) -> CheckResult:
        return await check_relay_reach(RelayAccess(uri=uri, login=login()), uri)

    assert "5 of 5 packets back" in at_a_node(tmp_path, echo).detail
    result = at_a_node(tmp_path, reach)
    assert result.status is CheckStatus.PASSED, result


def test_a_server_that_does_not_relay_to_us_says_nothing_about_its_ports(tmp_path: Path) -> None:
    async def reach(found: Node, uri: TurnUri) -> CheckResult:
        return await check_relay_reach(RelayAccess(uri=uri, login=login()), uri)

    result = at_a_node(tmp_path, reach, turn={"dangerously_allow_loopback_peers": False})
    assert result.status is CheckStatus.SKIPPED
    assert "does not relay to 127.0.0.1" in result.detail


def test_beside_the_server_nothing_is_said_about_its_ports(tmp_path: Path) -> None:
    """Packets of the server's own addresses are taken from relay ports alone: they do not arrive on a healthy one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address beside loopback")
        host = probe.getsockname()[0]

    async def reach(found: Node, uri: TurnUri) -> CheckResult:
        return await check_relay_reach(RelayAccess(uri=uri, login=login()), uri)

    own = {
        "listen": [f"udp://{host}:0"],
        "relay_addresses": [host],
        "relay_ports": "64000-64099",  # no socket of ours gets one of these by chance
        "dangerously_allow_loopback_peers": False,
    }
    result = at_a_node(tmp_path, reach, turn=own)
    assert result.status is CheckStatus.SKIPPED, result
    assert "ask from elsewhere" in result.detail


def test_a_server_is_asked_for_its_relay_ports(tmp_path: Path) -> None:
    async def run() -> tuple[str, str]:
        async with node(tmp_path, turn={"relay_ports": "64000-64099"}) as found:
            authority = str(certificates.authority_file(tmp_path))
            lookup = FixedLookup({NAME: "127.0.0.1"})
            site = parse_site(f"https://{NAME}:{found.address.port}", authority=authority, lookup=lookup)
            token = await found.token("ann")
            return await ask_for_relay_ports(site, token), await ask_for_relay_ports(site, "another")

    assert asyncio.run(run()) == ("64000-64099", DEFAULT_RELAY_PORTS)


def test_the_whole_plan_of_a_node_passes(tmp_path: Path) -> None:
    async def run() -> dict[str, CheckResult]:
        async with node(tmp_path) as found:
            authority = str(certificates.authority_file(tmp_path))
            config = as_bound(found.config, found.server)  # type: ignore[arg-type]  # what it needs of a relay
            subject = subject_of(config, UnixSeconds(time.time()), authority=authority)
            lookup = FixedLookup({NAME: "127.0.0.1"})
            assert subject.site is not None
            subject = replace(subject, lookup=lookup, site=replace(subject.site, lookup=lookup), echo_packets=5)
            report = await run_checks(plan(subject))
            return {result.name: result for result in report.results}

    results = asyncio.run(run())
    assert {result.status for result in results.values()} == {CheckStatus.PASSED}, results
    assert {"DNS", "clock", "certificate", "HTTPS", "WSS", "STUN udp", "TURN udp", "TURN tls"} <= results.keys()
    assert {"credential", "relay echo", "relay from outside"} <= results.keys()


@pytest.mark.parametrize(
    ("url", "transport"),
    [("stun:a", "udp"), ("turn:a", "udp"), ("turn:a?transport=tcp", "tcp"), ("turns:a?transport=tcp", "tls")],
)
def test_a_url_has_one_transport(url: str, transport: str) -> None:
    assert transport_of(parse_uri(url)).value == transport
