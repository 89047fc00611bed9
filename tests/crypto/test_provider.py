"""What stands on its own in the provider; the rest is the standard library's."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from icelane.crypto.provider import hmac_sha1, hmac_sha256


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_macs_are_those_of_rfc_2104_for_keys_of_any_length(key: bytes, data: bytes) -> None:
    for _ in range(2):  # the second time what the key begins is known
        assert hmac_sha1(key, data) == hmac.digest(key, data, "sha1")
        assert hmac_sha256(key, bytearray(data)) == hmac.digest(key, data, "sha256")
