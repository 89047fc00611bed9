"""Keys of programs."""

from __future__ import annotations

import pytest

from icelane.crypto.api_key import hash_of, new_api_key, parse_api_key
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError
from icelane.signaling.admission import api_key
from icelane.signaling.admission.api_key import MAX_API_KEYS, ApiKeys

KEY = "ik_5a0c2f6e8b7d4c1393e2f1a0b9d8c7e6"
OTHER = "another-0123456789abcdef"


def test_whoever_has_a_key_is_known_by_it() -> None:
    keys = ApiKeys({"backend": KEY, "cron": hash_of(OTHER)})
    assert keys.owner_of(KEY) == "backend"
    assert keys.owner_of(OTHER) == "cron"
    assert keys.owner_of(KEY, "backend") == "backend"
    assert keys.owner_of(KEY, "cron") is None
    for wrong in ("", KEY[:-1], f"{KEY} ", hash_of(KEY), "\ud800", "é"):
        assert keys.owner_of(wrong) is None
    assert ApiKeys().owner_of("") is None


def test_a_key_is_hashed_at_load() -> None:
    """CR-6: nothing that the server keeps is the key."""
    keys = ApiKeys({"backend": KEY})
    assert KEY not in repr(vars(keys))
    assert KEY not in repr(keys)
    assert hash_of(KEY) not in repr(keys)


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """ST-13, SG-7: the one that fits does not end the search."""
    compared = []

    def equal(a: bytes, b: bytes) -> bool:
        compared.append(b)
        return a == b

    monkeypatch.setattr(api_key, "equal", equal)
    keys = ApiKeys({"a": KEY, "b": OTHER})
    assert keys.owner_of(KEY) == "a"
    assert len(compared) == 2


@pytest.mark.parametrize("weak", ["", "short", "a" * 40, "sha256:1234", "sha256:" + "g" * 64, 7, None])
def test_a_weak_key_stops_the_start(weak: object) -> None:
    """TA-11: less than 128 bits."""
    with pytest.raises(ValueError, match=r"128 bits|hexadecimal|string"):
        parse_api_key(weak)


def test_an_error_names_whose_key_it_is_and_not_the_key() -> None:
    """CR-6: the refused value is in no error."""
    with pytest.raises(ConfigurationError) as caught:
        ApiKeys({"backend": "hunter2"})
    assert caught.value.key == "auth.api_keys.backend"
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
    with pytest.raises(ConfigurationError, match="name"):
        ApiKeys({"a b": KEY})
    with pytest.raises(ConfigurationError, match="more than"):
        ApiKeys({f"k{number}": hash_of(str(number)) for number in range(MAX_API_KEYS + 1)})


def test_a_new_key_is_good_enough() -> None:
    fresh = new_api_key(SystemEntropy())
    assert fresh.startswith("ik_")
    assert parse_api_key(fresh) == hash_of(fresh)
    assert fresh != new_api_key(SystemEntropy())
