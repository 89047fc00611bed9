"""Addresses: one spelling as a key, exact bytes on the wire."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import (
    AddressFamily,
    Path,
    SocketAddress,
    Transport,
    canonical_host,
    family_of,
    pack_host,
    unpack_host,
)
from icelane.errors import MalformedError


@pytest.mark.parametrize(
    ("spelled", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:0:0:2:3:4:0:0", "1::2:3:4:0:0"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "::ffff:c000:201"),
        ("::127.0.0.1", "::7f00:1"),
        ("64:ff9b::8.8.8.8", "64:ff9b::808:808"),
        ("1::", "1::"),
    ],
)
def test_an_address_has_one_spelling(spelled: str, canonical: str) -> None:
    """RFC 5952, with IPv4-mapped addresses in hexadecimal so that no Python version changes a key."""
    assert canonical_host(spelled) == canonical
    assert canonical_host(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.4/8", ":::", "g::", "%eth0", " 1.2.3.4",
     "1.2.3.4 ", "\uff11.2.3.4", "1::2::3", "::ffff:1.2.3.256"],
)  # fmt: skip
def test_what_is_not_an_address_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        pack_host(text)
    with pytest.raises(MalformedError):
        canonical_host(text)


@pytest.mark.parametrize("size", [0, 1, 3, 5, 8, 15, 17, 32])
def test_packed_addresses_have_four_or_sixteen_bytes(size: int) -> None:
    with pytest.raises(MalformedError, match=f"not {size}"):
        unpack_host(bytes(size))


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_packing_round_trips(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    text = unpack_host(address.packed)
    assert pack_host(text) == address.packed
    assert ipaddress.ip_address(text) == address
    assert canonical_host(str(address)) == text
    assert family_of(text) == (AddressFamily.IPV4 if address.version == 4 else AddressFamily.IPV6)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF]), min_size=8, max_size=8))
def test_runs_of_zeros_are_shortened_as_ipaddress_does(groups: list[int]) -> None:
    """RFC 5952 section 4.2.3: the longest run, the first of two equal ones."""
    packed = b"".join(group.to_bytes(2, "big") for group in groups)
    if packed[:12] == bytes(10) + b"\xff\xff":
        return  # ipaddress prints these in mixed notation from Python 3.13 on
    assert unpack_host(packed) == str(ipaddress.IPv6Address(packed))


@given(st.text(max_size=40))
def test_arbitrary_text_raises_nothing_but_malformed_error(text: str) -> None:
    """ST-7."""
    try:
        packed = pack_host(text)
    except MalformedError:
        return
    assert len(packed) in (4, 16)


def test_socket_addresses_are_tuples_and_print_as_people_write_them() -> None:
    address = SocketAddress("192.0.2.1", 3478)
    assert address == ("192.0.2.1", 3478)
    assert str(address) == "192.0.2.1:3478"
    assert str(SocketAddress("2001:db8::1", 443)) == "[2001:db8::1]:443"
    assert address.family is AddressFamily.IPV4
    assert SocketAddress("::", 0).family is AddressFamily.IPV6


def test_paths_differ_by_either_end_and_by_transport() -> None:
    here, there = SocketAddress("192.0.2.1", 3478), SocketAddress("192.0.2.9", 5000)
    paths = {
        Path(here, there, Transport.UDP),
        Path(there, here, Transport.UDP),
        Path(here, there, Transport.TCP),
        Path(here, there, Transport.TLS),
        Path(here._replace(port=3479), there, Transport.UDP),
    }
    assert len(paths) == 5
    assert str(Path(here, there, Transport.UDP)) == "udp 192.0.2.1:3478 <-> 192.0.2.9:5000"


def test_only_udp_is_unreliable() -> None:
    assert [transport for transport in Transport if not transport.reliable] == [Transport.UDP]
