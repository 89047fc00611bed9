from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import AddressFamily
from icelane.errors import MalformedError
from icelane.turn.address_range import AddressRange, RangeTable, host_of, number_of, parse_address_range

V4, V6 = AddressFamily.IPV4, AddressFamily.IPV6


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("10.0.0.0/8", "10.0.0.0", "10.255.255.255"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.7-192.0.3.1", "192.0.2.7", "192.0.3.1"),
        ("192.0.2.7 - 192.0.3.1", "192.0.2.7", "192.0.3.1"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::1:fffe-2001:db8::2:1", "2001:db8::1:fffe", "2001:db8::2:1"),
        ("2001:DB8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_a_range_is_a_prefix_an_address_or_two_ends(text: str, first: str, last: str) -> None:
    found = parse_address_range(text)
    assert (host_of(found.family, found.first), host_of(found.family, found.last)) == (first, last)
    assert str(found) == f"{first}-{last}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/0.255.255.255",
        "10.0.0.1/8",
        "010.0.0.0/8",
        "10.0.0",
        "10.0.0.0/8/8",
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-::1",
        "10.0.0.1-",
        "-10.0.0.1",
        "10.0.0.1-10.0.0.2-10.0.0.3",
        "fe80::1%eth0",
        "fe80::%1/64",
        "localhost",
        "2001:db8::/129",
        "2001:db8::1/64",
        "10.0.0.0/٨",
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    """TR-4: a range that cannot be read is never guessed at."""
    with pytest.raises(MalformedError):
        parse_address_range(text)


@given(st.text(alphabet="0123456789abcdef:./-% ", max_size=40))
def test_no_text_raises_anything_but_malformed(text: str) -> None:
    try:
        found = parse_address_range(text)
    except MalformedError:
        return
    assert found.first <= found.last


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("2001:db8::1:fffe-2001:db8::2:1", ["2001:db8::1:fffe", "2001:db8::1:ffff", "2001:db8::2:0", "2001:db8::2:1"],
         ["2001:db8::1:fffd", "2001:db8::2:2", "2001:db8::", "2001:db8::3:0"]),
        ("2001:db8::-2001:db9:ffff:ffff:ffff:ffff:ffff:fffe", ["2001:db8::", "2001:db9::", "2001:db8:ffff::ffff"],
         ["2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("9.255.255.255-11.0.0.0", ["9.255.255.255", "10.1.2.3", "11.0.0.0"], ["9.255.255.254", "11.0.0.1"]),
    ],
)  # fmt: skip
def test_the_ends_of_a_range_are_exact(text: str, inside: list[str], outside: list[str]) -> None:
    """TR-4: ranges off every prefix boundary, wide spans, the ends plus and minus one."""
    found = parse_address_range(text)
    table = RangeTable(found.family, [(found, "hit")])
    assert [table.label(number_of(host)) for host in inside] == ["hit"] * len(inside)
    assert [table.label(number_of(host)) for host in outside] == [None] * len(outside)


numbers = st.integers(0, 40)
ranges = st.tuples(numbers, numbers).map(lambda pair: AddressRange(V4, min(pair), max(pair)))


@given(st.lists(ranges, max_size=12))
def test_the_first_of_overlapping_ranges_answers(found: list[AddressRange]) -> None:
    rows = [(one, str(index)) for index, one in enumerate(found)]
    table = RangeTable(V4, rows)
    for number in range(42):
        slow = next((label for one, label in rows if one.first <= number <= one.last), None)
        assert table.label(number) == slow


def test_a_table_leaves_the_other_family_out() -> None:
    table = RangeTable(V6, [(parse_address_range("0.0.0.0/0"), "four"), (parse_address_range("::/0"), "six")])
    assert table.label(number_of("127.0.0.1")) == "six"
    assert RangeTable(V4, []).label(0) is None


def test_the_last_address_of_each_family_can_be_in_a_range() -> None:
    for family, text in ((V4, "255.255.255.255"), (V6, "ffff::/16")):
        table = RangeTable(family, [(parse_address_range(text), "end")])
        top = int(ipaddress.ip_network("0.0.0.0/0" if family is V4 else "::/0").broadcast_address)
        assert table.label(top) == "end"
        assert table.label(0) is None
