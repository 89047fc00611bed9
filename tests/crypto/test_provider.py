"""What stands on its own in the provider; the rest is the standard library's."""

from __future__ import annotations

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.crypto.provider import SystemEntropy, _sealed_text, equal, hmac_sha1, hmac_sha256, sealed_text


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_macs_are_those_of_rfc_2104_for_keys_of_any_length(key: bytes, data: bytes) -> None:
    for _ in range(2):  # the second time what the key begins is known
        assert hmac_sha1(key, data) == hmac.digest(key, data, "sha1")
        assert hmac_sha256(key, bytearray(data)) == hmac.digest(key, data, "sha256")


@given(st.binary(max_size=80), st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 32))
def test_what_is_sealed_is_the_same_with_and_without_the_library(
    key: bytes, head: bytes, bound: bytes, size: int
) -> None:
    text = sealed_text(key, head, bound, size)
    assert text == _sealed_text(key, head, bound, size)
    assert base64.urlsafe_b64decode(text + bytes(b"=" * (-len(text) % 4))) == (
        head + hmac.digest(key, head + bound, "sha256")[:size]
    )


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_only_the_same_is_equal(a: bytes, b: bytes) -> None:
    assert equal(a, bytes(a))
    assert equal(a, b) == (a == b)


def test_more_keys_than_are_remembered_give_right_macs() -> None:
    keys = [number.to_bytes(4, "big") for number in range(2100)]
    for key in [*keys, *keys]:
        assert hmac_sha1(key, b"data") == hmac.digest(key, b"data", "sha1")


@given(st.integers(1, 1 << 70))
def test_a_random_number_is_below_its_limit(limit: int) -> None:
    assert 0 <= SystemEntropy().below(limit) < limit


def test_every_number_below_a_limit_comes() -> None:
    entropy = SystemEntropy()
    assert {entropy.below(5) for _ in range(500)} == set(range(5))
    with pytest.raises(ValueError, match="no number"):
        entropy.below(0)
