"""Every firewall of the lab lets out what its name says, and lets nobody in."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from icelane.testing.lab import Firewall, Host, Lab, Network, build
from tests import certificates
from tests.testing.lab.sockets import connect, datagrams, echo, echoes, echoing, need_lab, next_source, source_seen

need_lab()

NETWORKS = {
    Firewall.STATEFUL: "stateful",
    Firewall.UDP_BLOCKED: "no-udp",
    Firewall.ONLY_443: "only-443",
    Firewall.ONLY_TLS: "only-tls",
    Firewall.ONLY_PROXY: "only-proxy",
}
# What gets out, over both families: UDP and TCP by port, and "tls" for TLS on TCP port 443.
PASSES: dict[Firewall, set[str]] = {
    Firewall.STATEFUL: {"udp 3478", "udp 443", "tcp 3478", "tcp 443", "tls 443", "tls 5349"},
    Firewall.UDP_BLOCKED: {"tcp 3478", "tcp 443", "tls 443", "tls 5349"},
    Firewall.ONLY_443: {"tcp 443", "tls 443"},
    Firewall.ONLY_TLS: {"tls 443"},
    Firewall.ONLY_PROXY: set(),
}
FAMILIES = ("ipv4", "ipv6")

every_firewall = pytest.mark.parametrize("firewall", Firewall, ids=lambda firewall: NETWORKS[firewall])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    networks = (Network(name, Host(f"in-{name}"), firewall=firewall, nat=None) for firewall, name in NETWORKS.items())
    with build(Host("server"), Host("tls-server"), *networks) as built:
        yield built


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """That of a server."""
    pair = certificates.good(tmp_path_factory.mktemp("certificate"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def address(lab: Lab, name: str, family: str) -> str:
    found = getattr(lab[name], family)
    assert isinstance(found, str)
    return found


def says_tls(lab: Lab, name: str, host: str, port: int) -> bool:
    """Whether a handshake and data behind it get through."""
    opened = connect(lab[name], host, port)
    if opened is None:
        return False
    try:
        with certificates.trusting().wrap_socket(opened, server_hostname=certificates.NAME) as secured:
            return echoes(secured, bytes(50_000))
    except OSError:
        return False


def says_hello(lab: Lab, name: str, host: str, port: int) -> bool:
    """Whether a datagram gets there."""
    own = address(lab, name, "ipv6" if ":" in host else "ipv4")
    with datagrams(lab["server"], port, host=host) as outer, datagrams(lab[name], host=own) as inner:
        return source_seen(inner, outer) is not None


@pytest.mark.parametrize("family", FAMILIES)
@every_firewall
def test_what_gets_out_is_what_the_name_of_the_firewall_says(
    lab: Lab, context: ssl.SSLContext, firewall: Firewall, family: str
) -> None:
    name = f"in-{NETWORKS[firewall]}"
    server, tls_server = address(lab, "server", family), address(lab, "tls-server", family)
    probes: dict[str, Callable[[], bool]] = {}
    for port in (3478, 443):
        probes[f"tcp {port}"] = partial(echo, lab[name], server, port)
        probes[f"udp {port}"] = partial(says_hello, lab, name, server, port)
    for port in (5349, 443):
        probes[f"tls {port}"] = partial(says_tls, lab, name, tls_server, port)
    with (
        echoing(lab["server"], 3478),
        echoing(lab["server"], 443),
        echoing(lab["tls-server"], 5349, context),
        echoing(lab["tls-server"], 443, context),
        ThreadPoolExecutor(len(probes)) as threads,
    ):
        passed = {
            what
            for what, passes in zip(probes, threads.map(lambda probe: probe(), probes.values()), strict=True)
            if passes
        }
    assert passed == PASSES[firewall]


@pytest.mark.parametrize("family", FAMILIES)
@every_firewall
def test_nobody_gets_in(lab: Lab, firewall: Firewall, family: str) -> None:
    name = f"in-{NETWORKS[firewall]}"
    host = address(lab, name, family)
    with echoing(lab[name], 443), datagrams(lab[name], host=host) as inner:
        assert connect(lab["server"], host, 443) is None
        with datagrams(lab["server"], host=address(lab, "server", family)) as outer:
            assert source_seen(outer, inner) is None


def test_an_answer_gets_in_where_udp_gets_out(lab: Lab) -> None:
    with datagrams(lab["in-stateful"]) as inner, datagrams(lab["server"]) as outer:
        assert source_seen(inner, outer) is not None
        outer.sendto(b"answer", inner.getsockname())
        assert next_source(inner) == outer.getsockname()


def test_without_a_nat_and_a_firewall_a_network_is_reached_from_everywhere() -> None:
    campus = Network("campus", Network("room", Host("alice")))
    with build(Host("server"), campus, Network("ipv6-only", Host("bob"), ipv4=False)) as lab:
        for family in FAMILIES:
            with (
                datagrams(lab["server"], host=address(lab, "server", family)) as server,
                datagrams(lab["alice"], host=address(lab, "alice", family)) as alice,
            ):
                assert source_seen(server, alice) == server.getsockname()[:2]
        assert lab["bob"].ipv4 is None
        with datagrams(lab["bob"]) as bob, datagrams(lab["alice"], host=lab["alice"].ipv6) as alice:
            assert source_seen(alice, bob) == alice.getsockname()[:2]
