"""Tokens (SG-6): whatever it is, it is refused unless we have signed it, and nothing else escapes."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.core.clock import UnixSeconds
from icelane.errors import MalformedError
from icelane.signaling.admission.join_token import TokenSigner, parse_join_claims
from icelane.signaling.admission.json_web_token import (
    TokenRefusedError,
    TokenVerifier,
    TrustedIssuer,
    parse_token,
)

NOW = UnixSeconds(1_800_000_000.0)
SECRET = "b3f0e9c2a7d84f5196e3c8b2a1d07f64"
VERIFIER = TokenVerifier((TrustedIssuer(issuer="example", algorithm="HS256", secret=SECRET),))
CLAIMS = {"iss": "example", "aud": "icelane", "sub": "alice", "exp": 1_800_000_600, "rooms": ["lobby", "a-*"]}
GOOD = TokenSigner(issuer="example", key=SECRET).sign(CLAIMS)

SEEDS = [
    GOOD.encode(),
    GOOD.rpartition(".")[0].encode() + b".",
    b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJleGFtcGxlIn0.eA",
    b"..",
]
DICTIONARY = [
    b".", b"=", b"eyJhbGciOiJIUzI1NiJ9", b"eyJhbGciOiJub25lIn0", b"eyJqa3UiOiJodHRwczovL3gifQ", b"AAAA", b"\n", b"-_",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """What is wrong with it."""
    text = data.decode("latin-1")
    try:
        parse_token(text)
    except MalformedError as error:
        shown = str(error)
    else:
        shown = ""
    assert len(text) < 9 or text not in shown
    try:
        # With a key at hand it never waits, so that it ends at its first step.
        VERIFIER.verify(text, NOW).send(None)
    except StopIteration as end:
        claims = end.value
    except TokenRefusedError as error:
        return error.fault
    assert text == GOOD, "a token that nobody has signed"
    assert parse_join_claims(claims).identity == "alice"
    return None
