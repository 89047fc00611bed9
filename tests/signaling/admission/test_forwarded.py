"""Who it is behind proxies."""

from __future__ import annotations

import pytest

from icelane.errors import ConfigurationError, MalformedError
from icelane.signaling.admission.forwarded import (
    MAX_HOPS,
    TrustedProxies,
    canonical_address,
    parse_forwarded,
    parse_forwarded_for,
)
from icelane.signaling.admission.headers import Headers

PROXIES = TrustedProxies(("10.0.0.0/8", "2001:db8:1::/48"))


def client(peer: str, *headers: tuple[str, str]) -> str:
    return PROXIES.client_of(peer, Headers(headers))


def test_a_header_from_somebody_who_is_no_proxy_does_not_count() -> None:
    """SG-5: X-Forwarded-For, Forwarded and X-Real-IP of an untrusted peer are ignored."""
    for name in ("X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP"):
        assert client("203.0.113.9", (name, "198.51.100.1")) == "203.0.113.9"
    assert client("203.0.113.9", ("Forwarded", "for=198.51.100.1")) == "203.0.113.9"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("1.2.3.4, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("1.2.3.4,198.51.100.1:5555,10.9.9.9:80", "198.51.100.1"),
        ("[2001:db8::7]:80", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("[::1]:80", "::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("::ffff:10.1.1.1", "10.1.1.1"),
        ("198.51.100.1, unknown", "10.0.0.1"),
        ("198.51.100.1, unknown, 10.9.9.9", "10.9.9.9"),
        ("198.51.100.1, _hidden", "10.0.0.1"),
        ("198.51.100.1, 300.1.1.1", "10.0.0.1"),
        ("198.51.100.1, 192.0.2.1:99999999", "10.0.0.1"),
        ("198.51.100.1, fe80::1%eth0", "10.0.0.1"),
        ("198.51.100.1, ", "10.0.0.1"),
        ("198.51.100.1, [::1", "10.0.0.1"),
        ("198.51.100.1, 192.0.2.1:", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("10.1.1.1, 2001:db8:1::5", "10.1.1.1"),
    ],
)
def test_the_right_most_hop_that_nobody_vouches_for_is_the_client(header: str, expected: str) -> None:
    """SG-5: `unknown`, brackets, ports, mapped addresses: the right-most untrusted hop or the last proxy known."""
    assert client("10.0.0.1", ("X-Forwarded-For", header)) == expected
    assert client("::ffff:10.0.0.1", ("X-Forwarded-For", header)) == expected


def test_two_lines_are_one_list() -> None:
    """SG-5: a second header line comes after the first, whichever the client wrote itself."""
    assert client("10.0.0.1", ("X-Forwarded-For", "1.1.1.1"), ("x-forwarded-for", "198.51.100.1")) == "198.51.100.1"


def test_forged_entries_on_the_left_change_nothing() -> None:
    """SG-5: fifty rotated forgeries are one and the same client, so one bucket."""
    found = {client("10.0.0.1", ("X-Forwarded-For", f"192.0.2.{number}, 198.51.100.1")) for number in range(50)}
    assert found == {"198.51.100.1"}


def test_a_thousand_entries_are_read_from_the_right_and_not_to_the_end() -> None:
    """SG-5: 1,000 entries; of trusted ones no more than MAX_HOPS are believed."""
    many = ", ".join(["198.51.100.1"] * 1000)
    assert client("10.0.0.1", ("X-Forwarded-For", many)) == "198.51.100.1"
    trusted = ", ".join(f"10.1.{number // 250}.{number % 250}" for number in range(1000))
    assert client("10.0.0.1", ("X-Forwarded-For", trusted)) == f"10.1.3.{250 - MAX_HOPS}"
    endless = "9.9.9.9, " * 100_000 + "198.51.100.1"
    assert client("10.0.0.1", ("X-Forwarded-For", endless)) == "198.51.100.1"


def test_forwarded_counts_before_the_other_header() -> None:
    """SG-5: where a proxy writes RFC 7239, the older header is what the client wrote."""
    headers = (("Forwarded", 'for="[2001:db8::7]:4711";proto=https'), ("X-Forwarded-For", "1.1.1.1"))
    assert client("10.0.0.1", *headers) == "2001:db8::7"


def test_a_forwarded_header_that_does_not_parse_leaves_the_proxy() -> None:
    for header in ("for", 'for="1.1.1.1', "for=1.1.1.1;for=2.2.2.2", "for=1.1.1.1 by=2", "for=" + "1" * 20_000):
        assert client("10.0.0.1", ("Forwarded", header)) == "10.0.0.1"


def test_x_real_ip_never_counts() -> None:
    """SG-5: it does not say who wrote it."""
    assert client("10.0.0.1", ("X-Real-IP", "198.51.100.1")) == "10.0.0.1"


@pytest.mark.parametrize(
    "everybody",
    [
        ("0.0.0.0/0",),
        ("::/0",),
        ("0.0.0.0-255.255.255.255",),
        ("0.0.0.0/1", "128.0.0.0/1"),
        ("1.0.0.0-223.255.255.255",),
        ("2000::/3",),
        ("10.0.0.1", *(f"{start}000::/5" for start in (2, 3)), "2800::/5", "3800::/5"),
    ],
)
def test_trusting_everybody_stops_the_start(everybody: tuple[str, ...]) -> None:
    """SG-5: wildcard trust is refused, with the name of the key, in one entry and in several."""
    with pytest.raises(ConfigurationError, match=r"server\.trusted_proxies.*name your proxies"):
        TrustedProxies(everybody)


def test_a_whole_private_network_may_be_trusted() -> None:
    """SG-5: which is where proxies are."""
    assert "10.1.2.3" in TrustedProxies(("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "127.0.0.0/8"))


@pytest.mark.parametrize("nonsense", ["*", "10.0.0.1/8", "proxy.example.org", ""])
def test_what_is_no_range_stops_the_start(nonsense: str) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.trusted_proxies"):
        TrustedProxies((nonsense,))


def test_an_address_has_one_spelling() -> None:
    """SG-4: `::ffff:1.2.3.4` is `1.2.3.4`, whatever the socket says."""
    assert canonical_address("::FFFF:1.2.3.4") == canonical_address("::ffff:102:304") == "1.2.3.4"
    assert canonical_address("2001:DB8:0:0::1%eth0") == "2001:db8::1"
    assert canonical_address("::ffff:0:1.2.3.4") == "::ffff:0:102:304"
    with pytest.raises(MalformedError):
        canonical_address("localhost")


def test_forwarded_is_taken_apart_as_rfc_7239_has_it() -> None:
    text = 'For="[2001:db8:cafe::17]:4711", for=192.0.2.60;proto=http;by=203.0.113.43, for=_gazonk, by=1.1.1.1'
    assert parse_forwarded(text) == ["2001:db8:cafe::17", "192.0.2.60", None, None]
    assert parse_forwarded(r'for="\1.2.3.4";x="a,b;c\"d"') == ["1.2.3.4"]
    assert parse_forwarded_for("1.2.3.4 ,\t5.6.7.8") == ["1.2.3.4", "5.6.7.8"]
