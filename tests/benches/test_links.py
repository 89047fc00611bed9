from __future__ import annotations

import itertools
import os
import socket

import pytest

from benches import links


def interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


@pytest.mark.skipif(not links.may_make_namespaces(), reason="namespaces need root and the Debian package iproute2")
def test_the_two_sides_of_a_veth_pair_reach_each_other_and_leave_nothing_behind() -> None:
    before, namespace_before = interfaces(), os.readlink("/proc/thread-self/ns/net")
    with links.veth() as link:
        with link.server_side():
            server = socket.create_server((link.server_host, 0))
            assert sorted(interfaces()) == ["lo", "server"]
        with server, link.client_side(), socket.create_connection(server.getsockname(), timeout=5) as client:
            accepted, address = server.accept()
            accepted.close()
            assert address == client.getsockname()
            assert address[0] == link.client_host
        assert interfaces() == before
    assert interfaces() == before
    assert os.readlink("/proc/thread-self/ns/net") == namespace_before


def test_clients_on_loopback_come_from_many_addresses_and_never_twice_from_one() -> None:
    sources = list(itertools.islice(links.loopback().sources, 1000))
    assert len(set(sources)) == 1000
    assert len({host for host, _ in sources}) == 4
    assert all(host.startswith("127.") for host, _ in sources)
