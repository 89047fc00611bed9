from __future__ import annotations

import pytest

from icelane.errors import InvalidAccessError
from icelane.srtp.profile import ProtectionProfile, keys_from_exporter, profile_of


def test_each_end_has_the_others_keys_the_other_way_round(profile: ProtectionProfile) -> None:
    """RFC 5764 section 4.2: client key, server key, client salt, server salt."""
    key, salt = profile.key_size, profile.salt_size
    material = b"c" * key + b"s" * key + b"C" * salt + b"S" * salt
    client = keys_from_exporter(profile, material, True)
    server = keys_from_exporter(int(profile), material, False)
    assert client.local_key == server.remote_key == b"c" * key
    assert client.remote_key == server.local_key == b"s" * key
    assert client.local_salt == server.remote_salt == b"C" * salt
    assert client.remote_salt == server.local_salt == b"S" * salt


def test_keys_are_not_shown(profile: ProtectionProfile) -> None:
    material = bytes(2 * (profile.key_size + profile.salt_size))
    assert repr(keys_from_exporter(profile, material, True)) == "MasterKeys()"


def test_material_of_another_size_is_refused(profile: ProtectionProfile) -> None:
    with pytest.raises(InvalidAccessError):
        keys_from_exporter(profile, bytes(2 * (profile.key_size + profile.salt_size) - 1), True)


@pytest.mark.parametrize("number", [0, 2, 5, 6, 0xFFFF])
def test_other_profiles_are_not_known(number: int) -> None:
    """The NULL cipher and tags of 32 bits are among them."""
    with pytest.raises(InvalidAccessError):
        profile_of(number)
