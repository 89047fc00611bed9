"""Who has the link is let in."""

from __future__ import annotations

import asyncio

import pytest

from icelane.node.development.guests import IDENTITY, Guests
from icelane.signaling.admission.request import Allow, ConnectRequest, Deny
from icelane.testing.entropy import SeededEntropy

GUESTS = Guests(SeededEntropy())


def asked(token: str | None, data: object = None, **more: object) -> Allow | Deny:
    """What the hook says."""
    return asyncio.run(GUESTS(ConnectRequest(ip="192.168.1.7", token=token, data=data, **more)))  # type: ignore[arg-type]


def allowed(data: object) -> Allow:
    """The admission of somebody with the key."""
    answer = asked(GUESTS.key, data)
    assert isinstance(answer, Allow)
    return answer


@pytest.mark.parametrize("token", [None, "", "guess", GUESTS.key[:-1], GUESTS.key + "x", "\udc80"])
def test_nobody_enters_without_the_key(token: str | None) -> None:
    answer = asked(token)
    assert isinstance(answer, Deny)
    assert "icelane dev" in answer.reason


def test_the_key_opens_every_room() -> None:
    assert allowed(None).rooms == ("*",)


def test_who_keeps_a_secret_is_the_same_guest_again_and_nobody_else() -> None:
    ann, again, bob = (allowed({"guest": secret}).identity for secret in ("a" * 16, "a" * 16, "b" * 16))
    assert ann == again != bob
    assert ann is not None
    assert ann.startswith(IDENTITY)


@pytest.mark.parametrize("data", [None, [], {}, {"guest": 7}, {"guest": "short"}, {"guest": "x" * 1000}, "guest"])
def test_who_says_nothing_that_counts_is_any_guest(data: object) -> None:
    assert allowed(data).identity == IDENTITY


def test_the_secret_of_a_guest_is_not_in_his_name() -> None:
    assert "0123456789" not in str(allowed({"guest": "0123456789"}).identity)


def test_a_join_token_that_was_verified_counts_as_it_is() -> None:
    assert asked("eyJ", claims={"sub": "ann"}) == Allow()


def test_two_runs_have_two_keys_and_show_none() -> None:
    other = Guests(SeededEntropy(2))
    assert other.key != GUESTS.key
    assert len(other.key) == 22
    assert other.key not in repr(other)
