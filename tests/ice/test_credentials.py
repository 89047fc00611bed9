"""Username fragments and passwords."""

from __future__ import annotations

import pytest

from icelane.errors import MalformedError
from icelane.ice.credentials import Credentials, generate_credentials, parse_credentials
from icelane.testing.entropy import SeededEntropy


def test_ours_have_48_and_144_random_bits_and_are_never_the_same() -> None:
    """IC-10: at least 24 bits of ufrag and 128 bits of password, in the characters of RFC 8839."""
    entropy = SeededEntropy(1)
    made = [generate_credentials(entropy) for _ in range(1000)]
    assert len({one.ufrag for one in made}) == len({one.password for one in made}) == 1000
    for one in made:
        assert (len(one.ufrag), len(one.password)) == (8, 24)
        assert parse_credentials(one.ufrag, one.password) == one
    # Every position takes every value: nothing of it is fixed.
    assert all(len({one.ufrag[i] for one in made}) == 64 for i in range(8))
    assert all(len({one.password[i] for one in made}) == 64 for i in range(24))


def test_a_password_does_not_show() -> None:
    """IC-10: the password is in no repr, and so in no log."""
    credentials = Credentials("abcd", "a very secret password")
    assert "secret" not in repr(credentials)
    assert "secret" not in f"{credentials}"
    assert "abcd" in repr(credentials)


@pytest.mark.parametrize(
    ("ufrag", "password"),
    [
        ("abc", "x" * 22),
        ("a" * 257, "x" * 22),
        ("abcd", "x" * 21),
        ("abcd", "x" * 257),
        ("ab:d", "x" * 22),
        ("abcd", "x" * 21 + " "),
        ("abc\n", "x" * 22),
        ("abc\u00e9", "x" * 22),
    ],
)
def test_credentials_of_the_peer_must_be_those_of_rfc_8839(ufrag: str, password: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_credentials(ufrag, password)
    assert password not in str(caught.value)


def test_the_shortest_and_the_longest_are_taken() -> None:
    assert parse_credentials("abcd", "x" * 22) == Credentials("abcd", "x" * 22)
    assert parse_credentials("+" * 256, "/" * 256) == Credentials("+" * 256, "/" * 256)
