from __future__ import annotations

import pytest

from icelane.errors import SyntaxError_
from icelane.peer.external_addresses import external_addresses


def test_nothing_said_translates_nothing() -> None:
    assert external_addresses(None, "host").of("10.0.0.5") is None


def test_one_address_stands_for_all_of_its_family() -> None:
    known = external_addresses("203.0.113.5", "host")
    assert known.of("10.0.0.5") == known.of("10.0.0.6") == "203.0.113.5"
    assert known.of("2001:db8::5") is None
    assert external_addresses("2001:DB8::5", "host").of("fd00::1") == "2001:db8::5"


def test_a_mapping_stands_for_what_is_in_it() -> None:
    known = external_addresses({"10.0.0.5": "203.0.113.5", "FD00::1": "2001:db8::1"}, "srflx")
    assert known.of("10.0.0.5") == "203.0.113.5"
    assert known.of("fd00::1") == "2001:db8::1"
    assert known.of("10.0.0.6") is None
    assert not known.replaces


@pytest.mark.parametrize("given", [7, ["203.0.113.5"], {"10.0.0.5": 7}, {7: "203.0.113.5"}, {"10.0.0.5": None}])
def test_another_thing_is_refused(given: object) -> None:
    with pytest.raises(TypeError, match="external_addresses"):
        external_addresses(given, "host")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("example.org", "example.org"),
        ("", "''"),
        ({"10.0.0.5": "203.0.113"}, "203.0.113"),
        ({"eth0": "203.0.113.5"}, "eth0"),
        ({"10.0.0.5": "2001:db8::5"}, "different families"),
        ("0.0.0.0", "reached from elsewhere at 0.0.0.0"),
        ("::", "reached from elsewhere at ::"),
        ("224.0.0.1", "224.0.0.1"),
        ("255.255.255.255", "255.255.255.255"),
        ("127.0.0.1", "127.0.0.1"),
        ("fe80::1", "fe80::1"),
        ({"10.0.0.5": "169.254.0.1"}, "169.254.0.1"),
    ],
)
def test_what_is_no_address_is_named(given: object, names: str) -> None:
    with pytest.raises(SyntaxError_, match=names):
        external_addresses(given, "host")


def test_a_way_to_tell_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="external_address_type says how peers are told"):
        external_addresses(None, "srflx")


@pytest.mark.parametrize("kind", ["relay", "", None, "HOST"])
def test_there_are_two_ways_to_tell_it(kind: object) -> None:
    with pytest.raises(TypeError, match="external_address_type is one of host, srflx"):
        external_addresses("203.0.113.5", kind)
