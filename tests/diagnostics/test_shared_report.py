"""Reports are few, small, short-lived and nobody's to guess, and their addresses are cut to networks."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import Instant
from icelane.diagnostics.shared_report import SharedReports, masked
from icelane.testing.entropy import SeededEntropy


def reports(limit: int = 100, lifetime: float = 60.0) -> SharedReports:
    return SharedReports(SeededEntropy(1), limit=limit, lifetime=lifetime)


def test_a_report_is_there_until_its_time_is_over() -> None:
    store = reports()
    name = store.add(b"{}", "alice", Instant(0.0))
    assert store.get(name, Instant(59.9)) == b"{}"
    assert store.get(name, Instant(60.0)) is None
    assert len(store) == 0


def test_ids_have_128_bits() -> None:
    store = reports()
    names = {store.add(b"{}", "alice", Instant(0.0)) for _ in range(10)}
    assert len(names) == 10
    assert {len(name) for name in names} == {22}


def test_the_oldest_goes_at_the_bound() -> None:
    store = reports(limit=3)
    names = [store.add(b"{}", f"user {number}", Instant(0.0)) for number in range(4)]
    assert [store.get(name, Instant(1.0)) is not None for name in names] == [False, True, True, True]


def test_one_user_drives_out_his_own_reports_and_nobody_elses() -> None:
    store = reports(limit=21)
    bobs = store.add(b"bob", "bob", Instant(0.0))
    names = [store.add(b"{}", "mallory", Instant(0.0)) for _ in range(60)]
    assert store.get(bobs, Instant(1.0)) == b"bob"
    assert sum(store.get(name, Instant(1.0)) is not None for name in names) == 20


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("we are 198.51.100.77:4444, no NAT", "we are 198.51.100.x:4444, no NAT"),
        ("[2001:db8:1:2::5]:3478", "[2001:db8:1::x]:3478"),
        ("at 12:34:56 on 2026-11-27", "at 12:34:56 on 2026-11-27"),
        ("version 1.2.3.4.5", "version 1.2.3.4.5"),
        ("127.0.0.1 and ::1", "127.0.0.1 and ::1"),
        ("::ffff:203.0.113.9 is told too", "::ffff:203.0.113.x is told too"),
        ("999.1.1.1", "999.1.1.1"),
        ("10.1.2.3.", "10.1.2.x."),
        ("2001:db8:1:2::5: no answer", "2001:db8:1::x: no answer"),
        ("host:2001:db8:1:2::5", "host:2001:db8:1::x"),
        ("2001:db8:1:2:3:4:5:6:3478", "2001:db8:1::x:3478"),
        ("::ffff:a01:203", "::ffff:10.1.2.x"),
        ("[::ffff:a01:203]:3478", "[::ffff:10.1.2.x]:3478"),
        ("2002:cb00:7109:1::1", "2002:cb00:7100::x"),
        ("fe80::1:2%eth0", "fe80::x%eth0"),
        ("added:2001:db8:1:2::5", "x"),
        ("2001:db8:1:2::5::6", "2001:db8:1::xx"),
        ("1:2:3:4:5:6:7", "x"),
        ("::", "::"),
        ("mac aa:bb:cc:dd:ee:ff", "mac aa:bb:cc:dd:ee:ff"),
    ],
)
def test_addresses_are_cut_to_networks(text: str, shown: str) -> None:
    assert masked(text) == shown


WAYS = [
    " {} ",
    "[{}]:3478",
    "({})",
    "{},",
    "at {}.",
    "{}: no answer",
    ":{}",
    "at:{}:",
    "{}:3478",
    "udp:{}:3478",
    "a:{}",
]


@given(st.ip_addresses(), st.sampled_from(WAYS), st.booleans())
def test_no_address_is_left_whole_wherever_it_stands(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, around: str, is_long: bool
) -> None:
    if address.is_loopback or address.is_unspecified:
        return
    if address.version == 4 and int(address) & 0xFF == 0:
        return
    if address.version == 6 and int(address) & ((1 << 80) - 1) == 0:
        return
    text = address.exploded if is_long else str(address)
    assert text not in masked(around.format(text))


@given(st.ip_addresses(v=6, network="2001:db8::/32"), st.sampled_from(WAYS), st.booleans())
def test_nothing_of_a_host_is_left_wherever_it_stands(
    address: ipaddress.IPv6Address, around: str, is_long: bool
) -> None:
    """Its last 80 bits, four groups of which would tell the host."""
    low = address.exploded.split(":")[4:]
    if min(int(group, 16) for group in low) < 0x1000:
        return  # short ones may be found by chance
    shown = masked(around.format(address.exploded if is_long else str(address)))
    assert not any(group in shown.replace("3478", "") for group in low[:-1])


@given(st.text("0123456789abcdefgx:.%[] ", max_size=200))
def test_any_text_can_be_masked(text: str) -> None:
    assert masked(text).count(" ") == text.count(" ")
