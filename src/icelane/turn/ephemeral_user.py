"""What an identity is called in the name of an ephemeral credential, and how it is known again there.

    alice                 alice
    a/b ü                 a%2Fb%20%C3%BC                  percent-encoded, so that nobody reads as somebody else
    60 ideographs         !<SHA-256 of all of it><the beginning, percent-encoded>

A USERNAME has 508 bytes, and an identity may have more when it is percent-encoded: then its digest stands for it. `!`
is percent-encoded in every other name, so nobody else is called like this. Which of the two it is depends on the
identity alone: whoever keeps somebody out or takes his credentials back finds the name that he was given.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from icelane.crypto.provider import sha256

# What is left of 508 bytes by an expiry of 12 digits and a kid of 64 characters, and their colons.
MAX_ENCODED: Final = 430
# The beginning that is shown, so that patterns of lists can be held against it: with the digest it fits, whatever the
# script.
SHOWN: Final = 24

_SAFE: Final = "@+"
_DIGEST: Final = re.compile(r"!([0-9a-f]{64})([^!]*)")


class HiddenIdentity(NamedTuple):
    """An identity of which the digest is known, and how it begins."""

    digest: str
    beginning: str


def ephemeral_user(identity: str) -> str:
    """The user field for `identity`; ASCII. Raises UnicodeEncodeError for what is no text."""
    encoded = quote(identity, safe=_SAFE)
    if len(encoded) <= MAX_ENCODED:
        return encoded
    return f"!{digest_of(identity)}{quote(identity[:SHOWN], safe=_SAFE)}"


def identity_of(user: str) -> str | HiddenIdentity:
    """Whose user field it is."""
    found = _DIGEST.fullmatch(user)
    if found is None:
        return unquote(user)
    return HiddenIdentity(found[1], unquote(found[2]))


def digest_of(identity: str) -> str:
    """What stands for an identity that is too long, in hexadecimal digits."""
    return sha256(identity.encode()).hex()
