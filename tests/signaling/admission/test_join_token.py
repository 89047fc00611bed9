"""What a join token says."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from icelane.core.clock import UnixSeconds
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError, LocalProtocolError, MalformedError
from icelane.signaling.admission.join_token import MAX_ROOMS, TokenSigner, create_token, parse_join_claims
from icelane.signaling.admission.json_web_token import TokenVerifier, parse_token
from icelane.signaling.admitted import DEFAULT_GRANTS, Grant, IcePolicy, IceTransportPolicy
from tests.signaling.admission.entrance import ISSUER, NOW, SIGNER, claims


def test_the_claims_become_what_they_say() -> None:
    allow = parse_join_claims(
        claims(name="Alice", grants=["join", "moderate"], meta={"hat": "red"}, ice={"policy": "relay"}, unknown=[1, 2])
    )
    assert allow.identity == "alice"
    assert allow.name == "Alice"
    assert allow.rooms == ("lobby", "team-*")
    assert allow.grants == frozenset({Grant.JOIN, Grant.MODERATE})
    assert allow.meta == {"hat": "red"}
    assert allow.expires_at == NOW + 600
    assert allow.ice == IcePolicy(transport_policy=IceTransportPolicy.RELAY)


def test_what_is_left_out_is_little() -> None:
    """CR-1: without rooms nobody is in one, and nobody moderates who was not told to."""
    allow = parse_join_claims(claims(rooms=None))
    assert allow.rooms == ()
    assert allow.grants == DEFAULT_GRANTS
    assert Grant.MODERATE not in DEFAULT_GRANTS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sub", None), ("sub", ""), ("sub", 7), ("sub", "a\nb"), ("sub", "x" * 257), ("sub", ["alice"]),
        ("rooms", "lobby"), ("rooms", [7]), ("rooms", [""]), ("rooms", ["a*b"]), ("rooms", ["**"]),
        ("rooms", ["x" * 200]), ("rooms", ["a"] * (MAX_ROOMS + 1)), ("rooms", ["a\x00"]), ("rooms", {"a": 1}),
        ("grants", ["admin"]), ("grants", "join"), ("grants", [["join"]]), ("grants", 7), ("grants", ["Moderate"]),
        ("meta", []), ("meta", {"a": "x" * 5000}), ("meta", "text"),
        ("name", 7), ("name", "x" * 300), ("name", "a\x1b[31m"),
        ("ice", "relay"), ("ice", {"policy": "none"}), ("ice", {"policy": ["relay"]}), ("ice", {"ttl": 0}),
        ("ice", {"ttl": True}), ("ice", {"servers": 1}),
    ],
)  # fmt: skip
def test_a_claim_of_another_shape_is_refused(name: str, value: object) -> None:
    """SG-13: a word that we do not know is not read as one that we do."""
    with pytest.raises(MalformedError):
        parse_join_claims(claims(**{name: value}))


def make(**changes: Any) -> str:
    arguments: dict[str, Any] = {
        "identity": "alice",
        "rooms": ("lobby",),
        "unix_time": NOW,
        "entropy": SystemEntropy(),
        **changes,
    }
    return create_token(SIGNER, **arguments)


def test_a_token_that_was_made_is_good() -> None:
    text = make(name="Alice", grants=(Grant.JOIN,), meta={"a": 1}, ice=IceTransportPolicy.RELAY, valid_for=60)
    found = asyncio.run(TokenVerifier((ISSUER,)).verify(text, NOW))
    assert found["exp"] == int(NOW) + 60
    assert parse_join_claims(found).name == "Alice"
    assert found["grants"] == ["join"]
    assert re.fullmatch(r"[\w-]{16}", str(found["jti"]))
    assert make() != make()


@pytest.mark.parametrize(("asked", "given"), [(-1, 1), (0, 1), (10**12, 86_400), (float("inf"), 86_400), (60, 60)])
def test_a_lifetime_is_within_a_second_and_a_day(asked: float, given: int) -> None:
    """CR-3: whatever is asked for is clamped."""
    assert parse_token(make(valid_for=asked)).claims["exp"] == int(NOW) + given


def test_what_no_token_could_say_is_not_made() -> None:
    for changes in ({"identity": ""}, {"rooms": ("a*b",)}, {"meta": {"a": "x" * 5000}}, {"name": "\x00"}):
        with pytest.raises(LocalProtocolError):
            make(**changes)
    with pytest.raises(LocalProtocolError, match="more than 8192"):
        make(rooms=tuple(f"{'r' * 120}{number}" for number in range(90)))


def test_a_signer_needs_a_key_that_suits() -> None:
    for arguments in (
        {"issuer": "", "key": "x" * 32},
        {"issuer": "a", "key": "short"},
        {"issuer": "a", "algorithm": "ES256", "key": "x" * 32},
    ):
        with pytest.raises(ConfigurationError):
            TokenSigner(**arguments)  # type: ignore[arg-type]


def test_a_public_key_signs_nothing() -> None:
    from joserfc.jwk import ECKey

    with pytest.raises(ConfigurationError, match="private"):
        TokenSigner(issuer="a", algorithm="ES256", key=ECKey.generate_key("P-256").as_pem(private=False).decode())


def test_time_is_the_callers() -> None:
    assert parse_token(make(unix_time=UnixSeconds(1000.9))).claims["nbf"] == 1000
