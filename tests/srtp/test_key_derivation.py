from __future__ import annotations

import pytest

from icelane.errors import InvalidAccessError
from icelane.srtp.key_derivation import derive, derive_session_keys
from icelane.srtp.profile import ProtectionProfile
from tests.vectors import srtp as vectors


def test_the_keys_of_rfc_3711_come_out() -> None:
    """SR-1: appendix B.3."""
    profile = ProtectionProfile.AES128_CM_HMAC_SHA1_80
    keys = derive_session_keys(profile, vectors.MASTER_KEY, vectors.MASTER_SALT)
    assert keys.rtp.encryption == vectors.CIPHER_KEY
    assert keys.rtp.salt == vectors.CIPHER_SALT
    assert keys.rtp.authentication == vectors.AUTHENTICATION_KEY[:20]
    assert derive(vectors.MASTER_KEY, vectors.MASTER_SALT, 1, 94) == vectors.AUTHENTICATION_KEY


def test_no_two_keys_are_the_same(profile: ProtectionProfile) -> None:
    keys = derive_session_keys(profile, bytes(profile.key_size), bytes(profile.salt_size))
    parts = [
        part for stream in (keys.rtp, keys.rtcp) for part in (stream.encryption, stream.authentication, stream.salt)
    ]
    sizes = [profile.key_size, profile.authentication_key_size, profile.salt_size] * 2
    assert [len(part) for part in parts] == sizes
    begins = [part[:12] for part in parts if part]
    assert len(set(begins)) == len(begins)


def test_keys_are_not_shown(profile: ProtectionProfile) -> None:
    keys = derive_session_keys(profile, bytes(profile.key_size), bytes(profile.salt_size))
    assert repr(keys) == "SessionKeys(rtp=StreamKeys(), rtcp=StreamKeys())"


def test_sizes_are_the_profiles(profile: ProtectionProfile) -> None:
    for key, salt in ((1, 0), (0, 1)):
        with pytest.raises(InvalidAccessError):
            derive_session_keys(profile, bytes(profile.key_size + key), bytes(profile.salt_size + salt))
