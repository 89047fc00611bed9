"""Nonces without state: bound to one source, good for ten minutes, announced features."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import UnixSeconds
from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.stun.nonce import (
    KEY_SIZE,
    NONCE_COOKIE,
    NONCE_SIZE,
    NonceFactory,
    NonceVerdict,
    SecurityFeature,
    parse_security_features,
)
from tests.vectors import stun as vectors

pytestmark = pytest.mark.twin

KEY = bytes(range(KEY_SIZE))
CLIENT = SocketAddress("192.0.2.7", 40000)
NOW = UnixSeconds(1_800_000_000.25)
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"


def later(seconds: float) -> UnixSeconds:
    return UnixSeconds(NOW + seconds)


def test_a_nonce_is_valid_for_the_source_that_asked() -> None:
    factory = NonceFactory(KEY)
    nonce = factory.issue(CLIENT, NOW)
    assert len(nonce) == NONCE_SIZE
    assert factory.verify(nonce, CLIENT, NOW) is NonceVerdict.VALID


def test_no_nonce_repeats_across_ports_and_addresses_of_one_millisecond() -> None:
    """TA-2: 1,000 ports of two addresses, at the same time."""
    factory = NonceFactory(KEY)
    nonces = {
        factory.issue(SocketAddress(host, port), NOW)
        for host in ("192.0.2.7", "192.0.2.8")
        for port in range(40_000, 41_000)
    }
    assert len(nonces) == 2000


@pytest.mark.parametrize(
    "thief",
    [
        SocketAddress("192.0.2.7", 40001),
        SocketAddress("192.0.2.8", 40000),
        SocketAddress("::ffff:c000:207", 40000),
        SocketAddress("2001:db8::7", 40000),
    ],
)
def test_a_nonce_of_one_source_is_foreign_from_another(thief: SocketAddress) -> None:
    """TA-3: other port, other address, other spelling of the same address."""
    factory = NonceFactory(KEY)
    assert factory.verify(factory.issue(CLIENT, NOW), thief, NOW) is NonceVerdict.FOREIGN


def test_no_character_of_a_nonce_can_be_changed() -> None:
    """TA-4: each byte, to each other character of the alphabet and beyond it."""
    factory = NonceFactory(KEY)
    nonce = factory.issue(CLIENT, NOW)
    for position, original in enumerate(nonce):
        for replacement in f'{BASE64} ="\n\x00\x7f\u00e9\uff21':
            if replacement == original:
                continue
            forged = nonce[:position] + replacement + nonce[position + 1 :]
            assert factory.verify(forged, CLIENT, NOW) is NonceVerdict.FOREIGN


def test_truncated_and_extended_nonces_are_foreign() -> None:
    """TA-4."""
    factory = NonceFactory(KEY)
    nonce = factory.issue(CLIENT, NOW)
    for size in range(len(nonce)):
        assert factory.verify(nonce[:size], CLIENT, NOW) is NonceVerdict.FOREIGN
        assert factory.verify(nonce[size:] if size else "", CLIENT, NOW) is NonceVerdict.FOREIGN
    for extra in ("A", "=", "==", "\n", nonce):
        assert factory.verify(nonce + extra, CLIENT, NOW) is NonceVerdict.FOREIGN


def test_a_nonce_of_another_key_is_foreign() -> None:
    """TA-4."""
    other = NonceFactory(bytes(KEY_SIZE))
    assert NonceFactory(KEY).verify(other.issue(CLIENT, NOW), CLIENT, NOW) is NonceVerdict.FOREIGN


def test_a_nonce_of_the_same_key_with_other_features_is_foreign() -> None:
    """TA-4: the features are authenticated, so nobody can talk a client down."""
    plain = NonceFactory(KEY, SecurityFeature.NONE)
    assert NonceFactory(KEY).verify(plain.issue(CLIENT, NOW), CLIENT, NOW) is NonceVerdict.FOREIGN


@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        (-1.0, NonceVerdict.VALID),
        (-4.5, NonceVerdict.VALID),
        (-6.5, NonceVerdict.STALE),
        (-3600.0, NonceVerdict.STALE),
        (0.0, NonceVerdict.VALID),
        (599.0, NonceVerdict.VALID),
        (601.0, NonceVerdict.STALE),
        (86_400.0, NonceVerdict.STALE),
    ],
)
def test_a_nonce_lives_ten_minutes_and_may_come_five_seconds_from_the_future(age: float, verdict: NonceVerdict) -> None:
    """TA-4: the clocks of two workers that share the key may differ a little."""
    factory = NonceFactory(KEY)
    assert factory.verify(factory.issue(CLIENT, NOW), CLIENT, later(age)) is verdict


def test_two_workers_with_one_key_accept_each_other_s_nonces() -> None:
    """OP-3, the nonce half."""
    assert NonceFactory(KEY).verify(NonceFactory(KEY).issue(CLIENT, NOW), CLIENT, NOW) is NonceVerdict.VALID


def test_a_key_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        NonceFactory(KEY[:-1])


@given(st.text(max_size=60))
def test_arbitrary_text_is_never_an_exception_and_never_valid(nonce: str) -> None:
    """TA-4, FZ-1: whatever UTF-8 a client sends."""
    assert NonceFactory(KEY).verify(nonce, CLIENT, NOW) is NonceVerdict.FOREIGN
    assert NonceFactory(KEY).verify(nonce[:NONCE_SIZE].ljust(NONCE_SIZE, "A"), CLIENT, NOW) is NonceVerdict.FOREIGN


@given(st.text(alphabet=BASE64 + "=", min_size=22, max_size=22))
def test_a_guessed_token_is_never_valid(token: str) -> None:
    """TA-4: the right cookie, features and alphabet."""
    assert NonceFactory(KEY).verify(f"{NONCE_COOKIE}gAAA{token}", CLIENT, NOW) is NonceVerdict.FOREIGN


def test_lone_surrogates_in_a_nonce_are_foreign_and_no_exception() -> None:
    """TA-4: no UTF-8 decodes to them, but an embedder may hand over any str."""
    for position in (0, 9, 20):
        nonce = "A" * position + "\ud800" + "A" * (NONCE_SIZE - position - 1)
        assert NonceFactory(KEY).verify(nonce, CLIENT, NOW) is NonceVerdict.FOREIGN


# -- the cookie


@pytest.mark.parametrize(
    ("features", "encoded"),
    [
        (SecurityFeature.NONE, "AAAA"),
        (SecurityFeature.PASSWORD_ALGORITHMS, "gAAA"),
        (SecurityFeature.USERNAME_ANONYMITY, "QAAA"),
        (SecurityFeature.PASSWORD_ALGORITHMS | SecurityFeature.USERNAME_ANONYMITY, "wAAA"),
    ],
)
def test_every_nonce_announces_its_features_most_significant_bit_first(features: SecurityFeature, encoded: str) -> None:
    """TA-5: the nonce half: obMatJos2, then 24 bits in base64, bit 0 the most significant."""
    nonce = NonceFactory(KEY, features).issue(CLIENT, NOW)
    assert re.fullmatch(rf"obMatJos2{encoded}[A-Za-z0-9_-]{{22}}", nonce)
    assert parse_security_features(nonce) == features


def test_a_nonce_is_printable_text_of_a_size_that_fits_the_attribute() -> None:
    nonce = NonceFactory(KEY).issue(CLIENT, NOW)
    assert nonce.isascii()
    assert nonce.isprintable()
    assert len(nonce) < 128  # RFC 8489 section 14.10


def test_a_nonce_without_cookie_announces_nothing() -> None:
    """TA-5: an RFC 5389 server."""
    for nonce in ("", "f//499k954d6OL34oL9FSTvy64sA", "obMatJos", "obmatjos2gAAA"):
        assert parse_security_features(nonce) is None


@pytest.mark.parametrize("tail", ["", "g", "gAA", "gAA=", "g===", "====", "gA A", "\u00e9AAA", "gAA\n", "g\0AA"])
def test_a_cookie_that_is_not_followed_by_base64_is_malformed(tail: str) -> None:
    """TA-6: the codec half: a damaged cookie is an error, never "no features"."""
    with pytest.raises(MalformedError):
        parse_security_features(NONCE_COOKIE + tail)


def test_the_published_nonce_announces_a_bit_that_is_not_assigned() -> None:
    """RFC 8489 appendix B.1 counts bits from the other end; read by section 9.2 its bit is unassigned, not an error."""
    features = parse_security_features(vectors.B1_NONCE)
    assert features is not None
    assert int(features) == 0x000002
    assert SecurityFeature.PASSWORD_ALGORITHMS not in features


@given(st.integers(0, 0xFFFFFF), st.text(max_size=30))
def test_any_24_bits_of_features_are_read_back(bits: int, token: str) -> None:
    encoded = base64.b64encode(bits.to_bytes(3, "big")).decode()
    features = parse_security_features(NONCE_COOKIE + encoded + token)
    assert features is not None
    assert int(features) == bits
